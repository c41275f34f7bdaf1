"""Synthesize a texture of any size out of styles alone: `texture`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.images.color import is_gray, to_gray
from impasto.images.image import ImageMetadata
from impasto.images.read import ImageSource
from impasto.images.resize import resize
from impasto.provenance import Inputs
from impasto.recipes import TextureRecipe
from impasto.result import OnStep, Result, Stop
from impasto.style.composite import EvaluatePixels, without_color
from impasto.style.engine import Problem, Run, Setup, random_image, set_up
from impasto.style.objective import Evaluation, build_objective
from impasto.style.plan import Plan
from impasto.style.schedule import Size
from impasto.style.source import Style
from impasto.style.spec import texture_spec
from impasto.style.styles import (
    StyleSource,
    build_regions,
    measure_styles,
    open_styles,
    recolor_by_region,
    style_inputs,
    style_sizes,
)
from impasto.validation import reject_recipe_and_options, validate, with_recipe_signature

if TYPE_CHECKING:
    from typing import Unpack

    from impasto.options import TextureOptions

_HALO = 96  # pixels of the opposite side that the network sees beyond a border that is to fit
_CONTRAST = 0.3  # of the noise a texture starts from, relative to the style's own
_GRID = 16  # pixels a side that become one position of the deepest layer


@with_recipe_signature(TextureRecipe)
def texture(
    style: ImageSource | Style | Sequence[ImageSource | Style],
    *,
    recipe: TextureRecipe | None = None,
    on_step: OnStep | None = None,
    stop: Stop | None = None,
    **options: Unpack[TextureOptions],
) -> Result:
    """Make a texture out of a style alone: its strokes and colors.

    From faint noise in the style's colors, coarse to fine, an image of any size is optimized
    until its feature statistics are the style's. If it is to be tileable, the network sees the
    opposite side beyond every border, so that no seam shows where the texture repeats.

    Args:
        style: as for `stylize`; regions need a content image and are refused.
        recipe: every option at once; or give the ones to change as `options`.
        on_step: as for `stylize`.
        stop: as for `stylize`.
        options: any field of `TextureRecipe`, such as `width`, `height`, `tileable`.

    Returns:
        The texture, (3, height, width) float32 in [0, 1] on the CPU, with its losses and recipe.

    Raises:
        ValueError: an option or an image out of range.
        ImageError: a file that cannot be read.
        MemoryShortageError: not even the smallest tiles fit into memory.

    Example:
        >>> texture(torch.rand(3, 64, 64), width=96, height=64, steps=2, tileable=True).size
        (96, 64)

    References:
        Gatys, Ecker, Bethge 2015, Texture synthesis using convolutional neural networks,
        arXiv:1505.07376. Departures are listed in docs/method.md.
    """
    setup, styles = _set_up(style, recipe, options)
    gray = all(is_gray(image) for source in styles for image in source.images)
    run = Run.of(setup, on_step, stop)
    run.optimize(partial(_problem, setup, styles, gray), setup.network.device)
    inputs, finish = Inputs(styles=style_inputs(styles)), to_gray if gray else None
    return run.result(setup.recipe, ImageMetadata(), setup.network.device, finish, inputs)


def plan_texture(
    style: ImageSource | Style | Sequence[ImageSource | Style],
    *,
    recipe: TextureRecipe | None = None,
    timed: bool = True,
    **options: Any,
) -> Plan:
    """Plan what `texture` would do with the same arguments: sizes, tiles, memory, seconds."""
    setup, _ = _set_up(style, recipe, options, timed=timed)
    return setup.plan


def _set_up(
    style: ImageSource | Style | Sequence[ImageSource | Style],
    recipe: TextureRecipe | None,
    options: dict[str, Any],
    *,
    timed: bool = False,
) -> tuple[Setup, list[StyleSource]]:
    """Check options and styles, and set up the run."""
    reject_recipe_and_options(recipe, options)
    recipe = recipe or validate(TextureRecipe, options)
    styles = open_styles(style, None)
    size = (recipe.width, recipe.height)
    halo = _halo(recipe.tileable, size)
    setup = set_up(
        recipe,
        texture_spec,
        size,
        lambda scale: style_sizes(styles, scale, recipe.style_scale, size),
        around=(size[0] + 2 * halo[0]) * (size[1] + 2 * halo[1]) / (size[0] * size[1]),
        timed=timed,
    )
    return setup, styles


def _problem(
    setup: Setup, styles: Sequence[StyleSource], gray: bool, run: Run, scale: int
) -> Problem:
    """Match the styles' statistics at one scale; `gray` if no style has any color."""
    (spec, network), stage = setup.at_scale(scale), setup.plan.scales[scale]
    device, (width, height) = network.device, stage.size
    halo = _halo(setup.recipe.tileable, stage.size)
    mask = None
    if halo != (0, 0):  # 1 on the texture itself, 0 on its halo
        mask = F.pad(torch.ones(1, 1, height, width), _padding(halo))[0, 0].to(device)
    targets = measure_styles(styles, spec, network, stage, setup.plan.sizes[-1], colors=scale == 0)
    regions = build_regions(styles, targets, stage.size, device, mask)
    objective = build_objective(
        spec,
        network,
        (width + 2 * halo[0], height + 2 * halo[1]),
        stage.tile,
        regions=regions,
        mask=mask,
        warmup=stage.warmup,
        check_stop=run.check_stop,
    )
    if scale:
        start = _enlarge(run.best, stage.size, halo).to(device)
    else:
        noise = random_image((3, height, width), spec.seed, gray=gray).to(device)
        recolored = recolor_by_region(noise, targets, regions)
        # At full contrast the grain of the noise would stay.
        start = torch.lerp(recolored.mean(dim=(1, 2), keepdim=True), recolored, _CONTRAST)
    if not gray:
        return Problem(_wrap_around(objective, halo), start)
    return Problem(_wrap_around(without_color(objective), halo), to_gray(start), to_gray)


