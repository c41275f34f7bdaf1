"""Figures of denoising: what they show, pixel by pixel where pixels would vanish, and how close."""

import numpy as np
import PIL.Image
import pytest
import torch

import impasto
from impasto.denoise_figures import denoise_figure, pair_figure, result_figure
from impasto.denoising.zs_n2n import pair_downsample
from impasto.images.image import Image, ImageMetadata
from impasto.images.stack import array_stack
from impasto.metrics import psnr
from impasto.synthetic_noise import add_noise


def titles(figure):
    return [axes.get_title() for axes in figure.axes if axes.get_title()]


def notes(figure):
    return [words.get_text() for axes in figure.axes for words in axes.texts]


def images(figure):
    """(H, W, 3) in [0, 1] of each, in the order drawn."""
    return [np.asarray(axes.images[0].get_array()) for axes in figure.axes]


def chessboard(side, at, patch):
    """(1, side, side), dark but for a board of cells of 8 pixels somewhere."""
    picture = torch.full((1, side, side), 0.25)
    cells = torch.arange(patch) // 8
    picture[0, at[0] : at[0] + patch, at[1] : at[1] + patch] = (cells[:, None] + cells) % 2 * 1.0
    return picture


def test_closeness_is_that_of_values_as_drawn():
    clean = torch.rand(3, 24, 30, generator=torch.Generator().manual_seed(0))
    noisy = clean + 0.3 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(1))
    figure = denoise_figure(clean, noisy, 0.9 * clean)
    assert titles(figure) == ["truth", "noisy", "denoised"]
    values = psnr(clean, noisy.clamp(0, 1)), psnr(clean, 0.9 * clean)
    assert notes(figure) == [f"PSNR {value:.2f} dB" for value in values]
    for drawn, given in zip(images(figure), (clean, noisy, 0.9 * clean), strict=True):
        assert (drawn == given.clamp(0, 1).permute(1, 2, 0).numpy()).all()


def test_without_a_truth_nothing_is_measured():
    figure = denoise_figure(None, torch.rand(1, 8, 8), torch.rand(1, 8, 8))
    assert titles(figure) == ["noisy", "denoised"]
    assert notes(figure) == []


def test_a_part_of_a_large_picture_is_drawn_pixel_by_pixel():
    clean = chessboard(900, (640, 600), 96)
    noisy = add_noise(clean, gaussian=0.1)
    whole, detail, *others = images(denoise_figure(clean, noisy, clean))
    assert len(others) == 4
    assert max(whole.shape) < 900
    assert (detail == 1).sum() == 3 * 96 * 96 / 2  # the whole board, and no pixel resampled
    assert set(np.unique(detail)) == {0, 0.25, 1}
    beside = next(axes for axes in denoise_figure(None, noisy, clean).axes if axes.patches)
    frame = beside.patches[0].get_bbox()  # shares of the sides, from below
    assert frame.x0 <= 600 / 900 < 696 / 900 <= frame.x1
    assert frame.y0 <= 1 - 736 / 900 < 1 - 640 / 900 <= frame.y1


def test_details_of_a_panorama_keep_their_pixels():
    picture = torch.rand(3, 40, 1000)  # drawn with fewer than 40 rows
    _, detail, *_ = images(denoise_figure(picture, picture, picture))
    assert detail.shape[0] == 40


def test_paper_shows_through_details_too():
    alpha = torch.ones(900, 900)
    alpha[640:736, 600:648] = 0
    seen = Image(chessboard(900, (640, 600), 96), ImageMetadata(alpha=alpha))
    detail = images(denoise_figure(None, seen, seen))[3]
    assert (detail == 1).sum() == 3 * (96 * 48 + 96 * 48 / 2)


def test_a_small_picture_is_drawn_once():
    assert len(denoise_figure(None, torch.rand(3, 100, 100), torch.rand(3, 100, 100)).axes) == 2


def test_pairs_are_the_downsampled_views():
    noisy = torch.rand(3, 17, 12)
    figure = pair_figure(noisy)
    assert titles(figure) == ["noisy", "first view", "second view"]
    assert notes(figure) == ["12 × 17", "6 × 9", "6 × 9"]
    for drawn, view in zip(images(figure)[1:], pair_downsample(noisy[None]), strict=True):
        assert (drawn == view[0].permute(1, 2, 0).numpy()).all()


