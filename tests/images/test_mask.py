"""Masks, folders of images, and animations."""

import numpy as np
import PIL.Image
import pytest
import torch

from impasto.errors import ImageError
from impasto.images.animation import write_animation
from impasto.images.image import Image
from impasto.images.masks import check_mask_shape, is_white, open_mask, resize_mask
from impasto.images.read import image_files


def test_a_mask_is_the_brightness_and_opacity_of_its_picture(tmp_path):
    gray = open_mask(torch.full((4, 6), 0.25), "mask")
    assert torch.equal(gray.pixels, torch.full((1, 4, 6), 0.25))
    green = torch.zeros(3, 4, 6)
    green[1] = 1
    assert open_mask(green, "mask").pixels.mean() == pytest.approx(0.7152)
    seen = np.full((4, 6, 4), 255, np.uint8)
    seen[:, 3:, 3] = 0
    PIL.Image.fromarray(seen).save(tmp_path / "half.png")
    half = open_mask(tmp_path / "half.png", "mask")
    assert half.pixels[0, 0].tolist() == [1, 1, 1, 0, 0, 0]
    assert half.metadata.origin.name == "half.png"


def test_a_boolean_tensor_is_a_mask():
    assert is_white(open_mask(torch.ones(4, 6, dtype=torch.bool), "mask"))


def saved(path, levels, dtype, palette=False):
    image = PIL.Image.fromarray(np.asarray(levels, dtype))
    if palette:
        image.putpalette([channel for index in range(256) for channel in (index,) * 3])
    image.save(path)
    return path


LABELS = np.repeat([[0, 0, 1, 1, 0, 0], [0, 3, 3, 0, 2, 2]], 3, axis=0)


@pytest.mark.parametrize(
    ("dtype", "white", "palette"),
    [(np.uint8, 1, False), (np.uint8, 1, True), (np.uint16, 1, False), (np.uint16, 255, False)],
)
def test_what_was_saved_as_0_and_1_is_black_and_white(tmp_path, dtype, white, palette):
    binary = LABELS > 0
    for ending in ("png", "tif"):
        path = saved(tmp_path / f"mask.{ending}", binary * white, dtype, palette)
        assert torch.equal(open_mask(path, "mask").pixels[0].bool(), torch.from_numpy(binary))
        assert open_mask(path, "mask").pixels.max() == 1
    assert open_mask((binary * white).astype(dtype), "mask").pixels.max() == 1
    assert is_white(open_mask(np.full((4, 6), white, dtype), "mask"))
    assert torch.equal(open_mask(binary, "mask").pixels[0].bool(), torch.from_numpy(binary))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_numbers_of_labels_are_refused_as_such(tmp_path, dtype):
    most = np.iinfo(dtype).max
    with pytest.raises(ValueError, match=rf"got numbers of 0 to 3 out of {most:,}, .* labels"):
        open_mask(saved(tmp_path / "labels.png", LABELS, dtype), "keep")


@pytest.mark.parametrize("most", [3, 12])
def test_a_mask_that_is_nearly_black_on_purpose_stays_so(tmp_path, most):
    soft = np.linspace(0, most, 64).round()[None].repeat(8, 0)
    hard = np.where(np.arange(64) < 30, 0, most)[None].repeat(8, 0)
    for levels in (soft, hard):
        pixels = open_mask(saved(tmp_path / "soft.png", levels, np.uint8), "mask").pixels
        assert torch.allclose(pixels[0] * 255, torch.from_numpy(levels).float())
    faint = torch.full((4, 6), 1 / 255)  # floats say what they mean
    assert torch.equal(open_mask(faint, "mask").pixels[0], faint)


def test_any_size_of_the_right_shape_will_do():
    for size in ((30, 40), (60, 80), (31, 41), (300, 402)):
        check_mask_shape(Image(torch.ones(1, *size)), (1024, 768), "mask", "the picture")
    for size in ((40, 30), (30, 44), (768, 1040)):
        with pytest.raises(ValueError, match="`mask` must have the shape of the picture"):
            check_mask_shape(Image(torch.ones(1, *size)), (1024, 768), "mask", "the picture")


def test_a_soft_edge_stays_in_place_when_it_is_resized():
    ramp = torch.linspace(0, 1, 64).expand(1, 32, -1)
    found = resize_mask(Image(ramp), (256, 128))
    assert found.shape == (128, 256)
    assert (found[64] - torch.linspace(0, 1, 256)).abs().max() < 0.03


def test_a_folder_gives_its_pictures_by_name(tmp_path):
    for name in ("b.png", "a.JPG", ".hidden.png", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "c.png").mkdir()
    assert [path.name for path in image_files(tmp_path, "style")] == ["a.JPG", "b.png"]
    (tmp_path / "scan").write_bytes(b"P5 1 1 255\n.")
    left_out = []
    names = [path.name for path in image_files(tmp_path, "style", left_out)]
    assert (names, left_out) == (["a.JPG", "b.png", "scan"], ["notes.txt"])
    (tmp_path / "none").mkdir()
    with pytest.raises(ImageError, match="which holds none; choose another"):
        image_files(tmp_path / "none", "style")


@pytest.mark.parametrize("ending", [".gif", ".webp"])
def test_an_animation_shows_every_frame_at_the_last_ones_shape(tmp_path, ending):
    frames = [torch.full((3, 16, 24), level) for level in (0.1, 0.5)]
    frames.append(torch.rand(3, 32, 48, generator=torch.Generator().manual_seed(0)))
    path = write_animation(frames, tmp_path / f"film{ending}", seconds=1, hold=0.5)
    with PIL.Image.open(path) as film:
        assert (film.n_frames, film.size, film.info.get("loop", 0)) == (3, (48, 32), 0)
        film.seek(1)
        middle = np.asarray(film.convert("RGB"), float).mean()
    assert middle == pytest.approx(128, abs=4)
    with pytest.raises(ImageError, match="must be a new file"):
        write_animation(frames, path)
    with pytest.raises(ValueError, match="`frames` must be at least one picture"):
        write_animation([], tmp_path / "none.gif")
