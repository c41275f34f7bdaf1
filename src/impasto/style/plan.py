"""The plan of a run: its scales, tiles, memory and time.

The one place where tiles and history are chosen. A run follows it; a dry run shows it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from impasto.errors import MemoryShortageError
from impasto.memory import GIB, RESERVE, available_bytes, release_caches, used_bytes
from impasto.recipes import parse_layer
from impasto.style.features import style_statistics
from impasto.style.objective import Objective, build_objective
from impasto.style.schedule import Size, Stage, make_stages
from impasto.style.spec import RunSpec, coarse_spec, shallow_spec
from impasto.style.terms import Region
from impasto.vgg.memory_model import activation_bytes, multiply_adds, peak_bytes
from impasto.vgg.network import VGG19Features
from impasto.vgg.tiling import MIN_TILE, TiledNetwork

_TILES = (2048, 1024, 768, 512, 384, 256, 192, 128)  # pixels a side
# A whole image is computed a quarter faster than in tiles of 768 pixels, and those 2 % slower
# than in tiles of 1024 and 15 % faster than in tiles of 512: more than this is not worth having.
_MAX_WHOLE, _MAX_TILED = 4 * GIB, 1 * GIB
_MAX_INDEX = 2**31 - 1  # values in one tensor that every GPU kernel can count
# Images of float32 that live while the network runs, curvature pairs left out. Measured.
_IMAGES = {"lbfgs": 10, "lbfgs-clamped": 11, "adam": 9}
_PAIR_IMAGES = {"lbfgs": 1, "lbfgs-clamped": 2, "adam": 0}  # the same of a curvature pair
_HALO_VALUES = 300  # numbers a pixel beyond the image's own that the network sees. Measured.
_IMAGES_ONCE = 3  # the same for a single evaluation
_PAIRS_SHARE = 0.75  # of what the smallest tile leaves, for curvature pairs
_PROBE_SIDES = (64, 160)  # pixels a side
_SHALLOW_PROBE_SIDES = (96, 288)  # the same of shallow layers, which leave the cache


@dataclass(frozen=True)
class ScalePlan:
    """One scale of a run.

    Attributes:
        size: (width, height) in pixels.
        evaluations: the most that it takes, at least 1.
        tile: side of the tiles in pixels; None if the image is computed whole.
        tiles: how many there are.
        memory: bytes the process takes at its peak.
        seconds: estimated; None if nothing was timed.
        warmup: whether it minimizes the warm-up loss, which leads to the recipe's faster.
        tolerance: share of the loss that an evaluation must take away on average, or the scale
            ends before its evaluations are spent; 0 spends them all.
        shallow: whether only the shallow layers are computed.
    """

    size: Size
    evaluations: int
    tile: int | None
    tiles: int
    memory: int
    seconds: float | None = None
    warmup: bool = False
    tolerance: float = 0.0
    shallow: bool = False


@dataclass(frozen=True)
class Plan:
    """The plan of a run.

    Attributes:
        scales: coarse to fine; those that get no evaluation are left out, and a size that begins
            with a warm-up comes twice.
        history: curvature pairs that L-BFGS will remember.
        device: where it computes.
        precision: number format of the convolutions.
        free: bytes that are free now.
        budget: bytes that the process may take.
    """

    scales: tuple[ScalePlan, ...]
    history: int
    device: str
    precision: str
    free: int
    budget: int

    @property
    def sizes(self) -> list[Size]:
        """(width, height) of each scale, coarse to fine."""
        return [scale.size for scale in self.scales]

    @property
    def evaluations(self) -> list[int]:
        """Evaluations at each scale."""
        return [scale.evaluations for scale in self.scales]

    @property
    def tiles(self) -> tuple[int, ...]:
        """Side of each scale's tiles in pixels, 0 if it is computed whole."""
        return tuple(scale.tile or 0 for scale in self.scales)

    @property
    def memory(self) -> int:
        """Bytes the process takes at its peak."""
        return max(scale.memory for scale in self.scales)

    @property
    def seconds(self) -> float | None:
        """Estimated seconds of the run; None if nothing was timed."""
        seconds = [scale.seconds for scale in self.scales]
        return None if None in seconds else sum(seconds)


