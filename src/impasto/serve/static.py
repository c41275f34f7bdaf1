"""The page's own files, held in memory: what is not among them cannot be asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from impasto.presets import THUMBNAILS

PAGE = Path(__file__).parent / "page"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".jpg": "image/jpeg",
}

router = APIRouter(include_in_schema=False)


def files() -> dict[str, tuple[bytes, str, str]]:
    """Every file of the page and every preset's thumbnail: path -> bytes, type, mark.

    Example:
        >>> files()["style.css"][1]
        'text/css; charset=utf-8'
    """
    found = {}
    for name, path in _paths():
        data = path.read_bytes()
        found[name] = (data, _TYPES[path.suffix], f'"{hashlib.sha256(data).hexdigest()[:20]}"')
    return found


def _paths() -> Iterator[tuple[str, Path]]:
    """The files by the names that they are asked for by."""
    for path in PAGE.rglob("*"):
        if path.suffix in _TYPES and path.is_file():
            yield path.relative_to(PAGE).as_posix(), path
    for path in THUMBNAILS.glob("*.jpg"):
        yield f"thumbnails/{path.name}", path


@router.get("/page/{path:path}")
async def file(request: Request, path: str) -> Response:
    """A file of the page; browsers keep it and ask whether it is still the same."""
    known = request.app.state.service.files.get(path)
    if known is None:
        raise HTTPException(404, "there is no such file")
    data, kind, mark = known
    headers = {"etag": mark, "cache-control": "no-cache"}
    if request.headers.get("if-none-match") == mark:
        return Response(status_code=304, headers=headers)
    return Response(data, media_type=kind, headers=headers)


@router.get("/")
async def page(request: Request) -> Response:
    """The page."""
    return await file(request, "index.html")
