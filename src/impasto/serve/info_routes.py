"""Routes about the server itself: whether it is well, what there is to choose from."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel

from impasto._version import __version__
from impasto.methods import METHODS
from impasto.presets import PRESETS, thumbnail_path
from impasto.serve.limits import STYLES
from impasto.serve.run_job import FORMATS

if TYPE_CHECKING:
    from impasto.serve.app import Service

router = APIRouter(prefix="/v1")


class Health(BaseModel):
    """How the server is."""

    status: str
    version: str
    devices: list[str]
    running: int
    queued: int
    queue: int


class Choices(BaseModel):
    """What there is to choose from."""

    recipes: dict[str, Any]
    presets: list[dict[str, Any]]
    shelf: list[dict[str, Any]]
    limits: dict[str, Any]
    devices: list[str]
    formats: list[str]
    version: str


@router.get("/health")
def health(request: Request) -> Health:
    """Whether the server is well; needs no token."""
    service: Service = request.app.state.service
    running, queued = service.workers.counts()
    return Health(
        status="ok",
        version=__version__,
        devices=service.workers.devices,
        running=running,
        queued=queued,
        queue=service.options.queue,
    )


@router.get("/options")
def options(request: Request) -> Choices:
    """Every option of every method, the presets, the bundled styles, and the limits."""
    service: Service = request.app.state.service
    limits = service.options.model_dump(
        include={"queue", "keep_hours", "most_bytes", "most_pixels", "most_work"}
    )
    return Choices(
        recipes=_schemas(),
        presets=_presets(),
        shelf=json.loads(service.files["shelf.json"][0]),
        limits=limits | {"styles": STYLES},
        devices=service.workers.devices,
        formats=list(FORMATS),
        version=__version__,
    )


@cache
def _schemas() -> dict[str, Any]:
    """The recipes' own JSON Schemas."""
    return {
        name: method.recipe.model_json_schema()
        for name, method in METHODS.items()
        if method.on_server
    }


def _presets() -> list[dict[str, Any]]:
    """The presets with their thumbnails."""
    return [
        {
            "name": name,
            "words": preset.words,
            "options": dict(preset.options),
            "thumbnail": f"/page/thumbnails/{name}.jpg" if thumbnail_path(name) else None,
        }
        for name, preset in PRESETS.items()
    ]
