"""A film before its first frame: everything opened and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from impasto.files import check_space
from impasto.filming.clip_job import ClipJob, check_target, film_provenance
from impasto.filming.frame_masks import FrameMasks, masks_of, open_masks
from impasto.filming.key_choice import KEY_EVALUATIONS, frames_between_keys
from impasto.filming.keyframes import fit_keys, key_inputs, open_keys
from impasto.filming.style_schedule import FilmStyles, StyleSchedule, open_phases, phase_inputs
from impasto.filming.work import WorkFolder
from impasto.images.image import Image
from impasto.images.opencv import load_opencv
from impasto.images.read import ImageSource
from impasto.images.video_read import open_clip, parse_range
from impasto.presets import style_recipe_of
from impasto.provenance import Inputs
from impasto.recipes import FilmRecipe
from impasto.style.styles import output_size
from impasto.style.stylize import PreparedStyles, prepare_styles
from impasto.validation import reject_recipe_and_options, validate

SETTLED = ("precision", "history", "tiles", "engine")  # what `auto` comes to
STATE_BYTES = 96  # a pixel of what the next frame goes on from
# `auto` paints each frame where all together have at most so many pixels and evaluations.
_PAINTED_WORK = 40e6


class FilmInputs(NamedTuple):
    """What a film is made from, as it was given.

    Attributes:
        clip: a video file, a folder of frames, or a pattern.
        style: as for `stylize`, or a mapping from where styles begin to these.
        protect: a mask, or one for each frame.
        keep: a mask, or one for each frame.
        keys: number of a frame in the clip -> what it is to look like.
    """

    clip: str | Path
    style: FilmStyles
    protect: ImageSource | None = None
    keep: ImageSource | None = None
    keys: Mapping[int, ImageSource] | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class FilmJob(ClipJob):
    """A film before its first frame: everything opened and checked.

    Attributes:
        recipe: every option, with what `auto` came to.
        prepared: all styles, whenever they count.
        styles: those of each frame.
        keys: the user's own frames by their numbers in the film, (3, H, W) at its size.
        masks: `protect` and `keep`.
    """

    recipe: FilmRecipe
    prepared: PreparedStyles
    styles: StyleSchedule
    keys: dict[int, Tensor]
    masks: dict[str, FrameMasks | None]

    def masks_at(self, number: int) -> dict[str, Image | None]:
        """Return the masks of a frame of the film, from 0, by the names of their arguments."""
        return masks_of(self.masks, number)

    @property
    def seconds_a_frame(self) -> float:
        """Estimated, of a frame that continues another; 0 if nothing was timed."""
        last = self.prepared.setup.plan.scales[-1]
        evaluations = self.recipe.frame_evaluations + 1
        if self.recipe.engine == "keyed":
            evaluations = KEY_EVALUATIONS * evaluations / frames_between_keys(self.recipe)
        return (last.seconds or 0.0) / last.evaluations * evaluations


def open_job(
    inputs: FilmInputs,
    output: str | Path,
    recipe: FilmRecipe | None,
    options: dict[str, Any],
    overwrite: bool,
    *,
    sidecar: bool,
    timed: bool = False,
) -> FilmJob:
    """Open and check everything that a film needs."""
    load_opencv()
    recipe = film_recipe(recipe, options)
    target = check_target(Path(output), Path(inputs.clip), overwrite)
    source = open_clip(inputs.clip, recipe.rate)
    part = start, stop = parse_range(recipe.range, source.frames, source.rate)
    first = next(source.read(start, start + 1))
    size = output_size(first, recipe.size, "clip")
    masks = open_masks({"protect": inputs.protect, "keep": inputs.keep}, source, part)
    phases = open_phases(inputs.style, source, part, recipe.crossfade)
    keys = open_keys(inputs.keys, source.size, part)
    named = Inputs(
        content=source.source,
        styles=phase_inputs(phases),
        keys=key_inputs(keys),
        **{name: each and each.source for name, each in masks.items()},
    )
    facts = {
        "inputs": named.model_dump(mode="json"),
        "part": [start, stop],
        "rate": str(source.rate),
        "recipe": recipe.model_dump(mode="json", exclude={"memory"}),
    }
    work = WorkFolder(target, facts, overwrite=overwrite)
    # What `auto` came to when the film began decides its bytes.
    engine = choose_engine(recipe, stop - start, size)
    chosen = {**recipe.model_dump(), "engine": engine, **work.settled}
    settled = validate(FilmRecipe, chosen)
    sources = [source for phase in phases for source in phase.sources]
    prepared = prepare_styles(first, sources, recipe=settled, timed=timed)
    job = FilmJob(
        clip=source,
        start=start,
        count=stop - start,
        output=target,
        recipe=prepared.setup.recipe,
        prepared=prepared,
        styles=StyleSchedule(prepared, phases, start),
        keys=fit_keys(keys, start, prepared.setup.plan.sizes[-1]),
        masks=masks,
        work=work,
        overwrite=overwrite,
        provenance=film_provenance(
            prepared.setup.recipe.model_copy(update={"memory": recipe.memory}),
            named,
            str(prepared.setup.network.device),
        ),
        sidecar=sidecar,
    )
    job.check_free()
    check_space(target, round(size[0] * size[1] * (job.count + STATE_BYTES)))
    return job


def choose_engine(recipe: FilmRecipe, frames: int, size: tuple[int, int]) -> str:
    """Return the engine that a film is made by.

    `auto` paints each frame where that is little work, by pixels and evaluations, and else only
    keyframes. It asks no clock: the same film comes out beside a busy program.

    Example:
        >>> [choose_engine(FilmRecipe(), frames, (256, 144)) for frames in (50, 5000)]
        ['painted', 'keyed']
    """
    if recipe.engine != "auto":
        return recipe.engine
    work = frames * recipe.frame_evaluations * size[0] * size[1]
    return "painted" if work <= _PAINTED_WORK else "keyed"


def film_recipe(recipe: FilmRecipe | None, options: dict[str, Any]) -> FilmRecipe:
    """Return the recipe given, or one made of options."""
    reject_recipe_and_options(recipe, options)
    return style_recipe_of(options, model=FilmRecipe) if recipe is None else recipe
