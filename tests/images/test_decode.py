"""Full depth: 16-bit PNG and TIFF, floats, 10- and 12-bit AVIF, and the many kinds of TIFF."""

from __future__ import annotations

import base64
import contextlib
import io
import logging
import struct
import zlib

import imagecodecs
import numpy as np
import pytest
import tifffile
import torch
from image_makers import file_of, interlaced, noisy, with_chunk
from PIL import Image

from impasto import ImageError
from impasto.images.read import open_image


def tiff(array: np.ndarray, **options) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, array, **options)
    return file.getvalue()


def codes(picture, maximum: int = 65535) -> np.ndarray:
    return (picture.pixels.double() * maximum).round().permute(1, 2, 0).numpy().astype(np.int64)


def opacity(picture, maximum: int = 65535) -> np.ndarray:
    return (picture.metadata.alpha.double() * maximum).round().numpy().astype(np.int64)


def test_all_65536_codes_survive():
    every = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    for data in (imagecodecs.png_encode(every), tiff(every, photometric="minisblack")):
        picture = open_image(data)
        assert picture.metadata.bits == 16
        assert np.array_equal(codes(picture)[..., 0], every)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_sixteen_bit_png(channels, capfd):
    samples = noisy(channels=channels, dtype=np.uint16)
    colors = 3 if channels >= 3 else 1
    plain = imagecodecs.png_encode(samples[..., 0] if channels == 1 else samples)
    for data in (plain, interlaced(samples), interlaced(samples[:1, :3])):
        picture = open_image(data)
        height, width = picture.pixels.shape[1:]
        assert np.array_equal(codes(picture), samples[:height, :width, :colors])
        assert picture.metadata.bits == 16
        if channels in (2, 4):
            assert np.array_equal(opacity(picture), samples[:height, :width, -1])
        else:
            assert picture.metadata.alpha is None
    assert capfd.readouterr() == ("", "")


