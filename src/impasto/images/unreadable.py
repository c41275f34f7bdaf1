"""Why a file cannot be read: raised where that is noticed, worded where the file has a name."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from impasto.errors import ImageFileError
from impasto.images.formats import CHOICES


class Unreadable(Exception):
    """The reason why a file cannot be read, worded to end a sentence, and perhaps a way out.

    Only used inside this package: `refusing` turns it into an `ImageFileError`.
    """


@contextlib.contextmanager
def decoding(reason: str) -> Iterator[None]:
    """Turn whatever a decoder raises on a broken file into `Unreadable(reason)`."""
    try:
        yield
    except (Unreadable, MemoryError):
        raise
    # A hostile file can make decoders raise anything.
    except Exception as error:
        raise Unreadable(reason) from error


@contextlib.contextmanager
def refusing(name: str, label: str, **words: str) -> Iterator[None]:
    """Turn `Unreadable` into the `ImageFileError` that refuses a file.

    Args:
        name: the argument's name in the error.
        label: the file's name in the error.
        words: `kind` and `way_out` of `unreadable_file`; a way out inside the exception wins.
    """
    try:
        yield
    except Unreadable as error:
        reason, *way_out = error.args
        if way_out:
            words["way_out"] = way_out[0]
        raise unreadable_file(name, label, reason, **words) from error


def unreadable_file(
    name: str, label: str, reason: str, *, kind: str = "picture", way_out: str = CHOICES
) -> ImageFileError:
    """Return the error that refuses a file."""
    return ImageFileError(name, f"be a readable {kind}", label, f": {reason}; {way_out}")
