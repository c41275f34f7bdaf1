"""Fitting ZS-N2N's network to one noisy picture, as published and faster.

References:
    Mansour, Heckel 2023, arXiv:2303.11253.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.denoise.network import Parameters, cleaned
from impasto.denoise.pairs import pair_downsampled


def pair_loss(parameters: Parameters, y: Tensor) -> Tensor:
    """Residual and consistency loss of a noisy picture, equations (3) and (4).

    Args:
        parameters: the network's.
        y: (B, C, H, W).

    Returns:
        The sum of both, a single number.
    """
    first, second = pair_downsampled(y)
    clean_first, clean_second = cleaned(parameters, torch.cat([first, second])).chunk(2)
    down_first, down_second = pair_downsampled(cleaned(parameters, y))
    residual = F.mse_loss(clean_first, second) + F.mse_loss(clean_second, first)
    consistency = F.mse_loss(clean_first, down_first) + F.mse_loss(clean_second, down_second)
    return (residual + consistency) / 2
