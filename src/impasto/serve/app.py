"""The web application and the server that runs it."""

from __future__ import annotations

import secrets
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from impasto._version import __version__
from impasto.errors import MAX_SENTENCE, ImpastoError, printable, shorten
from impasto.serve import routes
from impasto.serve.limits import RequestError, ServeOptions, disk_error
from impasto.serve.security import SecurityMiddleware, is_loopback
from impasto.serve.service import Service

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
    for router in (routes.upload_router, routes.router, routes.page_router):
        app.include_router(router)
    for error_class in (RequestError, HTTPException, RequestValidationError, OSError):
        app.add_exception_handler(error_class, _error_response)
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


async def _error_response(request: Request, error: Exception) -> JSONResponse:
    """Answer with an error as JSON: `detail` is one sentence."""
    headers: dict[str, Any] = {}
    error = disk_error(error) if isinstance(error, OSError) else error
    if isinstance(error, RequestError):
        status, sentence = error.status, str(error)
        if error.retry_after is not None:
            headers["retry-after"] = str(error.retry_after)
    elif isinstance(error, RequestValidationError):
        first = error.errors()[0]
        name = str(first["loc"][-1]) if first["loc"] else "the request"
        reason = str(first["msg"])
        status = 422
        sentence = f"`{name}` must be as /v1/openapi.json says: {reason[:1].lower()}{reason[1:]}"
    else:
        status, sentence = error.status_code, str(error.detail)
        headers.update(error.headers or {})
    return JSONResponse(
        {"detail": shorten(printable(sentence), MAX_SENTENCE)}, status, headers=headers
    )
