"""`impasto batch`: many pictures, from folders to a folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from impasto.batch.plan import BatchPlan, ending_of, read_plan
from impasto.cli.options import (
    FILE,
    Command,
    apply_options,
    debug_option,
    dry_run_option,
    json_option,
    output_option,
    parse_options,
    presets_option,
    progress_option,
    recipe_options,
    recipe_texts,
    strip_option,
)
from impasto.cli.progress import format_duration, interruptible, show_batch
from impasto.cli.terminal import echo, echo_json, say_left_out
from impasto.errors import MAX_SENTENCE, join_some, shorten
from impasto.methods import METHODS, film_fields
from impasto.presets import PRESETS, read_presets, style_recipe
from impasto.recipes import ApplyRecipe, DenoiseRecipe, StyleRecipe
from impasto.validation import validate

if TYPE_CHECKING:
    from impasto.batch.run import BatchProgress
    from impasto.methods import MethodName, Recipe

F = TypeVar("F", bound=Callable[..., Any])
_MAX_NOTES = 10  # of different words that are printed
SOME_FAILED, NONE_DONE, INTERRUPTED = 3, 1, 130  # exit codes

EPILOG = (
    "A folder stands for its pictures and videos and those of its folders, whose tree is kept; a "
    "pattern such as 'photos/**/*.jpg' for what matches it; s3://, gs:// and other URLs work where "
    "fsspec's back end for them is installed. The folder keeps an account of every picture in "
    "impasto-batch.sqlite: the same command goes on where it was, whatever happened. Exit codes: "
    "0 all done, 3 some failed, 1 none done, 2 wrong usage, 130 interrupted."
)


@click.group("batch")
@debug_option
def batch_command() -> None:
    """Paint or clean many pictures, and keep account of them."""


def batch_options(command: F) -> F:
    """Add the options of how a batch is run, and how it is shown."""
    options = (
        worker_options(),
        dry_run_option("what there is to do, memory and time"),
        json_option,
        progress_option,
        debug_option,
    )
    return apply_options(command, options)


def worker_options(workers: int | None = None) -> Callable[[F], F]:
    """Return a decorator that adds who makes the pictures, and what happens to those there.

    Args:
        workers: pictures at a time by default; None for one a core.
    """
    options = (
        click.option(
            "--executor",
            metavar="NAME",
            default="processes",
            help="who does the work: processes; inline, one picture after the other here; or ray, "
            "a cluster  [default: processes]",
        ),
        click.option(
            "--workers",
            type=int,
            metavar="N",
            default=workers,
            help=f"pictures at a time  [default: {workers or 'one a core'}]",
        ),
        click.option(
            "--threads",
            type=int,
            metavar="N",
            help="threads a picture; the same bytes need the same  [default: cores by workers]",
        ),
        click.option(
            "--address",
            metavar="A",
            help="of the Ray cluster  [default: one started here]",
        ),
        click.option(
            "--gpus-per-task",
            "gpus",
            type=float,
            metavar="F",
            help="GPUs, or part of one, that each of Ray's workers holds  [default: 0]",
        ),
        click.option(
            "--existing",
            metavar="NAME",
            default="resume",
            help="what to do where an output is there: resume leaves what is the one wanted and "
            "refuses what is not of this batch, skip leaves all, overwrite replaces all, fail "
            "refuses  [default: resume]",
        ),
        click.option(
            "--tries",
            type=int,
            metavar="N",
            default=3,
            help="how often a picture is begun that takes its worker down  [default: 3]",
        ),
        click.option("--manifest", metavar="FILE", type=FILE, help="where to keep the account"),
    )
    return lambda command: apply_options(command, options)


def place_options(command: F) -> F:
    """Add the options of where the images of a batch go, and in which format."""
    options = (
        output_option("folder for the pictures", "DIR", required=True),
        click.option(
            "--format", "ending", default="", metavar="NAME", help="png, jpg, webp, tif, avif"
        ),
        strip_option,
    )
    return apply_options(command, options)


def film_options(method: str) -> Callable[[F], F]:
    """Return a decorator that adds the options which only the videos of a batch have."""
    own, films = METHODS[method].recipe, METHODS[METHODS[method].of_videos].recipe
    without = (*own.model_fields, *getattr(own, "OLD_OPTIONS", ()))
    return recipe_options(films, without=without)


@batch_command.command("style", cls=Command, epilog=EPILOG)
@click.argument("contents", nargs=-1, required=True, type=FILE)
@click.option(
    "-s",
    "--style",
    "styles",
    multiple=True,
    required=True,
    metavar="STYLE",
    type=FILE,
    help="a picture, folder, pattern or URL; every content is painted in each",
)
@place_options
@presets_option
@recipe_options(StyleRecipe)
@film_options("style")
@batch_options
def batch_style_command(contents: tuple[str, ...], styles: tuple[str, ...], **options: Any) -> int:
    """Paint every picture of CONTENTS in every style."""
    changed = parse_options(StyleRecipe, recipe_texts(StyleRecipe, options))
    presets = read_presets(options["presets"]) if options["presets"] else PRESETS
    recipe = style_recipe(changed.pop("preset", "default"), presets=presets, **changed)
    return _run(plan_of("style", contents, styles, recipe, options), options)


@batch_command.command("denoise", cls=Command, epilog=EPILOG)
@click.argument("inputs", nargs=-1, required=True, type=FILE)
@place_options
@recipe_options(DenoiseRecipe)
@film_options("denoise")
@batch_options
def batch_denoise_command(inputs: tuple[str, ...], **options: Any) -> int:
    """Clean every picture of INPUTS of its noise.

    TIFFs of measured data keep type, axes and range.
    """
    recipe = validate(
        DenoiseRecipe, parse_options(DenoiseRecipe, recipe_texts(DenoiseRecipe, options))
    )
    return _run(plan_of("denoise", inputs, (), recipe, options), options)


@batch_command.command("apply", cls=Command, epilog=EPILOG)
@click.argument("model", type=FILE)
@click.argument("pictures", nargs=-1, required=True, type=FILE)
@place_options
@recipe_options(ApplyRecipe)
@batch_options
def batch_apply_command(model: str, pictures: tuple[str, ...], **options: Any) -> int:
    """Paint every picture of PICTURES with MODEL, a file that `impasto fit` wrote."""
    recipe = validate(ApplyRecipe, parse_options(ApplyRecipe, recipe_texts(ApplyRecipe, options)))
    return _run(plan_of("apply", pictures, (), recipe, options, model), options)


@batch_command.command("run", cls=Command, epilog=EPILOG)
@click.argument("path", metavar="PLAN.toml", type=FILE)
@batch_options
def batch_run_command(path: str, **options: Any) -> int:
    """Run the batch that a file describes.

    It has method (style, denoise or apply), contents, styles, model, output, format, strip, and a
    table [recipe] with options as in `impasto style --help`, with _ for -; those of `impasto film
    --help` are for the videos.
    """
    return _run(read_plan(path), options)


def plan_of(
    method: MethodName,
    contents: tuple[str, ...],
    styles: tuple[str, ...],
    recipe: Recipe,
    options: dict[str, Any],
    model: str = "",
) -> BatchPlan:
    """Return the plan that a command's arguments and options describe."""
    film: dict[str, Any] = {}
    if names := film_fields(method):
        texts = {name: options[name] for name in names}
        film = parse_options(METHODS[METHODS[method].of_videos].recipe, texts)
    return BatchPlan(
        method,
        contents,
        styles,
        options["output"],
        recipe,
        ending_of(options["ending"]),
        strip=options["strip"],
        model=model,
        film=film,
    )


