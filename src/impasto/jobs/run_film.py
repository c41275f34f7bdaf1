"""Run a job whose content is a video: paint it or clean it into a film."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from impasto.filming.result import ClipResult, FilmResult
from impasto.jobs.job import Job
from impasto.jobs.run_job import limit_memory, method_images
from impasto.methods import METHODS
from impasto.recipes import ClipRecipe, FilmRecipe
from impasto.validation import validate


def film_of_job(
    job: Job, output: Path, share: float = 1.0, **watchers: Any
) -> FilmResult | ClipResult:
    """Make the film of a job whose content is a video, with the options of pictures.

    Args:
        job: `style` or `denoise`, whose inputs are on this machine.
        output: path of the film; one that exists is replaced, and one that was begun goes on.
        share: part of the free memory that the job may use, above 0 up to 1.
        watchers: `on_frame`, `stop` and, to paint, `on_step`, as for `film` and `denoise_clip`.

    Raises:
        ValueError: an option of the job is not of films.
    """
    recipe = limit_memory(film_recipe_of(job), share)
    method = METHODS[METHODS[job.method].of_videos]
    return method.make_film(
        method_images(job), output, recipe=recipe, overwrite=True, sidecar=False, **watchers
    )


def film_recipe_of(job: Job) -> FilmRecipe | ClipRecipe:
    """Return the recipe of a job on pictures as that of a film.

    Example:
        >>> film_recipe_of(Job("denoise", '{"strength": 0.5}', {}, "a.mp4")).strength
        0.5
    """
    model = METHODS[METHODS[job.method].of_videos].recipe
    # The frames of a scene share their noise anyway.
    options = job.options.model_dump(exclude={"version", "joint"})
    return validate(model, options | json.loads(job.film))
