"""Stripes: an offset of its own in each row or column."""

import pytest
import torch

import impasto
from impasto.denoising.stripes import find_stripes
from impasto.metrics import psnr

SIDE = 128


def scene():
    """Shades with a disk, and below a horizon all along."""
    y, x = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    picture = 0.3 + 0.2 * x / SIDE + 0.25 * ((x - 40) ** 2 + (y - 50) ** 2 < 600)
    picture[90:] -= 0.15
    return picture[None]


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.manual_seed(seed))


@pytest.mark.parametrize("direction", ["row", "column"])
def test_stripes_are_told_and_removed(direction):
    clean = scene() if direction == "row" else scene().transpose(1, 2)
    offsets = 0.05 * normal(1, SIDE, 1, seed=1)
    offsets = offsets if direction == "row" else offsets.transpose(1, 2)
    plain = clean + 0.03 * normal(1, SIDE, SIDE)
    result = impasto.denoise(plain + offsets, effort="quick")
    found = result.diagnosis.stripes
    assert found.direction == direction
    assert found.sigma[0] == pytest.approx(0.05, rel=0.15)
    assert f"stripes, an offset of each {direction}, sigma 0.0" in result.diagnosis.words
    assert result.diagnosis.sigma[0] == pytest.approx(0.03, rel=0.1)
    # Slow offsets cannot be told from shades.
    assert psnr(result.pixels, clean) > psnr(plain + offsets, clean) + 8


@pytest.mark.parametrize("sigma", [0, 0.03, 0.1])
@pytest.mark.parametrize("turned", [False, True])
def test_noise_and_horizontal_edges_are_no_stripes(sigma, turned):
    picture = scene()
    picture[:, 20:60:8] += 0.2  # slats
    picture = picture.transpose(1, 2) if turned else picture
    assert find_stripes(picture + sigma * normal(1, SIDE, SIDE)) is None
