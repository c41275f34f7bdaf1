"""`impasto fit`: what the user types to fit a small network to a style.

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
    json_option,
    output_option,
    overwrite_option,
    parse_options,
    progress_option,
    recipe_options,
    recipe_texts,
    stem,
)
from impasto.cli.style_args import parse_styles, style_mask_option
from impasto.recipes import FitRecipe
from impasto.validation import validate

EPILOG = (
    "PHOTOGRAPH is a picture or a folder of pictures, like those to be painted later. A STYLE is a "
    "picture, or a folder of pictures as one style; STYLE:0.7 gives it a weight. The fit is kept "
    "beside the output while it goes on: after a kill the same command resumes; after Ctrl-C, "
    "which leaves a model of what is learned, with --overwrite. `impasto apply` paints with it."
)


@click.command("fit", cls=Command, epilog=EPILOG)
@click.argument("photographs", metavar="PHOTOGRAPH...", nargs=-1, required=True, type=FILE)
@click.option(
    "--style",
    "styles",
    multiple=True,
    required=True,
    metavar="STYLE",
    type=FILE,
    help="a picture or folder to learn from; several are blended by their weights",
)
@output_option("where to  [default: STYLE.impasto here]")
@click.option(
    "--from",
    "start",
    metavar="MODEL",
    type=FILE,
    help="a fitted model to start from, of this style or another",
)
@click.option(
    "--preview",
    "learning",
    metavar="FILE",
    type=FILE,
    help="a picture of what was painted last, written anew every 50 steps",
)
@style_mask_option
@recipe_options(FitRecipe)
@overwrite_option
@dry_run_option("pictures, steps and time")
@json_option
@progress_option
@debug_option
def fit_command(
    photographs: tuple[str, ...], styles: tuple[str, ...], output: str | None, **options: Any
) -> int:
    """Fit a small network to paint like STYLE.

    In minutes, on pictures of your own; it then paints in a fraction of a second.
    """
    recipe = validate(FitRecipe, parse_options(FitRecipe, recipe_texts(FitRecipe, options)))
    parsed = parse_styles(styles, options)
    from impasto.cli.run_fit import fit_to_file

    output = output or f"{'-'.join(stem(style.source) for style in parsed)}.impasto"
    return fit_to_file(photographs, parsed, output, recipe, options)
