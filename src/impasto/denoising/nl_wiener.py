"""Denoising without training: patches that look alike, filtered together pass after pass.

References:
    Herbreteau, Kervrann 2022, arXiv:2203.00570, for the first pass; Lebrun, Buades, Morel 2013, A
    nonlocal Bayesian image denoising algorithm, SIAM J. Imaging Sciences 6(3), for the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext

import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.denoising.block_matching import Groups
from impasto.denoising.nl_ridge import ridge_estimate, wiener_estimate
from impasto.denoising.noise import Noise
from impasto.denoising.watch import Watch
from impasto.device import select_device
from impasto.recipes import DenoiseRecipe

# The sum of the colors, and two differences: orthonormal, so white noise stays white.
_OPPONENT = torch.tensor([[1.0, 1, 1], [1, 0, -1], [1, -2, 1]])
_OPPONENT = _OPPONENT / _OPPONENT.norm(dim=1, keepdim=True)


def working_basis(channels: int) -> Tensor:
    """The channels patches are worked on in, (C, C): of three, light and two of color."""
    return _OPPONENT if channels == 3 else torch.eye(channels)


def nl_wiener(
    planes: Tensor, noise: Noise, recipe: DenoiseRecipe, watch: Watch
) -> Callable[[Tensor], Tensor]:
    """What cleans a plane (C, H, W) in [0, 1] with noise of a kind; it needs no fitting."""
    device = select_device(recipe.device)
    if device.type == "mps":  # which factors no matrices
        device = torch.device("cpu")
    noise = noise.to(device)

    def clean(plane: Tensor) -> Tensor:
        # What is made on the way is made there too; on the CPU that is so without being asked.
        with nullcontext() if device.type == "cpu" else device:
            return _passes(plane.to(device), noise, _PASSES[recipe.effort], watch)

    return clean


def _passes(noisy: Tensor, noise: Noise, passes: Sequence[Groups], watch: Watch) -> Tensor:
    """(C, H, W) without its noise: patches combined once, then filtered again and again."""
    basis = working_basis(len(noisy)).to(noisy.device)
    lags = None if noise.lags is None else list(noise.lags)
    work = torch.einsum("ij,jhw->ihw", basis, noisy)
    variance = noise.variance(_blurred(noisy, 1.5), basis)
    # Patches are easier to compare with a little less noise in them.
    found = ridge_estimate(work, _blurred(work[:1], 0.7)[0], variance, passes[0], lags)
    for done in range(1, len(passes) + 1):
        back = torch.einsum("ji,jhw->ihw", basis, found)
        if not watch.goes_on(done, len(passes), back.cpu) or done == len(passes):
            break
        groups = passes[done]
        found = wiener_estimate(work, found, found[0], noise.variance(back, basis), groups, lags)
    return noise.true(back)


# What was measured of other passes: docs/log.md.
_PASSES = {
    "quick": (Groups(9, 18, 25, 8), Groups(5, 60, 25, 5), Groups(4, 45, 25, 4)),
    "balanced": (
        Groups(9, 18, 37, 6),
        Groups(5, 80, 37, 4),
        Groups(5, 60, 37, 4),
        Groups(4, 45, 37, 3),
    ),
    "best": (
        Groups(9, 18, 37, 6),
        Groups(5, 100, 37, 4),
        Groups(5, 80, 37, 4),
        Groups(5, 60, 37, 4),
        Groups(4, 45, 37, 3),
    ),
}


def _blurred(picture: Tensor, sigma: float) -> Tensor:
    """(C, H, W) smoothed by a Gaussian."""
    reach = min(6, *(side - 1 for side in picture.shape[1:]))
    if reach < 1:
        return picture
    kernel = torch.exp(-torch.arange(-reach, reach + 1).square() / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).view(1, 1, -1, 1)
    wide = F.pad(picture[:, None], (reach,) * 4, mode="reflect")
    return F.conv2d(F.conv2d(wide, kernel), kernel.transpose(2, 3))[:, 0]
