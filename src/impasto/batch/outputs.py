"""Make one output of a batch, or recognize one that is already there."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from impasto.batch import storage
from impasto.batch.manifest import fingerprint
from impasto.denoising.denoise import denoise_stack, denoising_provenance
from impasto.errors import ImpastoError
from impasto.files import file_sha256
from impasto.images.open_input import open_input
from impasto.images.read import read_recipe
from impasto.images.stack import Stack
from impasto.images.write import save
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
    return attempt(lambda: _make(job, folder, share))


def _make(job: Job, folder: str, share: float) -> str:
    if folder:
        os.makedirs(folder, exist_ok=True)
    with (
        TemporaryDirectory(prefix="picture-", dir=folder or None) as unfinished,
        storage.download_all(job.inputs) as inputs,
    ):
        path = Path(unfinished) / storage.file_name(job.output)
        job = replace(job, inputs=inputs)
        mark = _make_file(job, path, share)
        storage.upload(str(path), job.output)
    return mark


def _make_file(job: Job, path: Path, share: float) -> str:
    recipe = job.options
    if METHODS[job.method].keeps_data and path.suffix.lower() in storage.TIFF_ENDINGS:
        source = open_input(job.inputs["content"], recipe.axes)
        if isinstance(source, Stack):  # plane by plane, since it may not fit in memory
            mark = _fingerprint(job, denoising_provenance(source, recipe).inputs)
            denoise_stack(
                source,
                path,
                recipe=limit_memory(recipe, share),
                stored_recipe=recipe,
                fingerprint=mark,
            )
            return mark
    result = run_job(job, share=share)
    provenance = result.provenance()
    mark = _fingerprint(job, provenance.inputs)
    record = provenance.model_copy(update={"fingerprint": mark}).model_dump_json()
    save(result.pixels, path, metadata=result.metadata, recipe=record)
    return mark


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
