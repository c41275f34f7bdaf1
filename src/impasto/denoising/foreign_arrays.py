"""Denoise arrays of other libraries: xarray's keep their labels, dask's stay lazy.

Neither library is imported: where an array comes from one, it is there.
"""

from __future__ import annotations

import math
import string
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from impasto.denoising.diagnose import SAMPLE_PLANES
from impasto.denoising.fitted import FittedDenoiser, fit_denoiser
from impasto.denoising.step_reporter import StepReporter
from impasto.errors import quote
from impasto.images.open_input import plane_numbers
from impasto.images.stack import CHANNELS, array_stack, check_axes, guess_axes
from impasto.recipes import DenoiseRecipe
from impasto.result import DenoiseResult, blend_strength

OVERLAP = 64  # pixels that a chunk sees of those around it
_TILE = 256  # pixels a side of each part that the noise of chunks is measured in
# Where these parts lie in a plane, in shares of the room there is.
_SPOTS = ((0.5, 0.5), (0.0, 0.0), (1.0, 1.0), (0.0, 1.0), (1.0, 0.0))
# Names of dimensions, in small letters -> the letter of the axis.
_NAMES = {
    **dict.fromkeys(("y", "lat", "latitude", "row", "rows", "northing", "height"), "Y"),
    **dict.fromkeys(("x", "lon", "longitude", "col", "cols", "column", "easting", "width"), "X"),
    **dict.fromkeys(("c", "ch", "channel", "channels", "band", "bands", "rgb"), "C"),
    **dict.fromkeys(("t", "time", "frame"), "T"),
    **dict.fromkeys(("z", "depth", "level", "plane"), "Z"),
}


def is_labeled(picture: Any) -> bool:
    """Return whether a picture is a DataArray of xarray."""
    xarray = sys.modules.get("xarray")
    return xarray is not None and isinstance(picture, xarray.DataArray)


def is_lazy(picture: Any) -> bool:
    """Return whether a picture is an array of dask, or a DataArray that holds one."""
    array = sys.modules.get("dask.array")
    if array is None:
        return False
    if is_labeled(picture):  # its data are read from the file where they have no chunks
        return picture.chunks is not None and isinstance(picture.data, array.Array)
    return isinstance(picture, array.Array)


def denoise_labeled(
    picture: Any, recipe: DenoiseRecipe, denoise: Callable[..., DenoiseResult]
) -> Any:
    """Return a DataArray without its noise; dims, coords, attributes, name and type stay.

    Args:
        picture: the DataArray. Its dims say what its axes are, where the recipe does not.
        recipe: every option.
        denoise: what denoises an array with a recipe.
    """
    axes = axes_of_dims(picture.dims) if recipe.axes == "auto" else recipe.axes
    recipe = recipe.model_copy(update={"axes": axes})
    if recipe.crop != "whole":
        raise ValueError(
            f"`crop` must be whole for a DataArray, got {quote(recipe.crop)}; select from it"
        )
    if is_lazy(picture):
        return picture.copy(data=denoise_lazily(picture.data, recipe))
    check_axes(axes, picture.shape)
    return picture.copy(data=denoise(np.asarray(picture.data), recipe=recipe).array())


def axes_of_dims(dims: Sequence[Any]) -> str:
    """Return the letters of axes from the names of an array's dimensions.

    Where no names say which are Y and X, they are the last two of those that remain.

    Example:
        >>> axes_of_dims(("time", "band", "lat", "lon")), axes_of_dims(("a", "b", "c"))
        ('TCYX', 'YXC')
    """
    letters: list[str | None] = []
    for dim in dims:
        letter = _NAMES.get(str(dim).lower())
        letters.append(None if letter in letters else letter)
    unnamed = [place for place, letter in enumerate(letters) if letter is None]
    missing = [letter for letter in "XY" if letter not in letters]
    for letter, place in zip(missing, reversed(unnamed), strict=False):
        letters[place] = letter
    free = (x for x in string.ascii_uppercase if x not in letters and x not in CHANNELS)
    return "".join(next(free) if letter is None else letter for letter in letters)


