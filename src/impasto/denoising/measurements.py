"""What was measured in pictures, kept for the next run on the same one."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from impasto.denoising.diagnose import white_level
from impasto.denoising.regions import RegionalNoise
from impasto.denoising.specks import Defects
from impasto.denoising.valid_pixels import ValueRange
from impasto.denoising.wording import describe
from impasto.images.image import Image
from impasto.images.open_input import identify_input
from impasto.images.stack import Stack
from impasto.recipes import DenoiseRecipe
from impasto.result import Diagnosis

# Options that say what is made of a picture, not what is measured in it.
_UNMEASURED = {
    "version", "crop", "effort", "detail", "strength", "chroma", "seed", "device", "memory",
}  # fmt: skip
_ENTRY_BYTES = 2**16  # of tables, about


class Measurement(NamedTuple):
    """What is measured in planes before they are denoised."""

    diagnosis: Diagnosis
    values: ValueRange
    defects: Defects | None


class Measurements:
    """Measurements of the latest pictures, for `denoise`; threads may share them.

    Pictures are told apart by their files' bytes, so that those changed after they were opened are
    not to be given.

    Args:
        limit: most bytes to keep.

    Example:
        >>> import impasto
        >>> import torch
        >>> noisy = 0.5 + 0.1 * torch.randn(3, 64, 64, generator=torch.manual_seed(0))
        >>> shared = Measurements()
        >>> first = impasto.denoise(noisy, effort="quick", measurements=shared)
        >>> again = impasto.denoise(noisy, effort="best", measurements=shared)
        >>> again.diagnosis.noise is first.diagnosis.noise
        True
    """

    def __init__(self, limit: int = 2**27) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._entries: OrderedDict[tuple, Measurement] = OrderedDict()  # the latest is the last

    def find(
        self,
        source: Image | Stack,
        plane: int,
        recipe: DenoiseRecipe,
        measure: Callable[[], Measurement],
    ) -> Measurement:
        """Return what is known of a plane of a source, or measure it.

        Args:
            source: the picture.
            plane: its number, from 0.
            recipe: its words about what is to be done are the recipe's own.
            measure: called if the plane is not known.
        """
        options = recipe.model_dump(exclude=_UNMEASURED)
        shape = tuple(source.pixels.shape) if isinstance(source, Image) else source.shape
        key = (identify_input(source).sha256, shape, plane, *sorted(options.items()))
        with self._lock:
            known = self._entries.get(key)
            if known is not None:
                self._entries.move_to_end(key)
        if known is not None:
            known = _pack(known, unpack=True)
            words = describe(known.diagnosis, recipe, white_level(source))
            return known._replace(diagnosis=replace(known.diagnosis, words=words))
        measurement = measure()
        with self._lock:
            self._entries[key] = _pack(measurement)
            while sum(map(_bytes, self._entries.values())) > self._limit:
                self._entries.popitem(last=False)
        return measurement


def _pack(measurement: Measurement, *, unpack: bool = False) -> Measurement:
    """Return a measurement whose regions take a byte a pixel, or eight again."""
    noise = measurement.diagnosis.noise
    if not isinstance(noise, RegionalNoise):
        return measurement
    noise = replace(noise, regions=noise.regions.long() if unpack else noise.regions.byte())
    return measurement._replace(diagnosis=replace(measurement.diagnosis, noise=noise))


def _bytes(measurement: Measurement) -> int:
    """Return about how many bytes a measurement takes."""
    noise, defects = measurement.diagnosis.noise, measurement.defects
    regions = noise.regions.nbytes if isinstance(noise, RegionalNoise) else 0
    return _ENTRY_BYTES + regions + (0 if defects is None else defects.mask.nbytes)
