"""Make one output of a batch, or recognize one that is already there."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from impasto.batch import storage
from impasto.batch.manifest import fingerprint
from impasto.denoising.denoise import denoise_stack, denoising_provenance
from impasto.errors import ImpastoError
from impasto.files import file_sha256, write_atomically
from impasto.images.image import Image
from impasto.images.open_input import open_input
from impasto.images.read import open_image, read_recipe
from impasto.images.resize import result_size
from impasto.images.stack import Stack, check_single_picture
from impasto.images.write import check_output_size, left_out_notes, save
from impasto.jobs.job import Job, Outcome
from impasto.jobs.run_film import film_of_job, film_recipe_of
from impasto.jobs.run_job import attempt, limit_memory, run_job
from impasto.methods import METHODS
from impasto.models.model import ApplyResult
from impasto.models.model_file import read_model
from impasto.provenance import (
    MAX_BYTES,
    SIDECAR,
    Inputs,
    Output,
    read_provenance,
    sidecar_path,
    sidecar_text,
)
from impasto.vgg.weights import load_weights


def make_output(job: Job, folder: str, share: float) -> Outcome:
    """Make one image and put it in its place, whole or not at all.

    Args:
        job: what to make.
        folder: for unfinished files; empty for one of this machine's own.
        share: part of the free memory that this worker may use, above 0 up to 1.

    Returns:
        How it ended; `saved` is the fingerprint.
    """
    record = _Record()
    outcome = attempt(lambda: _make(job, folder, share, record))
    return replace(outcome, frames=record.frames, notes=record.notes)


@dataclass
class _Record:
    """What is said of the files of a job: input or output -> its pictures, and notes."""

    frames: dict[str, int] = field(default_factory=dict)
    notes: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def add_input(self, place: str, image: Image | Stack) -> None:
        """Record what was taken of an input and for what."""
        if isinstance(image, Image) and image.metadata.frames > 1:
            self.frames[place] = image.metadata.frames
        self.add_notes(place, image.notes if isinstance(image, Stack) else image.metadata.notes)

    def add_notes(self, place: str, notes: tuple[str, ...]) -> None:
        """Record some notes, if there are any."""
        if notes:
            self.notes[place] = notes


def _make(job: Job, folder: str, share: float, record: _Record) -> str:
    if folder:
        os.makedirs(folder, exist_ok=True)
    with (
        TemporaryDirectory(prefix="picture-", dir=folder or None) as unfinished,
        storage.download_all(job.inputs) as inputs,
    ):
        path = Path(unfinished) / storage.file_name(job.output)
        if job.makes_film:
            return _make_film(replace(job, inputs=inputs), path, share, record)
        images = _open_inputs(replace(job, inputs=inputs))
        for role, image in images.items():
            record.add_input(job.inputs[role], image)
        mark, notes = _make_file(replace(job, inputs=inputs), images, path, share)
        storage.upload(str(path), job.output)
        record.add_notes(job.output, notes)
    return mark


def _make_film(job: Job, path: Path, share: float, record: _Record) -> str:
    """Make a film of a video; on this machine its finished frames stay beside it after a kill.

    Args:
        job: what to make; its inputs are on this machine.
        path: where to make it if its place is not on this machine.
        share: as for `make_output`.
        record: gets what is left out.
    """
    remote = storage.is_remote(job.output)
    target = path if remote else Path(job.output)
    target.parent.mkdir(parents=True, exist_ok=True)
    hashes = [file_sha256(file) for file in job.inputs.values()]
    mark = _mark(job, hashes)
    result = film_of_job(job, target, share)
    # The limit of memory says something about this machine's load, not about the film.
    recipe = result.provenance.recipe.model_copy(update={"memory": job.options.memory})
    told = result.provenance.model_copy(update={"fingerprint": mark, "recipe": recipe})
    write_atomically(sidecar_text(told.model_dump_json()), sidecar_path(target), overwrite=True)
    if remote:
        storage.upload(str(sidecar_path(path)), job.output + SIDECAR)
        storage.upload(str(path), job.output)
    record.add_notes(job.output, result.notes)
    return mark


def _open_inputs(job: Job) -> dict[str, Image | Stack]:
    """Open the inputs of a job, each once, under the names that its method gives them."""
    if METHODS[job.method].keeps_data:
        return {role: open_input(path, job.options.axes) for role, path in job.inputs.items()}
    return {
        role: open_image(path, name=role.partition("-")[0])
        for role, path in job.inputs.items()
        if role != "model"
    }


def _make_file(
    job: Job, images: dict[str, Image | Stack], path: Path, share: float
) -> tuple[str, tuple[str, ...]]:
    """Write the result of a job; return its fingerprint, and notes on what is not in it."""
    recipe, source = job.options, images["content"]
    if isinstance(source, Stack):
        if path.suffix.lower() in storage.TIFF_ENDINGS:
            return _make_stack(job, source, path, share), ()
        check_single_picture(source, path.name)
    size = source.size if isinstance(source, Image) else source.plane_shape[:0:-1]
    check_output_size(path, result_size(recipe, size))
    result = run_job(job, share=share, opened=images)
    provenance = result.provenance(Output(strip=job.strip))
    mark = _fingerprint(job, provenance.inputs)
    text = provenance.model_copy(update={"fingerprint": mark}).model_dump_json()
    save(result.pixels, path, metadata=result.metadata, recipe=text, strip=job.strip)
    options = {"recipe": text, "strip": job.strip}
    notes = left_out_notes(result.metadata, path.suffix, result.size, **options)
    unlike = result.unlike_note if isinstance(result, ApplyResult) else None
    return mark, (*notes, unlike) if unlike else notes


def _make_stack(job: Job, source: Stack, path: Path, share: float) -> str:
    """Denoise measured data plane by plane, since it may not fit in memory."""
    recipe = job.options
    if job.strip:
        raise ValueError(
            "`strip` must be left out for a TIFF of measured data, which stays as it is, "
            f"got True for {path.name}; leave it out, or write a .png"
        )
    mark = _fingerprint(job, denoising_provenance(source, recipe).inputs)
    denoise_stack(
        source,
        path,
        recipe=limit_memory(recipe, share),
        stored_recipe=recipe,
        fingerprint=mark,
    )
    return mark


def _fingerprint(job: Job, inputs: Inputs) -> str:
    model = [inputs.model] if inputs.model else []
    files = [inputs.content, *model, *(style.pictures[0] for style in inputs.styles)]
    return _mark(job, [file.sha256 for file in files])


def _mark(job: Job, hashes: Sequence[str]) -> str:
    """Return the fingerprint of a job by the hashes of its inputs."""
    recipe = film_recipe_of(job).model_dump_json() if job.makes_film else job.recipe
    return fingerprint(job.method, recipe, hashes, _weights_hash(job), strip=job.strip)


def check_model(path: str) -> None:
    """Refuse a file that is no fitted model.

    Raises:
        ImpastoError: it cannot be read or used.
    """
    with storage.download(path) as copy:
        read_model(copy)


def _weights_hash(job: Job) -> str:
    weights = getattr(job.options, "weights", None)
    return load_weights(weights).sha256 if weights else ""


def _stored_recipe(job: Job) -> str | None:
    """Return the JSON of the recipe that a job's output, or the file beside a film, holds."""
    if job.makes_film:
        with storage.download(job.output + SIDECAR) as path:
            return Path(path).read_bytes()[: MAX_BYTES + 1].decode(errors="replace")
    with storage.download(job.output) as path:
        return read_recipe(path)


def read_fingerprint(job: Job) -> str | None:
    """Return the fingerprint stored in a job's output, or None if the job would make another."""
    try:
        recipe = _stored_recipe(job)
        stored = read_provenance(recipe).fingerprint if recipe else None
        if stored is None:
            return None
        hashes = []
        for path in job.inputs.values():
            with storage.download(path) as copy:
                hashes.append(file_sha256(copy))
        mark = _mark(job, hashes)
    except (ImpastoError, ValueError, OSError):
        return None
    return stored if stored == mark else None
