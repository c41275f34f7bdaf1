"""The size that a coded picture inside a TIFF claims for itself.

A strip or tile may hold a whole PNG, JPEG or the like, with a header of its own, and that header is
what its decoder obeys. It is read here, so that it can be held against the tags before decoding.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NamedTuple

from impasto.images.av1 import BitReader
from impasto.images.formats import jpeg_segments, webp_size
from impasto.images.isobmff import walk_boxes
from impasto.images.unreadable import Unreadable

_JPEG_SIZES = {0xF7, *range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # markers of segments with a size
_LOSSLESS_JPEG, _ARITHMETIC_JPEG = 0xC3, 0xC9
_LOSSLESS_JPEGS = (0xC3, 0xC7, 0xCB, 0xCF, 0xF7)
_OLD_JPEGS = {0xC0, 0xC1}  # those that TIFF's first JPEG compression may hold
_MAX_SCANS = 64  # of a progressive JPEG; programs write 10
# Tags of JPEG XR's container that its decoder knows; about others it writes to the terminal.
_JPEG_XR_TAGS = frozenset(
    (
        *(*range(0xBC01, 0xBC09), *range(0xBC80, 0xBC84), *range(0xBCC0, 0xBCC6)),
        *(269, 270, 271, 272, 285, 297, 305, 306, 315, 316, 700, 18246, 18249),
        *(33432, 33723, 34377, 34665, 34675, 34853, *range(0x9C9B, 0x9CA0)),
    )
)
_LERC_BLOBS = 1024  # bands at most
_LERC_TYPES = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "float32", "float64")
# JPEG XL's ways to write a side: the least, and how many bits are added to it.
_JXL_SIDES = ((1, 9), (1, 13), (1, 18), (1, 30))
# JPEG XL's ratios of width to height, from 1.
_JXL_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))


class CodedSize(NamedTuple):
    """What a coded picture claims.

    Attributes:
        width: in pixels.
        height: in pixels.
        channels: of each pixel; None where the decoder makes no more of them than the tags say.
        regrouped: True if only the number of its samples means anything: lossless JPEG codes
            neighboring pixels as channels.
        dtype: type of its numbers where the decoder does not say it; None for the others.
    """

    width: int
    height: int
    channels: int | None = None
    regrouped: bool = False
    dtype: str | None = None


def coded_sizes(compression: int, data: bytes) -> list[CodedSize] | None:
    """Return every size that a strip or tile claims in its own header.

    Args:
        compression: TIFF's number of the compression.
        data: the strip or tile.

    Returns:
        The sizes; None for compressions without such a header, of which a decoder makes no more
        than it is asked for.

    Raises:
        KeyError: a compression that impasto does not read.
        ValueError: no such header.
        IndexError, struct.error: it is cut short.

    Example:
        >>> size = coded_sizes(34887, b"Lerc2 " + struct.pack("<7i", 2, 64, 96, 0, 8, 34, 1))[0]
        >>> size.width, size.height, size.channels, size.dtype
        (96, 64, 1, 'uint8')
    """
    reader = _READERS[compression]
    if reader is None:
        return None
    sizes = reader(data)
    if not sizes:
        raise ValueError("no header that states a size")
    return sizes


def check_jpeg(data: bytes) -> list[CodedSize]:
    """Refuse a JPEG that is far too short for its size, or that draws it over and over.

    Where its data ends too early, libjpeg goes on in gray, which may take a minute.

    Args:
        data: the file, strip or tile.

    Returns:
        The size that it claims; several where it is broken, none where it claims none.

    Raises:
        Unreadable: what is wrong with it.
    """
    sizes = []
    segments = list(jpeg_segments(data))
    for marker, start, _ in segments:
        if marker not in _JPEG_SIZES:
            continue
        _, height, width, channels = struct.unpack_from(">BHHB", data, start + 4)
        sizes.append(CodedSize(width, height, channels, marker == _LOSSLESS_JPEG))
        # Huffman codes take a bit for each 8 × 8 block at least; arithmetic ones can do with less.
        if marker < _ARITHMETIC_JPEG and width * height > 512 * len(data):
            raise Unreadable(
                f"it is cut short: {len(data):,} bytes cannot hold {width:,} × {height:,} pixels"
            )
    first = segments[-1][2] if segments else 0
    last = data.find(b"\xff\xd9", first)
    if (scans := data.count(b"\xff\xda", first, last if last >= 0 else len(data))) > _MAX_SCANS:
        raise Unreadable(f"it has {scans:,} scans, more than {_MAX_SCANS}")
    return sizes


def _old_jpeg(data: bytes) -> list[CodedSize]:
    """Sizes of a JPEG in TIFF's first way, whose decoder knows no later kinds and prints so."""
    for marker, _, _ in jpeg_segments(data):
        if marker in _JPEG_SIZES - _OLD_JPEGS:
            kind = "an arithmetic-coded" if marker >= _ARITHMETIC_JPEG else "a progressive"
            kind = "a lossless" if marker in _LOSSLESS_JPEGS else kind
            raise Unreadable(
                f"its old JPEG compression holds {kind} JPEG",
                "save it as PNG, or as TIFF with the compression that is used today",
            )
    return check_jpeg(data)


