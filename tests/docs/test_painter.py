"""The demo's painter: repeatable, colorful, made of strokes, the same painting at every size."""

from functools import cache

import numpy as np
import pytest
import torch
from demo_painting import paint
from scipy.ndimage import gaussian_filter
from torch import Tensor

import impasto
from impasto.demo import painting

pytestmark = pytest.mark.slow  # the library never runs the painter, it ships one painting

painted = cache(paint)
SIZE = (240, 192)
SEEDS = [0, 2, 7]  # one of each palette


def gray(picture: Tensor) -> np.ndarray:
    """Its lightness, roughly, (H, W)."""
    return picture.numpy().mean(0)


def coherence(image: np.ndarray, sigma: float = 3.0) -> float:
    """Mean of (l1 - l2) / (l1 + l2) of the structure tensor: 0 without direction, 1 for stripes.

    Weighted by l1 + l2, so that flat places have no say.
    """
    down, across = np.gradient(gaussian_filter(image, 0.7))
    xx, yy, xy = (gaussian_filter(a, sigma) for a in (across**2, down**2, across * down))
    return float(np.hypot(xx - yy, 2 * xy).sum() / (xx + yy).sum())


def colorfulness(picture: Tensor) -> float:
    """Hasler and Süsstrunk's measure, 2003, in units of [0, 1]; 0 for a grey picture."""
    r, g, b = picture.numpy()
    rg, yb = r - g, (r + g) / 2 - b
    return float(np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean()))


def test_the_bundled_painting_is_what_the_painter_paints():
    assert impasto.psnr(paint(), painting()) > 34  # 34.8 dB is what JPEG at quality 92 leaves


def test_same_seed_same_bytes_other_seed_other_picture():
    once, again = paint((64, 48), 5), painted((64, 48), 5)
    assert once.numpy().tobytes() == again.numpy().tobytes()
    assert (once - paint((64, 48), 8)).abs().mean() > 0.05  # of the same palette


def test_global_random_state_is_neither_read_nor_changed():
    torch.manual_seed(1)
    np.random.seed(1)
    expected = torch.rand(1), np.random.rand()
    torch.manual_seed(1)
    np.random.seed(1)
    paint((32, 24), 0)
    assert (torch.rand(1), np.random.rand()) == expected


@pytest.mark.parametrize("size", [(64, 48), (48, 64), (16, 16), (40, 160), (200, 24), (97, 61)])
def test_any_shape_is_covered_with_paint(size):
    picture = painted(size, 5)
    assert picture.shape == (3, size[1], size[0])
    assert picture.dtype == torch.float32
    assert picture.device.type == "cpu"
    assert picture.is_contiguous()
    assert torch.isfinite(picture).all()
    assert picture.min() >= 0
    assert picture.max() <= 1
    assert picture.std() > 0.1


@pytest.mark.parametrize("seed", SEEDS)
def test_rich_in_color_and_contrast(seed):
    picture = painted(SIZE, seed)
    dark, bright = np.quantile(gray(picture), [0.05, 0.95])
    assert bright - dark > 0.35
    # A vivid photograph has about 0.25 on this scale.
    assert colorfulness(picture) > 0.28


@pytest.mark.parametrize("seed", SEEDS)
def test_warm_stands_against_cool(seed):
    red, _, blue = painted(SIZE, seed)
    assert (red > blue + 0.15).float().mean() > 0.05
    assert (blue > red + 0.15).float().mean() > 0.2


@pytest.mark.parametrize("seed", SEEDS)
def test_strokes_have_a_direction_where_noise_has_none(seed):
    picture = gray(painted(SIZE, seed))
    noise = np.random.default_rng(seed).normal(size=picture.shape)
    assert coherence(picture) > coherence(noise) + 0.25


def test_strokes_run_both_ways_and_between():
    image = gaussian_filter(gray(painted(SIZE, 7)), 0.7)
    down, across = np.gradient(image)
    xx, yy, xy = (gaussian_filter(a, 3) for a in (across**2, down**2, across * down))
    angle = 0.5 * np.arctan2(2 * xy, xx - yy) % np.pi
    share, _ = np.histogram(angle, bins=6, range=(0, np.pi), density=False)
    assert (share / share.sum()).min() > 0.04


def test_strokes_are_there_at_several_scales():
    image = gray(painted(SIZE, 7))
    bands = [
        float((gaussian_filter(image, s) - gaussian_filter(image, 2 * s)).std())
        for s in (0.7, 1.4, 2.8, 5.6)
    ]
    assert min(bands) > 0.012


@pytest.mark.parametrize("seed", [2, 7])
def test_a_smaller_painting_is_the_same_one(seed):
    large, small = painted(SIZE, seed), painted((120, 96), seed)
    shrunk = torch.nn.functional.avg_pool2d(large, 2)
    broad = [torch.nn.functional.avg_pool2d(picture, 4) for picture in (shrunk, small)]
    assert (broad[0] - broad[1]).abs().mean() < 0.01
    other = torch.nn.functional.avg_pool2d(painted((120, 96), 9 - seed), 4)
    assert (broad[0] - other).abs().mean() > 0.06


@pytest.mark.parametrize(
    ("size", "seed", "kind", "text"),
    [
        ((8, 64), 7, ValueError, "`size[0]` must be from 16 to 4096, got 8"),
        ((64, 5000), 7, ValueError, "`size[1]` must be from 16 to 4096, got 5000"),
        ((64.0, 64), 7, TypeError, "`size[0]` must be a whole number, got 64.0"),
        (64, 7, TypeError, "`size` must be (width, height), got 64"),
        ((64, 64), -1, ValueError, "`seed` must be from 0 to 4294967295, got -1"),
        ((64, 64), True, TypeError, "`seed` must be a whole number, got True"),
    ],
)
def test_wrong_arguments_are_named(size, seed, kind, text):
    with pytest.raises(kind) as error:
        paint(size, seed)
    assert str(error.value).startswith(text)
