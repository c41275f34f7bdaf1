"""Decode files to samples at full depth, for every bit depth and kind of channel."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass, replace

import imagecodecs
import numpy as np
from PIL import Image, TiffImagePlugin

from impasto.images.coded_size import check_jpeg
from impasto.images.exif import read_directory, write_directory
from impasto.images.formats import only_pixels, png_chunk, png_chunks
from impasto.images.header import Header, image_header, repair_png_exif
from impasto.images.isobmff import still_avif
from impasto.images.jxl import read_jxl
from impasto.images.pnm import decode_pnm, pnm_header
from impasto.images.tiff_layout import (
    PALETTE,
    check_compression,
    check_picture_channels,
    palette_colors,
    tiff_channels,
)
from impasto.images.tiff_page import check_page, check_streams, decode_page
from impasto.images.unreadable import Unreadable, decoding

# Pillow's modes -> the mode with the same content that NumPy understands.
_PLAIN = {
    "1": "L",
    "La": "LA",
    "PA": "RGBA",
    "RGBa": "RGBA",
    "RGBX": "RGB",
    "YCbCr": "RGB",
    "HSV": "RGB",
}
_TIFF_COLORS = (0, 1, 2, PALETTE, 5, 6)  # photometric interpretations that are read
_MAX_SAMPLES = 8
_FAX, _OLD_JPEG = (2, 3, 4), 6  # compressions of fax machines, and JPEG as it first was
_FLOAT, _UNSIGNED = 3, 1
# The seven passes of an interlaced PNG: first column, first row, column step, row step.
_PASSES = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)


@dataclass(frozen=True, eq=False)
class Samples:
    """Decoded samples as stored: not yet turned upright, not yet in sRGB.

    Attributes:
        colors: (H, W, C) float32 in [0, 1]; C is 1 for gray, 3 for RGB, 4 for CMYK (1: full ink).
        alpha: (H, W) float32 in [0, 1]; None without an opacity channel.
        header: the header, completed by what stood behind the pixels.
    """

    colors: np.ndarray
    alpha: np.ndarray | None
    header: Header


def decode_file(data: bytes, header: Header) -> Samples:
    """Decode a file's first picture at full depth, wholly or not at all.

    Args:
        data: the whole file.
        header: what `read_header` made of it, its size already checked.

    Raises:
        Unreadable: cut short, broken, or of a kind impasto does not read.
    """
    with decoding("its pixels are cut short or broken"):
        if header.format == "TIFF":
            return _decode_tiff(data, header)
        if header.format == "JPEG":
            check_jpeg(data)
        if header.format == "PPM":
            return Samples(decode_pnm(data, pnm_header(data)), None, header)
        if header.format == "JXL":
            return _decode_jxl(data, header)
        # Pillow decodes all other files, so that broken ones are detected and what stands behind
        # the pixels is read. If it cuts the depth, the pixels are decoded again.
        samples = samples_of(header.image, header)
        if header.format == "PNG" and header.bits == 16:
            return _split_alpha(_scaled(_decode_deep_png(data), 65535), samples.header)
        if header.format == "AVIF" and header.bits > 8:
            # Of an animation of this depth, imagecodecs writes all frames into the room for one.
            deep = imagecodecs.avif_decode(still_avif(data), 0)
            if deep.shape[:2] != samples.colors.shape[:2]:
                raise Unreadable("its pixels are cut short or broken")
            return _split_alpha(_scaled(deep, 2**header.bits - 1), samples.header)
        return samples


def samples_of(image: Image.Image, header: Header | None = None) -> Samples:
    """Return the samples of an image that Pillow has open, loading it if necessary.

    Args:
        image: the image.
        header: of the file, if impasto opened it; None for an image that the caller opened.
    """
    if image.format in ("JPEG", "MPO") and (file := image.fp):
        # Of a JPEG in arithmetic codes, the decoder must have all at once, not 64 KB after 64 KB.
        image.decodermaxblock = max(image.decodermaxblock, file.seek(0, io.SEEK_END))
    image.load()
    if header is not None and header.format == "PNG":
        repair_png_exif(image)
    # Metadata behind the pixels is known only now; so is whether Pillow turned a TIFF upright.
    late = image_header(image)
    if header is None:
        header = late
    else:
        header = replace(
            header,
            exif=late.exif,
            orientation=late.orientation,
            dpi=header.dpi or late.dpi,
            xmp=header.xmp or late.xmp,
            iptc=header.iptc or late.iptc,
            color_space=header.color_space or late.color_space,
        )
    mode = _PLAIN.get(image.mode, image.mode)
    if image.mode == "P" or (image.mode in ("1", "L", "RGB") and header.alpha):
        with_alpha = "LA" if image.mode in ("1", "L") else "RGBA"
        mode = with_alpha if header.alpha else "RGB"
    if mode == "LAB":
        raise Unreadable("its colors are CIELAB, which impasto does not read")
    if mode not in ("L", "LA", "RGB", "RGBA", "CMYK", "I", "F", "I;16", "I;16L", "I;16B", "I;16N"):
        raise Unreadable(f"its mode is {mode}, which impasto does not read")
    array = np.asarray(image if mode == image.mode else image.convert(mode))
    if mode == "F":
        return _split_alpha(_unit_floats(array), header)
    if mode.startswith("I"):
        # Pillow keeps 16-bit gray in 32-bit integers, too.
        if array.size and not 0 <= array.min() <= array.max() <= 65535:
            raise Unreadable(f"its samples run from {array.min()} to {array.max()}, not 0 to 65535")
        return _split_alpha(_scaled(array, 65535), header)
    return _split_alpha(_scaled(array, 255), header, 4 if mode == "CMYK" else 3)


def _decode_jxl(data: bytes, header: Header) -> Samples:
    """Decode a JPEG XL, whose header says that it holds one picture."""
    array = imagecodecs.jpegxl_decode(data, 0, numthreads=1)
    width, height = header.stored_size
    channels = len(header.mode)
    if array.shape != (height, width, channels)[: 2 + (channels > 1)]:
        raise Unreadable("its pixels are not those that its header claims")
    if array.dtype.kind == "f":
        stored = _unit_floats(array)
    else:
        stored = _scaled(array, np.iinfo(array.dtype).max)
    samples = _split_alpha(stored, header)
    if samples.alpha is not None and read_jxl(data).premultiplied:
        opaque = np.maximum(samples.alpha, 1e-6)[..., None]
        return replace(samples, colors=np.minimum(samples.colors / opaque, 1))
    return samples


def _split_alpha(array: np.ndarray, header: Header, channels: int = 3) -> Samples:
    """Split (H, W) or (H, W, 1 to 5) into colors and alpha; `channels` is 4 for CMYK."""
    if array.ndim == 2:
        array = array[..., None]
    if array.shape[-1] in (2, channels + 1):
        return Samples(array[..., :-1], array[..., -1], header)
    return Samples(array, None, header)


def _scaled(array: np.ndarray, maximum: int) -> np.ndarray:
    """Scale integer samples to float32 in [0, 1]."""
    return array.astype(np.float32) / np.float32(maximum)


def _unit_floats(array: np.ndarray) -> np.ndarray:
    """Return floating point samples as float32; refuse values outside [0, 1]."""
    low, high = (array.min(), array.max()) if array.size else (0, 0)
    if not (low >= 0 and high <= 1):
        raise Unreadable(
            f"its floating point samples run from {low:.4g} to {high:.4g} instead of 0 to 1"
        )
    return array.astype(np.float32)


def _decode_deep_png(data: bytes) -> np.ndarray:
    """Decode a 16-bit PNG; a transparent color becomes alpha."""
    bare = only_pixels(data)  # libpng writes warnings about other chunks to the terminal
    if bare[28] == 0:
        return imagecodecs.png_decode(bare)
    # libpng warns of interlacing as well: each pass is decoded as a small PNG of its own.
    width, height = struct.unpack(">II", bare[16:24])
    samples = {0: 1, 2: 3, 4: 2, 6: 4}[bare[25]]
    stored = list(png_chunks(bare))
    # The stream holds a filter byte per row besides the pixels; a pass may end in a partial row.
    max_bytes = width * height * samples * 2 + 4 * height + 64
    compressed = b"".join(bare[a + 8 : b - 4] for kind, a, b in stored if kind == b"IDAT")
    stream = zlib.decompressobj().decompress(compressed, max_bytes)
    pixels, offset = None, 0
    for x, y, dx, dy in _PASSES:
        size = (len(range(x, width, dx)), len(range(y, height, dy)))
        if 0 in size:
            continue
        length = (size[0] * samples * 2 + 1) * size[1]
        part = imagecodecs.png_decode(
            _png_of_pass(bare, stored, size, stream[offset : offset + length])
        )
        offset += length
        if pixels is None:
            pixels = np.zeros((height, width, *part.shape[2:]), part.dtype)
        pixels[y::dy, x::dx] = part
    return pixels


def _png_of_pass(
    bare: bytes, stored: list[tuple[bytes, int, int]], size: tuple[int, int], rows: bytes
) -> bytes:
    """Wrap one pass of an interlaced PNG as a PNG without interlacing."""
    head = struct.pack(">II", *size) + bare[24:28] + b"\0"
    transparent = b"".join(bare[a:b] for kind, a, b in stored if kind == b"tRNS")
    pixels = png_chunk(b"IDAT", zlib.compress(rows, 1))
    return bare[:8] + png_chunk(b"IHDR", head) + transparent + pixels + png_chunk(b"IEND", b"")


def _decode_tiff(data: bytes, header: Header) -> Samples:
    """Decode the page of a TIFF that is the image."""
    page = header.page
    if page.samplesperpixel > _MAX_SAMPLES:
        raise Unreadable(
            f"it has {page.samplesperpixel} channels, more than {_MAX_SAMPLES}",
            "save those to be seen as RGB; `denoise` keeps all of them",
        )
    if page.imagedepth != 1:
        raise Unreadable("it is a volume, not a picture")
    header = replace(header, notes=(*header.notes, *check_picture_channels(page)))
    check_page(page, len(data))
    photometric, compression = int(page.photometric), int(page.compression)
    plain_ycbcr = photometric == 6 and compression != 7  # inside JPEG, the decoder converts it
    if compression in _FAX and (header.bits, page.samplesperpixel) != (1, 1):
        raise Unreadable(f"its fax compression has {header.bits} bits and not one")
    if header.bits <= 8 and (plain_ycbcr or compression == _OLD_JPEG):
        check_streams(page)
        return _decode_tiff_by_pillow(data, header)
    check_compression(page)
    if photometric not in _TIFF_COLORS:
        name = getattr(page.photometric, "name", photometric)
        raise Unreadable(f"its colors are {name}, which impasto does not read")
    if page.sampleformat not in (_UNSIGNED, _FLOAT) or header.bits > 32 or page.dtype is None:
        raise Unreadable(f"its samples are {page.dtype}; save them as 8 or 16 bits or as floats")
    if page.sampleformat == _UNSIGNED and header.bits > 16:
        raise Unreadable(f"its samples are {page.dtype}; save them as 8 or 16 bits or as floats")
    return _tiff_channels(decode_page(page), header)


def _tiff_channels(array: np.ndarray, header: Header) -> Samples:
    """Split a TIFF's stored array into colors and alpha."""
    page, photometric = header.page, int(header.page.photometric)
    if page.axes.startswith("S"):
        array = np.moveaxis(array, 0, -1)
    array = array.reshape(header.stored_size[1], header.stored_size[0], -1)
    channels = tiff_channels(page)
    stored = (
        _unit_floats(array) if page.sampleformat == _FLOAT else _scaled(array, 2**header.bits - 1)
    )
    colors = stored[..., : channels.colors]
    alpha = None if channels.opacity is None else stored[..., channels.opacity]
    if photometric == PALETTE:
        colors = _scaled(palette_colors(page, array[..., 0]), 255)
    elif photometric == 0:
        colors = 1 - colors
    if channels.premultiplied and photometric != PALETTE:
        colors = np.minimum(colors / np.maximum(alpha, 1e-6)[..., None], 1)
    return Samples(np.ascontiguousarray(colors), alpha, header)


def _decode_tiff_by_pillow(data: bytes, header: Header) -> Samples:
    """Decode a page of a TIFF with libtiff, which knows old JPEG and YCbCr."""
    order = "<" if data[:2] == b"II" else ">"
    start = header.page.offset
    if data[2:4] in (b"*\0", b"\0*"):
        # Pillow issues Python warnings on broken tags, so it gets a directory without them.
        entries = read_directory(data, order, start)
        place = len(data) + len(data) % 2
        directory = write_directory(entries, order, place)
        head = data[:4] + struct.pack(order + "I", place)
        data = head + data[8:].ljust(place - 8, b"\0") + directory
    else:
        data = data[:8] + struct.pack(order + "Q", start) + data[16:]
    samples = samples_of(TiffImagePlugin.TiffImageFile(io.BytesIO(data)))
    # Pillow has turned it upright already.
    return replace(samples, header=replace(header, orientation=1, alpha=samples.alpha is not None))
