"""Film against painting each frame by itself: flicker, time, style, drift.

    python benchmarks/film.py --clip FILE --style FILE [--frames 12] [--alone 5] [--start 0]
            [--size 256] [--effort balanced] [--seed 0] [--engines painted,keyed] [--keep DIR]
            [OPTION=VALUE ...]

Rows: the clip itself; `impasto.film` with each engine; some frames painted one by one, the first
few and as many ten later; and the same frames of each film. The warping error is
the root mean square, in levels of 255, of what changes along the motion of the clip where that is
believed: between neighbors, and between frames ten apart. The style distance is the style loss of
the recipe, on average over the frames but the first. Drift is how much the mean light of what
stands still over all frames changes between the first and the last, in levels. The unit of time is
the picture painted by itself, in the same run; a film's frame is any that begins no scene, with
the keyframes among them. An OPTION is any of `FilmRecipe`. Prints a row each;
the last line is JSON.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import tempfile
import time
from pathlib import Path

import torch
from torch import Tensor

import impasto
from impasto.filming.motion import find_flow, find_still, warping_error
from impasto.images.image import Image
from impasto.images.read import open_image
from impasto.images.resize import fit_longest_side, resize
from impasto.images.video_read import open_clip
from impasto.images.write import save
from impasto.jobs.load import FreeCores
from impasto.recipes import FilmRecipe
from impasto.result import OnStep
from impasto.style.stylize import Motion, PreparedStyles, prepare_styles

ENGINES = ["painted", "keyed"]
FAR = 10  # frames between those that are far from each other


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clip", required=True)
    parser.add_argument("--style", required=True)
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--alone", type=int, default=5)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--effort", default="balanced")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--engines", type=lambda text: text.split(","), default=ENGINES)
    parser.add_argument("--keep", type=Path, help="folder to leave the frames in")
    parser.add_argument("options", nargs="*", metavar="OPTION=VALUE")
    arguments = parser.parse_args()
    if arguments.frames < FAR + 2 or arguments.alone < 4:
        parser.error(f"--frames must be at least {FAR + 2}, --alone at least 4")
    torch.use_deterministic_algorithms(True)
    options = {
        "size": arguments.size,
        "effort": arguments.effort,
        "seed": arguments.seed,
        **dict(option.split("=") for option in arguments.options),
    }
    recipe = FilmRecipe.model_validate({k: number(v) for k, v in options.items()})
    clip = open_clip(arguments.clip)
    size = fit_longest_side(clip.size, arguments.size)
    stop = arguments.start + arguments.frames
    frames = [resize(frame.pixels, size) for frame in clip.read(arguments.start, stop)]
    prepared = prepare_styles(frames[0], arguments.style, recipe=recipe)
    picked = {*range(-(-arguments.alone // 2)), *range(FAR, FAR + arguments.alone // 2)}
    picked &= set(range(len(frames)))
    print(
        f"{'':12s}{'near':>8s}{'far':>8s}{'style':>9s}{'content':>9s}{'drift':>8s}{'s/frame':>9s}"
    )
    films, seconds = {}, {}
    for engine in arguments.engines:
        changed = recipe.model_copy(update={"engine": engine})
        films[engine], cuts, seconds[engine] = paint_film(arguments, frames, changed)
    pairs = list(motions(frames, cuts))
    facts: dict[str, dict[str, float]] = {}

    def add_row(name: str, images: dict[int, Tensor], seconds: float = 0.0) -> None:
        row = measure(images, pairs, frames, cuts)
        row |= losses(prepared, frames, images) if name != "clip" else {}
        row["seconds_a_frame"] = seconds
        facts[name.replace(" ", "_")] = {key: round(value, 4) for key, value in row.items()}
        print(
            f"{name:12s}{row['near']:8.2f}{row['far']:8.2f}{row.get('style', 0):9.4f}"
            f"{row.get('content', 0):9.4f}{row['drift']:8.2f}{row['seconds_a_frame']:9.2f}",
            flush=True,
        )

    add_row("clip", dict(enumerate(frames)))
    for engine, film in films.items():
        add_row(engine, dict(enumerate(film)), seconds[engine])
    alone, times = {}, []
    for k in sorted(picked):
        began = time.perf_counter()
        alone[k] = prepared.paint_frame(frames[k], on_step=keep_to_free_cores())[0].pixels
        times.append(time.perf_counter() - began)
    unit = statistics.mean(times[1:])  # with the first one the style is measured
    add_row("one by one", alone, unit)
    for engine, film in films.items():  # of those frames
        add_row(f"{engine} same", {k: film[k] for k in alone})
    rows = {"clip": frames, **films, "one by one": list(alone.values())}
    if arguments.keep:
        for name, images in rows.items():
            keep_strip(arguments.keep, name.replace(" ", "_"), images)
    apart = facts["one_by_one"]
    shares = {}
    for engine in films:
        whole, same = facts[engine], facts[f"{engine}_same"]
        shares[f"{engine}_over"] = {
            "clip_near": round(whole["near"] / facts["clip"]["near"], 3),
            "clip_far": round(whole["far"] / facts["clip"]["far"], 3),
            "one_by_one_near": round(same["near"] / apart["near"], 3),
            "one_by_one_style": round(same["style"] / apart["style"], 3),
            "picture_time": round(seconds[engine] / unit, 4),
        }
    print(
        json.dumps(
            {
                "source": Path(arguments.clip).name,
                "style": Path(arguments.style).name,
                "frames": len(frames),
                "size": list(size),
                "cuts": list(cuts),
                "temporal_weight": recipe.temporal_weight,
                "frame_evaluations": recipe.frame_evaluations,
                **shares,
                **facts,
            }
        )
    )


def number(value: str | float) -> str | float:
    """Return a number that was typed; text that is none stays as it is."""
    try:
        return float(value) if not str(value).isdigit() else int(value)
    except ValueError:
        return value


def paint_film(
    arguments: argparse.Namespace, frames: list[Tensor], recipe: FilmRecipe
) -> tuple[list[Tensor], tuple[int, ...], float]:
    """Paint the frames as a film; frames, cuts, and seconds of a frame that continues another."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "in").mkdir()
        for index, frame in enumerate(frames):
            save(frame, place / "in" / f"{index:04}.png")
        steps: list[impasto.FilmStep] = []
        result = impasto.film(
            place / "in",
            arguments.style,
            place / "out",
            recipe=recipe,
            on_frame=steps.append,
            on_step=keep_to_free_cores(),
        )
        film = [open_image(path).pixels for path in sorted((place / "out").glob("*.png"))]
    times = [0.0, *(step.seconds for step in steps)]
    each = [b - a for a, b in itertools.pairwise(times)]
    return film, result.cuts, statistics.mean(each[k] for k in range(len(each)) if not steps[k].cut)


