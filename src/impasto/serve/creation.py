"""Routes that take files: new jobs, and pictures that are only looked at."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any

from fastapi import APIRouter, Depends, File, Form, Header, Response, UploadFile
from fastapi.concurrency import run_in_threadpool

from impasto.methods import METHODS, MethodName
from impasto.serve import uploads
from impasto.serve.forms import UploadRoute
from impasto.serve.limits import MAX_STYLES
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
_JOB_ANSWERS = problem_answers(
    *_UPLOAD, "wrong_parameter", "too_much_work", "not_enough_memory", "not_json",
    "unknown_option", "wrong_option", "no_such_device", "wrong_weights", "zero_weights",
    "picture_too_small", "mask_without_style", "wrong_start", "crop_outside", "impossible_job",
    "key_reused", "queue_full",
) | {
    202: {
        "headers": {
            "Location": {"description": "path of the job", "schema": {"type": "string"}}
        }
    }
}  # fmt: skip

ImageUpload = Annotated[
    UploadFile, File(description="JPEG, PNG, WebP, TIFF, AVIF, JPEG XL, GIF, BMP or PPM")
]
MaskUpload = Annotated[UploadFile | None, File(description="a mask, white where it acts")]
IdempotencyKey = Annotated[
    str | None,
    Header(
        pattern=r"^[!-~]{1,200}$",
        description="up to 200 visible ASCII characters: a request that comes again with the same "
        "key gives the job of the first, as long as that is there",
    ),
]


@cache
def recipe_schemas() -> dict[str, Any]:
    """Return the JSON schema of the recipe of each method that the server has a form for."""
    return {
        name: method.recipe.model_json_schema()
        for name, method in METHODS.items()
        if method.on_server
    }


def _recipe_form(method: str, **example: Any) -> Any:
    """Return the form field of a recipe; its schema in the API's description is the recipe's."""
    recipe = METHODS[method].recipe
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
        method: MethodName,
        options: str,
        files: Mapping[str, UploadFile | None],
        style_weights: Mapping[str, float] | None = None,
    ) -> JobView:
        """Check a form, store its files and queue the job; return it."""
        recipe = uploads.parse_recipe(method, options)
        received = await _receive(files)
        request = uploads.JobRequest(method, recipe, received, style_weights or {}, self._key)
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
    style: Annotated[list[UploadFile], File(description="the style images", max_length=MAX_STYLES)],
    options: Annotated[str, _recipe_form("style", size=768, strength=0.6)] = "{}",
    weights: Annotated[
        str | None, Form(description="JSON list: a number for each style", examples=["[1, 0.5]"])
    ] = None,
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
    weight_list = uploads.parse_style_weights(weights, len(style))
    files = {"content": content, "protect": protect, "keep": keep, "init": init}
    files |= {f"style-{number}": file for number, file in enumerate(style, 1)}
    files |= {"region-1": region_1, "region-2": region_2, "region-3": region_3}
    files |= {"region-4": region_4, "mask-1": mask_1, "mask-2": mask_2}
    files |= {"mask-3": mask_3, "mask-4": mask_4}
    style_weights = {f"style-{number}": weight for number, weight in enumerate(weight_list, 1)}
    return await submission.submit("style", options, files, style_weights)


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


async def _receive(files: Mapping[str, UploadFile | None]) -> list[ReceivedFile]:
    """Read the files of a form into memory; one that is not an image is refused before."""
    received = []
    for role, file in files.items():
        if file is not None:
            name = uploads.display_name(file.filename, role)
            head = await file.read(_SIGNATURE_BYTES)
            uploads.check_signature(ReceivedFile(role, name, head))
            received.append(ReceivedFile(role, name, head + await file.read()))
    return received
