"""Specks and stuck lines are replaced; stars, dots and lines of drawings stay."""

import math

import numpy as np
import pytest
import torch

import impasto
from impasto.denoising.specks import fill_specks, find_specks
from impasto.denoising.stripes import find_stuck_lines
from impasto.images.image import Image, ImageMetadata
from impasto.metrics import psnr

SIDE = 128
y, x = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")


def random(*shape, seed=1):
    return torch.rand(shape, generator=torch.manual_seed(seed))


def scene(channels=3, sigma=0.0):
    """Shades with a disk and an edge, in [0.15, 0.85], with Gaussian noise."""
    disk = 0.25 * ((x - 40) ** 2 + (y - 50) ** 2 < 600)
    planes = [0.2 + 0.2 * x / SIDE + disk + 0.1 * (y > 90) * (c + 1) / 3 for c in range(channels)]
    noise = sigma * torch.randn(channels, SIDE, SIDE, generator=torch.manual_seed(0))
    return (255 * (torch.stack(planes) + noise)).round().clamp(0, 255) / 255


def salted(picture, share, channels=slice(None)):
    """Salt and pepper at the same places of some channels, and where they are."""
    chance = random(SIDE, SIDE)
    mask = torch.zeros_like(picture, dtype=torch.bool)
    mask[channels] = chance < share
    return picture.clone().masked_fill_(mask, 0).masked_fill_(mask & (chance < share / 2), 1), mask


@pytest.mark.parametrize("share", [0.003, 0.01, 0.1, 0.3])
@pytest.mark.parametrize("sigma", [0, 10 / 255])
def test_salt_and_pepper_are_replaced_before_noise_is_measured(share, sigma):
    clean = scene()
    noisy = scene(sigma=sigma)
    given, mask = salted(noisy, share)
    result = impasto.denoise(Image(given), effort="quick")
    assert (result.defects & mask).sum() > 0.98 * mask.sum()
    assert (result.defects & ~mask).sum() < 0.002 * mask.numel()
    assert result.diagnosis.specks == pytest.approx(share, rel=0.15)
    assert "and specks, " in result.diagnosis.words
    assert result.treatments[0].specks == result.diagnosis.specks
    if sigma:
        assert result.diagnosis.kind == "gaussian"
        assert result.diagnosis.sigma[0] == pytest.approx(sigma, rel=0.2)
        assert psnr(result.pixels, clean) > psnr(noisy, clean) + (3 if share > 0.1 else 6)
    else:
        assert (result.diagnosis.kind, result.method) == ("impulse", "repair")
        assert torch.equal(result.pixels[~result.defects], given[~result.defects])


@pytest.mark.parametrize("channels", [[0], [2], [0, 2]])
def test_specks_of_some_channels_are_found_there_alone(channels):
    given, mask = salted(scene(sigma=0.03), 0.01, channels)
    found = find_specks(given, 1.5 / 255)
    assert (found & mask).sum() > 0.98 * mask.sum()
    assert not found[[c for c in range(3) if c not in channels]].any()


