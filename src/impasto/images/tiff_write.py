"""Measured data back into a TIFF like the one it came from, a plane at a time."""

from __future__ import annotations

import contextlib
import io
import math
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from torch import Tensor

from impasto.errors import ImageError
from impasto.files import atomic_path, check_writable
from impasto.images.stack import CHANNELS, Stack
from impasto.images.tiff_ifd import add_bytes, rechain
from impasto.images.tiff_pages import Pages, page_numbers
from impasto.images.xmp import from_xmp, to_xmp

_XMP, _BYTES = 700, 1  # TIFF's number of a tag, and type of its value
_DEFLATE = 8
_LOSSLESS = (5, _DEFLATE, 32946, 32773, 34925, 50000)  # LZW, deflate, PackBits, LZMA, Zstandard
_JPEG, _YCBCR, _RGB, _BLACK_IS_ZERO = (6, 7), 6, 2, 1
_CLASSIC = 2**32 - 2**25  # what a classic TIFF holds, with room for its tags
# Tags that tifffile writes itself, that point into the file, or that tell of a compression.
_OWN = frozenset(
    (*range(256, 260), 262, 266, 273, *range(277, 280), *range(282, 285), 292, 293, 296, 317)
)
_OWN |= frozenset((*range(322, 326), 330, 338, 339, 347, 400, *range(512, 522), 530, 531, 532))
_OWN |= frozenset((32997, 32998, *range(33628, 33632), 34412, 34665, 34853, 40965, 50674))
_PORTABLE = (*range(1, 13), 16, 17)  # types of tags whose values mean the same at another place


def write_stack(
    path: str | Path,
    stack: Stack,
    planes: Iterable[Tensor],
    *,
    recipe: str | None = None,
    overwrite: bool = False,
    inputs: Iterable[Any] = (),
) -> Path:
    """Write results into a TIFF like the one the stack came from, whole or not at all.

    What the file had besides its numbers stays: type, axes and byte order, the words of ImageJ and
    OME, ranges, colors, labels, resolution and every other tag that does not point elsewhere. Where
    the pixels lay in it as they are, the new file is the old one with other pixels; where they were
    packed or in tiles, the pages are written anew, in the same compression if it is lossless and
    deflated if not, without smaller copies of them. An array becomes a file in tifffile's own form,
    which keeps the axes' names.

    Args:
        path: where to, ending in .tif or .tiff.
        stack: where the data came from; its file is read again.
        planes: the results, (C, H, W) each, in the order of `Stack.planes`. They are taken one at
            a time, as each is written.
        recipe: JSON of the recipe to store inside, as XMP; left out where the file has XMP of
            another program, or ends where a classic TIFF must.
        overwrite: replace a file that is already there.
        inputs: files that must not be written to, besides the stack's own.

    Returns:
        The path written.

    Raises:
        ImageError: the place cannot be written, or holds a file and `overwrite` is False; or
            the stack's own file was changed meanwhile, or has pages that cannot be written.
        ValueError: another ending, or too few, too many or unfit planes.

    Example:
        >>> import tempfile
        >>> from impasto.images.stack import array_stack
        >>> stack = array_stack(np.zeros((4, 20, 30), np.uint16), axes="TYX")
        >>> planes = (stack.plane(index) for index in stack.planes())
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_stack(Path(folder) / "a.tif", stack, planes).name
        'a.tif'
    """
    target = Path(path)
    if target.suffix.lower() not in (".tif", ".tiff") and not target.is_dir():
        raise ValueError(
            f"`output` must end in .tif or .tiff, got {path}; measured data is kept in TIFF"
        )
    own = () if stack.file is None else (stack.file.path,)
    check_writable(target, overwrite=overwrite, inputs=(*inputs, *own))
    with atomic_path(target, overwrite=overwrite) as temporary:
        if stack.file is None:
            pages = _from_array(temporary, stack, recipe)
        elif stack.file.offsets is None or stack.file.series.is_pyramidal:
            pages = _anew(temporary, stack, recipe)
        else:
            pages = _like(temporary, stack, recipe)
        with pages as out:
            _fill(stack, out, planes)
    return target


