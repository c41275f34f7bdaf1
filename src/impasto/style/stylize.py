"""Painting a content image in the style of others: `stylize`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from impasto.device import select_device, select_precision
from impasto.images.image import Image, ImageMetadata
from impasto.images.masks import check_mask_shape, is_white, open_mask, resize_mask
from impasto.images.open_input import identify_input
from impasto.images.read import ImageSource, open_image
from impasto.memory import release_caches
from impasto.presets import style_recipe
from impasto.provenance import Inputs
from impasto.recipes import StyleRecipe
from impasto.result import OnStep, Result, Stop
from impasto.style.checkpoint import Checkpoint, Checkpoints, checkpoint_of, resumed_settings
from impasto.style.color import match_content_colors
from impasto.style.composite import Evaluate, composite, composites, paste_protected
from impasto.style.descent import State
from impasto.style.engine import Run
from impasto.style.masks import structure_map
from impasto.style.objective import Objective, network
from impasto.style.plan import Plan, make_plan
from impasto.style.sizing import (
    output_size,
    released_bytes,
    resize_to,
    resolve_auto,
    starting_image,
)
from impasto.style.source import Style
from impasto.style.styles import (
    Opened,
    looks,
    open_styles,
    parts,
    recolored_content,
    regions,
    sizes,
    style_inputs,
)
from impasto.style.weighted_losses import style_losses
from impasto.validation import reject_recipe_and_options, with_recipe_signature
from impasto.vgg.network import VGG19Features
from impasto.vgg.weights import load_weights


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

    A picture is optimized, coarse to fine, until VGG-19 sees the content image's content and the
    style images' feature statistics in it. Transparent parts of either are left out of the
    statistics, and the content's transparency is kept.

    Args:
        content: the picture to paint: a path, bytes, PIL image, NumPy array (H, W[, C]) or tensor
            (C, H, W), at least 16 pixels a side; floats in [0, 1].
        style: the picture or the folder of pictures to learn from, or a list of them whose
            statistics are pooled; a `Style` says besides how much it counts, where it goes, and
            which part of it is meant.
        recipe: every option at once; or give the ones to change as `options`.
        init_image: the start, resized to fit, where `init` is `picture`.
        protect: a mask, white where the content image stays as it is; any size in its shape.
        keep: a mask, white where the content loss counts in full and black where it does not: what
            stays recognizable; any size in the content image's shape.
        on_step: called after each evaluation with a `Step`; raising `StopIteration` in it ends the
            run and keeps the best picture so far.
        checkpoint: a folder that keeps what the run has reached, made if it is missing. After a
            crash, a kill or a stop, the same call goes on from there, and ends in the same bytes
            on the same machine; a run that ends by itself takes its file away.
        stop: asked between the layers of each evaluation, from any thread's wish; saying True ends
            the run within a part of a step, as `StopIteration` in `on_step` does after it.
        options: any field of `StyleRecipe`, such as `preset`, `strength`, `size`, `steps`.

    Returns:
        The picture, (3, H, W) float32 in [0, 1] on the CPU, with its losses and recipe.

    Raises:
        ValueError: an option or a picture out of range.
        ImageError: a file that cannot be read, or a checkpoint folder that cannot be written.
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
    recipe = _chosen(recipe, options, init_image)
    ready = _ready(content, style, recipe, _Beside(init_image, protect, keep), checkpoint)
    # From here on nothing here holds on to a picture that is no longer wanted.
    del content, style, init_image, protect, keep
    recipe, planned = ready.recipe, ready.plan
    run = Run(recipe, planned.ladder, planned.counts, on_step, ready.checkpoint, stop)
    run.go_on(ready.reached)
    last = composite(recipe, ready.picture, ready.beside.protect, planned.ladder[-1])
    for scale in run.left():
        rung = planned.rungs[scale]
        watched = composite(recipe, ready.picture, ready.beside.protect, rung.size)
        begin, objective = _prepared(ready, run, scale)
        if rung is planned.rungs[-1]:
            ready = ready._replace(picture=None, styles=[])
        release_caches(ready.trunk.device)
        run.descend(objective, begin, scale, rung.evaluations, watched)
        del objective, begin
        if run.stopped:
            break
    return run.result(ready.metadata, ready.trunk.device, last, ready.inputs)


def plan_style(
    content: ImageSource,
    style: ImageSource | Style | Sequence[ImageSource | Style],
    *,
    recipe: StyleRecipe | None = None,
    init_image: ImageSource | None = None,
    protect: ImageSource | None = None,
    keep: ImageSource | None = None,
    **options: Any,
) -> Plan:
    """What `stylize` would do with the same arguments: sizes, tiles, memory, seconds.

    Refuses whatever `stylize` refuses before its first evaluation.

    Example:
        >>> import torch
        >>> found = plan_style(torch.rand(3, 32, 48), torch.rand(3, 32, 32), size=48, steps=2)
        >>> found.ladder, found.rungs[0].evaluations
        ([(48, 32)], 2)
    """
    recipe = _chosen(recipe, options, init_image)
    return _ready(content, style, recipe, _Beside(init_image, protect, keep), timed=True).plan


class _Beside(NamedTuple):
    """What else a run may be given: sources first, then pictures and masks."""

    first: ImageSource | None
    protect: ImageSource | None
    keep: ImageSource | None


class _Ready(NamedTuple):
    """Everything a run needs, checked."""

    recipe: StyleRecipe
    trunk: VGG19Features
    picture: Image | None
    metadata: ImageMetadata
    styles: list[Opened]
    beside: _Beside
    inputs: Inputs
    plan: Plan
    checkpoint: Checkpoint | None
    reached: State


def _ready(
    content: ImageSource,
    style: ImageSource | Style | Sequence[ImageSource | Style],
    recipe: StyleRecipe,
    beside: _Beside,
    checkpoint: str | Path | Checkpoints | None = None,
    *,
    timed: bool = False,
) -> _Ready:
    """Check recipe, pictures, network and memory, and plan the run."""
    style_losses(recipe)  # a statistic its normalization does not define is refused here
    device = select_device(recipe.device)
    picture = open_image(content, name="content")
    size = output_size(picture, recipe.size, "content")
    styles = open_styles(style, picture)
    beside = _opened(beside, picture)
    weights = load_weights(recipe.weights).sha256
    kept = checkpoint_of(checkpoint, recipe, weights, [picture, *parts(styles), *beside])
    reached = kept.load() if kept else {}
    recipe = resumed_settings(recipe, reached)
    dtype = select_precision(device, recipe.precision)
    trunk = network(recipe, device, dtype)
    planned = make_plan(
        recipe,
        trunk,
        size,
        lambda rung: sizes(styles, rung, recipe.style_scale, size),
        planes=_planes(recipe, styles, beside),
        released=released_bytes(device, picture, *(one for s in styles for one in s.pictures)),
        timed=timed,
    )
    recipe = resolve_auto(recipe, dtype, planned.history, planned.tiles)
    metadata = picture.metadata
    inputs = Inputs(
        content=identify_input(picture),
        styles=style_inputs(styles),
        init=beside.first and identify_input(beside.first),
        protect=beside.protect and identify_input(beside.protect),
        keep=beside.keep and identify_input(beside.keep),
    )
    return _Ready(recipe, trunk, picture, metadata, styles, beside, inputs, planned, kept, reached)


def _opened(beside: _Beside, picture: Image) -> _Beside:
    """The init picture opened, the masks read and held against the content image."""
    first = None if beside.first is None else open_image(beside.first, name="init")
    masks = {}
    for name in ("protect", "keep"):
        source = getattr(beside, name)
        masks[name] = None if source is None else open_mask(source, name)
        if source is not None:
            check_mask_shape(masks[name], picture.size, name, "the content image")
    if masks["protect"] is not None and is_white(masks["protect"]):
        raise ValueError(
            "`protect` must leave something to paint, got a mask that is white all over; paint "
            "black where the style may go"
        )
    if masks["keep"] is not None and is_white(masks["keep"]):
        masks["keep"] = None
    return _Beside(first, **masks)


def _planes(recipe: StyleRecipe, styles: Sequence[Opened], beside: _Beside) -> int:
    """Numbers a pixel that masks and colors take while the network runs."""
    regional = sum(one.region is not None for one in styles)
    colors = 6 if composites(recipe, beside.protect) else 0
    return 2 * regional + colors + 2 * (recipe.structure > 0 or beside.keep is not None)


def _prepared(ready: _Ready, run: Run, scale: int) -> tuple[Tensor, Evaluate]:
    """Where one scale begins, (3, H, W), and what is minimized there."""
    recipe, trunk, rung = ready.recipe, ready.trunk, ready.plan.rungs[scale]
    original, mask = resize_to(ready.picture, rung.size, trunk.device)
    here = match_content_colors(original, recipe)
    protect = ready.beside.protect
    kept = None if protect is None else resize_mask(protect, rung.size, trunk.device)
    painted = mask if kept is None else 1 - kept if mask is None else mask * (1 - kept)
    seen = looks(ready.styles, recipe, original, ready.plan.ladder[-1])
    layers = list(recipe.style_layers)
    wanted = regions(ready.styles, seen, trunk, layers, painted, rung)
    if scale:
        begin = run.resized(scale).to(trunk.device)
    else:
        begin = starting_image(
            recipe, here, ready.beside.first, lambda: recolored_content(here, seen, wanted)
        ).to(trunk.device)
    keep = structure_map(original, recipe.structure, ready.beside.keep)
    objective = Objective(
        recipe,
        trunk,
        here,
        mask,
        wanted,
        rung.tile,
        keep=keep,
        warmup=rung.warmup,
        heed=run.heed,
    )
    if kept is None:
        return begin, objective
    return torch.lerp(begin, here, kept), paste_protected(objective, here, kept)


def _chosen(
    recipe: StyleRecipe | None, options: dict[str, Any], init_image: ImageSource | None
) -> StyleRecipe:
    """The recipe to follow, from a whole one or from options, and its start."""
    reject_recipe_and_options(recipe, options)
    if recipe is None:
        if init_image is not None:
            options.setdefault("init", "picture")
        recipe = style_recipe(**options)
    if (recipe.init == "picture") != (init_image is not None):
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
