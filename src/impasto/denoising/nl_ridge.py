"""Each patch from the patches that look like it, by the weights of least expected squared error.

Two ways to see a group of similar patches: `ridge_estimate` makes each patch out of the others,
with one weight for each (ridge regression over patches); `wiener_estimate` makes each pixel out of
all the others of its patch, in all channels (Wiener filter in the group's own statistics). Both
take noise whose variance differs from place to place and whose neighbors are correlated.

References: Herbreteau, Kervrann 2022, arXiv:2203.00570 (NL-Ridge); Lebrun, Buades, Morel 2013, A
nonlocal Bayesian image denoising algorithm, SIAM J. Imaging Sciences 6(3) (NL-Bayes).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.denoising.block_matching import (
    Block,
    Groups,
    blocks,
    match_blocks,
    patch_size,
    patches,
)

_VALUES = 2**20  # values of groups that are computed at a time: what a cache holds
_ATTEMPTS = 6  # with a higher floor each; the last is far above any rounding
_FLOOR = 1e-6  # of a matrix's mean diagonal: what rounding may have taken from it


def ridge_estimate(
    noisy: Tensor,
    guide: Tensor,
    variance: Tensor,
    groups: Groups,
    lags: Sequence[Tensor] | None = None,
) -> Tensor:
    """Each patch as a weighted sum of the patches like it; weights of a group sum to one.

    The weights are those of least risk by Stein's unbiased estimate, so that nothing but the noisy
    picture is needed.

    Args:
        noisy: (C, H, W), in channels whose noise is independent.
        guide: (H, W) that patches are compared on.
        variance: of the noise, (C, H, W).
        groups: how patches are grouped.
        lags: for each channel how the noise of neighbors correlates, (2m + 1, 2m + 1) with 1 in
            the middle; None where it does not.

    Returns:
        (C, H, W).

    Example:
        >>> clean = torch.linspace(0, 1, 32).expand(1, 32, 32)
        >>> noisy = clean + 0.1 * torch.randn(clean.shape, generator=torch.manual_seed(0))
        >>> groups, variance = Groups(5, 9, 15, 3), torch.full_like(noisy, 0.01)
        >>> found = ridge_estimate(noisy, noisy[0], variance, groups)
        >>> bool((found - clean).square().mean() < 0.3 * (noisy - clean).square().mean())
        True
    """
    canvas = _Aggregator(noisy)
    for block in blocks(tuple(guide.shape), groups):
        there = (block.rows, block.columns)
        patch = patch_size(tuple(guide[there].shape), groups)
        near = match_blocks(guide[there], block, groups)
        columns = guide[there].shape[1] - patch[1] + 1
        for channel in range(len(noisy)):
            rows = patches(noisy[channel][there], patch)
            spread = patches(variance[channel][there], patch).sum(1)  # (positions)
            table = None if lags is None else lags[channel]
            sums, weights = torch.zeros_like(rows), torch.zeros(len(rows))
            for part in _chunks(near, rows.shape[1]):
                y = _taken(rows, part)  # (groups, k, n)
                level = y.mean((1, 2), keepdim=True)
                noise = _covariance(spread[part], part, columns, table)  # (groups, k, k)
                share = _shares(y - level, noise)
                found = share.transpose(1, 2) @ (y - level) + level
                # A patch counts by how little noise is left in it.
                kept = (share * (noise @ share)).sum(1).clamp(min=0)
                trust = spread[part] / (kept + 1e-4 * spread[part]).clamp(min=1e-20)
                _scatter(sums, weights, part, found, trust)
            canvas.add(slice(channel, channel + 1), block, [sums], weights, patch)
    return canvas.picture()


def wiener_estimate(
    noisy: Tensor,
    pilot: Tensor,
    guide: Tensor,
    variance: Tensor,
    groups: Groups,
    lags: Sequence[Tensor] | None = None,
) -> Tensor:
    """Each patch filtered by the mean and covariance of the patches like it, channels together.

    Args:
        noisy: as for `ridge_estimate`.
        pilot: an earlier estimate of the same shape.
        guide: as for `ridge_estimate`.
        variance: as for `ridge_estimate`.
        groups: how patches are grouped.
        lags: as for `ridge_estimate`.

    Returns:
        (C, H, W).
    """
    canvas = _Aggregator(noisy)
    for block in blocks(tuple(guide.shape), groups):
        there = (slice(None), block.rows, block.columns)
        patch = patch_size(tuple(guide[there[1:]].shape), groups)
        near = match_blocks(guide[there[1:]], block, groups)
        y_rows, x_rows, spread = (
            torch.cat([patches(plane, patch) for plane in picture[there]], 1)  # (positions, C·n)
            for picture in (noisy, pilot, variance)
        )
        within = None if lags is None else _within(patch, lags)
        sums, weights = torch.zeros_like(y_rows), torch.zeros(len(y_rows))
        for part in _chunks(near, y_rows.shape[1]):
            y, x = _taken(y_rows, part), _taken(x_rows, part)  # (groups, k, C·n)
            power = _taken(spread, part).mean(1)  # of the noise, (groups, C·n)
            mean = x.mean(1, keepdim=True)
            x -= mean
            total = x.transpose(1, 2) @ x / max(1, x.shape[1] - 1)
            # y less what is noise in it; the same as the signal's share, and rounded far less.
            if within is None:
                total.diagonal(dim1=1, dim2=2).add_(power)
                lost = ((y - mean) @ _inverse(total)).mul_(power[:, None])
            else:
                deviation = power.sqrt()
                noise = within * deviation[:, :, None] * deviation[:, None]
                lost = ((y - mean) @ _inverse(total.add_(noise))) @ noise
            found = y.sub_(lost)
            _scatter(sums, weights, part, found, torch.ones(part.shape))
        canvas.add(slice(None), block, sums.chunk(len(noisy), 1), weights, patch)
    return canvas.picture()


class _Aggregator:
    """Sums of weighted patches where they lie, and of their weights."""

    def __init__(self, picture: Tensor) -> None:
        self.sums = torch.zeros_like(picture)
        self.weights = torch.zeros_like(picture)

    def add(
        self,
        channels: slice,
        block: Block,
        sums: Sequence[Tensor],
        weights: Tensor,
        patch: tuple[int, int],
    ) -> None:
        """Lay down a block's patches: for each channel (positions, n), and (positions)."""
        there = (channels, block.rows, block.columns)
        size = tuple(self.sums[there].shape[1:])
        rows = torch.stack([one.T for one in sums])  # (C, n, positions)
        self.sums[there] += F.fold(rows, size, patch)[:, 0]
        grid = weights.view(1, 1, size[0] - patch[0] + 1, size[1] - patch[1] + 1)
        self.weights[there] += F.conv_transpose2d(grid, torch.ones(1, 1, *patch))[0]

    def picture(self) -> Tensor:
        """The mean of what lies at each place."""
        return self.sums / self.weights


