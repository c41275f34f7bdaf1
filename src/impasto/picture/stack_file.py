"""TIFF files of measured data: whether a file is one, what it holds, read a page at a time."""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from impasto.errors import PictureError
from impasto.picture.chain import check_chain
from impasto.picture.formats import MAX_PIXELS, likeness, recognized
from impasto.picture.header import Unreadable, check_pixels
from impasto.picture.hush import hushed
from impasto.picture.sources import from_path, refusal
from impasto.picture.stack import CHANNELS, TYPES, Stack, check_axes, surveyed, unit_of

_KIND, _WAY_OUT = "TIFF", "give a TIFF file"
_OPACITY = (1, 2)  # of TIFF's extra samples


@dataclass(frozen=True, eq=False)
class Pages:
    """The pages of a file's data, read as one array, a plane at a time; it holds no pixels.

    Attributes:
        path: of the file.
        name: what errors call it.
        series: tifffile's word for pages that belong together.
        pages: tifffile's; fewer than there are where the first one speaks for all of them.
        shape: of all the axes.
        dtype: in the file's byte order.
        split: how many axes count pages; those after them are inside each page.
        offsets: where each page's pixels begin, if all of them lie there as they are; else None.
        stamp: the file's size and time as it was opened.
    """

    path: Path
    name: str
    series: tifffile.TiffPageSeries
    pages: list[Any]
    shape: tuple[int, ...]
    dtype: np.dtype
    split: int
    offsets: Sequence[int] | None
    stamp: tuple[int, int]
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __getitem__(self, slices: tuple[int | slice, ...]) -> np.ndarray:
        """A part of the data: an index or a whole slice for every axis."""
        numbers = np.asarray(page_numbers(self.shape, self.split)[slices[: self.split]])
        parts = [self.page(int(number))[slices[self.split :]] for number in numbers.flat]
        return np.stack(parts).reshape(*numbers.shape, *parts[0].shape)

    def page(self, number: int) -> np.ndarray:
        """One page's numbers, (the axes inside a page)."""
        inside = self.shape[self.split :]
        try:
            if self.offsets is None:
                with self.lock, hushed(), _reopened(self.series):
                    found = self.pages[number].asarray(maxworkers=1)
            else:
                place = self.offsets[number]
                found = np.fromfile(self.path, self.dtype, math.prod(inside), offset=place)
            return found.reshape(inside)
        except MemoryError:
            raise
        # Decoders raise whatever a broken file makes them raise.
        except Exception as error:
            raise PictureError(self.refusal("its pixels are cut short or broken")) from error

    def tags(self, number: int) -> list[tuple[int, int, int, Any]]:
        """A page's tags: code, type, count, and the bytes as they are, or ratios' whole numbers."""
        if number >= len(self.pages) or getattr(self.pages[number], "is_virtual", False):
            return []  # the first page's speak for it
        found = []
        try:
            with self.lock, hushed(), _reopened(self.series) as file:
                for tag in self.pages[number].aspage().tags:
                    value = tag.value
                    if tag.dtype not in (tifffile.DATATYPE.RATIONAL, tifffile.DATATYPE.SRATIONAL):
                        file.seek(tag.valueoffset)
                        value = file.read(tag.valuebytecount)
                    found.append((tag.code, int(tag.dtype), tag.count, value))
        # tifffile raises whatever a broken file makes it raise.
        except Exception as error:
            why = f"the tags of its page {number + 1:,} are broken"
            raise PictureError(self.refusal(why)) from error
        return found

    @property
    def first(self) -> int:
        """The number of the page that comes first in the file."""
        return min(range(len(self.pages)), key=lambda number: self.pages[number].index)

    def check_unchanged(self) -> None:
        """Refuse a file that is no longer the one that was opened."""
        if _stamp(self.path) != self.stamp:
            raise PictureError(self.refusal("it was changed while it was worked on"))

    def refusal(self, why: str, way_out: str = _WAY_OUT) -> str:
        """The sentence that refuses the file."""
        return refusal(self.name, str(self.path), why, kind=_KIND, way_out=way_out)


