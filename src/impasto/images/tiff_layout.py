"""What the directories of a TIFF say: which page is the image, and what its channels are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import tifffile

from impasto.images.unreadable import Unreadable

PALETTE = 3  # photometric interpretation: numbers of colors in a table
# Photometric interpretation -> how many of the channels are colors.
TIFF_COLORS = {0: 1, 1: 1, 2: 3, PALETTE: 1, 5: 4, 6: 3, 8: 3}
_GRAY = (0, 1)
_OPACITY = (1, 2)  # of TIFF's extra samples
_RAW_COLORS = (32803, 34892)  # color filter array; the same with all colors at each pixel
_RAW_COMPRESSIONS = (32767, 32769, 32770, 34713, 34892, 65000, 65535)  # of camera makers
_CANON_RAW = b"CR\2"  # behind the header of a CR2
_MAX_PREVIEWS = 16  # pages and SubIFDs that are looked at for the image


@dataclass(frozen=True)
class TiffChannels:
    """What the channels of a page are.

    Attributes:
        count: all of them.
        colors: how many at the front are colors, as the photometric interpretation has it.
        opacity: number of the channel that holds opacity, from 0; None without one.
        premultiplied: whether the colors are multiplied by the opacity.
    """

    count: int
    colors: int
    opacity: int | None
    premultiplied: bool

    @property
    def unnamed(self) -> int:
        """How many channels the file calls neither color nor opacity."""
        return self.count - self.colors - (self.opacity is not None)


def tiff_channels(page: tifffile.TiffPage) -> TiffChannels:
    """Tell colors, opacity and other channels of a page apart.

    The first opacity counts; a file with several does not say what the others are for.
    """
    count = int(page.samplesperpixel)
    colors = TIFF_COLORS.get(int(page.photometric), count)
    kinds = [int(kind) for kind in page.extrasamples]
    # The extra samples are the last ones, even if the file describes fewer than it has.
    places = [colors + index for index, kind in enumerate(kinds) if kind in _OPACITY]
    opacity = next((place for place in places if place < count), None)
    premultiplied = opacity is not None and kinds[opacity - colors] == 1
    return TiffChannels(count, colors, opacity, premultiplied)


def check_picture_channels(page: tifffile.TiffPage) -> tuple[str, ...]:
    """Refuse a page whose channels cannot be told to be a picture.

    Returns:
        What is left out of the picture, in a sentence; empty if nothing is.

    Raises:
        Unreadable: fewer channels than colors, or gray with several others, any of which might be
            what is to be seen.
    """
    channels = tiff_channels(page)
    name = getattr(page.photometric, "name", page.photometric)
    if channels.unnamed < 0:
        raise Unreadable(f"it has {channels.count} channels, too few for the colors {name}")
    if channels.unnamed > 1 and int(page.photometric) in _GRAY:
        raise Unreadable(
            f"it has {channels.count} channels, and all it says of them is that one is gray",
            "save those to be seen as RGB, or as gray; `denoise` keeps all of them",
        )
    if not channels.unnamed:
        return ()
    named = channels.count - channels.unnamed
    return (
        f"{channels.unnamed} of its {channels.count} channels left out, as it calls only {named} "
        "color or opacity",
    )


def describe_data_channels(page: tifffile.TiffPage) -> tuple[str, ...]:
    """Say what the channels of measured data are taken for where its file is not plain about it."""
    channels = tiff_channels(page)
    if channels.unnamed <= 0 or int(page.photometric) in _GRAY or channels.colors == channels.count:
        return ()
    named = f"{channels.colors} colors" + ", opacity" * (channels.opacity is not None)
    return (
        f"its {channels.count} channels are taken for {named} and {channels.unnamed} without a "
        "name; all are kept, and none is used as opacity",
    )


def palette_colors(page: tifffile.TiffPage, indices: np.ndarray) -> np.ndarray:
    """Return the colors (..., 3) uint8 that the index numbers of a page stand for."""
    # (3, entries) of 16 bits; files differ in the low byte, so only the high one means anything.
    return (page.colormap >> 8).astype(np.uint8)[:, indices.astype(np.intp)].transpose(1, 2, 0)


def picture_page(file: tifffile.TiffFile) -> tifffile.TiffPage:
    """Return the page that is the image of a file: the first, unless that is a preview.

    A preview says so itself, or stands before a page of the same proportions and at least twice
    the size. The image is then in a later page, or in a directory below the first one.

    Raises:
        Unreadable: the image is the raw data of a camera.
    """
    first = file.pages[0]
    pages = [first, *_sub_pages(file, first), *islice(file.pages, 1, _MAX_PREVIEWS)]
    whole = [page for page in pages if not (page.is_reduced or page.is_mask)]
    if first.is_reduced:
        page = max(whole or pages, key=_area)
    else:
        page = max(
            (other for other in whole if _is_preview_of(first, other)), key=_area, default=first
        )
    check_developed(file, page)
    return page


def check_developed(file: tifffile.TiffFile, page: tifffile.TiffPage) -> None:
    """Refuse a page of a camera's raw data, of which no pixel has all colors or its true tone."""
    file.filehandle.seek(8)
    raw = (
        int(page.photometric) in _RAW_COLORS
        or int(page.compression) in _RAW_COMPRESSIONS
        or file.filehandle.read(3) == _CANON_RAW
    )
    if raw:
        raise Unreadable("it is a camera's raw data", "develop it first, to a TIFF for example")


def check_compression(page: tifffile.TiffPage) -> None:
    """Refuse a page in a compression that no decoder here reads."""
    try:
        tifffile.TIFF.DECOMPRESSORS[page.compression]
    except KeyError:
        name = getattr(page.compression, "name", page.compression)
        raise Unreadable(
            f"its compression is {name}, which impasto does not read", "save it with another"
        ) from None


def whole_pages(file: tifffile.TiffFile) -> Iterator[tifffile.TiffPage]:
    """Yield the pages that are not smaller copies, those below the first one behind it."""
    first = file.pages[0]
    for page in (first, *_sub_pages(file, first)):
        if not page.is_reduced:
            yield page
    for page in islice(file.pages, 1, None):
        if not page.is_reduced:
            yield page


def _sub_pages(file: tifffile.TiffFile, page: tifffile.TiffPage) -> list[tifffile.TiffPage]:
    """Return the pages in the directories below a page."""
    pages = []
    for number, offset in enumerate((page.subifds or ())[:_MAX_PREVIEWS]):
        file.filehandle.seek(offset)
        pages.append(tifffile.TiffPage(file, (page.index, number)))
    return pages


def _area(page: tifffile.TiffPage) -> int:
    return int(page.imagewidth) * int(page.imagelength)


def _is_preview_of(page: tifffile.TiffPage, other: tifffile.TiffPage) -> bool:
    """Return whether a page is at most half as large as another in the same proportions."""
    width, height = int(page.imagewidth), int(page.imagelength)
    factor = int(other.imagewidth) / max(1, width)
    # The smaller sides are rounded to whole pixels.
    return factor >= 2 and abs(int(other.imagelength) - factor * height) <= factor + 1