class _Gathered:
    """An array to write planes into, which hands each page on when the last of it is there."""

    def __init__(self, stack: Stack, split: int, store: Callable[[int, np.ndarray], None]) -> None:
        self._shape, self._dtype, self._split = stack.shape, stack.dtype, split
        self._numbers = page_numbers(stack.shape, split)
        self._store = store
        self._begun: dict[int, tuple[np.ndarray, int]] = {}

    def __setitem__(self, slices: tuple[int | slice, ...], values: np.ndarray) -> None:
        counted, inside = slices[: self._split], slices[self._split :]
        numbers = np.asarray(self._numbers[counted])
        sizes = self._shape[self._split :]
        visits = math.prod(
            size for size, one in zip(sizes, inside, strict=True) if isinstance(one, int)
        )
        for number, part in zip(numbers.flat, values.reshape(numbers.size, -1), strict=True):
            fresh = (np.empty(sizes, self._dtype), visits)
            page, missing = self._begun.pop(int(number), fresh)
            page[inside] = part.reshape(page[inside].shape)
            if missing > 1:
                self._begun[int(number)] = (page, missing - 1)
            else:
                self._store(int(number), page)


def _fill(stack: Stack, out: _Gathered, planes: Iterable[Tensor]) -> None:
    """Write every plane, and make sure that there are as many as the stack has."""
    done = 0
    indices = stack.planes()
    for plane in planes:
        index = next(indices, None)
        if index is None:
            raise ValueError(
                f"`planes` must be {stack.count:,}, one for each of the stack's, got more; leave "
                "the others out"
            )
        stack.put(out, index, plane)
        done += 1
    if done < stack.count:
        raise ValueError(
            f"`planes` must be {stack.count:,}, one for each of the stack's, got {done:,}; give "
            "them all"
        )


@contextlib.contextmanager
def _in_place(path: Path, stack: Stack, split: int, offsets: Sequence[int]) -> Iterator[_Gathered]:
    """Pages whose places in the file are known."""
    with open(path, "r+b") as file:

        def store(number: int, page: np.ndarray) -> None:
            file.seek(offsets[number])
            file.write(page.tobytes())

        yield _Gathered(stack, split, store)


@contextlib.contextmanager
def _like(path: Path, stack: Stack, recipe: str | None) -> Iterator[_Gathered]:
    """A copy of the stack's file, for other pixels to be written over its own."""
    source: Pages = stack.file
    source.check_unchanged()
    shutil.copyfile(source.path, path)
    with _in_place(path, stack, source.split, source.offsets) as out:
        yield out
    if recipe and _room_for_recipe(source):
        add_bytes(path, _XMP, to_xmp(recipe))


@contextlib.contextmanager
def _anew(path: Path, stack: Stack, recipe: str | None) -> Iterator[_Gathered]:
    """A file whose pages are written one after the other, in whatever order they come."""
    source: Pages = stack.file
    source.check_unchanged()
    keyframe, first = source.series.keyframe, source.first
    layout = _layout(keyframe, stack.dtype, plain=source.offsets is not None)
    size = math.prod(stack.shape) * stack.dtype.itemsize
    options = {
        "byteorder": source.series.parent.byteorder,
        "bigtiff": source.series.parent.is_bigtiff or size > _CLASSIC,
        "ome": False,
        "shaped": False,
    }
    written: list[int] = []

    def write(writer: tifffile.TiffWriter, number: int, page: np.ndarray) -> None:
        tags = source.tags(number)
        kept = _kept_tags(tags)
        if recipe and number == first and _room_for_recipe(source):
            kept = [tag for tag in kept if tag[0] != _XMP]
            kept.append((_XMP, _BYTES, None, to_xmp(recipe), True))
        page = page.reshape(keyframe.shape)
        writer.write(page, **layout, **_resolution(tags), extratags=kept)

    def store(number: int, page: np.ndarray) -> None:
        write(writer, number, page)
        written.append(source.pages[number].index)

    # What tifffile reads but does not write is found before the work.
    try:
        with tifffile.TiffWriter(io.BytesIO(), **options) as trial:
            write(trial, first, np.zeros(keyframe.shape, stack.dtype))
    except (ImageError, MemoryError):
        raise
    except Exception as error:
        why = f"impasto cannot write its {keyframe.photometric.name} pages again"
        raise source.refusal(why, way_out="save it without compression") from error
    with tifffile.TiffWriter(path, **options) as writer:
        yield _Gathered(stack, source.split, store)
    rechain(path, written)


