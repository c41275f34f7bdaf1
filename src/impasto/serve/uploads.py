"""Taking a request in: its options and files checked, before any picture is decoded."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from impasto.errors import ImageError
from impasto.images.formats import describe_unknown_format, detect_format
from impasto.images.header_check import check_header
from impasto.images.source_files import unreadable_file
from impasto.methods import METHODS, Recipe
from impasto.presets import style_recipe
from impasto.serve.job import Job, Upload
from impasto.serve.limits import RequestError, ServeOptions, check_work
from impasto.serve.store import Store
from impasto.validation import validate

_ENDINGS = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "TIFF": ".tif", "AVIF": ".avif"}
_NAMELESS = re.compile(r"[/\\\x00-\x1f\x7f]+")
_LEAST = 16  # pixels a side that the network sees anything of


class ReceivedFile:
    """A file that came in.

    Attributes:
        role: what it is for.
        name: what it was called where it came from, without a folder; only ever shown.
        data: its bytes.
    """

    def __init__(self, role: str, name: str | None, data: bytes) -> None:
        self.role = role
        last = re.split(r"[/\\]", name or "")[-1]
        self.name = _NAMELESS.sub("", last).strip()[:200] or role
        self.data = data


def check_signature(parcel: ReceivedFile) -> None:
    """Refuse what does not begin as a picture does, nor, where one is read, as a recipe.

    Raises:
        Refused: it is something else.
    """
    if not parcel.data:
        raise RequestError(422, f"`{parcel.role}` must be a picture, got an empty file; choose one")
    recipe = parcel.role == "picture" and parcel.data.lstrip()[:1] == b"{"
    if detect_format(parcel.data) is None and not recipe:
        why = f"it is {describe_unknown_format(parcel.data)}"
        raise RequestError(422, unreadable_file(parcel.role, parcel.name, why))


def recipe_from(method: str, text: str) -> Recipe:
    """The recipe that a request's options make.

    Raises:
        Refused: no JSON, or an option that is wrong or not for a server.
    """
    try:
        options = json.loads(text or "{}")
    except (ValueError, RecursionError):
        options = None
    if not isinstance(options, dict):
        raise RequestError(
            422, f"`options` must be a JSON object, got {text[:40]!r}; for example {{}}"
        )
    options.pop("version", None)
    try:
        if method == "style":
            recipe = style_recipe(str(options.pop("preset", "default")), **options)
        else:
            recipe = validate(METHODS[method].recipe, options)
    except (ValueError, TypeError) as error:
        raise RequestError(422, re.sub(r"see \w+Recipe", "see /v1/options", str(error))) from None
    # A server opens no files and fetches nothing that a request names.
    if getattr(recipe, "weights", "oxford") != "oxford":
        raise RequestError(
            422,
            f"`weights` must be oxford here, got {recipe.weights!r}; use the command line for "
            "others",
        )
    return recipe


def weights_from(text: str | None, count: int) -> list[float]:
    """How much each style counts.

    Raises:
        Refused: not as many numbers as styles, or one below 0.
    """
    if not text:
        return [1.0] * count
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    numbers = isinstance(found, list) and all(
        isinstance(one, (int, float)) and not isinstance(one, bool) and 0 <= one < math.inf
        for one in found
    )
    if not numbers or len(found) != count:
        raise RequestError(
            422,
            f"`weights` must be a JSON list of {count} numbers of at least 0, got {text[:40]!r}; "
            "one for each style",
        )
    return [float(one) for one in found]


def taken_in(
    store: Store,
    limits: ServeOptions,
    method: str,
    recipe: Recipe,
    parcels: list[ReceivedFile],
    weights: Mapping[str, float] | None = None,
) -> Job:
    """Check the files of a request and put them into the store.

    Args:
        store: where to.
        limits: what is too large.
        method: what is to be done.
        recipe: its options.
        parcels: the files, `content` among them.
        weights: of the styles, by role.

    Returns:
        A job that has not been submitted.

    Raises:
        Refused: a file that is no picture, too large or too small, or too much work.
    """
    sizes = {one.role: _size(one, limits, method) for one in parcels}
    name, place = store.begun()
    try:
        uploads = [
            _written(one, place, sizes[one.role], (weights or {}).get(one.role)) for one in parcels
        ]
        content = next(one for one in uploads if one.role == "content")
        check_work(recipe, (content.width, content.height), limits.most_work)
        _check_masks(recipe, uploads)
    except BaseException:
        store.abandon(name)
        raise
    styles = [one.name for one in uploads if one.role.startswith("style-")]
    title = " × ".join([content.name, *styles])
    return Job(id=name, method=method, title=title, recipe=_plain(recipe), uploads=uploads)


def _plain(recipe: Recipe) -> dict[str, Any]:
    """A recipe as JSON has it."""
    return recipe.model_dump(mode="json")


def _size(parcel: ReceivedFile, limits: ServeOptions, method: str) -> tuple[tuple[int, int], str]:
    """What a file claims to be: its size and its ending."""
    pages = method == "denoise" and parcel.role == "content"
    try:
        claim = check_header(parcel.data, parcel.role, parcel.name, limits.most_pixels, pages=pages)
    except ImageError as error:
        raise RequestError(422, str(error)) from None
    least = 1 if method == "denoise" or parcel.role.partition("-")[0] in _MASKS else _LEAST
    if min(claim.size) < least:
        raise RequestError(
            422,
            f"`{parcel.role}` must have at least {least} pixels on each side, got "
            f"{claim.size[0]} × {claim.size[1]}; choose a larger picture",
        )
    return claim.size, _ENDINGS[claim.format]


_MASKS = ("region", "mask", "protect", "keep")


def _written(
    parcel: ReceivedFile, place: Path, claim: tuple[tuple[int, int], str], weight: float | None
) -> Upload:
    """Write a file under a name of the server's own."""
    (width, height), ending = claim
    file = f"{parcel.role}{ending}"
    (place / file).write_bytes(parcel.data)
    return Upload(
        role=parcel.role,
        name=parcel.name,
        file=file,
        sha256=sha256(parcel.data).hexdigest(),
        width=width,
        height=height,
        weight=weight,
    )


def _check_masks(recipe: Recipe, uploads: list[Upload]) -> None:
    """Refuse files that are for a style that is not there, and a start that is not wanted."""
    roles = {one.role for one in uploads}
    for role in roles:
        kind, _, number = role.partition("-")
        if kind in ("region", "mask") and f"style-{number}" not in roles:
            raise RequestError(
                422, f"`{kind}_{number}` must be of a style that is there, got no style {number}; "
                "leave it out"
            )  # fmt: skip
    if (getattr(recipe, "init", None) == "picture") != ("init" in roles):
        raise RequestError(
            422,
            f"`init` must be `picture` where an init picture is given and only there, got "
            f"{getattr(recipe, 'init', None)!r}; give both or neither",
        )
