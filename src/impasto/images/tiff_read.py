"""Read TIFF files of measured data: which files are such, and their pages one at a time."""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import struct
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import tifffile

from impasto.errors import ImageFileError
from impasto.images.formats import MAX_PIXELS, describe_unknown_format, detect_format
from impasto.images.header import Unreadable, check_pixels, decoding, refusing, unreadable_file
from impasto.images.read import read_with
from impasto.images.stack import CHANNELS, TYPES, Stack, check_axes, library_unit, scan_range
from impasto.images.tiff_page import check_page, decode_page

_SENTENCE = {"kind": "TIFF", "way_out": "give a TIFF file"}  # of `unreadable_file`
_OPACITY = (1, 2)  # of TIFF's extra samples
_HEADERS = {
    b"II*\0": tifffile.TIFF.CLASSIC_LE,
    b"MM\0*": tifffile.TIFF.CLASSIC_BE,
    b"II+\0": tifffile.TIFF.BIG_LE,
    b"MM\0+": tifffile.TIFF.BIG_BE,
}
_TYPE_BYTES = {kind: struct.calcsize(form) for kind, form in tifffile.TIFF.DATA_FORMATS.items()}
# Tags without which the data changes: description, offsets, lengths, resolution, colors, ImageJ's.
_NEEDED_TAGS = (270, 273, 279, 282, 283, 320, 324, 325, 50838, 50839)


