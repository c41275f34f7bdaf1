"""The channels that patches are filtered in: those that show the same, with independent noise."""

from __future__ import annotations

import torch
from torch import Tensor

from impasto.denoising.filters import gaussian_blur
from impasto.denoising.noise import Noise

# The sum of the colors, and two differences: orthonormal, so white noise stays white.
_OPPONENT = torch.tensor([[1.0, 1, 1], [1, 0, -1], [1, -2, 1]])
_OPPONENT = _OPPONENT / _OPPONENT.norm(dim=1, keepdim=True)
_MAX_UNLIKE_CORRELATION = 0.15  # difference of correlations between channels that count as alike
# Correlation of channels that show the same things; of colors, two that do are enough.
_MIN_LIKENESS, _MIN_COLOR_LIKENESS = 0.5, 0.1
_MIN_SIGMA, _MIN_POWER = 0.01, 1e-3  # of the largest channel's, and of the largest direction's


def working_basis(channels: int) -> Tensor:
    """Return the channels that patches are filtered in, (C, C): of three, light and two of color.

    Example:
        >>> working_basis(2).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    return _OPPONENT if channels == 3 else torch.eye(channels)


def members_in(noisy: Tensor, noise: Noise) -> tuple[int | None, ...]:
    """Return the noise's members if channels that were the same are so in this plane too."""
    members = noise.members or tuple(range(len(noisy)))
    pairs = ((c, first) for c, first in enumerate(members) if first is not None)
    if all(torch.equal(noisy[c], noisy[first]) for c, first in pairs):
        return members
    return tuple(None if first is None else c for c, first in enumerate(members))


def channel_groups(noisy: Tensor, members: tuple[int | None, ...], noise: Noise) -> list[list[int]]:
    """Return the channels that are filtered together: those that show the same things."""
    different = [c for c, first in enumerate(members) if c == first]
    colors = len(different) == len(noisy) == 3
    if noise.autocorrelation is not None and (noise.separate or not colors):
        return [[channel] for channel in different]
    image = noisy if len(different) == len(noisy) else noisy[different]
    smooth = gaussian_blur(image, 1.5).flatten(1)
    smooth.sub_(smooth.mean(1, keepdim=True))
    products = smooth @ smooth.T
    norms = products.diagonal().sqrt().clamp(min=1e-12)
    alike = (products / norms / norms[:, None]).abs().tolist()
    if colors and max(alike[0][1], alike[0][2], alike[1][2]) > _MIN_COLOR_LIKENESS:
        return [different]
    groups: list[list[int]] = []
    for at, channel in enumerate(different):
        near = [g for g in groups if any(alike[at][different.index(c)] > _MIN_LIKENESS for c in g)]
        groups = [g for g in groups if g not in near]
        groups.append([*(c for g in near for c in g), channel])
    return [sorted(group) for group in groups]


def noise_basis(noisy: Tensor, noise: Noise) -> Tensor:
    """Return working channels (C, C) in which white noise is independent and nearly alike.

    The first is the best estimate of light that all channels share. For channels of like noise
    this is `working_basis`.
    """
    channels = len(noisy)
    basis = working_basis(channels).to(noisy)
    if channels != 3 and noise.autocorrelation is None:
        basis = torch.cat([basis.sum(0)[None], basis[1:]])
        basis = torch.linalg.qr(basis.T).Q.T
    correlation = noise.channel_correlation
    others = correlation[~torch.eye(len(noisy), dtype=torch.bool, device=noisy.device)]
    alike = not len(others) or float(others.max() - others.min()) < _MAX_UNLIKE_CORRELATION
    if noise.autocorrelation is not None or (alike and not noise.separate):
        return basis
    sigma = noise.typical_sigma(noisy) if noise.separate else noisy.new_ones(channels)
    sigma = sigma.clamp(min=_MIN_SIGMA * float(sigma.max()))
    sigma = sigma / sigma.log().mean().exp()
    values, vectors = torch.linalg.eigh(correlation * sigma * sigma[:, None])
    values = values.clamp(min=_MIN_POWER * float(values.max()))
    whitening = vectors @ (vectors / values.sqrt()).T
    # The first row gives light its best ratio to noise, the others follow the colors'.
    rows = torch.cat([whitening.sum(1)[None], basis[1:]])
    orthonormal = torch.linalg.qr(rows.T).Q.T
    signs = (orthonormal * rows).sum(1).sign()
    return signs[:, None] * orthonormal @ whitening


def noise_skew(noise: Noise, basis: Tensor) -> Tensor | None:
    """Return the most that the noise's third cumulant over its variance can be in a basis: (C)."""
    if noise.lines is None:
        return None
    return (basis.abs() * noise.lines[:, 0].clamp(min=0)).amax(1)