@contextlib.contextmanager
def _from_array(path: Path, stack: Stack, recipe: str | None) -> Iterator[_Gathered]:
    """A file for an array, in tifffile's own form."""
    if stack.dtype.kind == "b":  # eight to a byte, which tifffile leaves no room for
        found = np.empty(stack.shape, stack.dtype)
        yield _Gathered(stack, 0, lambda _, page: np.copyto(found, page))
        _array_file(path, stack, recipe, found)
        return
    offset = _array_file(path, stack, recipe)
    split = len(stack.shape) - (3 if stack.axes[-1] in CHANNELS else 2)
    page, size = (math.prod(stack.shape[at:]) * stack.dtype.itemsize for at in (split, 0))
    with _in_place(path, stack, split, range(offset, offset + size, page)) as out:
        yield out


def _array_file(
    path: Path, stack: Stack, recipe: str | None, data: np.ndarray | None = None
) -> int:
    """Write the file of an array, or leave room for its data; gives where that begins."""
    size = math.prod(stack.shape) * stack.dtype.itemsize
    order = ">" if stack.dtype.str.startswith(">") else "<"
    # Channels side by side, which tifffile cannot have for bits, and does not for one.
    last = stack.axes[-1] in CHANNELS and stack.shape[-1] > 1 and stack.dtype.kind != "b"
    colors = last and stack.shape[-1] == 3 and stack.dtype.kind in "uf"
    big = size > _CLASSIC
    with tifffile.TiffWriter(path, byteorder=order, bigtiff=big, ome=False) as writer:
        place = writer.write(
            data,
            shape=stack.shape,
            dtype=stack.dtype,
            photometric=_RGB if colors else _BLACK_IS_ZERO,
            planarconfig=1 if last else None,
            metadata={"axes": stack.axes},
            software=False,
            extratags=[(_XMP, _BYTES, None, to_xmp(recipe), True)] if recipe else (),
            returnoffset=True,
        )
    return place[0] if place else 0


def _layout(page: tifffile.TiffPage, dtype: np.dtype, *, plain: bool) -> dict[str, Any]:
    """How a page is written as the one given was."""
    compression, photometric = int(page.compression), int(page.photometric)
    if compression in _JPEG and photometric == _YCBCR:
        photometric = _RGB  # as it was decoded
    if photometric not in tifffile.TIFF.PHOTOMETRIC_SAMPLES:
        photometric = _BLACK_IS_ZERO
    # Pages that lay in the file as they are would seem to hold those behind them, too.
    if compression not in _LOSSLESS and (compression != 1 or plain):
        compression = _DEFLATE
    layout: dict[str, Any] = {"photometric": photometric, "metadata": None, "software": False}
    if compression != 1:
        foreseen = dtype.kind == "f" or dtype.kind in "iu"
        layout |= {"compression": compression, "predictor": page.predictor != 1 and foreseen}
    elif isinstance(page.bitspersample, int) and dtype.kind == "u":
        layout["bitspersample"] = page.bitspersample
    if page.samplesperpixel > 1:
        layout["planarconfig"] = int(page.planarconfig)
    if page.extrasamples:
        layout["extrasamples"] = tuple(map(int, page.extrasamples))
    if page.imagedepth > 1:
        layout["volumetric"] = True
    if page.is_tiled and not any(side % 16 for side in page.tile[-2:]):
        layout["tile"] = page.tile
    elif not page.is_tiled:
        layout["rowsperstrip"] = page.rowsperstrip
    return layout | {"maxworkers": 1}


def _kept_tags(tags: list[tuple[int, int, int, Any]]) -> list[tuple[int, int, int, Any, bool]]:
    """What tifffile is to write of a page's tags besides its own."""
    return [
        (code, kind, count, value, True)
        for code, kind, count, value in tags
        if code not in _OWN and kind in _PORTABLE
    ]


def _resolution(tags: list[tuple[int, int, int, Any]]) -> dict[str, Any]:
    """A page's pixels to a unit of length, and the unit."""
    found = {code: value for code, _, _, value in tags}
    pair = [found.get(code) for code in (282, 283)]
    if not all(isinstance(one, tuple) and len(one) == 2 and one[1] for one in pair):
        return {}
    unit = int.from_bytes(found.get(296, b"\2\0").strip(b"\0"), "little")
    return {"resolution": pair, "resolutionunit": unit if 1 <= unit <= 5 else 1}


def _room_for_recipe(source: Pages) -> bool:
    """Whether the file's own XMP, if there is any, is impasto's."""
    packets = [value for code, _, _, value in source.tags(source.first) if code == _XMP]
    return not packets or from_xmp(packets[0]) is not None
