"""Rebuilding a picture from what one layer of the network saw of it: `reconstruct`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from impasto.device import select_device, select_precision
from impasto.images.image import Image
from impasto.images.open_input import identify_input
from impasto.images.read import ImageSource, open_image
from impasto.memory import release_caches
from impasto.provenance import Inputs
from impasto.recipes import ReconstructRecipe
from impasto.result import OnStep, Result, Stop
from impasto.style.checkpoint import Checkpoint, Checkpoints, checkpoint_of, resumed_settings
from impasto.style.descent import State
from impasto.style.engine import Run
from impasto.style.features import style_statistics
from impasto.style.objective import Objective, network, objective_recipe
from impasto.style.plan import Plan, make_plan
from impasto.style.sizing import output_size, random_image, released_bytes, resize_to, resolve_auto
from impasto.style.weighted_losses import Region
from impasto.validation import reject_recipe_and_options, validate, with_recipe_signature
from impasto.vgg.network import VGG19Features
from impasto.vgg.weights import load_weights


@with_recipe_signature(ReconstructRecipe)
def reconstruct(
    image: ImageSource,
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
        ImageError: a file that cannot be read, or a checkpoint folder that cannot be written.
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
    inner, metadata = objective_recipe(recipe), picture.metadata
    inputs = Inputs(content=identify_input(picture))
    run = Run(recipe, planned.ladder, planned.counts, on_step, kept, stop)
    run.go_on(reached)
    for scale in run.left():
        rung = planned.rungs[scale]
        here, mask = resize_to(picture, rung.size, trunk.device)
        if rung is planned.rungs[-1]:
            del picture
        targets = style_statistics(trunk, here, mask, list(inner.style_layers), rung.tile)
        regions = [Region(mask, 1.0, targets)]
        objective = Objective(inner, trunk, here, mask, regions, rung.tile, heed=run.heed)
        begin = run.resized(scale) if scale else random_image(here.shape, recipe.seed)
        del here
        release_caches(trunk.device)
        run.descend(objective, begin.to(trunk.device), scale, rung.evaluations)
        del objective, begin
        if run.stopped:
            break
    return run.result(metadata, trunk.device, inputs=inputs)


def plan_reconstruction(
    image: ImageSource, *, recipe: ReconstructRecipe | None = None, **options: Any
) -> Plan:
    """What `reconstruct` would do with the same arguments: sizes, tiles, memory, seconds."""
    return _ready(image, _chosen(recipe, options), timed=True).plan


class _Ready(NamedTuple):
    """Everything a run needs, checked."""

    recipe: ReconstructRecipe
    trunk: VGG19Features
    picture: Image
    plan: Plan
    checkpoint: Checkpoint | None
    reached: State


def _ready(
    image: ImageSource,
    recipe: ReconstructRecipe,
    checkpoint: str | Path | Checkpoints | None = None,
    *,
    timed: bool = False,
) -> _Ready:
    """Check the picture, the network and the memory, and plan the run."""
    device = select_device(recipe.device)
    picture = open_image(image, name="image")
    size = output_size(picture, recipe.size, "image")
    kept = checkpoint_of(checkpoint, recipe, load_weights(recipe.weights).sha256, [picture])
    reached = kept.load() if kept else {}
    recipe = resumed_settings(recipe, reached)
    dtype = select_precision(device, recipe.precision)
    trunk = network(objective_recipe(recipe), device, dtype)
    texture = recipe.kind == "texture"
    spare = released_bytes(device, picture)
    brushes = lambda rung: [rung] if texture else []  # noqa: E731
    planned = make_plan(recipe, trunk, size, brushes, released=spare, timed=timed)
    recipe = resolve_auto(recipe, dtype, planned.history, planned.tiles)
    return _Ready(recipe, trunk, picture, planned, kept, reached)


def _chosen(recipe: ReconstructRecipe | None, options: dict[str, Any]) -> ReconstructRecipe:
    """The recipe to follow, from a whole one or from options."""
    reject_recipe_and_options(recipe, options)
    return recipe or validate(ReconstructRecipe, options)
