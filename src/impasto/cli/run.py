"""One run of a command: check, open, plan or paint, write, draw, report.

`paint` is the whole way of `style`, `texture` and `reconstruct`; `execute` the end that they share
with the commands that clean. The commands give only what differs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from impasto.cli.delivery import Delivery
from impasto.cli.files import (
    SaveOptions,
    check_places,
    check_result_size,
    json_number,
    print_result,
    read_image,
    save_options,
    snapshot_path,
)
from impasto.cli.options import PIPE, check_single_stdin
from impasto.cli.progress import combine_watchers, format_duration, interruptible, show_progress
from impasto.cli.style_args import StyleArgument, style_sources
from impasto.cli.terminal import echo, echo_json, say_left_out
from impasto.compiled import announce_compilation
from impasto.errors import MAX_SENTENCE, shorten
from impasto.figures import (
    check_sheet,
    contact_sheet,
    loss_curve,
    reconstruction_row,
    save_figure,
    triptych,
)
from impasto.filming.frame_masks import is_mask_folder
from impasto.images.animation import write_animation
from impasto.images.image import Image, ImageMetadata
from impasto.images.read import image_files
from impasto.images.resize import result_size, thumbnail
from impasto.images.write import save
from impasto.memory import GIB
from impasto.methods import METHODS
from impasto.style.checkpoint import Checkpoints
from impasto.style.schedule import most_evaluations
from impasto.style.source import Style

if TYPE_CHECKING:
    from torch import Tensor

    from impasto.cli.delivery import Write
    from impasto.cli.sheet import SheetCell
    from impasto.methods import Method, Recipe
    from impasto.result import OnStep, Result, Step
    from impasto.style.plan import Plan

FRAMES = 100  # of a time-lapse, at most
_FRAME_SIDE = 640  # pixels of a frame's longer side, at most
MISPLACED, INTERRUPTED = 4, 130  # exit codes


@dataclass(frozen=True)
class RunOptions:
    """How a run is shown and what it writes besides its image.

    Attributes:
        figure: path of the figure of inputs and output.
        loss_curve: path of the drawn losses.
        timelapse: path of an animation of the run.
        save_every: evaluations between snapshots.
        checkpoint: folder of the state from which a killed run goes on.
        dry_run: print the plan and write nothing.
        as_json: print JSON.
        progress: True shows the steps, False is silent, None shows them on a terminal only.
    """

    figure: str | None = None
    loss_curve: str | None = None
    timelapse: str | None = None
    save_every: int | None = None
    checkpoint: str | None = None
    dry_run: bool = False
    as_json: bool = False
    progress: bool | None = None

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> RunOptions:
        """Take the options of a command; those it does not have keep their defaults."""
        names = [field.name for field in fields(cls) if field.name in options]
        return cls(**{name: options[name] for name in names})


class CommandOutcome(NamedTuple):
    """The end of a run, as it is reported.

    Attributes:
        output: path of the image written, or `-`.
        facts: the same run in plain JSON values.
        stopped: the sentence for a run that Ctrl-C ended.
        problems: sentences about files that are not where they were asked for.
    """

    output: str
    facts: dict[str, Any]
    stopped: str
    problems: Sequence[str] = ()


class Stopped(Exception):
    """Ctrl-C ended a run before anything was written; the text says so."""


def execute(run: Callable[[threading.Event], CommandOutcome], as_json: bool) -> int:
    """Run with Ctrl-C turned into a flag, print where the output is, return the exit code.

    Args:
        run: does the work and writes everything; the flag that it gets says that it is to stop.
        as_json: print the facts instead of the path.
    """
    announce_compilation(_announce_compilation)
    with interruptible() as stop_requested:
        try:
            outcome = run(stop_requested)
        except Stopped as error:
            echo(f"impasto: {error}", err=True)
            return INTERRUPTED
        code = report_problems(outcome.problems)
        facts = outcome.facts | ({"problems": list(outcome.problems)} if outcome.problems else {})
        print_result(outcome.output, facts if as_json else None)
    if stop_requested.is_set():
        echo(f"impasto: {outcome.stopped}", err=True)
    return code or (INTERRUPTED if stop_requested.is_set() else 0)


def _announce_compilation() -> None:
    echo("impasto: compiling fast loops, once for this computer; it takes some seconds", err=True)


def report_problems(problems: Sequence[str]) -> int:
    """Print what is not where it was asked for, and return the exit code for it; 0 for nothing."""
    for problem in problems:
        echo(f"impasto: {shorten(problem, MAX_SENTENCE)}", err=True)
    return MISPLACED if problems else 0


def paint(
    method: str,
    recipes: Mapping[str, Recipe],
    inputs: Mapping[str, str | Sequence[StyleArgument]],
    output: str,
    options: Mapping[str, Any],
    *,
    writes_image: bool = True,
    row: Sequence[str] = (),
) -> int:
    """Paint files, or print the plan, and return the exit code.

    Args:
        method: its name in `METHODS`.
        recipes: label -> recipe of every run; the first run's image is the output.
        inputs: name -> file; of the styles, as they were typed. Sentences call them by these
            names.
        output: path of the image, or `-`.
        options: the command's options, those of `SaveOptions` and of `RunOptions` among them;
            those it does not have keep their defaults.
        writes_image: False where only the figure is written.
        row: labels of the results that the figure of a reconstruction shows.
    """
    main, recipe = next(iter(recipes.items()))
    run_options = RunOptions.of(options)
    sources = input_sources(inputs)
    check_single_stdin(sources)
    saving = save_options(output, [*sources.values(), _weights_file(recipe)], options)
    figures = ("figure", "loss_curve", "timelapse")
    check_places(
        saving,
        {name: getattr(run_options, name) for name in figures},
        writes_image=writes_image,
        save_every=run_options.save_every,
        steps=most_evaluations(recipe),
    )
    images = open_inputs(inputs)
    if writes_image:
        check_result_size(saving, result_size(recipe, _content_size(images)))
    if run_options.dry_run:
        plans = {label: _plan(METHODS[method], recipe, images) for label, recipe in recipes.items()}
        print_plans(plans, run_options.as_json)
        return 0
    folder = run_options.checkpoint
    delivery = Delivery(saving)
    tell = delivery.tell_checkpoint
    checkpoints = Checkpoints(folder, outlive=True, on_failure=tell) if folder else None

    def run(stop_requested: threading.Event) -> CommandOutcome:
        results: dict[str, Result] = {}
        frames: list[Tensor] = []  # of the time-lapse
        for label, recipe in recipes.items():
            if results and stop_requested.is_set():
                break
            records = writes_image and label == main
            watchers = _recorders(recipe, delivery, run_options, frames) if records else ()
            with show_progress(run_options.progress, label if len(recipes) > 1 else "") as draw:
                on_step = combine_watchers(stop_requested, draw, *watchers)
                results[label] = METHODS[method].run(
                    images,
                    recipe=recipe,
                    on_step=on_step,
                    stop=stop_requested.is_set,
                    checkpoint=checkpoints,
                )
        result = results[main]
        written = delivery.write_result(result) if writes_image else PIPE
        figure = _figure_writer(images, results, result, row)
        if writes_image:
            delivery.write_extra("figure", run_options.figure, figure)
        else:
            written = delivery.write("figure", run_options.figure, figure)
        delivery.write_extra("loss_curve", run_options.loss_curve, _curve_writer(result))
        if frames:
            delivery.write_extra("timelapse", run_options.timelapse, _film_writer(frames))
        facts = summary(result, written)
        if row:
            facts["layers"] = {
                label: json_number(results[label].losses["total"])
                for label in row
                if label in results
            }
        evaluations = sum(result.evaluations for result in results.values())
        stopped = _stopped(evaluations, written, saving, run_options)
        return CommandOutcome(written, facts, stopped, delivery.problems)

    code = execute(run, run_options.as_json)
    if checkpoints and code == 0:  # not before all is written
        checkpoints.clear()
    return code


def paint_sheet(
    cells: Sequence[SheetCell],
    inputs: Mapping[str, str | Sequence[StyleArgument]],
    output: str,
    options: Mapping[str, Any],
    columns: int,
) -> int:
    """Paint every cell of a contact sheet, draw the sheet, and return the exit code.

    Args:
        cells: what to paint.
        inputs: as for `paint`.
        output: path of the sheet.
        options: the command's options.
        columns: cells in a row.
    """
    sources = input_sources(inputs)
    check_single_stdin(sources)
    saving = save_options(output, sources.values(), options)
    check_places(saving, {"output": output}, writes_image=False)
    images = open_inputs(inputs)
    width, height = result_size(cells[0].recipe, _content_size(images))
    check_sheet(len(cells), columns, width / height, output)
    method = METHODS["style"]
    method.plan(images, recipe=cells[0].recipe)  # refused before anything is said
    delivery = Delivery(saving)
    pixels: list[Tensor] = []
    with interruptible() as stop_requested:
        for cell in cells:
            if stop_requested.is_set():
                break
            if options["progress"] is not False:
                echo(f"{cell.number} of {len(cells)}: {cell.label}", err=True)
            pixels.append(method.run(images, recipe=cell.recipe).pixels)
        painted = cells[: len(pixels)]
        if painted:
            titles = [f"{cell.number}   {cell.label}" for cell in painted]
            sheet = contact_sheet(titles, pixels, columns)
            written = delivery.write("output", output, partial(save_figure, sheet))
    code = report_problems(delivery.problems)
    if painted:
        facts = {
            "output": written,
            "cells": [{"number": cell.number, "label": cell.label} for cell in painted],
        }
        print_result(written, facts if options["as_json"] else None)
    return code or (INTERRUPTED if stop_requested.is_set() else 0)


def input_sources(inputs: Mapping[str, str | Sequence[StyleArgument]]) -> dict[str, str]:
    """Return the file of every input, those of the styles each under a name of its own."""
    sources = {}
    for name, source in inputs.items():
        sources |= {name: source} if isinstance(source, str) else style_sources(source)
    return sources


def open_inputs(inputs: Mapping[str, str | Sequence[StyleArgument]]) -> dict[str, Any]:
    """Open the inputs: role in the method -> image, or list of styles."""
    roles = {"image": "content"}  # the others are called alike
    return {
        roles.get(name, name): read_image(source, name)
        if isinstance(source, str)
        else [open_style(style) for style in source]
        for name, source in inputs.items()
    }


def _content_size(images: Mapping[str, Any]) -> tuple[int, int] | None:
    return images["content"].size if "content" in images else None


def open_style(style: StyleArgument, *, frame_masks: bool = False) -> Style:
    """Open a style that was typed: its picture or folder, and its masks.

    Args:
        style: as it was typed.
        frame_masks: whether its region may be a folder or pattern of masks, which is left as it is.
    """
    folder = style.source != PIPE and Path(style.source).is_dir()
    left_out: list[str] = []
    paths = image_files(style.source, "style", left_out) if folder else [style.source]
    say_left_out(left_out)
    images = [read_image(str(path), "style") for path in paths]
    region = style.region
    if region is not None and not (frame_masks and is_mask_folder(region)):
        region = read_image(region, "region")
    mask = style.mask and read_image(style.mask, "style-mask")
    return Style(images if folder else images[0], style.weight, region, mask)


def _weights_file(recipe: Recipe) -> str | None:
    return recipe.weights if Path(recipe.weights).is_file() else None


def summary(result: Result, output: str) -> dict[str, Any]:
    """Return what `--json` prints of a painting, in plain JSON values."""
    recipe = result.recipe
    names = ("preset",) if hasattr(recipe, "preset") else ("layer", "kind")
    losses = {name: json_number(value) for name, value in result.losses.items()}
    return {
        "output": output,
        "size": [int(side) for side in result.size],
        "seconds": round(float(result.seconds), 3),
        "evaluations": int(result.evaluations),
        "loss": losses["total"],
        "content_loss": losses.get("content"),
        "style_loss": losses.get("style"),
        "losses": losses,
        **{name: getattr(recipe, name) for name in names if hasattr(recipe, name)},
        "seed": recipe.seed,
        "device": str(result.device),
        "precision": str(result.precision),
    }


def print_plans(plans: Mapping[str, Plan], as_json: bool) -> None:
    """Print the plans of some runs, one after the other.

    Args:
        plans: label -> plan; a single plan needs no label.
        as_json: one JSON object; of several runs, with theirs by label in it.
    """
    if as_json:
        facts = {label: _plan_facts(plan) for label, plan in plans.items()}
        first = next(iter(facts.values()))
        echo_json(first if len(facts) == 1 else {"layers": facts})
        return
    for label, plan in plans.items():
        if len(plans) > 1:
            echo(label)
        for line in _plan_lines(plan):
            echo(line)
    echo("nothing was written")


def _plan(method: Method, recipe: Recipe, images: Mapping[str, Any]) -> Plan:
    """Plan a run; cleaning needs no plan."""
    if hasattr(recipe, "denoise"):
        recipe = recipe.model_copy(update={"denoise": "no"})
    return method.plan(images, recipe=recipe)


def _recorders(
    recipe: Recipe, delivery: Delivery, options: RunOptions, frames: list[Tensor]
) -> Iterator[OnStep]:
    """Yield the watchers that write snapshots and collect the frames of the time-lapse."""
    if options.timelapse:
        yield delivery.watcher("timelapse", collect_frames(frames))
    if options.save_every:
        snapshots = _write_snapshots(delivery.saving, options.save_every, recipe)
        yield delivery.watcher("save_every", snapshots)


def collect_frames(frames: list[Tensor]) -> OnStep:
    """Return a watcher that collects the frames of a run's time-lapse, small, in a list."""

    def watch(step: Step) -> None:
        every = max(1, -(-step.evaluations // FRAMES))
        if step.evaluation == 1 or step.evaluation % every == 0:
            frames.append(thumbnail(step.picture(), _FRAME_SIDE).to(torch.float16))

    return watch


def _write_snapshots(saving: SaveOptions, every: int, recipe: Recipe) -> OnStep:
    """Return a watcher that writes the image each so many evaluations.

    A snapshot may be smaller than the output, and is opaque.
    """
    # An image that is shared must not tell where its maker keeps files.
    record = recipe.model_copy(update={"weights": Path(recipe.weights).name}).model_dump_json()

    def watch(step: Step) -> None:
        if step.evaluation % every == 0:
            path = snapshot_path(saving, step.evaluation)
            save(step.picture(), path, metadata=ImageMetadata(), recipe=record, **saving.rules)

    return watch


def _figure_writer(
    images: Mapping[str, Any],
    results: Mapping[str, Result],
    result: Result,
    row: Sequence[str],
) -> Write:
    """Return a function that draws the inputs with the result, or with the row, into a file."""

    def write(path: Path, overwrite: bool) -> None:
        if row:
            pixels = {label: results[label].pixels for label in row if label in results}
            figure = reconstruction_row(images["content"], pixels)
        else:
            # Of a folder of styles there is no one image to show.
            styles = [s.picture for s in images["style"] if isinstance(s.picture, Image)]
            figure = triptych(images["content"], styles, Image(result.pixels, result.metadata))
        save_figure(figure, path, overwrite)

    return write


def _curve_writer(result: Result) -> Write:
    """Return a function that draws the losses of a run into a file."""
    return lambda path, overwrite: save_figure(
        loss_curve(result.history, result.scale_starts), path, overwrite
    )


def _film_writer(frames: Sequence[Tensor]) -> Write:
    """Return a function that writes the frames of a time-lapse into a file."""
    return lambda path, overwrite: write_animation(
        frames, path, longest=_FRAME_SIDE, overwrite=overwrite
    )


def _stopped(evaluations: int, output: str, saving: SaveOptions, options: RunOptions) -> str:
    """Write the sentence for a run that was cut short, with the way to go on."""
    place = "was written to stdout" if output == PIPE else f"is in {output}"
    sentence = f"stopped after {evaluations} evaluations; the best picture so far {place}"
    if options.checkpoint:
        # The image written just now stands in the way of the finished one.
        needed = "" if saving.overwrite or output == PIPE else " with --overwrite"
        sentence += f"; the same command{needed} goes on from here"
    return sentence


def _plan_facts(plan: Plan) -> dict[str, Any]:
    """Return a plan in plain JSON values; memory in bytes."""
    return {
        "size": list(plan.sizes[-1]),
        "evaluations": sum(scale.evaluations for scale in plan.scales),
        "seconds": _rounded(plan.seconds),
        "memory": plan.memory,
        "free": plan.free,
        "budget": plan.budget,
        "history": plan.history,
        "device": plan.device,
        "precision": plan.precision,
        "scales": [
            {
                "size": list(scale.size),
                "evaluations": scale.evaluations,
                "warmup": scale.warmup,
                "tile": scale.tile,
                "tiles": scale.tiles,
                "memory": scale.memory,
                "seconds": _rounded(scale.seconds),
            }
            for scale in plan.scales
        ],
    }


def _plan_lines(plan: Plan) -> Iterator[str]:
    """Write a plan as the lines of a table."""
    yield f"device     {plan.device}, {plan.precision}"
    yield f"memory     {_gib(plan.free)} free, {_gib(plan.budget)} allowed in all"
    yield f"history    {plan.history}"
    rows: list[Sequence[str]] = [("scale", "size", "evaluations", "tiles", "memory", "time")]
    for number, scale in enumerate(plan.scales, 1):
        width, height = scale.size
        rows.append(
            (
                str(number),
                f"{width} × {height}",
                f"{scale.evaluations}{', warm-up' * scale.warmup}",
                "whole" if scale.tile is None else f"{scale.tiles} of {scale.tile}",
                _gib(scale.memory),
                _time(scale.seconds),
            )
        )
    count = sum(scale.evaluations for scale in plan.scales)
    rows.append(("in all", "", str(count), "", _gib(plan.memory), _time(plan.seconds)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _gib(count: int) -> str:
    return f"{count / GIB:.1f} GiB"


def _time(seconds: float | None) -> str:
    return "unknown" if seconds is None else format_duration(seconds)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
