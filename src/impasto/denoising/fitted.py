"""Fit a method to planes with the same kind of noise, and apply it to each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from impasto.denoising.across import PlaneToFilter
from impasto.denoising.diagnose import diagnose_planes
from impasto.denoising.measurements import Measurement, Measurements
from impasto.denoising.nl_wiener import nl_wiener
from impasto.denoising.regions import RegionalNoise, denoise_by_region
from impasto.denoising.specks import Defects, find_defects
from impasto.denoising.step_reporter import StepReporter
from impasto.denoising.texture import find_texture
from impasto.denoising.valid_pixels import ValueRange, fill_pixels, unfiltered_pixels
from impasto.denoising.zs_n2n import zs_n2n, zs_n2n_fast
from impasto.device import select_device
from impasto.errors import MemoryShortageError
from impasto.images.image import Image
from impasto.images.stack import Stack
from impasto.memory import GIB, free_bytes
from impasto.recipes import DenoiseRecipe
from impasto.result import REPAIR, Diagnosis, check_finite

# Each is fitted to planes (P, C, H, W) in [0, 1] with the noise given, and returns a function that
# denoises one plane (C, H, W). It calls `StepReporter.report` after each part of its work.
METHODS = {"nl-wiener": nl_wiener, "zs-n2n": zs_n2n, "zs-n2n-fast": zs_n2n_fast}
# Copies of a picture that are held while its noise is measured, and bytes besides.
_MEASURING, _MEASURING_BYTES = 4.5, 2**27


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
