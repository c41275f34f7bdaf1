"""What the command `rerun` does."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from impasto.cli.delivery import Delivery
from impasto.cli.files import check_places, check_result_size, is_tiff, save_options
from impasto.cli.progress import combine_watchers, show_progress
from impasto.cli.run import CommandOutcome, execute
from impasto.cli.run_denoise import stream_stack
from impasto.cli.terminal import echo
from impasto.images.crop import picture_size
from impasto.images.resize import result_size
from impasto.images.stack import Stack
from impasto.provenance import SIDECAR
from impasto.replay import prepare_rerun, run_again


def rerun_file(file: str, output: str | None, options: Mapping[str, Any]) -> int:
    """Make the image of a file or recipe again, and return the exit code."""
    stem, ending = _name_of(file)
    output = output or f"{stem}-again{ending}"
    sources = (file, options["content"], *options["style"], options["weights"])
    check_places(save_options(output, sources, {"overwrite": options["overwrite"]}))
    plan = prepare_rerun(
        file,
        content=options["content"],
        style=list(options["style"]) or None,
        weights=options["weights"],
    )
    for change in plan.changes:
        echo(f"impasto: {change}", err=True)
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


def _name_of(file: str) -> tuple[str, str]:
    """Return the name and ending of a file's image: `a.png.impasto.json` -> `a`, `.png`."""
    name = Path(file).name.removesuffix(SIDECAR)
    ending = Path(name).suffix
    return Path(name).stem, ".png" if ending in ("", ".json") else ending
