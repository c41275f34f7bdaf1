"""Along which axis of a stack the planes next to each other show the same thing."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.denoising.filters import gaussian_blur, sample_quantiles
from impasto.device import select_device
from impasto.errors import MemoryShortageError
from impasto.images.image import Image
from impasto.images.open_input import plane_numbers
from impasto.images.stack import Stack
from impasto.memory import GIB, free_bytes
from impasto.recipes import DenoiseRecipe

_COARSE = 192  # pixels of the shorter side of a plane whose motion is measured, at least
# Coarse pixels: what is finer is noise, what is smoother tells nothing about motion.
_FINE, _SMOOTH, _SMOOTH_REACH = 1.0, 4.0, 12
_WHITENING = 0.5  # power of the spectrum that correlations are divided by
_FARTHEST = 0.25  # of a side, that a plane moves from one to the next
# Peak of two planes' correlation over its usual deviation at other shifts, from which they show the
# same thing: measured.
_MIN_PEAK = 8.0
_BYTES = 300  # for each value of a plane, of all planes, two on each side, that wait for each other
_PAIRS = 4  # of planes that are compared along each axis
_TAILS = 0.001  # share of a plane's values at each end that may be anything
_MAX_SAMPLES = 2**20  # values from which these are computed


class Link(NamedTuple):
    """How a plane continues the one before it.

    Attributes:
        shift: (down, across), pixels that it has moved by.
        peak: of their correlation, over its deviation; at most 5 if they have nothing in common.
    """

    shift: tuple[int, int]
    peak: float

    @property
    def same(self) -> bool:
        """Whether both planes show the same thing, beyond what chance and noise explain."""
        return self.peak > _MIN_PEAK


def choose_axis(source: Image | Stack, recipe: DenoiseRecipe) -> str | None:
    """Return the axis of a source whose neighboring planes help each other, or None.

    `auto` compares pairs of planes spread over the source, and takes the axis along which most of
    them show the same thing, if there is one and memory suffices.

    Raises:
        ValueError: the recipe's `across` is no axis of the planes, or its method uses one plane.
        MemoryShortageError: the planes that wait for each other do not fit.

    Example:
        >>> from impasto.images.stack import array_stack
        >>> still = np.random.default_rng(0).normal(size=(1, 64, 64)).repeat(4, 0)
        >>> choose_axis(array_stack(still, "TYX"), DenoiseRecipe())
        'T'
    """
    axes = "" if isinstance(source, Image) else source.plane_axes
    across, alone = recipe.across, recipe.method.startswith("zs-n2n")
    if across not in ("auto", "none"):
        if across not in axes:
            have = f"an axis of the planes, {' or '.join(axes)}" if axes else "auto or none"
            without = "" if axes else ", where no axis counts planes"
            raise ValueError(
                f"`across` must be {have}{without}, got {across}; leave it out, or give the axes"
            )
        if alone:
            raise ValueError(
                f"`across` must be auto or none for {recipe.method}, which is trained on planes "
                f"one by one, got {across}; leave it out, or choose nl-wiener"
            )
        _check_memory(source, recipe)
        return across
    if across == "none" or alone or isinstance(source, Image):
        return None
    if together_bytes(source.plane_shape) > free_bytes(recipe.memory, select_device(recipe.device)):
        return None
    peaks = {}
    for axis, length in zip(axes, source.plane_counts, strict=True):
        if length > 1:
            links = [link_planes(*pair) for pair in _sample_pairs(source, axis)]
            peaks[axis] = sorted(link.peak for link in links)[len(links) // 2]
    best = max(peaks, key=peaks.__getitem__, default=None)
    return best if best is not None and peaks[best] > _MIN_PEAK else None


def plane_series(source: Image | Stack, axis: str | None) -> list[list[int]]:
    """Return the numbers of a source's planes, from 0, in series along an axis; None is all.

    Example:
        >>> from impasto.images.stack import array_stack
        >>> plane_series(array_stack(np.zeros((2, 3, 8, 8), "u1"), "TZYX"), "T")
        [[0, 3], [1, 4], [2, 5]]
    """
    if isinstance(source, Image):
        return [[0]]
    if axis is None:
        return [list(range(source.count))]
    numbers = np.arange(source.count).reshape(source.plane_counts)
    along = np.moveaxis(numbers, source.plane_axes.index(axis), -1)
    return along.reshape(-1, along.shape[-1]).tolist()


def link_planes(before: Tensor, after: Tensor) -> Link:
    """Measure how far the whole of a plane has moved since another, and whether it shows the same.

    Args:
        before: (C, H, W).
        after: of the same shape.

    References:
        Kuglin, Hines 1975 (phase correlation; here half way to it, for the sake of noise).

    Example:
        >>> scene = gaussian_blur(torch.rand(1, 80, 80, generator=torch.manual_seed(0)), 1.5)
        >>> link = link_planes(scene[:, 8:72, 8:72], scene[:, 5:69, 10:74])
        >>> link.shift, link.same
        ((3, -2), True)
    """
    step = max(1, min(before.shape[1:]) // _COARSE)
    coarse = [_coarse_detail(plane, step) for plane in (before, after)]
    height, width = coarse[0].shape
    size = [2 * height, 2 * width]  # so that nothing comes in from the other side
    first, second = (torch.fft.rfft2(detail.double(), size) for detail in coarse)
    power = first.abs() * second.abs()
    floor = max(1e-9 * float(power.max()), 1e-300)
    cross = first.conj() * second / (power + floor).pow(_WHITENING)
    correlation = torch.fft.irfft2(cross, size)
    reaches = int(_FARTHEST * height), int(_FARTHEST * width)
    near = correlation.roll(reaches, (0, 1))[: 2 * reaches[0] + 1, : 2 * reaches[1] + 1]
    place = int(near.argmax())
    deviation = 1.4826 * float(near.abs().median())
    peak = float(near.flatten()[place]) / max(deviation, 1e-30)
    if peak <= _MIN_PEAK:
        return Link((0, 0), peak)
    down, across = divmod(place, near.shape[1])
    return Link((step * (down - reaches[0]), step * (across - reaches[1])), peak)


def _check_memory(source: Stack, recipe: DenoiseRecipe) -> None:
    """Refuse planes that are too large to help each other."""
    needed = together_bytes(source.plane_shape)
    free = free_bytes(recipe.memory, select_device(recipe.device))
    if needed > free:
        raise MemoryShortageError(
            f"`across` must fit in memory, got {recipe.across}, which needs {needed / GIB:.1f} GiB "
            f"for planes that wait for each other, of which {free / GIB:.1f} GiB are free; "
            "use across none, or raise memory"
        )


def together_bytes(shape: Sequence[int], reach: int = 2) -> int:
    """Return the memory that planes of a shape (C, H, W) take while they help each other.

    Args:
        shape: of a plane.
        reach: planes on each side that help.
    """
    return _BYTES * (2 * reach + 1) // 5 * math.prod(shape)


def _sample_pairs(stack: Stack, axis: str) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield a few pairs of planes next to each other along an axis, spread over the stack."""
    indices = list(stack.plane_indices())
    series = plane_series(stack, axis)
    pairs = [pair for numbers in series for pair in pairwise(numbers)]
    for number in plane_numbers(len(pairs), _PAIRS):
        first, second = (stack.read_plane(indices[at]) for at in pairs[number])
        yield first, second


def _coarse_detail(plane: Tensor, step: int) -> Tensor:
    """Return the detail of a plane (C, H, W) at a fraction of its size, (h, w)."""
    low, high = sample_quantiles(plane, (_TAILS, 1 - _TAILS), _MAX_SAMPLES)
    light = (plane.clamp(low, high) - low).mean(0) / ((high - low) or 1)
    coarse = F.avg_pool2d(light[None, None], step)[0]
    coarse = gaussian_blur(coarse, _FINE)
    detail = (coarse - gaussian_blur(coarse, _SMOOTH, _SMOOTH_REACH))[0]
    # A few bright spots do not decide.
    limit = 3 * 1.4826 * float(detail.abs().median())
    return detail.clamp(-limit, limit) if limit > 0 else detail
