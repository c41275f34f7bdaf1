"""Read TIFF files of measured data: which files are such, and their pages one at a time."""

from __future__ import annotations

import contextlib
import io
import itertools
import math
import os
import re
import shutil
import struct
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import tifffile

from impasto.errors import ImageFileError
from impasto.files import file_sha256
from impasto.images.formats import MAX_PIXELS, describe_unknown_format, detect_format
from impasto.images.header import check_pixels
from impasto.images.image import SourceFile
from impasto.images.read import ImageSource, read_bytes, read_with, source_name
from impasto.images.stack import CHANNELS, TYPES, Stack, check_axes, library_unit, scan_range
from impasto.images.tiff_layout import (
    PALETTE,
    check_compression,
    check_developed,
    describe_data_channels,
    palette_colors,
    picture_page,
    tiff_channels,
    whole_pages,
)
from impasto.images.tiff_page import check_page, decode_page
from impasto.images.unreadable import Unreadable, decoding, refusing, unreadable_file

_SENTENCE = {"kind": "TIFF", "way_out": "give a TIFF file"}  # of `unreadable_file`
_HEADERS = {
    b"II*\0": tifffile.TIFF.CLASSIC_LE,
    b"MM\0*": tifffile.TIFF.CLASSIC_BE,
    b"II+\0": tifffile.TIFF.BIG_LE,
    b"MM\0+": tifffile.TIFF.BIG_BE,
}
_MISSING = (-1, -1)  # instead of size and time
_TYPE_BYTES = {kind: struct.calcsize(form) for kind, form in tifffile.TIFF.DATA_FORMATS.items()}
# Tags without which the data changes: description, offsets, lengths, resolution, colors, ImageJ's.
_NEEDED_TAGS = (270, 273, 279, 282, 283, 320, 324, 325, 50838, 50839)