def _chunks(near: Tensor, values: int) -> Iterator[Tensor]:
    """Groups, as many at a time as memory is meant to hold."""
    yield from near.split(max(1, _VALUES // (near.shape[1] * max(values, near.shape[1]))))


def _taken(rows: Tensor, part: Tensor) -> Tensor:
    """Groups of rows: (positions, n) and (groups, k) -> (groups, k, n)."""
    return rows[part.flatten()].view(*part.shape, -1)


def _scatter(sums: Tensor, weights: Tensor, part: Tensor, found: Tensor, trust: Tensor) -> None:
    """Add each group's patches at their positions, by their trust (groups, k)."""
    flat, rows = part.flatten(), (found * trust[..., None]).flatten(0, 1)
    sums.scatter_add_(0, flat[:, None].expand_as(rows), rows)
    weights.scatter_add_(0, flat, trust.flatten())


def _shares(y: Tensor, noise: Tensor) -> Tensor:
    """Weights of least expected squared error that sum to one, a column for each patch made."""
    inverse = _inverse(y @ y.transpose(1, 2))
    missed = inverse @ noise
    once = inverse.sum(2, keepdim=True)  # the inverse times a column of ones
    back = missed.sum(1, keepdim=True) / once.sum(1, keepdim=True)
    return torch.eye(y.shape[1]) - missed + once * back


def _covariance(spread: Tensor, part: Tensor, columns: int, lags: Tensor | None) -> Tensor:
    """Of the noise between the patches of each group, summed over a patch: (groups, k, k)."""
    if lags is None:
        return torch.diag_embed(spread)
    reach = len(lags) // 2 + 1
    down, right = part // columns, part % columns
    dy, dx = (
        (axis[:, :, None] - axis[:, None]).clamp(-reach, reach) + reach for axis in (down, right)
    )
    root = spread.sqrt()
    return F.pad(lags, (1, 1, 1, 1))[dy, dx] * root[:, :, None] * root[:, None]


def _within(patch: tuple[int, int], lags: Sequence[Tensor]) -> Tensor:
    """How noise correlates between the pixels of a patch, channels apart: (C·n, C·n)."""
    height, width = patch
    places = torch.cartesian_prod(torch.arange(height), torch.arange(width)).view(-1, 2)
    dy, dx = (places[:, None] - places).unbind(2)
    tables = []
    for table in lags:
        middle = len(table) // 2
        wide = F.pad(table, (width, width, height, height))
        tables.append(wide[dy + middle + height, dx + middle + width])
    return torch.block_diag(*tables)


def _inverse(matrix: Tensor) -> Tensor:
    """Of symmetric, positive matrices (groups, k, k); nearly, where rounding made one singular."""
    scale = matrix.diagonal(dim1=1, dim2=2).mean(1)
    floor = (_FLOOR * scale + 1e-10)[:, None]
    for _ in range(_ATTEMPTS):
        raised = matrix.clone()
        raised.diagonal(dim1=1, dim2=2).add_(floor)
        factor, failed = torch.linalg.cholesky_ex(raised)
        if not failed.any():
            break
        floor = torch.where(failed[:, None] > 0, 30 * floor, floor)
    return torch.cholesky_inverse(factor)
