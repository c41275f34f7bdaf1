"""Starting and ending the server."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Iterable
from dataclasses import dataclass

import uvicorn

from impasto.errors import ImpastoError
from impasto.serve.app import application
from impasto.serve.limits import ServeOptions
from impasto.serve.security import SecurityMiddleware, is_loopback

_CONNECTIONS = 256
_HEADERS = 16 * 1024  # bytes of a request's headers
_PATIENCE = 3  # seconds that open connections may take to end


@dataclass(frozen=True)
class Server:
    """A server that has its port and its folder.

    Attributes:
        address: what to open, with the token behind the #, which browsers never send.
        origin: the same without.
        token: what requests must carry.
        socket: what it listens on.
        app: what answers.
    """

    address: str
    origin: str
    token: str
    socket: socket.socket
    app: SecurityMiddleware

    def run(self) -> None:
        """Answer until the process is told to end, by Ctrl-C or SIGTERM."""
        config = uvicorn.Config(
            self.app,
            http="h11",
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=_CONNECTIONS,
            h11_max_incomplete_event_size=_HEADERS,
            timeout_keep_alive=15,
            timeout_graceful_shutdown=_PATIENCE,
        )
        _Uvicorn(config, self.app).run(sockets=[self.socket])


class _Uvicorn(uvicorn.Server):
    """uvicorn, which tells the application that it is about to end, so that streams do."""

    def __init__(self, config: uvicorn.Config, app: SecurityMiddleware) -> None:
        super().__init__(config)
        self._guard = app

    def handle_exit(self, *arguments: object) -> None:
        """Heed a signal."""
        self._guard.service.closing = True
        super().handle_exit(*arguments)  # type: ignore[arg-type]


def open_server(options: ServeOptions, hosts: Iterable[str] = ()) -> Server:
    """Take the port and the folder.

    Args:
        options: how the server runs.
        hosts: names that it may be called by, besides this machine's own and `options.host`.

    Raises:
        ValueError: another address than this machine's own, without a token.
        ImpastoError: the port or the folder cannot be had.
    """
    local = is_loopback(options.host)
    if not local and options.token == "random":
        raise ValueError(
            f"`token` must be given where `host` is not this machine's own, got {options.host!r} "
            "without one; choose 16 letters and digits or more, which nobody can guess"
        )
    token = secrets.token_urlsafe(24) if options.token == "random" else options.token
    listening = _listening(options.host, options.port)
    try:
        app = application(options, token, [*hosts, _bracketed(options.host)])
    except BaseException:
        listening.close()
        raise
    name = options.host if local else "127.0.0.1" if options.host == "0.0.0.0" else options.host
    origin = f"http://{_bracketed(name)}:{listening.getsockname()[1]}"
    return Server(f"{origin}/#token={token}", origin, token, listening, app)


def _listening(host: str, port: int) -> socket.socket:
    """A socket that listens at an address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(128)
    except OSError as error:
        listening.close()
        raise ImpastoError(
            f"`port` must be free at {host}, got {port}: {(error.strerror or str(error)).lower()}; "
            "choose another, or 0 for any"
        ) from None
    return listening


def _bracketed(host: str) -> str:
    """An address as it stands in a URL."""
    return f"[{host}]" if ":" in host else host
