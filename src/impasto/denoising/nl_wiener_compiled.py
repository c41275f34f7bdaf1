"""The filters of `nl_wiener` by compiled loops, on several threads.

Any number of threads gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType

import numpy as np
import torch
from torch import Tensor

from impasto.compiled import load_loops, run_strips
from impasto.denoising.block_matching import (
    FUSION_DOUBTS,
    FUSION_REACH,
    Block,
    Cut,
    Groups,
    Neighbor,
    cut_planes,
    patch_size,
    split_into_blocks,
    window_size,
)

_LANES = 16  # numbers that the loops read at a time, also beyond the end of what they need


def compiled_loops(image: Tensor) -> ModuleType | None:
    """Return the loops that filter an image, or None if tensor operations have to."""
    if image.device.type != "cpu" or image.dtype != torch.float32:
        return None
    return load_loops("impasto.denoising.nl_wiener_loops")


def ridge_sums(
    loops: ModuleType,
    noisy: Tensor,
    guide: Tensor,
    variance: Tensor,
    groups: Groups,
    autocorrelation: Tensor | None,
    on_part: Callable[[float], None],
    cut: Cut | None = None,
    neighbors: Sequence[Neighbor] = (),
) -> tuple[Tensor, Tensor]:
    """Add up the patches of `patch_filters.ridge_estimate`.

    Returns:
        Their weighted sums, (C, H, W), and the weights of the patches at their first pixels.
    """
    sums, weights = torch.zeros_like(noisy), torch.zeros_like(noisy)
    planes = 1 + len(neighbors)
    white = noisy.new_ones(len(noisy), 1, 1)
    table = white if autocorrelation is None else autocorrelation

    def work(block: Block) -> None:
        area = (slice(None), block.rows, block.columns)
        height, width = guide[area[1:]].shape
        compared = cut_planes(guide, "guide", block, neighbors)
        images = [
            _planes(cut_planes(image, name, block, neighbors))
            for name, image in (("noisy", noisy), ("variance", variance))
        ]
        totals = [noisy.new_zeros(len(noisy), height * width + _LANES) for _ in images]
        loops.ridge_block(
            *_arrays(*images, _interleaved(compared[None])),
            width,
            table.float().contiguous().numpy(),
            *_shapes((height, width), groups, planes),
            planes,
            block.down.numpy(),
            block.across.numpy(),
            *_arrays(*totals),
        )
        for target, total in zip((sums, weights), totals, strict=True):
            target[area] += total[:, : height * width].view(-1, height, width)

    _run(work, guide, groups, on_part, cut)
    return sums, weights


def wiener_sums(
    loops: ModuleType,
    noisy: Tensor,
    pilot: Tensor,
    guide: Tensor,
    variance: Tensor,
    groups: Groups,
    correlation: Tensor | None,
    on_part: Callable[[float], None],
    cut: Cut | None = None,
) -> tuple[Tensor, Tensor]:
    """Add up the patches of `patch_filters.wiener_estimate`.

    Of white noise the correlation is None, else that of the noise between the values of a patch,
    (C·n, C·n).

    Returns:
        As `ridge_sums`, the weights (1, H, W).
    """
    channels = len(noisy)
    sums, weights = torch.zeros_like(noisy), torch.zeros_like(guide)[None]
    if correlation is None:
        table = noisy.new_empty(0)
    else:  # from values by channels, rows and columns to rows, columns and channels
        values = len(correlation)
        order = torch.arange(values, device="cpu").view(channels, -1).T.flatten()
        table = noisy.new_zeros(values, _padded(values))
        table[:, :values] = correlation[order][:, order]
    table = table.flatten()

    def work(block: Block) -> None:
        area = (slice(None), block.rows, block.columns)
        height, width = guide[area[1:]].shape
        images = [_interleaved(image[area]) for image in (noisy, pilot, variance)]
        totals = (
            noisy.new_zeros(height * width * channels + _LANES),
            noisy.new_zeros(height * width),
        )
        loops.wiener_block(
            *_arrays(*images, _interleaved(guide[area[1:]][None])),
            width,
            channels,
            table.numpy(),
            *_shapes((height, width), groups),
            block.down.numpy(),
            block.across.numpy(),
            *_arrays(*totals),
        )
        total = totals[0][: height * width * channels].view(height, width, channels)
        sums[area] += total.permute(2, 0, 1)
        weights[area] += totals[1].view(1, height, width)

    _run(work, guide, groups, on_part, cut)
    return sums, weights


def fused_sums(
    loops: ModuleType,
    noisy: Tensor,
    pilot: Tensor,
    guide: Tensor,
    variance: Tensor,
    groups: Groups,
    on_part: Callable[[float], None],
    neighbors: Sequence[Neighbor],
) -> tuple[Tensor, Tensor, Tensor]:
    """Add up the patches of `patch_filters.fuse_neighbors`.

    Returns:
        Their weighted sums, (C, H, W), and the weights and the number of the patches at their first
        pixels, (1, H, W).
    """
    channels, planes = len(noisy), 1 + len(neighbors)
    sums = torch.zeros_like(noisy)
    weights, counts = (torch.zeros_like(guide)[None] for _ in range(2))

    def work(block: Block) -> None:
        area = (slice(None), block.rows, block.columns)
        height, width = guide[area[1:]].shape
        images = [
            _interleaved(cut_planes(image, name, block, neighbors))
            for name, image in (("noisy", noisy), ("pilot", pilot), ("variance", variance))
        ]
        compared = cut_planes(guide, "guide", block, neighbors)
        totals = [noisy.new_zeros(height * width * k + _LANES) for k in (channels, 1, 1)]
        loops.fuse_block(
            *_arrays(*images, _interleaved(compared[None])),
            width,
            channels,
            *_shapes((height, width), groups, planes),
            planes,
            FUSION_REACH,
            tuple(map(np.float32, FUSION_DOUBTS)),
            block.down.numpy(),
            block.across.numpy(),
            *_arrays(*totals),
        )
        for target, total in zip((sums, weights, counts), totals, strict=True):
            total = total[: height * width * len(target)].view(height, width, -1)
            target[area] += total.permute(2, 0, 1)

    _run(work, guide, groups, on_part, None)
    return sums, weights, counts


def _run(
    work: Callable[[Block], None],
    guide: Tensor,
    groups: Groups,
    on_part: Callable[[float], None],
    cut: Cut | None,
) -> None:
    """Work on all blocks, a color after the other, and report the share that is done."""
    colors = split_into_blocks(tuple(guide.shape), groups, cut)
    count, done = sum(len(blocks) for blocks in colors), 0

    def on_done() -> None:
        nonlocal done
        done += 1
        on_part(done / count)

    for blocks in colors:
        run_strips(work, blocks, on_done)


def _shapes(
    size: tuple[int, int], groups: Groups, planes: int = 1
) -> tuple[tuple[int, int], int, tuple[int, int], tuple[int, int]]:
    """Return what the loops take: patch, patches of a group, window, and size of the block."""
    window = window_size(size, groups)
    similar = min(groups.similar, planes * window[0] * window[1])
    return patch_size(size, groups), similar, window, size


def _arrays(*tensors: Tensor) -> list:
    return [tensor.numpy() for tensor in tensors]


def _planes(image: Tensor) -> Tensor:
    """Return (C, H, W) as (C, H · W and room for a vector)."""
    padded = image.new_zeros(len(image), image[0].numel() + _LANES)
    padded[:, : image[0].numel()] = image.flatten(1)
    return padded


def _interleaved(image: Tensor) -> Tensor:
    """Return (C, H, W) as H · W · C numbers and room for a vector."""
    padded = image.new_zeros(image.numel() + _LANES)
    padded[: image.numel()] = image.permute(1, 2, 0).flatten()
    return padded


def _padded(count: int) -> int:
    return -(-count // _LANES) * _LANES
