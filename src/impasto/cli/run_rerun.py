"""What the command `rerun` does."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from impasto.cli.delivery import Delivery
from impasto.cli.files import check_places, check_result_size, is_tiff, save_options
from impasto.cli.progress import combine_watchers, show_progress
from impasto.cli.run import CommandOutcome, execute
from impasto.cli.run_clip import format_step
from impasto.cli.run_denoise import stream_stack
from impasto.cli.run_film import film_outcome, show_frames
from impasto.cli.terminal import echo
from impasto.images.clip_names import is_pattern, is_video
from impasto.images.crop import picture_size
from impasto.images.resize import result_size
from impasto.images.stack import Stack
from impasto.images.video_read import is_frames
from impasto.provenance import SIDECAR
from impasto.replay import RerunPlan, film_again, find_sidecar, prepare_rerun, run_again


def rerun_file(file: str, output: str | None, options: Mapping[str, Any]) -> int:
    """Make the image of a file or recipe again, and return the exit code."""
    output = output or _default_output(file)
    sources = (file, options["content"], *options["style"], options["weights"])
    if not _names_film(output):
        check_places(save_options(output, sources, {"overwrite": options["overwrite"]}))
    plan = prepare_rerun(
        file,
        content=options["content"],
        style=list(options["style"]) or None,
        weights=options["weights"],
    )
    for change in plan.changes:
        echo(f"impasto: {change}", err=True)
    if plan.makes_film:
        return _film_again(plan, file, output, options)
    # As the first one was written, but for what this command says of its files.
    writing = plan.provenance.output.model_dump(include={"bits", "quality", "strip_gps", "strip"})
    saving = save_options(output, [*sources, *map(str, plan.files)], writing | options)
    check_places(saving)
    data = plan.images.get("content")
    streamed = isinstance(data, Stack) and is_tiff(output)
    if isinstance(data, Stack) and not streamed and not data.single:
        raise ValueError(
            f"`output` must end in .tif or .tiff for a stack, got {output}; choose another name"
        )

    delivery = Delivery(saving)

    if not streamed:
        content = None if data is None else picture_size(data)
        check_result_size(saving, result_size(plan.provenance.recipe, content))

    def run(stop_requested: threading.Event) -> CommandOutcome:
        start = time.monotonic()
        with show_progress(options["progress"], part="plane" if streamed else "scale") as draw:
            on_step = combine_watchers(stop_requested, draw)
            if streamed:
                _, written = stream_stack(data, plan.provenance.recipe, delivery, on_step)
            else:
                result = run_again(plan, on_step)
        if not streamed:
            written = delivery.write_result(result)
        facts = {
            "output": written,
            "method": plan.provenance.method,
            "seconds": round(time.monotonic() - start, 3),
            "changes": list(plan.changes),
        }
        sentence = f"stopped; what was made by then is in {written}"
        return CommandOutcome(written, facts, sentence, delivery.problems)

    return execute(run, options["as_json"])


def _film_again(plan: RerunPlan, file: str, output: str, options: Mapping[str, Any]) -> int:
    """Make a film again, and return the exit code."""
    if not _names_film(output):
        output = str(Path(output).with_suffix(".mp4"))
    settings = {"overwrite": options["overwrite"], "sidecar": options["sidecar"]}

    def run(stop_requested: threading.Event) -> CommandOutcome:
        with show_frames(options["progress"], format_step) as draw:
            result = film_again(plan, output, on_frame=draw, stop=stop_requested.is_set, **settings)
        facts = {
            "output": str(result.path),
            "method": plan.provenance.method,
            "frames": result.frames,
            "seconds": round(result.seconds, 3),
            "changes": list(plan.changes),
            "notes": list(result.notes),
        }
        return film_outcome(file, result, facts)

    return execute(run, options["as_json"])


def _names_film(output: str) -> bool:
    """Return whether a path is that of a film, of numbered frames, or of a folder."""
    return is_video(output) or is_frames(Path(output)) or not Path(output).suffix


def _default_output(file: str) -> str:
    """Return where what is made again goes.

    Example:
        >>> _default_output("a.png.impasto.json"), _default_output("film.mp4.impasto.json")
        ('a-again.png', 'film-again.mp4')
        >>> _default_output("out/frame_%04d.png.impasto.json")
        'out-again/frame_%04d.png'
    """
    path = find_sidecar(Path(file))
    name = Path(path.name.removesuffix(SIDECAR))
    if is_pattern(name):
        folder = Path(os.path.abspath(path)).parent.name or "frames"
        return str(Path(f"{folder}-again") / name)
    return f"{name.stem}-again{'.png' if name.suffix in ('', '.json') else name.suffix}"
