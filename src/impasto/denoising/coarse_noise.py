"""Take away noise that is coarser than a patch, on a picture of half the size and of a quarter."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.denoising.block_matching import Cut, Groups
from impasto.denoising.patch_filters import first_guide, ridge_estimate, wiener_estimate

# Noise that is coarser than a patch is looked for on half the size, so often; not on less than so
# many pixels a side; where it has this share of the variance that averaging leaves. Measured.
BLOTCH_LEVELS, _MIN_COARSE_SIDE, _LEFT = 2, 16, 0.6
_TEXTURE = 2.5  # times as much of the expected variance in light as in color is no noise
_WHITE_POWER = 0.25  # share of white noise's variance that the mean of four pixels has


def coarse_variance(variance: Tensor, autocorrelation: Tensor) -> Tensor:
    """Return the variance at half the size of noise that neighbors share, (C, H, W) of both."""
    return _halve(variance * _coarse_power(autocorrelation))


def remove_coarse_noise(
    estimate: Tensor,
    variance: Tensor,
    passes: Sequence[Groups],
    on_part: Callable[[float], None],
    cut: Cut | None = None,
) -> Tensor:
    """Take away what noise is left that is coarser than a patch, unless it is the picture's own.

    Args:
        estimate: (C, H, W), of noise that neighbors share.
        variance: of the noise that was filtered, at half the size, as of `coarse_variance`.
        passes: how patches are grouped.
        on_part: as for `ridge_estimate`.
        cut: as for `ridge_estimate`.

    Returns:
        (C, H, W).
    """
    clean = _remove_blotches(estimate, variance, passes, on_part, cut=cut)
    if len(clean) == 3 and _is_texture(estimate, clean, variance):
        clean[0] = estimate[0]
    return clean


def _remove_blotches(
    estimate: Tensor,
    variance: Tensor,
    passes: Sequence[Groups],
    on_part: Callable[[float], None],
    levels: int = BLOTCH_LEVELS,
    cut: Cut | None = None,
) -> Tensor:
    """Take away what noise is left that is coarser than a patch, on a picture of half the size.

    Noise that neighbors share has most of its power at low frequencies, where a patch sees a part
    of one blotch and cannot tell it from the picture. On half the size, and half of that, it can;
    what is found there is white enough.

    Args:
        estimate: (C, H, W), of noise that neighbors share.
        variance: of the noise that is left, at half the size.
        passes: how patches are grouped.
        on_part: called with the share that is done, up to 1; may raise to end the work.
        levels: how often the size is halved.
        cut: where the picture lies in another one that it was cut from; None for nowhere.

    Returns:
        (C, H, W).

    References:
        Facciolo, Pierazzo, Morel 2017, Conservative scale recomposition for multiscale denoising.
    """
    if not levels or min(estimate.shape[1:]) < _MIN_COARSE_SIDE:
        return estimate
    coarse = _halve(estimate)
    variance = variance * _LEFT
    if cut is not None:
        height, width = (-(-side // 2) for side in cut.size)
        cut = Cut((height, width), (cut.corner[0] // 2, cut.corner[1] // 2), None)

    # The coarser sizes take a fifth of the work.
    reports = [
        lambda share, before=before: on_part(0.8 * (before + share) / len(passes))
        for before in range(len(passes))
    ]
    clean = ridge_estimate(
        coarse, first_guide(coarse), variance, passes[0], on_part=reports[0], cut=cut
    )
    for groups, report in zip(passes[1:], reports[1:], strict=True):
        clean = wiener_estimate(coarse, clean, clean[0], variance, groups, on_part=report, cut=cut)
    clean = _remove_blotches(
        clean,
        _halve(variance * _WHITE_POWER),
        passes,
        lambda share: on_part(0.8 + 0.2 * share),
        levels - 1,
        cut,
    )
    picture = torch.empty_like(estimate, memory_format=torch.contiguous_format)
    for target, plane, blotches in zip(picture, estimate, coarse - clean, strict=True):
        fine = F.interpolate(blotches[None, None], scale_factor=2, mode="bicubic")[0, 0]
        torch.sub(plane, fine[: plane.shape[0], : plane.shape[1]], out=target)
    return picture


def _halve(image: Tensor) -> Tensor:
    """Return (C, H, W) at half the size, rounded up."""
    return F.avg_pool2d(image[None], 2, ceil_mode=True, count_include_pad=False)[0]


def _is_texture(estimate: Tensor, clean: Tensor, variance: Tensor) -> bool:
    """Return whether the blotches taken away, of light and two of color, are the picture's texture.

    Noise that neighbors share, as demosaicing makes it, is in color as much as in light.

    Args:
        estimate: with the blotches, (3, H, W).
        clean: without.
        variance: of the noise at half the size.
    """
    planes = zip(estimate, clean, strict=True)
    powers = torch.stack([(blotchy - plane).square_().mean() for blotchy, plane in planes])
    light, *colors = (powers / variance.mean((1, 2))).tolist()
    return light > _TEXTURE * max(colors)


def _coarse_power(autocorrelation: Tensor) -> Tensor:
    """Return the share of the noise's variance that the mean of 2 × 2 pixels has, (C, 1, 1)."""
    middle = autocorrelation.shape[-1] // 2
    near = slice(middle - 1, middle + 2)
    weights = autocorrelation.new_tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16
    power = (autocorrelation[:, near, near] * weights).sum((1, 2), keepdim=True)
    return power.clamp(min=_WHITE_POWER)
