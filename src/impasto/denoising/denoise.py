"""Denoise an image or a stack from nothing but itself: `denoise` and `denoise_stack`."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from impasto.denoising.across import AcrossFilter, PlaneToFilter
from impasto.denoising.block_matching import relative_area
from impasto.denoising.diagnose import SAMPLE_PLANES, diagnose_planes, white_level
from impasto.denoising.measurements import Measurement, Measurements
from impasto.denoising.nl_wiener import nl_wiener
from impasto.denoising.plane_axis import choose_axis, plane_series
from impasto.denoising.regions import RegionalNoise, denoise_by_region
from impasto.denoising.specks import Defects, find_defects
from impasto.denoising.texture import REACH, STEP, find_texture
from impasto.denoising.valid_pixels import ValueRange, fill_pixels, unfiltered_pixels
from impasto.denoising.wording import summarize_planes, with_help
from impasto.denoising.zs_n2n import zs_n2n, zs_n2n_fast
from impasto.device import select_device
from impasto.errors import ImpastoError, MemoryShortageError
from impasto.files import OnRescue
from impasto.images.crop import check_part, crop_source, picture_size
from impasto.images.image import Image, ImageMetadata
from impasto.images.open_input import identify_input, input_planes, input_source_file, open_input
from impasto.images.read import ImageSource
from impasto.images.stack import Stack
from impasto.images.tiff_write import write_stack
from impasto.memory import GIB, free_bytes
from impasto.provenance import Inputs, Provenance, current_maker
from impasto.recipes import DenoiseRecipe
from impasto.result import (
    REPAIR,
    DenoiseResult,
    Diagnosis,
    OnStep,
    Step,
    blend_strength,
    check_finite,
)
from impasto.validation import reject_recipe_and_options, validate, with_recipe_signature

# Copies of a picture that are held while its noise is measured, and bytes besides.
_MEASURING, _MEASURING_BYTES = 4.5, 2**27

# Each is fitted to planes (P, C, H, W) in [0, 1] with the noise given, and returns a function that
# denoises one plane (C, H, W). It calls `StepReporter.report` after each part of its work.
METHODS = {"nl-wiener": nl_wiener, "zs-n2n": zs_n2n, "zs-n2n-fast": zs_n2n_fast}


@with_recipe_signature(DenoiseRecipe)
def denoise(
    picture: ImageSource | Stack,
    *,
    recipe: DenoiseRecipe | None = None,
    on_step: OnStep | None = None,
    measurements: Measurements | None = None,
    **options: Any,
) -> DenoiseResult:
    """Remove the noise of a picture, with nothing to learn from but the picture itself.

    Photographs are worked on in sRGB. TIFFs of measured data, arrays and tensors keep their own
    numbers: any type, any number of channels, any axes.

    Args:
        picture: a path, bytes, open file or Pillow image, as for `stylize`; an array or a tensor,
            as for `array_stack`; an `Image` or a `Stack`. With `crop`, a part of it is denoised as
            it is in the whole, whose noise is measured.
        recipe: every option at once; or give the ones to change as `options`.
        on_step: called with a `Step` after each part of the work; raising `StopIteration` ends the
            run and keeps what was denoised by then.
        measurements: what was measured in earlier runs, used again for the same picture, such as
            for a part and then the whole of it, and added to.
        options: any field of `DenoiseRecipe`, such as `strength`, `method` or `sigma`.

    Returns:
        The denoised picture and the noise that was removed; `DenoiseResult.at` removes another
        share of it without a new run.

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
    source = open_input(picture, recipe.axes)
    noisy = input_planes(source)
    _check_channels(noisy.shape[1], recipe)
    if isinstance(source, Image) and recipe.sigma != "auto" and recipe.sigma > 1:
        raise ValueError(
            f"`sigma` must be at most 1 for a picture, where 1 is white, got {recipe.sigma:g}; "
            "divide what counts to 255 by 255"
        )
    run = _Run(source, recipe, on_step, measurements)
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
    **options: Any,
) -> Path:
    """Denoise measured data of any size into a TIFF like its source, a plane at a time.

    Args:
        picture: a TIFF, an array or a `Stack`.
        output: the file to write, ending in .tif or .tiff.
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
        The path written, whole or not at all.

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
    run = _Run(source, recipe, on_step)
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

    path = write_stack(
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


class _DenoisedPlane(NamedTuple):
    """What became of a plane.

    Attributes:
        number: of the plane, from 0.
        noisy: as it came, (C, H, W).
        clean: without noise, what is denoised of it.
        defects: which pixels of that were, bool; None if there were none.
    """

    number: int
    noisy: Tensor
    clean: Tensor
    defects: Tensor | None


class _Run:
    """One run over the planes of an image or a stack.

    Attributes:
        reporter: hands the steps to `on_step`.
        device: where it computes.
        order: numbers of the planes, from 0, as they are denoised: along the axis whose planes help
            each other, if there is one.
        denoisers: of each plane so far, by its number.
        inner: rows and columns of the recipe's part in what is denoised, which is a little more.
        output: what the results are put back into.
    """

    def __init__(
        self,
        source: Image | Stack,
        recipe: DenoiseRecipe,
        on_step: OnStep | None,
        measurements: Measurements | None = None,
    ) -> None:
        self.device = select_device(recipe.device)
        self._across = choose_axis(source, recipe)
        self._series = plane_series(source, self._across)
        self.order = [number for numbers in self._series for number in numbers]
        self._diagnoses: dict[int, Diagnosis] = {}  # by the planes' numbers
        self.denoisers: dict[int, FittedDenoiser] = {}
        self._source = source
        self._measurements = measurements
        size = picture_size(source)
        self.output: ImageMetadata | Stack = input_source_file(source)
        self.inner = slice(None), slice(None)
        if recipe.crop != "whole":
            check_part(recipe.crop, size)
            self.output = crop_source(self.output, recipe.part)
            size = recipe.crop[2:]
            recipe, self.inner = _with_surroundings(recipe, picture_size(source))
        self._recipe = recipe
        self.reporter = StepReporter(on_step, size, len(self.order), self.inner)
        self._joint: FittedDenoiser | None = None
        if recipe.joint:
            self._joint = self._fit(input_planes(source, SAMPLE_PLANES))

    @property
    def diagnosis(self) -> Diagnosis | None:
        """The noise of the planes so far and what was done about it; None before the first."""
        diagnoses = [diagnosis for _, diagnosis in sorted(self._diagnoses.items())]
        if not diagnoses or len(self.order) == 1:
            return diagnoses[0] if diagnoses else None
        if self._joint:
            return next((d for d in diagnoses if d.across), diagnoses[0])
        white = white_level(self._source)
        return summarize_planes(diagnoses, self._recipe, white, count=len(self.order))

    @property
    def method(self) -> str:
        """The method that ran, or `none`."""
        return (self.diagnosis and self.diagnosis.method) or "none"

    def cut(self, planes: Tensor) -> Tensor:
        """Return what is denoised of planes (..., H, W), the recipe's part and a little more."""
        return planes if self._recipe.part is None else planes[..., *self._recipe.part]

    def denoise_planes(self, read_plane: Callable[[int], Tensor]) -> Iterator[_DenoisedPlane]:
        """Yield what becomes of each plane.

        When `on_step` ends the run, the planes that something was done to are the last.

        Args:
            read_plane: returns the plane of a number.
        """
        for numbers in self._series:
            together = self._across is not None and len(numbers) > 1
            denoise_series = self._denoise_together if together else self._denoise_alone
            for done in denoise_series(numbers, read_plane):
                yield done
                self.reporter.finish()
            if self.reporter.stopped:
                break

    def _denoise_alone(
        self, numbers: Sequence[int], read_plane: Callable[[int], Tensor]
    ) -> Iterator[_DenoisedPlane]:
        """Yield planes that are denoised by themselves."""
        for number in numbers:
            noisy = read_plane(number)
            denoiser, defects = self._fit_plane(number, noisy)
            self._diagnoses[number] = denoiser.diagnosis
            yield self._denoised(number, noisy, denoiser.denoise(noisy, defects), defects)
            if self.reporter.stopped:
                break

    def _denoise_together(
        self, numbers: Sequence[int], read_plane: Callable[[int], Tensor]
    ) -> Iterator[_DenoisedPlane]:
        """Yield planes that follow each other along the axis whose planes help."""
        waiting: deque[tuple[int, Tensor, FittedDenoiser, Defects | None, PreparedPlane]] = deque()
        first = self.reporter.plane

        def planes_to_filter() -> Iterator[PlaneToFilter]:
            for place, number in enumerate(numbers, first):
                noisy = read_plane(number)
                denoiser, defects = self._fit_plane(number, noisy)
                ready = denoiser.prepare(noisy, defects)
                waiting.append((number, noisy, denoiser, defects, ready))
                yield denoiser.plane_to_filter(ready, place)

        def report(plane: int, done: int, parts: int, image: Callable[[], Tensor]) -> bool:
            return self.reporter.report_plane(plane, done, parts, lambda: self.cut(image()))

        together = AcrossFilter(self._recipe, report, cuts=self._recipe.across == "auto")
        for filtered in together.run(planes_to_filter()):
            number, noisy, denoiser, defects, ready = waiting.popleft()
            if filtered.image is None and self.reporter.stopped:
                break
            axis = self._across if filtered.helped else None
            white = white_level(self._source)
            diagnosis = with_help(denoiser.diagnosis, axis, self._recipe, white)
            self._diagnoses[number] = diagnosis
            if filtered.image is None:
                clean = denoiser.denoise(noisy, defects)
            else:  # of the whole plane, since a part would be helped by other shifts
                clean = self.cut(denoiser.restore(ready, filtered.image))
            yield self._denoised(number, noisy, clean, defects)

    def _denoised(
        self, number: int, noisy: Tensor, clean: Tensor, defects: Defects | None
    ) -> _DenoisedPlane:
        mask = None if defects is None else self.cut(defects.mask[0])
        return _DenoisedPlane(number, noisy, clean, mask)

    def _fit_plane(self, number: int, noisy: Tensor) -> tuple[FittedDenoiser, Defects | None]:
        """Return what denoises a plane (C, H, W), and its defects."""
        denoiser = self._joint or self._fit(noisy[None], number)
        # What a method holds to run again is not needed to tell texture.
        self.denoisers[number] = replace(denoiser, denoise_plane=None)
        return denoiser, denoiser.find_defects(noisy)

    def _fit(self, planes: Tensor, number: int = 0) -> FittedDenoiser:
        return fit_denoiser(
            planes, self._recipe, self.reporter, self._source, self._measurements, number
        )


