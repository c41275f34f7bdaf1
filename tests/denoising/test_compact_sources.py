"""Compact sources get their flux back; noise, hot pixels and texture get nothing."""

import math

import pytest
import torch

import impasto
from impasto.denoising.compact_sources import restore_sources

SIGMA = 0.05


def noise_like(image, seed=0):
    return SIGMA * torch.randn(image.shape, generator=torch.Generator().manual_seed(seed))


def spots(size, places, peak, scale=1.2):
    """Gaussians of a height at (row, column)."""
    rows, columns = torch.arange(size)[:, None], torch.arange(size)
    image = torch.zeros(size, size)
    for row, column in places:
        distance = (rows - row).square() + (columns - column).square()
        image += peak * torch.exp(-distance / (2 * scale**2))
    return image[None]


def grid(size, step=32):
    """Places that lie apart, between the pixels."""
    along = [16.3 + step * index for index in range((size - 16) // step)]
    return [(row, column + 0.2) for row in along for column in along]


def variance_of(image):
    return torch.full_like(image, SIGMA**2)


def share(image, stars):
    """Return the flux near the stars over theirs."""
    near = stars.abs() > 1e-4 * stars.abs().max()
    return float(image[near].sum() / stars.sum())


@pytest.mark.parametrize("scale", [0.9, 1.2, 1.5])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_source_gets_what_it_lost_in_its_own_shape(scale, sign):
    stars = spots(128, grid(128), 6 * SIGMA * sign, scale)
    restored = restore_sources(stars + noise_like(stars), 0.4 * stars, variance_of(stars))
    assert share(restored, stars) == pytest.approx(1, abs=0.1)
    lost, left = (0.6 * stars).square().sum(), (restored - stars).square().sum()
    assert left < 0.35 * lost


def test_what_lost_nothing_gains_nothing():
    stars = spots(128, grid(128), 10 * SIGMA)
    restored = restore_sources(stars + noise_like(stars), stars, variance_of(stars))
    assert share(restored, stars) == pytest.approx(1, abs=0.04)


def test_white_noise_seldom_looks_like_a_source():
    flat = torch.zeros(1, 96, 96)
    restored = [
        restore_sources(noise_like(flat, seed), flat, variance_of(flat)).any() for seed in range(30)
    ]
    assert sum(map(int, restored)) <= 0.5 * len(restored)


def test_hot_pixels_are_no_sources():
    flat = torch.zeros(1, 128, 128)
    noisy = noise_like(flat, 1)
    for index, (row, column) in enumerate(grid(128)):
        noisy[0, round(row), round(column)] = (10 + 5 * index) * SIGMA
    assert not restore_sources(noisy, flat, variance_of(flat)).any()


def test_what_does_not_stand_alone_is_left_to_the_filter():
    rows = torch.arange(128.0)
    texture = 4 * SIGMA * (torch.sin(rows[:, None]) * torch.sin(rows))[None]
    noisy = texture + noise_like(texture)
    assert torch.equal(restore_sources(noisy, texture, variance_of(texture)), texture)


def test_few_photons_are_no_sources():
    """Counts lie further out than a Gaussian's values: alone, they are taken for sources."""
    photons = torch.full((1, 192, 192), 0.3)
    counts = torch.poisson(photons, generator=torch.Generator().manual_seed(0))
    assert restore_sources(counts, photons, photons).ne(photons).any()
    restored = restore_sources(counts, photons, photons, torch.ones(1))
    assert torch.equal(restored, photons)


def test_a_source_that_one_channel_shows_is_restored_in_others():
    bright, faint = (spots(128, grid(128), peak * SIGMA) for peak in (8, 1.5))
    stars = torch.cat([bright, faint])
    noisy = torch.cat([bright + noise_like(bright), faint + noise_like(faint, 1)])
    together = restore_sources(noisy, 0.5 * stars, variance_of(stars))[1]
    alone = restore_sources(noisy[1:], 0.5 * faint, variance_of(faint))[0]
    assert share(alone, faint[0]) < 0.75 < share(together, faint[0])


def test_a_source_near_the_border_is_restored():
    star = spots(64, [(5.0, 57.5)], 10 * SIGMA)
    restored = restore_sources(star + noise_like(star), 0.5 * star, variance_of(star))
    assert share(restored, star) > 0.85


@pytest.mark.parametrize("size", [(1, 1), (3, 90), (11, 11), (12, 12), (12, 40)])
def test_any_size_is_served(size):
    noisy = noise_like(torch.zeros(2, *size))
    assert restore_sources(noisy, 0 * noisy, variance_of(noisy)).shape == (2, *size)


def test_parts_decide_about_memory_only(monkeypatch):
    stars = spots(128, grid(128), 6 * SIGMA)
    arguments = stars + noise_like(stars), 0.4 * stars, variance_of(stars)
    whole = restore_sources(*arguments)
    monkeypatch.setattr("impasto.denoising.compact_sources._CHUNK", 2)
    assert torch.allclose(restore_sources(*arguments), whole, atol=1e-6)


def field(peak):
    """Stars of a peak in standard deviations, on a sky with a slight shade."""
    stars = spots(160, grid(160), peak * SIGMA / 5)
    sky = torch.linspace(0.1, 0.12, 160).expand_as(stars)
    return stars, sky, sky + stars + noise_like(stars) / 5


def test_denoise_keeps_the_flux_of_stars():
    stars, sky, noisy = field(4)
    result = impasto.denoise(noisy, method="nl-wiener", sigma=SIGMA / 5)
    assert share(result.pixels - sky, stars) == pytest.approx(1, abs=0.12)
    error = (result.pixels - sky - stars).square().mean()
    assert 10 * math.log10((SIGMA / 5) ** 2 / float(error)) > 14


def test_strength_and_residual_know_of_the_stars():
    stars, _, noisy = field(4)
    result = impasto.denoise(noisy, method="nl-wiener", sigma=SIGMA / 5, effort="quick")
    half = result.at(strength=0.5).pixels
    assert torch.allclose(half, (noisy + result.pixels) / 2, atol=1e-6)
    assert abs(share(noisy - result.pixels, stars)) < 0.1


def test_tensors_are_made_on_the_images_device():
    stars = spots(96, grid(96), 6 * SIGMA)
    arguments = stars + noise_like(stars), 0.4 * stars, variance_of(stars), torch.zeros(1)
    expected = restore_sources(*arguments)
    with torch.device("meta"):
        assert torch.equal(restore_sources(*arguments), expected)


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_change_no_byte(threads):
    stars = spots(128, grid(128), 6 * SIGMA)
    arguments = stars + noise_like(stars), 0.4 * stars, variance_of(stars)
    expected, before = restore_sources(*arguments), torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert torch.equal(restore_sources(*arguments), expected)
    finally:
        torch.set_num_threads(before)
