"""BMP, GIF and PPM: read at full depth, checked before they are decoded, never written."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from image_makers import expected_srgb, file_of, noisy, rgb_profile, smooth
from PIL import Image

from impasto import ImageError
from impasto.images.read import describe_image, open_image
from impasto.images.write import check_output

GRAY, COLOR = noisy(channels=1)[..., 0], noisy()
BITS = GRAY > 127


def pnm(kind, samples, maximum=255, comment=""):
    """A PNM of (H, W) or (H, W, 3) integers."""
    height, width = samples.shape[:2]
    head = f"P{kind}{comment}\n{width} {height}\n" + f"{maximum}\n" * (kind not in (1, 4))
    if kind == 4:
        return head.encode() + np.packbits(samples, axis=1).tobytes()
    if kind < 4:
        text = " ".join(str(int(value)) for value in samples.ravel())
        return head.encode() + text.encode() + b"\n"
    return head.encode() + samples.astype(">u2" if maximum > 255 else "u1").tobytes()


@pytest.mark.parametrize(
    ("data", "expected", "bits"),
    [
        (pnm(1, BITS), 1 - BITS, 1),
        (pnm(4, BITS, comment=" # from a fax"), 1 - BITS, 1),
        (pnm(2, GRAY), GRAY / 255, 8),
        (pnm(5, GRAY // 16, 15), GRAY // 16 / 15, 4),
        (pnm(3, COLOR, comment="\n# two\n# lines"), COLOR / 255, 8),
        (pnm(6, COLOR), COLOR / 255, 8),
        (pnm(5, noisy(dtype=np.uint16)[..., 0], 65535), noisy(dtype=np.uint16)[..., 0] / 65535, 16),
        (pnm(6, noisy(dtype=np.uint16) // 16, 4095), noisy(dtype=np.uint16) // 16 / 4095, 12),
        (file_of(Image.fromarray(COLOR), "BMP"), COLOR / 255, 8),
        (file_of(Image.fromarray(GRAY), "BMP"), GRAY / 255, 8),
        (file_of(Image.fromarray(BITS), "BMP"), BITS, 1),
        (file_of(Image.fromarray(GRAY), "GIF"), GRAY / 255, 8),
    ],
)
def test_pixels_arrive_at_full_depth(data, expected, bits):
    picture = open_image(data)
    pixels = picture.pixels.permute(1, 2, 0).squeeze(-1).numpy()
    if pixels.ndim > expected.ndim:  # a bilevel BMP has a palette of black and white
        pixels = pixels[..., 0]
    assert np.abs(pixels - expected).max() < 1e-6
    facts = describe_image(data)
    assert facts["format"] in ("BMP", "GIF", "PPM")
    assert facts["bits"] in (bits, 8)
    assert picture.metadata.bits == (16 if bits > 8 else 8)


def test_gif_palette_transparency_and_first_frame():
    frames = [Image.new("RGBA", (4, 2), color) for color in ((200, 0, 0, 255), (0, 0, 200, 255))]
    frames[0].putpixel((0, 0), (0, 0, 0, 0))
    data = file_of(frames[0], "GIF", save_all=True, append_images=frames[1:], disposal=2)
    picture = open_image(data)
    assert picture.metadata.frames == describe_image(data)["frames"] == 2
    assert (picture.pixels[:, 1, 1] * 255).round().tolist() == [200, 0, 0]
    assert picture.metadata.alpha.tolist() == [[0, 1, 1, 1], [1, 1, 1, 1]]


@pytest.mark.parametrize("format", ["BMP", "GIF", "PPM"])
def test_sizes_are_checked_before_decoding(format, recwarn):
    data = bytearray(file_of(Image.fromarray(smooth()), format))
    assert open_image(bytes(data), max_pixels=960).size == (40, 24)
    with pytest.raises(ImageError, match="claims 40 × 24 pixels, more than the limit of 959"):
        open_image(bytes(data), max_pixels=959)
    if format == "BMP":
        data[18:26] = struct.pack("<ii", 60_000, -60_000)
    elif format == "GIF":  # the picture reaches far beyond the screen
        place = data.index(b",\0\0\0\0")
        data[place + 5 : place + 9] = struct.pack("<HH", 60_000, 60_000)
    else:
        data = bytearray(b"P6 60000 60000 255\n" + bytes(99))
    with pytest.raises(ImageError, match="60,000 × 60,000 pixels, more than the limit"):
        open_image(bytes(data))
    assert not recwarn.list


@pytest.mark.parametrize("format", ["BMP", "GIF", "PPM"])
@pytest.mark.parametrize("part", [0.01, 0.3, 0.9])
def test_a_file_cut_short_is_refused(format, part, capfd):
    data = file_of(Image.fromarray(noisy(96, 96)), format)
    with pytest.raises(ImageError, match=r"cut short|not in a format"):
        open_image(data[: int(len(data) * part)])
    assert capfd.readouterr() == ("", "")


def test_samples_above_the_maximum_are_refused():
    with pytest.raises(ImageError, match="its pixels are cut short or broken"):
        open_image(pnm(5, GRAY, 100))


@pytest.mark.parametrize("data", [b"BMW is a make of cars.", b"P5 is a magic number.", b"P7\n1 1"])
def test_text_that_begins_alike_is_no_picture(data):
    with pytest.raises(ImageError, match="not in a format that impasto knows"):
        open_image(data)


def test_colors_that_a_bmp_states():
    plain = file_of(Image.fromarray(COLOR), "BMP")
    rows, profile = plain[54:], rgb_profile("Display P3")
    end = 14 + 124 + len(rows)

    def bmp(kind, numbers=bytes(48)):
        head = struct.pack("<IiiHHIIIIII", 124, 13, 9, 1, 24, 0, len(rows), 0, 0, 0, 0)
        head += bytes(16) + kind + numbers
        head += struct.pack("<IIII", 4, end - 14, len(profile), 0)
        return b"BM" + struct.pack("<III", end + len(profile), 0, 138) + head + rows + profile

    assert np.allclose(open_image(bmp(b"BGRs")).pixels.permute(1, 2, 0), COLOR / 255)
    embedded = open_image(bmp(b"DEBM")).pixels.permute(1, 2, 0).numpy()
    assert np.abs(embedded - expected_srgb(COLOR / 255, "Display P3")).max() < 2e-3
    srgb_ends = [0.4124, 0.2126, 0.0193, 0.3576, 0.7152, 0.1192, 0.1805, 0.0722, 0.9505]
    numbers = [round(value * 2**30) for value in srgb_ends] + 3 * [round(1.8 * 65536)]
    stated = open_image(bmp(bytes(4), struct.pack("<12I", *numbers))).pixels.permute(1, 2, 0)
    light = (COLOR / 255) ** 1.8
    expected = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    assert np.abs(stated.numpy() - expected).max() < 2e-3


@pytest.mark.parametrize("ending", [".gif", ".bmp", ".ppm"])
def test_none_of_them_is_written(ending, tmp_path):
    with pytest.raises(ValueError, match=r"`output` must end in \.png"):
        check_output(tmp_path / f"a{ending}")
