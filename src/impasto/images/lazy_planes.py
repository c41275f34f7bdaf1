"""Arrays that are read from elsewhere a plane at a time, such as those of zarr and dask."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from impasto.images.stack import Stack, check_array, check_axes, library_unit, scan_range

_MAX_BLOCK = 2**28  # bytes of the planes that are read together


@dataclass(frozen=True, eq=False)
class LazyPlanes:
    """An array that is read when it is indexed.

    Planes whose pixels are stored together are read together, once, and the last of these blocks
    is kept: a chunk of sixteen planes is not decompressed sixteen times.

    Attributes:
        data: whatever has a shape and a dtype and gives a part of itself by its indices.
        chunks: sizes of what is stored in one piece, along each axis.
        origin: the name of what it is from; None if it has none.
    """

    data: Any
    chunks: tuple[int, ...]
    origin: str | None = None
    _block: dict[tuple[int, ...], np.ndarray] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of all axes."""
        return tuple(map(int, self.data.shape))

    @property
    def dtype(self) -> np.dtype:
        """Type of the numbers."""
        return np.dtype(self.data.dtype)

    def __getitem__(self, slices: tuple[int | slice, ...]) -> np.ndarray:
        """Read a part of the data: an index or a whole slice for every axis."""
        sizes = [
            size if isinstance(part, slice) else chunk
            for size, chunk, part in zip(self.shape, self.chunks, slices, strict=True)
        ]
        together = any(
            size > 1
            for size, part in zip(sizes, slices, strict=True)
            if not isinstance(part, slice)
        )
        if not together or math.prod(sizes) * self.dtype.itemsize > _MAX_BLOCK:
            return self._read(slices)
        starts = tuple(
            0 if isinstance(part, slice) else part // size * size
            for size, part in zip(sizes, slices, strict=True)
        )
        with self._lock:
            if starts not in self._block:
                self._block.clear()
                ends = zip(starts, sizes, strict=True)
                block = tuple(slice(start, start + size) for start, size in ends)
                self._block[starts] = self._read(block)
            inside = (
                part if isinstance(part, slice) else part - start
                for start, part in zip(starts, slices, strict=True)
            )
            return self._block[starts][tuple(inside)]

    def _read(self, slices: tuple[int | slice, ...]) -> np.ndarray:
        return np.asarray(self.data[slices])


def lazy_stack(source: Any, axes: str, name: str = "picture", origin: str | None = None) -> Stack:
    """Treat an array that is read when it is indexed, such as dask's, as measured data.

    Args:
        source: has a shape, a dtype, and indices like NumPy's; of the types of `array_stack`. Its
            planes are read one at a time, all of them once for floats, which must be finite, and
            for 16 bits, whose largest number is the ceiling.
        axes: one capital letter for each axis, Y and X among them.
        name: the argument's name in errors.
        origin: the name of what it is from.

    Raises:
        ValueError: no pixels, another type, values that are not finite, or axes that do not fit.

    Example:
        >>> lazy_stack(np.zeros((5, 30, 40), np.uint8), "TYX").count
        5
    """
    check_array(source.shape, np.dtype(source.dtype), name)
    check_axes(axes, tuple(source.shape))
    planes = LazyPlanes(source, chunk_sizes(source), origin)
    return scan_range(
        Stack(planes, axes, library_unit(planes.dtype)),
        lambda values: ValueError(f"`{name}` must be finite, got {values}"),
    )


def chunk_sizes(source: Any) -> tuple[int, ...]:
    """Return the sizes of what an array stores in one piece; 1 along each axis if it does not say.

    Example:
        >>> chunk_sizes(np.zeros((5, 30, 40)))
        (1, 1, 1)
    """
    chunks = getattr(source, "chunks", None)
    if not isinstance(chunks, tuple) or len(chunks) != len(source.shape):
        return (1,) * len(source.shape)
    # dask lists every chunk.
    return tuple(max(map(int, c)) if isinstance(c, tuple) else int(c) for c in chunks)
