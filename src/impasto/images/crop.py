"""Cut a part out of an image or out of measured data, with what belongs to it besides pixels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from impasto.images.image import Image, ImageMetadata
from impasto.images.stack import Stack
from impasto.images.tiff_tags import crop_georeference

Part = tuple[slice, slice]  # rows and columns


def picture_size(source: Image | Stack) -> tuple[int, int]:
    """Return (width, height) of an image, or of the planes of a stack."""
    if isinstance(source, Image):
        return source.size
    _, height, width = source.plane_shape
    return width, height


def check_part(crop: tuple[int, int, int, int], size: tuple[int, int]) -> None:
    """Refuse a part that does not lie in a picture.

    Args:
        crop: column and row of its upper left corner, width and height.
        size: (width, height) of the picture.

    Raises:
        ValueError: it reaches over the border.
    """
    left, top, width, height = crop
    if left + width > size[0] or top + height > size[1]:
        numbers = ",".join(map(str, crop))
        raise ValueError(
            f"`crop` must lie in the picture, which has {size[0]} × {size[1]} pixels, got "
            f"{numbers}; give X,Y,W,H with X + W up to {size[0]} and Y + H up to {size[1]}"
        )


def crop_metadata(metadata: ImageMetadata, part: Part) -> ImageMetadata:
    """Return what belongs to a part of an image: its opacity, and where on earth it lies."""
    rows, columns = part
    alpha = metadata.alpha
    return replace(
        metadata,
        alpha=None if alpha is None else alpha[rows, columns].clone(),
        size=(columns.stop - columns.start, rows.stop - rows.start),
        tags=crop_georeference(metadata.tags, (columns.start, rows.start)),
    )


def crop_source(source: ImageMetadata | Stack, part: Part) -> ImageMetadata | Stack:
    """Return what the results of a part are put back into.

    Of a stack's file, type, axes and range stay; all else of it describes the whole.

    Example:
        >>> from impasto.images.stack import array_stack
        >>> stack = array_stack(np.zeros((4, 20, 30), np.uint16), axes="TYX")
        >>> crop_source(stack, (slice(5, 10), slice(0, 8))).shape
        (4, 5, 8)
    """
    if isinstance(source, ImageMetadata):
        return crop_metadata(source, part)
    return replace(source, data=_PartOfData(source.data, source.axes, part))


@dataclass(frozen=True, eq=False)
class _PartOfData:
    """A part of an array, or of a file's pages, read as an array; it holds no numbers."""

    data: Any
    axes: str
    part: Part

    @property
    def dtype(self) -> np.dtype:
        """Type of the data."""
        return np.dtype(self.data.dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the part's axes."""
        sides = dict(zip("YX", (axis.stop - axis.start for axis in self.part), strict=True))
        return tuple(
            sides.get(axis, side) for axis, side in zip(self.axes, self.data.shape, strict=True)
        )

    def __getitem__(self, slices: tuple[int | slice, ...]) -> np.ndarray:
        """Read a part of the data: an index or a whole slice for every axis."""
        values = np.asarray(self.data[slices])
        left = [a for a, one in zip(self.axes, slices, strict=True) if isinstance(one, slice)]
        parts = dict(zip("YX", self.part, strict=True))
        return values[tuple(parts.get(axis, slice(None)) for axis in left)]
