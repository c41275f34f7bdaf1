"""The sums everything in the style room is made of."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from impasto.style.statistics import backward_moments, moments


def features(n=4, height=5, width=7, seed=0, dtype=torch.float64):
    return torch.randn(n, height, width, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def test_they_are_the_sums_they_say():
    f, w = features(), torch.rand(5, 7, dtype=torch.float64)
    m = moments(f, w)
    torch.testing.assert_close(m.weight, w.sum())
    torch.testing.assert_close(m.first, torch.einsum("hw,nhw->n", w, f))
    torch.testing.assert_close(m.second, torch.einsum("hw,nhw,mhw->nm", w, f, f))


@given(st.integers(1, 4), st.integers(1, 6))
def test_they_add_over_tiles(row, column):
    f, w = features(), torch.rand(5, 7, dtype=torch.float64)
    tiles = [
        (slice(0, row), slice(0, column)), (slice(0, row), slice(column, 7)),
        (slice(row, 5), slice(0, column)), (slice(row, 5), slice(column, 7)),
    ]  # fmt: skip
    whole = moments(f, w)
    parts = [moments(f[:, y, x], w[y, x]) for y, x in tiles]
    total = parts[0].plus(parts[1]).plus(parts[2]).plus(parts[3])
    for a, b in zip(total, whole, strict=True):
        torch.testing.assert_close(a, b)


def test_a_mask_of_ones_is_no_mask():
    for a, b in zip(moments(features(), torch.ones(5, 7)), moments(features()), strict=True):
        torch.testing.assert_close(a, b, check_dtype=False)


def test_what_the_mask_hides_does_not_count():
    f = features()
    mask = torch.zeros(5, 7, dtype=torch.float64)
    mask[:, :3] = 1
    spoiled = f.clone()
    spoiled[:, :, 3:] = 1e6
    for a, b in zip(moments(spoiled, mask), moments(f[:, :, :3]), strict=True):
        torch.testing.assert_close(a, b)


def test_normalized_moments_forget_the_size():
    f = features()
    twice = torch.cat([f, f], dim=2)
    for a, b in zip(moments(twice).normalized(), moments(f).normalized(), strict=True):
        torch.testing.assert_close(a, b)


def test_autograds_gradient_agrees_with_finite_differences():
    f = features(3, 3, 4).requires_grad_()
    mask = torch.rand(3, 4, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda f: moments(f, mask)[1:], f)
    assert torch.autograd.gradcheck(lambda f: moments(f)[1:], f)


@pytest.mark.parametrize("mask", [None, torch.rand(5, 7, dtype=torch.float64)])
def test_the_closed_form_carries_a_gradient_on_as_autograd_does(mask):
    f = features().requires_grad_()
    slopes = torch.randn(4, dtype=torch.float64), torch.randn(4, 4, dtype=torch.float64)
    found = moments(f, mask)
    (expected,) = torch.autograd.grad(found[1:], f, slopes)
    for layout in (torch.contiguous_format, torch.channels_last):
        before = features(seed=9)[None].contiguous(memory_format=layout)[0]
        gradient = before.clone()
        backward_moments(f.detach(), mask, slopes, gradient)
        torch.testing.assert_close(gradient - before, expected)


def test_bfloat16_features_are_summed_in_float32():
    ones = torch.ones(2, 100, 100, dtype=torch.bfloat16)
    assert moments(ones).second[0, 1].item() == 10_000  # bfloat16 sums would stick at 256


def test_a_long_sum_is_as_exact_as_a_short_one():
    many = torch.full((1, 5000, 5000), 0.1)
    exact = torch.tensor(0.1).double().square().item() * 25e6
    assert moments(many).second.item() == pytest.approx(exact, rel=5e-5)
