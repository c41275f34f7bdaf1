"""Loss formulas: the distance of features, or of their statistics, from a target.

A style loss compares two `Moments` and never sees positions: it cannot tell where anything is.
Each function is one formula; the recipe's `style_loss` and `content_loss` choose.
"""

from __future__ import annotations

import torch
from torch import Tensor

from impasto.compiled import one_thread
from impasto.style.statistics import Moments, accumulation_dtype

_NOISE = 1e-6  # share of the largest eigenvalue that float32 features leave uncertain
_EMPTY = 1e-7  # the same of a target, below which a direction has nothing in it
_TINY = 1e-12  # keeps a division by the norm of an all-zero target finite


def gram(m: Moments) -> Tensor:
    """Return the Gram matrix per position, Σw·f·fᵀ / Σw, shape (N, N).

    Its entries do not grow with the image, so images of two sizes can be compared. The paper's
    un-normalized G is this times the number of positions.

    Example:
        >>> from impasto.style.statistics import moments
        >>> gram(moments(torch.ones(2, 5, 5))).round(decimals=6).tolist()
        [[1.0, 1.0], [1.0, 1.0]]

    References:
        Gatys, Ecker, Bethge 2016, equation (3).
    """
    return m.second / (m.weight + _TINY)  # no weight at all: nothing to match


def mean(m: Moments) -> Tensor:
    """Return the mean feature, Σw·f / Σw, shape (N,)."""
    return m.first / (m.weight + _TINY)


def covariance(m: Moments) -> Tensor:
    """Return the covariance of the channels over positions, shape (N, N)."""
    mu = mean(m)
    return gram(m) - torch.outer(mu, mu)


def deviation(m: Moments) -> Tensor:
    """Return the standard deviation of each channel over positions, shape (N,)."""
    variance = gram(m).diagonal() - mean(m).square()
    # The root has no slope at 0, where a channel never fires: floored by the channel's scale.
    return (variance.clamp(min=0) + 1e-6 * gram(m).diagonal() + _TINY).sqrt()


def content_loss_and_gradient(
    features: Tensor, target: Tensor, mask: Tensor | None, factor: float, gradient: Tensor
) -> float:
    """Return a content loss, factor · Σ w (F − P)², and add its gradient. It adds over tiles.

    Args:
        features: (N, H, W).
        target: (N, H, W), the content image's features.
        mask: (H, W), the weight of each position; None weighs all alike.
        factor: what makes the sum the loss that is meant, as the functions below give it.
        gradient: (N, H, W), to which 2 · factor · w (F − P) is added in place.

    Returns:
        The loss, at least 0.
    """
    difference = _to_float32(features) - _to_float32(target)
    weighted = difference if mask is None else difference * mask
    gradient.add_(weighted, alpha=2 * factor)
    with one_thread():
        total = (weighted * difference).sum(dtype=accumulation_dtype(features.device))
    return factor * total.item()


def content_mse(target: Tensor, mask: Tensor | None = None) -> float:
    """Return the factor that makes Σ w (F − P)² the mean squared error, as in the notebook."""
    positions = target.shape[1] * target.shape[2] if mask is None else mask.sum().item()
    return 1 / (target.shape[0] * positions + _TINY)


def content_half_sum(target: Tensor, mask: Tensor | None = None) -> float:
    """Return the factor of the content loss ½ Σ (F − P)² (Gatys et al. 2016, equation 1)."""
    return 0.5


def content_relative(target: Tensor, mask: Tensor | None = None) -> float:
    """Return the factor of Σ (F − P)² / Σ P²: the share of the target's energy missed.

    Dividing by the target's own norm makes one weight mean the same for every image, layer and
    size; 1 is the loss of features that are all zero.
    """
    energy = 0.0
    for y in range(target.shape[1]):  # by rows: a copy of all features is too much
        row = _to_float32(target[:, y]).square()  # (N, W)
        energy += (row if mask is None else row * mask[y]).sum().item()
    return 1 / (energy + _TINY)


def gram_paper(m: Moments, target: Moments) -> Tensor:
    """1/(4 N² M²) Σ (G − A)² with un-normalized G, the paper's equation (4).

    M, the number of positions, cancels once both matrices are taken per position, so the style
    image may have any size.
    """
    return (gram(m) - gram(target)).square().sum() / (4 * m.first.numel() ** 2)


def gram_notebook(m: Moments, target: Moments) -> Tensor:
    """Mean squared error of Gram matrices divided by C·H·W, the notebook's style loss."""
    return ((gram(m) - gram(target)) / m.first.numel()).square().mean()


