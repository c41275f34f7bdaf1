"""TIFFs whose tags and pixels contradict each other: sizes, depth, strips that are not there."""

from __future__ import annotations

import contextlib
import io
import struct

import imagecodecs
import numpy as np
import pytest
import tifffile
from image_makers import chunk, file_of, noisy, smooth
from PIL import Image

from impasto import ImageError
from impasto.images.read import open_image
from impasto.images.tiff_read import open_stack

SAMPLES = smooth(24, 40)


def lossless(encode, **options):
    return lambda array: encode(array, **options)


# TIFF's number of a compression -> how to encode a strip, and the greatest error of it.
CODECS = {
    "JPEG": (7, lossless(imagecodecs.jpeg8_encode, level=99), 12),
    "JPEG 2000": (34712, lossless(imagecodecs.jpeg2k_encode, level=0, codecformat="J2K"), 0),
    "JP2": (33005, lossless(imagecodecs.jpeg2k_encode, level=0), 0),
    "JPEG XR": (22610, lossless(imagecodecs.jpegxr_encode, level=1.0), 0),
    "LERC": (34887, imagecodecs.lerc_encode, 0),
    "PNG": (34933, imagecodecs.png_encode, 0),
    "WebP": (50001, lossless(imagecodecs.webp_encode, lossless=True), 0),
    "JPEG XL": (50002, lossless(imagecodecs.jpegxl_encode, lossless=True), 0),
    "JPEG XL in boxes": (
        52546,
        lossless(imagecodecs.jpegxl_encode, lossless=True, usecontainer=True),
        0,
    ),
}


def tiff_of(
    strips: list[bytes],
    compression: int,
    size: tuple[int, int],
    *,
    rows: int | None = None,
    bits: int = 8,
    channels: int = 3,
    pages: int = 1,
) -> bytes:
    """A TIFF of given strips, whatever they hold; each page has the same."""
    width, height = size
    data = b"II*\0"
    places, body = [], b""
    for strip in strips:
        places.append(8 + len(body))
        body += strip + bytes(len(strip) % 2)
    first = 8 + len(body)
    data += struct.pack("<I", first) + body

    def entry(code: int, kind: int, values: list[int], place: int) -> tuple[bytes, bytes]:
        packed = struct.pack(f"<{len(values)}{'HI'[kind == 4]}", *values)
        head = struct.pack("<HHI", code, kind, len(values))
        if len(packed) <= 4:
            return head + packed.ljust(4, b"\0"), b""
        return head + struct.pack("<I", place), packed

    tags = {
        256: (4, [width]),
        257: (4, [height]),
        258: (3, [bits] * channels),
        259: (3, [compression]),
        262: (3, [2 if channels == 3 else 1]),
        273: (4, places),
        277: (3, [channels]),
        278: (4, [rows or height]),
        279: (4, [len(strip) for strip in strips]),
        284: (3, [1]),
    }
    for page in range(pages):
        start = len(data)
        extra, entries = b"", b""
        behind = start + 2 + 12 * len(tags) + 4
        for code, (kind, values) in tags.items():
            head, packed = entry(code, kind, values, behind + len(extra))
            entries += head
            extra += packed
        last = page == pages - 1
        following = 0 if last else behind + len(extra)
        data += struct.pack("<H", len(tags)) + entries + struct.pack("<I", following) + extra
    return data


def codes(picture) -> np.ndarray:
    return (picture.pixels * 255).round().permute(1, 2, 0).numpy().astype(np.int64)


