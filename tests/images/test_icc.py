"""Color profiles: known colors arrive in sRGB, and sRGB stays as it is."""

from __future__ import annotations

import io
import zlib

import imagecodecs
import numpy as np
import pytest
import tifffile
from image_makers import (
    PRIMARIES,
    cmyk_profile,
    expected_srgb,
    file_of,
    noisy,
    rgb_profile,
    smooth,
    with_chunk,
)
from PIL import Image, ImageCms

from impasto.images.icc import gray_profile, profile_name, srgb_profile, to_srgb
from impasto.images.read import open_image

COLORS = np.array(
    [[0, 255, 0], [255, 0, 0], [0, 128, 255], [255, 255, 255], [0, 0, 0], [120, 120, 120]], np.uint8
)


def colors_of(data: bytes) -> np.ndarray:
    return open_image(data).pixels[:, 0].T.numpy()


@pytest.mark.parametrize("name", PRIMARIES)
@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_known_colors_arrive_where_the_textbook_says(name, format):
    data = file_of(Image.fromarray(COLORS[None]), format, icc_profile=rgb_profile(name))
    assert np.abs(colors_of(data) - expected_srgb(COLORS / 255, name)).max() < 2e-3


@pytest.mark.parametrize("format", ["JPEG", "WEBP", "AVIF"])
def test_every_format_hands_its_profile_over(format):
    profile = rgb_profile("swapped")
    image = Image.new("RGB", (32, 32), (230, 40, 40))
    pixels = open_image(file_of(image, format, icc_profile=profile, quality=95)).pixels[:, 16, 16]
    expected = expected_srgb(np.array([[230, 40, 40]]) / 255, "swapped")[0]
    assert np.abs(pixels.numpy() - expected).max() < 0.05
    assert pixels[1] > pixels[0]


@pytest.mark.parametrize("name", ["Display P3", "Adobe RGB"])
def test_sixteen_bits_are_converted_at_full_depth(name):
    ramp = np.linspace(20_000, 40_000, 512).astype(np.uint16)
    samples = np.stack([ramp, ramp[::-1], np.full_like(ramp, 30_000)], -1)[None]
    profile = rgb_profile(name)
    file = io.BytesIO()
    tifffile.imwrite(file, samples, photometric="rgb", iccprofile=profile)
    png = with_chunk(imagecodecs.png_encode(samples), b"iCCP", b"p\0\0" + zlib.compress(profile))
    expected = expected_srgb(samples[0] / 65535, name)
    for data in (file.getvalue(), png):
        got = colors_of(data)
        assert np.abs(got - expected).max() < 1e-3
        assert len(np.unique(got[:, 0])) > 400  # eight bits would leave 78


def test_eight_bit_colors_do_not_collapse_in_the_conversion():
    samples = noisy(64, 64)
    data = file_of(Image.fromarray(samples), "PNG", icc_profile=rgb_profile("Adobe RGB"))
    pixels = open_image(data).pixels.permute(1, 2, 0).numpy()
    assert np.abs(pixels - expected_srgb(samples / 255, "Adobe RGB")).max() < 2e-3


def test_srgb_in_any_words_changes_nothing():
    samples = noisy(32, 32)
    other = imagecodecs.cms_profile("srgb")
    for profile in (srgb_profile(), other):
        data = file_of(Image.fromarray(samples), "PNG", icc_profile=profile)
        pixels = open_image(data).pixels.permute(1, 2, 0).numpy()
        assert np.array_equal(pixels, samples.astype(np.float32) / np.float32(255))


def test_grey_profile_is_converted_and_stays_grey():
    ramp = np.arange(256, dtype=np.uint8)[None]
    linear = imagecodecs.cms_profile("gray", gamma=1.0)
    picture = open_image(file_of(Image.fromarray(ramp), "PNG", icc_profile=linear))
    x = ramp[0] / 255
    expected = np.where(x <= 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055)
    assert picture.pixels.shape == (1, 1, 256)
    assert np.abs(picture.pixels[0, 0].numpy() - expected).max() < 2e-3


