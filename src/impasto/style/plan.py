"""The plan of a run: its sizes, its tiles, the memory they take and the time.

The one place where tiles and history are chosen. A run follows it; a dry run shows it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch

from impasto.errors import MemoryShortageError
from impasto.memory import GIB, available_bytes, release_caches, used_bytes
from impasto.recipes import ReconstructRecipe, StyleRecipe
from impasto.style.features import style_statistics
from impasto.style.objective import Objective, objective_recipe
from impasto.style.pyramid import shares, sizes
from impasto.style.sizing import Size
from impasto.style.weighted_losses import Region, layer_weights, warms_up
from impasto.vgg.memory_model import activation_bytes, multiply_adds, peak_bytes
from impasto.vgg.network import VGG19Features
from impasto.vgg.tiling import MIN_TILE, TiledNetwork

Recipe = StyleRecipe | ReconstructRecipe

_RESERVE = 0.2  # share of the free memory that is left to others
_TILES = (2048, 1024, 768, 512, 384, 256, 192, 128)  # pixels a side
# A whole picture is painted a quarter faster than in tiles of 768 pixels, and those 2 % slower
# than in tiles of 1024 and 15 % faster than in tiles of 512: more than this is not worth having.
_MOST_WHOLE, _MOST_TILED = 4 * GIB, 1 * GIB
_INDEXED = 2**31 - 1  # values in one tensor that every GPU kernel can count
# Pictures of float32 that live while the network runs, curvature pairs left out. Measured.
_PICTURES = {"lbfgs": 10, "lbfgs-clamped": 11, "adam": 9}
_AROUND = 300  # numbers a pixel beyond the picture's own that the network sees. Measured.
_STILL = 3  # the same for a single evaluation
_PAIRS_SHARE = 0.75  # of what the smallest tile leaves, for curvature pairs
_PROBED = (64, 160)  # pixels a side


@dataclass(frozen=True)
class ScalePlan:
    """One size of the ladder.

    Attributes:
        size: (width, height) in pixels.
        evaluations: how many are planned there, at least 1.
        tile: side of the tiles in pixels; None where the picture is painted whole.
        tiles: how many there are.
        memory: bytes the process takes at its peak.
        seconds: estimated; None where nothing was timed.
        warmup: whether it minimizes what leads to the recipe's losses instead of them.
    """

    size: Size
    evaluations: int
    tile: int | None
    tiles: int
    memory: int
    seconds: float | None = None
    warmup: bool = False


@dataclass(frozen=True)
class Plan:
    """What a run will do.

    Attributes:
        rungs: the sizes, coarse to fine; those that get no evaluation are left out, and a size
            that begins with a warm-up comes twice.
        history: curvature pairs that L-BFGS will remember.
        device: where it computes.
        precision: number format of the convolutions.
        free: bytes that are free now.
        budget: bytes that the process may take.
    """

    rungs: tuple[ScalePlan, ...]
    history: int
    device: str
    precision: str
    free: int
    budget: int

    @property
    def ladder(self) -> list[Size]:
        """(width, height) of each scale, coarse to fine."""
        return [rung.size for rung in self.rungs]

    @property
    def counts(self) -> list[int]:
        """Evaluations at each scale."""
        return [rung.evaluations for rung in self.rungs]

    @property
    def tiles(self) -> tuple[int, ...]:
        """Side of each scale's tiles in pixels, 0 where it is painted whole."""
        return tuple(rung.tile or 0 for rung in self.rungs)

    @property
    def memory(self) -> int:
        """Bytes the process takes at its peak."""
        return max(rung.memory for rung in self.rungs)

    @property
    def seconds(self) -> float | None:
        """Estimated seconds of the whole run; None where nothing was timed."""
        timed = [rung.seconds for rung in self.rungs]
        return None if None in timed else sum(timed)


