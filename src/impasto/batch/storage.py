"""Where a batch's pictures lie: files of this machine, or of anything that fsspec reaches.

A place is a path, or a URL such as `s3://bucket/folder/photo.png`; `file://` is a path.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from urllib.parse import unquote

from impasto.errors import ImageError
from impasto.images.formats import ENDINGS

_GLOB = "*?["


class Stamp(NamedTuple):
    """What tells a file from what it was, without reading it."""

    size: int
    changed: str


class Found(NamedTuple):
    """A picture, and its place below what was asked for."""

    place: str
    below: str


def is_remote(place: str) -> bool:
    """Whether a place is reached through fsspec.

    Example:
        >>> is_remote("s3://bucket/a.png"), is_remote("file:///tmp/a.png"), is_remote("a.png")
        (True, False, False)
    """
    return "://" in place and not place.startswith("file://")


def local(place: str) -> str:
    """A place of this machine as a path; a URL of another stays as it is.

    Example:
        >>> local("file:///tmp/a%20b.png")
        '/tmp/a b.png'
    """
    return unquote(place.removeprefix("file://")) if place.startswith("file://") else place


def join(folder: str, below: str) -> str:
    """A place inside a folder.

    Example:
        >>> join("s3://bucket/out/", "a/b.png")
        's3://bucket/out/a/b.png'
    """
    return f"{folder.rstrip('/')}/{below}" if is_remote(folder) else os.path.join(folder, below)


def name_of(place: str) -> str:
    """A file's name without its folder."""
    return posixpath.basename(place) if is_remote(place) else os.path.basename(place)


def pictures(source: str, name: str) -> list[Found]:
    """The pictures that a file, a folder or a pattern stands for, by name.

    Args:
        source: a file as it is; a folder for every picture in it and in its folders; a pattern
            with * ? or [ ] for what matches it, ** for folders too.
        name: what errors call it.

    Raises:
        ImageError: there is none.
    """
    source = local(source)
    found = _far(source) if is_remote(source) else _near(source)
    if not found:
        raise ImageError(
            f"`{name}` must be a picture, a folder of pictures or a pattern, got {source}, where "
            "none was found; choose another"
        )
    return found


def stamp(place: str) -> Stamp | None:
    """What a file looks like from outside; None where there is none.

    Example:
        >>> stamp("there/is/none.png")
    """
    if is_remote(place):
        system, path = _system(place)
        if not system.exists(path):
            return None
        told = system.info(path)
        marks = ("ETag", "etag", "md5Hash", "mtime", "LastModified", "last_modified", "created")
        mark = next((told[key] for key in marks if told.get(key)), "")
        return Stamp(int(told.get("size") or 0), str(mark))
    try:
        told = os.stat(place)
    except (OSError, ValueError):
        return None
    return Stamp(told.st_size, str(told.st_mtime_ns))


@contextmanager
def download(place: str) -> Iterator[str]:
    """A file as a path of this machine, under its own name; a copy where it lies elsewhere.

    Raises:
        ImageError: it cannot be read.
    """
    if not is_remote(place):
        yield place
        return
    with TemporaryDirectory(prefix="impasto-") as folder:
        here = os.path.join(folder, name_of(place))
        try:
            system, path = _system(place)
            system.get_file(path, here)
        except Exception as error:  # each back end has errors of its own
            raise ImageError(f"{place} must be readable, got {_why(error)}") from error
        yield here


def upload(here: str, place: str) -> None:
    """Put a finished file where it belongs, in one step.

    Args:
        here: the file, on the file system that `place` is on where that is this machine's.
        place: where to; what is there is replaced.

    Raises:
        ImageError: the place cannot be written.
    """
    try:
        if is_remote(place):
            system, path = _system(place)
            system.put_file(here, path)  # whole or not at all: so object stores do it
            return
        with open(here, "r+b") as file:
            os.fsync(file.fileno())
        os.makedirs(os.path.dirname(os.path.abspath(place)), exist_ok=True)
        os.replace(here, place)
    except Exception as error:
        raise ImageError(
            f"`output` must be a place that can be written, got {place}: {_why(error)}; choose "
            "another"
        ) from error


def temporary_directory(output: str, manifest: str | None = None) -> str:
    """The folder that holds what is being written, beside what is done; none for other machines.

    Batches that write into one folder have a manifest each, and so a workshop each.

    Example:
        >>> temporary_directory("out"), temporary_directory("s3://bucket/out")
        ('out/.impasto-work/own', '')
    """
    if is_remote(output):
        return ""
    named = hashlib.sha256(os.path.realpath(manifest).encode()).hexdigest() if manifest else "own"
    return os.path.join(output, ".impasto-work", named[:12])


def clean_temporary_directory(room: str) -> None:
    """Remove a workshop, with what killed workers left in it."""
    if room:
        shutil.rmtree(room, ignore_errors=True)
        with suppress(OSError):  # another batch may be at work beside it
            os.rmdir(os.path.dirname(room))


def _near(source: str) -> list[Found]:
    """The pictures of this machine."""
    path = Path(source)
    if path.is_dir():
        return [Found(str(p), p.relative_to(path).as_posix()) for p in _walked(path)]
    if path.exists() or not any(mark in source for mark in _GLOB):
        return [Found(source, path.name)]  # one that is missing is a failure of its own, later
    base = Path(path.anchor or ".")
    pattern = str(path.relative_to(path.anchor)) if path.anchor else source
    stem = Path(*_plain(Path(pattern).parts))
    return [
        Found(str(found), found.relative_to(base / stem).as_posix())
        for found in sorted(base.glob(pattern))
        if _is_picture(found.name) and found.is_file()
    ]


def _plain(parts: tuple[str, ...]) -> list[str]:
    """The folders of a pattern before its first wildcard."""
    plain = []
    for part in parts[:-1]:
        if any(mark in part for mark in _GLOB):
            break
        plain.append(part)
    return plain


def _walked(folder: Path) -> Iterator[Path]:
    """The picture files of a folder and its folders, hidden ones left out."""
    entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _walked(Path(entry.path))
        elif _is_picture(entry.name) and (entry.is_file() or entry.is_symlink()):
            yield Path(entry.path)


def _far(source: str) -> list[Found]:
    """The pictures of another machine."""
    system, path = _system(source)
    scheme = source.split("://")[0]
    if any(mark in source for mark in _GLOB):
        inner = source.split("://")[1]
        base = posixpath.join(*_plain(tuple(inner.split("/"))), "")
        places = system.glob(path)
    elif system.isdir(path):
        base, places = path.rstrip("/") + "/", system.find(path)
    else:
        return [Found(source, name_of(source))]
    return [
        Found(f"{scheme}://{place}", place.lstrip("/").removeprefix(base.lstrip("/")))
        for place in sorted(places)
        if _is_picture(posixpath.basename(place))
    ]


def _is_picture(name: str) -> bool:
    """Whether a name ends like a picture's."""
    return os.path.splitext(name)[1].lower() in ENDINGS and not name.startswith(".")


def _system(place: str) -> tuple[Any, str]:
    """The file system a URL names, and the path in it."""
    import fsspec

    scheme = place.split("://")[0]
    try:
        return fsspec.core.url_to_fs(place)
    except ImportError as error:
        raise ImageError(
            f"{scheme}:// must have its back end installed, got none: {_why(error)}"
        ) from None
    except ValueError as error:
        raise ImageError(f"{place} must be a URL that fsspec knows, got {_why(error)}") from None


def _why(error: BaseException) -> str:
    """What an error says, in a line."""
    strerror = getattr(error, "strerror", None)
    return " ".join((strerror or str(error) or type(error).__name__).split())
