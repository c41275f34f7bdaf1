"""Read zarr and OME-Zarr stores as measured data, a plane at a time."""

from __future__ import annotations

import contextlib
import math
import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from impasto.errors import ImageFileError, ImpastoError
from impasto.images.formats import MAX_PIXELS
from impasto.images.header import check_pixels
from impasto.images.lazy_planes import LazyPlanes, chunk_sizes
from impasto.images.stack import TYPES, Stack, check_axes, library_unit, scan_range
from impasto.images.unreadable import Unreadable, decoding, refusing

if TYPE_CHECKING:
    import zarr

_SENTENCE = {"kind": "zarr store", "way_out": "give another store"}  # of `unreadable_file`
_OLD_AXES = "TCZYX"  # of OME-Zarr before it named them
_MAX_CHUNK = 2**32  # bytes that are decompressed in one piece


@dataclass(frozen=True, eq=False)
class ZarrPlanes(LazyPlanes):
    """The planes of a zarr array, and where they are in their store.

    Attributes:
        place: path or URL that was opened.
        name: the argument's name in errors.
        group: the OME-Zarr group that holds the array; None for an array by itself.
        levels: paths of the smaller copies in the group, the largest first.
    """

    place: str = ""
    name: str = "picture"
    group: Any = None
    levels: tuple[str, ...] = ()

    def _read(self, slices: tuple[int | slice, ...]) -> np.ndarray:
        with (
            refusing(self.name, self.place, **_SENTENCE),
            decoding("its chunks cannot be read or decoded"),
        ):
            return super()._read(slices)


def zarr_module(place: str | Path, name: str) -> Any:
    """Return the module zarr; refuse a store where it is not installed.

    Args:
        place: path or URL of the store.
        name: the argument's name in the error.
    """
    try:
        import zarr
    except ImportError:
        raise ImpastoError(
            f"`{name}` needs zarr, which is not installed, for {place}; pip install 'impasto[zarr]'"
        ) from None
    return zarr


def open_zarr(source: str | Path, axes: str | None = None, name: str = "picture") -> Stack:
    """Open a zarr store as measured data: an array, or the full resolution of an OME-Zarr picture.

    Chunks are read when their planes are. Opening reads all of them once where that tells
    something: whether floats are finite, and how large the numbers in 16 bits are.

    Args:
        source: a path, or a URL that fsspec reaches.
        axes: one capital letter for each axis, Y and X among them, where the store does not say.
        name: the argument's name in errors.

    Returns:
        The stack. Axes are those of OME-Zarr, of zarr's own dimension names or of xarray's;
        without any, the last two of up to five are Y and X, with Z, C and T before them.

    Raises:
        ImageError: there is no store, it cannot be read, or holds several pictures.
        ImpastoError: zarr is not installed.
        ValueError: `axes` do not fit.
    """
    zarr = zarr_module(source, name)
    place = str(source)
    with refusing(name, place, **_SENTENCE):
        with decoding("there is no zarr store, or it cannot be read"):
            node = zarr.open(place, mode="r")
        with decoding("its metadata is broken"):
            array, named, group, levels = _find_array(node)
            _check(array)
        shape = tuple(map(int, array.shape))
        if axes is not None:
            check_axes(axes, shape)
        elif named is None or len(named) != len(shape) or not set("YX") <= set(named):
            raise Unreadable(
                f"nothing says what the axes of its shape {shape} are", "name them with `axes`"
            )
        origin = place.rstrip("/").rsplit("/", 1)[-1] or None
        planes = ZarrPlanes(
            array, chunk_sizes(array), origin, place=place, name=name, group=group, levels=levels
        )
        stack = Stack(planes, axes or named, library_unit(planes.dtype), notes=_notes(group))
        return scan_range(
            stack, lambda values: ImageFileError(name, "be finite", place, f" with {values}")
        )


def multiscales(group: Any) -> Mapping[str, Any] | None:
    """Return what OME-Zarr says of the first picture in a group; None if it says nothing."""
    attributes = group.attrs.asdict()
    pictures = attributes.get("ome", attributes).get("multiscales")
    return pictures[0] if pictures else None