def make_plan(
    spec: RunSpec,
    network: VGG19Features,
    size: Size,
    style_sizes: Callable[[Size], Sequence[Size]],
    *,
    planes: int = 0,
    around: float = 1.0,
    released: int = 0,
    timed: bool = False,
) -> Plan:
    """Choose sizes, tiles and history for a run, before anything is allocated.

    Args:
        spec: the options.
        network: the network that will run; its device and number format are the run's.
        size: (width, height) of the finished image.
        style_sizes: from the size of a scale to the sizes at which style images are read there.
        planes: numbers a pixel that live while the network runs beside the usual ones, such as
            masks.
        around: how many times the image's pixels the network sees.
        released: bytes of images that the run releases before its finest scale.
        timed: estimate seconds too, from a probe that takes about one.

    Raises:
        MemoryShortageError: not even the smallest tile fits.
    """
    release_caches(network.device)
    used, free = used_bytes(network.device), available_bytes(network.device)
    budget = round(used + (1 - RESERVE) * free)
    if spec.memory != "auto":
        budget = min(round(spec.memory * GIB), used + free)
    planes += math.ceil((around - 1) * _HALO_VALUES)
    stages = make_stages(spec, size)
    finest = max(stage.evaluations for stage in stages if stage.size == size)
    used_last = max(0, used - released)
    history = _MemoryModel(spec, network, size, finest, used_last, planes).history(budget)
    time_models: dict[bool, _TimeModel] = {}
    tiles = _tile_sides(spec, len(stages))
    scales = []
    for stage in reversed(stages):
        stage_used = used_last if stage is stages[-1] else used
        stage_spec, stage_network = at_scale(spec, network, stage, size)
        model = _MemoryModel(
            stage_spec, stage_network, stage.size, stage.evaluations, stage_used, planes
        )
        tiled, memory = model.choose_tiles(budget, history, tiles.pop())
        seconds = None
        if timed:
            # What a multiplication takes depends on the layer: the shallow ones wait for memory.
            if stage.shallow not in time_models:
                sides = _SHALLOW_PROBE_SIDES if stage.shallow else _PROBE_SIDES
                time_models[stage.shallow] = _probe_time(stage_spec, stage_network, sides)
            seconds = time_models[stage.shallow].seconds(
                tiled, stage.evaluations, style_sizes(stage.size)
            )
        scales.append(
            ScalePlan(
                stage.size,
                stage.evaluations,
                tiled.tile,
                len(tiled.segments[0].tiles),
                memory,
                seconds,
                stage.warmup,
                stage.tolerance,
                stage.shallow,
            )
        )
    precision = str(network.dtype).removeprefix("torch.")
    return Plan(tuple(scales[::-1]), history, str(network.device), precision, free, budget)


def at_scale(
    spec: RunSpec, network: VGG19Features, scale: Stage | ScalePlan, output: Size
) -> tuple[RunSpec, VGG19Features]:
    """Return the specification and network of one scale.

    Args:
        spec: of the run.
        network: the run's.
        scale: which one.
        output: (width, height) of the finished image.
    """
    if scale.shallow:
        spec = shallow_spec(spec)
        return spec, network.truncated(spec.layers)
    return (spec if scale.size == output else coarse_spec(spec, scale.size)), network


def _tile_sides(spec: RunSpec, stages: int) -> list[int | None]:
    """Return the side of each stage's tiles as the user set it, None if that is left open."""
    if spec.tiles == "auto":
        return [None] * stages
    if len(spec.tiles) not in (1, stages):
        raise ValueError(
            f"`tiles` must be one number or {stages}, one a scale, got {len(spec.tiles)}; give "
            "one, or leave it auto"
        )
    return list(spec.tiles) * (stages if len(spec.tiles) == 1 else 1)


