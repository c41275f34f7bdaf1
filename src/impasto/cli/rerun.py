"""`impasto rerun`: the same picture again, or another in the same way."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import click

from impasto.cli.options import (
    FILE,
    Command,
    debug_option,
    json_option,
    overwrite_option,
    progress_option,
    sidecar_option,
)
from impasto.provenance import SIDECAR, schema

EPILOG = (
    "Inputs are looked for by name and content beside FILE and in the current folder, nowhere "
    "else. On the same machine, with the same torch, on its CPU, the bytes are the same."
)


def _print_schema(context: click.Context, parameter: click.Parameter, enabled: bool) -> None:
    """Print the recipes' JSON Schema and end."""
    if enabled:
        click.echo(json.dumps(schema(), indent=2))
        context.exit()


@click.command("rerun", cls=Command, epilog=EPILOG)
@click.argument("file", type=FILE)
@click.option(
    "--content", metavar="FILE", type=FILE, help="another content image, or where it is now"
)
@click.option(
    "--style", multiple=True, metavar="FILE", type=FILE, help="the same for the styles, in order"
)
@click.option(
    "--weights", metavar="FILE", type=FILE, help="VGG-19 weights, where the recipe names a file"
)
@click.option(
    "-o", "--output", metavar="OUT", type=FILE, help="where to  [default: FILE-again, here]"
)
@click.option(
    "--schema",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_schema,
    help="print the JSON Schema of recipes and end",
)
@sidecar_option
@overwrite_option
@json_option
@progress_option
@debug_option
def rerun_command(file: str, output: str | None, **options: Any) -> int:
    """Make the picture in FILE again.

    FILE is a picture that impasto made, or a recipe. With --content or --style, the same is made
    of other pictures.
    """
    from impasto.cli.files import check_places, is_tiff, save_options, write_result
    from impasto.cli.progress import combine_watchers, show_progress
    from impasto.cli.run import Outcome, execute
    from impasto.cli.run_denoise import stream_stack
    from impasto.images.stack import Stack
    from impasto.replay import prepare_rerun, run_again

    stem, ending = _name_of(file)
    output = output or f"{stem}-again{ending}"
    sources = (file, options["content"], *options["style"], options["weights"])
    check_places(save_options(output, sources, {"overwrite": options["overwrite"]}))
    plan = prepare_rerun(
        file,
        content=options["content"],
        style=list(options["style"]) or None,
        weights=options["weights"],
    )
    for change in plan.changes:
        click.echo(f"impasto: {change}", err=True)
    # As the first one was written, but for what this command says of its files.
    writing = plan.provenance.output.model_dump(include={"bits", "quality", "strip_gps"})
    saving = save_options(output, [*sources, *map(str, plan.files)], writing | options)
    check_places(saving)
    data = plan.images.get("content")
    streamed = isinstance(data, Stack) and is_tiff(output)
    if isinstance(data, Stack) and not streamed and not data.single:
        raise ValueError(
            f"`output` must end in .tif or .tiff for a stack, got {output}; choose another name"
        )

    def run(stop_requested: threading.Event) -> Outcome:
        start = time.monotonic()
        with show_progress(options["progress"], part="plane" if streamed else "scale") as draw:
            on_step = combine_watchers(stop_requested, draw)
            if streamed:
                stream_stack(data, plan.provenance.recipe, saving, on_step)
            else:
                result = run_again(plan, on_step)
        written = output if streamed else write_result(saving, result)
        facts = {
            "output": written,
            "method": plan.provenance.method,
            "seconds": round(time.monotonic() - start, 3),
            "changes": list(plan.changes),
        }
        return Outcome(written, facts, f"stopped; what was made by then is in {written}")

    return execute(run, options["as_json"])


def _name_of(file: str) -> tuple[str, str]:
    """Return the name and ending of a file's image: `a.png.impasto.json` -> `a`, `.png`."""
    name = Path(file).name.removesuffix(SIDECAR)
    ending = Path(name).suffix
    return Path(name).stem, ".png" if ending in ("", ".json") else ending
