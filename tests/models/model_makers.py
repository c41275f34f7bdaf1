"""Models and pictures small enough for a test."""

import torch

from impasto.models.fit import fit

QUICK = {"size": 64, "steps": 3, "precision": "float32", "device": "cpu"}


def picture(seed, height=48, width=64):
    """A smooth random picture, (3, H, W)."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, height // 8, width // 8, generator=generator)
    return torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")[0].clamp(0, 1)


def fitted(**options):
    """The result of a fit of a few steps on two pictures."""
    return fit([picture(1), picture(2)], picture(3), **{**QUICK, **options})
