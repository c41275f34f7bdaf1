"""`impasto batch`: many pictures, from folders to a folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from impasto.cli.batch_table import show_batch
from impasto.cli.options import (
    debug_option,
    dry_run_option,
    given_options,
    json_option,
    progress_option,
    recipe_options,
    stacked,
)
from impasto.cli.presets import presets_option
from impasto.cli.progress import format_duration
from impasto.cli.signals import interruptible
from impasto.presets import PRESETS, read_presets, style_recipe
from impasto.recipes import DenoiseRecipe, StyleRecipe
from impasto.validation import validate

if TYPE_CHECKING:
    from impasto.batch.plan import BatchPlan
    from impasto.batch.progress import Progress

F = TypeVar("F", bound=Callable[..., Any])
SOME, NONE, INTERRUPTED = 3, 1, 130

EPILOG = (
    "A folder stands for its pictures and those of its folders, whose tree is kept; a pattern such "
    "as 'photos/**/*.jpg' for what matches it; s3://, gs:// and other URLs work where fsspec's "
    "back end for them is installed. The folder keeps an account of every picture in "
    "impasto-batch.sqlite: the same command goes on where it was, whatever happened. Exit codes: "
    "0 all done, 3 some failed, 1 none done, 2 wrong usage, 130 interrupted."
)


@click.group()
@debug_option
def batch() -> None:
    """Paint or clean many pictures, and keep account of them."""


def batch_options(command: F) -> F:
    """How a batch is run."""
    options = (
        click.option(
            "--executor",
            metavar="NAME",
            default="processes",
            help="who does the work: processes; inline, one picture after the other here; or ray, "
            "a cluster  [default: processes]",
        ),
        click.option(
            "--workers", type=int, metavar="N", help="pictures at a time  [default: one a core]"
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
        click.option("--manifest", metavar="FILE", help="where to keep the account"),
        dry_run_option("what there is to do, memory and time"),
        json_option,
        progress_option,
        debug_option,
    )
    return stacked(command, options)


def place_options(command: F) -> F:
    """Where the pictures of a batch go, and as what."""
    options = (
        click.option(
            "-o", "--output", metavar="DIR", required=True, help="folder for the pictures"
        ),
        click.option(
            "--format", "ending", default="", metavar="NAME", help="png, jpg, webp, tif, avif"
        ),
    )
    return stacked(command, options)


@batch.command(epilog=EPILOG)
@click.argument("contents", nargs=-1, required=True)
@click.option(
    "-s",
    "--style",
    "styles",
    multiple=True,
    required=True,
    metavar="STYLE",
    help="a picture, folder, pattern or URL; every content is painted in each",
)
@place_options
@presets_option
@recipe_options(StyleRecipe)
@batch_options
def style(contents: tuple[str, ...], styles: tuple[str, ...], **options: Any) -> int:
    """Paint every picture of CONTENTS in every style."""
    from impasto.batch.plan import BatchPlan, ending_of

    changed = given_options(StyleRecipe, _own(StyleRecipe, options))
    known = read_presets(options["presets"]) if options["presets"] else PRESETS
    recipe = style_recipe(changed.pop("preset", "default"), presets=known, **changed)
    plan = BatchPlan(
        "style", contents, styles, options["output"], recipe, ending_of(options["ending"])
    )
    return _run(plan, options)


@batch.command(epilog=EPILOG)
@click.argument("inputs", nargs=-1, required=True)
@place_options
@recipe_options(DenoiseRecipe)
@batch_options
def denoise(inputs: tuple[str, ...], **options: Any) -> int:
    """Clean every picture of INPUTS of its noise.

    TIFFs of measured data keep type, axes and range.
    """
    from impasto.batch.plan import BatchPlan, ending_of

    recipe = validate(DenoiseRecipe, given_options(DenoiseRecipe, _own(DenoiseRecipe, options)))
    plan = BatchPlan("denoise", inputs, (), options["output"], recipe, ending_of(options["ending"]))
    return _run(plan, options)


@batch.command(epilog=EPILOG)
@click.argument("plan", metavar="PLAN.toml")
@batch_options
def run(plan: str, **options: Any) -> int:
    """Run the batch that a file describes.

    It has method (style or denoise), contents, styles, output, format, and a table [recipe] with
    options as in `impasto style --help`, with _ for -.
    """
    from impasto.batch.plan import read_plan

    return _run(read_plan(plan), options)


def _own(model: Any, options: dict[str, Any]) -> dict[str, Any]:
    """The options that are a recipe's."""
    names = (*model.model_fields, *getattr(model, "OLD_OPTIONS", ()))
    return {name: options[name] for name in names if name != "version"}


def _run(plan: BatchPlan, options: dict[str, Any]) -> int:
    """Run a plan, draw how far it is, and report."""
    from impasto.batch.run import run_batch as run_batch

    names = ("executor", "workers", "threads", "address", "gpus", "existing", "tries", "manifest")
    chosen = {name: options[name] for name in names}
    if options["dry_run"]:
        return _rehearse(plan, chosen, options["as_json"])
    said = "finishing the pictures at hand; once more to abandon them"
    with interruptible(said) as asked, show_batch(options["progress"]) as draw:
        found = run_batch(plan, **chosen, on_progress=draw, asked=asked)
    if options["as_json"]:
        click.echo(json.dumps(_facts(found, plan.output), ensure_ascii=False))
    else:
        _report(found, plan.output)
    if found.stopped:
        return INTERRUPTED
    if not found.failed:
        return 0
    return SOME if found.done or found.skipped else NONE


def _rehearse(plan: BatchPlan, chosen: dict[str, Any], as_json: bool) -> int:
    """Print what a batch would do."""
    from impasto.batch.dry_run import estimate_batch

    facts = estimate_batch(plan, **chosen)
    if as_json:
        click.echo(json.dumps(facts, ensure_ascii=False))
        return 0
    for name, value in facts.items():
        click.echo(f"{name.replace('_', ' '):14}{'unknown' if value is None else value}")
    click.echo("nothing was written")
    return 0


def _report(found: Progress, output: str) -> None:
    """Say what became of a batch: failures on stderr, the folder on stdout."""
    for place, reason in found.failed.items():
        click.echo(f"impasto: {place}: {reason}", err=True)
    words = [f"{found.done} of {found.total} done"]
    words += [f"{found.made} of them now"] if found.made != found.done else []
    words += [f"{found.skipped} left alone"] if found.skipped else []
    words += [f"{len(found.failed)} failed"] if found.failed else []
    words += [f"{found.left} to do"] if found.left else []
    words += [format_duration(found.seconds)]
    words += [f"{found.an_hour:.0f} an hour"] if found.made else []
    click.echo(f"impasto: {', '.join(words)}", err=True)
    click.echo(output)


def _facts(found: Progress, output: str) -> dict[str, Any]:
    """What `--json` says of a batch."""
    each = sorted(found.each)
    return {
        "output": output,
        "total": found.total,
        "done": found.done,
        "made": found.made,
        "skipped": found.skipped,
        "failed": found.failed,
        "left": found.left,
        "stopped": found.stopped,
        "seconds": round(found.seconds, 3),
        "median_seconds": round(each[len(each) // 2], 3) if each else None,
        "an_hour": round(found.an_hour, 1),
        "workers": found.workers,
    }
