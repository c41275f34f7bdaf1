"""One run of `impasto denoise`, of an image or of measured data plane by plane; and added noise."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from impasto.cli.delivery import Delivery
from impasto.cli.files import (
    SaveOptions,
    check_figures,
    check_places,
    check_result_size,
    is_tiff,
    noise_facts,
    print_notes,
    print_result,
    read_image,
    read_image_or_stack,
    save_options,
    write_pixels,
)
from impasto.cli.options import PIPE, check_single_stdin, path_or_bytes, stem
from impasto.cli.progress import combine_watchers, show_progress
from impasto.cli.run import CommandOutcome, Stopped, execute
from impasto.cli.terminal import echo, echo_json
from impasto.denoise_figures import denoise_figure, pair_figure
from impasto.denoising.denoise import (
    denoise,
    denoise_stack,
    denoising_provenance,
    with_treatments,
)
from impasto.denoising.diagnose import diagnose
from impasto.denoising.filter_plan import plan_filter
from impasto.device import select_device
from impasto.errors import ImpastoError
from impasto.figures import save_figure
from impasto.files import check_writable
from impasto.images.crop import check_part, crop_metadata, crop_source, picture_size
from impasto.images.image import Image
from impasto.images.open_input import open_input
from impasto.images.resize import result_size
from impasto.images.stack import Stack, array_stack, check_single_picture
from impasto.images.tiff_read import is_scientific_tiff, open_stack
from impasto.images.tiff_write import write_stack
from impasto.images.write import check_output, output_format
from impasto.images.zarr_names import is_zarr
from impasto.images.zarr_read import open_zarr
from impasto.images.zarr_write import check_zarr_output, smaller_copies
from impasto.memory import GIB
from impasto.synthetic_noise import add_noise

if TYPE_CHECKING:
    from impasto.recipes import DenoiseRecipe
    from impasto.result import Diagnosis, OnStep, Step

    Source = Image | Stack

WHITE = 255  # a sigma above 1 is out of this


def clean(
    source: str, recipe: DenoiseRecipe, output: str | None, options: Mapping[str, Any]
) -> int:
    """Clean a file, or print the noise in it, and return the exit code.

    Args:
        source: a file, or `-` for stdin.
        recipe: how; its sigma as it was typed.
        output: where to; None names it after the source.
        options: the command's other options.
    """
    check_single_stdin({"picture": source})
    content = path_or_bytes(source)
    zarr = is_zarr(content)
    measured = zarr or recipe.axes != "auto" or is_scientific_tiff(content)
    ending = ".zarr" if zarr else ".tif" if measured else ".png"
    output = output or f"{stem(source)}-clean{ending}"
    saving = save_options(output, [source, options["truth"]], options)
    streamed = measured and (is_tiff(output) or is_zarr(output))
    _check_places(saving, options, streamed)
    data = open_input(content, recipe.axes, "picture")
    print_notes(source, data)
    if is_zarr(output) and (words := smaller_copies(data)):
        echo(f"impasto: {source}: {words}", err=True)
    if measured and not streamed:
        check_single_picture(data, output)
    if recipe.crop != "whole":
        check_part(recipe.crop, picture_size(data))
    if not streamed:
        check_result_size(saving, result_size(recipe, picture_size(data)))
    truth = _open_truth(options["truth"], data, recipe.axes)
    recipe = normalize_sigma(recipe, data)
    if options["dry_run"]:
        _print_noise(data, recipe, options["as_json"])
        return 0
    run = _clean_stack if streamed else _clean_image
    return execute(
        lambda stop_requested: run(data, truth, recipe, saving, options, stop_requested),
        options["as_json"],
    )


def add_noise_to_file(source: str, output: str, options: Mapping[str, Any]) -> None:
    """Add noise to an image file, write it, and print where it is.

    Args:
        source: a file, or `-` for stdin.
        output: a file, or `-` for stdout.
        options: `gaussian` or `poisson`, the other None; `seed`; how the file is written.
    """
    gaussian, poisson, seed = (options[name] for name in ("gaussian", "poisson", "seed"))
    check_single_stdin({"picture": source})
    saving = save_options(output, [source], options)
    check_places(saving)
    if source != PIPE and is_scientific_tiff(source):
        stack = read_image_or_stack(source, "picture")
        if not stack.single:
            raise ValueError(
                f"`picture` must be a single picture, got {source} with {stack.count} planes; "
                "give one of them"
            )
    image = read_image(source, "picture")
    sigma = None if gaussian is None else gaussian / WHITE
    noisy = add_noise(image.pixels, gaussian=sigma, poisson=poisson, seed=seed)
    if (saving.bits or image.metadata.bits) == 32 and is_tiff(output):
        # 32-bit floats are written as they are, above white too.
        stack = _array_stack(noisy.permute(1, 2, 0).numpy())  # (C, H, W) -> (H, W, C)
        written = str(write_stack(output, stack, [noisy], **saving.rules))
    else:
        written = write_pixels(saving, noisy, replace(image.metadata, recipe=None), None)
    facts = {
        "output": written,
        "size": list(image.size),
        "gaussian": gaussian,
        "poisson": poisson,
        "seed": seed,
    }
    print_result(written, facts if options["as_json"] else None)


def stream_stack(
    stack: Stack, recipe: DenoiseRecipe, delivery: Delivery, on_step: OnStep
) -> tuple[Diagnosis, str]:
    """Clean measured data into a TIFF, a plane at a time, with the sidecar.

    Returns:
        What was done, and where the file is.

    Raises:
        Stopped: `on_step` ended the run; nothing was written.
    """
    stopped: list[int] = []
    diagnoses: list[Diagnosis] = []

    def watch(step: Step) -> None:
        try:
            on_step(step)
        except StopIteration:
            stopped.append(step.scale)
            raise

    try:
        path = denoise_stack(
            stack,
            delivery.saving.output,
            recipe=recipe,
            on_step=watch,
            overwrite=delivery.saving.overwrite,
            on_diagnosis=diagnoses.append,
            on_rescue=delivery.tell_rescue,
        )
    except ImpastoError as error:
        # Its subclasses are about other things than a run that was ended.
        if not stopped or type(error) is not ImpastoError:
            raise
        raise Stopped(
            f"stopped in plane {stopped[0]} of {stack.count}; nothing was written"
        ) from None
    provenance = with_treatments(denoising_provenance(stack, recipe), diagnoses[0])
    delivery.write_sidecar(str(path), provenance.model_dump_json())
    return diagnoses[0], str(path)


def _clean_image(
    data: Image | Stack,
    truth: Image | Stack | None,
    recipe: DenoiseRecipe,
    saving: SaveOptions,
    options: Mapping[str, Any],
    stop_requested: threading.Event,
) -> CommandOutcome:
    """Clean an image, or a stack into an image, and write everything."""
    with show_progress(options["progress"], part="plane") as bar:
        result = denoise(data, recipe=recipe, on_step=combine_watchers(stop_requested, bar))
    _announce(result.diagnosis, options)
    delivery = Delivery(saving)
    output = delivery.write_result(result)

    def write_residual(path: Path, overwrite: bool) -> None:
        result.save_residual(path, overwrite=overwrite)

    delivery.write_extra("residual", options["residual"], write_residual)
    noisy, pixels = result.noisy, result.pixels
    measured = isinstance(result.source, Stack)
    if not measured:  # with its opacity
        noisy, pixels = Image(noisy, result.source), Image(pixels, result.source)
    truth = _cut(truth, recipe)
    _draw(noisy, lambda: pixels, truth, options, delivery, measured=measured)
    place = "was written to stdout" if output == PIPE else f"is in {output}"
    state = "what was cleaned by then" if result.stopped else "the picture, which was done,"
    facts = _facts(result.diagnosis, data, recipe, result.device, planes=1)
    sentence = f"stopped; {state} {place}"
    return _outcome(output, facts, result.seconds, options, sentence, delivery)


def _clean_stack(
    data: Stack,
    truth: Image | Stack | None,
    recipe: DenoiseRecipe,
    saving: SaveOptions,
    options: Mapping[str, Any],
    stop_requested: threading.Event,
) -> CommandOutcome:
    """Clean measured data into a TIFF, a plane at a time, and write everything."""
    start = time.monotonic()
    delivery = Delivery(saving)
    with show_progress(options["progress"], part="plane") as bar:
        on_step = combine_watchers(stop_requested, bar)
        diagnosis, output = stream_stack(data, recipe, delivery, on_step)
    _announce(diagnosis, options)
    data, truth = _cut(data, recipe), _cut(truth, recipe)

    def write_residual(path: Path, overwrite: bool) -> None:
        axes = None if recipe.axes == "auto" else recipe.axes
        cleaned = _open_measured(output, axes)
        residual = Stack(_Difference(data, cleaned), data.axes, 1.0)
        planes = (residual.read_plane(index) for index in residual.plane_indices())
        write_stack(path, residual, planes, overwrite=overwrite)

    delivery.write_extra("residual", options["residual"], write_residual)
    cleaned = partial(_open_measured, output, data.axes)
    _draw(data, cleaned, truth, options, delivery, measured=True)
    facts = _facts(diagnosis, data, recipe, str(select_device(recipe.device)))
    sentence = f"stopped; the data, which was done, is in {output}"
    return _outcome(output, facts, time.monotonic() - start, options, sentence, delivery)


def _print_noise(data: Source, recipe: DenoiseRecipe, as_json: bool) -> None:
    """Print the noise in some data and where it would be cleaned."""
    diagnosis = diagnose(data, **recipe.model_dump(exclude={"version"}))
    device = select_device(recipe.device)
    facts = _facts(diagnosis, data, recipe, str(device))
    plan = None
    if diagnosis.method == "nl-wiener":
        shape = data.pixels.shape if isinstance(data, Image) else data.plane_shape
        plan = plan_filter(tuple(shape), diagnosis.noise, recipe, device)
    if as_json:
        echo_json(facts | ({} if plan is None else plan._asdict()))
        return
    (width, height), planes = facts["size"], facts["planes"]
    echo(f"size       {width} × {height}" + f", {planes} planes" * (planes > 1))
    echo(f"noise      {diagnosis.words}")
    echo(f"device     {facts['device']}")
    if plan is not None:
        bands = f", in {plan.bands} bands of rows" * (plan.bands > 1)
        echo(f"memory     {plan.memory / GIB:.2f} GiB besides the picture{bands}")
    echo("nothing was written")


def _facts(
    diagnosis: Diagnosis,
    data: Source,
    recipe: DenoiseRecipe,
    device: str,
    planes: int | None = None,
) -> dict[str, Any]:
    """Return what `--json` prints of cleaning, in plain JSON values."""
    return {
        **noise_facts(diagnosis),
        "size": list(result_size(recipe, picture_size(data))),
        "planes": planes or (1 if isinstance(data, Image) else data.count),
        "strength": recipe.strength,
        "chroma": recipe.chroma,
        "detail": recipe.detail,
        "device": device,
    }


def _outcome(
    output: str,
    facts: dict[str, Any],
    seconds: float,
    options: Mapping[str, Any],
    stopped: str,
    delivery: Delivery,
) -> CommandOutcome:
    more = {"seconds": round(seconds, 3), "residual": options["residual"]}
    facts = {"output": output, **facts, **more}
    return CommandOutcome(output, facts, stopped, delivery.problems)


def _announce(diagnosis: Diagnosis, options: Mapping[str, Any]) -> None:
    """Print on stderr what noise there is, where JSON does not."""
    if options["progress"] is not False and not options["as_json"]:
        echo(f"impasto: {diagnosis.words}", err=True)


def normalize_sigma(recipe: DenoiseRecipe, data: Source | None = None) -> DenoiseRecipe:
    """Return the recipe with its sigma in the library's numbers; None stands for a film."""
    is_float = isinstance(data, Stack) and data.dtype.kind == "f"
    if recipe.sigma == "auto" or recipe.sigma <= 1 or is_float:
        return recipe
    if recipe.sigma > WHITE:
        raise ValueError(
            f"`sigma` must be at most {WHITE} for a picture or whole numbers, where it is out of "
            f"{WHITE}, got {recipe.sigma:g}; give less, or leave it out"
        )
    return recipe.model_copy(update={"sigma": recipe.sigma / WHITE})


