"""Image sizes, resampling, and compositing to the opaque RGB that a network takes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from impasto.images.image import Image


def fit_longest_side(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """Return the size that an image has, in proportion, when its longer side has a given length.

    Args:
        size: (width, height) in pixels, each at least 1.
        longest: length of the longer side, in pixels, at least 1; larger gives a larger image.

    Returns:
        (width, height): the longer side is exactly `longest`, the other is rounded to the nearest
        pixel, half up, and never below 1.

    Raises:
        ValueError: a side or `longest` is below 1.

    Example:
        >>> fit_longest_side((640, 480), 512)
        (512, 384)
        >>> fit_longest_side((4000, 20), 100)
        (100, 1)
    """
    width, height = size
    if min(width, height) < 1:
        raise ValueError(f"`size` must have sides of at least 1, got {size}; give (width, height)")
    if longest < 1:
        raise ValueError(f"`longest` must be at least 1, got {longest}; give a length in pixels")
    long = max(width, height)
    # Whole numbers only: halves are exact, so the rounding is the same on every machine.
    return tuple(max(1, (2 * side * longest + long) // (2 * long)) for side in (width, height))


def result_size(recipe: Any, content: tuple[int, int] | None) -> tuple[int, int]:
    """Return the size of what a recipe makes.

    Args:
        recipe: of any method.
        content: (width, height) of the content image; None for a texture, which has none.

    Returns:
        (width, height) in pixels.

    Example:
        >>> from impasto.recipes import DenoiseRecipe, StyleRecipe, TextureRecipe
        >>> result_size(StyleRecipe(size=512), (640, 480))
        (512, 384)
        >>> result_size(TextureRecipe(width=300, height=200), None)
        (300, 200)
        >>> result_size(DenoiseRecipe(), (640, 480))
        (640, 480)
        >>> result_size(DenoiseRecipe(crop=(10, 20, 64, 48)), (640, 480))
        (64, 48)
    """
    if content is None:
        return recipe.width, recipe.height
    if getattr(recipe, "crop", "whole") != "whole":
        return recipe.crop[2:]
    size = getattr(recipe, "size", "original")
    return content if size == "original" else fit_longest_side(content, size)


def resize(pixels: Tensor, size: tuple[int, int]) -> Tensor:
    """Resample an image to a size, bicubic, antialiased when it shrinks.

    Args:
        pixels: (C, H, W) or (H, W) in [0, 1], floating point.
        size: (width, height) of the result, in pixels, each at least 1.

    Returns:
        (C, height, width) or (height, width) in [0, 1], on the same device; the same tensor if
        it already has the size.

    Raises:
        ValueError: a side of `size` is below 1, or `pixels` does not have two or three axes.

    Example:
        >>> resize(torch.full((3, 4, 6), 0.5), (3, 2)).shape
        torch.Size([3, 2, 3])
    """
    width, height = size
    if pixels.ndim not in (2, 3):
        shape = tuple(pixels.shape)
        raise ValueError(f"`pixels` must be (C, H, W) or (H, W), got {shape}; drop the batch axis")
    if min(width, height) < 1:
        raise ValueError(f"`size` must have sides of at least 1, got {size}; give (width, height)")
    if tuple(pixels.shape[-2:]) == (height, width):
        return pixels
    batch = pixels.reshape(1, -1, *pixels.shape[-2:])  # (C, H, W) -> (1, C, H, W)
    resampled = functional.interpolate(
        batch, (height, width), mode="bicubic", align_corners=False, antialias=True
    )
    # Cubic weights ring past 0 and 1 beside hard edges.
    return resampled.clamp_(0, 1).reshape(*pixels.shape[:-2], height, width)


def thumbnail(pixels: Tensor, max_side: int) -> Tensor:
    """Shrink an image until its longer side is at most a given length.

    Args:
        pixels: (C, H, W) or (H, W) in [0, 1], floating point.
        max_side: length of the longer side at most, in pixels.

    Returns:
        The image in proportion; the same tensor if it is small enough already.

    Example:
        >>> thumbnail(torch.rand(3, 300, 400), 100).shape
        torch.Size([3, 75, 100])
    """
    height, width = pixels.shape[-2:]
    return resize(pixels, fit_longest_side((width, height), min(max_side, max(width, height))))


def composite_rgb(image: Image) -> Tensor:
    """Return an image as three opaque channels, hidden colors replaced by their surroundings.

    A gray image is repeated three times. The colors under transparent pixels are arbitrary, often
    black, and a network would see their edge: they are replaced by the surrounding opaque colors,
    spread smoothly inwards, in proportion to the transparency.

    Args:
        image: the image; the pixels of an opaque one are returned as they are.

    Returns:
        (3, H, W) float32 in [0, 1]; mid-gray if nothing at all is opaque.

    Example:
        >>> composite_rgb(Image(torch.rand(1, 2, 2))).shape
        torch.Size([3, 2, 2])
    """
    pixels = image.pixels.expand(3, -1, -1)
    alpha = image.metadata.alpha
    if alpha is None or bool((alpha >= 1).all()):
        return pixels
    alpha = alpha.to(pixels).expand(1, 1, -1, -1)
    return torch.lerp(_spread(pixels[None], alpha), pixels[None], alpha)[0].clamp(0, 1)


def _spread(colors: Tensor, weight: Tensor) -> Tensor:
    """Spread weighted colors over the image by a pyramid; (1, 3, H, W), (1, 1, H, W)."""
    height, width = colors.shape[-2:]
    if height == width == 1:
        return torch.where(weight > 0, colors, 0.5)
    # Ceil mode counts only pixels inside the image, so odd sizes keep their last row and column.
    shrunk = functional.avg_pool2d(weight, 2, ceil_mode=True)
    summed = functional.avg_pool2d(colors * weight, 2, ceil_mode=True)
    coarse = _spread(summed / shrunk.clamp_min(1e-12), shrunk.mul(4).clamp_max(1))
    coarse = functional.interpolate(coarse, (height, width), mode="bilinear", align_corners=False)
    return torch.lerp(coarse, colors, weight)