def _jpeg_2000(data: bytes) -> list[CodedSize]:
    if data[4:8] == b"jP  ":
        starts = [box.start for box in walk_boxes(data) if box.kind == b"jp2c"]
    else:
        starts = [0]
    sizes = []
    for start in starts:
        if data[start : start + 4] != b"\xff\x4f\xff\x51":
            raise ValueError("no JPEG 2000")
        right, bottom, left, top = struct.unpack_from(">4I", data, start + 8)
        (channels,) = struct.unpack_from(">H", data, start + 40)
        sizes.append(CodedSize(right - left, bottom - top, channels))
    return sizes


def _jpeg_xr(data: bytes) -> list[CodedSize]:
    """Sizes in the container's directory, and in the streams that it points to."""
    if data[:3] != b"II\xbc":
        raise ValueError("no JPEG XR")
    (directory,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, directory)
    tags = {}
    for index in range(count):
        code, kind, _, value = struct.unpack_from("<HHII", data, directory + 2 + 12 * index)
        if code not in _JPEG_XR_TAGS:
            raise ValueError("an unknown tag in a JPEG XR")
        tags[code] = value & (0xFF if kind == 1 else 0xFFFF if kind == 3 else 0xFFFFFFFF)
    sizes = [CodedSize(tags.get(0xBC80, 0), tags.get(0xBC81, 0))]
    for stream in (tags.get(0xBCC0, 0), tags.get(0xBCC2)):  # the image, its opacity
        if stream is None:
            continue
        if data[stream : stream + 8] != b"WMPHOTO\0":
            raise ValueError("no JPEG XR")
        form = ">HH" if data[stream + 10] & 0x80 else ">II"
        width, height = struct.unpack_from(form, data, stream + 12)
        sizes.append(CodedSize(width + 1, height + 1))
    return sizes


def _lerc(data: bytes) -> list[CodedSize]:
    """One size for all bands, which follow each other."""
    sizes, start = [], 0
    while start < len(data):
        if data[start : start + 6] != b"Lerc2 " or len(sizes) == _LERC_BLOBS:
            raise ValueError("no LERC")
        (version,) = struct.unpack_from("<i", data, start + 6)
        place = start + (14 if version >= 3 else 10)  # behind the checksum
        height, width = struct.unpack_from("<2i", data, place)
        values = 1
        if version >= 4:
            (values,) = struct.unpack_from("<i", data, place + 8)
            place += 4
        length, kind = struct.unpack_from("<2i", data, place + 16)
        if min(length, values) < 1:
            raise ValueError("no LERC")
        sizes.append(CodedSize(width, height, values, dtype=_LERC_TYPES[kind]))
        start += length
    bands = sum(size.channels or 1 for size in sizes)
    return [size._replace(channels=bands) for size in sizes]


def _png(data: bytes) -> list[CodedSize]:
    if data[:8] != b"\x89PNG\r\n\x1a\n" or data[12:16] != b"IHDR":
        raise ValueError("no PNG")
    width, height, _, color = struct.unpack_from(">IIBB", data, 16)
    return [CodedSize(width, height, {0: 1, 2: 3, 4: 2, 6: 4}.get(color))]


def _webp(data: bytes) -> list[CodedSize]:
    size = webp_size(data) if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else None
    return [CodedSize(*size)] if size else []


def _jpeg_xl(data: bytes) -> list[CodedSize]:
    if data[4:8] == b"JXL ":
        # The stream is in one box, or in several that begin with their number.
        parts = [
            data[box.start + 4 * (box.kind == b"jxlp") : box.end]
            for box in walk_boxes(data)
            if box.kind in (b"jxlc", b"jxlp")
        ]
        data = b"".join(parts)
    if data[:2] != b"\xff\x0a":
        raise ValueError("no JPEG XL")
    reader = BitReader(data[2:64], lowest_first=True)
    width, height = _jpeg_xl_size(reader)
    if not reader.read(1) and reader.read(1):  # neither all by default nor without extras
        turned = reader.read(3) >= 4
        if reader.read(1):  # the size it is meant to be shown at
            _jpeg_xl_size(reader)
        if reader.read(1) or reader.read(1):
            raise ValueError("a JPEG XL with a preview or frames")
        if turned:
            width, height = height, width
    return [CodedSize(width, height)]


def _jpeg_xl_size(reader: BitReader) -> tuple[int, int]:
    """Read a size as JPEG XL writes it: short if it is small, or of a usual ratio."""
    small = reader.read(1)

    def side() -> int:
        if small:
            return 8 * (1 + reader.read(5))
        least, bits = _JXL_SIDES[reader.read(2)]
        return least + reader.read(bits)

    height = side()
    ratio = reader.read(3)
    if not ratio:
        return side(), height
    across, down = _JXL_RATIOS[ratio - 1]
    return height * across // down, height


# TIFF's number of a compression -> how to read its sizes; None for plain streams and fax.
_READERS: dict[int, Callable[[bytes], list[CodedSize]] | None] = {
    **dict.fromkeys((1, 2, 3, 4, 5, 8, 32773, 32946, 34925, 34926, 50000, 50013)),
    6: _old_jpeg,
    **dict.fromkeys((7, 33007, 34892), check_jpeg),
    **dict.fromkeys((33003, 33004, 33005, 34712), _jpeg_2000),
    **dict.fromkeys((22610, 34934), _jpeg_xr),
    34887: _lerc,
    34933: _png,
    **dict.fromkeys((34927, 50001), _webp),
    **dict.fromkeys((50002, 52546), _jpeg_xl),
}
TIFF_COMPRESSIONS = frozenset(_READERS)
