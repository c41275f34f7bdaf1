"""ZS-N2N's network: three convolutions that predict the noise in a picture.

References:
    Mansour, Heckel 2023, arXiv:2303.11253, section 3.2.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor
from torch.nn import functional as F

WIDTH = 48  # channels between the convolutions
SLOPE = 0.2  # of the leaky ReLU below zero
REACH = 2  # pixels that an output value sees in each direction

Parameters = list[Tensor]


def initial_parameters(channels: int, seed: int) -> Parameters:
    """Weights and biases before training, uniform in ±1/√fan-in as torch draws them.

    Args:
        channels: of the picture.
        seed: same seed, same network.

    Returns:
        Weight and bias of 3 × 3 channels → 48, 3 × 3 48 → 48 and 1 × 1 48 → channels: 22,275
        numbers for three channels.

    Example:
        >>> sum(one.numel() for one in initial_parameters(3, seed=0))
        22275
    """
    generator = torch.Generator("cpu").manual_seed(seed)
    found = []
    for into, out, side in ((channels, WIDTH, 3), (WIDTH, WIDTH, 3), (WIDTH, channels, 1)):
        bound = 1 / math.sqrt(into * side * side)
        for shape in ((out, into, side, side), (out,)):
            drawn = torch.rand(shape, generator=generator, device="cpu")  # the same on any device
            found.append((2 * drawn - 1) * bound)
    return found


def predicted_noise(parameters: Parameters, y: Tensor, padding: int = 1) -> Tensor:
    """What the network takes for noise in a picture.

    Args:
        parameters: the network's.
        y: (B, C, H, W).
        padding: zeros around what each 3 × 3 convolution sees; 0 gives the inner part alone.

    Returns:
        (B, C, H, W), or (B, C, H - 4, W - 4) without padding.
    """
    first, first_bias, second, second_bias, last, last_bias = parameters
    y = F.leaky_relu(F.conv2d(y, first, first_bias, padding=padding), SLOPE, inplace=True)
    y = F.leaky_relu(F.conv2d(y, second, second_bias, padding=padding), SLOPE, inplace=True)
    return F.conv2d(y, last, last_bias)


def denoised(parameters: Parameters, y: Tensor) -> Tensor:
    """A picture without its noise: (B, C, H, W) -> (B, C, H, W)."""
    return y - predicted_noise(parameters, y)


def rotated(parameters: Parameters) -> list[Parameters]:
    """The eight networks that see a picture as this one sees it flipped and turned.

    Example:
        >>> len(rotated(initial_parameters(3, seed=0)))
        8
    """

    def seen(one: Tensor, swapped: bool, flips: tuple[int, ...]) -> Tensor:
        if one.ndim == 1:  # a bias has no direction
            return one
        return (one.transpose(-1, -2) if swapped else one).flip(flips).contiguous()

    ways = itertools.product((False, True), ((), (-1,), (-2,), (-2, -1)))
    return [[seen(one, *way) for one in parameters] for way in ways]
