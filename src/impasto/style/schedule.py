"""The schedule of a run: its sizes, and how many evaluations each gets from which layers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from impasto.recipes import TextureRecipe

if TYPE_CHECKING:
    from impasto.recipes import ReconstructRecipe, StyleRecipe
    from impasto.style.spec import RunSpec

Size = tuple[int, int]  # width, height

_COARSEST = 128  # longer side, in pixels, that the automatic choice of scales starts near
_MIN_SIDE = 48  # no scale but the last has a shorter side below this
_DECAY = 0.6  # each finer scale gets this share of the coarser one's steps
_MAX_SHARE = 0.3  # of all steps, at one of many scales: by then a coarse image changes no more
_MAX_SCALES = 12  # that sizes up to 65,536 pixels can have
_NOISE_FACTOR = 2  # from noise every scale has more to find
_ADAM_FACTOR = 4  # Adam needs about so many times L-BFGS's evaluations


class Effort(NamedTuple):
    """How long a run tries: the most evaluations of each scale, and when it ends sooner.

    Attributes:
        first: of the coarsest of several scales.
        coarse: of the others that are there to be enlarged.
        finest: of the last scale at which the network is computed whole.
        shallow: of a scale at which only the shallow layers are computed.
        alone: of a scale that is the only one.
        tolerance: share of the loss that an evaluation must take away on average, or the scale
            ends: less is not seen in the picture.
        whole_side: longer side, in pixels, beyond which only the shallow layers are computed.
    """

    first: int
    coarse: int
    finest: int
    shallow: int
    alone: int
    tolerance: float
    whole_side: int


# Measured (docs/log.md).
EFFORTS: Mapping[str, Effort] = MappingProxyType(
    {
        "quick": Effort(16, 8, 16, 8, 60, 0.004, 384),
        "balanced": Effort(12, 8, 28, 12, 150, 0.003, 768),
        "best": Effort(20, 10, 70, 24, 300, 0.0012, 1536),
    }
)


class Stage(NamedTuple):
    """One optimization of a run.

    Attributes:
        size: (width, height) in pixels.
        evaluations: the most that it gets.
        warmup: whether it minimizes the warm-up loss.
        tolerance: as in `Effort`; 0 spends all evaluations.
        shallow: whether only the shallow layers are computed.
    """

    size: Size
    evaluations: int
    warmup: bool = False
    tolerance: float = 0.0
    shallow: bool = False


def make_stages(spec: RunSpec, size: Size) -> list[Stage]:
    """List the optimizations of a run, coarse to fine; sizes without evaluations are left out."""
    if spec.evaluate_only:
        return [Stage(size, 1)]
    sizes = scale_sizes(size, spec.scales)
    if spec.steps == "auto":
        stages = _stages_by_effort(spec, sizes)
    else:
        pairs = zip(sizes, split_steps(spec.steps, len(sizes)), strict=True)
        stages = [Stage(*pair) for pair in pairs if pair[1]]
    if not spec.warmup:
        return stages
    # A coarser scale is there to be enlarged, nothing else; the finest ends with the loss asked
    # for. What is reported in a warm-up is not what is minimized, so that it cannot end by it.
    last = stages[-1]
    warmup = min(last.evaluations - 1, round(spec.warmup * last.evaluations))
    coarse = [stage._replace(warmup=True, tolerance=0.0) for stage in stages[:-1]]
    first = last._replace(evaluations=warmup, warmup=True, tolerance=0.0)
    rest = last._replace(evaluations=last.evaluations - warmup)
    return [*coarse, *[first] * bool(warmup), rest]


def most_evaluations(recipe: StyleRecipe | TextureRecipe | ReconstructRecipe) -> int:
    """Return the most evaluations that a run can take, whatever its size."""
    if recipe.steps != "auto":
        return recipe.steps
    effort = EFFORTS[recipe.effort]
    scales = effort.first + _MAX_SCALES * max(effort.coarse, effort.shallow) + effort.finest
    most = max(effort.alone, scales)
    from_noise = isinstance(recipe, TextureRecipe) or recipe.init == "noise"
    return most * _factor(recipe.optimizer) * (_NOISE_FACTOR if from_noise else 1)


def full_size_evaluations(recipe: StyleRecipe | TextureRecipe | ReconstructRecipe) -> int:
    """Return about how many evaluations of the finished size a run is worth, for limits."""
    if recipe.steps != "auto":
        return recipe.steps
    effort = EFFORTS[recipe.effort]
    return effort.finest + effort.coarse


def scale_sizes(size: Size, scales: int = 0) -> list[Size]:
    """Return the sizes an image is optimized at, coarse to fine, each twice the last.

    Args:
        size: (width, height) of the finished image, in pixels.
        scales: how many sizes; 0 takes as many as lead down to about 128 pixels. Scales whose
            shorter side would be under 48 pixels are left out.

    Returns:
        (width, height) of each scale; the last is `size`.

    Example:
        >>> scale_sizes((512, 384))
        [(128, 96), (256, 192), (512, 384)]
        >>> scale_sizes((512, 384), scales=1)
        [(512, 384)]
    """
    sizes = [size]
    factor = 2
    while len(sizes) != scales:
        smaller = (round(size[0] / factor), round(size[1] / factor))
        # In whole octaves the coarsest scale lands between 91 and 181 pixels: 128 at the middle.
        if min(smaller) < _MIN_SIDE or (not scales and max(smaller) < _COARSEST / 2**0.5):
            break
        sizes.append(smaller)
        factor *= 2
    return sizes[::-1]


def split_steps(steps: int, scales: int) -> list[int]:
    """Split a number of steps over the scales, coarse to fine.

    Args:
        steps: evaluations in the whole run.
        scales: number of scales.

    Returns:
        Evaluations at each scale; they add up to `steps`. With fewer steps than scales the finest
        scales get them.

    Example:
        >>> split_steps(300, 3)
        [100, 100, 100]
    """
    weights = [_DECAY**k for k in range(scales)]
    parts = [max(1, round(steps * w / sum(weights))) for w in weights]
    for k in range(scales):  # rounding and the minimum of one: the coarsest pays or gains
        parts[k] = max(0, parts[k] + steps - sum(parts))
    max_steps = math.ceil(max(_MAX_SHARE, 1 / scales) * steps)
    for k in range(scales - 1):
        spare = max(0, parts[k] - max_steps)
        parts[k] -= spare
        parts[k + 1] += spare
    return parts


def _factor(optimizer: str) -> int:
    return _ADAM_FACTOR if optimizer == "adam" else 1


def _stages_by_effort(spec: RunSpec, sizes: list[Size]) -> list[Stage]:
    effort = EFFORTS[spec.effort]
    factor = _factor(spec.optimizer)
    tolerance = effort.tolerance / factor
    if len(sizes) == 1:
        return [Stage(sizes[0], factor * effort.alone, tolerance=tolerance)]
    if spec.start in ("noise", "faint"):
        factor *= _NOISE_FACTOR
    deep = [max(size) <= effort.whole_side or not spec.can_be_shallow for size in sizes]
    whole = max(1, sum(deep))  # scales at which the network is computed whole, the first always
    stages = []
    for index, size in enumerate(sizes):
        shallow = index >= whole
        if shallow:
            evaluations = effort.shallow
        elif index == whole - 1:
            evaluations = effort.finest
        else:
            evaluations = effort.coarse if index else effort.first
        stages.append(Stage(size, factor * evaluations, tolerance=tolerance, shallow=shallow))
    return stages
