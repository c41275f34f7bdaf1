"""Planes that are collected on disk until all are there."""

from __future__ import annotations

import contextlib
import math
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
from torch import Tensor

from impasto.images.stack import Stack


@contextlib.contextmanager
def array_on_disk(
    folder: Path, shape: tuple[int, ...], dtype: np.dtype
) -> Iterator[Callable[[], np.memmap]]:
    """Make an array in a file without a name, which is gone however the process ends.

    Returns:
        A context manager that gives a function which opens the array. It maps the file anew each
        time, so that only the plane at hand counts as the process's memory.
    """
    size = math.prod(shape) * dtype.itemsize
    with tempfile.TemporaryFile(dir=folder, prefix=".impasto-", suffix=".tmp") as file:
        # Writing to a map of a file that the disk has no room for kills the process, so the room
        # is taken first; here a full disk is an error like any other.
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            for start in range(0, size, 1 << 24):
                file.write(bytes(min(1 << 24, size - start)))
            file.flush()
        yield lambda: np.memmap(file, dtype, "r+", shape=shape)


def collect_planes(
    stack: Stack,
    open_array: Callable[[], np.memmap],
    planes: Iterable[Tensor],
    indices: Iterable[tuple[int, ...]],
) -> None:
    """Write every plane into an array, and make sure that there are as many as the stack has."""
    done = 0
    indices = iter(indices)
    for plane in planes:
        index = next(indices, None)
        if index is None:
            raise ValueError(
                f"`planes` must be {stack.count:,}, one for each of the stack's, got more; leave "
                "the others out"
            )
        stack.write_plane(open_array(), index, plane)
        done += 1
    if done < stack.count:
        raise ValueError(
            f"`planes` must be {stack.count:,}, one for each of the stack's, got {done:,}; give "
            "them all"
        )
