"""The public functions of style transfer: `stylize`, which cleans too, `texture`, `reconstruct`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from impasto.denoising.denoise import denoise
from impasto.images.color import is_gray, to_gray
from impasto.images.image import Image, source_of
from impasto.images.masks import open_mask, resize_mask
from impasto.images.read import ImageSource, open_image
from impasto.presets import style_recipe
from impasto.recipes import DenoiseRecipe, StyleRecipe
from impasto.result import DenoiseResult, OnStep, Result, Step, Stop
from impasto.style.reconstruct import plan_reconstruction, reconstruct
from impasto.style.stylize import plan_style, transfer_style
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
    from typing import Unpack

    from impasto.options import StyleOptions
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
    **options: Unpack[StyleOptions],
) -> Result:
    """Paint a content image in the style of one or more style images.

    An image is optimized, coarse to fine, until VGG-19 sees the content image's content and the
    style images' feature statistics in it. Transparent parts of either are left out of the
    statistics, and the content's transparency is kept. If `denoise` is set, `impasto.denoise`
    cleans the content before, the painting after, or both; what is protected is not cleaned, nor
    is a painting that was stopped.

    Args:
        content: the image to paint: a path, bytes, PIL image, NumPy array (H, W[, C]) or tensor
            (C, H, W), at least 16 pixels a side; floats in [0, 1].
        style: the image or the folder of images to learn from, or a list of them whose
            statistics are averaged; a `Style` adds how much it counts, where it goes, and which
            part of it to learn from.
        recipe: every option at once; or give the ones to change as `options`.
        init_image: the start, resized to fit, if `init` is `picture`.
        protect: a mask, white where the content image stays as it is; any size in its shape.
        keep: a mask, white where the content loss counts in full and black where it does not, for
            what should stay recognizable; any size in the content image's shape.
        on_step: called after each evaluation with a `Step`; raising `StopIteration` in it ends the
            run and keeps the best image so far.
        checkpoint: a folder where the run saves its state, made if it is missing. After a crash, a
            kill or a stop, the same call resumes, and ends in the same bytes on the same machine;
            a run that ends by itself removes its file.
        stop: called between the layers of each evaluation; returning True ends the run within a
            part of a step, as `StopIteration` in `on_step` does after it.
        options: any field of `StyleRecipe`, such as `preset`, `strength`, `size`, `steps`.

    Returns:
        The painting, (3, H, W) float32 in [0, 1] on the CPU, with its losses and recipe;
        the losses are those before any cleaning.

    Raises:
        ValueError: an option or an image out of range.
        ImageError: a file that cannot be read, or a checkpoint folder that cannot be written.
        WeightsError: weights that are missing or altered.
        MemoryShortageError: not even the smallest tiles fit into memory.

    Example:
        >>> import torch
        >>> result = stylize(torch.rand(3, 32, 48), torch.rand(3, 32, 32), size=48, steps=2)
        >>> result.size, result.evaluations
        ((48, 32), 2)

    References:
        Gatys, Ecker, Bethge 2016, Image style transfer using convolutional neural networks;
        arXiv:1508.06576. Departures are listed in docs/method.md.
    """
    reject_recipe_and_options(recipe, options)
    if recipe is None:
        recipe = style_recipe(**({"init": "picture"} if init_image is not None else {}) | options)
    painting = {
        "recipe": recipe.model_copy(update={"denoise": "no"}),
        "init_image": init_image,
        "protect": protect,
        "keep": keep,
    }
    seconds, denoised = 0.0, []
    if recipe.denoise in ("before", "both"):
        content = open_image(content, name="content")
        plan_style(content, style, **painting)  # refuse bad input before any work
        clean = _denoise(content, recipe, stop)
        content = Image(clean.pixels, replace(content.metadata, origin=source_of(content)))
        seconds += clean.seconds
        denoised.append("before")
    running = {"on_step": on_step, "checkpoint": checkpoint, "stop": stop}
    result = transfer_style(content, style, **painting, **running)
    pixels = result.pixels
    if recipe.denoise in ("after", "both") and not result.stopped:
        clean = _denoise(Image(pixels, result.metadata), recipe, stop)
        cleaned = to_gray(clean.pixels) if is_gray(Image(pixels)) else clean.pixels
        pixels = _blend_protected(cleaned, pixels, protect)
        seconds += clean.seconds
        denoised.append("after")
    word = "both" if len(denoised) == 2 else "".join(denoised) or "no"
    return replace(
        result,
        pixels=pixels,
        recipe=result.recipe.model_copy(update={"denoise": word}),
        seconds=result.seconds + seconds,
    )


def _denoise(image: Image, recipe: StyleRecipe, stop: Stop | None) -> DenoiseResult:
    """Denoise an image with the recipe's seed, device and memory."""

    def check_stop(step: Step) -> None:
        if stop is not None and stop():
            raise StopIteration

    shared = {name: getattr(recipe, name) for name in ("seed", "device", "memory")}
    return denoise(image, recipe=DenoiseRecipe(**shared), on_step=check_stop)


def _blend_protected(clean: Tensor, painted: Tensor, protect: ImageSource | None) -> Tensor:
    """Put the painting's own pixels back where the mask protects them; (3, H, W)."""
    if protect is None:
        return clean
    size = painted.shape[-1], painted.shape[-2]
    return torch.lerp(clean, painted, resize_mask(open_mask(protect, "protect"), size))
