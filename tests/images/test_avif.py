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
from impasto.images.av1 import read_stream
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
    assert read_stream(b"\x12\0") is None
    with pytest.raises(IndexError):
        read_stream(b"\x0a\x0b\0")


def bits_of(*fields: tuple[int, int]) -> bytes:
    """Numbers of so many bits each, padded with the end of a unit to whole bytes."""
    text = "".join(f"{number:0{bits}b}" for bits, number in (*fields, (1, 1)) if bits)
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")


def unit(kind: int, content: bytes) -> bytes:
    """A unit of an AV1 stream with its length."""
    assert len(content) < 1 << 14
    return bytes([kind << 3 | 2, len(content) & 127 | 128, len(content) >> 7]) + content


def sequence(width=40, height=24, side_bits=16, order=0, ids=False, timing=False) -> bytes:
    """A sequence header with all that may stand before a frame's size."""
    model = (
        [(1, 1), (64, 0), (1, 0), (1, 1), (5, 4), (32, 1), (5, 6), (5, 8)] if timing else [(1, 0)]
    )
    point = [(12, 0), (5, 0)] + ([(1, 1), (5, 1), (5, 1), (1, 0)] if timing else [])
    sides = [(4, side_bits - 1)] * 2 + [(side_bits, width - 1), (side_bits, height - 1)]
    numbers = [(1, 1), (4, 5), (3, 2)] if ids else [(1, 0)]
    tools = [(3, 0), (4, 0), (1, order > 0)] + ([(2, 0)] if order else []) + [(1, 1), (1, 1)]
    rest = [(3, order - 1)] if order else []
    return unit(
        1,
        bits_of(
            (3, 0), (2, 0), *model, (1, 0), (5, 0), *point, *sides, *numbers, *tools, *rest,
            (3, 0), (1, 0), (20, 0),
        ),
    )  # fmt: skip


def frame(width, height, kind=0, side_bits=16, order=0, ids=False, timing=False, shown=1) -> bytes:
    """The header of a frame with a size of its own."""
    inter, fresh = kind in (1, 3), kind == 3 or (kind == 0 and shown)
    fields = [(1, 0), (2, kind), (1, shown)]
    fields += [] if shown and not timing else [(9, 0)] if shown else [(1, 1)]
    fields += [] if fresh else [(1, 1)]  # resilient
    fields += [(1, 0), (1, 1), (1, 0)]  # probabilities, tools for screens, whole vectors
    fields += [(10, 3)] if ids else []
    fields += [] if kind == 3 else [(1, 1)]  # a size of its own
    fields += [(order, 0)]
    fields += [(1, 1), (7, 0)] if timing else []
    fields += [] if fresh else [(8, 1)]
    fields += [(8 * order, 0)] if order and (inter or not fresh) else []
    if inter:
        fields += [(1, 0)] if order else []
        fields += [(3, 0), *([(7, 0)] if ids else [])] * 7
    return unit(6, bits_of(*fields, (side_bits, width - 1), (side_bits, height - 1), (80, 0)))


OPTIONS = [
    {},
    {"side_bits": 13},
    {"order": 7},
    {"ids": True},
    {"timing": True},
    {"order": 5, "ids": True, "timing": True},
]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("kind", [0, 1, 2, 3])
@pytest.mark.parametrize("shown", [0, 1])
def test_the_size_of_every_frame_is_read(options, kind, shown):
    stream = sequence(**options) + frame(40, 24, **options)
    other = frame(5000, 7, kind=kind, shown=shown, **options)
    assert read_stream(stream).sizes == {(40, 24)}
    assert read_stream(stream + other).sizes == {(40, 24), (5000, 7)}
    assert read_stream(stream + other).size == (5000, 7)


@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("size", [(5000, 24), (40, 5000), (16384, 16384), (20, 12), (39, 24)])
@pytest.mark.parametrize("kind", [3, 6, 7])
def test_a_frame_of_another_size_than_the_picture_is_refused(frames, size, kind):
    _, data = avif(8, frames)
    place = data.index(b"mdat") + 4
    stream = sequence() + frame(*size)
    stream = stream.replace(b"\x32", bytes([kind << 3 | 2]), 1)
    stream += unit(15, bytes(len(data) - place - len(stream) - 3))  # padding
    with pytest.raises(ImageError, match=f"its pixels are {size[0]:,} × .*, not the 40 × 24 it c"):
        open_image(data[:place] + stream)


def test_streams_that_decoders_may_understand_in_two_ways_are_refused():
    with pytest.raises(ValueError, match="several pictures"):
        read_stream(sequence(order=7) + sequence(order=6))
    with pytest.raises(ValueError, match="before its sequence"):
        read_stream(frame(40, 24) + sequence())
    with pytest.raises(ValueError, match="without a frame"):
        read_stream(sequence())
    with pytest.raises(ValueError, match="too many units"):
        read_stream(b"\x12\0" * 5000)