def _run(plan: BatchPlan, options: dict[str, Any]) -> int:
    """Run a plan, show how far it is, report, and return the exit code."""
    from impasto.batch.dry_run import estimate_batch  # torch
    from impasto.batch.run import run_batch

    names = ("executor", "workers", "threads", "address", "gpus", "existing", "tries", "manifest")
    chosen = {name: options[name] for name in names}
    if options["dry_run"]:
        facts = estimate_batch(plan, **chosen)
        if options["as_json"]:
            echo_json(facts)
            return 0
        say_left_out(facts.pop("left_out"))
        say_notes(facts.pop("notes"))
        too_large = facts.pop("too_large")
        for place, reason in too_large.items():
            echo(f"impasto: {place}: {reason}", err=True)
        for name, value in {**facts, "too_large": len(too_large)}.items():
            echo(f"{name.replace('_', ' '):14}{'unknown' if value is None else value}")
        echo("nothing was written")
        return 0
    message = "finishing the pictures at hand; once more to abandon them"
    with interruptible(message) as stop_requested, show_batch(options["progress"]) as draw:
        progress = run_batch(plan, **chosen, on_progress=draw, stop=stop_requested)
    if options["as_json"]:
        echo_json(_facts(progress, plan.output))
    else:
        _report(progress, plan.output)
    if progress.stopped:
        return INTERRUPTED
    if not progress.failed:
        return 0
    return SOME_FAILED if progress.done or progress.skipped else NONE_DONE


