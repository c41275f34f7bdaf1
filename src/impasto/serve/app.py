"""The web application and the server that runs it."""

from __future__ import annotations

import secrets
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from impasto._version import __version__
from impasto.errors import ImpastoError
from impasto.serve.creation import upload_router
from impasto.serve.description import describe_api
from impasto.serve.forms import parameter_problem
from impasto.serve.limits import ServeOptions, disk_error
from impasto.serve.problems import RequestError, problem_response
from impasto.serve.routes import page_router, router
from impasto.serve.security import SecurityMiddleware, is_loopback
from impasto.serve.service import Service

_ROUTERS = (upload_router, router, page_router)
_MAX_CONNECTIONS = 256
_MAX_HEADER_BYTES = 16 * 1024
_SHUTDOWN_SECONDS = 3  # that open connections may take to end


def create_app(options: ServeOptions, token: str, hosts: Iterable[str] = ()) -> SecurityMiddleware:
    """Create the application inside its security middleware, ready for uvicorn.

    Args:
        options: how it runs.
        token: token that requests must send.
        hosts: names that it may be called by, besides those of this machine.

    Raises:
        ImpastoError: the folder of jobs cannot be used.
    """
    service = Service(options)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service.decoder.start()
        service.workers.start()
        try:
            yield
        finally:
            service.closing = True
            service.workers.close()
            service.decoder.close()

    app = FastAPI(
        title="impasto",
        summary="Paint photographs in the style of pictures, and clean noisy ones.",
        version=__version__,
        openapi_url="/v1/openapi.json",
        docs_url=None,  # these pages load scripts from other servers
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.service = service
    for part in _ROUTERS:
        app.include_router(part)
    app.openapi = describe_api(app)  # type: ignore[method-assign]
    app.add_middleware(_HeadMiddleware)
    for error_class in (RequestError, HTTPException, RequestValidationError, OSError, Exception):
        app.add_exception_handler(error_class, _refuse)
    return SecurityMiddleware(app, hosts, token, options.most_bytes, options.upload_seconds)


@dataclass(frozen=True)
class Server:
    """A server that has its port and its folder.

    Attributes:
        address: URL to open, with the token behind the #, which browsers never send.
        origin: the same without the token.
        token: token that requests must send.
        socket: the listening socket.
        app: the application.
    """

    address: str
    origin: str
    token: str
    socket: socket.socket
    app: SecurityMiddleware

    def run(self) -> None:
        """Answer requests until the process gets Ctrl-C or SIGTERM."""
        config = uvicorn.Config(
            self.app,
            http="h11",
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=_MAX_CONNECTIONS,
            h11_max_incomplete_event_size=_MAX_HEADER_BYTES,
            timeout_keep_alive=15,
            timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
        )
        _UvicornServer(config, self.app.service).run(sockets=[self.socket])


class _UvicornServer(uvicorn.Server):
    """A uvicorn server that ends event streams at a signal; it would wait for them otherwise."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    def handle_exit(self, *arguments: object) -> None:
        self._service.closing = True
        super().handle_exit(*arguments)  # type: ignore[arg-type]


def open_server(options: ServeOptions, hosts: Iterable[str] = ()) -> Server:
    """Bind the port and lock the folder of jobs.

    Args:
        options: how the server runs.
        hosts: names that it may be called by, besides those of this machine and `options.host`.

    Raises:
        ValueError: an address of another machine without a token.
        ImpastoError: the port or the folder cannot be used.
    """
    local = is_loopback(options.host)
    if not local and options.token == "random":
        raise ValueError(
            f"`token` must be given if `host` is not this machine's own, got {options.host!r} "
            "without one; choose 16 letters and digits or more, which nobody can guess"
        )
    token = secrets.token_urlsafe(24) if options.token == "random" else options.token
    listener = _listen(options.host, options.port)
    try:
        app = create_app(options, token, [*hosts, _url_host(options.host)])
    except BaseException:
        listener.close()
        raise
    host = options.host if local else "127.0.0.1" if options.host == "0.0.0.0" else options.host
    origin = f"http://{_url_host(host)}:{listener.getsockname()[1]}"
    return Server(f"{origin}/#token={token}", origin, token, listener, app)


def _listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens at an address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise ImpastoError(
            f"`port` must be free at {host}, got {port}: {(error.strerror or str(error)).lower()}; "
            "choose another, or 0 for any"
        ) from None
    return listener


def _url_host(host: str) -> str:
    """Return a host as it is written in a URL: IPv6 addresses in brackets."""
    return f"[{host}]" if ":" in host else host


class _HeadMiddleware:
    """ASGI middleware that answers HEAD as GET, without the body."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            return await self.app(scope, receive, send)

        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        await self.app({**scope, "method": "GET", "only_head": True}, receive, send_head)


async def _refuse(request: Request, error: Exception) -> JSONResponse:
    """Answer with an error as problem+json."""
    if isinstance(error, OSError):
        error = disk_error(error)
    elif isinstance(error, RequestValidationError):
        error = parameter_problem(request, error)
    elif isinstance(error, HTTPException):
        error = _http_problem(request, error)
    elif not isinstance(error, RequestError):
        error = RequestError("internal_error", "the server made a mistake; please report it")
    return problem_response(error)


def _http_problem(request: Request, error: HTTPException) -> RequestError:
    """Return the refusal of what no route takes."""
    if error.status_code == 405:
        methods = sorted(_allowed_methods(request))
        return RequestError(
            "method_not_allowed",
            f"the method must be one of {', '.join(methods)} here, got {request.method}; see Allow",
            headers={"allow": ", ".join(methods)},
        )
    return RequestError("not_found", "there is nothing at this address")


def _allowed_methods(request: Request) -> set[str]:
    """Return the methods of all routes at an address."""
    routes = [route for part in _ROUTERS for route in part.routes]
    at_address = [route for route in routes if route.matches(request.scope)[0] != Match.NONE]
    # /v1/jobs/style is no job.
    at_address = [route for route in at_address if not route.param_convertors] or at_address
    # FastAPI's own route, openapi.json, is in no router.
    allowed = set().union(*(route.methods for route in at_address)) or {"GET"}
    return allowed | ({"HEAD"} if "GET" in allowed else set())
