"""Going downhill: L-BFGS in the unit box, Adam, and the notebook's clamped L-BFGS.

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
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

# Pixels -> (loss, gradient in the pixels); pixels and gradient (C, H, W) float32.
Evaluate = Callable[[Tensor], tuple[float, Tensor]]
Descent = Iterator[tuple[Tensor, float]]
# Name -> tensors, numbers, None, or lists and dictionaries of those.
State = dict[str, Any]
Pairs = deque[tuple[Tensor, Tensor, float]]  # step, bend, step·bend: the latest last

_FIRST = 0.01  # root mean square, in pixel values, of L-BFGS's first step
_ARMIJO = 1e-4  # share of the predicted fall that a step must bring
_EXPLODED = 10.0  # a loss this many times the reference counts as exploded


def lbfgs(
    evaluate: Evaluate, start: Tensor, *, history: int = 10, state: State | None = None
) -> Descent:
    """L-BFGS in the box [0, 1]: pixels that a bound holds rest, the others take the whole step.

    A pixel at a bound whose gradient pushes outwards is left out of step and curvature
    pairs; each step is projected onto the box and its pair taken from where the pixels really went,
    so that clamping never lies to the pairs. A step must lower the loss (Armijo) or is shortened;
    where even a short step fails, the pairs are forgotten.

    Args:
        evaluate: pixels to loss and gradient.
        start: (C, H, W) in [0, 1].
        history: curvature pairs to remember; each costs two pictures of memory.
        state: where to go on from, and what to keep up to date: `pixels`, `loss`, `gradient`; the
            pairs as lists `steps`, `bends`, `curvatures`; `caution`; `made`.

    Yields:
        Pixels (C, H, W) in [0, 1] and loss of each evaluation.

    References:
        Nocedal, Wright 2006, algorithms 7.4 and 7.5; Schmidt, Kim, Sra 2011, Projected Newton-type
        methods in machine learning, for the two-metric projection.
    """
    state = {} if state is None else state
    if not state:
        pixels = start.clone(memory_format=torch.contiguous_format)
        loss, gradient = evaluate(pixels)
        _mark(state, pixels, loss, gradient, deque(), 1.0, 1)
        yield pixels, loss
    pixels, loss, gradient, pairs, caution, made = _marked(state, start.device, history)
    while True:
        held = ((pixels <= 0) & (gradient > 0)) | ((pixels >= 1) & (gradient < 0))
        slope = gradient.masked_fill(held, 0)
        if not slope.any():
            return  # stationary: nothing left to do
        direction = _two_loops(slope, pairs).masked_fill_(held, 0)
        if not _dot(direction, slope) < 0:  # NaN too: the pairs are worth nothing
            pairs.clear()
            direction = -slope
        # Without pairs the gradient has no natural length.
        length = 1.0 if pairs else caution * _FIRST / max(_rms(direction), 1e-30)
        for _ in range(8):
            there = torch.add(pixels, direction, alpha=length).clamp_(0, 1)
            step = there - pixels
            predicted = _dot(gradient, step)
            new_loss, new_gradient = evaluate(there)
            made += 1
            if new_loss <= loss + _ARMIJO * predicted:  # False for NaN
                _remember(pairs, step, new_gradient - gradient)
                pixels, loss, gradient = there, new_loss, new_gradient
                _mark(state, pixels, loss, gradient, pairs, caution, made)
                yield there, new_loss
                break
            yield there, new_loss
            length *= _shortened(loss, new_loss, predicted)
        else:
            caution = 1.0 if pairs else caution / 10
            pairs.clear()
            _mark(state, pixels, loss, gradient, pairs, caution, made)


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


def still(evaluate: Evaluate, start: Tensor) -> Descent:
    """No descent at all: the start and its loss, once."""
    loss, _ = evaluate(start)
    yield start, loss


def _two_loops(gradient: Tensor, pairs: Pairs) -> Tensor:
    """−H·g by the two-loop recursion over the curvature pairs."""
    direction = -gradient
    if not pairs:
        return direction
    alphas = []
    for step, bend, curvature in reversed(pairs):
        alpha = 1 / curvature * _dot(step, direction)
        alphas.append(alpha)
        direction = direction.sub(bend, alpha=alpha)
    _, bend, curvature = pairs[-1]
    direction = direction / (1 / curvature * _dot(bend, bend))
    for (step, bend, curvature), alpha in zip(pairs, reversed(alphas), strict=True):
        direction = direction.add(step, alpha=alpha - 1 / curvature * _dot(bend, direction))
    return direction


def _remember(pairs: Pairs, step: Tensor, bend: Tensor) -> None:
    """Add a step and how the gradient bent along it, where that tells of a valley."""
    bend = bend.masked_fill_(step == 0, 0)
    curvature = _dot(step, bend)
    if curvature > 1e-8 * _dot(step, step) ** 0.5 * _dot(bend, bend) ** 0.5:
        pairs.append((step, bend, curvature))


def _mark(
    state: State,
    pixels: Tensor,
    loss: float,
    gradient: Tensor,
    pairs: Pairs,
    caution: float,
    made: int,
) -> None:
    """Note a point that `lbfgs` can go on from; nothing of it is changed in place later."""
    state.update(pixels=pixels, loss=loss, gradient=gradient, caution=caution, made=made)
    for number, name in enumerate(("steps", "bends", "curvatures")):
        state[name] = [pair[number] for pair in pairs]


def _marked(
    state: State, device: torch.device, history: int
) -> tuple[Tensor, float, Tensor, Pairs, float, int]:
    """The point that `_mark` noted: pixels, loss, gradient, pairs, caution, evaluations made."""
    steps, bends = ([one.to(device) for one in state[name]] for name in ("steps", "bends"))
    pairs = deque(zip(steps, bends, state["curvatures"], strict=True), maxlen=history)
    pixels, gradient = state["pixels"].to(device), state["gradient"].to(device)
    return pixels, state["loss"], gradient, pairs, state["caution"], state["made"]


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


def _shortened(loss: float, new_loss: float, predicted: float) -> float:
    """By how much to shorten a step that overshot: the parabola's minimum, kept in [0.1, 0.5]."""
    if not math.isfinite(new_loss) or not predicted < 0:
        return 0.1
    return min(0.5, max(0.1, predicted / (2 * (predicted - (new_loss - loss)))))


def _exploded(loss: float, reference: float) -> bool:
    """Whether a loss is past hope."""
    return not math.isfinite(loss) or loss > _EXPLODED * reference


def _dot(a: Tensor, b: Tensor) -> float:
    """Inner product of two pictures."""
    return torch.dot(a.flatten(), b.flatten()).item()


def _rms(a: Tensor) -> float:
    """Root mean square."""
    return a.square().mean().sqrt().item()
