"""What the noise in a picture is like, measured on the picture alone.

Variance by brightness, correlation between neighbors and between channels, clipping, and what
brightness a mean of noisy values stands for.

References:
    Chen, Zhu, Heng 2015, An efficient statistical method for image noise level estimation, ICCV;
    Foi, Trimeche, Katkovnik, Egiazarian 2008, Practical Poissonian-Gaussian noise modeling and
    fitting for single-image raw-data, IEEE TIP 17(10).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

_PATCH = 5  # pixels a side whose covariance is looked at
_MOST = 40_000  # of such patches
_BINS = 6  # of brightness
_SIDE = 12  # pixels a side of the blocks that are searched for flat ones
_FLATTEST = 0.12  # share of a bin's blocks
_REACH = 4  # pixels within which noise may correlate
_DETREND = 1.05  # what taking a plane out of a block takes from correlated noise besides
_CLIPPED = 0.002  # share of values at the end of the range
_PLATEAU = 0.62  # white noise's least eigenvalue is at least this share of its eighth
_LEVELS = torch.linspace(0, 1, 257, dtype=torch.float64)
# A standard normal variable in 601 values and their probabilities.
_NORMAL = torch.linspace(-6, 6, 601, dtype=torch.float64)
_DENSITY = torch.softmax(-_NORMAL.square() / 2, 0)
_GAMMA = 2.2  # of the curve between a sensor's numbers and a picture's


@dataclass(frozen=True, eq=False)
class Noise:
    """Noise as a function of brightness, with its correlations.

    Attributes:
        levels: (C, N) mean values of each channel, rising.
        variances: (C, N) of the noise at these.
        truths: (C, N) the values without noise whose noisy ones have these means; they differ
            where values were clipped, or where noise went through a tone curve.
        mixing: (C, C) correlation of the noise between channels.
        lags: (C, 2m + 1, 2m + 1) correlation with neighbors, in the working channels; None where
            there is none.
        gain: variance for each unit of brightness (Poisson noise); None where no line fits.
        sigma: standard deviation of the part that does not depend on brightness.
        clipped: whether values were cut off at 0 and at 1.
    """

    levels: Tensor
    variances: Tensor
    truths: Tensor
    mixing: Tensor
    lags: Tensor | None
    gain: float | None
    sigma: float | None
    clipped: tuple[bool, bool]

    def variance(self, picture: Tensor, basis: Tensor) -> Tensor:
        """Of the noise at each place of (C, H, W) without noise, in the channels of a basis."""
        deviation = torch.stack(
            [read(p, x, v) for p, x, v in zip(picture, self.levels, self.variances, strict=True)]
        ).sqrt()
        found = torch.zeros_like(picture)
        for i in range(len(picture)):
            for j in range(len(picture)):
                if self.mixing[i, j]:
                    share = basis[:, i] * basis[:, j] * self.mixing[i, j]  # (C)
                    found += share[:, None, None] * deviation[i] * deviation[j]
        return found.clamp(min=1e-9)

    def true(self, picture: Tensor) -> Tensor:
        """A mean of noisy values, (C, H, W), as the value without noise that it stands for."""
        return torch.stack(
            [
                p + read(p, x, t - x)
                for p, x, t in zip(picture, self.levels, self.truths, strict=True)
            ]
        )


def read(values: Tensor, places: Tensor, table: Tensor) -> Tensor:
    """A table between its places, held at its ends."""
    at = torch.searchsorted(places, values.contiguous()).clamp(1, len(places) - 1)
    low, high = places[at - 1], places[at]
    share = ((values - low) / (high - low).clamp(min=1e-9)).clamp(0, 1)
    return table[at - 1] + share * (table[at] - table[at - 1])


def estimated(picture: Tensor, basis: Tensor) -> Noise:
    """Measure the noise in a picture.

    Args:
        picture: (C, H, W), 1 being white.
        basis: (C, C) orthonormal rows, the channels in which neighbors' correlation is wanted.
    """
    clipped = tuple(
        bool(end == bound) and float((picture == bound).float().mean()) > _CLIPPED
        for end, bound in ((picture.min(), 0), (picture.max(), 1))
    )
    fine = [_patch_levels(plane) for plane in picture]
    # White noise is alike in every direction of patch space, and texture leaves some alone.
    plateau = torch.cat([one.plateaus for one in fine]).nan_to_num(0).max()
    if plateau > _PLATEAU:
        return _white(fine, clipped)
    flat = _Flat(picture, fine)
    lags = flat.lags(basis)
    levels, variances = flat.levels, flat.variances * _DETREND
    truths = levels if len(picture) != 3 else _untoned(levels, variances)
    return Noise(levels, variances, truths, flat.mixing, lags, None, None, clipped)


def known(noise: Noise, sigma: float) -> Noise:
    """The noise measured, of a strength that is known: white noise then is alike everywhere."""
    if noise.lags is not None:
        share = sigma**2 / noise.variances.mean().clamp(min=1e-12)
        return replace(noise, variances=noise.variances * share, truths=noise.levels)
    means, spread = _clipping(torch.full_like(_LEVELS, sigma**2), noise.clipped)
    count = len(noise.mixing)
    tables = (one.float().repeat(count, 1) for one in (means, spread, _LEVELS))
    return Noise(*tables, torch.eye(count), None, 0.0, sigma, noise.clipped)


class _Fine(NamedTuple):
    """What the least eigenvalues of patches' covariance say, by brightness."""

    levels: Tensor  # mean values
    variances: Tensor  # of the noise, where it is white
    plateaus: Tensor  # the least eigenvalue beside the eighth; nan where it says nothing


