"""Which optimizer gets lowest: equal evaluations on one objective, one size, one start.

    python benchmarks/descent.py --content FILE --style FILE [--size 256] [--steps 150]

The baseline is the notebook's: torch's L-BFGS with the clamp inside. Prints a row per optimizer
with the least loss after some evaluations; the last line is JSON, `ratio` the baseline's least
loss over ours (above 1: ours is lower).
"""

from __future__ import annotations

import argparse
import json

import impasto

OPTIMIZERS = ("lbfgs-clamped", "adam", "lbfgs")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--content", required=True)
    parser.add_argument("--style", required=True)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=150)
    arguments = parser.parse_args()
    marks = [n for n in (10, 20, 40, 80, 150, 300, 600) if n <= arguments.steps]
    print(f"{'least loss after':20s}" + "".join(f"{mark:>10d}" for mark in marks) + "   seconds")
    report = {"size": arguments.size, "steps": arguments.steps}
    for optimizer in OPTIMIZERS:
        result = impasto.stylize(
            arguments.content,
            arguments.style,
            size=arguments.size,
            steps=arguments.steps,
            scales=1,
            optimizer=optimizer,
            history=100 if optimizer == "lbfgs-clamped" else 10,
        )
        totals = [losses.total for losses in result.history]
        least = [min(totals[:mark]) for mark in marks]
        row = "".join(f"{value:10.4f}" for value in least)
        print(f"{optimizer:20s}{row}   {result.seconds:7.1f}", flush=True)
        report[optimizer.replace("-", "_") + "_loss"] = round(min(totals), 5)
        report[optimizer.replace("-", "_") + "_seconds"] = round(result.seconds, 2)
    report["ratio"] = round(report["lbfgs_clamped_loss"] / report["lbfgs_loss"], 3)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
