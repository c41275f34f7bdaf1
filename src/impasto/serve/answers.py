"""Answers with the bytes of a file: known by an ETag, sent in ranges, not sent twice (RFC 9110)."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path

from fastapi import Request
from fastapi.responses import Response, StreamingResponse

from impasto._version import __version__
from impasto.serve.problems import RequestError

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_CHUNK = 1 << 18  # bytes
# Browsers keep it for themselves, and ask each time whether it has changed.
_CACHE_CONTROL = "private, no-cache"


def make_etag(*facts: object) -> str:
    """Return an ETag that is another one for other facts.

    Example:
        >>> make_etag("a", 1) == make_etag("a", 1), make_etag("a", 1) == make_etag("a", 2)
        (True, False)
    """
    return f'"{sha256(repr((__version__, facts)).encode()).hexdigest()[:24]}"'


def unchanged(request: Request, etag: str) -> Response | None:
    """Return the answer to a client that has the file already; None if it has not."""
    known = request.headers.get("if-none-match", "")
    if known.strip() == "*" or etag in (tag.strip().removeprefix("W/") for tag in known.split(",")):
        return Response(status_code=304, headers=_headers(etag))
    return None


def send_bytes(
    request: Request, content: bytes | Path, media_type: str, etag: str, **headers: str
) -> Response:
    """Return the answer that sends a file, or the range of it that was asked for.

    Args:
        request: whose headers are read.
        content: the bytes, or the path of a file of this server.
        media_type: of the file.
        etag: its own.
        headers: more of them, with _ for -.

    Raises:
        RequestError: the range begins behind the end.
    """
    size = content.stat().st_size if isinstance(content, Path) else len(content)
    first, last = 0, size - 1
    sent = {name.replace("_", "-"): value for name, value in headers.items()} | _headers(etag)
    status = 200
    asked = _asked_range(request, etag)
    if asked is not None:
        status, (first, last) = 206, _within(asked, size)
        sent["content-range"] = f"bytes {first}-{last}/{size}"
    if isinstance(content, Path):
        sent["content-length"] = str(last - first + 1)
        body = _read_part(content, first, last - first + 1)
        return StreamingResponse(body, status, headers=sent, media_type=media_type)
    return Response(content[first : last + 1], status, headers=sent, media_type=media_type)


def accepts_gzip(request: Request) -> bool:
    """Return whether a client takes bytes that are compressed."""
    for coding in request.headers.get("accept-encoding", "").lower().split(","):
        name, _, quality = coding.partition(";")
        if name.strip() in ("gzip", "*") and quality.replace(" ", "") not in ("q=0", "q=0.0"):
            return True
    return False


def send_text(request: Request, data: bytes, media_type: str) -> Response:
    """Return an answer that is compressed for clients that take it so."""
    headers = {"vary": "Accept-Encoding"}
    if accepts_gzip(request):
        data = gzip.compress(data, 6, mtime=0)
        headers["content-encoding"] = "gzip"
    return Response(data, media_type=media_type, headers=headers)


def _headers(etag: str) -> Mapping[str, str]:
    return {"etag": etag, "cache-control": _CACHE_CONTROL, "accept-ranges": "bytes"}


def _asked_range(request: Request, etag: str) -> tuple[str, str] | None:
    """Return the two ends of the range that is asked for; None for all."""
    match = _RANGE.fullmatch(request.headers.get("range", "").replace(" ", ""))
    condition = request.headers.get("if-range")
    # Several ranges, other units and broken ones may be ignored.
    if match is None or not any(match.groups()) or condition not in (None, etag):
        return None
    start, end = match.groups()
    return None if start and end and int(start) > int(end) else (start, end)


def _within(asked: tuple[str, str], size: int) -> tuple[int, int]:
    """Return the first and the last byte of a range."""
    start, end = asked
    first = int(start) if start else max(0, size - int(end))
    last = min(int(end), size - 1) if start and end else size - 1
    if first >= size:
        raise RequestError(
            "wrong_range",
            f"`Range` must begin before byte {size:,}, got {start}-{end}; ask for less",
            headers={"content-range": f"bytes */{size}"},
        )
    return first, last


def _read_part(path: Path, first: int, length: int) -> Iterator[bytes]:
    with open(path, "rb") as file:
        file.seek(first)
        while length > 0 and (chunk := file.read(min(_CHUNK, length))):
            length -= len(chunk)
            yield chunk
