"""Batches: pictures a second by each executor, memory that does not grow, seconds of a resume.

    python benchmarks/batch.py [--pictures 200] [--side 64] [--resumed 10000] [--workers 2]
        [--method denoise] [--steps 4] [--ray]

Makes a folder of small noisy pictures and runs it by each executor into a folder of its own, every
worker with one thread, so that the bytes are the same: that is checked. `rss_growth_percent` is how
much the largest worker grew between picture 20 and the last, of the processes. Then a folder of
`--resumed` pictures whose manifest says that all is done is run again. Prints a row each; last
line: JSON, `ratio` is seconds inline over seconds of processes.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from impasto.batch import storage
from impasto.batch.manifest import (
    Manifest,
    Row,
    algorithm_versions,
    input_stamps,
    job_digest,
    manifest_path,
)
from impasto.batch.plan import BatchPlan, plan_jobs
from impasto.batch.run import BatchProgress, run_batch
from impasto.jobs.job import DONE
from impasto.presets import style_recipe
from impasto.recipes import DenoiseRecipe

SETTLED = 20  # pictures after which memory should not grow


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--resumed", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--method", choices=("denoise", "style"), default="denoise")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--ray", action="store_true", help="on a Ray cluster of this machine too")
    arguments = parser.parse_args()
    facts: dict[str, object] = {"pictures": arguments.pictures}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        draw(root / "in", arguments.pictures, arguments.side)
        draw(root / "style", 1, arguments.side)
        done = ["inline", "processes"] + ["ray"] * arguments.ray
        for executor in done:
            plan = make_plan(arguments, root, executor)
            workers = 1 if executor == "inline" else arguments.workers
            seconds, growth, progress = measure(plan, executor, workers)
            assert progress.made == arguments.pictures, progress.failed
            facts[f"{executor}_seconds"] = round(seconds, 1)
            facts[f"{executor}_rss_growth_percent"] = round(growth, 1)
            print(f"{executor:10s}{seconds:8.1f} s  {growth:+.1f} % memory", flush=True)
        others = [root / name for name in done[1:]]
        facts["same_bytes"] = all(same_pictures(root / done[0], other) for other in others)
        facts["rss_growth_percent"] = max(
            value for key, value in facts.items() if key.endswith("rss_growth_percent")
        )
        facts["resume_seconds"] = round(time_resume(root, arguments.resumed), 2)
        print(f"{'resume':10s}{facts['resume_seconds']:8.2f} s of {arguments.resumed}", flush=True)
    facts["ratio"] = round(facts["inline_seconds"] / facts["processes_seconds"], 2)
    print(json.dumps(facts))


def draw(folder: Path, count: int, side: int) -> None:
    """Small noisy pictures."""
    folder.mkdir()
    chance = np.random.default_rng(0)
    for number in range(count):
        ramp = np.linspace(40, 210, side)[:, None, None] * np.ones((1, side, 3))
        values = (ramp + chance.normal(0, 20, (side, side, 3))).clip(0, 255).astype(np.uint8)
        Image.fromarray(values).save(folder / f"{number:05}.png")


def make_plan(arguments: argparse.Namespace, root: Path, executor: str) -> BatchPlan:
    """The plan of an executor."""
    source, output = (str(root / "in"),), str(root / executor)
    if arguments.method == "denoise":
        return BatchPlan("denoise", source, (), output, DenoiseRecipe())
    recipe = style_recipe(size=arguments.side, steps=arguments.steps)
    return BatchPlan("style", source, (str(root / "style"),), output, recipe)


def measure(plan: BatchPlan, executor: str, workers: int) -> tuple[float, float, BatchProgress]:
    """Seconds of a batch, and how much memory grew in percent."""
    sizes: list[int] = []
    ended = threading.Event()
    progress = BatchProgress(1, workers)

    def watch(latest: BatchProgress) -> None:
        nonlocal progress
        progress = latest

    def measure() -> None:
        own = psutil.Process()
        while not ended.wait(0.2):
            if progress.made >= SETTLED:
                family = own.children(recursive=True) if executor != "inline" else [own]
                sizes.append(max((resident_memory(one) for one in family), default=0))

    threading.Thread(target=measure, daemon=True).start()
    began = time.perf_counter()
    result = run_batch(plan, executor=executor, workers=workers, threads=1, on_progress=watch)
    seconds = time.perf_counter() - began
    ended.set()
    sizes = [size for size in sizes if size]
    few = max(1, len(sizes) // 10)
    first, last = (sum(part) / len(part) for part in (sizes[:few], sizes[-few:]))
    return seconds, 100 * (last / first - 1), result


def resident_memory(process: psutil.Process) -> int:
    """Bytes a process has; 0 where it has gone."""
    try:
        return process.memory_info().rss
    except psutil.Error:
        return 0


def same_pictures(one: Path, other: Path) -> bool:
    """Return whether two folders hold the same pictures."""
    return all(
        path.read_bytes() == (other / path.relative_to(one)).read_bytes()
        for path in one.rglob("*.png")
    )


def time_resume(root: Path, count: int) -> float:
    """Seconds that a finished batch of so many pictures takes to say so."""
    for name in ("many", "done"):
        (root / name).mkdir()
    data = next((root / "in").iterdir()).read_bytes()
    plan = BatchPlan("denoise", (str(root / "many"),), (), str(root / "done"), DenoiseRecipe())
    for number in range(count):
        for name in ("many", "done"):
            (root / name / f"{number:05}.png").write_bytes(data)
    manifest = Manifest(manifest_path(plan.output))
    rows = []
    for job in plan_jobs(plan):
        stamp = storage.file_stamp(job.output)
        row = Row(
            DONE,
            job=job_digest(job),
            versions=algorithm_versions(),
            input_stamps=input_stamps(job, {}),
        )
        rows.append((job.output, row._replace(output_stamp=str(tuple(stamp or ())))))
    manifest.save(rows)
    manifest.close()
    began = time.perf_counter()
    result = run_batch(plan)
    seconds = time.perf_counter() - began
    assert (result.done, result.made) == (count, 0)
    return seconds


if __name__ == "__main__":
    main()