class PreparedPlane(NamedTuple):
    """A plane without defects, before it is denoised, (C, H, W) each.

    Attributes:
        plane: in its own numbers.
        hidden: which pixels stay as they are, bool.
        visible: the plane with those filled in and without stripes, which is denoised.
    """

    plane: Tensor
    hidden: Tensor
    visible: Tensor


@dataclass(frozen=True, eq=False)
class FittedDenoiser:
    """A method fitted to planes with the same kind of noise.

    Attributes:
        method: the name of the method; `none` if there is nothing to remove.
        diagnosis: the noise of the planes.
        values: the range of the planes.
        source: of the planes.
        denoise_plane: the fitted method; None if there is no noise to remove.
        recipe: its `specks`, `stripes` and `part`.
        defects: of the planes, if it is one; None if there are none.
        single: whether it is one.
    """

    method: str
    diagnosis: Diagnosis
    values: ValueRange
    source: Image | Stack
    denoise_plane: Callable[[Tensor], Tensor] | None
    recipe: DenoiseRecipe
    defects: Defects | None
    single: bool

    @property
    def part(self) -> tuple[slice, slice] | None:
        """Return the rows and columns that are denoised of a plane; None for all."""
        return self.recipe.part

    def find_defects(self, plane: Tensor) -> Defects | None:
        """Return the specks and stuck lines of a plane (C, H, W); None if it has none."""
        if self.single or self.diagnosis.kind == "halftone":
            return self.defects
        return find_defects(plane[None], self.recipe, self.source)

    def denoise(self, plane: Tensor, defects: Defects | None) -> Tensor:
        """Remove the noise and the defects of a plane (C, H, W), or of its part, on the CPU."""
        ready = self.prepare(plane, defects)
        if self.denoise_plane is None:
            plane = ready.plane
            if self.diagnosis.stripes is not None:
                plane = plane.where(ready.hidden, ready.visible)
            return plane if self.part is None else plane[:, *self.part]
        image = self.denoise_plane(self.values.normalize(ready.visible)).cpu()
        return self.restore(ready, image, self.part)

    def prepare(self, plane: Tensor, defects: Defects | None) -> PreparedPlane:
        """Return a plane (C, H, W) without defects, and what is denoised of it."""
        plane = plane if defects is None else defects.fill(plane[None])[0]
        hidden = unfiltered_pixels(plane, self.source, self.values)
        visible = fill_pixels(plane, hidden)
        if self.diagnosis.stripes is not None:
            visible = self.diagnosis.stripes.remove(visible)
        return PreparedPlane(plane, hidden, visible)

    def plane_to_filter(self, ready: PreparedPlane, number: int) -> PlaneToFilter:
        """Return a plane for planes that help each other; by itself if it does not.

        Args:
            ready: the plane.
            number: from 1, in the order in which they come.
        """
        noise, values = self.diagnosis.noise, self.values
        if self.method != "nl-wiener" or isinstance(noise, RegionalNoise):
            return PlaneToFilter(number, ready.plane, None)
        image = values.normalize(ready.visible)
        return PlaneToFilter(number, image, noise, values.low, values.span, ready.hidden)

    def restore(
        self, ready: PreparedPlane, image: Tensor, part: tuple[slice, slice] | None = None
    ) -> Tensor:
        """Return a denoised image in a plane's own numbers, where it is to be changed: (C, H, W).

        Args:
            ready: the plane.
            image: what was made of it, 0 to 1, on the CPU; it is changed.
            part: rows and columns of the plane that the image shows; None for all.
        """
        ends = ready.visible.min(), ready.visible.max()
        clean = image.mul_(self.values.span).add_(self.values.low)
        plane, hidden = ready.plane, ready.hidden
        if part is not None:
            plane, hidden = (image[:, *part] for image in (plane, hidden))
        # Noise spreads values, so that without it none lies beyond.
        clean = plane.where(hidden, clean.clamp_(*ends))
        return check_finite(
            clean, "the denoised picture", "scale the data to about 1, or give sigma"
        )

    def texture(self, plane: Tensor, clean: Tensor) -> Tensor:
        """Return what the picture's own texture is of the noise that was taken away: (C, H, W).

        Args:
            plane: (C, H, W).
            clean: what `denoise` made of it, or of its part.
        """
        if self.method in ("none", REPAIR):
            return torch.zeros_like(clean)
        noise = self.diagnosis.noise
        _, hidden, visible = self.prepare(plane, self.find_defects(plane))
        if self.part is not None:
            hidden, visible = (image[:, *self.part] for image in (hidden, visible))
            if isinstance(noise, RegionalNoise):
                noise = replace(noise, regions=noise.regions[self.part])
        visible, clean = (self.values.normalize(image) for image in (visible, clean))
        texture = find_texture(visible, clean, noise)
        return (texture * self.values.span).masked_fill_(hidden, 0)


