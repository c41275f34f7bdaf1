"""Files of a batch: on this machine, or anywhere that fsspec reaches.

A path here may be a URL such as `s3://bucket/folder/photo.png`; `file://` is a local path.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from urllib.parse import unquote

from impasto.errors import ImageError, join_some
from impasto.images.clip_names import is_video
from impasto.images.formats import HEAD_BYTES, describe_left_out, is_passed_over, is_picture

TIFF_ENDINGS = (".tif", ".tiff")
_WILDCARDS = "*?["


class FileStamp(NamedTuple):
    """Size and time of a file: another stamp means that it has changed."""

    size: int
    changed: str


class ListedFile(NamedTuple):
    """A file, and its path relative to the source that it was listed from."""

    path: str
    relative: str


class Listing(NamedTuple):
    """The files of a source: its images, and the names of the others, with what they are."""

    images: list[ListedFile]
    left_out: list[str]


def is_remote(path: str) -> bool:
    """Return True if a path is reached through fsspec.

    Example:
        >>> is_remote("s3://bucket/a.png"), is_remote("file:///tmp/a.png"), is_remote("a.png")
        (True, False, False)
    """
    return "://" in path and not path.startswith("file://")


def local_path(path: str) -> str:
    """Return a `file://` URL as a path; other paths and URLs stay as they are.

    Example:
        >>> local_path("file:///tmp/a%20b.png")
        '/tmp/a b.png'
    """
    return unquote(path.removeprefix("file://")) if path.startswith("file://") else path


def join(folder: str, relative: str) -> str:
    """Return the path of a file inside a folder.

    Example:
        >>> join("s3://bucket/out/", "a/b.png")
        's3://bucket/out/a/b.png'
    """
    if is_remote(folder):
        return f"{folder.rstrip('/')}/{relative}"
    return os.path.join(folder, relative)


def file_name(path: str) -> str:
    """Return a file's name without its folder."""
    return posixpath.basename(path) if is_remote(path) else os.path.basename(path)


def list_images(source: str, name: str, *, videos: bool = False) -> Listing:
    """List the images of a file, a folder or a pattern, sorted by name.

    In folders, images are recognized by ending or by content.

    Args:
        source: a file; a folder, for every image in it and its subfolders; or a pattern with
            * ? or [ ], and ** for subfolders.
        name: the name that errors use.
        videos: list videos, told by their endings, too.

    Raises:
        ImageError: there are none, or a folder cannot be read.
    """
    source = local_path(source)
    try:
        list_files = _list_remote if is_remote(source) else _list_local
        listing = list_files(source, videos)
    except OSError as error:  # of a folder that may not be read, or a network
        raise ImageError(
            f"`{name}` must be a place that can be read, got {error.filename or source}: "
            f"{_reason(error)}; choose another"
        ) from None
    if not listing.images:
        others = f" but {join_some(listing.left_out)}" if listing.left_out else ""
        raise ImageError(
            f"`{name}` must be a picture, a folder of pictures or a pattern, got {source}, where "
            f"none was found{others}; choose another"
        )
    return listing


def file_stamp(path: str) -> FileStamp | None:
    """Return a file's stamp; None if there is no file.

    Example:
        >>> file_stamp("there/is/none.png")
    """
    if is_remote(path):
        system, inner = _file_system(path)
        if not system.exists(inner):
            return None
        info = system.info(inner)
        keys = ("ETag", "etag", "md5Hash", "mtime", "LastModified", "last_modified", "created")
        changed = next((info[key] for key in keys if info.get(key)), "")
        return FileStamp(int(info.get("size") or 0), str(changed))
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return FileStamp(status.st_size, str(status.st_mtime_ns))


@contextmanager
def download(path: str) -> Iterator[str]:
    """Give a file as a local path with the same name; a copy if it is remote.

    Raises:
        ImageError: it cannot be read.
    """
    if not is_remote(path):
        yield path
        return
    with TemporaryDirectory(prefix="impasto-") as folder:
        copy = os.path.join(folder, file_name(path))
        try:
            system, inner = _file_system(path)
            system.get_file(inner, copy)
        except Exception as error:  # each back end has errors of its own
            raise ImageError(f"{path} must be readable, got {_reason(error)}") from error
        yield copy


