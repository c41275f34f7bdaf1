"""Give stars, beads and other compact sources back the flux that a filter took from them.

A filter that learns from similar patches shrinks what has few of them. What it took is in the
method noise, the noisy image minus the denoised one, which should be white noise. A matched filter
finds the sources in the noisy image; the flux that is missing at each is measured in the method
noise and returned in the source's own shape.

References:
    Buades, Coll, Morel 2005, A review of image denoising algorithms, with a new one, Multiscale
    Modeling and Simulation 4(2) (method noise); Stetson 1987, DAOPHOT, Publications of the
    Astronomical Society of the Pacific 99 (matched filter of sum zero, sharpness).
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.compiled import run_strips
from impasto.denoising.filters import filter_image, row_strips

_SCALES = (0.9, 1.4)  # standard deviations of the sources: pixels; 2.1 and 3.3 at half height
_WINDOW = 15  # pixels a side of the square that a source is found in
_CORE = 9  # pixels a side that are a source's own; what lies around is its ground
_REACH = 11  # pixels around a source over which its flux is summed
# Pixels that what is returned at a pixel depends on: a source's square, and its shape or its core.
SOURCE_REACH = _WINDOW // 2 + max(_WINDOW // 2 + _CORE // 2, _REACH)
_FALSE_SOURCES = 0.3  # expected in an image of white noise
_MIN_STRENGTH = 3.0  # in a channel, of a source that was found in another
_MAX_GROUND = 0.05  # variance of a denoised source's ground, over that of the noise
# Of the missing flux's standard deviation. Little more is given to sources that miss nothing than
# is kept from those that miss less.
_MIN_MISSING = 0.7
_WIDENING = 2.5  # of the weights that flux is summed with: a filter also blurs what it shrinks
_MIN_SHARED = 1 / 3  # of the strength that remains without a source's strongest pixel
_CHUNK = 2**10  # sources that are measured at a time


class _Sources(NamedTuple):
    """What may be sources in a channel, (N) each."""

    scales: Tensor  # indices in `_SCALES`
    strengths: Tensor  # matched filter's response over its standard deviation; below 0 if dark
    sigmas: Tensor  # of the noise
    compact: Tensor  # whether they stand alone, and are more than a pixel
    significant: Tensor  # whether they are compact and no noise


def restore_sources(
    noisy: Tensor,
    estimate: Tensor,
    variance: Tensor,
    skew: Tensor | None = None,
    size: tuple[int, int] | None = None,
) -> Tensor:
    """Return an estimate whose compact sources have the flux that they have in the noisy image.

    Sources are bright or dark and stand alone on a smooth ground. Single hot pixels are none.

    Args:
        noisy: (C, H, W), in channels whose noise is white and independent.
        estimate: the same without noise.
        variance: of the noise, (C, H, W).
        skew: third cumulant of each channel's noise over its variance, (C), which is the gain of
            Poisson noise; None for Gaussian noise. Where few photons were counted it raises the
            strength that a source must have.
        size: (height, width) of the image that these were cut from, which decides how many false
            sources are to be expected; None for their own.

    Returns:
        (C, H, W).

    Example:
        >>> line = torch.arange(64.0) - 32
        >>> star = 0.4 * torch.exp(-(line[:, None].square() + line.square()) / 2)[None]
        >>> noisy = star + 0.02 * torch.randn(star.shape, generator=torch.manual_seed(0))
        >>> restored = restore_sources(noisy, 0.5 * star, torch.full_like(star, 0.02**2))
        >>> round(float(restored.sum() / star.sum()), 1)
        1.0
    """
    channels = len(noisy)
    height, width = size or noisy.shape[1:]
    if min(height, width) <= _REACH:
        return estimate
    tests = channels * len(_SCALES) * height * width
    threshold = -NormalDist().inv_cdf(_FALSE_SOURCES / tests / 2)
    positions = _find_peaks(noisy, variance, threshold)
    if not len(positions):
        return estimate

    def measure(part: Tensor) -> list[tuple[int, int, Tensor, Tensor]]:
        """Return scale, channel, positions and heights of sources."""
        found = []
        candidates = [
            _examine(*planes, part, threshold, None if skew is None else skew[channel])
            for channel, planes in enumerate(zip(noisy, estimate, variance, strict=True))
        ]
        significant = torch.stack([sources.significant for sources in candidates]).any(0)
        for channel, sources in enumerate(candidates):
            chosen = significant & sources.compact & (sources.strengths.abs() > _MIN_STRENGTH)
            places, sources = part[chosen], _Sources(*(values[chosen] for values in sources))
            peaks, missing = _missing_peaks(noisy[channel], estimate[channel], places, sources)
            for index in range(len(_SCALES)):
                here = (missing > _MIN_MISSING) & (sources.scales == index)
                found.append((index, channel, places[here], peaks[here]))
        return found

    found = [item for items in run_strips(measure, positions.split(_CHUNK)) for item in items]
    restored = estimate.clone()
    for index, scale in enumerate(_SCALES):
        for channel, target in enumerate(restored):
            places, heights = (
                torch.cat([source[item] for source in found if source[:2] == (index, channel)])
                for item in (2, 3)
            )
            if len(places):
                plane = torch.zeros_like(target)
                plane.view(-1)[places] = heights
                _add_filtered(target, plane, _gaussian(scale, noisy))
    return restored


def _add_filtered(target: Tensor, plane: Tensor, line: Tensor) -> None:
    """Add a plane (H, W) filtered by a kernel along both axes to another one, by strips."""
    around = len(line) // 2
    for rows in row_strips(plane[None]):
        first = max(0, rows.start - around)
        strip = _filter(plane[None, first : rows.stop + around], line)[0]
        target[rows] += strip[rows.start - first : rows.stop - first]


def _find_peaks(noisy: Tensor, variance: Tensor, threshold: float) -> Tensor:
    """Return where the response of a matched filter is largest and above a threshold, by rows."""
    height, width = noisy.shape[1:]
    around = _WINDOW // 2 + _CORE // 2

    def search(rows: slice) -> Tensor:
        wide = slice(max(0, rows.start - around), min(height, rows.stop + around))
        peaks = _peaks_in(noisy[:, wide], variance[:, wide], threshold)
        rows_of = peaks // width + wide.start
        inside = (rows_of >= rows.start) & (rows_of < rows.stop)
        return (peaks + wide.start * width)[inside]

    return torch.cat(run_strips(search, list(row_strips(noisy))))


def _peaks_in(noisy: Tensor, variance: Tensor, threshold: float) -> Tensor:
    """Return the peaks of some rows; those near others that are not given may be none."""
    reach = _WINDOW // 2
    mean = noisy.new_full((_WINDOW,), 1 / _WINDOW)
    strength = torch.zeros_like(noisy[0])
    for plane, power in zip(noisy, variance, strict=True):
        padded = F.pad(plane[None, None], (reach,) * 4, mode="reflect")[0]
        ground = _filter(padded, mean)
        for scale in _SCALES:
            line = _gaussian(scale, noisy)
            total = line.sum().square()
            norm = (line.square().sum().square() - (total / _WINDOW).square()).sqrt()
            response = (_filter(padded, line) - total * ground)[0, reach:-reach, reach:-reach]
            strength = torch.maximum(strength, response.abs() / (norm * power.sqrt()))
    is_peak = (strength > threshold) & (strength == _largest_near(strength))
    return is_peak.flatten().nonzero()[:, 0]


def _largest_near(plane: Tensor) -> Tensor:
    """Return the largest of the square of `_CORE` pixels around each of a plane (H, W).

    Of twice as many at a time: pooling of one plane would run on one thread.
    """
    for axis in (0, 1):
        around = [_CORE // 2 if axis == 1 - at // 2 else 0 for at in range(4)]
        plane = F.pad(plane, around, value=-torch.inf)
        reached = 1
        while reached < _CORE:
            step = min(reached, _CORE - reached)
            length = plane.shape[axis] - step
            plane = torch.maximum(plane.narrow(axis, 0, length), plane.narrow(axis, step, length))
            reached += step
    return plane


def _examine(
    noisy: Tensor,
    estimate: Tensor,
    variance: Tensor,
    positions: Tensor,
    threshold: float,
    skew: Tensor | None,
) -> _Sources:
    """Examine what may be sources in a channel (H, W), at positions (N) by rows."""
    reach = _WINDOW // 2
    kernels = _spots(_SCALES, noisy, reach)  # (scales, 225)
    kernels = kernels - kernels.mean(1, keepdim=True)
    kernels = kernels / kernels.norm(dim=1, keepdim=True)
    sigmas = variance.flatten()[positions].sqrt()
    values = _windows(noisy, positions, reach)
    values = (values - values.mean(1, keepdim=True)) / sigmas[:, None]
    responses = (values[:, None] * kernels).sum(2)  # (N, scales)
    scales = responses.abs().argmax(1)
    strengths = responses.gather(1, scales[:, None])[:, 0]
    offsets = torch.arange(-reach, reach + 1, device=noisy.device).abs()
    distance = torch.maximum(offsets[:, None], offsets).flatten()
    shares = (values * kernels[scales] * strengths.sign()[:, None])[:, distance <= 1]
    shared = strengths.abs() - shares.amax(1) > _MIN_SHARED * strengths.abs()
    ground = _windows(estimate, positions, reach)[:, distance > _CORE // 2]
    compact = shared & (ground.var(1) < _MAX_GROUND * sigmas.square())
    least = torch.full_like(strengths, threshold)
    if skew is not None:  # Cornish and Fisher's first term
        third = kernels.pow(3).sum(1)[scales] * skew / sigmas
        least = least + third * (threshold**2 - 1) / 6
    return _Sources(scales, strengths, sigmas, compact, compact & (strengths.abs() > least))


def _missing_peaks(
    noisy: Tensor, estimate: Tensor, positions: Tensor, sources: _Sources
) -> tuple[Tensor, Tensor]:
    """Return the heights (N) of what sources miss, and its flux over the standard deviation."""
    weights = _spots([_WIDENING * scale for scale in _SCALES], noisy, _REACH)[sources.scales]
    shapes = _spots(_SCALES, noisy, _REACH)[sources.scales]  # (N, 529)
    method_noise = _windows(noisy, positions, _REACH) - _windows(estimate, positions, _REACH)
    flux = (method_noise * weights).sum(1)
    missing = sources.strengths.sign() * flux / (weights.norm(dim=1) * sources.sigmas)
    return flux / (weights * shapes).sum(1), missing


def _windows(plane: Tensor, positions: Tensor, reach: int) -> Tensor:
    """Return the square around each position in (H, W), mirrored: (N, (2 reach + 1)²)."""
    height, width = plane.shape
    offsets = torch.arange(-reach, reach + 1, device=plane.device)
    rows, columns = (
        (side - 1 - (side - 1 - (axis[:, None] + offsets).abs()).abs())
        for axis, side in ((positions // width, height), (positions % width, width))
    )
    return plane[rows[:, :, None], columns[:, None]].flatten(1)


def _gaussian(scale: float, like: Tensor, reach: int = _WINDOW // 2) -> Tensor:
    """Return a Gaussian of height 1 along one axis, (2 reach + 1)."""
    offsets = torch.arange(-reach, reach + 1, dtype=like.dtype, device=like.device)
    return torch.exp(-offsets.square() / (2 * scale**2))


def _spots(scales: Sequence[float], like: Tensor, reach: int) -> Tensor:
    """Return a Gaussian of height 1 for each scale, (scales, (2 reach + 1)²)."""
    lines = [_gaussian(scale, like, reach) for scale in scales]
    return torch.stack([torch.outer(line, line).flatten() for line in lines])


def _filter(images: Tensor, line: Tensor) -> Tensor:
    """Filter (N, H, W) by a kernel along both axes, with zeros around."""
    return filter_image(F.pad(images, (len(line) // 2,) * 4), line)
