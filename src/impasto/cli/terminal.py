"""Standard streams: opened where they are closed, and printed to without ever failing a run.

Everything that a command prints goes through `echo` and `echo_json`, which escape what a terminal
would obey: text of files and names of files come from anywhere.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import json
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any, TextIO

import click

from impasto.errors import join_some, printable

# What stands for a character that the terminal's encoding does not have; others are escaped.
_PLAIN = {
    "×": "x", "…": "...", "–": "-", "—": "-", "·": ".", "→": "->", "≤": "<=", "≥": ">=",
    "─": "-", "━": "-", "│": "|", "┃": "|", "╭": "+", "╮": "+", "╰": "+", "╯": "+",
}  # fmt: skip
_ERRORS = "impasto-plain"  # name of the error handler


def say_left_out(names: Sequence[str]) -> None:
    """Name on stderr the files of folders that are no pictures, if there are any."""
    if names:
        kind = "a file that is" if len(names) == 1 else f"{len(names):,} files that are"
        echo(f"impasto: left out {kind} no picture to read: {join_some(names)}", err=True)


class QuietStream:
    """A text stream like another, that drops what cannot be written: no run fails over progress."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write some text, or drop it."""
        try:
            return self._stream.write(text)
        except (OSError, ValueError):  # a ValueError where it is closed
            drop_output(self._stream)
            return len(text)

    def flush(self) -> None:
        """Flush the stream, or drop what it holds."""
        try:
            self._stream.flush()
        except (OSError, ValueError):
            drop_output(self._stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def standard_streams() -> Iterator[None]:
    """Give the process three standard streams that work, for as long as a command runs.

    A closed descriptor is opened on the null device, so that no file takes its number and then
    gets what is printed. Characters that a stream's encoding lacks are replaced, and an error of
    stderr is ignored.
    """
    before = sys.stdin, sys.stdout, sys.stderr
    _open_descriptors()
    codecs.register_error(_ERRORS, _replace_characters)
    with contextlib.ExitStack() as opened:
        for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
            stream = getattr(sys, name)
            if stream is None or stream.closed:
                stream = opened.enter_context(open(os.devnull, mode, encoding="utf-8"))
                setattr(sys, name, stream)
            elif mode == "w" and isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors=_ERRORS)
        sys.stderr = QuietStream(sys.stderr)
        try:
            yield
        finally:
            for stream in (sys.stdout, sys.stderr):
                QuietStream(stream).flush()
            sys.stdin, sys.stdout, sys.stderr = before


def is_null(stream: TextIO) -> bool:
    """Say whether a standard stream is the null device because it was closed."""
    return getattr(stream, "name", None) == os.devnull


def echo(text: str = "", *, lead: str = "", err: bool = False, **style: Any) -> None:
    """Print a line, with escapes for what a terminal would obey.

    Args:
        text: the line.
        lead: printed in front of it.
        err: print on stderr.
        style: of the lead, as for `click.style`.
    """
    start = click.style(printable(lead), **style) if style else printable(lead)
    click.echo(start + printable(text), file=sys.stderr if err else sys.stdout)


def echo_json(value: Any, *, err: bool = False, indent: int | None = None) -> None:
    """Print a value as JSON, in ASCII where the stream's encoding lacks a character."""
    stream = sys.stderr if err else sys.stdout
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    try:
        text.encode(getattr(stream, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(value, indent=indent)
    click.echo("\n".join(map(_printable_json, text.split("\n"))), file=stream)


def _printable_json(line: str) -> str:
    """Escape a line of JSON; what is to be escaped stands inside its strings."""
    if printable(line) == line:
        return line
    return "".join(
        character if printable(character) == character else json.dumps(character)[1:-1]
        for character in line
    )


def _open_descriptors() -> None:
    """Open the closed ones of the descriptors 0, 1 and 2 on the null device."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            os.dup2(opened, number)  # which child processes inherit
            if opened != number:
                os.close(opened)
            else:
                os.set_inheritable(number, True)


def drop_output(stream: TextIO) -> None:
    """Send what is printed to a stream from now on nowhere, also what it holds back."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


def _replace_characters(error: UnicodeError) -> tuple[str, int]:
    """Write characters that an encoding lacks in ASCII; an error handler of codecs."""
    characters = error.object[error.start : error.end]
    plain = (
        _PLAIN.get(character) or character.encode("ascii", "backslashreplace").decode()
        for character in characters
    )
    return "".join(plain), error.end
