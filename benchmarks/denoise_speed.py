"""Seconds: the notebook's recipe against `zs-n2n-fast` and `auto`, and what larger pictures cost.

    python benchmarks/denoise_speed.py --data PICTURE-or-DIR [--pictures 1] [--crop 256]
        [--noise gaussian:25|poisson:50] [--sizes 0.25,1,4,24] [--skip-baseline] [--device auto]

The notebook's recipe is method `zs-n2n`: the published network and its 2000 steps. All three clean
the same noisy crops. Then the first picture at so many megapixels, a larger one than itself being
mirrored at its borders until it is filled, is cleaned by `zs-n2n-fast` and by `auto`.

Every method runs in a process of its own that first cleans a thumbnail for one step, so that what
is loaded on first use is not counted. Seconds are those of `denoise` alone, a picture; memory is
the most the whole process has held (torch alone takes some 250 MiB), on a GPU the GPU's beside it.
Prints a row per run; the last line is JSON: `ratio` the baseline's seconds over those of
`zs-n2n-fast`, `auto_ratio` over those of `auto`. What failed is null, and the exit code 1.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from denoise_quality import add_noise, crop, list_pictures, noise_of
from torch import Tensor
from torch.nn import functional as F

import impasto
from impasto.images.resize import fit_longest_side, resize

FAILED: list[str] = []  # sides that did
METHODS = {"baseline": "zs-n2n", "fast": "zs-n2n-fast", "auto": "auto"}
NOTHING = {"seconds": None, "psnr": None, "peak_mib": None, "steps": None, "method": None}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="a picture or a folder of them")
    parser.add_argument("--pictures", type=int, default=1, help="of the folder, for the three")
    parser.add_argument("--crop", type=int, default=256, help="middle square; 0 for all of it")
    parser.add_argument("--noise", default="gaussian:25", help="gaussian:25 or poisson:50")
    parser.add_argument("--sizes", default="0.25,1,4,24", help="megapixels; '' for none")
    parser.add_argument("--skip-baseline", action="store_true", help="sizes only")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--side", choices=["make", *METHODS], help=argparse.SUPPRESS)
    parser.add_argument("--megapixels", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        print(json.dumps(make(arguments) if arguments.side == "make" else clean(arguments)))
        return
    print(f"{'MP':>6s}  {'method':24s}{'seconds':>9s}{'PSNR':>7s}{'MiB':>7s}{'before':>8s}")
    report = {"noise": arguments.noise, "crop": arguments.crop, "pictures": arguments.pictures}
    if not arguments.skip_baseline:
        report |= compare_methods(arguments)
    report["sizes"] = [
        row
        for size in filter(None, arguments.sizes.split(","))
        for row in measure_size(float(size))
    ]
    print(json.dumps(report))
    if FAILED:
        raise SystemExit(1)


def compare_methods(arguments: argparse.Namespace) -> dict[str, Any]:
    """The three methods on the same crops."""
    report: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        run_side("make", folder)
        for side in METHODS:
            row = run_side(side, folder) or NOTHING
            print_row(row, side)
            report |= {f"{side}_{key}": value for key, value in row.items() if key != "megapixels"}
    for name, side in (("ratio", "fast"), ("auto_ratio", "auto")):
        ours, theirs = report[f"{side}_seconds"], report["baseline_seconds"]
        report[name] = round(theirs / ours, 2) if ours and theirs else None
    return report


def measure_size(megapixels: float) -> list[dict[str, Any]]:
    """Measure `zs-n2n-fast` and `auto` on a picture of this size."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        run_side("make", folder, megapixels)
        for side in ("fast", "auto"):
            row = run_side(side, folder, megapixels) or {**NOTHING, "megapixels": megapixels}
            print_row(row, side)
            rows.append({"asked": METHODS[side], **row})
    return rows


def print_row(row: dict[str, Any], side: str) -> None:
    """Print a row."""
    if row["seconds"] is None:
        print(f"{'':6s}  {METHODS[side]:24s}   failed", flush=True)
        return
    name = METHODS[side] if side != "auto" else f"auto ({row['method']})"
    decibels = f"{row['psnr']:7.2f}" if row["psnr"] is not None else ""
    print(
        f"{row['megapixels']:6.3g}  {name:24s}{row['seconds']:9.2f}{decibels:>7s}"
        f"{row['peak_mib']:7.0f}{row['before_mib']:8.0f}",
        flush=True,
    )


