"""Never a ruined run: killed -9 at random moments again and again, the same file in the end.

    python benchmarks/resume.py [--what style|fit|painted|keyed|denoise] [--content FILE]
        [--style FILE] [--kills 20] [--size 128] [--steps 60] [--frames 12] [--optimizer lbfgs]
        [--seed 0]

Runs `impasto style`, `fit`, `film` with one of its engines, or `denoise` of a clip once,
undisturbed. Then starts the same command into another file, kills it at a random moment, and starts
it again, so many times; the last one is left to finish. The killed ones save at every step, so that
kills in the middle of a save are many. Without `--content` and `--style`, pictures and frames are
drawn. Prints a row per kill; the last line is JSON: `same_bytes` whether both output files are
equal, `leftover_files` how many files are left besides them and what tells how they were made.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import PIL.Image
import torch
from safetensors.torch import load_file

# The command with no pause between saves; for everyone else there is no such option.
PROGRAM = (
    "import sys; from impasto.style import checkpoint; checkpoint.INTERVAL = checkpoint.SHARE = 0; "
    "from impasto.cli.main import main; sys.exit(main())"
)
WHAT = ("style", "fit", "painted", "keyed", "denoise")
SIDE = (64, 48)  # pixels of drawn frames


class Run(NamedTuple):
    """A command that is killed.

    Attributes:
        words: what is typed, but for the output.
        output: the file that it makes.
        state: the folder in which it goes on.
        extra: words that only the killed one has.
        reached: says how far a state is.
    """

    words: list[str]
    output: Path
    state: Path
    extra: list[str]
    reached: Callable[[Path], str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--what", choices=WHAT, default="style")
    parser.add_argument("--content")
    parser.add_argument("--style")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--optimizer", default="lbfgs")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    began = time.perf_counter()
    chance = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as drawn:
        run = run_of(arguments, Path(folder), Path(drawn))
        whole = run.output.with_name(f"whole{run.output.suffix}")
        work = finished([*run.words, "-o", str(whole)])
        command = [*run.words, "-o", str(run.output), *run.extra]
        kills, same = 0, True
        print("kill  at work  after seconds  saved steps  temporary files", flush=True)
        while kills < arguments.kills:
            # One in four before it is at work; the others take about a third of the run together.
            at_work = chance.random() < 0.75
            moment = chance.uniform(0, work / arguments.kills if at_work else 2)
            cut = killed(command, moment, run.state if at_work else None)
            done = run.output.exists() and not run.state.exists()  # killed while it said so
            if cut and not done:
                kills += 1
                temporary = len(list(run.state.glob(".*")))
                print(
                    f"{kills:4d}  {'yes' if at_work else 'no':>7s}  {moment:13.2f}  "
                    f"{run.reached(run.state):>11s}  {temporary:15d}",
                    flush=True,
                )
            else:  # it was done before that: once more from the start
                print("      finished", flush=True)
                same = same and run.output.read_bytes() == whole.read_bytes()
                for path in run.output.parent.glob(f"{run.output.name}*"):
                    path.unlink()
        if not run.output.exists() or run.state.exists():
            finished(command)
        left = {path for path in Path(folder).rglob("*") if path.is_file()}
        made = {whole, run.output}
        made |= {path.with_name(f"{path.name}.impasto.json") for path in made}
        report = {
            "what": arguments.what,
            "kills": kills,
            "same_bytes": same and run.output.read_bytes() == whole.read_bytes(),
            "leftover_files": len(left - made),
            "seconds": round(time.perf_counter() - began, 1),
        }
    print(json.dumps(report))


def run_of(arguments: argparse.Namespace, folder: Path, drawn: Path) -> Run:
    """The command that is killed; what it needs and is not given is drawn."""
    style = arguments.style or str(draw(drawn / "style.png", 7))
    size, steps = ["--size", str(arguments.size)], ["--steps", str(arguments.steps)]
    if arguments.what == "style":
        content = arguments.content or str(draw(drawn / "content.png", 1))
        words = ["style", content, style, *size, *steps, "--optimizer", arguments.optimizer]
        state = folder / "state"
        extra = ["--checkpoint", str(state)]
        return Run([*words, "--quiet"], folder / "out.png", state, extra, evaluations)
    if arguments.what == "fit":
        contents = [arguments.content] if arguments.content else []
        contents = contents or [str(draw(drawn / f"{n}.png", n)) for n in range(3)]
        words = ["fit", *contents, "--style", style, *size, *steps, "--quiet"]
        output = folder / "out.impasto"
        return Run(words, output, folder / "out.impasto.impasto-fit", [], saved_at)
    clip, output = arguments.content or str(draw_clip(drawn / "clip", arguments.frames)), "out.mp4"
    state = folder / f"{output}.impasto-film"
    if arguments.what == "denoise":
        words = ["denoise", clip, "--sigma", "0.05", "--effort", "quick", "--quiet"]
    else:
        words = ["film", clip, style, *size, *steps, "--engine", arguments.what, "--quiet"]
        words += ["--keys-every", "4"] if arguments.what == "keyed" else []
    return Run(words, folder / output, state, [], frames)


def draw(path: Path, seed: int, size: tuple[int, int] = SIDE) -> Path:
    """A smooth random picture in a file."""
    coarse = np.random.default_rng(seed).integers(30, 226, (8, 10, 3)).astype(np.uint8)
    PIL.Image.fromarray(coarse).resize(size, PIL.Image.Resampling.BICUBIC).save(path)
    return path


def draw_clip(folder: Path, count: int) -> Path:
    """Numbered frames: a square that moves before a still background, and a cut at two thirds."""
    folder.mkdir()
    noise = np.random.default_rng(3)
    for number in range(count):
        place = folder / f"{number:03}.png"
        scene = number >= 2 * count // 3
        with PIL.Image.open(draw(place, 20 + scene)) as picture:
            values = np.asarray(picture).astype(int)
        values[10:30, 4 + 2 * number : 24 + 2 * number] = (200, 60 + 90 * scene, 40)
        values += noise.integers(-6, 7, values.shape)
        PIL.Image.fromarray(np.clip(values, 0, 255).astype(np.uint8)).save(place)
    return folder


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

    With a folder of its state, the seconds count from the first save that is made there.
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
    """When the files in the folder of a state were written."""
    try:
        return [path.stat().st_mtime_ns for path in sorted(state.glob("[!.]*"))] if state else []
    except FileNotFoundError:  # it has just been taken away
        return []


def evaluations(state: Path) -> str:
    """How many evaluations the file in a checkpoint folder holds."""
    for path in state.glob("impasto-*.pt"):
        try:
            return str(len(torch.load(path, weights_only=True)["state"]["history"]))
        except (RuntimeError, EOFError):
            return "unreadable"
    return "none"


def saved_at(state: Path) -> str:
    """How many steps the file in the folder of a fit holds."""
    for path in state.glob("impasto-*.pt"):
        try:
            return str(torch.load(path, weights_only=True)["state"]["training"]["steps"])
        except (RuntimeError, EOFError):
            return "unreadable"
    return "none"


def frames(state: Path) -> str:
    """How many frames the folder of a film counts as finished."""
    if (path := state / "state.json").exists():
        return str(json.loads(path.read_bytes())["done"])
    path = state / "state.safetensors"
    return str(int(load_file(path)["done"])) if path.exists() else "none"


if __name__ == "__main__":
    main()
