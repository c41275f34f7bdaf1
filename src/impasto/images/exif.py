"""EXIF: kept when a picture is read, made true again when one is written."""

from __future__ import annotations

import contextlib
import math
import struct
from collections.abc import Mapping
from typing import Any

from PIL import Image

from impasto.images.quiet import suppress_decoder_warnings

ORIENTATION, X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT = 274, 282, 283, 296
_EXIF, _GPS, _INTEROP = 0x8769, 0x8825, 0xA005
_COLOR_SPACE, _WIDTH, _HEIGHT = 0xA001, 0xA002, 0xA003
# Everything that speaks of the photograph. The rest of a first directory speaks of how this file
# stores its pixels (in a TIFF it is the file itself) and would be false in another one: names,
# description, make, model, software, dates, artist, host, rating, copyright, Windows' fields.
_KEPT = frozenset(
    {11, 269, 270, 271, 272, 305, 306, 315, 316, 18246, 18249, 33432, *range(40091, 40096)}
)
# What Pillow raises on directories that other programs broke.
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


def load_exif(block: bytes | None) -> Image.Exif:
    """An EXIF block, or a whole TIFF file, as Pillow's mapping; empty where it is unreadable."""
    exif = Image.Exif()
    with contextlib.suppress(*_BROKEN), suppress_decoder_warnings():
        exif.load(block or b"")
        return exif
    return Image.Exif()


def open_exif(image: Image.Image) -> Image.Exif:
    """The EXIF of an image that Pillow has open, without decoding it; empty where unreadable."""
    # Pillow decodes a whole PNG to look for EXIF behind its pixels.
    known = {"exif", "Raw profile type exif"} & set(image.info)
    if image.format == "PNG" and not known and getattr(image, "tile", None):
        return Image.Exif()
    with contextlib.suppress(*_BROKEN), suppress_decoder_warnings():
        return image.getexif()
    return Image.Exif()


def strip_for_storage(exif: Image.Exif) -> bytes | None:
    """The EXIF block worth keeping: no orientation, no thumbnail, nothing about the storage."""
    with contextlib.suppress(*_BROKEN), suppress_decoder_warnings():
        clean = Image.Exif()
        for tag in sorted(_KEPT & set(exif)):
            clean[tag] = exif[tag]
        # Interoperability names the color space and file rules of the source: no longer true.
        photo = {tag: value for tag, value in _inner(exif, _EXIF).items() if tag != _INTEROP}
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
    """A kept block made true of the picture it is written into.

    Args:
        block: as `strip_for_storage` made it, or any EXIF block.
        size: (width, height) of the picture, which replaces the size inside the block.
        dpi: dots an inch to state inside the block, for formats with no other place for it.
        strip_gps: leave out where the photograph was taken.
    """
    source = load_exif(block)
    exif = load_exif(strip_for_storage(source))
    photo = _inner(exif, _EXIF)
    true_now = {_COLOR_SPACE: 1, _WIDTH: size[0], _HEIGHT: size[1]}
    photo |= {tag: value for tag, value in true_now.items() if tag in photo}
    gps = _inner(exif, _GPS)
    result = Image.Exif()
    for tag in _KEPT & set(exif):
        result[tag] = exif[tag]
    if photo:
        result[_EXIF] = photo
    if gps and not strip_gps:
        result[_GPS] = gps
    if dpi:
        result[X_RESOLUTION], result[Y_RESOLUTION], result[RESOLUTION_UNIT] = *dpi, 2
    return result


def resolution(tags: Mapping[int, Any]) -> tuple[float, float] | None:
    """Dots an inch as the resolution tags of EXIF and TIFF state them; None where they do not."""
    unit = tags.get(RESOLUTION_UNIT, 2)
    scale = {2: 1.0, 3: 2.54}.get(unit if isinstance(unit, int) else 0)
    return dots_per_inch(tags.get(X_RESOLUTION), tags.get(Y_RESOLUTION), scale)


def dots_per_inch(x: Any, y: Any, scale: float | None = 1.0) -> tuple[float, float] | None:
    """A pair of resolutions as floats; None unless both are positive and finite."""
    with contextlib.suppress(*_BROKEN), suppress_decoder_warnings():
        if scale and x is not None and y is not None:
            pair = (float(x) * scale, float(y) * scale)
            return pair if all(math.isfinite(d) and 0 < d < 1e6 for d in pair) else None
    return None


def exif_facts(exif: Image.Exif, turned: int) -> dict[str, Any]:
    """The few EXIF facts a person asks for; empty where the file states none of them."""
    names = {"make": 271, "model": 272, "datetime": 306, "artist": 315, "software": 305}
    found: dict[str, Any] = {}
    with contextlib.suppress(*_BROKEN), suppress_decoder_warnings():
        for name, tag in names.items():
            if isinstance(text := exif.get(tag), str) and (text := text.strip("\0 ")):
                found[name] = text
        gps = bool(_inner(exif, _GPS))
        if found or gps or ORIENTATION in exif:
            found |= {"orientation": turned, "has_gps": gps}
    return found


def orientation(exif: Mapping[int, Any]) -> int:
    """The EXIF orientation, 1 to 8; 1 (upright) where it is absent or nonsense."""
    value = exif.get(ORIENTATION, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _inner(exif: Image.Exif, tag: int) -> dict[int, Any]:
    """A directory inside EXIF, whether it was read from a file or set by hand."""
    value = exif.get(tag)
    return dict(value if isinstance(value, dict) else exif.get_ifd(tag))
