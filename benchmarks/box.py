"""Keeping pixels in [0, 1]: L-BFGS projected onto the box against three other ways.

    python benchmarks/box.py --contents DIR --styles DIR [--pairs tubingen:the_scream,…]
        [--size 192] [--steps 120]

Same evaluations, start and history (10) for each way, on three objectives: `projected` is ours;
`sigmoid` writes pixels as sigmoids of free variables; `free` knows no bounds and shows what the box
costs, though no picture; `clamped after` is `free` clamped at its end. Losses are measured in
the same precision as the run. Prints a row per objective and pair; the last line is JSON, `ratio`
the mean over rows of the best baseline's loss over ours, among those that are pictures (above 1:
ours is lower).
"""

from __future__ import annotations

import argparse
import json
from itertools import islice
from pathlib import Path

import torch

from impasto.device import select_device, select_precision
from impasto.images.read import open_image
from impasto.images.resize import fit_longest_side
from impasto.presets import style_recipe
from impasto.style.color import recolor
from impasto.style.features import load_network, style_statistics
from impasto.style.objective import Objective, build_objective
from impasto.style.optimizers import lbfgs
from impasto.style.spec import style_spec
from impasto.style.statistics import moments
from impasto.style.styles import equal_area_size, resize_image
from impasto.style.terms import Region

OBJECTIVES = {
    "default": {},
    "gram+mean+std from content": {
        "style_loss": "gram+mean+std",
        "init": "content",
        "content_weight": 0.1,
    },
    "notebook": {"preset": "notebook"},
}
EDGE = 1 / 256  # the sigmoid has no slope at 0 and 1: its start is kept this far inside


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contents", type=Path, required=True)
    parser.add_argument("--styles", type=Path, required=True)
    parser.add_argument("--pairs", default="tubingen:the_scream,hoovertowernight:pencil_sketch")
    parser.add_argument("--size", type=int, default=192)
    parser.add_argument("--steps", type=int, default=120)
    arguments = parser.parse_args()
    print(
        f"{'objective':28s}{'pair':34s}{'projected':>11s}{'sigmoid':>11s}{'clamped':>11s}"
        f"{'free':>11s}  outside"
    )
    rows = []
    for name, options in OBJECTIVES.items():
        for pair in arguments.pairs.split(","):
            content, style = pair.split(":")
            files = (
                next(arguments.contents.glob(f"{content}.*")),
                next(arguments.styles.glob(f"{style}.*")),
            )
            row = measure(*make_problem(*files, arguments.size, options), arguments.steps)
            rows.append({"objective": name, "pair": pair, **row})
            print(
                f"{name:28s}{pair:34s}{row['projected']:11.4g}{row['sigmoid']:11.4g}"
                f"{row['clamped_after']:11.4g}{row['free']:11.4g}  {row['outside']:.1%}",
                flush=True,
            )
    ratios = [min(r["sigmoid"], r["clamped_after"]) / r["projected"] for r in rows]
    print(json.dumps({"rows": rows, "ratio": round(sum(ratios) / len(ratios), 3)}))


def make_problem(content: Path, style: Path, size: int, options: dict) -> tuple:
    """The objective of a pair at one size, and its start."""
    spec = style_spec(style_recipe(**options))
    device = select_device()
    network = load_network(spec, device, select_precision(device, spec.precision))
    image, painting = open_image(content), open_image(style)
    pixels, _ = resize_image(image, fit_longest_side(image.size, size), device)
    shape = pixels.shape[:0:-1]
    styled = resize_image(painting, equal_area_size(painting.size, shape), device)
    regions = [Region(None, 1.0, style_statistics(network, *styled, list(spec.style_layers)))]
    start = recolor(pixels, moments(*styled)) if spec.start == "recolored" else pixels
    return build_objective(spec, network, shape, regions=regions, content=pixels), start


def measure(objective: Objective, begin: torch.Tensor, steps: int) -> dict[str, float]:
    """The least loss each way reaches, or ends at, in so many evaluations."""

    def evaluate(pixels: torch.Tensor) -> tuple[float, torch.Tensor]:
        losses, gradient, _ = objective(pixels)
        return losses["total"], gradient

    ours = min(loss for _, loss in islice(lbfgs(evaluate, begin), steps))
    _, squashed = without_bounds(
        lambda z: through_sigmoid(evaluate, z), torch.logit(begin.clamp(EDGE, 1 - EDGE)), steps
    )
    x, free = without_bounds(evaluate, begin, steps)
    return {
        "projected": ours,
        "sigmoid": squashed,
        "clamped_after": evaluate(x.clamp(0, 1))[0],
        "free": free,
        "outside": ((x < 0) | (x > 1)).float().mean().item(),
    }


def through_sigmoid(evaluate, z: torch.Tensor) -> tuple[float, torch.Tensor]:
    """Loss and gradient in the variables whose sigmoid the pixels are."""
    pixels = torch.sigmoid(z)
    loss, gradient = evaluate(pixels)
    return loss, gradient * pixels * (1 - pixels)


def without_bounds(evaluate, begin: torch.Tensor, steps: int) -> tuple[torch.Tensor, float]:
    """torch's L-BFGS without bounds: the point of least loss and that loss."""
    x = begin.clone().requires_grad_()
    optimizer = torch.optim.LBFGS([x], max_iter=1, history_size=10)
    best, least = begin, float("inf")

    def closure() -> float:
        nonlocal best, least
        here = x.detach().clone()
        loss, x.grad = evaluate(here)
        if loss < least:
            best, least = here, loss
        return loss

    for _ in range(steps):
        optimizer.step(closure)
    return best, least


if __name__ == "__main__":
    main()
