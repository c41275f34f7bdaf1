"""What noise is measured, on a picture with texture and slopes of light."""

import math

import pytest
import torch

import impasto
from impasto.denoising.estimate import _positive_definite, estimate_noise
from impasto.denoising.filters import interpolate
from impasto.denoising.noise import LEVELS, clipped_moments, white_noise
from impasto.denoising.valid_pixels import constant_areas
from impasto.images.image import Image, ImageMetadata

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


@pytest.mark.parametrize("spots", [[(9, 9, 1e4)], [(9, 9, -9999.0), (80, 3, 50.0)]])
def test_single_spots_change_neither_measure_nor_range(spots):
    noisy = (CLEAN + 0.05 * noise())[:, :96, :96].numpy().copy()
    plain = impasto.diagnose(noisy)
    for down, across, value in spots:
        noisy[0, down, across] = value
    spotted = impasto.diagnose(noisy)
    assert spotted.kind == plain.kind
    assert spotted.sigma == pytest.approx(plain.sigma, rel=0.1)


@pytest.mark.parametrize("bits", [8, 16])
def test_twelve_bits_in_sixteen_are_not_invisible(bits):
    """A sixteenth of the range is all that a camera of 12 bits fills; 8 bits have nothing finer."""
    pixels = (CLEAN + 0.02 * noise())[:, :96, :96].clamp(0, 1) / 16
    image = Image(pixels.expand(3, -1, -1), ImageMetadata(bits=bits))
    assert impasto.diagnose(image).kind == ("gaussian" if bits == 16 else "clean")


@pytest.mark.parametrize("outside", ["white", "fill value", "transparent"])
def test_what_lies_outside_of_a_field_is_not_measured(outside):
    noisy = (CLEAN + 0.05 * noise())[:, :128, :128].clamp(0, 1)
    place = torch.arange(128) - 63.5
    out = place[:, None] ** 2 + place**2 > 50**2
    if outside == "transparent":
        garbage = torch.rand(noisy.shape, generator=GENERATOR).round()
        metadata = ImageMetadata(alpha=(~out).float())
        picture = Image(noisy.where(~out, garbage), metadata)
    elif outside == "white":
        picture = Image(noisy.where(~out, 1.0))
    else:
        picture = noisy.where(~out, -9999.0)
    diagnosis = impasto.diagnose(picture)
    assert diagnosis.kind == "gaussian"
    assert diagnosis.sigma[0] == pytest.approx(0.05, rel=0.1)


def test_a_color_whose_noise_is_clipped_is_no_frame():
    """One channel lies far beyond its end, and is all black there; the others have specks."""
    color = torch.tensor([-0.5, -0.13, -0.13])[:, None, None]
    clean = torch.cat([CLEAN[:, :128, :96].expand(3, -1, -1), color.expand(-1, 128, 32)], 2)
    generator = torch.Generator().manual_seed(6)
    noisy = (clean + 0.05 * torch.randn(clean.shape, generator=generator)).clamp(0, 1)
    assert not constant_areas(noisy[None]).any()
    framed = noisy.clone()
    framed[:, :, 96:] = 0.0
    assert constant_areas(framed[None])[..., 96:].all()


def test_channels_of_unlike_noise_have_their_own():
    sigmas = (0.02, 0.05, 0.15)
    generator = torch.Generator().manual_seed(3)
    white = torch.randn(3, 96, 96, generator=generator)
    picture = CLEAN[:, :96, :96] + torch.tensor(sigmas)[:, None, None] * white
    assert impasto.diagnose(picture).sigma == pytest.approx(sigmas, rel=0.15)
    alike = impasto.diagnose(CLEAN[:, :96, :96] + 0.05 * white)
    assert len(set(alike.sigma)) == 1


def grain(seed, size=192):
    """Fine texture, stronger in the light, that leaves no direction of patch space free."""
    generator = torch.Generator().manual_seed(seed)
    white = torch.randn(1, 1, size, size, generator=generator)
    side = torch.tensor([0.3, 0.8, 0.3])
    kernel = (side[:, None] * side).view(1, 1, 3, 3)
    return CLEAN * torch.nn.functional.conv2d(white, kernel, padding=1)[0]