def _patch_levels(plane: Tensor) -> _Fine:
    """Mean and noise variance by brightness: the least eigenvalues of patches' covariance."""
    patch = (min(_PATCH, plane.shape[0]), min(_PATCH, plane.shape[1]))
    rows = F.unfold(plane[None, None], patch)[0].T
    step = max(1, len(rows) // _MOST)
    rows = rows[::step]
    means = rows.mean(1)
    levels, variances, plateaus = [], [], []
    low, high = plane.min(), plane.max()
    for part in means.argsort().chunk(_BINS):
        own = rows[part].double()
        own = own - own.mean(1, keepdim=True)  # a bin is narrow; its width is not texture
        values = torch.linalg.eigvalsh(own.T @ own / len(own))[1:]
        levels.append(means[part].mean())
        variances.append(_least(values))
        eighth = float(values[min(7, len(values) - 1)]) if len(values) else 0.0
        ends = float(((rows[part] <= low) | (rows[part] >= high)).float().mean())
        says = eighth > 1e-7 and ends < 0.05
        plateaus.append(float(values[0]) / eighth if says else math.nan)
    return _Fine(torch.stack(levels), torch.tensor(variances).clamp(min=0), torch.tensor(plateaus))


def _least(values: Tensor) -> float:
    """The mean of as many of the least as have their mean where their median is."""
    for count in range(len(values), 0, -1):
        mean = values[:count].mean()
        if (values[:count] > mean).sum() >= (values[:count] < mean).sum():
            return float(mean)
    return 0.0


class _Flat:
    """The flattest blocks of a picture, by brightness."""

    def __init__(self, picture: Tensor, fine: list[_Fine]) -> None:
        self.side = min(_SIDE, *picture.shape[1:])
        pixels = self.side**2
        step = max(4, 2 * round(math.sqrt(picture[0].numel() / 60_000) * 2))
        tiles = F.unfold(picture[:, None], self.side, stride=step).transpose(1, 2)  # (C, N, n)
        means = tiles.mean(2)
        plane, _ = torch.linalg.qr(_plane(self.side))
        rest = tiles - (tiles @ plane) @ plane.T
        energy = rest.square().sum(2) / max(1, pixels - 3)  # (C, N)
        light = means.mean(0)
        coarse = F.avg_pool2d(
            rest.mean(0).view(-1, 1, self.side, self.side), max(1, self.side // 3)
        )
        rough = coarse.square().mean((1, 2, 3))
        ends = ((tiles <= picture.min()) | (tiles >= picture.max())).float().mean((0, 2))
        white = torch.stack(
            [read(m, *_rising(f.levels, f.variances)) for m, f in zip(means, fine, strict=True)]
        )
        bins = []
        for part in light.argsort().chunk(_BINS):
            pick = part[rough[part].argsort()[: max(6, int(len(part) * _FLATTEST))]]
            ratio = float(energy[:, pick].mean() / white[:, pick].mean().clamp(min=1e-9))
            bins.append(
                (pick, ratio, float(ends[pick].mean()) < 0.05 and energy[:, pick].mean() > 1e-7)
            )
        usable = [one for one in bins if one[2]] or bins
        calm = sorted(usable, key=lambda one: one[1])[:2]
        picks = torch.cat([pick for pick, _, _ in calm])
        self._noise = rest[:, picks].reshape(len(picture), -1, self.side, self.side)
        tables = [(means[:, pick].mean(1), energy[:, pick].mean(1)) for pick, _, _ in usable]
        pairs = [
            _rising(torch.stack([m[c] for m, _ in tables]), torch.stack([v[c] for _, v in tables]))
            for c in range(len(picture))
        ]
        self.levels = torch.stack([levels for levels, _ in pairs])
        self.variances = torch.stack([variances for _, variances in pairs])
        apart = self._noise.flatten(1)
        self.mixing = torch.corrcoef(apart) if len(picture) > 1 else torch.ones(1, 1)

    def lags(self, basis: Tensor) -> Tensor:
        """Correlation with neighbors in the channels of a basis, (C, 2m + 1, 2m + 1)."""
        noise = torch.einsum("ij,jnhw->inhw", basis, self._noise)
        noise = noise / noise.square().mean((2, 3), keepdim=True).sqrt().clamp(min=1e-6)
        reach, side = _REACH, self.side
        table = torch.zeros(len(basis), 2 * reach + 1, 2 * reach + 1)
        for y in range(-reach, reach + 1):
            for x in range(-reach, reach + 1):
                if max(abs(y), abs(x)) < side:
                    here = noise[..., max(0, y) : side + min(0, y), max(0, x) : side + min(0, x)]
                    there = noise[..., max(0, -y) : side - max(0, y), max(0, -x) : side - max(0, x)]
                    table[:, y + reach, x + reach] = (here * there).mean((1, 2, 3))
        # A triangle over the distances keeps what is made of the table positive.
        fall = 1 - torch.arange(-reach, reach + 1).abs() / (reach + 1)
        middle = table[:, reach : reach + 1, reach : reach + 1]
        return table / middle.clamp(min=1e-9) * fall[:, None] * fall


def _plane(side: int) -> Tensor:
    """A constant and two slopes over a block, (n, 3)."""
    line = torch.arange(side) - (side - 1) / 2
    ones = torch.ones(side, side)
    return torch.stack([ones, line[:, None] * ones, line * ones]).flatten(1).T


def _rising(levels: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """A table by rising level, of two entries at least."""
    order = levels.argsort()
    levels, values = levels[order], values[order]
    if len(levels) == 1:
        return torch.cat([levels, levels + 0.1]), values.repeat(2)
    return levels, values


def _white(fine: list[_Fine], clipped: tuple[bool, bool]) -> Noise:
    """The line of variance over brightness that fits all channels, clipping taken into account."""
    levels = torch.cat([one.levels for one in fine]).double()
    variances = torch.cat([one.variances for one in fine]).double().clamp(min=1e-9)
    gain, base = _line(levels, variances, clipped)
    means, spread = _clipping(gain * _LEVELS + base, clipped)
    count = len(fine)
    tables = (one.float().repeat(count, 1) for one in (means, spread, _LEVELS))
    return Noise(*tables, torch.eye(count), None, gain, math.sqrt(base), clipped)


def _clipping(variances: Tensor, clipped: tuple[bool, bool]) -> tuple[Tensor, Tensor]:
    """Mean and variance of noisy values at each level, once they are cut off."""
    values = _LEVELS[:, None] + variances.sqrt()[:, None] * _NORMAL
    values = (
        values.clamp(0 if clipped[0] else None, 1 if clipped[1] else None)
        if any(clipped)
        else values
    )
    means = (values * _DENSITY).sum(1)
    return means, ((values - means[:, None]).square() * _DENSITY).sum(1)


def _line(levels: Tensor, variances: Tensor, clipped: tuple[bool, bool]) -> tuple[float, float]:
    """Gain and base of the line; too much is forgiven more easily than too little: texture."""
    middle, light = float(variances.median()), max(float(levels.mean()), 0.05)
    gains = [0.0, *(middle / light * torch.logspace(-2, 1, 25)).tolist()]
    bases = [1e-9, *(middle * torch.logspace(-2.5, 1.2, 40)).tolist()]
    best, found = math.inf, (0.0, middle)
    for gain in gains:
        for base in bases:
            means, spread = _clipping(gain * _LEVELS + base, clipped)
            off = variances.log() - read(levels, means, spread).clamp(min=1e-9).log()
            cost = torch.where(off > 0, 0.35 * off.clamp(max=1.5), -off.clamp(min=-3)).mean()
            cost = float(cost) + 0.004 * (gain > 0)  # the simpler of two that fit alike
            if cost < best:
                best, found = cost, (gain, base)
    return found


def _untoned(levels: Tensor, variances: Tensor) -> Tensor:
    """What would be there without noise that was added before a tone curve: (C, N).

    A concave curve takes more from the dark side of noise than from the light side, so that its
    mean is too dark.
    """
    spreads = torch.cat([torch.zeros(1), torch.logspace(-4, 0.3, 90)]).double()
    linear = _LEVELS[::2, None, None] ** _GAMMA + spreads[:, None] * _NORMAL
    values = linear.clamp(0, 1) ** (1 / _GAMMA)
    means = (values * _DENSITY).sum(2)
    deviations = ((values - means[..., None]).square() * _DENSITY).sum(2).sqrt()
    off = (_LEVELS[::2, None] - means).flatten()
    found = torch.zeros_like(levels)
    for c, i in torch.cartesian_prod(
        torch.arange(len(levels)), torch.arange(levels.shape[1])
    ).tolist():
        near = (means - levels[c, i]).square() + (deviations - variances[c, i].sqrt()).square()
        found[c, i] = levels[c, i] + off[near.argmin()].clamp(min=0)
    return found
