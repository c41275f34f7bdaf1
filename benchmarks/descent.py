"""Least loss of every optimizer: equal evaluations on one objective, one size, one start.

    python benchmarks/descent.py --content FILE --style FILE [--size 256] [--steps 150]
                                 [--objective default|notebook]

The baseline is the notebook's: torch's L-BFGS with the clamp inside. `lbfgs, one
gain` is ours with one number for all frequencies as its first guess of the curvature. Prints a row
per optimizer with the least loss after some evaluations; the last line is JSON, `ratio` the
baseline's least loss over ours (above 1: ours is lower).
"""

from __future__ import annotations

import argparse
import json
from unittest.mock import patch

import torch

import impasto
from impasto.style.optimizers import Spectrum

OPTIMIZERS = ("lbfgs-clamped", "adam", "lbfgs, one gain", "lbfgs")
OBJECTIVES = {
    "default": {},
    "notebook": {
        "content_layers": {"conv4_2": 1.0},
        "style_layers": dict.fromkeys((f"conv{block}_1" for block in range(1, 6)), 1.0),
        "content_weight": 1.0,
        "style_weight": 1e6,
        "style_loss": "gram-notebook",
        "content_loss": "mse",
        "padding": "zeros",
    },
}


def flat(self: Spectrum, powers: list[torch.Tensor]) -> torch.Tensor:
    """The same gain for every color and band."""
    return torch.ones_like(powers[-1][0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--content", required=True)
    parser.add_argument("--style", required=True)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--objective", choices=OBJECTIVES, default="default")
    arguments = parser.parse_args()
    marks = [n for n in (10, 20, 40, 80, 150, 300, 600) if n <= arguments.steps]
    print(f"{'least loss after':20s}" + "".join(f"{mark:>10d}" for mark in marks) + "   seconds")
    report = {"size": arguments.size, "objective": arguments.objective, "steps": arguments.steps}
    for optimizer in OPTIMIZERS:
        with patch.object(Spectrum, "gain", flat if "gain" in optimizer else Spectrum.gain):
            result = impasto.stylize(
                arguments.content,
                arguments.style,
                size=arguments.size,
                steps=arguments.steps,
                scales=1,
                optimizer=optimizer.split(",")[0],
                history=100 if optimizer == "lbfgs-clamped" else 10,
                **OBJECTIVES[arguments.objective],
            )
        totals = [losses["total"] for losses in result.history]
        least = [min(totals[:mark]) for mark in marks]
        row = "".join(f"{value:10.4f}" for value in least)
        print(f"{optimizer:20s}{row}   {result.seconds:7.1f}", flush=True)
        name = optimizer.replace("-", "_").replace(", ", "_").replace(" ", "_")
        report[f"{name}_loss"] = round(min(totals), 5)
        report[f"{name}_seconds"] = round(result.seconds, 2)
    report["ratio"] = round(report["lbfgs_clamped_loss"] / report["lbfgs_loss"], 3)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
