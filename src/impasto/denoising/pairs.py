"""The pair downsampler: two half-size views of a picture with independent noise.

References:
    Mansour, Heckel 2023, Zero-Shot Noise2Noise: efficient image denoising without any data;
    arXiv:2303.11253, section 3.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def pair_downsampled(x: Tensor) -> tuple[Tensor, Tensor]:
    """Both diagonals of each 2 × 2 cell, averaged.

    The kernels are [[0, ½], [½, 0]] and [[½, 0], [0, ½]], two pixels apart. Where a side is odd,
    the last cell reaches back over the pixel before it, so that no pixel is left out and the two
    views still share none within a cell.

    Args:
        x: (B, C, H, W) with at least two pixels.

    Returns:
        Two of (B, C, ⌈H / 2⌉, ⌈W / 2⌉); their means are equal for even sides, the picture's own.

    Example:
        >>> import torch
        >>> first, second = pair_downsampled(torch.tensor([[[[1.0, 2.0], [4.0, 8.0]]]]))
        >>> first.item(), second.item()
        (3.0, 4.5)
    """
    height, width = x.shape[-2:]
    if height == 1 or width == 1:  # a single line has pairs of neighbors, no diagonals
        line = x if height == 1 else x.transpose(-1, -2)
        line = F.pad(line, (0, line.shape[-1] % 2, 0, 0), mode="reflect")
        pair = line[..., 1::2], line[..., 0::2]
        return pair if height == 1 else (pair[0].transpose(-1, -2), pair[1].transpose(-1, -2))
    if height % 2 or width % 2:
        x = F.pad(x, (0, width % 2, 0, height % 2), mode="reflect")
    above, below = x[..., 0::2, :], x[..., 1::2, :]
    first = (above[..., 1::2] + below[..., 0::2]) / 2
    second = (above[..., 0::2] + below[..., 1::2]) / 2
    return first, second
