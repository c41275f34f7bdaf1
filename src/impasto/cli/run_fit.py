"""Run `impasto fit`: check, open, plan or fit, write, report."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from impasto.cli.options import PIPE, check_single_stdin, path_or_bytes
from impasto.cli.progress import format_duration, show_progress
from impasto.cli.run import CommandOutcome, Stopped, execute, input_sources, open_style
from impasto.cli.style_args import StyleArgument
from impasto.cli.terminal import echo, echo_json, say_left_out
from impasto.errors import ImpastoError
from impasto.files import (
    check_writable,
    ensure_directory,
    matches_mark,
    write_atomically,
    write_or_rescue,
)
from impasto.images.image import ImageMetadata
from impasto.images.read import image_files
from impasto.images.write import check_output, save
from impasto.models.fit import FitPlan, FitResult, choose_photographs, fit, plan_fit
from impasto.models.model import Model
from impasto.recipes import FitRecipe
from impasto.result import OnStep, Step
from impasto.style.checkpoint import Checkpoints

FOLDER = ".impasto-fit"  # ending of the folder beside the output where an unfinished fit is kept
_PLACED = "placed"  # file in it with the hash of the model that takes its place
_PREVIEW_EVERY = 50  # steps


def fit_to_file(
    photographs: Sequence[str],
    styles: Sequence[StyleArgument],
    output: str,
    recipe: FitRecipe,
    options: Mapping[str, Any],
) -> int:
    """Fit a model, or print the plan, and return the exit code.

    Args:
        photographs: files and folders.
        styles: the styles as they were typed.
        output: path of the model.
        recipe: how.
        options: the command's other options.
    """
    if output == PIPE:
        raise ValueError("`output` must be a file, got `-`; name one such as oil.impasto")
    named = {f"photograph {number}": path for number, path in enumerate(photographs, 1)}
    sources = input_sources({**named, "style": styles})
    check_single_stdin(sources)
    inputs = [*sources.values(), options["start"]]
    place = Path(output)
    overwrite = options["overwrite"] or matches_mark(place, _folder(place) / _PLACED)
    target = check_writable(output, overwrite=overwrite, inputs=inputs)
    if options["learning"]:
        check_output(options["learning"], overwrite=options["overwrite"], inputs=inputs)
    start = Model.load(options["start"]) if options["start"] else None
    images = _list_photographs(photographs)
    opened = [open_style(style) for style in styles]
    arguments = {"recipe": recipe, "start": start}
    if options["dry_run"]:
        folder = _folder(target)
        checkpoint = folder if folder.is_dir() else None
        plan = plan_fit(images, opened, checkpoint=checkpoint, **arguments)
        _print_plan(plan, options["as_json"])
        return 0
    problems: list[str] = []
    checkpoints = Checkpoints(
        _folder(target), outlive=True, on_failure=lambda error: _note(problems, str(error))
    )

    def run(stop_requested: threading.Event) -> CommandOutcome:
        try:
            with show_progress(options["progress"], part="step") as draw:
                result = fit(
                    images,
                    opened,
                    on_step=_watch(stop_requested, draw, options["learning"], problems),
                    checkpoint=checkpoints,
                    stop=stop_requested.is_set,
                    **arguments,
                )
        finally:
            with contextlib.suppress(OSError):  # it is kept if a step was
                checkpoints.folder.rmdir()
        if not result.steps:
            raise Stopped("stopped before the first step was taken; nothing was written")
        if not result.stopped:
            _note_hash(result.model, _folder(target) / _PLACED)
        written = write_or_rescue(
            lambda path, overwrite: result.save(path, overwrite=overwrite),
            target,
            lambda place, error: _note(
                problems, f"`output` could not be written; it is in {place}"
            ),
            overwrite=overwrite,
        )
        if not result.stopped:
            checkpoints.clear()
            with contextlib.suppress(OSError):
                (checkpoints.folder / _PLACED).unlink(missing_ok=True)
                checkpoints.folder.rmdir()
        stopped = (
            f"stopped after {result.steps} steps; the model so far is in {written}; the same "
            "command with --overwrite goes on from here"
        )
        return CommandOutcome(str(written), _facts(result, str(written)), stopped, problems)

    return execute(run, options["as_json"])


def _note_hash(model: Model, path: Path) -> None:
    """Note the hash of a model that is about to be written, so that a kill is no dead end."""
    with contextlib.suppress(OSError, ImpastoError):
        ensure_directory(path.parent, "checkpoint")
        write_atomically(model.file.sha256.encode(), path, overwrite=True)


def _folder(output: Path) -> Path:
    return output.with_name(output.name + FOLDER)


def _note(problems: list[str], sentence: str) -> None:
    if sentence not in problems:
        problems.append(sentence)


def _list_photographs(photographs: Sequence[str]) -> list[str | bytes]:
    """List the pictures, those of folders too; of many, say how many are learned from."""
    sources: list[str | bytes] = []
    for source in photographs:
        if source == PIPE or not Path(source).is_dir():
            sources.append(path_or_bytes(source))
            continue
        left_out: list[str] = []
        sources += map(str, image_files(source, "photographs", left_out))
        say_left_out(left_out)
    chosen = choose_photographs(sources)
    if len(chosen) < len(sources):
        echo(f"impasto: fitting to {len(chosen)} of {len(sources):,} pictures", err=True)
    return chosen


def _watch(
    stop_requested: threading.Event, draw: OnStep, preview: str | None, problems: list[str]
) -> OnStep:
    """Return what is called after each step.

    The number of threads stays as it is, unlike in other runs: the weights depend on it.
    """

    def on_step(step: Step) -> None:
        draw(step)
        last = step.evaluation == step.evaluations
        if preview and (last or step.evaluation % _PREVIEW_EVERY == 0):
            try:
                save(step.picture(), preview, metadata=ImageMetadata(), overwrite=True)
            except Exception as error:
                _note(problems, f"`preview` could not be written: {error}")
        if stop_requested.is_set():
            raise StopIteration

    return on_step


def _facts(result: FitResult, output: str) -> dict[str, Any]:
    """Return what `--json` prints of a fit."""
    figures = result.model.facts.figures
    return {
        "output": output,
        "steps": result.steps,
        "seconds": round(result.seconds, 3),
        "settled": result.settled,
        "style_loss": round(figures.style, 6),
        "content_loss": round(figures.content, 6),
        "photographs": len(result.model.facts.photographs),
        "seed": result.model.facts.recipe.seed,
        "device": result.model.facts.maker.device,
        "precision": result.model.facts.recipe.precision,
    }


def _print_plan(plan: FitPlan, as_json: bool) -> None:
    """Print the plan of a fit."""
    if as_json:
        echo_json({**plan._asdict(), "crop": list(plan.crop), "seconds": round(plan.seconds, 1)})
        return
    resumed = f", {plan.resumed} of them taken" if plan.resumed else ""
    echo(f"pictures   {plan.photographs}, painted in parts of {plan.crop[0]} × {plan.crop[1]}")
    echo(f"steps      {plan.steps} at most{resumed}")
    echo(f"time       at most {format_duration(plan.seconds)}")
    echo(f"device     {plan.device}, {plan.precision}")
    echo("nothing was written")
