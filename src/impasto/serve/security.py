"""Who may ask, how much may come in, and what every answer says besides: before any route is seen.

What each check is for, and the test of each, is in docs/security.md.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import time
from collections.abc import Iterable
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

OPEN = ("/v1/health", "/v1/openapi.json")  # what of the API needs no token
_LOCAL = ("localhost", "127.0.0.1", "[::1]")
_SMALL = 64 * 1024  # bytes of a request that uploads nothing
_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
        "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'; require-trusted-types-for 'script'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


def is_loopback(host: str) -> bool:
    """Whether an address is this machine's own.

    Example:
        >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("0.0.0.0")
        (True, True, False)
    """
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


class SecurityMiddleware:
    """Wraps an application: refuses what is not for it, and puts headers on every answer.

    Args:
        app: what is guarded.
        hosts: names that this server may be called by, besides this machine's own.
        token: what a request must carry.
        most_bytes: bytes of an upload.
        upload_seconds: seconds that a request's body may take.
    """

    def __init__(
        self,
        app: ASGIApp,
        hosts: Iterable[str],
        token: str,
        most_bytes: int,
        upload_seconds: float,
    ) -> None:
        self.app = app
        self.hosts = {*_LOCAL, *(host.lower() for host in hosts)}
        self.token = token.encode()
        self.most_bytes = most_bytes
        self.upload_seconds = upload_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        try:
            headers = _unique_headers(scope["headers"])
            self._check_origin(headers)
            self._check_token(scope, headers)
            self._check_length(scope, headers)
        except HTTPException as error:
            answer = JSONResponse(
                {"detail": error.detail}, error.status_code, headers=error.headers or {}
            )
            return await answer(scope, receive, _add_security_headers(send))
        await self.app(scope, self._timed(receive), _add_security_headers(send))

    def _check_origin(self, headers: dict[str, str]) -> None:
        """Refuse what another site's page sends: by the name it calls, and by what browsers say."""
        host = headers.get("host", "").lower()
        name, _, port = host.rpartition(":") if _has_port(host) else (host, "", "")
        if name not in self.hosts or not (port == "" or (port.isascii() and port.isdecimal())):
            raise HTTPException(
                403, f"`Host` must be one this server is called by, got {host[:100]!r}; open "
                "http://localhost"
            )  # fmt: skip
        origin = headers.get("origin")
        if origin is not None and origin.lower() not in (f"http://{host}", f"https://{host}"):
            raise HTTPException(
                403, f"`Origin` must be this server's own, got {origin[:100]!r}; use its own page"
            )
        site = headers.get("sec-fetch-site")
        if site not in (None, "same-origin", "none"):
            raise HTTPException(
                403, f"`Sec-Fetch-Site` must be same-origin or none, got {site[:100]!r}; use this "
                "server's own page"
            )  # fmt: skip

    def _check_token(self, scope: Scope, headers: dict[str, str]) -> None:
        """Refuse what does not carry the token: everything of the API, reading included."""
        reads = scope["method"] in ("GET", "HEAD")
        if reads and (not scope["path"].startswith("/v1/") or scope["path"] in OPEN):
            return
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), self.token):
            raise HTTPException(
                401,
                "`Authorization` must be Bearer and this server's token, got none or another; open "
                "the address that `impasto serve` printed",
                {"www-authenticate": "Bearer"},
            )

    def _check_length(self, scope: Scope, headers: dict[str, str]) -> None:
        """Refuse a body that is too long or does not say how long it is, before it is read."""
        if "transfer-encoding" in headers:
            raise HTTPException(
                411, "`Content-Length` must be given, got a body of unknown length; send it whole"
            )
        length = headers.get("content-length", "0")
        uploads = headers.get("content-type", "").startswith("multipart/form-data")
        most = self.most_bytes if uploads else _SMALL
        if not (length.isascii() and length.isdecimal()) or len(length) > 18 or int(length) > most:
            raise HTTPException(
                413, f"a request must have at most {most:,} bytes, got {length[:30]}; send smaller "
                "pictures, or start the server with a larger `--most-bytes`"
            )  # fmt: skip

    def _timed(self, receive: Receive) -> Receive:
        """What gives the body's parts as long as there is time for it."""
        until, whole = time.monotonic() + self.upload_seconds, False

        async def timed() -> Message:
            nonlocal whole
            if whole:  # only waits for the other side to go
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), max(0.0, until - time.monotonic()))
            except TimeoutError:
                raise HTTPException(
                    408, f"an upload must be done in {self.upload_seconds:g} seconds, got a slower "
                    "one; send smaller pictures"
                ) from None  # fmt: skip
            whole = not message.get("more_body", False)
            return message

        return timed


def _unique_headers(raw: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """The headers by name; refuses one that decides and is there twice."""
    found: dict[str, str] = {}
    for key, value in raw:
        name = key.decode("latin-1").lower()
        if name in found and name in ("host", "origin", "authorization", "content-length"):
            raise HTTPException(400, f"`{name}` must be given once, got it twice; drop one")
        found[name] = value.decode("latin-1")
    return found


def _has_port(host: str) -> bool:
    """Whether a host ends in a port; IPv6 addresses have colons of their own."""
    return ":" in host.rpartition("]")[2]


def _add_security_headers(send: Send) -> Send:
    """What sends answers with the headers that all have."""

    async def dressed(message: Message) -> None:
        if message["type"] == "http.response.start":
            names = {name.lower() for name, _ in message["headers"]}
            extra: dict[str, Any] = dict(_HEADERS)
            extra["cache-control"] = "no-store"
            message["headers"] = [
                *message["headers"],
                *((k.encode(), v.encode()) for k, v in extra.items() if k.encode() not in names),
            ]
        await send(message)

    return dressed
