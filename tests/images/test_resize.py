"""Properties of sizes, of resizing, and of filling transparent pixels."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from impasto.images.image import Image, ImageMetadata
from impasto.images.resize import composite_rgb, fit_longest_side, resize, thumbnail

sides = st.integers(1, 20_000)
sizes = st.tuples(sides, sides)


@given(sizes, sides)
def test_the_longer_side_is_exact_and_the_other_nearest(size, longest):
    width, height = fit_longest_side(size, longest)
    assert max(width, height) == longest
    for side, new in zip(size, (width, height), strict=True):
        exact = side * longest / max(size)
        assert new >= 1
        assert abs(new - exact) <= 0.5 or new == 1


@given(sizes, sides)
def test_fitting_turns_with_the_picture_and_is_done_once(size, longest):
    assert fit_longest_side(size[::-1], longest) == fit_longest_side(size, longest)[::-1]
    assert fit_longest_side(fit_longest_side(size, longest), longest) == fit_longest_side(
        size, longest
    )
    assert fit_longest_side(size, max(size)) == size


@given(sizes, sides, st.integers(1, 50))
def test_larger_never_gives_a_smaller_side(size, longest, more):
    assert all(
        a <= b
        for a, b in zip(
            fit_longest_side(size, longest), fit_longest_side(size, longest + more), strict=True
        )
    )


def test_halves_round_up_and_nothing_vanishes():
    assert fit_longest_side((4, 3), 2) == (2, 2)
    assert fit_longest_side((8, 5), 4) == (4, 3)
    assert fit_longest_side((20, 4000), 100) == (1, 100)
    assert fit_longest_side((1, 1), 512) == (512, 512)


@pytest.mark.parametrize(("size", "longest"), [((0, 4), 4), ((4, -1), 4), ((4, 4), 0)])
def test_sizes_below_one_are_refused(size, longest):
    with pytest.raises(ValueError, match=r"^`(size|longest)` must .* at least 1, got "):
        fit_longest_side(size, longest)
    if longest:
        with pytest.raises(ValueError, match=r"^`size` must .* at least 1, got "):
            resize(torch.zeros(3, 4, 4), size)


def test_resizing_to_the_same_size_is_the_same_tensor():
    pixels = torch.rand(3, 5, 7)
    assert resize(pixels, (7, 5)) is pixels


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.integers(1, 40))
def test_shapes_and_range(height, width, new_height, new_width):
    torch.manual_seed(height * 41 + width)
    pixels = (torch.rand(3, height, width) > 0.5).float()
    resized = resize(pixels, (new_width, new_height))
    assert resized.shape == (3, new_height, new_width)
    assert 0 <= resized.min() <= resized.max() <= 1
    alpha = resize(pixels[0], (new_width, new_height))
    assert alpha.shape == (new_height, new_width)
    assert torch.allclose(alpha, resized[0], atol=1e-6)


@given(st.integers(2, 40), st.integers(2, 40), st.floats(0, 1))
def test_a_flat_picture_stays_flat(height, width, value):
    resized = resize(torch.full((1, 16, 24), value), (width, height))
    assert torch.allclose(resized, torch.full_like(resized, value), atol=1e-5)


def test_shrinking_averages_instead_of_picking():
    stripes = torch.zeros(1, 64, 64)
    stripes[..., ::8] = 1
    inner = resize(stripes, (8, 8))[..., 1:-1]
    assert (inner - 1 / 8).abs().max() < 0.05


def test_resizing_turns_with_the_picture():
    pixels = torch.rand(3, 30, 20)
    turned = resize(pixels.transpose(1, 2), (13, 11)).transpose(1, 2)
    assert torch.allclose(resize(pixels, (11, 13)), turned, atol=1e-5)
    mirrored = resize(pixels.flip(2), (11, 13)).flip(2)
    assert torch.allclose(resize(pixels, (11, 13)), mirrored, atol=1e-5)


def test_a_thumbnail_shrinks_but_never_grows():
    pixels = torch.rand(3, 30, 40)
    assert thumbnail(pixels, 20).shape == (3, 15, 20)
    assert thumbnail(pixels, 40) is thumbnail(pixels, 100) is pixels


def test_a_batch_is_refused():
    with pytest.raises(ValueError, match="drop the batch axis"):
        resize(torch.zeros(1, 3, 4, 4), (2, 2))


def test_opaque_pictures_are_flattened_to_themselves():
    pixels = torch.rand(3, 5, 7)
    assert torch.equal(composite_rgb(Image(pixels)), pixels)
    assert torch.equal(composite_rgb(Image(pixels, ImageMetadata(alpha=torch.ones(5, 7)))), pixels)
    grey = torch.rand(1, 5, 7)
    assert torch.equal(composite_rgb(Image(grey)), grey.repeat(3, 1, 1))


@pytest.mark.parametrize("size", [(33, 47), (64, 64), (1, 9), (9, 1), (2, 3)])
def test_hidden_colors_do_not_matter(size):
    torch.manual_seed(1)
    alpha = (torch.rand(size) > 0.6).float()
    pixels = torch.rand(3, *size)
    other = torch.where(alpha.bool(), pixels, torch.rand(3, *size))
    one, two = (composite_rgb(Image(p, ImageMetadata(alpha=alpha))) for p in (pixels, other))
    assert torch.allclose(one, two, atol=1e-6)
    assert torch.equal(one * alpha, pixels * alpha)


def test_a_flat_color_fills_its_own_hole():
    alpha = torch.zeros(40, 50)
    alpha[5:15, 8:30] = 1
    color = torch.tensor([0.8, 0.3, 0.1]).reshape(3, 1, 1)
    filled = composite_rgb(Image(color * alpha, ImageMetadata(alpha=alpha)))
    assert torch.allclose(filled, color.expand(3, 40, 50), atol=1e-5)


def test_no_edge_is_left_and_no_color_invented():
    alpha = torch.ones(64, 64)
    alpha[16:48, 16:48] = 0
    ramp = torch.linspace(0.3, 0.7, 64).expand(3, 64, 64) * alpha
    filled = composite_rgb(Image(ramp, ImageMetadata(alpha=alpha)))
    steps = (filled[..., 1:] - filled[..., :-1]).abs()
    assert steps.max() < 0.08
    assert 0.3 - 1e-4 <= filled.min() <= filled.max() <= 0.7 + 1e-4


def test_partly_transparent_pixels_lie_between_their_own_color_and_their_surroundings():
    alpha = torch.ones(16, 16)
    alpha[8, 8] = 0.5
    pixels = torch.ones(3, 16, 16)
    pixels[:, 8, 8] = 0
    filled = composite_rgb(Image(pixels, ImageMetadata(alpha=alpha)))
    assert 0 < filled[0, 8, 8] < 1


def test_nothing_opaque_is_mid_grey():
    picture = Image(torch.rand(3, 6, 5), ImageMetadata(alpha=torch.zeros(6, 5)))
    assert torch.allclose(composite_rgb(picture), torch.full((3, 6, 5), 0.5))