@dataclass(frozen=True)
class _MemoryModel:
    """The memory that one scale needs, by its tiles and curvature pairs."""

    spec: RunSpec
    network: VGG19Features
    size: Size
    evaluations: int
    used: int  # bytes that the process takes before
    planes: int = 0

    def peak(self, tiled: TiledNetwork, history: int) -> int:
        """Return the bytes that the process takes at its peak."""
        pixels = self.size[0] * self.size[1]
        images = _IMAGES[self.spec.optimizer] if self.evaluations > 1 else _IMAGES_ONCE
        layers = map(parse_layer, self.spec.content_layers)
        features = sum(
            self.network.convolutions[layer.convolution].out_channels / layer.stride**2
            for layer in layers
        )
        return round(
            self.used
            + 12 * pixels * (images + self._pair_images(history))
            + 4 * pixels * self.planes
            + pixels * features * self.network.dtype.itemsize
            + peak_bytes(tiled, list(self.spec.content_layers))
        )

    def history(self, budget: int) -> int:
        """Return the curvature pairs to keep: as asked for, or as fit beside the smallest tiles."""
        tiled = TiledNetwork(self.network, self.size, _TILES[-1])
        spare = _PAIRS_SHARE * (budget - self.peak(tiled, 0))
        fitting = spare / (12 * self.size[0] * self.size[1])  # images
        history = self.spec.history
        if self._pair_images(history) <= fitting:
            return history
        return max(1, int(fitting / _PAIR_IMAGES[self.spec.optimizer]))

    def choose_tiles(self, budget: int, history: int, tile: int | None) -> tuple[TiledNetwork, int]:
        """Choose the largest tiles that fit and are of use; return them and the peak of memory.

        Args:
            budget: bytes that the process may take.
            history: curvature pairs.
            tile: side of the tiles if the user set it, 0 for whole.

        Raises:
            MemoryShortageError: not even the smallest fits, or those of the user do not.
        """
        if tile is not None:
            tiled = TiledNetwork(self.network, self.size, max(MIN_TILE, tile) if tile else None)
            memory = self.peak(tiled, history)
            if memory > budget:
                raise MemoryShortageError(
                    f"`tiles` must fit into memory, got {tile or 'whole pictures'}, which at "
                    f"{self.size[0]} × {self.size[1]} take {memory / GIB:.1f} GiB where "
                    f"{budget / GIB:.1f} may be taken; give smaller ones, or leave it auto"
                )
            return tiled, memory
        for side in (None, *(side for side in _TILES if side < max(self.size))):
            tiled = TiledNetwork(self.network, self.size, side)
            memory = self.peak(tiled, history)
            if memory <= budget and (side == _TILES[-1] or self._is_useful(tiled)):
                return tiled, memory
        raise MemoryShortageError(self._shortage(memory, budget))

    def _is_useful(self, tiled: TiledNetwork) -> bool:
        """Return whether tiles are no larger than they are of use."""
        if self.network.device.type == "cuda":
            # Nobody else uses this memory; but a kernel may not count further than this.
            rows, columns = tiled.segments[0].tiles[0].padded
            return 64 * (rows.stop - rows.start) * (columns.stop - columns.start) <= _MAX_INDEX
        limit = _MAX_WHOLE if tiled.tile is None else _MAX_TILED
        return activation_bytes(tiled, list(self.spec.content_layers)) <= limit

    def _pair_images(self, history: int) -> int:
        """Return how many images of float32 the curvature pairs will take."""
        # The last evaluation leaves none, nor does the first.
        pairs = min(history, max(0, self.evaluations - 2))
        return pairs * _PAIR_IMAGES[self.spec.optimizer]

    def _shortage(self, memory: int, budget: int) -> str:
        size = f"{self.size[0]} × {self.size[1]}"
        need = math.ceil(memory / GIB * 10 + 1) / 10
        if self.spec.memory != "auto" and budget == round(self.spec.memory * GIB):
            return (
                f"`memory` must be at least {need:g} GiB for {size} in the smallest tiles, got "
                f"{self.spec.memory:g}; raise it, or choose a smaller `size`"
            )
        return (
            f"`size` must leave room for the smallest tiles, got {size}, which takes {need:g} GiB "
            f"where {budget / GIB:.1f} may be taken; choose a smaller size or close other programs"
        )


@dataclass(frozen=True)
class _TimeModel:
    """The seconds of an evaluation: a constant, and a share for each multiplication."""

    constant: float
    per_multiply: float

    def seconds(self, tiled: TiledNetwork, evaluations: int, style_sizes: Sequence[Size]) -> float:
        """Return the seconds of one scale, its targets included."""
        read = [tiled, *(TiledNetwork(tiled.network, size, tiled.tile) for size in style_sizes)]
        once = sum(multiply_adds(each, backward=False) for each in read)
        evaluation = self.constant + self.per_multiply * multiply_adds(tiled)
        return self.per_multiply * once + evaluations * evaluation


def _probe_time(spec: RunSpec, network: VGG19Features, sides: Sequence[int]) -> _TimeModel:
    """Time the run's own objective on two small images of noise, so many pixels a side."""
    generator = torch.Generator().manual_seed(0)
    probes = []
    for side in sides:
        pixels = torch.rand(3, side, side, generator=generator).to(network.device)
        targets = style_statistics(network, pixels, None, list(spec.style_layers))
        objective = build_objective(
            spec, network, (side, side), regions=[Region(None, 1.0, targets)], content=pixels
        )
        seconds = min(_time_evaluation(objective, pixels) for _ in range(2))
        probes.append((multiply_adds(objective.tiled), seconds))
    (small, fast), (large, slow) = probes
    per_multiply = max(slow - fast, 0.1 * slow) / (large - small)
    return _TimeModel(max(0.0, fast - per_multiply * small), per_multiply)


def _time_evaluation(objective: Objective, pixels: torch.Tensor) -> float:
    """Return the seconds of one evaluation, the device's own work included."""
    begin = time.perf_counter()
    gradient = objective(pixels).gradient
    gradient.sum().item()
    return time.perf_counter() - begin