def _check_places(saving: SaveOptions, options: Mapping[str, Any], streamed: bool) -> None:
    """Refuse every path that cannot be written, before any work."""
    taken = {} if saving.output == PIPE else {Path(saving.output).resolve(): "output"}
    if streamed:
        _check_writer_options(saving)
        check = check_zarr_output if is_zarr(saving.output) else check_output
        check(saving.output, **saving.rules)
    else:
        check_places(saving)
    residual = options["residual"]
    if residual is not None:
        if streamed and not is_tiff(residual):
            raise ValueError(
                f"`residual` must end in .tif or .tiff for measured data, got {residual}; "
                "choose one"
            )
        output_format(Path(residual).suffix, "residual", residual)
        if Path(residual).resolve() == Path(saving.output).resolve():
            raise ValueError(
                f"`residual` must be a file of its own, got {residual!r}, which `output` writes; "
                "choose another name"
            )
        check_writable(residual, **saving.rules, name="residual")
        taken[Path(residual).resolve()] = "residual"
    if options["truth"] and not options["figure"]:
        raise ValueError(
            f"`truth` needs a figure to be drawn in, got {options['truth']!r}; add --figure FILE"
        )
    check_figures(saving, {name: options[name] for name in ("figure", "pairs")}, taken)


def _check_writer_options(saving: SaveOptions) -> None:
    """Refuse what a TIFF of measured data has no use for."""
    for name in ("bits", "quality", "strip_gps", "strip"):
        if value := getattr(saving, name):
            raise ValueError(
                f"`{name}` must be left out for a TIFF of measured data, which stays as it is, "
                f"got {value}; leave it out, or write a .png"
            )


