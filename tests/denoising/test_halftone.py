"""Halftones: dots of a printing screen and of dithering carry the picture, and are no noise."""

import math
from itertools import pairwise

import pytest
import torch

import impasto
from impasto.denoising.halftone import find_halftone, find_screen, is_dithered
from impasto.images.image import Image

SIDE = 192
y, x = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
SHADES = 0.15 + 0.6 * x / SIDE + 0.15 * torch.sin(y / 25) * (1 - x / SIDE)
BAYER = torch.tensor([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]])


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.manual_seed(seed))


def printed(shades, period, angle):
    """Clustered dots that grow with the shade, as a scanner of thrice as many pixels sees them."""
    fine = torch.arange(3 * SIDE) / 3
    cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    u = (fine * cosine + fine[:, None] * sine) / period
    v = (fine[:, None] * cosine - fine * sine) / period
    threshold = torch.cos(2 * torch.pi * u) + torch.cos(2 * torch.pi * v)
    threshold = threshold.flatten().argsort().argsort().view_as(threshold) / threshold.numel()
    dots = (threshold < shades.repeat_interleave(3, 0).repeat_interleave(3, 1)).float()
    return torch.nn.functional.avg_pool2d(dots[None], 3)


def scanned(dots, sigma):
    """Blurred a little, with noise, in 8 bits."""
    kernel = torch.tensor([0.2, 0.6, 0.2])
    kernel = (kernel[:, None] * kernel).view(1, 1, 3, 3)
    blurred = torch.nn.functional.conv2d(dots[:, None], kernel, padding=1)[:, 0]
    noisy = 0.05 + 0.9 * blurred + sigma * normal(*dots.shape)
    return (255 * noisy).round().clamp(0, 255) / 255


def dithered(shades, levels):
    threshold = (BAYER.repeat(SIDE // 4, SIDE // 4) + 0.5) / 16
    return ((shades * (levels - 1) + threshold).floor() / (levels - 1)).clamp(0, 1)[None]


def diffused(shades):
    """Floyd's and Steinberg's error diffusion to black and white."""
    rows = torch.nn.functional.pad(shades.double(), (1, 1, 0, 1)).tolist()
    for row, below in pairwise(rows):
        for at in range(1, len(row) - 1):
            value = round(row[at])
            error, row[at] = row[at] - value, value
            row[at + 1] += error * 7 / 16
            for step, share in ((-1, 3), (0, 5), (1, 1)):
                below[at + step] += error * share / 16
    return torch.tensor(rows)[:-1, 1:-1].clamp(0, 1).float()[None]


@pytest.mark.parametrize(("period", "angle"), [(4, 45), (5, 75), (7, 0), (10, 15)])
@pytest.mark.parametrize("sigma", [0, 4 / 255])
def test_a_printed_screen_is_named_and_left_as_it_is(period, angle, sigma):
    picture = scanned(printed(SHADES, period, angle), sigma)
    result = impasto.denoise(Image(picture))
    diagnosis = result.diagnosis
    assert (diagnosis.kind, diagnosis.method) == ("halftone", None)
    assert diagnosis.screen.period == pytest.approx(period, rel=0.03)
    assert diagnosis.screen.angles == pytest.approx([angle], abs=2)
    assert f"a printing screen of period {diagnosis.screen.period:.1f} pixels" in diagnosis.words
    assert "nothing is to be done; to be rid of the dots" in diagnosis.words
    assert torch.equal(result.pixels, picture)


def test_four_inks_have_four_screens():
    inks = [
        printed(shades, 6, angle)
        for shades, angle in (
            (SHADES, 15),
            (1 - SHADES, 75),
            (SHADES.flip(0), 0),
            (0.6 * SHADES.T + 0.4, 45),
        )
    ]
    cyan, magenta, yellow, black = inks
    picture = scanned(torch.cat([cyan, magenta, yellow]) * (0.1 + 0.9 * black), 3 / 255)
    diagnosis = impasto.diagnose(Image(picture))
    assert diagnosis.kind == "halftone"
    assert diagnosis.screen.period == pytest.approx(6, rel=0.03)
    assert {15.0, 75.0, 0.0} <= {float(angle) for angle in diagnosis.screen.angles}


@pytest.mark.parametrize(
    "picture",
    [dithered(SHADES, 2), dithered(SHADES, 4), diffused(SHADES),
     torch.cat([dithered(s, 6) for s in (SHADES, SHADES.flip(0), SHADES.T)])],
    ids=["ordered", "ordered, 4 grays", "error diffusion", "ordered, colors"],
)  # fmt: skip
def test_dithering_is_named_and_left_as_it_is(picture):
    result = impasto.denoise(Image(picture))
    assert result.diagnosis.kind == "halftone"
    assert result.diagnosis.screen is None
    assert "of dithering" in result.diagnosis.words
    assert torch.equal(result.pixels, picture)


@pytest.mark.parametrize("levels", [2, 4, 16])
def test_noise_in_few_grays_is_no_dithering(levels):
    noisy = (SHADES + 0.15 * normal(SIDE, SIDE)).clamp(0, 1)[None]
    assert not is_dithered((noisy * (levels - 1)).round() / (levels - 1))
    counts = torch.poisson(2 * SHADES, generator=torch.manual_seed(0))[None]
    assert not is_dithered(counts / counts.max())


PATTERNS = {
    "checkers": (x // 4 + y // 4) % 2 * (0.3 + 0.3 * torch.sin(x / 30) ** 2) + 0.1,
    "bars": (x % 6 < 3) * (0.3 + 0.3 * y / SIDE) + 0.1,
    "grid": ((x % 5 < 2) | (y % 5 < 2)) * (0.3 + 0.3 * torch.sin(x / 30) ** 2) + 0.1,
    "threads": 0.5 + 0.2 * torch.sin(torch.pi / 3 * (x + y)) + 0.1 * torch.sin(y / 30),
    "plaid": 0.5 + 0.15 * (torch.sin(torch.pi / 6 * x) + torch.sin(torch.pi / 6 * y)) + 0.001 * x,
    "bricks": 0.4 + 0.3 * ((y % 24 < 3) | ((x + 24 * (y // 24 % 2)) % 48 < 3)) + 0.001 * x,
}


@pytest.mark.parametrize("name", PATTERNS)
def test_a_pattern_is_neither_noise_nor_a_halftone(name):
    picture = (255 * PATTERNS[name]).round()[None] / 255
    assert impasto.diagnose(Image(picture)).kind == "clean"
    diagnosis = impasto.diagnose(Image((picture + 0.05 * normal(1, SIDE, SIDE)).clamp(0, 1)))
    assert diagnosis.kind in ("gaussian", "poisson-gaussian")
    assert diagnosis.sigma[0] == pytest.approx(0.05, rel=0.15)


def test_noise_and_smooth_shades_are_no_halftone():
    for picture in (SHADES, SHADES + 0.02 * normal(SIDE, SIDE), 0.5 + 0.3 * normal(SIDE, SIDE)):
        assert find_halftone(picture.clamp(0, 1)[None]) is None
    assert find_screen(torch.zeros(1, SIDE, SIDE)) is None
    assert find_halftone(torch.rand(3, 5, 7)) is None


def test_a_halftone_is_smoothed_if_that_is_asked():
    picture = scanned(printed(SHADES, 4, 45), 0)
    result = impasto.denoise(Image(picture), method="nl-wiener", effort="quick")
    assert result.diagnosis.kind == "halftone"
    assert "applied as asked" in result.diagnosis.words
    assert not torch.equal(result.pixels, picture)
