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
from impasto.picture.record import Carried
from impasto.picture.resize import resize
from impasto.recipe import ReconstructRecipe, StyleRecipe
from impasto.result import Losses, OnStep, Result, Step
from impasto.style.canvas import Size
from impasto.style.descent import Descent, Evaluate, adam, lbfgs, lbfgs_clamped, still

_NONE = Losses(float("inf"), float("inf"), float("inf"))


@dataclass
class Run:
    """The state of one run: the ladder of sizes, what was found so far, and who watches.

    Attributes:
        recipe: the options.
        ladder: (width, height) of each scale, coarse to fine.
        on_step: told of every evaluation.
    """

    recipe: StyleRecipe | ReconstructRecipe
    ladder: list[Size]
    on_step: OnStep | None
    history: list[Losses] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    best: Tensor | None = None
    losses: Losses = _NONE
    stopped: bool = False
    began: float = field(default_factory=time.perf_counter)

    def descend(
        self,
        objective: Callable[[Tensor], tuple[Losses, Tensor]],
        start: Tensor,
        scale: int,
        evaluations: int,
    ) -> None:
        """Spend some evaluations at one scale, keeping the picture of least loss."""
        self.starts.append(len(self.history))
        self.best, self.losses = start, _NONE
        seen: list[Losses] = []

        def evaluate(pixels: Tensor) -> tuple[float, Tensor]:
            losses, gradient = objective(pixels)
            seen.append(losses)
            return losses.total, gradient

        for pixels, _ in islice(_descent(self.recipe, evaluate, start), evaluations):
            losses = seen.pop()
            if len(self.history) == self.starts[-1] and not math.isfinite(losses.total):
                raise ImpastoError(
                    f"the loss must be finite where a run starts, got {losses.total} at "
                    f"{self.ladder[scale][0]} × {self.ladder[scale][1]}; lower style_weight or "
                    "content_weight, or set precision to float32"
                )
            self.history.append(losses)
            if losses.total < self.losses.total:
                self.best, self.losses = pixels, losses
            self._tell(pixels, scale, losses)
            if self.stopped:
                return

    def resized(self, scale: int) -> Tensor:
        """The best picture so far at another scale's size."""
        # On the CPU, since not every device can resample; the picture is small beside the network.
        return resize(self.best.cpu(), self.ladder[scale]).to(self.best.device)

    def result(self, carried: Carried, device: torch.device) -> Result:
        """The finished picture at the size asked for, whatever scale the run ended at."""
        size = self.ladder[-1]
        alpha = None if carried.alpha is None else resize(carried.alpha, size)
        return Result(
            pixels=resize(self.best.cpu(), size),
            carried=replace(carried, recipe=None, alpha=alpha),
            recipe=self.recipe,
            history=tuple(self.history),
            scale_starts=tuple(self.starts),
            losses=self.losses,
            evaluations=len(self.history),
            seconds=time.perf_counter() - self.began,
            device=str(device),
            precision=self.recipe.precision,
            stopped=self.stopped,
        )

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
            picture=lambda: pixels.detach().clamp(0, 1).float().cpu().clone(),
        )
        try:
            self.on_step(step)
        except StopIteration:
            self.stopped = True


def _descent(recipe: StyleRecipe | ReconstructRecipe, evaluate: Evaluate, start: Tensor) -> Descent:
    """The recipe's optimizer, ready to go."""
    if isinstance(recipe, StyleRecipe) and recipe.gives_content_back:
        return still(evaluate, start)
    if recipe.optimizer == "adam":
        return adam(evaluate, start, learning_rate=recipe.learning_rate)
    if recipe.optimizer == "lbfgs-clamped":
        return lbfgs_clamped(evaluate, start, history=recipe.history)
    return lbfgs(evaluate, start, history=recipe.history)
