"""The sizes of sizes and the sharing of steps: arithmetic with laws."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from impasto.style.schedule import scale_sizes, split_steps

SIDE = st.integers(16, 20_000)


@given(SIDE, SIDE)
def test_each_scale_is_twice_the_last_and_the_last_is_the_size_asked_for(width, height):
    sizes = scale_sizes((width, height))
    assert sizes[-1] == (width, height)
    for (w, h), (double_w, double_h) in pairwise(sizes):
        assert abs(2 * w - double_w) <= 2
        assert abs(2 * h - double_h) <= 2


@given(SIDE, SIDE)
def test_it_starts_near_128_pixels_unless_the_picture_is_too_narrow(width, height):
    coarsest = scale_sizes((width, height))[0]
    assert max(coarsest) < 182 or min(coarsest) < 97 or len(scale_sizes((width, height))) == 1
    assert min(coarsest) >= min(48, width, height)


@given(SIDE, SIDE, st.integers(1, 16))
def test_a_number_of_scales_is_never_exceeded(width, height, scales):
    assert len(scale_sizes((width, height), scales)) <= scales


@given(st.integers(1, 100_000), st.integers(1, 16))
def test_shares_add_up_and_fall(steps, scales):
    parts = split_steps(steps, scales)
    assert sum(parts) == steps
    assert min(parts) >= 0
    if steps >= 20 * scales:
        assert parts == sorted(parts, reverse=True)
    if steps >= scales:
        assert parts[-1] >= 1