def find_textures(noisy: Tensor, clean: Tensor, denoisers: Mapping[int, FittedDenoiser]) -> Tensor:
    """Return the texture in what was taken from planes (P, C, H, W).

    Args:
        noisy: the planes with noise.
        clean: the same without, or their part.
        denoisers: of the planes that were done, by their numbers.

    Returns:
        Of the shape of `clean`.
    """
    textures = torch.zeros_like(clean)
    for number, denoiser in denoisers.items():
        textures[number] = denoiser.texture(noisy[number], clean[number])
    return textures


def fit_denoiser(
    planes: Tensor,
    recipe: DenoiseRecipe,
    reporter: StepReporter,
    source: Image | Stack,
    measurements: Measurements | None = None,
    number: int = 0,
) -> FittedDenoiser:
    """Fit a method to planes with the same kind of noise.

    Args:
        planes: (P, C, H, W).
        recipe: its `method`, or `auto`.
        reporter: hands the steps of the fit to `on_step`.
        source: of the planes; measured data has a range of its own.
        measurements: as for `denoise`.
        number: of the first plane.

    Raises:
        ValueError: whole numbers count less than a photon a pixel.
    """

    def measure() -> Measurement:
        _check_memory(planes, recipe)
        return Measurement(*diagnose_planes(planes, recipe, source))

    diagnosis, values, defects = (
        measure() if measurements is None else measurements.find(source, number, recipe, measure)
    )
    single = len(planes) == 1
    fitted = FittedDenoiser(
        diagnosis.method or "none", diagnosis, values, source, None, recipe, defects, single
    )
    if diagnosis.method in (None, REPAIR):
        return fitted
    planes = planes if defects is None else defects.fill(planes)
    _check_counts(planes, diagnosis, source)
    fit = METHODS[diagnosis.method]
    if diagnosis.method != "nl-wiener":  # which needs no fitting
        visible = [fitted.prepare(plane, None).visible for plane in planes]
        planes = values.normalize(torch.stack(visible))
    if isinstance(diagnosis.noise, RegionalNoise) and diagnosis.method == "nl-wiener":
        fit = partial(denoise_by_region, fit)
    denoise_plane = fit(planes, diagnosis.noise, recipe, reporter.report)
    return replace(fitted, denoise_plane=denoise_plane)


