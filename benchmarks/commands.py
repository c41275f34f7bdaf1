"""Wall time and peak memory of whole commands, start-up included.

    python benchmarks/commands.py --content FILE --style FILE [--sizes 512,1024]

Prints a row per command; the last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--content", required=True)
    parser.add_argument("--style", required=True)
    parser.add_argument("--sizes", default="512,1024")
    arguments = parser.parse_args()
    report = {}
    with tempfile.TemporaryDirectory() as folder:
        report["help"] = measure(["--help"])
        report["demo"] = measure(["demo", "-o", str(Path(folder) / "demo")])
        sheet = str(Path(folder) / "sheet.png")
        report["sheet"] = measure(["sheet", arguments.content, arguments.style, "-o", sheet])
        for size in arguments.sizes.split(","):
            output = str(Path(folder) / f"{size}.png")
            words = ["style", arguments.content, arguments.style, "-o", output, "--size", size]
            report[f"style_{size}"] = measure(words)
    print(json.dumps(report))


def measure(words: list[str]) -> dict[str, float]:
    """Seconds and peak resident memory, in MB, of `impasto` with some words."""
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "impasto", *words], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    if status:
        raise SystemExit(f"impasto {' '.join(words)} failed")
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss counts bytes there, KB elsewhere
    megabytes = usage.ru_maxrss * unit / 1e6
    size = words[-1] if words[0] == "style" else ""
    print(f"impasto {words[0]:8s} {size:5s} {seconds:8.2f} s {megabytes:8.0f} MB", flush=True)
    return {"seconds": round(seconds, 2), "peak_rss_mb": round(megabytes)}


if __name__ == "__main__":
    main()