def star_field(widths, peak=30.0):
    """Stars on a sky of counts, and Poisson noise."""
    field = torch.full((SIDE, SIDE), 200.0)
    for number, width in enumerate(widths):
        row, column = (
            12 + 20 * (number // 6) + 0.13 * number,
            12 + 20 * (number % 6) + 0.29 * number,
        )
        distance = (y - row) ** 2 + (x - column) ** 2
        field += peak * math.sqrt(200) * torch.exp(-distance * 4 * math.log(2) / width**2)
    return torch.poisson(field, generator=torch.manual_seed(0)).numpy().astype("u2")


@pytest.mark.parametrize("peak", [10, 30, 300])
def test_stars_stay_and_hot_pixels_go(peak):
    field = star_field(np.linspace(1.5, 3, 36), peak)
    assert impasto.diagnose(field).specks == 0
    given = field.copy()
    hot = np.random.default_rng(0).random(field.shape) < 0.002
    given[hot] += np.random.default_rng(1).integers(400, 20000, int(hot.sum())).astype("u2")
    result = impasto.denoise(given, effort="quick")
    found = result.defects[0].numpy()
    assert (found & hot).sum() > 0.9 * hot.sum()
    assert not (found & ~hot).any()
    assert "poisson" in result.diagnosis.kind or "gaussian" in result.diagnosis.kind
    plain = impasto.denoise(field, effort="quick").array().astype(float)
    assert np.abs(result.array().astype(float) - plain)[~hot].mean() < 2


@pytest.mark.parametrize("factor", [1e-6, 1.0, 1e7])
def test_any_range_of_floats_gives_the_same_specks(factor):
    plane = 0.05 * torch.randn(1, 64, 64, generator=torch.manual_seed(0))
    specks = [(3, 4), (20, 30), (20, 31), (50, 10), (0, 0)]
    for row, column in specks:
        plane[0, row, column] = 0.9 if column % 2 else -1.2
    array = (factor * (plane + 5)).double().numpy().astype("f4")
    result = impasto.denoise(array, effort="quick")
    assert result.defects.squeeze().nonzero().tolist() == sorted(map(list, specks))


DRAWINGS = {
    "one white pixel": (x == 30) & (y == 41),
    "checkers": (x + y) % 2 == 0,
    "dots": (x % 16 == 3) & (y % 16 == 5),
    "random dots": random(SIDE, SIDE) < 0.004,
    "lines": (x % 7 == 0) | (y == 40),
    "one line": x == 60,
}


@pytest.mark.parametrize("name", DRAWINGS)
@pytest.mark.parametrize("ends", [(0, 1), (1, 0), (0.2, 0.9)])
def test_drawings_come_back_bit_for_bit(name, ends):
    picture = torch.where(DRAWINGS[name], float(ends[1]), float(ends[0]))[None].repeat(3, 1, 1)
    result = impasto.denoise(Image(picture))
    assert torch.equal(result.pixels, picture)
    assert result.defects is None
    assert impasto.diagnose(Image(picture)).specks == 0


def test_dots_on_a_shade_are_a_drawing_unless_all_specks_are_asked_for():
    picture = (0.2 + 0.5 * (x + y) / (2 * SIDE))[None]
    dots = random(SIDE, SIDE) < 0.002
    picture[0, dots] = 1
    assert torch.equal(impasto.denoise(Image(picture)).pixels, picture)
    result = impasto.denoise(Image(picture), specks="on")
    assert torch.equal(result.defects[0], dots)
    assert torch.equal(result.pixels[~result.defects], picture[~result.defects])


def test_specks_are_replaced_whole_at_any_strength_but_zero():
    given, mask = salted(scene(sigma=0.05), 0.01)
    result = impasto.denoise(Image(given), effort="quick")
    assert torch.equal(result.at(0).pixels, given)
    half = result.at(0.5).pixels
    assert torch.equal(half[result.defects], result.clean[result.defects])
    kept = (given + result.clean)[~result.defects] / 2
    assert torch.allclose(half[~result.defects], kept, atol=1e-6)
    assert (half - scene())[mask & result.defects].abs().mean() < 0.03


def test_specks_stay_if_that_is_asked():
    given, _ = salted(scene(), 0.05)
    result = impasto.denoise(Image(given), specks="off")
    assert torch.equal(result.pixels, given)
    assert (result.diagnosis.kind, result.method) == ("impulse", "none")
    assert "single black and white pixels; nothing is to be done" in result.diagnosis.words


def test_hidden_pixels_are_no_specks():
    given, mask = salted(scene(sigma=0.03), 0.01)
    alpha = (x > 30).float()
    result = impasto.denoise(Image(given, ImageMetadata(alpha=alpha)), effort="quick")
    assert not result.defects[:, alpha == 0].any()
    assert (result.defects & mask)[:, alpha > 0].sum() > 0.98 * mask[:, alpha > 0].sum()


def test_a_stack_is_repaired_plane_by_plane(tmp_path):
    planes = [salted(scene(1, 0.03), share)[0][0].numpy() for share in (0.0, 0.01, 0.02)]
    stack = (60000 * np.stack(planes)).astype("u2")
    options = {"axes": "TYX", "effort": "quick", "strength": 0.5}
    result = impasto.denoise(stack, **options)
    assert not result.defects[0].any()
    assert "and specks, 1.1 to 2.2 % of the pixels" in result.diagnosis.words
    path = impasto.denoise_stack(stack, tmp_path / "clean.tif", **options)
    again = impasto.denoise(path, axes="TYX", strength=0).array()
    assert np.array_equal(again, result.array())


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("direction", ["row", "column"])
def test_a_stuck_line_is_told_and_replaced(value, direction):
    clean, given = scene(1), scene(1, 0.03)
    given[0, :, 57] = value
    turned = [p.transpose(1, 2) if direction == "row" else p for p in (clean, given)]
    result = impasto.denoise(Image(turned[1].contiguous()), effort="quick")
    assert f"and {direction} 58 stuck" in result.diagnosis.words
    assert psnr(result.pixels, turned[0]) > 35
    assert result.diagnosis.specks < 1e-3
    off = impasto.denoise(Image(turned[1].contiguous()), effort="quick", stripes="off")
    assert "stuck" not in off.diagnosis.words


def test_edges_and_drawn_lines_are_not_stuck():
    assert not find_stuck_lines(scene(1, 0.03)).any()
    drawn = torch.zeros(1, SIDE, SIDE)
    drawn[..., 40] = 1
    assert not find_stuck_lines(drawn).any()


def test_edges_go_on_through_a_filled_line():
    picture = (x > y).float()[None]
    mask = (x == 60)[None].expand(1, SIDE, SIDE)
    wrong = (fill_specks(picture.masked_fill(mask, 0.5), mask) - picture).abs()
    assert wrong[0, :, 60].topk(6).values[-1] < 0.02


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (1, 400), (7, 7), (8, 2)])
def test_tiny_pictures_with_a_speck(shape):
    data = np.zeros(shape, np.float32)
    data[0, 0] = 1
    assert np.array_equal(impasto.denoise(data).array(), data)
