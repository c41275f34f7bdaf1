"""Measured data as it is: any axes, any number of channels, the data's own numbers.

`open_image` gives an image as it is to be seen: upright, in sRGB, in [0, 1]. A `Stack` gives what
was measured, plane by plane, and takes results back in the same type, range and axes. Nothing is
rescaled: a number of the data and the library's number for it differ by one fixed factor.
"""

from __future__ import annotations

import math
import string
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from impasto.errors import quote
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
_CAMERA_CEILINGS = tuple(2**bits - 1 for bits in (10, 12, 14, 16))  # of cameras that save 16 bits
_EXAMPLE = "PQTCZYX"  # its end names any number of axes
_CHANNEL_COUNTS = (1, 2, 3, 4)  # an axis of this length holds channels where nothing names it


@dataclass(frozen=True, eq=False)
class Stack:
    """Planes of data: every axis that is neither space nor channels counts planes.

    Integers of 32 bits and floats of 64 come back in their type, but with the 24 significant bits
    of the float32 that the library works in; every other type comes back bit for bit.

    Attributes:
        data: the array, or an object that reads a file's pages as one (`TiffPages`).
        axes: one letter for each axis, such as `TZCYX`; C and S are channels.
        unit: the library's number for 1 in the data: 1 / the type's largest number for integers, 1
            for floats and bool.
        ceiling: the largest number a result may have; None where the type alone decides.
        notes: what was left out when the file was read, or taken for what without its word; each
            the end of a sentence that begins with the file's name.

    Example:
        >>> stack = array_stack(np.array([[0, 128], [255, 64]], np.uint8))
        >>> plane = stack.read_plane(())
        >>> plane.shape
        torch.Size([1, 2, 2])
        >>> bool((stack.to_dtype(plane) == stack.data).all())
        True
    """

    data: Any
    axes: str
    unit: float
    ceiling: int | None = None
    notes: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of all axes."""
        return tuple(self.data.shape)

    @property
    def dtype(self) -> np.dtype:
        """Type of the data, in its byte order."""
        return np.dtype(self.data.dtype)

    @property
    def count(self) -> int:
        """Number of planes."""
        return math.prod(self.shape[dim] for dim in self._plane_dims)

    @property
    def plane_axes(self) -> str:
        """Letters of the axes that count planes."""
        return "".join(self.axes[dim] for dim in self._plane_dims)

    @property
    def plane_counts(self) -> tuple[int, ...]:
        """Sizes of these axes."""
        return tuple(self.shape[dim] for dim in self._plane_dims)

    @property
    def single(self) -> bool:
        """True where no axis counts planes."""
        return not self._plane_dims

    @property
    def plane_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of each plane."""
        channels = math.prod(self.shape[dim] for dim in self._channel_dims)
        return channels, self.shape[self.axes.index("Y")], self.shape[self.axes.index("X")]

    def plane_indices(self) -> Iterator[tuple[int, ...]]:
        """Iterate over the planes' indices, one number for each axis that counts planes."""
        return np.ndindex(*(self.shape[dim] for dim in self._plane_dims))

    def read_plane(self, index: Sequence[int]) -> Tensor:
        """Read one plane in the library's numbers.

        Args:
            index: one of `plane_indices`.

        Returns:
            (C, H, W) float32 on the CPU, in memory of its own. Signed data has negative numbers;
            floats stay as they are, also above 1.

        Raises:
            ImageError: the file's pages cannot be read.
        """
        raw = self.read_raw(index).transpose(self._raw_to_chw)  # -> channels, Y, X
        # NumPy knows every byte order, torch only the machine's.
        values = raw.astype(np.float32).reshape(self.plane_shape)
        return torch.from_numpy(values / np.float32(self._white))

    def read_raw(self, index: Sequence[int]) -> np.ndarray:
        """Read one plane as it is stored: the data's own numbers and order of axes."""
        return np.asarray(self.data[self._slices(index)])

    def to_dtype(self, plane: Tensor) -> np.ndarray:
        """Convert a plane to the data's own numbers, rounded to the nearest and clipped.

        Args:
            plane: (C, H, W) as `read_plane` gives it, finite.

        Returns:
            An array like `read_raw` gives, in the data's type and byte order.

        Raises:
            ValueError: another shape, or values that are not finite.
        """
        if tuple(plane.shape) != self.plane_shape:
            raise ValueError(
                f"`plane` must be (C, H, W) = {self.plane_shape} like the stack's, got "
                f"{tuple(plane.shape)}; put back what `Stack.read_plane` gave"
            )
        values = plane.detach().to("cpu", torch.float64).numpy() * self._white
        if bad := values.size - int(np.isfinite(values).sum()):
            raise ValueError(f"`plane` must be finite, got {bad:,} values that are not; clean them")
        channels = [self.shape[dim] for dim in self._channel_dims]
        values = values.reshape(*channels, *values.shape[1:])
        values = values.transpose(np.argsort(self._raw_to_chw))  # channels, Y, X -> as stored
        if self.dtype.kind == "f":
            limit = np.finfo(self.dtype).max
            return values.clip(-limit, limit).astype(self.dtype)
        if self.dtype.kind == "b":
            low, high = 0, 1
        else:
            low, high = np.iinfo(self.dtype).min, np.iinfo(self.dtype).max
        high = high if self.ceiling is None else self.ceiling
        return np.rint(values).clip(low, high).astype(self.dtype)

    def write_plane(self, array: np.ndarray, index: Sequence[int], plane: Tensor) -> None:
        """Write a plane into an array of the data's shape and type."""
        array[self._slices(index)] = self.to_dtype(plane)

    @property
    def _white(self) -> float:
        """The data's number for the library's 1."""
        return float(round(1 / self.unit))

    @property
    def _channel_dims(self) -> tuple[int, ...]:
        return tuple(dim for dim, axis in enumerate(self.axes) if axis in CHANNELS)

    @property
    def _plane_dims(self) -> tuple[int, ...]:
        return tuple(dim for dim, axis in enumerate(self.axes) if axis not in (*CHANNELS, "Y", "X"))

    @property
    def _raw_to_chw(self) -> list[int]:
        """Permutation from a stored plane's axes to channels, Y, X."""
        inner = [dim for dim in range(len(self.axes)) if dim not in self._plane_dims]
        chw = (*self._channel_dims, self.axes.index("Y"), self.axes.index("X"))
        return [inner.index(dim) for dim in chw]

    def _slices(self, index: Sequence[int]) -> tuple[int | slice, ...]:
        """Index of one plane in the whole data."""
        sizes = tuple(self.shape[dim] for dim in self._plane_dims)
        fits = len(index) == len(sizes) and all(
            0 <= value < size for value, size in zip(index, sizes, strict=True)
        )
        if not fits:
            raise ValueError(
                f"`index` must be one of the planes of {sizes}, got {tuple(index)}; take it from "
                "`Stack.plane_indices`"
            )
        slices: list[int | slice] = [slice(None)] * len(self.axes)
        for dim, value in zip(self._plane_dims, index, strict=True):
            slices[dim] = int(value)
        return tuple(slices)


