"""Check output paths before the work; write files atomically after it."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from impasto.errors import ImageError


def check_writable(
    path: str | Path, *, overwrite: bool = False, inputs: Iterable[Any] = (), name: str = "output"
) -> Path:
    """Make sure that a file of any kind can be written, before any work is done.

    Args:
        path: where to write.
        overwrite: whether a file that is already there may be replaced.
        inputs: images read by the same run; paths among them may not be written to, not even
            with `overwrite`. Anything else among them is passed over.
        name: what errors call the place.

    Returns:
        The path.

    Raises:
        ImageError: the folder is missing or cannot be written, or the file is an input, or is
            there already.

    Example:
        >>> check_writable("missing/row.pdf", name="figure")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        impasto.errors.ImageError: `figure` must be in a folder that exists, got ...
    """
    target = Path(path)
    try:
        if target.is_dir():
            raise ImageError(
                f"`{name}` must be a file, got the folder {path}; add a name such as out.png"
            )
        for other in inputs:
            if isinstance(other, str | Path) and _same(target, Path(other)):
                raise ImageError(
                    f"`{name}` must not be one of the inputs, got {path}; choose another name"
                )
        if target.exists():
            if not target.is_file():
                raise ImageError(
                    f"`{name}` must be a file, got {path}, a device; choose another name"
                )
            if not overwrite:
                raise ImageError(_taken(target, name))
        real = Path(os.path.realpath(target))
        if not real.parent.is_dir():
            raise ImageError(
                f"`{name}` must be in a folder that exists, got {path}; create {real.parent} first"
            )
        _probe(real)
    except OSError as error:
        raise ImageError(_unwritable(target, error, name)) from error
    return target


def ensure_directory(folder: str | Path, name: str = "folder") -> Path:
    """Make a folder where it is missing, and make sure that files can be written in it.

    Args:
        folder: the folder; those above it are made too.
        name: what errors call it.

    Returns:
        The folder.

    Raises:
        ImageError: a file stands there, or the folder cannot be made or written.
    """
    place = Path(folder)
    try:
        place.mkdir(parents=True, exist_ok=True)
        _probe(place / "probe")
    except (FileExistsError, NotADirectoryError):
        raise ImageError(
            f"`{name}` must be a folder, got {folder}, where a file stands; choose another name"
        ) from None
    except OSError as error:
        raise ImageError(_unwritable(place, error, name)) from None
    return place


def write_atomically(data: bytes, target: Path, *, overwrite: bool) -> Path:
    """Put a file's bytes at a path in one step, leaving nothing behind where that fails."""
    with atomic_path(target, overwrite=overwrite) as temporary:
        temporary.write_bytes(data)
    return target


@contextlib.contextmanager
def atomic_path(
    target: Path,
    *,
    overwrite: bool,
    mark: str = "",
    name: str = "output",
    way_out: str = "choose another",
) -> Iterator[Path]:
    """Put a file at a path in one step, leaving nothing behind where that fails.

    Args:
        target: where the file goes in the end.
        overwrite: whether a file that is already there is replaced.
        mark: what the temporary name begins with, behind `.impasto-`.
        name: what errors call the target.
        way_out: what to do where it cannot be written.

    Returns:
        A context manager that gives a temporary name beside the target, to be written inside; at
        its end the file is on disk and takes the target's place.

    Raises:
        ImageError: the place cannot be written, or holds a file and `overwrite` is False.
    """
    real = Path(os.path.realpath(target))
    temporary = _temporary(real, mark)
    try:
        yield temporary
        with open(temporary, "r+b") as file:
            os.fsync(file.fileno())
        if overwrite:
            os.replace(temporary, real)
        else:
            _claim(temporary, real)
    except FileExistsError as error:
        raise ImageError(_taken(target, name)) from error
    except OSError as error:
        raise ImageError(_unwritable(target, error, name, way_out)) from error
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()


def stale_temporary_files(folder: Path, mark: str) -> Iterator[Path]:
    """The temporary files with a mark that killed processes left in a folder."""
    return folder.glob(f".impasto-{mark}*.tmp")


def _same(one: Path, other: Path) -> bool:
    """Whether two paths lead to the same file, whether or not it exists."""
    with contextlib.suppress(OSError, ValueError):
        if os.path.samefile(one, other):
            return True
    return os.path.realpath(one) == os.path.realpath(other)


def _probe(target: Path) -> None:
    """Create and remove a file beside the target: permissions alone do not tell."""
    temporary = _temporary(target)
    os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    temporary.unlink()


def _temporary(target: Path, mark: str = "") -> Path:
    """A name beside the target that nothing else uses."""
    return target.with_name(f".impasto-{mark}{secrets.token_hex(8)}.tmp")


def _claim(temporary: Path, target: Path) -> None:
    """Move a file to a path that must be free, even if another process wants it too."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise
    except OSError:
        # No hard links on this file system: take the name first, then move onto it.
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        try:
            os.replace(temporary, target)
        except OSError:
            target.unlink(missing_ok=True)
            raise


def _taken(target: Path, name: str = "output") -> str:
    """The sentence for a file that is already there."""
    return (
        f"`{name}` must be a new file, got {target}, which exists; "
        "choose another name, or allow it to be overwritten"
    )


def _unwritable(
    target: Path, error: OSError, name: str = "output", way_out: str = "choose another"
) -> str:
    """The sentence for a place that cannot be written."""
    why = (error.strerror or str(error)).lower()
    return f"`{name}` must be a place that can be written, got {target}: {why}; {way_out}"