def test_details_of_pairs_are_of_the_same_place():
    small = torch.rand(1, 450, 451, generator=torch.Generator().manual_seed(0))
    noisy = small.repeat_interleave(2, 1).repeat_interleave(2, 2)  # both views are `small`
    _, detail, _, first, _, second = images(pair_figure(noisy))
    assert (first == second).all()
    assert (detail[::2, ::2] == first).all()


def test_measured_data_is_drawn_on_its_own_scale():
    clean = torch.rand(1, 40, 40, generator=torch.Generator().manual_seed(0))
    noisy = add_noise(clean, gaussian=0.1)
    expected = denoise_figure(clean, noisy, clean, stretch=True)
    figure = denoise_figure(*(100 + 4000 * x for x in (clean, noisy, clean)), stretch=True)
    assert notes(figure) == notes(expected)
    np.testing.assert_allclose(images(figure)[0], images(expected)[0], atol=1e-4)
    assert images(figure)[0].min() == 0
    assert images(figure)[0].max() == 1
    pair = images(pair_figure(100 + 4000 * noisy, stretch=True))[0]
    assert (pair.min(), pair.max()) == (0, 1)


def test_constant_data_can_be_stretched():
    flat = torch.full((1, 8, 8), 7.0)
    assert notes(denoise_figure(flat, flat, flat, stretch=True)) == ["equal to the truth"] * 2


def test_the_middle_plane_stands_for_a_stack_and_the_mean_for_many_channels():
    data = np.zeros((3, 5, 16, 16), np.uint16)
    data[1, 2] = 65_535
    stack = array_stack(data, "ZCYX")
    cleaned = torch.stack([stack.read_plane(index) for index in stack.plane_indices()])
    before, after = images(denoise_figure(None, stack, cleaned))
    np.testing.assert_allclose(before, 0.2, rtol=1e-6)
    assert (before == after).all()


def test_files_and_opacity_are_taken(tmp_path):
    PIL.Image.fromarray(np.full((8, 8, 3), 51, np.uint8)).save(tmp_path / "a.png")
    seen = Image(torch.zeros(3, 8, 8), ImageMetadata(alpha=torch.zeros(8, 8)))
    first, second = images(denoise_figure(None, tmp_path / "a.png", seen))
    np.testing.assert_allclose(first, 0.2, rtol=1e-6)
    assert (second == 1).all()  # paper shows through


def test_a_result_is_drawn_with_its_opacity_or_on_its_own_scale():
    noisy = torch.rand(3, 12, 12, generator=torch.Generator().manual_seed(0))
    source = Image(noisy, ImageMetadata(alpha=torch.zeros(12, 12)))
    figure = result_figure(impasto.denoise(source, sigma=0.1), noisy)
    assert titles(figure) == ["truth", "noisy", "denoised"]
    assert (images(figure)[1] == 1).all()  # paper shows through
    measured = impasto.denoise(100 + 4000 * noisy[0].numpy(), sigma=100.0)
    before, after = images(result_figure(measured))
    assert (after.min(), after.max()) == (0, 1)
    assert before.min() == 0


def test_a_grey_truth_goes_with_colors():
    grey = torch.rand(1, 12, 12)
    assert notes(denoise_figure(grey, grey.expand(3, -1, -1), grey)) == ["equal to the truth"] * 2


@pytest.mark.parametrize("shape", [(3, 8, 9), (5, 8, 8)])
def test_pictures_of_other_things_are_refused(shape):
    with pytest.raises(ValueError, match=r"`truth` must have the size of `noisy`, 8 × 8 pixels"):
        denoise_figure(torch.rand(shape), torch.rand(3, 8, 8), torch.rand(3, 8, 8))


@pytest.mark.parametrize(
    "shape", [(3, 20, 4000), (3, 40, 999), (3, 4000, 20), (1, 3, 3000), (1, 1, 2), (1, 3000, 1)]
)
def test_extreme_shapes_stay_drawable(shape):
    picture = torch.rand(shape)
    for figure in (denoise_figure(picture, picture, picture), pair_figure(picture)):
        assert max(figure.get_size_inches()) < 20
        for axes in figure.axes:
            box = axes.get_position()
            assert min(box.x0, box.y0) >= 0
            assert max(box.x1, box.y1) <= 1
        figure.canvas.draw()  # warnings are errors
