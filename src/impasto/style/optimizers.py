"""Optimizers of pixels in the box [0, 1]: projected L-BFGS, Adam, the notebook's clamped L-BFGS.

Each is a generator. It yields the pixels and loss of every evaluation it makes, those that a line
search rejects included; the caller counts, keeps the best, and stops. A loss that explodes rolls
back to the last good state and continues with smaller steps: no run ends black.

Each takes a `state`, a dictionary that it keeps at the latest point it could resume from. Empty, it
is ignored; filled, by an earlier generator or from a file, the optimizer continues from there as if
it had never stopped, bit for bit. Its values are valid whenever the generator has yielded, and may
be changed in place when it goes on. `made` counts the evaluations behind that point: those made
since are made again.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from impasto.compiled import one_thread

# Pixels -> (loss, gradient in the pixels); pixels and gradient (C, H, W) float32.
Evaluate = Callable[[Tensor], tuple[float, Tensor]]
Optimization = Iterator[tuple[Tensor, float]]
# Name -> tensors, numbers, None, or lists and dictionaries of those.
State = dict[str, Any]

_EXPLODED = 10.0  # a loss this many times the reference counts as exploded
_FIRST_STEP = 0.01  # root mean square, in pixel values, of the first step
_ARMIJO = 1e-4  # share of the predicted decrease that a step must bring
_BANDS = 24  # evenly spaced in the logarithm of frequency
_DECAY = 0.8  # each older pair counts this share of the next younger one
_REGION = 32  # pixels between the centers of neighboring regions
_MIN_COSINE = 0.01  # of step and gradient change in a region, below which it learns nothing
_STRETCH = 1.3  # of the direction's own length: the decrease is larger than predicted. Measured.


class Pair(NamedTuple):
    """A step and the change of the gradient along it: a measurement of the curvature.

    Both are kept in half precision and in units of their own root mean square, so that no value
    overflows: the pairs are most of the memory that a large picture takes. Everything else is
    computed from the rounded values, so rounding measures a slightly other step, never a wrong one.
    """

    step: Tensor  # (C, H, W) float16, from where to where the pixels went
    gradient_change: Tensor  # (C, H, W) float16, how the gradient changed on the way
    ratio: float  # unit of the step over that of the gradient change
    inverse: float  # of the curvature along the gradient change: how much step for how much change
    inverses: Tensor  # (rows, columns) of 1 / (step · gradient_change), 0 where it is not positive
    powers: Tensor  # of both in each frequency band, as `Spectrum.powers` gives them


Pairs = deque[Pair]  # the latest last


def lbfgs(
    evaluate: Evaluate, start: Tensor, *, history: int = 10, state: State | None = None
) -> Optimization:
    """Minimize by L-BFGS in the box [0, 1]: pixels that a bound holds rest, the others move.

    A pixel at a bound whose gradient pushes outwards is left out of step and curvature
    pairs; each step is projected onto the box and its pair taken from where the pixels really went,
    so that clamping never lies to the pairs. A step must lower the loss (Armijo) or is shortened;
    where even a short step fails, the pairs are forgotten. The first guess of the inverse curvature
    is not a multiple of the identity but one number for each color and frequency band. Inner
    products are taken region by region: a pixel's curvature is that of its neighborhood, and a pair
    measures that of each part of the image.

    Args:
        evaluate: pixels to loss and gradient.
        start: (C, H, W) in [0, 1].
        history: curvature pairs to remember; each costs one image of memory.
        state: where to resume from, and what to keep up to date: `pixels`, `loss`, `gradient`; the
            pairs as lists `steps`, `gradient_changes`, `ratios`; `damping`; `made`.

    Yields:
        Pixels (C, H, W) in [0, 1] and loss of each evaluation.

    References:
        Nocedal, Wright 2006, algorithms 7.4 and 7.5; Schmidt, Kim, Sra 2011, Projected Newton-type
        methods in machine learning, for the two-metric projection; Griewank, Toint 1982, for
        quasi-Newton updates by parts of a function.
    """
    state = {} if state is None else state
    if not state:
        pixels = start.clone(memory_format=torch.contiguous_format)
        loss, gradient = evaluate(pixels)
        _save_point(state, pixels, loss, gradient, deque(), 1.0, 1)
        yield pixels, loss
    size = (start.shape[2], start.shape[1])
    spectrum, regions = Spectrum(size, start.device), Regions(size, start.device)
    pixels, loss, gradient, pairs, damping, made = _load_point(
        state, spectrum, regions, start.device, history
    )
    while True:
        direction = _direction(pixels, gradient, pairs, spectrum, regions)
        if direction is None:
            return  # stationary: nothing left to do
        # Without pairs the gradient has no natural length.
        length = _STRETCH if pairs else damping * _FIRST_STEP / max(_rms(direction), 1e-30)
        for _ in range(8):
            candidate = torch.add(pixels, direction, alpha=length).clamp_(0, 1)
            predicted = _dot(gradient, candidate - pixels)
            new_loss, new_gradient = evaluate(candidate)
            made += 1
            if new_loss <= loss + _ARMIJO * predicted:  # False for NaN
                _add_pair(pairs, candidate - pixels, new_gradient - gradient, spectrum, regions)
                pixels, loss, gradient = candidate, new_loss, new_gradient
                _save_point(state, pixels, loss, gradient, pairs, damping, made)
                yield candidate, new_loss
                break
            yield candidate, new_loss
            length *= _step_factor(loss, new_loss, predicted)
        else:
            damping = 1.0 if pairs else damping / 10
            pairs.clear()
            _save_point(state, pixels, loss, gradient, pairs, damping, made)


def lbfgs_clamped(
    evaluate: Evaluate, start: Tensor, *, history: int = 100, state: State | None = None
) -> Optimization:
    """Minimize by torch's L-BFGS, pixels clamped inside each evaluation: the notebook's way.

    The clamp moves the point after the step was recorded, which spoils curvature pairs; kept to
    the letter because it is the baseline. One iteration a call walks the same path as torch's
    default of twenty, whose state lives across calls.

    Args:
        evaluate: pixels to loss and gradient.
        start: (C, H, W) in [0, 1].
        history: curvature pairs to remember.
        state: where to resume from, and what to keep up to date.

    Yields:
        Pixels (C, H, W) in [0, 1] and loss of each evaluation.
    """
    state = {} if state is None else state
    if not state:
        state.update(_initial_state(start, 1.0), first=math.inf)
    while True:
        x = _variable(state, start.device)
        optimizer = torch.optim.LBFGS([x], lr=state["rate"], max_iter=1, history_size=history)
        _restore(optimizer, state)
        evaluations: list[tuple[Tensor, float]] = []

        def closure(x: Tensor = x, evaluations: list[tuple[Tensor, float]] = evaluations) -> float:
            with torch.no_grad():
                x.clamp_(0, 1)
            pixels = x.detach().clone()
            loss, x.grad = evaluate(pixels)
            evaluations.append((pixels, loss))
            return loss

        exploded = False
        while not exploded:
            optimizer.step(closure)
            pixels, loss = evaluations.pop()  # step() has already moved x on
            if math.isinf(state["first"]):
                state["first"] = loss
            # Measured from the start, not from the least: a healthy run of this one jumps too.
            exploded = _exploded(loss, state["first"])
            # The roll back is not in the notebook: its only way out is a black image.
            _record(state, pixels, loss, None if exploded else optimizer)
            yield pixels, loss


def adam(
    evaluate: Evaluate, start: Tensor, *, learning_rate: float = 0.02, state: State | None = None
) -> Optimization:
    """Minimize by Adam on the pixels, clamped to [0, 1] after each step; needs the least memory.

    Args:
        evaluate: pixels to loss and gradient.
        start: (C, H, W) in [0, 1].
        learning_rate: about how far a pixel moves in one step.
        state: where to resume from, and what to keep up to date.

    Yields:
        Pixels (C, H, W) in [0, 1] and loss of each evaluation.

    References:
        Kingma, Ba 2014 (arXiv:1412.6980).
    """
    state = {} if state is None else state
    if not state:
        state.update(_initial_state(start, learning_rate))
    while True:
        x = _variable(state, start.device)
        optimizer = torch.optim.Adam([x], lr=state["rate"], betas=(0.9, 0.99))
        _restore(optimizer, state)
        exploded = False
        while not exploded:
            pixels = x.detach().clone()
            loss, x.grad = evaluate(pixels)
            exploded = _exploded(loss, state["least"])
            if not exploded:
                optimizer.step()
                with torch.no_grad():
                    x.clamp_(0, 1)
            _record(state, pixels, loss, None if exploded else optimizer)
            yield pixels, loss


def evaluate_once(evaluate: Evaluate, start: Tensor) -> Optimization:
    """Evaluate the start once and end there."""
    loss, _ = evaluate(start)
    yield start, loss


class Spectrum:
    """The frequency bands of images of one size, for L-BFGS's first guess of the inverse curvature.

    The network answers to some frequencies far more strongly than to others, so a multiple of the
    identity is a poor first guess. One that is diagonal in frequency, a number for each color and
    band, costs a Fourier transform and is learnt from the curvature pairs themselves.

    Args:
        size: (width, height), in pixels.
        device: where the images are.

    Example:
        >>> spectrum = Spectrum((32, 24))
        >>> step, gradient_change = torch.rand(3, 24, 32), torch.rand(3, 24, 32)
        >>> gain = spectrum.gain([spectrum.powers(4 * gradient_change, gradient_change)])
        >>> torch.allclose(spectrum.scale(gradient_change, gain), 4 * gradient_change, atol=1e-4)
        True
    """

    def __init__(self, size: tuple[int, int], device: torch.device | str = "cpu") -> None:
        self.size = width, height = size
        down = torch.fft.fftfreq(height, device=device)[:, None]
        across = torch.fft.rfftfreq(width, device=device)[None]
        least, most = 1 / max(size), 0.5**0.5  # cycles a pixel: once an image, and the corner
        octaves = torch.hypot(down, across).clamp_(min=least).div_(least).log_()
        # (H, W//2 + 1): each frequency's place among the bands, between two of them
        self.place = octaves.mul_((_BANDS - 1) / math.log(most / least)).clamp_(0, _BANDS - 1.001)
        # A real image's transform holds each frequency but the outermost columns' twice.
        self.twice = torch.full((across.shape[1],), 2.0, device=device)
        self.twice[0] = 1
        if width % 2 == 0:
            self.twice[-1] = 1

    def powers(self, step: Tensor, gradient_change: Tensor) -> Tensor:
        """The power of a curvature pair in each band, over the total power of the gradient change.

        Args:
            step: (3, H, W), from where to where the pixels went.
            gradient_change: (3, H, W), how the gradient changed on the way.

        Returns:
            (2, 3, bands) float64 on the CPU: the powers of the step and of the gradient change.
        """
        powers = torch.stack([self._band_powers(step), self._band_powers(gradient_change)])
        return powers / powers[1].sum().clamp_min(1e-300)

    def gain(self, powers: Sequence[Tensor]) -> Tensor:
        """Return step per gradient change in each band, (3, bands); the latest pair comes last."""
        fading = [_DECAY**age * power for age, power in enumerate(reversed(powers))]
        step, gradient_change = sum(fading)
        average = (step.sum() / gradient_change.sum()).sqrt()
        known = gradient_change > 1e-12 * gradient_change.sum()
        gain = (step / gradient_change.clamp_min(1e-300)).sqrt()
        return torch.where(known, gain, average).clamp_min(1e-30)

    def scale(self, image: Tensor, gain: Tensor) -> Tensor:
        """Multiply the bands of each color of an image, (3, H, W), by a gain, (3, bands)."""
        low = self.place.long()  # (H, W//2 + 1)
        share = self.place - low
        out = torch.empty_like(image)
        for color, color_gain in enumerate(gain.to(image)):  # one at a time, for memory's sake
            factor = torch.lerp(color_gain[low], color_gain[low + 1], share)
            wave = torch.fft.rfft2(image[color], norm="ortho")
            out[color] = torch.fft.irfft2(wave.mul_(factor), s=image.shape[1:], norm="ortho")
        return out

    def _band_powers(self, image: Tensor) -> Tensor:
        """Return the power of each color in each band, (3, bands) float64."""
        low = self.place.long().flatten()
        share = (self.place.flatten() - low).double()
        bands = []
        for color in image:
            wave = torch.fft.rfft2(color.float(), norm="ortho")
            power = torch.view_as_real(wave).square().sum(-1).mul_(self.twice).flatten().double()
            above = torch.bincount(low + 1, power * share, _BANDS)
            bands.append(torch.bincount(low, power - power * share, _BANDS) + above)
        return torch.stack(bands).cpu()


class Regions:
    """Overlapping regions of images of one size, and sums over them.

    A region's weights fall off linearly from its center to those of its neighbors and add up to 1
    everywhere. Taking sums and spreading them are each other's transposes, so that L-BFGS's matrix
    stays symmetric.

    Args:
        size: (width, height), in pixels.
        device: where the images are.

    Example:
        >>> regions = Regions((96, 48))
        >>> sums = regions.inner(torch.ones(3, 48, 96), torch.ones(3, 48, 96))
        >>> sums.shape, sums.sum().item()
        (torch.Size([2, 3]), 13824.0)
    """

    def __init__(self, size: tuple[int, int], device: torch.device | str = "cpu") -> None:
        self.across, self.down = (_hats(side).to(device) for side in size)

    def inner(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the inner product of two images, (3, H, W), in each region: (rows, columns)."""
        product = a[0].float() * b[0].float()
        for color in range(1, a.shape[0]):  # one at a time, for memory's sake
            product.addcmul_(a[color].float(), b[color].float())
        with one_thread():
            return self.down @ product @ self.across.T

    def add(self, image: Tensor, factors: Tensor, other: Tensor) -> None:
        """Add to an image another one times each region's factor, (rows, columns), in place."""
        with one_thread():
            spread = self.down.T @ factors @ self.across
        for color in range(image.shape[0]):
            image[color].addcmul_(spread, other[color].float())


