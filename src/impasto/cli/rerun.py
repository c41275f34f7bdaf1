"""`impasto rerun`: the same picture again, or another in the same way."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from impasto.cli import files
from impasto.cli.options import (
    debug_option,
    json_option,
    overwrite_option,
    progress_option,
    sidecar_option,
)
from impasto.cli.progress import show_progress
from impasto.cli.signals import interruptible, stop_when_asked
from impasto.errors import ImpastoError

if TYPE_CHECKING:
    from impasto.replay import RerunPlan
    from impasto.result import OnStep

EPILOG = (
    "Inputs are looked for by name and content beside FILE and in the current folder, nowhere "
    "else. On the same machine, with the same torch, on its CPU, the bytes are the same."
)


def _schema(context: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    """Print the recipes' JSON Schema and end."""
    if wanted:
        from impasto.provenance import schema

        click.echo(json.dumps(schema(), indent=2))
        context.exit()


@click.command(epilog=EPILOG)
@click.argument("file")
@click.option("--content", metavar="FILE", help="another content image, or where it is now")
@click.option("--style", multiple=True, metavar="FILE", help="the same for the styles, in order")
@click.option("--weights", metavar="FILE", help="VGG-19 weights, where the recipe names a file")
@click.option("-o", "--output", metavar="OUT", help="where to  [default: FILE-again, here]")
@click.option(
    "--schema", is_flag=True, is_eager=True, expose_value=False, callback=_schema,
    help="print the JSON Schema of recipes and end",
)  # fmt: skip
@sidecar_option
@overwrite_option
@json_option
@progress_option
@debug_option
def rerun(file: str, output: str | None, **options: Any) -> int:
    """Make the picture in FILE again.

    FILE is a picture that impasto made, or a recipe. With --content or --style, the same is made
    of other pictures.
    """
    from impasto.replay import prepare_rerun, run_again

    stem, ending = _named(file)
    place = output or f"{stem}-again{ending}"
    inputs = (file, options["content"], *options["style"], options["weights"])
    files.check_places(
        files.SaveOptions(place, options["overwrite"], files.files(*inputs)), figures={}
    )
    found = prepare_rerun(
        file,
        content=options["content"],
        style=list(options["style"]) or None,
        weights=options["weights"],
    )
    for change in found.changes:
        click.echo(f"impasto: {change}", err=True)
    wished = found.provenance.output
    saving = files.SaveOptions(
        place,
        options["overwrite"],
        files.files(*inputs, *map(str, found.files)),
        wished.bits,
        wished.quality,
        wished.strip_gps,
        sidecar=options["sidecar"],
    )
    files.check_places(saving, figures={})
    measured = _measured(found, place)
    began = time.monotonic()
    with interruptible() as asked:
        with show_progress(options["progress"], part="plane" if measured else "scale") as draw:
            watch = stop_when_asked(asked, draw)
            result = _cleaned(found, saving, watch) if measured else run_again(found, watch)
        written = place if measured else files.write_result(saving, result)
    facts = {
        "output": written,
        "method": found.provenance.method,
        "seconds": round(time.monotonic() - began, 3),
        "changes": list(found.changes),
    }
    files.print_result(written, facts if options["as_json"] else None)
    if not asked.is_set():
        return 0
    click.echo(f"impasto: stopped; what was made by then is in {written}", err=True)
    return 130


def _measured(found: RerunPlan, place: str) -> bool:
    """Whether measured data is to be cleaned into a TIFF; refuses any other kind of file."""
    from impasto.images.stack import Stack

    source = found.images.get("content")
    tiff = Path(place).suffix.lower() in (".tif", ".tiff")
    if isinstance(source, Stack) and not tiff and not source.single:
        raise ValueError(
            f"`output` must end in .tif or .tiff for a stack, got {place}; choose another name"
        )
    return isinstance(source, Stack) and tiff


def _cleaned(found: RerunPlan, saving: files.SaveOptions, on_step: OnStep) -> None:
    """Clean measured data once more, a plane at a time."""
    from impasto.denoising.denoise import denoise_stack, denoising_provenance

    source, recipe = found.images["content"], found.provenance.recipe
    rules = {"on_step": on_step, "overwrite": saving.overwrite}
    try:
        denoise_stack(source, saving.output, recipe=recipe, **rules)
    except ImpastoError as error:
        if type(error) is not ImpastoError:  # its children tell of other things than Ctrl-C
            raise
        raise click.Abort from None
    files.put_sidecar(saving, denoising_provenance(source, recipe).model_dump_json())


def _named(file: str) -> tuple[str, str]:
    """The name and ending that a file's picture has: `a.png.impasto.json` -> `a`, `.png`."""
    name = Path(file).name.removesuffix(".impasto.json")
    ending = Path(name).suffix
    return Path(name).stem, ".png" if ending in ("", ".json") else ending
