"""White noise: measure it in the least eigenvalues of patches' covariance, and fit its law.

References:
    Chen, Zhu, Heng 2015, An efficient statistical method for image noise level estimation, ICCV.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.denoising.filters import interpolate, select_values
from impasto.denoising.noise import LEVELS, Noise, clipped_moments, white_noise

_BINS = 6  # of brightness
_PATCH_SIDES = ((9000, 7), (2000, 5), (0, 3))  # least pixels of an image, and its patches' side
_MAX_PATCHES = 40_000
_PATCHES_PER_BIN = 1500  # that a bin needs
_MIN_PATCHES = 60  # without a pixel that is not measured
# White noise's least eigenvalue is at least this share of the one a quarter up.
_MIN_PLATEAU = 0.55
# The calmest patches, this share of all, have at least so much of white noise's variance.
_CALMEST, _CALMEST_VARIANCE = 0.05, 0.2
_MAX_COUNT_CODES = 4096  # different values that counted photons may have
_COUNT_GAINS = (0.6, 1.6)  # gain of counted photons in units of the step between counts
# Few photons a pixel: at most so many; their variance over their mean, and by how much that of more
# distant pixels may be more.
_FEW_PHOTONS, _FEW_VARIANCE, _FEW_SLOPE = 4, (0.85, 1.3), 1.15
_SIMPLICITY = 0.03  # by which a line must fit better for each further parameter
# A channel's variance over that of the law of all channels, outside of which it has its own.
_AGREEMENT = (0.4, 2.2)
_CALM_SHARE = 0.3  # of patches, in which the correlation between channels is read
_MIN_CORRELATION = 0.12  # less may be texture


class PatchSpectrum(NamedTuple):
    """The least eigenvalues of the patches' covariance by brightness, (N) each."""

    levels: Tensor  # mean values
    variances: Tensor  # of the noise, if it is white
    plateaus: Tensor  # the least eigenvalue over the one a quarter up


def patch_spectrum(plane: Tensor, unmeasured: Tensor) -> PatchSpectrum:
    """Compute the least eigenvalues of the patches' covariance for each bin of brightness.

    Args:
        plane: (H, W).
        unmeasured: pixels whose patches are left out, (H, W) bool.
    """
    (patches,) = extract_measured_patches(plane[None], unmeasured)
    means = patches.mean(1)
    values = select_values(plane, ~unmeasured)
    low, high = values.min(), values.max()
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
    return PatchSpectrum(torch.stack(levels), variances, torch.tensor(plateaus))


def has_white_noise(spectra: list[PatchSpectrum], plateau: float = _MIN_PLATEAU) -> bool:
    """Return whether two bins of brightness show noise that is alike in all directions."""
    plateaus = torch.cat([spectrum.plateaus for spectrum in spectra])
    plateaus = plateaus.sort(descending=True).values
    return bool(plateaus[min(1, len(plateaus) - 1)] > plateau)


def fit_white_noise(
    image: Tensor, unmeasured: Tensor, spectra: list[PatchSpectrum], clipped: tuple[bool, bool]
) -> Noise:
    """Fit one line of variance over brightness to all channels, allowing for clipping."""
    channels = len(spectra)
    levels = torch.cat([spectrum.levels for spectrum in spectra]).double()
    variances = torch.cat([spectrum.variances for spectrum in spectra]).double().clamp(min=1e-9)
    step = _count_step(select_values(image, ~unmeasured))
    if step:
        # Counted photons pile up at zero without being clipped there.
        unclipped = (False, clipped[1])
        gain, base = fit_line(levels, variances, unclipped)
        if _COUNT_GAINS[0] < gain / step < _COUNT_GAINS[1] and base == 0:
            return white_noise(step, 0.0, channels, unclipped)
    return white_noise(*fit_line(levels, variances, clipped), channels, clipped)