@pytest.mark.parametrize("codec", CODECS)
def test_pictures_inside_a_tiff_are_read(codec):
    compression, encode, error = CODECS[codec]
    picture = open_image(tiff_of([encode(SAMPLES)], compression, (40, 24)))
    assert np.abs(codes(picture) - SAMPLES).max() <= error
    halves = [encode(SAMPLES[:16].copy()), encode(SAMPLES[16:].copy())]
    picture = open_image(tiff_of(halves, compression, (40, 24), rows=16))
    assert np.abs(codes(picture) - SAMPLES).max() <= error


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize(
    "shape", [(480, 800), (24, 20), (12, 80), (40, 24), (23, 40), (26, 40)], ids=str
)
def test_a_picture_of_another_size_inside_a_tiff_is_refused(codec, shape, tmp_path):
    compression, encode, _ = CODECS[codec]
    strip = encode(noisy(*shape))
    data = tiff_of([strip], compression, (40, 24))
    with pytest.raises(ImageError, match=rf"holds {shape[1]} × {shape[0]} pixels.*, not 40 × 24"):
        open_image(data)
    # The same in the second page of a stack.
    path = tmp_path / "a.tif"
    path.write_bytes(tiff_of([strip], compression, (40, 24), pages=2))
    with pytest.raises(ImageError, match=rf"holds {shape[1]} × {shape[0]} pixels"):
        open_stack(path)


@pytest.mark.parametrize("codec", ["JPEG 2000", "JPEG XR", "LERC", "PNG", "JPEG XL"])
def test_a_picture_of_another_depth_inside_a_tiff_is_refused(codec):
    compression, encode, _ = CODECS[codec]
    data = tiff_of([encode(SAMPLES.astype(np.uint16) << 8)], compression, (40, 24))
    with pytest.raises(ImageError, match="its pixels are uint16, not the uint8 it claims"):
        open_image(data)


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_numbers_beyond_the_bits_they_claim_are_refused(bits, tmp_path):
    samples = noisy(24, 40, 1, np.uint16)[..., 0]
    path = tmp_path / "a.tif"
    size = {"size": (40, 24), "bits": bits, "channels": 1}
    path.write_bytes(tiff_of([imagecodecs.png_encode(samples)], 34933, **size))
    for open_file in (open_image, open_stack):
        with pytest.raises(ImageError, match=rf"go up to 65,\d+, more than the {bits} bits"):
            open_file(path)
    samples >>= 16 - bits
    path.write_bytes(tiff_of([imagecodecs.png_encode(samples)], 34933, **size))
    assert np.array_equal(open_stack(path).read_raw(()), samples)


