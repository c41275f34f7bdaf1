"""What a painting is given last: the content's colors, and the content where it is protected."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from impasto.images.image import Image
from impasto.images.masks import resize_mask
from impasto.images.resize import composite_rgb, resize
from impasto.recipes import StyleRecipe
from impasto.style.color import restore_colors
from impasto.style.objective import Evaluation
from impasto.style.sizing import Size

Finish = Callable[[Tensor], Tensor]
Evaluate = Callable[[Tensor], Evaluation]


def composites(recipe: StyleRecipe, protect: Image | None) -> bool:
    """Whether a painting is anything else than what the descent found."""
    return protect is not None or (recipe.color < 1 and not recipe.gives_content_back)


def composite(recipe: StyleRecipe, content: Image, protect: Image | None, size: Size) -> Finish:
    """A function that finishes a painting of one size, (3, H, W) on the CPU.

    Args:
        recipe: `color` and `color_by`.
        content: the content image.
        protect: a mask, where the content stays as it is.
        size: (width, height) of the painting.
    """
    if not composites(recipe, protect):
        return lambda painted: painted
    here = resize(composite_rgb(content), size)
    kept = None if protect is None else resize_mask(protect, size)

    def finished(painted: Tensor) -> Tensor:
        found = restore_colors(painted, here, recipe)
        return found if kept is None else torch.lerp(found, here, kept)

    return finished


def paste_protected(objective: Evaluate, content: Tensor, kept: Tensor) -> Evaluate:
    """An objective that sees the content where it is protected, and moves nothing there.

    Args:
        objective: what to see it with.
        content: (3, H, W).
        kept: (H, W) in [0, 1], 1 where the content stays.
    """

    def evaluate(pixels: Tensor) -> Evaluation:
        found = objective(torch.lerp(pixels, content, kept))
        return found._replace(gradient=found.gradient * (1 - kept))

    return evaluate
