"""White noise of channels that show the same things: what they share is detail, the rest is noise.

Fine texture hides weak white noise, because no direction of patch space is free of it. If the
channels are the same scene, each with a gain of its own, their patches' cross-covariance is the
detail's alone, and what a channel's covariance has beyond it is its noise's.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.denoising.estimate_white import extract_measured_patches

_COARSE = 8  # pixels a side over which channels are averaged to be compared
_MIN_BLOCKS = 64  # of so many pixels
_MIN_LIKENESS = 0.98  # correlation of two channels' averages, that they are the same scene
_BINS, _PATCHES_PER_BIN = 6, 1500  # of brightness, and the patches that one needs
_MAX_VALUES = 2**24  # of all patches
_ROUNDS = 4  # in which the channels' gains, and their weights, are found
# White noise has as much power in the directions with less detail as in those with more.
_MAX_UNEVENNESS = 0.25  # the difference over the mean
_DEVIATIONS = 4.0  # by which a channel's noise, or its rise with brightness, is above chance
_MAX_END_SHARE = 0.05  # of a bin's values at the ends of the range: clipping takes variance


def fit_noise_beside_detail(image: Tensor, unmeasured: Tensor) -> list[tuple[float, float]] | None:
    """Fit white noise of its own to each of several channels that show the same scene.

    Args:
        image: (C, H, W).
        unmeasured: pixels that say nothing about the noise, (C, H, W) bool.

    Returns:
        Gain and base of each channel's variance over brightness; None if the channels do not show
        the same, or if what they do not share is not white.
    """
    out = unmeasured.any(0)
    gains = _relative_gains(image, out)
    if gains is None:
        return None
    patches = extract_measured_patches(image, out)  # (C, N, n)
    if patches.shape[1] < _PATCHES_PER_BIN or patches.shape[2] < 9:
        return None
    patches = patches[:, :: 1 + patches.numel() // _MAX_VALUES]
    share = int((~out).sum()) / patches[0].numel()  # of the pixels in all patches
    patches = patches.double() / gains[:, None, None]
    low, high = (bound.double() / gains for bound in (image.amin((1, 2)), image.amax((1, 2))))
    at_ends = (patches <= low[:, None, None]) | (patches >= high[:, None, None])
    end_shares = at_ends.double().mean((0, 2))  # (N)
    levels = patches.mean(2)  # (C, N)
    patches = patches - levels[..., None]
    bins = min(_BINS, patches.shape[1] // _PATCHES_PER_BIN)
    members = levels.mean(0).argsort().chunk(bins)
    members = [part for part in members if float(end_shares[part].mean()) < _MAX_END_SHARE]
    if not members:
        return None
    # A bin is narrow; its width is not texture.
    groups = [patches[:, part] - patches[:, part].mean(1, keepdim=True) for part in members]
    pooled = torch.cat(groups, 1)
    detail = torch.einsum("cnp,cnq->pq", pooled, pooled)
    directions = torch.linalg.eigh(detail).eigenvectors[:, 1 : 1 + len(detail) // 2]
    # (C, N, m), from the least detail to more
    groups = [group @ directions for group in groups]
    variances = torch.stack([group.square().mean((1, 2)) for group in groups], 1)
    weights = 1 / variances.median(1).values.clamp(min=1e-12)
    # Patches that overlap are not as many independent ones.
    counts = torch.tensor([len(part) * min(1.0, share) for part in members])
    for _ in range(_ROUNDS):
        measured = [_own_power(group, weights) for group in groups]
        powers, spreads = (torch.stack(part, 1) for part in zip(*measured, strict=True))
        errors = spreads / counts.sqrt()[:, None]  # (C, bins, m)
        own, deviations = _weighted_mean(powers, errors)  # (C, bins)
        least = 1e-3 * variances.median(1).values
        weights = 1 / torch.maximum(own.median(1).values, least).clamp(min=1e-12)
    if not _is_white(powers, errors):
        return None
    places = torch.stack([levels[:, part].mean(1) for part in members], 1)
    laws = []
    for c, scale in enumerate(gains.tolist()):
        gain, base = _fit_line(places[c], own[c], deviations[c])
        laws.append((gain * scale, base * scale**2))
    return laws


def _relative_gains(image: Tensor, out: Tensor) -> Tensor | None:
    """Return each channel's gain over the scene that all show, (C); None if they do not."""
    side = max(1, min(_COARSE, *image.shape[1:]))
    hidden = F.max_pool2d(out[None].float(), side)[0].flatten() > 0
    coarse = F.avg_pool2d(image[None].double(), side)[0].flatten(1)[:, ~hidden]  # (C, blocks)
    if coarse.shape[1] < _MIN_BLOCKS:
        return None
    coarse = coarse - coarse.mean(1, keepdim=True)
    deviation = coarse.square().mean(1).sqrt()
    if float(deviation.min()) <= 0:
        return None
    likeness = (coarse / deviation[:, None]) @ (coarse / deviation[:, None]).T / coarse.shape[1]
    if float(likeness.min()) < _MIN_LIKENESS:
        return None
    # Noise adds to a channel's variance, not to its covariance with others.
    covariance = coarse @ coarse.T / coarse.shape[1]
    gains = deviation
    for _ in range(_ROUNDS if len(image) > 2 else 0):
        covariance.diagonal().copy_(gains.square())
        values, vectors = torch.linalg.eigh(covariance)
        gains = vectors[:, -1].abs() * values[-1].sqrt()
    return gains / gains.log().mean().exp()


