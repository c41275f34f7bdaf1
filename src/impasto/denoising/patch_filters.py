"""The filters of `nl_wiener`: each patch out of those like it, by loops or by tensor operations.

References:
    Herbreteau, Kervrann 2022, arXiv:2203.00570 (NL-Ridge); Lebrun, Buades, Morel 2013, A nonlocal
    Bayesian image denoising algorithm, SIAM J. Imaging Sciences 6(3) (NL-Bayes).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.denoising.block_matching import Cut, Groups, Neighbor, patch_size
from impasto.denoising.filters import gaussian_blur
from impasto.denoising.nl_wiener_compiled import compiled_loops, fused_sums, ridge_sums, wiener_sums
from impasto.denoising.nl_wiener_tensors import (
    tensor_fused_sums,
    tensor_ridge_sums,
    tensor_wiener_sums,
)


def first_guide(image: Tensor) -> Tensor:
    """Return what patches are compared on in the first pass: with a little less noise in them."""
    return gaussian_blur(image[:1], 0.7)[0]


def ridge_estimate(
    noisy: Tensor,
    guide: Tensor,
    variance: Tensor,
    groups: Groups,
    autocorrelation: Tensor | None = None,
    on_part: Callable[[float], None] = lambda share: None,
    cut: Cut | None = None,
    neighbors: Sequence[Neighbor] = (),
) -> Tensor:
    """Estimate each patch as a weighted sum of the patches like it (NL-Ridge).

    The weights of a patch sum to one and are those of least risk by Stein's unbiased estimate, so
    that nothing but the noisy image is needed.

    Args:
        noisy: (C, H, W), in channels whose noise is independent.
        guide: (H, W) that patches are compared on.
        variance: of the noise, (C, H, W).
        groups: how patches are grouped.
        autocorrelation: of each channel's noise with its neighbors, (C, 2m + 1, 2m + 1) with 1 in
            the center; None for white noise.
        on_part: called with the share that is done, up to 1; may raise to end the work.
        cut: where the image lies in another one that it was cut from; None for nowhere. What is not
            in its area is anything.
        neighbors: planes whose patches help.

    Returns:
        (C, H, W).

    Example:
        >>> clean = torch.linspace(0, 1, 32).expand(1, 32, 32)
        >>> noisy = clean + 0.1 * torch.randn(clean.shape, generator=torch.manual_seed(0))
        >>> groups, variance = Groups(5, 9, 15, 3), torch.full_like(noisy, 0.01)
        >>> estimate = ridge_estimate(noisy, noisy[0], variance, groups)
        >>> bool((estimate - clean).square().mean() < 0.3 * (noisy - clean).square().mean())
        True
    """
    loops = compiled_loops(noisy)
    sums, weights = (
        ridge_sums(loops, noisy, guide, variance, groups, autocorrelation, on_part, cut, neighbors)
        if loops
        else tensor_ridge_sums(
            noisy, guide, variance, groups, autocorrelation, on_part, cut, neighbors
        )
    )
    return _mean(sums, weights, patch_size(tuple(guide.shape), groups), cut)


def wiener_estimate(
    noisy: Tensor,
    pilot: Tensor,
    guide: Tensor,
    variance: Tensor,
    groups: Groups,
    autocorrelation: Tensor | None = None,
    on_part: Callable[[float], None] = lambda share: None,
    cut: Cut | None = None,
) -> Tensor:
    """Filter each patch by the mean and covariance of the patches like it (NL-Bayes).

    Args:
        noisy: as for `ridge_estimate`; the channels are filtered together.
        pilot: an earlier estimate of the same shape.
        guide: as for `ridge_estimate`.
        variance: as for `ridge_estimate`.
        groups: how patches are grouped.
        autocorrelation: as for `ridge_estimate`.
        on_part: as for `ridge_estimate`.
        cut: as for `ridge_estimate`.

    Returns:
        (C, H, W).
    """
    patch = patch_size(tuple(guide.shape), groups)
    correlation = None
    if autocorrelation is not None:
        correlation = _correlation_within_patch(patch, autocorrelation)
    loops = compiled_loops(noisy)
    images = pilot, guide, variance
    sums, weights = (
        wiener_sums(loops, noisy, *images, groups, correlation, on_part, cut)
        if loops
        else tensor_wiener_sums(noisy, *images, groups, correlation, on_part, cut)
    )
    return _mean(sums, weights, patch, cut)


def fuse_neighbors(
    noisy: Tensor,
    pilot: Tensor,
    guide: Tensor,
    variance: Tensor,
    groups: Groups,
    neighbors: Sequence[Neighbor],
    on_part: Callable[[float], None] = lambda share: None,
) -> tuple[Tensor, Tensor]:
    """Fuse each patch of a plane with those like it in its neighbors.

    A fused patch is the weighted mean of least expected squared error: the pilots tell by how much
    the patches differ, together and not one by one, so that two to both sides of a shift by half a
    pixel count fully.

    Args:
        noisy: (C, H, W), in channels whose noise is independent.
        pilot: an earlier estimate of the same shape.
        guide: (H, W) that patches are compared on.
        variance: of the noise, (C, H, W).
        groups: how patches are grouped; `similar` are taken of each neighbor.
        neighbors: with their pilots.
        on_part: as for `ridge_estimate`.

    Returns:
        The plane with less noise, (C, H, W), and the share of the variance that is left, (1, H, W).
    """
    loops = compiled_loops(noisy)
    planes = noisy, pilot, guide, variance
    sums, weights, counts = (
        fused_sums(loops, *planes, groups, on_part, neighbors)
        if loops
        else tensor_fused_sums(*planes, groups, on_part, neighbors)
    )
    patch = patch_size(tuple(guide.shape), groups)
    total = _spread(weights[0], patch)
    return sums.div_(total), _spread(counts[0], patch).div_(total)[None]


def _mean(sums: Tensor, weights: Tensor, patch: tuple[int, int], cut: Cut | None) -> Tensor:
    """Return the weighted mean of patches; nothing where none lies, around the area of a cut.

    It is made in the place of both.
    """
    for plane in weights:  # one after the other, for the sake of memory
        plane.copy_(_spread(plane, patch))
    if cut is not None:  # so that no later table is asked about what is no number
        weights.masked_fill_(~(weights > 0), 1.0)
    return sums.div_(weights)


def _spread(weights: Tensor, patch: tuple[int, int]) -> Tensor:
    """Return the weights of each pixel's patches, whose first pixels have them: (H, W)."""
    for axis, side in enumerate(patch):
        total = weights.clone()
        for offset in range(1, side):
            length = weights.shape[axis] - offset
            total.narrow(axis, offset, length).add_(weights.narrow(axis, 0, length))
        weights = total
    return weights


def _correlation_within_patch(patch: tuple[int, int], autocorrelation: Tensor) -> Tensor:
    """Return the noise's correlation between a patch's pixels, channels apart: (C·n, C·n)."""
    height, width = patch
    device = autocorrelation.device
    rows, columns = (torch.arange(side, device=device) for side in patch)
    pixels = torch.cartesian_prod(rows, columns).view(-1, 2)
    dy, dx = (pixels[:, None] - pixels).unbind(2)
    matrices = []
    for table in autocorrelation:
        center = len(table) // 2
        padded = F.pad(table, (width, width, height, height))
        matrices.append(padded[dy + center + height, dx + center + width])
    return torch.block_diag(*matrices)
