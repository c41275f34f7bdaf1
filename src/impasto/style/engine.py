"""One run of a descent over a ladder of sizes: what was found, who watches, what comes out."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import islice

import torch
from torch import Tensor

from impasto.errors import ImpastoError
from impasto.images.image import ImageMetadata
from impasto.images.resize import resize
from impasto.provenance import Inputs
from impasto.recipes import ReconstructRecipe, StyleRecipe
from impasto.result import Losses, OnStep, Result, Step, Stop
from impasto.style.checkpoint import Checkpoint
from impasto.style.descent import Descent, Evaluate, State, adam, evaluate_once, lbfgs_clamped
from impasto.style.lbfgs import lbfgs
from impasto.style.objective import Evaluation
from impasto.style.sizing import Size

_NONE = Losses(total=float("inf"), content=float("inf"), style=float("inf"))


class StopRequested(Exception):
    """Whoever watches wants no more, in the middle of an evaluation."""


@dataclass
class Run:
    """The state of one run: the ladder of sizes, what was found so far, and who watches.

    Attributes:
        recipe: the options.
        ladder: (width, height) of each scale, coarse to fine.
        counts: evaluations planned at each scale.
        on_step: told of every evaluation.
        checkpoint: where the run keeps what it has reached, and finds it again.
        stop: asked between the layers of each evaluation but the first; True ends the run there.
        best: the picture at which the least was found of what is minimized at this scale.
        losses: the recipe's losses of it.
        least: what was minimized, there.
        scale: the scale it is at, from 0; -1 before the first, past the last one when finished.
    """

    recipe: StyleRecipe | ReconstructRecipe
    ladder: list[Size]
    counts: list[int]
    on_step: OnStep | None
    checkpoint: Checkpoint | None = None
    stop: Stop | None = None
    scale: int = -1
    descent: State = field(default_factory=dict)
    history: list[Losses] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    best: Tensor | None = None
    losses: Losses = field(default_factory=lambda: _NONE)
    least: float = math.inf
    stopped: bool = False
    finish: Callable[[Tensor], Tensor] | None = None
    began: float = field(default_factory=time.perf_counter)

    def go_on(self, state: State) -> None:
        """Take up what an earlier call had reached, if anything."""
        if not state:
            return
        self.scale, self.descent = state["scale"], state["descent"]
        self.history = [Losses(losses) for losses in state["history"]]
        self.starts = state["starts"]
        self.best, self.losses = state["best"], Losses(state["losses"])
        self.least = state["least"]
        self.began -= state["seconds"]

    def heed(self) -> None:
        """End the run here if that is wanted and there is a picture to keep."""
        if self.stop is not None and self.history and self.stop():
            raise StopRequested

    def left(self) -> range:
        """The scales that are not finished, from 0."""
        return range(max(self.scale, 0), len(self.ladder))

    def descend(
        self,
        objective: Callable[[Tensor], Evaluation],
        start: Tensor,
        scale: int,
        evaluations: int,
        finish: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        """Spend some evaluations at one scale, keeping the picture of least loss.

        Args:
            objective: pixels to losses and gradient.
            start: (3, H, W), where to begin.
            scale: which one, from 0.
            evaluations: how many.
            finish: makes what whoever watches is shown, (3, H, W) on the CPU; None shows the
                picture as it is.
        """
        self.finish = finish
        before = self.losses
        if scale != self.scale:  # else it goes on in the middle of it
            self.scale, self.descent = scale, {}
            self.starts.append(len(self.history))
            self.best, self.losses, self.least = start, _NONE, math.inf
        try:
            self._walk(objective, start, scale, evaluations)
        except StopRequested:
            self.stopped = True
            if math.isinf(self.least):  # nothing was evaluated at this scale
                self.losses = before
            self._keep()

    def _walk(
        self,
        objective: Callable[[Tensor], Evaluation],
        start: Tensor,
        scale: int,
        evaluations: int,
    ) -> None:
        """Take a descent's steps, as many as are left of some evaluations."""
        seen: list[Losses] = []

        def evaluate(pixels: Tensor) -> tuple[float, Tensor]:
            losses, gradient, value = objective(pixels)
            seen.append(losses)
            return value, gradient

        descent = _descent(self.recipe, evaluate, start, self.descent)
        for pixels, value in islice(descent, evaluations - self.descent.get("made", 0)):
            losses = seen.pop()
            if len(self.history) == self.starts[-1] and not math.isfinite(losses["total"]):
                raise ImpastoError(
                    f"the loss must be finite where a run starts, got {losses['total']} at "
                    f"{self.ladder[scale][0]} × {self.ladder[scale][1]}; lower style_weight or "
                    "content_weight, or set precision to float32"
                )
            self.history.append(losses)
            if value < self.least:
                self.best, self.losses, self.least = pixels, losses, value
            self._tell(pixels, scale, losses)
            self._keep()
            if self.stopped:
                return

    def resized(self, scale: int) -> Tensor:
        """The best picture so far at another scale's size, on the CPU."""
        # Not every device can resample; the picture is small beside the network.
        return resize(self.best.cpu(), self.ladder[scale])

    def result(
        self,
        metadata: ImageMetadata,
        device: torch.device,
        finish: Callable[[Tensor], Tensor] | None = None,
        inputs: Inputs | None = None,
    ) -> Result:
        """The finished picture at the size asked for, whatever scale the run ended at."""
        self._finish()
        size = self.ladder[-1]
        alpha = None if metadata.alpha is None else resize(metadata.alpha, size)
        pixels = resize(self.best.cpu(), size)
        return Result(
            pixels=pixels if finish is None else finish(pixels),
            metadata=replace(metadata, recipe=None, alpha=alpha),
            recipe=self.recipe,
            history=tuple(self.history),
            scale_starts=tuple(place for place in self.starts if place < len(self.history)),
            losses=self.losses,
            evaluations=len(self.history),
            seconds=time.perf_counter() - self.began,
            device=str(device),
            precision=self.recipe.precision,
            stopped=self.stopped,
            inputs=inputs or Inputs(),
        )

    def _keep(self) -> None:
        """Save what was reached: at the start of a scale, now and then, and where the run stops."""
        if self.checkpoint is None:
            return
        begins = len(self.history) == self.starts[-1] + 1
        if begins or self.stopped or self.checkpoint.due:
            # What came after the descent's latest point will be evaluated again.
            made = self.starts[-1] + self.descent.get("made", 0)
            self.checkpoint.save(self._reached(self.scale, self.descent, self.history[:made]))

    def _finish(self) -> None:
        """Let the checkpoint go, or keep no more in it than the result."""
        if self.checkpoint is None or self.stopped:
            return
        if self.checkpoint.outlive:
            self.checkpoint.save(self._reached(len(self.ladder), {}, self.history))
        else:
            self.checkpoint.remove()

    def _reached(self, scale: int, descent: State, history: list[Losses]) -> State:
        """What `go_on` takes up."""
        return {
            "scale": scale,
            "descent": descent,
            "history": history,
            "starts": self.starts,
            "best": self.best,
            "losses": self.losses,
            "least": self.least,
            "seconds": time.perf_counter() - self.began,
            "precision": self.recipe.precision,
            "curvature_pairs": self.recipe.history,
            "tiles": self.recipe.tiles,
        }

    def _left(self) -> float:
        """Evaluations that are left, each counted by its pixels beside the present size's."""
        area = math.prod(self.ladder[self.scale])
        here = self.starts[-1] + self.counts[self.scale] - len(self.history)
        later = zip(self.ladder[self.scale + 1 :], self.counts[self.scale + 1 :], strict=True)
        return here + sum(count * math.prod(size) / area for size, count in later)

    def _tell(self, pixels: Tensor, scale: int, losses: Losses) -> None:
        """Report an evaluation to whoever watches, and heed a wish to stop."""
        if self.on_step is None:
            return
        step = Step(
            evaluation=len(self.history),
            evaluations=self.recipe.steps,
            scale=scale + 1,
            scales=len(self.ladder),
            size=self.ladder[scale],
            losses=losses,
            seconds=time.perf_counter() - self.began,
            left=self._left(),
            picture=lambda: self._shown(pixels),
        )
        try:
            self.on_step(step)
        except StopIteration:
            self.stopped = True

    def _shown(self, pixels: Tensor) -> Tensor:
        """A picture as whoever watches is to see it."""
        copied = pixels.detach().clamp(0, 1).float().cpu().clone()
        return copied if self.finish is None else self.finish(copied)


def _descent(
    recipe: StyleRecipe | ReconstructRecipe, evaluate: Evaluate, start: Tensor, state: State
) -> Descent:
    """The recipe's optimizer, ready to go, or to go on."""
    if isinstance(recipe, StyleRecipe) and recipe.gives_content_back:
        return evaluate_once(evaluate, start)
    if recipe.optimizer == "adam":
        return adam(evaluate, start, learning_rate=recipe.learning_rate, state=state)
    if recipe.optimizer == "lbfgs-clamped":
        return lbfgs_clamped(evaluate, start, history=recipe.history, state=state)
    return lbfgs(evaluate, start, history=recipe.history, state=state)
