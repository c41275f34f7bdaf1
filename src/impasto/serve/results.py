"""Results of jobs: made from the files in a job's folder, and stored there at full depth."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from impasto.denoising.diagnose import diagnose
from impasto.denoising.measurements import Measurements
from impasto.files import atomic_path
from impasto.images.crop import crop_source
from impasto.images.image import Image
from impasto.images.open_input import input_planes, input_source_file, open_input
from impasto.images.stack import Stack
from impasto.jobs.job import Outcome
from impasto.jobs.progress import JobReporter
from impasto.jobs.run_job import attempt, run_job
from impasto.methods import METHODS
from impasto.provenance import Provenance
from impasto.result import DenoiseResult
from impasto.serve.film_jobs import make_film, make_model
from impasto.serve.job_methods import JOB_METHODS
from impasto.serve.records import CHECKPOINT, FORMATS, JobRecord, NoiseInfo, ResultInfo, Upload
from impasto.validation import validate

PIXELS, PROVENANCE = "result.safetensors", "recipe.json"

# Of the latest pictures: a look at a part of one, and the run on all of it, measure the same.
_MEASUREMENTS = Measurements()
_DIAGNOSED_SIDE = 2048  # pixels; of a larger image only the middle is diagnosed


def diagnose_file(path: Path, size: tuple[int, int]) -> NoiseInfo:
    """Return the noise of an image, of a large one that of its middle, or of a stack.

    Args:
        path: the file.
        size: (width, height) in its header.
    """
    source = open_input(path, name="content")
    if isinstance(source, Stack):
        return NoiseInfo.of(diagnose(source), size, stack=True)
    height, width = source.pixels.shape[-2:]
    top = max(0, height - _DIAGNOSED_SIDE) // 2
    left = max(0, width - _DIAGNOSED_SIDE) // 2
    middle = source.pixels[:, top : top + _DIAGNOSED_SIDE, left : left + _DIAGNOSED_SIDE]
    diagnosis = diagnose(Image(middle, source.metadata))
    return NoiseInfo.of(diagnosis, source.size, stack=False)


def attempt_result(
    record: JobRecord, folder: Path, device: str | None, reporter: JobReporter
) -> Outcome:
    """Call `make_result` and return how it ended; `saved` is what it returned."""
    return attempt(lambda: make_result(record, folder, device, reporter), reporter.stop)


def make_result(
    record: JobRecord, folder: Path, device: str | None, reporter: JobReporter
) -> ResultInfo:
    """Run a job and store its result in its folder.

    Args:
        record: the job.
        folder: its folder.
        device: where to compute; None leaves it to the recipe.
        reporter: reports progress, and ends the run on request.

    Returns:
        What the API says about the result.
    """
    makes = JOB_METHODS[record.method].makes
    if makes != "picture":
        return (make_film if makes == "film" else make_model)(record, folder, device, reporter)
    result = run_job(
        record.job(folder),
        device=device,
        reporter=reporter,
        checkpoint=folder / CHECKPOINT,
        measurements=_MEASUREMENTS,
    )
    stack = noise = method = None
    if isinstance(result, DenoiseResult):
        # Stored without the strength and the texture, so that another share needs no new run.
        tensors = {"clean": result.clean, "texture": result.texture}
        if result.defects is not None:
            tensors["defects"] = result.defects
        stack = isinstance(result.source, Stack)
        noise, method = NoiseInfo.of(result.diagnosis, result.size, stack=stack), result.method
        reporter.show(result.pixels if result.pixels.ndim == 3 else result.pixels[0])
    else:
        tensors = {"pixels": result.pixels}
        if result.metadata.alpha is not None:
            tensors["alpha"] = result.metadata.alpha
    _save(folder, tensors, result.provenance(), record.uploads)
    return ResultInfo(
        width=result.size[0],
        height=result.size[1],
        seconds=result.seconds,
        bits=result.metadata.bits,
        stack=bool(stack),
        formats=["tiff"] if stack else list(FORMATS),
        diagnosis=noise,
        method=method,
        unlikeness=getattr(result, "unlikeness", None),
    )


def _save(
    folder: Path, tensors: dict[str, Tensor], provenance: Provenance, uploads: list[Upload]
) -> None:
    """Write a result, and its provenance with the names that the user's files have."""
    names = {upload.file: upload.name for upload in uploads}
    data = _rename_inputs(provenance.model_dump(mode="json"), names)
    with atomic_path(folder / PROVENANCE, overwrite=True) as temporary:
        temporary.write_text(json.dumps(data), encoding="utf-8")
    tensors = {name: tensor.contiguous().clone() for name, tensor in tensors.items()}
    with atomic_path(folder / PIXELS, overwrite=True) as temporary:
        try:
            safetensors.torch.save_file(tensors, temporary)
        except SafetensorError as error:  # its word for a full disk
            raise OSError(str(error)) from error


def _rename_inputs(data: Any, names: dict[str, str]) -> Any:
    """Replace the names of input files in the JSON of a provenance."""
    if isinstance(data, dict):
        if set(data) == {"name", "sha256"}:
            return {**data, "name": names.get(data["name"], data["name"])}
        return {key: _rename_inputs(value, names) for key, value in data.items()}
    if isinstance(data, list):
        return [_rename_inputs(value, names) for value in data]
    return data


def load_denoise_result(record: JobRecord, folder: Path) -> DenoiseResult:
    """Return a stored result as `denoise` returned it, to apply another strength to it."""
    content = next(upload for upload in record.uploads if upload.role == "content")
    recipe = validate(METHODS[record.method].recipe, record.recipe)
    source = open_input(folder / content.file, recipe.axes)
    noisy = input_planes(source)
    if isinstance(source, Image) or source.single:
        noisy = noisy[0]
    target = input_source_file(source)
    if recipe.part is not None:
        noisy, target = noisy[..., *recipe.part], crop_source(target, recipe.part)
    provenance = Provenance.model_validate_json((folder / PROVENANCE).read_bytes())
    tensors = safetensors.torch.load_file(folder / PIXELS)
    return DenoiseResult(
        noisy=noisy,
        clean=tensors["clean"],
        source=target,
        recipe=provenance.recipe,
        method=record.result.method,
        diagnosis=None,
        seconds=record.result.seconds,
        device=provenance.maker.device,
        inputs=provenance.inputs,
        treatments=provenance.treatments,
        defects=tensors.get("defects"),
        # Earlier versions stored none.
        find_texture=partial(tensors.get, "texture") if "texture" in tensors else None,
    )
