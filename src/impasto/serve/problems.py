"""Refusals: what each is called, and how it is answered (RFC 9457, application/problem+json)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, Field
from starlette.responses import JSONResponse

from impasto.errors import MAX_SENTENCE, ImpastoError, printable, shorten

PROBLEM_TYPE = "application/problem+json"

# Code -> HTTP status and meaning. Clients go by the codes: one is never renamed, nor its meaning
# changed. docs/api.md lists them.
PROBLEMS: dict[str, tuple[int, str]] = {
    "malformed_form": (400, "the body cannot be read as a form, or has too many parts"),
    "repeated_header": (400, "a header that may come once came twice"),
    "wrong_token": (401, "no token, or another than the server's"),
    "foreign_site": (403, "the request comes from another site, or for another host"),
    "not_found": (404, "there is nothing at this address"),
    "no_such_job": (404, "no such job: never there, expired or deleted"),
    "no_such_input": (404, "the job has no input of this role"),
    "no_preview": (404, "there is no preview now"),
    "files_gone": (404, "files of the job are gone"),
    "method_not_allowed": (405, "the address knows other methods; see Allow"),
    "upload_too_slow": (408, "the upload took too long"),
    "wrong_state": (409, "not possible in the job's present state"),
    "no_result": (409, "the job has no result yet"),
    "length_required": (411, "the body must have a Content-Length"),
    "body_too_large": (413, "more bytes than the server takes"),
    "too_much_work": (413, "pixels times steps, or frames, are more than the server takes"),
    "not_enough_memory": (413, "the job needs more memory than it can get"),
    "wrong_media_type": (415, "the body must be of another type; see Accept"),
    "wrong_range": (416, "the file has no such bytes"),
    "unknown_field": (422, "the form has a field that is not known here"),
    "missing_field": (422, "the form lacks a field"),
    "wrong_field": (422, "a field is text instead of a file, the reverse, or comes too often"),
    "unknown_parameter": (422, "the address has a parameter that is not known here"),
    "wrong_parameter": (422, "a parameter of the address or a header is out of range"),
    "not_json": (422, "a field must be JSON of another kind"),
    "unknown_option": (422, "the recipe has no such option"),
    "wrong_option": (422, "an option of the recipe is out of range"),
    "no_such_device": (422, "the server has no such device"),
    "wrong_weights": (422, "the weights must be a number for each style"),
    "zero_weights": (422, "the weights of the styles are all zero"),
    "empty_file": (422, "a file has no bytes"),
    "unreadable_file": (422, "a file is of no known format, broken, or claims too much"),
    "unreadable_model": (422, "a file is not a fitted model that can be used"),
    "decoder_failed": (422, "a decoder crashed on a file, or took too much time or memory"),
    "picture_too_small": (422, "a picture has too few pixels"),
    "mask_without_style": (422, "a mask or region is of a style that is not there"),
    "wrong_start": (422, "an init picture needs `init` to be `picture`, and the reverse"),
    "crop_outside": (422, "the part lies outside the picture"),
    "impossible_job": (422, "the inputs and options do not go together"),
    "no_recipe": (422, "the file has no recipe inside"),
    "wrong_recipe": (422, "the file's recipe is not valid"),
    "format_not_offered": (422, "the job's result is not offered in this format"),
    "shares_not_offered": (422, "strength, chroma and detail are for denoising alone"),
    "key_reused": (422, "the Idempotency-Key was used for another request"),
    "missing_library": (422, "the server lacks a library that this needs"),
    "queue_full": (429, "the queue is full; see Retry-After"),
    "internal_error": (500, "a fault of the server"),
    "disk_error": (503, "the server's folder of jobs cannot be used"),
    "files_damaged": (503, "files of the job are not as the server left them"),
    "disk_full": (507, "the server's disk is full"),
}

_FIELD = re.compile(r"`([\w-]{1,40})`")  # that a sentence begins with


class ProblemDetails(BaseModel):
    """Why a request was refused."""

    title: str = Field(description="the HTTP status in words")
    status: int
    detail: str = Field(description="one sentence, in English")
    code: str = Field(description="one of those in docs/api.md", examples=list(PROBLEMS))
    field: str | None = Field(description="the field, option, parameter or file that is wrong")


class RequestError(ImpastoError):
    """A request that the server refuses.

    Attributes:
        code: one of `PROBLEMS`.
        field: what is wrong; the name that the sentence begins with if it is left out.
        headers: of the answer.

    Example:
        >>> error = RequestError("missing_field", "`content` must be a file, got none; add it")
        >>> error.status, error.field
        (422, 'content')
    """

    def __init__(
        self,
        code: str,
        sentence: str,
        *,
        field: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(sentence)
        self.code = code
        self.status = PROBLEMS[code][0]
        first = _FIELD.match(sentence) if self.status in (413, 415, 422) else None
        self.field = field or (first[1] if first else None)
        self.headers = dict(headers or {})


def problem_response(error: RequestError) -> JSONResponse:
    """Return the answer to a request that is refused."""
    problem = ProblemDetails(
        title=HTTPStatus(error.status).phrase,
        status=error.status,
        detail=shorten(printable(str(error)), MAX_SENTENCE),
        code=error.code,
        field=error.field,
    )
    body = problem.model_dump()
    return JSONResponse(body, error.status, headers=error.headers, media_type=PROBLEM_TYPE)


def problem_answers(*codes: str) -> dict[int | str, dict[str, Any]]:
    """Return the documentation of refusals in openapi.json, by their HTTP status.

    Example:
        >>> problem_answers("wrong_token")[401]["description"]
        "wrong_token: no token, or another than the server's"
    """
    answers: dict[int | str, dict[str, Any]] = {}
    for code in codes:
        status, meaning = PROBLEMS[code]
        line = f"{code}: {meaning}"
        if status in answers:
            answers[status]["description"] += f"; {line}"
        else:
            schema = {"$ref": "#/components/schemas/ProblemDetails"}
            answers[status] = {"description": line, "content": {PROBLEM_TYPE: {"schema": schema}}}
    return answers
