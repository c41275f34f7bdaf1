"""Write measured data into a zarr store like the one it came from."""

from __future__ import annotations

import contextlib
import copy
import itertools
import json
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from impasto.errors import ImageError
from impasto.files import OnRescue, check_writable, rescue
from impasto.images.planes_on_disk import array_on_disk, collect_planes
from impasto.images.stack import Stack
from impasto.images.zarr_names import ZARR_ENDING, holds_zarr, is_url
from impasto.images.zarr_read import ZarrPlanes, zarr_module

_OME_ORDER = re.compile("T?C?Z?YX")  # of the axes that OME-Zarr allows
_KINDS = {"T": "time", "C": "channel"}
_SIDE = 1024  # pixels of a chunk's sides, at most, where no source has chunks
RECIPE = "impasto"  # attribute that holds the recipe


def write_zarr(
    path: str | Path,
    stack: Stack,
    planes: Iterable[Tensor],
    *,
    indices: Iterable[tuple[int, ...]] | None = None,
    recipe: str | Callable[[], str] | None = None,
    overwrite: bool = False,
    inputs: Iterable[Any] = (),
    on_rescue: OnRescue | None = None,
) -> Path | str:
    """Write results into a zarr store; chunks, compression, type and attributes of a zarr stay.

    An OME-Zarr picture stays one. Its smaller copies are made anew, each as means of the one
    before, if they are smaller in Y and X alone; else they are left out (`smaller_copies`). Other
    data becomes OME-Zarr 0.4 with a chunk for each plane of up to 1024 x 1024, or an array with
    xarray's names of the axes if OME-Zarr does not allow them.

    The planes are collected on disk first. On this machine the store is then written under another
    name and renamed, so that it is there whole or not at all. At a URL the group's metadata
    comes last, without which it does not open; of a run that was killed before, chunks stay.

    Args:
        path: where to; ends in .zarr.
        stack: the stack that the planes are results of.
        planes: the results, (C, H, W) each, in the order of `indices`.
        indices: of the planes; None for the order of `Stack.plane_indices`.
        recipe: JSON of the recipe, stored as the attribute `impasto`; or a function that returns
            it when all planes are taken.
        overwrite: replace a store that is already there; not at a URL.
        inputs: places that must not be written to, besides the stack's own.
        on_rescue: as for `write_stack`.

    Returns:
        The path or URL written.

    Raises:
        ImageError: the place cannot be written, or is taken.
        ValueError: another ending, or too few, too many or unfit planes.
    """
    source = stack.data if isinstance(stack.data, ZarrPlanes) else None
    check_zarr_output(
        path, overwrite=overwrite, inputs=(*inputs, *([source.place] if source else []))
    )
    folder = tempfile.gettempdir() if is_url(path) else os.path.realpath(Path(path).parent)
    with contextlib.ExitStack() as disk:
        array = array_on_disk(Path(folder), stack.shape, stack.dtype)
        open_array = disk.enter_context(array)
        collect_planes(stack, open_array, planes, indices or stack.plane_indices())
        record = recipe() if callable(recipe) else recipe

        def write(place: Path, overwrite: bool) -> None:
            with _whole_store(place, overwrite=overwrite) as temporary:
                _build(str(temporary), stack, open_array, record)

        if is_url(path):
            _build(str(path), stack, open_array, record)
            return str(path)
        target = Path(path)
        try:
            write(target, overwrite)
        except ImageError as error:
            if on_rescue is None:
                raise
            return rescue(write, target, error, on_rescue)
        return target


