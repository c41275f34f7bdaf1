"""What noise is measured, on a picture with texture and slopes of light."""

import math

import pytest
import torch

from impasto.denoising.estimate import _positive_definite, estimate_noise
from impasto.denoising.noise import LEVELS, clipped_moments, interpolate, white_noise

GENERATOR = torch.Generator().manual_seed(0)
y, x = torch.meshgrid(torch.linspace(0, 1, 192), torch.linspace(0, 1, 192), indexing="ij")
CLEAN = (0.25 + 0.4 * x + 0.1 * torch.sin(9 * (x + y * y)) + 0.05 * (y > 0.6)).expand(1, -1, -1)
BASIS = torch.eye(1)


def noise():
    return torch.randn(CLEAN.shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("sigma", [0.01, 0.05, 0.15])
def test_white_noise_is_measured(sigma):
    estimate = estimate_noise(CLEAN + sigma * noise(), BASIS)
    assert estimate.autocorrelation is None
    assert estimate.typical_sigma(CLEAN).item() == pytest.approx(sigma, rel=0.06)


def test_counts_are_measured_by_their_gain():
    counts = torch.poisson(40 * CLEAN, generator=torch.Generator().manual_seed(2)) / 40
    estimate = estimate_noise(counts, BASIS)
    assert estimate.gain == pytest.approx(1 / 40, rel=0.05)
    light = torch.tensor([0.3, 0.6])
    variances = interpolate(light, estimate.levels[0], estimate.variances[0])
    assert variances == pytest.approx((light / 40).numpy(), rel=0.1)


def test_what_was_cut_off_is_known():
    dark = (CLEAN - 0.3) * 1.2
    estimate = estimate_noise((dark + 0.1 * noise()).clamp(0, 1), BASIS)
    assert estimate.clipped[0]
    assert estimate.sigma == pytest.approx(0.1, rel=0.12)


def test_shared_noise_has_its_neighbors_correlation():
    kernel = torch.tensor([[0.25, 0.5, 0.25]]).view(1, 1, 1, 3)
    shared = torch.nn.functional.conv2d(noise()[None], kernel, padding=(0, 1))[0]
    estimate = estimate_noise(CLEAN + 0.08 * shared, BASIS)
    assert estimate.autocorrelation is not None
    middle = estimate.autocorrelation.shape[1] // 2
    across, down = (
        estimate.autocorrelation[0, middle, middle + 1].item(),
        estimate.autocorrelation[0, middle + 1, middle].item(),
    )
    # Of (¼ ½ ¼) with itself moved by one, two thirds, a tenth less for the taper.
    assert across == pytest.approx(0.6, abs=0.08)
    assert abs(down) < 0.15
    expected = 0.08 * math.sqrt(0.25**2 + 0.5**2 + 0.25**2)
    assert estimate.typical_sigma(CLEAN).item() == pytest.approx(expected, rel=0.15)


def test_a_variance_at_a_level_is_that_of_the_line_in_any_basis():
    noise_model = white_noise(0.01, 0.0004, 3, (False, False))
    picture = torch.full((3, 4, 5), 0.5)
    turned = torch.linalg.qr(torch.randn(3, 3, generator=GENERATOR)).Q
    for basis in (torch.eye(3), turned):
        assert torch.allclose(
            noise_model.variance_at(picture, basis), torch.tensor(0.0054), rtol=1e-3
        )


def test_clipping_moves_the_mean_inwards_and_takes_variance_away():
    variances = torch.full_like(LEVELS, 0.01)
    means, spread = clipped_moments(LEVELS, variances, (True, True))
    assert means[0] == pytest.approx(0.1 / math.sqrt(2 * math.pi), rel=1e-2)
    assert means[-1] == pytest.approx(1 - 0.1 / math.sqrt(2 * math.pi), rel=1e-2)
    assert spread[0] < 0.5 * 0.01
    assert (means[128], spread[128]) == (pytest.approx(0.5), pytest.approx(0.01, rel=1e-3))
    assert (clipped_moments(LEVELS, variances, (False, False))[0] == LEVELS).all()


def test_the_correlations_are_those_of_some_noise():
    """A covariance made of them has no direction of less than nothing, whatever was measured."""
    table = torch.zeros(1, 9, 9)
    table[0, 4, 4], table[0, 4, 3], table[0, 4, 5] = 2, 1.9, 1.9  # more than any noise has
    raised = _positive_definite(table)
    assert raised[0, 4, 4] == pytest.approx(1)
    assert torch.allclose(raised, raised.flip(1, 2), atol=1e-6)
    line = [raised[0, 4, 4 + abs(d)] if abs(d) < 5 else torch.tensor(0.0) for d in range(-11, 12)]
    matrix = torch.stack([torch.stack([line[11 + i - j] for j in range(12)]) for i in range(12)])
    assert torch.linalg.eigvalsh(matrix).min() > -0.05
    good = torch.zeros(1, 9, 9)
    good[0, 4, 4], good[0, 4, 3], good[0, 4, 5] = 1, 0.4, 0.4
    assert torch.allclose(_positive_definite(good), good, atol=1e-5)