def keep_to_free_cores() -> OnStep:
    """Return an `on_step` that uses as many threads as other programs leave."""
    cores = FreeCores()
    return lambda step: cores.adapt()


def motions(frames: list[Tensor], cuts: tuple[int, ...]):
    """Yield (first, second, distance, flow) of frames near and far that no cut divides."""
    for distance in (1, FAR):
        for first in range(len(frames) - distance):
            second = first + distance
            if not any(first < cut <= second for cut in cuts):
                yield first, second, distance, find_flow(frames[first], frames[second])


def measure(
    images: dict[int, Tensor], pairs: list, frames: list[Tensor], cuts: tuple[int, ...]
) -> dict[str, float]:
    """Measure flicker and drift of some images of a clip, by the numbers of their frames."""
    errors: dict[int, list[float]] = {1: [], FAR: []}
    for first, second, distance, flow in pairs:
        if {first, second} <= images.keys():
            errors[distance].append(255 * warping_error(images[first], images[second], flow))
    near, far = (statistics.mean(errors[k]) if errors[k] else 0.0 for k in (1, FAR))
    return {"near": near, "far": far, "drift": drift(images, frames, cuts)}


def drift(images: dict[int, Tensor], frames: list[Tensor], cuts: tuple[int, ...]) -> float:
    """Return how much the light of what stands still in the first scene changes, in levels."""
    end = min([cut for cut in cuts if cut], default=len(frames))
    still = torch.ones(frames[0].shape[1:])
    for before, after in itertools.pairwise(frames[:end]):
        still *= find_still(frames[0], after, find_flow(before, after))
    if still.sum() < 100:
        return 0.0
    numbers = [number for number in sorted(images) if number < end]
    light = [255 * float((images[k].mean(0) * still).sum() / still.sum()) for k in numbers]
    return light[-1] - light[0]


def losses(
    prepared: PreparedStyles, frames: list[Tensor], images: dict[int, Tensor]
) -> dict[str, float]:
    """Return the mean style and content loss of all images but the first frame's."""
    evaluated = prepared.for_frames(1)
    still = torch.zeros(frames[0].shape[1:])
    rows = []
    for index, image in images.items():
        if index:
            as_it_is = Motion(image, still + 1, 0 * image, still, 0.0)
            rows.append(evaluated.paint_frame(Image(frames[index]), as_it_is)[0].losses)
    return {name: statistics.mean(row[name] for row in rows) for name in ("style", "content")}


def keep_strip(folder: Path, name: str, images: list[Tensor]) -> None:
    """Save frames, and five consecutive ones at 100 % side by side."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, image in enumerate(images):
        save(image, folder / f"{name}-{index:03}.png", overwrite=True)
    save(torch.cat(images[-5:], 2), folder / f"{name}-strip.png", overwrite=True)


if __name__ == "__main__":
    main()
