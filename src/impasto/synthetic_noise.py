"""Add synthetic noise to a clean picture, to measure denoisers with."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from impasto.metrics import channels_first


def add_noise(
    picture: Any, *, gaussian: float | None = None, poisson: float | None = None, seed: int = 0
) -> Tensor:
    """Add noise of a known kind to a picture.

    Args:
        picture: (C, H, W) floats, 1 being white, or anything that `open_image` reads.
        gaussian: standard deviation of noise that is the same everywhere, 1 being white (25/255 is
            the literature's σ = 25); the sum is clamped to [0, 1]. Larger is noisier.
        poisson: photons λ that a white pixel counts; the counts over λ are not clamped. Larger is
            cleaner.
        seed: same seed, same noise.

    Returns:
        (C, H, W) float32 on the CPU.

    Raises:
        ValueError: both or neither kind is given, or a number is out of range.

    Example:
        >>> noisy = add_noise(torch.full((3, 64, 64), 0.5), gaussian=0.1)
        >>> round(noisy.std().item(), 2)
        0.1

    References:
        The protocol of Mansour, Heckel 2023, arXiv:2303.11253, section 4.
    """
    if (gaussian is None) == (poisson is None):
        raise ValueError(
            f"`gaussian` or `poisson` must be given, one of them, got {gaussian} and {poisson}; "
            "choose a kind of noise"
        )
    name, value = ("gaussian", gaussian) if poisson is None else ("poisson", poisson)
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"`{name}` must be a number above 0, got {value}; give how much noise")
    clean = torch.from_numpy(channels_first(picture, "picture")).float()
    generator = torch.Generator().manual_seed(seed)
    if poisson is None:
        return (clean + gaussian * torch.randn(clean.shape, generator=generator)).clamp(0, 1)
    return torch.poisson(poisson * clean.clamp(min=0), generator=generator) / poisson
