"""`impasto denoise`: clean a photograph or measured data of its noise."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from impasto.cli import files
from impasto.cli.denoise_figures import check_figures, draw, figure_options, truth_of
from impasto.cli.options import (
    debug_option,
    dry_run_option,
    file_options,
    given_options,
    json_option,
    progress_option,
    recipe_options,
    sidecar_option,
)
from impasto.cli.progress import show_progress
from impasto.cli.signals import interruptible, stop_when_asked
from impasto.errors import ImpastoError
from impasto.images.image import Image, ImageMetadata
from impasto.recipes import DenoiseRecipe
from impasto.validation import validate

if TYPE_CHECKING:
    from impasto.images.stack import Stack
    from impasto.result import DenoiseResult, Diagnosis, OnStep, Step

_FIELDS = tuple(name for name in DenoiseRecipe.model_fields if name != "version")
_TIFF = (".tif", ".tiff")
_WHITE = 255  # what a sigma above 1 is out of

EPILOG = (
    "Without -o, TIFFs of measured data (of ImageJ or OME, of several pages, of floats, of 16-bit "
    "gray, or with --axes) become IN-clean.tif, everything else IN-clean.png. Measured data keeps "
    "type, axes and range, and is read and written a plane at a time; data of one plane may also "
    "become a .png. A --sigma above 1 is out of 255: 25 is 25/255; of float data it is in the "
    "data's own numbers, as it stands. IN may be `-` for stdin; -o - writes a PNG to stdout, and "
    "--json then goes to stderr. Ctrl-C keeps what was cleaned so far of a picture, and writes "
    "nothing of a stack."
)
RESIDUAL = (
    "also write what was taken away: as .tif the signed numbers in 32-bit floats, of measured "
    "data in its own numbers and axes; as another picture 0.5 more, so that mid-gray is nothing"
)


@click.command(epilog=EPILOG)
@click.argument("picture", metavar="IN")
@click.option("-o", "--output", metavar="FILE", help="where to  [default: IN-clean.png here]")
@recipe_options(DenoiseRecipe)
@click.option("--residual", metavar="FILE", help=RESIDUAL)
@figure_options
@file_options()
@sidecar_option
@dry_run_option("the noise found and what would be done")
@json_option
@progress_option
@debug_option
def denoise(picture: str, output: str | None, residual: str | None, **options: Any) -> int:
    """Clean IN of its noise.

    Nothing is learned from but IN itself.
    """
    from impasto.images.tiff_read import is_scientific_tiff

    recipe = validate(
        DenoiseRecipe, given_options(DenoiseRecipe, {name: options[name] for name in _FIELDS})
    )
    files.check_single_stdin({"picture": picture})
    measured = picture != files.PIPE and (recipe.axes != "auto" or is_scientific_tiff(picture))
    place = output or f"{files.base_name(picture)}-clean{'.tif' if measured else '.png'}"
    saving = files.saving_of(place, files.files(picture), options)
    streamed = measured and Path(place).suffix.lower() in _TIFF
    _check_places(saving, residual, streamed)
    check_figures(options, saving, residual)
    source = files.open_measured(picture, "picture", recipe.axes)
    if measured and not streamed:
        _check_picture(source, place)
    truth = truth_of(options, source, recipe.axes)
    recipe = _scaled(recipe, source)
    if options["dry_run"]:
        return _rehearse(source, recipe, options["as_json"])
    with interruptible() as asked:
        run = _clean_stack if streamed else _clean
        return run(source, truth, recipe, saving, residual, options, asked)


def _clean(
    source: Image | Stack,
    truth: Image | Stack | None,
    recipe: DenoiseRecipe,
    saving: files.SaveOptions,
    residual: str | None,
    options: dict[str, Any],
    asked: threading.Event,
) -> int:
    """Clean a picture, write everything, and say where it is."""
    from impasto.cli.residual import write_residual
    from impasto.denoising.denoise import denoise as clean

    with show_progress(options["progress"], part="plane") as bar:
        result = clean(source, recipe=recipe, on_step=stop_when_asked(asked, bar))
    _say(result.diagnosis, options)
    written = files.write_result(saving, result)
    if residual:
        write_residual(residual, result, saving.overwrite)
    _draw(result, truth, options)
    facts = _facts(result.diagnosis, result.size, 1, recipe, result.device)
    _tell(written, residual, facts, result.seconds, options)
    if not asked.is_set():
        return 0
    what = "what was cleaned by then" if result.stopped else "the picture, which was done,"
    where = "was written to stdout" if written == files.PIPE else f"is in {written}"
    click.echo(f"impasto: stopped; {what} {where}", err=True)
    return 130


def _clean_stack(
    source: Stack,
    truth: Image | Stack | None,
    recipe: DenoiseRecipe,
    saving: files.SaveOptions,
    residual: str | None,
    options: dict[str, Any],
    asked: threading.Event,
) -> int:
    """Clean measured data into a TIFF, a plane at a time, and say where it is."""
    from impasto.cli.residual import write_difference
    from impasto.denoising.denoise import denoise_stack, denoising_provenance
    from impasto.denoising.diagnose import diagnose
    from impasto.images.tiff_read import open_stack

    began = time.monotonic()
    found = diagnose(source, **recipe.model_dump(exclude={"version"}))
    _say(found, options)
    plane = 1

    def count(step: Step) -> None:
        nonlocal plane
        plane = step.scale

    written = saving.output
    try:
        with show_progress(options["progress"], part="plane") as bar:
            on_step: OnStep = stop_when_asked(asked, bar, count)
            denoise_stack(
                source, written, recipe=recipe, on_step=on_step, overwrite=saving.overwrite
            )
            files.put_sidecar(saving, denoising_provenance(source, recipe).model_dump_json())
    except ImpastoError as error:
        # Its children tell of other things than a run that was ended.
        if not asked.is_set() or type(error) is not ImpastoError:
            raise
        sentence = f"impasto: stopped in plane {plane} of {source.count}; nothing was written"
        click.echo(sentence, err=True)
        return 130
    if residual:
        axes = None if recipe.axes == "auto" else recipe.axes
        write_difference(residual, source, written, axes, saving.overwrite)
    if options["figure"] or options["pairs"]:
        draw(source, open_stack(written, source.axes), truth, options, measured=True)
    facts = _facts(found, source.plane_shape[:0:-1], source.count, recipe, _device(recipe))
    _tell(written, residual, facts, time.monotonic() - began, options)
    if asked.is_set():
        click.echo(f"impasto: stopped; the data, which was done, is in {written}", err=True)
        return 130
    return 0


def _draw(result: DenoiseResult, truth: Any, options: dict[str, Any]) -> None:
    """Draw the figures of a picture that were asked for, opacity too."""
    before, after = result.noisy, result.pixels
    measured = not isinstance(result.source, ImageMetadata)
    if not measured:
        before, after = Image(before, result.source), Image(after, result.source)
    draw(before, after, truth, options, measured)


def _rehearse(source: Image | Stack, recipe: DenoiseRecipe, as_json: bool) -> int:
    """Print what noise there is and what would be done about it."""
    from impasto.denoising.diagnose import diagnose

    found = diagnose(source, **recipe.model_dump(exclude={"version"}))
    alone = isinstance(source, Image)
    size = source.size if alone else source.plane_shape[:0:-1]
    planes = 1 if alone else source.count
    facts = _facts(found, size, planes, recipe, _device(recipe))
    if as_json:
        click.echo(json.dumps(facts, ensure_ascii=False))
        return 0
    click.echo(f"size       {size[0]} × {size[1]}" + f", {planes} planes" * (planes > 1))
    click.echo(f"noise      {found.words}")
    click.echo(f"device     {facts['device']}")
    click.echo("nothing was written")
    return 0


def _facts(
    found: Diagnosis, size: tuple[int, ...], planes: int, recipe: DenoiseRecipe, device: str
) -> dict[str, Any]:
    """What `--json` says of cleaning, in plain JSON values."""
    return {
        **files.noise_facts(found),
        "size": list(size),
        "planes": planes,
        "strength": recipe.strength,
        "chroma": recipe.chroma,
        "device": device,
    }


def _tell(
    written: str,
    residual: str | None,
    facts: dict[str, Any],
    seconds: float,
    options: dict[str, Any],
) -> None:
    """Print where the result is, or everything about it as JSON."""
    whole = {"output": written, **facts, "seconds": round(seconds, 3), "residual": residual}
    files.print_result(written, whole if options["as_json"] else None)


def _say(found: Diagnosis, options: dict[str, Any]) -> None:
    """Say on stderr what noise was found, where JSON does not."""
    if options["progress"] is not False and not options["as_json"]:
        click.echo(f"impasto: {found.words}", err=True)


def _device(recipe: DenoiseRecipe) -> str:
    """Where a recipe computes."""
    from impasto.device import select_device

    return str(select_device(recipe.device))


def _scaled(recipe: DenoiseRecipe, source: Image | Stack) -> DenoiseRecipe:
    """The recipe with its sigma in the library's numbers."""
    floats = not isinstance(source, Image) and source.dtype.kind == "f"
    if recipe.sigma == "auto" or recipe.sigma <= 1 or floats:
        return recipe
    if recipe.sigma > _WHITE:
        raise ValueError(
            f"`sigma` must be at most {_WHITE} for a picture or whole numbers, where it is out of "
            f"{_WHITE}, got {recipe.sigma:g}; give less, or leave it out"
        )
    return recipe.model_copy(update={"sigma": recipe.sigma / _WHITE})


