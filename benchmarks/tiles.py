"""Tiles against the whole picture: the same gradient for every loss, at what cost in time.

    python benchmarks/tiles.py --content FILE --style FILE [--size 333] [--tile 64] [--timed 1024]

For every style loss, with and without a mask, the gradient of the loss at the content image in
float32, in tiles and whole: the relative difference of the two. Then seconds of one evaluation of
the default objective at a larger size, whole and in tiles. Prints a row each; the last line is
JSON, `ratio` the seconds in tiles of 512 pixels over those whole.
"""

from __future__ import annotations

import argparse
import json
import time

import torch

from impasto.device import select_device
from impasto.images.read import open_image
from impasto.images.resize import composite_rgb, fit_longest_side, resize
from impasto.presets import style_recipe
from impasto.style.features import load_network, style_statistics
from impasto.style.objective import Objective, build_objective
from impasto.style.spec import style_spec
from impasto.style.styles import equal_area_size
from impasto.style.terms import Region

OBJECTIVES = {
    "wasserstein": {},
    "gram": {"style_loss": "gram"},
    "gram+mean+std": {"style_loss": "gram+mean+std"},
    "preset gatys": {"preset": "gatys"},
    "preset notebook": {"preset": "notebook"},
    "total variation": {"tv_weight": 1.0},
}
SIDES = (1024, 768, 512, 384, 256)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--content", required=True)
    parser.add_argument("--style", required=True)
    parser.add_argument("--size", type=int, default=333)
    parser.add_argument("--tile", type=int, default=64)
    parser.add_argument("--timed", type=int, default=1024)
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    differences = {}
    for name, options in OBJECTIVES.items():
        for masked in (False, True):
            error = difference(arguments, options, masked)
            differences[f"{name}{', masked' * masked}"] = error
            print(f"{name:18s}{'masked' * masked:8s}{error:10.1e}", flush=True)
    seconds = {}
    for side in (None, *SIDES):
        if side is None or side < arguments.timed:
            objective, start = make_problem(arguments, {}, arguments.timed, side, False)
            seconds[str(side or "whole")] = time_evaluation(objective, start)
            print(f"{side or 'whole'!s:>6s} {seconds[str(side or 'whole')]:8.2f} s", flush=True)
    ratio = seconds["512"] / seconds["whole"] if "512" in seconds else None
    print(
        json.dumps(
            {
                "worst_difference": max(differences.values()),
                "differences": differences,
                "seconds": {side: round(value, 2) for side, value in seconds.items()},
                "ratio": ratio and round(ratio, 2),
            }
        )
    )


def difference(arguments: argparse.Namespace, options: dict, masked: bool) -> float:
    """‖tiled − whole‖ / ‖whole‖ of the gradients."""
    whole, tiled = (
        objective(start)[1].double()
        for objective, start in (
            make_problem(arguments, options, arguments.size, tile, masked)
            for tile in (None, arguments.tile)
        )
    )
    return ((tiled - whole).norm() / whole.norm()).item()


def make_problem(
    arguments: argparse.Namespace, options: dict, size: int, tile: int | None, masked: bool
) -> tuple[Objective, torch.Tensor]:
    """An objective and where to evaluate it: the content image mirrored, so that it is not met."""
    spec, device = style_spec(style_recipe(**options)), select_device(arguments.device)
    picture, painting = open_image(arguments.content), open_image(arguments.style)
    here = resize(composite_rgb(picture), fit_longest_side(picture.size, size)).to(device)
    brush = equal_area_size(painting.size, (here.shape[2], here.shape[1]))
    style = resize(composite_rgb(painting), brush).to(device)
    trunk = load_network(spec, device, torch.float32)
    targets = style_statistics(trunk, style, None, list(spec.style_layers), tile)
    mask = torch.rand(here.shape[1:], generator=torch.Generator().manual_seed(0)).to(device)
    where = mask if masked else None
    objective = build_objective(
        spec,
        trunk,
        (here.shape[2], here.shape[1]),
        tile,
        regions=[Region(where, 1.0, targets)],
        content=here,
        mask=where,
    )
    return objective, here.flip(2)


def time_evaluation(objective: Objective, pixels: torch.Tensor) -> float:
    """Seconds of one evaluation, the better of two, after one to warm up."""
    seconds = []
    for _ in range(3):
        begin = time.perf_counter()
        objective(pixels)[1].sum().item()
        seconds.append(time.perf_counter() - begin)
    return min(seconds[1:])


if __name__ == "__main__":
    main()
