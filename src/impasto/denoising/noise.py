"""The noise model: variance by brightness, correlation between neighbors, and clipping."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from impasto.denoising.filters import interpolate, select_values

LEVELS = torch.linspace(0, 1, 257, dtype=torch.float64)
# Values of a standard normal variable, and their probabilities.
NORMAL_VALUES = torch.linspace(-6, 6, 241, dtype=torch.float64)
NORMAL_PROBABILITIES = torch.softmax(-NORMAL_VALUES.square() / 2, 0)

_FAR = 1000.0  # a level beyond all others, up to which a line goes on
_TABLES = (
    "levels",
    "variances",
    "clean_values",
    "channel_correlation",
    "autocorrelation",
    "lines",
)


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
        lines: (C, 2) variance for each unit of brightness (Poisson noise; negative where noise
            falls with brightness), and variance at 0, before any clipping; None if none was fitted.
        clipped: whether values were clipped at 0, and at 1.
        reliable: False if the noise could be the image's own detail.
        members: for each channel the first one that is the same, and None for a channel without
            noise; None if all are different and noisy. The working channels of others are the
            image's own.
        separate: True if the channels' noise differs, so that each was measured by itself.
    """

    levels: Tensor
    variances: Tensor
    clean_values: Tensor
    channel_correlation: Tensor
    autocorrelation: Tensor | None
    lines: Tensor | None
    clipped: tuple[bool, bool]
    reliable: bool = True
    members: tuple[int | None, ...] | None = None
    separate: bool = False

    @property
    def gain(self) -> float | None:
        """Return the noisiest channel's variance for each unit of brightness, if it has a line."""
        return None if self.lines is None else float(self.lines[self._noisiest, 0])

    @property
    def sigma(self) -> float | None:
        """Return the noisiest channel's standard deviation at 0, if it has a line."""
        return None if self.lines is None else math.sqrt(max(0, self.lines[self._noisiest, 1]))

    @property
    def _noisiest(self) -> int:
        return int(self.variances.mean(1).argmax())

    def to(self, device: torch.device) -> Noise:
        """Return the same noise with its tables on a device."""
        tables = {name: getattr(self, name) for name in _TABLES}
        moved = {name: None if t is None else t.to(device) for name, t in tables.items()}
        return replace(self, **moved)

    def select(self, channels: Sequence[int]) -> Noise:
        """Return the noise of some channels."""
        index = list(channels)
        table = self.autocorrelation
        return replace(
            self,
            levels=self.levels[index],
            variances=self.variances[index],
            clean_values=self.clean_values[index],
            channel_correlation=self.channel_correlation[index][:, index],
            autocorrelation=None if table is None else table[index],
            lines=None if self.lines is None else self.lines[index],
            members=None,
        )

    def expand(self, members: tuple[int | None, ...]) -> Noise:
        """Return the noise of all channels from that of the different, noisy ones.

        Args:
            members: as the attribute.
        """
        different = [c for c, first in enumerate(members) if c == first]
        index = [0 if first is None else different.index(first) for first in members]
        noisy = torch.tensor([first is not None for first in members])
        expanded = self.select(index)
        correlation = expanded.channel_correlation * (noisy & noisy[:, None])
        lines = None if self.lines is None else expanded.lines * noisy[:, None]
        return replace(
            expanded,
            variances=expanded.variances * noisy[:, None],
            clean_values=expanded.clean_values.where(noisy[:, None], expanded.levels),
            channel_correlation=correlation.fill_diagonal_(1),
            lines=lines,
            members=members,
        )

    def variance_at(self, image: Tensor, basis: Tensor) -> Tensor:
        """Return the variance of the noise at each pixel, in the channels of a basis.

        Args:
            image: (C, H, W) without noise.
            basis: (C, C), a row for each working channel.

        Returns:
            (C, H, W), above zero.
        """
        variances = torch.stack(
            [
                interpolate(plane, levels, variances)
                for plane, levels, variances in zip(image, self.levels, self.variances, strict=True)
            ]
        )
        own = basis.square() * self.channel_correlation.diagonal()
        variance = torch.einsum("ci,ihw->chw", own.to(variances), variances)
        for i in range(len(image)):
            for j in range(i):
                if self.channel_correlation[i, j]:
                    weight = 2 * basis[:, i] * basis[:, j] * self.channel_correlation[i, j]  # (C)
                    variance += weight[:, None, None] * (variances[i] * variances[j]).sqrt()
        return variance.clamp_(min=1e-9)

    def typical_sigma(self, image: Tensor, unmeasured: Tensor | None = None) -> Tensor:
        """Return the standard deviation at each channel's median, before any clipping: (C).

        Args:
            image: (C, H, W).
            unmeasured: pixels that do not count, (C, H, W) bool; None for none.
        """
        channels = list(image.flatten(1))
        if unmeasured is not None:
            channels = [
                select_values(channel, here) if here.any() and not here.all() else channel
                for channel, here in zip(channels, ~unmeasured.flatten(1), strict=True)
            ]
        medians = torch.stack([values.median() for values in channels])[:, None]
        if self.lines is not None:
            gains, bases = self.lines.T
            usual, mean = (
                (gains * level.clamp(self.levels[:, 0], self.levels[:, -1]) + bases).clamp(min=0)
                for level in (medians[:, 0], torch.stack([values.mean() for values in channels]))
            )
            # Most pixels of a few photons have none.
            return usual.where(usual > 0, mean).sqrt()
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