def open_stack(path: str | Path, axes: str | None = None, name: str = "picture") -> Stack:
    """Open a TIFF as measured data.

    The axes are those that ImageJ, OME or tifffile wrote into the file; pages without such words
    are (I, Y, X). Pixels are read a page at a time; opening reads all of them once where that
    tells something: whether packed pages can be unpacked, whether floats are finite, and how
    large the numbers in 16 bits are.

    Args:
        path: of the file.
        axes: one capital letter for each of its axes longer than one, Y and X among them, where
            the file does not say or is wrong.
        name: what errors call it.

    Returns:
        The stack. The ceiling of uint16 data is the smallest of 1023, 4095, 16383 and 65535 that
        its largest number fits under, and what the file's bits can hold where they are fewer than
        the type's.

    Raises:
        PictureError: the file is missing, broken, cut short or no TIFF; its planes lie in several
            files, or differ in size; its numbers are of a type that impasto does not read, or not
            finite; or nothing says which axes are Y and X.
        ValueError: `axes` do not fit the file.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     tifffile.imwrite(f"{folder}/a.tif", np.zeros((9, 20, 30), "u2"), imagej=True)
        ...     open_stack(f"{folder}/a.tif").shape
        (9, 20, 30)
    """
    words = {"kind": _KIND, "way_out": _WAY_OUT}
    head = from_path(path, name, _head, **words)
    try:
        if recognized(head) != "TIFF":
            raise Unreadable(_other(head))
        try:
            with hushed():
                pages, found = _opened(Path(path), name)
        except (Unreadable, MemoryError):
            raise
        # Decoders raise whatever a broken file makes them raise.
        except Exception as error:
            raise Unreadable("its TIFF header is broken or cut short") from error
        if axes is not None:
            check_axes(axes, pages.shape)
        elif any(found.count(letter) != 1 for letter in "YX") or any(
            found.count(letter) > 1 for letter in CHANNELS
        ):
            raise Unreadable(f"its axes are {found}", "name them with `axes`")
    except Unreadable as error:
        why, *way_out = error.args
        words |= {"way_out": way_out[0]} if way_out else {}
        raise PictureError(refusal(name, str(path), why, **words)) from error
    stack = Stack(pages, axes or found, unit_of(pages.dtype), _ceiling(pages), pages)
    return surveyed(
        stack,
        lambda words: PictureError(f"`{name}` must be finite, got {path} with {words}"),
        packed=pages.offsets is None,
    )


def is_measured(path: str | Path) -> bool:
    """Whether a TIFF is better read as data, by `open_stack`, than as a picture.

    It is data if it has the words of ImageJ or OME in it, or more than one page of full size. With
    neither it is a picture if it has a color profile; otherwise it is data if its numbers are of
    another type than uint8 and uint16, if it has other than 1, 3 or 4 channels (opacity not
    counted), or if it is gray with 16 bits.

    Args:
        path: of any file.

    Returns:
        False for anything that is not a TIFF, or that cannot be read: opening it as a picture
        says why.

    Example:
        >>> is_measured("photograph.jpg")
        False
    """
    try:
        if recognized(_head(Path(path))) != "TIFF":
            return False
        with hushed(), tifffile.TiffFile(path) as file:
            page = file.pages[0]
            if file.is_imagej or file.is_ome:
                return True
            if any(not other.is_reduced for other in itertools.islice(file.pages, 1, None)):
                return True
            if page.iccprofile:
                return False
            channels = page.samplesperpixel - sum(e in _OPACITY for e in page.extrasamples)
            # Without a type, tifffile cannot read it, but another decoder may.
            if page.dtype is None or page.dtype == np.uint8:
                return channels not in (1, 3, 4)
            return page.dtype != np.uint16 or channels not in (3, 4)
    # Decoders raise whatever a broken file makes them raise.
    except Exception:
        return False


def page_numbers(shape: tuple[int, ...], split: int) -> np.ndarray:
    """The number of each page, in the shape of the axes that count them."""
    counted = shape[:split]
    return np.arange(math.prod(counted)).reshape(counted)


def _head(path: Path) -> bytes:
    """The beginning of a regular file."""
    if path.is_fifo():
        raise OSError("it is a pipe, not a file")
    with open(path, "rb") as file:
        return file.read(4096)


def _other(head: bytes) -> str:
    """What a file is that is no TIFF, from its beginning."""
    if not head:
        return "the file is empty"
    format = recognized(head)
    return f"it is {likeness(head)}" if format is None else f"it is {format}"


