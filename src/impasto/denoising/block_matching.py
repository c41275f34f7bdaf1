"""Block matching: for each of a grid of reference patches, the patches nearest to it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

_CELL = 4  # reference patches a side that search one window together
# Blocks along an axis, where they are neither smaller than their groups' reach nor larger than this
# many times.
_BLOCKS, _LARGEST = 12, 2
_CHUNK = 64 * 2**20  # bytes of candidates that are compared at a time
# Fusion: pixels around two patches over which their difference is measured, and factors of the
# squared difference between their pilots, which show less detail than there is, and of what the
# noisy patches differ by beyond their noise and a margin, over the noise; measured.
FUSION_REACH, FUSION_DOUBTS = 6, (1.5, 20.0, 0.2)


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
        down: first rows of the reference patches, counted from `rows.start`.
        across: their first columns.
    """

    rows: slice
    columns: slice
    down: Tensor
    across: Tensor


class Cut(NamedTuple):
    """A part of an image, cut out with so much around it that its middle comes out as in the whole.

    Attributes:
        size: (height, width) of the image.
        corner: row and column of the image that the part begins at.
        area: the rows and the columns, counted in the image, that come out as in the whole; None
            filters all of the part as an image of its own, with references where the whole has
            them.
    """

    size: tuple[int, int]
    corner: tuple[int, int]
    area: tuple[slice, slice] | None


def read_area(
    area: tuple[slice, slice], size: tuple[int, int], groups: Groups
) -> tuple[slice, slice]:
    """Return the rows and columns of an image that a pass reads to fill an area of it.

    Example:
        >>> read_area((slice(50, 60), slice(0, 5)), (100, 100), Groups(4, 8, 11, 3))
        (slice(37, 72, None), slice(0, 18, None))
    """
    rows, columns = (
        _read_span(*axis, groups) for axis in zip(area, size, patch_size(size, groups), strict=True)
    )
    return rows, columns


def relative_area(area: tuple[slice, slice], corner: tuple[int, int]) -> tuple[slice, slice]:
    """Return the rows and columns of an area counted from a corner.

    Example:
        >>> relative_area((slice(5, 9), slice(2, 4)), (5, 1))
        (slice(0, 4, None), slice(1, 3, None))
    """
    rows, columns = (
        slice(axis.start - start, axis.stop - start)
        for axis, start in zip(area, corner, strict=True)
    )
    return rows, columns


class Neighbor(NamedTuple):
    """A plane whose patches help those of another one of the same size.

    Attributes:
        noisy: (C, H, W).
        variance: of its noise, (C, H, W).
        guide: (H, W) that its patches are compared on.
        shift: (down, across), by how many pixels what it shows lies further than in the other.
        pilot: an earlier estimate, (C, H, W); None for the first.
    """

    noisy: Tensor
    variance: Tensor
    guide: Tensor
    shift: tuple[int, int] = (0, 0)
    pilot: Tensor | None = None

    def area(self, block: Block) -> tuple[slice, slice]:
        """Return the rows and columns that show what a block of the other plane does."""
        rows, columns = (
            slice(part.start + move, part.stop + move)
            for part, move in (
                (part, min(max(shift, -part.start), side - part.stop))
                for part, shift, side in zip(
                    (block.rows, block.columns), self.shift, self.guide.shape, strict=True
                )
            )
        )
        return rows, columns


def cut_planes(image: Tensor, name: str, block: Block, neighbors: Sequence[Neighbor]) -> Tensor:
    """Cut a block out of a plane (…, H, W) and what shows the same out of its neighbors, below.

    Args:
        image: of the plane.
        name: of the same image of a neighbor.
        block: the block, (h, w).
        neighbors: the neighbors.

    Returns:
        (…, planes · h, w).
    """
    own = image[..., block.rows, block.columns]
    if not neighbors:
        return own
    others = (getattr(n, name)[(..., *n.area(block))] for n in neighbors)
    return torch.cat([own, *others], -2)


def patch_size(size: tuple[int, int], groups: Groups) -> tuple[int, int]:
    """Return (height, width) of the patches in an image of (height, width), which may be thin."""
    return min(groups.patch, size[0]), min(groups.patch, size[1])


