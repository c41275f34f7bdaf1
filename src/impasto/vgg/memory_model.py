"""What a sweep costs: the memory it takes at its peak, and the multiplications it makes.

Counted from the layers' sizes, without running anything.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from impasto.vgg.network import POOLED, VGG19Features
from impasto.vgg.tiles import Tile
from impasto.vgg.tiling import STRIDE, TiledNetwork

# The C library keeps what is freed in smaller pieces than this for itself (glibc, 64 bit).
_KEPT = 32 * 2**20
_SCATTERED = 2.2  # how much more of them it then holds than is in use
_INDEX = 8  # bytes of an index, one for each feature that pooling lets through
# Beside the layers: small matrices, and what lies freed but not given back, which grows with the
# picture up to a limit. Measured (docs/log.md).
_ALWAYS, _A_PIXEL, _AT_MOST = 160 * 2**20, 64, 128 * 2**20


def peak_bytes(sweep: TiledNetwork, pulled: Collection[str] = ()) -> int:
    """Bytes that a sweep forwards and backwards takes at its peak, beside the pixels.

    Args:
        sweep: the network, the size and the tiles.
        pulled: layers that have a content loss.
    """
    width, height = sweep.size
    beside = _ALWAYS + min(_A_PIXEL * width * height, _AT_MOST)
    gradient = 12 * width * height
    runs = _runs(sweep, pulled)
    if len(runs) == 1:
        return round(beside + gradient + runs[0])
    # What the second part reads, and the gradient in it. The latter stays for the first part.
    into = _channels(sweep.trunk, sweep.parts[1].names[0])[1]
    between = sweep.trunk.dtype.itemsize * into * (width // STRIDE) * (height // STRIDE)
    return round(beside + between + max(gradient + runs[0], between + runs[1]))


def activation_bytes(sweep: TiledNetwork, pulled: Collection[str] = ()) -> int:
    """Return the share of `peak_bytes` that grows with the largest tile."""
    return round(max(_runs(sweep, pulled)))


def multiply_adds(sweep: TiledNetwork, *, backward: bool = True) -> float:
    """Multiplications and additions of one sweep forwards and, where wanted, backwards.

    A part in several tiles runs forwards a second time on the way back.
    """
    total = 0.0
    for part in sweep.parts:
        times = 1 if not backward else 2 if part.whole else 3
        area, each = sum(map(_area, part.tiles)), 0.0
        for name, share in _shares(part.names):
            out, into = _channels(sweep.trunk, name)
            each += share * 9 * out * into
        total += times * area * each
    return total


def _runs(sweep: TiledNetwork, pulled: Collection[str]) -> list[float]:
    """Bytes at the peak of one tile's way through each part; one number where all is whole."""
    trunk, parts = sweep.trunk, sweep.parts
    if all(part.whole for part in parts):
        return [_run(trunk, trunk.names, parts[0].tiles[0], pulled)]
    return [_run(trunk, part.names, max(part.tiles, key=_area), pulled) for part in parts]


def _run(
    trunk: VGG19Features, names: tuple[str, ...], tile: Tile, pulled: Collection[str]
) -> float:
    """Bytes at the peak of one tile's way through some convolutions and back."""
    large = small = 0.0
    for pieces in _moments(trunk, names, _area(tile), pulled):
        large = max(large, sum(piece for piece in pieces if piece > _KEPT))
        small = max(small, sum(piece for piece in pieces if piece <= _KEPT))
    return large + _SCATTERED * small


def _moments(
    trunk: VGG19Features, names: tuple[str, ...], area: float, pulled: Collection[str]
) -> Iterator[list[float]]:
    """The pieces of memory, in bytes, that live at the same time, one moment after the other."""
    item = trunk.dtype.itemsize
    tape: list[float] = []
    steps = [(name, area * share, *_channels(trunk, name)) for name, share in _shares(names)]
    before = None
    for name, positions, out, into in steps:
        # Read is the tape itself, unless it was pooled or is still wanted as it was.
        apart = name in POOLED or before is None or before in trunk.layers
        tape.append(out * positions * item)
        yield [
            *tape,
            into * positions * item * apart,
            trunk.convolutions[name].workspace(positions),
        ]
        before = name
    for name, positions, out, into in reversed(steps):
        gradient, below = tape[-1], into * positions * item
        if {name, name.replace("conv", "relu")} & set(pulled):
            yield [*tape, gradient, *[out * positions * 4] * 3]
        beside = trunk.convolutions[name].workspace(positions, back=True)
        yield [*tape, gradient, below, beside]
        if name in POOLED and name != names[0]:
            yield [*tape, below, below, into * positions * _INDEX, 4 * below]
        tape.pop()


def _shares(names: tuple[str, ...]) -> Iterator[tuple[str, float]]:
    """Each convolution, and its positions for each position of the first one's input."""
    share = 1.0
    for place, name in enumerate(names):
        share /= 4 if place and name in POOLED else 1
        yield name, share


def _channels(trunk: VGG19Features, name: str) -> tuple[int, int]:
    """Channels that a convolution writes and reads."""
    convolution = trunk.convolutions[name]
    return convolution.out, convolution.into


def _area(tile: Tile) -> int:
    """Positions that a tile sees."""
    rows, columns = tile.outer
    return (rows.stop - rows.start) * (columns.stop - columns.start)
