"""Estimate the noise model of an image from the image alone.

White noise is estimated from the least eigenvalues of patches' covariance, noise that neighbors
share from the image's flattest blocks.

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

from impasto.denoising.noise import (
    LEVELS,
    NORMAL_PROBABILITIES,
    NORMAL_VALUES,
    Noise,
    clipped_moments,
    interpolate,
    white_noise,
)

_BINS = 6  # of brightness

_PATCH_SIDES = ((9000, 7), (2000, 5), (0, 3))  # least pixels of an image, and its patches' side
_MAX_PATCHES = 40_000
_PATCHES_PER_BIN = 1500  # that a bin needs
_CLIPPED_SHARE = 0.002  # of values at the end of the range, from which they count as clipped
# White noise's least eigenvalue is at least this share of the one a quarter up.
_MIN_PLATEAU = 0.55
# The calmest patches, this share of all, have at least so much of white noise's variance.
_CALMEST, _CALMEST_VARIANCE = 0.05, 0.2
_MAX_COUNT_CODES = 4096  # different values that counted photons may have
_COUNT_GAINS = (0.6, 1.6)  # gain of counted photons in units of the step between counts
_SIMPLICITY = 0.03  # by which a line must fit better for each further parameter

_BLOCK_SIDE = 12  # pixels of the blocks that are searched for flat ones
_FLATTEST = 0.12  # share of a bin's blocks
_ROUNDING = 1e-7  # variance that rounding makes
_REACH = 4  # pixels within which noise may correlate
_TAPER = 2  # reaches from the center to where correlations are taken for zero
# Frequencies a side of the noise's spectrum, and the least power of each, of 1 on average.
_SPECTRUM, _MIN_POWER = 32, 0.02
# Deviation of blocks' variances over their mean: noise has 0.1 to 0.35, texture 0.4 to 2. Noise of
# a small deviation may have a little more.
_MAX_SPREAD, _MAX_SPREAD_WEAK, _WEAK_SIGMA = 0.4, 0.45, 2.5 / 255
_DETREND = 1.05  # correlated noise loses this factor of its variance to the plane that is removed
_GAMMA = 2.2  # of the tone curve between a sensor's values and an image's


def estimate_noise(image: Tensor, basis: Tensor) -> Noise:
    """Estimate the noise in an image.

    Args:
        image: (C, H, W), 1 being white.
        basis: (C, C) orthonormal rows, the channels in which the autocorrelation is estimated.

    Returns:
        The noise. It is taken for white only if two bins of brightness show that it is alike in all
        directions of patch space, where texture leaves some directions free.
    """
    clipped = _clipped_ends(image)
    spectra = [_patch_spectrum(plane) for plane in image]
    plateaus = torch.cat([spectrum.plateaus for spectrum in spectra])
    plateaus = plateaus.sort(descending=True).values
    if plateaus[min(1, len(plateaus) - 1)] > _MIN_PLATEAU:
        return _fit_white_noise(image, spectra, clipped)
    levels = torch.stack([spectrum.levels for spectrum in spectra])
    variances = torch.stack([spectrum.variances for spectrum in spectra])
    return estimate_correlated_noise(image, (levels, variances), basis, clipped)


class _PatchSpectrum(NamedTuple):
    """The least eigenvalues of the patches' covariance by brightness, (N) each."""

    levels: Tensor  # mean values
    variances: Tensor  # of the noise, if it is white
    plateaus: Tensor  # the least eigenvalue over the one a quarter up


def _clipped_ends(image: Tensor) -> tuple[bool, bool]:
    """Return whether values were clipped at 0 and at 1: many are equal to it, none is beyond."""
    low, high = (
        bool(end == bound) and float((image == bound).float().mean()) > _CLIPPED_SHARE
        for end, bound in ((image.min(), 0), (image.max(), 1))
    )
    return low, high


