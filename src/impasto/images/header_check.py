"""What an uploaded file claims to be, found out before a pixel of it is decoded."""

from __future__ import annotations

import io
from typing import NamedTuple

import tifffile

from impasto.images.header import Header, Unreadable, read_header
from impasto.images.quiet import suppress_decoder_warnings
from impasto.images.source_files import unreadable_file

_MAX_PAGES = 5000


class HeaderInfo(NamedTuple):
    """What a file says it holds.

    Attributes:
        size: (width, height) in pixels, upright.
        format: JPEG, PNG, WEBP, TIFF or AVIF.
    """

    size: tuple[int, int]
    format: str


def check_header(
    data: bytes, name: str, label: str, most: int, *, pages: bool = False
) -> HeaderInfo:
    """Check a file on its header alone.

    Args:
        data: the whole file.
        name: what errors call the picture.
        label: what errors call the file.
        most: pixels at most.
        pages: whether all pages of a TIFF are to be worked on, and counted, or only the first.

    Raises:
        ImageError: no format that impasto reads, a broken header, or too many pixels.

    Example:
        >>> check_header(b"<svg/>", "content", "cat.png", 10**6)
        Traceback (most recent call last):
        impasto.errors.ImageFileError: `content` must be a readable picture, got cat.png: ...
    """
    try:
        header = read_header(data, most)
        if pages and header.format == "TIFF":
            _check_pages(data, most)
    except Unreadable as error:
        raise unreadable_file(name, label, str(error.args[0])) from error
    return HeaderInfo(_upright(header), str(header.format))


def _check_pages(data: bytes, most: int) -> None:
    """Refuse a TIFF whose pages have too many pixels between them."""
    total = 0
    try:
        with suppress_decoder_warnings(), tifffile.TiffFile(io.BytesIO(data)) as file:
            for number, page in enumerate(file.pages, 1):
                total += page.imagewidth * page.imagelength
                if total > most:
                    raise Unreadable(f"its pages claim more than the limit of {most:,} pixels")
                if number > _MAX_PAGES:
                    raise Unreadable(f"it has more than {_MAX_PAGES:,} pages")
    except Unreadable:
        raise
    # Decoders raise whatever a broken file makes them raise.
    except Exception as error:
        raise Unreadable("its TIFF pages are broken or cut short") from error


def _upright(header: Header) -> tuple[int, int]:
    """The size of a picture as it is to be seen."""
    width, height = header.size
    return (height, width) if header.orientation >= 5 else (width, height)
