"""One denoising run over the planes of an image or a stack: in which order, alone or together."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from impasto.denoising.across import AcrossFilter, PlaneToFilter
from impasto.denoising.block_matching import relative_area
from impasto.denoising.diagnose import SAMPLE_PLANES, white_level
from impasto.denoising.fitted import FittedDenoiser, PreparedPlane, fit_denoiser
from impasto.denoising.measurements import Measurements
from impasto.denoising.plane_axis import choose_axis, plane_series
from impasto.denoising.specks import Defects
from impasto.denoising.step_reporter import StepReporter
from impasto.denoising.texture import REACH, STEP
from impasto.denoising.wording import summarize_planes, with_help
from impasto.device import select_device
from impasto.images.crop import check_part, crop_source, picture_size
from impasto.images.image import Image, ImageMetadata
from impasto.images.open_input import input_planes, input_source_file
from impasto.images.stack import Stack
from impasto.recipes import DenoiseRecipe
from impasto.result import Diagnosis, OnStep


class DenoisedPlane(NamedTuple):
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


class PlaneRun:
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

    def denoise_planes(self, read_plane: Callable[[int], Tensor]) -> Iterator[DenoisedPlane]:
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
    ) -> Iterator[DenoisedPlane]:
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
    ) -> Iterator[DenoisedPlane]:
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
    ) -> DenoisedPlane:
        mask = None if defects is None else self.cut(defects.mask[0])
        return DenoisedPlane(number, noisy, clean, mask)

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
