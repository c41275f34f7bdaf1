"""Measured data as it is: any axes, any number of channels, the data's own numbers.

Where `open_image` gives what is to be seen (upright, in sRGB, in [0, 1]), this gives what was
measured, plane by plane, and puts results back in the same type, range and axes. Nothing is
rescaled: a number of the data and the library's number for it differ by one fixed factor.
"""

from __future__ import annotations

import math
import string
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from impasto.images.image import ImageMetadata

CHANNELS = "CS"  # axes that hold channels; S is TIFF's word for samples
TYPES = (
    "bool",
    "uint8",
    "uint16",
    "uint32",
    "int8",
    "int16",
    "int32",
    "float16",
    "float32",
    "float64",
)
_CEILINGS = tuple(2**bits - 1 for bits in (10, 12, 14, 16))  # of cameras that save 16 bits
_EXAMPLE = "PQTCZYX"  # its end names any number of axes
_FEW = (1, 2, 3, 4)  # as many entries as an axis of channels has where nobody says


@dataclass(frozen=True, eq=False)
class Stack:
    """Planes of data: every axis that is neither space nor channels counts them.

    Integers of 32 bits and floats of 64 come back in their type, but with the 24 significant bits
    of the float32 that the library works in; every other type comes back bit for bit.

    Attributes:
        data: what was given: an array, or what reads a file's pages as one.
        axes: one letter for each axis, such as `TZCYX`; C and S are channels.
        unit: what one in the data is in the library's numbers: 1 / the type's largest number, and
            1 for floats and bool.
        ceiling: the largest number a result may be given; None where the type alone decides.
        file: how the file is to be written again; None for arrays.

    Example:
        >>> stack = array_stack(np.array([[0, 128], [255, 64]], np.uint8))
        >>> plane = stack.plane(())
        >>> plane.shape
        torch.Size([1, 2, 2])
        >>> bool((stack.numbers(plane) == stack.data).all())
        True
    """

    data: Any
    axes: str
    unit: float
    ceiling: int | None = None
    file: Any = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Of all the axes."""
        return tuple(self.data.shape)

    @property
    def dtype(self) -> np.dtype:
        """Of the data, in its byte order."""
        return np.dtype(self.data.dtype)

    @property
    def count(self) -> int:
        """How many planes there are."""
        return math.prod(self.shape[place] for place in self._outer)

    @property
    def single(self) -> bool:
        """Whether no axis counts planes."""
        return not self._outer

    @property
    def plane_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of each plane."""
        channels = math.prod(self.shape[place] for place in self._channels)
        return channels, self.shape[self.axes.index("Y")], self.shape[self.axes.index("X")]

    def planes(self) -> Iterator[tuple[int, ...]]:
        """Where each plane is: an index for every axis that is neither space nor channels."""
        return np.ndindex(*(self.shape[place] for place in self._outer))

    def plane(self, index: Sequence[int]) -> Tensor:
        """One plane, in the library's numbers.

        Args:
            index: one of those that `planes` gives.

        Returns:
            (C, H, W) float32 on the CPU, in its own memory. Signed data has negative numbers, and
            floats stay what they are, above 1 too.

        Raises:
            ImageError: the file's pages cannot be read.
        """
        found = self.stored(index).transpose(self._order)  # -> channels, Y, X
        # NumPy knows every byte order, torch only the machine's.
        values = found.astype(np.float32).reshape(self.plane_shape)
        return torch.from_numpy(values / np.float32(self._full))

    def stored(self, index: Sequence[int]) -> np.ndarray:
        """One plane as it is stored: the data's own numbers and order of axes."""
        return np.asarray(self.data[self._slices(index)])

    def numbers(self, plane: Tensor) -> np.ndarray:
        """A plane's result as the data's own numbers, rounded to the nearest and clipped.

        Args:
            plane: (C, H, W) as `plane` gives it, finite.

        Returns:
            An array like `stored` gives, in the data's type and byte order.

        Raises:
            ValueError: another shape, or values that are not finite.
        """
        if tuple(plane.shape) != self.plane_shape:
            raise ValueError(
                f"`plane` must be (C, H, W) = {self.plane_shape} like the stack's, got "
                f"{tuple(plane.shape)}; put back what `Stack.plane` gave"
            )
        values = plane.detach().to("cpu", torch.float64).numpy() * self._full
        if bad := values.size - int(np.isfinite(values).sum()):
            raise ValueError(f"`plane` must be finite, got {bad:,} values that are not; clean them")
        sizes = [self.shape[place] for place in self._channels]
        values = values.reshape(*sizes, *values.shape[1:])
        values = values.transpose(np.argsort(self._order))  # channels, Y, X -> as stored
        return _typed(values, self.dtype, self.ceiling)

    def put(self, out: Any, index: Sequence[int], plane: Tensor) -> None:
        """Write a plane's result into an array of the data's shape and type."""
        out[self._slices(index)] = self.numbers(plane)

    @property
    def _full(self) -> float:
        """The data's number for the library's 1."""
        return float(round(1 / self.unit))

    @property
    def _channels(self) -> tuple[int, ...]:
        """The places of the axes of channels."""
        return tuple(place for place, axis in enumerate(self.axes) if axis in CHANNELS)

    @property
    def _outer(self) -> tuple[int, ...]:
        """The places of the axes that are neither space nor channels."""
        inner = (*CHANNELS, "Y", "X")
        return tuple(place for place, axis in enumerate(self.axes) if axis not in inner)

    @property
    def _order(self) -> list[int]:
        """Which of a stored plane's axes are the channels', Y and X."""
        inner = [place for place in range(len(self.axes)) if place not in self._outer]
        wanted = (*self._channels, self.axes.index("Y"), self.axes.index("X"))
        return [inner.index(place) for place in wanted]

    def _slices(self, index: Sequence[int]) -> tuple[int | slice, ...]:
        """An index of the whole data that takes one plane."""
        sizes = tuple(self.shape[place] for place in self._outer)
        fits = len(index) == len(sizes) and all(
            0 <= value < size for value, size in zip(index, sizes, strict=True)
        )
        if not fits:
            raise ValueError(
                f"`index` must be one of the planes of {sizes}, got {tuple(index)}; take it from "
                "`Stack.planes`"
            )
        found: list[int | slice] = [slice(None)] * len(self.axes)
        for place, value in zip(self._outer, index, strict=True):
            found[place] = int(value)
        return tuple(found)


