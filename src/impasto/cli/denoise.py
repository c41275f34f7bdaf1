"""`impasto denoise` and `impasto noise`: what the user types to clean, and to add noise.

The callbacks import the library, and with it torch, only when they run: help comes without.
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
from impasto.images.clip_names import is_clip
from impasto.images.zarr_names import is_zarr
from impasto.recipes import ClipRecipe, DenoiseRecipe
from impasto.validation import validate

DENOISE_EPILOG = (
    "Without -o, TIFFs of measured data (of ImageJ or OME, of several pages, of floats, of 16-bit "
    "gray, or with --axes) become IN-clean.tif, zarr and OME-Zarr stores, at a path or a URL, "
    "IN-clean.zarr, everything else IN-clean.png. Measured data keeps "
    "type, axes and range, and is read and written a plane at a time; data of one plane may also "
    "become a .png. A --sigma above 1 is out of 255: 25 is 25/255; of float data it is in the "
    "data's own numbers, as it stands. IN may be `-` for stdin; -o - writes a PNG to stdout, and "
    "--json then goes to stderr. Ctrl-C keeps what was cleaned so far of a picture, and writes "
    "nothing of a stack. A film (a video, a folder or a pattern such as frame_%04d.png) becomes "
    "an .mp4, a .webm, a folder or frames by a pattern, without -o IN-clean.mp4; after a kill the "
    "same command goes on, and after Ctrl-C, which leaves a film of what is done, with --overwrite."
)
NOISE_EPILOG = (
    "Gaussian noise is cut off at black and white. Poisson counts go on above white: 8 and 16 bits "
    "cut them off there, a .tif of 32 bits keeps them, as data without what a photograph carries "
    "besides. IN may be `-` for stdin; -o - writes a PNG to stdout, and --json then goes to stderr."
)


@click.command("denoise", cls=Command, epilog=DENOISE_EPILOG)
@click.argument("source", metavar="IN", type=FILE)
@output_option("where to  [default: IN-clean.png here]")
@recipe_options(DenoiseRecipe)
@recipe_options(ClipRecipe, without=tuple(DenoiseRecipe.model_fields))
@click.option(
    "--residual",
    metavar="FILE",
    type=FILE,
    help="also write what was taken away: as .tif the signed numbers in 32-bit floats, of measured "
    "data in its own numbers and axes; as another picture 0.5 more, so that mid-gray is nothing",
)
@click.option(
    "--figure", metavar="FILE", type=FILE, help="draw IN and the result: .png .jpg .pdf .svg"
)
@click.option(
    "--truth",
    metavar="FILE",
    type=FILE,
    help="IN without noise, drawn and measured in the figure",
)
@click.option("--pairs", metavar="FILE", type=FILE, help="draw IN beside its two half-size views")
@file_options()
@sidecar_option
@dry_run_option("the noise found and what would be done")
@json_option
@progress_option
@debug_option
def denoise_command(source: str, output: str | None, **options: Any) -> int:
    """Clean IN, a picture, measured data or a film, of its noise.

    Nothing is learned from but IN itself.
    """
    if not is_zarr(source) and is_clip(source):
        from impasto.cli.run_clip import clean_clip

        texts = recipe_texts(ClipRecipe, options)
        recipe = validate(ClipRecipe, parse_options(ClipRecipe, texts))
        return clean_clip(source, output, recipe, options)
    for name in ("range", "rate"):
        if options[name] is not None:
            raise ValueError(
                f"`{name}` must be left out for other than a film, got {options[name]!r} with "
                f"{source}; leave it out"
            )
    recipe = validate(
        DenoiseRecipe, parse_options(DenoiseRecipe, recipe_texts(DenoiseRecipe, options))
    )
    from impasto.cli.run_denoise import clean

    return clean(source, recipe, output, options)


@click.command("noise", cls=Command, epilog=NOISE_EPILOG)
@click.argument("source", metavar="IN", type=FILE)
@output_option("where to", required=True)
@click.option(
    "--gaussian",
    type=click.FloatRange(0, min_open=True),
    metavar="SIGMA",
    help="noise as strong in the dark as in the light: its standard deviation out of 255; larger "
    "is noisier",
)
@click.option(
    "--poisson",
    type=click.FloatRange(0, min_open=True),
    metavar="PHOTONS",
    help="noise that grows with the light: photons that a white pixel counts; larger is cleaner",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=0,
    metavar="N",
    show_default=True,
    help="same seed, same noise",
)
@file_options(("8", "16", "32"))
@json_option
@debug_option
def noise_command(source: str, output: str, **options: Any) -> None:
    """Add noise of a known kind to IN."""
    gaussian, poisson = options["gaussian"], options["poisson"]
    if (gaussian is None) == (poisson is None):
        raise ValueError(
            f"`gaussian` or `poisson` must be given, one of them, got {gaussian} and {poisson}; "
            "choose a kind of noise"
        )
    from impasto.cli.run_denoise import add_noise_to_file

    add_noise_to_file(source, output, options)