def _check_memory(planes: Tensor, recipe: DenoiseRecipe) -> None:
    """Refuse planes that nl-wiener would clean but whose noise does not fit in memory."""
    device = select_device(recipe.device)
    if recipe.method not in ("auto", "nl-wiener") or device.type == "cuda":
        return
    needed = _MEASURING * planes.nbytes + _MEASURING_BYTES
    free = free_bytes(recipe.memory)
    if needed > free:
        height, width = planes.shape[-2:]
        raise MemoryShortageError(
            f"`picture` must fit in memory, got {width} × {height} pixels, whose noise takes "
            f"{needed / GIB:.2f} GiB more to be measured where there are {free / GIB:.2f}; "
            "raise `memory`, or cut the picture into smaller ones"
        )


def _check_counts(planes: Tensor, diagnosis: Diagnosis, source: Image | Stack) -> None:
    """Refuse whole numbers of less than a photon a pixel: denoised, they are rounded to zero."""
    if isinstance(source, Image) or source.dtype.kind not in "ui" or diagnosis.gain is None:
        return
    mean = float(planes.mean()) / source.unit
    if 0 <= mean < 1 and diagnosis.gain < 2 * source.unit:
        raise ValueError(
            "`picture` must be floats where less than one photon a pixel was counted, got "
            f"{source.dtype.name} with a mean of {mean:.2g}, which would be rounded to zeros; "
            "convert it to float32"
        )