def extract_patches(plane: Tensor, patch: tuple[int, int]) -> Tensor:
    """Return every patch of a plane as a row: (H, W) -> (positions, h·w), positions by rows."""
    return F.unfold(plane[None, None], patch)[0].T.contiguous()


def split_into_blocks(
    size: tuple[int, int], groups: Groups, cut: Cut | None = None
) -> list[list[Block]]:
    """Return the blocks of an image of (height, width), in four colors, like a chessboard of two.

    Blocks limit the memory that is needed; a group is the same as it would be in the whole image.
    Those of a color reach no common pixel.

    Args:
        size: of the image, or of the part that is cut out of one.
        groups: how patches are grouped.
        cut: where the part lies; its blocks are then those of the whole that fill its area.
    """
    patch = patch_size(size, groups)
    axes = []
    for axis, (side, p) in enumerate(zip(size, patch, strict=True)):
        if cut is None or cut.area is None:
            start = 0 if cut is None else cut.corner[axis]
            axes.append(list(_spans(side - p + 1, p, groups, start)))
        else:
            spans = _spans(cut.size[axis] - p + 1, p, groups)
            kept = (_trim(*span, cut.size[axis], p, groups, cut.area[axis]) for span in spans)
            first = cut.corner[axis]
            axes.append([(slice(s.start - first, s.stop - first), at) for s, at in kept])
    down, across = axes
    return [
        [
            Block(rows, columns, y, x)
            for rows, y in down[top::2]
            for columns, x in across[left::2]
            if len(y) and len(x)
        ]
        for top in (0, 1)
        for left in (0, 1)
    ]


def window_size(size: tuple[int, int], groups: Groups) -> tuple[int, int]:
    """Return (height, width) of the positions that a reference searches in an image or a block."""
    patch = patch_size(size, groups)
    height, width = (side - p + 1 for side, p in zip(size, patch, strict=True))
    return min(height, groups.window), min(width, groups.window)


