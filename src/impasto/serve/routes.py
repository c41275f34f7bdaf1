"""Routes of the HTTP API for jobs that exist, and of the page's own files."""

from __future__ import annotations

import json
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Header, Path, Query, Request
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel, Field
from safetensors import SafetensorError

from impasto._version import __version__
from impasto.errors import ImpastoError
from impasto.presets import PRESETS, thumbnail_path
from impasto.serve import uploads
from impasto.serve.answers import accepts_gzip, make_etag, send_bytes, send_text, unchanged
from impasto.serve.events import event_stream
from impasto.serve.forms import StrictRoute
from impasto.serve.job_methods import JobMethodName, recipe_schemas
from impasto.serve.limits import MAX_PHOTOGRAPHS, MAX_STYLES, ServeOptions
from impasto.serve.plan_checks import check_device, estimate_memory
from impasto.serve.problems import RequestError, problem_answers
from impasto.serve.records import FORMATS, JobRecord, JobView
from impasto.serve.service import Service, ServiceDependency


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


class JobList(BaseModel):
    """Jobs, the newest first."""

    jobs: list[JobView]
    next: str | None = Field(None, description="path of the next page; null on the last one")


class Forecast(BaseModel):
    """What a job would take."""

    memory: int | None = Field(
        description="bytes that the server takes at its peak; null if that is not known"
    )


router = APIRouter(prefix="/v1", route_class=StrictRoute)
page_router = APIRouter(include_in_schema=False)

_TOKEN = ("wrong_token", "foreign_site", "unknown_parameter")
_JOB = (*_TOKEN, "no_such_job", "wrong_parameter")
_CHANGE = (*_JOB, "wrong_state", "disk_error", "disk_full")
_FILE = (*_JOB, "files_gone", "wrong_range")


def _content_types(*media_types: str) -> dict[int | str, dict[str, Any]]:
    """Return the documentation of an answer that is not JSON, and may be a part of it."""
    content = {media_type: {} for media_type in media_types}
    return {
        200: {"content": content},
        206: {"content": content, "description": "the range that was asked for"},
        304: {"description": "the client has it: its ETag came as If-None-Match"},
    }


_LIST_ANSWERS = problem_answers(*_TOKEN, "wrong_parameter")
_PLAN_ANSWERS = problem_answers(
    *_TOKEN, "wrong_parameter", "not_json", "unknown_option", "wrong_option", "no_such_device",
    "not_enough_memory", "impossible_job",
)  # fmt: skip
_JOB_ANSWERS = problem_answers(*_JOB)
_CHANGE_ANSWERS = problem_answers(*_CHANGE)
_RETRY_ANSWERS = problem_answers(*_CHANGE, "queue_full")
_INPUT_ANSWERS = problem_answers(*_FILE, "no_such_input", "not_found") | _content_types(
    "image/png", "application/octet-stream"
)
_PREVIEW_ANSWERS = problem_answers(*_JOB, "no_preview") | {200: {"content": {"image/jpeg": {}}}}
_RESULT_ANSWERS = problem_answers(
    *_FILE, "no_result", "format_not_offered", "shares_not_offered", "unreadable_file",
    "files_damaged",
) | _content_types("image/png", "image/jpeg", "image/webp", "image/tiff", "video/mp4", "video/webm",
    "application/octet-stream",
)  # fmt: skip
_STREAM_ANSWERS = problem_answers(*_JOB) | {200: {"content": {"text/event-stream": {}}}}

JobId = Annotated[str, Path(pattern="^[0-9a-f]{16}$", description="the job's id")]
Role = Annotated[str, Path(pattern=r"^[a-z]+(-\d{1,2})?$", description="one of its inputs' roles")]
Share = Annotated[
    float | None, Query(ge=0, le=1, description="of the noise, to remove; the recipe's by default")
]
MaxSide = Annotated[
    int | None,
    Query(ge=16, le=65_536, description="pixels of the longer side, at most, for a preview"),
]


# The server.


@router.get("/health", tags=["server"], responses=problem_answers("unknown_parameter"))
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


@router.get("/options", tags=["server"], response_model=Choices, responses=problem_answers(*_TOKEN))
def get_options(request: Request, service: ServiceDependency) -> Response:
    """List every option of every method, the presets, the bundled styles, and the limits."""
    most = {name for name in ServeOptions.model_fields if name.startswith("most_")}
    limits = service.options.model_dump(include={"queue", "keep_hours", *most})
    presets = [
        {
            "name": name,
            "words": preset.words,
            "options": dict(preset.options),
            "thumbnail": f"/page/thumbnails/{name}.jpg" if thumbnail_path(name) else None,
        }
        for name, preset in PRESETS.items()
    ]
    choices = Choices(
        recipes=recipe_schemas(),
        presets=presets,
        shelf=json.loads(service.page_files["shelf.json"].data),
        limits=limits | {"styles": MAX_STYLES, "photographs": MAX_PHOTOGRAPHS},
        devices=service.workers.devices,
        formats=list(FORMATS),
        version=__version__,
    )
    return send_text(request, choices.model_dump_json().encode(), "application/json")


