"""Which patches of a picture look alike: for each of a grid of patches, its nearest ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

_CELL = 4  # reference patches a side that search one window together
_CHUNK = 64 * 2**20  # bytes of candidates that are compared at a time


class Groups(NamedTuple):
    """How patches are grouped.

    Attributes:
        patch: pixels a side of a patch.
        similar: patches in a group.
        window: pixels a side of the square in which they are looked for.
        stride: pixels from one reference patch to the next; more is faster and rougher.
    """

    patch: int
    similar: int
    window: int
    stride: int


def patches(plane: Tensor, patch: tuple[int, int]) -> Tensor:
    """Every patch of a plane as a row: (H, W) -> (positions, h·w), positions by rows."""
    return F.unfold(plane[None, None], patch)[0].T.contiguous()


def picture_of(rows: Tensor, size: tuple[int, int], patch: tuple[int, int]) -> Tensor:
    """The sum of patches where they lie: (positions, h·w) -> (H, W)."""
    return F.fold(rows.T[None], size, patch)[0, 0]


def grouped(
    guide: Tensor, size: tuple[int, int], groups: Groups, patch: tuple[int, int]
) -> Iterator[Tensor]:
    """The positions of each reference's nearest patches, many references at a time.

    Args:
        guide: every patch of what is compared, (positions, n), by rows.
        size: (rows, columns) of positions.
        groups: how patches are grouped.
        patch: (height, width) of a patch.

    Yields:
        (references, similar) positions, the reference itself among them.
    """
    rows, columns = size
    down = _cells(rows, groups)
    across = _cells(columns, groups)
    # Each cell of references looks at one window, moved inwards at the border.
    high, wide = (_window(count, groups) for count in size)
    tops = _starts(down, high, rows)
    lefts = _starts(across, wide, columns)
    inside = (torch.arange(high)[:, None] * columns + torch.arange(wide)).flatten()
    corners = (tops[:, None] * columns + lefts).flatten()  # (cells)
    references = down[:, None, :, None] * columns + across[None, :, None, :]
    references = references.flatten(2).flatten(0, 1)  # (cells, 16)
    lengths = guide.square().sum(1)
    most = max(1, _CHUNK // (4 * len(inside) * (guide.shape[1] + references.shape[1])))
    for part in torch.arange(len(corners)).split(most):
        candidates = corners[part, None] + inside  # (cells, candidates)
        seen = guide[candidates.flatten()].view(*candidates.shape, -1)
        wanted = guide[references[part].flatten()].view(len(part), -1, guide.shape[1])
        # ‖a − b‖² without ‖a‖², which does not change the order.
        distance = torch.baddbmm(
            lengths[candidates][:, None], wanted, seen.transpose(1, 2), alpha=-2
        )
        count = min(groups.similar, distance.shape[2])
        near = distance.topk(count, largest=False, sorted=False).indices
        found = candidates.gather(1, near.flatten(1)).view(*near.shape)
        yield found.flatten(0, 1)


def _cells(count: int, groups: Groups) -> Tensor:
    """References along one axis of so many positions, in cells: (cells, 4)."""
    places = torch.arange(0, count, groups.stride)
    if places[-1] != count - 1:
        places = torch.cat([places, torch.tensor([count - 1])])
    missing = -len(places) % _CELL
    return torch.cat([places, places[-1:].expand(missing)]).view(-1, _CELL)


def _window(count: int, groups: Groups) -> int:
    """Positions along one axis that a cell looks at."""
    return min(count, groups.window + (_CELL - 1) * groups.stride)


def _starts(cells: Tensor, window: int, count: int) -> Tensor:
    """Where each cell's window begins along one axis."""
    middle = (cells[:, 0] + cells[:, -1]) // 2
    return (middle - window // 2).clamp(0, count - window)
