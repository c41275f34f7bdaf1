"""Fitting ZS-N2N's network to one noisy picture, as published and faster.

References:
    Mansour, Heckel 2023, arXiv:2303.11253.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.denoising.network import Parameters, cleaned
from impasto.denoising.noise import Noise
from impasto.denoising.pairs import pair_downsampled
from impasto.denoising.watch import Watch
from impasto.recipe import DenoiseRecipe


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


def zs_n2n(
    planes: Tensor, noise: Noise, recipe: DenoiseRecipe, watch: Watch
) -> Callable[[Tensor], Tensor]:
    """Train on planes (P, C, H, W) in [0, 1] as published; gives what cleans one (C, H, W)."""
    raise NotImplementedError


def zs_n2n_fast(
    planes: Tensor, noise: Noise, recipe: DenoiseRecipe, watch: Watch
) -> Callable[[Tensor], Tensor]:
    """The same from crops, in a time that does not depend on the planes' size."""
    raise NotImplementedError
