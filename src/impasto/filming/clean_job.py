"""A clip before its first frame is cleaned: everything opened and checked, and where it goes on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from impasto.denoising.plane_axis import together_bytes
from impasto.device import select_device
from impasto.errors import ImageError, MemoryShortageError
from impasto.files import check_space, write_atomically
from impasto.filming.clip_job import ClipJob, check_target, film_provenance
from impasto.filming.work import WorkFolder
from impasto.images.clip_names import is_pattern
from impasto.images.opencv import load_opencv
from impasto.images.video_read import Clip, open_clip, parse_range
from impasto.memory import GIB, free_bytes
from impasto.provenance import Inputs
from impasto.recipes import ClipRecipe
from impasto.validation import reject_recipe_and_options, validate

# Frames on each side that help. Beyond two, each gains less than the one before (docs/log.md).
REACH = 4
_FRAME_BYTES = 6.4  # a pixel of a finished frame, at most
_SIDE_BYTES = 2  # the same of a frame with 8 bits a channel, about


class CleanState(NamedTuple):
    """Where a clip goes on.

    Attributes:
        done: frames that are finished.
        scene: number in the clip of the first frame of the scene at work.
        first: of the first frame that the next one depends on.
    """

    done: int
    scene: int
    first: int


@dataclass(frozen=True, kw_only=True, eq=False)
class CleanJob(ClipJob):
    """A clip before its first frame is cleaned.

    Attributes:
        recipe: how, with `across` as it was settled when the clip was begun.
    """

    recipe: ClipRecipe

    @property
    def disk(self) -> int:
        """Bytes of the work folder, at most."""
        width, height = self.clip.size
        return round(_FRAME_BYTES * width * height * self.count)

    def load_state(self) -> CleanState:
        """Return where the clip goes on."""
        try:
            return CleanState(**json.loads(self._state.read_bytes()))
        except FileNotFoundError:
            return CleanState(0, self.start, self.start)

    def save_state(self, state: CleanState) -> None:
        """Keep where the clip goes on; the frames that it counts are there."""
        write_atomically(json.dumps(state._asdict()).encode(), self._state, overwrite=True)

    @property
    def _state(self) -> Path:
        return self.work.path / "state.json"


def open_clean_job(
    clip: str | Path,
    output: str | Path,
    recipe: ClipRecipe | None,
    options: dict[str, Any],
    *,
    overwrite: bool,
    sidecar: bool,
) -> CleanJob:
    """Open and check everything that cleaning a clip needs."""
    load_opencv()
    reject_recipe_and_options(recipe, options)
    recipe = recipe or validate(ClipRecipe, options)
    target = check_target(Path(output), Path(clip), overwrite)
    source = open_clip(clip, recipe.rate)
    if not is_pattern(target) and min(source.size) < 2:
        raise ImageError(
            "`clip` must have at least 2 pixels on each side to become a film, got "
            f"{source.size[0]} × {source.size[1]}; write frames: -o frames/%04d.png"
        )
    start, stop = parse_range(recipe.range, source.frames, source.rate)
    named = Inputs(content=source.source)
    facts = {
        "method": "denoise",
        "inputs": named.model_dump(mode="json"),
        "part": [start, stop],
        "rate": str(source.rate),
        "recipe": recipe.model_dump(mode="json", exclude={"memory", "device"}),
    }
    work = WorkFolder(target, facts, overwrite=overwrite)
    # Whether frames help each other decides the bytes, however much memory is free later.
    settled = {"across": _settle_across(source, recipe), **work.settled}
    recipe = recipe.model_copy(update=settled)
    job = CleanJob(
        clip=source,
        start=start,
        count=stop - start,
        output=target,
        recipe=recipe,
        work=work,
        overwrite=overwrite,
        provenance=film_provenance(recipe, named, str(select_device(recipe.device))),
        sidecar=sidecar,
    )
    job.check_free()
    width, height = source.size
    check_space(target, _SIDE_BYTES * width * height * job.count)
    return job


def _settle_across(clip: Clip, recipe: ClipRecipe) -> str:
    """Return which frames help each other where there is so much memory."""
    width, height = clip.size
    needed = together_bytes((3, height, width), REACH)
    free = free_bytes(recipe.memory, select_device(recipe.device))
    if recipe.across == "none" or needed <= free:
        return recipe.across
    if recipe.across == "auto":
        return "none"
    raise MemoryShortageError(
        f"`across` must fit in memory, got {recipe.across}, which needs {needed / GIB:.1f} GiB for "
        f"frames that wait for each other, of which {free / GIB:.1f} GiB are free; use across none"
    )
