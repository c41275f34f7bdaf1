"""The passes of `nl_wiener`, which rows and columns they go over, and in how many bands."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from impasto.denoising.block_matching import Cut, Groups, read_area
from impasto.denoising.coarse_noise import BLOTCH_LEVELS
from impasto.denoising.compact_sources import SOURCE_REACH
from impasto.denoising.noise import Noise
from impasto.errors import MemoryShortageError
from impasto.memory import GIB, free_bytes, release_caches
from impasto.recipes import DenoiseRecipe

# Groups of each pass. Others that were measured: docs/log.md.
_PASSES = {
    "quick": (Groups(9, 16, 25, 9), Groups(4, 48, 25, 4)),
    "balanced": (
        Groups(9, 18, 37, 8),
        Groups(5, 96, 37, 5),
        Groups(5, 64, 37, 5),
        Groups(4, 36, 37, 3),
    ),
    "best": (
        Groups(9, 18, 37, 6),
        Groups(5, 100, 37, 4),
        Groups(5, 80, 37, 4),
        Groups(5, 60, 37, 4),
        Groups(4, 45, 37, 3),
    ),
}
# Of the last pass, where neighbors share the noise: a group has less to tell it from detail.
_MANY_SIMILAR = 45
# Pixels for each part of a pass that is reported, and the most parts.
_PART, _MAX_PARTS = 2**18, 64
_BLUR_REACH = 6  # pixels around each that the noise's variance and the first guide are read from
_BLOTCH_MARGIN = 192  # pixels around a part of a picture that are searched for coarse noise
# Numbers that the passes hold at a time for each one of the picture, and for each pixel; what is
# held besides, which is the blocks of all threads; and the fewest rows of a band.
_HELD, _HELD_PER_PIXEL, _HELD_BYTES, _MIN_BAND = 5, 4, 100 * 2**20, 64
_HELD_COARSE = 3.5  # for each number where noise is looked for on half the size
_MODEST = 3 * 2**29  # bytes that are enough: bands cost little


class FilterPlan(NamedTuple):
    """How the passes go over a picture.

    Attributes:
        bands: of rows, each filtered by all passes before the next; 1 filters all rows at once.
        memory: bytes that are taken besides the picture.
    """

    bands: int
    memory: int


def passes_of(effort: str, correlated: bool) -> tuple[Groups, ...]:
    """Return how each pass of an effort groups patches, of noise that neighbors share or not."""
    passes = _PASSES[effort]
    if correlated:
        passes = (*passes[:-1], passes[-1]._replace(similar=_MANY_SIMILAR))
    return passes


def parts_of_pass(noisy: Tensor, bands: int = 1) -> int:
    """Return in how many parts a pass over each band of (C, H, W) is reported."""
    return min(max(1, noisy[0].numel() // bands // _PART), _MAX_PARTS)


def plan_filter(
    shape: tuple[int, int, int],
    noise: Noise,
    recipe: DenoiseRecipe,
    device: torch.device,
) -> FilterPlan:
    """Return the fewest bands that are modest, or at least fit in memory, and what they take.

    Args:
        shape: of a plane, (C, H, W).
        noise: of the plane.
        recipe: its `effort`, `part` and `memory`.
        device: where the passes run.

    Raises:
        MemoryShortageError: not even the smallest bands fit.
    """
    channels, *size = shape
    passes = passes_of(recipe.effort, noise.autocorrelation is not None)
    area = filtered_area(tuple(size), recipe.part, noise) or tuple(slice(0, n) for n in size)
    height, width = (axis.stop - axis.start for axis in area)
    release_caches(device)  # so that what was freed is not counted as used
    free = free_bytes(recipe.memory, device)
    whole = 4 * channels * height * width
    # Coarse noise is looked for in all of the picture at once, on half its size.
    least = 0 if noise.autocorrelation is None else round(_HELD_COARSE * whole)

    def plan(bands: int) -> FilterPlan:
        needed = 4 * _read_pixels(tuple(size), area, bands, passes, noise)
        needed *= _HELD * channels + _HELD_PER_PIXEL
        if bands > 1:  # the estimate of all bands, and in the end the result
            needed = max(needed + whole, 2 * whole)
        return FilterPlan(bands, max(needed, least) + _HELD_BYTES)

    most = max(1, height // _MIN_BAND)
    smallest = plan(most)
    if smallest.memory > free:
        raise MemoryShortageError(
            "`method` must fit in memory, got nl-wiener, which needs "
            f"{smallest.memory / GIB:.2f} GiB more for {width} × {height} pixels, {_MIN_BAND} rows "
            f"at a time, where there are {free / GIB:.2f}; raise `memory`, or give a `crop`"
        )
    enough = free
    if device.type == "cpu":  # no less than the smallest bands take
        enough = min(free, max(_MODEST, smallest.memory))
    return next(p for p in map(plan, range(1, most + 1)) if p.memory <= enough)


def _read_pixels(
    size: tuple[int, int],
    area: tuple[slice, slice],
    bands: int,
    passes: Sequence[Groups],
    noise: Noise,
) -> int:
    """Return the most pixels that a band of an area, with what lies around it, is made from."""
    areas = split_rows(area, bands)
    cuts = [plan_cuts(size, band, passes, noise)[1:] for band in areas]
    return max((y.stop - y.start) * (x.stop - x.start) for y, x in cuts)


def filtered_area(
    size: tuple[int, int], part: tuple[slice, slice] | None, noise: Noise
) -> tuple[slice, slice] | None:
    """Return the rows and columns that all passes fill for a part: those searched for blotches."""
    if part is None or noise.autocorrelation is None:
        return part
    even = 2**BLOTCH_LEVELS  # halves and quarters of the picture have the same pixels
    rows, columns = (
        slice(axis.start // even * even, axis.stop) for axis in _widen(part, _BLOTCH_MARGIN, size)
    )
    return rows, columns


def split_rows(area: tuple[slice, slice], bands: int) -> list[tuple[slice, slice]]:
    """Return an area's bands of nearly as many rows, whose halves and quarters have whole pixels.

    Example:
        >>> [rows for rows, _ in split_rows((slice(4, 34), slice(0, 9)), 3)]
        [slice(4, 16, None), slice(16, 28, None), slice(28, 34, None)]
    """
    rows, columns = area
    even = 2**BLOTCH_LEVELS
    units = -(-(rows.stop - rows.start) // even)
    ends = [rows.start + even * -(-units * band // bands) for band in range(bands + 1)]
    ends[-1] = rows.stop
    return [(slice(*span), columns) for span in pairwise(ends)]


def plan_cuts(
    size: tuple[int, int], part: tuple[slice, slice], passes: Sequence[Groups], noise: Noise
) -> tuple[list[Cut], slice, slice]:
    """Return what each pass fills so that a part comes out as in the whole.

    Args:
        size: (height, width) of the whole.
        part: rows and columns of it.
        passes: how patches are grouped.
        noise: that is taken away.

    Returns:
        A cut for each pass, and the rows and columns that are to be cut out.
    """
    area = part if noise.autocorrelation is not None else _widen(part, SOURCE_REACH, size)
    areas = []
    for groups in reversed(passes):
        areas.append(area)
        area = read_area(area, size, groups)
    rows, columns = _widen(area, _BLUR_REACH, size)
    corner = rows.start, columns.start
    return [Cut(size, corner, area) for area in reversed(areas)], rows, columns


def _widen(area: tuple[slice, slice], around: int, size: tuple[int, int]) -> tuple[slice, slice]:
    """Return rows and columns with so many more around, as far as an image of a size has them."""
    rows, columns = (
        slice(max(0, axis.start - around), min(side, axis.stop + around))
        for axis, side in zip(area, size, strict=True)
    )
    return rows, columns