def fit_few_photons(image: Tensor, unmeasured: Tensor) -> Noise | None:
    """Return the noise of few counted photons a pixel, whose variance is their mean.

    So few are no Gaussian noise, and leave areas of zeros.

    Args:
        image: (C, H, W), 0 being no photon.
        unmeasured: pixels that are left out, (C, H, W) bool, unless they are zero.

    Returns:
        None if the values are no counts, if there are many, or if texture or neighbors add to
        their variance.
    """
    unmeasured = unmeasured & (image != 0)
    values = select_values(image, ~unmeasured)
    step = _count_step(values)
    if step is None or values.min() != 0:
        return None
    for channel, out in zip(image, unmeasured, strict=True):
        near, far = (_difference_variance(channel, out, distance) for distance in (1, 2))
        mean = float(channel[~out].mean())
        counted = _FEW_VARIANCE[0] < near / (step * mean or 1) < _FEW_VARIANCE[1]
        if not counted or mean > _FEW_PHOTONS * step or far > _FEW_SLOPE * near:
            return None
    return white_noise(step, 0.0, len(image))


def _difference_variance(plane: Tensor, unmeasured: Tensor, distance: int) -> float:
    """Return half of the mean squared difference of pixels at a distance."""
    total, count = 0.0, 1
    for dim in (0, 1):
        length = plane.shape[dim] - distance
        if length > 0:
            pair = [plane.narrow(dim, start, length) for start in (0, distance)]
            out = [unmeasured.narrow(dim, start, length) for start in (0, distance)]
            difference = (pair[0] - pair[1])[~(out[0] | out[1])]
            total, count = total + float(difference.square().sum()), count + len(difference)
    return total / count / 2


def channels_agree(noise: Noise, spectra: list[PatchSpectrum]) -> bool:
    """Return whether each channel's noise is that of one law.

    Args:
        noise: fitted to all channels together.
        spectra: of the channels.
    """
    for channel, spectrum in enumerate(spectra):
        table = noise.levels[channel], noise.variances[channel]
        expected = interpolate(spectrum.levels, *table).clamp(min=1e-9)
        ratio = float((spectrum.variances / expected).median())
        # Too much variance may be texture, if it is not white itself.
        if ratio < _AGREEMENT[0] or (ratio > _AGREEMENT[1] and has_white_noise([spectrum])):
            return False
    return True


