"""EXIF: filtered when an image is read, corrected when one is written."""

from __future__ import annotations

import contextlib
import math
import re
import struct
from collections.abc import Mapping
from typing import Any

from PIL import Image, TiffTags

from impasto.images.color_space import (
    ColorSpace,
    adobe_rgb,
    color_space_of_numbers,
    joined_chromaticities,
)

ORIENTATION, X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT = 274, 282, 283, 296
_EXIF, _GPS, _INTEROP = 0x8769, 0x8825, 0xA005
_COLOR_SPACE, _WIDTH, _HEIGHT, _GAMMA = 0xA001, 0xA002, 0xA003, 0xA500
_WHITE_POINT, _PRIMARIES, _INTEROP_INDEX = 318, 319, 1
# Tags about the photograph: names, description, make, model, software, dates, artist, host,
# rating, copyright, Windows' fields. The rest of a first directory describes how this file stores
# its pixels (in a TIFF it is the file's own directory) and would be false in another file.
PHOTOGRAPH = frozenset(
    {11, 269, 270, 271, 272, 305, 306, 315, 316, 18246, 18249, 33432, *range(40091, 40096)}
)
_RESOLUTION = frozenset({X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT})
# TIFF's type of a value -> bytes of one such value.
_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_TYPE_BYTES |= {16: 8}
_BYTE, _LONG = 1, 4
_STRINGS = (1, 2, 7)  # types of which Pillow takes all values as one
_OFFSETS = (3, 4, 13)  # types of pointers to other directories
# Pillow's exceptions on directories that other programs broke.
_BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    struct.error,
)

Entries = dict[int, tuple[int, int, bytes]]  # tag -> (type, count, value)


def load_exif(block: bytes | None) -> Image.Exif:
    """Read an EXIF block, or the first directory of a whole TIFF file; empty if unreadable."""
    exif = Image.Exif()
    with contextlib.suppress(*_BROKEN):
        exif.load(repair_exif(block or b""))
        return exif
    return Image.Exif()


def open_exif(image: Image.Image) -> Image.Exif:
    """Return the EXIF of an image that Pillow has open, without decoding; empty if unreadable."""
    # Pillow decodes a whole PNG to look for EXIF behind its pixels.
    known = {"exif", "Raw profile type exif"} & set(image.info)
    if image.format == "PNG" and not known and getattr(image, "tile", None):
        return Image.Exif()
    # Warnings are errors in some programs. They come only from images that the caller opened: the
    # blocks of files that impasto opens are repaired first.
    with contextlib.suppress(*_BROKEN, Warning):
        return image.getexif()
    return Image.Exif()


def repair_exif(block: bytes) -> bytes:
    """Return an EXIF block with the readable entries that impasto uses; empty if there are none.

    Pillow skips broken entries too, but with Python warnings, which belong to the host program and
    may be errors there. Nothing in the returned block makes it warn.
    """
    block = re.sub(rb"^(Exif\0\0){1,2}", b"", block)
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None or block[2:4] not in (b"\0*", b"*\0") or len(block) < 8:
        return b""
    (start,) = struct.unpack_from(order + "I", block, 4)
    used = PHOTOGRAPH | _RESOLUTION | {ORIENTATION, _EXIF, _GPS, _WHITE_POINT, _PRIMARIES}
    entries = read_directory(block, order, start)
    main = {tag: entry for tag, entry in entries.items() if tag in used}
    body = b""
    for tag in (_EXIF, _GPS):
        inner = _read_pointed(block, order, main.pop(tag, None), tag)
        if interoperability := _read_pointed(block, order, inner.pop(_INTEROP, None), _INTEROP):
            inner[_INTEROP] = (_LONG, 1, struct.pack(order + "I", 8 + len(body)))
            body += write_directory(interoperability, order, 8 + len(body))
        if inner:
            main[tag] = (_LONG, 1, struct.pack(order + "I", 8 + len(body)))
            body += write_directory(inner, order, 8 + len(body))
    if not main:
        return b""
    head = block[:4] + struct.pack(order + "I", 8 + len(body))
    return head + body + write_directory(main, order, 8 + len(body))