def white_noise(
    gain: float, base: float, channels: int, clipped: tuple[bool, bool] = (False, False)
) -> Noise:
    """Return noise without correlation between neighbors, of variance gain · brightness + base."""
    levels = LEVELS
    # Where nothing was clipped, the line goes on beyond white.
    if not clipped[1]:
        levels = torch.cat([levels, levels.new_tensor([_FAR])])
    line = (gain * levels + base).clamp(min=0)
    means, variances = clipped_moments(levels, line, clipped)
    tables = (table.float().repeat(channels, 1) for table in (means, variances, levels))
    lines = torch.tensor([[gain, base]]).repeat(channels, 1)
    return Noise(*tables, torch.eye(channels), None, lines, clipped)


def rescale_noise(noise: Noise, sigma: float) -> Noise:
    """Rescale estimated noise to a known standard deviation.

    White noise, and noise that was not estimated reliably, becomes the same at every brightness.
    """
    channels = len(noise.channel_correlation)
    if noise.autocorrelation is None or not noise.reliable:
        white = white_noise(0.0, sigma**2, channels, noise.clipped)
        correlation = noise.channel_correlation if noise.reliable else white.channel_correlation
        return replace(white, channel_correlation=correlation, members=noise.members)
    factor = sigma**2 / noise.variances.mean().clamp(min=1e-12)
    return replace(
        noise, variances=noise.variances * factor, clean_values=noise.levels, reliable=True
    )


def clipped_moments(
    levels: Tensor, variances: Tensor, clipped: tuple[bool, bool]
) -> tuple[Tensor, Tensor]:
    """Return mean and variance of Gaussian noise at each level after clipping at 0, and at 1.

    Args:
        levels: (N), or a row for each of several noises.
        variances: the same shape, or (..., N).
        clipped: at 0, and at 1.
    """
    if not any(clipped):
        return levels.expand_as(variances), variances
    deviations = variances.sqrt().clamp(min=1e-12)
    mean, square = torch.zeros_like(variances), torch.zeros_like(variances)
    inside, density, slope = torch.ones_like(variances), 0.0, 0.0
    for bound, sign, is_clipped in ((0.0, -1, clipped[0]), (1.0, 1, clipped[1])):
        if is_clipped:
            distance = (bound - levels) / deviations
            beyond = torch.special.ndtr(-sign * distance)
            height = torch.exp(-distance.square() / 2) / math.sqrt(2 * math.pi)
            mean, square = mean + bound * beyond, square + bound**2 * beyond
            inside = inside - beyond
            density = density - sign * height
            slope = slope - sign * distance * height
    # Moments of what lies inside of the bounds, around the level for the sake of rounding.
    first, second = deviations * density, variances * (inside + slope)
    mean = mean + levels * inside + first
    square = square + levels.square() * inside + 2 * levels * first + second
    return mean, (square - mean.square()).clamp(min=0)
