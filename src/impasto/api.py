"""The public functions of style transfer: `stylize`, which cleans too, `texture`, `reconstruct`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from impasto.denoising.denoise import denoise
from impasto.images.image import Image, source_of
from impasto.images.masks import open_mask, resize_mask
from impasto.images.read import ImageSource, open_image
from impasto.presets import style_recipe
from impasto.recipes import DenoiseRecipe, StyleRecipe
from impasto.result import DenoiseResult, OnStep, Result, Step, Stop
from impasto.style.reconstruct import plan_reconstruction, reconstruct
from impasto.style.stylize import plan_style
from impasto.style.stylize import stylize as transfer_style
from impasto.style.texture import plan_texture, texture
from impasto.validation import reject_recipe_and_options, with_recipe_signature

__all__ = [
    "plan_reconstruction",
    "plan_style",
    "plan_texture",
    "reconstruct",
    "stylize",
    "texture",
]

if TYPE_CHECKING:
    from impasto.style.checkpoint import Checkpoints
    from impasto.style.source import Style


@with_recipe_signature(StyleRecipe)
def stylize(
    content: ImageSource,
    style: ImageSource | Style | Sequence[ImageSource | Style],
    *,
    recipe: StyleRecipe | None = None,
    init_image: ImageSource | None = None,
    protect: ImageSource | None = None,
    keep: ImageSource | None = None,
    on_step: OnStep | None = None,
    checkpoint: str | Path | Checkpoints | None = None,
    stop: Stop | None = None,
    **options: Any,
) -> Result:
    """Paint a content image in the style of one or more style images.

    An image is optimized, coarse to fine, until VGG-19 sees the content image's content and the
    style images' feature statistics in it. If the recipe's `denoise` is not `no`, noise is removed
    before, after or both, as `denoise` does it.

    Args:
        content: the image to paint: a path, bytes, PIL image, NumPy array (H, W[, C]) or tensor
            (C, H, W), at least 16 pixels a side; floats in [0, 1]. It is cleaned at its own size.
        style: the image or the folder of images to learn from, or a list of them whose
            statistics are averaged; a `Style` adds how much it counts, where it goes, and which
            part of it to learn from.
        recipe: every option at once; or give the ones to change as `options`. Cleaning follows its
            seed, device and memory and otherwise `denoise`'s defaults.
        init_image: the start, resized to fit, if `init` is `picture`.
        protect: a mask, white where the content image stays as it is; any size in its shape. It is
            not cleaned afterwards either.
        keep: a mask, white where the content loss counts in full and black where it does not, for
            what should stay recognizable; any size in the content image's shape.
        on_step: called after each evaluation with a `Step`, not while cleaning; raising
            `StopIteration` in it ends the run and keeps the best image so far, which is then not
            cleaned; the result's recipe says so.
        checkpoint: a folder where the run saves its state, made if it is missing. After a crash, a
            kill or a stop, the same call resumes, and ends in the same bytes on the same machine;
            a run that ends by itself removes its file.
        stop: called between the layers of each evaluation and after each part of the cleaning;
            returning True ends the run, as `StopIteration` in `on_step` does.
        options: any field of `StyleRecipe`, such as `preset`, `strength`, `size`, `steps`.

    Returns:
        The painting, (3, H, W) float32 in [0, 1] on the CPU, with its recipe and the losses that
        it had before it was cleaned.

    Raises:
        ValueError: an option or an image out of range.
        ImageError: a file that cannot be read, or a checkpoint folder that cannot be written.
        WeightsError: weights that are missing or altered.
        MemoryShortageError: not even the smallest tiles fit into memory.

    Example:
        >>> import torch
        >>> content, style = torch.rand(3, 32, 48), torch.rand(3, 32, 32)
        >>> stylize(content, style, size=32, steps=1, denoise="after").recipe.denoise
        'after'
    """
    reject_recipe_and_options(recipe, options)
    if recipe is None:
        start = {} if init_image is None else {"init": "picture"}
        recipe = style_recipe(**start | options)
    paint_recipe = recipe.model_copy(update={"denoise": "no"})
    arguments = {
        "recipe": paint_recipe,
        "init_image": init_image,
        "protect": protect,
        "keep": keep,
    }
    seconds = 0.0
    cleaned = []
    if recipe.denoise in ("before", "both"):
        content = open_image(content, name="content")
        plan_style(content, style, **arguments)  # bad arguments are refused before any work
        clean = _denoise(content, recipe, stop)
        metadata = replace(content.metadata, origin=source_of(content))
        content, seconds = Image(clean.pixels, metadata), clean.seconds
        cleaned.append("before")
    result = transfer_style(
        content, style, **arguments, on_step=on_step, checkpoint=checkpoint, stop=stop
    )
    pixels = result.pixels
    if recipe.denoise in ("after", "both") and not result.stopped:
        clean = _denoise(Image(pixels, result.metadata), recipe, stop)
        if protect is None:
            pixels = clean.pixels
        else:
            mask = resize_mask(open_mask(protect, "protect"), result.size)
            pixels = torch.lerp(clean.pixels, pixels, mask)
        seconds += clean.seconds
        cleaned.append("after")
    update = {"denoise": "both" if len(cleaned) == 2 else "".join(cleaned) or "no"}
    return replace(
        result,
        pixels=pixels,
        recipe=result.recipe.model_copy(update=update),
        seconds=result.seconds + seconds,
    )


def _denoise(image: Image, recipe: StyleRecipe, stop: Stop | None) -> DenoiseResult:
    """Remove an image's noise, with the recipe's seed, device and memory."""

    def check_stop(step: Step) -> None:
        if stop is not None and stop():
            raise StopIteration

    shared = {name: getattr(recipe, name) for name in ("seed", "device", "memory")}
    return denoise(image, recipe=DenoiseRecipe(**shared), on_step=check_stop)
