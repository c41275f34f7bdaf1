"""Tiles: where they lie, how far they must see, and where the trunk is cut in parts for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import NamedTuple

from impasto.vgg.network import POOLED
from impasto.vgg.winograd import OUTPUT_TILE

CUT = "conv4_1"  # where the second part begins

Place = tuple[slice, slice]  # rows and columns of a layer's grid


class Tile(NamedTuple):
    """A tile's own positions and those it must see, as (rows, columns) of its part's input."""

    core: Place
    outer: Place

    def at(self, stride: int) -> tuple[Place, Place]:
        """The core at a layer of a stride: in the whole layer, and in the tile's own piece."""
        whole = tuple(slice(c.start // stride, c.stop // stride) for c in self.core)
        begins = (o.start // stride for o in self.outer)
        local = tuple(slice(w.start - b, w.stop - b) for w, b in zip(whole, begins, strict=True))
        return whole, local


def split(names: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The trunk's convolutions in the parts that are swept one after the other."""
    if CUT not in names:
        return [names]
    cut = names.index(CUT)
    return [names[:cut], names[cut:]]


def receptive_field(names: Sequence[str], pieces: Sequence[int]) -> int:
    """How far to each side a position at a part's end sees, in positions of its input.

    Args:
        names: the part's convolutions.
        pieces: how many positions a side each of them computes together: where one of a piece is
            needed, what all of them read must be there, or the rounding is another. Between nearly
            equal values that would let another one pass the pooling.

    Example:
        >>> receptive_field(["conv1_1", "conv1_2", "conv2_1"], [1, 1, 1])
        4
        >>> receptive_field(["conv1_1", "conv1_2", "conv2_1", "conv2_2"], [1, 1, 4, 4])
        12
    """
    reach = 0
    for place, (name, piece) in reversed(list(enumerate(zip(names, pieces, strict=True)))):
        reach = -(-reach // piece) * piece + 1
        if place and name in POOLED:
            reach *= 2
    return reach


def alignment(names: Sequence[str]) -> int:
    """Positions of a part's input that tiles begin at multiples of: whole pieces in every layer."""
    return OUTPUT_TILE * 2 ** sum(name in POOLED for name in names[1:])


def tiles(grid: tuple[int, int], side: int | None, stride: int, reach: int) -> list[Tile]:
    """Tiles that cover a grid, as equal as the stride allows.

    Args:
        grid: (height, width).
        side: most positions a side of a tile's own; None for one tile.
        stride: tiles begin at multiples of it, so that pooling sees the same pairs everywhere and
            the convolutions the same pieces: what a tile computes is what the whole would, bit for
            bit, up to where the tile's end is seen.
        reach: how far beyond its own positions a tile must see.
    """
    margin = -(-reach // stride) * stride
    axes = [list(_spans(length, side or length, stride, margin)) for length in grid]
    return [Tile((rows[0], columns[0]), (rows[1], columns[1])) for rows, columns in product(*axes)]


def _spans(length: int, side: int, stride: int, margin: int) -> Iterator[tuple[slice, slice]]:
    """The tiles' own span and the span they see, along one axis."""
    step = -(-length // (-(-length // side)))  # equal shares
    step = -(-step // stride) * stride
    for begin in range(0, length, step):
        end = min(begin + step, length)
        if length - end < stride:
            end = length  # a rest too small for one position at the part's end joins the last tile
        yield slice(begin, end), slice(max(0, begin - margin), min(length, end + margin))
        if end == length:
            return
