"""AVIF's container: animations, depth, and boxes that contradict the coded stream."""

from __future__ import annotations

import contextlib
import struct

import imagecodecs
import numpy as np
import pytest
from image_makers import file_of, noisy, smooth
from PIL import Image

from impasto import ImageError
from impasto.images.av1 import sequence_header
from impasto.images.header import check_header
from impasto.images.isobmff import count_frames, read_avif
from impasto.images.read import open_image


def avif(bits: int = 8, frames: int = 1, channels: int = 3) -> tuple[np.ndarray, bytes]:
    """The first of some frames, and an AVIF of them."""
    dtype = np.uint8 if bits == 8 else np.uint16
    first = smooth(channels=channels).astype(dtype) << (bits - 8)
    samples = first if frames == 1 else np.stack([first, *[first[::-1]] * (frames - 1)])
    options = {"level": 100, "bitspersample": bits, "pixelformat": "444"}
    return first, imagecodecs.avif_encode(samples, **options)


@pytest.mark.parametrize("bits", [8, 10, 12])
@pytest.mark.parametrize("frames", [1, 2, 5])
@pytest.mark.parametrize("channels", [3, 4])
def test_the_still_picture_of_an_animation_is_read_at_its_depth(bits, frames, channels):
    first, data = avif(bits, frames, channels)
    header = check_header(data, "content", "a.avif")
    assert (header.bits, header.frames, header.stored_size) == (bits, frames, (40, 24))
    picture = open_image(data)
    codes = picture.pixels.permute(1, 2, 0).numpy() * (2**bits - 1)
    assert np.abs(codes - first[..., :3]).max() <= (2 if bits == 8 else 1.1)


def test_the_depth_is_that_of_the_picture_wherever_else_its_box_is_named():
    _, data = avif(8, 2)
    brands = data.index(b"msf1")
    data = data[:brands] + b"av1C\x81\0\x4c\0" + data[brands + 8 :]
    assert check_header(data, "content", "a.avif").bits == 8
    assert open_image(data).metadata.bits == 8


@pytest.mark.parametrize("frames", [1, 3])
def test_a_depth_that_the_stream_contradicts_is_refused(frames):
    _, data = avif(8, frames)
    place = data.index(b"av1C") + 6
    data = data[:place] + bytes([data[place] | 0x40]) + data[place + 1 :]
    with pytest.raises(ImageError, match="its pixels have 8 bits, not the 10 it claims; give"):
        open_image(data)


@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("bits", [8, 10])
def test_a_stream_larger_than_the_picture_is_refused(frames, bits):
    _, data = avif(bits, frames)
    place = data.index(b"ispe") + 8
    data = data[:place] + struct.pack(">II", 16, 16) + data[place + 8 :]
    with pytest.raises(ImageError, match="its pixels are 40 × 24, not the 16 × 16 it claims"):
        open_image(data)


def test_a_film_without_a_still_picture_is_refused():
    _, data = avif(10, 3)
    data = data.replace(b"meta", b"free", 1)
    with pytest.raises(ImageError, match="without a still picture; save its first frame as one"):
        open_image(data)


def test_every_broken_container_is_refused_in_a_sentence():
    _, data = avif(10, 2)
    rng = np.random.default_rng(3)
    end = data.index(b"mdat")
    for _ in range(100):
        broken = bytearray(data)
        for place in rng.integers(4, end, 3):
            broken[place] = rng.integers(256)
        with contextlib.suppress(ImageError):
            open_image(bytes(broken[: rng.integers(40, len(data))]), max_pixels=10_000)


def test_what_pillow_writes_is_read():
    data = file_of(Image.fromarray(noisy()), "AVIF", quality=100, subsampling="4:4:4")
    image = read_avif(data)
    assert image.size == (13, 9)
    assert image.bits == 8
    assert [stream.size for _, stream in image.streams] == [(13, 9)]
    assert count_frames(data) == 1


def test_a_stream_without_a_sequence_header_has_none():
    assert sequence_header(b"\x12\0") is None
    with pytest.raises(IndexError):
        sequence_header(b"\x0a\x0b\0")
