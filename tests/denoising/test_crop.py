"""A part alone is cleaned as it is in the whole picture."""

import numpy as np
import pytest
import torch
from scenes import scene
from torch.nn import functional as F

import impasto
from impasto.denoising.block_matching import Cut, Groups, read_area, split_into_blocks
from impasto.images.crop import crop_metadata
from impasto.images.image import Image, ImageMetadata
from impasto.images.stack import array_stack
from impasto.images.tiff_read import open_stack
from impasto.recipes import DenoiseRecipe


def compare(noisy, crop, **options):
    """The whole and the part alone, which must be the same bytes."""
    left, top, width, height = crop
    whole = impasto.denoise(noisy, **options)
    part = impasto.denoise(noisy, crop=crop, **options)
    here = (..., slice(top, top + height), slice(left, left + width))
    assert part.size == (width, height)
    assert torch.equal(part.noisy, whole.noisy[here])
    assert torch.equal(part.clean, whole.clean[here])
    assert torch.equal(part.at(0.7, detail=1).pixels, whole.at(0.7, detail=1).pixels[here])
    return whole


@pytest.mark.parametrize("corner", [(0, 0), (317, 289), (151, 143), (7, 285)])
def test_quick_parts_are_the_same_bytes(corner):
    whole = compare(scene(3, 337, 365), (*corner, 48, 48), effort="quick")
    assert whole.method == "nl-wiener"


def test_a_part_of_a_large_picture_is_the_same_bytes():
    # Larger than the part and all that it depends on, which is 190 pixels around it.
    compare(scene(1, 520, 540), (233, 241, 40, 30))


@pytest.mark.slow
@pytest.mark.parametrize("effort", ["balanced", "best"])
def test_parts_of_large_color_pictures_are_the_same_bytes(effort):
    compare(scene(3, 700, 720), (333, 341, 40, 30), effort=effort)


def test_a_picture_that_is_its_own_part_is_the_same_bytes():
    compare(scene(1, 90, 80), (0, 0, 80, 90))


def test_compact_sources_are_given_back_alike():
    sky = 0.1 + 0.02 * torch.randn(1, 420, 430, generator=torch.manual_seed(0))
    line = torch.arange(-6.0, 7)
    star = torch.exp(-(line[:, None].square() + line.square()) / 3)
    generator = torch.manual_seed(1)
    for _ in range(150):
        y, x = (int(v) for v in torch.randint(6, 410, (2,), generator=generator))
        sky[0, y - 6 : y + 7, x - 6 : x + 7] += 0.4 * torch.rand(1, generator=generator) * star
    compare(sky, (171, 180, 70, 60), effort="quick")


def test_regions_of_noise_are_told_in_the_whole():
    noisy = scene(1, 360, 380, 0)
    sigma = torch.where(torch.arange(380) < 190, 0.02, 0.12)
    noisy += sigma * torch.randn(noisy.shape, generator=torch.manual_seed(1))
    whole = compare(noisy, (165, 160, 50, 40), effort="quick")
    assert len(whole.diagnosis.region_sigmas) == 2
    assert not impasto.diagnose(noisy[:, 160:200, 165:215]).region_sigmas


def test_channels_of_different_noise_are_weighed_as_in_the_whole():
    clean = scene(3, 330, 340, 0)
    sigma = torch.tensor([0.02, 0.08, 0.2])[:, None, None]
    noisy = clean + sigma * torch.randn(clean.shape, generator=torch.manual_seed(1))
    whole = compare(noisy, (150, 140, 40, 40), effort="quick")
    assert whole.diagnosis.noise.separate


def test_frames_and_hot_pixels_stay_as_in_the_whole():
    noisy = scene(1, 330, 340)
    noisy[:, :60] = 0
    noisy[0, 150, 160] = 30.0
    compare(noisy, (140, 40, 60, 130), effort="quick")


@pytest.mark.parametrize("side", [200, 15])
def test_a_network_is_trained_on_the_whole(side):
    noisy = scene(1, side, 210)
    compare(noisy, (150, 3, 50, 11), method="zs-n2n-fast", effort="quick")


def test_noise_that_neighbors_share_is_taken_away_nearly_alike():
    blur = torch.tensor([1.0, 2, 1])[:, None] * torch.tensor([1.0, 2, 1]) / 6
    wide = torch.randn(3, 1, 642, 662, generator=torch.manual_seed(0))
    noisy = scene(3, 640, 660, 0) + 0.05 * F.conv2d(wide, blur[None, None])[:, 0]
    noisy = Image(noisy.clamp(0, 1))
    whole = impasto.denoise(noisy, effort="quick")
    assert whole.diagnosis.kind == "correlated"
    part = impasto.denoise(noisy, effort="quick", crop=(300, 310, 64, 64))
    difference = 255 * (part.clean - whole.clean[:, 310:374, 300:364]).abs()
    assert difference.max() < 1
    assert difference.square().mean().sqrt() < 0.1


