"""Run `impasto film`: open, plan or paint, report."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from impasto.cli.files import read_image
from impasto.cli.options import check_single_stdin
from impasto.cli.progress import combine_watchers, format_duration
from impasto.cli.run import CommandOutcome, Stopped, execute, input_sources, open_style
from impasto.cli.style_args import StyleArgument
from impasto.cli.terminal import echo, echo_json
from impasto.errors import quote
from impasto.filming.film import FilmPlan, film, plan_film
from impasto.filming.frame_masks import is_mask_folder
from impasto.filming.preview import preview_film
from impasto.filming.result import FilmResult, FilmStep, MadeFilm, OnFrame
from impasto.filming.style_schedule import FilmStyles
from impasto.images.image import Image, ImageMetadata
from impasto.images.video_read import is_moment
from impasto.images.write import check_output, save
from impasto.memory import GIB
from impasto.recipes import FilmRecipe

_LINE_EVERY = 10  # frames between lines where there is no terminal to draw a bar on


def film_to_file(
    clip: str,
    styles: Sequence[StyleArgument],
    output: str,
    recipe: FilmRecipe,
    options: Mapping[str, Any],
) -> int:
    """Paint a film, or print its plan, and return the exit code.

    Args:
        clip: the file, folder or pattern.
        styles: the styles as they were typed.
        output: path of the film.
        recipe: how it is painted.
        options: the command's other options, masks included.
    """
    inputs = _open_inputs(clip, styles, output, options)
    arguments = {
        "recipe": recipe,
        "overwrite": options["overwrite"],
        "sidecar": options["sidecar"],
        "keys": inputs["keys"],
        **inputs["masks"],
    }
    if options["dry_run"]:
        _print_plan(plan_film(clip, inputs["styles"], output, **arguments), options["as_json"])
        return 0

    def run(stop_requested: threading.Event) -> CommandOutcome:
        with show_frames(options["progress"]) as draw:
            result = film(
                clip,
                inputs["styles"],
                output,
                on_frame=draw,
                on_step=combine_watchers(stop_requested),
                stop=stop_requested.is_set,
                **arguments,
            )
        return film_outcome(clip, result, _facts(result))

    return execute(run, options["as_json"])


def film_outcome(clip: str, result: MadeFilm, facts: dict[str, Any]) -> CommandOutcome:
    """Print the notes of a finished film, and return the outcome of the command that made it."""
    if result.path is None:
        raise Stopped("stopped before the first frame was finished; nothing was written")
    for note in result.notes:
        echo(f"impasto: {clip}: {note}", err=True)
    stopped = (
        f"stopped after {result.frames} frames; the film of them is in {result.path}; the same "
        "command with --overwrite goes on from here"
    )
    return CommandOutcome(str(result.path), facts, stopped)


def preview_to_file(
    clip: str,
    styles: Sequence[StyleArgument],
    output: str,
    recipe: FilmRecipe,
    options: Mapping[str, Any],
) -> int:
    """Paint five frames across a clip into a picture, and return the exit code.

    Args:
        clip: as for `film_to_file`.
        styles: as for `film_to_file`.
        output: path of the picture.
        recipe: how it is painted.
        options: as for `film_to_file`.
    """
    inputs = _open_inputs(clip, styles, output, options)
    rules = {"overwrite": options["overwrite"], "inputs": list(inputs["sources"])}
    check_output(output, **rules)

    def run(stop_requested: threading.Event) -> CommandOutcome:
        pixels = preview_film(
            clip,
            inputs["styles"],
            recipe=recipe,
            on_step=combine_watchers(stop_requested),
            stop=stop_requested.is_set,
            **inputs["masks"],
        )
        path = save(pixels, output, metadata=ImageMetadata(), **rules)
        size = [pixels.shape[2], pixels.shape[1]]
        return CommandOutcome(
            str(path), {"output": str(path), "size": size}, f"stopped; what is done is in {path}"
        )

    return execute(run, options["as_json"])


@contextmanager
def show_frames(
    enabled: bool | None, line: Callable[[Any], str] | None = None
) -> Iterator[OnFrame]:
    """Show the frames of a film on stderr: a bar on a terminal, a line now and then elsewhere.

    Args:
        enabled: True shows, False is silent, None shows only where stderr is a terminal.
        line: writes a step in a line; None for `format_frame`.

    Returns:
        A context manager that gives the function to call after every frame.
    """
    terminal = sys.stderr.isatty()
    if enabled is False or (enabled is None and not terminal):
        yield lambda step: None
    elif terminal:
        progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[left]}"),
            console=Console(stderr=True),
            refresh_per_second=4,
            expand=True,
        )
        task = progress.add_task("first frame", total=None, left="")

        def draw(step: FilmStep) -> None:
            progress.update(
                task,
                description="new scene" if step.cut else "frames",
                total=step.frames,
                completed=step.frame,
                left=f"{format_duration(step.left)} left",
            )

        with progress:
            yield draw
    else:
        yield partial(_draw_line, line=line or format_frame)


def format_frame(step: FilmStep) -> str:
    """Write a finished frame in a line.

    Example:
        >>> facts = {"frame": 3, "frames": 20, "cut": False, "seconds": 9.0, "left": 34.0}
        >>> format_frame(FilmStep(**facts, still=0.4, picture=lambda: None))
        'frame 3/20  40 % still  0:34 left'
    """
    words = [f"frame {step.frame}/{step.frames}"]
    words += ["new scene"] if step.cut else [f"{step.still:.0%} still".replace("%", " %")]
    return "  ".join([*words, f"{format_duration(step.left)} left"])


def _draw_line(step: FilmStep, line: Callable[[Any], str]) -> None:
    if step.cut or step.frame == step.frames or step.frame % _LINE_EVERY == 0:
        echo(line(step), err=True)


def split_start(text: str) -> tuple[str, str]:
    """Split a style from where it begins, behind its last `@`; a file with such a name is a file.

    Example:
        >>> split_start("sea.jpg:0.7@2.5s"), split_start("me@home.jpg")
        (('sea.jpg:0.7', '2.5s'), ('me@home.jpg', '0'))
    """
    source, at, start = text.rpartition("@")
    if at and source and is_moment(start) and not Path(text).exists():
        return source, start
    return text, "0"


def _open_inputs(
    clip: str, styles: Sequence[StyleArgument], output: str, options: Mapping[str, Any]
) -> dict[str, Any]:
    """Open styles, masks and keyframes."""
    masks = {name: options[name] for name in ("protect", "keep") if options[name]}
    keys = _parse_keys(options["keys"])
    named = {f"key {number}": path for number, path in keys.items()}
    sources = input_sources({"clip": clip, "style": styles, **masks, **named})
    if clip == "-":
        raise ValueError("`clip` must be a file, got `-`; a film cannot be piped in, name a file")
    check_single_stdin(sources)
    if output == "-":
        raise ValueError("`output` must be a file or folder, got `-`; a film cannot be piped")
    return {
        "sources": sources.values(),
        "styles": _open_styles(styles, options["starts"]),
        "masks": {name: _open_mask(path, name) for name, path in masks.items()},
        "keys": {number: read_image(path, "key") for number, path in keys.items()},
    }


def _open_styles(styles: Sequence[StyleArgument], starts: Sequence[str]) -> FilmStyles:
    """Open styles, by where they begin if not all do at once."""
    opened = [open_style(style, frame_masks=True) for style in styles]
    if set(starts) == {"0"}:
        return opened
    together: dict[int | str, list[Any]] = {}
    for style, start in zip(opened, starts, strict=True):
        together.setdefault(start, []).append(style)
    return together


def _open_mask(path: str, name: str) -> str | Image:
    """Open a mask; masks frame by frame are opened as they are needed."""
    return path if is_mask_folder(path) else read_image(path, name)


def _parse_keys(texts: Sequence[str]) -> dict[int, str]:
    """Parse `120=frame120.png`, each frame once."""
    keys: dict[int, str] = {}
    for text in texts:
        number, equals, path = text.partition("=")
        if not (equals and number.isdecimal() and path):
            raise ValueError(
                f"`--key` must be a frame's number and a file, got {quote(text)}; for example "
                "120=frame120.png"
            )
        if int(number) in keys:
            raise ValueError(
                f"`--key` must be given once a frame, got {quote(text)} for frame {int(number)} "
                "too; drop one"
            )
        keys[int(number)] = path
    return keys


def _facts(result: FilmResult) -> dict[str, Any]:
    """Return what `--json` prints of a film."""
    return {
        "output": str(result.path),
        "size": list(result.size),
        "frames": result.frames,
        "resumed": result.resumed,
        "rate": round(result.rate, 4),
        "engine": result.engine,
        "cuts": list(result.cuts),
        "keys": list(result.keys),
        "seconds": round(result.seconds, 3),
        "codec": result.codec,
        "seed": result.recipe.seed,
        "notes": list(result.notes),
    }


def _print_plan(plan: FilmPlan, as_json: bool) -> None:
    """Print the plan of a film."""
    if as_json:
        facts = plan._asdict()
        rounded = {k: round(facts[k], 4) for k in ("rate", "seconds", "scene_seconds")}
        echo_json({**facts, "size": list(plan.size), "notes": list(plan.notes), **rounded})
        return
    for note in plan.notes:
        echo(f"clip       {note}")
    resumed = f", {plan.resumed} of them finished" if plan.resumed else ""
    echo(f"frames     {plan.frames}{resumed}, {plan.rate:.4g} a second")
    echo(f"engine     {plan.engine}")
    echo(f"size       {plan.size[0]} × {plan.size[1]}")
    echo(
        f"time       at most {format_duration(plan.seconds)}, and "
        f"{format_duration(plan.scene_seconds)} for each cut"
    )
    echo(f"disk       {plan.disk / GIB:.2f} GiB until the film is written")
    echo(f"memory     {plan.memory / GIB:.1f} GiB")
    echo("nothing was written")
