"""Peak memory and arithmetic of one evaluation, forwards and backwards.

Both are counted from the sizes of the layers, without running anything.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from impasto.vgg.network import POOLED, VGG19Features
from impasto.vgg.tiling import STRIDE, Tile, TiledNetwork

# The C library does not give smaller pieces than this back to the system (glibc, 64 bit), and then
# holds more of them than are in use.
_SMALL_PIECE = 32 * 2**20
_SMALL_PIECE_OVERHEAD = 2.2
_INDEX_BYTES = 8  # for each feature that pooling lets through
# Besides the layers: small matrices, and freed memory that was not given back, which grows with the
# image up to a limit. Measured (docs/log.md).
_BASE, _BASE_PER_PIXEL, _BASE_MAX_GROWTH = 160 * 2**20, 64, 128 * 2**20


def peak_bytes(tiled: TiledNetwork, content_layers: Collection[str] = ()) -> int:
    """Return the bytes that an evaluation takes at its peak, besides the pixels.

    Args:
        tiled: the network, the size and the tiles.
        content_layers: layers that have a content loss.
    """
    width, height = tiled.size
    base = _BASE + min(_BASE_PER_PIXEL * width * height, _BASE_MAX_GROWTH)
    gradient = 12 * width * height
    segments = _segment_bytes(tiled, content_layers)
    if len(segments) == 1:
        return round(base + gradient + segments[0])
    # The second segment's input, and as much for the gradient in it, which stays while the first
    # segment runs.
    channels = tiled.network.convolutions[tiled.segments[1].names[0]].in_channels
    between = tiled.network.dtype.itemsize * channels * (width // STRIDE) * (height // STRIDE)
    return round(base + between + max(gradient + segments[0], between + segments[1]))


def activation_bytes(tiled: TiledNetwork, content_layers: Collection[str] = ()) -> int:
    """Return the share of `peak_bytes` that grows with the largest tile."""
    return round(max(_segment_bytes(tiled, content_layers)))


def multiply_adds(tiled: TiledNetwork, *, backward: bool = True) -> float:
    """Return the multiply-adds of one evaluation, with or without its backward pass.

    A segment in several tiles runs forwards a second time on the way back.
    """
    total = 0.0
    for segment in tiled.segments:
        passes = 1 if not backward else 2 if segment.is_whole else 3
        area, per_position = sum(map(_area, segment.tiles)), 0.0
        for name, share in _position_shares(segment.names):
            convolution = tiled.network.convolutions[name]
            per_position += share * 9 * convolution.out_channels * convolution.in_channels
        total += passes * area * per_position
    return total


def _segment_bytes(tiled: TiledNetwork, content_layers: Collection[str]) -> list[float]:
    """Return the peak of each segment's largest tile; a single peak if nothing is tiled."""
    network, segments = tiled.network, tiled.segments
    if all(segment.is_whole for segment in segments):
        return [_tile_bytes(network, network.names, segments[0].tiles[0], content_layers)]
    return [
        _tile_bytes(network, segment.names, max(segment.tiles, key=_area), content_layers)
        for segment in segments
    ]


def _tile_bytes(
    network: VGG19Features, names: tuple[str, ...], tile: Tile, content_layers: Collection[str]
) -> float:
    """Return the peak of one tile's way through some convolutions and back."""
    large = small = 0.0
    for pieces in _live_pieces(network, names, _area(tile), content_layers):
        large = max(large, sum(piece for piece in pieces if piece > _SMALL_PIECE))
        small = max(small, sum(piece for piece in pieces if piece <= _SMALL_PIECE))
    return large + _SMALL_PIECE_OVERHEAD * small


def _live_pieces(
    network: VGG19Features, names: tuple[str, ...], area: float, content_layers: Collection[str]
) -> Iterator[list[float]]:
    """Yield the sizes in bytes of the tensors that live at the same time, step after step."""
    itemsize = network.dtype.itemsize
    activations: list[float] = []
    steps = [(name, area * share) for name, share in _position_shares(names)]
    previous = None
    for name, positions in steps:
        convolution = network.convolutions[name]
        # The input is the activation before, unless that was pooled or must stay without its ReLU.
        separate = name in POOLED or previous is None or previous in network.layers
        activations.append(convolution.out_channels * positions * itemsize)
        yield [
            *activations,
            convolution.in_channels * positions * itemsize * separate,
            convolution.workspace_bytes(positions),
        ]
        previous = name
    for name, positions in reversed(steps):
        convolution = network.convolutions[name]
        features = convolution.out_channels * positions
        gradient, next_gradient = activations[-1], convolution.in_channels * positions * itemsize
        if {name, name.replace("conv", "relu")} & set(content_layers):
            yield [*activations, gradient, *[features * 4] * 3]
        workspace = convolution.workspace_bytes(positions, backward=True)
        yield [*activations, gradient, next_gradient, workspace]
        if name in POOLED and name != names[0]:
            indices = convolution.in_channels * positions * _INDEX_BYTES
            yield [*activations, next_gradient, next_gradient, indices, 4 * next_gradient]
        activations.pop()


def _position_shares(names: tuple[str, ...]) -> Iterator[tuple[str, float]]:
    """Yield each convolution and its positions for each position of the first one's input."""
    share = 1.0
    for index, name in enumerate(names):
        share /= 4 if index and name in POOLED else 1
        yield name, share


def _area(tile: Tile) -> int:
    """Return the positions that a tile reads."""
    rows, columns = tile.padded
    return (rows.stop - rows.start) * (columns.stop - columns.start)
