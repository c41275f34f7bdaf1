"""Routes about jobs that are there: see, follow, stop, retry, fetch, delete."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response, StreamingResponse

from impasto.errors import ImpastoError
from impasto.serve.downloads import KINDS, result_file, shown_input
from impasto.serve.events import happenings
from impasto.serve.job import Jobs, JobView
from impasto.serve.limits import RequestError
from impasto.serve.new_job_routes import Problem
from impasto.serve.run_job import public_message

if TYPE_CHECKING:
    from impasto.serve.app import Service

router = APIRouter(prefix="/v1")

Name = Annotated[str, Path(pattern="^[0-9a-f]{16}$", description="the job's id")]
Share = Annotated[float | None, Query(ge=0, le=1, description="of a cleaning; none: the recipe's")]
Longest = Annotated[
    int | None, Query(ge=16, le=65_536, description="pixels of the longer side, to look at")
]
_NONE: dict[int | str, dict[str, Any]] = {
    401: {"model": Problem, "description": "no token, or another"},
    403: {"model": Problem, "description": "from another site"},
    404: {"model": Problem, "description": "there is no such job, or nothing to see of it"},
    422: {"model": Problem, "description": "an argument out of range"},
}
_NOT_NOW: dict[int | str, dict[str, Any]] = _NONE | {
    409: {"model": Problem, "description": "not in this state"},
}
_FULL: dict[int | str, dict[str, Any]] = _NOT_NOW | {
    429: {"model": Problem, "description": "the queue is full; see Retry-After"},
}
_PNG: dict[int | str, dict[str, Any]] = _NONE | {
    200: {"content": {"image/png": {}, "application/octet-stream": {}}}
}
_JPEG: dict[int | str, dict[str, Any]] = _NONE | {200: {"content": {"image/jpeg": {}}}}
_FILE: dict[int | str, dict[str, Any]] = _NOT_NOW | {
    200: {"content": {kind: {} for _, _, kind in KINDS.values()}}
}
_STREAM: dict[int | str, dict[str, Any]] = _NONE | {200: {"content": {"text/event-stream": {}}}}


def _service(request: Request) -> Service:
    """What the routes share."""
    return request.app.state.service


@router.get("/jobs", responses=_NONE)
def jobs(request: Request) -> Jobs:
    """All jobs, the newest first."""
    return Jobs(jobs=_service(request).workers.views())


@router.get("/jobs/{job}", responses=_NONE)
def one(request: Request, job: Name) -> JobView:
    """One job."""
    return _service(request).workers.view(job)


@router.post("/jobs/{job}/stop", status_code=202, responses=_NOT_NOW)
def stop(request: Request, job: Name) -> JobView:
    """End a running job within a step and keep its picture."""
    return _service(request).workers.stop(job)


@router.post("/jobs/{job}/cancel", status_code=202, responses=_NOT_NOW)
def cancel(request: Request, job: Name) -> JobView:
    """End a job that runs or waits, and keep nothing."""
    return _service(request).workers.cancel(job)


@router.post("/jobs/{job}/retry", status_code=202, responses=_FULL)
def retry(request: Request, job: Name) -> JobView:
    """Let a job that did not come to its end wait again; it goes on where it was, if it can."""
    return _service(request).workers.retry(job)


@router.delete("/jobs/{job}", status_code=204, responses=_NOT_NOW)
def delete(request: Request, job: Name) -> Response:
    """Delete a job and its files."""
    _service(request).workers.delete(job)
    return Response(status_code=204)


@router.get("/jobs/{job}/preview", response_class=Response, responses=_JPEG)
def preview(request: Request, job: Name) -> Response:
    """A running job's picture as it is, small."""
    return Response(_service(request).workers.preview(job), media_type="image/jpeg")


@router.get("/jobs/{job}/inputs/{role}", response_class=Response, responses=_PNG)
def shown(
    request: Request,
    job: Name,
    role: Annotated[str, Path(pattern=r"^[a-z]+(-\d)?$")],
    longest: Longest = None,
    original: Annotated[
        bool, Query(description="the file as it came in, to be used again")
    ] = False,
) -> Response:
    """A picture that a job was given: a PNG, upright and in sRGB, or the file itself."""
    service = _service(request)
    found = service.workers.job(job)
    place = service.store.place(job)
    for upload in found.uploads:
        if upload.role == role:
            path = place / upload.file
            if original:
                return Response(path.read_bytes(), media_type="application/octet-stream")
            try:
                data = shown_input(path, longest)
            except ImpastoError as error:
                raise RequestError(
                    404, f"`{role}` cannot be shown: {public_message(str(error), found, place)}"
                ) from None
            return Response(data, media_type="image/png")
    raise RequestError(404, f"this job was given no {role}; see its inputs")


@router.get("/jobs/{job}/result", response_class=Response, responses=_FILE)
def result(
    request: Request,
    job: Name,
    format: Literal["png", "png16", "jpeg", "webp", "tiff", "tiff16"] = "png",
    strength: Share = None,
    chroma: Share = None,
    longest: Longest = None,
) -> Response:
    """What came of a job, as a file."""
    service = _service(request)
    found = service.workers.job(job)
    if found.result is None:
        raise RequestError(
            409, f"there must be a result first, got a {found.status} job; wait for it"
        )
    place = service.store.place(job)
    try:
        data, name, kind = result_file(found, place, format, strength, chroma, longest)
    except RequestError:
        raise
    except ImpastoError as error:
        raise RequestError(422, public_message(str(error), found, place)) from None
    except FileNotFoundError:
        raise RequestError(
            404, "there is no such job; it may have expired or been deleted"
        ) from None
    return Response(data, media_type=kind, headers={"content-disposition": _attached(name)})


@router.get("/jobs/{job}/events", response_class=StreamingResponse, responses=_STREAM)
async def follow(request: Request, job: Name) -> StreamingResponse:
    """What happens to a job, as server-sent events, until it has ended."""
    _service(request).workers.view(job)
    return _stream(request, job)


@router.get("/events", response_class=StreamingResponse, responses=_STREAM)
async def follow_all(request: Request) -> StreamingResponse:
    """What happens to all jobs, as server-sent events, for ever."""
    return _stream(request, None)


def _stream(request: Request, job: str | None) -> StreamingResponse:
    """A stream of events."""
    service = _service(request)
    told = happenings(service.workers, job, lambda: service.closing)
    return StreamingResponse(told, media_type="text/event-stream")


def _attached(name: str) -> str:
    """A header that gives a download its name, for browsers old and new (RFC 6266)."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in " ._-") else "_" for c in name)
    whole = "".join(
        chr(byte) if chr(byte) in "._-" or (byte < 128 and chr(byte).isalnum()) else f"%{byte:02X}"
        for byte in name.encode()
    )
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{whole}"
