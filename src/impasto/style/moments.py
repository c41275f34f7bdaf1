"""The one mechanism of this room: weighted sums of features over positions.

For features f(k) in R^N at positions k and weights w(k) ≥ 0: Σw, Σw·f and Σw·f·fᵀ. Every style
statistic is a function of these three, and they add over tiles, regions and pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import NamedTuple

import torch
from torch import Tensor


class Moments(NamedTuple):
    """Weighted sums over positions; add two to pool tiles, regions or pictures.

    Attributes:
        weight: Σw, shape ().
        first: Σw·f, shape (N,).
        second: Σw·f·fᵀ, shape (N, N).
    """

    weight: Tensor
    first: Tensor
    second: Tensor

    def plus(self, other: Moments) -> Moments:
        """The sums over both."""
        return Moments(*(a + b for a, b in zip(self, other, strict=True)))

    def normalized(self, share: float = 1.0) -> Moments:
        """The sums divided by Σw and scaled to a total weight: means, whatever the size."""
        scale = share / self.weight.clamp_min(torch.finfo(self.weight.dtype).tiny)
        return Moments(self.weight * scale, self.first * scale, self.second * scale)


def moments(features: Tensor, mask: Tensor | None = None) -> Moments:
    """Weighted sums of features over positions, differentiable in the features.

    Args:
        features: (N, H, W), float32 or bfloat16; sums are accumulated in float32 (float64 stays).
        mask: (H, W) in [0, 1], the weight of each position; None weighs all alike.

    Returns:
        The three sums, float32 (or float64), on the features' device.

    Example:
        >>> m = moments(torch.ones(2, 3, 4))
        >>> m.weight.item(), m.first.tolist(), m.second[0, 1].item()
        (12.0, [12.0, 12.0], 12.0)
    """
    rows = features.permute(1, 2, 0).flatten(0, 1)  # (N, H, W) -> (M, N), no copy channels-last
    dtype = torch.promote_types(features.dtype, torch.float32)
    weights = None if mask is None else mask.flatten().to(dtype)  # (H, W) -> (M,)
    first, second = _Sums.apply(rows, weights)
    total = rows.shape[0] if weights is None else weights.sum()
    return Moments(torch.as_tensor(total, dtype=dtype, device=rows.device), first, second)


def pooled(parts: Sequence[Moments]) -> Moments:
    """The moments of several pictures together, each counting alike whatever its size.

    Example:
        >>> small, large = moments(torch.zeros(1, 2, 2)), moments(torch.ones(1, 20, 20))
        >>> pooled([small, large]).first.item()
        0.5
    """
    shares = [part.normalized(1 / len(parts)) for part in parts]
    return reduce(Moments.plus, shares)


class _Sums(torch.autograd.Function):
    """Σw·f and Σw·f·fᵀ with the gradient in closed form: one matrix product instead of two."""

    @staticmethod
    def forward(ctx, rows: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor]:
        wide = rows.to(torch.promote_types(rows.dtype, torch.float32))  # (M, N)
        weighted = wide if weights is None else wide * weights[:, None]
        ctx.save_for_backward(rows, weights)
        return weighted.sum(0), weighted.mT @ wide  # (N,), (N, N)

    @staticmethod
    def backward(ctx, to_first: Tensor, to_second: Tensor) -> tuple[Tensor, None]:
        # d/df of <A, Σw·f·fᵀ> + <a, Σw·f> is w·(f·(A + Aᵀ) + a); in bfloat16 the product still
        # accumulates in float32, and what it is rounded to is what the network's backward takes.
        rows, weights = ctx.saved_tensors
        slope = (to_second + to_second.mT).to(rows.dtype)
        gradient = torch.addmm(to_first.to(rows.dtype), rows, slope)  # (M, N)
        if weights is not None:
            gradient *= weights[:, None]
        return gradient, None
