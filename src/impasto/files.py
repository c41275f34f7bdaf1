"""Check output paths before the work, write files atomically after it, and hash files."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickletools
import secrets
import shutil
import tempfile
import unicodedata
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from impasto.errors import ImageError

# Called with another place that a file was written to, and why its own could not be.
OnRescue = Callable[[Path, Exception], None]

_MAX_NAME = 255  # characters, as provenance takes them
# Of the form of PyTorch's files before they were archives: pickles in front of the numbers.
_PICKLES, _PROTOCOL = 5, 2


def check_writable(
    path: str | Path, *, overwrite: bool = False, inputs: Iterable[Any] = (), name: str = "output"
) -> Path:
    """Make sure that a file of any kind can be written, before any work is done.

    Args:
        path: where to write.
        overwrite: allow a file that exists to be replaced.
        inputs: images read by the same run; paths among them may not be written to, not even
            with `overwrite`. Anything else among them is ignored.
        name: the argument's name in errors.

    Returns:
        The path.

    Raises:
        ImageError: the folder is missing or cannot be written, or the file is an input, or
            exists.

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
            if isinstance(other, str | Path) and _is_input(target, Path(other)):
                raise ImageError(
                    f"`{name}` must not be one of the inputs, got {path}; choose another name"
                )
        if target.exists():
            if not target.is_file():
                raise ImageError(
                    f"`{name}` must be a file, got {path}, a device; choose another name"
                )
            if not overwrite:
                raise ImageError(_file_exists(target, name))
        real = Path(os.path.realpath(target))
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            real.lstat()  # fails if the name is too long
        if not real.parent.is_dir():
            raise ImageError(
                f"`{name}` must be in a folder that exists, got {path}; create {real.parent} first"
            )
        _try_creating(real)
    except OSError as error:
        raise ImageError(_unwritable(target, error, name)) from error
    return target


def check_space(path: str | Path, least: int, name: str = "output") -> None:
    """Refuse a file for which the disk has no room, before any work is done.

    Args:
        path: where to write, in a folder that exists.
        least: bytes that the file takes at least.
        name: the argument's name in errors.

    Raises:
        ImageError: fewer bytes are free.
    """
    with contextlib.suppress(OSError):  # a file system that does not say
        usage = shutil.disk_usage(Path(os.path.realpath(path)).parent)
        if usage.total and usage.free < least:
            raise ImageError(
                f"`{name}` must be where at least {least:,} bytes are free, got {path} with "
                f"{usage.free:,}; make room, or choose another disk"
            )


def ensure_directory(folder: str | Path, name: str = "folder") -> Path:
    """Create a folder if it is missing, and make sure that files can be written in it.

    Args:
        folder: the folder; missing parents are created too.
        name: the argument's name in errors.

    Returns:
        The folder.

    Raises:
        ImageError: the path is a file, or the folder cannot be created or written.
    """
    path = Path(folder)
    try:
        path.mkdir(parents=True, exist_ok=True)
        _try_creating(path / "probe")
    except (FileExistsError, NotADirectoryError):
        raise ImageError(
            f"`{name}` must be a folder, got {folder}, where a file stands; choose another name"
        ) from None
    except OSError as error:
        raise ImageError(_unwritable(path, error, name)) from None
    return path


