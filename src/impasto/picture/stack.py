"""Measured data as it is: any axes, any number of channels, the file's own numbers.

Where `open_picture` gives what is to be seen (upright, in sRGB, in [0, 1]), this gives what was
measured, plane by plane, and puts results back in the same type, range, axes and metadata.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch
from torch import Tensor

from impasto.errors import PictureError
from impasto.picture.embed import packet
from impasto.picture.hush import hushed
from impasto.picture.output import placing
from impasto.picture.sources import refusal

_CHANNELS = "CS"  # axes that hold channels; S is TIFF's word for samples
_XMP = 700  # TIFF's tag


@dataclass(frozen=True, eq=False)
class Stack:
    """Planes of data.

    Attributes:
        data: what was given: an array, or what reads a file's pages as one.
        axes: one letter for each axis, such as `TZCYX`.
        unit: what one in the file is in the library's numbers; 1 for floats.
        ceiling: the largest number a result may hold; None where there is no limit.
        metadata: how the file is to be written again.
    """

    data: Any
    axes: str
    unit: float
    ceiling: float | None
    metadata: dict[str, Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of all the axes."""
        return tuple(self.data.shape)

    @property
    def dtype(self) -> np.dtype:
        """Of the data."""
        return np.dtype(self.data.dtype)

    def planes(self) -> Iterator[tuple[int, ...]]:
        """Where each plane is: an index for every axis that is neither space nor channels."""
        return np.ndindex(*(self.shape[place] for place in self._outer))

    @property
    def count(self) -> int:
        """How many planes there are."""
        return math.prod(self.shape[place] for place in self._outer)

    def plane(self, index: Sequence[int]) -> Tensor:
        """One plane, (C, H, W) float32, in the library's numbers."""
        found = np.asarray(self.data[self._slices(index)])
        left = [axis for place, axis in enumerate(self.axes) if place not in self._outer]
        wanted = [left.index(axis) for axis in left if axis in _CHANNELS]
        wanted += [left.index("Y"), left.index("X")]
        found = found.transpose(wanted).reshape(-1, *(found.shape[place] for place in wanted[-2:]))
        # NumPy knows every byte order; torch only the machine's.
        return torch.from_numpy(found.astype(np.float32)) * np.float32(self.unit)

    def put(self, out: np.ndarray, index: Sequence[int], plane: Tensor) -> None:
        """Write a plane's result into an array like the data."""
        out[self._slices(index)] = self.numbers(plane)

    def numbers(self, plane: Tensor) -> np.ndarray:
        """A plane as the file's own numbers: (C, H, W) -> the plane's axes in their order."""
        values = plane.double().numpy() / self.unit
        left = [place for place in range(len(self.axes)) if place not in self._outer]
        sizes = {self.axes[place]: self.shape[place] for place in left}
        inner = [self.axes[place] for place in left if self.axes[place] in _CHANNELS]
        values = values.reshape(*(sizes[axis] for axis in inner), sizes["Y"], sizes["X"])
        now = [*inner, "Y", "X"]
        values = values.transpose([now.index(self.axes[place]) for place in left])
        if self.dtype.kind in "iub":
            low = np.iinfo(self.dtype).min if self.dtype.kind != "b" else 0
            high = self.ceiling if self.ceiling is not None else np.iinfo(self.dtype).max
            values = np.rint(values).clip(low, high)
        return values.astype(self.dtype)

    @property
    def _outer(self) -> tuple[int, ...]:
        """The places of the axes that are neither space nor channels."""
        inner = (*_CHANNELS, "Y", "X")
        return tuple(place for place, axis in enumerate(self.axes) if axis not in inner)

    def _slices(self, index: Sequence[int]) -> tuple[Any, ...]:
        """An index of the whole data that takes one plane."""
        found: list[Any] = [slice(None)] * len(self.axes)
        for place, value in zip(self._outer, index, strict=True):
            found[place] = value
        return tuple(found)
