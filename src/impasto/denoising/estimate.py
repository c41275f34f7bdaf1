"""What the noise in a picture is like, measured on the picture alone.

References:
    Chen, Zhu, Heng 2015, An efficient statistical method for image noise level estimation, ICCV;
    Foi, Trimeche, Katkovnik, Egiazarian 2008, Practical Poissonian-Gaussian noise modeling and
    fitting for single-image raw-data, IEEE TIP 17(10).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.denoising.correlated_noise import estimate_correlated_noise
from impasto.denoising.noise import LEVELS, Noise, clipping, measure_noise, white_noise

_PATCHES = ((9000, 7), (2000, 5), (0, 3))  # least pixels, and pixels a side of patches looked at
_MOST = 40_000  # of such patches
_BINS = 6  # of brightness
_CLIPPED = 0.002  # share of values at the end of the range
_PLATEAU = 0.55  # white noise's least eigenvalue is at least this share of one a quarter up
_CALMEST, _CALM = 0.05, 0.2  # this share of patches has at least so much of noise's variance
_EACH = 1500  # patches that a bin needs
_MOST_CODES = 4096  # values that counts may have
_LIKELY_COUNTS = (0.6, 1.6)  # gain of noise in units of the step between counts
_SIMPLER = 0.03  # by so much a line must fit better to have one number more


def estimate_noise(picture: Tensor, basis: Tensor) -> Noise:
    """Measure the noise in a picture.

    Args:
        picture: (C, H, W), 1 being white.
        basis: (C, C) orthonormal rows, the channels in which neighbors' correlation is wanted.

    Returns:
        The noise. Two bins of brightness must show that it is alike in all directions of patch
        space, where texture leaves some alone, before it is taken for white.
    """
    clipped = _clipped(picture)
    fine = [_patch_levels(plane) for plane in picture]
    plateaus = torch.cat([one.plateaus for one in fine]).sort(descending=True).values
    if plateaus[min(1, len(plateaus) - 1)] > _PLATEAU:
        return _line(picture, fine, clipped)
    levels, variances = (torch.stack([one[place] for one in fine]) for place in (0, 1))
    return estimate_correlated_noise(picture, (levels, variances), basis, clipped)


class _Fine(NamedTuple):
    """What the least eigenvalues of patches' covariance say, by brightness."""

    levels: Tensor  # mean values
    variances: Tensor  # of the noise, where it is white
    plateaus: Tensor  # the least eigenvalue beside one a quarter up


def _clipped(picture: Tensor) -> tuple[bool, bool]:
    """Whether many values are exactly 0, and none below; the same of 1."""
    low, high = (
        bool(end == bound) and float((picture == bound).float().mean()) > _CLIPPED
        for end, bound in ((picture.min(), 0), (picture.max(), 1))
    )
    return low, high


def _patch_levels(plane: Tensor) -> _Fine:
    """Mean and noise variance by brightness: the least eigenvalues of patches' covariance."""
    side = next(side for least, side in _PATCHES if plane.numel() >= least)
    patch = (min(side, plane.shape[0]), min(side, plane.shape[1]))
    rows = F.unfold(plane[None, None], patch, stride=math.isqrt(plane.numel() // _MOST) or 1)[0].T
    means = rows.mean(1)
    low, high = plane.min(), plane.max()
    levels, variances, plateaus = [], [], []
    for part in means.argsort().chunk(min(_BINS, max(1, len(rows) // _EACH))):
        own = rows[part].double()
        own = own - own.mean(1, keepdim=True)  # a bin is narrow; its width is not texture
        values = torch.linalg.eigvalsh(own.T @ own / len(own))[1:]
        levels.append(means[part].mean())
        variances.append(_least(values))
        ends = float(((rows[part] <= low) | (rows[part] >= high)).float().mean())
        nth = float(values[len(values) // 4]) if len(values) > 1 else 0.0
        # White noise is everywhere, while a drawing has paper without any.
        calmest = float(own.square().mean(1).quantile(_CALMEST))
        seen = nth > 1e-7 and ends < 0.5 and calmest > _CALM * variances[-1]
        plateaus.append(float(values[0]) / nth if seen else 0.0)
    return _Fine(torch.stack(levels), torch.tensor(variances).clamp(min=0), torch.tensor(plateaus))


def _least(values: Tensor) -> float:
    """The mean of as many of the least as have their mean where their median is."""
    for count in range(len(values), 0, -1):
        mean = values[:count].mean()
        if (values[:count] > mean).sum() >= (values[:count] < mean).sum():
            return float(mean)
    return 0.0


def _line(picture: Tensor, fine: list[_Fine], clipped: tuple[bool, bool]) -> Noise:
    """The line of variance over brightness that fits all channels, clipping taken into account."""
    levels = torch.cat([one.levels for one in fine]).double()
    variances = torch.cat([one.variances for one in fine]).double().clamp(min=1e-9)
    step = _count(picture)
    if step:
        # Counted photons pile up at zero without being cut off there.
        unclipped = (False, clipped[1])
        gain, base = _fitted(levels, variances, unclipped)
        if _LIKELY_COUNTS[0] < gain / step < _LIKELY_COUNTS[1] and base == 0:
            return white_noise(step, 0.0, len(fine), unclipped)
    return white_noise(*_fitted(levels, variances, clipped), len(fine), clipped)


def _count(picture: Tensor) -> float | None:
    """The step between a picture's values, where they are whole multiples of one; None if not."""
    codes = picture.flatten()[:: max(1, picture.numel() // 200_000)].unique()
    if not 2 < len(codes) <= _MOST_CODES:
        return None
    steps = codes.diff()
    step = float(steps.min())
    off = (steps / step - (steps / step).round()).abs().max()
    return step if float(off) < 0.05 else None


def _fitted(levels: Tensor, variances: Tensor, clipped: tuple[bool, bool]) -> tuple[float, float]:
    """Gain and base of the line; the simpler of two that fit nearly alike."""
    coarse = LEVELS[::4]

    def cost(line: tuple[float, float]) -> float:
        gain, base = line
        means, spread = clipping(coarse, gain * coarse + base, clipped)
        off = variances.log() - measure_noise(levels, means, spread).clamp(min=1e-9).log()
        # What is too much may be texture; too little is not.
        found = torch.where(off > 0, 0.35 * off.clamp(max=1.5), -off.clamp(min=-3)).mean()
        return float(found) + _SIMPLER * ((gain > 0) + (gain > 0 and base > 0))

    middle, light = float(variances.median()), max(float(levels.mean()), 0.05)
    gains = [0.0, *(middle / light * torch.logspace(-1.5, 1, 11)).tolist()]
    bases = [0.0, *(middle * torch.logspace(-2, 1.2, 17)).tolist()]
    best = min(((gain, base) for gain in gains for base in bases), key=cost)
    for reach in (0.4, 0.13, 0.04):
        factors = torch.linspace(1 - reach, 1 + reach, 7).tolist()
        lines = {(best[0] * f, best[1] * g) for f in factors for g in factors}
        best = min(sorted(lines), key=cost)
    return best
