"""The engine: one run over its scales, with its optimizer, checkpoint, callbacks and result."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pydantic import BaseModel
from torch import Tensor

from impasto.device import select_device, select_precision
from impasto.errors import ImpastoError
from impasto.images.image import Image, ImageMetadata
from impasto.images.resize import resize
from impasto.memory import release_caches
from impasto.provenance import Inputs
from impasto.result import Losses, OnStep, Result, Step, Stop, check_finite
from impasto.style.checkpoint import (
    Checkpoint,
    Checkpoints,
    Input,
    open_checkpoint,
    resume_settings,
)
from impasto.style.features import load_network
from impasto.style.objective import Evaluation
from impasto.style.optimizers import (
    Evaluate,
    Optimization,
    State,
    adam,
    evaluate_once,
    lbfgs,
    lbfgs_clamped,
)
from impasto.style.plan import Plan, at_scale, make_plan
from impasto.style.schedule import Size
from impasto.style.spec import RunSpec, resolve_auto
from impasto.vgg.network import VGG19Features
from impasto.vgg.weights import load_weights

_WINDOW = 5  # evaluations over which the decrease of the loss is averaged
_NO_LOSSES = Losses(total=math.inf)


class StopRequested(Exception):
    """A callback asked for the end of the run."""


class Setup(NamedTuple):
    """A run before its first evaluation: everything chosen and checked."""

    recipe: Any  # with `auto` resolved
    spec: RunSpec
    network: VGG19Features
    plan: Plan
    checkpoint: Checkpoint | None
    state: State  # of an interrupted run; empty if there was none

    def at_scale(self, scale: int) -> tuple[RunSpec, VGG19Features]:
        """Return the specification and network of one scale, from 0."""
        plan = self.plan
        return at_scale(self.spec, self.network, plan.scales[scale], plan.sizes[-1])


class Problem(NamedTuple):
    """The optimization problem of one scale."""

    objective: Callable[[Tensor], Evaluation]
    start: Tensor  # (3, H, W)
    preview: Callable[[Tensor], Tensor] | None = None  # makes the image that callbacks are shown


def set_up(
    recipe: BaseModel,
    make_spec: Callable[[Any], RunSpec],
    size: Size,
    style_sizes: Callable[[Size], Sequence[Size]],
    *,
    checkpoint: str | Path | Checkpoints | None = None,
    inputs: Iterable[Input] = (),
    images: Sequence[Image] = (),
    planes: int = 0,
    around: float = 1.0,
    timed: bool = False,
) -> Setup:
    """Choose device, number format, network and plan of a run, and find its checkpoint.

    Args:
        recipe: the options as the user gave them.
        make_spec: makes a specification of such a recipe.
        size: as for `make_plan`.
        style_sizes: as for `make_plan`.
        checkpoint: the argument of that name.
        inputs: everything beside the recipe that the run depends on.
        images: those that the run releases before its finest scale.
        planes: as for `make_plan`.
        around: as for `make_plan`.
        timed: as for `make_plan`.
    """
    device = select_device(recipe.device)
    weights = load_weights(recipe.weights).sha256
    saved = open_checkpoint(checkpoint, recipe, weights, inputs)
    state = saved.load() if saved else {}
    recipe = resume_settings(recipe, state)
    dtype = select_precision(device, recipe.precision)
    spec = make_spec(recipe)
    network = load_network(spec, device, dtype)
    plan = make_plan(
        spec,
        network,
        size,
        style_sizes,
        planes=planes,
        around=around,
        # On a GPU the images are not in the memory that is planned.
        released=0 if device.type == "cuda" else sum(image.pixels.nbytes for image in images),
        timed=timed,
    )
    recipe = resolve_auto(recipe, dtype, plan.history, plan.tiles)
    return Setup(recipe, make_spec(recipe), network, plan, saved, state)


@dataclass
class Run:
    """The state of one run.

    Attributes:
        spec: the options.
        sizes: (width, height) of each scale, coarse to fine.
        evaluations: the most at each scale.
        on_step: called after every evaluation.
        checkpoint: where the run saves its state.
        stop: asked between the layers of each evaluation but the first; True ends the run there.
        tolerances: as in `ScalePlan`, of each scale; empty spends all evaluations.
        scale: the present scale, from 0; -1 before the first, past the last one when finished.
        optimizer_state: where the optimizer can resume.
        history: the losses of every evaluation.
        starts: index into `history` of each scale's first evaluation.
        best: the image with the least of what is minimized at this scale.
        losses: the recipe's losses of it.
        least: what was minimized, there.
        stopped: a callback ended the run.
        preview: makes the image that callbacks are shown, (3, H, W) on the CPU.
        began: when it began, in seconds of `time.perf_counter`.
    """

    spec: RunSpec
    sizes: list[Size]
    evaluations: list[int]
    on_step: OnStep | None = None
    checkpoint: Checkpoint | None = None
    stop: Stop | None = None
    tolerances: Sequence[float] = ()
    scale: int = -1
    optimizer_state: State = field(default_factory=dict)
    history: list[Losses] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    best: Tensor | None = None
    losses: Losses = field(default_factory=lambda: _NO_LOSSES)
    least: float = math.inf
    stopped: bool = False
    preview: Callable[[Tensor], Tensor] | None = None
    began: float = field(default_factory=time.perf_counter)

    @classmethod
    def of(cls, setup: Setup, on_step: OnStep | None, stop: Stop | None) -> Run:
        """Begin the run that was set up, or resume it."""
        plan = setup.plan
        tolerances = [scale.tolerance for scale in plan.scales]
        run = cls(
            setup.spec, plan.sizes, plan.evaluations, on_step, setup.checkpoint, stop, tolerances
        )
        run.resume(setup.state)
        return run

    def resume(self, state: State) -> None:
        """Continue from the state of an interrupted run, if there is one."""
        if not state:
            return
        self.scale, self.optimizer_state = state["scale"], state["optimizer_state"]
        self.history = [Losses(losses) for losses in state["history"]]
        self.starts = state["starts"]
        self.best, self.losses = state["best"], Losses(state["losses"])
        self.least = state["least"]
        self.began -= state["seconds"]

    def optimize(self, make_problem: Callable[[Run, int], Problem], device: torch.device) -> None:
        """Run all scales that are left, coarse to fine.

        Args:
            make_problem: from this run and a scale, from 0, to what is optimized there. It may
                release images when it is called for the last scale.
            device: where memory is released before each scale.
        """
        for scale in range(max(self.scale, 0), len(self.sizes)):
            problem = make_problem(self, scale)
            release_caches(device)
            self.optimize_scale(scale, problem)
            del problem
            if self.stopped:
                return

    def optimize_scale(self, scale: int, problem: Problem) -> None:
        """Spend the evaluations of one scale, keeping the image of least loss."""
        self.preview = problem.preview
        losses_before = self.losses
        if scale != self.scale:  # else the run resumes in the middle of it
            self.scale, self.optimizer_state = scale, {}
            self.starts.append(len(self.history))
            self.best, self.losses, self.least = problem.start, _NO_LOSSES, math.inf
        try:
            self._iterate(problem.objective, problem.start)
        except StopRequested:
            self.stopped = True
            if math.isinf(self.least):  # nothing was evaluated at this scale
                self.losses = losses_before
            self._save()

    def check_stop(self) -> None:
        """Raise `StopRequested` if a stop is wanted and at least one evaluation has finished."""
        if self.stop is not None and self.history and self.stop():
            raise StopRequested

    def resize_best(self, scale: int) -> Tensor:
        """Return the best image so far at another scale's size, on the CPU."""
        # Not every device can resample; the image is small beside the network.
        return resize(self.best.cpu(), self.sizes[scale])

    def result(
        self,
        recipe: BaseModel,
        metadata: ImageMetadata,
        device: torch.device,
        finish: Callable[[Tensor], Tensor] | None = None,
        inputs: Inputs | None = None,
    ) -> Result:
        """Return the finished image at the size asked for, whatever scale the run ended at."""
        self._finish_checkpoint()
        size = self.sizes[-1]
        alpha = None if metadata.alpha is None else resize(metadata.alpha, size)
        pixels = resize(self.best.cpu(), size)
        pixels = pixels if finish is None else finish(pixels)
        return Result(
            pixels=check_finite(pixels, "the picture", "lower the weights, or use float32"),
            metadata=replace(metadata, recipe=None, alpha=alpha),
            recipe=recipe,
            history=tuple(self.history),
            scale_starts=tuple(start for start in self.starts if start < len(self.history)),
            losses=self.losses,
            evaluations=len(self.history),
            seconds=time.perf_counter() - self.began,
            device=str(device),
            precision=self.spec.precision,
            stopped=self.stopped,
            inputs=inputs or Inputs(),
        )

    def _iterate(self, objective: Callable[[Tensor], Evaluation], start: Tensor) -> None:
        """Take the optimizer's steps, as many as this scale has left."""
        evaluations: list[Losses] = []

        def evaluate(pixels: Tensor) -> tuple[float, Tensor]:
            losses, gradient, value = objective(pixels)
            evaluations.append(losses)
            return value, gradient

        steps = _optimizer(self.spec, evaluate, start, self.optimizer_state)
        left = self.evaluations[self.scale] - self.optimizer_state.get("made", 0)
        while left and not self._has_settled():
            left -= 1
            if (evaluated := next(steps, None)) is None:
                return  # stationary
            pixels, value = evaluated
            losses = evaluations.pop()
            if len(self.history) == self.starts[-1] and not math.isfinite(losses["total"]):
                width, height = self.sizes[self.scale]
                raise ImpastoError(
                    f"the loss must be finite where a run starts, got {losses['total']} at "
                    f"{width} × {height}; lower style_weight or content_weight, or set precision "
                    "to float32"
                )
            self.history.append(losses)
            if value < self.least:
                self.best, self.losses, self.least = pixels, losses, value
            self._report(pixels, losses)
            if self._save_is_due():
                self._save()

    def _has_settled(self) -> bool:
        """Return whether the loss of this scale falls so slowly that nobody sees it."""
        tolerance = self.tolerances[self.scale] if self.tolerances else 0.0
        if not tolerance or len(self.history) < self.starts[-1] + 2 * _WINDOW:
            return False
        losses = [step["total"] for step in self.history[self.starts[-1] :]]
        least = min(losses)
        decrease = (min(losses[:-_WINDOW]) - least) / _WINDOW
        return decrease < tolerance * least

    def _report(self, pixels: Tensor, losses: Losses) -> None:
        """Call `on_step`; its `StopIteration` ends the run as `stop` does."""
        if self.on_step is None:
            return
        step = Step(
            evaluation=len(self.history),
            evaluations=sum(self.evaluations),
            scale=self.scale + 1,
            scales=len(self.sizes),
            size=self.sizes[self.scale],
            losses=losses,
            seconds=time.perf_counter() - self.began,
            left=self._left(),
            picture=lambda: self._preview(pixels),
        )
        try:
            self.on_step(step)
        except StopIteration:
            raise StopRequested from None

    def _left(self) -> float:
        """Return the evaluations left, each weighted by its pixels relative to this scale's."""
        area = math.prod(self.sizes[self.scale])
        left = self.starts[-1] + self.evaluations[self.scale] - len(self.history)
        later = slice(self.scale + 1, None)
        pairs = zip(self.sizes[later], self.evaluations[later], strict=True)
        return left + sum(count * math.prod(size) / area for size, count in pairs)

    def _preview(self, pixels: Tensor) -> Tensor:
        copied = pixels.detach().clamp(0, 1).float().cpu().clone()
        return copied if self.preview is None else self.preview(copied)

    def _save_is_due(self) -> bool:
        """Return whether to save: after a scale's first evaluation, and from time to time."""
        if self.checkpoint is None:
            return False
        return len(self.history) == self.starts[-1] + 1 or self.checkpoint.due

    def _save(self) -> None:
        """Save the state, if there is a checkpoint."""
        if self.checkpoint is None:
            return
        # What came after the optimizer's latest point will be evaluated again.
        made = self.starts[-1] + self.optimizer_state.get("made", 0)
        self.checkpoint.save(self._state(self.scale, self.optimizer_state, self.history[:made]))

    def _finish_checkpoint(self) -> None:
        """Remove the checkpoint, or keep no more in it than the result."""
        if self.checkpoint is None or self.stopped:
            return
        if self.checkpoint.outlive:
            self.checkpoint.save(self._state(len(self.sizes), {}, self.history))
        else:
            self.checkpoint.remove()

    def _state(self, scale: int, optimizer_state: State, history: list[Losses]) -> State:
        """Return what `resume` continues from."""
        return {
            "scale": scale,
            "optimizer_state": optimizer_state,
            "history": history,
            "starts": self.starts,
            "best": self.best,
            "losses": self.losses,
            "least": self.least,
            "seconds": time.perf_counter() - self.began,
            "precision": self.spec.precision,
            "curvature_pairs": self.spec.history,
            "tiles": self.spec.tiles,
        }


def random_image(shape: Sequence[int], seed: int, *, gray: bool = False) -> Tensor:
    """Return uniform noise in [0, 1], the same for the same seed on every device.

    Args:
        shape: (3, H, W).
        seed: of the random numbers.
        gray: repeat the first channel in the others.
    """
    noise = torch.rand(tuple(shape), generator=torch.Generator().manual_seed(seed))
    return noise[:1].repeat(3, 1, 1) if gray else noise


def _optimizer(spec: RunSpec, evaluate: Evaluate, start: Tensor, state: State) -> Optimization:
    """Return the run's optimizer, at its start or where it was interrupted."""
    if spec.evaluate_only:
        return evaluate_once(evaluate, start)
    if spec.optimizer == "adam":
        return adam(evaluate, start, learning_rate=spec.learning_rate, state=state)
    if spec.optimizer == "lbfgs-clamped":
        return lbfgs_clamped(evaluate, start, history=spec.history, state=state)
    return lbfgs(evaluate, start, history=spec.history, state=state)
