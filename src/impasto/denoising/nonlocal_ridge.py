"""Denoising without training: patches from those like them, pass after pass."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.denoising.grouping import Groups
from impasto.denoising.noise import Noise
from impasto.denoising.ridge import combined, filtered
from impasto.denoising.watch import Watch
from impasto.recipe import DenoiseRecipe

# The sum of the colors, and two differences: orthonormal, so white noise stays white.
_OPPONENT = torch.tensor([[1.0, 1, 1], [1, 0, -1], [1, -2, 1]])
_OPPONENT = _OPPONENT / _OPPONENT.norm(dim=1, keepdim=True)


def working_basis(channels: int) -> Tensor:
    """The channels patches are worked on in, (C, C): of three, light and two of color."""
    return _OPPONENT if channels == 3 else torch.eye(channels)


def nl_ridge(
    planes: Tensor, noise: Noise, recipe: DenoiseRecipe, watch: Watch
) -> Callable[[Tensor], Tensor]:
    """What cleans a plane (C, H, W) in [0, 1] with noise of a kind; it needs no fitting."""
    return lambda plane: _passes(plane, noise, watch)


def _passes(noisy: Tensor, noise: Noise, watch: Watch) -> Tensor:
    """(C, H, W) without its noise."""
    basis = working_basis(len(noisy))
    work = torch.einsum("ij,jhw->ihw", basis, noisy)
    variance = noise.variance(_blurred(noisy, 1.5), basis)
    groups = _groups(float(variance.median().sqrt()))
    lags = None if noise.lags is None else list(noise.lags)
    found = combined(work, None, _blurred(work[:1], 0.7)[0], variance, groups[0], lags)
    ways = (combined, filtered, combined, filtered)
    for done, (way, group) in enumerate(zip(ways, groups[1:], strict=True), 1):
        back = torch.einsum("ji,jhw->ihw", basis, found)
        if not watch.goes_on(done, len(groups), back.cpu):
            break
        variance = noise.variance(back, basis)
        found = way(work, found, found[0], variance, group, lags)
    return noise.true(torch.einsum("ji,jhw->ihw", basis, found))


def _groups(sigma: float) -> tuple[Groups, ...]:
    """How each pass groups patches: more noise, more and larger ones."""
    if sigma < 15 / 255:
        first, more, joint, last = (7, 18, 37, 6), (7, 55, 37, 6), (4, 45, 37, 3), (4, 45, 37, 3)
    elif sigma < 37 / 255:
        first, more, joint, last = (9, 18, 37, 6), (9, 60, 37, 6), (5, 60, 37, 4), (5, 45, 37, 4)
    else:
        first, more, joint, last = (11, 20, 37, 6), (9, 90, 37, 6), (6, 60, 37, 4), (6, 45, 37, 4)
    return tuple(Groups(*one) for one in (first, more, joint, more, last))


def _blurred(picture: Tensor, sigma: float) -> Tensor:
    """(C, H, W) smoothed by a Gaussian."""
    reach = min(6, *(side - 1 for side in picture.shape[1:]))
    if reach < 1:
        return picture
    kernel = torch.exp(-torch.arange(-reach, reach + 1).square() / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).view(1, 1, -1, 1)
    wide = F.pad(picture[:, None], (reach,) * 4, mode="reflect")
    return F.conv2d(F.conv2d(wide, kernel), kernel.transpose(2, 3))[:, 0]
