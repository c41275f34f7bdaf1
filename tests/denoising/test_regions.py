"""Noise of different strength side by side."""

import pytest
import torch

import impasto
from impasto.denoising.regions import find_regions
from impasto.images.image import Image
from impasto.metrics import psnr
from impasto.synthetic_noise import add_noise

SIDE = 128
RIGHT = ..., slice(SIDE // 2, None)
# Where the border, which is known to a few pixels, does not count.
INNER = (..., slice(0, SIDE // 2 - 12)), (..., slice(SIDE // 2 + 12, None))


def scene(channels=1):
    """Smooth shades, edges, and a patch of stripes."""
    y, x = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    picture = 0.3 + 0.2 * y / SIDE + 0.25 * ((x - 40) ** 2 + (y - 50) ** 2 < 600)
    picture[90:115, 20:110] += 0.1 * torch.sin(x[90:115, 20:110] * 0.9)
    return torch.stack([picture * (1 - 0.1 * c) for c in range(channels)])


def noise_like(picture, *sigmas):
    """White noise whose deviation is a row of equal columns' own."""
    columns = torch.arange(picture.shape[-1]) * len(sigmas) // picture.shape[-1]
    deviations = torch.tensor(sigmas)[columns] / 255
    return deviations * torch.randn(picture.shape, generator=torch.manual_seed(0))


@pytest.mark.parametrize(("sigmas", "channels"), [((5, 35), 1), ((24, 8), 3)])
def test_each_side_is_as_good_as_alone(sigmas, channels):
    clean = scene(channels)
    noisy = clean + noise_like(clean, *sigmas)
    result = impasto.denoise(noisy, effort="quick")
    measured = sorted(region[0] * 255 for region in result.diagnosis.region_sigmas)
    assert measured == pytest.approx(sorted(sigmas), rel=0.15)
    assert "of different strength from region to region" in result.diagnosis.words
    for side, sigma in zip(INNER, sigmas, strict=True):
        alone = impasto.denoise(clean + noise_like(clean, sigma), effort="quick", sigma=sigma / 255)
        found, wanted = (psnr(r.pixels[side], clean[side]) for r in (result, alone))
        assert found > wanted - 0.8


def texture():
    """White-looking texture on the right of a smooth picture."""
    picture = scene()
    picture[RIGHT] += (
        0.05 * torch.rand(picture[RIGHT].shape, generator=torch.manual_seed(1)).round()
    )
    return picture.unfold(1, 2, 1).mean(-1)


@pytest.mark.parametrize(
    "picture",
    [
        scene(),
        scene() + noise_like(scene(), 10),
        (scene() - 0.2 + noise_like(scene(), 30)).clamp(0, 1),
        add_noise(scene() * torch.linspace(0.1, 1, SIDE), poisson=30),
        texture(),
    ],
    ids=["clean", "white", "clipped", "poisson", "texture"],
)
def test_brightness_clipping_and_texture_are_no_regions(picture):
    clipped = bool((picture == 0).float().mean() > 0.002), False
    assert find_regions(picture, clipped) is None


def test_a_run_that_is_ended_keeps_what_was_denoised():
    def end(step):
        raise StopIteration

    noisy = (scene() + noise_like(scene(), 5, 35)).clamp(0, 1)
    result = impasto.denoise(Image(noisy), effort="quick", on_step=end)
    assert result.stopped
    assert result.pixels.shape == noisy.shape
