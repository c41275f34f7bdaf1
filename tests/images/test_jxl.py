"""JPEG XL: its header is read before a decoder sees it, its pixels at full depth."""

from __future__ import annotations

import io

import imagecodecs
import numpy as np
import pytest
from image_makers import expected_srgb, file_of, noisy, smooth
from PIL import Image

from impasto import ImageError
from impasto.images.jxl import read_jxl
from impasto.images.read import describe_image, open_image


class Bits:
    """Writes numbers bit by bit, the lowest first."""

    def __init__(self):
        self.number = self.count = 0

    def put(self, *pairs):
        for value, bits in pairs:
            self.number |= value << self.count
            self.count += bits
        return self

    def bytes(self):
        return self.number.to_bytes(self.count // 8 + 8, "little")


def header(*fields):
    """The start of a JPEG XL of 40 × 24 pixels whose further fields are given."""
    return Bits().put((0x0AFF, 16), (1, 1), (2, 5), (0, 3), (4, 5), *fields).bytes()


# Not all as mostly, no further fields; 8 bits; 16-bit buffers; no extra channels; not XYB.
PLAIN = ((0, 1), (0, 1), (0, 3), (1, 1), (0, 2), (0, 1))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_pixels_arrive_at_full_depth(channels, dtype):
    samples = noisy(24, 40, channels, dtype)
    data = imagecodecs.jpegxl_encode(samples[..., 0] if channels == 1 else samples, lossless=True)
    picture, facts = open_image(data), describe_image(data)
    stored = samples / np.iinfo(dtype).max
    colors = stored[..., : channels - 1] if channels in (2, 4) else stored
    if dtype == np.uint16:  # of which the encoder states that they are linear
        colors = np.where(colors <= 0.0031308, 12.92 * colors, 1.055 * colors ** (1 / 2.4) - 0.055)
    assert np.abs(picture.pixels.permute(1, 2, 0).numpy() - colors).max() < 1e-6
    assert (picture.metadata.alpha is not None) == (channels in (2, 4))
    if picture.metadata.alpha is not None:
        assert np.abs(picture.metadata.alpha.numpy() - stored[..., -1]).max() < 1e-6
    assert (facts["format"], facts["size"]) == ("JXL", [40, 24])
    assert facts["bits"] == picture.metadata.bits == 8 * samples.itemsize
    curve = "BT.709, linear" if dtype == np.uint16 else "sRGB"
    assert facts["color_space"] == f"{curve} (JPEG XL)"


@pytest.mark.parametrize("size", [(8, 8), (256, 256), (257, 300), (1000, 30), (17, 5000)])
@pytest.mark.parametrize("lossless", [False, True])
def test_every_form_of_size(size, lossless):
    samples = np.zeros((*size[::-1], 3), np.uint8)
    data = imagecodecs.jpegxl_encode(samples, lossless=lossless)
    assert read_jxl(data).size == open_image(data).size == size


def test_a_packed_jpeg_is_read():
    jpeg = file_of(Image.fromarray(smooth()), "JPEG", quality=95)
    difference = open_image(imagecodecs.jpegxl_encode_jpeg(jpeg)).pixels - open_image(jpeg).pixels
    assert float(difference.abs().max()) < 0.02


def test_too_many_pixels_are_refused_before_decoding():
    data = imagecodecs.jpegxl_encode(smooth())
    with pytest.raises(ImageError, match="claims 40 × 24 pixels, more than the limit of 959"):
        open_image(data, max_pixels=959)
    # 2³⁰ by 2³⁰ pixels, which no decoder is asked for
    side = ((3, 2), (2**30 - 1, 30))
    huge = Bits().put((0x0AFF, 16), (0, 1), *side, (0, 3), *side, (1, 1)).bytes()
    with pytest.raises(ImageError, match="more than the limit of 500,000,000"):
        open_image(huge)


@pytest.mark.parametrize("part", [0.001, 0.3, 0.9])
def test_a_file_cut_short_is_refused(part, capfd):
    data = bytes(imagecodecs.jpegxl_encode(noisy(96, 96), lossless=True))
    with pytest.raises(ImageError, match="cut short"):
        open_image(data[: max(3, int(len(data) * part))])
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (((0, 1), (1, 1), (0, 3), (0, 1), (0, 1), (1, 1)), "it is an animation"),
        ((*PLAIN, (0, 1), (1, 1), (0, 2)), "a profile of its own"),
        ((*PLAIN, (0, 1), (0, 1), (0, 2), (2, 2), (0, 4)), "primaries of its own"),
        ((*PLAIN, (0, 1), (0, 1), (0, 2), (1, 2), (1, 2), (0, 1), (2, 2), (14, 4)), "HDR .PQ."),
        ((*PLAIN[:4], (2, 2), (1, 4), (0, 1)), "it has 3 channels besides its colors"),
    ],
)
def test_other_kinds_are_refused_by_name(fields, words):
    with pytest.raises(ImageError, match=words):
        open_image(header(*fields))


def test_an_animation_is_refused():
    frames = np.stack([smooth(), smooth()[::-1]])
    with pytest.raises(ImageError, match="it is an animation"):
        open_image(imagecodecs.jpegxl_encode(frames, lossless=True))


def test_stated_colors_and_orientation_are_in_the_header():
    p3 = read_jxl(
        header(*PLAIN, (0, 1), (0, 1), (0, 2), (1, 2), (2, 2), (9, 4), (0, 1), (2, 2), (11, 4))
    )
    assert (p3.size, p3.primaries, p3.transfer) == ((40, 24), 12, 13)
    power = read_jxl(header(*PLAIN, (0, 1), (0, 1), (1, 2), (1, 2), (1, 1), (4_545_450, 24)))
    assert (power.channels, power.transfer, power.gamma) == (1, None, 0.454545)
    turned = read_jxl(header((0, 1), (1, 1), (5, 3), (0, 3), *PLAIN[2:], (1, 1)))
    assert turned.size == (24, 40)


def test_colors_are_converted(monkeypatch):
    from impasto.images import header as module

    data = imagecodecs.jpegxl_encode(noisy(), lossless=True)
    stated = module.color_space_of_jxl(12, None, 1 / 2.2)
    monkeypatch.setattr(module, "color_space_of_jxl", lambda *_: stated)
    pixels = open_image(io.BytesIO(data)).pixels.permute(1, 2, 0).numpy()
    assert np.abs(pixels - expected_srgb(noisy() / 255, "Display P3")).max() < 5e-4