def denoise_lazily(picture: Any, recipe: DenoiseRecipe) -> Any:
    """Return a dask array that has no noise when it is computed, chunk by chunk.

    The noise is measured once, in parts of at most eight planes, so that all chunks agree; what is
    known of one place alone, such as stripes and regions of other noise, is not looked for. Chunks
    overlap by `OVERLAP` pixels. Planes do not help each other.

    Args:
        picture: the array; its chunks stay, but channels are in one.
        recipe: every option.

    Raises:
        ValueError: another type, axes that do not fit, sizes that are not known, or an option that
            needs the whole array at once.
    """
    if not all(math.isfinite(size) for size in picture.shape):
        raise ValueError(
            f"`picture` must have chunks of known sizes, got shape {picture.shape}; call its "
            "compute_chunk_sizes()"
        )
    for name, words in (("across", ("auto", "none")), ("crop", ("whole",))):
        if (value := getattr(recipe, name)) not in words:
            raise ValueError(
                f"`{name}` must be {' or '.join(words)} for a dask array, got {quote(value)}; "
                "compute it first"
            )
    axes = guess_axes(picture.shape, False, "picture") if recipe.axes == "auto" else recipe.axes
    check_axes(axes, picture.shape)
    array_stack(np.zeros((1,) * picture.ndim, picture.dtype), axes)  # refuses what no chunk can be
    if picture.size == 0:
        raise ValueError(
            f"`picture` must have pixels, got shape {picture.shape}; give at least one of each axis"
        )
    recipe = recipe.model_copy(update={"axes": axes, "stripes": "off"})
    picture = picture.rechunk({place: -1 for place, axis in enumerate(axes) if axis in CHANNELS})
    delayed = sys.modules["dask"].delayed
    tiles = [picture[place] for place in _sample(picture.shape, axes)]
    fitted = delayed(_fit, pure=True)(tiles, recipe)
    return sys.modules["dask.array"].map_overlap(
        _denoise_chunk,
        picture,
        depth={place: min(OVERLAP, picture.shape[place]) for place in map(axes.index, "YX")},
        boundary="none",
        meta=np.empty((0,) * picture.ndim, picture.dtype),
        fitted=fitted,
        recipe=recipe,
    )


def _sample(shape: Sequence[int], axes: str) -> list[tuple[slice, ...]]:
    """Return where the parts lie that noise is measured in, all of one size and two at least."""
    counted = [place for place, axis in enumerate(axes) if axis not in (*CHANNELS, "Y", "X")]
    counts = [shape[place] for place in counted]
    numbers = plane_numbers(math.prod(counts), SAMPLE_PLANES)
    if len(numbers) == 1:
        numbers = numbers * len(_SPOTS)
    sides = {}
    for axis in "YX":
        side = shape[axes.index(axis)]
        sides[axis] = min(_TILE, side if math.prod(counts) > 1 else -(-3 * side // 4))
    places = []
    for at, number in enumerate(numbers):
        place = [slice(None)] * len(shape)
        for dim, index in zip(counted, np.unravel_index(number, counts or [1]), strict=False):
            place[dim] = slice(int(index), int(index) + 1)
        for axis, share in zip("YX", _SPOTS[at % len(_SPOTS)], strict=True):
            dim, side = axes.index(axis), sides[axis]
            start = round(share * (shape[dim] - side))
            place[dim] = slice(start, start + side)
        places.append(tuple(place))
    return places


def _fit(tiles: Sequence[np.ndarray], recipe: DenoiseRecipe) -> FittedDenoiser:
    """Measure the noise of some parts of an array, and fit the method to it."""
    stacks = [array_stack(tile, recipe.axes) for tile in tiles]
    planes = [stack.read_plane(index) for stack in stacks for index in stack.plane_indices()]
    height, width = planes[0].shape[1:]
    reporter = StepReporter(None, (width, height))
    return fit_denoiser(torch.stack(planes), recipe, reporter, stacks[0])


def _denoise_chunk(chunk: np.ndarray, fitted: FittedDenoiser, recipe: DenoiseRecipe) -> np.ndarray:
    """Denoise the planes of a chunk, each by itself."""
    stack = array_stack(chunk, recipe.axes)
    own = replace(fitted, source=stack)
    clean_chunk = np.empty_like(chunk)
    for index in stack.plane_indices():
        noisy = stack.read_plane(index)
        defects = own.find_defects(noisy)
        clean = own.denoise(noisy, defects)
        texture = own.texture(noisy, clean) if recipe.detail else None
        mask = None if defects is None else defects.mask[0]
        pixels = blend_strength(noisy, clean, recipe, texture, mask)
        stack.write_plane(clean_chunk, index, pixels)
    return clean_chunk
