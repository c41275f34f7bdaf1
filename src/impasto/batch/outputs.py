"""Make one output of a batch, or recognize one that is already there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from impasto.batch import storage
from impasto.batch.manifest import fingerprint
from impasto.denoising.denoise import denoise_stack, denoising_provenance
from impasto.errors import ImageError, ImpastoError
from impasto.files import file_sha256
from impasto.images.open_input import open_input
from impasto.images.read import count_pictures, describe_image, read_recipe
from impasto.images.resize import result_size
from impasto.images.stack import Stack, check_single_picture
from impasto.images.tiff_read import is_scientific_tiff
from impasto.images.write import check_output_size, save
from impasto.jobs.job import Job, Outcome
from impasto.jobs.run_job import attempt, limit_memory, run_job
from impasto.methods import METHODS
from impasto.provenance import Inputs, read_provenance
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
    frames: dict[str, int] = {}
    outcome = attempt(lambda: _make(job, folder, share, frames))
    return replace(outcome, frames=frames)


def _make(job: Job, folder: str, share: float, frames: dict[str, int]) -> str:
    if folder:
        os.makedirs(folder, exist_ok=True)
    with (
        TemporaryDirectory(prefix="picture-", dir=folder or None) as unfinished,
        storage.download_all(job.inputs) as inputs,
    ):
        path = Path(unfinished) / storage.file_name(job.output)
        frames |= _unused_frames(job, inputs)
        job = replace(job, inputs=inputs)
        mark = _make_file(job, path, share)
        storage.upload(str(path), job.output)
    return mark


def _unused_frames(job: Job, inputs: Mapping[str, str]) -> dict[str, int]:
    """Return the pictures in each input of which only the first is used: place -> count."""
    counts = {}
    for role, path in inputs.items():
        if METHODS[job.method].keeps_data and is_scientific_tiff(path):
            continue
        with suppress(ImageError):  # opening it will say why
            if (count := count_pictures(path)) > 1:
                counts[job.inputs[role]] = count
    return counts


def _make_file(job: Job, path: Path, share: float) -> str:
    recipe = job.options
    is_tiff = path.suffix.lower() in storage.TIFF_ENDINGS
    content = job.inputs["content"]
    if METHODS[job.method].keeps_data and (is_tiff or is_scientific_tiff(content)):
        source = open_input(content, recipe.axes)
        if isinstance(source, Stack) and not is_tiff:
            check_single_picture(source, path.name)
        elif isinstance(source, Stack):  # plane by plane, since it may not fit in memory
            mark = _fingerprint(job, denoising_provenance(source, recipe).inputs)
            denoise_stack(
                source,
                path,
                recipe=limit_memory(recipe, share),
                stored_recipe=recipe,
                fingerprint=mark,
            )
            return mark
    check_job_size(job, path)
    result = run_job(job, share=share)
    provenance = result.provenance()
    mark = _fingerprint(job, provenance.inputs)
    record = provenance.model_copy(update={"fingerprint": mark}).model_dump_json()
    save(result.pixels, path, metadata=result.metadata, recipe=record)
    return mark


def check_job_size(job: Job, path: str | Path) -> None:
    """Refuse a job whose result its format or the disk cannot hold, before the work.

    Args:
        job: with inputs on this machine.
        path: of the file that is written.

    Raises:
        ImageError: the result does not fit.
    """
    try:
        content = tuple(describe_image(job.inputs["content"])["size"])
    except ImageError:
        return  # measured data, or running the job will say why
    check_output_size(path, result_size(job.options, content))


def _fingerprint(job: Job, inputs: Inputs) -> str:
    files = [inputs.content, *(style.pictures[0] for style in inputs.styles)]
    return fingerprint(job.method, job.recipe, [file.sha256 for file in files], _weights_hash(job))


def _weights_hash(job: Job) -> str:
    weights = getattr(job.options, "weights", None)
    return load_weights(weights).sha256 if weights else ""


def read_fingerprint(job: Job) -> str | None:
    """Return the fingerprint stored in a job's output, or None if the job would make another."""
    try:
        with storage.download(job.output) as path:
            recipe = read_recipe(path)
        stored = read_provenance(recipe).fingerprint if recipe else None
        if stored is None:
            return None
        hashes = []
        for path in job.inputs.values():
            with storage.download(path) as copy:
                hashes.append(file_sha256(copy))
        mark = fingerprint(job.method, job.recipe, hashes, _weights_hash(job))
    except (ImpastoError, ValueError, OSError):
        return None
    return stored if stored == mark else None