def array_stack(
    source: np.ndarray | Tensor, axes: str | None = None, name: str = "picture"
) -> Stack:
    """Take an array or a tensor for measured data.

    Args:
        source: of bool, uint8, uint16, uint32, int8, int16, int32, float16, float32 or float64,
            in any byte order, with finite values. Without `axes`, an array is (Y, X); (Y, X, C)
            where its last axis has 1 to 4 entries; (C, Y, X) where its first has; (Z, Y, X)
            otherwise; or (Z, Y, X, C) where the last of four axes has 1 to 4 entries. A tensor
            is (Y, X) or (C, Y, X), with any number of channels.
        axes: one capital letter for each axis, Y and X among them; C and S are channels, and
            every other letter counts planes.
        name: what errors call it.

    Returns:
        The stack; its `data` is the array itself, or the tensor's values.

    Raises:
        ValueError: no pixels, another type, values that are not finite, or axes that do not fit.
        TypeError: anything else.

    Example:
        >>> stack = array_stack(np.zeros((5, 2, 30, 40), np.uint16), axes="ZCYX")
        >>> stack.count, stack.plane_shape
        (5, (2, 30, 40))
    """
    if not isinstance(source, np.ndarray | Tensor):
        raise TypeError(
            f"`{name}` must be a NumPy array or a tensor, got {type(source).__name__}; convert it"
        )
    data = _tensor_array(source) if isinstance(source, Tensor) else source
    if data.dtype.name not in TYPES:
        raise ValueError(f"`{name}` must be {', '.join(TYPES)}, got {data.dtype}; convert it")
    if data.ndim < 2:
        raise ValueError(
            f"`{name}` must have at least two axes, got shape {data.shape}; give it Y and X"
        )
    if data.size == 0:
        raise ValueError(
            f"`{name}` must have pixels, got shape {data.shape}; give at least one of each axis"
        )
    if axes is None:
        axes = _supposed(data.shape, isinstance(source, Tensor), name)
    check_axes(axes, data.shape)
    stack = Stack(data, axes, sample_unit(data.dtype))
    return scan_range(stack, lambda words: ValueError(f"`{name}` must be finite, got {words}"))


