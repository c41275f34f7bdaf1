"""The canvas: pictures brought to the size they are worked at, and what painting starts from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from impasto.images.image import Image
from impasto.images.resize import composite_rgb, fit_longest_side, resize
from impasto.recipes import ReconstructRecipe, StyleRecipe

R = TypeVar("R", StyleRecipe, ReconstructRecipe)
Size = tuple[int, int]
Masked = tuple[Tensor, Tensor | None]  # pixels (3, H, W) and where they count, (H, W) or None

_STROKES = 512  # pixels on a painting's longer side where `style_scale` 1 is the same as `fit`
_LEAST = 16  # pixels a side: below it the network's fifth block sees nothing


def output_size(picture: Image, wanted: int | str, name: str) -> Size:
    """The size a picture is worked at, refused where the network would see nothing of it.

    Example:
        >>> output_size(Image(torch.zeros(3, 768, 1024)), 512, "content")
        (512, 384)
    """
    size = picture.size
    result = size if wanted == "original" else fit_longest_side(size, int(wanted))
    if min(*size, *result) < _LEAST:
        became = "" if result == size else f", {result[0]} × {result[1]} at size {wanted}"
        raise ValueError(
            f"`{name}` must have at least {_LEAST} pixels on each side, got "
            f"{size[0]} × {size[1]}{became}; crop it closer to a square or enlarge it"
        )
    if picture.metadata.alpha is not None and not bool((picture.metadata.alpha > 0).any()):
        raise ValueError(
            f"`{name}` must have something to see, got {size[0]} × {size[1]} pixels that are all "
            "transparent; give an opaque picture"
        )
    return result


def brush_size(size: Size, output: Size) -> Size:
    """The size a style image is read at: as many pixels as the output, never enlarged.

    Example:
        >>> brush_size((2000, 1000), (512, 512))
        (724, 362)
    """
    factor = min(1.0, (output[0] * output[1] / (size[0] * size[1])) ** 0.5)
    return max(_LEAST, round(size[0] * factor)), max(_LEAST, round(size[1] * factor))


def style_size(size: Size, rung: Size, scale: float | str, output: Size) -> Size:
    """The size a style image is read at for one scale of the pyramid.

    Args:
        size: (width, height) of the style image.
        rung: (width, height) of the scale.
        scale: the recipe's `style_scale`: `fit`, or how large the strokes are beside those of a
            painting of 512 pixels.
        output: (width, height) of the finished picture.

    Example:
        >>> style_size((2000, 1000), (512, 512), 2.0, (1024, 1024))  # half the painting's size
        (724, 362)
        >>> style_size((2000, 1000), (512, 512), "fit", (1024, 1024))
        (724, 362)
    """
    if scale == "fit":
        return brush_size(size, rung)
    share = scale * _STROKES / max(output)
    factor = share * (rung[0] * rung[1] / (size[0] * size[1])) ** 0.5
    return max(_LEAST, round(size[0] * factor)), max(_LEAST, round(size[1] * factor))


def resize_to(picture: Image, size: Size, device: torch.device) -> Masked:
    """A picture's opaque pixels (3, H, W) and its alpha (H, W), if any, at one size."""
    alpha = picture.metadata.alpha
    mask = None if alpha is None else resize(alpha, size).to(device)
    return resize(composite_rgb(picture), size).to(device), mask


def released_bytes(device: torch.device, *pictures: Image) -> int:
    """Bytes of a device's memory that pictures give back once nothing wants them any more."""
    return 0 if device.type == "cuda" else sum(one.pixels.nbytes for one in pictures)


def random_image(shape: Sequence[int], seed: int) -> Tensor:
    """Uniform noise in [0, 1], the same for the same seed on every device."""
    return torch.rand(tuple(shape), generator=torch.Generator().manual_seed(seed))


def starting_image(
    recipe: StyleRecipe,
    content: Tensor,
    picture: Image | None,
    recolored: Callable[[], Tensor],
) -> Tensor:
    """What the picture starts as, at the size of `content` (3, H, W).

    Args:
        recipe: `init` and the seed.
        content: the content image.
        picture: the init picture, where one is to be the start.
        recolored: makes the content image in the styles' colors.
    """
    if recipe.init == "noise":
        return random_image(content.shape, recipe.seed).to(content.device)
    if recipe.init == "picture":
        return resize_to(picture, (content.shape[2], content.shape[1]), content.device)[0]
    if recipe.init == "recolored" and not recipe.gives_content_back:
        return recolored()
    return content


def resolve_auto(recipe: R, dtype: torch.dtype, history: int, tiles: tuple[int, ...]) -> R:
    """A recipe as it goes into the picture: what `auto` became, and no folder of its maker's.

    Example:
        >>> resolve_auto(StyleRecipe(weights="/home/me/vgg.pth"), torch.float32, 10, (0,)).weights
        'vgg.pth'
    """
    return recipe.model_copy(
        update={
            "precision": str(dtype).removeprefix("torch."),
            "history": history,
            "tiles": tiles,
            "weights": Path(recipe.weights).name,
        }
    )