def array_stack(
    source: np.ndarray | Tensor, axes: str | None = None, name: str = "picture"
) -> Stack:
    """Treat an array or a tensor as measured data.

    Args:
        source: of bool, uint8, uint16, uint32, int8, int16, int32, float16, float32 or float64,
            in any byte order, with finite values. Without `axes`, an array is (Y, X); (Y, X, C)
            where its last axis has 1 to 4 entries; (C, Y, X) where its first has; (Z, Y, X)
            otherwise; or (Z, Y, X, C) where the last of four axes has 1 to 4 entries. A tensor
            is (Y, X) or (C, Y, X), with any number of channels.
        axes: one capital letter for each axis, Y and X among them; C and S are channels, and
            every other letter counts planes.
        name: the argument's name in errors.

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
    if isinstance(source, Tensor):
        tensor = source.detach().cpu()
        # NumPy has no bfloat16.
        data = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
    elif isinstance(source, np.ndarray):
        data = source
    else:
        raise TypeError(
            f"`{name}` must be a NumPy array or a tensor, got {type(source).__name__}; convert it"
        )
    check_array(data.shape, data.dtype, name)
    if axes is None:
        axes = guess_axes(data.shape, isinstance(source, Tensor), name)
    check_axes(axes, data.shape)
    stack = Stack(data, axes, library_unit(data.dtype))
    return scan_range(stack, lambda values: ValueError(f"`{name}` must be finite, got {values}"))


def check_array(shape: tuple[int, ...], dtype: np.dtype, name: str = "picture") -> None:
    """Refuse arrays that hold no planes, or numbers of another type than `TYPES`."""
    if dtype.name not in TYPES:
        raise ValueError(f"`{name}` must be {', '.join(TYPES)}, got {dtype}; convert it")
    if len(shape) < 2:
        raise ValueError(
            f"`{name}` must have at least two axes, got shape {tuple(shape)}; give it Y and X"
        )
    if math.prod(shape) == 0:
        raise ValueError(
            f"`{name}` must have pixels, got shape {tuple(shape)}; give at least one of each axis"
        )


def check_axes(axes: str, shape: tuple[int, ...]) -> None:
    """Refuse letters that do not name each axis of a shape once, or miss Y or X."""
    letters = isinstance(axes, str) and set(axes) <= set(string.ascii_uppercase)
    fits = letters and len(set(axes)) == len(axes) == len(shape) and set("YX") <= set(axes)
    if not fits:
        raise ValueError(
            f"`axes` must be {len(shape)} different capital letters with Y and X among them, got "
            f"{quote(axes)}; name each axis of shape {shape}, {_EXAMPLE[-len(shape) :]} for example"
        )


def library_unit(dtype: np.dtype) -> float:
    """Return the library's number for 1 in data of a type."""
    return 1.0 if dtype.kind in "fb" else 1 / int(np.iinfo(dtype).max)


