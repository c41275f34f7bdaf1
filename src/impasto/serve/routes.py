"""Routes of the HTTP API, and of the page's own files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, File, Form, Path, Query, Request, UploadFile
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, Response, StreamingResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel
from safetensors import SafetensorError
from starlette.exceptions import HTTPException

from impasto._version import __version__
from impasto.errors import ImpastoError
from impasto.methods import METHODS, MethodName
from impasto.presets import PRESETS, thumbnail_path
from impasto.serve import uploads
from impasto.serve.events import event_stream
from impasto.serve.limits import MAX_PARTS, MAX_STYLES, RequestError, disk_error
from impasto.serve.records import FORMATS, JobList, JobView, NoiseInfo
from impasto.serve.service import Service, ServiceDependency
from impasto.serve.uploads import ReceivedFile

_MAX_FIELD_BYTES = 1_000_000  # of a form's field that is not a file
_SIGNATURE_BYTES = 4096  # of a file, that tell its format


class ErrorBody(BaseModel):
    """Why a request was refused."""

    detail: str


class Health(BaseModel):
    """State of the server."""

    status: str
    version: str
    devices: list[str]
    running: int
    queued: int
    queue: int


class Choices(BaseModel):
    """Everything that a form can offer."""

    recipes: dict[str, Any]
    presets: list[dict[str, Any]]
    shelf: list[dict[str, Any]]
    limits: dict[str, Any]
    devices: list[str]
    formats: list[str]
    version: str


class _LimitedForm(Request):
    """A request that is refused as soon as its form has too many parts."""

    def form(self, **_: Any) -> Any:
        return super().form(
            max_files=MAX_PARTS, max_fields=MAX_PARTS, max_part_size=_MAX_FIELD_BYTES
        )


class _UploadRoute(APIRoute):
    """A route that receives files: only if the queue has room, and only so many at once."""

    def get_route_handler(self) -> Callable[..., Any]:
        handler = super().get_route_handler()

        async def handle(request: Request) -> Any:
            service: Service = request.app.state.service
            if request.url.path.startswith("/v1/jobs/"):
                service.workers.check_room()
            async with service.upload_slots:
                try:
                    return await handler(_LimitedForm(request.scope, request.receive))
                except HTTPException as error:
                    if isinstance(error.__cause__, OSError):  # of the form's temporary files
                        raise disk_error(error.__cause__) from error
                    raise

        return handle


router = APIRouter(prefix="/v1")
upload_router = APIRouter(prefix="/v1", route_class=_UploadRoute)
page_router = APIRouter(include_in_schema=False)


def _problems(descriptions: Mapping[int, str]) -> dict[int | str, dict[str, Any]]:
    """Return the documentation of refusals, by their HTTP status."""
    return {
        status: {"model": ErrorBody, "description": description}
        for status, description in descriptions.items()
    }


def _content_types(media_types: Iterable[str]) -> dict[int | str, dict[str, Any]]:
    """Return the documentation of an answer that is not JSON."""
    return {200: {"content": {media_type: {} for media_type in media_types}}}


_TOKEN = {401: "no token, or a wrong one", 403: "from another site"}
_UPLOAD_PROBLEMS = _problems(
    _TOKEN
    | {
        400: "not a readable form",
        408: "too slow",
        411: "a body of unknown length",
        413: "too large, or too much work",
        422: "a picture or an option that is wrong",
        429: "the queue is full; see Retry-After",
    }
)
_JOB_PROBLEMS = _problems(
    _TOKEN | {404: "no such job, or nothing to show of it", 422: "an argument out of range"}
)
_STATE_PROBLEMS = _JOB_PROBLEMS | _problems({409: "not possible in the job's present state"})
_RETRY_PROBLEMS = _STATE_PROBLEMS | _problems({429: "the queue is full; see Retry-After"})
_INPUT_ANSWERS = _JOB_PROBLEMS | _content_types(("image/png", "application/octet-stream"))
_PREVIEW_ANSWERS = _JOB_PROBLEMS | _content_types(("image/jpeg",))
_RESULT_ANSWERS = _STATE_PROBLEMS | _content_types(
    ("image/png", "image/jpeg", "image/webp", "image/tiff")
)
_STREAM_ANSWERS = _JOB_PROBLEMS | _content_types(("text/event-stream",))

ImageUpload = Annotated[
    UploadFile, File(description="JPEG, PNG, WebP, TIFF, AVIF, JPEG XL, GIF, BMP or PPM")
]
MaskUpload = Annotated[UploadFile | None, File(description="a mask, white where it acts")]
JobId = Annotated[str, Path(pattern="^[0-9a-f]{16}$", description="the job's id")]
Share = Annotated[
    float | None, Query(ge=0, le=1, description="of the noise, to remove; the recipe's by default")
]
MaxSide = Annotated[
    int | None,
    Query(ge=16, le=65_536, description="pixels of the longer side, at most, for a preview"),
]


# The server.


@router.get("/health")
def get_health(service: ServiceDependency) -> Health:
    """Say whether the server is well; needs no token."""
    running, queued = service.workers.counts()
    return Health(
        status="ok",
        version=__version__,
        devices=service.workers.devices,
        running=running,
        queued=queued,
        queue=service.options.queue,
    )


@router.get("/options")
def get_options(service: ServiceDependency) -> Choices:
    """List every option of every method, the presets, the bundled styles, and the limits."""
    limits = service.options.model_dump(
        include={"queue", "keep_hours", "most_bytes", "most_pixels", "most_work"}
    )
    presets = [
        {
            "name": name,
            "words": preset.words,
            "options": dict(preset.options),
            "thumbnail": f"/page/thumbnails/{name}.jpg" if thumbnail_path(name) else None,
        }
        for name, preset in PRESETS.items()
    ]
    return Choices(
        recipes=_recipe_schemas(),
        presets=presets,
        shelf=json.loads(service.page_files["shelf.json"].data),
        limits=limits | {"styles": MAX_STYLES},
        devices=service.workers.devices,
        formats=list(FORMATS),
        version=__version__,
    )


@cache
def _recipe_schemas() -> dict[str, Any]:
    return {
        name: method.recipe.model_json_schema()
        for name, method in METHODS.items()
        if method.on_server
    }


# New jobs, and pictures that are only read.


def _recipe_form(method: str) -> Any:
    """Return the form field of a recipe; its schema in the API's description is the recipe's."""
    recipe = METHODS[method].recipe
    return Form(
        description=f"JSON of {recipe.__name__}'s fields; the others have their defaults",
        json_schema_extra={
            "contentMediaType": "application/json",
            "contentSchema": _recipe_schemas()[method],
        },
    )


@upload_router.post("/jobs/style", status_code=202, responses=_UPLOAD_PROBLEMS)
async def create_style_job(
    service: ServiceDependency,
    content: ImageUpload,
    style: Annotated[list[UploadFile], File(description="the style images", max_length=MAX_STYLES)],
    options: Annotated[str, _recipe_form("style")] = "{}",
    weights: Annotated[str | None, Form(description="JSON list: a number for each style")] = None,
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
    recipe = uploads.parse_recipe("style", options)
    weight_list = uploads.parse_style_weights(weights, len(style))
    files = {"content": content, "protect": protect, "keep": keep, "init": init}
    files |= {f"style-{number}": file for number, file in enumerate(style, 1)}
    files |= {"region-1": region_1, "region-2": region_2, "region-3": region_3}
    files |= {"region-4": region_4, "mask-1": mask_1, "mask-2": mask_2}
    files |= {"mask-3": mask_3, "mask-4": mask_4}
    style_weights = {f"style-{number}": weight for number, weight in enumerate(weight_list, 1)}
    return await _submit(service, "style", recipe, files, style_weights)


@upload_router.post("/jobs/denoise", status_code=202, responses=_UPLOAD_PROBLEMS)
async def create_denoise_job(
    service: ServiceDependency,
    content: ImageUpload,
    options: Annotated[str, _recipe_form("denoise")] = "{}",
) -> JobView:
    """Remove the noise from a picture."""
    recipe = uploads.parse_recipe("denoise", options)
    return await _submit(service, "denoise", recipe, {"content": content})


@upload_router.post("/jobs/reconstruct", status_code=202, responses=_UPLOAD_PROBLEMS)
async def create_reconstruct_job(
    service: ServiceDependency,
    content: ImageUpload,
    options: Annotated[str, _recipe_form("reconstruct")] = "{}",
) -> JobView:
    """Rebuild a picture from its features in one layer of the network."""
    recipe = uploads.parse_recipe("reconstruct", options)
    return await _submit(service, "reconstruct", recipe, {"content": content})


@upload_router.post("/diagnosis", responses=_UPLOAD_PROBLEMS)
async def diagnose_noise(service: ServiceDependency, content: ImageUpload) -> NoiseInfo:
    """Say what noise a picture has."""
    (file,) = await _receive({"content": content})
    return await run_in_threadpool(uploads.diagnose_upload, service, file)


@upload_router.post("/recipe", responses=_UPLOAD_PROBLEMS)
async def inspect_recipe(
    service: ServiceDependency, picture: ImageUpload
) -> uploads.UploadedRecipe:
    """Read how a picture was made, from the picture or from its .impasto.json file."""
    (file,) = await _receive({"picture": picture})
    return await run_in_threadpool(uploads.read_uploaded_recipe, service, file)


async def _submit(
    service: Service,
    method: MethodName,
    recipe: Any,
    files: Mapping[str, UploadFile | None],
    style_weights: Mapping[str, float] | None = None,
) -> JobView:
    """Store a job and put it into the queue."""
    received = await _receive(files)

    def submit() -> JobView:
        job = uploads.create_job(service, method, recipe, received, style_weights or {})
        try:
            return service.workers.submit(job)
        except BaseException:
            service.store.discard_draft(job.id)
            raise

    return await run_in_threadpool(submit)


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


# Jobs that exist.


@router.get("/jobs", responses=_JOB_PROBLEMS)
def list_jobs(service: ServiceDependency) -> JobList:
    """List all jobs, the newest first."""
    return JobList(jobs=service.workers.views())


@router.get("/jobs/{job}", responses=_JOB_PROBLEMS)
def get_job(service: ServiceDependency, job: JobId) -> JobView:
    """Return one job."""
    return service.workers.view(job)


@router.post("/jobs/{job}/stop", status_code=202, responses=_STATE_PROBLEMS)
def stop_job(service: ServiceDependency, job: JobId) -> JobView:
    """End a running job within a step and keep its picture."""
    return service.workers.stop(job)


@router.post("/jobs/{job}/cancel", status_code=202, responses=_STATE_PROBLEMS)
def cancel_job(service: ServiceDependency, job: JobId) -> JobView:
    """End a job that runs or waits, and keep no picture."""
    return service.workers.cancel(job)


@router.post("/jobs/{job}/retry", status_code=202, responses=_RETRY_PROBLEMS)
def retry_job(service: ServiceDependency, job: JobId) -> JobView:
    """Queue an unfinished job again; it resumes where it was if it can."""
    return service.workers.retry(job)


@router.delete("/jobs/{job}", status_code=204, responses=_STATE_PROBLEMS)
def delete_job(service: ServiceDependency, job: JobId) -> Response:
    """Delete a job and its files."""
    service.workers.delete(job)
    return Response(status_code=204)


@router.get("/jobs/{job}/preview", response_class=Response, responses=_PREVIEW_ANSWERS)
def get_preview(service: ServiceDependency, job: JobId) -> Response:
    """Return the latest small picture of a running job."""
    return Response(service.workers.preview(job), media_type="image/jpeg")


@router.get("/jobs/{job}/inputs/{role}", response_class=Response, responses=_INPUT_ANSWERS)
def get_input(
    service: ServiceDependency,
    job: JobId,
    role: Annotated[str, Path(pattern=r"^[a-z]+(-\d)?$")],
    longest: MaxSide = None,
    original: Annotated[bool, Query(description="the uploaded file itself, unchanged")] = False,
    crop: Annotated[bool, Query(description="the part alone that the recipe cleans")] = False,
) -> Response:
    """Return an input of a job: as a PNG, upright and in sRGB, or the file itself."""
    record = service.workers.record(job)
    folder = service.store.path(job)
    upload = next((upload for upload in record.uploads if upload.role == role), None)
    if upload is None:
        raise RequestError(404, f"this job has no {role}; see its inputs")
    path = folder / upload.file
    if not path.is_file():
        raise RequestError(404, f"`{role}` cannot be shown: its file is gone; delete the job")
    if original:
        return FileResponse(path, media_type="application/octet-stream")
    # It imports PyTorch, which would keep the server from answering for seconds at its start.
    from impasto.serve import downloads

    try:
        part = uploads.part_of(record) if crop else None
        data = downloads.encode_input(path, longest, part)
    except ImpastoError as error:
        reason = record.public_message(str(error), folder)
        raise RequestError(404, f"`{role}` cannot be shown: {reason}") from None
    return Response(data, media_type="image/png")


@router.get("/jobs/{job}/result", response_class=Response, responses=_RESULT_ANSWERS)
def get_result(
    service: ServiceDependency,
    job: JobId,
    format: Literal["png", "png16", "jpeg", "webp", "tiff", "tiff16"] = "png",
    strength: Share = None,
    chroma: Share = None,
    detail: Annotated[
        float | None, Query(ge=0, le=1, description="of the texture in the noise, to give back")
    ] = None,
    longest: MaxSide = None,
) -> Response:
    """Return the result of a job as a file."""
    from impasto.serve import downloads  # imports PyTorch, see above

    record = service.workers.record(job)
    if record.result is None:
        raise RequestError(
            409, f"the job must have a result first, got a {record.status} job; wait for it"
        )
    folder = service.store.path(job)
    try:
        shares = {"strength": strength, "chroma": chroma, "detail": detail}
        download = downloads.encode_result(record, folder, format, shares, longest)
    except RequestError:
        raise
    except ImpastoError as error:
        raise RequestError(422, record.public_message(str(error), folder)) from None
    except FileNotFoundError:
        raise RequestError(
            404, "the files of this job are gone; it may have expired or been deleted"
        ) from None
    except (ValueError, KeyError, StopIteration, SafetensorError):
        raise RequestError(
            503, "the files of this job must be as the server left them, got others; delete it"
        ) from None
    headers = {"content-disposition": content_disposition(download.name)}
    return Response(download.data, media_type=download.media_type, headers=headers)


def content_disposition(name: str) -> str:
    """Return the header that names a download, for browsers old and new (RFC 6266).

    Example:
        >>> content_disposition("café.png")
        'attachment; filename="caf_.png"; filename*=UTF-8\\'\\'caf%C3%A9.png'
    """
    ascii_name = "".join(c if c.isascii() and (c.isalnum() or c in " ._-") else "_" for c in name)
    return f"attachment; filename=\"{ascii_name}\"; filename*=UTF-8''{quote(name, safe='')}"


# Events.


@router.get("/jobs/{job}/events", response_class=StreamingResponse, responses=_STREAM_ANSWERS)
async def stream_job_events(service: ServiceDependency, job: JobId) -> StreamingResponse:
    """Stream the changes of a job as server-sent events, until it has ended."""
    service.workers.view(job)  # refuses a job that does not exist
    return _event_response(service, job)


@router.get("/events", response_class=StreamingResponse, responses=_STREAM_ANSWERS)
async def stream_events(service: ServiceDependency) -> StreamingResponse:
    """Stream the changes of all jobs as server-sent events, without end."""
    return _event_response(service, None)


def _event_response(service: Service, job: str | None) -> StreamingResponse:
    messages = event_stream(service.workers, job, lambda: service.closing)
    return StreamingResponse(messages, media_type="text/event-stream")


# The page.


@page_router.get("/page/{path:path}")
async def get_page_file(request: Request, service: ServiceDependency, path: str) -> Response:
    """Return a file of the page; browsers keep it and ask whether it has changed."""
    file = service.page_files.get(path)
    if file is None:
        raise HTTPException(404, "there is no such file")
    headers = {"etag": file.etag, "cache-control": "no-cache"}
    if request.headers.get("if-none-match") == file.etag:
        return Response(status_code=304, headers=headers)
    return Response(file.data, media_type=file.media_type, headers=headers)


@page_router.get("/")
async def get_page(request: Request, service: ServiceDependency) -> Response:
    """Return the page."""
    return await get_page_file(request, service, "index.html")