def _find_array(node: Any) -> tuple[zarr.Array, str | None, Any, tuple[str, ...]]:
    """Return a node's array, the letters of its axes, its group and paths of smaller copies."""
    if not hasattr(node, "members"):
        return node, _array_axes(node), None, ()
    picture = multiscales(node)
    if picture is not None:
        full, *smaller = [str(dataset["path"]) for dataset in picture["datasets"]]
        array = node[full]
        return array, _ome_axes(picture, array), node, tuple(smaller)
    members = list(node.members())
    arrays = [member for _, member in members if not hasattr(member, "members")]
    if len(arrays) == 1:
        return arrays[0], _array_axes(arrays[0]), None, ()
    names = ", ".join(sorted(name for name, _ in members)[:5]) or "nothing"
    raise Unreadable(
        f"it is a group of {names}", "give one of them, such as store.zarr/0, that is a picture"
    )


def _ome_axes(picture: Mapping[str, Any], array: zarr.Array) -> str:
    named = picture.get("axes")
    if not named:
        return _OLD_AXES[-array.ndim :]
    names = [axis if isinstance(axis, str) else axis["name"] for axis in named]
    kinds = [None if isinstance(axis, str) else axis.get("type") for axis in named]
    return axis_letters(names, kinds)


def _array_axes(array: zarr.Array) -> str | None:
    names = getattr(array.metadata, "dimension_names", None)
    names = names or array.attrs.asdict().get("_ARRAY_DIMENSIONS")
    if names and all(isinstance(name, str) for name in names):
        return axis_letters(names)
    return _OLD_AXES[-array.ndim :] if 2 <= array.ndim <= len(_OLD_AXES) else None


def axis_letters(names: Sequence[str], kinds: Sequence[str | None] | None = None) -> str:
    """Return a capital letter for each named axis: its first, unless its kind or another says else.

    Args:
        names: of the axes, such as `time` and `y`.
        kinds: `space`, `time`, `channel` or None of each.

    Example:
        >>> axis_letters(["time", "channel", "y", "x"]), axis_letters(["t", "tile", "y", "x"])
        ('TCYX', 'TPYX')
    """
    fixed = {"time": "T", "channel": "C"}
    letters: list[str] = []
    for name, kind in zip(names, kinds or [None] * len(names), strict=True):
        free = [letter for letter in "PQUVWRIABDEFGHJKLMNO" if letter not in letters]
        letter = fixed.get(kind or "", name[:1].upper())
        usable = letter in string.ascii_uppercase and letter and letter not in letters
        letters.append(letter if usable else free[0])
    return "".join(letters)


def _check(array: zarr.Array) -> None:
    """Refuse arrays that cannot be denoised, before anything is read."""
    name = np.dtype(array.dtype).name
    if name not in TYPES:
        raise Unreadable(f"its numbers are {name}", f"convert them to {', '.join(TYPES)}")
    if array.ndim < 2 or math.prod(array.shape) == 0:
        raise Unreadable(f"its array has shape {tuple(array.shape)}", "give planes with pixels")
    check_pixels((int(array.shape[-1]), int(array.shape[-2])), MAX_PIXELS)
    if math.prod(array.chunks) * np.dtype(array.dtype).itemsize > _MAX_CHUNK:
        raise Unreadable(f"its chunks have the shape {array.chunks}", "store it in smaller ones")


def _notes(group: Any) -> tuple[str, ...]:
    """Return what of a group is left out of results."""
    if group is None:
        return ()
    picture = multiscales(group)
    listed = {str(dataset["path"]).split("/")[0] for dataset in picture["datasets"]}
    others = sorted(name for name, _ in _members(group) if name not in listed)
    return (f"{', '.join(others)} beside the picture is left out of the result",) if others else ()


def _members(group: Any) -> Iterator[tuple[str, Any]]:
    with contextlib.suppress(Exception):  # a store that lists nothing, as over plain HTTP
        yield from group.members()