def check_zarr_output(
    path: str | Path, *, overwrite: bool = False, inputs: Iterable[Any] = ()
) -> None:
    """Make sure that a store can be written, before any work is done.

    Raises:
        ImageError: the place cannot be written, is taken by what may not be replaced, or an input.
        ImpastoError: zarr is not installed.
        ValueError: the name does not end in .zarr.
    """
    if not str(path).lower().endswith(ZARR_ENDING):
        raise ValueError(f"`output` must end in .zarr, got {path}; rename it")
    zarr = zarr_module(path, "output")
    if is_url(path):
        try:
            zarr.open(str(path), mode="r")
        except FileNotFoundError:
            return
        except Exception as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ImageError(
                f"`output` must be a place that can be written, got {path}: {reason}; choose "
                "another"
            ) from None
        raise ImageError(
            f"`output` must be a new store at a URL, got {path}, which exists; choose another name"
        )
    target = Path(path)
    real = Path(os.path.realpath(target))
    for source in inputs:
        if isinstance(source, str | Path) and not is_url(source):
            place = Path(os.path.realpath(source))
            if real in (place, *place.parents):
                raise ImageError(
                    f"`output` must not be one of the inputs, got {path}; choose another name"
                )
    store = holds_zarr(target)
    if not target.exists():
        check_writable(target)
    elif not (overwrite and store):
        what = "which exists" if store else "which is no zarr store"
        allow = ", or allow it to be overwritten" if store else ""
        raise ImageError(
            f"`output` must be a new store, got {path}, {what}; choose another name{allow}"
        )


def smaller_copies(stack: Any) -> str | None:
    """Say in words what becomes of a store's smaller copies of its picture; None without any."""
    source = getattr(stack, "data", None)  # an image has none
    if not isinstance(source, ZarrPlanes) or not source.levels:
        return None
    made, count = len(_steps(source, stack.axes)), len(source.levels)
    if made == count:
        return "its smaller copies are made anew from the result, as means"
    left = "all" if made == 0 else f"{count - made}"
    return f"of its {count} smaller copies {left} are left out, where not only Y and X shrink"


@contextlib.contextmanager
def _whole_store(target: Path, *, overwrite: bool) -> Iterator[Path]:
    """Provide a folder that becomes the store in one step; nothing is left behind on failure."""
    real = Path(os.path.realpath(target))
    temporary, old = (
        real.with_name(f".impasto-{secrets.token_hex(8)}.{kind}") for kind in ("tmp", "old")
    )
    try:
        yield temporary
        check_zarr_output(target, overwrite=overwrite)  # of which another may have come
        if real.exists():
            os.rename(real, old)
        try:
            os.rename(temporary, real)
        except OSError:
            if old.exists():
                os.rename(old, real)
            raise
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ImageError(
            f"`output` must be a place that can be written, got {target}: {reason}; choose another"
        ) from error
    finally:
        for folder in (temporary, old):
            shutil.rmtree(folder, ignore_errors=True)


def _build(
    place: str, stack: Stack, open_array: Callable[[], np.memmap], recipe: str | None
) -> None:
    """Write the store of a stack whose planes are collected."""
    zarr = zarr_module(place, "output")
    source = stack.data if isinstance(stack.data, ZarrPlanes) else None
    note = {} if recipe is None else {RECIPE: json.loads(recipe)}
    if source is None:
        _build_anew(zarr, place, stack, open_array, note)
        return
    like = source.data
    if source.group is None:
        array = _array_like(zarr, place, like, note)
        _fill(array, open_array)
        return
    attributes = copy.deepcopy(source.group.attrs.asdict()) | note
    picture = attributes.get("ome", attributes)["multiscales"][0]
    datasets = picture["datasets"]
    larger = _array_like(zarr, f"{place}/{datasets[0]['path']}", like)
    _fill(larger, open_array)
    steps = _steps(source, stack.axes)
    for dataset, factors in zip(datasets[1:], steps, strict=False):
        smaller = _array_like(zarr, f"{place}/{dataset['path']}", source.group[dataset["path"]])
        _fill_means(smaller, larger, factors)
        larger = smaller
    picture["datasets"] = datasets[: 1 + len(steps)]
    _make_group(zarr, place, attributes, source.group.metadata.zarr_format)


