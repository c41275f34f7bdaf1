"""A watched folder into which pictures are put, the watch killed -9 and started again, its memory.

    python benchmarks/watch.py [--pictures 800] [--kills 5] [--side 32]

A row after an eighth, half and all of the pictures; last line: JSON, `made` outputs, `twice` those
made again, `broken` ones that cannot be read, `left_over` files, and the memory of the watching
process in MB after each part. One that was started after a kill may have loaded PyTorch, to tell
whose an unrecorded output is.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil
from batch import draw
from PIL import Image

MOST_SECONDS = 300  # to wait for a part of the pictures


def start(root: Path, log: Path) -> subprocess.Popen:
    """Start the watch; what it prints is added to a file."""
    words = [
        "watch",
        str(root / "in"),
        "-o",
        str(root / "out"),
        "--every",
        "0.2",
        "--settle",
        "0.4",
    ]
    with log.open("a") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "impasto", *words], stdout=file, stderr=subprocess.DEVNULL
        )


def count_made(root: Path) -> int:
    return len(list((root / "out").glob("*.png")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=800)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--side", type=int, default=32)
    arguments = parser.parse_args()
    total, kills, memory = arguments.pictures, 0, []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        draw(root / "drawn", total, arguments.side)
        waiting = sorted((root / "drawn").iterdir())
        (root / "in").mkdir()
        process = start(root, root / "log")
        for goal in (total // 8, total // 2, total):
            put = total - len(waiting)
            for path in waiting[: goal - put]:
                os.replace(path, root / "in" / path.name)
            waiting = waiting[goal - put :]
            end = time.monotonic() + MOST_SECONDS
            while (made := count_made(root)) < goal and time.monotonic() < end:
                time.sleep(0.2)
                if kills < arguments.kills and made > total // 8 * (1 + kills / arguments.kills):
                    process.kill()
                    process.wait()
                    kills += 1
                    process = start(root, root / "log")
            memory.append(round(psutil.Process(process.pid).memory_info().rss / 1e6, 1))
            print(f"{made:6} of {goal:6} made, {kills} kills, {memory[-1]} MB")
        process.send_signal(signal.SIGTERM)
        code = process.wait(60)
        broken = 0
        for path in (root / "out").glob("*.png"):
            try:
                Image.open(path).load()
            except OSError:
                broken += 1
        printed = Counter((root / "log").read_text().splitlines())
        known = (".png", ".impasto.json", "impasto-batch.sqlite")
        left_over = [name for name in os.listdir(root / "out") if not name.endswith(known)]
        print(
            json.dumps(
                {
                    "made": count_made(root),
                    "twice": sum(count > 1 for count in printed.values()),
                    "broken": broken,
                    "left_over": left_over,
                    "mb": memory,
                    "exit_code": code,
                }
            )
        )


if __name__ == "__main__":
    main()
