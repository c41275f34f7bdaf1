"""The pages of a TIFF's measured data: checked against the file, read one at a time."""

from __future__ import annotations

import contextlib
import math
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from impasto.errors import ImageFileError
from impasto.images.formats import MAX_PIXELS
from impasto.images.header import Unreadable, check_pixels, unreadable_file
from impasto.images.stack import TYPES
from impasto.images.tiff_ifd import check_chain

WORDS = {"kind": "TIFF", "way_out": "give a TIFF file"}  # of `refusal`


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
                with self.lock, _reopened(self.series):
                    found = self.pages[number].asarray(maxworkers=1)
            else:
                place = self.offsets[number]
                found = np.fromfile(self.path, self.dtype, math.prod(inside), offset=place)
            return found.reshape(inside)
        except MemoryError:
            raise
        # Decoders raise whatever a broken file makes them raise.
        except Exception as error:
            raise self.refusal("its pixels are cut short or broken") from error

    def tags(self, number: int) -> list[tuple[int, int, int, Any]]:
        """A page's tags: code, type, count, and the bytes as they are, or ratios' whole numbers."""
        if number >= len(self.pages) or getattr(self.pages[number], "is_virtual", False):
            return []  # the first page's speak for it
        found = []
        try:
            with self.lock, _reopened(self.series) as file:
                for tag in self.pages[number].aspage().tags:
                    value = tag.value
                    if tag.dtype not in (tifffile.DATATYPE.RATIONAL, tifffile.DATATYPE.SRATIONAL):
                        file.seek(tag.valueoffset)
                        value = file.read(tag.valuebytecount)
                    found.append((tag.code, int(tag.dtype), tag.count, value))
        # tifffile raises whatever a broken file makes it raise.
        except Exception as error:
            why = f"the tags of its page {number + 1:,} are broken"
            raise self.refusal(why) from error
        return found

    @property
    def first(self) -> int:
        """The number of the page that comes first in the file."""
        return min(range(len(self.pages)), key=lambda number: self.pages[number].index)

    def check_unchanged(self) -> None:
        """Refuse a file that is no longer the one that was opened."""
        if _stamp(self.path) != self.stamp:
            raise self.refusal("it was changed while it was worked on")

    def refusal(self, why: str, **words: str) -> ImageFileError:
        """Return the error that refuses the file."""
        return unreadable_file(self.name, str(self.path), why, **(WORDS | words))


def pages_of(path: Path, name: str) -> tuple[Pages, str]:
    """A TIFF's pages, checked against the file, and their axes.

    Raises:
        Unreadable: why they cannot be read, and what to do about it where that is known.
        Exception: whatever a broken file makes tifffile raise.
    """
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


def page_numbers(shape: tuple[int, ...], split: int) -> np.ndarray:
    """The number of each page, in the shape of the axes that count them."""
    counted = shape[:split]
    return np.arange(math.prod(counted)).reshape(counted)


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
