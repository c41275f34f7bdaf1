"""What `impasto denoise --residual` writes: the noise that was taken away."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from impasto.images.image import ImageMetadata
from impasto.images.stack import Stack, array_stack
from impasto.images.tiff_read import open_stack
from impasto.images.tiff_write import write_stack
from impasto.images.write import save

if TYPE_CHECKING:
    from impasto.result import DenoiseResult


def write_residual(path: str, result: DenoiseResult, overwrite: bool) -> None:
    """Write what was taken out of a picture.

    Args:
        path: where to; in a TIFF the signed numbers are kept, 1 being white, or the data's own;
            elsewhere nothing becomes mid-gray, and what does not fit is cut off.
        result: of the picture.
        overwrite: replace a file that is already there.
    """
    taken, source = result.residual, result.source
    data = isinstance(source, Stack)
    if Path(path).suffix.lower() in (".tif", ".tiff"):
        numbers = (taken / source.unit if data else taken).permute(1, 2, 0).numpy()
        gray = numbers.shape[2] == 1
        stack = array_stack(numbers[..., 0], "YX") if gray else array_stack(numbers, "YXS")
        write_stack(path, stack, [stack.read_plane(())], overwrite=overwrite)
        return
    bits = 8 * source.dtype.itemsize if data else source.bits
    save(0.5 + taken, path, metadata=ImageMetadata(bits=bits), overwrite=overwrite)


def write_difference(
    path: str, before: Stack, output: str, axes: str | None, overwrite: bool
) -> None:
    """Write what was taken out of measured data, from both files, a plane at a time.

    Args:
        path: where to, a TIFF.
        before: the data that was given.
        output: the TIFF that was written.
        axes: as they were given; None where the file says.
        overwrite: replace a file that is already there.
    """
    after = open_stack(output, axes, "output")
    stack = Stack(_Difference(before, after), before.axes, 1.0)
    planes = (stack.read_plane(index) for index in stack.plane_indices())
    write_stack(path, stack, planes, overwrite=overwrite)


class _Difference:
    """One stack's numbers less another's, read as an array; it holds none."""

    dtype = np.dtype(np.float32)

    def __init__(self, before: Stack, after: Stack) -> None:
        self.shape = before.shape
        self._before, self._after = before, after

    def __getitem__(self, slices: tuple[int | slice, ...]) -> np.ndarray:
        first, second = (stack.data[slices] for stack in (self._before, self._after))
        return (first.astype(np.float64) - second).astype(self.dtype)