def _hats(side: int) -> Tensor:
    """Return each region's weight at each pixel of a side, (regions, side)."""
    count = max(1, round(side / _REGION))
    place = ((torch.arange(side) + 0.5) * (count / side) - 0.5).clamp(0, count - 1)
    return (1 - (place - torch.arange(count)[:, None]).abs()).clamp(min=0)


def _direction(
    pixels: Tensor, gradient: Tensor, pairs: Pairs, spectrum: Spectrum, regions: Regions
) -> Tensor | None:
    """Return where to go from pixels that may not leave the box; None where the loss is least."""
    active = ((pixels <= 0) & (gradient > 0)) | ((pixels >= 1) & (gradient < 0))
    free = gradient.masked_fill(active, 0)
    if not free.any():
        return None
    direction = _two_loop_direction(free, pairs, spectrum, regions).masked_fill_(active, 0)
    if not _dot(direction, free) < 0:  # NaN too: the pairs are worth nothing
        pairs.clear()
        return -free
    return direction


def _two_loop_direction(
    gradient: Tensor, pairs: Pairs, spectrum: Spectrum, regions: Regions
) -> Tensor:
    """−H·g by the two-loop recursion over the curvature pairs, in each region with its own."""
    direction = -gradient
    if not pairs:
        return direction
    alphas = []
    for pair in reversed(pairs):
        alpha = regions.inner(pair.step, direction) * pair.inverses
        alphas.append(alpha)
        regions.add(direction, -alpha, pair.gradient_change)
    gain = spectrum.gain([pair.powers for pair in pairs])
    # Scaled so that along the latest pair the guess gives the curvature measured there.
    latest = pairs[-1]
    gain *= latest.inverse / (gain * latest.powers[1]).sum()
    direction = spectrum.scale(direction, gain)
    for pair, alpha in zip(pairs, reversed(alphas), strict=True):
        beta = regions.inner(pair.gradient_change, direction) * pair.inverses
        regions.add(direction, pair.ratio * alpha - beta, pair.step)
    return direction


