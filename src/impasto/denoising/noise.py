"""Noise as a function of brightness: how much, what neighbors share, where it was cut off."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

LEVELS = torch.linspace(0, 1, 257, dtype=torch.float64)
# A standard normal variable in so many values, and their probabilities.
NORMAL = torch.linspace(-6, 6, 241, dtype=torch.float64)
DENSITY = torch.softmax(-NORMAL.square() / 2, 0)


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
        sure: whether it can be told from the picture's own detail.
    """

    levels: Tensor
    variances: Tensor
    truths: Tensor
    mixing: Tensor
    lags: Tensor | None
    gain: float | None
    sigma: float | None
    clipped: tuple[bool, bool]
    sure: bool = True

    def to(self, device: torch.device) -> Noise:
        """The same with its tables on a device."""
        tables = ("levels", "variances", "truths", "mixing", "lags")
        given = {name: getattr(self, name) for name in tables}
        return replace(self, **{n: t if t is None else t.to(device) for n, t in given.items()})

    def variance(self, picture: Tensor, basis: Tensor) -> Tensor:
        """Of the noise at each place of (C, H, W) without noise, in the channels of a basis."""
        deviation = torch.stack(
            [
                measure_noise(p, x, v)
                for p, x, v in zip(picture, self.levels, self.variances, strict=True)
            ]
        ).sqrt()
        found = torch.zeros_like(picture)
        for i in range(len(picture)):
            for j in range(len(picture)):
                if self.mixing[i, j]:
                    share = basis[:, i] * basis[:, j] * self.mixing[i, j]  # (C)
                    found += share[:, None, None] * deviation[i] * deviation[j]
        return found.clamp(min=1e-9)

    def typical(self, picture: Tensor) -> Tensor:
        """Standard deviation at the median of each channel of (C, H, W), before any clipping."""
        light = picture.flatten(1).median(1, keepdim=True).values
        if self.lags is None:
            return (self.gain * light[:, 0].clamp(min=0) + self.sigma**2).sqrt()
        return torch.cat(
            [measure_noise(*one) for one in zip(light, self.levels, self.variances, strict=True)]
        ).sqrt()

    def true(self, picture: Tensor) -> Tensor:
        """A mean of noisy values, (C, H, W), as the value without noise that it stands for."""
        return torch.stack(
            [
                p + measure_noise(p, x, t - x)
                for p, x, t in zip(picture, self.levels, self.truths, strict=True)
            ]
        )


def measure_noise(values: Tensor, places: Tensor, table: Tensor) -> Tensor:
    """A table between its places, held at its ends."""
    at = torch.searchsorted(places.contiguous(), values.contiguous()).clamp(1, len(places) - 1)
    low, high = places[at - 1], places[at]
    share = ((values - low) / (high - low).clamp(min=1e-9)).clamp(0, 1)
    return table[at - 1] + share * (table[at] - table[at - 1])


def white_noise(gain: float, base: float, channels: int, clipped: tuple[bool, bool]) -> Noise:
    """Noise that neighbors do not share, of variance gain · brightness + base."""
    means, spread = clipping(LEVELS, gain * LEVELS + base, clipped)
    tables = (one.float().repeat(channels, 1) for one in (means, spread, LEVELS))
    return Noise(*tables, torch.eye(channels), None, gain, base**0.5, clipped)


def noise_of_sigma(noise: Noise, sigma: float) -> Noise:
    """The noise measured, of a strength that is known: white noise then is alike everywhere."""
    if noise.lags is None or not noise.sure:
        return white_noise(0.0, sigma**2, len(noise.mixing), noise.clipped)
    share = sigma**2 / noise.variances.mean().clamp(min=1e-12)
    return replace(noise, variances=noise.variances * share, truths=noise.levels, sure=True)


def clipping(
    levels: Tensor, variances: Tensor, clipped: tuple[bool, bool]
) -> tuple[Tensor, Tensor]:
    """Mean and variance of noisy values at each level, once they are cut off at 0, at 1."""
    if not any(clipped):
        return levels, variances
    values = levels[:, None] + variances.sqrt()[:, None] * NORMAL
    values = values.clamp(0 if clipped[0] else None, 1 if clipped[1] else None)
    means = (values * DENSITY).sum(1)
    return means, ((values - means[:, None]).square() * DENSITY).sum(1)
