"""`impasto rerun`: the same picture or film again, or another in the same way."""

from __future__ import annotations

from typing import Any

import click

from impasto.cli.options import (
    FILE,
    Command,
    debug_option,
    json_option,
    output_option,
    overwrite_option,
    progress_option,
    sidecar_option,
)
from impasto.cli.terminal import echo_json
from impasto.provenance import schema

EPILOG = (
    "Inputs are looked for by name and content beside FILE, beside the folder of numbered frames, "
    "and in the current folder, nowhere else. A film's recipe is in OUTPUT.impasto.json beside it. "
    "On the same machine, with the same torch, on its CPU, the bytes are the same."
)


def _print_schema(context: click.Context, parameter: click.Parameter, enabled: bool) -> None:
    """Print the recipes' JSON Schema and end."""
    if enabled:
        echo_json(schema(), indent=2)
        context.exit()


@click.command("rerun", cls=Command, epilog=EPILOG)
@click.argument("file", type=FILE)
@click.option(
    "--content", metavar="FILE", type=FILE, help="another content image or clip, or where it is now"
)
@click.option(
    "--style", multiple=True, metavar="FILE", type=FILE, help="the same for the styles, in order"
)
@click.option(
    "--weights", metavar="FILE", type=FILE, help="VGG-19 weights, where the recipe names a file"
)
@output_option("where to  [default: FILE-again, here]", "OUT")
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
    """Make the picture or film in FILE again.

    FILE is a picture or film that impasto made, a folder or pattern of its frames, or a recipe.
    With --content or --style, the same is made of other pictures or another clip.
    """
    from impasto.cli.run_rerun import rerun_file

    return rerun_file(file, output, options)
