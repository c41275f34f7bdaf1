"""Never a ruined run: killed -9 at random moments again and again, the same picture in the end.

    python benchmarks/resume.py --content FILE --style FILE [--kills 20] [--size 128] [--steps 60]
        [--optimizer lbfgs] [--seed 0]

Runs `impasto style` once undisturbed and without checkpoints. Then starts it with `--checkpoint`,
kills it at a random moment, and starts the same command again, so many times; the last one is left
to finish. The killed ones save at every evaluation, so that kills in the middle of a save are many.
Prints a row per kill; the last line is JSON: `same_bytes` whether both output files are equal,
`leftover_files` how many files are left besides them.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

# The command with no pause between saves; for everyone else there is no such option.
PROGRAM = (
    "import sys; from impasto.style import checkpoint; checkpoint.INTERVAL = checkpoint.SHARE = 0; "
    "from impasto.cli.main import main; sys.exit(main())"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--content", required=True)
    parser.add_argument("--style", required=True)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--optimizer", default="lbfgs")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    began = time.perf_counter()
    chance = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        state, whole, output = (Path(folder) / name for name in ("state", "whole.png", "out.png"))
        words = ["style", arguments.content, arguments.style, "--size", str(arguments.size)]
        words += ["--optimizer", arguments.optimizer, "--steps", str(arguments.steps), "--quiet"]
        work = finished([*words, "-o", str(whole)])
        command = [*words, "-o", str(output), "--checkpoint", str(state)]
        kills, same = 0, True
        print("kill  at work  after seconds  saved evaluations  temporary files", flush=True)
        while kills < arguments.kills:
            # One in four before it is at work; the others take about a third of the run together.
            at_work = chance.random() < 0.75
            moment = chance.uniform(0, work / arguments.kills if at_work else 2)
            if killed(command, moment, state if at_work else None):
                kills += 1
                temporary = len(list(state.glob(".*")))
                print(
                    f"{kills:4d}  {'yes' if at_work else 'no':>7s}  {moment:13.2f}  "
                    f"{reached(state):>17s}  {temporary:15d}",
                    flush=True,
                )
            else:  # it was done before that: once more from the start
                same = same and output.read_bytes() == whole.read_bytes()
                output.unlink()
        finished(command)
        left = [path for path in Path(folder).rglob("*") if path.is_file()]
        report = {
            "kills": kills,
            "same_bytes": same and output.read_bytes() == whole.read_bytes(),
            "leftover_files": len(set(left) - {whole, output}),
            "seconds": round(time.perf_counter() - began, 1),
        }
    print(json.dumps(report))


def started(words: list[str]) -> subprocess.Popen:
    """A process that runs `impasto` with some words."""
    return subprocess.Popen([sys.executable, "-c", PROGRAM, *words], stdout=subprocess.DEVNULL)


def finished(words: list[str]) -> float:
    """Run `impasto` to its end; seconds that it took."""
    start = time.perf_counter()
    if started(words).wait():
        raise SystemExit(f"impasto {' '.join(words)} failed")
    return time.perf_counter() - start


def killed(words: list[str], seconds: float, state: Path | None) -> bool:
    """Start `impasto` and kill it some seconds later; False where it had come to its end.

    With a checkpoint folder, the seconds count from the first save that is made there.
    """
    before = saved(state)
    process = started(words)
    while state and process.poll() is None and saved(state) == before:
        time.sleep(0.002)
    try:
        if process.wait(seconds):
            raise SystemExit(f"impasto {' '.join(words)} failed")
        return False
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait() != 0


def saved(state: Path | None) -> list[int]:
    """When the files in a checkpoint folder were written."""
    try:
        return [path.stat().st_mtime_ns for path in state.glob("impasto-*")] if state else []
    except FileNotFoundError:  # it has just been taken away
        return []


def reached(state: Path) -> str:
    """How many evaluations the file in a checkpoint folder holds."""
    for path in state.glob("impasto-*.pt"):
        try:
            return str(len(torch.load(path, weights_only=True)["state"]["history"]))
        except (RuntimeError, EOFError):
            return "unreadable"
    return "none"


if __name__ == "__main__":
    main()