def test_sixteen_bit_png_with_a_transparent_color(capfd):
    samples = noisy(channels=3, dtype=np.uint16)
    clear = samples[2, 3].astype(">u2").tobytes()
    for data in (imagecodecs.png_encode(samples), interlaced(samples)):
        picture = open_image(with_chunk(data, b"tRNS", clear))
        assert np.array_equal(codes(picture), samples)
        assert picture.metadata.alpha[2, 3] == 0
        assert picture.metadata.alpha.sum() == 9 * 13 - 1
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("compression", [None, "lzw", "zlib", "packbits"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("order", ["<", ">"])
def test_tiff_layouts(compression, planar, dtype, order):
    samples = noisy(33, 21, dtype=dtype)
    stored = np.moveaxis(samples, -1, 0) if planar == "separate" else samples
    data = tiff(
        stored,
        photometric="rgb",
        planarconfig=planar,
        compression=compression,
        byteorder=order,
        rowsperstrip=8,
    )
    picture = open_image(data)
    assert np.array_equal(codes(picture, np.iinfo(dtype).max), samples)
    assert picture.metadata.bits == samples.itemsize * 8


def test_tiff_tiles_and_big_tiff():
    samples = noisy(40, 50, dtype=np.uint16)
    tiled = open_image(tiff(samples, photometric="rgb", tile=(16, 16), compression="zlib"))
    assert np.array_equal(codes(tiled), samples)
    big = open_image(tiff(samples, photometric="rgb", bigtiff=True, resolution=(300, 300)))
    assert np.array_equal(codes(big), samples)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_tiff_where_white_is_zero(dtype):
    samples = noisy(channels=1, dtype=dtype)[..., 0]
    maximum = np.iinfo(dtype).max
    picture = open_image(tiff(samples, photometric="miniswhite"))
    assert np.array_equal(codes(picture, maximum)[..., 0], maximum - samples.astype(np.int64))


def test_tiff_palette():
    image = Image.new("P", (3, 1))
    image.putpalette([255, 0, 0, 0, 128, 0, 1, 2, 3])
    image.putdata([0, 1, 2])
    picture = open_image(file_of(image, "TIFF"))
    assert codes(picture, 255).tolist() == [[[255, 0, 0], [0, 128, 0], [1, 2, 3]]]
    assert picture.metadata.bits == 8


def test_tiff_of_one_bit_and_of_fax():
    bits = (noisy(channels=1)[..., 0] > 128).astype(np.uint8)
    image = Image.fromarray(bits * 255).convert("1")
    for compression in (None, "group4", "packbits"):
        picture = open_image(file_of(image, "TIFF", compression=compression))
        assert np.array_equal(codes(picture, 1)[..., 0], bits)


def test_tiff_of_twelve_packed_bits():
    samples = noisy(8, 8, channels=1, dtype=np.uint16)[..., 0] & 4095
    high, low = samples[:, ::2].astype(np.int64), samples[:, 1::2].astype(np.int64)
    packed = np.stack([high >> 4, (high & 15) << 4 | low >> 8, low & 255], -1).astype(np.uint8)
    data = tiff(np.zeros((8, 12), np.uint8), photometric="minisblack")
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        start = file.pages[0].dataoffsets[0]
    data = bytearray(data[:start] + packed.tobytes())
    stream = io.BytesIO(data)
    with tifffile.TiffFile(stream, mode="r+") as file:
        file.pages[0].tags["BitsPerSample"].overwrite(12)
        file.pages[0].tags["ImageWidth"].overwrite(8)
    picture = open_image(stream.getvalue())
    assert np.array_equal(codes(picture, 4095)[..., 0], samples)
    assert picture.metadata.bits == 16


def test_twelve_bits_kept_in_sixteen_are_read_as_sixteen():
    samples = noisy(channels=1, dtype=np.uint16)[..., 0] & 4095
    picture = open_image(tiff(samples, photometric="minisblack"))
    assert np.array_equal(codes(picture)[..., 0], samples)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floating_point_tiff(dtype):
    samples = np.random.default_rng(1).random((7, 5, 3)).astype(dtype)
    picture = open_image(tiff(samples, photometric="rgb"))
    assert np.array_equal(picture.pixels.permute(1, 2, 0).numpy(), samples.astype(np.float32))
    assert picture.metadata.bits == 32


@pytest.mark.parametrize("bad", [1.5, -0.25, float("nan"), float("inf")])
def test_floating_point_tiff_out_of_range_is_refused(bad):
    samples = np.full((4, 4, 3), 0.5, np.float32)
    samples[1, 2, 0] = bad
    with pytest.raises(ImageError, match=r"floating point samples run from .* instead of 0 to 1"):
        open_image(tiff(samples, photometric="rgb"))


@pytest.mark.parametrize("dtype", [np.uint32, np.int16, np.int8, np.complex64])
def test_other_kinds_of_tiff_samples_are_refused_by_name(dtype):
    samples = np.zeros((4, 4), dtype)
    with pytest.raises(ImageError, match=f"its samples are {np.dtype(dtype)}; save them as 8"):
        open_image(tiff(samples, photometric="minisblack"))


def test_tiff_alpha_and_other_extra_channels():
    samples = noisy(channels=4, dtype=np.uint16)
    picture = open_image(tiff(samples, photometric="rgb", extrasamples=["unassalpha"]))
    assert np.array_equal(codes(picture), samples[..., :3])
    assert np.array_equal(opacity(picture), samples[..., 3])
    other = open_image(tiff(samples, photometric="rgb", extrasamples=["unspecified"]))
    assert np.array_equal(codes(other), samples[..., :3])
    assert other.metadata.alpha is None


def test_tiff_colors_multiplied_by_alpha_are_divided():
    alpha = np.full((4, 4, 1), 32768, np.uint16)
    samples = np.concatenate([np.full((4, 4, 3), 16384, np.uint16), alpha], -1)
    picture = open_image(tiff(samples, photometric="rgb", extrasamples=["assocalpha"]))
    assert np.allclose(picture.pixels.numpy(), 0.5, atol=1e-4)


def test_tiff_of_ycbcr_and_of_jpeg():
    image = Image.new("RGB", (32, 32), (200, 100, 50))
    for data in (
        file_of(image.convert("YCbCr"), "TIFF"),
        file_of(image, "TIFF", compression="jpeg", quality=95),
        tiff(np.asarray(image), photometric="rgb", compression="jpeg"),
    ):
        pixels = open_image(data).pixels
        assert pixels[:, 16, 16].tolist() == pytest.approx(
            [v / 255 for v in (200, 100, 50)], abs=0.02
        )


# 24 × 16 pixels, by `cjpeg -arithmetic -quality 90`, and the same with `-progressive`.
ARITHMETIC = (
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAMCAgMCAgMDAwMEAwMEBQgFBQQEBQoHBwYIDAoMDAsKCwsNDhIQDQ4RDgsL"
    "EBYQERMUFRUVDA8XGBYUGBIUFRT/"
)
SEQUENTIAL = (
    "yQALCAAQABgBAREA/8wABgAQEAX/2gAIAQEAAD8A/wDpcpxlfTgnnWMaiiW+tCggKCbMEXNW5NRuNFti/lBqt4QlOqo+"
    "gxwFo0AsISBSyq4UBkK98H1xSK2OQBaD0nX1W1vjxb7oqWCYNUDQlCA8ok7JoHwhoP/Z"
)
PROGRESSIVE = (
    "ygALCAAQABgBAREA/8wABAAQ/9oACAEBAAAAAf8A0tKGokQKsBL/zAAEEAX/2gAIAQEAAQUCFiQyiIiT75FANpsL/Mum"
    "qE7/zAAEEAX/2gAIAQEABj8CAuP5YbT3Ap8oNeGnAlldWNCrVqD/zAAEEAX/2gAIAQEAAT8h1hFF1aSISbwRD4DPr7z/"
    "2gAIAQEAAAAQ7P/MAAQQBf/aAAgBAQABPxBMfFubtef3EDZDdXkMLsp4/9k="
)


@pytest.mark.parametrize("coded", [SEQUENTIAL, PROGRESSIVE])
def test_jpegs_in_arithmetic_codes(coded, capfd):
    jpeg = base64.b64decode(ARITHMETIC + coded)
    y, x = np.mgrid[:16, :24]
    expected = (9 * x + 5 * y) % 256
    assert np.abs(codes(open_image(jpeg), 255) - expected[..., None]).max() <= 9
    # Pillow hands a file over in parts of 64 KB, which cut the codes in two.
    comment = b"\xff\xfe" + struct.pack(">H", 65536 - len(jpeg)) + bytes(65534 - len(jpeg))
    for place in (30, 60):
        long = jpeg[:2] + comment + b"\xff\xfe" + struct.pack(">H", place) + bytes(place - 2)
        long += jpeg[2:]
        assert torch.equal(open_image(long).pixels, open_image(jpeg).pixels)
        opened = Image.open(io.BytesIO(long))
        assert torch.equal(open_image(opened).pixels, open_image(jpeg).pixels)
    file = io.BytesIO()
    tifffile.imwrite(file, iter([jpeg]), shape=(16, 24), dtype="uint8", compression=7)
    assert torch.equal(open_image(file.getvalue()).pixels, open_image(jpeg).pixels)
    tag = struct.pack("<HHII", 259, 3, 1, 7)
    old = file.getvalue().replace(tag, tag[:-4] + struct.pack("<I", 6))
    with pytest.raises(ImageError, match="old JPEG compression holds an arithmetic-coded JPEG; sa"):
        open_image(old)
    assert capfd.readouterr() == ("", "")


def test_a_png_strip_with_a_wrong_checksum_is_refused_in_silence(capfd):
    data = bytearray(tiff(noisy(), photometric="rgb", compression="png"))
    end = data.index(b"IEND") - 4
    (length,) = struct.unpack(">I", data[data.index(b"IDAT") - 4 : data.index(b"IDAT")])
    start = data.index(b"IDAT") + 4
    data[start + length - 1] ^= 1
    data[start + length : start + length + 4] = struct.pack(
        ">I", zlib.crc32(data[start - 4 : start + length])
    )
    assert end == start + length + 4
    with pytest.raises(ImageError, match="cut short or broken"):
        open_image(bytes(data))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("field", [8, 9, 10, 11, 12])
def test_a_png_header_that_lies_is_refused_in_silence(field, capfd):
    data = bytearray(imagecodecs.png_encode(noisy().astype(np.uint16) * 257))
    start = data.index(b"IHDR") + 4
    data[start + field] = 16 if field == 9 else 7
    data[start + 13 : start + 17] = struct.pack(">I", zlib.crc32(data[start - 4 : start + 13]))
    with pytest.raises(ImageError, match="must be a readable picture"):
        open_image(bytes(data))
    # A library's record without a handler goes to stderr; pytest has one, so it is asked itself.
    assert logging.getLogger("imagecodecs").handlers
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("compression", ["group3", "group4", "tiff_ccitt"])
def test_a_broken_fax_is_silent(compression, capfd):
    bits = (noisy(channels=1)[..., 0] > 128).astype(np.uint8)
    data = bytearray(
        file_of(Image.fromarray(bits * 255).convert("1"), "TIFF", compression=compression)
    )
    with tifffile.TiffFile(io.BytesIO(bytes(data))) as file:
        start, length = file.pages[0].dataoffsets[0], file.pages[0].databytecounts[0]
    for seed in range(30):
        broken = data.copy()
        places = np.random.default_rng(seed).integers(start, start + length, 3)
        for place in places:
            broken[place] ^= 1 << seed % 8
        with contextlib.suppress(ImageError):
            open_image(bytes(broken))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("across", "down"), [(1, 1), (2, 2), (4, 2)])
def test_ycbcr_of_fewer_chroma_samples(across, down, capfd):
    rows, columns = 8, 16
    luma = noisy(rows, columns, channels=1)[..., 0]
    blocks = luma.reshape(rows // down, down, columns // across, across).swapaxes(1, 2)
    blocks = blocks.reshape(rows // down, columns // across, across * down)
    gray = np.full((*blocks.shape[:2], 2), 128, np.uint8)  # without color
    stored = imagecodecs.lzw_encode(np.concatenate([blocks, gray], -1).tobytes())
    file = io.BytesIO()
    options = {"photometric": "ycbcr", "compression": "lzw", "rowsperstrip": rows}
    with tifffile.TiffWriter(file) as writer:
        writer.write(iter([stored]), shape=(rows, columns, 3), dtype="uint8", **options)
    file.seek(0)
    with tifffile.TiffFile(file, mode="r+") as stored_file:
        stored_file.pages[0].tags[530].overwrite((across, down))
    data = file.getvalue()
    assert np.array_equal(codes(open_image(data), 255), np.repeat(luma[..., None], 3, -1))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        start, length = file.pages[0].dataoffsets[0], file.pages[0].databytecounts[0]
    broken = bytearray(data)
    broken[start + length // 2 : start + length] = b"\xff" * (length - length // 2)
    with pytest.raises(ImageError, match="cut short or broken"):
        open_image(bytes(broken))
    assert capfd.readouterr() == ("", "")


def test_sixteen_bit_cmyk_tiff():
    inks = np.zeros((2, 2, 4), np.uint16)
    inks[0, 0] = (65535, 0, 0, 0)
    inks[1, 1] = (0, 0, 32768, 32768)
    picture = open_image(tiff(inks, photometric="separated"))
    assert picture.pixels[:, 0, 0].tolist() == [0, 1, 1]
    half = 1 - 32768 / 65535
    assert picture.pixels[:, 1, 1].tolist() == pytest.approx([half, half, half * half])


def test_lab_raw_and_many_channels_are_refused_by_name():
    lab = file_of(Image.new("LAB", (4, 4)), "TIFF")
    with pytest.raises(ImageError, match="its colors are CIELAB"):
        open_image(lab)
    many = tiff(np.zeros((4, 4, 12), np.uint8), photometric="minisblack", planarconfig="contig")
    with pytest.raises(ImageError, match="it has 12 channels, more than 8"):
        open_image(many)


def test_the_first_page_of_a_stack_is_read():
    stack = noisy(channels=3, dtype=np.uint16).transpose(2, 0, 1)
    picture = open_image(tiff(stack, photometric="minisblack"))
    assert np.array_equal(codes(picture)[..., 0], stack[0])


@pytest.mark.parametrize("bits", [10, 12])
def test_deep_avif(bits):
    x = np.linspace(0, 2**bits - 1, 256)
    samples = np.rint(np.tile(x[None, :, None], (16, 1, 3))).astype(np.uint16)
    data = imagecodecs.avif_encode(samples, level=100, bitspersample=bits, pixelformat="444")
    picture = open_image(data)
    assert picture.metadata.bits == 16
    assert np.abs(codes(picture, 2**bits - 1) - samples).max() <= 1


@pytest.mark.parametrize("interlaced_too", [False, True])
def test_a_transparent_color_beside_opacity_is_silent(interlaced_too, capfd):
    deep = noisy(channels=4, dtype=np.uint16)
    png = interlaced(deep) if interlaced_too else imagecodecs.png_encode(deep)
    open_image(with_chunk(png, b"tRNS", b"\0\1\0\1\0\1"))
    assert capfd.readouterr().err == ""