@pytest.mark.parametrize("gains", [(1, 1, 1, 1), (1, 0.5), (0.7, 1, 0.4)])
def test_white_noise_that_texture_hides_is_told_where_channels_share_the_texture(gains):
    sigmas = torch.tensor((0.005, 0.01, 0.05, 0.15)[: len(gains)])
    clean = torch.tensor(gains)[:, None, None] * (CLEAN + 0.1 * grain(7))
    generator = torch.Generator().manual_seed(8)
    noisy = clean + sigmas[:, None, None] * torch.randn(clean.shape, generator=generator)
    diagnosis = impasto.diagnose(noisy)
    assert diagnosis.kind == "gaussian"
    assert diagnosis.sigma == pytest.approx(sigmas.tolist(), rel=0.1)


def test_white_noise_that_texture_hides_in_one_channel_is_not_called_correlated():
    other = CLEAN.flip(1, 2).transpose(1, 2)
    generator = torch.Generator().manual_seed(9)
    noises = torch.tensor([0.02, 0.15])[:, None, None] * torch.randn(
        2, 192, 192, generator=generator
    )
    noisy = torch.cat([CLEAN + 0.08 * grain(7), other]) + noises
    diagnosis = impasto.diagnose(noisy)
    assert diagnosis.correlation == 0
    assert diagnosis.sigma[1] == pytest.approx(0.15, rel=0.1)


def test_noise_that_neighbors_share_is_called_so_in_channels_of_one_scene():
    generator = torch.Generator().manual_seed(10)
    noise = torch.randn(2, 1, 192, 192, generator=generator)
    kernel = torch.tensor([[0.25, 0.5, 0.25]]).view(1, 1, 1, 3)
    shared = torch.nn.functional.conv2d(noise, kernel, padding=(0, 1))[:, 0]
    picture = CLEAN + torch.tensor([0.03, 0.1])[:, None, None] * shared
    assert impasto.diagnose(picture).kind == "correlated"


def test_a_channel_without_light_does_not_hide_the_others_noise():
    picture = torch.zeros(3, 96, 96)
    picture[1] = (CLEAN + 0.05 * noise())[0, :96, :96]
    diagnosis = impasto.diagnose(Image(picture.clamp(0, 1)))
    assert diagnosis.sigma == pytest.approx((0, 0.05, 0), rel=0.1)


@pytest.mark.parametrize("share", [0.0, 0.6])
def test_white_noise_shared_by_channels_has_its_correlation(share):
    generator = torch.Generator().manual_seed(4)
    common, own = (torch.randn(n, 128, 128, generator=generator) for n in (1, 3))
    picture = CLEAN[:, :128, :128] + 0.1 * (share**0.5 * common + (1 - share) ** 0.5 * own)
    correlation = estimate_noise(picture, torch.eye(3)).channel_correlation
    assert correlation[0, 1].item() == pytest.approx(share, abs=0.12)
    assert correlation[0, 0] == 1


def test_noise_of_a_negative_falls_with_brightness():
    counts = torch.poisson(40 * CLEAN, generator=torch.Generator().manual_seed(2)) / 40
    estimate = estimate_noise(1 - counts / 2, BASIS)
    assert estimate.gain == pytest.approx(-1 / 80, rel=0.1)
    assert "stronger in the dark" in impasto.diagnose(1 - counts / 2).words


@pytest.mark.parametrize("photons", [0.3, 1.5])
def test_few_photons_are_counted(photons):
    counts = torch.poisson(photons * CLEAN, generator=torch.Generator().manual_seed(5))
    diagnosis = impasto.diagnose(counts)
    assert diagnosis.kind == "poisson-gaussian"
    assert diagnosis.gain == pytest.approx(1, rel=0.01)
    with pytest.raises(ValueError, match="convert it to float32"):
        impasto.denoise(counts[0].numpy().astype("u2"))
