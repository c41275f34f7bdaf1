"""What kind of noise a picture has, in words, and what is to be done about it: `diagnose`."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import functional as F

from impasto.denoising.estimate import estimate_noise
from impasto.denoising.nl_wiener import working_basis
from impasto.denoising.noise import Noise, noise_of_sigma
from impasto.images.image import Image
from impasto.images.open_input import input_planes, open_input
from impasto.images.read import ImageSource
from impasto.images.stack import Stack
from impasto.recipes import DenoiseRecipe
from impasto.result import Diagnosis, Kind
from impasto.validation import validate

_CLEAN = 0.5 / 255  # of the range: noise that nobody sees
_SAMPLE = 8  # planes of a stack that are looked at

# Specks stand out from their neighbors' median by so much, and by so many of its usual deviations,
# which are small: in strong noise nothing stands out. So many pixels are more than a few defects.
_SPECK, _SPECK_USUAL, _SPECK_CALM, _SPECKLED = 0.25, 6, 0.05, 0.01


def diagnose(picture: ImageSource | Stack, **options: Any) -> Diagnosis:
    """Say what kind of noise a picture has, and what `denoise` would do about it.

    Args:
        picture: as for `denoise`. Of a stack, planes spread over it are looked at together.
        options: any field of `DenoiseRecipe`.

    Returns:
        The kind of noise, its strength in each channel, and the method that would run.

    Raises:
        ValueError: an option or the picture out of range, or values that are not finite.
        ImageError: a file that cannot be read.

    Example:
        >>> import torch
        >>> noisy = 0.5 + 0.1 * torch.randn(1, 64, 64, generator=torch.manual_seed(0))
        >>> found = diagnose(noisy)
        >>> found.kind, round(found.sigma[0], 1)
        ('gaussian', 0.1)
    """
    recipe = validate(DenoiseRecipe, options)
    source = open_input(picture, recipe.axes)
    planes = input_planes(source, _SAMPLE)
    scale = scale_of(planes, isinstance(source, Stack))
    return diagnose_pixels(planes, recipe, *scale, white_of(source))


def diagnose_pixels(
    planes: Tensor, recipe: DenoiseRecipe, low: float, span: float, full: float = 255
) -> Diagnosis:
    """The diagnosis of planes.

    Args:
        planes: (P, C, H, W).
        recipe: says which method, or `auto`.
        low: what is to become 0.
        span: what is to become 1, less `low`.
        full: what words call 1: 255 for pictures, a stack's largest number.
    """
    joined = ((planes - low) / span).transpose(0, 1).flatten(1, 2)  # (C, P·H, W)
    noise = estimate_noise(joined, working_basis(len(joined)))
    if recipe.sigma != "auto":
        noise = noise_of_sigma(noise, recipe.sigma / span)
    sigma = tuple((noise.typical(joined) * span).tolist())
    kind = _kind(noise, max(sigma) / span, joined)
    if recipe.sigma != "auto" and kind == "clean":
        kind = "gaussian"
    if kind == "clean":
        sigma = (0.0,) * len(sigma)
    method = _METHOD[kind] if recipe.method == "auto" else recipe.method
    correlation = 0.0 if noise.lags is None else _neighbors(noise.lags[0])
    gain = None if kind != "poisson-gaussian" else noise.gain * span
    words = _words(kind, _strength(sigma, full), correlation, noise.clipped, method)
    return Diagnosis(kind, sigma, gain, correlation, noise.clipped, method, words, noise)


def scale_of(planes: Tensor, measured: bool) -> tuple[float, float]:
    """What becomes 0 before a method sees planes, and what is added to it where they become 1."""
    if not measured:
        return 0.0, 1.0
    low = float(planes.min())
    return low, (float(planes.max()) - low) or 1.0


def white_of(source: Image | Stack) -> float:
    """What people call the largest number: 255 in pictures, a type's largest in measured data."""
    return 255 if isinstance(source, Image) else round(1 / source.unit)


def _kind(noise: Noise, sigma: float, picture: Tensor) -> Kind:
    """What the noise is called, from its relative strength."""
    if _speckled(picture):
        return "impulse"
    if sigma < _CLEAN or not noise.sure:
        return "clean"
    if noise.lags is not None:
        return "correlated"
    return "poisson-gaussian" if noise.gain else "gaussian"


def _speckled(picture: Tensor) -> bool:
    """Whether single pixels at the ends of the range stand out from all around them."""
    middle = picture[:, :1024, :1024]
    if min(middle.shape[1:]) < 3:
        return False
    around = F.unfold(middle[:, None], 3).unflatten(1, (1, 9))[:, 0]  # (C, 9, positions)
    own = around[:, 4]
    off = (own - around[:, [0, 1, 2, 3, 5, 6, 7, 8]].median(1).values).abs()
    usual = 1.4826 * off.median()
    stands_out = off > max(_SPECK, _SPECK_USUAL * float(usual))
    black, white = (
        float((stands_out & end).float().mean()) for end in (own <= 0, own >= own.max())
    )
    return float(usual) < _SPECK_CALM and min(black, white) > _SPECKLED / 2


def _neighbors(lags: Tensor) -> float:
    """Correlation with the direct neighbors, from a table of lags."""
    middle = len(lags) // 2
    return float((lags[middle, middle + 1] + lags[middle + 1, middle]) / 2)


def _strength(sigma: tuple[float, ...], full: float) -> str:
    """Deviations in the numbers that white has."""
    numbers = [one * full for one in sigma]
    spoken = ", ".join(f"{one:.1f}" if one >= 1 else f"{one:.2g}" for one in numbers)
    return spoken + (f" of {full:.0f}" if full > 1 else "")


def _words(
    kind: Kind,
    strength: str,
    correlation: float,
    clipped: tuple[bool, bool],
    method: str | None,
) -> str:
    """A diagnosis as people say it."""
    if kind == "clean":
        found = "no noise that can be told from the picture's own detail"
    elif kind == "impulse":
        found = "single black and white pixels, which are not this tool's kind of noise"
    else:
        found = f"{_SPOKEN[kind]}, sigma {strength}"
    if kind == "correlated":
        found += f", correlation {correlation:.2f} with the next pixel"
    ends = [end for end, cut in zip(("dark", "light"), clipped, strict=True) if cut]
    if ends and kind not in ("clean", "impulse"):
        found += f", cut off at the {' and the '.join(ends)} end"
    return f"{found}; {'nothing is to be done' if method is None else f'{method} takes it away'}"


_SPOKEN = {
    "gaussian": "Gaussian noise, as strong in the dark as in the light",
    "poisson-gaussian": "Poisson-Gaussian noise, stronger in the light",
    "correlated": "noise that neighbors share, as in pictures a camera has developed",
}
_METHOD: dict[Kind, str | None] = {
    "clean": None,
    "gaussian": "nl-wiener",
    "poisson-gaussian": "nl-wiener",
    "correlated": "nl-wiener",
    "impulse": None,
}
