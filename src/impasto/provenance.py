"""Provenance: how an image was made and from what, stored inside it so that it can be remade."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from impasto._version import __version__
from impasto.errors import quote, quoted_name
from impasto.methods import METHODS, MethodName, Recipe, guess_method
from impasto.recipes import MAX_SHARE
from impasto.validation import did_you_mean, parse_json, validate

MAX_BYTES = 1_000_000
SIDECAR = ".impasto.json"  # ending of the file beside an image that holds its provenance

_STRICT = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Input(BaseModel):
    """A file, by its name and the hash of its bytes; never by its folder."""

    # An `images.image.SourceFile` is an input as it is, so that images know nothing of provenance.
    model_config = _STRICT | ConfigDict(from_attributes=True)

    name: Annotated[str, Field(pattern=r"^[^/\\\x00-\x1f]{1,255}$")] | None = Field(
        None, description="the file's name without its folder; null where it had none"
    )
    sha256: str = Field(
        pattern="^[0-9a-f]{64}$",
        description="SHA-256 of the file's bytes; of arrays, of their pixels",
    )


class StyleInput(BaseModel):
    """A style: its images, its weight and its masks."""

    model_config = _STRICT

    pictures: tuple[Input, ...] = Field(min_length=1, description="the image, or those of a folder")
    weight: float = Field(
        1.0, ge=0, le=MAX_SHARE, description="weight, relative to the other styles"
    )
    region: Input | None = Field(
        None, description="mask of the part of the content image it is applied to"
    )
    mask: Input | None = Field(None, description="mask of the part of the style image that counts")
    start: Annotated[int, Field(ge=0, lt=2**31)] | None = Field(
        None, description="of a film: frame of the clip, from 0, with which it begins"
    )


class KeyInput(BaseModel):
    """A keyframe of the user's own."""

    model_config = _STRICT

    frame: int = Field(ge=0, lt=2**31, description="number of the frame in the clip, from 0")
    picture: Input = Field(description="what the frame is to look like")


class Inputs(BaseModel):
    """Everything that an image was made from."""

    model_config = _STRICT

    content: Input | None = Field(None, description="the content image; of a film, the clip")
    model: Input | None = Field(None, description="the fitted model that painted it")
    styles: tuple[StyleInput, ...] = Field((), description="the styles, in order")
    init: Input | None = Field(None, description="the image that the run started from")
    protect: Input | None = Field(
        None, description="mask of the part that stays as in the content image"
    )
    keep: Input | None = Field(None, description="mask of the part that the content loss counts")
    keys: tuple[KeyInput, ...] = Field((), description="keyframes of a film that were given")


class Output(BaseModel):
    """How the file was written."""

    model_config = _STRICT

    bits: Literal[8, 16, 32] | None = Field(None, description="bits a channel; null: the default")
    quality: Annotated[int, Field(ge=1, le=100)] | None = Field(
        None, description="of lossy formats; null: the default"
    )
    strip_gps: bool = Field(False, description="whether GPS coordinates were left out")
    strip: bool = Field(False, description="whether all metadata of the source was left out")


class Treatment(BaseModel):
    """The noise of some planes of what was denoised, and the method that removed it."""

    model_config = _STRICT

    planes: str | None = Field(
        description="their numbers from 1, such as `1-3, 7`; null for all there are"
    )
    kind: str = Field(description="kind of noise, or `clean`")
    sigma: tuple[float, float] = Field(
        description="least and largest standard deviation of it in their channels"
    )
    method: str | None = Field(description="the method that ran; null where nothing was changed")
    specks: float = Field(0.0, description="largest share of a plane's values that were specks")
    across: str | None = Field(
        None, description="axis along which neighboring planes helped; null where none did"
    )


class Maker(BaseModel):
    """The program and machine that made it; others may give other bytes."""

    model_config = _STRICT

    impasto: str = Field(description="version of impasto")
    torch: str = Field(description="version of PyTorch")
    device: str = Field(description="device it ran on, such as `cpu` or `cuda:0`")
    machine: str = Field(description="the processor's architecture")
    threads: int = Field(ge=1, le=2**20, description="number of threads")
    opencv: str | None = Field(None, description="of a film: version of OpenCV")
    ffmpeg: str | None = Field(
        None, description="of a film: version of the ffmpeg that encodes it; null where OpenCV does"
    )


