"""Masks: gray pictures that say where, and how much."""

from __future__ import annotations

import torch
from torch import Tensor

from impasto.images.image import Image, ImageMetadata
from impasto.images.read import ImageSource, open_image
from impasto.images.resize import resize

_LUMA = (0.2126, 0.7152, 0.0722)  # Rec. 709
_SHAPE = 0.01  # sides may differ by this share from the shape wanted, or by a pixel


def open_mask(source: ImageSource, name: str) -> Image:
    """Read a mask: white is 1, black 0, gray what lies between; transparent counts as black.

    Args:
        source: a picture as `open_image` takes it; colors count by their brightness.
        name: what errors call it.

    Returns:
        A gray picture, (1, H, W) float32 in [0, 1] on the CPU.

    Raises:
        ValueError: it is black all over.
        ImageError: a file that cannot be read.

    Example:
        >>> open_mask(torch.ones(4, 6), "mask").size
        (6, 4)
    """
    if isinstance(source, Tensor) and source.dtype == torch.bool:
        source = source.float()
    picture = open_image(source, name=name)
    pixels, alpha = picture.pixels, picture.metadata.alpha
    if len(pixels) == 3 and not (torch.equal(pixels[0], pixels[1]) and torch.equal(*pixels[1:])):
        pixels = torch.einsum("c,chw->hw", torch.tensor(_LUMA), pixels)[None].clamp(0, 1)
    mask = Image(
        pixels[:1] if alpha is None else pixels[:1] * alpha,
        ImageMetadata(origin=picture.metadata.origin),
    )
    if not mask.pixels.any():
        wide, high = mask.size
        raise ValueError(
            f"`{name}` must be white or gray somewhere, got {wide} × {high} pixels that are all "
            "black; paint white where it is to act, or leave it out"
        )
    return mask


def is_white(mask: Image) -> bool:
    """Whether a mask is white all over."""
    return bool((mask.pixels >= 1).all())


def resize_mask(mask: Image, size: tuple[int, int], device: torch.device | str = "cpu") -> Tensor:
    """A mask at a size, (H, W) in [0, 1]."""
    return resize(mask.pixels[0], size).to(device)


def check_mask_shape(mask: Image, size: tuple[int, int], name: str, what: str) -> None:
    """Refuse a mask whose shape is not that of its picture; its size may be any.

    Args:
        mask: the mask.
        size: (width, height) of the picture in pixels.
        name: what the error calls the mask.
        what: what it calls the picture.

    Raises:
        ValueError: the shapes differ.

    Example:
        >>> mask = Image(torch.ones(1, 50, 100))
        >>> check_mask_shape(mask, (400, 400), "region", "the content image")
        Traceback (most recent call last):
        ValueError: `region` must have the shape of the content image, 400 × 400 or any size ...
    """
    width, height = size
    wide, high = mask.size
    fits = wide * height / width  # the mask's height, were it of that shape
    if abs(high - fits) > max(1, _SHAPE * fits):
        raise ValueError(
            f"`{name}` must have the shape of {what}, {width} × {height} or any size in "
            f"proportion, got {wide} × {high}; crop it or paint it over that picture"
        )
