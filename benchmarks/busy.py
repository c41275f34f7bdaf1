"""A painting beside other programs: alone, and with one and three processes that keep a core busy.

python benchmarks/busy.py --content FILE --style FILE [--size 256] [--steps 60]

Each run is a process of its own, painting the same picture: as the library does, and as the command
line and the page do, with threads by the load. The busy processes count, nothing else. Prints
seconds, and how many times as long as alone; `fair` is what the number of cores would give. The
last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys

PAINT = """
import sys, impasto
from impasto.jobs.load import FreeCores
content, style, size, steps, adapt = sys.argv[1:]
impasto.stylize(content, style, size=64, steps=2)  # imports, weights, compiled code
cores = FreeCores()
on_step = (lambda step: cores.adapt()) if int(adapt) else None
print(impasto.stylize(content, style, size=int(size), steps=int(steps), on_step=on_step).seconds)
"""
COUNT = "number = 0\nwhile True:\n    number += 1"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--content", required=True)
    parser.add_argument("--style", required=True)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=60)
    arguments = parser.parse_args()
    cores = os.cpu_count()
    report: dict[str, float] = {"size": arguments.size, "steps": arguments.steps, "cores": cores}
    for others in (0, 1, 3):
        fair = max(1.0, (others + cores) / cores)
        for adapt in (False, True):
            busy = [subprocess.Popen([sys.executable, "-c", COUNT]) for _ in range(others)]
            try:
                seconds = paint(arguments, adapt)
            finally:
                for process in busy:
                    process.kill()
                    process.wait()
            way = "adapted" if adapt else "all_threads"
            report[f"{way}_{others}"] = round(seconds, 2)
            ratio = report[f"{way}_ratio_{others}"] = round(seconds / report[f"{way}_0"], 2)
            print(
                f"beside {others}, {way}: {seconds:.1f} s, {ratio} times as long; fair {fair:.2f}"
            )
    print(json.dumps(report))


def paint(arguments: argparse.Namespace, adapt: bool) -> float:
    """Seconds of one painting in a process of its own, with threads by the load or all of them."""
    words = (arguments.size, arguments.steps, int(adapt))
    run = subprocess.run(
        [sys.executable, "-c", PAINT, arguments.content, arguments.style, *map(str, words)],
        check=True,
        capture_output=True,
        text=True,
    )
    return float(run.stdout)


if __name__ == "__main__":
    main()
