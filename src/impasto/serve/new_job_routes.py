"""Routes that take pictures in: new jobs, diagnoses, recipes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, File, Form, Request, UploadFile
from fastapi.concurrency import run_in_threadpool
from fastapi.routing import APIRoute
from pydantic import BaseModel

from impasto.errors import ImpastoError
from impasto.methods import METHODS
from impasto.serve import inspect as reading
from impasto.serve.job import JobView, Method, Noise
from impasto.serve.limits import PARTS, STYLES
from impasto.serve.uploads import ReceivedFile, check_signature, recipe_from, taken_in, weights_from

if TYPE_CHECKING:
    from impasto.serve.app import Service

_FIELD = 1_000_000  # bytes of a field that is no file
_HEAD = 4096  # bytes that tell what a file is
_DIAGNOSING = threading.Lock()  # one at a time: it takes a core and memory


class _Bounded(Request):
    """A request whose form has only so many parts."""

    def form(self, **_: Any) -> Any:
        """The form, refused as soon as it has more."""
        return super().form(max_files=PARTS, max_fields=PARTS, max_part_size=_FIELD)


class _Upload(APIRoute):
    """A route that takes files in: only where there is room, only so many at once."""

    def get_route_handler(self) -> Callable[..., Any]:
        """What answers a request."""
        inner = super().get_route_handler()

        async def handle(request: Request) -> Any:
            service: Service = request.app.state.service
            if request.url.path.startswith("/v1/jobs/"):
                service.workers.check_room()
            async with service.intake:
                return await inner(_Bounded(request.scope, request.receive))

        return handle


router = APIRouter(route_class=_Upload, prefix="/v1")


class Problem(BaseModel):
    """Why a request was refused."""

    detail: str


_WRONG: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": words}
    for status, words in {
        400: "no readable form",
        401: "no token, or another",
        403: "from another site",
        408: "too slow",
        411: "a body of unknown length",
        413: "too large, or too much work",
        422: "a picture or an option that is wrong",
        429: "the queue is full; see Retry-After",
    }.items()
}
Picture = Annotated[UploadFile, File(description="JPEG, PNG, WebP, TIFF or AVIF")]
Mask = Annotated[UploadFile | None, File(description="a mask, white where it acts")]


def _options(method: str) -> Any:
    """The form's field for a recipe, whose schema is the recipe's own."""
    recipe = METHODS[method].recipe
    schema = recipe.model_json_schema()
    return Form(
        description=f"JSON of {recipe.__name__}'s fields; those left out are as usual",
        json_schema_extra={"contentMediaType": "application/json", "contentSchema": schema},
    )


@router.post("/jobs/style", status_code=202, responses=_WRONG)
async def paint(
    request: Request,
    content: Picture,
    style: Annotated[list[UploadFile], File(description="what to learn from", max_length=STYLES)],
    options: Annotated[str, _options("style")] = "{}",
    weights: Annotated[str | None, Form(description="JSON list: a number for each style")] = None,
    region_1: Mask = None,
    region_2: Mask = None,
    region_3: Mask = None,
    region_4: Mask = None,
    mask_1: Mask = None,
    mask_2: Mask = None,
    mask_3: Mask = None,
    mask_4: Mask = None,
    protect: Mask = None,
    keep: Mask = None,
    init: Mask = None,
) -> JobView:
    """Paint a picture in the style of others."""
    recipe = recipe_from("style", options)
    shares = weights_from(weights, len(style))
    named = {"content": content, "protect": protect, "keep": keep, "init": init}
    named |= {f"style-{number}": one for number, one in enumerate(style, 1)}
    named |= {"region-1": region_1, "region-2": region_2, "region-3": region_3}
    named |= {"region-4": region_4, "mask-1": mask_1, "mask-2": mask_2}
    named |= {"mask-3": mask_3, "mask-4": mask_4}
    counted = {f"style-{number}": share for number, share in enumerate(shares, 1)}
    return await _submitted(request, "style", recipe, named, counted)


@router.post("/jobs/denoise", status_code=202, responses=_WRONG)
async def clean(
    request: Request,
    content: Picture,
    options: Annotated[str, _options("denoise")] = "{}",
) -> JobView:
    """Take the noise out of a picture."""
    return await _submitted(
        request, "denoise", recipe_from("denoise", options), {"content": content}
    )


@router.post("/jobs/reconstruct", status_code=202, responses=_WRONG)
async def rebuild(
    request: Request,
    content: Picture,
    options: Annotated[str, _options("reconstruct")] = "{}",
) -> JobView:
    """Rebuild a picture from what one layer of the network sees of it."""
    recipe = recipe_from("reconstruct", options)
    return await _submitted(request, "reconstruct", recipe, {"content": content})


@router.post("/diagnosis", responses=_WRONG)
async def diagnosis(request: Request, content: Picture) -> Noise:
    """Say what noise a picture has."""
    (parcel,) = await _parcels({"content": content})
    service: Service = request.app.state.service
    return await run_in_threadpool(_diagnosed, service, parcel)


@router.post("/recipe", responses=_WRONG)
async def recipe(request: Request, picture: Picture) -> reading.Found:
    """Read how a picture was made out of the picture, or out of the file beside it."""
    (parcel,) = await _parcels({"picture": picture})
    service: Service = request.app.state.service
    most = service.options.most_pixels
    return await run_in_threadpool(reading.inspect_upload, service.workers, parcel, most)


def _diagnosed(service: Service, parcel: ReceivedFile) -> Noise:
    """A diagnosis, one at a time."""
    with _DIAGNOSING:
        return reading.diagnosed(service.store, parcel, service.options.most_pixels)


async def _submitted(
    request: Request,
    method: Method,
    recipe: Any,
    files: Mapping[str, UploadFile | None],
    weights: Mapping[str, float] | None = None,
) -> JobView:
    """Take a job in and let it wait."""
    service: Service = request.app.state.service
    parcels = await _parcels(files)

    def take() -> JobView:
        job = taken_in(service.store, service.options, method, recipe, parcels, weights)
        try:
            return service.workers.submit(job)
        except ImpastoError:
            service.store.abandon(job.id)
            raise

    return await run_in_threadpool(take)


async def _parcels(files: Mapping[str, UploadFile | None]) -> list[ReceivedFile]:
    """The files of a form that are there."""
    found = []
    for role, file in files.items():
        if file is not None:
            head = ReceivedFile(role, file.filename, await file.read(_HEAD))
            check_signature(head)  # what is no picture never comes into memory whole
            found.append(ReceivedFile(role, file.filename, head.data + await file.read()))
    return found