def _add_pair(
    pairs: Pairs, step: Tensor, gradient_change: Tensor, spectrum: Spectrum, regions: Regions
) -> None:
    """Add a step and its gradient change if the curvature along it is positive."""
    gradient_change = gradient_change.masked_fill_(step == 0, 0)
    curvature = _dot(step, gradient_change)
    if curvature > 1e-8 * _dot(step, step) ** 0.5 * _dot(gradient_change, gradient_change) ** 0.5:
        units = _rms(step), _rms(gradient_change)
        halves = [(a / unit).half() for a, unit in zip((step, gradient_change), units, strict=True)]
        pairs.append(_pair(*halves, units[0] / units[1], spectrum, regions))


def _pair(
    step: Tensor, gradient_change: Tensor, ratio: float, spectrum: Spectrum, regions: Regions
) -> Pair:
    """Return the pair of a rounded step and gradient change."""
    curvatures = regions.inner(step, gradient_change)
    changes = regions.inner(gradient_change, gradient_change)
    learns = curvatures > _MIN_COSINE * (regions.inner(step, step) * changes).sqrt()
    inverses = torch.where(learns, 1 / curvatures, 0)
    inverse = ratio * (curvatures.double().sum() / changes.double().sum()).item()
    powers = spectrum.powers(step, gradient_change)
    powers[0] *= ratio**2
    return Pair(step, gradient_change, ratio, inverse, inverses, powers)


