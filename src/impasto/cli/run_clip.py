"""Run `impasto denoise` of a film: open, plan or clean, report."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impasto.cli.files import noise_facts
from impasto.cli.options import flag_name
from impasto.cli.progress import format_duration
from impasto.cli.run import CommandOutcome, execute
from impasto.cli.run_denoise import normalize_sigma
from impasto.cli.run_film import film_outcome, show_frames
from impasto.cli.terminal import echo, echo_json
from impasto.filming.clean import ClipPlan, denoise_clip, plan_clip
from impasto.filming.result import ClipResult, ClipStep
from impasto.images.clip_names import film_ending, is_pattern
from impasto.memory import GIB

if TYPE_CHECKING:
    from impasto.recipes import ClipRecipe
    from impasto.result import Diagnosis

# What a picture can have and a film cannot.
_NOT_OF_FILMS = (
    *("residual", "figure", "truth", "pairs", "bits", "quality", "strip_gps", "strip"),
)
_MAX_SCENES = 8  # that are printed


def clean_clip(
    clip: str, output: str | None, recipe: ClipRecipe, options: Mapping[str, Any]
) -> int:
    """Clean a film, or print its plan, and return the exit code.

    Args:
        clip: the file, folder or pattern.
        output: where to; None names it after the clip.
        recipe: how; its sigma as it was typed.
        options: the command's other options.
    """
    for name in _NOT_OF_FILMS:
        if options[name]:
            raise ValueError(
                f"`{name}` must be left out for a film, got {flag_name(name)} with {clip}; leave "
                "it out"
            )
    if output == "-":
        raise ValueError("`output` must be a file or folder, got `-`; a film cannot be piped")
    output = output or _default_output(clip)
    arguments = {"recipe": normalize_sigma(recipe), "overwrite": options["overwrite"]}
    arguments["sidecar"] = options["sidecar"]
    if options["dry_run"]:
        _print_plan(plan_clip(clip, output, **arguments), options["as_json"])
        return 0

    def run(stop_requested: threading.Event) -> CommandOutcome:
        with show_frames(options["progress"], format_step) as draw:
            result = denoise_clip(
                clip, output, on_frame=draw, stop=stop_requested.is_set, **arguments
            )
        shown = options["progress"] is not False and not options["as_json"]
        if result.path is not None and shown:
            _print_scenes(result.scenes, "impasto: ", err=True)
        return film_outcome(clip, result, _facts(result))

    return execute(run, options["as_json"])


def format_step(step: ClipStep) -> str:
    """Write a cleaned frame in a line.

    Example:
        >>> facts = {"frame": 3, "frames": 20, "cut": False, "seconds": 9.0, "left": 34.0}
        >>> format_step(ClipStep(**facts, picture=lambda: None))
        'frame 3/20  0:34 left'
    """
    scene = ["new scene"] if step.cut else []
    words = [f"frame {step.frame}/{step.frames}", *scene, f"{format_duration(step.left)} left"]
    return "  ".join(words)


def _default_output(clip: str) -> str:
    """Return where a clip goes that no place is given for: a film, or a folder of frames."""
    place = Path(clip)
    if is_pattern(place):
        return f"{place.parent.name or 'frames'}-clean"
    if place.is_dir():
        return f"{place.resolve().name}-clean"
    return f"{place.stem}-clean{film_ending(place)}"


def _scene_facts(scenes: Sequence[tuple[int, Diagnosis]]) -> list[dict[str, Any]]:
    return [{"frame": number, **noise_facts(diagnosis)} for number, diagnosis in scenes]


def _facts(result: ClipResult) -> dict[str, Any]:
    """Return what `--json` prints of a cleaned film."""
    return {
        "output": str(result.path),
        "size": list(result.size),
        "frames": result.frames,
        "resumed": result.resumed,
        "rate": round(result.rate, 4),
        "scenes": _scene_facts(result.scenes),
        "strength": result.recipe.strength,
        "chroma": result.recipe.chroma,
        "across": result.recipe.across,
        "seconds": round(result.seconds, 3),
        "codec": result.codec,
        "notes": list(result.notes),
    }


def _print_scenes(
    scenes: Sequence[tuple[int, Diagnosis]], label: str, *, err: bool = False
) -> None:
    """Print the noise of scenes."""
    for number, diagnosis in scenes[:_MAX_SCENES]:
        start = f"from frame {number}: " if len(scenes) > 1 else ""
        echo(f"{label}{start}{diagnosis.words}", err=err)
    if (more := len(scenes) - _MAX_SCENES) > 0:
        echo(f"{label}{more} more scenes, which --json has", err=err)


def _print_plan(plan: ClipPlan, as_json: bool) -> None:
    """Print the plan of cleaning a film."""
    if as_json:
        rounded = {name: round(getattr(plan, name), 4) for name in ("rate", "seconds")}
        facts = {"size": list(plan.size), "notes": list(plan.notes)}
        echo_json({**plan._asdict(), **facts, "scenes": _scene_facts(plan.scenes), **rounded})
        return
    for note in plan.notes:
        echo(f"clip       {note}")
    resumed = f", {plan.resumed} of them finished" if plan.resumed else ""
    echo(f"frames     {plan.frames}{resumed}, {plan.rate:.4g} a second")
    echo(f"scenes     {len(plan.scenes)}")
    echo(f"size       {plan.size[0]} × {plan.size[1]}")
    _print_scenes(plan.scenes, "noise      ")
    echo(f"time       about {format_duration(plan.seconds)}")
    echo(f"disk       at most {plan.disk / GIB:.2f} GiB until the film is written")
    echo("nothing was written")
