"""Security middleware: checks of host, origin, token and length, and headers for every answer.

docs/security.md says what each check is for, and which test holds it.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import time
from collections.abc import Iterable
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from impasto.serve.problems import RequestError, problem_response

PUBLIC_PATHS = ("/v1/health", "/v1/openapi.json")  # of the API; they need no token
_LOCAL_HOSTS = ("localhost", "127.0.0.1", "[::1]")
_SMALL_BODY = 64 * 1024  # bytes of a request that uploads no file, at most
_UNIQUE_HEADERS = ("host", "origin", "authorization", "content-length")
_RESPONSE_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
        "media-src blob:; connect-src 'self'; manifest-src 'self'; base-uri 'none'; "
        "form-action 'none'; "
        "frame-ancestors 'none'; require-trusted-types-for 'script'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cache-control": "no-store",
}


def is_loopback(host: str) -> bool:
    """Return whether an address is one of this machine alone.

    Example:
        >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("0.0.0.0")
        (True, True, False)
    """
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


class SecurityMiddleware:
    """ASGI middleware that refuses requests from elsewhere and adds headers to every answer.

    Args:
        app: the application inside.
        hosts: names that the server may be called by, besides those of this machine.
        token: token that requests must send.
        max_bytes: bytes of an upload, at most.
        upload_seconds: seconds that a request's body may take.
    """

    def __init__(
        self,
        app: ASGIApp,
        hosts: Iterable[str],
        token: str,
        max_bytes: int,
        upload_seconds: float,
    ) -> None:
        self.app = app
        self.hosts = {*_LOCAL_HOSTS, *(host.lower() for host in hosts)}
        self.token = token.encode()
        self.max_bytes = max_bytes
        self.upload_seconds = upload_seconds

    @property
    def service(self) -> Any:
        """State of the application inside."""
        return self.app.state.service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        try:
            headers = _unique_headers(scope["headers"])
            self._check_origin(headers)
            self._check_token(scope, headers)
            self._check_length(scope, headers)
        except RequestError as error:
            answer = problem_response(error)
            return await answer(scope, receive, _add_security_headers(send))
        await self.app(scope, self._limit_time(receive), _add_security_headers(send))

    def _check_origin(self, headers: dict[str, str]) -> None:
        """Refuse requests of other sites' pages, by host and by what browsers say."""
        host = headers.get("host", "").lower()
        name, _, port = host.rpartition(":") if _has_port(host) else (host, "", "")
        if name not in self.hosts or not (port == "" or (port.isascii() and port.isdecimal())):
            raise RequestError(
                "foreign_site",
                f"`Host` must be one this server is called by, got {host[:100]!r}; open "
                "http://localhost",
            )
        origin = headers.get("origin")
        if origin is not None and origin.lower() not in (f"http://{host}", f"https://{host}"):
            raise RequestError(
                "foreign_site",
                f"`Origin` must be this server's own, got {origin[:100]!r}; use its own page",
            )
        site = headers.get("sec-fetch-site")
        if site not in (None, "same-origin", "none"):
            raise RequestError(
                "foreign_site",
                f"`Sec-Fetch-Site` must be same-origin or none, got {site[:100]!r}; use this "
                "server's own page",
            )

    def _check_token(self, scope: Scope, headers: dict[str, str]) -> None:
        """Refuse requests to the API, reading included, without the token."""
        path, reads = scope["path"], scope["method"] in ("GET", "HEAD")
        if reads and (not path.startswith("/v1/") or path in PUBLIC_PATHS):
            return
        scheme, _, token = headers.get("authorization", "").partition(" ")
        # Compared in constant time, so that the time of an answer tells nothing of the token.
        same = hmac.compare_digest(token.strip().encode(), self.token)
        if scheme.lower() != "bearer" or not same:
            raise RequestError(
                "wrong_token",
                "`Authorization` must be Bearer and this server's token, got none or another; open "
                "the address that `impasto serve` printed",
                headers={"www-authenticate": "Bearer"},
            )

    def _check_length(self, scope: Scope, headers: dict[str, str]) -> None:
        """Refuse a body that is too long or of unknown length, before it is read."""
        if "transfer-encoding" in headers:
            raise RequestError(
                "length_required",
                "`Content-Length` must be given, got a body of unknown length; send it whole",
            )
        length = headers.get("content-length", "0")
        uploads = headers.get("content-type", "").startswith("multipart/form-data")
        max_bytes = self.max_bytes if uploads else _SMALL_BODY
        number = length.isascii() and length.isdecimal() and len(length) <= 18
        if not number or int(length) > max_bytes:
            raise RequestError(
                "body_too_large",
                f"a request must have at most {max_bytes:,} bytes, got {length[:30]}; send smaller "
                "pictures, or start the server with a larger `--most-bytes`",
            )

    def _limit_time(self, receive: Receive) -> Receive:
        """Return a `receive` that fails once the body takes too long."""
        deadline, complete = time.monotonic() + self.upload_seconds, False

        async def receive_in_time() -> Message:
            nonlocal complete
            if complete:  # the application waits for the client to disconnect, however long
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), max(0.0, deadline - time.monotonic()))
            except TimeoutError:
                raise RequestError(
                    "upload_too_slow",
                    f"an upload must be done in {self.upload_seconds:g} seconds, got a slower one; "
                    "send smaller pictures",
                ) from None
            complete = not message.get("more_body", False)
            return message

        return receive_in_time


def _unique_headers(raw: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return the headers by name; refuse those that checks rely on if they come twice."""
    headers: dict[str, str] = {}
    for key, value in raw:
        name = key.decode("latin-1").lower()
        if name in headers and name in _UNIQUE_HEADERS:
            raise RequestError(
                "repeated_header", f"`{name}` must be given once, got it twice; drop one"
            )
        headers[name] = value.decode("latin-1")
    return headers


def _has_port(host: str) -> bool:
    """Return whether a host ends in a port; IPv6 addresses contain colons themselves."""
    return ":" in host.rpartition("]")[2]


def _add_security_headers(send: Send) -> Send:
    """Return a `send` that adds the headers of every answer, unless a route has set them."""

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            names = {name.lower() for name, _ in message["headers"]}
            message["headers"] = [
                *message["headers"],
                *(
                    (name.encode(), value.encode())
                    for name, value in _RESPONSE_HEADERS.items()
                    if name.encode() not in names
                ),
            ]
        await send(message)

    return send_with_headers