def make(arguments: argparse.Namespace) -> dict[str, Any]:
    """Write the noisy pictures and their truths, away from the processes that are measured."""
    sources = list_pictures(arguments.data) if arguments.data.is_dir() else [arguments.data]
    kind, level = noise_of(arguments.noise)
    for number, path in enumerate(sources[: 1 if arguments.megapixels else arguments.pictures]):
        pixels = impasto.open_image(path).pixels
        if arguments.megapixels:
            truth = enlarge(pixels, arguments.megapixels)
        else:
            truth = crop(pixels, arguments.crop)
            np.save(arguments.folder / f"{number}-truth.npy", truth.numpy())
        noisy = add_noise(truth, kind, level, path.stem)
        np.save(arguments.folder / f"{number}-noisy.npy", noisy.numpy())
    return {}


def enlarge(pixels: Tensor, megapixels: float) -> Tensor:
    """A picture (C, H, W) with so many pixels and its own shape: shrunk, or mirrored at borders."""
    height, width = pixels.shape[1:]
    scale = math.sqrt(megapixels * 1e6 / (height * width))
    longest = round(max(height, width) * scale)
    wide, tall = fit_longest_side((width, height), longest)
    if scale <= 1:
        return resize(pixels, (wide, tall))
    while pixels.shape[1] < tall or pixels.shape[2] < wide:
        right, below = min(pixels.shape[2], wide) - 1, min(pixels.shape[1], tall) - 1
        pixels = F.pad(pixels, (0, right, 0, below), mode="reflect")[:, :tall, :wide]
    return pixels.contiguous()


def clean(arguments: argparse.Namespace) -> dict[str, Any]:
    """Clean the pictures of a folder with one method: seconds a picture, PSNR, memory."""
    noisy = [torch.from_numpy(np.load(p)) for p in sorted(arguments.folder.glob("*-noisy.npy"))]
    options = {"method": METHODS[arguments.side], "device": arguments.device}
    impasto.denoise(noisy[0][:, :64, :64].clone(), on_step=stop, **options)
    before, steps, results, seconds = peak(), 0, [], 0.0

    def count(step: impasto.Step) -> None:  # and let go of it: a step holds on to its picture
        nonlocal steps
        steps += 1

    for picture in noisy:
        begin = time.perf_counter()
        result = impasto.denoise(picture, on_step=count, **options)
        seconds += time.perf_counter() - begin
        results.append(result)
    row = {
        "megapixels": round(noisy[0].shape[1] * noisy[0].shape[2] / 1e6, 3),
        "seconds": round(seconds / len(noisy), 3),
        "psnr": None,
        "peak_mib": round(peak()),
        "before_mib": round(before),
        "steps": steps // len(noisy),
        "method": results[0].method,
        "device": results[0].device,
    }
    if row["device"].startswith("cuda"):
        row["gpu_peak_mib"] = round(torch.cuda.max_memory_allocated() / 2**20)
    truths = [torch.from_numpy(np.load(p)) for p in sorted(arguments.folder.glob("*-truth.npy"))]
    if truths:
        values = [
            impasto.psnr(truth, result.pixels.clamp(0, 1))
            for truth, result in zip(truths, results, strict=True)
        ]
        row["psnr"] = round(sum(values) / len(values), 3)
    return row


def stop(step: impasto.Step) -> None:
    """End a run after its first step."""
    raise StopIteration


def peak() -> float:
    """Most memory this process has held, in MiB."""
    try:  # ru_maxrss would remember the process that this one was forked from
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(float(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        unit = 2**20 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def run_side(side: str, folder: str, megapixels: float | None = None) -> dict[str, Any] | None:
    """Run this script again for one side; what it printed last, None where it failed."""
    command = [sys.executable, __file__, *sys.argv[1:], "--side", side, "--folder", folder]
    command += ["--megapixels", str(megapixels)] if megapixels else []
    process = subprocess.run(command, capture_output=True, text=True)
    if process.returncode == 0:
        return json.loads(process.stdout.splitlines()[-1])
    if side == "make":
        raise SystemExit(process.stderr)
    FAILED.append(side)
    print((process.stderr.splitlines() or [f"code {process.returncode}"])[-1], file=sys.stderr)
    return None


if __name__ == "__main__":
    main()
