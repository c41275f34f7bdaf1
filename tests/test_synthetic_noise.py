"""Noise of a known kind: its mean, its spread, its seed."""

import pytest
import torch

from impasto.synthetic_noise import add_noise

GRAY = torch.full((3, 128, 128), 0.5)


def test_gaussian_noise_has_the_spread_asked_for_and_is_clamped():
    noisy = add_noise(GRAY, gaussian=25 / 255)
    assert noisy.mean().item() == pytest.approx(0.5, abs=2e-3)
    assert noisy.std().item() == pytest.approx(25 / 255, rel=0.02)
    assert add_noise(torch.zeros(1, 9, 9), gaussian=0.5).min() == 0


def test_poisson_noise_grows_with_the_light_and_is_not_clamped():
    light = torch.stack([torch.full((128, 128), level) for level in (0.1, 0.4, 1.0)])
    noisy = add_noise(light, poisson=50)
    expected = light[:, 0, 0] / 50
    assert torch.allclose(noisy.var((1, 2)), expected, rtol=0.05)
    assert noisy.max() > 1
    assert torch.allclose((noisy * 50).round(), noisy * 50)


def test_a_seed_decides():
    first, again = (add_noise(GRAY, gaussian=0.1, seed=3) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, add_noise(GRAY, gaussian=0.1, seed=4))


@pytest.mark.parametrize(
    ("kinds", "words"),
    [
        ({}, "`gaussian` or `poisson` must be given"),
        ({"gaussian": 0.1, "poisson": 30}, "one of them"),
        ({"gaussian": 0}, "`gaussian` must be a number above 0, got 0"),
        ({"poisson": float("nan")}, "`poisson` must be a number above 0, got nan"),
    ],
)
def test_what_makes_no_sense_is_refused(kinds, words):
    with pytest.raises(ValueError, match=words):
        add_noise(GRAY, **kinds)
