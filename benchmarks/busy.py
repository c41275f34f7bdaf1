"""A painting beside other programs: alone, and with one and three processes that keep a core busy.

python benchmarks/busy.py --content FILE --style FILE [--size 256] [--steps 24]

Each run is a process of its own, painting the same picture; the busy processes count, nothing
else. Prints seconds, and how many times as long as alone; `fair` is what the number of cores would
give. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys

PAINT = """
import json, sys, impasto
content, style, size, steps, threads = sys.argv[1:]
if int(threads):
    import torch
    torch.set_num_threads(int(threads))
impasto.stylize(content, style, size=64, steps=2)  # imports, weights, compiled code
print(impasto.stylize(content, style, size=int(size), steps=int(steps)).seconds)
"""
COUNT = "number = 0\nwhile True:\n    number += 1"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--content", required=True)
    parser.add_argument("--style", required=True)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--threads", type=int, default=0, help="of the painting; 0 for its own")
    arguments = parser.parse_args()
    cores = os.cpu_count()
    report: dict[str, float] = {"size": arguments.size, "steps": arguments.steps, "cores": cores}
    for others in (0, 1, 3):
        busy = [subprocess.Popen([sys.executable, "-c", COUNT]) for _ in range(others)]
        try:
            seconds = paint(arguments)
        finally:
            for process in busy:
                process.kill()
                process.wait()
        report[f"beside_{others}"] = round(seconds, 2)
        ratio = seconds / report["beside_0"]
        report[f"ratio_{others}"] = round(ratio, 2)
        fair = max(1.0, (others + cores) / cores)
        print(f"beside {others}: {seconds:.1f} s, {ratio:.2f} times as long; fair {fair:.2f}")
    print(json.dumps(report))


def paint(arguments: argparse.Namespace) -> float:
    """Seconds of one painting in a process of its own."""
    words = (arguments.size, arguments.steps, arguments.threads)
    run = subprocess.run(
        [sys.executable, "-c", PAINT, arguments.content, arguments.style, *map(str, words)],
        check=True,
        capture_output=True,
        text=True,
    )
    return float(run.stdout)


if __name__ == "__main__":
    main()