def read_directory(data: bytes, order: str, start: int, group: int | None = None) -> Entries:
    """Read the readable entries of a classic TIFF directory, by the rules by which Pillow does.

    Args:
        data: the whole block or file.
        order: of its bytes, `<` or `>`.
        start: offset of the directory in it.
        group: the tag that points to the directory, if it is inside another.
    """
    entries: Entries = {}
    total = 0
    with contextlib.suppress(struct.error):  # the directory is cut short
        (count,) = struct.unpack_from(order + "H", data, start)
        for place in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind, number, value = struct.unpack_from(order + "HHI4s", data, place)
            size = number * _TYPE_BYTES.get(kind, 0)
            if not size or tag in entries:
                continue
            if size > 4:
                total += size
                if total > len(data):
                    continue
                (offset,) = struct.unpack(order + "I", value)
                if offset + size > len(data):
                    break
                value = data[offset : offset + size]
            known = TiffTags.lookup(tag, group)
            if kind not in _STRINGS and (known.length == 1 or known.type == _BYTE):
                number, size = 1, _TYPE_BYTES[kind]
            entries[tag] = (kind, number, value[:size])
    return entries


def _read_pointed(
    data: bytes, order: str, pointer: tuple[int, int, bytes] | None, tag: int
) -> Entries:
    """Read the directory that an entry of another points to; empty without a valid pointer."""
    kind, _, value = pointer or (0, 0, b"")
    offset = int.from_bytes(value, "little" if order == "<" else "big")
    return read_directory(data, order, offset, tag) if kind in _OFFSETS else {}


def write_directory(entries: Entries, order: str, start: int) -> bytes:
    """Return the bytes of a classic TIFF directory, the last of its chain, and of its values.

    Args:
        entries: by tag, as `read_directory` returns them.
        order: of the bytes, `<` or `>`.
        start: offset at which the directory will stand, an even number.
    """
    place = start + 2 + 12 * len(entries) + 4
    table, values = b"", b""
    for tag, (kind, count, value) in sorted(entries.items()):
        cell = value.ljust(4, b"\0")
        if len(value) > 4:
            cell = struct.pack(order + "I", place + len(values))
            values += value + bytes(len(value) % 2)
        table += struct.pack(order + "HHI", tag, kind, count) + cell
    return struct.pack(order + "H", len(entries)) + table + bytes(4) + values


def strip_for_storage(exif: Image.Exif) -> bytes | None:
    """Return an EXIF block without orientation, thumbnail and tags about how pixels are stored."""
    with contextlib.suppress(*_BROKEN):
        clean = Image.Exif()
        for tag in sorted(PHOTOGRAPH & set(exif)):
            clean[tag] = exif[tag]
        # Interoperability and gamma describe the color space of the source: no longer true.
        photo = _inner(exif, _EXIF)
        photo = {tag: value for tag, value in photo.items() if tag not in (_INTEROP, _GAMMA)}
        if photo:
            clean[_EXIF] = photo
        if gps := _inner(exif, _GPS):
            clean[_GPS] = gps
        return clean.tobytes() if len(clean) else None
    return None