def write_atomically(data: bytes, target: Path, *, overwrite: bool) -> Path:
    """Write a file in one step; nothing is left behind if that fails."""
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
    nameless: bool = False,
) -> Iterator[Path]:
    """Provide a temporary path that becomes a file in one step; nothing is left behind on failure.

    Args:
        target: the file's path in the end.
        overwrite: replace a file that exists.
        mark: start of the temporary name, after `.impasto-`.
        name: the target's name in errors.
        way_out: the end of the error if it cannot be written.
        nameless: give the file no name before it is whole, where the system can, so that a killed
            process leaves nothing either; for work that takes long. Its path is then no place
            beside which something could be written.

    Returns:
        A context manager with a temporary path next to the target, to be written in its block; at
        the end the file is flushed to disk and takes the target's place.

    Raises:
        ImageError: the path cannot be written, or exists and `overwrite` is False.
    """
    real = Path(os.path.realpath(target))
    temporary = _temporary(real, mark)
    try:
        with _nameless_file(real.parent) if nameless else contextlib.nullcontext() as unnamed:
            yield unnamed or temporary
            with open(unnamed or temporary, "r+b") as file:
                os.fsync(file.fileno())
            if unnamed:
                _give_name(unnamed, temporary)
        if overwrite:
            os.replace(temporary, real)
        else:
            _move_to_free_path(temporary, real)
    except FileExistsError as error:
        raise ImageError(_file_exists(target, name)) from error
    except OSError as error:
        raise ImageError(_unwritable(target, error, name, way_out)) from error
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()


def write_or_rescue(
    write: Callable[[Path, bool], object],
    target: Path,
    on_rescue: OnRescue,
    *,
    overwrite: bool = False,
) -> Path:
    """Write a finished work to its place, or to another before it is lost.

    Args:
        write: writes the file to a path, replacing one that exists if its second argument says so.
        target: the place.
        on_rescue: called if another place had to be taken.
        overwrite: replace a file that exists at the target; none is ever replaced elsewhere.

    Returns:
        Where the file is.

    Raises:
        ImageError, OSError: neither the target nor any other place could be written.
    """
    try:
        write(target, overwrite)
    except (ImageError, OSError) as error:
        return rescue(write, target, error, on_rescue)
    return target


def rescue(
    write: Callable[[Path, bool], object], target: Path, error: Exception, on_rescue: OnRescue
) -> Path:
    """Write a finished work to the first other place that takes it, and return where it is.

    Args:
        write: as for `write_or_rescue`.
        target: the place that does not take it.
        error: why; raised if no place does.
        on_rescue: called with the place.
    """
    for path in rescue_paths(target):
        with contextlib.suppress(ImageError, OSError):
            write(path, False)
            on_rescue(path, error)
            return path
    raise error


def rescue_paths(target: Path) -> Iterator[Path]:
    """Yield free paths where a file may go whose own place cannot be written any more.

    They are in the same folder, its parent, the current folder, the home folder and the folder
    for temporary files, and named like the file, with a number if such a file exists.
    """
    folders = [target.parent]
    places = (lambda: target.absolute().parent.parent, Path.cwd, Path.home, tempfile.gettempdir)
    for place in places:
        # There may be no current folder any more, no home, no place for temporary files.
        with contextlib.suppress(OSError, RuntimeError):
            folders.append(Path(place()))
    for folder in dict.fromkeys(folders):
        with contextlib.suppress(OSError):
            if folder.is_dir():
                yield _free_path(folder / target.name)


def file_sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal digits; OSError if it is unreadable."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def matches_mark(target: Path, mark: Path) -> bool:
    """Return whether a file is the one whose hash was noted in another before it was written.

    A kill that comes when the file is in its place is so told from a file of somebody else's.

    Args:
        target: the file.
        mark: holds the hash.
    """
    try:
        return mark.read_bytes() == file_sha256(target).encode()
    except OSError:
        return False


def recorded_name(name: str) -> str | None:
    r"""Return a file's name as provenance can hold it; None where nothing is left of it.

    Slashes, control characters, line breaks and bytes that are not UTF-8 become U+FFFD, the
    replacement character.

    Example:
        >>> recorded_name("a\\b\n.png")
        'a�b�.png'
    """
    cleaned = "".join(
        "\ufffd"
        if character in "/\\" or unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")
        else character
        for character in name
    )
    return cleaned[:_MAX_NAME] or None


