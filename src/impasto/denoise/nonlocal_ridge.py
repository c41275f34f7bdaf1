"""Denoising without training: patches from those like them, pass after pass."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.denoise.grouping import Groups
from impasto.denoise.noise import Noise
from impasto.denoise.ridge import combined, filtered

# The sum of the colors, and two differences: orthonormal, so white noise stays white.
_OPPONENT = torch.tensor([[1.0, 1, 1], [1, 0, -1], [1, -2, 1]])
_OPPONENT = _OPPONENT / _OPPONENT.norm(dim=1, keepdim=True)


def working_basis(channels: int) -> Tensor:
    """The channels patches are worked on in, (C, C): light and color apart where there are three."""
    return _OPPONENT if channels == 3 else torch.eye(channels)


def nl_ridge(noisy: Tensor, noise: Noise) -> Tensor:
    """(C, H, W) without its noise."""
    basis = working_basis(len(noisy))
    work = torch.einsum("ij,jhw->ihw", basis, noisy)
    variance = noise.variance(_blurred(noisy, 1.5), basis)
    first, more, joint, last = _groups(float(variance.median().sqrt()))
    lags = None if noise.lags is None else list(noise.lags)
    found = combined(work, None, _blurred(work[:1], 0.7)[0], variance, first, lags)
    for way, groups in ((combined, more), (filtered, joint), (combined, more), (filtered, last)):
        back = torch.einsum("ji,jhw->ihw", basis, found)
        variance = noise.variance(back, basis)
        found = way(work, found, found[0], variance, groups, lags)
    return noise.true(torch.einsum("ji,jhw->ihw", basis, found))


def _groups(sigma: float) -> tuple[Groups, Groups, Groups, Groups]:
    """How each pass groups patches, by how much noise there is: more noise, more and larger ones."""
    if sigma < 15 / 255:
        return Groups(7, 18, 37, 6), Groups(7, 55, 37, 6), Groups(4, 45, 37, 3), Groups(4, 45, 37, 3)
    if sigma < 37 / 255:
        return Groups(9, 18, 37, 6), Groups(9, 60, 37, 6), Groups(5, 60, 37, 4), Groups(5, 45, 37, 4)
    return Groups(11, 20, 37, 6), Groups(9, 90, 37, 6), Groups(6, 60, 37, 4), Groups(6, 45, 37, 4)


def _blurred(picture: Tensor, sigma: float) -> Tensor:
    """(C, H, W) smoothed by a Gaussian."""
    reach = min(6, *(side - 1 for side in picture.shape[1:]))
    if reach < 1:
        return picture
    kernel = torch.exp(-torch.arange(-reach, reach + 1).square() / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).view(1, 1, -1, 1)
    wide = F.pad(picture[:, None], (reach,) * 4, mode="reflect")
    return F.conv2d(F.conv2d(wide, kernel), kernel.transpose(2, 3))[:, 0]