@router.get("/plan", tags=["server"], responses=_PLAN_ANSWERS)
def plan_job(
    service: ServiceDependency,
    method: Annotated[JobMethodName, Query(description="as in the path of a new job")],
    options: Annotated[str, Query(description="JSON of the recipe's fields")] = "{}",
    width: Annotated[int, Query(ge=1, le=65_536, description="of the content, in pixels")] = 512,
    height: Annotated[int, Query(ge=1, le=65_536, description="of the content, in pixels")] = 512,
) -> Forecast:
    """Say how much memory a job would take; it is refused as the job would be."""
    recipe = uploads.parse_recipe(method, options)
    check_device(service, recipe)
    # In its first seconds the server is busy with importing what it plans with.
    known = bool(service.workers.devices)
    return Forecast(memory=estimate_memory(method, recipe, (width, height)) if known else None)


# Jobs that exist.


@router.get("/jobs", tags=["jobs"], responses=_LIST_ANSWERS)
def list_jobs(
    service: ServiceDependency,
    response: Response,
    limit: Annotated[int | None, Query(ge=1, le=1000, description="jobs of a page")] = None,
    before: Annotated[
        float | None, Query(description="`created` of the last job of the page before this one")
    ] = None,
) -> JobList:
    """List all jobs, or a page of them, the newest first."""
    views = sorted(service.workers.views(), key=lambda view: view.created, reverse=True)
    if before is not None:
        views = [view for view in views if view.created < before]
    if limit is None or len(views) <= limit:
        return JobList(jobs=views)
    views = views[:limit]
    path = f"/v1/jobs?limit={limit}&before={views[-1].created}"
    response.headers["link"] = f'<{path}>; rel="next"'
    return JobList(jobs=views, next=path)


@router.get("/jobs/{job}", tags=["jobs"], responses=_JOB_ANSWERS)
def get_job(service: ServiceDependency, job: JobId) -> JobView:
    """Return one job."""
    return service.workers.view(job)


@router.post("/jobs/{job}/stop", status_code=202, tags=["jobs"], responses=_CHANGE_ANSWERS)
def stop_job(service: ServiceDependency, job: JobId) -> JobView:
    """End a running job within a step and keep its picture."""
    return service.workers.stop(job)


@router.post("/jobs/{job}/cancel", status_code=202, tags=["jobs"], responses=_CHANGE_ANSWERS)
def cancel_job(service: ServiceDependency, job: JobId) -> JobView:
    """End a job that runs or waits, and keep no picture."""
    return service.workers.cancel(job)


@router.post("/jobs/{job}/retry", status_code=202, tags=["jobs"], responses=_RETRY_ANSWERS)
def retry_job(service: ServiceDependency, job: JobId) -> JobView:
    """Queue an unfinished job again; it resumes where it was if it can."""
    return service.workers.retry(job)


@router.delete("/jobs/{job}", status_code=204, tags=["jobs"], responses=_CHANGE_ANSWERS)
def delete_job(service: ServiceDependency, job: JobId) -> Response:
    """Delete a job and its files."""
    service.workers.delete(job)
    return Response(status_code=204)


@router.get(
    "/jobs/{job}/preview", response_class=Response, tags=["files"], responses=_PREVIEW_ANSWERS
)
def get_preview(service: ServiceDependency, job: JobId) -> Response:
    """Return the latest small picture of a running job."""
    return Response(service.workers.preview(job), media_type="image/jpeg")


@router.get(
    "/jobs/{job}/inputs/{role}", response_class=Response, tags=["files"], responses=_INPUT_ANSWERS
)
def get_input(
    request: Request,
    service: ServiceDependency,
    job: JobId,
    role: Role,
    longest: MaxSide = None,
    original: Annotated[bool, Query(description="the uploaded file itself, unchanged")] = False,
    crop: Annotated[bool, Query(description="the part alone that the recipe cleans")] = False,
) -> Response:
    """Return an input of a job: as a PNG, upright and in sRGB, or the file itself."""
    record = service.workers.record(job)
    folder = service.store.path(job)
    upload = next((upload for upload in record.uploads if upload.role == role), None)
    if upload is None or (role == "model" and not original):
        raise RequestError("no_such_input", f"this job has no {role}; see its inputs")
    path = folder / upload.file
    if not path.is_file():
        raise RequestError(
            "files_gone", f"`{role}` cannot be shown: its file is gone; delete the job"
        )
    etag = make_etag(job, upload.sha256, longest, original, crop)
    if (same := unchanged(request, etag)) is not None:
        return same
    if original:
        return send_bytes(request, path, "application/octet-stream", etag)

    def encode() -> bytes:
        # It imports PyTorch, which would keep the server from answering for seconds at its start.
        from impasto.serve import downloads

        return downloads.encode_input(path, longest, uploads.part_of(record) if crop else None)

    try:
        data = service.downloads.get(etag, encode)
    except ImpastoError as error:
        reason = record.public_message(str(error), folder)
        raise RequestError("files_gone", f"`{role}` cannot be shown: {reason}") from None
    return send_bytes(request, data, "image/png", etag)