def channel_correlation(image: Tensor, unmeasured: Tensor, noise: Noise) -> Tensor:
    """Return the correlation of white noise between channels, (C, C).

    It is read in the calmest patches, in the directions of patch space that have the least detail.

    Args:
        image: (C, H, W).
        unmeasured: pixels whose patches are left out, (C, H, W) bool.
        noise: of each channel.
    """
    patches = extract_measured_patches(image, unmeasured.any(0))  # (C, N, n)
    means = patches.mean(2, keepdim=True)
    deviation = torch.cat(
        [
            interpolate(mean, levels, variances)[None]
            for mean, levels, variances in zip(means, noise.levels, noise.variances, strict=True)
        ]
    ).clamp(min=1e-9)
    patches = (patches - means) / deviation.sqrt()
    roughness = patches.square().mean((0, 2))
    calm = patches[:, roughness.argsort()[: max(_MIN_PATCHES, int(_CALM_SHARE * len(roughness)))]]
    covariance = torch.einsum("inp,jnq->ijpq", calm, calm).double() / calm.shape[1]
    detail = covariance.diagonal().sum(2)  # (n, n), of all channels
    least = torch.linalg.eigh(detail).eigenvectors[:, 1 : 1 + len(detail) // 2]
    power = torch.einsum("pk,ijpq,qk->ij", least, covariance, least)
    deviations = power.diagonal().clamp(min=1e-12).sqrt()
    correlation = (power / deviations / deviations[:, None]).float().clamp(-1, 1)
    correlation[correlation.abs() < _MIN_CORRELATION] = 0
    return correlation.fill_diagonal_(1)


def extract_measured_patches(image: Tensor, unmeasured: Tensor) -> Tensor:
    """Return patches of the channels, (C, H, W) -> (C, N, n), without the pixels not measured."""
    height, width = unmeasured.shape
    measured = int((~unmeasured).sum())
    side = next(side for min_pixels, side in _PATCH_SIDES if measured >= min_pixels)
    patch = (min(side, height), min(side, width))
    stride = math.isqrt(measured // _MAX_PATCHES) or 1
    patches = F.unfold(image[:, None], patch, stride=stride).transpose(1, 2)
    left_out = F.max_pool2d(unmeasured[None].float(), patch, stride).flatten() > 0
    if left_out.any() and (~left_out).sum() >= _MIN_PATCHES:
        return patches[:, ~left_out]
    return patches


def _mean_of_least(eigenvalues: Tensor) -> float:
    """Return the mean of as many of the least eigenvalues as have their mean at their median.

    This is the estimate of Chen, Zhu and Heng.
    """
    for count in range(len(eigenvalues), 0, -1):
        mean = eigenvalues[:count].mean()
        if (eigenvalues[:count] > mean).sum() >= (eigenvalues[:count] < mean).sum():
            return float(mean)
    return 0.0


def _count_step(values: Tensor) -> float | None:
    """Return the step of which all values are whole multiples; None if there is none."""
    codes = values[:: max(1, values.numel() // 200_000)].unique()
    if not 2 < len(codes) <= _MAX_COUNT_CODES:
        return None
    differences = codes.diff()
    step = float(differences.min())
    error = (differences / step - (differences / step).round()).abs().max()
    return step if float(error) < 0.05 else None


def fit_line(levels: Tensor, variances: Tensor, clipped: tuple[bool, bool]) -> tuple[float, float]:
    """Return gain and base of the line; of two that fit nearly alike, the simpler one.

    The line falls where that fits better, as for a negative of counted photons.
    """
    gain, base, cost = _fit_rising_line(levels, variances, clipped)
    fall, end, falling_cost = _fit_rising_line(1 - levels, variances, clipped[::-1])
    if fall and falling_cost + _SIMPLICITY < cost:
        return -fall, end + fall
    return gain, base


def _fit_rising_line(
    levels: Tensor, variances: Tensor, clipped: tuple[bool, bool]
) -> tuple[float, float, float]:
    """Return gain, base and cost of the best line that does not fall."""
    middle, brightness = variances.median(), levels.mean().clamp(min=0.05)
    zero = levels.new_zeros(1)
    gains = torch.cat([zero, middle / brightness * torch.logspace(-1.5, 1, 11).double()])
    bases = torch.cat([zero, middle * torch.logspace(-2, 1.2, 17).double()])
    lines = torch.cartesian_prod(gains, bases)  # (lines, 2)
    for reach in (0.4, 0.13, 0.04, None):
        costs = _line_costs(lines, levels, variances, clipped)
        best = lines[costs.argmin()]
        if reach is not None:
            factors = torch.linspace(1 - reach, 1 + reach, 7).double()
            lines = torch.cartesian_prod(*(best[:, None] * factors))
    return float(best[0]), float(best[1]), float(costs.min())


def _line_costs(
    lines: Tensor, levels: Tensor, variances: Tensor, clipped: tuple[bool, bool]
) -> Tensor:
    """Return how badly each line of gain and base fits variances at levels: (lines, 2), (lines)."""
    gains, bases = lines[:, :1], lines[:, 1:]
    coarse = LEVELS[::4]
    means, spread = clipped_moments(coarse, gains * coarse + bases, clipped)  # (lines, levels)
    means, at = means.contiguous(), levels.expand(len(lines), -1).contiguous()
    index = torch.searchsorted(means, at).clamp(1, means.shape[1] - 1)
    low, high = means.gather(1, index - 1), means.gather(1, index)
    share = ((at - low) / (high - low).clamp(min=1e-9)).clamp(0, 1)
    predicted = spread.gather(1, index - 1).lerp(spread.gather(1, index), share)
    error = variances.log() - predicted.clamp(min=1e-9).log()
    # Too much variance may be texture; too little cannot.
    loss = torch.where(error > 0, 0.35 * error.clamp(max=1.5), -error.clamp(min=-3)).mean(1)
    return loss + _SIMPLICITY * ((gains > 0).int() + ((gains > 0) & (bases > 0)).int())[:, 0]
