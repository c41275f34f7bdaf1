"""TIFF files of measured data: whether a file is one, and how it is opened."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import tifffile

from impasto.errors import ImageFileError
from impasto.images.formats import describe_unknown_format, detect_format
from impasto.images.header import Unreadable, decoding, unreadable_file
from impasto.images.read import read_with
from impasto.images.stack import CHANNELS, Stack, check_axes, sample_unit, scan_range
from impasto.images.tiff_pages import WORDS, Pages, pages_of

_OPACITY = (1, 2)  # of TIFF's extra samples


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
    head = read_with(path, name, _head, **WORDS)
    try:
        if detect_format(head) != "TIFF":
            raise Unreadable(_other(head))
        with decoding("its TIFF header is broken or cut short"):
            pages, found = pages_of(Path(path), name)
        if axes is not None:
            check_axes(axes, pages.shape)
        elif any(found.count(letter) != 1 for letter in "YX") or any(
            found.count(letter) > 1 for letter in CHANNELS
        ):
            raise Unreadable(f"its axes are {found}", "name them with `axes`")
    except Unreadable as error:
        why, *way_out = error.args
        words = WORDS | ({"way_out": way_out[0]} if way_out else {})
        raise unreadable_file(name, str(path), why, **words) from error
    stack = Stack(pages, axes or found, sample_unit(pages.dtype), _ceiling(pages), pages)
    return scan_range(
        stack,
        lambda words: ImageFileError(name, "be finite", str(path), f" with {words}"),
        packed=pages.offsets is None,
    )


def is_scientific_tiff(path: str | Path) -> bool:
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
        >>> is_scientific_tiff("photograph.jpg")
        False
    """
    try:
        if detect_format(_head(Path(path))) != "TIFF":
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
    format = detect_format(head)
    return f"it is {describe_unknown_format(head)}" if format is None else f"it is {format}"


def _ceiling(pages: Pages) -> int | None:
    """The largest number in as many bits as the file keeps, where its type has more."""
    bits = pages.series.keyframe.bitspersample
    fewer = pages.dtype.kind == "u" and isinstance(bits, int) and bits < 8 * pages.dtype.itemsize
    return 2**bits - 1 if fewer else None