class Provenance(BaseModel):
    """Everything needed to make an image again: method, recipe, inputs, output and maker."""

    model_config = _STRICT | ConfigDict(title="impasto recipe")

    version: Literal[1] = Field(1, description="version of this format")
    method: MethodName
    recipe: Annotated[Recipe, Field(union_mode="left_to_right")]
    inputs: Inputs = Inputs()
    output: Output = Output()
    maker: Maker | None = None
    treatments: tuple[Treatment, ...] = Field(
        (), description="what was done to the planes that were denoised; empty for other methods"
    )
    fingerprint: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = Field(
        None, description="SHA-256 of everything the bytes depend on; only in images of a batch"
    )


def schema() -> dict[str, Any]:
    """Return the JSON Schema of the provenance stored inside images and in sidecar files.

    Example:
        >>> schema()["title"]
        'impasto recipe'
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Provenance.model_json_schema(),
    }


def current_maker(device: str, **versions: str | None) -> Maker:
    """Describe the running program and machine.

    Args:
        device: where it runs.
        versions: of what films are made with besides, `opencv` and `ffmpeg`.
    """
    import torch

    return Maker(
        impasto=__version__,
        torch=torch.__version__,
        device=device,
        machine=platform.machine(),
        threads=torch.get_num_threads(),
        **versions,
    )


def sidecar_path(output: str | Path) -> Path:
    """Return the file beside an output that holds its provenance.

    Example:
        >>> sidecar_path("film.mp4").name
        'film.mp4.impasto.json'
    """
    return Path(f"{output}{SIDECAR}")


def sidecar_text(provenance: str) -> bytes:
    r"""Return what a sidecar file holds: the JSON of provenance, for people to read.

    Example:
        >>> sidecar_text('{"strength": 0.7}')
        b'{\n  "strength": 0.7\n}\n'
    """
    return (json.dumps(json.loads(provenance), indent=2, ensure_ascii=False) + "\n").encode()


def read_provenance(text: str, name: str = "recipe") -> Provenance:
    """Read provenance from JSON; a recipe alone is provenance without inputs.

    Nothing in the text is executed and no path in it is opened: inputs have names, not folders.

    Args:
        text: the JSON.
        name: the name that errors use.

    Raises:
        ValueError: the text is too long, is not JSON, was written by a later version, or has
            fields that do not belong there.

    Example:
        >>> read_provenance('{"strength": 0.7}').method
        'style'
    """
    if len(text) > MAX_BYTES:
        raise ValueError(
            f"`{name}` must be at most {MAX_BYTES:,} characters long, got {len(text):,}; give a "
            "recipe that impasto wrote"
        )
    try:
        data = parse_json(text)
        if not isinstance(data, dict):
            raise ValueError("it is not an object")
    except ValueError as error:
        raise ValueError(
            f"`{name}` must be a JSON object, got {quote(text)}: {error}; give an impasto recipe"
        ) from None
    return provenance_of(data)


def provenance_of(data: Mapping[str, Any]) -> Provenance:
    """Check provenance that was read from JSON, and return it.

    Raises:
        ValueError: as `read_provenance`.
    """
    data = dict(data)
    _check_version(data)
    if "recipe" not in data and "inputs" not in data:
        method = guess_method(data)
        return Provenance(method=method, recipe=validate(METHODS[method].recipe, data))
    method = data.get("method")
    if method not in tuple(METHODS):
        raise ValueError(
            f"`method` must be one of {', '.join(METHODS)}, got {quote(method)}"
            f"{did_you_mean(method, METHODS)}"
        )
    options = data.pop("recipe", None)
    if not isinstance(options, dict):
        raise ValueError(
            f"`recipe` must be an object of options, got {quote(options)}; give an impasto recipe"
        )
    _check_version(options)
    recipe = validate(METHODS[method].recipe, options)
    for key, value in data.items():
        if key not in Provenance.model_fields:
            fields = ", ".join(Provenance.model_fields)
            raise ValueError(
                f"`{quoted_name(key)}` must be one of {fields}, got {quote(value)}; leave it out"
            )
    try:
        return Provenance.model_validate({**data, "recipe": recipe})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        path = ".".join(str(part) for part in first["loc"])
        reason = first["msg"][:1].lower() + first["msg"][1:]
        raise ValueError(
            f"`{quoted_name(path)}` must be as impasto writes it, got {quote(first['input'])}: "
            f"{reason}; leave it out or correct it"
        ) from None


def _check_version(data: dict[str, Any]) -> None:
    """Refuse what a later version wrote."""
    version = data.get("version", 1)
    if isinstance(version, int) and version > 1:
        raise ValueError(
            f"`version` must be 1, got {quote(version)}: this recipe was written by a later "
            "impasto; update impasto"
        )
