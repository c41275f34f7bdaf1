"""Denoise an image or a stack from nothing but itself: `denoise` and `denoise_stack`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from impasto.denoising.foreign_arrays import (
    denoise_labeled,
    denoise_lazily,
    is_labeled,
    is_lazy,
)
from impasto.denoising.measurements import Measurements
from impasto.denoising.plane_run import PlaneRun, find_textures
from impasto.device import select_device
from impasto.errors import ImpastoError
from impasto.files import OnRescue
from impasto.images.image import Image
from impasto.images.open_input import identify_input, input_planes, open_input
from impasto.images.read import ImageSource
from impasto.images.stack import Stack
from impasto.images.tiff_write import write_stack
from impasto.images.zarr_names import is_zarr
from impasto.images.zarr_write import check_zarr_output, write_zarr
from impasto.provenance import Inputs, Provenance, current_maker
from impasto.recipes import DenoiseRecipe
from impasto.result import DenoiseResult, Diagnosis, OnStep, blend_strength
from impasto.validation import reject_recipe_and_options, validate, with_recipe_signature

if TYPE_CHECKING:
    from typing import Unpack

    from impasto.options import DenoiseOptions


@with_recipe_signature(DenoiseRecipe)
def denoise(
    picture: ImageSource | Stack | Any,
    *,
    recipe: DenoiseRecipe | None = None,
    on_step: OnStep | None = None,
    measurements: Measurements | None = None,
    **options: Unpack[DenoiseOptions],
) -> DenoiseResult | Any:
    """Remove the noise of a picture, with nothing to learn from but the picture itself.

    Photographs are worked on in sRGB. TIFFs of measured data, arrays and tensors keep their own
    numbers: any type, any number of channels, any axes.

    Args:
        picture: a path, bytes, open file or Pillow image, as for `stylize`; an array or a tensor,
            as for `array_stack`; an `Image` or a `Stack`. With `crop`, a part of it is denoised as
            it is in the whole, whose noise is measured. A DataArray of xarray, or an array of dask,
            is taken as measured data, too; dims named y, x, band, time … say what the axes are.
        recipe: every option at once; or give the ones to change as `options`.
        on_step: called with a `Step` after each part of the work; raising `StopIteration` ends the
            run and keeps what was denoised by then.
        measurements: what was measured in earlier runs, used again for the same picture, such as
            for a part and then the whole of it, and added to.
        options: any field of `DenoiseRecipe`, such as `strength`, `method` or `sigma`.

    Returns:
        The denoised picture and the noise that was removed; `DenoiseResult.at` removes another
        share of it without a new run. Of a DataArray, the denoised DataArray with its dims, coords,
        attributes, name and type. Of an array of dask, alone or in a DataArray, one that is
        denoised when it is computed: chunk by chunk with an overlap, each plane by itself, by one
        measurement of the noise in parts of it.

    Raises:
        ValueError: an option or the picture is out of range, or values are not finite.
        ImageError: a file cannot be read.
        MemoryShortageError: the method needs more memory than there is.

    Example:
        >>> import torch
        >>> noisy = 0.5 + 0.1 * torch.randn(1, 32, 32, generator=torch.manual_seed(0))
        >>> result = denoise(noisy, sigma=0.1)
        >>> bool(result.pixels.std() < 0.3 * noisy.std())
        True

    References:
        `nl-wiener`: Herbreteau, Kervrann 2022, arXiv:2203.00570, followed by passes of a Wiener
        filter (Lebrun, Buades, Morel 2013); `zs-n2n`: Mansour, Heckel 2023, arXiv:2303.11253.
    """
    recipe = _recipe_from(recipe, options)
    if is_lazy(picture) and on_step is not None:
        raise ValueError(
            "`on_step` must be left out for a dask array, which is denoised when it is computed; "
            "watch that with dask's ProgressBar"
        )
    if is_labeled(picture):
        run_on_array = partial(denoise, on_step=on_step, measurements=measurements)
        return denoise_labeled(picture, recipe, run_on_array)
    if is_lazy(picture):
        return denoise_lazily(picture, recipe)
    source = open_input(picture, recipe.axes)
    noisy = input_planes(source)
    _check_channels(noisy.shape[1], recipe)
    if isinstance(source, Image) and recipe.sigma != "auto" and recipe.sigma > 1:
        raise ValueError(
            f"`sigma` must be at most 1 for a picture, where 1 is white, got {recipe.sigma:g}; "
            "divide what counts to 255 by 255"
        )
    run = PlaneRun(source, recipe, on_step, measurements)
    planes, noisy = noisy, run.cut(noisy)
    clean = torch.empty_like(noisy)  # takes memory when it is filled
    defects = None
    remaining = set(range(len(planes)))
    for done in run.denoise_planes(lambda number: planes[number]):
        clean[done.number] = done.clean
        remaining.remove(done.number)
        if done.defects is not None:
            defects = torch.zeros_like(noisy, dtype=torch.bool) if defects is None else defects
            defects[done.number] = done.defects
    for number in remaining:  # the run was ended
        clean[number] = noisy[number]
    inner = (0 if isinstance(source, Image) or source.single else slice(None), ..., *run.inner)
    textures = partial(find_textures, planes, clean, run.denoisers)
    return DenoiseResult(
        noisy[inner],
        clean[inner],
        run.output,
        recipe,
        run.method,
        run.diagnosis,
        run.reporter.seconds,
        str(run.device),
        run.reporter.stopped,
        Inputs(content=identify_input(source)),
        run.diagnosis.treatments,
        None if defects is None else defects[inner],
        cache(lambda: textures()[inner]),
    )


@with_recipe_signature(DenoiseRecipe)
def denoise_stack(
    picture: ImageSource | Stack,
    output: str | Path,
    *,
    recipe: DenoiseRecipe | None = None,
    on_step: OnStep | None = None,
    overwrite: bool = False,
    fingerprint: str | None = None,
    stored_recipe: DenoiseRecipe | None = None,
    on_diagnosis: Callable[[Diagnosis], None] | None = None,
    on_rescue: OnRescue | None = None,
    **options: Unpack[DenoiseOptions],
) -> Path | str:
    """Denoise measured data of any size into a TIFF or zarr like its source, a plane at a time.

    Args:
        picture: a TIFF, a zarr store or its URL, an array or a `Stack`.
        output: what to write, ending in .tif, .tiff or .zarr; a URL for zarr alone.
        recipe: every option at once; or give the ones to change as `options`.
        on_step: as for `denoise`; raising `StopIteration` ends the run with nothing written.
        overwrite: replace a file that is already there.
        fingerprint: of a batch, stored in the file.
        stored_recipe: stored in the file in place of `recipe`, whose memory may be limited.
        on_diagnosis: called at the end with the noise and what was done about it.
        on_rescue: called with another place and the reason if, when all is done, the output cannot
            be written any more and the file went there; None raises instead.
        options: any field of `DenoiseRecipe`.

    Returns:
        The path written, whole or not at all; a URL as it was given.

    Raises:
        ValueError: as for `denoise`, or the input is a picture and not measured data.
        ImageError: a file cannot be read, or the output cannot be written.
        ImpastoError: `on_step` ended the run.

    Example:
        >>> import tempfile
        >>> import torch
        >>> noisy = 0.1 * torch.randn(2, 3, 32, 32, generator=torch.manual_seed(0))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     denoise_stack(noisy, f"{folder}/clean.tif", axes="ZTYX").name
        'clean.tif'
    """
    recipe = _recipe_from(recipe, options)
    source = open_input(picture, recipe.axes)
    if isinstance(source, Image):
        raise ValueError(
            "`picture` must be measured data, got a picture to be seen; use `denoise`, or give "
            "its `axes`"
        )
    _check_channels(source.plane_shape[0], recipe)
    zarr = is_zarr(output)
    if zarr:  # what cannot be written is refused before the work
        check_zarr_output(output, overwrite=overwrite)
    run = PlaneRun(source, recipe, on_step)
    indices = list(source.plane_indices())

    def denoised_planes() -> Iterator[Tensor]:
        for done in run.denoise_planes(lambda number: source.read_plane(indices[number])):
            if run.reporter.stopped:
                break
            denoiser = run.denoisers.pop(done.number)  # of a long stack they take memory
            texture = denoiser.texture(done.noisy, done.clean) if recipe.detail else None
            planes = (run.cut(done.noisy), done.clean, texture, done.defects)
            noisy, clean, texture, defects = (p if p is None else p[:, *run.inner] for p in planes)
            yield blend_strength(noisy, clean, recipe, texture, defects)
        if run.reporter.stopped:
            raise ImpastoError(
                f"`on_step` ended the run in plane {run.reporter.plane} of {source.count}; "
                "nothing was written"
            )

    provenance = denoising_provenance(source, stored_recipe or recipe, fingerprint)

    def record() -> str:
        return with_treatments(provenance, run.diagnosis).model_dump_json()

    path = (write_zarr if zarr else write_stack)(
        output,
        run.output,
        denoised_planes(),
        indices=[indices[number] for number in run.order],
        recipe=record,
        overwrite=overwrite,
        on_rescue=on_rescue,
    )
    if on_diagnosis is not None:
        on_diagnosis(run.diagnosis)
    return path


def denoising_provenance(
    source: Image | Stack, recipe: DenoiseRecipe, fingerprint: str | None = None
) -> Provenance:
    """Return the provenance of a denoised source, as it is stored in the output file."""
    return Provenance(
        method="denoise",
        recipe=recipe,
        inputs=Inputs(content=identify_input(source)),
        maker=current_maker(str(select_device(recipe.device))),
        fingerprint=fingerprint,
    )


def with_treatments(provenance: Provenance, diagnosis: Diagnosis | None) -> Provenance:
    """Return a provenance that says what was done; None if nothing has been done yet."""
    treatments = diagnosis.treatments if diagnosis else ()
    return provenance.model_copy(update={"treatments": treatments})


def _recipe_from(recipe: DenoiseRecipe | None, options: dict[str, Any]) -> DenoiseRecipe:
    """Return the recipe given, or one made of options."""
    reject_recipe_and_options(recipe, options)
    return recipe or validate(DenoiseRecipe, options)


def _check_channels(channels: int, recipe: DenoiseRecipe) -> None:
    """Refuse a strength for colors if there are none."""
    if recipe.chroma != "same" and channels != 3:
        raise ValueError(
            f"`chroma` must be same for other than three channels, got {recipe.chroma} with "
            f"{channels}; use `strength` alone"
        )