def _opened(path: Path, name: str) -> tuple[Pages, str]:
    """A TIFF's pages, checked against the file, and their axes."""
    check_chain(path)
    with tifffile.TiffFile(path) as file:
        series = _only_series(file)
        keyframe, pages = series.keyframe, list(series)
        if missing := sum(page is None or page.parent is not file for page in pages):
            raise Unreadable(
                f"{missing:,} of its planes are not in it but in other files",
                "save them in one file",
            )
        _check_page(keyframe)
        size = math.prod(keyframe.shape)
        split = next(
            (at for at in range(len(series.shape)) if math.prod(series.shape[at:]) == size), None
        )
        offsets = None if split is None else _offsets(series, pages)
        count = len(pages if offsets is None else offsets)
        if split is None or count != math.prod(series.shape[:split]):
            raise Unreadable(
                f"its {len(pages):,} pages of shape {keyframe.shape} do not make up {series.shape}"
            )
        dtype = np.dtype(series.dtype).newbyteorder(file.byteorder)
        last = _end(pages) if offsets is None else max(offsets) + size * dtype.itemsize
        if last > file.filehandle.size:
            raise Unreadable("the file is cut short")
        found = Pages(
            path, name, series, pages, tuple(series.shape), dtype, split, offsets, _stamp(path)
        )
        return found, series.axes


def _only_series(file: tifffile.TiffFile) -> tifffile.TiffPageSeries:
    """The one series of pages in a file; smaller copies of it are passed over."""
    if not file.series:
        raise Unreadable("it has no pages")
    series, *others = file.series
    if any(not other.keyframe.is_reduced for other in others):
        raise Unreadable(
            f"it holds {len(file.series)} pictures of different sizes or kinds",
            "save each in a file of its own",
        )
    if file.is_imagej and series.kind in ("generic", "uniform"):
        raise Unreadable("it holds fewer planes than its ImageJ description claims")
    if series.transform is not None:
        raise Unreadable("its numbers are not stored in proportion")
    return series


def _check_page(page: tifffile.TiffPage) -> None:
    """Refuse pages that cannot be read, before one is."""
    if page.dtype is None or np.dtype(page.dtype).name not in TYPES:
        raise Unreadable(
            f"its numbers are {page.dtype or 'of no type'}", f"convert them to {', '.join(TYPES)}"
        )
    if page.bitspersample == 1 and page.samplesperpixel > 1:  # which tifffile misreads
        raise Unreadable(f"it has {page.samplesperpixel} channels of one bit", "save one at a time")
    check_pixels((int(page.imagewidth), int(page.imagelength)), MAX_PIXELS)
    size = page.imagewidth * page.imagelength
    if page.is_tiled and page.tilewidth * page.tilelength > 4 * max(1 << 24, size):
        raise Unreadable("its tiles are far larger than its pages")


def _offsets(series: tifffile.TiffPageSeries, pages: list[Any]) -> Sequence[int] | None:
    """Where each page begins, if all of them lie in the file as they are, each in one piece."""
    size = series.keyframe.size * series.dtype.itemsize
    if (start := series.dataoffset) is not None:
        return range(start, start + math.prod(series.shape) * series.dtype.itemsize, size)
    if all(page.is_final and _in_one_piece(page) for page in pages):
        return [page.dataoffsets[0] for page in pages]
    return None


def _in_one_piece(page: Any) -> bool:
    """Whether a page's strips follow each other."""
    ends = map(sum, zip(page.dataoffsets, page.databytecounts, strict=True))
    return all(end == start for end, start in zip(ends, page.dataoffsets[1:], strict=False))


def _end(pages: list[Any]) -> int:
    """Where the last of the pages' strips or tiles ends."""
    return max(
        start + length
        for page in pages
        for start, length in zip(page.dataoffsets, page.databytecounts, strict=False)
    )


def _ceiling(pages: Pages) -> int | None:
    """The largest number in as many bits as the file keeps, where its type has more."""
    bits = pages.series.keyframe.bitspersample
    fewer = pages.dtype.kind == "u" and isinstance(bits, int) and bits < 8 * pages.dtype.itemsize
    return 2**bits - 1 if fewer else None


@contextlib.contextmanager
def _reopened(series: tifffile.TiffPageSeries) -> Iterator[tifffile.FileHandle]:
    """A file's pages can be read inside: no file stays open between two planes."""
    handle = series.keyframe.parent.filehandle
    handle.open()
    try:
        yield handle
    finally:
        handle.close()


def _stamp(path: Path) -> tuple[int, int]:
    """What tells that a file was changed."""
    try:
        state = os.stat(path)
    except OSError:
        return 0, 0
    return state.st_size, state.st_mtime_ns
