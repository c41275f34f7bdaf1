"""The pyramid: which sizes a picture is painted at, and how the steps are shared among them."""

from __future__ import annotations

import math

_COARSEST = 128  # longer side, in pixels, that the automatic pyramid starts near
_LEAST = 48  # no scale but the last has a shorter side below this
_FALL = 0.6  # each finer scale gets this share of the coarser one's steps
_MOST = 0.3  # of all steps, at one of many scales: by then a coarse picture changes no more


def sizes(size: tuple[int, int], scales: int = 0) -> list[tuple[int, int]]:
    """The sizes a picture is painted at, coarse to fine, each twice the last.

    Args:
        size: (width, height) of the finished picture, in pixels.
        scales: how many sizes; 0 takes as many as lead down to about 128 pixels. Scales whose
            shorter side would be under 48 pixels are left out.

    Returns:
        (width, height) of each scale; the last is `size`.

    Example:
        >>> sizes((512, 384))
        [(128, 96), (256, 192), (512, 384)]
        >>> sizes((512, 384), scales=1)
        [(512, 384)]
    """
    ladder = [size]
    factor = 2
    while len(ladder) != scales:
        smaller = (round(size[0] / factor), round(size[1] / factor))
        # In whole octaves the coarsest scale lands between 91 and 181 pixels: 128 at the middle.
        if min(smaller) < _LEAST or (not scales and max(smaller) < _COARSEST / 2**0.5):
            break
        ladder.append(smaller)
        factor *= 2
    return ladder[::-1]


def shares(steps: int, scales: int) -> list[int]:
    """Split the steps over the scales, coarse to fine: a coarse step costs a quarter of the next.

    Args:
        steps: evaluations in the whole run.
        scales: number of scales.

    Returns:
        Evaluations at each scale; they add up to `steps`. With fewer steps than scales the finest
        scales get them.

    Example:
        >>> shares(300, 3)
        [100, 100, 100]
    """
    weights = [_FALL**k for k in range(scales)]
    parts = [max(1, round(steps * w / sum(weights))) for w in weights]
    for k in range(scales):  # rounding and the minimum of one: the coarsest pays or gains
        parts[k] = max(0, parts[k] + steps - sum(parts))
    most = math.ceil(max(_MOST, 1 / scales) * steps)
    for k in range(scales - 1):
        spare = max(0, parts[k] - most)
        parts[k] -= spare
        parts[k + 1] += spare
    return parts