def update_for_output(
    block: bytes | None,
    size: tuple[int, int],
    *,
    dpi: tuple[float, float] | None = None,
    strip_gps: bool = False,
) -> Image.Exif:
    """Correct an EXIF block for the image it is written into.

    Args:
        block: as `strip_for_storage` made it, or any EXIF block.
        size: (width, height) of the image, which replaces the size inside the block.
        dpi: dots per inch to state in the block, for formats with no other place for it.
        strip_gps: leave out where the photograph was taken.
    """
    exif = load_exif(strip_for_storage(load_exif(block)))
    photo = _inner(exif, _EXIF)
    corrections = {_COLOR_SPACE: 1, _WIDTH: size[0], _HEIGHT: size[1]}
    photo |= {tag: value for tag, value in corrections.items() if tag in photo}
    gps = _inner(exif, _GPS)
    result = Image.Exif()
    for tag in PHOTOGRAPH & set(exif):
        result[tag] = exif[tag]
    if photo:
        result[_EXIF] = photo
    if gps and not strip_gps:
        result[_GPS] = gps
    if dpi:
        result[X_RESOLUTION], result[Y_RESOLUTION], result[RESOLUTION_UNIT] = *dpi, 2
    return result


def resolution(tags: Mapping[int, Any]) -> tuple[float, float] | None:
    """Return the dots per inch that resolution tags of EXIF or TIFF state; None without any."""
    unit = tags.get(RESOLUTION_UNIT, 2)
    scale = {2: 1.0, 3: 2.54}.get(unit if isinstance(unit, int) else 0)
    return dots_per_inch(tags.get(X_RESOLUTION), tags.get(Y_RESOLUTION), scale)


def dots_per_inch(x: Any, y: Any, scale: float | None = 1.0) -> tuple[float, float] | None:
    """Return a pair of resolutions as floats; None unless both are positive and finite."""
    with contextlib.suppress(*_BROKEN):
        if scale and x is not None and y is not None:
            pair = (float(x) * scale, float(y) * scale)
            return pair if all(math.isfinite(d) and 0 < d < 1e6 for d in pair) else None
    return None


def exif_facts(exif: Image.Exif, orientation: int) -> dict[str, Any]:
    """Return the few EXIF facts that people ask for; empty if the file states none of them."""
    names = {"make": 271, "model": 272, "datetime": 306, "artist": 315, "software": 305}
    facts: dict[str, Any] = {}
    with contextlib.suppress(*_BROKEN):
        for name, tag in names.items():
            if isinstance(text := exif.get(tag), str) and (text := text.strip("\0 ")):
                facts[name] = text
        gps = bool(_inner(exif, _GPS))
        if facts or gps or ORIENTATION in exif:
            facts |= {"orientation": orientation, "has_gps": gps}
    return facts


def color_space_of_exif(exif: Image.Exif) -> ColorSpace | None:
    """Return the color space that EXIF states: sRGB, Adobe RGB, or a gamma and primaries."""
    with contextlib.suppress(*_BROKEN):
        photo = _inner(exif, _EXIF)
        index = ""
        if _INTEROP in photo:
            pointed = photo[_INTEROP]
            pointed = pointed if isinstance(pointed, dict) else exif.get_ifd(_INTEROP)
            index = pointed.get(_INTEROP_INDEX, "")
            index = index.decode("latin-1") if isinstance(index, bytes) else str(index)
        stated = photo.get(_COLOR_SPACE)
        # Cameras write 1, or 65535 and the index; some programs 2 for Adobe RGB.
        if stated == 1 or index.startswith("R98"):
            return ColorSpace("sRGB", "EXIF")
        if stated == 2 or index.startswith("R03"):
            return adobe_rgb("EXIF")
        gamma = photo.get(_GAMMA)
        return color_space_of_numbers(
            None if gamma is None else float(gamma),
            joined_chromaticities(exif.get(_WHITE_POINT), exif.get(_PRIMARIES)),
            "EXIF gamma",
            "EXIF primaries",
        )
    return None


def orientation_of(exif: Mapping[int, Any]) -> int:
    """Return the EXIF orientation, 1 to 8; 1 (upright) if it is absent or invalid."""
    value = exif.get(ORIENTATION, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _inner(exif: Image.Exif, tag: int) -> dict[int, Any]:
    """Return a directory inside EXIF, whether it was read from a file or set by hand."""
    value = exif.get(tag)
    return dict(value if isinstance(value, dict) else exif.get_ifd(tag))
