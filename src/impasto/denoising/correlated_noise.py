"""Noise that neighbors share, measured where a picture is flat."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.denoising.noise import DENSITY, LEVELS, NORMAL, Noise, measure_noise

_BINS = 6  # of brightness
_SIDE = 12  # pixels a side of the blocks that are searched for flat ones
_FLATTEST = 0.12  # share of a bin's blocks
_NONE = 1e-7  # variance that is rounding
_REACH = 4  # pixels within which noise may correlate
_TAPER = 2  # reaches from the middle to where correlations are taken for nothing
_SPECTRUM, _LEAST_POWER = 32, 0.02  # waves a side, and what each has at least, of 1 on average
# Deviation of blocks' variances beside their mean: noise has 0.1 to 0.35, texture 0.4 to 2.
_ALIKE, _ALIKE_WEAK, _WEAK = 0.4, 0.45, 2.5 / 255
_DETREND = 1.05  # what taking a plane out of a block takes from correlated noise besides
_GAMMA = 2.2  # of the curve between a sensor's numbers and a picture's


def estimate_correlated_noise(
    picture: Tensor, fine: tuple[Tensor, Tensor], basis: Tensor, clipped: tuple[bool, bool]
) -> Noise:
    """Noise that neighbors share.

    Args:
        picture: (C, H, W).
        fine: levels and variances (C, N) of the finest detail, noise or not.
        basis: (C, C) orthonormal rows, the channels in which the correlation is wanted.
        clipped: whether values were cut off at 0, at 1.
    """
    flat = _FlatPatches(picture, fine)
    levels, variances = flat.levels, flat.variances * _DETREND
    truths = levels if len(picture) != 3 else _untoned(levels, variances)
    tables = (levels, variances, truths, flat.mixing, flat.lags(basis))
    return Noise(*tables, None, None, clipped, flat.sure)


class _Bin:
    """The flattest blocks of one bin of brightness.

    Attributes:
        pick: which blocks.
        energy: their mean variance.
        ratio: the same beside the finest detail's.
        ends: share of their pixels at the ends of the range.
        alike: whether they vary as noise does: it is everywhere the same, texture is not, and a
            drawing's do not vary at all.
    """

    def __init__(self, pick: Tensor, energy: Tensor, white: Tensor, ends: float) -> None:
        self.pick, self.ends = pick, ends
        self.energy = float(energy.mean())
        self.ratio = self.energy / max(float(white.mean()), 1e-9)
        each = energy.mean(0)
        spread = float(each.std() / each.mean().clamp(min=1e-12)) if len(each) > 1 else 1.0
        most = _ALIKE_WEAK if self.energy < _WEAK**2 else _ALIKE
        self.alike = self.energy > _NONE and spread < most


class _FlatPatches:
    """The flattest blocks of a picture, by brightness."""

    def __init__(self, picture: Tensor, fine: tuple[Tensor, Tensor]) -> None:
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
            [measure_noise(m, *_rising(x, v)) for m, x, v in zip(means, *fine, strict=True)]
        )
        bins = []
        for part in light.argsort().chunk(_BINS):
            pick = part[rough[part].argsort()[: max(6, int(len(part) * _FLATTEST))]]
            bins.append(_Bin(pick, energy[:, pick], white[:, pick], float(ends[pick].mean())))
        open_ones = [one for one in bins if one.ends < 0.5]
        alike = [one for one in open_ones if one.alike]
        self.sure = 2 * len(alike) >= max(1, len(open_ones))
        usable = [one for one in alike if one.ends < 0.05] or alike or bins
        calm = sorted(usable, key=lambda one: one.ratio)[:2]
        picks = torch.cat([one.pick for one in calm])
        self._noise = rest[:, picks].reshape(len(picture), -1, self.side, self.side)
        tables = [(means[:, one.pick].mean(1), energy[:, one.pick].mean(1)) for one in usable]
        pairs = [
            _rising(torch.stack([m[c] for m, _ in tables]), torch.stack([v[c] for _, v in tables]))
            for c in range(len(picture))
        ]
        self.levels = torch.stack([levels for levels, _ in pairs])
        self.variances = torch.stack([variances for _, variances in pairs])
        apart = self._noise.flatten(1)
        # A channel without noise correlates with none.
        several = len(picture) > 1 and apart.shape[1] > 1
        mixing = torch.corrcoef(apart).nan_to_num(0) if several else torch.eye(len(picture))
        self.mixing = mixing.fill_diagonal_(1)

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
        # What is far apart is known less well.
        fall = 1 - torch.arange(-reach, reach + 1).abs() / (_TAPER * (reach + 1))
        return _positive(table * fall[:, None] * fall)


def _positive(table: Tensor) -> Tensor:
    """The correlations with a spectrum raised to a floor, so that they are those of some noise.

    Cut to their reach again, which takes them a little off; what inverts them has a floor of its
    own.

    Args:
        table: (C, 2m + 1, 2m + 1), of any scale; all zero where there is no noise.

    Returns:
        The same shape with 1 in the middle.
    """
    reach = table.shape[1] // 2
    middle = table[:, reach : reach + 1, reach : reach + 1].clamp(min=1e-9)
    wide = F.pad(table / middle, (0, _SPECTRUM - 2 * reach - 1) * 2).roll((-reach, -reach), (1, 2))
    power = torch.fft.fft2(wide).real.clamp(min=_LEAST_POWER)
    found = torch.fft.ifft2(power).real.roll((reach, reach), (1, 2))
    found = found[:, : 2 * reach + 1, : 2 * reach + 1]
    return found / found[:, reach : reach + 1, reach : reach + 1]


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


def _untoned(levels: Tensor, variances: Tensor) -> Tensor:
    """What would be there without noise that was added before a tone curve: (C, N).

    A concave curve takes more from the dark side of noise than from the light side, so that its
    mean is too dark.
    """
    spreads = torch.cat([torch.zeros(1), torch.logspace(-4, 0.3, 90)]).double()
    linear = LEVELS[::2, None, None] ** _GAMMA + spreads[:, None] * NORMAL
    values = linear.clamp(0, 1) ** (1 / _GAMMA)
    means = (values * DENSITY).sum(2)
    deviations = ((values - means[..., None]).square() * DENSITY).sum(2).sqrt()
    off = (LEVELS[::2, None] - means).flatten()
    found = torch.zeros_like(levels)
    for c, i in torch.cartesian_prod(
        torch.arange(len(levels)), torch.arange(levels.shape[1])
    ).tolist():
        near = (means - levels[c, i]).square() + (deviations - variances[c, i].sqrt()).square()
        found[c, i] = levels[c, i] + off[near.argmin()].clamp(min=0)
    return found