@router.get(
    "/jobs/{job}/result", response_class=Response, tags=["files"], responses=_RESULT_ANSWERS
)
def get_result(
    request: Request,
    service: ServiceDependency,
    job: JobId,
    format: Annotated[
        Literal["png", "png16", "jpeg", "webp", "tiff", "tiff16", "mp4", "webm", "impasto"] | None,
        Query(description="one of the job's formats; the first of them by default"),
    ] = None,
    strength: Share = None,
    chroma: Share = None,
    detail: Annotated[
        float | None, Query(ge=0, le=1, description="of the texture in the noise, to give back")
    ] = None,
    longest: MaxSide = None,
) -> Response:
    """Return the result of a job as a file."""
    record = service.workers.record(job)
    if record.result is None:
        raise RequestError(
            "no_result",
            f"the job must have a result first, got a {record.status} job; wait for it",
        )
    format = format or record.result.formats[0]
    shares = {"strength": strength, "chroma": chroma, "detail": detail}
    etag = make_etag(job, record.result.model_dump(), format, shares, longest)
    if (same := unchanged(request, etag)) is not None:
        return same
    from impasto.serve import downloads  # imports PyTorch, see above

    download = downloads.name_result(record, format)
    folder = service.store.path(job)
    data = downloads.made_file(record, folder, format)
    if data is not None and not data.is_file():
        raise RequestError("files_gone", "the file of this job is gone; delete the job")
    if data is None:
        data = service.downloads.get(etag, lambda: _encode(record, folder, format, shares, longest))
    disposition = content_disposition(download.name)
    return send_bytes(request, data, download.media_type, etag, content_disposition=disposition)


def _encode(
    record: JobRecord,
    folder: FilePath,
    format: str,
    shares: dict[str, float | None],
    max_side: int | None,
) -> bytes:
    """Encode a result; say what is wrong with the job's files if that fails."""
    from impasto.serve import downloads  # imports PyTorch, see above

    try:
        return downloads.encode_result(record, folder, format, shares, max_side)
    except RequestError:
        raise
    except ImpastoError as error:
        raise RequestError("unreadable_file", record.public_message(str(error), folder)) from None
    except FileNotFoundError:
        raise RequestError(
            "files_gone", "the files of this job are gone; it may have expired or been deleted"
        ) from None
    except (ValueError, KeyError, StopIteration, SafetensorError):
        raise RequestError(
            "files_damaged",
            "the files of this job must be as the server left them, got others; delete it",
        ) from None


def content_disposition(name: str) -> str:
    """Return the header that names a download, for browsers old and new (RFC 6266).

    Example:
        >>> content_disposition("café.png")
        'attachment; filename="caf_.png"; filename*=UTF-8\\'\\'caf%C3%A9.png'
    """
    ascii_name = "".join(c if c.isascii() and (c.isalnum() or c in " ._-") else "_" for c in name)
    return f"attachment; filename=\"{ascii_name}\"; filename*=UTF-8''{quote(name, safe='')}"


# Events.

LastEventId = Annotated[
    str | None,
    Header(max_length=100, description="id of the last event that came, to hear of later ones"),
]


@router.get(
    "/jobs/{job}/events",
    response_class=StreamingResponse,
    tags=["events"],
    responses=_STREAM_ANSWERS,
)
async def stream_job_events(
    request: Request, service: ServiceDependency, job: JobId
) -> StreamingResponse:
    """Stream the changes of a job as server-sent events, until it has ended."""
    service.workers.view(job)  # refuses a job that does not exist
    return _event_response(request, service, job)


@router.get("/events", response_class=StreamingResponse, tags=["events"], responses=_STREAM_ANSWERS)
async def stream_events(
    request: Request, service: ServiceDependency, last_event_id: LastEventId = None
) -> StreamingResponse:
    """Stream the changes of all jobs as server-sent events, without end."""
    return _event_response(request, service, None, last_event_id)


def _event_response(
    request: Request, service: Service, job: str | None, last_id: str | None = None
) -> StreamingResponse:
    only_head = request.scope.get("only_head", False)

    def closing() -> bool:
        return service.closing or only_head

    messages = event_stream(service.workers, job, closing, last_id)
    return StreamingResponse(messages, media_type="text/event-stream")


# The page.


@page_router.get("/page/{path:path}")
async def get_page_file(request: Request, service: ServiceDependency, path: str) -> Response:
    """Return a file of the page; browsers keep it and ask whether it has changed."""
    file = service.page_files.get(path)
    if file is None:
        raise RequestError("not_found", "there is no such file")
    zipped = file.zipped if accepts_gzip(request) else None
    etag = file.etag if zipped is None else f'{file.etag[:-1]}-gzip"'
    headers = {"etag": etag, "cache-control": "no-cache", "vary": "Accept-Encoding"}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    if zipped is not None:
        headers["content-encoding"] = "gzip"
    return Response(zipped or file.data, media_type=file.media_type, headers=headers)


@page_router.get("/")
async def get_page(request: Request, service: ServiceDependency) -> Response:
    """Return the page."""
    return await get_page_file(request, service, "index.html")