def _save_point(
    state: State,
    pixels: Tensor,
    loss: float,
    gradient: Tensor,
    pairs: Pairs,
    damping: float,
    made: int,
) -> None:
    """Save a point that `lbfgs` can resume from; nothing of it is changed in place later."""
    state.update(pixels=pixels, loss=loss, gradient=gradient, damping=damping, made=made)
    state.update(
        steps=[pair.step for pair in pairs],
        gradient_changes=[pair.gradient_change for pair in pairs],
        ratios=[pair.ratio for pair in pairs],
    )


def _load_point(
    state: State, spectrum: Spectrum, regions: Regions, device: torch.device, history: int
) -> tuple[Tensor, float, Tensor, Pairs, float, int]:
    """Return pixels, loss, gradient, pairs, damping and evaluations made of a saved point."""
    pairs: Pairs = deque(maxlen=history)
    saved = zip(state["steps"], state["gradient_changes"], state["ratios"], strict=True)
    for step, gradient_change, ratio in saved:
        pair = _pair(step.to(device), gradient_change.to(device), ratio, spectrum, regions)
        pairs.append(pair)
    pixels, gradient = state["pixels"].to(device), state["gradient"].to(device)
    return pixels, state["loss"], gradient, pairs, state["damping"], state["made"]


def _step_factor(loss: float, new_loss: float, predicted: float) -> float:
    """Return the factor that shortens a failed step: the parabola's minimum in [0.1, 0.5]."""
    if not math.isfinite(new_loss) or not predicted < 0:
        return 0.1
    return min(0.5, max(0.1, predicted / (2 * (predicted - (new_loss - loss)))))


