"""Painted frames averaged along the motion, so that what was painted anew does not flicker.

A frame is mixed with the mixture of those before it, carried here, and then with the next one:
a frame is finished when the next one is painted. What the engines go on from is not mixed.
"""

from __future__ import annotations

import torch
from torch import Tensor

from impasto.filming.motion import Flow, carry_pixels

_PAST = 0.7  # share of the frames before, where the motion is believed
_NEXT = 0.25  # of the next one
_GIVES_WAY = 4  # no frame is mixed where a quarter of its style gives way to another


def share_to_mix(change: float) -> float:
    """Return how far a frame is mixed with the last one, 0 to 1.

    Args:
        change: how much of the styles of the last one gives way at this one.
    """
    return max(0.0, 1 - _GIVES_WAY * change)


def mix_with_past(
    painted: Tensor, before: Tensor, mixed: Tensor, flow: Flow, share: float = 1.0
) -> Tensor:
    """Mix a painted frame with those before it.

    Where the painting has not changed the mixture does not, either: what stands still stays.

    Args:
        painted: the frame, (3, H, W) in [0, 1].
        before: the last one, as it was painted.
        mixed: the last one, mixed with those before it.
        flow: where each pixel was in the last frame.
        share: how much of this is done, 0 to 1.

    Example:
        >>> import numpy as np
        >>> still = Flow(np.zeros((4, 4, 2), np.float32), np.ones((4, 4), np.float32))
        >>> one, two = torch.ones(3, 4, 4), torch.zeros(3, 4, 4)
        >>> round(float(mix_with_past(one, two, two, still)[0, 0, 0]), 2)
        0.3
        >>> float(mix_with_past(one, one, two, still)[0, 0, 0])  # the painting has not changed
        0.0
    """
    weight = _PAST * share * torch.from_numpy(flow.trust)
    steady = torch.lerp(painted, carry_pixels(mixed, flow), weight)
    return torch.where(_is_same(painted, before), mixed, steady)


def mix_with_next(
    mixed: Tensor, painted: Tensor, after: Tensor, flow: Flow, share: float = 1.0
) -> Tensor:
    """Mix a frame that is mixed with those before it with the next one, too.

    Args:
        mixed: the frame, as `mix_with_past` gives it, (3, H, W) in [0, 1].
        painted: the frame, as it was painted.
        after: the next one, as it was painted.
        flow: where each pixel of the frame is in the next one.
        share: how much of this is done, 0 to 1.
    """
    weight = _NEXT * share * torch.from_numpy(flow.trust)
    weight = weight * ~_is_same(painted, after)
    return torch.lerp(mixed, carry_pixels(after, flow), weight)


def _is_same(painted: Tensor, other: Tensor) -> Tensor:
    """Return where two frames are painted the same, (H, W)."""
    return (painted == other).all(0)