def test_a_stack_becomes_the_part_of_each_plane(tmp_path):
    data = (1000 * torch.cat([scene(1, 150, 160), scene(1, 150, 160, 0.1)])).round()
    data = data.clamp(0).numpy().astype(np.uint16)
    stack = array_stack(data, "ZYX")
    options = {"effort": "quick", "detail": 0.5}
    whole = impasto.denoise(stack, **options)
    part = impasto.denoise(stack, crop=(31, 42, 50, 60), **options)
    assert torch.equal(part.pixels, whole.pixels[..., 42:102, 31:81])
    path = impasto.denoise_stack(stack, tmp_path / "part.tif", crop=(31, 42, 50, 60), **options)
    written = open_stack(path)
    assert (written.axes, written.shape, written.dtype) == ("ZYX", (2, 60, 50), np.uint16)
    assert np.array_equal(np.stack([written.read_raw((z,)) for z in (0, 1)]), part.array())
    assert np.array_equal(part.array(), whole.array()[:, 42:102, 31:81])


def test_opacity_and_place_on_earth_are_cut_too(tmp_path):
    pixels = scene(3, 100, 120).clamp(0, 1)
    alpha = torch.linspace(0.1, 1, 120).expand(100, 120)
    tie = np.array([0, 0, 0, 500, 700, 0], "<f8").tobytes()
    matrix = np.array([[2, 0, 0, 500], [0, -2, 0, 700], [0, 0, 0, 0], [0, 0, 0, 1]], "<f8")
    tags = ((33922, 12, 6, tie), (34264, 12, 16, matrix.tobytes()), (34735, 3, 1, b"\1\0"))
    metadata = ImageMetadata(alpha=alpha, size=(120, 100), tags=tags)
    cut = crop_metadata(metadata, (slice(20, 60), slice(10, 40)))
    assert cut.size == (30, 40)
    assert torch.equal(cut.alpha, alpha[20:60, 10:40])
    values = [np.frombuffer(data, "<f8") for *_, data in cut.tags[:2]]
    assert values[0].tolist() == [-10, -20, 0, 500, 700, 0]
    assert values[1].reshape(4, 4)[:, 3].tolist() == [520, 660, 0, 1]
    assert cut.tags[2] == tags[2]
    image = Image(pixels, ImageMetadata(alpha=alpha))
    path = impasto.denoise(image, crop=(10, 20, 30, 40)).save(tmp_path / "part.png")
    again = impasto.open_image(path)
    assert again.size == (30, 40)
    assert torch.allclose(again.metadata.alpha, alpha[20:60, 10:40], atol=1 / 255)


def test_a_part_is_made_again_from_its_recipe(tmp_path):
    noisy = tmp_path / "noisy.png"
    impasto.save(scene(3, 100, 120).clamp(0, 1), noisy)
    first = impasto.denoise(noisy, crop=(10, 20, 30, 40))
    path = first.save(tmp_path / "part.png")
    assert torch.equal(impasto.rerun(path).pixels, first.pixels)


@pytest.mark.parametrize("crop", [(100, 0, 30, 10), (0, 95, 10, 10), (0, 0, 121, 100)])
def test_a_part_beyond_the_border_is_refused(crop):
    with pytest.raises(ValueError, match="`crop` must lie in the picture, which has 120 × 100"):
        impasto.denoise(scene(1, 100, 120), crop=crop)


@pytest.mark.parametrize("crop", ["middle", (1, 2, 3), (0, 0, 0, 5), (-1, 0, 5, 5), 7])
def test_a_part_that_is_none_is_refused(crop):
    with pytest.raises(ValueError, match="`crop` must be "):
        impasto.denoise(scene(1, 100, 120), crop=crop)


def test_steps_show_the_part():
    seen = []
    impasto.denoise(
        scene(1, 100, 120), crop=(10, 20, 30, 40), on_step=lambda s: seen.append(s.picture().shape)
    )
    assert seen
    assert set(seen) == {(1, 40, 30)}


def test_the_recipe_knows_its_rows_and_columns():
    assert DenoiseRecipe().part is None
    assert DenoiseRecipe(crop=(1, 2, 3, 4)).part == (slice(2, 6), slice(1, 4))


def test_blocks_of_a_part_are_those_of_the_whole():
    groups, size = Groups(5, 9, 21, 4), (400, 391)
    area = slice(190, 210), slice(3, 9)
    rows, columns = read_area(area, size, groups)
    cut = Cut(size, (rows.start, columns.start), area)
    part = (rows.stop - rows.start, columns.stop - columns.start)

    def references(blocks, corner):
        return {
            (int(y) + block.rows.start + corner[0], int(x) + block.columns.start + corner[1])
            for color in blocks
            for block in color
            for y in block.down
            for x in block.across
        }

    whole = references(split_into_blocks(size, groups), (0, 0))
    mine = references(split_into_blocks(part, groups, cut), cut.corner)
    assert mine
    assert mine < whole
    assert all(
        block.rows.start >= 0 and block.rows.stop <= part[0] and block.columns.stop <= part[1]
        for color in split_into_blocks(part, groups, cut)
        for block in color
    )


def test_a_part_of_planes_that_help_each_other_is_the_same_bytes():
    image = scene(1, 120, 140, 0)[0]
    planes = torch.stack([image[2 * n : 2 * n + 96, 3 * n : 3 * n + 112] for n in range(4)])
    noisy = planes + 0.08 * torch.randn(planes.shape, generator=torch.manual_seed(3))
    whole, part = (
        impasto.denoise(array_stack(noisy.numpy(), "TYX"), effort="quick", crop=crop)
        for crop in ("whole", (20, 30, 40, 32))
    )
    assert "along T" in part.diagnosis.words
    assert torch.equal(part.clean, whole.clean[..., 30:62, 20:60])
