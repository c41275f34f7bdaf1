"""Progress on stderr, and Ctrl-C: once finishes the step at hand, twice stops at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from impasto.cli.terminal import echo
from impasto.errors import printable
from impasto.jobs.load import FreeCores
from impasto.jobs.progress import throughput

if TYPE_CHECKING:
    from impasto.batch.run import BatchProgress, OnProgress
    from impasto.result import OnStep, Step

LINE_EVERY = 50  # evaluations between lines where there is no terminal to draw a bar on
BATCH_LINE_SECONDS = 30.0  # between lines of a batch where there is no terminal
LOSS_COLUMNS = 76  # a terminal must be this wide to show the losses too
_RUNNING_SHOWN = 8  # images being made, at most, in the table of a batch


@contextmanager
def interruptible(
    message: str = "stopping after this step; once more to stop at once",
) -> Iterator[threading.Event]:
    """Turn the first SIGINT or SIGTERM into a flag, and the second into KeyboardInterrupt.

    Args:
        message: printed on stderr at the first signal.

    Returns:
        A context manager that gives the flag; the earlier handlers come back at its end.

    Example:
        >>> with interruptible() as stop_requested:
        ...     signal.raise_signal(signal.SIGINT)
        ...     stop_requested.is_set()
        True
    """
    stop_requested = threading.Event()

    def handle(number: int, frame: FrameType | None) -> None:
        if stop_requested.is_set():
            raise KeyboardInterrupt
        stop_requested.set()
        # Not through sys.stderr: the signal may have come in the middle of a write to it.
        with suppress(OSError):
            os.write(2, f"\nimpasto: {message}\n".encode())

    if threading.current_thread() is not threading.main_thread():
        yield stop_requested  # only the main thread may set handlers
        return
    handlers = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop_requested
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def combine_watchers(stop_requested: threading.Event, *watchers: OnStep) -> OnStep:
    """Combine callbacks into one that raises StopIteration once a stop was requested.

    It also keeps the run to the cores that other programs leave.

    Example:
        >>> with interruptible() as stop_requested:
        ...     combine_watchers(stop_requested, print)("a step")
        a step
    """

    cores = FreeCores()

    def on_step(step: Step) -> None:
        for watcher in watchers:
            watcher(step)
        cores.adapt()
        if stop_requested.is_set():
            raise StopIteration

    return on_step


@contextmanager
def show_progress(enabled: bool | None, label: str = "", part: str = "scale") -> Iterator[OnStep]:
    """Show the steps of a run on stderr, and where a resumed run goes on.

    Args:
        enabled: True shows, False is silent, None shows steps only where stderr is a terminal.
        label: name of the run, where there are several.
        part: what a run is made of: scales, which may be resumed, or planes.

    Returns:
        A context manager that gives the function to call at every step.

    Example:
        >>> with show_progress(False) as draw:
        ...     pass
    """
    if enabled is False:
        yield lambda step: None
    elif sys.stderr.isatty():
        with _progress_bar(label, part) as draw:
            yield draw
    else:
        draw = _progress_lines(label, part) if enabled else lambda step: None
        yield draw if part == "plane" else _announce_resume(draw, label, _print_line)


@contextmanager
def show_batch(enabled: bool | None) -> Iterator[OnProgress]:
    """Show a batch on stderr: a live table on a terminal, a line now and then elsewhere.

    Args:
        enabled: True shows, False is silent, None shows only where stderr is a terminal.

    Returns:
        A context manager that gives the function to call with each `BatchProgress`.
    """
    terminal = sys.stderr.isatty()
    if enabled is False or (enabled is None and not terminal):
        yield lambda progress: None
    elif terminal:
        with Live(console=Console(stderr=True), refresh_per_second=4) as live:
            yield lambda progress: live.update(_batch_table(progress))
    else:
        yield _batch_lines()


def format_duration(seconds: float) -> str:
    """Write a time as minutes and seconds, with hours where there are any.

    Example:
        >>> format_duration(75.4), format_duration(3700)
        ('1:15', '1:01:40')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def format_batch(progress: BatchProgress) -> str:
    """Write the state of a batch in a line.

    Example:
        >>> from impasto.batch.run import BatchProgress
        >>> seconds = {"seconds": 8.0, "each": [4.0] * 4}
        >>> format_batch(BatchProgress(total=10, workers=2, done=5, made=4, **seconds))
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


def _print_line(line: str) -> None:
    echo(line, err=True)


def _announce_resume(draw: OnStep, label: str, announce: Callable[[str], None]) -> OnStep:
    """Announce where a resumed run goes on, before its first step is drawn."""
    first = True

    def watch(step: Step) -> None:
        nonlocal first
        if first and step.evaluation > 1:
            name = f"{label}: " if label else ""
            announce(
                f"impasto: {name}going on from evaluation {step.evaluation - 1} of "
                f"{step.evaluations}"
            )
        first = False
        draw(step)

    return watch


def _format_losses(step: Step, part: str) -> str:
    """Write the losses of a step, each term by its name; planes have one loss."""
    if step.losses is None:
        return ""
    terms = {name: value for name, value in step.losses.items() if name != "total"}
    if part == "plane" or not terms:
        return f"loss {step.losses['total']:.3g}"
    return " ".join(f"{name} {value:.3g}" for name, value in terms.items())


def _format_part(step: Step, part: str) -> str:
    """Write which scale or plane a step belongs to; what has one part needs no number."""
    return "" if part != "scale" and step.scales == 1 else f"{part} {step.scale}/{step.scales} "


def _progress_lines(label: str, part: str) -> OnStep:
    """Write a line at the first, every fiftieth and the last evaluation."""
    rate = throughput()
    start = f"{label}  " if label else ""
    first = True

    def draw(step: Step) -> None:
        nonlocal first
        speed = rate(step)
        if first or step.evaluation == step.evaluations or step.evaluation % LINE_EVERY == 0:
            first = False
            width, height = step.size
            cells = (
                f"{start}{_format_part(step, part)}{width}×{height}",
                f"{step.evaluation}/{step.evaluations}",
                _format_losses(step, part),
                f"{speed:.3g}/s",
                f"{format_duration(step.left / speed)} left",
            )
            _print_line("  ".join(filter(None, cells)))

    return draw


@contextmanager
def _progress_bar(label: str, part: str) -> Iterator[OnStep]:
    console = Console(stderr=True)
    losses = [TextColumn("[dim]{task.fields[losses]}")] if console.width >= LOSS_COLUMNS else []
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        *losses,
        TextColumn("{task.fields[left]}"),
        console=console,
        refresh_per_second=4,
        expand=True,
    )
    task = progress.add_task(f"{label} getting ready".lstrip(), total=None, losses="", left="")
    rate = throughput()

    def draw(step: Step) -> None:
        speed = rate(step)
        width, height = step.size
        place = _format_part(step, part).removeprefix("scale ")
        progress.update(
            task,
            total=step.evaluations,
            completed=step.evaluation,
            description=f"{label} {place}{width}×{height}".lstrip(),
            losses=_format_losses(step, part),
            left=f"{speed:.3g}/s {format_duration(step.left / speed)} left",
        )

    with progress:
        announce = partial(console.print, highlight=False)
        yield draw if part == "plane" else _announce_resume(draw, label, announce)


def _batch_lines() -> OnProgress:
    """Write a line at the start, now and then, and at the end."""
    latest = -BATCH_LINE_SECONDS

    def draw(progress: BatchProgress) -> None:
        nonlocal latest
        now = time.monotonic()
        if now - latest >= BATCH_LINE_SECONDS or not progress.left:
            latest = now if progress.left else float("inf")
            _print_line(format_batch(progress))

    return draw


def _batch_table(progress: BatchProgress) -> Table:
    """Build a table of how far a batch is, what is being made and what failed last."""
    table = Table.grid(padding=(0, 1))
    ended = progress.total - progress.left
    table.add_row(ProgressBar(total=max(progress.total, 1), completed=ended, width=40))
    table.add_row(Text(format_batch(progress)))
    for place in progress.running[:_RUNNING_SHOWN]:
        line = printable(f"making {place}")
        table.add_row(Text(line, style="dim", overflow="ellipsis", no_wrap=True))
    for place, reason in list(progress.failed.items())[-3:]:
        line = printable(f"{place}: {reason}")
        table.add_row(Text(line, style="red", overflow="ellipsis", no_wrap=True))
    return table
