"""Which patches of a picture look alike: for each of a grid of patches, its nearest ones."""

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
        similar: patches in a group; fewer where the window has no more.
        window: pixels a side of the square in which they are looked for.
        stride: pixels from one reference patch to the next; more is faster and rougher.
    """

    patch: int
    similar: int
    window: int
    stride: int


class Block(NamedTuple):
    """A part of a picture whose reference patches are grouped at a time.

    Attributes:
        rows: the rows of the picture that their groups may reach.
        columns: the columns.
        down: first rows of the reference patches' cells, counted from `rows.start`: (cells, 4).
        across: their first columns.
    """

    rows: slice
    columns: slice
    down: Tensor
    across: Tensor


def patch_size(size: tuple[int, int], groups: Groups) -> tuple[int, int]:
    """(height, width) of the patches in a picture of (height, width), which may be thin."""
    return min(groups.patch, size[0]), min(groups.patch, size[1])


def patches(plane: Tensor, patch: tuple[int, int]) -> Tensor:
    """Every patch of a plane as a row: (H, W) -> (positions, h·w), positions by rows."""
    return F.unfold(plane[None, None], patch)[0].T.contiguous()


def blocks(size: tuple[int, int], groups: Groups) -> Iterator[Block]:
    """The parts of a picture of (height, width) that are grouped one after the other.

    What is found in a part is what would be found in the whole: parts decide about memory only.
    """
    patch = patch_size(size, groups)
    axes = [list(_parts(side - p + 1, p, groups)) for side, p in zip(size, patch, strict=True)]
    for rows, down in axes[0]:
        for columns, across in axes[1]:
            yield Block(rows, columns, down, across)


def match_blocks(guide: Tensor, block: Block, groups: Groups) -> Tensor:
    """The nearest patches of each reference patch in a block.

    Args:
        guide: what is compared, (H, W), cut to the block.
        block: the references.
        groups: how they are grouped.

    Returns:
        Positions in the block, by rows, (references, similar); each reference's own among them.
    """
    patch = patch_size(tuple(guide.shape), groups)
    rows, columns = (side - p + 1 for side, p in zip(guide.shape, patch, strict=True))
    seen = patches(guide, patch)
    high, wide = _window(rows, groups), _window(columns, groups)
    tops, lefts = _starts(block.down, high, rows), _starts(block.across, wide, columns)
    inside = (torch.arange(high)[:, None] * columns + torch.arange(wide)).flatten()
    corners = (tops[:, None] * columns + lefts).flatten()  # (cells)
    references = block.down[:, None, :, None] * columns + block.across[None, :, None, :]
    references = references.flatten(2).flatten(0, 1)  # (cells, 16)
    lengths = seen.square().sum(1)
    most = max(1, _CHUNK // (4 * len(inside) * (seen.shape[1] + references.shape[1])))
    found = []
    for part in torch.arange(len(corners)).split(most):
        candidates = corners[part, None] + inside  # (cells, candidates)
        others = seen[candidates.flatten()].view(*candidates.shape, -1)
        wanted = seen[references[part].flatten()].view(len(part), -1, seen.shape[1])
        # ‖a − b‖² without ‖a‖², which does not change the order.
        distance = torch.baddbmm(
            lengths[candidates][:, None], wanted, others.transpose(1, 2), alpha=-2
        )
        # A reference is nearest to itself, whatever rounding says.
        own = candidates[:, None] == references[part][..., None]
        distance.masked_fill_(own, -math.inf)
        count = min(groups.similar, distance.shape[2])
        near = distance.topk(count, largest=False, sorted=False).indices
        found.append(candidates.gather(1, near.flatten(1)).view(*near.shape).flatten(0, 1))
    return torch.cat(found)


def _parts(count: int, patch: int, groups: Groups) -> Iterator[tuple[slice, Tensor]]:
    """Along one axis of so many positions: the pixels of each part, and its cells within them."""
    cells = _cells(count, groups)
    window = _window(count, groups)
    for part in cells.split(_BLOCK):
        starts = _starts(part, window, count)
        first, last = int(starts.min()), int(starts.max()) + window + patch - 1
        yield slice(first, last), part - first


def _cells(count: int, groups: Groups) -> Tensor:
    """First positions of the references along one axis, in cells: (cells, 4)."""
    places = torch.arange(0, count, groups.stride)
    if places[-1] != count - 1:
        places = torch.cat([places, torch.tensor([count - 1])])
    missing = -len(places) % _CELL
    return torch.cat([places, places[-1:].expand(missing)]).view(-1, _CELL)


def _window(count: int, groups: Groups) -> int:
    """Positions along one axis that a cell looks at."""
    return min(count, groups.window + (_CELL - 1) * groups.stride)


def _starts(cells: Tensor, window: int, count: int) -> Tensor:
    """Where each cell's window begins along one axis: around it, moved inwards at the border."""
    middle = (cells[:, 0] + cells[:, -1]) // 2
    return (middle - window // 2).clamp(0, count - window)