def open_stack(path: str | Path, axes: str | None = None, name: str = "picture") -> Stack:
    """Open a TIFF as measured data.

    The axes are those that ImageJ, OME or tifffile wrote into the file; pages that none of them
    described are (I, Y, X). Pixels are read a page at a time. Opening reads all of them once where
    that tells something: whether compressed pages can be decoded, whether floats are finite, and
    how large the numbers in 16 bits are.

    Args:
        path: the file.
        axes: one capital letter for each of its axes longer than one, Y and X among them, where
            the file does not say or is wrong.
        name: the argument's name in errors.

    Returns:
        The stack. The ceiling of uint16 data is the smallest of 1023, 4095, 16383 and 65535 that
        its largest number fits under, and what the file's bits can hold where they are fewer than
        the type's.

    Raises:
        ImageError: the file is missing, broken, cut short or no TIFF; its planes lie in several
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
    head = read_with(path, name, _read_head, **_SENTENCE)
    with refusing(name, str(path), **_SENTENCE):
        if not head:
            raise Unreadable("the file is empty")
        if (format := detect_format(head)) != "TIFF":
            raise Unreadable(f"it is {format or describe_unknown_format(head)}")
        with decoding("its TIFF header is broken or cut short"):
            pages, file_axes = _open_pages(Path(path), name)
        if axes is not None:
            check_axes(axes, pages.shape)
        elif any(file_axes.count(letter) != 1 for letter in "YX") or any(
            file_axes.count(letter) > 1 for letter in CHANNELS
        ):
            raise Unreadable(f"its axes are {file_axes}", "name them with `axes`")
    bits = pages.series.keyframe.bitspersample
    narrow = pages.dtype.kind == "u" and isinstance(bits, int) and bits < 8 * pages.dtype.itemsize
    ceiling = 2**bits - 1 if narrow else None
    return scan_range(
        Stack(pages, axes or file_axes, library_unit(pages.dtype), ceiling),
        lambda values: ImageFileError(name, "be finite", str(path), f" with {values}"),
        compressed=pages.offsets is None,
    )


def is_scientific_tiff(path: str | Path) -> bool:
    """Return whether a TIFF is better read as data, by `open_stack`, than as a picture.

    It is data if ImageJ or OME describe it, or if it has more than one page of full size. Otherwise
    it is a picture if it has a color profile. Without one it is data if its numbers are of another
    type than uint8 and uint16, if it has other than 1, 3 or 4 channels (opacity not counted), or if
    it is gray with 16 bits.

    Args:
        path: any file.

    Returns:
        False for anything that is not a TIFF, or that cannot be read: opening it as a picture
        says why.

    Example:
        >>> is_scientific_tiff("photograph.jpg")
        False
    """
    try:
        if detect_format(_read_head(Path(path))) != "TIFF":
            return False
        with tifffile.TiffFile(path) as file:
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


@dataclass(frozen=True, eq=False)
class TiffPages:
    """The pages of a file's data, read as one array, a plane at a time; it holds no pixels.

    Attributes:
        path: the file.
        name: the argument's name in errors.
        series: the pages that belong together, as tifffile has them.
        pages: tifffile's pages; fewer than there are where the first one describes all of them.
        shape: sizes of all axes.
        dtype: type of the data, in the file's byte order.
        outer: how many axes count pages; those after them are inside each page.
        offsets: positions of the pages' pixels in the file where each page lies there in one piece,
            uncompressed; None otherwise.
        version: size and modification time of the file when it was opened.
    """

    path: Path
    name: str
    series: tifffile.TiffPageSeries
    pages: list[Any]
    shape: tuple[int, ...]
    dtype: np.dtype
    outer: int
    offsets: Sequence[int] | None
    version: tuple[int, int]
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __getitem__(self, slices: tuple[int | slice, ...]) -> np.ndarray:
        """Read a part of the data: an index or a whole slice for every axis."""
        outer = self.shape[: self.outer]
        numbers = np.arange(math.prod(outer)).reshape(outer)
        numbers = np.asarray(numbers[slices[: self.outer]])
        parts = [self.read_page(int(number))[slices[self.outer :]] for number in numbers.flat]
        return np.stack(parts).reshape(*numbers.shape, *parts[0].shape)

    def read_page(self, number: int) -> np.ndarray:
        """Read one page's numbers; its axes are those inside a page."""
        shape = self.shape[self.outer :]
        with (
            refusing(self.name, str(self.path), **_SENTENCE),
            decoding("its pixels are cut short or broken"),
        ):
            if self.offsets is None:
                with self._open():
                    page = decode_page(self.pages[number])
            else:
                offset = self.offsets[number]
                page = np.fromfile(self.path, self.dtype, math.prod(shape), offset=offset)
            return page.reshape(shape)

    def read_tags(self, number: int) -> list[tuple[int, int, int, Any]]:
        """Read a page's tags: code, type, count, and the raw bytes, or two integers of a ratio."""
        if number >= len(self.pages) or getattr(self.pages[number], "is_virtual", False):
            return []  # the first page's apply to it
        tags = []
        with (
            refusing(self.name, str(self.path), **_SENTENCE),
            decoding(f"the tags of its page {number + 1:,} are broken"),
            self._open() as file,
        ):
            for tag in self.pages[number].aspage().tags:
                value = tag.value
                if tag.dtype not in (tifffile.DATATYPE.RATIONAL, tifffile.DATATYPE.SRATIONAL):
                    file.seek(tag.valueoffset)
                    value = file.read(tag.valuebytecount)
                tags.append((tag.code, int(tag.dtype), tag.count, value))
        return tags

    @property
    def file_order(self) -> list[int]:
        """Numbers of the pages in the order in which the file has them."""
        return sorted(range(len(self.pages)), key=lambda number: self.pages[number].index)

    def check_unchanged(self) -> None:
        """Refuse a file that is no longer the one that was opened."""
        if _version(self.path) != self.version:
            raise self.error("it was changed while it was worked on")

    def error(self, why: str, **sentence: str) -> ImageFileError:
        """Make the exception that refuses the file."""
        return unreadable_file(self.name, str(self.path), why, **(_SENTENCE | sentence))

    @contextlib.contextmanager
    def _open(self) -> Iterator[tifffile.FileHandle]:
        """Open the file for tifffile's pages; it does not stay open between two planes."""
        with self.lock:
            handle = self.series.keyframe.parent.filehandle
            handle.open()
            try:
                yield handle
            finally:
                handle.close()