def test_grey_picture_with_a_color_profile():
    ramp = np.arange(256, dtype=np.uint8)[None]
    profile = rgb_profile("Display P3", gamma=1.0)
    picture = open_image(file_of(Image.fromarray(ramp), "PNG", icc_profile=profile))
    expected = expected_srgb(np.repeat(ramp[0][:, None] / 255, 3, 1), "Display P3", 1.0)[:, 0]
    assert picture.pixels.shape == (1, 1, 256)
    assert np.abs(picture.pixels[0, 0].numpy() - expected).max() < 2e-3


def test_alpha_and_palettes_pass_beside_the_profile():
    samples = noisy(channels=4)
    profile = rgb_profile("swapped")
    picture = open_image(file_of(Image.fromarray(samples), "PNG", icc_profile=profile))
    assert np.array_equal((picture.metadata.alpha * 255).round().numpy(), samples[..., 3])
    palette = Image.new("P", (1, 1))
    palette.putpalette([0, 255, 0])
    got = colors_of(file_of(palette, "PNG", icc_profile=rgb_profile("Display P3")))
    assert np.abs(got - expected_srgb(np.array([[0, 1.0, 0]]), "Display P3")).max() < 2e-3


def test_cmyk_profile():
    inks = [(0, 0, 0, 0), (0, 0, 0, 255), (255, 0, 0, 0), (0, 255, 0, 0), (0, 0, 0, 128)]
    image = Image.new("CMYK", (5, 1))
    image.putdata(inks)
    white, black, cyan, magenta, grey = colors_of(
        file_of(image, "TIFF", icc_profile=cmyk_profile())
    )
    assert np.abs(white - 1).max() < 0.01
    assert np.abs(black).max() < 0.01
    assert cyan[0] < cyan[1] < cyan[2] + 0.2
    assert magenta[0] > magenta[1] + 0.2
    # Half the black ink is L* = 49.8, which sRGB writes as 0.464: not the naive complement 0.498.
    assert np.abs(grey - 0.464).max() < 0.01
    wide = image.resize((80, 16), Image.Resampling.NEAREST)
    jpeg = file_of(wide, "JPEG", quality=100, icc_profile=cmyk_profile())
    pixels = open_image(jpeg).pixels[:, 8, 8::16].T.numpy()
    assert np.abs(pixels - [white, black, cyan, magenta, grey]).max() < 0.04


@pytest.mark.parametrize(
    "profile", [b"junk" * 50, bytes(200), rgb_profile("swapped")[:200], cmyk_profile()]
)
def test_a_profile_that_does_not_fit_means_srgb(profile, capfd):
    samples = noisy()
    for format in ("PNG", "TIFF"):
        data = file_of(Image.fromarray(samples), format, icc_profile=profile)
        pixels = open_image(data).pixels.permute(1, 2, 0).numpy()
        assert np.array_equal(pixels, samples.astype(np.float32) / np.float32(255))
    assert capfd.readouterr() == ("", "")


def test_out_of_gamut_colors_stay_in_range():
    colors = np.eye(3, dtype=np.float32)[None]
    converted = to_srgb(colors, rgb_profile("Adobe RGB"))
    assert converted.min() >= 0
    assert converted.max() <= 1


def test_written_profiles_are_valid_and_mean_srgb():
    assert profile_name(srgb_profile()) == "sRGB built-in"
    assert profile_name(gray_profile()) == "sRGB built-in"
    assert profile_name(b"junk") == "unreadable"
    assert profile_name(None) is None
    # Through Pillow's color management, not impasto's: grey with its profile is that same grey.
    grey = ImageCms.ImageCmsProfile(io.BytesIO(gray_profile()))
    image = Image.fromarray(smooth()[..., 0])
    made = ImageCms.profileToProfile(image, grey, ImageCms.createProfile("sRGB"), outputMode="RGB")
    assert np.abs(np.asarray(made).astype(int) - smooth()[..., :1]).max() <= 1


def test_the_profile_is_the_same_bytes_each_time():
    first = srgb_profile()
    srgb_profile.cache_clear()
    assert srgb_profile() == first
    assert first[24:36] == bytes([7, 208, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0])
