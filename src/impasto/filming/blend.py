"""Two keyframes carried to the frame between them, blended without loss of contrast."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from impasto.filming.carrier import Carried
from impasto.filming.motion import box, to_array

_SEAM = 7  # pixels over which one gives way to the other
_DECIDED = 4  # power of the trust: one that is half as good counts hardly
_WINDOW = 9  # pixels a side in which contrast is measured
_MOST_GAIN = 1.6  # of contrast, which two sets of strokes lose where they cross
_FLAT = 1e-5  # variance of what has no strokes


def blend(before: Carried, after: Carried, share: float) -> Tensor:
    """Blend the keyframes before and after a frame, both carried to it.

    What one of them does not show, or only by matched patches, comes from the other. Where their
    strokes differ the mixture would be paler than either; its contrast is brought back.

    Args:
        before: the keyframe before.
        after: the keyframe after.
        share: how far the frame is on the way from one to the other, 0 to 1.

    Returns:
        (3, H, W) in [0, 1].

    Example:
        >>> red = Carried(torch.rand(3, 8, 8), torch.ones(8, 8), torch.ones(8, 8))
        >>> torch.equal(blend(red, red, 0.3), red.pixels)
        True
    """
    # What moved here with its surface counts at once, and all the while, where the other was only
    # matched: a slow change from one to the other would be seen.
    first = (1 - share) * box(before.trust.numpy() ** _DECIDED, _SEAM)
    second = share * box(after.trust.numpy() ** _DECIDED, _SEAM)
    weight = torch.from_numpy(second / (first + second + 1e-6))
    mixed = torch.lerp(before.pixels, after.pixels, weight)
    smooth, variance = _contrast(mixed)
    deviations = [_contrast(each.pixels)[1] ** 0.5 for each in (before, after)]
    contrast = deviations[0] + (deviations[1] - deviations[0]) * weight.numpy()
    gain = np.sqrt((contrast**2 + _FLAT) / (variance + _FLAT)).clip(1, _MOST_GAIN)
    gain = torch.from_numpy(gain) - 1
    return (mixed + gain * (mixed - smooth)).clamp_(0, 1)


def _contrast(image: Tensor) -> tuple[Tensor, np.ndarray]:
    """Return an image (3, H, W) smoothed, and the variance of its light around each pixel."""
    array = to_array(image)
    smooth = torch.from_numpy(box(array, _WINDOW)).permute(2, 0, 1)
    light = array.mean(2)
    mean = box(light, _WINDOW)
    return smooth, np.maximum(box(light * light, _WINDOW) - mean * mean, 0)