def _report(progress: BatchProgress, output: str) -> None:
    """Print what became of a batch: failures on stderr, the folder on stdout."""
    for place, reason in progress.failed.items():
        echo(f"impasto: {place}: {shorten(reason, MAX_SENTENCE)}", err=True)
    say_left_out(progress.left_out)
    say_notes(progress.notes)
    if progress.unrecorded:
        echo(f"impasto: {progress.unrecorded}", err=True)
    words = [f"{progress.done} of {progress.total} done"]
    words += [f"{progress.made} of them now"] if progress.made != progress.done else []
    words += [f"{progress.skipped} left alone"] if progress.skipped else []
    words += [f"{len(progress.failed)} failed"] if progress.failed else []
    words += [f"{progress.left} to do"] if progress.left else []
    words += [format_duration(progress.seconds)]
    words += [f"{progress.an_hour:.0f} an hour"] if progress.made else []
    echo(f"impasto: {', '.join(words)}", err=True)
    echo(output)


def say_notes(notes: Mapping[str, Sequence[str]]) -> None:
    """Say on stderr what of some files was left out or taken for what: each note once."""
    places: dict[str, list[str]] = {}
    for place, each in notes.items():
        for note in each:
            places.setdefault(note, []).append(place)
    for note, named in list(places.items())[:_MAX_NOTES]:
        some = named[0] if len(named) == 1 else f"{len(named):,} files"
        names = "" if len(named) == 1 else f" ({join_some(named, most=3)})"
        echo(f"impasto: {some}: {note}{names}", err=True)
    if (more := len(places) - _MAX_NOTES) > 0:
        echo(f"impasto: {more:,} more notes, which the manifest and --json have", err=True)


def _facts(progress: BatchProgress, output: str) -> dict[str, Any]:
    """Return what `--json` prints of a batch."""
    seconds = sorted(progress.each)
    return {
        "output": output,
        "total": progress.total,
        "done": progress.done,
        "made": progress.made,
        "skipped": progress.skipped,
        "failed": progress.failed,
        "left_out": progress.left_out,
        "frames": progress.frames,
        "notes": progress.notes,
        "left": progress.left,
        "stopped": progress.stopped,
        "unrecorded": progress.unrecorded or None,
        "seconds": round(progress.seconds, 3),
        "median_seconds": round(seconds[len(seconds) // 2], 3) if seconds else None,
        "an_hour": round(progress.an_hour, 1),
        "workers": progress.workers,
    }