def make_plan(
    recipe: Recipe,
    trunk: VGG19Features,
    size: Size,
    brushes: Callable[[Size], Sequence[Size]],
    *,
    planes: int = 0,
    around: float = 1.0,
    released: int = 0,
    timed: bool = False,
) -> Plan:
    """Choose sizes, tiles and history for a run, before anything is allocated.

    Args:
        recipe: the options.
        trunk: the network that will run; its device and number format are the run's.
        size: (width, height) of the finished picture.
        brushes: from the size of a scale to the sizes at which style images are read there.
        planes: numbers a pixel that live while the network runs beside the usual ones, such as
            masks.
        around: how many times the picture's pixels the network sees.
        released: bytes of pictures that the run lets go before its finest size.
        timed: estimate seconds too, from a probe that takes about one.

    Raises:
        MemoryShortageError: not even the smallest tile fits.
    """
    release_caches(trunk.device)
    base, left = used_bytes(trunk.device), available_bytes(trunk.device)
    budget = round(base + (1 - _RESERVE) * left)
    if recipe.memory != "auto":
        budget = min(round(recipe.memory * GIB), base + left)
    extra = math.ceil((around - 1) * _AROUND)
    stages = _stages(recipe, size)
    most = max(stage.evaluations for stage in stages if stage.size == size)
    last = max(0, base - released)
    history = _Room(recipe, trunk, size, most, last, planes + extra).history(budget)
    pace = _pace(recipe, trunk) if timed else None
    wanted = _tiles(recipe, len(stages))
    rungs = []
    for stage in reversed(stages):
        taken = last if stage is stages[-1] else base
        room = _Room(recipe, trunk, stage.size, stage.evaluations, taken, planes + extra)
        sweep, memory = room.fitted(budget, history, wanted.pop())
        looks = brushes(stage.size)
        seconds = None if pace is None else pace.seconds(sweep, stage.evaluations, looks)
        count = len(sweep.segments[0].tiles)
        rungs.append(
            ScalePlan(
                stage.size, stage.evaluations, sweep.tile, count, memory, seconds, stage.warmup
            )
        )
    precision = str(trunk.dtype).removeprefix("torch.")
    return Plan(tuple(rungs[::-1]), history, str(trunk.device), precision, left, budget)


class _Stage(NamedTuple):
    """One descent of a run."""

    size: Size
    evaluations: int
    warmup: bool = False


def _stages(recipe: Recipe, size: Size) -> list[_Stage]:
    """The descents of a run, coarse to fine; sizes that get no evaluation are left out."""
    style = isinstance(recipe, StyleRecipe)
    if style and recipe.gives_content_back:
        return [_Stage(size, 1)]
    # A texture has its own large shapes to find; features pin every pixel, so one size suffices.
    scales = recipe.scales if style else 0 if recipe.kind == "texture" else 1
    ladder = sizes(size, scales)
    pairs = zip(ladder, shares(recipe.steps, len(ladder)), strict=True)
    found = [_Stage(*pair) for pair in pairs if pair[1]]
    if not style or not warms_up(recipe):
        return found
    # A coarser size is there to be enlarged, nothing else; the finest ends with what was asked.
    finest = found[-1].evaluations
    led = min(finest - 1, round(recipe.warmup * finest))
    coarse = [stage._replace(warmup=True) for stage in found[:-1]]
    return [*coarse, *[_Stage(size, led, True)] * bool(led), _Stage(size, finest - led)]


def _tiles(recipe: Recipe, stages: int) -> list[int | None]:
    """The side of each stage's tiles as the recipe has them, None where it leaves that open."""
    if recipe.tiles == "auto":
        return [None] * stages
    if len(recipe.tiles) not in (1, stages):
        raise ValueError(
            f"`tiles` must be one number or {stages}, one a scale, got {len(recipe.tiles)}; give "
            "one, or leave it auto"
        )
    return list(recipe.tiles) * (stages if len(recipe.tiles) == 1 else 1)


