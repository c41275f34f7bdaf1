"""Jobs that make a film or a fitted model; their result is a file in their folder."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from impasto.errors import ImpastoError
from impasto.filming.result import ClipStep
from impasto.images.clip_names import film_ending
from impasto.images.image import Image, SourceFile
from impasto.images.read import open_image
from impasto.jobs.progress import JobReporter
from impasto.jobs.run_job import method_images
from impasto.methods import METHODS
from impasto.models.fit import fit
from impasto.models.model import Model
from impasto.result import Step
from impasto.serve.job_methods import stored_recipe
from impasto.serve.records import CHECKPOINT, JobRecord, ResultInfo, Upload
from impasto.style.source import Style

POSTER = "poster.jpg"  # the last preview of a film or a fit, to be shown for it


def make_film(
    record: JobRecord, folder: Path, device: str | None, reporter: JobReporter
) -> ResultInfo:
    """Paint or clean a clip; what a stop leaves is a film, and a later run goes on.

    Raises:
        ImpastoError: it was stopped before its first frame.
    """
    recipe = _recipe(record, device)
    images = method_images(record.job(folder))
    output = folder / f"film{film_ending(images['content'])}"
    size = (record.uploads[0].width, record.uploads[0].height)
    result = METHODS[record.method].make_film(
        images,
        output,
        recipe=recipe,
        on_frame=_watch_frames(reporter, size),
        stop=reporter.stop,
        overwrite=True,
    )
    if result.path is None:
        raise ImpastoError("`stop` must come after the first frame, got it before; ask for a retry")
    _save_poster(folder, reporter)
    return ResultInfo(
        width=result.size[0],
        height=result.size[1],
        seconds=result.seconds,
        bits=8,
        stack=False,
        formats=[output.suffix.removeprefix("."), "jpeg"],
        frames=result.frames,
        rate=result.rate,
        notes=list(result.notes),
    )


def make_model(
    record: JobRecord, folder: Path, device: str | None, reporter: JobReporter
) -> ResultInfo:
    """Fit a small network to styles, on the pictures of a job."""
    recipe = _recipe(record, device)
    images = {upload.role: _open(upload, folder) for upload in record.uploads}
    weights = {upload.role: upload.weight for upload in record.uploads}
    result = fit(
        [image for role, image in images.items() if role.startswith("photograph-")],
        [
            Style(image, weights[role] or 0.0)
            for role, image in images.items()
            if role.startswith("style-")
        ],
        recipe=recipe,
        start=Model.load(folder / "model.impasto") if "model" in weights else None,
        on_step=reporter.on_step,
        checkpoint=folder / CHECKPOINT,
        stop=reporter.stop,
    )
    if not result.steps:
        raise ImpastoError("`stop` must come after the first step, got it before; ask for a retry")
    result.save(folder / "fitted.impasto", overwrite=True)
    _save_poster(folder, reporter)
    return ResultInfo(
        width=record.uploads[0].width,
        height=record.uploads[0].height,
        seconds=result.seconds,
        bits=8,
        stack=False,
        formats=["impasto", *(["jpeg"] if reporter.preview else [])],
    )


def _recipe(record: JobRecord, device: str | None) -> Any:
    """Return the recipe of a job, with the device that it runs on."""
    recipe = stored_recipe(record.method, record.recipe)
    return recipe if device is None else recipe.model_copy(update={"device": device})


def _open(upload: Upload, folder: Path) -> Image | None:
    """Open a picture under the name that it has on the user's machine."""
    if upload.role == "model":
        return None
    image = open_image(folder / upload.file, name=upload.role)
    origin = SourceFile(upload.name, upload.sha256)
    return replace(image, metadata=replace(image.metadata, origin=origin))


def _watch_frames(reporter: JobReporter, size: tuple[int, int]) -> Callable[[ClipStep], None]:
    """Return what is called after each frame, which counts as a step of the job."""

    def on_frame(frame: ClipStep) -> None:
        step = Step(
            evaluation=frame.frame,
            evaluations=frame.frames,
            scale=1,
            scales=1,
            size=size,
            losses=None,
            seconds=frame.seconds,
            left=float(frame.frames - frame.frame),
            picture=frame.picture,
        )
        with contextlib.suppress(StopIteration):  # `stop` ends the film, after the frame
            reporter.on_step(step)

    return on_frame


def _save_poster(folder: Path, reporter: JobReporter) -> None:
    if reporter.preview is not None:
        (folder / POSTER).write_bytes(reporter.preview)