def check_axes(axes: str, shape: tuple[int, ...]) -> None:
    """Refuse letters that do not name each axis of a shape once, or miss Y or X."""
    letters = isinstance(axes, str) and set(axes) <= set(string.ascii_uppercase)
    fits = letters and len(set(axes)) == len(axes) == len(shape) and set("YX") <= set(axes)
    if not fits:
        raise ValueError(
            f"`axes` must be {len(shape)} different capital letters with Y and X among them, got "
            f"{axes!r}; name each axis of shape {shape}, {_EXAMPLE[-len(shape) :]} for example"
        )


def sample_unit(dtype: np.dtype) -> float:
    """What one in data of a type is in the library's numbers."""
    return 1.0 if dtype.kind in "fb" else 1 / int(np.iinfo(dtype).max)


def scan_range(stack: Stack, refusal: Callable[[str], Exception], *, packed: bool = False) -> Stack:
    """The stack with its ceiling, after every plane was looked at where that tells something.

    Args:
        stack: as it is known before its data.
        refusal: makes the error of words that tell of values which are not finite.
        packed: whether the data may turn out to be broken.
    """
    floats, sixteen = stack.dtype.kind == "f", stack.dtype.name == "uint16"
    if not (floats or sixteen or packed):
        return stack
    highest, bad = 0, 0
    with np.errstate(over="ignore"):
        for index in stack.planes():
            found = stack.stored(index)
            if floats:
                bad += found.size - int(np.isfinite(found.astype(np.float32)).sum())
            else:
                highest = max(highest, int(found.max()))
    if bad:
        kinds = "NaN, infinite or beyond 3.4e38" if stack.dtype.itemsize == 8 else "NaN or infinite"
        raise refusal(
            f"{bad:,} of {math.prod(stack.shape):,} values that are {kinds}; replace them"
        )
    if stack.ceiling is None and sixteen:
        return replace(stack, ceiling=next(top for top in _CEILINGS if top >= highest))
    return stack


def _supposed(shape: tuple[int, ...], tensor: bool, name: str) -> str:
    """The axes of an array that come without names."""
    if len(shape) == 2:
        return "YX"
    if len(shape) == 3 and tensor:
        return "CYX"
    if len(shape) == 3:
        return "YXC" if shape[2] in _FEW else "CYX" if shape[0] in _FEW else "ZYX"
    if len(shape) == 4 and shape[3] in _FEW and not tensor:
        return "ZYXC"
    known = "(H, W) or (C, H, W)" if tensor else "2 or 3 axes, or 4 with channels last"
    raise ValueError(
        f"`{name}` must be {known} where `axes` do not name them, got shape {shape}; name them, "
        f"{_EXAMPLE[-len(shape) :]} for example"
    )


def _tensor_array(tensor: Tensor) -> np.ndarray:
    """A tensor's values as an array."""
    tensor = tensor.detach().cpu()
    if tensor.dtype == torch.bfloat16:  # which NumPy does not know
        tensor = tensor.float()
    return tensor.numpy()


def _typed(values: np.ndarray, dtype: np.dtype, ceiling: int | None) -> np.ndarray:
    """Numbers, float64, in a type that may hold fewer."""
    if dtype.kind == "f":
        limit = np.finfo(dtype).max
        return values.clip(-limit, limit).astype(dtype)
    low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    return np.rint(values).clip(low, high if ceiling is None else ceiling).astype(dtype)


def to_source_array(source: ImageMetadata | Stack, pixels: Tensor) -> np.ndarray:
    """Results in [0, 1], or in a stack's numbers, as the kind of data they came from.

    Args:
        source: a stack, or what a picture carried.
        pixels: (C, H, W), or (planes, C, H, W) for a stack of planes.

    Returns:
        An array of the stack's shape and type; of a picture, (H, W, C) uint8 or uint16.
    """
    if not isinstance(source, Stack):
        full, dtype = (255, np.uint8) if source.bits <= 8 else (65_535, np.uint16)
        values = pixels.detach().cpu().clamp(0, 1).permute(1, 2, 0).double().numpy()
        return np.rint(values * full).astype(dtype)
    out = np.empty(source.shape, source.dtype)
    for index, plane in zip(source.planes(), pixels.reshape(-1, *pixels.shape[-3:]), strict=True):
        source.put(out, index, plane)
    return out
