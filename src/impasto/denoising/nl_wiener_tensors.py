"""The filters of `nl_wiener` by tensor operations: on a GPU, and where numba is missing.

Each does what the function of the like name in `nl_wiener_compiled` does, within rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.denoising.block_matching import (
    FUSION_DOUBTS,
    FUSION_REACH,
    Block,
    Cut,
    Groups,
    Neighbor,
    cut_planes,
    extract_patches,
    match_blocks,
    patch_size,
    split_into_blocks,
)

_CHUNK = 2**20  # values of groups that are computed at a time, so that they stay in the cache
_CHOLESKY_ATTEMPTS = 6  # each with a higher floor; the last is far above any rounding
_FLOOR = 1e-6  # of a matrix's mean diagonal, which rounding may have taken from it


def tensor_ridge_sums(
    noisy: Tensor,
    guide: Tensor,
    variance: Tensor,
    groups: Groups,
    autocorrelation: Tensor | None,
    on_part: Callable[[float], None],
    cut: Cut | None = None,
    neighbors: Sequence[Neighbor] = (),
) -> tuple[Tensor, Tensor]:
    """Add up the patches as `nl_wiener_compiled.ridge_sums` does."""
    sums, weights = torch.zeros_like(noisy), torch.zeros_like(noisy)
    for share, block in _blocks_in_turn(guide, groups, cut):
        area = (block.rows, block.columns)
        patch = patch_size(tuple(guide[area].shape), groups)
        planes = 1 + len(neighbors)
        matches = match_blocks(cut_planes(guide, "guide", block, neighbors), block, groups, planes)
        rows, columns = (s - p + 1 for s, p in zip(guide[area].shape, patch, strict=True))
        for channel in range(len(noisy)):
            patches = _all_patches(noisy, "noisy", channel, block, neighbors, patch)
            variances = _all_patches(variance, "variance", channel, block, neighbors, patch).sum(1)
            table = None if autocorrelation is None else autocorrelation[channel]
            totals = _zero_totals(patches, rows * columns)
            for members in _chunks(matches, patches.shape[1]):
                y = _gather(patches, members)  # (groups, k, n)
                mean = y.mean((1, 2), keepdim=True)
                noise = _noise_between_patches(variances[members], members, (rows, columns), table)
                theta = _ridge_weights(y - mean, noise)  # (groups, k, k)
                estimate = theta.transpose(1, 2) @ (y - mean) + mean
                # A patch counts by how little noise is left in it.
                left = (theta * (noise @ theta)).sum(1).clamp(min=0)
                confidence = variances[members] / (left + 1e-4 * variances[members]).clamp(
                    min=1e-20
                )
                _scatter_add(*totals, members, estimate, confidence)
            _add_patches(sums[channel][area][None], weights[channel][area], *totals, patch)
        on_part(share)
    return sums, weights


def tensor_wiener_sums(
    noisy: Tensor,
    pilot: Tensor,
    guide: Tensor,
    variance: Tensor,
    groups: Groups,
    correlation: Tensor | None,
    on_part: Callable[[float], None],
    cut: Cut | None = None,
) -> tuple[Tensor, Tensor]:
    """Add up the patches as `nl_wiener_compiled.wiener_sums` does."""
    sums, weights = torch.zeros_like(noisy), torch.zeros_like(guide)[None]
    for share, block in _blocks_in_turn(guide, groups, cut):
        area = (slice(None), block.rows, block.columns)
        patch = patch_size(tuple(guide[area[1:]].shape), groups)
        matches = match_blocks(guide[area[1:]], block, groups)
        noisy_patches, pilot_patches, variances = (  # (positions, C·n)
            torch.cat([extract_patches(plane, patch) for plane in image[area]], 1)
            for image in (noisy, pilot, variance)
        )
        totals = _zero_totals(noisy_patches, len(noisy_patches))
        for members in _chunks(matches, noisy_patches.shape[1]):
            y, x = _gather(noisy_patches, members), _gather(pilot_patches, members)
            power = _gather(variances, members).mean(1)  # of the noise, (groups, C·n)
            mean = x.mean(1, keepdim=True)
            x -= mean
            covariance = x.transpose(1, 2) @ x / max(1, x.shape[1] - 1)
            # y less the noise in it: equal to the signal's part of it, and rounded far less.
            if correlation is None:
                covariance.diagonal(dim1=1, dim2=2).add_(power)
                noise = ((y - mean) @ _inverse(covariance)).mul_(power[:, None])
            else:
                sigma = power.sqrt()
                noise_covariance = correlation * sigma[:, :, None] * sigma[:, None]
                noise = ((y - mean) @ _inverse(covariance.add_(noise_covariance))) @ (
                    noise_covariance
                )
            _scatter_add(*totals, members, y.sub_(noise), y.new_ones(members.shape))
        _add_patches(sums[area], weights[area][0], *totals, patch)
        on_part(share)
    return sums, weights


def _all_patches(
    image: Tensor,
    name: str,
    channel: int,
    block: Block,
    neighbors: Sequence[Neighbor],
    patch: tuple[int, int],
) -> Tensor:
    """Return every patch of a block in a channel, and then its neighbors': (positions, n)."""
    planes = [image[channel][block.rows, block.columns]]
    planes += [getattr(n, name)[channel][n.area(block)] for n in neighbors]
    return torch.cat([extract_patches(plane, patch) for plane in planes])