@contextmanager
def download_all(paths: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Give several files, by role, as local paths."""
    with ExitStack() as stack:
        yield {role: stack.enter_context(download(path)) for role, path in paths.items()}


def upload(file: str, path: str) -> None:
    """Move a finished file to its path, in one step.

    Args:
        file: the file; on the file system of `path` if that is local.
        path: a file there is replaced.

    Raises:
        ImageError: `path` cannot be written.
    """
    try:
        if is_remote(path):
            system, inner = _file_system(path)
            system.put_file(file, inner)  # object stores write whole files or nothing
            return
        with open(file, "r+b") as opened:
            os.fsync(opened.fileno())
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        os.replace(file, path)
    except Exception as error:
        raise ImageError(
            f"`output` must be a place that can be written, got {path}: {_reason(error)}; choose "
            "another"
        ) from error


def temporary_directory(output: str, manifest: str | None = None) -> str:
    """Return the folder for unfinished files, inside the output folder; empty if that is remote.

    Two batches into one folder have a manifest each, and so a temporary folder each.

    Example:
        >>> temporary_directory("out"), temporary_directory("s3://bucket/out")
        ('out/.impasto-work/own', '')
    """
    if is_remote(output):
        return ""
    name = hashlib.sha256(os.path.realpath(manifest).encode()).hexdigest() if manifest else "own"
    return os.path.join(output, ".impasto-work", name[:12])


def clean_temporary_directory(folder: str) -> None:
    """Remove a temporary folder, with the files that killed workers left in it."""
    if folder:
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):  # another batch may have its folder in there
            os.rmdir(os.path.dirname(folder))


def _list_local(source: str, videos: bool) -> Listing:
    path = Path(source)
    if os.path.isdir(path):
        files = [
            ListedFile(str(file), file.relative_to(path).as_posix()) for file in walk_files(path)
        ]
        return sort_out(files, read_local_head, videos)
    if os.path.exists(path) or not any(mark in source for mark in _WILDCARDS):
        return Listing([ListedFile(source, path.name)], [])  # a missing file fails later, alone
    base, parts = _split_pattern(path)
    typed = "/".join(parts)
    # Brackets are rarely meant as sets of characters: `*/[2024].png` may be names as they are.
    for pattern in dict.fromkeys((typed, typed.replace("[", "[[]"))):
        paths = [
            file
            for file in sorted(base.glob(pattern))
            if not is_passed_over(file.name) and file.is_file()
        ]
        if paths:
            break
    files = [ListedFile(str(file), file.relative_to(base).as_posix()) for file in paths]
    return sort_out(files, read_local_head, videos)


def _split_pattern(path: Path) -> tuple[Path, list[str]]:
    """Split a pattern before its first wildcard; a folder that has such a name is none."""
    base, parts = Path(path.anchor), list(path.parts[1:] if path.anchor else path.parts)
    while len(parts) > 1:
        part = parts[0]
        if any(mark in part for mark in _WILDCARDS) and not os.path.exists(base / part):
            break
        base, parts = base / part, parts[1:]
    return base, parts


def _fixed_parts(parts: tuple[str, ...]) -> list[str]:
    """Return the folders of a pattern before its first wildcard."""
    fixed = []
    for part in parts[:-1]:
        if any(mark in part for mark in _WILDCARDS):
            break
        fixed.append(part)
    return fixed


def walk_files(
    folder: Path, *, without: str = "", on_error: Callable[[OSError], None] | None = None
) -> Iterator[Path]:
    """Yield the files of a folder and its subfolders, except hidden and unfinished ones.

    Args:
        folder: where to look.
        without: a subfolder to leave out, as a real path.
        on_error: called for a folder that cannot be read; None raises.
    """
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        if on_error is None:
            raise
        on_error(error)
        return
    for entry in entries:
        if is_passed_over(entry.name):
            continue
        if entry.is_dir(follow_symlinks=False):
            if not without or os.path.realpath(entry.path) != without:
                yield from walk_files(Path(entry.path), without=without, on_error=on_error)
        elif entry.is_file() or entry.is_symlink():
            yield Path(entry.path)


def read_local_head(path: str) -> bytes:
    """Read the bytes of a file on this machine that tell its format."""
    with open(path, "rb") as file:
        return file.read(HEAD_BYTES)


def sort_out(files: list[ListedFile], read_head: Callable[[str], bytes], videos: bool) -> Listing:
    """Separate images, and videos if they are asked for, from other files."""
    listing = Listing([], [])
    for file in files:
        name, head = file_name(file.path), partial(read_head, file.path)
        if (videos and is_video(name)) or is_picture(name, head):
            listing.images.append(file)
        else:
            listing.left_out.append(describe_left_out(file.path, head))
    return listing


def _list_remote(source: str, videos: bool) -> Listing:
    system, path = _file_system(source)
    scheme, inner = source.split("://", 1)
    if any(mark in source for mark in _WILDCARDS) and not system.exists(path):
        base = posixpath.join(*_fixed_parts(tuple(inner.split("/"))), "")
        paths = system.glob(path)
    elif system.isdir(path):
        base, paths = path.rstrip("/") + "/", system.find(path)
    else:
        return Listing([ListedFile(source, file_name(source))], [])
    files = [
        ListedFile(f"{scheme}://{file}", file.lstrip("/").removeprefix(base.lstrip("/")))
        for file in sorted(paths)
        if not is_passed_over(posixpath.basename(file))
    ]

    def read_head(path: str) -> bytes:
        try:
            with system.open(path.split("://", 1)[1], "rb") as file:
                return file.read(HEAD_BYTES)
        except Exception as error:  # each back end has errors of its own
            raise OSError(_reason(error)) from error

    return sort_out(files, read_head, videos)


def _file_system(url: str) -> tuple[Any, str]:
    """Return the file system that a URL names, and the path in it."""
    import fsspec

    scheme = url.split("://")[0]
    try:
        return fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise ImageError(
            f"{scheme}:// must have its back end installed, got none: {_reason(error)}"
        ) from None
    except ValueError as error:
        raise ImageError(f"{url} must be a URL that fsspec knows, got {_reason(error)}") from None


def _reason(error: BaseException) -> str:
    """Say in one line what went wrong."""
    message = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(message.split())