def _halo(tileable: bool, size: Size) -> tuple[int, int]:
    """Return the pixels of the opposite side seen beyond left and right, top and bottom."""
    if not tileable:
        return 0, 0
    # In whole positions of the deepest layer, so that its grid lies on both sides alike.
    return tuple(min(_HALO, side // _GRID * _GRID) for side in size)


def _padding(halo: tuple[int, int]) -> tuple[int, int, int, int]:
    return halo[0], halo[0], halo[1], halo[1]


def _add_halo(pixels: Tensor, halo: tuple[int, int]) -> Tensor:
    """Add a texture's opposite sides beyond its borders, (3, H, W) -> (3, H + 2h, W + 2w)."""
    return F.pad(pixels[None], _padding(halo), mode="circular")[0]


def _wrap_around(objective: EvaluatePixels, halo: tuple[int, int]) -> EvaluatePixels:
    """Return an objective that sees a texture laid side by side with itself."""
    if halo == (0, 0):
        return objective

    def evaluate(pixels: Tensor) -> Evaluation:
        leaf = pixels.detach().requires_grad_()
        with torch.enable_grad():
            padded = _add_halo(leaf, halo)
        evaluation = objective(padded.detach())
        (gradient,) = torch.autograd.grad(padded, leaf, evaluation.gradient)
        return evaluation._replace(gradient=gradient)

    return evaluate


def _enlarge(pixels: Tensor, size: Size, halo: tuple[int, int]) -> Tensor:
    """Resample a texture, (3, H, W), to the next size as if it went on beyond its borders."""
    pixels = pixels.cpu()
    if halo == (0, 0):
        return resize(pixels, size)
    old_height, old_width = pixels.shape[1:]
    width, height = size
    edge = min(_GRID, old_width, old_height)
    padded = _add_halo(pixels, (edge, edge))
    across, down = round(edge * width / old_width), round(edge * height / old_height)
    resized = resize(padded, (width + 2 * across, height + 2 * down))
    return resized[:, down : down + height, across : across + width].clone()