def _check_places(saving: files.SaveOptions, residual: str | None, streamed: bool) -> None:
    """Refuse every place that cannot be written, before any work."""
    from impasto.files import check_writable
    from impasto.images.write import check_output, output_format

    rules = {"overwrite": saving.overwrite, "inputs": saving.inputs}
    if streamed:
        _check_unused(saving)
        check_output(saving.output, **rules)
    else:
        files.check_places(saving, figures={})
    if residual is None:
        return
    ending = Path(residual).suffix
    if streamed and ending.lower() not in _TIFF:
        raise ValueError(
            f"`residual` must end in .tif or .tiff for measured data, got {residual}; choose one"
        )
    output_format(ending, "residual", residual)
    if Path(residual).resolve() == Path(saving.output).resolve():
        raise ValueError(
            f"`residual` must be a file of its own, got {residual!r}, which `output` writes; "
            "choose another name"
        )
    check_writable(residual, **rules, name="residual")


def _check_unused(saving: files.SaveOptions) -> None:
    """Refuse what a TIFF of measured data has no use for."""
    for name, value in (
        ("bits", saving.bits),
        ("quality", saving.quality),
        ("strip_gps", saving.strip_gps),
    ):
        if value:
            raise ValueError(
                f"`{name}` must be left out for a TIFF of measured data, which stays as it is, "
                f"got {value}; leave it out, or write a .png"
            )


def _check_picture(stack: Stack, place: str) -> None:
    """Refuse to make a picture to be seen out of data that none can hold."""
    channels, *_ = stack.plane_shape
    if not stack.single or channels not in (1, 3) or stack.dtype.name not in ("uint8", "uint16"):
        shape = " × ".join(map(str, stack.shape))
        raise ValueError(
            "`output` must end in .tif or .tiff for measured data but single planes of uint8 or "
            f"uint16 in 1 or 3 channels, got {place} for {stack.dtype.name} of {stack.axes} "
            f"{shape}; choose a .tif"
        )
