"""Planes in a file as an array for a layer: read when they are shown, indexed like NumPy's."""

from __future__ import annotations

from typing import Any

import numpy as np


class FileArray:
    """An array that reads what a layer asks for.

    Args:
        planes: read by an index or a whole slice for every axis, such as a stack's `data`.

    Example:
        >>> array = FileArray(np.arange(24).reshape(2, 3, 4))
        >>> array.shape, array[1, ::2].tolist()
        ((2, 3, 4), [[12, 13, 14, 15], [20, 21, 22, 23]])
    """

    def __init__(self, planes: Any) -> None:
        self._planes = planes
        self.shape = tuple(planes.shape)
        self.dtype = np.dtype(planes.dtype)
        self.ndim = len(self.shape)
        self.size = int(np.prod(self.shape))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> np.ndarray:
        parts = list(key) if isinstance(key, tuple) else [key]
        if Ellipsis in parts:
            at = parts.index(Ellipsis)
            parts[at : at + 1] = [slice(None)] * (self.ndim - len(parts) + 1)
        parts += [slice(None)] * (self.ndim - len(parts))
        plain = [
            range(side)[part] if isinstance(part, int | np.integer) else slice(None)
            for part, side in zip(parts, self.shape, strict=True)
        ]
        # Of a few planes in a row no others are read.
        first = parts[0]
        if isinstance(first, slice) and first != slice(None) and self.ndim > 2:
            rows = [self[number, ...] for number in range(self.shape[0])[first]]
            empty = np.empty((0, *self.shape[1:]), self.dtype)
            values = np.stack(rows) if rows else empty
            return values[(slice(None), *(part for part in parts[1:]))]
        values = np.asarray(self._planes[tuple(plain)])
        return values[tuple(part for part in parts if not isinstance(part, int | np.integer))]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[...], dtype)
