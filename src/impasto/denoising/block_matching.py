"""Block matching: for each of a grid of reference patches, the patches nearest to it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

_CELL = 4  # reference patches a side that search one window together
_BLOCK = 12  # cells a side that are worked on at a time
_CHUNK = 64 * 2**20  # bytes of candidates that are compared at a time


class Groups(NamedTuple):
    """How patches are grouped.

    Attributes:
        patch: pixels a side of a patch.
        similar: patches in a group; fewer if the window has no more.
        window: pixels a side of the square that is searched for them.
        stride: pixels from one reference patch to the next; larger is faster and coarser.
    """

    patch: int
    similar: int
    window: int
    stride: int


class Block(NamedTuple):
    """A part of an image whose reference patches are matched at a time.

    Attributes:
        rows: the rows of the image that their groups may reach.
        columns: the columns.
        down: first rows of the reference patches' cells, counted from `rows.start`: (cells, 4).
        across: their first columns.
    """

    rows: slice
    columns: slice
    down: Tensor
    across: Tensor


def patch_size(size: tuple[int, int], groups: Groups) -> tuple[int, int]:
    """Return (height, width) of the patches in an image of (height, width), which may be thin."""
    return min(groups.patch, size[0]), min(groups.patch, size[1])


def extract_patches(plane: Tensor, patch: tuple[int, int]) -> Tensor:
    """Return every patch of a plane as a row: (H, W) -> (positions, h·w), positions by rows."""
    return F.unfold(plane[None, None], patch)[0].T.contiguous()


def split_into_blocks(
    size: tuple[int, int], groups: Groups, device: torch.device | str = "cpu"
) -> Iterator[Block]:
    """Yield the blocks of an image of (height, width), one after the other.

    Blocks limit the memory that is needed; a group is the same as it would be in the whole image.
    """
    patch = patch_size(size, groups)
    axes = [
        list(_spans(side - p + 1, p, groups, device)) for side, p in zip(size, patch, strict=True)
    ]
    for rows, down in axes[0]:
        for columns, across in axes[1]:
            yield Block(rows, columns, down, across)


def match_blocks(guide: Tensor, block: Block, groups: Groups) -> Tensor:
    """Find the nearest patches of each reference patch in a block.

    Args:
        guide: (H, W) that patches are compared on, cut to the block.
        block: the references, on the guide's device.
        groups: how they are grouped.

    Returns:
        Positions in the block, by rows, (references, similar); each reference's own among them.
    """
    device = guide.device
    patch = patch_size(tuple(guide.shape), groups)
    rows, columns = (side - p + 1 for side, p in zip(guide.shape, patch, strict=True))
    patches = extract_patches(guide, patch)
    height, width = _window(rows, groups), _window(columns, groups)
    tops = _window_starts(block.down, height, rows)
    lefts = _window_starts(block.across, width, columns)
    window_rows = torch.arange(height, device=device)
    offsets = window_rows[:, None] * columns + torch.arange(width, device=device)
    offsets = offsets.flatten()  # (candidates)
    corners = (tops[:, None] * columns + lefts).flatten()  # (cells)
    references = block.down[:, None, :, None] * columns + block.across[None, :, None, :]
    references = references.flatten(2).flatten(0, 1)  # (cells, 16)
    squared_norms = patches.square().sum(1)
    cell_bytes = 4 * len(offsets) * (patches.shape[1] + references.shape[1])
    matches = []
    for cells in torch.arange(len(corners), device=device).split(max(1, _CHUNK // cell_bytes)):
        candidates = corners[cells, None] + offsets  # (cells, candidates)
        others = patches[candidates.flatten()].view(*candidates.shape, -1)
        centers = patches[references[cells].flatten()].view(len(cells), -1, patches.shape[1])
        # ‖a − b‖² without ‖a‖², which does not change the order.
        distance = torch.baddbmm(
            squared_norms[candidates][:, None], centers, others.transpose(1, 2), alpha=-2
        )
        # A reference is nearest to itself, whatever rounding says.
        is_reference = candidates[:, None] == references[cells][..., None]
        distance.masked_fill_(is_reference, -math.inf)
        count = min(groups.similar, distance.shape[2])
        nearest = distance.topk(count, largest=False, sorted=False).indices
        positions = candidates.gather(1, nearest.flatten(1)).view(*nearest.shape)
        matches.append(positions.flatten(0, 1))
    return torch.cat(matches)


def _spans(
    count: int, patch: int, groups: Groups, device: torch.device | str
) -> Iterator[tuple[slice, Tensor]]:
    """Yield the pixels of each block along one axis, and its cells counted from their start.

    Args:
        count: patch positions along the axis.
        patch: pixels of a patch along the axis.
        groups: how patches are grouped.
        device: of the cells.
    """
    window = _window(count, groups)
    for cells in _reference_cells(count, groups, device).split(_BLOCK):
        starts = _window_starts(cells, window, count)
        first, last = int(starts.min()), int(starts.max()) + window + patch - 1
        yield slice(first, last), cells - first


def _reference_cells(count: int, groups: Groups, device: torch.device | str) -> Tensor:
    """Return the references' first positions along one axis, in cells: (cells, 4)."""
    positions = torch.arange(0, count, groups.stride, device=device)
    if positions[-1] != count - 1:
        positions = torch.cat([positions, torch.tensor([count - 1], device=device)])
    missing = -len(positions) % _CELL
    return torch.cat([positions, positions[-1:].expand(missing)]).view(-1, _CELL)


def _window(count: int, groups: Groups) -> int:
    """Return the positions along one axis that a cell searches."""
    return min(count, groups.window + (_CELL - 1) * groups.stride)


def _window_starts(cells: Tensor, window: int, count: int) -> Tensor:
    """Center a window on each cell along one axis, moved inwards at the border: (cells)."""
    middle = (cells[:, 0] + cells[:, -1]) // 2
    return (middle - window // 2).clamp(0, count - window)
