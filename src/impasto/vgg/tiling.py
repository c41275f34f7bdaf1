"""Running the trunk over a picture of any size, tile by tile, exactly.

The trunk is cut behind its third block. Each part is swept over its input in tiles that overlap by
as far as the part sees; only what the second part reads is kept for the whole picture (one eighth
of the side, 256 channels). Backwards, each tile's layers are computed again, the loss's gradient is
added to the tile's own positions only, and what reaches the overlaps is added up: the sum over
tiles is the gradient of the whole picture, not an approximation. A part that fits in one tile keeps
its layers instead of computing them twice: a small picture costs nothing more than untiled.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from impasto.errors import MemoryShortageError
from impasto.memory import available_bytes, is_out_of_memory, release_caches
from impasto.recipes import parse_layer
from impasto.vgg.network import VGG19Features
from impasto.vgg.tiles import Place, Tile, alignment, receptive_field, split, tiles

T = TypeVar("T")

STRIDE = 8  # pixels a side that become one position of the second part's input
DEEP = 2  # the second part's tiles are this many times as long as the first's: its layers are small

LEAST = 48  # side of the smallest tile, in pixels

VisitAt = Callable[[str, Tensor, Place], None]
InjectAt = Callable[[str, Tensor, Tensor, Place], None]


class Segment(NamedTuple):
    """Consecutive convolutions and the tiles their input is swept in."""

    names: tuple[str, ...]
    tiles: list[Tile]

    @property
    def whole(self) -> bool:
        """Whether one tile holds everything."""
        return len(self.tiles) == 1


class ForwardState(NamedTuple):
    """What a forward sweep leaves for the backward one."""

    inputs: list[Tensor]  # what each part reads
    tapes: list[dict[str, Tensor] | None]  # of parts that are one tile


class TiledNetwork:
    """The trunk over pictures of one size.

    Args:
        trunk: the network.
        size: (width, height) of the pictures, in pixels.
        tile: side of the tiles' own part, in pixels, at least 16; None takes the picture whole.

    Example:
        >>> from impasto.vgg.weights import load_weights
        >>> sweep = TiledNetwork(VGG19Features(load_weights(), ["relu2_1"]), (80, 48), tile=32)
        >>> len(sweep.parts[0].tiles), sweep.parts[0].tiles[0].outer
        (6, (slice(0, 32, None), slice(0, 40, None)))
    """

    def __init__(
        self, trunk: VGG19Features, size: tuple[int, int], tile: int | None = None
    ) -> None:
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
            self.parts.append(
                Segment(names, tiles(grid, side, alignment(names), receptive_field(names, pieces)))
            )
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
                if not is_out_of_memory(error):
                    raise
            # Outside the handler, whose traceback holds on to everything the attempt had.
            release_caches(self.trunk.device)
            side = min(self.tile or max(self.size), max(self.size)) // 2
            if side < LEAST:
                left = available_bytes(self.trunk.device) / 2**30
                raise MemoryShortageError(
                    f"`size` must leave memory for a tile of {LEAST} pixels a side, got "
                    f"{self.size[0]} × {self.size[1]} with {left:.2g} GiB free; choose a smaller "
                    "size or close other programs"
                )
            self._cut(side // 16 * 16)

    def forward(self, pixels: Tensor, visit: VisitAt, *, keep: bool = False) -> ForwardState:
        """Read every layer that the trunk was asked for, tile by tile.

        Args:
            pixels: (3, H, W) float32 in [0, 1].
            visit: called with each layer, its features (C, h, w) at a tile's own positions,
                and where they lie in the whole layer.
            keep: whether a backward sweep will follow.
        """
        swept = ForwardState([pixels], [])
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

    def backward(self, swept: ForwardState, inject: InjectAt) -> Tensor:
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
        part: Segment,
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
        part: Segment,
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


def _stride(layer: str, part: Segment) -> int:
    """Positions a side of a part's input that become one of a layer."""
    return parse_layer(layer).stride // parse_layer(part.names[0]).stride


def _seen(visit: VisitAt | None, part: Segment, tile: Tile, layer: str, features: Tensor) -> None:
    """Hand on a tile's own share of a layer."""
    if visit is not None:
        whole, local = tile.at(_stride(layer, part))
        visit(layer, features[:, *local], whole)


def _injected(
    inject: InjectAt, part: Segment, tile: Tile, layer: str, features: Tensor, gradient: Tensor
) -> None:
    """Let the loss add its gradient at a tile's own share of a layer."""
    whole, local = tile.at(_stride(layer, part))
    inject(layer, features[:, *local], gradient[:, *local], whole)
