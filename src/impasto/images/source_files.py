"""The bytes of a picture, wherever they come from, and the one sentence that refuses it."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from impasto.errors import ImageFileError
from impasto.images.formats import CHOICES


def read_bytes(source: Any, name: str) -> tuple[bytes, str]:
    """A picture file's bytes, and what to call it in a sentence.

    Args:
        source: a path, the bytes themselves, or a file open for reading bytes.
        name: what errors call the argument.

    Raises:
        ImageError: there is no such file, or it cannot be read.
        TypeError: a file open for text, or anything else.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source), f"{len(source):,} bytes"
    if isinstance(source, str | Path):
        return read_with(source, name, Path.read_bytes), str(source) or "''"
    label = str(getattr(source, "name", "a stream"))
    try:
        data = source.read()
    except OSError as error:
        raise unreadable_file(name, label, error.strerror or str(error)) from error
    if not isinstance(data, bytes):
        raise TypeError(
            f"`{name}` must be a file of bytes, got {label} open for text; use mode 'rb'"
        )
    return data, label


def file_sha256(path: str | Path) -> str:
    """SHA-256 of a file's bytes; the errors of opening it are left as they are."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def unreadable_file(
    name: str, what: str, why: str, *, kind: str = "picture", way_out: str = CHOICES
) -> ImageFileError:
    """Return the error that refuses a file."""
    return ImageFileError(name, f"be a readable {kind}", what, f": {why}; {way_out}")


def read_with(path: str | Path, name: str, read: Callable[[Path], bytes], **words: str) -> bytes:
    """What a function reads from a regular file or a pipe.

    Args:
        path: of the file.
        name: what errors call it.
        read: the function.
        words: what else `unreadable_file` takes.

    Raises:
        ImageError: there is no such file, or it cannot be read.
    """
    label = str(path) or "''"
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            raise unreadable_file(name, label, "it is a folder", **words)
        if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
            raise unreadable_file(name, label, "it is a device, not a file", **words)
        return read(Path(path))
    except (FileNotFoundError, NotADirectoryError):
        why = "there is no such file"
    except OSError as error:
        why = (error.strerror or str(error)).lower()
    except ValueError:  # a null byte in the path
        why = "there is no such file"
    raise unreadable_file(name, label, why, **words)