@pytest.mark.parametrize(
    ("compression", "encode"),
    [
        (5, imagecodecs.lzw_encode),
        (8, imagecodecs.deflate_encode),
        (32773, lambda data: bytes([129, 0]) * (len(data) // 128)),
        (34925, imagecodecs.lzma_encode),
        (50000, imagecodecs.zstd_encode),
    ],
)
def test_a_stream_that_unpacks_to_far_more_takes_no_more_memory(compression, encode):
    tracemalloc = pytest.importorskip("tracemalloc")
    data = tiff_of([encode(bytes(1 << 24))], compression, (40, 24))
    tracemalloc.start()
    try:
        open_image(data)
    except ImageError as error:
        assert "its pixels are cut short or broken" in str(error)  # noqa: PT017
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 << 20


@pytest.mark.parametrize("compression", [1, 5, 8, 32773, 34933])
@pytest.mark.parametrize("height", [25, 5000, 8_000_000])
def test_fewer_strips_than_rows_are_refused(compression, height, tmp_path):
    encode = tifffile.TIFF.COMPRESSORS[compression]
    strip = encode(SAMPLES) if compression > 1 else SAMPLES.tobytes()
    path = tmp_path / "a.tif"
    path.write_bytes(tiff_of([strip], compression, (40, height), rows=24))
    with pytest.raises(ImageError, match="it is cut short: it has 1 of"):
        open_image(path)
    with pytest.raises(ImageError, match="it is cut short: it has 1 of"):
        open_stack(path)


def test_more_samples_than_memory_holds_are_refused(tmp_path):
    path = tmp_path / "a.tif"
    path.write_bytes(tiff_of([b"\0"], 8, (33_000, 200), channels=5000))
    with pytest.raises(ImageError, match=r"33,000,000,000 numbers a page, more than"):
        open_stack(path)
    with pytest.raises(ImageError, match="it has 5000 channels, more than 8"):
        open_image(path)


def test_compressions_that_are_not_read_are_named():
    with pytest.raises(ImageError, match="its compression is PIXARLOG, which impasto does not"):
        open_image(tiff_of([b"\0" * 99], 32909, (40, 24)))


@pytest.mark.parametrize("frames", [2, 50])
def test_films_inside_a_tiff_are_refused(frames):
    film = imagecodecs.jpegxl_encode(np.stack([SAMPLES] * frames), lossless=True)
    with pytest.raises(ImageError, match="its pixels are cut short or broken"):
        open_image(tiff_of([film], 50002, (40, 24)))


def test_chunks_of_a_png_inside_a_tiff_are_left_out(capfd):
    png = imagecodecs.png_encode(SAMPLES)
    png = png[:33] + chunk(b"iCCP", b"x\0\0broken") + chunk(b"zTXt", b"broken") + png[33:]
    assert np.array_equal(codes(open_image(tiff_of([png], 34933, (40, 24)))), SAMPLES)
    assert capfd.readouterr() == ("", "")


def sparse(left_out: list[int], side: int = 64, empty: tuple[int, int] = (0, 0)) -> bytes:
    """A TIFF in tiles of 16 × 16, some of which are left out."""
    file = io.BytesIO()
    samples = np.full((side, side), 7, np.uint8)
    tifffile.imwrite(file, samples, tile=(16, 16), compression="deflate", photometric="minisblack")
    file.seek(0)
    with tifffile.TiffFile(file, mode="r+") as tiff:
        for code, value in zip(("TileOffsets", "TileByteCounts"), empty, strict=True):
            values = list(tiff.pages[0].tags[code].value)
            for index in left_out:
                values[index] = value
            tiff.pages[0].tags[code].overwrite(values)
    return file.getvalue()


def test_tiles_that_are_left_out_are_black():
    picture = codes(open_image(sparse([0, 5])))
    assert picture[:16, :16].max() == picture[16:32, 16:32].max() == 0
    assert (picture == 7).sum() == 64 * 64 - 2 * 16 * 16


def test_tiles_that_are_nearly_all_left_out_are_refused():
    with pytest.raises(ImageError, match="only 0 of its 16 tiles are in it"):
        open_image(sparse(list(range(16))))
    for empty in ((0, 5), (8, 0)):
        with pytest.raises(ImageError, match="it is cut short: some of its tiles are empty"):
            open_image(sparse([3], empty=empty))


def test_what_pillow_writes_into_tiffs_is_read():
    image = Image.fromarray(SAMPLES)
    for compression in ("jpeg", "tiff_lzw", "tiff_adobe_deflate", "packbits"):
        data = file_of(image, "TIFF", compression=compression)
        assert np.abs(codes(open_image(data)) - SAMPLES).max() < 30


UNKNOWN_TAG = imagecodecs.jpegxr_encode(SAMPLES, level=1.0).replace(b"\x01\xbc", b"\x43\xbc", 1)


@pytest.mark.parametrize(
    ("strip", "compression", "options"),
    [
        (bytes(960), 3, {"bits": 8, "channels": 1}),
        (bytes(960), 4, {"bits": 8}),
        (bytes(7000), 6, {"channels": 7}),
        (UNKNOWN_TAG, 22610, {}),
        (imagecodecs.jpeg8_encode(SAMPLES)[:300], 7, {}),
        (imagecodecs.png_encode(SAMPLES)[:300], 34933, {}),
        (imagecodecs.jpeg2k_encode(SAMPLES)[:300], 34712, {}),
        (imagecodecs.jpegxr_encode(SAMPLES, level=1.0)[:300], 22610, {}),
        (imagecodecs.webp_encode(SAMPLES)[:100], 50001, {}),
    ],
)
def test_decoders_write_nothing_to_the_terminal(strip, compression, options, capfd):
    with contextlib.suppress(ImageError):
        open_image(tiff_of([strip], compression, (40, 24), **options))
    assert capfd.readouterr() == ("", "")