def _patch_spectrum(plane: Tensor) -> _PatchSpectrum:
    """Compute the least eigenvalues of the patches' covariance for each bin of brightness."""
    side = next(side for min_pixels, side in _PATCH_SIDES if plane.numel() >= min_pixels)
    patch = (min(side, plane.shape[0]), min(side, plane.shape[1]))
    stride = math.isqrt(plane.numel() // _MAX_PATCHES) or 1
    patches = F.unfold(plane[None, None], patch, stride=stride)[0].T  # (patches, h·w)
    means = patches.mean(1)
    low, high = plane.min(), plane.max()
    levels, variances, plateaus = [], [], []
    bins = min(_BINS, max(1, len(patches) // _PATCHES_PER_BIN))
    for members in means.argsort().chunk(bins):
        centered = patches[members].double()
        # A bin is narrow; its width is not texture.
        centered = centered - centered.mean(1, keepdim=True)
        eigenvalues = torch.linalg.eigvalsh(centered.T @ centered / len(centered))[1:]
        levels.append(means[members].mean())
        variances.append(_mean_of_least(eigenvalues))
        at_ends = (patches[members] <= low) | (patches[members] >= high)
        end_share = float(at_ends.float().mean())
        quarter = float(eigenvalues[len(eigenvalues) // 4]) if len(eigenvalues) > 1 else 0.0
        # White noise is everywhere, while a drawing has paper without any.
        calmest = float(centered.square().mean(1).quantile(_CALMEST))
        usable = quarter > 1e-7 and end_share < 0.5 and calmest > _CALMEST_VARIANCE * variances[-1]
        plateaus.append(float(eigenvalues[0]) / quarter if usable else 0.0)
    variances = torch.tensor(variances).clamp(min=0)
    return _PatchSpectrum(torch.stack(levels), variances, torch.tensor(plateaus))


def _mean_of_least(eigenvalues: Tensor) -> float:
    """Return the mean of as many of the least eigenvalues as have their mean at their median.

    This is the estimate of Chen, Zhu and Heng.
    """
    for count in range(len(eigenvalues), 0, -1):
        mean = eigenvalues[:count].mean()
        if (eigenvalues[:count] > mean).sum() >= (eigenvalues[:count] < mean).sum():
            return float(mean)
    return 0.0


def _fit_white_noise(
    image: Tensor, spectra: list[_PatchSpectrum], clipped: tuple[bool, bool]
) -> Noise:
    """Fit one line of variance over brightness to all channels, allowing for clipping."""
    channels = len(spectra)
    levels = torch.cat([spectrum.levels for spectrum in spectra]).double()
    variances = torch.cat([spectrum.variances for spectrum in spectra]).double().clamp(min=1e-9)
    step = _count_step(image)
    if step:
        # Counted photons pile up at zero without being clipped there.
        unclipped = (False, clipped[1])
        gain, base = fit_line(levels, variances, unclipped)
        if _COUNT_GAINS[0] < gain / step < _COUNT_GAINS[1] and base == 0:
            return white_noise(step, 0.0, channels, unclipped)
    return white_noise(*fit_line(levels, variances, clipped), channels, clipped)


def _count_step(image: Tensor) -> float | None:
    """Return the step of which all values are whole multiples; None if there is none."""
    codes = image.flatten()[:: max(1, image.numel() // 200_000)].unique()
    if not 2 < len(codes) <= _MAX_COUNT_CODES:
        return None
    differences = codes.diff()
    step = float(differences.min())
    error = (differences / step - (differences / step).round()).abs().max()
    return step if float(error) < 0.05 else None


def fit_line(levels: Tensor, variances: Tensor, clipped: tuple[bool, bool]) -> tuple[float, float]:
    """Return gain and base of the line; of two that fit nearly alike, the simpler one."""
    coarse_levels = LEVELS[::4]

    def cost(line: tuple[float, float]) -> float:
        gain, base = line
        means, spread = clipped_moments(coarse_levels, gain * coarse_levels + base, clipped)
        error = variances.log() - interpolate(levels, means, spread).clamp(min=1e-9).log()
        # Too much variance may be texture; too little cannot.
        loss = torch.where(error > 0, 0.35 * error.clamp(max=1.5), -error.clamp(min=-3)).mean()
        return float(loss) + _SIMPLICITY * ((gain > 0) + (gain > 0 and base > 0))

    middle, brightness = float(variances.median()), max(float(levels.mean()), 0.05)
    gains = [0.0, *(middle / brightness * torch.logspace(-1.5, 1, 11)).tolist()]
    bases = [0.0, *(middle * torch.logspace(-2, 1.2, 17)).tolist()]
    best = min(((gain, base) for gain in gains for base in bases), key=cost)
    for reach in (0.4, 0.13, 0.04):
        factors = torch.linspace(1 - reach, 1 + reach, 7).tolist()
        lines = {(best[0] * f, best[1] * g) for f in factors for g in factors}
        best = min(sorted(lines), key=cost)
    return best


def estimate_correlated_noise(
    image: Tensor,
    patch_variances: tuple[Tensor, Tensor],
    basis: Tensor,
    clipped: tuple[bool, bool],
) -> Noise:
    """Estimate noise that neighbors share from the flattest blocks of an image.

    Args:
        image: (C, H, W).
        patch_variances: levels and variances (C, N) of the finest detail, noise or not.
        basis: (C, C) orthonormal rows, the channels in which the autocorrelation is estimated.
        clipped: whether values were clipped at 0, and at 1.
    """
    flat = _FlatBlocks(image, patch_variances)
    levels, variances = flat.levels, flat.variances * _DETREND
    clean_values = levels if len(image) != 3 else _invert_tone_curve(levels, variances)
    tables = (levels, variances, clean_values, flat.channel_correlation)
    return Noise(*tables, flat.autocorrelation(basis), None, None, clipped, flat.reliable)


class _Bin:
    """The flattest blocks of one bin of brightness.

    Attributes:
        members: indices of the blocks.
        variance: their mean variance.
        ratio: the same over the variance of the finest detail.
        end_share: share of their pixels at the ends of the range.
        uniform: True if their variances are as alike as noise's: noise is the same everywhere,
            texture is not, and a drawing's flat blocks do not vary at all.
    """

    def __init__(
        self, members: Tensor, variances: Tensor, patch_variances: Tensor, end_share: float
    ) -> None:
        self.members, self.end_share = members, end_share
        self.variance = float(variances.mean())
        self.ratio = self.variance / max(float(patch_variances.mean()), 1e-9)
        means = variances.mean(0)
        spread = float(means.std() / means.mean().clamp(min=1e-12)) if len(means) > 1 else 1.0
        max_spread = _MAX_SPREAD_WEAK if self.variance < _WEAK_SIGMA**2 else _MAX_SPREAD
        self.uniform = self.variance > _ROUNDING and spread < max_spread


class _FlatBlocks:
    """The flattest blocks of an image, and the noise in them.

    Attributes:
        levels: (C, N) mean values, rising.
        variances: (C, N) at these levels.
        channel_correlation: (C, C).
        reliable: False if most bins of brightness hold texture.
    """

    def __init__(self, image: Tensor, patch_variances: tuple[Tensor, Tensor]) -> None:
        self.side = min(_BLOCK_SIDE, *image.shape[1:])
        step = max(4, 2 * round(math.sqrt(image[0].numel() / 60_000) * 2))
        blocks = F.unfold(image[:, None], self.side, stride=step).transpose(1, 2)  # (C, N, n)
        means = blocks.mean(2)
        plane, _ = torch.linalg.qr(_plane_basis(self.side))
        residual = blocks - (blocks @ plane) @ plane.T
        variances = residual.square().sum(2) / max(1, self.side**2 - 3)  # (C, N)
        bins = self._flattest(image, patch_variances, blocks, residual, variances)
        unclipped = [bin_ for bin_ in bins if bin_.end_share < 0.5]
        uniform = [bin_ for bin_ in unclipped if bin_.uniform]
        self.reliable = 2 * len(uniform) >= max(1, len(unclipped))
        usable = [bin_ for bin_ in uniform if bin_.end_share < 0.05] or uniform or bins
        # The correlation is read where the least detail is left.
        calmest = sorted(usable, key=lambda bin_: bin_.ratio)[:2]
        members = torch.cat([bin_.members for bin_ in calmest])
        self._noise = residual[:, members].reshape(len(image), -1, self.side, self.side)
        entries = [
            (means[:, bin_.members].mean(1), variances[:, bin_.members].mean(1)) for bin_ in usable
        ]
        tables = [
            _sorted_table(
                torch.stack([level[c] for level, _ in entries]),
                torch.stack([variance[c] for _, variance in entries]),
            )
            for c in range(len(image))
        ]
        self.levels = torch.stack([levels for levels, _ in tables])
        self.variances = torch.stack([variances for _, variances in tables])
        values = self._noise.flatten(1)
        # A channel without noise correlates with none.
        several = len(image) > 1 and values.shape[1] > 1
        correlation = torch.corrcoef(values).nan_to_num(0) if several else torch.eye(len(image))
        self.channel_correlation = correlation.fill_diagonal_(1)

    def _flattest(
        self,
        image: Tensor,
        patch_variances: tuple[Tensor, Tensor],
        blocks: Tensor,
        residual: Tensor,
        variances: Tensor,
    ) -> list[_Bin]:
        """Pick the blocks with the least coarse detail in each bin of brightness."""
        means = blocks.mean(2)
        brightness = means.mean(0)
        coarse = F.avg_pool2d(
            residual.mean(0).view(-1, 1, self.side, self.side), max(1, self.side // 3)
        )
        roughness = coarse.square().mean((1, 2, 3))
        at_ends = (blocks <= image.min()) | (blocks >= image.max())
        end_shares = at_ends.float().mean((0, 2))
        fine = torch.stack(
            [
                interpolate(mean, *_sorted_table(levels, values))
                for mean, levels, values in zip(means, *patch_variances, strict=True)
            ]
        )
        bins = []
        for part in brightness.argsort().chunk(_BINS):
            flattest = roughness[part].argsort()[: max(6, int(len(part) * _FLATTEST))]
            members = part[flattest]
            end_share = float(end_shares[members].mean())
            bins.append(_Bin(members, variances[:, members], fine[:, members], end_share))
        return bins

    def autocorrelation(self, basis: Tensor) -> Tensor:
        """Return the correlation with neighbors in a basis' channels, (C, 2m + 1, 2m + 1)."""
        noise = torch.einsum("ij,jnhw->inhw", basis, self._noise)
        noise = noise / noise.square().mean((2, 3), keepdim=True).sqrt().clamp(min=1e-6)
        reach, side = _REACH, self.side
        table = torch.zeros(len(basis), 2 * reach + 1, 2 * reach + 1)
        for y in range(-reach, reach + 1):
            for x in range(-reach, reach + 1):
                if max(abs(y), abs(x)) < side:
                    a = noise[..., max(0, y) : side + min(0, y), max(0, x) : side + min(0, x)]
                    b = noise[..., max(0, -y) : side - max(0, y), max(0, -x) : side - max(0, x)]
                    table[:, y + reach, x + reach] = (a * b).mean((1, 2, 3))
        # What is far apart is known less well.
        taper = 1 - torch.arange(-reach, reach + 1).abs() / (_TAPER * (reach + 1))
        return _positive_definite(table * taper[:, None] * taper)


def _positive_definite(table: Tensor) -> Tensor:
    """Raise an autocorrelation's spectrum to a floor, so that it is that of some noise.

    The result is cut to its reach again, which takes it a little off; whoever inverts a covariance
    made of it has a floor of his own.

    Args:
        table: (C, 2m + 1, 2m + 1), of any scale; all zero where there is no noise.

    Returns:
        The same shape with 1 in the center.
    """
    reach = table.shape[1] // 2
    center = table[:, reach : reach + 1, reach : reach + 1].clamp(min=1e-9)
    padded = F.pad(table / center, (0, _SPECTRUM - 2 * reach - 1) * 2)
    power = torch.fft.fft2(padded.roll((-reach, -reach), (1, 2))).real.clamp(min=_MIN_POWER)
    raised = torch.fft.ifft2(power).real.roll((reach, reach), (1, 2))
    raised = raised[:, : 2 * reach + 1, : 2 * reach + 1]
    return raised / raised[:, reach : reach + 1, reach : reach + 1]


def _plane_basis(side: int) -> Tensor:
    """Return a constant and two slopes over a block, (n, 3)."""
    line = torch.arange(side) - (side - 1) / 2
    ones = torch.ones(side, side)
    return torch.stack([ones, line[:, None] * ones, line * ones]).flatten(1).T


def _sorted_table(levels: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Sort a table by level; a single entry becomes two, as `interpolate` needs."""
    order = levels.argsort()
    levels, values = levels[order], values[order]
    if len(levels) == 1:
        return torch.cat([levels, levels + 0.1]), values.repeat(2)
    return levels, values


def _invert_tone_curve(levels: Tensor, variances: Tensor) -> Tensor:
    """Return the values without noise if the noise was added before a tone curve: (C, N).

    A concave curve takes more from the dark side of noise than from the light side, so that its
    mean is too dark.
    """
    spreads = torch.cat([torch.zeros(1), torch.logspace(-4, 0.3, 90)]).double()
    linear = LEVELS[::2, None, None] ** _GAMMA + spreads[:, None] * NORMAL_VALUES
    values = linear.clamp(0, 1) ** (1 / _GAMMA)
    means = (values * NORMAL_PROBABILITIES).sum(2)
    squares = (values - means[..., None]).square()
    deviations = (squares * NORMAL_PROBABILITIES).sum(2).sqrt()
    bias = (LEVELS[::2, None] - means).flatten()
    clean_values = torch.zeros_like(levels)
    for c in range(len(levels)):
        for i in range(levels.shape[1]):
            level, deviation = levels[c, i], variances[c, i].sqrt()
            distance = (means - level).square() + (deviations - deviation).square()
            clean_values[c, i] = level + bias[distance.argmin()].clamp(min=0)
    return clean_values
