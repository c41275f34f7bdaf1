"""Strict routes: a request with a field or parameter that nobody reads is refused."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from types import NoneType
from typing import Any, Union, get_args, get_origin

from fastapi import Request, params
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.datastructures import FormData
from starlette.datastructures import UploadFile as FormFile
from starlette.exceptions import HTTPException

from impasto.errors import quote, quoted_name
from impasto.serve.limits import MAX_PARTS, disk_error
from impasto.serve.problems import RequestError
from impasto.validation import describe_constraint, did_you_mean

FORM_TYPE = "multipart/form-data"
_MAX_FIELD_BYTES = 1_000_000  # of a form's field that is not a file


class StrictRoute(APIRoute):
    """A route that refuses parameters of the address that it does not know."""

    def get_route_handler(self) -> Callable[..., Any]:
        handler = super().get_route_handler()

        async def handle(request: Request) -> Any:
            self._check_parameters(request)
            return await handler(request)

        return handle

    def _check_parameters(self, request: Request) -> None:
        known = [field.alias for field in self.dependant.query_params]
        for name in request.query_params:
            if name not in known:
                hint = did_you_mean(name, known).removeprefix("; ") or "leave it out"
                raise RequestError(
                    "unknown_parameter",
                    f"`{quoted_name(name)}` must be a parameter of this address, got one that is "
                    f"not; {hint}",
                )


class UploadRoute(StrictRoute):
    """A route that receives files: only if there is room, only so many at once, no unknown field.

    The application's service says both: `check_room(request)` and `upload_slots`.
    """

    def get_route_handler(self) -> Callable[..., Any]:
        handler = super().get_route_handler()

        async def handle(request: Request) -> Any:
            service = request.app.state.service
            media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            if media_type != FORM_TYPE:
                raise RequestError(
                    "wrong_media_type",
                    f"`Content-Type` must be {FORM_TYPE}, got {quote(media_type)}; send a form",
                    headers={"accept": FORM_TYPE},
                )
            service.check_room(request)
            async with service.upload_slots:
                request = _LimitedForm(request.scope, request.receive)
                form = await _read_form(request)
                try:
                    self._check_form(form)
                    return await handler(request)
                finally:
                    await form.close()

        return handle

    def _check_form(self, form: FormData) -> None:
        """Refuse fields that are unknown, missing, of the wrong kind or given too often."""
        fields = {field.alias: field.field_info for field in self.dependant.body_params}
        for name in form:
            if name not in fields:
                hint = did_you_mean(name, fields).removeprefix("; ")
                raise RequestError(
                    "unknown_field",
                    f"`{quoted_name(name)}` must be a field of this form, got one that is not; "
                    f"{hint or 'it takes ' + ', '.join(fields)}",
                )
        for name, info in fields.items():
            values = form.getlist(name)
            is_file = isinstance(info, params.File)
            kind = "a file" if is_file else "text"
            if not values and info.is_required():
                raise RequestError("missing_field", f"`{name}` must be {kind}, got none; add it")
            if any(isinstance(value, FormFile) != is_file for value in values):
                other = "text" if is_file else "a file"
                sentence = f"`{name}` must be {kind}, got {other}; send it as {kind}"
                raise RequestError("wrong_field", sentence)
            most = _most_values(info)
            if len(values) > most:
                times = "once" if most == 1 else f"at most {most} times"
                raise RequestError(
                    "wrong_field",
                    f"`{name}` must come {times}, got it {len(values)} times; leave some out",
                )


def parameter_problem(request: Request, error: RequestValidationError) -> RequestError:
    """Return the refusal of a parameter that FastAPI found wrong, in our own words."""
    first = error.errors()[0]
    place, name = first["loc"][0], str(first["loc"][-1])
    if place == "path":
        if name == "job":
            return RequestError("no_such_job", "there is no such job; its id has 16 letters")
        return RequestError("not_found", "there is nothing at this address")
    if place == "body":
        return RequestError("wrong_field", f"`{name}` must be as /v1/openapi.json says")
    dependant = request.scope["route"].dependant
    for field in (*dependant.query_params, *dependant.header_params):
        if field.alias.lower() == name.lower():
            words = _constraint(field.field_info)
            value = quote(first.get("input"))
            return RequestError(
                "wrong_parameter", f"`{field.alias}` must be {words}, got {value}; correct it"
            )
    return RequestError("wrong_parameter", f"`{quoted_name(name)}` must be another")


class _LimitedForm(Request):
    """A request that is refused as soon as its form has too many parts."""

    def form(self, **_: Any) -> Any:
        return super().form(
            max_files=MAX_PARTS, max_fields=MAX_PARTS, max_part_size=_MAX_FIELD_BYTES
        )


async def _read_form(request: Request) -> FormData:
    """Return the form of a request, or refuse it in our own words."""
    try:
        return await request.form()
    except RequestError:
        raise
    except OSError as error:  # of the form's temporary files
        raise disk_error(error) from error
    except Exception as error:  # a hostile body can make the parser raise anything
        detail = error.detail if isinstance(error, HTTPException) else ""
        sentence = "the body must be a form that can be read, got one that is broken; send it anew"
        if "Too many" in detail:
            sentence = (
                f"a form must have at most {MAX_PARTS} files and {MAX_PARTS} other fields, got "
                "more; leave some out"
            )
        elif "maximum size" in detail:
            sentence = (
                f"a field must have at most {_MAX_FIELD_BYTES:,} bytes unless it is a file, got "
                "more; shorten it"
            )
        raise RequestError("malformed_form", sentence) from None


def _most_values(info: params.Body) -> int:
    """Return how often a field may come."""
    if get_origin(info.annotation) is not list:
        return 1
    lengths = (getattr(note, "max_length", None) for note in info.metadata)
    return next(length for length in lengths if length)


def _constraint(info: Any) -> str:
    """Return what a parameter must be, in words."""
    info = copy(info)
    if get_origin(info.annotation) is Union or NoneType in get_args(info.annotation):
        kinds = tuple(kind for kind in get_args(info.annotation) if kind is not NoneType)
        info.annotation = Union[kinds]  # noqa: UP007
    if info.annotation is bool:
        return "true or false"
    if info.annotation is str:
        return info.description
    info.examples = None
    return describe_constraint(info)
