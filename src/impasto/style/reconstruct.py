"""Rebuilding a picture from what one layer of the network saw of it: `reconstruct`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from impasto.compute.device import choose, precision
from impasto.compute.memory import release
from impasto.law import checked, refuse_both, signed_by
from impasto.picture.read import Source, open_picture
from impasto.picture.record import Picture
from impasto.picture.supply import input_of
from impasto.provenance import Inputs
from impasto.recipe import ReconstructRecipe
from impasto.result import OnStep, Result, Stop
from impasto.style.canvas import noise, output_size, released, settled, sized
from impasto.style.checkpoint import Checkpoint, Checkpoints, checkpoint_of, decided
from impasto.style.descent import State
from impasto.style.goal import Region
from impasto.style.objective import Objective, network, objective_recipe
from impasto.style.plan import Plan, plan
from impasto.style.run import Run
from impasto.style.targets import style_moments
from impasto.vgg.trunk import Trunk
from impasto.vgg.weights import load


@signed_by(ReconstructRecipe)
def reconstruct(
    image: Source,
    *,
    recipe: ReconstructRecipe | None = None,
    on_step: OnStep | None = None,
    checkpoint: str | Path | Checkpoints | None = None,
    stop: Stop | None = None,
    **options: Any,
) -> Result:
    """Rebuild a picture, from noise, out of what one layer of VGG-19 sees of it.

    `kind="content"` matches the layer's features: shallow layers give the picture back, deep ones
    its meaning without its pixels. `kind="texture"` matches the Gram matrices of the first layer of
    each block up to the layer: the picture's material without its arrangement.

    Args:
        image: the picture, as `stylize` takes it.
        recipe: every option at once; or give the ones to change as `options`.
        on_step: called after each evaluation with a `Step`; raising `StopIteration` ends the run.
        checkpoint: a folder that keeps what the run has reached, as for `stylize`.
        stop: asked between the layers of each evaluation, as for `stylize`.
        options: any field of `ReconstructRecipe`, such as `layer`, `kind`, `size`, `steps`.

    Returns:
        The rebuilt picture, (3, H, W) float32 in [0, 1] on the CPU, with its losses and recipe.

    Raises:
        ValueError: an option or the picture out of range.
        PictureError: a file that cannot be read, or a checkpoint folder that cannot be written.
        WeightsError: weights that are missing or altered.
        MemoryShortageError: not even the smallest tiles fit into the memory there is.

    Example:
        >>> import torch
        >>> result = reconstruct(torch.rand(3, 32, 32), layer="conv2_1", size=32, steps=2)
        >>> result.size
        (32, 32)

    References:
        Gatys, Ecker, Bethge 2016, figure 1; Mahendran, Vedaldi 2015 (arXiv:1412.0035).
    """
    ready = _ready(image, _chosen(recipe, options), checkpoint)
    del image
    recipe, trunk, picture, planned, kept, reached = ready
    del ready
    inner, carried = objective_recipe(recipe), picture.carried
    inputs = Inputs(content=input_of(picture))
    run = Run(recipe, planned.ladder, planned.counts, on_step, kept, stop)
    run.go_on(reached)
    for scale in run.left():
        rung = planned.rungs[scale]
        here, mask = sized(picture, rung.size, trunk.device)
        if rung is planned.rungs[-1]:
            del picture
        targets = style_moments(trunk, here, mask, list(inner.style_layers), rung.tile)
        regions = [Region(mask, 1.0, targets)]
        objective = Objective(inner, trunk, here, mask, regions, rung.tile, heed=run.heed)
        begin = run.resized(scale) if scale else noise(here.shape, recipe.seed)
        del here
        release(trunk.device)
        run.descend(objective, begin.to(trunk.device), scale, rung.evaluations)
        del objective, begin
        if run.stopped:
            break
    return run.result(carried, trunk.device, inputs=inputs)


def reconstruct_plan(
    image: Source, *, recipe: ReconstructRecipe | None = None, **options: Any
) -> Plan:
    """What `reconstruct` would do with the same arguments: sizes, tiles, memory, seconds."""
    return _ready(image, _chosen(recipe, options), timed=True).plan


class _Ready(NamedTuple):
    """Everything a run needs, checked."""

    recipe: ReconstructRecipe
    trunk: Trunk
    picture: Picture
    plan: Plan
    checkpoint: Checkpoint | None
    reached: State


def _ready(
    image: Source,
    recipe: ReconstructRecipe,
    checkpoint: str | Path | Checkpoints | None = None,
    *,
    timed: bool = False,
) -> _Ready:
    """Check the picture, the network and the memory, and plan the run."""
    device = choose(recipe.device)
    picture = open_picture(image, name="image")
    size = output_size(picture, recipe.size, "image")
    kept = checkpoint_of(checkpoint, recipe, load(recipe.weights).sha256, [picture])
    reached = kept.load() if kept else {}
    recipe = decided(recipe, reached)
    dtype = precision(device, recipe.precision)
    trunk = network(objective_recipe(recipe), device, dtype)
    texture = recipe.kind == "texture"
    spare = released(device, picture)
    brushes = lambda rung: [rung] if texture else []  # noqa: E731
    planned = plan(recipe, trunk, size, brushes, released=spare, timed=timed)
    recipe = settled(recipe, dtype, planned.history, planned.tiles)
    return _Ready(recipe, trunk, picture, planned, kept, reached)


def _chosen(recipe: ReconstructRecipe | None, options: dict[str, Any]) -> ReconstructRecipe:
    """The recipe to follow, from a whole one or from options."""
    refuse_both(recipe, options)
    return recipe or checked(ReconstructRecipe, options)