def _dot(a: Tensor, b: Tensor) -> float:
    """Return the inner product of two images."""
    with one_thread():
        return torch.dot(a.flatten(), b.flatten()).item()


def _rms(a: Tensor) -> float:
    """Return the root mean square."""
    return math.sqrt(_dot(a, a) / a.numel())


def _initial_state(start: Tensor, rate: float) -> State:
    """Return the state of one of torch's optimizers before its first evaluation."""
    return {
        "pixels": start,
        "optimizer": {},
        "best": start,
        "least": math.inf,
        "rate": rate,
        "made": 0,
    }


def _variable(state: State, device: torch.device) -> Tensor:
    """Return the pixels of a state as a variable for one of torch's optimizers."""
    pixels = state["pixels"].to(device)
    return pixels.clone(memory_format=torch.contiguous_format).requires_grad_()


def _restore(optimizer: torch.optim.Optimizer, state: State) -> None:
    """Give one of torch's optimizers its state back."""
    if state["optimizer"]:
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": {0: state["optimizer"]}, "param_groups": groups})


def _record(
    state: State, pixels: Tensor, loss: float, optimizer: torch.optim.Optimizer | None
) -> None:
    """Record an evaluation and where torch's optimizer went from it; None if its loss exploded."""
    state["made"] += 1
    if optimizer is None:
        state.update(pixels=state["best"], optimizer={}, rate=state["rate"] / 2)
        return
    if loss < state["least"]:
        state.update(best=pixels, least=loss)
    (x,) = optimizer.param_groups[0]["params"]
    state.update(pixels=x.detach(), optimizer=dict(optimizer.state[x]))


def _exploded(loss: float, reference: float) -> bool:
    """Return whether a loss is not finite or far above a reference."""
    return not math.isfinite(loss) or loss > _EXPLODED * reference
