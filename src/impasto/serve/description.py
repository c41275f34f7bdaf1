"""openapi.json: what FastAPI finds in the routes, with security, tags, problems and events."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from impasto.serve.events import EVENTS
from impasto.serve.problems import ProblemDetails
from impasto.serve.security import PUBLIC_PATHS

_SCHEMA = "#/components/schemas/{model}"
_TAGS = {
    "new jobs": "Upload pictures, and have something made of them.",
    "jobs": "Jobs that wait, run or have ended.",
    "files": "Inputs, previews and results of jobs.",
    "events": "What happens to jobs, as server-sent events.",
    "pictures": "What a picture says of itself.",
    "server": "The server, and everything that it offers.",
}
_DESCRIPTION = (
    "Every request needs the token that `impasto serve` prints, as `Authorization: Bearer`. What "
    "is refused is answered with application/problem+json; its `code` is one of those in "
    "docs/api.md. HEAD is answered wherever GET is."
)


def describe_api(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """Return a function that gives the application's openapi.json."""

    @cache
    def describe() -> dict[str, Any]:
        schema = get_openapi(
            title=app.title,
            version=app.version,
            summary=app.summary,
            description=_DESCRIPTION,
            routes=app.routes,
            tags=[{"name": name, "description": text} for name, text in _TAGS.items()],
        )
        components = schema["components"]
        components["schemas"] |= _schemas([ProblemDetails, *EVENTS.values()])
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        schema["security"] = [{"token": []}]
        for path, operations in schema["paths"].items():
            for operation in operations.values():
                if path in PUBLIC_PATHS:
                    operation["security"] = []
                stream = operation["responses"].get("200", {}).get("content", {})
                if "text/event-stream" in stream:
                    stream["text/event-stream"] = _describe_stream()
        return schema

    return describe


def _schemas(models: list[type[BaseModel]]) -> dict[str, Any]:
    """Return the JSON schemas of models, and of those that they are made of, by their names."""
    inputs = [(model, "serialization") for model in models]
    _, schema = models_json_schema(inputs, ref_template=_SCHEMA)
    return schema["$defs"]


def _describe_stream() -> dict[str, Any]:
    """Return the description of a stream: the text, and what the data of each event is."""
    events = {
        name: {"$ref": _SCHEMA.format(model=model.__name__)} for name, model in EVENTS.items()
    }
    return {
        "schema": {"type": "string"},
        "example": 'id: 5f0c-7\nevent: gone\ndata: {"id":"0123456789abcdef"}\n\n',
        "x-events": events,
    }