@dataclass(frozen=True)
class _Room:
    """What one size needs, and what fits."""

    recipe: Recipe
    trunk: VGG19Features
    size: Size
    evaluations: int
    base: int
    planes: int = 0

    def needed(self, sweep: TiledNetwork, history: int) -> int:
        """Bytes the process takes at its peak."""
        pixels = self.size[0] * self.size[1]
        pictures = _PICTURES[self.recipe.optimizer] if self.evaluations > 1 else _STILL
        features = sum(
            self.trunk.convolutions[layer.replace("relu", "conv")].out_channels
            / 4 ** (int(layer[4]) - 1)
            for layer in self._pulled
        )
        return round(
            self.base
            + 12 * pixels * (pictures + 2 * self._pairs(history))
            + 4 * pixels * self.planes
            + pixels * features * self.trunk.dtype.itemsize
            + peak_bytes(sweep, self._pulled)
        )

    def history(self, budget: int) -> int:
        """Curvature pairs to remember: as many as asked for, or as fit beside the smallest tile."""
        sweep = TiledNetwork(self.trunk, self.size, _TILES[-1])
        spare = _PAIRS_SHARE * (budget - self.needed(sweep, 0))
        fits = int(spare / (2 * 12 * self.size[0] * self.size[1]))
        wanted = self.recipe.history
        return wanted if self._pairs(wanted) <= fits else max(1, fits)

    def fitted(self, budget: int, history: int, wanted: int | None) -> tuple[TiledNetwork, int]:
        """The largest tiles that fit and are worth it, and the bytes the process then takes.

        Args:
            budget: bytes that it may take.
            history: curvature pairs.
            wanted: side of the tiles where it is given, 0 for whole.

        Raises:
            MemoryShortageError: not even the smallest fits, or those given do not.
        """
        if wanted is not None:
            sweep = TiledNetwork(self.trunk, self.size, max(MIN_TILE, wanted) if wanted else None)
            memory = self.needed(sweep, history)
            if memory > budget:
                raise MemoryShortageError(
                    f"`tiles` must fit into memory, got {wanted or 'whole pictures'}, which at "
                    f"{self.size[0]} × {self.size[1]} take {memory / GIB:.1f} GiB where "
                    f"{budget / GIB:.1f} may be taken; give smaller ones, or leave it auto"
                )
            return sweep, memory
        for tile in (None, *(tile for tile in _TILES if tile < max(self.size))):
            sweep = TiledNetwork(self.trunk, self.size, tile)
            memory = self.needed(sweep, history)
            if memory <= budget and (tile == _TILES[-1] or self._worth_it(sweep)):
                return sweep, memory
        raise MemoryShortageError(self._shortage(memory, budget))

    def _worth_it(self, sweep: TiledNetwork) -> bool:
        """Whether tiles of this size are not larger than they are of use."""
        if self.trunk.device.type == "cuda":
            # Memory there is nobody else's; but a kernel may not count further than this.
            rows, columns = sweep.segments[0].tiles[0].padded
            return 64 * (rows.stop - rows.start) * (columns.stop - columns.start) <= _INDEXED
        most = _MOST_WHOLE if sweep.tile is None else _MOST_TILED
        return activation_bytes(sweep, self._pulled) <= most

    @property
    def _pulled(self) -> list[str]:
        """The layers whose features are kept."""
        recipe = self.recipe
        inner = recipe if isinstance(recipe, StyleRecipe) else objective_recipe(recipe)
        return list(layer_weights(inner).content)

    def _pairs(self, history: int) -> int:
        """Curvature pairs there will be: the last evaluation leaves none, nor does the first."""
        if self.recipe.optimizer == "adam":
            return 0
        return min(history, max(0, self.evaluations - 2))

    def _shortage(self, memory: int, budget: int) -> str:
        """The sentence that says how much is missing."""
        size = f"{self.size[0]} × {self.size[1]}"
        need = math.ceil(memory / GIB * 10 + 1) / 10
        if self.recipe.memory != "auto" and budget == round(self.recipe.memory * GIB):
            return (
                f"`memory` must be at least {need:g} GiB for {size} in the smallest tiles, got "
                f"{self.recipe.memory:g}; raise it, or choose a smaller `size`"
            )
        return (
            f"`size` must leave room for the smallest tiles, got {size}, which takes {need:g} GiB "
            f"where {budget / GIB:.1f} may be taken; choose a smaller size or close other programs"
        )


@dataclass(frozen=True)
class _Pace:
    """How long an evaluation takes: what it takes at any size, and for each multiplication."""

    always: float
    each: float

    def seconds(self, sweep: TiledNetwork, evaluations: int, brushes: Sequence[Size]) -> float:
        """Seconds at one size, its targets included."""
        looks = [sweep, *(TiledNetwork(sweep.network, brush, sweep.tile) for brush in brushes)]
        once = sum(multiply_adds(look, backward=False) for look in looks)
        return self.each * once + evaluations * (self.always + self.each * multiply_adds(sweep))


def _pace(recipe: Recipe, trunk: VGG19Features) -> _Pace:
    """Time the recipe's own objective on two small pictures of noise."""
    inner = recipe if isinstance(recipe, StyleRecipe) else objective_recipe(recipe)
    generator = torch.Generator().manual_seed(0)
    found = []
    for side in _PROBED:
        pixels = torch.rand(3, side, side, generator=generator).to(trunk.device)
        targets = style_statistics(trunk, pixels, None, list(inner.style_layers))
        objective = Objective(inner, trunk, pixels, None, [Region(None, 1.0, targets)])
        found.append(
            (multiply_adds(objective.sweep), min(_timed(objective, pixels) for _ in range(2)))
        )
    (less, quick), (more, slow) = found
    each = max(slow - quick, 0.1 * slow) / (more - less)
    return _Pace(max(0.0, quick - each * less), each)


def _timed(objective: Objective, pixels: torch.Tensor) -> float:
    """Seconds of one evaluation, waiting for the device to finish."""
    begin = time.perf_counter()
    gradient = objective(pixels).gradient
    gradient.sum().item()
    return time.perf_counter() - begin
