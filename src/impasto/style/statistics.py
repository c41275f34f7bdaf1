"""Moments: weighted sums of features over positions.

For features f(k) in R^N at positions k and weights w(k) ≥ 0: Σw, Σw·f and Σw·f·fᵀ. Every style
statistic is a function of these three, and they add over tiles, regions and images.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import NamedTuple

import torch
from torch import Tensor

from impasto.compiled import one_thread, run_strips

_STRIP, _STRIP_VALUES = 2**14, 2**19  # positions and features whose products are formed at once
_MAX_SUMS = 16  # that wait to be added up


class Moments(NamedTuple):
    """Weighted sums over positions; add two to pool tiles, regions or images.

    Attributes:
        weight: Σw, shape ().
        first: Σw·f, shape (N,).
        second: Σw·f·fᵀ, shape (N, N).
    """

    weight: Tensor
    first: Tensor
    second: Tensor

    def plus(self, other: Moments) -> Moments:
        """Return the sums over both."""
        return Moments(*(a + b for a, b in zip(self, other, strict=True)))

    def normalized(self, share: float = 1.0) -> Moments:
        """Return the sums divided by Σw and scaled to a total weight: means, whatever the size."""
        scale = share / self.weight.clamp_min(torch.finfo(self.weight.dtype).tiny)
        return Moments(self.weight * scale, self.first * scale, self.second * scale)

    def to(self, dtype: torch.dtype) -> Moments:
        """Return the sums in another number format."""
        return Moments(*(part.to(dtype) for part in self))


def moments(features: Tensor, mask: Tensor | None = None) -> Moments:
    """Compute weighted sums of features over positions, differentiable in the features.

    Args:
        features: (N, H, W), float32 or bfloat16; products are formed in float32 (float64 stays),
            a strip at a time, and the strips are added in float64: a sum over a hundred
            million positions is as exact as one over a hundred.
        mask: (H, W) in [0, 1], the weight of each position; None weighs all alike.

    Returns:
        The three sums, float64, on the features' device.

    Example:
        >>> m = moments(torch.ones(2, 3, 4))
        >>> m.weight.item(), m.first.tolist(), m.second[0, 1].item()
        (12.0, [12.0, 12.0], 12.0)
    """
    rows = features.permute(1, 2, 0)  # (N, H, W) -> (H, W, N), no copy channels-last
    dtype = torch.promote_types(features.dtype, torch.float32)
    wide = accumulation_dtype(features.device)
    high = max(1, min(_STRIP, _STRIP_VALUES // rows.shape[2]) // rows.shape[1])
    tops = range(0, rows.shape[0], high)

    def add_strips(tops: Sequence[int]) -> tuple[Tensor, Tensor]:
        first = torch.zeros(rows.shape[2], dtype=wide, device=rows.device)
        second = torch.zeros(rows.shape[2], rows.shape[2], dtype=wide, device=rows.device)
        for top in tops:
            strip = rows[top : top + high].to(dtype).flatten(0, 1)  # (h, W, N) -> (M, N)
            weighted = strip
            if mask is not None:
                weighted = strip * mask[top : top + high].to(dtype).reshape(-1, 1)
            first = first + weighted.sum(0)
            second = second + weighted.mT @ strip
        return first, second

    several = -(-len(tops) // _MAX_SUMS)
    groups = [tops[at : at + several] for at in range(0, len(tops), several)]
    first, second = (sum(parts) for parts in zip(*run_strips(add_strips, groups), strict=True))
    weight = rows.shape[0] * rows.shape[1] if mask is None else mask.sum(dtype=wide)
    return Moments(torch.as_tensor(weight, dtype=wide, device=rows.device), first, second)


def backward_moments(
    features: Tensor, mask: Tensor | None, slopes: tuple[Tensor, Tensor], gradient: Tensor
) -> None:
    """Carry a gradient in the moments on to the features they were formed of, in closed form.

    Args:
        features: (N, H, W), as `moments` had them.
        mask: (H, W), as `moments` had it.
        slopes: the gradient in Σw·f, (N,), and in Σw·f·fᵀ, (N, N).
        gradient: (N, H, W), added to in place: w·((A + Aᵀ)·f + a).
    """
    to_first, to_second = slopes
    slope = (to_second + to_second.mT).to(features.dtype)
    rows = features.permute(1, 2, 0)  # (N, H, W) -> (H, W, N)
    into = gradient.permute(1, 2, 0)
    # In bfloat16 the product still accumulates in float32, and what it is rounded to is what the
    # network's backward pass takes.
    if mask is None and into.is_contiguous():
        flat = into.view(-1, into.shape[2])
        length = max(1, _STRIP_VALUES // flat.shape[1])
        strips = (part.split(length) for part in (flat, rows.reshape(-1, rows.shape[2])))
        run_strips(lambda strip: strip[0].addmm_(strip[1], slope), list(zip(*strips, strict=True)))
        if to_first.any():
            flat += to_first.to(flat.dtype)
        return
    with one_thread():
        added = torch.addmm(to_first.to(slope.dtype), rows.reshape(-1, rows.shape[2]), slope)
    added = added.view(into.shape)
    into += added if mask is None else added.mul_(mask[..., None])


def weighted_average(parts: Sequence[Moments], shares: Sequence[float] | None = None) -> Moments:
    """Average the moments of several images, whatever their sizes.

    Args:
        parts: the moments of each.
        shares: what each counts, adding up to 1; None counts all alike.

    Example:
        >>> small, large = moments(torch.zeros(1, 2, 2)), moments(torch.ones(1, 20, 20))
        >>> weighted_average([small, large]).first.item()
        0.5
    """
    shares = [1 / len(parts)] * len(parts) if shares is None else shares
    scaled = [part.normalized(share) for part, share in zip(parts, shares, strict=True)]
    return reduce(Moments.plus, scaled)


def accumulation_dtype(device: torch.device) -> torch.dtype:
    """Return the widest number format of a device."""
    return torch.float32 if device.type == "mps" else torch.float64
