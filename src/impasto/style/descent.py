"""Going downhill: L-BFGS in the unit box, Adam, and the notebook's clamped L-BFGS.

Each is a generator. It yields the pixels and loss of every evaluation it makes, the ones that a
line search rejects included; whoever runs it counts, keeps the best, and stops. A loss that
explodes rolls back to the last good state and goes on more carefully: no run ends black.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

# Pixels -> (loss, gradient in the pixels); pixels and gradient (C, H, W) float32.
Evaluate = Callable[[Tensor], tuple[float, Tensor]]
Descent = Iterator[tuple[Tensor, float]]

_FIRST = 0.01  # root mean square, in pixel values, of L-BFGS's first step
_ARMIJO = 1e-4  # share of the predicted fall that a step must bring
_EXPLODED = 10.0  # a loss this many times the reference counts as exploded


def lbfgs(evaluate: Evaluate, start: Tensor, *, history: int = 10) -> Descent:
    """L-BFGS in the box [0, 1]: pixels that a bound holds rest, the others take the whole step.

    A pixel at a bound whose gradient pushes outwards is left out of step and curvature
    pairs; each step is projected onto the box and its pair taken from where the pixels really went,
    so that clamping never lies to the pairs. A step must lower the loss (Armijo) or is shortened;
    where even a short step fails, the pairs are forgotten.

    Args:
        evaluate: pixels to loss and gradient.
        start: (C, H, W) in [0, 1].
        history: curvature pairs to remember; each costs two pictures of memory.

    Yields:
        Pixels (C, H, W) in [0, 1] and loss of each evaluation.

    References:
        Nocedal, Wright 2006, algorithms 7.4 and 7.5; Schmidt, Kim, Sra 2011, Projected Newton-type
        methods in machine learning, for the two-metric projection.
    """
    pixels = start.clone()
    loss, gradient = evaluate(pixels)
    yield pixels, loss
    pairs: deque[tuple[Tensor, Tensor, float]] = deque(maxlen=history)
    caution = 1.0
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
            yield there, new_loss
            if new_loss <= loss + _ARMIJO * predicted:  # False for NaN
                break
            length *= _shortened(loss, new_loss, predicted)
        else:
            caution = 1.0 if pairs else caution / 10
            pairs.clear()
            continue
        bend = (new_gradient - gradient).masked_fill_(step == 0, 0)
        curvature = _dot(step, bend)
        if curvature > 1e-8 * _dot(step, step) ** 0.5 * _dot(bend, bend) ** 0.5:
            pairs.append((step, bend, 1 / curvature))
        pixels, loss, gradient = there, new_loss, new_gradient


def lbfgs_clamped(evaluate: Evaluate, start: Tensor, *, history: int = 100) -> Descent:
    """The notebook's optimizer: torch's L-BFGS, pixels clamped to [0, 1] inside each evaluation.

    The clamp moves the point after the step was recorded, which spoils curvature pairs; kept to
    the letter because it is the baseline. One iteration a call walks the same path as torch's
    default of twenty, whose state lives across calls.

    Args:
        evaluate: pixels to loss and gradient.
        start: (C, H, W) in [0, 1].
        history: curvature pairs to remember.

    Yields:
        Pixels (C, H, W) in [0, 1] and loss of each evaluation.
    """
    best, least, rate, first = start, math.inf, 1.0, math.inf
    while True:
        x = best.clone().requires_grad_()
        optimizer = torch.optim.LBFGS([x], lr=rate, max_iter=1, history_size=history)
        seen: list[tuple[Tensor, float]] = []

        def closure(x: Tensor = x, seen: list[tuple[Tensor, float]] = seen) -> float:
            with torch.no_grad():
                x.clamp_(0, 1)
            pixels = x.detach().clone()
            loss, x.grad = evaluate(pixels)
            seen.append((pixels, loss))
            return loss

        while True:
            optimizer.step(closure)
            pixels, loss = seen.pop()  # step() has already moved x on
            yield pixels, loss
            first = loss if math.isinf(first) else first
            # Measured from the start, not from the least: a healthy run of this one jumps too.
            if _exploded(loss, first):
                rate /= 2  # not in the notebook: its only way out is a black picture
                break
            if loss < least:
                best, least = pixels, loss


def adam(evaluate: Evaluate, start: Tensor, *, learning_rate: float = 0.02) -> Descent:
    """Adam on the pixels, clamped to [0, 1] after each step; needs the least memory.

    Args:
        evaluate: pixels to loss and gradient.
        start: (C, H, W) in [0, 1].
        learning_rate: about how far a pixel moves in one step.

    Yields:
        Pixels (C, H, W) in [0, 1] and loss of each evaluation.

    References:
        Kingma, Ba 2014 (arXiv:1412.6980).
    """
    best, least, rate = start, math.inf, learning_rate
    while True:
        x = best.clone()
        optimizer = torch.optim.Adam([x.requires_grad_()], lr=rate, betas=(0.9, 0.99))
        while True:
            pixels = x.detach().clone()
            loss, x.grad = evaluate(pixels)
            yield pixels, loss
            if _exploded(loss, least):
                rate /= 2
                break
            if loss < least:
                best, least = pixels, loss
            optimizer.step()
            with torch.no_grad():
                x.clamp_(0, 1)


def still(evaluate: Evaluate, start: Tensor) -> Descent:
    """No descent at all: the start and its loss, once."""
    loss, _ = evaluate(start)
    yield start, loss


def _two_loops(gradient: Tensor, pairs: deque[tuple[Tensor, Tensor, float]]) -> Tensor:
    """−H·g by the two-loop recursion over the curvature pairs (step, bend, 1/step·bend)."""
    direction = -gradient
    if not pairs:
        return direction
    alphas = []
    for step, bend, rho in reversed(pairs):
        alpha = rho * _dot(step, direction)
        alphas.append(alpha)
        direction = direction.sub(bend, alpha=alpha)
    _, bend, rho = pairs[-1]
    direction = direction / (rho * _dot(bend, bend))
    for (step, bend, rho), alpha in zip(pairs, reversed(alphas), strict=True):
        direction = direction.add(step, alpha=alpha - rho * _dot(bend, direction))
    return direction


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
