"""The public functions that paint: style transfer with cleaning, textures, reconstructions."""

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
    from impasto.style.styles import Style


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
    """Paint as `stylize` does, and clean noise away before, after or both, as `denoise` does.

    Args:
        content: as for `stylize`; where it is cleaned first, at its own size.
        style: as for `stylize`.
        recipe: every option at once; or give the ones to change as `options`. Its `denoise` says
            what is cleaned, with the recipe's seed, device and memory and `denoise`'s defaults.
        init_image: as for `stylize`.
        protect: as for `stylize`: neither painted nor, afterwards, cleaned.
        keep: as for `stylize`.
        on_step: as for `stylize`; cleaning calls it not. A painting that it ends early is left as
            it is then, and the result's recipe says that.
        checkpoint: as for `stylize`, of the painting.
        stop: as for `stylize`, and asked after each part of the cleaning.
        options: any field of `StyleRecipe`.

    Returns:
        As `stylize`; `losses` are those of the painting before it was cleaned.

    Raises:
        ValueError: as `stylize` and `denoise`; so the other errors.

    Example:
        >>> import torch
        >>> pictures = torch.rand(3, 32, 48), torch.rand(3, 32, 32)
        >>> stylize(*pictures, size=32, steps=1, denoise="after").recipe.denoise
        'after'
    """
    reject_recipe_and_options(recipe, options)
    if recipe is None:
        start = {} if init_image is None else {"init": "picture"}
        recipe = style_recipe(**start | options)
    painted = recipe.model_copy(update={"denoise": "no"})
    given = {
        "recipe": painted,
        "init_image": init_image,
        "protect": protect,
        "keep": keep,
    }
    seconds = 0.0
    done = []
    if recipe.denoise in ("before", "both"):
        content = open_image(content, name="content")
        plan_style(content, style, **given)  # what is refused is refused before any work
        cleaned = _cleaned(content, recipe, stop)
        metadata = replace(content.metadata, origin=source_of(content))
        content, seconds = Image(cleaned.pixels, metadata), cleaned.seconds
        done.append("before")
    result = transfer_style(
        content, style, **given, on_step=on_step, checkpoint=checkpoint, stop=stop
    )
    pixels = result.pixels
    if recipe.denoise in ("after", "both") and not result.stopped:
        cleaned = _cleaned(Image(pixels, result.metadata), recipe, stop)
        if protect is None:
            pixels = cleaned.pixels
        else:
            kept = resize_mask(open_mask(protect, "protect"), result.size)
            pixels = torch.lerp(cleaned.pixels, pixels, kept)
        seconds += cleaned.seconds
        done.append("after")
    said = {"denoise": "both" if len(done) == 2 else "".join(done) or "no"}
    return replace(
        result,
        pixels=pixels,
        recipe=result.recipe.model_copy(update=said),
        seconds=result.seconds + seconds,
    )


def _cleaned(picture: Image, recipe: StyleRecipe, stop: Stop | None) -> DenoiseResult:
    """A picture without its noise, computed where and as the recipe has it."""

    def heed(step: Step) -> None:
        if stop is not None and stop():
            raise StopIteration

    shared = {name: getattr(recipe, name) for name in ("seed", "device", "memory")}
    return denoise(picture, recipe=DenoiseRecipe(**shared), on_step=heed)