def stale_temporary_files(folder: Path, mark: str) -> Iterator[Path]:
    """List the temporary files with a mark that killed processes left in a folder."""
    return folder.glob(f".impasto-{mark}*.tmp")


def _free_path(path: Path) -> Path:
    """Return a path that does not exist: this one, or with the first free number."""
    number, free = 0, path
    while os.path.lexists(free):
        number += 1
        free = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return free


def _is_input(path: Path, other: Path) -> bool:
    """Return True if a path leads to an input, or to a file in a folder that is one."""
    if _is_same_file(path, other):
        return True
    with contextlib.suppress(OSError, ValueError):
        return path.exists() and other.is_dir() and _is_same_file(path.parent, other)
    return False


def _is_same_file(path: Path, other: Path) -> bool:
    """Return True if two paths lead to the same file, which need not exist."""
    with contextlib.suppress(OSError, ValueError):
        if os.path.samefile(path, other):
            return True
    return os.path.realpath(path) == os.path.realpath(other)


def _try_creating(target: Path) -> None:
    """Create and remove a file next to the target: permissions alone are no proof."""
    temporary = _temporary(target)
    os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    temporary.unlink()


def _temporary(target: Path, mark: str = "") -> Path:
    """Return a path next to the target that nothing else uses."""
    return target.with_name(f".impasto-{mark}{secrets.token_hex(8)}.tmp")


@contextlib.contextmanager
def _nameless_file(folder: Path) -> Iterator[Path | None]:
    """Provide the path of a file in a folder that is gone when it is closed; None without such."""
    try:
        descriptor = os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o666)
    except (AttributeError, OSError):  # not on this system, or not in this folder
        yield None
        return
    try:
        path = Path(f"/proc/self/fd/{descriptor}")
        yield path if path.exists() else None
    finally:
        os.close(descriptor)


def _give_name(unnamed: Path, path: Path) -> None:
    """Give a nameless file a path, or copy it there where it cannot have one."""
    try:
        # Python's own `os.link` would link the symbolic link that `unnamed` is.
        parent = os.open(path.parent, os.O_RDONLY)
        try:
            os.link(unnamed, path.name, dst_dir_fd=parent, follow_symlinks=True)
        finally:
            os.close(parent)
    except (OSError, NotImplementedError):
        shutil.copyfile(unnamed, path)


def _move_to_free_path(temporary: Path, target: Path) -> None:
    """Move a file to a path that must be free, even if another process creates it meanwhile."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise
    except OSError:
        # No hard links on this file system: create the name first, then replace it.
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        try:
            os.replace(temporary, target)
        except OSError:
            target.unlink(missing_ok=True)
            raise


def _file_exists(target: Path, name: str = "output") -> str:
    """Word the error for a file that exists."""
    return (
        f"`{name}` must be a new file, got {target}, which exists; "
        "choose another name, or allow it to be overwritten"
    )


def _unwritable(
    target: Path, error: OSError, name: str = "output", way_out: str = "choose another"
) -> str:
    """Word the error for a path that cannot be written."""
    reason = (error.strerror or str(error)).lower()
    return f"`{name}` must be a place that can be written, got {target}: {reason}; {way_out}"


def check_pickles(path: Path) -> None:
    """Refuse pickles of other protocols than PyTorch writes, about which it warns the terminal.

    Raises:
        Exception: the file is broken.
    """
    with contextlib.ExitStack() as stack:
        if zipfile.is_zipfile(path):
            archive = stack.enter_context(zipfile.ZipFile(path))
            names = [name for name in archive.namelist() if name.endswith("data.pkl")]
            streams = [stack.enter_context(archive.open(name)) for name in names]
        else:
            streams = [stack.enter_context(open(path, "rb"))] * _PICKLES
        for stream in streams:
            for operation, argument, _ in pickletools.genops(stream):
                if operation.name == "PROTO" and argument != _PROTOCOL:
                    raise ValueError(f"its pickle has protocol {argument}, not {_PROTOCOL}")
