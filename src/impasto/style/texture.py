"""Making a texture of any size out of a style alone: `texture`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.device import select_device, select_precision
from impasto.images.image import Image, ImageMetadata
from impasto.images.read import ImageSource
from impasto.images.resize import resize
from impasto.memory import release_caches
from impasto.provenance import Inputs
from impasto.recipes import StyleRecipe, TextureRecipe
from impasto.result import OnStep, Result, Stop
from impasto.style.composite import Evaluate
from impasto.style.engine import Run
from impasto.style.objective import Evaluation, Objective, network
from impasto.style.plan import Plan, make_plan
from impasto.style.sizing import Size, random_image, resolve_auto
from impasto.style.source import Style
from impasto.style.styles import (
    Opened,
    looks,
    open_styles,
    recolored_content,
    regions,
    sizes,
    style_inputs,
)
from impasto.validation import reject_recipe_and_options, validate, with_recipe_signature
from impasto.vgg.network import VGG19Features

_HALO = 96  # pixels of the opposite side that the network sees beyond a border that is to fit
_CONTRAST = 0.3  # of the noise a texture starts from, beside the style's own
_GRAIN = 16  # pixels a side that become one position of the deepest layer


@with_recipe_signature(TextureRecipe)
def texture(
    style: ImageSource | Style | Sequence[ImageSource | Style],
    *,
    recipe: TextureRecipe | None = None,
    on_step: OnStep | None = None,
    stop: Stop | None = None,
    **options: Any,
) -> Result:
    """Make a texture out of a style alone: its strokes and colors.

    From faint noise in the style's colors, coarse to fine, a picture of any size is optimized
    until its feature statistics are the style's. Where it is to be tileable, the network sees the
    opposite side beyond every border, so that nothing tells where the texture begins again.

    Args:
        style: as for `stylize`; regions need a content image and are refused.
        recipe: every option at once; or give the ones to change as `options`.
        on_step: as for `stylize`.
        stop: as for `stylize`.
        options: any field of `TextureRecipe`, such as `width`, `height`, `tileable`.

    Returns:
        The texture, (3, height, width) float32 in [0, 1] on the CPU, with its losses and recipe.

    Raises:
        ValueError: an option or a picture out of range.
        ImageError: a file that cannot be read.
        MemoryShortageError: not even the smallest tiles fit into the memory there is.

    Example:
        >>> texture(torch.rand(3, 64, 64), width=96, height=64, steps=2, tileable=True).size
        (96, 64)

    References:
        Gatys, Ecker, Bethge 2015, Texture synthesis using convolutional neural networks,
        arXiv:1505.07376. Departures are listed in docs/method.md.
    """
    ready = _ready(style, _chosen(recipe, options))
    recipe = ready.recipe
    run = Run(ready.inner, ready.plan.ladder, ready.plan.counts, on_step, stop=stop)
    size = ready.plan.ladder[-1]
    for scale in run.left():
        rung = ready.plan.rungs[scale]
        blank = torch.zeros(3, rung.size[1], rung.size[0], device=ready.trunk.device)
        halo = _halo(recipe, rung.size)
        seen = looks(ready.styles, ready.inner, blank, size)
        mask = None if halo == (0, 0) else _inner(rung.size, halo).to(blank)
        layers = list(ready.inner.style_layers)
        wanted = regions(ready.styles, seen, ready.trunk, layers, mask, rung)
        around = F.pad(blank[None], _sides(halo))[0]
        objective = Objective(
            ready.inner,
            ready.trunk,
            around,
            mask,
            wanted,
            rung.tile,
            warmup=rung.warmup,
            heed=run.heed,
        )
        if scale:
            begin = _grown(run.best, rung.size, halo).to(blank)
        else:
            grain = random_image(blank.shape, recipe.seed).to(blank)
            begin = _faint(recolored_content(grain, seen, wanted))
        release_caches(ready.trunk.device)
        run.descend(_wrapped(objective, halo), begin, scale, rung.evaluations)
        if run.stopped:
            break
    found = run.result(ImageMetadata(), ready.trunk.device, inputs=ready.inputs)
    return replace(found, recipe=recipe)


def plan_texture(
    style: ImageSource | Style | Sequence[ImageSource | Style],
    *,
    recipe: TextureRecipe | None = None,
    **options: Any,
) -> Plan:
    """What `texture` would do with the same arguments: sizes, tiles, memory, seconds."""
    return _ready(style, _chosen(recipe, options), timed=True).plan


class _Ready(NamedTuple):
    """Everything a run needs, checked."""

    recipe: TextureRecipe
    inner: StyleRecipe
    trunk: VGG19Features
    styles: list[Opened]
    inputs: Inputs
    plan: Plan


def _ready(
    style: ImageSource | Style | Sequence[ImageSource | Style],
    recipe: TextureRecipe,
    *,
    timed: bool = False,
) -> _Ready:
    """Check the styles, the network and the memory, and plan the run."""
    device = select_device(recipe.device)
    size = (recipe.width, recipe.height)
    styles = open_styles(style, Image(torch.zeros(1, 1, 1).expand(3, *size[::-1])))
    if any(one.region is not None for one in styles):
        raise ValueError(
            "`region` of a style must be left out for a texture, which has no content image to "
            "lie on, got one"
        )
    inner = _inside(recipe)
    dtype = select_precision(device, recipe.precision)
    trunk = network(inner, device, dtype)
    halo = _halo(recipe, size)
    around = (size[0] + 2 * halo[0]) * (size[1] + 2 * halo[1]) / (size[0] * size[1])
    planned = make_plan(
        inner,
        trunk,
        size,
        lambda rung: sizes(styles, rung, recipe.style_scale, size),
        around=around,
        timed=timed,
    )
    found = resolve_auto(recipe, dtype, planned.history, planned.tiles)
    return _Ready(
        found, _inside(found), trunk, styles, Inputs(styles=style_inputs(styles)), planned
    )


def _inside(recipe: TextureRecipe) -> StyleRecipe:
    """The style recipe whose objective a texture minimizes."""
    shared = {
        name: value
        for name, value in dict(recipe).items()
        if name in StyleRecipe.model_fields and name != "version"
    }
    return StyleRecipe(
        **shared, content_layers={}, init="noise", size=max(recipe.width, recipe.height)
    )


def _chosen(recipe: TextureRecipe | None, options: dict[str, Any]) -> TextureRecipe:
    """The recipe to follow, from a whole one or from options."""
    reject_recipe_and_options(recipe, options)
    return recipe or validate(TextureRecipe, options)


def _halo(recipe: TextureRecipe, size: Size) -> tuple[int, int]:
    """Pixels of the opposite side that are seen beyond the left and right, the upper and lower."""
    if not recipe.tileable:
        return 0, 0
    # In whole positions of the deepest layer, so that its grid lies on both sides alike.
    return tuple(min(_HALO, side // _GRAIN * _GRAIN) for side in size)


def _sides(halo: tuple[int, int]) -> tuple[int, int, int, int]:
    """A halo as `pad` takes it."""
    return halo[0], halo[0], halo[1], halo[1]


def _inner(size: Size, halo: tuple[int, int]) -> Tensor:
    """1 on the texture itself, 0 on its halo."""
    return F.pad(torch.ones(1, 1, size[1], size[0]), _sides(halo))[0, 0]


def _around(pixels: Tensor, halo: tuple[int, int]) -> Tensor:
    """A texture with its opposite sides beyond its borders, (3, H, W) -> (3, H + 2h, W + 2w)."""
    return F.pad(pixels[None], _sides(halo), mode="circular")[0]


def _wrapped(objective: Evaluate, halo: tuple[int, int]) -> Evaluate:
    """An objective that sees a texture laid side by side with itself."""
    if halo == (0, 0):
        return objective

    def evaluate(pixels: Tensor) -> Evaluation:
        leaf = pixels.detach().requires_grad_()
        with torch.enable_grad():
            around = _around(leaf, halo)
        found = objective(around.detach())
        (gradient,) = torch.autograd.grad(around, leaf, found.gradient)
        return found._replace(gradient=gradient)

    return evaluate


def _faint(pixels: Tensor) -> Tensor:
    """Noise in the style's colors, drawn together: at full contrast its grain would stay."""
    return torch.lerp(pixels.mean(dim=(1, 2), keepdim=True), pixels, _CONTRAST)


def _grown(pixels: Tensor, size: Size, halo: tuple[int, int]) -> Tensor:
    """A texture at the next size, (3, H, W); resampled as if it went on beyond its borders."""
    pixels = pixels.cpu()
    if halo == (0, 0):
        return resize(pixels, size)
    high, wide = pixels.shape[1:]
    width, height = size
    edge = min(_GRAIN, wide, high)
    around = _around(pixels, (edge, edge))
    across, down = round(edge * width / wide), round(edge * height / high)
    grown = resize(around, (width + 2 * across, height + 2 * down))
    return grown[:, down : down + height, across : across + width].clone()
