"""The optimizers: they descend, stay in bounds, and survive bad evaluations."""

import math
from itertools import islice

import pytest
import torch

from impasto.style.optimizers import adam, evaluate_once, lbfgs, lbfgs_clamped

TARGET = torch.rand(3, 6, 5, generator=torch.Generator().manual_seed(3))
SCALES = torch.logspace(0, 2, 90).view(3, 6, 5)  # curvatures over two decades
START = torch.full((3, 6, 5), 0.5)


def quadratic(pixels):
    difference = pixels - TARGET
    return (SCALES * difference.square()).sum().item() / 2, SCALES * difference


def least(descent, evaluations):
    return min(islice(descent, evaluations), key=lambda found: found[1])


@pytest.mark.parametrize(
    ("descent", "evaluations", "error"),
    [(lbfgs, 60, 2e-3), (lbfgs_clamped, 60, 2e-3), (adam, 300, 2e-2)],
)
def test_it_finds_the_minimum_inside_the_box(descent, evaluations, error):
    pixels, _ = least(descent(quadratic, START), evaluations)
    assert (pixels - TARGET).abs().max() < error


@pytest.mark.parametrize("descent", [lbfgs, lbfgs_clamped, adam])
def test_every_picture_it_evaluates_is_in_the_box(descent):
    def outside(pixels):
        assert pixels.min() >= 0
        assert pixels.max() <= 1
        difference = pixels - (TARGET * 4 - 2)  # a minimum outside the box
        return difference.square().sum().item(), 2 * difference

    pixels, _ = least(descent(outside, START), 80)
    assert (pixels - (TARGET * 4 - 2).clamp(0, 1)).abs().max() < 0.05


@pytest.mark.parametrize("descent", [lbfgs, lbfgs_clamped, adam])
@pytest.mark.parametrize("bad", [math.nan, math.inf, 1e30])
def test_a_loss_gone_bad_is_rolled_back_and_the_descent_goes_on(descent, bad):
    calls = 0

    def fragile(pixels):
        nonlocal calls
        calls += 1
        loss, gradient = quadratic(pixels)
        if calls in (9, 10, 23):
            return bad, torch.full_like(gradient, math.nan)
        return loss, gradient

    found = list(islice(descent(fragile, START), 120))
    assert sum(not loss < 1e20 for _, loss in found) == 3
    assert all(torch.isfinite(pixels).all() for pixels, _ in found)
    assert min(loss for _, loss in found[30:]) < 0.1 * found[0][1]


def test_lbfgs_never_ends_worse_than_it_began():
    losses = [loss for _, loss in islice(lbfgs(quadratic, TARGET), 10)]
    assert min(losses) <= losses[0]


@pytest.mark.parametrize("scale", [1e-12, 1e9])
def test_pairs_in_half_precision_hold_gradients_of_any_size(scale):
    def scaled(pixels):
        loss, gradient = quadratic(pixels)
        return scale * loss, scale * gradient

    state = {}
    images = [pixels for pixels, _ in islice(lbfgs(scaled, START, state=state), 30)]
    torch.testing.assert_close(images[-1], TARGET.clamp(0, 1), atol=2e-3, rtol=0)
    assert {step.dtype for step in state["steps"]} == {torch.float16}


def test_lbfgs_clamped_walks_torchs_own_path():
    """One iteration a call is the same as the library's default of twenty."""
    x = START.clone().requires_grad_()
    theirs = []

    def closure():
        with torch.no_grad():
            x.clamp_(0, 1)
        loss, x.grad = quadratic(x.detach())
        theirs.append(loss)
        return loss

    optimizer = torch.optim.LBFGS([x])
    while len(theirs) < 40:
        optimizer.step(closure)
    ours = [loss for _, loss in islice(lbfgs_clamped(quadratic, START), 40)]
    assert ours[:30] == pytest.approx(theirs[:30], rel=1e-4)


def test_still_gives_the_start_and_its_loss_once():
    assert [loss for _, loss in evaluate_once(quadratic, START)] == [quadratic(START)[0]]
