"""Painting a content image in the style of others: `stylize`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from impasto.compute.device import choose, precision
from impasto.compute.memory import release
from impasto.law import refuse_both, signed_by
from impasto.picture.read import Source, open_picture
from impasto.picture.record import Picture
from impasto.presets import style_recipe
from impasto.recipe import StyleRecipe
from impasto.result import OnStep, Result
from impasto.style.canvas import brush_size, output_size, released, settled, sized, start
from impasto.style.checkpoint import Checkpoint, Checkpoints, checkpoint_of, decided
from impasto.style.descent import State
from impasto.style.goal import style_losses
from impasto.style.objective import Objective, network
from impasto.style.plan import Plan, plan
from impasto.style.run import Run
from impasto.style.targets import style_targets
from impasto.vgg.trunk import Trunk
from impasto.vgg.weights import load


@signed_by(StyleRecipe)
def stylize(
    content: Source,
    style: Source | Sequence[Source],
    *,
    recipe: StyleRecipe | None = None,
    init_picture: Source | None = None,
    on_step: OnStep | None = None,
    checkpoint: str | Path | Checkpoints | None = None,
    **options: Any,
) -> Result:
    """Paint a content image in the style of one or more style images.

    A picture is optimized, coarse to fine, until VGG-19 sees the content image's content and the
    style images' feature statistics in it. Transparent parts of either are left out of the
    statistics, and the content's transparency is kept.

    Args:
        content: the picture to paint: a path, bytes, PIL image, NumPy array (H, W[, C]) or tensor
            (C, H, W), at least 16 pixels a side; floats in [0, 1].
        style: the picture to learn from, or a list of them whose statistics are pooled alike.
        recipe: every option at once; or give the ones to change as `options`.
        init_picture: the start, resized to fit, where `init` is `picture`.
        on_step: called after each evaluation with a `Step`; raising `StopIteration` in it ends the
            run and keeps the best picture so far.
        checkpoint: a folder that keeps what the run has reached, made if it is missing. After a
            crash, a kill or a stop, the same call goes on from there, and ends in the same bytes
            on the same machine; a run that ends by itself takes its file away.
        options: any field of `StyleRecipe`, such as `preset`, `strength`, `size`, `steps`.

    Returns:
        The picture, (3, H, W) float32 in [0, 1] on the CPU, with its losses and recipe.

    Raises:
        ValueError: an option or a picture out of range.
        PictureError: a file that cannot be read, or a checkpoint folder that cannot be written.
        WeightsError: weights that are missing or altered.
        MemoryShortageError: not even the smallest tiles fit into the memory there is.

    Example:
        >>> import torch
        >>> result = stylize(torch.rand(3, 32, 48), torch.rand(3, 32, 32), size=48, steps=2)
        >>> result.size, result.evaluations
        ((48, 32), 2)

    References:
        Gatys, Ecker, Bethge 2016, Image style transfer using convolutional neural networks;
        arXiv:1508.06576. Departures are listed in docs/method.md.
    """
    recipe = _chosen(recipe, options, init_picture)
    ready = _ready(content, style, recipe, init_picture, checkpoint)
    # From here on nothing here holds on to a picture that is no longer wanted.
    del content, style, init_picture
    recipe, trunk, picture, styles, first, planned, kept, reached = ready
    del ready
    carried = picture.carried
    run = Run(recipe, planned.ladder, planned.counts, on_step, kept)
    run.go_on(reached)
    for scale in run.left():
        rung = planned.rungs[scale]
        here, mask = sized(picture, rung.size, trunk.device)
        seen = [sized(one, brush_size(one.size, rung.size), trunk.device) for one in styles]
        if rung is planned.rungs[-1]:
            del picture, styles
        begin = run.resized(scale) if scale else start(recipe, here, seen, first)
        targets = style_targets(trunk, seen, list(recipe.style_layers), rung.tile)
        del seen
        objective = Objective(recipe, trunk, here, mask, targets, rung.tile, warmup=rung.warmup)
        del here
        release(trunk.device)
        run.descend(objective, begin.to(trunk.device), scale, rung.evaluations)
        del objective, begin
        if run.stopped:
            break
    return run.result(carried, trunk.device)


def style_plan(
    content: Source,
    style: Source | Sequence[Source],
    *,
    recipe: StyleRecipe | None = None,
    init_picture: Source | None = None,
    **options: Any,
) -> Plan:
    """What `stylize` would do with the same arguments: sizes, tiles, memory, seconds.

    Refuses whatever `stylize` refuses before its first evaluation.

    Example:
        >>> import torch
        >>> found = style_plan(torch.rand(3, 32, 48), torch.rand(3, 32, 32), size=48, steps=2)
        >>> found.ladder, found.rungs[0].evaluations
        ([(48, 32)], 2)
    """
    recipe = _chosen(recipe, options, init_picture)
    return _ready(content, style, recipe, init_picture, timed=True).plan


class _Ready(NamedTuple):
    """Everything a run needs, checked."""

    recipe: StyleRecipe
    trunk: Trunk
    picture: Picture
    styles: list[Picture]
    first: Picture | None
    plan: Plan
    checkpoint: Checkpoint | None
    reached: State


def _ready(
    content: Source,
    style: Source | Sequence[Source],
    recipe: StyleRecipe,
    init_picture: Source | None,
    checkpoint: str | Path | Checkpoints | None = None,
    *,
    timed: bool = False,
) -> _Ready:
    """Check recipe, pictures, network and memory, and plan the run."""
    style_losses(recipe)  # a statistic its normalization does not define is refused here
    device = choose(recipe.device)
    sources = list(style) if isinstance(style, (list, tuple)) else [style]
    if not sources:
        raise ValueError("`style` must be at least one picture, got an empty list; give one")
    picture = open_picture(content, name="content")
    styles = [open_picture(source, name="style") for source in sources]
    size = output_size(picture, recipe.size, "content")
    for one in styles:
        output_size(one, "original", "style")
    first = None if init_picture is None else open_picture(init_picture, name="init")
    weights = load(recipe.weights).sha256
    kept = checkpoint_of(checkpoint, recipe, weights, [picture, *styles, first])
    reached = kept.load() if kept else {}
    recipe = decided(recipe, reached)
    dtype = precision(device, recipe.precision)
    trunk = network(recipe, device, dtype)
    brushes = [one.size for one in styles]
    spare = released(device, picture, *styles)
    planned = plan(recipe, trunk, size, brushes, released=spare, timed=timed)
    recipe = settled(recipe, dtype, planned.history)
    return _Ready(recipe, trunk, picture, styles, first, planned, kept, reached)


def _chosen(
    recipe: StyleRecipe | None, options: dict[str, Any], init_picture: Source | None
) -> StyleRecipe:
    """The recipe to follow, from a whole one or from options, and its start."""
    refuse_both(recipe, options)
    if recipe is None:
        if init_picture is not None:
            options.setdefault("init", "picture")
        recipe = style_recipe(**options)
    if (recipe.init == "picture") != (init_picture is not None):
        raise ValueError(
            f"`init` must be `picture` where an init picture is given and only there, got "
            f"{recipe.init!r}; give both or neither"
        )
    if recipe.denoise != "no":
        raise ValueError(
            f"`denoise` must be no for `stylize`, which only paints, got {recipe.denoise!r}; call "
            "`impasto.paint`, which takes the same and cleans too"
        )
    return recipe
