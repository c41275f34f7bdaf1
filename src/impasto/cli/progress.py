"""Progress on stderr: a live bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import click

from impasto.pace import throughput
from impasto.result import OnStep, Step

LINE_EVERY = 50  # evaluations, where there is no terminal to draw a bar on
ROOMY = 76  # columns a terminal must have to show the losses too


@contextmanager
def show_progress(wanted: bool | None, label: str = "", part: str = "scale") -> Iterator[OnStep]:
    """Show the steps of a run on stderr, and where it goes on if it does not begin at the start.

    Args:
        wanted: True shows, False is silent, None shows steps only where stderr is a terminal.
        label: what to call the run, where there are several.
        part: what a run is made of: scales, which may go on where they were left, or planes.

    Returns:
        A context manager that gives the function to call at every step.

    Example:
        >>> with show_progress(False) as draw:
        ...     pass
    """
    terminal = sys.stderr.isatty()
    if wanted is False:
        yield lambda step: None
    elif terminal:
        with _bar(label, part) as draw:
            yield draw
    else:
        lines = _lines(label, part) if wanted else lambda step: None
        say = partial(click.echo, err=True)
        yield lines if part == "plane" else _announced(lines, label, say)


def format_duration(seconds: float) -> str:
    """A time as minutes and seconds, with hours where there are any.

    Example:
        >>> format_duration(75.4), format_duration(3700)
        ('1:15', '1:01:40')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _announced(draw: OnStep, label: str, say: Callable[[str], None]) -> OnStep:
    """Say where a run goes on from, before it draws the first step; nothing where it is new."""
    first = True

    def watch(step: Step) -> None:
        nonlocal first
        if first and step.evaluation > 1:
            of = f"{label}: " if label else ""
            say(
                f"impasto: {of}going on from evaluation {step.evaluation - 1} of {step.evaluations}"
            )
        first = False
        draw(step)

    return watch


def _losses(step: Step, part: str) -> str:
    """The losses of a step in a few words; nothing where there are none."""
    if step.losses is None:
        return ""
    if part == "plane":
        return f"loss {step.losses['total']:.3g}"
    return f"content {step.losses['content']:.3g} style {step.losses['style']:.3g}"


def _place(step: Step, part: str) -> str:
    """Which part of the run a step belongs to; nothing where a picture is all there is."""
    return "" if part == "plane" and step.scales == 1 else f"{part} {step.scale}/{step.scales} "


def _lines(label: str, part: str) -> OnStep:
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
                f"{start}{_place(step, part)}{width}×{height}",
                f"{step.evaluation}/{step.evaluations}",
                _losses(step, part),
                f"{speed:.3g}/s",
                f"{format_duration(step.left / speed)} left",
            )
            click.echo("  ".join(filter(None, cells)), err=True)

    return draw


@contextmanager
def _bar(label: str, part: str) -> Iterator[OnStep]:
    """A live bar with rich."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    console = Console(stderr=True)
    losses = [TextColumn("[dim]{task.fields[losses]}")] if console.width >= ROOMY else []
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
        place = _place(step, part).removeprefix("scale ")
        progress.update(
            task,
            total=step.evaluations,
            completed=step.evaluation,
            description=f"{label} {place}{width}×{height}".lstrip(),
            losses=_losses(step, part),
            left=f"{speed:.3g}/s {format_duration(step.left / speed)} left",
        )

    with progress:
        say = partial(console.print, highlight=False)
        yield draw if part == "plane" else _announced(draw, label, say)
