"""Rebuild an image from the features of one layer of the network: `reconstruct`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from impasto.images.color import is_gray, to_gray
from impasto.images.image import Image
from impasto.images.open_input import identify_input
from impasto.images.read import ImageSource, open_image
from impasto.provenance import Inputs
from impasto.recipes import ReconstructRecipe
from impasto.result import OnStep, Result, Stop
from impasto.style.checkpoint import Checkpoints
from impasto.style.composite import without_color
from impasto.style.engine import Problem, Run, Setup, random_image, set_up
from impasto.style.features import style_statistics
from impasto.style.objective import build_objective
from impasto.style.plan import Plan
from impasto.style.schedule import Size
from impasto.style.spec import reconstruct_spec
from impasto.style.styles import output_size, resize_image
from impasto.style.terms import Region
from impasto.validation import reject_recipe_and_options, validate, with_recipe_signature

if TYPE_CHECKING:
    from typing import Unpack

    from impasto.options import ReconstructOptions


@with_recipe_signature(ReconstructRecipe)
def reconstruct(
    image: ImageSource,
    *,
    recipe: ReconstructRecipe | None = None,
    on_step: OnStep | None = None,
    checkpoint: str | Path | Checkpoints | None = None,
    stop: Stop | None = None,
    **options: Unpack[ReconstructOptions],
) -> Result:
    """Rebuild an image, from noise, out of the features of one layer of VGG-19.

    `kind="content"` matches the layer's features: shallow layers give the image back, deep ones its
    meaning without its pixels. `kind="texture"` matches the Gram matrices of the first layer of
    each block up to the layer: the image's material without its arrangement.

    Args:
        image: the image, as `stylize` takes it.
        recipe: every option at once; or give the ones to change as `options`.
        on_step: called after each evaluation with a `Step`; raising `StopIteration` ends the run.
        checkpoint: a folder where the run saves its state, as for `stylize`.
        stop: asked between the layers of each evaluation, as for `stylize`.
        options: any field of `ReconstructRecipe`, such as `layer`, `kind`, `size`, `steps`.

    Returns:
        The rebuilt image, (3, H, W) float32 in [0, 1] on the CPU, with its losses and recipe.

    Raises:
        ValueError: an option or the image out of range.
        ImageError: a file that cannot be read, or a checkpoint folder that cannot be written.
        WeightsError: weights that are missing or altered.
        MemoryShortageError: not even the smallest tiles fit into memory.

    Example:
        >>> import torch
        >>> result = reconstruct(torch.rand(3, 32, 32), layer="conv2_1", size=32, steps=2)
        >>> result.size
        (32, 32)

    References:
        Gatys, Ecker, Bethge 2016, figure 1; Mahendran, Vedaldi 2015 (arXiv:1412.0035).
    """
    source = open_image(image, name="image")
    setup = _set_up(source, recipe, options, checkpoint)
    metadata, inputs = source.metadata, Inputs(content=identify_input(source))
    reconstruction = _Reconstruction(setup, source)
    del image, source  # so that `reconstruction` can release it
    run = Run.of(setup, on_step, stop)
    run.optimize(reconstruction.problem, setup.network.device)
    finish = to_gray if reconstruction.gray else None
    return run.result(setup.recipe, metadata, setup.network.device, finish, inputs)


def plan_reconstruction(
    image: ImageSource,
    *,
    recipe: ReconstructRecipe | None = None,
    timed: bool = True,
    **options: Any,
) -> Plan:
    """Plan what `reconstruct` would do with the same arguments: sizes, tiles, memory, seconds."""
    return _set_up(open_image(image, name="image"), recipe, options, timed=timed).plan


def _set_up(
    source: Image,
    recipe: ReconstructRecipe | None,
    options: dict[str, Any],
    checkpoint: str | Path | Checkpoints | None = None,
    *,
    timed: bool = False,
) -> Setup:
    """Check options and image, and set up the run."""
    reject_recipe_and_options(recipe, options)
    recipe = recipe or validate(ReconstructRecipe, options)

    def style_sizes(scale: Size) -> list[Size]:
        return [scale] if recipe.kind == "texture" else []

    return set_up(
        recipe,
        reconstruct_spec,
        output_size(source, recipe.size, "image"),
        style_sizes,
        checkpoint=checkpoint,
        inputs=[source],
        images=[source],
        timed=timed,
    )


class _Reconstruction:
    """The problem of each scale of a reconstruction."""

    def __init__(self, setup: Setup, source: Image) -> None:
        self.setup = setup
        self.source: Image | None = source
        self.gray = is_gray(source)  # then the reconstruction is gray, too

    def problem(self, run: Run, scale: int) -> Problem:
        """Match the image's features at one scale, or its statistics."""
        spec, network, stage = self.setup.spec, self.setup.network, self.setup.plan.scales[scale]
        pixels, mask = resize_image(self.source, stage.size, network.device)
        if stage is self.setup.plan.scales[-1]:
            self.source = None
        layers = list(spec.style_layers)
        targets = style_statistics(network, pixels, mask, layers, stage.tile)
        objective = build_objective(
            spec,
            network,
            stage.size,
            stage.tile,
            regions=[Region(mask, 1.0, targets)],
            content=pixels,
            mask=mask,
            check_stop=run.check_stop,
        )
        if scale:
            start = run.resize_best(scale)
        else:
            start = random_image(pixels.shape, spec.seed, gray=self.gray)
        start = start.to(network.device)
        if not self.gray:
            return Problem(objective, start)
        return Problem(without_color(objective), to_gray(start), to_gray)
