"""The Wasserstein distance in the target's own directions, against all directions.

    python benchmarks/wasserstein.py --content FILE --style FILE [--sizes 128,192,256,512]

For every size, over the layers of the default: seconds of the distance and its gradient with the
symmetric root of the target's covariance and with `covariance_root`, by turns, the least of some
rounds each; the target's rank at the deepest layer; and the largest difference of the two
distances, as a share of the two traces. The last line is JSON, `ratio` by size.
"""

from __future__ import annotations

import argparse
import json
import time
from functools import partial

import torch

from impasto.device import select_device
from impasto.images.read import open_image
from impasto.images.resize import composite_rgb, fit_longest_side, resize
from impasto.recipes import StyleRecipe
from impasto.style import losses
from impasto.style.features import load_network, style_statistics
from impasto.style.spec import style_spec
from impasto.style.statistics import Moments, accumulation_dtype

ROUNDS = 7


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--content", required=True)
    parser.add_argument("--style", required=True)
    parser.add_argument("--sizes", default="128,192,256,512")
    arguments = parser.parse_args()
    device = select_device("auto")
    recipe = StyleRecipe()
    layers = list(recipe.style_layers)
    trunk = load_network(style_spec(recipe), device, torch.float32)
    report = {}
    for size in map(int, arguments.sizes.split(",")):
        pairs = []
        for path in (arguments.content, arguments.style):
            pixels = composite_rgb(open_image(path))
            small = resize(pixels, fit_longest_side((pixels.shape[2], pixels.shape[1]), size)).to(
                device
            )
            sums = style_statistics(trunk, small, None, layers)
            pairs.append(
                {
                    name: own.normalized().to(accumulation_dtype(device))
                    for name, own in sums.items()
                }
            )
        report[str(size)] = row = compare(*pairs)
        print(size, row, flush=True)
    print(json.dumps({"sizes": report, "ratio": {k: row["ratio"] for k, row in report.items()}}))


def compare(picture: dict[str, Moments], style: dict[str, Moments]) -> dict[str, float]:
    """Seconds of both ways, added over the layers; rank; difference."""
    seconds, worst, rank = [0.0, 0.0], 0.0, 0
    for layer, target in style.items():
        covariance = losses.covariance(target)
        roots = [losses.spectral(covariance, torch.sqrt), losses.covariance_root(target)]
        both = [partial(evaluate, picture[layer], target, root) for root in roots]
        least, values = [float("inf")] * 2, [0.0, 0.0]
        for _ in range(ROUNDS):
            for way, call in enumerate(both):
                start = time.perf_counter()
                values[way] = call()
                least[way] = min(least[way], time.perf_counter() - start)
        seconds = [total + one for total, one in zip(seconds, least, strict=True)]
        traces = covariance.trace() + losses.covariance(picture[layer]).trace()
        worst = max(worst, abs(values[0] - values[1]) / traces.item())
        rank = roots[1].shape[1]
    return {
        "baseline_seconds": round(seconds[0], 4),
        "seconds": round(seconds[1], 4),
        "ratio": round(seconds[0] / seconds[1], 2),
        "rank": rank,
        "worst_difference": worst,
    }


def evaluate(own: Moments, target: Moments, root: torch.Tensor) -> float:
    """The distance; its gradient is computed and dropped."""
    first, second = own.first.clone().requires_grad_(), own.second.clone().requires_grad_()
    loss = losses.wasserstein(Moments(own.weight, first, second), target, root)
    loss.backward()
    return loss.item()


if __name__ == "__main__":
    main()
