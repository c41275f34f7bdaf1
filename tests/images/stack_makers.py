"""Stacks and TIFF files of measured data for the tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile

from impasto.images.stack import TYPES
from impasto.images.tiff_read import open_stack
from impasto.images.tiff_write import write_stack

EXACT = [name for name in TYPES if name not in ("uint32", "int32", "float64")]


def random_data(shape: tuple[int, ...], dtype: str, seed: int = 3) -> np.ndarray:
    """Make random numbers over the writer_options range of a type, its ends among them."""
    rng = np.random.default_rng(seed)
    kind = np.dtype(dtype)
    if kind.kind == "b":
        return rng.random(shape) < 0.5
    if kind.kind == "f":
        values = (rng.normal(size=shape) * 10.0 ** rng.integers(-3, 4, shape)).astype(kind)
    else:
        limits = np.iinfo(kind)
        values = rng.integers(limits.min, limits.max, shape, kind.newbyteorder("="), True)
        values.flat[:2] = limits.min, limits.max
    return values.astype(kind)


def copy_planes(stack) -> np.ndarray:
    """Read every plane of a stack and write it into an array as it is."""
    out = np.zeros(stack.shape, stack.dtype)
    for index in stack.plane_indices():
        stack.write_plane(out, index, stack.read_plane(index))
    return out


def write_tiff(path: Path, data: np.ndarray, **options) -> Path:
    """Write a file as tifffile does; `order`, `imagej`, `ome` and `bigtiff` are the writer's."""
    writer_options = {
        key: options.pop(key) for key in ("imagej", "ome", "bigtiff") if key in options
    }
    order = options.pop("order", "<")
    options.setdefault("photometric", "minisblack")
    with tifffile.TiffWriter(path, byteorder=order, **writer_options) as writer:
        writer.write(data, **options)
    return path


def write_pages(path: Path, data: np.ndarray, order: str = "<", **options) -> Path:
    """Write a file page by page, each behind its directory."""
    with tifffile.TiffWriter(path, byteorder=order) as writer:
        for number, page in enumerate(data):
            note = f"page {number}"
            writer.write(page, metadata=None, description=note, photometric="minisblack", **options)
    return path


def rewrite(path: Path, out: Path, **options):
    """Write a file's stack back, plane by plane as it was read."""
    stack = open_stack(path)
    write_stack(out, stack, (stack.read_plane(index) for index in stack.plane_indices()), **options)
    return stack


def read_tags(path: Path, number: int = 0) -> dict[int, object]:
    """Read a page's tags, without those that say where its pixels are."""
    with tifffile.TiffFile(path) as file:
        positions = {273, 279, 324, 325, 700}
        values = {
            tag.code: tag.value for tag in file.pages[number].tags if tag.code not in positions
        }
        return {code: np.asarray(value).tolist() for code, value in values.items()}


KINDS = {
    "plain": {"metadata": None},
    "shaped": {"metadata": {"axes": "TCYX"}},
    "imagej": {"imagej": True, "metadata": {"axes": "TCYX"}},
    "ome": {"ome": True, "metadata": {"axes": "TCYX", "PhysicalSizeX": 0.5}},
}


TAIL = "give a TIFF file"
