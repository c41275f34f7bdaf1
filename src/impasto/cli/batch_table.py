"""How far a batch is, on stderr: a live table on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from impasto.cli.progress import format_duration

if TYPE_CHECKING:
    from impasto.batch.run import BatchProgress, OnProgress

_SHOWN = 8  # pictures being made, at most
_EVERY = 30.0  # seconds between lines where there is no terminal


@contextmanager
def show_batch(wanted: bool | None) -> Iterator[OnProgress]:
    """Show a batch on stderr.

    Args:
        wanted: True shows, False is silent, None shows only where stderr is a terminal.

    Returns:
        A context manager that gives the function to call with each `BatchProgress`.
    """
    terminal = sys.stderr.isatty()
    if wanted is False or (wanted is None and not terminal):
        yield lambda progress: None
    elif terminal:
        with _live() as draw:
            yield draw
    else:
        yield _lines()


def line(progress: BatchProgress) -> str:
    """A batch in a line.

    Example:
        >>> from impasto.batch.run import BatchProgress
        >>> line(BatchProgress(total=10, workers=2, done=5, made=4, seconds=8.0, each=[4.0] * 4))
        '5/10 done  2.0 s a picture  1800 an hour  0:10 left'
    """
    words = [f"{progress.done}/{progress.total} done"]
    words += [f"{progress.skipped} left alone"] if progress.skipped else []
    words += [f"{len(progress.failed)} failed"] if progress.failed else []
    if progress.made:
        words.append(f"{progress.seconds / progress.made:.1f} s a picture")
        words.append(f"{progress.an_hour:.0f} an hour")
    if progress.remaining is not None and progress.left:
        words.append(f"{format_duration(progress.remaining)} left")
    return "  ".join(words)


def _lines() -> OnProgress:
    """A line at the start, now and then, and at the end."""
    latest = -_EVERY

    def draw(progress: BatchProgress) -> None:
        nonlocal latest
        now = time.monotonic()
        if now - latest >= _EVERY or not progress.left:
            latest = now if progress.left else float("inf")
            click.echo(line(progress), err=True)

    return draw


@contextmanager
def _live() -> Iterator[OnProgress]:
    """A table that is drawn anew."""
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(stderr=True), refresh_per_second=4) as live:

        def draw(progress: BatchProgress) -> None:
            live.update(_table(progress))

        yield draw


def _table(progress: BatchProgress) -> Any:
    """The table: how far, what is being made, what failed last."""
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 1))
    ended = progress.total - progress.left
    table.add_row(ProgressBar(total=max(progress.total, 1), completed=ended, width=40))
    table.add_row(Text(line(progress)))
    for place in progress.running[:_SHOWN]:
        table.add_row(Text(f"making {place}", style="dim", overflow="ellipsis", no_wrap=True))
    for place, reason in list(progress.failed.items())[-3:]:
        table.add_row(Text(f"{place}: {reason}", style="red", overflow="ellipsis", no_wrap=True))
    return table