def _own_power(group: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Return what each channel has beyond the detail that all share.

    Args:
        group: coefficients of patches (C, N, m), the same scene in each channel.
        weights: of the channels in the mean of the others, (C).

    Returns:
        The power in each direction, (C, m), and the deviation of one measurement of it, (C).
    """
    powers, spreads = [], []
    for c, channel in enumerate(group):
        share = weights.clone()
        share[c] = 0
        others = torch.einsum("c,cnm->nm", share / share.sum(), group)
        rest = channel - others
        powers.append((rest * channel).mean(0))
        squares = rest.square().mean(0) * channel.square().mean(0)
        spreads.append((squares + powers[-1].square()).sqrt())
    return torch.stack(powers), torch.stack(spreads)


def _weighted_mean(values: Tensor, errors: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean over the last axis of values with such errors, and its own error."""
    precision = errors.clamp(min=1e-30).square().reciprocal()
    total = precision.sum(-1)
    return (values * precision).sum(-1) / total, total.rsqrt()


def _is_white(powers: Tensor, errors: Tensor) -> bool:
    """Return whether the channels' own power is that of white noise, in one of them at least.

    Args:
        powers: in each bin of brightness, and each direction from little detail to more, (C, bins,
            m).
        errors: of the powers.
    """
    half = powers.shape[2] // 2
    means, deviations = _weighted_mean(powers.flatten(1), errors.flatten(1))
    noisy = means > _DEVIATIONS * deviations
    fine, coarse = (
        _weighted_mean(powers[..., part].flatten(1), errors[..., part].flatten(1))
        for part in (slice(None, half), slice(half, None))
    )
    chance = 2 * torch.hypot(fine[1], coarse[1])  # of the difference
    difference = fine[0] - coarse[0]
    flat = difference.abs() < _MAX_UNEVENNESS * means + chance
    return bool(noisy.any() and flat[noisy].all())


def _fit_line(levels: Tensor, variances: Tensor, errors: Tensor) -> tuple[float, float]:
    """Return gain and base of the line through variances; no gain if chance may have made it."""
    precision = errors.square().reciprocal()
    total = precision.sum()
    level, variance = ((t * precision).sum() / total for t in (levels, variances))
    spread = ((levels - level).square() * precision).sum()
    slope = ((levels - level) * (variances - variance) * precision).sum() / spread.clamp(min=1e-30)
    if float(slope.abs() * spread.sqrt()) < _DEVIATIONS:
        return 0.0, max(0.0, float(variance))
    ends = variance + slope * (torch.stack([levels.min(), levels.max()]) - level)
    if float(ends.min()) < 0:  # through zero at the end that it falls to
        at = levels.min() if slope > 0 else levels.max()
        slope = variance / (level - at)
    return float(slope), float(variance - slope * level)
