"""Running the trunk over a picture of any size, tile by tile, exactly.

The trunk is cut behind its third block. Each part is swept over its input in tiles that overlap by
as far as the part sees; only what the second part reads is kept for the whole picture (one eighth
of the side, 256 channels). Backwards, each tile's layers are computed again, the loss's gradient is
added to the tile's own positions only, and what reaches the overlaps is added up: the sum over
tiles is the gradient of the whole picture, not an approximation. A part that fits in one tile keeps
its layers instead of computing them twice: a small picture costs nothing more than untiled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import product
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from impasto.compute.memory import free, ran_out, release
from impasto.errors import MemoryShortageError
from impasto.vgg.trunk import POOLED, Trunk
from impasto.vgg.winograd import PIECE

T = TypeVar("T")

CUT = "conv4_1"  # where the second part begins
STRIDE = 8  # pixels a side that become one position of the second part's input
DEEP = 2  # the second part's tiles are this many times as long as the first's: its layers are small

LEAST = 48  # side of the smallest tile, in pixels

Place = tuple[slice, slice]  # rows and columns of a layer's grid
VisitAt = Callable[[str, Tensor, Place], None]
InjectAt = Callable[[str, Tensor, Tensor, Place], None]


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


class Part(NamedTuple):
    """Consecutive convolutions and the tiles their input is swept in."""

    names: tuple[str, ...]
    tiles: list[Tile]

    @property
    def whole(self) -> bool:
        """Whether one tile holds everything."""
        return len(self.tiles) == 1


class Swept(NamedTuple):
    """What a forward sweep leaves for the backward one."""

    inputs: list[Tensor]  # what each part reads
    tapes: list[dict[str, Tensor] | None]  # of parts that are one tile


class Sweep:
    """The trunk over pictures of one size.

    Args:
        trunk: the network.
        size: (width, height) of the pictures, in pixels.
        tile: side of the tiles' own part, in pixels, at least 16; None takes the picture whole.

    Example:
        >>> from impasto.vgg.weights import load
        >>> sweep = Sweep(Trunk(load(), ["relu2_1"]), (80, 48), tile=32)
        >>> len(sweep.parts[0].tiles), sweep.parts[0].tiles[0].outer
        (6, (slice(0, 32, None), slice(0, 40, None)))
    """

    def __init__(self, trunk: Trunk, size: tuple[int, int], tile: int | None = None) -> None:
        self.trunk = trunk
        self.size = size
        self._cut(tile)

    def _cut(self, tile: int | None) -> None:
        """Lay out the parts and their tiles."""
        self.tile = tile
        trunk, grid = self.trunk, self.size[::-1]
        parts = split(trunk.names)
        sides = [tile, tile and max(2, DEEP * tile // STRIDE)]
        self.parts = []
        for names, side in zip(parts, sides, strict=False):
            pieces = [trunk.convolutions[name].piece for name in names]
            self.parts.append(Part(names, tiles(grid, side, _grain(names), sight(names, pieces))))
            grid = tuple(length // STRIDE for length in grid)

    def within_memory(self, attempt: Callable[[], T]) -> T:
        """Try something with this sweep; where memory runs out, again in tiles half as long.

        Raises:
            MemoryShortageError: not even the smallest tile fits.
        """
        while True:
            try:
                return attempt()
            except (MemoryError, RuntimeError) as error:
                if not ran_out(error):
                    raise
            # Outside the handler, whose traceback holds on to everything the attempt had.
            release(self.trunk.device)
            side = min(self.tile or max(self.size), max(self.size)) // 2
            if side < LEAST:
                left = free(self.trunk.device) / 2**30
                raise MemoryShortageError(
                    f"`size` must leave memory for a tile of {LEAST} pixels a side, got "
                    f"{self.size[0]} × {self.size[1]} with {left:.2g} GiB free; choose a smaller "
                    "size or close other programs"
                )
            self._cut(side // 16 * 16)

    def forward(self, pixels: Tensor, visit: VisitAt, *, keep: bool = False) -> Swept:
        """Read every layer that the trunk was asked for, tile by tile.

        Args:
            pixels: (3, H, W) float32 in [0, 1].
            visit: called with each layer, its features (C, h, w) at a tile's own positions,
                and where they lie in the whole layer.
            keep: whether a backward sweep will follow.
        """
        swept = Swept([pixels], [])
        for part in self.parts:
            tape = {} if keep and part.whole else None
            swept.tapes.append(tape)
            last = part is self.parts[-1]
            below = None
            for tile in part.tiles:
                out = self._run(swept.inputs[-1], part, tile, visit, tape)
                if last:
                    continue
                pooled = self.trunk.pool(out)
                below = pooled if part.whole else self._written(below, pooled, pixels, tile)
            if not last:
                swept.inputs.append(below)
        return swept

    def backward(self, swept: Swept, inject: InjectAt) -> Tensor:
        """The gradient in the pixels, (3, H, W) float32 (float64 stays), of losses in the layers.

        Args:
            swept: what `forward` left, with `keep`; used up.
            inject: called with each layer, its features (C, h, w) at a tile's own positions,
                the gradient there (C, h, w), to which it adds the loss's own in place, and where
                they lie in the whole layer.
        """
        above = None
        for part in reversed(self.parts):
            source, kept = swept.inputs.pop(), swept.tapes.pop()
            if part.whole:
                (tile,) = part.tiles
                above = self._back(source, part, tile, inject, kept, above)
                continue
            total = torch.zeros_like(source, memory_format=torch.preserve_format)
            for tile in part.tiles:
                gradient = self._back(source, part, tile, inject, None, above)
                total[..., tile.outer[0], tile.outer[1]] += gradient.view(
                    gradient.shape[-total.ndim :]
                )
            above = total
        return above.view(above.shape[-3:]).to(torch.promote_types(above.dtype, torch.float32))

    def _run(
        self,
        source: Tensor,
        part: Part,
        tile: Tile,
        visit: VisitAt | None,
        tape: dict[str, Tensor] | None,
    ) -> Tensor:
        """One tile forwards; the last convolution's output, (1, C, h, w)."""
        x = source[..., tile.outer[0], tile.outer[1]]
        if part is self.parts[0]:
            x = self.trunk.normalized(x)
        return self.trunk.forward(x, part.names, partial(_seen, visit, part, tile), tape)

    def _back(
        self,
        source: Tensor,
        part: Part,
        tile: Tile,
        inject: InjectAt,
        tape: dict[str, Tensor] | None,
        above: Tensor | None,
    ) -> Tensor:
        """One tile backwards: the gradient in what it reads, (1, C, h, w)."""
        if tape is None:
            tape = {}
            self._run(source, part, tile, None, tape)
        gradient = None
        if above is not None:
            last = tape[part.names[-1]]
            if not part.whole:
                whole, local = tile.at(STRIDE)
                own = above[..., *whole]
                above = _empty(last, [side // 2 for side in last.shape[-2:]]).zero_()
                above[..., *local] = own
            gradient = self.trunk.unpool(last, above)
        return self.trunk.backward(tape, partial(_injected, inject, part, tile), gradient)

    def _written(self, below: Tensor | None, pooled: Tensor, pixels: Tensor, tile: Tile) -> Tensor:
        """What the next part reads, with one tile's share filled in."""
        if below is None:
            below = _empty(pooled, [length // STRIDE for length in pixels.shape[-2:]])
        whole, local = tile.at(STRIDE)
        below[..., *whole] = pooled[..., *local]
        return below


def _empty(like: Tensor, sides: list[int]) -> Tensor:
    """Room for as many channels of the same kind at another size, channels last."""
    return torch.empty(
        (1, like.shape[1], *sides),
        dtype=like.dtype,
        device=like.device,
        memory_format=torch.channels_last,
    )


def split(names: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The trunk's convolutions in the parts that are swept one after the other."""
    if CUT not in names:
        return [names]
    cut = names.index(CUT)
    return [names[:cut], names[cut:]]


def sight(names: Sequence[str], pieces: Sequence[int]) -> int:
    """How far to each side a position at a part's end sees, in positions of its input.

    Args:
        names: the part's convolutions.
        pieces: how many positions a side each of them computes together: where one of a piece is
            needed, what all of them read must be there, or the rounding is another. Between nearly
            equal values that would let another one pass the pooling.

    Example:
        >>> sight(["conv1_1", "conv1_2", "conv2_1"], [1, 1, 1])
        4
        >>> sight(["conv1_1", "conv1_2", "conv2_1", "conv2_2"], [1, 1, 4, 4])
        12
    """
    reach = 0
    for place, (name, piece) in reversed(list(enumerate(zip(names, pieces, strict=True)))):
        reach = -(-reach // piece) * piece + 1
        if place and name in POOLED:
            reach *= 2
    return reach


def _grain(names: Sequence[str]) -> int:
    """Positions of a part's input that tiles begin at multiples of: whole pieces in every layer."""
    return PIECE * 2 ** sum(name in POOLED for name in names[1:])


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


def _stride(layer: str, part: Part) -> int:
    """Positions a side of a part's input that become one of a layer."""
    return 2 ** (int(layer[4]) - int(part.names[0][4]))


def _seen(visit: VisitAt | None, part: Part, tile: Tile, layer: str, features: Tensor) -> None:
    """Hand on a tile's own share of a layer."""
    if visit is not None:
        whole, local = tile.at(_stride(layer, part))
        visit(layer, features[:, *local], whole)


def _injected(
    inject: InjectAt, part: Part, tile: Tile, layer: str, features: Tensor, gradient: Tensor
) -> None:
    """Let the loss add its gradient at a tile's own share of a layer."""
    whole, local = tile.at(_stride(layer, part))
    inject(layer, features[:, *local], gradient[:, *local], whole)
