"""What `denoise` is given, a picture to be seen or measured data, as planes to work on."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from impasto.files import file_sha256
from impasto.images.image import Image, ImageMetadata, source_of
from impasto.images.read import ImageSource, open_image
from impasto.images.stack import Stack, array_stack
from impasto.images.tiff_read import is_scientific_tiff, open_stack
from impasto.provenance import Input


def open_input(
    source: ImageSource | Stack, axes: str = "auto", name: str = "picture"
) -> Image | Stack:
    """Open what is to be cleaned: TIFFs of measured data, arrays and tensors keep their numbers.

    Args:
        source: anything `open_image`, `open_stack` or `array_stack` takes, or what they give.
        axes: a letter for each axis of measured data, or `auto`; a TIFF with axes given is taken
            for measured data, and a `Stack` must have these.
        name: what errors call it.

    Raises:
        ImageError: a file that cannot be read.
        ValueError: no pixels, values that are not finite, or axes that do not fit.
        TypeError: anything else.

    Example:
        >>> open_input(np.zeros((4, 20, 30), np.uint16), "TYX").count
        4
    """
    given = None if axes == "auto" else axes
    if isinstance(source, Image | Stack):
        found: Image | Stack = source
    elif isinstance(source, np.ndarray | Tensor):
        return array_stack(source, given, name)
    elif isinstance(source, str | Path) and (given or is_scientific_tiff(source)):
        return open_stack(source, given, name)
    else:
        found = open_image(source, name=name)
    if given and isinstance(found, Stack):
        if given == found.axes:
            return found
        raise ValueError(
            f"`axes` must be auto or {found.axes}, as the stack has them, got {given!r}; open it "
            "with others"
        )
    if given:
        raise ValueError(
            f"`axes` must be auto for a picture that is no measured data, got {given!r}; leave it "
            "out, or give a TIFF or an array"
        )
    return found


def input_planes(source: Image | Stack, most: int | None = None) -> Tensor:
    """The planes of a picture or a stack, (P, C, H, W) float32; of more than `most`, a selection.

    Example:
        >>> input_planes(open_input(np.zeros((4, 20, 30), np.uint8), "TYX"), most=2).shape
        torch.Size([2, 1, 20, 30])
    """
    if isinstance(source, Image):
        return source.pixels[None]
    count = min(source.count, most or source.count)
    wanted = {round(place * (source.count - 1) / max(1, count - 1)) for place in range(count)}
    return torch.stack(
        [source.plane(index) for place, index in enumerate(source.planes()) if place in wanted]
    )


def input_source_file(source: Image | Stack) -> ImageMetadata | Stack:
    """What results are put back into: what a picture carried, or the stack itself."""
    return source.metadata if isinstance(source, Image) else source


def provenance_input(source: Image | Stack) -> Input:
    """What a result keeps of its input: the file's name and hash, or the hash of the values."""
    if isinstance(source, Image):
        origin = source_of(source)
        return Input(name=origin.name, sha256=origin.sha256)
    path = getattr(source.data, "path", None)
    if path is not None:
        return Input(name=Path(path).name, sha256=file_sha256(path))
    found = hashlib.sha256(f"{source.axes} {source.shape} {source.dtype}".encode())
    for index in source.planes():
        found.update(source.plane(index).contiguous().numpy().data)
    return Input(sha256=found.hexdigest())