def gram_relative(m: Moments, target: Moments) -> Tensor:
    """‖G − A‖² / ‖A‖²: the share of the target Gram matrix that is missed."""
    return _relative(gram(m), gram(target))


def mean_std_relative(m: Moments, target: Moments) -> Tensor:
    """Means and standard deviations of the channels, each relative to its target's norm."""
    means = _relative(mean(m), mean(target))
    return means + _relative(deviation(m), deviation(target))


def wasserstein(m: Moments, target: Moments, root: Tensor | None = None) -> Tensor:
    """Return the squared Wasserstein-2 distance between the two feature Gaussians.

    ‖μ − ν‖² + tr(Σ + T − 2 (T^½ Σ T^½)^½), zero only where means and covariances agree.

    Args:
        m: the image's moments.
        target: the style's.
        root: `covariance_root(target)`, if it is already known; half the work or less.

    Returns:
        A scalar of at least 0.

    References:
        Dowson, Landau 1982; as a style loss: Vacher et al. 2020 (arXiv:2008.02033).
    """
    sigma, tau = covariance(m), covariance(target)
    root = covariance_root(target) if root is None else root
    bias = (mean(m) - mean(target)).square().sum()
    return bias + (sigma.trace() + tau.trace() - 2 * _TraceSqrt.apply(sigma, root)).clamp(min=0)


def wasserstein_relative(m: Moments, target: Moments, root: Tensor | None = None) -> Tensor:
    """`wasserstein` divided by the target's mean squared feature: 1 for features all zero."""
    return wasserstein(m, target, root) / (gram(target).trace() + _TINY)


def covariance_root(m: Moments) -> Tensor:
    """Return a root R of the covariance, R·Rᵀ = T, shape (N, r).

    r is the rank: from fewer positions than channels, as on small images, there is nothing in
    the other directions, and the distance has that much less to compute.
    """
    values, vectors = _eigh(covariance(m))
    used = values > values[-1] * _EMPTY
    used[-1] = True  # an image of one color has no covariance, and one direction must stay
    return vectors[:, used] * values[used].clamp(min=0).sqrt()


def total_variation(pixels: Tensor) -> Tensor:
    """Return the mean squared difference of neighboring pixels, (C, H, W) -> scalar."""
    down = (pixels[:, 1:] - pixels[:, :-1]).square().mean() if pixels.shape[1] > 1 else 0
    right = (pixels[:, :, 1:] - pixels[:, :, :-1]).square().mean() if pixels.shape[2] > 1 else 0
    return torch.as_tensor(down + right, dtype=pixels.dtype, device=pixels.device)


class _TraceSqrt(torch.autograd.Function):
    """tr((Rᵀ Σ R)^½), R·Rᵀ = T, with a gradient that stays finite where Σ loses rank.

    d/dΣ tr((Rᵀ Σ R)^½) = ½ R (Rᵀ Σ R)^-½ Rᵀ; for R = T^½ the same as for any other root, which
    differs by a rotation. The inverse root is taken on the eigenvalues that rounding has not
    swallowed and is zero on the rest: one that is only noise would have the steepest slope of all.
    """

    @staticmethod
    def forward(ctx, sigma: Tensor, root: Tensor) -> Tensor:
        values, vectors = _eigh(root.mT @ sigma @ root)
        floor = values[-1].clamp(min=0) * _NOISE
        values = values.clamp(min=0)
        inverse = torch.where(values > floor, values.clamp(min=_TINY).rsqrt(), 0)
        half = root @ vectors
        ctx.save_for_backward((half * inverse) @ half.mT / 2)
        return values.sqrt().sum()

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        (slope,) = ctx.saved_tensors
        return gradient * slope, None


def spectral(matrix: Tensor, function) -> Tensor:
    """Apply a function to the eigenvalues of a symmetric positive matrix."""
    values, vectors = _eigh(matrix)
    return (vectors * function(values.clamp(min=0))) @ vectors.mT


def _eigh(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return eigenvalues and vectors of a matrix that rounding has made not quite symmetric."""
    symmetric = (matrix + matrix.mT) / 2
    if symmetric.device.type == "mps":  # which has no eigh
        values, vectors = torch.linalg.eigh(symmetric.cpu())
        return values.to(matrix.device), vectors.to(matrix.device)
    with one_thread():
        return torch.linalg.eigh(symmetric)


def _relative(value: Tensor, target: Tensor) -> Tensor:
    """‖value − target‖² / ‖target‖²."""
    return (value - target).square().sum() / (target.square().sum() + _TINY)


def _to_float32(x: Tensor) -> Tensor:
    """Convert to float32, unless it is float64."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
