"""Small files that claim to be large, or make their decoder work over and over."""

from __future__ import annotations

import re
import struct

import numpy as np
import pytest
from image_makers import file_of, noisy, smooth
from PIL import Image

from impasto import ImageError
from impasto.images.read import open_image


def claiming(jpeg: bytes, width: int, height: int) -> bytes:
    """A JPEG with another size in its header."""
    frame = re.search(rb"\xff[\xc0\xc2]..\x08", jpeg, re.S).end()
    return jpeg[:frame] + struct.pack(">HH", height, width) + jpeg[frame + 4 :]


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_too_short_for_its_size_is_refused_before_it_is_decoded(progressive):
    jpeg = file_of(Image.fromarray(smooth()), "JPEG", progressive=progressive)
    with pytest.raises(ImageError, match=r"bytes cannot hold 20,000 × 20,000 pixels"):
        open_image(claiming(jpeg, 20_000, 20_000))


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_a_jpeg_of_one_color_is_long_enough(progressive, mode):
    image = Image.new(mode, (2000, 1000))
    jpeg = file_of(image, "JPEG", progressive=progressive, optimize=True, quality=1)
    assert open_image(jpeg).size == (2000, 1000)


def test_a_jpeg_of_very_many_scans_is_refused():
    jpeg = file_of(Image.fromarray(smooth()), "JPEG", progressive=True)
    scans = jpeg[jpeg.index(b"\xff\xda") : -2]
    with pytest.raises(ImageError, match=r"it has [\d,]+ scans, more than 64"):
        open_image(jpeg[:-2] + 100 * scans + jpeg[-2:])


@pytest.mark.parametrize("side", [5000, 16_384])
def test_a_webp_far_larger_than_its_first_frame_is_refused(side):
    frames = [Image.fromarray(noisy()), Image.fromarray(noisy()[::-1].copy())]
    webp = bytearray(file_of(frames[0], "WEBP", save_all=True, append_images=frames[1:]))
    assert np.array_equal(open_image(bytes(webp)).size, (13, 9))
    place = webp.index(b"VP8X") + 12
    webp[place : place + 6] = (side - 1).to_bytes(3, "little") * 2
    with pytest.raises(ImageError, match="its first frame is 13 × 9, far smaller than the"):
        open_image(bytes(webp))
