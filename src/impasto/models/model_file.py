"""The file of a fitted model: safetensors with tensors and one JSON text, and no code.

Kernels are kept in half precision. What the file says of itself is held against what it has:
another shape, another version, a number that is none, or a file that is too long is refused.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from impasto.errors import ImpastoError, quote
from impasto.files import recorded_name
from impasto.images.image import SourceFile
from impasto.models.network import SIGNATURE, PaintingNetwork
from impasto.provenance import Input, Maker, StyleInput
from impasto.recipes import FitRecipe
from impasto.style.statistics import Moments
from impasto.validation import parse_json

ENDING = ".impasto"
MAX_BYTES = 2_000_000  # of a file that is read; what is written is under half of it
_VERSION = 1
_KEY = "impasto"  # of the JSON in the file
_STRICT = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
_WAY_OUT = "give a file that `impasto fit` wrote"
_COLORS = {"colors.mean": (3,), "colors.second": (3, 3)}
_SIGNATURES = ("signatures.mean", "signatures.deviation")


class ModelError(ImpastoError):
    """A file is not a fitted model that can be used."""


class FitFigures(BaseModel):
    """What a fit reached, on the pictures that it was fitted to."""

    model_config = _STRICT

    steps: int = Field(
        ge=0, description="steps taken, those of the models it started from included"
    )
    style: float = Field(ge=0, description="weighted style loss, averaged over the pictures")
    content: float = Field(ge=0, description="weighted content loss, averaged over the pictures")
    unlikeness: float = Field(
        gt=0, description="largest distance of their signatures, or a little more"
    )


class ModelFacts(BaseModel):
    """Everything about a fitted model but its numbers."""

    model_config = _STRICT

    version: Literal[1] = _VERSION
    recipe: FitRecipe
    styles: tuple[StyleInput, ...] = Field(min_length=1)
    photographs: tuple[Input, ...] = Field(min_length=1)
    gray: bool = Field(False, description="whether the styles have no color")
    maker: Maker
    figures: FitFigures


class ModelParts(NamedTuple):
    """A fitted model as its file holds it.

    Attributes:
        facts: everything but the numbers.
        weights: the network's, as its `state_dict` names them.
        colors: the moments of the style images' pixels.
        signatures: mean and deviation, (N,) each, of the network's signatures of the pictures that
            it was fitted to.
    """

    facts: ModelFacts
    weights: dict[str, Tensor]
    colors: Moments
    signatures: tuple[Tensor, Tensor]


def encode_model(parts: ModelParts) -> bytes:
    """Return the bytes of a model's file."""
    colors = parts.colors.normalized()
    tensors = {name: tensor.half() for name, tensor in parts.weights.items()}
    tensors |= {"colors.mean": colors.first.float(), "colors.second": colors.second.float()}
    tensors |= dict(zip(_SIGNATURES, parts.signatures, strict=True))
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    return save(tensors, {_KEY: parts.facts.model_dump_json()})


def model_hash(data: bytes) -> str:
    """Return the SHA-256 of a model's file, in hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def read_model(path: str | Path) -> tuple[ModelParts, SourceFile]:
    """Read a model's file; nothing in it is executed.

    Args:
        path: the file.

    Returns:
        The model, and the file by its name and hash.

    Raises:
        ModelError: it cannot be read, is no model, is damaged or was written by a later impasto.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise _refusal(path, reason) from None
    if len(data) > MAX_BYTES:
        raise _refusal(path, f"it has more than {MAX_BYTES:,} bytes")
    try:
        tensors, facts = load(data), _read_facts(data)
    except (SafetensorError, ValueError, KeyError, OSError) as error:
        raise _refusal(path, _first_line(error)) from None
    parts = _check(path, facts, tensors)
    return parts, SourceFile(recorded_name(path.name), model_hash(data))


def _read_facts(data: bytes) -> ModelFacts:
    """Read the JSON in a file's header, which `load` has found to be sound."""
    length = int.from_bytes(data[:8], "little")
    text = json.loads(data[8 : 8 + length]).get("__metadata__", {}).get(_KEY)
    if text is None:
        raise ValueError("it is a file of tensors, but no model")
    facts: Any = parse_json(text)
    version = facts.get("version") if isinstance(facts, dict) else None
    if isinstance(version, int) and version > _VERSION:
        raise ValueError(f"it is of version {version}, written by a later impasto; update impasto")
    try:
        return ModelFacts.model_validate(facts)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise ValueError(f"its {place or 'header'} is not as impasto writes it") from None


def _check(path: Path, facts: ModelFacts, tensors: dict[str, Tensor]) -> ModelParts:
    """Hold the tensors of a file against what a model must have."""
    shapes = {name: tuple(t.shape) for name, t in PaintingNetwork().state_dict().items()}
    weights = {name: tensors.get(name) for name in shapes}
    shapes |= _COLORS | dict.fromkeys(_SIGNATURES, (SIGNATURE,))
    if tensors.keys() != shapes.keys():
        missing = sorted(shapes.keys() ^ tensors.keys())[0]
        raise _refusal(path, f"it should have other tensors, {quote(missing)} for one")
    for name, shape in shapes.items():
        tensor = tensors[name]
        dtype = torch.float16 if name in weights else torch.float32
        if tuple(tensor.shape) != shape or tensor.dtype != dtype:
            raise _refusal(path, f"its {name} should be {dtype} of shape {shape}")
        if not bool(tensor.isfinite().all()):
            raise _refusal(path, f"its {name} has numbers that are none")
    colors = Moments(torch.ones((), dtype=torch.float64), *(tensors[n].double() for n in _COLORS))
    return ModelParts(
        facts,
        {name: tensor.float() for name, tensor in weights.items()},
        colors,
        (tensors[_SIGNATURES[0]], tensors[_SIGNATURES[1]]),
    )


def _refusal(path: Path, reason: str) -> ModelError:
    way_out = "" if "; " in reason else f"; {_WAY_OUT}"
    return ModelError(f"`model` must be a fitted model, got {path}: {reason}{way_out}")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
