"""PSNR and SSIM: known values, symmetries, and what they refuse."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.metrics import psnr, ssim


def noise(seed: int, *shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("step", "decibels"), [(0.1, 20.0), (0.01, 40.0), (1.0, 0.0)])
def test_psnr_of_a_known_mean_squared_error(step, decibels):
    black = torch.zeros(3, 6, 7, dtype=torch.float64)
    assert psnr(black, black + step) == pytest.approx(decibels, abs=1e-9)


def test_psnr_counts_all_values_of_all_channels():
    a = torch.zeros(3, 2, 2, dtype=torch.float64)
    b = a.clone()
    b[0, 0, 0] = 1  # one of twelve values
    assert psnr(a, b) == pytest.approx(10 * math.log10(12))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.floats(1e-3, 0.2))
def test_psnr_falls_as_noise_grows_and_knows_no_order(seed, sigma):
    a, n = noise(seed, 3, 9, 8), noise(seed + 1, 3, 9, 8) - 0.5
    assert psnr(a, a + sigma * n) > psnr(a, a + 2 * sigma * n)
    assert psnr(a, a + sigma * n) == psnr(a + sigma * n, a)


def test_equal_pictures_are_infinitely_close_and_alike():
    a = noise(1, 3, 16, 12)
    assert psnr(a, a.clone()) == math.inf
    assert ssim(a, a.clone()) == pytest.approx(1.0)


def test_ssim_is_the_published_formula_at_one_window():
    # The middle pixel of an 11 x 11 grey picture sees exactly one window; skimage crops the rest.
    a, b = noise(2, 1, 11, 11).double().numpy()[0], noise(3, 1, 11, 11).double().numpy()[0]
    x = np.arange(-5, 6)
    window = np.exp(-(x**2) / (2 * 1.5**2))
    window = np.outer(window, window) / window.sum() ** 2
    ma, mb = (window * a).sum(), (window * b).sum()
    va, vb = (window * a * a).sum() - ma**2, (window * b * b).sum() - mb**2
    cov = (window * a * b).sum() - ma * mb
    c1, c2 = 0.01**2, 0.03**2
    want = (2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2))
    assert ssim(a[None], b[None]) == pytest.approx(want, abs=1e-9)


def test_ssim_prefers_a_brightness_shift_to_noise_of_the_same_psnr():
    ramp = torch.linspace(0.2, 0.8, 32).expand(3, 32, 32)
    shifted = ramp + 0.05
    grain = noise(4, 3, 32, 32) - 0.5
    noisy = ramp + grain * 0.05 / grain.pow(2).mean().sqrt()
    assert psnr(ramp, shifted) == pytest.approx(psnr(ramp, noisy), abs=1e-3)
    assert ssim(ramp, shifted) > ssim(ramp, noisy) + 0.1


def test_arrays_and_tensors_agree():
    a, b = noise(5, 3, 16, 16), noise(6, 3, 16, 16)
    assert psnr(a.numpy(), b.numpy()) == psnr(a, b)
    assert ssim(a.numpy(), b) == ssim(a, b)


@pytest.mark.parametrize("measure", [psnr, ssim])
def test_sizes_must_agree(measure):
    with pytest.raises(ValueError, match=r"^`b` must have the size of `a`, 20 × 12 pixels in 3"):
        measure(torch.zeros(3, 12, 20), torch.zeros(3, 20, 12))


@pytest.mark.parametrize("measure", [psnr, ssim])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_a_number_is_refused(measure, bad):
    a = torch.zeros(3, 12, 12)
    with pytest.raises(ValueError, match="`b` must hold finite numbers"):
        measure(a, a + bad)


def test_ssim_says_when_a_picture_is_smaller_than_its_window():
    a = torch.zeros(3, 10, 40)
    with pytest.raises(ValueError, match=r"at least 11 × 11 pixels .* got 40 × 10"):
        ssim(a, a)
