"""Open an input of `denoise`: an image, or measured data as a stack of planes."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from impasto.errors import quote
from impasto.files import recorded_name
from impasto.images.image import Image, ImageMetadata, SourceFile, pixel_hash, source_of
from impasto.images.lazy_planes import LazyPlanes
from impasto.images.read import ImageSource, open_image, read_bytes, source_name
from impasto.images.stack import Stack, array_stack
from impasto.images.tiff_read import TiffPages, is_scientific_tiff, open_stack
from impasto.images.zarr_names import is_zarr
from impasto.images.zarr_read import open_zarr


def open_input(
    source: ImageSource | Stack, axes: str = "auto", name: str = "picture"
) -> Image | Stack:
    """Open what is to be denoised: TIFFs of measured data, zarr and arrays keep their numbers.

    Args:
        source: anything `open_image`, `open_stack`, `open_zarr` or `array_stack` takes, or
            what they return.
        axes: a letter for each axis of measured data, or `auto`. A TIFF is read as measured data
            if axes are given; a `Stack` must have these.
        name: the argument's name in errors.

    Raises:
        ImageError: a file that cannot be read.
        ValueError: no pixels, values that are not finite, or axes that do not fit.
        TypeError: anything else.

    Example:
        >>> open_input(np.zeros((4, 20, 30), np.uint16), "TYX").count
        4
    """
    named = None if axes == "auto" else axes
    if isinstance(source, np.ndarray | Tensor):
        return array_stack(source, named, name)
    if is_zarr(source):
        return open_zarr(source, named, name)
    if isinstance(source, str | Path) and (named or is_scientific_tiff(source)):
        return open_stack(source, named, name)
    if isinstance(source, bytes | bytearray | memoryview) or hasattr(source, "read"):
        source, data = _read_again(source, name)
        if named or is_scientific_tiff(data):
            return open_stack(source, named, name)
    if isinstance(source, Stack):
        if named in (None, source.axes):
            return source
        raise ValueError(
            f"`axes` must be auto or {source.axes}, as the stack has them, got {quote(axes)}; "
            "open it with others"
        )
    image = source if isinstance(source, Image) else open_image(source, name=name)
    if named:
        raise ValueError(
            f"`axes` must be auto for a picture that is not measured data, got {quote(axes)}; "
            "leave it out, or give a TIFF or an array"
        )
    return image


def _read_again(source: Any, name: str) -> tuple[BytesIO, bytes]:
    """Read bytes or an open file, and return the same as a file that can be read once more."""
    data, _ = read_bytes(source, name)
    stream = BytesIO(data)
    if file := source_name(source):
        stream.name = file
    return stream, data


def input_planes(source: Image | Stack, max_planes: int | None = None) -> Tensor:
    """Read the planes of an image or a stack, evenly spread ones if there are too many.

    Args:
        source: the image or the stack.
        max_planes: how many planes to read at most; None reads all.

    Returns:
        (P, C, H, W) float32.

    Example:
        >>> stack = open_input(np.zeros((4, 20, 30), np.uint8), "TYX")
        >>> input_planes(stack, max_planes=2).shape
        torch.Size([2, 1, 20, 30])
    """
    if isinstance(source, Image):
        return source.pixels[None]
    numbers = plane_numbers(source.count, max_planes)
    indices = enumerate(source.plane_indices())
    return torch.stack([source.read_plane(index) for at, index in indices if at in numbers])


def plane_numbers(count: int, max_planes: int | None = None) -> list[int]:
    """Return the numbers, from 0, of at most so many planes evenly spread over `count`.

    Example:
        >>> plane_numbers(9, 3)
        [0, 4, 8]
    """
    most = min(count, max_planes or count)
    return sorted({round(step * (count - 1) / max(1, most - 1)) for step in range(most)})


def input_source_file(source: Image | Stack) -> ImageMetadata | Stack:
    """Return what results are put back into: an image's metadata, or the stack itself."""
    return source.metadata if isinstance(source, Image) else source


def identify_input(source: Image | Stack) -> SourceFile:
    """Return the name and hash of an input's file; of zarr and of arrays the values' hash."""
    if isinstance(source, Image):
        return source_of(source)
    if isinstance(source.data, TiffPages):
        return source.data.identify()
    planes = (source.read_plane(index) for index in source.plane_indices())
    origin = source.data.origin if isinstance(source.data, LazyPlanes) else None
    name = recorded_name(origin) if origin else None
    return SourceFile(name, pixel_hash(planes, f"{source.axes} {source.shape} {source.dtype}"))
