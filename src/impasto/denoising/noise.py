"""The noise model: variance by brightness, correlation between neighbors, and clipping."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

LEVELS = torch.linspace(0, 1, 257, dtype=torch.float64)
# Values of a standard normal variable, and their probabilities.
NORMAL_VALUES = torch.linspace(-6, 6, 241, dtype=torch.float64)
NORMAL_PROBABILITIES = torch.softmax(-NORMAL_VALUES.square() / 2, 0)

_TABLES = ("levels", "variances", "clean_values", "channel_correlation", "autocorrelation")


@dataclass(frozen=True, eq=False)
class Noise:
    """Noise as a function of brightness, with its correlations.

    Attributes:
        levels: (C, N) mean noisy values of each channel, rising.
        variances: (C, N) variance of the noise at these levels.
        clean_values: (C, N) the values without noise whose noisy means are `levels`. They differ if
            values were clipped, or if noise went through a tone curve.
        channel_correlation: (C, C) correlation of the noise between channels.
        autocorrelation: (C, 2m + 1, 2m + 1) correlation of the noise with its neighbors', in the
            working channels; None for white noise.
        gain: variance for each unit of brightness (Poisson noise); None if no line was fitted.
        sigma: standard deviation of the part that does not depend on brightness; None likewise.
        clipped: whether values were clipped at 0, and at 1.
        reliable: False if the noise could be the image's own detail.
    """

    levels: Tensor
    variances: Tensor
    clean_values: Tensor
    channel_correlation: Tensor
    autocorrelation: Tensor | None
    gain: float | None
    sigma: float | None
    clipped: tuple[bool, bool]
    reliable: bool = True

    def to(self, device: torch.device) -> Noise:
        """Return the same noise with its tables on a device."""
        tables = {name: getattr(self, name) for name in _TABLES}
        moved = {name: None if t is None else t.to(device) for name, t in tables.items()}
        return replace(self, **moved)

    def variance_at(self, image: Tensor, basis: Tensor) -> Tensor:
        """Return the variance of the noise at each pixel, in the channels of a basis.

        Args:
            image: (C, H, W) without noise.
            basis: (C, C) orthonormal rows.

        Returns:
            (C, H, W), above zero.
        """
        deviation = torch.stack(
            [
                interpolate(plane, levels, variances)
                for plane, levels, variances in zip(image, self.levels, self.variances, strict=True)
            ]
        ).sqrt()
        variance = torch.zeros_like(image)
        for i in range(len(image)):
            for j in range(len(image)):
                if self.channel_correlation[i, j]:
                    weight = basis[:, i] * basis[:, j] * self.channel_correlation[i, j]  # (C)
                    variance += weight[:, None, None] * deviation[i] * deviation[j]
        return variance.clamp(min=1e-9)

    def typical_sigma(self, image: Tensor) -> Tensor:
        """Return the standard deviation at each channel's median, before any clipping: (C)."""
        medians = image.flatten(1).median(1, keepdim=True).values
        if self.autocorrelation is None:
            return (self.gain * medians[:, 0].clamp(min=0) + self.sigma**2).sqrt()
        tables = zip(medians, self.levels, self.variances, strict=True)
        return torch.cat([interpolate(*table) for table in tables]).sqrt()

    def debias(self, image: Tensor) -> Tensor:
        """Return the values without noise whose noisy means are an image's, (C, H, W)."""
        return torch.stack(
            [
                plane + interpolate(plane, levels, clean_values - levels)
                for plane, levels, clean_values in zip(
                    image, self.levels, self.clean_values, strict=True
                )
            ]
        )


def interpolate(values: Tensor, positions: Tensor, table: Tensor) -> Tensor:
    """Interpolate a table linearly at some values; beyond its ends it stays constant.

    Args:
        values: any shape.
        positions: (N) of the table's entries, rising.
        table: (N).
    """
    index = torch.searchsorted(positions.contiguous(), values.contiguous())
    index = index.clamp(1, len(positions) - 1)
    low, high = positions[index - 1], positions[index]
    share = ((values - low) / (high - low).clamp(min=1e-9)).clamp(0, 1)
    return table[index - 1] + share * (table[index] - table[index - 1])


def white_noise(gain: float, base: float, channels: int, clipped: tuple[bool, bool]) -> Noise:
    """Return noise without correlation between neighbors, of variance gain · brightness + base."""
    means, variances = clipped_moments(LEVELS, gain * LEVELS + base, clipped)
    tables = (table.float().repeat(channels, 1) for table in (means, variances, LEVELS))
    return Noise(*tables, torch.eye(channels), None, gain, base**0.5, clipped)


def rescale_noise(noise: Noise, sigma: float) -> Noise:
    """Rescale estimated noise to a known standard deviation.

    White noise, and noise that was not estimated reliably, becomes the same at every brightness.
    """
    if noise.autocorrelation is None or not noise.reliable:
        return white_noise(0.0, sigma**2, len(noise.channel_correlation), noise.clipped)
    factor = sigma**2 / noise.variances.mean().clamp(min=1e-12)
    return replace(
        noise, variances=noise.variances * factor, clean_values=noise.levels, reliable=True
    )


def clipped_moments(
    levels: Tensor, variances: Tensor, clipped: tuple[bool, bool]
) -> tuple[Tensor, Tensor]:
    """Return mean and variance of Gaussian noise at each level after clipping at 0, and at 1."""
    if not any(clipped):
        return levels, variances
    values = levels[:, None] + variances.sqrt()[:, None] * NORMAL_VALUES
    values = values.clamp(0 if clipped[0] else None, 1 if clipped[1] else None)
    means = (values * NORMAL_PROBABILITIES).sum(1)
    return means, ((values - means[:, None]).square() * NORMAL_PROBABILITIES).sum(1)