def _open_measured(path: str, axes: str | None) -> Stack:
    """Open a result again."""
    return (open_zarr if is_zarr(path) else open_stack)(path, axes, "output")


def _cut(source: Source | None, recipe: DenoiseRecipe) -> Source | None:
    """Return the recipe's part of an image or a stack."""
    if source is None or recipe.part is None:
        return source
    if isinstance(source, Stack):
        return crop_source(source, recipe.part)
    return Image(source.pixels[:, *recipe.part], crop_metadata(source.metadata, recipe.part))


def _open_truth(path: str | None, data: Source, axes: str) -> Source | None:
    """Open the image without noise, of the same size."""
    if not path:
        return None
    truth = read_image_or_stack(path, "truth", axes)
    (width, height), other = picture_size(data), picture_size(truth)
    if (width, height) != other:
        raise ValueError(
            f"`truth` must have the size of IN, {width} × {height}, got {other[0]} × {other[1]}; "
            "give the same picture without noise"
        )
    return truth


def _draw(
    noisy: Any,
    clean: Callable[[], Any],
    truth: Any,
    options: Mapping[str, Any],
    delivery: Delivery,
    *,
    measured: bool,
) -> None:
    """Draw the figures that were asked for; measured data from its own black to its own white."""

    def write_figure(path: Path, overwrite: bool) -> None:
        save_figure(denoise_figure(truth, noisy, clean(), stretch=measured), path, overwrite)

    def write_pairs(path: Path, overwrite: bool) -> None:
        save_figure(pair_figure(noisy, stretch=measured), path, overwrite)

    delivery.write_extra("figure", options["figure"], write_figure)
    delivery.write_extra("pairs", options["pairs"], write_pairs)


def _array_stack(values: np.ndarray) -> Stack:
    """Make a stack of one plane, (H, W, C); of one channel it has no axis for channels."""
    if values.shape[2] == 1:
        return array_stack(values[..., 0], "YX")
    return array_stack(values, "YXS")


class _Difference:
    """One stack's numbers less another's, read as an array; it holds none."""

    dtype = np.dtype(np.float32)

    def __init__(self, minuend: Stack, subtrahend: Stack) -> None:
        self.shape = minuend.shape
        self._minuend, self._subtrahend = minuend, subtrahend

    def __getitem__(self, slices: tuple[int | slice, ...]) -> np.ndarray:
        first = self._minuend.data[slices].astype(np.float64)
        return (first - self._subtrahend.data[slices]).astype(self.dtype)
