"""`impasto noise`: add noise of a known kind to a clean picture."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from impasto.cli import files
from impasto.cli.options import debug_option, file_options, json_option

if TYPE_CHECKING:
    from torch import Tensor

    from impasto.images.image import Image

_WHITE = 255  # what --gaussian is out of

EPILOG = (
    "Gaussian noise is cut off at black and white. Poisson counts go on above white: 8 and 16 bits "
    "cut them off there, a .tif of 32 bits keeps them, as data without what a photograph carries "
    "besides. IN may be `-` for stdin; -o - writes a PNG to stdout, and --json then goes to stderr."
)


@click.command(epilog=EPILOG)
@click.argument("picture", metavar="IN")
@click.option("-o", "--output", required=True, metavar="FILE", help="where to")
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
def noise(picture: str, output: str, seed: int, **options: Any) -> None:
    """Add noise of a known kind to IN."""
    from impasto.synthetic_noise import add_noise

    gaussian, poisson = options["gaussian"], options["poisson"]
    if (gaussian is None) == (poisson is None):
        raise ValueError(
            f"`gaussian` or `poisson` must be given, one of them, got {gaussian} and {poisson}; "
            "choose a kind of noise"
        )
    files.check_single_stdin({"picture": picture})
    saving = files.saving_of(output, files.files(picture), options)
    files.check_places(saving, figures={})
    clean = _opened(picture)
    sigma = None if gaussian is None else gaussian / _WHITE
    noisy = add_noise(clean.pixels, gaussian=sigma, poisson=poisson, seed=seed)
    written = _put(saving, noisy, clean)
    facts = {
        "output": written,
        "size": list(clean.size),
        "gaussian": gaussian,
        "poisson": poisson,
        "seed": seed,
    }
    files.print_result(written, facts if options["as_json"] else None)


def _opened(source: str) -> Image:
    """Read one picture; of a stack nobody could say which."""
    from impasto.images.tiff_read import is_scientific_tiff

    if source != files.PIPE and is_scientific_tiff(source):
        stack = files.open_measured(source, "picture")
        if not stack.single:
            raise ValueError(
                f"`picture` must be a single picture, got {source} with {stack.count} planes; "
                "give one of them"
            )
    return files.open_content(source, "picture")


def _put(saving: files.SaveOptions, noisy: Tensor, clean: Image) -> str:
    """Write the noisy picture; 32-bit floats as they are, above white too."""
    from impasto.images.stack import array_stack
    from impasto.images.tiff_write import write_stack

    floats = (saving.bits or clean.metadata.bits) == 32
    if not floats or Path(saving.output).suffix.lower() not in (".tif", ".tiff"):
        return files.put_pixels(saving, noisy, replace(clean.metadata, recipe=None), None)
    values = noisy.permute(1, 2, 0).numpy()  # (C, H, W) -> (H, W, C)
    stack = array_stack(values, "YXS") if len(noisy) == 3 else array_stack(values[..., 0], "YX")
    rules = {"overwrite": saving.overwrite, "inputs": saving.inputs}
    return str(write_stack(saving.output, stack, [noisy], **rules))
