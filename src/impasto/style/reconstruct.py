"""Rebuilding a picture from what one layer of the network saw of it: `reconstruct`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from impasto.compute.device import choose, precision
from impasto.law import checked, refuse_both, signed_by
from impasto.picture.read import Source, open_picture
from impasto.recipe import ReconstructRecipe, StyleRecipe
from impasto.result import OnStep, Result
from impasto.style.canvas import noise, output_size, settled, sized
from impasto.style.checkpoint import Checkpoints, checkpoint_of
from impasto.style.objective import Objective, network
from impasto.style.pyramid import sizes
from impasto.style.run import Run
from impasto.style.targets import style_targets
from impasto.vgg.weights import load


@signed_by(ReconstructRecipe)
def reconstruct(
    image: Source,
    *,
    recipe: ReconstructRecipe | None = None,
    on_step: OnStep | None = None,
    checkpoint: str | Path | Checkpoints | None = None,
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
        options: any field of `ReconstructRecipe`, such as `layer`, `kind`, `size`, `steps`.

    Returns:
        The rebuilt picture, (3, H, W) float32 in [0, 1] on the CPU, with its losses and recipe.

    Raises:
        ValueError: an option or the picture out of range.
        PictureError: a file that cannot be read, or a checkpoint folder that cannot be written.
        WeightsError: weights that are missing or altered.

    Example:
        >>> import torch
        >>> result = reconstruct(torch.rand(3, 32, 32), layer="conv2_1", size=32, steps=2)
        >>> result.size
        (32, 32)

    References:
        Gatys, Ecker, Bethge 2016, figure 1; Mahendran, Vedaldi 2015 (arXiv:1412.0035).
    """
    refuse_both(recipe, options)
    recipe = recipe or checked(ReconstructRecipe, options)
    device = choose(recipe.device)
    picture = open_picture(image, name="image")
    size = output_size(picture, recipe.size, "image")
    weights = load(recipe.weights).sha256
    kept = checkpoint_of(checkpoint, recipe, weights, [picture])
    reached = kept.load() if kept else {}
    dtype = precision(device, reached.get("precision", recipe.precision))
    inner = objective_recipe(recipe)
    trunk = network(inner, device, dtype)
    recipe = settled(recipe, dtype)
    # A texture has its own large shapes to find; features pin every pixel, so one size suffices.
    run = Run(recipe, sizes(size, 0 if recipe.kind == "texture" else 1), on_step, kept)
    run.go_on(reached)
    for scale, evaluations in run.left():
        here, mask = sized(picture, run.ladder[scale], device)
        targets = style_targets(trunk, [(here, mask)], list(inner.style_layers))
        objective = Objective(inner, trunk, here, mask, targets)
        start = run.resized(scale, device) if scale else noise(here.shape, recipe.seed).to(device)
        run.descend(objective, start, scale, evaluations)
        if run.stopped:
            break
    return run.result(picture.carried, device)


def objective_recipe(recipe: ReconstructRecipe) -> StyleRecipe:
    """The style recipe whose objective a reconstruction minimizes.

    Example:
        >>> list(objective_recipe(ReconstructRecipe(layer="conv3_2", kind="texture")).style_layers)
        ['conv1_1', 'conv2_1', 'conv3_1']
    """
    kind, block = recipe.layer[:4], int(recipe.layer[4])
    texture = recipe.kind == "texture"
    return StyleRecipe(
        content_layers={} if texture else {recipe.layer: 1.0},
        style_layers={f"{kind}{b}_1": 1.0 for b in range(1, block + 1)} if texture else {},
        content_weight=1.0,
        style_weight=1.0,
        statistic="gram",
        tv_weight=recipe.tv_weight,
        pooling=recipe.pooling,
        padding=recipe.padding,
        weights=recipe.weights,
    )