def match_blocks(
    guide: Tensor, block: Block, groups: Groups, planes: int = 1, *, own: bool = True
) -> Tensor:
    """Find the nearest patches of each reference patch in a block, in all planes.

    Args:
        guide: (planes · H, W) that patches are compared on, cut to the block, planes below each
            other; the references are in the first.
        block: the references, on the CPU.
        groups: how they are grouped.
        planes: how many there are.
        own: whether the first plane is searched too.

    Returns:
        Positions, plane by plane and by rows, (references, similar); each reference's own among
        them if its plane is searched.
    """
    device = guide.device
    size = len(guide) // planes, guide.shape[1]
    patch, window = patch_size(size, groups), window_size(size, groups)
    rows, columns = (side - p + 1 for side, p in zip(size, patch, strict=True))
    patches = torch.cat([extract_patches(plane, patch) for plane in guide.split(size[0])])
    axes = [
        _search(references.to(device), window, positions, groups)
        for references, window, positions in zip(
            (block.down, block.across), window, (rows, columns), strict=True
        )
    ]
    (down, tops, tall, far_down), (across, lefts, wide, far_across) = axes
    offsets = torch.arange(tall, device=device)[:, None] * columns
    offsets = (offsets + torch.arange(wide, device=device)).flatten()
    searched = planes if own else planes - 1
    starts = torch.arange(planes - searched, planes, device=device)[:, None] * (rows * columns)
    offsets = (starts + offsets).flatten()  # (candidates)
    corners = (tops[:, None] * columns + lefts).flatten()  # (cells)
    references = down[:, None, :, None] * columns + across[None, :, None, :]
    references = references.flatten(2).flatten(0, 1)  # (cells, 16)
    squared_norms = patches.square().sum(1)
    count = min(groups.similar, searched * window[0] * window[1])
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
        far = (  # (cells, 4, 1, tall, 1) and (cells, 1, 4, 1, wide)
            far_down[cells // len(lefts)][:, :, None, :, None]
            | far_across[cells % len(lefts)][:, None, :, None, :]
        )
        far = far.flatten(3).flatten(1, 2).repeat(1, 1, searched)
        distance.masked_fill_(far, math.inf)
        # A reference is nearest to itself, whatever rounding says.
        is_reference = candidates[:, None] == references[cells][..., None]
        distance.masked_fill_(is_reference, -math.inf)
        nearest = distance.topk(count, largest=False, sorted=False).indices
        positions = candidates.gather(1, nearest.flatten(1)).view(*nearest.shape)
        matches.append(positions.flatten(0, 1))
    grid = torch.cat(matches).view(len(tops), len(lefts), _CELL, _CELL, count)
    grid = grid.transpose(1, 2).flatten(2, 3).flatten(0, 1)  # (references down, across, similar)
    return grid[: len(block.down), : len(block.across)].flatten(0, 1)


def _spans(
    count: int, patch: int, groups: Groups, start: int = 0
) -> Iterator[tuple[slice, Tensor]]:
    """Yield the pixels of each block along one axis, and its references from their start.

    Args:
        count: patch positions along the axis.
        patch: pixels of a patch along the axis.
        groups: how patches are grouped.
        start: of the axis in that of an image that it was cut from, whose references it has.
    """
    positions = _grid(count, groups, start)
    window = min(count, groups.window)
    # Between two blocks of a color lies another one, which neither crosses.
    least = math.ceil((groups.window + groups.patch) / groups.stride)
    length = min(max(least, len(positions) // _BLOCKS), _LARGEST * least)
    for references in positions.tensor_split(max(1, len(positions) // length)):
        starts = (references - window // 2).clamp(0, count - window)
        first, last = int(starts[0]), int(starts[-1]) + window + patch - 1
        yield slice(first, last), references - first


def _grid(count: int, groups: Groups, start: int = 0) -> Tensor:
    """Return the first positions of references along an axis, with one at each end."""
    positions = torch.arange(-start % groups.stride, count, groups.stride, device="cpu")
    ends = torch.tensor([0, count - 1], device="cpu")
    return torch.cat([positions, ends]).unique()


def _trim(
    pixels: slice, references: Tensor, side: int, patch: int, groups: Groups, area: slice
) -> tuple[slice, Tensor]:
    """Return a block's pixels and references along an axis, those alone that reach an area.

    Args:
        pixels: of the block, as `_spans` yields them.
        references: likewise.
        side: of the image.
        patch: pixels of a patch along the axis.
        groups: how patches are grouped.
        area: pixels along the axis.
    """
    count = side - patch + 1
    window = min(count, groups.window)
    positions = references + pixels.start
    starts = (positions - window // 2).clamp(0, count - window)
    reaching = (starts < area.stop) & (starts + window + patch - 1 > area.start)
    positions, starts = positions[reaching], starts[reaching]
    if not len(positions):
        return slice(0, 0), positions
    first, last = int(starts[0]), int(starts[-1]) + window + patch - 1
    return slice(first, last), positions - first


def _read_span(area: slice, side: int, patch: int, groups: Groups) -> slice:
    """Return the pixels along an axis that a pass reads to fill an area of it."""
    positions = _grid(side - patch + 1, groups)
    return _trim(slice(0, side), positions, side, patch, groups, area)[0]


def _search(
    references: Tensor, window: int, count: int, groups: Groups
) -> tuple[Tensor, Tensor, int, Tensor]:
    """Return the cells along one axis, where each searches, how far, and what is too far.

    Args:
        references: first positions of the patches.
        window: positions that each of them searches.
        count: positions of the block.
        groups: how patches are grouped.

    Returns:
        References (cells, 4), the last one repeated; first positions (cells); positions that a cell
        searches; and whether they lie beyond a reference's window, (cells, 4, positions).
    """
    missing = -len(references) % _CELL
    cells = torch.cat([references, references[-1:].expand(missing)]).view(-1, _CELL)
    length = min(count, window + (_CELL - 1) * groups.stride)
    starts = (cells - window // 2).clamp(0, count - window)
    firsts = starts[:, 0].clamp(max=count - length)
    positions = firsts[:, None, None] + torch.arange(length, device=references.device)
    inside = (positions >= starts[..., None]) & (positions < starts[..., None] + window)
    return cells, firsts, length, ~inside
