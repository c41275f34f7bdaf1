"""L-BFGS in the unit box, with a first guess of the curvature for every spatial frequency."""

from __future__ import annotations

import math
from collections import deque
from typing import NamedTuple

import torch
from torch import Tensor

from impasto.style.descent import Descent, Evaluate, State
from impasto.style.spectrum import Spectrum

_FIRST = 0.01  # root mean square, in pixel values, of the first step
_ARMIJO = 1e-4  # share of the predicted fall that a step must bring


class Pair(NamedTuple):
    """What one step told of the curvature."""

    step: Tensor  # (C, H, W), from where to where the pixels went
    bend: Tensor  # (C, H, W), how the gradient changed on the way
    curvature: float  # step · bend, above 0
    powers: Tensor  # of both in each frequency band, as `Spectrum.powers` gives them


Pairs = deque[Pair]  # the latest last


def lbfgs(
    evaluate: Evaluate, start: Tensor, *, history: int = 10, state: State | None = None
) -> Descent:
    """L-BFGS in the box [0, 1]: pixels that a bound holds rest, the others take the whole step.

    A pixel at a bound whose gradient pushes outwards is left out of step and curvature
    pairs; each step is projected onto the box and its pair taken from where the pixels really went,
    so that clamping never lies to the pairs. A step must lower the loss (Armijo) or is shortened;
    where even a short step fails, the pairs are forgotten. The first guess of the inverse curvature
    is not a multiple of the identity but one number for each color and frequency band.

    Args:
        evaluate: pixels to loss and gradient.
        start: (C, H, W) in [0, 1].
        history: curvature pairs to remember; each costs two pictures of memory.
        state: where to go on from, and what to keep up to date: `pixels`, `loss`, `gradient`; the
            pairs as lists `steps`, `bends`; `caution`; `made`.

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
    spectrum = Spectrum((start.shape[2], start.shape[1]), start.device)
    pixels, loss, gradient, pairs, caution, made = _marked(state, spectrum, start.device, history)
    while True:
        held = ((pixels <= 0) & (gradient > 0)) | ((pixels >= 1) & (gradient < 0))
        slope = gradient.masked_fill(held, 0)
        if not slope.any():
            return  # stationary: nothing left to do
        direction = _two_loops(slope, pairs, spectrum).masked_fill_(held, 0)
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
                _remember(pairs, step, new_gradient - gradient, spectrum)
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


def _two_loops(gradient: Tensor, pairs: Pairs, spectrum: Spectrum) -> Tensor:
    """−H·g by the two-loop recursion over the curvature pairs."""
    direction = -gradient
    if not pairs:
        return direction
    alphas = []
    for pair in reversed(pairs):
        alpha = _dot(pair.step, direction) / pair.curvature
        alphas.append(alpha)
        direction.sub_(pair.bend, alpha=alpha)
    gain = spectrum.gain([pair.powers for pair in pairs])
    # Scaled so that along the latest pair the guess gives what was seen there.
    latest = pairs[-1]
    seen = latest.curvature / _dot(latest.bend, latest.bend)
    direction = spectrum.scaled(direction, gain * (seen / (gain * latest.powers[1]).sum()))
    for pair, alpha in zip(pairs, reversed(alphas), strict=True):
        beta = _dot(pair.bend, direction) / pair.curvature
        direction.add_(pair.step, alpha=alpha - beta)
    return direction


def _remember(pairs: Pairs, step: Tensor, bend: Tensor, spectrum: Spectrum) -> None:
    """Add a step and how the gradient bent along it, where that tells of a valley."""
    bend = bend.masked_fill_(step == 0, 0)
    curvature = _dot(step, bend)
    if curvature > 1e-8 * _dot(step, step) ** 0.5 * _dot(bend, bend) ** 0.5:
        pairs.append(Pair(step, bend, curvature, spectrum.powers(step, bend)))


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
    state.update(steps=[pair.step for pair in pairs], bends=[pair.bend for pair in pairs])


def _marked(
    state: State, spectrum: Spectrum, device: torch.device, history: int
) -> tuple[Tensor, float, Tensor, Pairs, float, int]:
    """The point that `_mark` noted: pixels, loss, gradient, pairs, caution, evaluations made."""
    pairs: Pairs = deque(maxlen=history)
    for step, bend in zip(state["steps"], state["bends"], strict=True):
        _remember(pairs, step.to(device), bend.to(device), spectrum)
    pixels, gradient = state["pixels"].to(device), state["gradient"].to(device)
    return pixels, state["loss"], gradient, pairs, state["caution"], state["made"]


def _shortened(loss: float, new_loss: float, predicted: float) -> float:
    """By how much to shorten a step that overshot: the parabola's minimum, kept in [0.1, 0.5]."""
    if not math.isfinite(new_loss) or not predicted < 0:
        return 0.1
    return min(0.5, max(0.1, predicted / (2 * (predicted - (new_loss - loss)))))


def _dot(a: Tensor, b: Tensor) -> float:
    """Inner product of two pictures."""
    return torch.dot(a.flatten(), b.flatten()).item()


def _rms(a: Tensor) -> float:
    """Root mean square."""
    return a.square().mean().sqrt().item()
