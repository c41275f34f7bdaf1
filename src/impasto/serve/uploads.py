"""Uploaded files and options: checked before an image is decoded, stored, inspected."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, Field

from impasto.errors import ImageError, ImageFileError, ImpastoError, OptionError, quote
from impasto.files import recorded_name
from impasto.images.child_decode import ClipLimits, DecoderFailure, FileFacts
from impasto.images.formats import describe_unknown_format, detect_format
from impasto.images.unreadable import unreadable_file
from impasto.images.xmp import from_xmp
from impasto.presets import style_recipe_of
from impasto.provenance import read_provenance
from impasto.recipes import MAX_SHARE
from impasto.serve.job_methods import JOB_METHODS, JobMethodName, stored_recipe
from impasto.serve.limits import storing
from impasto.serve.problems import RequestError
from impasto.serve.records import JobRecord, NoiseInfo, Upload, inputs_by_role
from impasto.serve.service import Service
from impasto.validation import parse_json, validate

_SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "TIFF": ".tif", "AVIF": ".avif"}
_SUFFIXES |= {"GIF": ".gif", "BMP": ".bmp", "PPM": ".ppm", "JXL": ".jxl"}
_MASK_ROLES = ("region", "mask", "protect", "keep")
_STILL_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"heim", b"mif1", b"msf1")  # of pictures
_MIN_SIDE = 16  # pixels; of anything smaller the network has no features
_UNSAFE = re.compile(r"[/\\\x00-\x1f\x7f]+")


class ReceivedFile(NamedTuple):
    """An uploaded file.

    Attributes:
        role: what it is for, such as `content` or `style-1`.
        name: its name on the user's machine, to be shown; never used as a path.
        data: its bytes.
        kind: what it is to be: a picture, a clip or a model.
    """

    role: str
    name: str
    data: bytes
    kind: str = "picture"


class RecipeInput(BaseModel):
    """A picture that a recipe names."""

    role: str
    name: str | None
    sha256: str
    weight: float | None
    url: str | None = Field(description="where this server still has it; null if it has not")


class UploadedRecipe(BaseModel):
    """How a picture was made."""

    method: str
    recipe: dict[str, Any]
    changed: dict[str, Any] = Field(description="what differs from the defaults")
    inputs: list[RecipeInput]


class JobRequest(NamedTuple):
    """A new job that a request asks for.

    Attributes:
        method: what to do.
        recipe: its options.
        files: its files.
        style_weights: role of a style -> its weight.
        key: Idempotency-Key of the request.
    """

    method: JobMethodName
    recipe: Any
    files: Sequence[ReceivedFile]
    style_weights: Mapping[str, float]
    key: str | None

    @property
    def fingerprint(self) -> str:
        """A hash of everything but the key."""
        hashes = [(file.role, file.name, sha256(file.data).hexdigest()) for file in self.files]
        facts = self.method, self.recipe.model_dump_json(), hashes, dict(self.style_weights)
        return sha256(repr(facts).encode()).hexdigest()


def display_name(filename: str | None, role: str) -> str:
    """Return the name to show for an uploaded file, without folders and control characters.

    It is one that a recipe can hold, whatever encoding the form was in.

    Example:
        >>> display_name("C:\\\\photos\\\\cat.png", "content"), display_name(None, "content")
        ('cat.png', 'content')
    """
    last = re.split(r"[/\\]", filename or "")[-1]
    return recorded_name(_UNSAFE.sub("", last).strip()[:200]) or role


def check_signature(file: ReceivedFile) -> None:
    """Check that a file begins as one of its kind does, or as a recipe where one may be uploaded.

    Args:
        file: a file whose first 4096 bytes suffice.

    Raises:
        RequestError: it begins in another way.
    """
    if not file.data:
        raise RequestError(
            "empty_file", f"`{file.role}` must be a {file.kind}, got an empty file; choose one"
        )
    if file.kind == "clip":
        clip_ending_of(file)
        return
    if file.kind == "model":
        if file.data[8:9] != b"{":  # a file of safetensors begins with a length and an object
            raise _model_problem(file, "it is no file of tensors")
        return
    if file.role == "picture" and _is_json(file):
        return
    if detect_format(file.data) is None:
        reason = f"it is {describe_unknown_format(file.data)}"
        raise RequestError("unreadable_file", str(unreadable_file(file.role, file.name, reason)))


def parse_recipe(method: JobMethodName, text: str) -> Any:
    """Return the recipe that the `options` of a form describe.

    Raises:
        RequestError: the text is not a JSON object, or an option is wrong or not for a server.
    """
    try:
        options = parse_json(text or "{}")
        if not isinstance(options, dict):
            raise ValueError("it is not an object")
    except ValueError as error:
        raise RequestError(
            "not_json",
            f"`options` must be a JSON object, got {quote(text)}: {error}; for example {{}}",
        ) from None
    options.pop("version", None)
    try:
        model = JOB_METHODS[method].recipe
        if method in ("style", "film"):  # with presets
            recipe = style_recipe_of(options, model=model)
        else:
            recipe = validate(model, options)
    except (ValueError, TypeError) as error:
        raise option_problem(error) from None
    # A request must not make the server open a file of its own or download anything.
    if getattr(recipe, "weights", "oxford") != "oxford":
        raise RequestError(
            "wrong_option",
            f"`weights` must be oxford here, got {quote(recipe.weights)}; use the command "
            "line for others",
        )
    return recipe


def parse_style_weights(text: str | None, count: int) -> list[float]:
    """Return the weight of each style; 1 for each if none are given.

    Raises:
        RequestError: not a list of as many numbers of at least 0 as there are styles.
    """
    if not text:
        return [1.0] * count
    try:
        weights = parse_json(text)
    except ValueError:
        weights = None
    if not (isinstance(weights, list) and len(weights) == count and all(map(_is_weight, weights))):
        raise RequestError(
            "wrong_weights",
            f"`weights` must be a JSON list of {count} numbers from 0 to {MAX_SHARE:,.0f}, got "
            f"{quote(text)}; one for each style",
        )
    if not any(weights):
        raise RequestError(
            "zero_weights",
            f"`weights` must add up to more than 0, got {quote(text)}; raise one",
        )
    return [float(weight) for weight in weights]


def create_job(service: Service, request: JobRequest) -> JobRecord:
    """Check the files of a form, put them into the store and return a job that can be submitted.

    Raises:
        RequestError: a file is not an image, or it is too large or too small; masks do not belong
            to the styles; or the job is too much work, or cannot be done here.
    """
    # It imports PyTorch, which would keep the server from answering for seconds at its start.
    from impasto.serve.plan_checks import check_crop, check_device, check_plan, check_work

    method, recipe, files = request.method, request.recipe, request.files
    check_device(service, recipe)
    facts = {
        file.role: _check_image(service, file, method) for file in files if file.kind == "picture"
    }
    name, folder = service.store.create_draft()
    try:
        uploads = []
        for file in files:
            if file.kind == "picture":
                weight = request.style_weights.get(file.role)
                uploads.append(_store_file(file, folder, facts[file.role], weight))
            else:
                store = _store_clip if file.kind == "clip" else _store_model
                uploads.append(store(service, file, folder))
        check_crop(recipe, uploads[0])
        check_work(recipe, uploads[0], service.options.most_work)
        _check_roles(recipe, {upload.role for upload in uploads})
        job = JobRecord(
            id=name,
            method=method,
            title=_title(recipe, uploads),
            recipe=recipe.model_dump(mode="json"),
            uploads=uploads,
            key=request.key,
            request=request.fingerprint,
        )
        check_plan(service, job, folder)
    except BaseException:
        service.store.discard_draft(name)
        raise
    return job


def _title(recipe: Any, uploads: Sequence[Upload]) -> str:
    """Return what a job is called: its first input, its styles and its model."""
    first, *others = uploads
    title = first.name
    if getattr(recipe, "crop", "whole") != "whole":
        title = f"{first.name} ({recipe.crop[2]} × {recipe.crop[3]})"
    photographs = sum(upload.role.startswith("photograph-") for upload in uploads)
    if photographs > 1:
        title = f"{first.name} + {photographs - 1}"
    styles = [one.name for one in others if one.role == "model" or one.role.startswith("style-")]
    return " × ".join([title, *styles])


def read_uploaded_recipe(service: Service, file: ReceivedFile) -> UploadedRecipe:
    """Return the recipe inside an uploaded image or JSON file.

    Raises:
        RequestError: it has none, or one that is not valid.
    """
    try:
        text = _recipe_text(service, file)
        provenance = read_provenance(text, "picture")
    except (ValueError, ImageError) as error:
        raise RequestError("wrong_recipe", _error_sentence(error)) from None
    recipe = provenance.recipe.model_dump(mode="json")
    defaults = type(provenance.recipe)().model_dump(mode="json")
    # Of an input that several jobs have, the newest job's; `views` has the newest first.
    urls = {
        shown.sha256: shown.url
        for view in reversed(service.workers.views())
        for shown in view.inputs
    }
    return UploadedRecipe(
        method=provenance.method,
        recipe=recipe,
        changed={key: value for key, value in recipe.items() if value != defaults[key]},
        inputs=[
            RecipeInput(
                role=role,
                name=source.name,
                sha256=source.sha256,
                weight=weight,
                url=urls.get(source.sha256),
            )
            for role, source, weight in inputs_by_role(provenance.inputs)
        ],
    )


def diagnose_upload(service: Service, file: ReceivedFile) -> NoiseInfo:
    """Return the noise of an uploaded image; of a large one, the noise of its middle.

    Raises:
        RequestError: it is not an image, or it cannot be read.
    """
    # It imports PyTorch, which would keep the server from answering for seconds at its start.
    from impasto.serve.results import diagnose_file

    facts = _check_file(service, file, pages=True)
    name, folder = service.store.create_draft()
    # Scientific data is read from a file, a plane at a time.
    path = folder / f"content{'.tif' if facts.format == 'TIFF' else ''}"
    try:
        with storing():
            path.write_bytes(file.data)
        with service.diagnosis_lock:
            noise = diagnose_file(path, facts.size)
            return noise.model_copy(update={"notes": list(facts.notes)})
    except (ImageError, ValueError) as error:
        raise RequestError("unreadable_file", _error_sentence(error, file.name)) from None
    finally:
        service.store.discard_draft(name)


def option_problem(error: Exception) -> RequestError:
    """Return the refusal of a wrong option of a recipe."""
    if not isinstance(error, OptionError):
        return RequestError("wrong_option", str(error))
    code = "unknown_option" if error.constraint.startswith("be an option of") else "wrong_option"
    return RequestError(code, _error_sentence(error), field=error.option)


def _error_sentence(error: Exception, file: str = "") -> str:
    """Return an error's sentence for a client, with the client's name of the file."""
    if isinstance(error, OptionError):
        return error.sentence("see /v1/options for every option")
    if isinstance(error, ImageFileError) and file:
        return error.sentence(file=file)
    return str(error)


def _is_json(file: ReceivedFile) -> bool:
    return file.data.lstrip()[:1] == b"{"


def _is_weight(value: Any) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and 0 <= value <= MAX_SHARE


def _check_file(
    service: Service, file: ReceivedFile, *, pages: bool = False, pixels: bool = True
) -> FileFacts:
    """Return what is known of a file, after decoding it, or its header, in a child process."""
    try:
        return service.decoder.check(
            file.data,
            file.role,
            file.name,
            service.options.most_pixels,
            pages=pages,
            pixels=pixels,
        )
    except DecoderFailure as error:
        raise RequestError("decoder_failed", str(error)) from None
    except ImageError as error:
        raise RequestError("unreadable_file", str(error)) from None


def _check_image(service: Service, file: ReceivedFile, method: JobMethodName) -> FileFacts:
    """Check that a file can be decoded and that the image is large enough for the method."""
    keeps_data = JOB_METHODS[method].keeps_data
    facts = _check_file(service, file, pages=keeps_data and file.role == "content")
    is_mask = file.role.partition("-")[0] in _MASK_ROLES
    min_side = 1 if keeps_data or is_mask else _MIN_SIDE
    if min(facts.size) < min_side:
        raise _too_small(file, facts.size, min_side)
    return facts


def _store_file(file: ReceivedFile, folder: Path, facts: FileFacts, weight: float | None) -> Upload:
    """Write a file under a name that the server chooses."""
    width, height = facts.size
    file_name = f"{file.role}{_SUFFIXES[facts.format]}"
    with storing():
        (folder / file_name).write_bytes(file.data)
    return Upload(
        role=file.role,
        name=file.name,
        file=file_name,
        sha256=sha256(file.data).hexdigest(),
        width=width,
        height=height,
        weight=weight,
        notes=list(facts.notes),
    )


def clip_ending_of(file: ReceivedFile) -> str:
    """Return the ending of a film, by how it begins.

    Raises:
        RequestError: it begins as none that is known.
    """
    head = file.data[:16]
    if head[4:8] == b"ftyp" and head[8:12] not in _STILL_BRANDS:
        return ".mov" if head[8:12] == b"qt  " else ".mp4"
    if head[:4] == b"\x1aE\xdf\xa3":
        return ".webm" if b"webm" in file.data[:64] else ".mkv"
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return ".avi"
    raise RequestError(
        "unreadable_file",
        f"`{file.role}` must be a film, got {file.name}, which begins as none; give an MP4, MOV, "
        "WebM, Matroska or AVI",
    )


def _store_clip(service: Service, file: ReceivedFile, folder: Path) -> Upload:
    """Write a film under a name of the server, and decode it in a child process."""
    path = folder / f"{file.role}{clip_ending_of(file)}"
    with storing():
        path.write_bytes(file.data)
    limits = ClipLimits(service.options.most_pixels, service.options.most_frames)
    try:
        facts = service.decoder.check_clip(path, file.role, file.name, limits)
    except DecoderFailure as error:
        raise RequestError("decoder_failed", str(error)) from None
    except ImageError as error:
        raise RequestError("unreadable_file", str(error)) from None
    except ImpastoError as error:  # OpenCV is not installed
        raise RequestError("missing_library", str(error)) from None
    if min(facts.size) < _MIN_SIDE:
        raise _too_small(file, facts.size, _MIN_SIDE)
    return Upload(
        role=file.role,
        name=file.name,
        file=path.name,
        sha256=sha256(file.data).hexdigest(),
        width=facts.size[0],
        height=facts.size[1],
        frames=facts.frames,
        rate=round(facts.rate, 3),
    )


def _store_model(service: Service, file: ReceivedFile, folder: Path) -> Upload:
    """Write a fitted model under a name of the server, and read it as a job will."""
    from impasto.models.model_file import ModelError, read_model  # imports PyTorch

    path = folder / f"{file.role}.impasto"
    with storing():
        path.write_bytes(file.data)
    try:
        parts, _ = read_model(path)
    except ModelError as error:
        message = str(error).replace(str(path), file.name)
        raise RequestError("unreadable_model", message) from None
    side = parts.facts.recipe.size
    return Upload(
        role=file.role,
        name=file.name,
        file=path.name,
        sha256=sha256(file.data).hexdigest(),
        width=side,
        height=side,
    )


def _model_problem(file: ReceivedFile, reason: str) -> RequestError:
    return RequestError(
        "unreadable_model",
        f"`{file.role}` must be a fitted model, got {file.name}: {reason}; give a file that a fit "
        "made",
    )


def _too_small(file: ReceivedFile, size: tuple[int, int], least: int) -> RequestError:
    return RequestError(
        "picture_too_small",
        f"`{file.role}` must have at least {least} pixels on each side, got {size[0]} × "
        f"{size[1]}; choose a larger one",
    )


def part_of(record: JobRecord) -> tuple[slice, slice] | None:
    """Return the rows and columns that a job denoises; None for all, and for other jobs."""
    return getattr(stored_recipe(record.method, record.recipe), "part", None)


def _check_roles(recipe: Any, roles: set[str]) -> None:
    """Check that masks belong to styles, and that a start image is there exactly if needed."""
    for role in roles:
        kind, _, number = role.partition("-")
        if kind in ("region", "mask") and f"style-{number}" not in roles:
            raise RequestError(
                "mask_without_style",
                f"`{kind}_{number}` must belong to a style, got no style {number}; leave it out",
            )
    init = getattr(recipe, "init", None)
    if (init == "picture") != ("init" in roles):
        raise RequestError(
            "wrong_start",
            f"`init` must be `picture` if an init picture is given, and only then, got "
            f"{quote(init)}; give both or neither",
        )


def _recipe_text(service: Service, file: ReceivedFile) -> str:
    """Return the JSON of a recipe: the file itself, or what is stored inside an image."""
    if _is_json(file):
        return file.data.decode("utf-8", "replace")
    text = from_xmp(_check_file(service, file, pixels=False).xmp)
    if text is None:
        raise RequestError(
            "no_recipe",
            f"`picture` must have a recipe inside, got {file.name}, which has none; give a "
            "picture that impasto made, or its .impasto.json",
        )
    return text
