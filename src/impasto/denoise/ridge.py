"""Non-local ridge regression: each patch from the patches that look like it.

References:
    Herbreteau, Kervrann 2022, Towards a unified view of unsupervised non-local methods for image
    denoising: the NL-Ridge approach; arXiv:2203.00570.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.denoise.grouping import Groups, grouped, patches, picture_of


def regressed(
    noisy: Tensor,
    pilot: Tensor | None,
    guide: Tensor,
    variance: Tensor,
    groups: Groups,
    lags: Tensor | None = None,
) -> Tensor:
    """One pass.

    Args:
        noisy: (C, H, W).
        pilot: an earlier estimate, (C, H, W); None for the first pass.
        guide: (H, W) that patches are compared on.
        variance: of the noise, (C, H, W).
        groups: how patches are grouped.
        lags: the noise's correlation at distances, (2m + 1, 2m + 1), 1 in the middle; None for 1.

    Returns:
        (C, H, W).
    """
    channels, height, width = noisy.shape
    patch = (min(groups.patch, height), min(groups.patch, width))
    size = (height - patch[0] + 1, width - patch[1] + 1)
    seen = patches(guide, patch)
    noisy_rows = [patches(plane, patch) for plane in noisy]
    pilot_rows = None if pilot is None else [patches(plane, patch) for plane in pilot]
    ones = torch.ones(1, 1, *patch)
    spread = [F.conv2d(plane[None, None], ones).flatten() for plane in variance]
    sums = [torch.zeros_like(rows) for rows in noisy_rows]
    weights = [torch.zeros(len(rows)) for rows in noisy_rows]
    for near in grouped(seen, size, groups, patch):
        flat = near.flatten()
        correlation = None if lags is None else _correlation(near, size[1], lags)
        for channel in range(channels):
            y = noisy_rows[channel][flat].view(*near.shape, -1)  # (groups, k, n)
            noise = spread[channel][near]  # (groups, k)
            x = None if pilot_rows is None else pilot_rows[channel][flat].view(*near.shape, -1)
            theta = _combination(y, x, noise, correlation)  # (groups, k, k)
            found = torch.bmm(theta.transpose(1, 2), y)
            sure = 1 / theta.square().sum(1).clamp(min=1e-6)  # (groups, k)
            rows = (found * sure[..., None]).flatten(0, 1)
            sums[channel].scatter_add_(0, flat[:, None].expand_as(rows), rows)
            weights[channel].scatter_add_(0, flat, sure.flatten())
    out = torch.empty_like(noisy)
    for channel in range(channels):
        total = picture_of(sums[channel], (height, width), patch)
        weight = F.conv_transpose2d(weights[channel].view(1, 1, *size), ones)[0, 0]
        out[channel] = total / weight
    return out


def _combination(
    y: Tensor, x: Tensor | None, noise: Tensor, correlation: Tensor | None
) -> Tensor:
    """The weights of least expected squared error, (groups, k, k): each column makes one patch."""
    if correlation is None:
        noises = torch.diag_embed(noise)
    else:
        noises = correlation * (noise[:, :, None] * noise[:, None, :]).sqrt()
    source = y if x is None else x
    gram = torch.bmm(source, source.transpose(1, 2))
    whole = gram if x is None else gram + noises
    jitter = 1e-6 * whole.diagonal(dim1=1, dim2=2).mean(1) + 1e-12
    whole = whole + jitter[:, None, None] * torch.eye(whole.shape[1])
    factor = torch.linalg.cholesky(whole)
    eye = torch.eye(whole.shape[1])
    return eye - torch.cholesky_solve(noises, factor)


def _correlation(near: Tensor, columns: int, lags: Tensor) -> Tensor:
    """How noise correlates between the patches of a group, (groups, k, k)."""
    down, right = near // columns, near % columns
    reach = lags.shape[0] // 2
    dy = (down[:, :, None] - down[:, None, :]).clamp(-reach - 1, reach + 1) + reach + 1
    dx = (right[:, :, None] - right[:, None, :]).clamp(-reach - 1, reach + 1) + reach + 1
    table = F.pad(lags, (1, 1, 1, 1))
    return table[dy, dx]
