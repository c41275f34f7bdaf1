"""The names of zarr stores; apart, so that they are told without NumPy and torch."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

ZARR_ENDING = ".zarr"
_METADATA = ("zarr.json", ".zarray", ".zgroup")  # of a store or a part of it, on this machine


def is_zarr(source: Any) -> bool:
    """Return whether something names a zarr store, an array or a group in one, or a place for one.

    Example:
        >>> is_zarr("s3://bucket/cells.ome.zarr"), is_zarr("cells.zarr/0"), is_zarr("cells.tif")
        (True, True, False)
    """
    if not isinstance(source, str | Path):
        return False
    if any(part.lower().endswith(ZARR_ENDING) for part in str(source).split("/")):
        return is_url(source) or not Path(source).is_file()
    with contextlib.suppress(OSError, ValueError):
        return holds_zarr(Path(source))
    return False


def is_url(place: str | Path) -> bool:
    """Return whether a place is reached through fsspec."""
    return "://" in str(place)


def holds_zarr(folder: Path) -> bool:
    """Return whether a folder is a store or a part of one."""
    return any((folder / name).is_file() for name in _METADATA)
