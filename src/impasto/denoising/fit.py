"""A method fitted to the planes it is to clean: which one, on what scale, for which noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from impasto.denoising.diagnose import Diagnosis, diagnose_pixels, scale_of, white_of
from impasto.denoising.nl_wiener import nl_wiener
from impasto.denoising.watch import Watch
from impasto.denoising.zs_n2n import zs_n2n, zs_n2n_fast
from impasto.images.image import Image
from impasto.images.stack import Stack
from impasto.recipes import DenoiseRecipe

# Each is fitted to planes (P, C, H, W) with noise of a kind, and gives what cleans one (C, H, W).
METHODS = {"nl-wiener": nl_wiener, "zs-n2n": zs_n2n, "zs-n2n-fast": zs_n2n_fast}


@dataclass(frozen=True, eq=False)
class FittedDenoiser:
    """What cleans planes of one kind.

    Attributes:
        method: which method, `auto` settled.
        diagnosis: what was found in the planes.
        low: what becomes 0 before the method sees it.
        span: what becomes 1, less `low`.
        clean: the method, fitted; None where there is nothing to take away.
    """

    method: str
    diagnosis: Diagnosis
    low: float
    span: float
    clean: Callable[[Tensor], Tensor] | None

    def cleaned(self, plane: Tensor) -> Tensor:
        """A plane (C, H, W) without its noise, on the CPU."""
        if self.clean is None:
            return plane
        found = self.clean((plane - self.low) / self.span)
        # Noise spreads values, so that without it none lies beyond.
        return (found.cpu() * self.span + self.low).clamp(plane.min(), plane.max())


def fit_denoiser(
    planes: Tensor, recipe: DenoiseRecipe, watch: Watch, source: Image | Stack
) -> FittedDenoiser:
    """Fit a method to planes that show the same kind of noise.

    Args:
        planes: (P, C, H, W).
        recipe: says which method, or `auto`.
        watch: who is told how far it is.
        source: where the planes come from; measured data has a scale of its own.
    """
    low, span = scale_of(planes, isinstance(source, Stack))
    diagnosis = diagnose_pixels(planes, recipe, low, span, white_of(source))
    if diagnosis.method is None:
        return FittedDenoiser("none", diagnosis, low, span, None)
    method = METHODS[diagnosis.method]
    clean = method((planes - low) / span, diagnosis.noise, recipe, watch)
    return FittedDenoiser(diagnosis.method, diagnosis, low, span, clean)