def _channel_patches(
    image: Tensor, name: str, block: Block, neighbors: Sequence[Neighbor], patch: tuple[int, int]
) -> Tensor:
    """Return the same of all channels: (positions, C·n)."""
    channels = range(len(image))
    return torch.cat([_all_patches(image, name, c, block, neighbors, patch) for c in channels], 1)


def _zero_totals(patches: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return zeros for the sums of so many patches, and for their weights."""
    return patches.new_zeros(count, patches.shape[1]), patches.new_zeros(count)


def tensor_fused_sums(
    noisy: Tensor,
    pilot: Tensor,
    guide: Tensor,
    variance: Tensor,
    groups: Groups,
    on_part: Callable[[float], None],
    neighbors: Sequence[Neighbor],
) -> tuple[Tensor, Tensor, Tensor]:
    """Add up the patches as `nl_wiener_compiled.fused_sums` does."""
    sums = torch.zeros_like(noisy)
    weights, counts = (torch.zeros_like(guide)[None] for _ in range(2))
    doubt, more_doubt, margin = FUSION_DOUBTS
    for share, block in _blocks_in_turn(guide, groups, None):
        area = (slice(None), block.rows, block.columns)
        size = tuple(guide[area[1:]].shape)
        patch = patch_size(size, groups)
        rows, columns = (side - p + 1 for side, p in zip(size, patch, strict=True))
        references = (block.down[:, None] * columns + block.across).flatten()
        members = [references.to(guide.device)[:, None]]
        for number, neighbor in enumerate(neighbors, 1):
            compared = cut_planes(guide, "guide", block, [neighbor])
            found = match_blocks(compared, block, groups, 2, own=False)
            members.append(found + (number - 1) * rows * columns)
        matches = torch.cat(members, 1)
        noisy_patches, pilot_patches, variances = (
            _channel_patches(image, name, block, neighbors, patch)
            for name, image in (("noisy", noisy), ("pilot", pilot), ("variance", variance))
        )
        totals = _zero_totals(noisy_patches, rows * columns)
        count = torch.zeros_like(totals[1])
        images = [
            cut_planes(image, name, block, neighbors)
            for name, image in (("noisy", noisy), ("variance", variance))
        ]
        around = len(noisy) * math.prod(side + 2 * FUSION_REACH for side in patch)
        for part in _chunks(matches, around):
            x, y, power = (_gather(p, part) for p in (pilot_patches, noisy_patches, variances))
            scale = (power[:, :1] * power.shape[2]).reciprocal()
            x = (x - x[:, :1]) * scale.sqrt()
            matrix = doubt * (x @ x.transpose(1, 2))
            beyond = _differences_beyond_noise(*images, part, patch, size)
            doubts = more_doubt * (beyond - margin).clamp(min=0)
            matrix.diagonal(dim1=1, dim2=2).add_((power * scale).sum(2) + doubts)
            theta = torch.linalg.solve(matrix, torch.ones_like(matrix[..., :1]))
            total = theta.sum(1)  # (groups, 1)
            fused = (y * (theta / total[:, None])).sum(1, keepdim=True)
            _scatter_add(*totals, part[:, :1], fused, total)
            count.scatter_add_(0, part[:, 0], torch.ones_like(total[:, 0]))
        _add_patches(sums[area], weights[area][0], *totals, patch)
        counts[area][0, :rows, :columns] += count.view(rows, columns)
        on_part(share)
    return sums, weights, counts


def _differences_beyond_noise(
    noisy: Tensor, variance: Tensor, members: Tensor, patch: tuple[int, int], size: tuple[int, int]
) -> Tensor:
    """Return how much more than by their noise other patches, and what lies around, differ.

    Args:
        noisy: (C, planes · h, w).
        variance: of the noise, of the same shape.
        members: positions of patches, the first of each group in the first plane, (groups, k).
        patch: (height, width).
        size: (h, w).

    Returns:
        The mean squared difference from the first patch less the noise of both, over that of the
        first, (groups, k).
    """
    rows, columns = (side - p + 1 for side, p in zip(size, patch, strict=True))
    places = members % (rows * columns)
    indices, inside = [], []
    for start, side, length in zip((places // columns, places % columns), size, patch, strict=True):
        offsets = torch.arange(-FUSION_REACH, length + FUSION_REACH, device=members.device)
        place = start[..., None] + offsets  # (groups, k, pixels)
        within = (place >= 0) & (place < side)
        indices.append(place.clamp(0, side - 1))
        inside.append(within & within[:, :1])
    first_rows = members // (rows * columns) * size[0]
    down, across = indices[0] + first_rows[..., None], indices[1]
    pixels = (down[..., :, None] * size[1] + across[..., None, :]).flatten(2)
    counted = (inside[0][..., :, None] & inside[1][..., None, :]).flatten(2)  # (groups, k, pixels)
    values, powers = (image.flatten(1)[:, pixels] for image in (noisy, variance))
    difference = (values - values[:, :, :1]).square()
    total, own, others = (
        (part * counted).sum((0, 3)) for part in (difference, powers[:, :, :1], powers)
    )
    beyond = (total - own - others) / own
    beyond[:, 0] = 0
    return beyond


def _blocks_in_turn(
    guide: Tensor, groups: Groups, cut: Cut | None
) -> Iterator[tuple[float, Block]]:
    """Yield each block with the share of blocks that are done after it."""
    colors = split_into_blocks(tuple(guide.shape), groups, cut)
    blocks = [block for color in colors for block in color]
    for number, block in enumerate(blocks, 1):
        yield number / len(blocks), block


def _add_patches(
    sums: Tensor, weights: Tensor, patches: Tensor, patch_weights: Tensor, patch: tuple[int, int]
) -> None:
    """Add patches (positions, C·n) to a block (C, H, W), and their weights at their positions."""
    height, width = sums.shape[1:]
    columns = torch.stack([channel.T for channel in patches.chunk(len(sums), 1)])
    sums += F.fold(columns, (height, width), patch)[:, 0]  # of (C, n, positions)
    rows, columns = height - patch[0] + 1, width - patch[1] + 1
    weights[:rows, :columns] += patch_weights.view(rows, columns)


def _chunks(matches: Tensor, values: int) -> Iterator[Tensor]:
    """Split groups (groups, k) so that a chunk's matrices have about `_CHUNK` values."""
    similar = matches.shape[1]
    yield from matches.split(max(1, _CHUNK // (similar * max(values, similar))))


def _gather(patches: Tensor, members: Tensor) -> Tensor:
    """Gather the patches of groups: (positions, n) and (groups, k) -> (groups, k, n)."""
    return patches[members.flatten()].view(*members.shape, -1)


def _scatter_add(
    sums: Tensor, weights: Tensor, members: Tensor, estimate: Tensor, confidence: Tensor
) -> None:
    """Add each group's patches at their positions, weighted by their confidence (groups, k).

    Positions beyond the sums are other planes'.
    """
    positions, confidence = members.flatten(), confidence.flatten()
    own = positions < len(sums)
    positions, confidence = positions.where(own, 0), confidence.where(own, 0)
    rows = estimate.flatten(0, 1) * confidence[:, None]
    sums.scatter_add_(0, positions[:, None].expand_as(rows), rows)
    weights.scatter_add_(0, positions, confidence)


def _ridge_weights(y: Tensor, noise: Tensor) -> Tensor:
    """Return the weights of least expected squared error, a column for each patch estimated.

    Args:
        y: the patches less their group's mean, (groups, k, n).
        noise: covariance of the noise between patches, (groups, k, k).

    Returns:
        (groups, k, k), each column of sum one.
    """
    inverse = _inverse(y @ y.transpose(1, 2))
    shrinkage = inverse @ noise
    row_sums = inverse.sum(2, keepdim=True)  # the inverse times a column of ones
    correction = shrinkage.sum(1, keepdim=True) / row_sums.sum(1, keepdim=True)
    return torch.eye(y.shape[1], device=y.device) - shrinkage + row_sums * correction


def _noise_between_patches(
    variances: Tensor,
    members: Tensor,
    counts: tuple[int, int],
    autocorrelation: Tensor | None,
) -> Tensor:
    """Return the noise's covariance between the patches of each group, summed over a patch.

    Args:
        variances: of the noise, summed over a patch, (groups, k).
        members: positions of the patches, (groups, k).
        counts: patch positions of the block, down and across.
        autocorrelation: (2m + 1, 2m + 1), or None.

    Returns:
        (groups, k, k).
    """
    if autocorrelation is None:
        return torch.diag_embed(variances)
    reach = len(autocorrelation) // 2 + 1
    rows, columns = counts
    down, right = members // columns, members % columns
    down = down + down // rows * reach  # planes share no noise
    dy, dx = (
        (axis[:, :, None] - axis[:, None]).clamp(-reach, reach) + reach for axis in (down, right)
    )
    sigma = variances.sqrt()
    # A ring of zeros stands for everything beyond the table's reach.
    return F.pad(autocorrelation, (1, 1, 1, 1))[dy, dx] * sigma[:, :, None] * sigma[:, None]


def _inverse(matrix: Tensor) -> Tensor:
    """Invert symmetric, positive definite matrices (groups, k, k), nearly.

    Their diagonals are raised by a floor, which grows where rounding made one singular.
    """
    scale = matrix.diagonal(dim1=1, dim2=2).mean(1)
    floor = (_FLOOR * scale + 1e-10)[:, None]
    for _ in range(_CHOLESKY_ATTEMPTS):
        raised = matrix.clone()
        raised.diagonal(dim1=1, dim2=2).add_(floor)
        factor, failed = torch.linalg.cholesky_ex(raised)
        if not failed.any():
            break
        floor = torch.where(failed[:, None] > 0, 30 * floor, floor)
    return torch.cholesky_inverse(factor)
