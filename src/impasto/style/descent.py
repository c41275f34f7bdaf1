"""Going downhill: what every descent has in common, Adam, and the notebook's clamped L-BFGS.

Each is a generator. It yields the pixels and loss of every evaluation it makes, the ones that a
line search rejects included; whoever runs it counts, keeps the best, and stops. A loss that
explodes rolls back to the last good state and goes on more carefully: no run ends black.

Each can be handed a `state`, a dictionary that it keeps at the latest point it could go on from.
Empty, it says nothing; filled, by an earlier generator or from a file, the descent walks on from
there as if it had never stopped, bit for bit. What it holds is true whenever the generator has
yielded, and may be changed in place when it goes on. `made` counts the evaluations behind the
point: those that were made since are made again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

# Pixels -> (loss, gradient in the pixels); pixels and gradient (C, H, W) float32.
Evaluate = Callable[[Tensor], tuple[float, Tensor]]
Descent = Iterator[tuple[Tensor, float]]
# Name -> tensors, numbers, None, or lists and dictionaries of those.
State = dict[str, Any]

_EXPLODED = 10.0  # a loss this many times the reference counts as exploded


def lbfgs_clamped(
    evaluate: Evaluate, start: Tensor, *, history: int = 100, state: State | None = None
) -> Descent:
    """The notebook's optimizer: torch's L-BFGS, pixels clamped to [0, 1] inside each evaluation.

    The clamp moves the point after the step was recorded, which spoils curvature pairs; kept to
    the letter because it is the baseline. One iteration a call walks the same path as torch's
    default of twenty, whose state lives across calls.

    Args:
        evaluate: pixels to loss and gradient.
        start: (C, H, W) in [0, 1].
        history: curvature pairs to remember.
        state: where to go on from, and what to keep up to date.

    Yields:
        Pixels (C, H, W) in [0, 1] and loss of each evaluation.
    """
    state = {} if state is None else state
    if not state:
        state.update(_fresh(start, 1.0), first=math.inf)
    while True:
        x = _variable(state, start.device)
        optimizer = torch.optim.LBFGS([x], lr=state["rate"], max_iter=1, history_size=history)
        _restore(optimizer, state)
        seen: list[tuple[Tensor, float]] = []

        def closure(x: Tensor = x, seen: list[tuple[Tensor, float]] = seen) -> float:
            with torch.no_grad():
                x.clamp_(0, 1)
            pixels = x.detach().clone()
            loss, x.grad = evaluate(pixels)
            seen.append((pixels, loss))
            return loss

        lost = False
        while not lost:
            optimizer.step(closure)
            pixels, loss = seen.pop()  # step() has already moved x on
            if math.isinf(state["first"]):
                state["first"] = loss
            # Measured from the start, not from the least: a healthy run of this one jumps too.
            lost = _exploded(loss, state["first"])
            # The roll back is not in the notebook: its only way out is a black picture.
            _note(state, pixels, loss, None if lost else optimizer)
            yield pixels, loss


def adam(
    evaluate: Evaluate, start: Tensor, *, learning_rate: float = 0.02, state: State | None = None
) -> Descent:
    """Adam on the pixels, clamped to [0, 1] after each step; needs the least memory.

    Args:
        evaluate: pixels to loss and gradient.
        start: (C, H, W) in [0, 1].
        learning_rate: about how far a pixel moves in one step.
        state: where to go on from, and what to keep up to date.

    Yields:
        Pixels (C, H, W) in [0, 1] and loss of each evaluation.

    References:
        Kingma, Ba 2014 (arXiv:1412.6980).
    """
    state = {} if state is None else state
    if not state:
        state.update(_fresh(start, learning_rate))
    while True:
        x = _variable(state, start.device)
        optimizer = torch.optim.Adam([x], lr=state["rate"], betas=(0.9, 0.99))
        _restore(optimizer, state)
        lost = False
        while not lost:
            pixels = x.detach().clone()
            loss, x.grad = evaluate(pixels)
            lost = _exploded(loss, state["least"])
            if not lost:
                optimizer.step()
                with torch.no_grad():
                    x.clamp_(0, 1)
            _note(state, pixels, loss, None if lost else optimizer)
            yield pixels, loss


def evaluate_once(evaluate: Evaluate, start: Tensor) -> Descent:
    """No descent at all: the start and its loss, once."""
    loss, _ = evaluate(start)
    yield start, loss


def _fresh(start: Tensor, rate: float) -> State:
    """The state of a descent by one of torch's optimizers before its first evaluation."""
    return {
        "pixels": start,
        "optimizer": {},
        "best": start,
        "least": math.inf,
        "rate": rate,
        "made": 0,
    }


def _variable(state: State, device: torch.device) -> Tensor:
    """The pixels of a state, for an optimizer of torch's to move."""
    pixels = state["pixels"].to(device)
    return pixels.clone(memory_format=torch.contiguous_format).requires_grad_()


def _restore(optimizer: torch.optim.Optimizer, state: State) -> None:
    """Give an optimizer of torch's its memory back."""
    if state["optimizer"]:
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": {0: state["optimizer"]}, "param_groups": groups})


def _note(
    state: State, pixels: Tensor, loss: float, optimizer: torch.optim.Optimizer | None
) -> None:
    """Note an evaluation and where torch's optimizer went from it; None where its loss exploded."""
    state["made"] += 1
    if optimizer is None:
        state.update(pixels=state["best"], optimizer={}, rate=state["rate"] / 2)
        return
    if loss < state["least"]:
        state.update(best=pixels, least=loss)
    (x,) = optimizer.param_groups[0]["params"]
    state.update(pixels=x.detach(), optimizer=dict(optimizer.state[x]))


def _exploded(loss: float, reference: float) -> bool:
    """Whether a loss is past hope."""
    return not math.isfinite(loss) or loss > _EXPLODED * reference
