"""The network over an image of any size, tile by tile, exactly.

The network is cut behind its third block into two segments. Each segment runs over its input in
tiles that overlap by its receptive field; only the second segment's input is stored for the whole
image (one eighth of the side, 256 channels). Backwards, each tile's activations are computed again,
the loss's gradient is added at the tile's inner positions only, and the gradients in the overlaps
are added up: the sum over tiles is the gradient of the whole image, not an approximation. A segment
that fits in one tile saves its activations instead of computing them twice, so that a small image
costs no more than without tiles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import product
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from impasto.errors import MemoryShortageError
from impasto.memory import GIB, available_bytes, within_memory
from impasto.recipes import parse_layer
from impasto.vgg.network import POOLED, VGG19Features
from impasto.vgg.winograd import OUTPUT_TILE

T = TypeVar("T")

CUT = "conv4_1"  # the first convolution of the second segment
STRIDE = 8  # pixels a side that become one position of the second segment's input
# The second segment's tiles are so many times as long as the first's: its layers are small.
_DEEP_FACTOR = 2
MIN_TILE = 48  # side of the smallest tile, in pixels

Place = tuple[slice, slice]  # rows and columns of a layer's grid
# As `OnFeatures` and `AddGradient`, for a tile's inner positions, and where they lie in the layer.
OnTileFeatures = Callable[[str, Tensor, Place], None]
AddTileGradient = Callable[[str, Tensor, Tensor, Place], None]


class Tile(NamedTuple):
    """A tile's place in its segment's input.

    Attributes:
        inner: the positions that this tile alone computes.
        padded: the same with the receptive field around them.
    """

    inner: Place
    padded: Place

    def at_layer(self, stride: int) -> tuple[Place, Place]:
        """Return the inner positions at a layer of a stride: in the layer, and in the tile."""
        in_layer = tuple(slice(i.start // stride, i.stop // stride) for i in self.inner)
        begins = (p.start // stride for p in self.padded)
        in_tile = tuple(
            slice(i.start - b, i.stop - b) for i, b in zip(in_layer, begins, strict=True)
        )
        return in_layer, in_tile


class Segment(NamedTuple):
    """Consecutive convolutions and the tiles that their input is read in."""

    names: tuple[str, ...]
    tiles: list[Tile]

    @property
    def is_whole(self) -> bool:
        """True if one tile holds everything."""
        return len(self.tiles) == 1

    def stride_of(self, layer: str) -> int:
        """Return the positions a side of the input that become one position of a layer."""
        return parse_layer(layer).stride // parse_layer(self.names[0]).stride


class ForwardState(NamedTuple):
    """The tensors that `TiledNetwork.forward` leaves for `TiledNetwork.backward`."""

    inputs: list[Tensor]  # of each segment
    activations: list[dict[str, Tensor] | None]  # of segments that are one tile


class TiledNetwork:
    """The network over images of one size.

    Args:
        network: the network.
        size: (width, height) of the images, in pixels.
        tile: side of the tiles' inner part, in pixels, at least 16; None takes the image whole.

    Example:
        >>> from impasto.vgg.weights import load_weights
        >>> tiled = TiledNetwork(VGG19Features(load_weights(), ["relu2_1"]), (80, 48), tile=32)
        >>> len(tiled.segments[0].tiles), tiled.segments[0].tiles[0].padded
        (6, (slice(0, 32, None), slice(0, 40, None)))
    """

    def __init__(
        self, network: VGG19Features, size: tuple[int, int], tile: int | None = None
    ) -> None:
        self.network = network
        self.size = size
        self._set_tile(tile)

    def _set_tile(self, tile: int | None) -> None:
        """Lay out the segments and their tiles."""
        self.tile = tile
        grid = self.size[::-1]
        sides = [tile, tile and max(2, _DEEP_FACTOR * tile // STRIDE)]
        self.segments = []
        for names, side in zip(split(self.network.names), sides, strict=False):
            output_tiles = [self.network.convolutions[name].output_tile for name in names]
            margin = receptive_field(names, output_tiles)
            self.segments.append(Segment(names, tiles(grid, side, alignment(names), margin)))
            grid = tuple(length // STRIDE for length in grid)

    def within_memory(self, attempt: Callable[[], T]) -> T:
        """Call `attempt`, which uses this network; if memory runs out, again with smaller tiles.

        Raises:
            MemoryShortageError: not even the smallest tile fits.
        """
        return within_memory(attempt, self._halve_tiles, self.network.device)

    def _halve_tiles(self) -> None:
        """Make the tiles half as long."""
        side = min(self.tile or max(self.size), max(self.size)) // 2
        if side < MIN_TILE:
            free = available_bytes(self.network.device) / GIB
            raise MemoryShortageError(
                f"`size` must leave memory for a tile of {MIN_TILE} pixels a side, got "
                f"{self.size[0]} × {self.size[1]} with {free:.2g} GiB free; choose a smaller "
                "size or close other programs"
            )
        self._set_tile(side // 16 * 16)

    def forward(
        self, pixels: Tensor, on_features: OnTileFeatures, *, keep: bool = False
    ) -> ForwardState:
        """Compute every layer that the network was asked for, tile by tile.

        Args:
            pixels: (3, H, W) float32 in [0, 1].
            on_features: called with each layer, its features (C, h, w) at a tile's inner positions,
                and where they lie in the layer.
            keep: save the activations that `backward` needs.
        """
        state = ForwardState([pixels], [])
        for segment in self.segments:
            activations = {} if keep and segment.is_whole else None
            state.activations.append(activations)
            is_last = segment is self.segments[-1]
            next_input = None
            for tile in segment.tiles:
                out = self._forward_tile(state.inputs[-1], segment, tile, on_features, activations)
                if is_last:
                    continue
                pooled = self.network.pool(out)
                if segment.is_whole:
                    next_input = pooled
                    continue
                if next_input is None:
                    sides = [length // STRIDE for length in pixels.shape[-2:]]
                    next_input = _empty_like(pooled, sides)
                in_layer, in_tile = tile.at_layer(STRIDE)
                next_input[..., *in_layer] = pooled[..., *in_tile]
            if not is_last:
                state.inputs.append(next_input)
        return state

    def backward(self, state: ForwardState, add_gradient: AddTileGradient) -> Tensor:
        """Return the gradient in the pixels of losses in the layers.

        Args:
            state: what `forward` returned with `keep`; emptied on the way.
            add_gradient: called with each layer, its features (C, h, w) at a tile's inner
                positions, the gradient there (C, h, w), to which it adds the loss's own in place,
                and where they lie in the layer.

        Returns:
            (3, H, W) float32; float64 for a network in float64.
        """
        gradient = None  # in the segment's pooled output, then in its input
        for segment in reversed(self.segments):
            segment_input, activations = state.inputs.pop(), state.activations.pop()
            if segment.is_whole:
                (tile,) = segment.tiles
                gradient = self._backward_tile(
                    segment_input, segment, tile, add_gradient, activations, gradient
                )
                continue
            total = torch.zeros_like(segment_input, memory_format=torch.preserve_format)
            for tile in segment.tiles:
                tile_gradient = self._backward_tile(
                    segment_input, segment, tile, add_gradient, None, gradient
                )
                total[..., tile.padded[0], tile.padded[1]] += tile_gradient.view(
                    tile_gradient.shape[-total.ndim :]
                )
            gradient = total
        dtype = torch.promote_types(gradient.dtype, torch.float32)
        return gradient.view(gradient.shape[-3:]).to(dtype)

    def _forward_tile(
        self,
        segment_input: Tensor,
        segment: Segment,
        tile: Tile,
        on_features: OnTileFeatures | None,
        activations: dict[str, Tensor] | None,
    ) -> Tensor:
        """Run one tile forwards; return the last convolution's output, (1, C, h, w)."""
        x = segment_input[..., tile.padded[0], tile.padded[1]]
        if segment is self.segments[0]:
            x = self.network.normalize(x)
        callback = partial(_on_tile_features, on_features, segment, tile)
        return self.network.forward(x, segment.names, callback, activations)

    def _backward_tile(
        self,
        segment_input: Tensor,
        segment: Segment,
        tile: Tile,
        add_gradient: AddTileGradient,
        activations: dict[str, Tensor] | None,
        pooled_gradient: Tensor | None,
    ) -> Tensor:
        """Run one tile backwards; return the gradient in its input, (1, C, h, w).

        Args:
            segment_input: of the whole image.
            segment: its convolutions.
            tile: the tile.
            add_gradient: as for `backward`.
            activations: the tile's; None computes them again.
            pooled_gradient: in the segment's pooled output for the whole image; None in the last
                segment.
        """
        if activations is None:
            activations = {}
            self._forward_tile(segment_input, segment, tile, None, activations)
        gradient = None
        if pooled_gradient is not None:
            last = activations[segment.names[-1]]
            if not segment.is_whole:
                # Only the tile's inner positions count; its neighbors add the others.
                in_layer, in_tile = tile.at_layer(STRIDE)
                inner = pooled_gradient[..., *in_layer]
                pooled_gradient = _empty_like(last, [side // 2 for side in last.shape[-2:]]).zero_()
                pooled_gradient[..., *in_tile] = inner
            gradient = self.network.pool_backward(last, pooled_gradient)
        callback = partial(_add_tile_gradient, add_gradient, segment, tile)
        return self.network.backward(activations, callback, gradient)


def split(names: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Split the network's convolutions into the segments that run one after the other."""
    if CUT not in names:
        return [names]
    cut = names.index(CUT)
    return [names[:cut], names[cut:]]


def receptive_field(names: Sequence[str], output_tiles: Sequence[int]) -> int:
    """Return the receptive field's radius of a segment's last layer, in input positions.

    Args:
        names: the segment's convolutions.
        output_tiles: how many positions a side each of them computes together. Where one of them is
            needed, all that they read must be in the tile, or the rounding differs; between nearly
            equal values another one would then pass the pooling.

    Example:
        >>> receptive_field(["conv1_1", "conv1_2", "conv2_1"], [1, 1, 1])
        4
        >>> receptive_field(["conv1_1", "conv1_2", "conv2_1", "conv2_2"], [1, 1, 4, 4])
        12
    """
    radius = 0
    layers = list(enumerate(zip(names, output_tiles, strict=True)))
    for index, (name, output_tile) in reversed(layers):
        radius = -(-radius // output_tile) * output_tile + 1
        if index and name in POOLED:
            radius *= 2
    return radius


def alignment(names: Sequence[str]) -> int:
    """Return the multiple of input positions at which tiles begin.

    Every layer then computes the same groups of positions together as without tiles.
    """
    return OUTPUT_TILE * 2 ** sum(name in POOLED for name in names[1:])


def tiles(grid: tuple[int, int], side: int | None, stride: int, margin: int) -> list[Tile]:
    """Cover a grid with tiles, as equal as the stride allows.

    Args:
        grid: (height, width).
        side: most positions a side of a tile's inner part; None for one tile.
        stride: tiles begin at multiples of it, so that pooling and convolutions see the same groups
            of positions everywhere: a tile's inner values are those of the whole, bit for bit.
        margin: positions that a tile reads on each side of its inner part, rounded up to a multiple
            of the stride.
    """
    margin = -(-margin // stride) * stride
    axes = [list(_spans(length, side or length, stride, margin)) for length in grid]
    return [Tile((rows[0], columns[0]), (rows[1], columns[1])) for rows, columns in product(*axes)]


def _spans(length: int, side: int, stride: int, margin: int) -> Iterator[tuple[slice, slice]]:
    """Yield the inner and the padded span of each tile along one axis."""
    step = -(-length // (-(-length // side)))  # equal shares
    step = -(-step // stride) * stride
    for begin in range(0, length, step):
        end = min(begin + step, length)
        if length - end < stride:
            end = length  # a remainder shorter than one output position joins the last tile
        yield slice(begin, end), slice(max(0, begin - margin), min(length, end + margin))
        if end == length:
            return


def _empty_like(x: Tensor, sides: list[int]) -> Tensor:
    """Allocate a tensor like (1, C, h, w) with other sides, channels last."""
    return torch.empty(
        (1, x.shape[1], *sides),
        dtype=x.dtype,
        device=x.device,
        memory_format=torch.channels_last,
    )


def _on_tile_features(
    on_features: OnTileFeatures | None, segment: Segment, tile: Tile, layer: str, features: Tensor
) -> None:
    """Hand on a layer's features at a tile's inner positions."""
    if on_features is not None:
        in_layer, in_tile = tile.at_layer(segment.stride_of(layer))
        on_features(layer, features[:, *in_tile], in_layer)


def _add_tile_gradient(
    add_gradient: AddTileGradient,
    segment: Segment,
    tile: Tile,
    layer: str,
    features: Tensor,
    gradient: Tensor,
) -> None:
    """Let the loss add its gradient at a tile's inner positions of a layer."""
    in_layer, in_tile = tile.at_layer(segment.stride_of(layer))
    add_gradient(layer, features[:, *in_tile], gradient[:, *in_tile], in_layer)
