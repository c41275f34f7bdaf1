"""`impasto apply`: what the user types to paint pictures with a fitted model.

The callback imports the library, and with it torch, only when it runs: help comes without.
"""

from __future__ import annotations

from typing import Any

import click

from impasto.cli.options import (
    FILE,
    Command,
    debug_option,
    dry_run_option,
    file_options,
    json_option,
    output_option,
    parse_options,
    progress_option,
    recipe_options,
    recipe_texts,
    sidecar_option,
)
from impasto.recipes import ApplyRecipe
from impasto.validation import validate

EPILOG = (
    "PICTURE is a picture or a folder of pictures. One picture goes to the file -o, or into the "
    "folder -o if that is there or has no ending; several go into the folder -o, each under its "
    "own name. A picture that cannot be painted is named, the others are painted, and the exit "
    "code is 3. Ctrl-C ends after the picture at hand. One PICTURE may be `-` for stdin."
)


@click.command("apply", cls=Command, epilog=EPILOG)
@click.argument("model", type=FILE)
@click.argument("pictures", metavar="PICTURE...", nargs=-1, required=True, type=FILE)
@output_option("a file or a folder  [default: PICTURE-MODEL.png here, of one picture]", "PLACE")
@recipe_options(ApplyRecipe)
@click.option(
    "--format",
    "ending",
    metavar="ENDING",
    help="of the files in a folder, such as .jpg  [default: .png]",
)
@click.option(
    "--check",
    "check",
    multiple=True,
    metavar="STYLE",
    type=FILE,
    help="measure each painting against the STYLE of the fit, and say how far it is beside what "
    "the fit reached; takes about a second a picture",
)
@file_options()
@sidecar_option
@dry_run_option("pictures and sizes")
@json_option
@progress_option
@debug_option
def apply_command(model: str, pictures: tuple[str, ...], output: str | None, **options: Any) -> int:
    """Paint PICTUREs with MODEL, a file that `impasto fit` wrote.

    In a fraction of a second each.
    """
    recipe = validate(ApplyRecipe, parse_options(ApplyRecipe, recipe_texts(ApplyRecipe, options)))
    from impasto.cli.run_apply import apply_to_files

    return apply_to_files(model, pictures, output, recipe, options)
