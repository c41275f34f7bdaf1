"""Batches killed -9 at random moments, worker or whole run, again and again.

    python benchmarks/batch_kills.py [--kills 50] [--pictures 24] [--side 64] [--workers 2]
        [--seed 0]

Cleans a folder of small pictures undisturbed. Then runs the same into another folder, where at
random moments either a worker is killed or the whole run with its workers, and the same command is
started again. At last it is left to finish. Prints a row per kill; last line: JSON, `same_bytes`
whether every picture is the undisturbed run's, `missing` and `left_over` files.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from batch import draw


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--pictures", type=int, default=24)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        draw(root / "in", arguments.pictures, arguments.side)
        words = [sys.executable, "-m", "impasto", "batch", "denoise", str(root / "in"), "--threads"]
        words += ["1", "--workers", str(arguments.workers), "--tries", "1000", "--quiet", "-o"]
        subprocess.run([*words, str(root / "whole")], check=True, capture_output=True)
        out = root / "out"
        kills = {"worker": 0, "run": 0, "finished before": 0}
        while kills["worker"] + kills["run"] < arguments.kills:
            run = subprocess.Popen(
                [*words, str(out)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                start_new_session=True,
            )  # fmt: skip
            while run.poll() is None and kills["worker"] + kills["run"] < arguments.kills:
                time.sleep(chance.uniform(0.2, 6))
                kind = kill_once(run, chance)
                kills[kind] += 1
                done = len(list(out.glob("*.png")))
                print(f"{kind:16s}{done:5d} of {arguments.pictures} there", flush=True)
                if done == arguments.pictures:  # nothing left to disturb: some of it again
                    for path in chance.sample(sorted(out.glob("*.png")), done // 2):
                        path.unlink()
            if run.poll() is None:
                os.killpg(run.pid, signal.SIGKILL)
            run.wait()
        subprocess.run([*words, str(out)], check=True, capture_output=True)
        whole = {p.name: p.read_bytes() for p in (root / "whole").glob("*.png")}
        pictures = {p.name: p.read_bytes() for p in out.glob("*.png")}
        rest = {p.name for p in out.rglob("*")} - set(whole) - {"impasto-batch.sqlite"}
        facts = {
            "kills": kills,
            "same_bytes": whole == pictures,
            "missing": len(set(whole) - set(pictures)),
            "left_over": sorted(rest),
        }
        print(json.dumps(facts))


def kill_once(run: subprocess.Popen, chance: random.Random) -> str:
    """Kill a worker or everything; says which."""
    try:
        family = psutil.Process(run.pid).children(recursive=True)
    except psutil.Error:
        return "finished before"
    workers = [one for one in family if "spawn_main" in " ".join(one.cmdline())]
    if workers and chance.random() < 0.6:
        chance.choice(workers).kill()
        return "worker"
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    return "run"


if __name__ == "__main__":
    main()
