"""Cleaning one noisy picture from that picture alone: `denoise`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import Tensor

from impasto.denoising.fit import FittedDenoiser, fit_denoiser
from impasto.denoising.watch import Watch
from impasto.device import select_device
from impasto.errors import ImpastoError
from impasto.images.image import Image
from impasto.images.open_input import input_planes, input_source_file, open_input, provenance_input
from impasto.images.read import ImageSource
from impasto.images.stack import Stack
from impasto.images.tiff_write import write_stack
from impasto.provenance import Inputs, Provenance, current_maker
from impasto.recipes import DenoiseRecipe
from impasto.result import DenoiseResult, Diagnosis, OnStep, blend_strength
from impasto.validation import reject_recipe_and_options, validate, with_recipe_signature

_SAMPLE = 8  # planes that stand for a stack that is too large to hold


@with_recipe_signature(DenoiseRecipe)
def denoise(
    picture: ImageSource | Stack,
    *,
    recipe: DenoiseRecipe | None = None,
    on_step: OnStep | None = None,
    **options: Any,
) -> DenoiseResult:
    """Take the noise out of a picture, with nothing to learn from but the picture itself.

    Photographs are worked on in sRGB. TIFFs of measured data, arrays and tensors keep their own
    numbers: any type, any number of channels, any axes.

    Args:
        picture: a path, bytes, open file or Pillow image, as for `stylize`; an array or a tensor,
            as for `array_stack`; a `Image` or a `Stack`.
        recipe: every option at once; or give the ones to change as `options`.
        on_step: called with a `Step` after each part of the work; raising `StopIteration` ends the
            run with what was cleaned by then.
        options: any field of `DenoiseRecipe`, such as `strength`, `method` or `sigma`.

    Returns:
        The cleaned picture with the noise that was taken away; `DenoiseResult.at` takes another
        share of it away without a new run.

    Raises:
        ValueError: an option or the picture out of range, or values that are not finite.
        ImageError: a file that cannot be read.
        MemoryShortageError: the method needs more memory than there is.

    Example:
        >>> import torch
        >>> noisy = 0.5 + 0.1 * torch.randn(1, 32, 32, generator=torch.manual_seed(0))
        >>> result = denoise(noisy, sigma=0.1)
        >>> bool(result.pixels.std() < 0.3 * noisy.std())
        True

    References:
        `nl-wiener`: Herbreteau, Kervrann 2022, arXiv:2203.00570, and by turns a Wiener filter
        (Lebrun, Buades, Morel 2013); `zs-n2n`: Mansour, Heckel 2023, arXiv:2303.11253.
    """
    recipe = _chosen(recipe, options)
    source = open_input(picture, recipe.axes)
    noisy = input_planes(source)
    _check_channels(noisy.shape[1], recipe)
    run = _Run(source, recipe, on_step)
    clean = noisy.clone()
    for number, (_, found) in enumerate(run.cleaned(iter(noisy))):
        clean[number] = found
        if run.watch.stopped:
            break
    if isinstance(source, Image) or source.single:
        noisy, clean = noisy[0], clean[0]
    return DenoiseResult(
        noisy,
        clean,
        input_source_file(source),
        recipe,
        run.method,
        run.diagnosis,
        run.watch.seconds,
        str(run.device),
        run.watch.stopped,
        Inputs(content=provenance_input(source)),
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
    **options: Any,
) -> Path:
    """Clean measured data of any size into a TIFF like the one it came from, a plane at a time.

    Args:
        picture: a TIFF, an array or a `Stack`.
        output: where to, ending in .tif or .tiff.
        recipe: every option at once; or give the ones to change as `options`.
        on_step: as for `denoise`; raising `StopIteration` ends the run with nothing written.
        overwrite: replace a file that is already there.
        fingerprint: of a batch, kept inside the file.
        stored_recipe: stored in the file in place of `recipe`, whose memory may be limited.
        options: any field of `DenoiseRecipe`.

    Returns:
        The path written, whole or not at all.

    Raises:
        ValueError: as for `denoise`, or the input is a picture and no measured data.
        ImageError: a file that cannot be read, or a place that cannot be written.
        ImpastoError: `on_step` ended the run.

    Example:
        >>> import tempfile
        >>> import torch
        >>> noisy = 0.1 * torch.randn(2, 3, 32, 32, generator=torch.manual_seed(0))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     denoise_stack(noisy, f"{folder}/clean.tif", axes="ZTYX").name
        'clean.tif'
    """
    recipe = _chosen(recipe, options)
    source = open_input(picture, recipe.axes)
    if isinstance(source, Image):
        raise ValueError(
            "`picture` must be measured data, got a picture to be seen; use `denoise`, or give "
            "its `axes`"
        )
    _check_channels(source.plane_shape[0], recipe)
    run = _Run(source, recipe, on_step)

    def planes() -> Iterator[Tensor]:
        noisy = (source.plane(index) for index in source.planes())
        for plane, found in run.cleaned(noisy):
            if run.watch.stopped:
                raise ImpastoError(
                    f"`on_step` ended the run in plane {run.watch.plane} of {source.count}; "
                    "nothing was written"
                )
            yield blend_strength(plane, found, recipe)

    provenance = denoising_provenance(source, stored_recipe or recipe, fingerprint)
    record = provenance.model_dump_json()
    return write_stack(output, source, planes(), recipe=record, overwrite=overwrite)


class _Run:
    """One run over the planes of a picture or a stack."""

    def __init__(
        self, source: Image | Stack, recipe: DenoiseRecipe, on_step: OnStep | None
    ) -> None:
        self.recipe = recipe
        self.device = select_device(recipe.device)
        self.method = recipe.method
        self.diagnosis: Diagnosis | None = None
        self._source = source
        size = source.size if isinstance(source, Image) else source.plane_shape[:0:-1]
        count = 1 if isinstance(source, Image) else source.count
        self.watch = Watch(on_step, size, count)
        self._joint = self._fitted(input_planes(source, _SAMPLE)) if recipe.joint else None

    def cleaned(self, planes: Iterator[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """Each plane (C, H, W), and the same without its noise."""
        for number, plane in enumerate(planes, 1):
            self.watch.plane = number
            fit = self._joint or self._fitted(plane[None])
            yield plane, fit.cleaned(plane)

    def _fitted(self, planes: Tensor) -> FittedDenoiser:
        """A fit to planes; remembers its method, and what the first one found."""
        fit = fit_denoiser(planes, self.recipe, self.watch, self._source)
        self.method = fit.method
        self.diagnosis = self.diagnosis or fit.diagnosis
        return fit


def denoising_provenance(
    source: Image | Stack, recipe: DenoiseRecipe, fingerprint: str | None = None
) -> Provenance:
    """How data is cleaned here, as it is stored with what comes of it."""
    return Provenance(
        method="denoise",
        recipe=recipe,
        inputs=Inputs(content=provenance_input(source)),
        maker=current_maker(str(select_device(recipe.device))),
        fingerprint=fingerprint,
    )


def _chosen(recipe: DenoiseRecipe | None, options: dict[str, Any]) -> DenoiseRecipe:
    """The recipe to follow, from a whole one or from options."""
    reject_recipe_and_options(recipe, options)
    return recipe or validate(DenoiseRecipe, options)


def _check_channels(channels: int, recipe: DenoiseRecipe) -> None:
    """Refuse a strength for colors where there are none."""
    if recipe.chroma != "same" and channels != 3:
        raise ValueError(
            f"`chroma` must be same for other than three channels, got {recipe.chroma} with "
            f"{channels}; use `strength` alone"
        )
