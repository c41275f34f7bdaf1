"""Routes that take files: new jobs, and pictures that are only looked at."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, File, Form, Header, Response, UploadFile
from fastapi.concurrency import run_in_threadpool

from impasto.serve import uploads
from impasto.serve.forms import UploadRoute
from impasto.serve.job_methods import JOB_METHODS, JobMethodName, recipe_schemas
from impasto.serve.limits import MAX_PHOTOGRAPHS, MAX_STYLES
from impasto.serve.problems import problem_answers
from impasto.serve.records import JobView, NoiseInfo
from impasto.serve.service import ServiceDependency
from impasto.serve.uploads import ReceivedFile

_SIGNATURE_BYTES = 4096  # of a file, that tell its format

upload_router = APIRouter(prefix="/v1", route_class=UploadRoute)

_UPLOAD = (
    "malformed_form", "wrong_token", "foreign_site", "upload_too_slow", "length_required",
    "body_too_large", "wrong_media_type", "unknown_field", "missing_field", "wrong_field",
    "unknown_parameter", "empty_file", "unreadable_file", "decoder_failed", "disk_error",
    "disk_full",
)  # fmt: skip
_LOOK_ANSWERS = problem_answers(*_UPLOAD, "no_recipe", "wrong_recipe")
_JOB = (
    *_UPLOAD, "wrong_parameter", "too_much_work", "not_enough_memory", "not_json",
    "unknown_option", "wrong_option", "no_such_device", "wrong_weights", "zero_weights",
    "picture_too_small", "mask_without_style", "wrong_start", "crop_outside", "impossible_job",
    "key_reused", "queue_full",
)  # fmt: skip
_LOCATION = {"Location": {"description": "path of the job", "schema": {"type": "string"}}}
_JOB_ANSWERS = problem_answers(*_JOB) | {202: {"headers": _LOCATION}}
_FILM_ANSWERS = problem_answers(*_JOB, "missing_library") | {202: {"headers": _LOCATION}}
_MODEL_ANSWERS = problem_answers(*_JOB, "unreadable_model") | {202: {"headers": _LOCATION}}

ImageUpload = Annotated[
    UploadFile, File(description="JPEG, PNG, WebP, TIFF, AVIF, JPEG XL, GIF, BMP or PPM")
]
StyleUploads = Annotated[
    list[UploadFile], File(description="the style images", max_length=MAX_STYLES)
]
StyleWeights = Annotated[
    str | None, Form(description="JSON list: a number for each style", examples=["[1, 0.5]"])
]
ClipUpload = Annotated[UploadFile, File(description="a film: MP4, MOV, WebM, Matroska or AVI")]
ModelUpload = Annotated[UploadFile, File(description="a fitted model, as a fit makes it")]
MaskUpload = Annotated[UploadFile | None, File(description="a mask, white where it acts")]
IdempotencyKey = Annotated[
    str | None,
    Header(
        pattern=r"^[!-~]{1,200}$",
        description="up to 200 visible ASCII characters: a request that comes again with the same "
        "key gives the job of the first, as long as that is there",
    ),
]


def _recipe_form(method: str, **example: Any) -> Any:
    """Return the form field of a recipe; its schema in the API's description is the recipe's."""
    recipe = JOB_METHODS[method].recipe
    return Form(
        description=f"JSON of {recipe.__name__}'s fields; the others have their defaults",
        examples=[json.dumps(example)],
        json_schema_extra={
            "contentMediaType": "application/json",
            "contentSchema": recipe_schemas()[method],
        },
    )


class Submission:
    """A new job that a request asks for: stored, and put into the queue."""

    def __init__(
        self, service: ServiceDependency, response: Response, idempotency_key: IdempotencyKey = None
    ) -> None:
        self._service = service
        self._response = response
        self._key = idempotency_key

    async def submit(
        self,
        method: JobMethodName,
        options: str,
        files: Mapping[str, UploadFile | None],
        weights: str | None = None,
    ) -> JobView:
        """Check a form, store its files and queue the job; return it.

        Args:
            method: what is to be done.
            options: JSON of the recipe.
            files: the form's files by their roles.
            weights: JSON of the weight of each style.
        """
        recipe = uploads.parse_recipe(method, options)
        styles = [role for role in files if role.startswith("style-")]
        numbers = uploads.parse_style_weights(weights, len(styles)) if styles else []
        style_weights = dict(zip(styles, numbers, strict=True))
        received = await _receive(
            files, clip="content" if JOB_METHODS[method].makes == "film" else None
        )
        request = uploads.JobRequest(method, recipe, received, style_weights, self._key)
        view = await run_in_threadpool(self._submit, request)
        self._response.headers["location"] = f"/v1/jobs/{view.id}"
        return view

    def _submit(self, request: uploads.JobRequest) -> JobView:
        service = self._service
        if (earlier := service.workers.find_request(self._key, request.fingerprint)) is not None:
            return earlier
        job = uploads.create_job(service, request)
        try:
            view = service.workers.submit(job)
        except BaseException:
            service.store.discard_draft(job.id)
            raise
        if view.id != job.id:  # the same request came twice at once
            service.store.discard_draft(job.id)
        return view


SubmissionDependency = Annotated[Submission, Depends()]


@upload_router.post("/jobs/style", status_code=202, tags=["new jobs"], responses=_JOB_ANSWERS)
async def create_style_job(
    submission: SubmissionDependency,
    content: ImageUpload,
    style: StyleUploads,
    options: Annotated[str, _recipe_form("style", size=768, strength=0.6)] = "{}",
    weights: StyleWeights = None,
    region_1: MaskUpload = None,
    region_2: MaskUpload = None,
    region_3: MaskUpload = None,
    region_4: MaskUpload = None,
    mask_1: MaskUpload = None,
    mask_2: MaskUpload = None,
    mask_3: MaskUpload = None,
    mask_4: MaskUpload = None,
    protect: MaskUpload = None,
    keep: MaskUpload = None,
    init: MaskUpload = None,
) -> JobView:
    """Paint a picture in the style of others."""
    files = {"content": content, "protect": protect, "keep": keep, "init": init}
    files |= _numbered("style", style)
    files |= {"region-1": region_1, "region-2": region_2, "region-3": region_3}
    files |= {"region-4": region_4, "mask-1": mask_1, "mask-2": mask_2}
    files |= {"mask-3": mask_3, "mask-4": mask_4}
    return await submission.submit("style", options, files, weights)


@upload_router.post("/jobs/denoise", status_code=202, tags=["new jobs"], responses=_JOB_ANSWERS)
async def create_denoise_job(
    submission: SubmissionDependency,
    content: ImageUpload,
    options: Annotated[str, _recipe_form("denoise", strength=0.8)] = "{}",
) -> JobView:
    """Remove the noise from a picture."""
    return await submission.submit("denoise", options, {"content": content})


@upload_router.post("/jobs/reconstruct", status_code=202, tags=["new jobs"], responses=_JOB_ANSWERS)
async def create_reconstruct_job(
    submission: SubmissionDependency,
    content: ImageUpload,
    options: Annotated[str, _recipe_form("reconstruct", layer="relu4_1")] = "{}",
) -> JobView:
    """Rebuild a picture from its features in one layer of the network."""
    return await submission.submit("reconstruct", options, {"content": content})


@upload_router.post("/jobs/texture", status_code=202, tags=["new jobs"], responses=_JOB_ANSWERS)
async def create_texture_job(
    submission: SubmissionDependency,
    style: StyleUploads,
    options: Annotated[str, _recipe_form("texture", width=1024, height=512)] = "{}",
    weights: StyleWeights = None,
) -> JobView:
    """Make a texture of any size from styles alone."""
    return await submission.submit("texture", options, _numbered("style", style), weights)


@upload_router.post("/jobs/film", status_code=202, tags=["new jobs"], responses=_FILM_ANSWERS)
async def create_film_job(
    submission: SubmissionDependency,
    content: ClipUpload,
    style: StyleUploads,
    options: Annotated[str, _recipe_form("film", size=512, range="0s:10s")] = "{}",
    weights: StyleWeights = None,
    protect: MaskUpload = None,
    keep: MaskUpload = None,
) -> JobView:
    """Paint a film without flicker; what a stop leaves is a film, too."""
    files = {"content": content, "protect": protect, "keep": keep} | _numbered("style", style)
    return await submission.submit("film", options, files, weights)


@upload_router.post(
    "/jobs/denoise-clip", status_code=202, tags=["new jobs"], responses=_FILM_ANSWERS
)
async def create_clip_job(
    submission: SubmissionDependency,
    content: ClipUpload,
    options: Annotated[str, _recipe_form("denoise-clip", strength=0.8)] = "{}",
) -> JobView:
    """Remove the noise of a film, whose frames help each other."""
    return await submission.submit("denoise-clip", options, {"content": content})


@upload_router.post("/jobs/fit", status_code=202, tags=["new jobs"], responses=_MODEL_ANSWERS)
async def create_fit_job(
    submission: SubmissionDependency,
    photograph: Annotated[
        list[UploadFile],
        File(description="pictures like those to be painted later", max_length=MAX_PHOTOGRAPHS),
    ],
    style: StyleUploads,
    options: Annotated[str, _recipe_form("fit", strength=0.6)] = "{}",
    weights: StyleWeights = None,
    model: Annotated[UploadFile | None, File(description="a fitted model to start from")] = None,
) -> JobView:
    """Fit a small network to paint in a style; the result is a model for `apply`."""
    files = _numbered("photograph", photograph) | _numbered("style", style) | {"model": model}
    return await submission.submit("fit", options, files, weights)


@upload_router.post("/jobs/apply", status_code=202, tags=["new jobs"], responses=_MODEL_ANSWERS)
async def create_apply_job(
    submission: SubmissionDependency,
    content: ImageUpload,
    model: ModelUpload,
    options: Annotated[str, _recipe_form("apply", amount=0.9)] = "{}",
) -> JobView:
    """Paint a picture with a fitted model, in a fraction of a second."""
    return await submission.submit("apply", options, {"content": content, "model": model})


@upload_router.post("/diagnosis", tags=["pictures"], responses=_LOOK_ANSWERS)
async def diagnose_noise(service: ServiceDependency, content: ImageUpload) -> NoiseInfo:
    """Say what noise a picture has."""
    (file,) = await _receive({"content": content})
    return await run_in_threadpool(uploads.diagnose_upload, service, file)


@upload_router.post("/recipe", tags=["pictures"], responses=_LOOK_ANSWERS)
async def inspect_recipe(
    service: ServiceDependency, picture: ImageUpload
) -> uploads.UploadedRecipe:
    """Read how a picture was made, from the picture or from its .impasto.json file."""
    (file,) = await _receive({"picture": picture})
    return await run_in_threadpool(uploads.read_uploaded_recipe, service, file)


def _numbered(role: str, files: Sequence[UploadFile]) -> dict[str, UploadFile | None]:
    """Return files by roles with numbers, from 1."""
    return {f"{role}-{number}": file for number, file in enumerate(files, 1)}


async def _receive(
    files: Mapping[str, UploadFile | None], clip: str | None = None
) -> list[ReceivedFile]:
    """Read the files of a form into memory; one that is not what it should be is refused before.

    Args:
        files: role -> file.
        clip: role of the one that is a film.
    """
    received = []
    for role, file in files.items():
        if file is not None:
            kind = "clip" if role == clip else "model" if role == "model" else "picture"
            name = uploads.display_name(file.filename, role)
            head = await file.read(_SIGNATURE_BYTES)
            uploads.check_signature(ReceivedFile(role, name, head, kind))
            received.append(ReceivedFile(role, name, head + await file.read(), kind))
    return received
