"""Images from arrays, tensors and Pillow images."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest
import torch
from image_makers import file_of, noisy, rgb_profile, smooth

from impasto import ImageError
from impasto.images.image import Image, ImageMetadata
from impasto.images.read import open_image


@pytest.mark.parametrize(("dtype", "maximum", "bits"), [(np.uint8, 255, 8), (np.uint16, 65535, 16)])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_whole_number_arrays_are_scaled_by_their_type(dtype, maximum, bits, channels):
    array = noisy(channels=channels, dtype=dtype)
    picture = open_image(array)
    colors = 3 if channels >= 3 else 1
    assert picture.pixels.shape == (colors, 9, 13)
    assert picture.metadata.bits == bits
    back = (picture.pixels.double() * maximum).round().permute(1, 2, 0).numpy()
    assert np.array_equal(back, array[..., :colors])
    if channels in (2, 4):
        assert np.array_equal((picture.metadata.alpha.double() * maximum).round(), array[..., -1])
    else:
        assert picture.metadata.alpha is None


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats_in_range_are_taken_as_they_are(dtype):
    array = np.random.default_rng(0).random((4, 5, 3)).astype(dtype)
    picture = open_image(array)
    assert np.array_equal(picture.pixels.permute(1, 2, 0).numpy(), array.astype(np.float32))
    assert picture.metadata.bits == 32


def test_two_axes_are_a_grey_picture():
    assert open_image(np.zeros((4, 5), np.uint8)).pixels.shape == (1, 4, 5)
    assert open_image(torch.zeros(4, 5)).pixels.shape == (1, 4, 5)


def test_tensors():
    tensor = torch.rand(4, 5, 6, dtype=torch.float64, requires_grad=True)
    picture = open_image(tensor)
    assert torch.equal(picture.pixels, tensor[:3].detach().float())
    assert torch.equal(picture.metadata.alpha, tensor[3].detach().float())
    codes = torch.arange(75, dtype=torch.uint8).reshape(3, 5, 5)
    assert torch.equal(open_image(codes).pixels, codes / 255)
    assert open_image(torch.rand(3, 2, 2).bfloat16()).pixels.dtype == torch.float32


def test_the_source_is_not_shared():
    tensor, array = torch.rand(3, 4, 5), np.zeros((4, 5, 3), np.float32)
    pixels, other = open_image(tensor).pixels, open_image(array).pixels
    before = pixels.clone()
    tensor.zero_()
    array[:] = 1
    assert torch.equal(pixels, before)
    assert bool((other == 0).all())


def test_a_picture_comes_back_as_it_is():
    picture = Image(torch.rand(3, 2, 2), ImageMetadata(bits=16))
    assert open_image(picture) is picture


@pytest.mark.parametrize(
    ("source", "law", "way_out"),
    [
        (np.zeros((2, 2), bool), "uint8, uint16, float32 or float64, got bool", "convert it"),
        (np.zeros((2, 2), np.int32), "uint8, uint16, float32 or float64, got int32", "convert it"),
        (np.zeros((2, 2, 5), np.uint8), "got shape (2, 2, 5)", "move the channels last"),
        (np.zeros((1, 2, 2, 3), np.uint8), "got shape (1, 2, 2, 3)", "move the channels last"),
        (np.zeros((0, 2, 3), np.uint8), "must have pixels, got 2 × 0", "give at least 1 × 1"),
        (np.full((2, 2, 3), 255.0), "must be in [0, 1], got 255 to 255", "scale or clamp it"),
        (np.full((2, 2, 3), -0.1), "must be in [0, 1], got -0.1 to -0.1", "scale or clamp it"),
        (np.full((2, 2, 3), np.nan), "must be finite, got nan", "replace the bad values"),
        (np.full((2, 2, 3), np.inf), "must be finite, got inf", "replace the bad values"),
        (torch.zeros(1, 3, 2, 2), "got shape (1, 3, 2, 2)", "drop the batch axis"),
        (torch.zeros(8, 8, 3), "got shape (8, 8, 3)", "move the channels first"),
        (torch.zeros(3, 2, 2, dtype=torch.int64), "got torch.int64", "convert it"),
        (torch.full((3, 2, 2), 1.5), "must be in [0, 1], got 1.5 to 1.5", "scale or clamp it"),
        (torch.full((4, 2, 2), torch.nan), "must be finite", "replace the bad values"),
    ],
)
def test_what_is_no_picture_is_refused_in_a_sentence(source, law, way_out):
    with pytest.raises(ValueError, match=r"^`style` must ") as caught:
        open_image(source, name="style")
    text = str(caught.value)
    assert law in text
    assert text.endswith(way_out)
    assert "\n" not in text


@pytest.mark.parametrize("source", [None, 3, [1, 2], {"a": 1}])
def test_other_types_are_type_errors(source):
    with pytest.raises(TypeError, match=r"^`picture` must be a path, bytes, .*; open it first$"):
        open_image(source)


@pytest.mark.parametrize(
    ("mode", "color", "expected", "alpha"),
    [
        ("1", 255, [1], None),
        ("L", 51, [0.2], None),
        ("LA", (51, 102), [0.2], 0.4),
        ("P", 0, [0, 0, 0], None),
        ("PA", (0, 102), [0, 0, 0], 0.4),
        ("RGB", (51, 102, 153), [0.2, 0.4, 0.6], None),
        ("RGBA", (51, 102, 153, 204), [0.2, 0.4, 0.6], 0.8),
        ("RGBX", (51, 102, 153, 0), [0.2, 0.4, 0.6], None),
        ("CMYK", (255, 0, 0, 0), [0, 1, 1], None),
        ("YCbCr", (255, 128, 128), [1, 1, 1], None),
        ("HSV", (0, 255, 255), [1, 0, 0], None),
        ("I", 13107, [0.2], None),
        ("I;16", 13107, [0.2], None),
        ("I;16B", 13107, [0.2], None),
        ("F", 0.2, [0.2], None),
    ],
)
def test_every_mode_of_pillow(mode, color, expected, alpha):
    picture = open_image(PIL.Image.new(mode, (3, 2), color))
    assert picture.pixels.shape == (len(expected), 2, 3)
    assert picture.pixels[:, 1, 2].tolist() == pytest.approx(expected, abs=1e-6)
    bits = {"I": 16, "F": 32}.get(mode[0], 8)
    assert picture.metadata.bits == bits
    if alpha is None:
        assert picture.metadata.alpha is None
    else:
        assert picture.metadata.alpha[1, 2].item() == pytest.approx(alpha)


def test_multiplied_alpha_is_divided_out():
    image = PIL.Image.new("RGBA", (2, 2), (200, 100, 50, 128)).convert("RGBa")
    picture = open_image(image)
    expected = [200 / 255, 100 / 255, 50 / 255]
    assert picture.pixels[:, 0, 0].tolist() == pytest.approx(expected, abs=0.01)


def test_images_out_of_range_or_of_strange_modes_are_refused():
    for image, words in (
        (PIL.Image.new("I", (2, 2), 70_000), "its samples run from 70000 to 70000"),
        (PIL.Image.new("I", (2, 2), -1), "its samples run from -1 to -1"),
        (PIL.Image.new("F", (2, 2), 2.0), "its floating point samples run from 2 to 2"),
        (
            PIL.Image.new("F", (2, 2), float("nan")),
            "its floating point samples run from nan to nan",
        ),
        (PIL.Image.new("LAB", (2, 2)), "its colors are CIELAB"),
        (PIL.Image.new("RGB", (0, 2)), "it has no pixels"),
    ):
        with pytest.raises(ImageError, match=words) as caught:
            open_image(image)
        assert f"a {image.width} × {image.height} {image.mode} image" in str(caught.value)


def test_an_open_image_is_read_like_its_file_and_left_alone(tmp_path):
    exif = PIL.Image.Exif()
    exif[274] = 6
    exif[271] = "Maker"
    profile = rgb_profile("Display P3")
    path = tmp_path / "a.jpg"
    path.write_bytes(
        file_of(
            PIL.Image.fromarray(smooth()), "JPEG", exif=exif, icc_profile=profile, dpi=(300, 300)
        )
    )
    with PIL.Image.open(path) as image:
        from_image = open_image(image)
        assert image.size == (40, 24)
        assert image.getexif()[274] == 6
    from_file = open_image(path)
    assert torch.equal(from_image.pixels, from_file.pixels)
    assert from_image.metadata.exif == from_file.metadata.exif
    assert from_image.metadata.dpi == from_file.metadata.dpi == (300, 300)
    assert from_image.metadata.format == "JPEG"


def test_a_lazy_image_of_a_broken_file_is_refused(tmp_path):
    data = file_of(PIL.Image.fromarray(noisy(64, 64)), "JPEG")
    path = tmp_path / "a.jpg"
    path.write_bytes(data[: len(data) // 2])
    with PIL.Image.open(path) as image, pytest.raises(ImageError, match="cut short or broken"):
        open_image(image)