def _build_anew(
    zarr: Any,
    place: str,
    stack: Stack,
    open_array: Callable[[], np.memmap],
    note: Mapping[str, Any],
) -> None:
    """Write the store of data that came from none."""
    sides = {"Y": _SIDE, "X": _SIDE, "S": 4}
    chunks = tuple(
        min(size, sides.get(axis, 1)) for axis, size in zip(stack.axes, stack.shape, strict=True)
    )
    ome = _OME_ORDER.fullmatch(stack.axes) is not None
    names = [axis.lower() for axis in stack.axes]
    array = zarr.create_array(
        f"{place}/0" if ome else place,
        shape=stack.shape,
        chunks=chunks,
        dtype=stack.dtype,
        zarr_format=2,
        attributes=None if ome else {"_ARRAY_DIMENSIONS": names, **note},
        **({"chunk_key_encoding": {"name": "v2", "separator": "/"}} if ome else {}),
    )
    _fill(array, open_array)
    if ome:
        axes = [{"name": axis.lower(), "type": _KINDS.get(axis, "space")} for axis in stack.axes]
        scale = [{"type": "scale", "scale": [1.0] * len(names)}]
        dataset = {"path": "0", "coordinateTransformations": scale}
        picture = {"version": "0.4", "axes": axes, "datasets": [dataset]}
        _make_group(zarr, place, {"multiscales": [picture], **note}, 2)


def _make_group(zarr: Any, place: str, attributes: Mapping[str, Any], zarr_format: int) -> None:
    zarr.create_group(place, attributes=dict(attributes), zarr_format=zarr_format)


def _array_like(zarr: Any, place: str, like: Any, note: Mapping[str, Any] | None = None) -> Any:
    """Make an empty array of another's shape, chunks, compression and attributes."""
    metadata = like.metadata
    if metadata.zarr_format == 2:
        names: dict[str, Any] = {}
        encoding = {"name": "v2", "separator": metadata.dimension_separator}
    else:
        names = {"dimension_names": metadata.dimension_names}
        encoding = metadata.chunk_key_encoding
    return zarr.from_array(
        place,
        data=like,
        write_data=False,
        attributes={**like.attrs.asdict(), **(note or {})},
        chunk_key_encoding=encoding,
        **names,
    )


def _fill(array: Any, open_array: Callable[[], np.ndarray]) -> None:
    """Write the collected planes into an array, those of a chunk together."""
    for block in _blocks(array):
        array[block] = open_array()[block]


def _blocks(array: Any) -> Iterator[tuple[slice, ...]]:
    """Yield parts of an array, whole in its last two axes and of a chunk's size in the others."""
    sizes = (getattr(array, "shards", None) or array.chunks)[:-2]
    starts = (range(0, side, size) for side, size in zip(array.shape[:-2], sizes, strict=True))
    for corner in itertools.product(*starts):
        yield (
            *(slice(start, start + size) for start, size in zip(corner, sizes, strict=True)),
            slice(None),
            slice(None),
        )


def _fill_means(smaller: Any, larger: Any, factors: tuple[int, ...]) -> None:
    """Write means over so many numbers of a larger array along each axis into a smaller one."""
    for block in _blocks(smaller):
        values = np.asarray(larger[block]).astype(np.float64)
        for axis, factor in enumerate(factors):
            if factor > 1:
                side = smaller.shape[axis]
                lacking = max(0, side * factor - values.shape[axis])
                pad = [(0, lacking if dim == axis else 0) for dim in range(values.ndim)]
                values = np.pad(values, pad, "edge").take(range(side * factor), axis)
                split = (*values.shape[:axis], side, factor, *values.shape[axis + 1 :])
                values = values.reshape(split).mean(axis + 1)
        kind = np.dtype(smaller.dtype)
        smaller[block] = (values if kind.kind == "f" else np.rint(values)).astype(kind)


def _steps(source: ZarrPlanes, axes: str) -> list[tuple[int, ...]]:
    """Return by how much each smaller copy shrinks, along each axis, up to one that cannot be made.

    Each is a whole number, above 1 for Y and X alone, which must be an array's last axes.
    """
    steps: list[tuple[int, ...]] = []
    larger = source.shape
    for path in source.levels:
        try:
            shape = tuple(map(int, source.group[path].shape))
        except Exception:  # named, and not there
            break
        if len(shape) != len(larger) or set(axes[-2:]) != set("YX"):
            break
        factors = tuple(max(1, round(a / b)) for a, b in zip(larger, shape, strict=True))
        fits = (
            b in (a // factor, -(-a // factor))
            for a, b, factor in zip(larger, shape, factors, strict=True)
        )
        if not all(fits) or any(factor > 1 for factor in factors[:-2]):
            break
        steps.append(factors)
        larger = shape
    return steps
