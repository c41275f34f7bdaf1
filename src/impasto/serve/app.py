"""The application: its routes, put together from the rooms' parts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from impasto._version import __version__
from impasto.serve import info_routes, job_routes, new_job_routes, static
from impasto.serve.limits import RequestError, ServeOptions
from impasto.serve.security import SecurityMiddleware
from impasto.serve.store import Store
from impasto.serve.workers import Workers

_UPLOADS = 4  # that are taken in side by side


class Service:
    """What the routes share.

    Attributes:
        options: how the server runs.
        store: where jobs are kept.
        workers: the jobs, and who does them.
        files: the page's own.
        intake: who may send files now.
        closing: whether the server is about to end.
    """

    def __init__(self, options: ServeOptions, store: Store) -> None:
        self.options = options
        self.store = store
        self.workers = Workers(store, options.queue, options.keep_hours)
        self.files = static.files()
        self.intake = asyncio.Semaphore(_UPLOADS)
        self.closing = False


def application(options: ServeOptions, token: str, hosts: Iterable[str] = ()) -> SecurityMiddleware:
    """The whole application, guarded, ready for uvicorn.

    Args:
        options: how it runs.
        token: what requests must carry.
        hosts: names it may be called by, besides this machine's own.

    Raises:
        ImpastoError: the folder of jobs cannot be had.
    """
    service = Service(options, Store(options.place))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service.workers.start()
        try:
            yield
        finally:
            service.closing = True
            service.workers.close()

    app = FastAPI(
        title="impasto",
        summary="Paint photographs in the style of pictures, and clean noisy ones.",
        version=__version__,
        openapi_url="/v1/openapi.json",
        docs_url=None,  # their pages load scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.service = service
    for router in (new_job_routes.router, job_routes.router, info_routes.router, static.router):
        app.include_router(router)
    for kind in (RequestError, HTTPException, RequestValidationError):
        app.add_exception_handler(kind, _answer)
    guard = SecurityMiddleware(app, hosts, token, options.most_bytes, options.upload_seconds)
    guard.service = service
    return guard


async def _answer(request: Request, error: Exception) -> JSONResponse:
    """A refusal as JSON with one sentence."""
    headers: dict[str, Any] = {}
    if isinstance(error, RequestError):
        status, sentence = error.status, str(error)
        if error.after is not None:
            headers["retry-after"] = str(error.after)
    elif isinstance(error, RequestValidationError):
        status, sentence = 422, _sentence(error)
    else:
        status, sentence = error.status_code, str(error.detail)
        headers.update(error.headers or {})
    return JSONResponse({"detail": sentence}, status, headers=headers)


def _sentence(error: RequestValidationError) -> str:
    """The first thing that is wrong with a request."""
    first = error.errors()[0]
    name = str(first["loc"][-1]) if first["loc"] else "the request"
    why = str(first["msg"])
    return f"`{name}` must be as /v1/openapi.json says: {why[:1].lower()}{why[1:]}"