def scan_range(
    stack: Stack, error: Callable[[str], Exception], *, compressed: bool = False
) -> Stack:
    """Read every plane once where that tells something, and return the stack with its ceiling.

    Args:
        stack: the stack, with the ceiling that is known without its pixels.
        error: makes the exception from words that count the values that are not finite.
        compressed: read every plane of other types too, so that broken data is noticed.
    """
    floats, sixteen = stack.dtype.kind == "f", stack.dtype.name == "uint16"
    if not (floats or sixteen or compressed):
        return stack
    highest, bad = 0, 0
    with np.errstate(over="ignore"):
        for index in stack.plane_indices():
            raw = stack.read_raw(index)
            if floats:
                bad += raw.size - int(np.isfinite(raw.astype(np.float32)).sum())
            else:
                highest = max(highest, int(raw.max()))
    if bad:
        kinds = "NaN, infinite or beyond 3.4e38" if stack.dtype.itemsize == 8 else "NaN or infinite"
        raise error(f"{bad:,} of {math.prod(stack.shape):,} values that are {kinds}; replace them")
    if stack.ceiling is None and sixteen:
        return replace(stack, ceiling=next(top for top in _CAMERA_CEILINGS if top >= highest))
    return stack


def check_single_picture(stack: Stack, path: str | Path) -> None:
    """Refuse to make a picture at a path out of measured data that none can hold."""
    channels, *_ = stack.plane_shape
    if not stack.single or channels not in (1, 3) or stack.dtype.name not in ("uint8", "uint16"):
        shape = " × ".join(map(str, stack.shape))
        raise ValueError(
            "`output` must end in .tif or .tiff for measured data but single planes of uint8 or "
            f"uint16 in 1 or 3 channels, got {path} for {stack.dtype.name} of {stack.axes} "
            f"{shape}; choose a .tif"
        )


def to_source_array(source: ImageMetadata | Stack, pixels: Tensor) -> np.ndarray:
    """Convert results to the kind of data that they came from.

    Args:
        source: the stack, or the metadata of the image.
        pixels: (C, H, W), or (planes, C, H, W) for a stack of planes; in [0, 1] for an image, in
            the numbers of `Stack.read_plane` for a stack.

    Returns:
        An array of the stack's shape and type; of an image, (H, W, C) uint8 or uint16.
    """
    if not isinstance(source, Stack):
        white, dtype = (255, np.uint8) if source.bits <= 8 else (65_535, np.uint16)
        values = pixels.detach().cpu().clamp(0, 1).permute(1, 2, 0).double().numpy()
        return np.rint(values * white).astype(dtype)
    array = np.empty(source.shape, source.dtype)
    planes = pixels.reshape(-1, *pixels.shape[-3:])
    for index, plane in zip(source.plane_indices(), planes, strict=True):
        source.write_plane(array, index, plane)
    return array


def guess_axes(shape: tuple[int, ...], is_tensor: bool, name: str) -> str:
    """Return the usual axes of an array whose axes have no names."""
    if len(shape) == 2:
        return "YX"
    if len(shape) == 3 and is_tensor:
        return "CYX"
    if len(shape) == 3:
        if shape[2] in _CHANNEL_COUNTS:
            return "YXC"
        return "CYX" if shape[0] in _CHANNEL_COUNTS else "ZYX"
    if len(shape) == 4 and shape[3] in _CHANNEL_COUNTS and not is_tensor:
        return "ZYXC"
    known = "(H, W) or (C, H, W)" if is_tensor else "2 or 3 axes, or 4 with channels last"
    raise ValueError(
        f"`{name}` must be {known} where `axes` do not name them, got shape {shape}; name them, "
        f"{_EXAMPLE[-len(shape) :]} for example"
    )