class StepReporter:
    """Counts the parts of a run's work and hands each to `on_step` as a `Step`.

    Args:
        on_step: called with each step; None for nobody.
        size: (width, height) of a plane.
        planes: how many planes the run has.
        inner: rows and columns that are shown of what is denoised.

    Attributes:
        stopped: True if `on_step` ended the run.
    """

    def __init__(
        self,
        on_step: OnStep | None,
        size: tuple[int, int],
        planes: int = 1,
        inner: tuple[slice, slice] = (slice(None), slice(None)),
    ) -> None:
        self.stopped = False
        self._on_step = on_step
        self._size = size
        self._planes = planes
        self._inner = inner
        self._finished = 0  # planes
        self._shares: dict[int, float] = {}  # that are done of those after them
        self._start = time.monotonic()

    @property
    def plane(self) -> int:
        """Return the number of the first plane that is not finished, from 1."""
        return min(self._finished + 1, self._planes)

    @property
    def seconds(self) -> float:
        """Return the seconds since the run began."""
        return time.monotonic() - self._start

    def finish(self) -> None:
        """Count the first plane that is not finished as done."""
        self._finished += 1
        self._shares.pop(self._finished, None)

    def report(self, done: int, parts: int, image: Callable[[], Tensor]) -> bool:
        """Report that a part of a plane's work is done; return False if the run is to end.

        Args:
            done: parts that are done, from 1.
            parts: of a plane's work.
            image: returns the plane so far, (C, H, W) on the CPU.
        """
        return self.report_plane(self._finished + 1, done, parts, image)

    def report_plane(self, plane: int, done: int, parts: int, image: Callable[[], Tensor]) -> bool:
        """Report the same of a plane, from 1, while others are at work too."""
        if self._on_step is None or self.stopped:
            return not self.stopped
        self._shares[plane] = done / parts
        evaluations = self._planes * parts
        evaluation = round((self._finished + sum(self._shares.values())) * parts)
        step = Step(
            evaluation=evaluation,
            evaluations=evaluations,
            scale=self.plane,
            scales=self._planes,
            size=self._size,
            losses=None,
            seconds=self.seconds,
            left=float(evaluations - evaluation),
            picture=lambda: image()[..., *self._inner],
        )
        try:
            self._on_step(step)
        except StopIteration:
            self.stopped = True
        return not self.stopped


def _with_surroundings(
    recipe: DenoiseRecipe, size: tuple[int, int]
) -> tuple[DenoiseRecipe, tuple[slice, slice]]:
    """Return a recipe whose part has as much around it as its texture depends on.

    Args:
        recipe: with a part.
        size: (width, height) of the whole.

    Returns:
        The recipe, and the rows and columns of the part in the larger one.
    """
    starts = [max(0, start // STEP * STEP - REACH) for start in recipe.crop[:2]]
    ends = [
        min(side, start + length + REACH + STEP)
        for side, start, length in zip(size, recipe.crop[:2], recipe.crop[2:], strict=True)
    ]
    crop = (*starts, *(end - start for start, end in zip(starts, ends, strict=True)))
    inner = relative_area(recipe.part, (starts[1], starts[0]))
    return recipe.model_copy(update={"crop": crop}), inner


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