def open_stack(source: ImageSource, axes: str | None = None, name: str = "picture") -> Stack:
    """Open a TIFF as measured data.

    The axes are those that ImageJ, OME or tifffile wrote into the file; pages that none of them
    described are (I, Y, X). All channels of a page are kept, whatever they are for; pages whose
    numbers stand for the colors of a palette become RGB. Pixels are read a page at a time. Opening
    reads all of them once where that tells something: whether compressed pages can be decoded,
    whether floats are finite, and how large the numbers in 16 bits are.

    Args:
        source: a path, the bytes of a file, or a file open for reading bytes.
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
    if isinstance(source, str | Path):
        file, label = Path(source), str(source)
        head = read_with(source, name, _read_head, **_SENTENCE)
    else:
        file, label = read_bytes(source, name)
        head = _read_head(file)
    with refusing(name, label, **_SENTENCE):
        if not head:
            raise Unreadable("the file is empty")
        if (format := detect_format(head)) != "TIFF":
            raise Unreadable(f"it is {format or describe_unknown_format(head)}")
        with decoding("its TIFF header is broken or cut short"):
            pages, file_axes = _open_pages(file, name, label, source_name(source))
        if axes is not None:
            check_axes(axes, pages.shape)
        elif any(file_axes.count(letter) != 1 for letter in "YX") or any(
            file_axes.count(letter) > 1 for letter in CHANNELS
        ):
            raise Unreadable(f"its axes are {file_axes}", "name them with `axes`")
    bits = 8 if pages.palette else pages.series.keyframe.bitspersample
    narrow = pages.dtype.kind == "u" and isinstance(bits, int) and bits < 8 * pages.dtype.itemsize
    ceiling = 2**bits - 1 if narrow else None
    notes = pages.notes
    return scan_range(
        Stack(pages, axes or file_axes, library_unit(pages.dtype), ceiling, notes),
        lambda values: ImageFileError(name, "be finite", label, f" with {values}"),
        compressed=pages.offsets is None,
    )


def is_scientific_tiff(source: str | Path | bytes) -> bool:
    """Return whether a TIFF is better read as data, by `open_stack`, than as a picture.

    It is data if ImageJ or OME describe it, if it has more than one page of full size, or if it has
    channels that are neither a color nor opacity. Otherwise it is a picture if it has a palette or
    a color profile. Without one it is data if its numbers are of another type than uint8 and
    uint16, or if it is gray with 16 bits.

    Args:
        source: any file, or its bytes.

    Returns:
        False for anything that is not a TIFF, or that cannot be read: opening it as a picture
        says why.

    Example:
        >>> is_scientific_tiff("photograph.jpg")
        False
    """
    try:
        file = source if isinstance(source, bytes) else Path(source)
        if detect_format(_read_head(file)) != "TIFF":
            return False
        with _open_binary(file) as handle, tifffile.TiffFile(handle) as tiff:
            if tiff.is_imagej or tiff.is_ome:
                return True
            if len(list(itertools.islice(whole_pages(tiff), 2))) == 2:
                return True
            page = picture_page(tiff)
            if page.photometric == PALETTE:
                return False
            channels = tiff_channels(page)
            if channels.unnamed:
                return True
            # Without a type, tifffile cannot read it, but another decoder may.
            if page.iccprofile or page.dtype is None or page.dtype == np.uint8:
                return False
            return page.dtype != np.uint16 or channels.colors not in (3, 4)
    # Decoders raise whatever a broken file makes them raise.
    except Exception:
        return False


@dataclass(frozen=True, eq=False)
class TiffPages:
    """The pages of a file's data, read as one array, a plane at a time; it holds no pixels.

    Attributes:
        file: the path of the file, or its bytes.
        name: the argument's name in errors.
        label: the file's name in errors.
        origin: the file's name, without its folder; None if it has none.
        series: the pages that belong together, as tifffile has them.
        pages: tifffile's pages; fewer than there are where the first one describes all of them.
        shape: sizes of all axes.
        dtype: type of the data, in the file's byte order.
        outer: how many axes count pages; those after them are inside each page.
        offsets: positions of the pages' pixels in the file where each page lies there in one piece,
            uncompressed; None otherwise.
        version: size and modification time of the file when it was opened.
        palette: whether the pages hold index numbers of a palette, which are read as RGB.
        notes: as for `Stack`.
    """

    file: Path | bytes
    name: str
    label: str
    origin: str | None
    series: tifffile.TiffPageSeries
    pages: list[Any]
    shape: tuple[int, ...]
    dtype: np.dtype
    outer: int
    offsets: Sequence[int] | None
    version: tuple[int, int]
    palette: bool
    notes: tuple[str, ...]
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
        self.check_unchanged()
        with (
            refusing(self.name, self.label, **_SENTENCE),
            decoding("its pixels are cut short or broken"),
        ):
            if self.offsets is None:
                with self._open():
                    page = decode_page(self.pages[number])
                    if self.palette:
                        page = palette_colors(self.pages[number].aspage(), page)
            else:
                with _open_binary(self.file) as file:
                    file.seek(self.offsets[number])
                    data = file.read(math.prod(shape) * self.dtype.itemsize)
                page = np.frombuffer(data, self.dtype)
            return page.reshape(shape)

    def read_tags(self, number: int) -> list[tuple[int, int, int, Any]]:
        """Read a page's tags: code, type, count, and the raw bytes, or two integers of a ratio."""
        if number >= len(self.pages) or getattr(self.pages[number], "is_virtual", False):
            return []  # the first page's apply to it
        tags = []
        with (
            refusing(self.name, self.label, **_SENTENCE),
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
    def has_copies(self) -> bool:
        """True where the file holds smaller copies of the pages, which would not be denoised."""
        first = self.series.parent.pages.first
        return self.series.is_pyramidal or (first.is_reduced and first not in self.pages)

    @property
    def file_order(self) -> list[int]:
        """Numbers of the pages in the order in which the file has them."""
        return sorted(range(len(self.pages)), key=lambda number: self.pages[number].index)

    def check_unchanged(self) -> None:
        """Refuse a file that is no longer the one that was opened."""
        if (version := _version(self.file)) == self.version:
            return
        if version == _MISSING:
            raise self.error("it was deleted while it was worked on", way_out="put it back")
        raise self.error("it was changed while it was worked on", way_out="start again")

    def error(self, why: str, **sentence: str) -> ImageFileError:
        """Make the exception that refuses the file."""
        return unreadable_file(self.name, self.label, why, **(_SENTENCE | sentence))

    def copy_to(self, target: Path) -> None:
        """Copy the whole file."""
        with _open_binary(self.file) as source, open(target, "wb") as copy:
            shutil.copyfileobj(source, copy)

    def identify(self) -> SourceFile:
        """Return the name and hash of the file."""
        if isinstance(self.file, bytes):
            return SourceFile(self.origin, sha256(self.file).hexdigest())
        return SourceFile(self.origin, file_sha256(self.file))

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


def _open_pages(
    file: Path | bytes, name: str, label: str, origin: str | None
) -> tuple[TiffPages, str]:
    """Return a TIFF's pages, checked against the file, and their axes.

    Raises:
        Unreadable: why they cannot be read, and the way out where there is one.
        Exception: whatever a broken file makes tifffile raise.
    """
    _check_directories(file)
    with tifffile.TiffFile(io.BytesIO(file) if isinstance(file, bytes) else file) as tiff:
        series = _only_series(tiff)
        keyframe, pages = series.keyframe, list(series)
        check_developed(tiff, keyframe)
        if missing := sum(page is None or page.parent is not tiff for page in pages):
            if _names_other_files(tiff):
                raise Unreadable(
                    f"{missing:,} of its planes are not in it but in other files",
                    "save them in one file",
                )
            raise Unreadable(
                f"{missing:,} of its {len(pages):,} planes were never written", "save it again"
            )
        _check_page(keyframe)
        size = math.prod(keyframe.shape)
        outer = next(
            (dim for dim in range(len(series.shape)) if math.prod(series.shape[dim:]) == size), None
        )
        palette = _is_palette(tiff, keyframe)
        offsets = None if outer is None or palette else _page_offsets(series, pages)
        count = len(pages if offsets is None else offsets)
        if outer is None or count != math.prod(series.shape[:outer]):
            if tiff.is_imagej:
                raise _false_imagej_description(tiff)
            raise Unreadable(
                f"its {len(pages):,} pages of shape {keyframe.shape} do not make up {series.shape}"
            )
        dtype = np.dtype(series.dtype).newbyteorder(tiff.byteorder)
        for page in pages:
            check_page(page, tiff.filehandle.size)
        if offsets is not None and max(offsets) + size * dtype.itemsize > tiff.filehandle.size:
            raise Unreadable("the file is cut short")
        shape, axes = tuple(series.shape), series.axes
        notes = describe_data_channels(keyframe)
        if palette:
            shape, axes, dtype = (*shape, 3), f"{axes}S", np.dtype(np.uint8)
            notes = ("the colors of its palette are worked on, and written as RGB",)
        data = TiffPages(
            file, name, label, origin, series, pages, shape, dtype, outer, offsets, _version(file),
            palette, notes,
        )  # fmt: skip
        return data, axes


def _names_other_files(file: tifffile.TiffFile) -> bool:
    """Return whether an OME description places planes in files besides this one."""
    text = file.ome_metadata or ""
    own = re.search(r"<(?:\w+:)?OME\b[^>]*\sUUID=[\"']([^\"']*)", text)
    files = set(re.findall(r"<(?:\w+:)?UUID\b[^>]*>([^<]*)<", text))
    return bool(files - {own[1]} if own else files)


def _is_palette(file: tifffile.TiffFile, page: tifffile.TiffPage) -> bool:
    """Return whether a page's numbers stand for colors rather than amounts.

    What ImageJ and OME describe are amounts, shown in the colors of the palette; and so are the
    numbers of a palette that only gets brighter.
    """
    if page.photometric != PALETTE or page.samplesperpixel > 1 or file.is_imagej or file.is_ome:
        return False
    return bool((np.diff(page.colormap.astype(np.int64)) < 0).any())


def _only_series(file: tifffile.TiffFile) -> tifffile.TiffPageSeries:
    """Return the one series of pages in a file; smaller copies of it are passed over."""
    if not file.series:
        raise Unreadable("it has no pages")
    series, *others = [s for s in file.series if not s.keyframe.is_reduced] or file.series
    if others:
        alike = all((s.shape, s.dtype) == (series.shape, series.dtype) for s in others)
        kind = "images, such as scenes, of one size" if alike else "pictures of different sizes or"
        raise Unreadable(
            f"it holds {len(others) + 1} {kind}" + " kinds" * (not alike),
            "save each in a file of its own",
        )
    if file.is_imagej and series.kind in ("generic", "uniform"):
        raise _false_imagej_description(file)
    if series.transform is not None:
        raise Unreadable("its numbers are not stored in proportion")
    return series


def _false_imagej_description(file: tifffile.TiffFile) -> Unreadable:
    """Word that an ImageJ description claims other planes than there are."""
    page, count = file.pages.first, len(file.pages)
    claimed = (file.imagej_metadata or {}).get("images", "other")
    return Unreadable(
        f"its ImageJ description claims {claimed} planes, and it holds {count} page"
        + "s" * (count != 1)
        + f" of {page.imagewidth} × {page.imagelength} pixels",
        "save it again, with a plane a page",
    )


def _check_page(page: tifffile.TiffPage) -> None:
    """Refuse pages that cannot be read, before one is."""
    if page.dtype is None or np.dtype(page.dtype).name not in TYPES:
        raise Unreadable(
            f"its numbers are {page.dtype or 'of no type'}", f"convert them to {', '.join(TYPES)}"
        )
    if page.bitspersample == 1 and page.samplesperpixel > 1:  # which tifffile misreads
        raise Unreadable(f"it has {page.samplesperpixel} channels of one bit", "save one at a time")
    check_compression(page)
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


def _check_directories(source: Path | bytes) -> None:
    """Refuse a file that does not hold all its pages' directories and the tags they need.

    tifffile passes over what it cannot find: pages at the end of a file that is cut short, or the
    description that names their axes.

    Raises:
        Unreadable: the file ends too early, or its directories follow each other in a circle.
    """
    with _open_binary(source) as file:
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


def _read_head(source: Path | bytes) -> bytes:
    """Read the beginning of a regular file, or of its bytes."""
    if isinstance(source, Path) and source.is_fifo():
        raise OSError("it is a pipe, not a file")
    with _open_binary(source) as file:
        return file.read(4096)


def _open_binary(source: Path | bytes) -> BinaryIO:
    """Open a file, or its bytes, for reading."""
    return io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb")


def _version(source: Path | bytes) -> tuple[int, int]:
    """Return a file's size and modification time; `_MISSING` without a file."""
    if isinstance(source, bytes):
        return len(source), 0
    try:
        state = os.stat(source)
    except OSError:
        return _MISSING
    return state.st_size, state.st_mtime_ns
