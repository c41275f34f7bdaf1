"""Cost of a larger picture: time and memory a megapixel, from `impasto style` itself.

    python benchmarks/style_size.py --content FILE --style FILE --size 4096
            [--sizes 512,1024,2048] [--effort balanced] [--steps N] [--memory GIB] [--keep DIR]

Each size is painted by a command of its own, start-up and saving included, after a dry run of it.
The baseline is the row of 1024 pixels: `ratio` is the seconds a megapixel at `--size` over those
there. Prints a row per size; the last line is JSON.
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

BASELINE = 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--content", required=True)
    parser.add_argument("--style", required=True)
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--sizes", default="512,1024,2048", help="measured before it")
    parser.add_argument("--effort", choices=("quick", "balanced", "best"), default="balanced")
    parser.add_argument("--steps", default="auto", help="evaluations, instead of the effort's")
    parser.add_argument("--memory", default="auto")
    parser.add_argument("--keep", type=Path, help="folder to leave the pictures in")
    arguments = parser.parse_args()
    sizes = sorted({*map(int, filter(None, arguments.sizes.split(","))), arguments.size})
    print(
        f"{'size':>6s}{'MP':>7s}{'tiles':>12s}{'at full size':>13s}{'seconds':>9s}{'s/MP':>8s}"
        f"{'MB':>7s}{'planned':>9s}{'MB/MP':>7s}"
    )
    rows = [measure(arguments, size) for size in sizes]
    last = next(row for row in rows if row["size"] == arguments.size)
    base = next((row for row in rows if row["size"] == BASELINE), None)
    ratio = base and round(last["seconds_per_megapixel"] / base["seconds_per_megapixel"], 2)
    print(json.dumps({**last, "rows": rows, "ratio": ratio}))


def measure(arguments: argparse.Namespace, size: int) -> dict:
    """Paint the pair at one size; what it took."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / f"{size}.png"
        command = [
            sys.executable, "-m", "impasto", "style", arguments.content, arguments.style,
            "-o", str(output), "--size", str(size), "--effort", arguments.effort,
            "--steps", arguments.steps, "--memory", arguments.memory, "--json", "--quiet",
        ]  # fmt: skip
        plan, _, _ = run([*command, "--dry-run"])
        facts, seconds, megabytes = run(command)
        if arguments.keep:
            shutil.copy(output, arguments.keep)
    finest = plan["scales"][-1]
    megapixels = facts["size"][0] * facts["size"][1] / 1e6
    row = {
        "size": size,
        "megapixels": round(megapixels, 3),
        "tile": finest["tile"],
        "tiles": finest["tiles"],
        "evaluations": facts["evaluations"],
        "evaluations_at_full_size": finest["evaluations"],
        "seconds": round(seconds, 1),
        "seconds_per_megapixel": round(seconds / megapixels, 1),
        "peak_rss_mb": round(megabytes),
        "planned_mb": round(plan["memory"] / 2**20),
        "planned_seconds": plan["seconds"],
        "peak_rss_mb_per_megapixel": round(megabytes / megapixels),
        "precision": facts["precision"],
    }
    tiles = "whole" if row["tile"] is None else f"{row['tiles']} × {row['tile']}²"
    print(
        f"{size:6d}{megapixels:7.2f}{tiles:>12s}{finest['evaluations']:13d}{seconds:9.1f}"
        f"{row['seconds_per_megapixel']:8.1f}{megabytes:7.0f}{row['planned_mb']:9d}"
        f"{row['peak_rss_mb_per_megapixel']:7d}",
        flush=True,
    )
    return row


def run(command: list[str]) -> tuple[dict, float, float]:
    """Run a command; return its JSON, seconds and peak memory in MB."""
    begin = time.perf_counter()
    with tempfile.TemporaryFile("w+") as printed:
        process = subprocess.Popen(command, stdout=printed)
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            raise SystemExit(f"{' '.join(command)} failed")
        printed.seek(0)
        facts = json.loads(printed.read().splitlines()[-1])
    return facts, time.perf_counter() - begin, usage.ru_maxrss / 1024


if __name__ == "__main__":
    main()
