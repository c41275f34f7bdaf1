"""Tags of a TIFF that mean the same in another TIFF, GeoTIFF's among them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import tifffile
from PIL import TiffImagePlugin, TiffTags

from impasto.images.exif import PHOTOGRAPH

# A tag: code, type, count, and its value in little-endian bytes.
PortableTag = tuple[int, int, int, bytes]

IPTC, PHOTOSHOP = 33723, 34377
_SCALE, _TIE_POINTS, _TRANSFORM = 33550, 33922, 34264
_GEOTIFF = (_SCALE, 33920, _TIE_POINTS, _TRANSFORM, 34735, 34736, 34737)
# TIFF's type of a value -> NumPy's.
_TYPES = {1: "u1", 2: "S1", 3: "u2", 4: "u4", 5: "u4", 6: "i1", 7: "V1", 8: "i2", 9: "i4"}
_TYPES |= {10: "i4", 11: "f4", 12: "f8"}
_RATIOS = (5, 10)
_STRINGS = (1, 2, 7)
_MAX_BYTES = 1 << 24
# Tags that describe how the pixels, their colors and their statistics are stored; that point into
# the file; or that are kept in another way: photographs' tags, XMP, IPTC, color profile.
_OWN = frozenset(
    (
        *range(254, 269), *range(273, 305), 306, *range(317, 350), 400, *range(512, 533), 700,
        *(32781, *range(32995, 33000), 33421, 33422, *range(33628, 33632), IPTC, PHOTOSHOP, 34412),
        *(34665, 34675, 34853, 37724, 40965, 50838, 50839, *range(50706, 50742), 65426, 65432),
    )
) | PHOTOGRAPH  # fmt: skip


def portable_tags(file: tifffile.TiffFile, page: tifffile.TiffPage) -> tuple[PortableTag, ...]:
    """Return the tags of a page that another TIFF may have too."""
    tags, total = [], 0
    for tag in page.tags:
        kind, size = int(tag.dtype), int(tag.valuebytecount)
        total += size
        if tag.code in _OWN or kind not in _TYPES or total > _MAX_BYTES:
            continue
        value = read_tag(file, tag)
        values = np.frombuffer(value, np.dtype(_TYPES[kind]).newbyteorder(file.byteorder))
        data = values.astype(values.dtype.newbyteorder("<")).tobytes()
        tags.append((tag.code, kind, tag.count, data))
    return tuple(tags)


def read_tag(file: tifffile.TiffFile, tag: tifffile.TiffTag) -> bytes:
    """Read the value of a tag as it is stored."""
    file.filehandle.seek(tag.valueoffset)
    return file.filehandle.read(tag.valuebytecount)


def is_georeferenced(tags: Iterable[PortableTag]) -> bool:
    """Return whether tags say where on earth the pixels are."""
    return any(tag[0] in _GEOTIFF for tag in tags)


def without_georeference(tags: Iterable[PortableTag]) -> tuple[PortableTag, ...]:
    """Return tags without those that say where on earth the pixels are."""
    return tuple(tag for tag in tags if tag[0] not in _GEOTIFF)


def fit_georeference(
    tags: Iterable[PortableTag], factors: tuple[float, float]
) -> tuple[PortableTag, ...]:
    """Change what tags say of where the pixels are on earth for a picture that was resized.

    Args:
        tags: tags.
        factors: new width and height as multiples of the old.
    """
    x, y = factors
    if x == y == 1:
        return tuple(tags)
    scaling = {
        _SCALE: (1 / x, 1 / y, 1),
        _TIE_POINTS: (x, y, 1, 1, 1, 1),
        _TRANSFORM: (1 / x, 1 / y, 1, 1) * 4,
    }
    return tuple(
        (code, kind, count, _multiply(data, scaling[code]))
        if code in scaling and kind == 12
        else (code, kind, count, data)
        for code, kind, count, data in tags
    )


def crop_georeference(
    tags: Iterable[PortableTag], corner: tuple[int, int]
) -> tuple[PortableTag, ...]:
    """Change what tags say of where the pixels are on earth for a part of the picture.

    Args:
        tags: tags.
        corner: column and row of the picture that the part begins at.

    Example:
        >>> tie = (33922, 12, 6, np.array([0, 0, 0, 500, 700, 0], "<f8").tobytes())
        >>> ((*_, data),) = crop_georeference([tie], (10, 20))
        >>> np.frombuffer(data)[:2].tolist()
        [-10.0, -20.0]
    """
    return tuple(
        (code, kind, count, _move(code, data, corner))
        if code in (_TIE_POINTS, _TRANSFORM) and kind == 12
        else (code, kind, count, data)
        for code, kind, count, data in tags
    )


def _move(code: int, data: bytes, corner: tuple[int, int]) -> bytes:
    values = np.frombuffer(data, "<f8").copy()
    if code == _TIE_POINTS and len(values) % 6 == 0:  # column, row, 0 and where they are
        values.reshape(-1, 6)[:, :2] -= corner
    elif code == _TRANSFORM and len(values) == 16:
        matrix = values.reshape(4, 4)
        matrix[:, 3] += matrix[:, :2] @ np.array(corner, "<f8")
    return values.tobytes()


def _multiply(data: bytes, factors: tuple[float, ...]) -> bytes:
    values = np.frombuffer(data, "<f8")
    repeated = np.resize(factors, len(values))
    return (values * repeated).tobytes()


def add_tags(directory: TiffImagePlugin.ImageFileDirectory_v2, tags: Iterable[PortableTag]) -> None:
    """Put tags into a directory that Pillow writes."""
    for code, kind, count, data in tags:
        if code in directory or (TiffTags.lookup(code).length == 1 and count > 1):
            continue  # Pillow would warn of more values than one
        directory.tagtype[code] = kind
        directory[code] = _tag_value(kind, data)


def _tag_value(kind: int, data: bytes) -> Any:
    """Return the value of a tag as Pillow takes it."""
    if kind in _STRINGS:
        return data.removesuffix(b"\0") if kind == 2 else data
    values = np.frombuffer(data, f"<{_TYPES[kind]}").tolist()
    if kind in _RATIOS:
        pairs = zip(values[::2], values[1::2], strict=True)
        return tuple(TiffImagePlugin.IFDRational(*pair) for pair in pairs)
    return tuple(values)
