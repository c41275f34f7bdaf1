"""What kind of noise a picture has, in words, and what is to be done about it: `diagnose`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from impasto.denoising.noise import Noise, estimated, known
from impasto.denoising.nonlocal_ridge import working_basis
from impasto.law import checked
from impasto.picture.read import Source
from impasto.picture.stack import Stack
from impasto.picture.supply import planes_of, supply
from impasto.recipe import DenoiseRecipe
from impasto.result import Diagnosis, Kind

_CLEAN = 0.5 / 255  # of the range: noise that nobody sees
_SAMPLE = 8  # planes of a stack that are looked at


def diagnose(picture: Source | Stack, **options: Any) -> Diagnosis:
    """Say what kind of noise a picture has, and what `denoise` would do about it.

    Args:
        picture: as for `denoise`. Of a stack, planes spread over it are looked at together.
        options: any field of `DenoiseRecipe`.

    Returns:
        The kind of noise, its strength in each channel, and the method that would run.

    Raises:
        ValueError: an option or the picture out of range, or values that are not finite.
        PictureError: a file that cannot be read.

    Example:
        >>> noisy = 0.5 + 0.1 * torch.randn(1, 64, 64, generator=torch.manual_seed(0))
        >>> found = diagnose(noisy)
        >>> found.kind, round(found.sigma[0], 1)
        ('gaussian', 0.1)
    """
    recipe = checked(DenoiseRecipe, options)
    source = supply(picture, recipe.axes)
    planes = planes_of(source, _SAMPLE)
    return diagnosed(planes, recipe, *scale_of(planes, isinstance(source, Stack)))


def diagnosed(planes: Tensor, recipe: DenoiseRecipe, low: float, span: float) -> Diagnosis:
    """The diagnosis of planes (P, C, H, W), of which `low` is to become 0 and a span above it 1."""
    joined = ((planes - low) / span).transpose(0, 1).flatten(1, 2)  # (C, P·H, W)
    noise = estimated(joined, working_basis(len(joined)))
    if recipe.sigma != "auto":
        noise = known(noise, recipe.sigma / span)
    variance = noise.variance(joined, torch.eye(len(joined)))
    sigma = tuple((variance.flatten(1).median(1).values.sqrt() * span).tolist())
    kind = _kind(noise, max(sigma) / span)
    if recipe.sigma != "auto" and kind == "clean":
        kind = "gaussian"
    method = _METHOD[kind] if recipe.method == "auto" else recipe.method
    correlation = 0.0 if noise.lags is None else _neighbors(noise.lags[0])
    gain = None if kind != "poisson-gaussian" else noise.gain * span
    words = _words(kind, sigma, correlation, noise.clipped, method)
    return Diagnosis(kind, sigma, gain, correlation, noise.clipped, method, words, noise)


def scale_of(planes: Tensor, measured: bool) -> tuple[float, float]:
    """What becomes 0 before a method sees planes, and what is added to it where they become 1."""
    if not measured:
        return 0.0, 1.0
    low = float(planes.min())
    return low, (float(planes.max()) - low) or 1.0


def _kind(noise: Noise, sigma: float) -> Kind:
    """What the noise is called, from its relative strength."""
    if sigma < _CLEAN:
        return "clean"
    if noise.lags is not None:
        return "correlated"
    return "poisson-gaussian" if noise.gain else "gaussian"


def _neighbors(lags: Tensor) -> float:
    """Correlation with the direct neighbors, from a table of lags."""
    middle = len(lags) // 2
    return float((lags[middle, middle + 1] + lags[middle + 1, middle]) / 2)


def _words(
    kind: Kind,
    sigma: tuple[float, ...],
    correlation: float,
    clipped: tuple[bool, bool],
    method: str | None,
) -> str:
    """A diagnosis as people say it."""
    if kind == "clean":
        found = "no noise that could be told from the picture"
    else:
        strength = ", ".join(f"{one * 255:.1f}" for one in sigma)
        found = f"{_SPOKEN[kind]}, sigma {strength} of 255"
    if kind == "correlated":
        found += f", correlation {correlation:.2f} with the next pixel"
    ends = [end for end, cut in zip(("dark", "light"), clipped, strict=True) if cut]
    if ends and kind != "clean":
        found += f", cut off at the {' and the '.join(ends)} end"
    return f"{found}; {'nothing is to be done' if method is None else f'{method} takes it away'}"


_SPOKEN = {
    "gaussian": "Gaussian noise, as strong in the dark as in the light",
    "poisson-gaussian": "Poisson-Gaussian noise, stronger in the light",
    "correlated": "noise that neighbors share, as in pictures a camera has developed",
}
_METHOD: dict[Kind, str | None] = {
    "clean": None,
    "gaussian": "nl-ridge",
    "poisson-gaussian": "nl-ridge",
    "correlated": "nl-ridge",
}
