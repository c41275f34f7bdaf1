"""A film before its first frame: everything opened and checked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from impasto.errors import ImageError
from impasto.files import check_space, check_writable
from impasto.filming.work import WorkFolder
from impasto.images.clip_names import fill_pattern, is_pattern
from impasto.images.image import Image
from impasto.images.masks import check_mask_shape, open_mask
from impasto.images.open_input import identify_input
from impasto.images.opencv import load_opencv
from impasto.images.read import ImageSource
from impasto.images.video_read import Clip, open_clip, parse_range
from impasto.images.video_write import check_film_ending
from impasto.presets import style_recipe_of
from impasto.recipes import FilmRecipe
from impasto.style.source import Style
from impasto.style.styles import open_styles, output_size, style_inputs
from impasto.style.stylize import PreparedStyles, prepare_styles
from impasto.validation import reject_recipe_and_options, validate

_FRAME_NAME = "frame_%06d.png"  # of films that are written into a folder
STATE_BYTES = 36  # a pixel of what the next frame goes on from


class FilmJob(NamedTuple):
    """A film before its first frame: everything opened and checked."""

    clip: Clip
    start: int
    count: int
    output: Path
    recipe: FilmRecipe
    prepared: PreparedStyles
    work: WorkFolder
    masks: dict[str, Image | None]
    overwrite: bool

    @property
    def writes_frames(self) -> bool:
        """Whether the output is numbered frames."""
        return is_pattern(self.output)

    def frame_path(self, number: int) -> Path:
        """Return where a finished frame goes, numbered as in the clip."""
        return fill_pattern(self.output, self.clip.numbers[self.start + number])

    def frame_pairs(self, count: int) -> Iterator[tuple[Path, Path]]:
        """Yield where the first frames go, and where they are when they are finished."""
        return ((self.frame_path(number), self.work.frame(number)) for number in range(count))

    @property
    def seconds_a_frame(self) -> float:
        """Estimated, of a frame that continues another; 0 if nothing was timed."""
        last = self.prepared.setup.plan.scales[-1]
        return (last.seconds or 0.0) / last.evaluations * (self.recipe.frame_evaluations + 1)


def open_job(
    clip: str | Path,
    style: ImageSource | Style | Sequence[ImageSource | Style],
    output: str | Path,
    recipe: FilmRecipe | None,
    options: dict[str, Any],
    protect: ImageSource | None,
    keep: ImageSource | None,
    overwrite: bool,
    *,
    timed: bool = False,
) -> FilmJob:
    """Open and check everything that a film needs."""
    load_opencv()
    recipe = film_recipe(recipe, options)
    target = check_target(Path(output), Path(clip), overwrite)
    source = open_clip(clip, recipe.rate)
    start, stop = parse_range(recipe.range, source.frames, source.rate)
    first = next(source.read(start, start + 1))
    output_size(first, recipe.size, "clip")
    masks = {"protect": protect, "keep": keep}
    opened = {name: None if mask is None else open_mask(mask, name) for name, mask in masks.items()}
    for name, mask in opened.items():
        if mask is not None:
            check_mask_shape(mask, first.size, name, "the clip")
    inputs = style_inputs(open_styles(style, first.size))
    facts = {
        "clip": source.sha256,
        "part": [start, stop],
        "rate": str(source.rate),
        "styles": [each.model_dump(mode="json") for each in inputs],
        "masks": {name: mask and identify_input(mask).sha256 for name, mask in opened.items()},
        "recipe": recipe.model_dump(mode="json", exclude={"memory"}),
    }
    work = WorkFolder(target, facts, overwrite=overwrite)
    # What `auto` came to when the film began decides its bytes.
    settled = validate(FilmRecipe, {**recipe.model_dump(), **work.settled})
    prepared = prepare_styles(first, style, recipe=settled, timed=timed)
    job = FilmJob(source, start, stop - start, target, recipe, prepared, work, opened, overwrite)
    if job.writes_frames and not overwrite:
        check_frames_free(job.frame_pairs(job.count))
    width, height = prepared.setup.plan.sizes[-1]
    check_space(target, round(width * height * (job.count + STATE_BYTES)))
    return job


def film_recipe(recipe: FilmRecipe | None, options: dict[str, Any]) -> FilmRecipe:
    """Return the recipe given, or one made of options."""
    reject_recipe_and_options(recipe, options)
    return style_recipe_of(options, model=FilmRecipe) if recipe is None else recipe


def check_target(output: Path, clip: Path, overwrite: bool) -> Path:
    """Refuse an output that cannot be written; return the file, or the pattern of frames."""
    if output.is_dir() or not output.suffix:
        output = output / _FRAME_NAME
    if not is_pattern(output):
        check_film_ending(output)
        return check_writable(output, overwrite=overwrite, inputs=[clip])
    if output.suffix.lower() != ".png":
        raise ValueError(
            f"`output` must be a pattern of .png frames, got {str(output)!r}; rename it"
        )
    folder = output.parent
    sources = clip if clip.is_dir() else clip.parent
    if (
        folder.exists()
        and sources.exists()
        and folder.samefile(sources)
        and (clip.is_dir() or is_pattern(clip))
    ):
        raise ImageError(
            f"`output` must not be among the clip's own frames, got {output}; choose another folder"
        )
    return output


def check_frames_free(pairs: Iterable[tuple[Path, Path]]) -> None:
    """Refuse frames where files of their names exist.

    Args:
        pairs: of where each goes, and where it is when it is finished.
    """
    for path, finished in pairs:
        if path.exists() and not is_delivered(path, finished):
            raise ImageError(
                f"`output` must be new files, got {path}, which exists; choose another name, or "
                "give overwrite"
            )


def is_delivered(path: Path, finished: Path) -> bool:
    """Return whether a kill came when a frame was in its place already."""
    return path.exists() and finished.exists() and path.read_bytes() == finished.read_bytes()