def _open_pages(path: Path, name: str) -> tuple[TiffPages, str]:
    """Return a TIFF's pages, checked against the file, and their axes.

    Raises:
        Unreadable: why they cannot be read, and the way out where there is one.
        Exception: whatever a broken file makes tifffile raise.
    """
    _check_directories(path)
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
        outer = next(
            (dim for dim in range(len(series.shape)) if math.prod(series.shape[dim:]) == size), None
        )
        offsets = None if outer is None else _page_offsets(series, pages)
        count = len(pages if offsets is None else offsets)
        if outer is None or count != math.prod(series.shape[:outer]):
            raise Unreadable(
                f"its {len(pages):,} pages of shape {keyframe.shape} do not make up {series.shape}"
            )
        dtype = np.dtype(series.dtype).newbyteorder(file.byteorder)
        for page in pages:
            check_page(page, file.filehandle.size)
        if offsets is not None and max(offsets) + size * dtype.itemsize > file.filehandle.size:
            raise Unreadable("the file is cut short")
        shape = tuple(series.shape)
        data = TiffPages(path, name, series, pages, shape, dtype, outer, offsets, _version(path))
        return data, series.axes


def _only_series(file: tifffile.TiffFile) -> tifffile.TiffPageSeries:
    """Return the one series of pages in a file; smaller copies of it are passed over."""
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


def _page_offsets(series: tifffile.TiffPageSeries, pages: list[Any]) -> Sequence[int] | None:
    """Return the pages' positions if each lies in the file in one piece, uncompressed."""
    size = series.keyframe.size * series.dtype.itemsize
    if (start := series.dataoffset) is not None:
        return range(start, start + math.prod(series.shape) * series.dtype.itemsize, size)
    for page in pages:
        ends = map(sum, zip(page.dataoffsets, page.databytecounts, strict=True))
        starts = page.dataoffsets[1:]
        in_one_piece = all(end == start for end, start in zip(ends, starts, strict=False))
        if not (page.is_final and in_one_piece):
            return None
    return [page.dataoffsets[0] for page in pages]


def _check_directories(path: Path) -> None:
    """Refuse a file that does not hold all its pages' directories and the tags they need.

    tifffile passes over what it cannot find: pages at the end of a file that is cut short, or the
    description that names their axes.

    Raises:
        Unreadable: the file ends too early, or its directories follow each other in a circle.
    """
    with open(path, "rb") as file:
        form = _HEADERS[file.read(4)]
        entry = f"{form.byteorder}HH{2 * form.offsetformat[1:]}"
        offsets: set[int] = set()
        # The header is as long as it says that positions are.
        offset = _read_number(file, form.offsetformat, form.offsetsize)
        while offset:
            if offset in offsets:
                raise Unreadable("its pages follow each other in a circle")
            offsets.add(offset)
            size = _read_number(file, form.tagnoformat, offset) * form.tagsize
            start = offset + form.tagnosize
            offset = _read_number(file, form.offsetformat, start + size)
            file.seek(start)
            for code, kind, count, position in struct.iter_unpack(entry, file.read(size)):
                length = _TYPE_BYTES.get(kind, 0) * count
                if code in _NEEDED_TAGS and length > form.offsetsize:
                    _read_number(file, "B", position + length - 1)


def _read_number(file: BinaryIO, form: str, position: int) -> int:
    size = struct.calcsize(form)
    try:
        file.seek(position)
        data = file.read(size)
    except (OSError, OverflowError):  # further than a file can be long
        data = b""
    if len(data) < size:
        raise Unreadable("the file is cut short")
    return struct.unpack(form, data)[0]


def _read_head(path: Path) -> bytes:
    """Read the beginning of a regular file."""
    if path.is_fifo():
        raise OSError("it is a pipe, not a file")
    with open(path, "rb") as file:
        return file.read(4096)


def _version(path: Path) -> tuple[int, int]:
    """Return a file's size and modification time."""
    try:
        state = os.stat(path)
    except OSError:
        return 0, 0
    return state.st_size, state.st_mtime_ns
