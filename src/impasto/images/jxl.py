"""The header of a JPEG XL: its size, depth, channels and colors, before a decoder sees it."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from impasto.images.unreadable import Unreadable

_CODESTREAM = b"\xff\x0a"
_MAX_BOXES = 10_000
# Width by height, by the code in front of a width that is not stored.
_RATIOS = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}
_ALPHA = 0  # type of an extra channel
_RGB, _GRAY = 0, 1
_D65 = 1  # white point
_SRGB, _REC2100, _P3 = 1, 9, 11  # primaries
_ENUM = ((0, 0), (0, 1), (4, 2), (6, 18))  # bits and offset, by a code of two bits


@dataclass(frozen=True)
class JxlHeader:
    """What stands in front of the pixels of a JPEG XL.

    Attributes:
        size: (width, height) in pixels, upright: decoders turn the picture.
        bits: per channel, 32 for floating point.
        channels: 1 for gray, 3 for RGB.
        alpha: an opacity channel follows.
        premultiplied: colors are stored multiplied by it.
        primaries: of the colors, by code of ITU-T H.273.
        transfer: their transfer function, by code of ITU-T H.273; None where it is a gamma.
        gamma: exponent of light to stored values; None for others.
        exif: the EXIF block; empty without one.
        xmp: the XMP packet; None without one.
    """

    size: tuple[int, int]
    bits: int
    channels: int
    alpha: bool
    premultiplied: bool
    primaries: int
    transfer: int | None
    gamma: float | None
    exif: bytes
    xmp: bytes | None


def read_jxl(data: bytes) -> JxlHeader:
    """Read the header of a JPEG XL, bare or in its container.

    Raises:
        Unreadable: it is animated, or its colors or channels are of a kind impasto does not read.
        EOFError: it is cut short.
    """
    codestream, exif, xmp = data, b"", None
    if not data.startswith(_CODESTREAM):
        boxes = dict(reversed(list(_boxes(data))))
        codestream = boxes.get(b"jxlc") or boxes.get(b"jxlp", b"")[4:]
        block = boxes.get(b"Exif", b"")  # its own offset stands before it
        exif = block[4 + int.from_bytes(block[:4], "big") :]
        xmp = boxes.get(b"xml ")
    bits = _Bits(codestream[:65_536])
    if bits.read(16) != int.from_bytes(_CODESTREAM, "little"):
        raise EOFError("no codestream")
    return _read_image(bits, _read_size(bits), exif, xmp)


def _boxes(data: bytes) -> list[tuple[bytes, bytes]]:
    """Return the boxes of a container as (type, content)."""
    boxes, start = [], 0
    while start + 8 <= len(data) and len(boxes) < _MAX_BOXES:
        length, kind = struct.unpack_from(">I4s", data, start)
        head = 8
        if length == 1 and start + 16 <= len(data):  # the length follows in 64 bits
            (length,) = struct.unpack_from(">Q", data, start + 8)
            head = 16
        if length and length < head:
            break
        end = start + length if length else len(data)
        boxes.append((kind, data[start + head : end]))
        start = end
    return boxes


class _Bits:
    """Reads numbers bit by bit, the lowest first."""

    def __init__(self, data: bytes) -> None:
        self._number, self._left = int.from_bytes(data, "little"), 8 * len(data)

    def read(self, count: int) -> int:
        """Read a number of so many bits."""
        if count > self._left:
            raise EOFError("the header is cut short")
        value = self._number & ((1 << count) - 1)
        self._number >>= count
        self._left -= count
        return value

    def choose(self, *choices: tuple[int, int]) -> int:
        """Read a code of two bits, and the number of the (bits, offset) that it chooses."""
        count, offset = choices[self.read(2)]
        return offset + self.read(count)

    def flag(self) -> bool:
        """Read one bit."""
        return bool(self.read(1))


def _read_size(bits: _Bits) -> tuple[int, int]:
    """Read a (width, height)."""
    small = bits.flag()  # both are multiples of 8

    def side() -> int:
        if small:
            return 8 * (bits.read(5) + 1)
        return bits.choose((9, 1), (13, 1), (18, 1), (30, 1))

    height = side()
    ratio = _RATIOS.get(bits.read(3))
    return (height * ratio[0] // ratio[1] if ratio else side()), height


def _read_depth(bits: _Bits) -> int:
    """Read the bits per sample; 32 for floating point of any kind."""
    if bits.flag():
        bits.choose((0, 32), (0, 16), (0, 24), (6, 1))
        bits.read(4)
        return 32
    return bits.choose((0, 8), (0, 10), (0, 12), (6, 1))


def _read_image(bits: _Bits, size: tuple[int, int], exif: bytes, xmp: bytes | None) -> JxlHeader:
    """Read what follows the size: depth, channels and colors."""
    if bits.flag():  # all is as it mostly is
        return JxlHeader(size, 8, 3, False, False, _SRGB, 13, None, exif, xmp)
    if bits.flag():
        if bits.read(3) >= 4:  # EXIF's orientation less 1: turned by a quarter
            size = size[::-1]
        if bits.flag():
            _read_size(bits)  # at which it is to be shown
        if bits.flag() or bits.flag():
            raise Unreadable("it is an animation or has a preview", "save it as a still picture")
    depth = _read_depth(bits)
    bits.read(1)
    count = bits.choose((0, 0), (0, 1), (4, 2), (12, 1))
    if count > 1:
        raise Unreadable(f"it has {count} channels besides its colors", "save it as a PNG")
    premultiplied = False
    if count and not bits.flag():  # else plain opacity of 8 bits
        kind = bits.choose(*_ENUM)
        if kind != _ALPHA:
            raise Unreadable("it has a channel besides its colors", "save it as a PNG")
        _read_depth(bits)
        bits.choose((0, 0), (0, 3), (0, 4), (3, 1))
        bits.read(8 * bits.choose((0, 0), (4, 0), (5, 16), (10, 48)))  # its name
        premultiplied = bits.flag()
    bits.read(1)  # whether the colors are stored as XYB
    channels, primaries, transfer, gamma = _read_colors(bits)
    alpha = bool(count)
    return JxlHeader(
        size, depth, channels, alpha, premultiplied, primaries, transfer, gamma, exif, xmp
    )


def _read_colors(bits: _Bits) -> tuple[int, int, int | None, float | None]:
    """Read channels, primaries, transfer function and gamma."""
    if bits.flag():
        return 3, _SRGB, 13, None
    has_profile = bits.flag()
    space = bits.choose(*_ENUM)
    if has_profile or space not in (_RGB, _GRAY):
        raise Unreadable("its colors are those of a profile of its own", "convert it to sRGB")
    white, primaries = bits.choose(*_ENUM), _SRGB
    if white == _D65 and space == _RGB:
        primaries = bits.choose(*_ENUM)
    known = {_SRGB: 1, _REC2100: 9, _P3: 12}
    if white != _D65 or primaries not in known:
        raise Unreadable("its colors are of primaries of its own", "convert it to sRGB")
    channels = 3 if space == _RGB else 1
    if bits.flag():
        return channels, known[primaries], None, bits.read(24) / 10_000_000
    return channels, known[primaries], bits.choose(*_ENUM), None
