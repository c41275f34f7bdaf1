"""Making what a job asks for, from the files in its folder to the result in its folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impasto.errors import ImpastoError
from impasto.files import atomic_path
from impasto.provenance import MODELS, Recipe
from impasto.serve.job import Job, Noise, Outcome, Upload
from impasto.serve.progress import JobProgress, preview
from impasto.validation import validate

if TYPE_CHECKING:
    from torch import Tensor

    from impasto.provenance import Inputs
    from impasto.result import DenoiseResult, Diagnosis, Result
    from impasto.style.source import Style

PIXELS, ACCOUNT, CHECKPOINT = "result.safetensors", "recipe.json", "checkpoint"
FORMATS = ("png", "png16", "jpeg", "webp", "tiff", "tiff16")


def recipe_of(job: Job) -> Recipe:
    """The options of a job."""
    return validate(MODELS[job.method], job.recipe)


def public_message(sentence: str, job: Job, place: Path) -> str:
    """A sentence with the names that files had where they came from, not where they are kept."""
    for one in job.uploads:
        sentence = sentence.replace(str(place / one.file), one.name)
    return sentence.replace(str(place), "its folder")


def failure_reason(error: Exception, job: Job, place: Path) -> str:
    """Why a job failed, in one sentence."""
    if isinstance(error, (ImpastoError, ValueError, TypeError)):
        return public_message(" ".join(str(error).split()), job, place)
    if isinstance(error, MemoryError) or "memory" in str(error).lower():
        return "there is not enough memory for this job; ask for a smaller `size`"
    return public_message(
        f"something unforeseen went wrong, {type(error).__name__}: {error}", job, place
    )


def run_job(job: Job, place: Path, device: str | None, watch: JobProgress) -> Outcome:
    """Carry a job out and keep its result in its folder.

    Args:
        job: the job.
        place: its folder.
        device: where to compute; None leaves it to the recipe.
        watch: told of every step; its wishes are heeded.

    Returns:
        What came of it.
    """
    recipe = recipe_of(job)
    if device is not None:
        recipe = recipe.model_copy(update={"device": device})
    files = {one.role: place / one.file for one in job.uploads}
    if job.method == "denoise":
        return _cleaned(job, files["content"], recipe, watch)
    return _painted(job, place, files, recipe, watch)


def _painted(
    job: Job, place: Path, files: dict[str, Path], recipe: Recipe, watch: JobProgress
) -> Outcome:
    """Paint or rebuild a picture."""
    shared: dict[str, Any] = {
        "recipe": recipe,
        "on_step": watch,
        "checkpoint": place / CHECKPOINT,
        "stop": watch.wanted,
    }
    if job.method == "reconstruct":
        from impasto.api import reconstruct

        result = reconstruct(files["content"], **shared)
    else:
        from impasto.api import stylize

        names = {"init": "init_image", "protect": "protect", "keep": "keep"}
        beside = {names[role]: path for role, path in files.items() if role in names}
        result = stylize(files["content"], _styles(job, files), **beside, **shared)
    return _kept(job, place, result)


def _styles(job: Job, files: dict[str, Path]) -> list[Style]:
    """The styles of a job with their weights and masks."""
    from impasto.style.source import Style

    return [
        Style(
            files[one.role],
            1.0 if one.weight is None else one.weight,
            files.get(one.role.replace("style", "region")),
            files.get(one.role.replace("style", "mask")),
        )
        for one in job.uploads
        if one.role.startswith("style-")
    ]


def _kept(job: Job, place: Path, result: Result) -> Outcome:
    """Keep a painting, at full depth, with its account."""
    metadata = result.metadata
    tensors = {"pixels": result.pixels}
    if metadata.alpha is not None:
        tensors["alpha"] = metadata.alpha
    _put(place, tensors, result.provenance().model_dump(mode="json"), job.uploads)
    return Outcome(
        width=result.size[0],
        height=result.size[1],
        seconds=result.seconds,
        bits=metadata.bits,
        stack=False,
        formats=list(FORMATS),
    )


def _cleaned(job: Job, path: Path, recipe: Recipe, watch: JobProgress) -> Outcome:
    """Clean a picture or measured data, and keep it without any of the noise found."""
    from impasto.denoising.denoise import denoise
    from impasto.images.stack import Stack

    result = denoise(path, recipe=recipe, on_step=watch)
    account = result.provenance().model_dump(mode="json")
    _put(path.parent, {"clean": result.clean}, account, job.uploads)
    stack = isinstance(result.source, Stack)
    flat = result.pixels if result.pixels.ndim == 3 else result.pixels[0]
    watch.picture = preview(flat)
    job.preview += 1
    return Outcome(
        width=result.size[0],
        height=result.size[1],
        seconds=result.seconds,
        bits=result.metadata.bits,
        stack=stack,
        formats=["tiff"] if stack else list(FORMATS),
        diagnosis=noise(result.diagnosis, result.size, stack),
        method=result.method,
    )


def noise(found: Diagnosis, size: tuple[int, int], stack: bool) -> Noise:
    """A diagnosis as the API shows it."""
    return Noise(
        kind=found.kind,
        sigma=list(found.sigma),
        correlation=found.correlation,
        clipped=found.clipped,
        method=found.method,
        words=found.words,
        stack=stack,
        width=size[0],
        height=size[1],
    )


def _put(
    place: Path, tensors: dict[str, Tensor], account: dict[str, Any], uploads: list[Upload]
) -> None:
    """Write a result, and its account with the names that files had where they came from."""
    from safetensors.torch import save_file

    names = {one.file: one.name for one in uploads}
    whole = {name: one.contiguous().clone() for name, one in tensors.items()}
    with atomic_path(place / ACCOUNT, overwrite=True) as temporary:
        temporary.write_text(json.dumps(_renamed(account, names)), encoding="utf-8")
    with atomic_path(place / PIXELS, overwrite=True) as temporary:
        save_file(whole, temporary)


def _renamed(part: Any, names: dict[str, str]) -> Any:
    """An account with the names of inputs replaced."""
    if isinstance(part, dict):
        if set(part) == {"name", "sha256"}:
            return {**part, "name": names.get(part["name"], part["name"])}
        return {key: _renamed(one, names) for key, one in part.items()}
    if isinstance(part, list):
        return [_renamed(one, names) for one in part]
    return part


def inputs_of(account: Inputs) -> list[tuple[str, Any, float | None]]:
    """The inputs of an account by the roles that the API calls them: role, input, weight."""
    found: list[tuple[str, Any, float | None]] = []
    for number, style in enumerate(account.styles, 1):
        found.append((f"style-{number}", style.pictures[0], style.weight))
        found.append((f"region-{number}", style.region, None))
        found.append((f"mask-{number}", style.mask, None))
    for role in ("content", "protect", "keep", "init"):
        found.append((role, getattr(account, role), None))
    return [one for one in found if one[1] is not None]


def denoised(job: Job, place: Path) -> DenoiseResult:
    """A finished cleaning as `denoise` gave it, so that other shares can be taken away."""
    import safetensors.torch

    from impasto.images.image import Image
    from impasto.images.open_input import input_planes, input_source_file, open_input
    from impasto.provenance import Provenance
    from impasto.result import DenoiseResult

    (content,) = (one for one in job.uploads if one.role == "content")
    recipe = recipe_of(job)
    source = open_input(place / content.file, recipe.axes)
    noisy = input_planes(source)
    if isinstance(source, Image) or source.single:
        noisy = noisy[0]
    account = Provenance.model_validate_json((place / ACCOUNT).read_bytes())
    return DenoiseResult(
        noisy=noisy,
        clean=safetensors.torch.load_file(place / PIXELS)["clean"],
        source=input_source_file(source),
        recipe=account.recipe,
        method=job.result.method,
        diagnosis=None,
        seconds=job.result.seconds,
        device=account.maker.device,
        inputs=account.inputs,
    )
