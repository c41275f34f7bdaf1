"""Decode a page of a TIFF, if its strips or tiles are all there and of the size its tags say."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import imagecodecs
import numpy as np

from impasto.images.coded_size import TIFF_COMPRESSIONS, CodedSize, coded_sizes
from impasto.images.formats import MAX_PIXELS, has_whole_stream, only_pixels
from impasto.images.unreadable import Unreadable, decoding

_PNG = 34933  # TIFF's number of a compression
_BROKEN = "its pixels are cut short or broken"
_MAX_SAMPLES = 4 * MAX_PIXELS  # of all channels of a page
_SMALL = 1 << 22  # pixels of a tile, whatever the size of its page
_SPARSE_SMALL, _SPARSE_SHARE = 1 << 24, 8  # pixels of a page that may be empty but for one tile


def check_page(page: Any, file_size: int) -> None:
    """Refuse a page whose strips or tiles are missing, or hold more than a page should.

    GDAL leaves tiles out of which nothing is known, with both position and length 0; these are
    read as what the file names for missing data, or 0, unless nearly all are left out.

    Args:
        page: tifffile's page or frame.
        file_size: length of the file in bytes.

    Raises:
        Unreadable: what is wrong with it.
    """
    keyframe = page.keyframe
    width, height = int(keyframe.imagewidth), int(keyframe.imagelength)
    samples = math.prod(keyframe.shaped)
    if int(keyframe.compression) not in TIFF_COMPRESSIONS:
        name = getattr(keyframe.compression, "name", keyframe.compression)
        raise Unreadable(f"its compression is {name}, which impasto does not read")
    if samples > _MAX_SAMPLES:
        raise Unreadable(f"it claims {samples:,} numbers a page, more than {_MAX_SAMPLES:,}")
    parts = "strips"
    if keyframe.is_tiled:
        parts = "tiles"
        if keyframe.tilewidth * keyframe.tilelength > 4 * max(_SMALL, width * height):
            raise Unreadable("its tiles are far larger than its pages")
    needed = math.prod(keyframe.chunked)
    places = list(zip(page.dataoffsets, page.databytecounts, strict=False))[:needed]
    if len(places) < needed:
        raise Unreadable(f"it is cut short: it has {len(places):,} of {needed:,} {parts}")
    stored = [place for place in places if place != (0, 0)]
    least = needed // _SPARSE_SHARE if width * height > _SPARSE_SMALL else 1
    if len(stored) < max(1, least):
        raise Unreadable(f"only {len(stored):,} of its {needed:,} {parts} are in it")
    if not all(map(all, stored)):
        raise Unreadable(f"it is cut short: some of its {parts} are empty")
    if any(start + length > file_size for start, length in stored):
        raise Unreadable("the file is cut short")


def decode_page(page: Any) -> np.ndarray:
    """Decode a page, checked by `check_page`, of a file that is open.

    Args:
        page: tifffile's page or frame.

    Returns:
        An array of the page's shape and type.

    Raises:
        Unreadable: its pixels are broken, or contradict its tags.
    """
    keyframe = page.keyframe
    if keyframe.is_contiguous:
        return page.asarray(maxworkers=1)
    array = np.zeros(keyframe.shaped, keyframe.dtype)
    options = {"jpegtables": page.jpegtables, "jpegheader": keyframe.jpegheader}
    for data, index in checked_segments(page):
        try:
            segment, (sample, depth, row, column, _), shape = keyframe.decode(
                data, index, **options
            )
        # There was memory for the page: its stream makes a decoder ask for more.
        except MemoryError as error:
            raise Unreadable(_BROKEN) from error
        if segment is None:
            segment = np.full(shape, keyframe.nodata, keyframe.dtype)
        elif segment.dtype.newbyteorder("=") != keyframe.dtype and keyframe.dtype.kind != "b":
            raise Unreadable(f"its pixels are {segment.dtype}, not the {keyframe.dtype} it claims")
        target = array[
            sample,
            depth : depth + segment.shape[0],
            row : row + segment.shape[1],
            column : column + segment.shape[2],
        ]
        target[:] = segment[: target.shape[0], : target.shape[1], : target.shape[2]]
    _check_bits(array, keyframe)
    return array.reshape(keyframe.shape)


def checked_segments(page: Any) -> Iterator[tuple[bytes | None, int]]:
    """Yield a page's strips or tiles with their numbers, after a look into their own headers.

    Args:
        page: tifffile's page or frame, of a file that is open.

    Yields:
        The coded bytes, None where a tile is left out; and the number.

    Raises:
        Unreadable: one claims another size than its tags.
    """
    keyframe, file = page.keyframe, page.parent.filehandle
    needed = math.prod(keyframe.chunked)
    places = page.dataoffsets[:needed], page.databytecounts[:needed]
    for data, index in file.read_segments(*places, length=needed, flat=True):
        if data is not None:
            _check_coded(data, index, keyframe)
            if keyframe.compression == _PNG:
                data = only_pixels(data)  # libpng writes warnings about other chunks
                if not has_whole_stream(data):
                    raise Unreadable(_BROKEN)
        yield data, index


def check_streams(page: Any) -> None:
    """Refuse strips or tiles of YCbCr that do not hold all their pixels; libtiff would print it.

    Args:
        page: tifffile's page, of a file that is open.

    Raises:
        Unreadable: one is broken, or shorter than its tags say.
    """
    keyframe = page.keyframe
    across, down = keyframe.tags.valueof(530, (2, 2))
    decompress = {
        1: lambda data, out: data,
        5: imagecodecs.lzw_decode,
        8: imagecodecs.zlib_decode,
        32773: imagecodecs.packbits_decode,
        32946: imagecodecs.zlib_decode,
    }.get(int(keyframe.compression))
    for data, index in checked_segments(page):
        if data is None or decompress is None:
            continue
        if keyframe.is_tiled:
            rows, columns = keyframe.tilelength, keyframe.tilewidth
        else:
            start = index * keyframe.rowsperstrip
            rows, columns = keyframe.imagelength - start, keyframe.imagewidth
            rows = min(rows, keyframe.rowsperstrip)
        blocks = -(-rows // down) * -(-columns // across)
        needed = blocks * (across * down + 2)
        with decoding(_BROKEN):
            if len(decompress(data, out=needed)) < needed:
                raise Unreadable(_BROKEN)


def _check_coded(data: bytes, index: int, page: Any) -> None:
    """Refuse a strip or tile whose own header claims another size than the tags."""
    with decoding(_BROKEN):
        sizes = coded_sizes(int(page.compression), data)
    if sizes is None:
        return
    _, (_, _, row, column, _), shape = page.decode(None, index)
    _, rows, columns, channels = shape
    for size in sizes:
        if size.dtype not in (None, np.dtype(page.dtype).name):
            raise Unreadable(f"its pixels are {size.dtype}, not the {page.dtype} it claims")
    # The last strips and tiles may be cut to the picture, or go beyond it.
    heights, widths = {rows, page.imagelength - row}, {columns, page.imagewidth - column}
    heights.add(page.tilelength if page.is_tiled else page.rowsperstrip)
    for size in sizes:
        if size.regrouped:
            fits = size.width * size.height * (size.channels or 1) == rows * columns * channels
        else:
            fits = size.width in widths and size.height in heights
            fits &= size.channels is None or size.channels <= channels
        if not fits:
            what = "tiles" if page.is_tiled else "strips"
            raise Unreadable(
                f"one of its {what} holds {_size_words(size)}, not "
                f"{_size_words(CodedSize(columns, rows, channels))} as its tags say"
            )


def _size_words(size: CodedSize) -> str:
    words = f"{size.width:,} × {size.height:,} pixels"
    if size.channels:
        words += f" with {size.channels:,} channel{'s' * (size.channels > 1)}"
    return words


def _check_bits(array: np.ndarray, page: Any) -> None:
    """Refuse numbers that do not fit into the bits that the tags say."""
    bits = page.bitspersample
    if array.dtype.kind != "u" or not isinstance(bits, int) or bits >= 8 * array.dtype.itemsize:
        return
    if (highest := int(array.max())) >= 2**bits:
        raise Unreadable(f"its numbers go up to {highest:,}, more than the {bits} bits it claims")
