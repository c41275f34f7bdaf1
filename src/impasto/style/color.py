"""Giving a picture another's colors by a linear map of RGB."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from impasto.style.losses import covariance, mean, spectral
from impasto.style.moments import moments, pooled

_RIDGE = 1e-5  # keeps the map of a picture of one color finite


def recolored(content: Tensor, styles: Sequence[tuple[Tensor, Tensor | None]]) -> Tensor:
    """The content image with the mean and covariance of the style images' colors.

    Of all linear maps that do it, the one that moves colors least (Monge–Kantorovich).

    Args:
        content: (3, H, W) in [0, 1].
        styles: pixels (3, H, W) and mask (H, W) or None, each.

    Returns:
        (3, H, W) in [0, 1].

    Example:
        >>> gray, red = torch.rand(1, 8, 8).expand(3, -1, -1), torch.zeros(3, 8, 8)
        >>> red[0] = 1
        >>> recolored(gray, [(red, None)]).mean(dim=(1, 2)).round(decimals=1).tolist()
        [1.0, 0.0, 0.0]

    References:
        Pitié, Kokaram 2007, The linear Monge–Kantorovitch linear colour mapping for example-based
        colour transfer.
    """
    own, target = moments(content), pooled([moments(*style) for style in styles])
    ridge = _RIDGE * torch.eye(3, dtype=own.second.dtype, device=content.device)
    a, b = covariance(own) + ridge, covariance(target) + ridge
    root, inverse = spectral(a, torch.sqrt), spectral(a, torch.rsqrt)
    change = inverse @ spectral(root @ b @ root, torch.sqrt) @ inverse
    offset = mean(target) - change @ mean(own)
    change, offset = change.to(content.dtype), offset.to(content.dtype)
    return torch.addmm(offset[:, None], change, content.flatten(1)).view_as(content).clamp_(0, 1)
