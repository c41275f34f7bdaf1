"""Two styles, each where a soft mask sends it: in tiles against the whole picture.

    python benchmarks/regions.py --content FILE --styles FILE FILE [--size 2048] [--tile 512]
        [--steps 6]

The first style goes to the left, the second to what it leaves, over a border that is a quarter of
the picture wide. In float32, at the content image recolored: loss and gradient in tiles and whole,
their relative difference. Then a few steps of L-BFGS, thrice: whole, in tiles, and whole from a
start that is moved by 1e-7, since a descent makes much of any rounding. Last line: JSON;
`gradient_difference` and `loss_difference` of the first evaluation, of the last step
`pixel_rms_difference` and `moved_pixel_rms_difference` (of a range of 1); `ratio` is the seconds in
tiles over those whole.
"""

from __future__ import annotations

import argparse
import json
import time
from itertools import islice

import torch
from torch import Tensor

from impasto.device import select_device
from impasto.images.read import open_image
from impasto.images.resize import composite_rgb, fit_longest_side, resize
from impasto.presets import style_recipe
from impasto.style.color import recolor
from impasto.style.features import load_network, style_statistics
from impasto.style.objective import Evaluation, Objective, build_objective
from impasto.style.optimizers import lbfgs
from impasto.style.spec import style_spec
from impasto.style.statistics import moments, weighted_average
from impasto.style.styles import equal_area_size
from impasto.style.terms import Region

MOVED = 1e-7


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--content", required=True)
    parser.add_argument("--styles", nargs=2, required=True)
    parser.add_argument("--size", type=int, default=2048)
    parser.add_argument("--tile", type=int, default=512)
    parser.add_argument("--steps", type=int, default=6)
    arguments = parser.parse_args()
    whole, begin = problem(arguments, None)
    tiled, _ = problem(arguments, arguments.tile)
    moved = begin + MOVED * torch.randn(begin.shape, generator=torch.Generator().manual_seed(0))
    first, final, seconds = descent(whole, begin, arguments.steps)
    other_first, other, other_seconds = descent(tiled, begin, arguments.steps)
    _, twin, _ = descent(whole, moved.clamp(0, 1), arguments.steps)
    print(
        json.dumps(
            {
                "size": [begin.shape[2], begin.shape[1]],
                "tiles": len(tiled.sweep.parts[0].tiles),
                "loss_difference": abs(other_first.value / first.value - 1),
                "gradient_difference": apart(first.gradient, other_first.gradient)
                / apart(first.gradient, 0 * first.gradient),
                "pixel_rms_difference": apart(final, other),
                "moved_pixel_rms_difference": apart(final, twin),
                "seconds": [round(seconds, 1), round(other_seconds, 1)],
                "ratio": round(other_seconds / seconds, 2),
            }
        )
    )


def problem(arguments: argparse.Namespace, tile: int | None) -> tuple[Objective, Tensor]:
    """The objective of two styles with a region each, and where the descent starts."""
    spec, device = style_spec(style_recipe()), select_device("cpu")
    picture = open_image(arguments.content)
    here = resize(composite_rgb(picture), fit_longest_side(picture.size, arguments.size))
    _, height, width = here.shape
    left = (0.5 + 4 * (torch.linspace(1, 0, width) - 0.5)).clamp(0, 1).expand(height, -1)
    trunk = load_network(spec, device, torch.float32)
    paintings, regions = [], []
    for file, mask in zip(arguments.styles, (left, 1 - left), strict=True):
        painting = open_image(file)
        pixels = resize(composite_rgb(painting), equal_area_size(painting.size, (width, height)))
        targets = style_statistics(trunk, pixels, None, list(spec.style_layers), tile)
        paintings.append(moments(pixels))
        regions.append(Region(mask, mask.mean().item(), targets))
    objective = build_objective(spec, trunk, (width, height), tile, regions=regions, content=here)
    return objective, recolor(here, weighted_average(paintings))


def descent(objective: Objective, begin: Tensor, steps: int) -> tuple[Evaluation, Tensor, float]:
    """The first evaluation, the pixels after the last, and seconds."""
    found: list[Evaluation] = []

    def evaluate(pixels: Tensor) -> tuple[float, Tensor]:
        evaluation = objective(pixels)
        found.append(evaluation._replace(gradient=evaluation.gradient.clone()))
        return evaluation.value, evaluation.gradient

    began = time.perf_counter()
    *_, (pixels, _) = islice(lbfgs(evaluate, begin), steps)
    seconds = time.perf_counter() - began
    print(f"{objective.tiled.tile or 'whole'!s:>6s} {seconds:8.1f} s", flush=True)
    return found[0], pixels.clone(), seconds


def apart(one: Tensor, other: Tensor) -> float:
    """The root mean squared difference of two tensors."""
    return (one.double() - other.double()).square().mean().sqrt().item()


if __name__ == "__main__":
    main()
