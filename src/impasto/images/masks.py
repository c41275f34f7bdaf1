"""Masks: gray images that say where an effect applies, and how strongly."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from impasto.images.image import Image, ImageMetadata
from impasto.images.read import ImageSource, open_image
from impasto.images.resize import resize

_LUMA = (0.2126, 0.7152, 0.0722)  # Rec. 709
_MAX_LABEL = 20  # numbers up to this may be those of labels, where they are no soft edges
_SHAPE_TOLERANCE = 0.01  # a mask's height may differ by this share, or by a pixel


def open_mask(source: ImageSource, name: str, *, black: bool = False) -> Image:
    """Open a mask: white is 1, black is 0, gray is between; transparent counts as black.

    A file or array of whole numbers in which there is nothing but 0 and 1 is black and white, and
    so is one of 16 bits with nothing but 0 and 255.

    Args:
        source: an image as `open_image` takes it, or booleans; colors count by their luminance.
        name: the argument's name in errors.
        black: whether it may be black all over.

    Returns:
        A gray image, (1, H, W) float32 in [0, 1] on the CPU.

    Raises:
        ValueError: it is black all over, or holds the numbers of labels.
        ImageError: a file that cannot be read.

    Example:
        >>> open_mask(torch.ones(4, 6), "mask").size
        (6, 4)
    """
    if isinstance(source, Tensor) and source.dtype == torch.bool:
        source = source.float()
    if isinstance(source, np.ndarray) and source.dtype == bool:
        source = source.astype(np.float32)
    image = open_image(source, name=name)
    pixels, alpha = image.pixels, image.metadata.alpha
    if len(pixels) == 3 and not (torch.equal(pixels[0], pixels[1]) and torch.equal(*pixels[1:])):
        pixels = torch.einsum("c,chw->hw", torch.tensor(_LUMA), pixels)[None].clamp(0, 1)
    pixels = pixels[:1] if alpha is None else pixels[:1] * alpha
    mask = Image(
        _spread_levels(pixels, image.metadata.bits, name),
        ImageMetadata(origin=image.metadata.origin, frames=image.metadata.frames),
    )
    if not black and not mask.pixels.any():
        width, height = mask.size
        raise ValueError(
            f"`{name}` must be white or gray somewhere, got {width} × {height} pixels that are all "
            "black; paint white where it is to act, or leave it out"
        )
    return mask


def _spread_levels(pixels: Tensor, bits: int, name: str) -> Tensor:
    """Return a mask as it is, or black and white if it plainly was saved as 0 and 1.

    Dark masks with soft edges stay as they are.

    Args:
        pixels: (1, H, W) in [0, 1].
        bits: per channel, as stored.
        name: the mask's name in errors.

    Raises:
        ValueError: it holds the numbers of labels, which are no brightness.
    """
    scale = 2**bits - 1
    levels = torch.round(pixels * scale)
    most = int(levels.max())
    if bits > 16 or most > (255 if bits == 16 else _MAX_LABEL):
        return pixels
    if (levels - pixels * scale).abs().max() > 0.01:  # no whole numbers, as of soft opacity
        return pixels
    stored = set(torch.unique(levels).tolist()) - {0}
    if stored == {1} or (bits == 16 and stored == {255}):
        return levels.clamp(max=1)
    steps = torch.cat([levels.diff(dim=axis).abs().flatten() for axis in (1, 2)])
    # Soft edges go from each number to the next; labels jump.
    if most <= _MAX_LABEL and len(stored) > 1 and (steps > 1).sum() > (steps == 1).sum():
        raise ValueError(
            f"`{name}` must be white where it is to act, got numbers of 0 to {most} out of "
            f"{scale:,}, which is almost black; if they are labels, save each as a mask of its "
            "own, white on black"
        )
    return pixels


def is_white(mask: Image) -> bool:
    """Return True if a mask is white all over."""
    return bool((mask.pixels >= 1).all())


def resize_mask(mask: Image, size: tuple[int, int], device: torch.device | str = "cpu") -> Tensor:
    """Resize a mask to (width, height); returns (H, W) in [0, 1]."""
    return resize(mask.pixels[0], size).to(device)


def check_mask_shape(mask: Image, size: tuple[int, int], name: str, target: str) -> None:
    """Refuse a mask whose proportions are not those of its image; its size may differ.

    Args:
        mask: the mask.
        size: (width, height) of the image in pixels.
        name: the mask's name in the error.
        target: the image's name in the error.

    Raises:
        ValueError: the proportions differ.

    Example:
        >>> mask = Image(torch.ones(1, 50, 100))
        >>> check_mask_shape(mask, (400, 400), "region", "the content image")
        Traceback (most recent call last):
        ValueError: `region` must have the shape of the content image, 400 × 400 or any size ...
    """
    width, height = size
    mask_width, mask_height = mask.size
    expected = mask_width * height / width  # the mask's height, in the image's proportions
    if abs(mask_height - expected) > max(1, _SHAPE_TOLERANCE * expected):
        raise ValueError(
            f"`{name}` must have the shape of {target}, {width} × {height} or any size in "
            f"proportion, got {mask_width} × {mask_height}; crop it or paint it over that picture"
        )
