"""What a picture was made from, and how: the account that is kept inside it and repeats it."""

from __future__ import annotations

import json
import platform
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from impasto._version import __version__
from impasto.recipes import DenoiseRecipe, ReconstructRecipe, StyleRecipe, TextureRecipe
from impasto.validation import did_you_mean, validate

MAX_BYTES = 1_000_000
SIDECAR = ".impasto.json"  # ending of the file that holds the account beside an image
MODELS = {
    "style": StyleRecipe,
    "texture": TextureRecipe,
    "reconstruct": ReconstructRecipe,
    "denoise": DenoiseRecipe,
}
Recipe = StyleRecipe | TextureRecipe | ReconstructRecipe | DenoiseRecipe

_STRICT = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Input(BaseModel):
    """A file, by its name and what is in it; never by where it lies."""

    model_config = _STRICT

    name: Annotated[str, Field(pattern=r"^[^/\\\x00-\x1f]{1,255}$")] | None = Field(
        None, description="the file's name without its folder; null where it had none"
    )
    sha256: str = Field(
        pattern="^[0-9a-f]{64}$",
        description="SHA-256 of the file's bytes; of arrays, of their pixels",
    )


class StyleInput(BaseModel):
    """A style: its pictures, how much it counts, where it goes, what of it is meant."""

    model_config = _STRICT

    pictures: tuple[Input, ...] = Field(
        min_length=1, description="the picture, or those of a folder"
    )
    weight: float = Field(1.0, ge=0, description="how much it counts beside the others")
    region: Input | None = Field(None, description="mask of where it goes")
    mask: Input | None = Field(None, description="mask of the part that is learned from")


class Inputs(BaseModel):
    """Everything that a picture was made from."""

    model_config = _STRICT

    content: Input | None = Field(None, description="the picture that was worked on")
    styles: tuple[StyleInput, ...] = Field((), description="the styles, in order")
    init: Input | None = Field(None, description="the picture that painting started from")
    protect: Input | None = Field(None, description="mask of where the content stays")
    keep: Input | None = Field(None, description="mask of what the content loss counts")


class Output(BaseModel):
    """How the file was written."""

    model_config = _STRICT

    bits: Literal[8, 16, 32] | None = Field(None, description="bits a channel; null: the writer's")
    quality: Annotated[int, Field(ge=1, le=100)] | None = Field(
        None, description="of formats that lose; null: the writer's"
    )
    strip_gps: bool = Field(False, description="whether the place of a photograph was left out")


class Maker(BaseModel):
    """What made it: other versions may give other bytes."""

    model_config = _STRICT

    impasto: str = Field(description="version of impasto")
    torch: str = Field(description="version of PyTorch")
    device: str = Field(description="where it was computed, such as `cpu` or `cuda:0`")
    machine: str = Field(description="the processor's architecture")
    threads: int = Field(ge=1, description="threads it was computed with")


class Provenance(BaseModel):
    """The whole account: method, recipe, inputs, output, and what made it."""

    model_config = _STRICT | ConfigDict(title="impasto recipe")

    version: Literal[1] = Field(1, description="version of this format")
    method: Literal["style", "texture", "reconstruct", "denoise"]
    recipe: Annotated[Recipe, Field(union_mode="left_to_right")]
    inputs: Inputs = Inputs()
    output: Output = Output()
    maker: Maker | None = None
    fingerprint: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = Field(
        None, description="SHA-256 of all that the bytes depend on; pictures of a batch have it"
    )


def schema() -> dict[str, Any]:
    """The JSON Schema of what is stored inside a picture and in its sidecar.

    Example:
        >>> schema()["title"]
        'impasto recipe'
    """
    found = Provenance.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found}


def method_of(recipe: Recipe) -> str:
    """What a recipe is for.

    Example:
        >>> method_of(StyleRecipe())
        'style'
    """
    return next(method for method, model in MODELS.items() if type(recipe) is model)


def current_maker(device: str) -> Maker:
    """What makes a picture here and now."""
    import torch

    return Maker(
        impasto=__version__,
        torch=torch.__version__,
        device=device,
        machine=platform.machine(),
        threads=torch.get_num_threads(),
    )


def read_provenance(text: str, name: str = "recipe") -> Provenance:
    """Read an account from JSON; a recipe alone is one without inputs.

    Nothing in it is executed, and no path in it is opened: inputs have names, not places.

    Args:
        text: the JSON.
        name: what errors call it.

    Raises:
        ValueError: it is too long, no JSON, of a later version, or has anything in it that does
            not belong there.

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
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        start = " ".join(text[:40].split())
        raise ValueError(f"`{name}` must be a JSON object, got {start!r}; give an impasto recipe")
    if "recipe" not in found and "inputs" not in found:
        return _bare(found)
    version = found.get("version", 1)
    if isinstance(version, int) and version > 1:
        raise ValueError(
            f"`version` must be 1, got {version}: this recipe was written by a later impasto; "
            "update impasto"
        )
    method = found.get("method")
    if method not in MODELS:
        raise ValueError(
            f"`method` must be one of {', '.join(MODELS)}, got {method!r}"
            f"{did_you_mean(method, MODELS)}"
        )
    recipe = found.get("recipe")
    own = _recipe(MODELS[method], recipe if isinstance(recipe, dict) else {"recipe": recipe})
    rest = {key: value for key, value in found.items() if key != "recipe"}
    for key in rest:
        if key not in Provenance.model_fields:
            known = ", ".join(Provenance.model_fields)
            raise ValueError(
                f"`{key}` must be one of {known}, got {str(rest[key])[:40]!r}; leave it out"
            )
    try:
        return Provenance.model_validate({**rest, "recipe": own})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        value = str(first["input"])[:60]
        why = first["msg"][:1].lower() + first["msg"][1:]
        raise ValueError(
            f"`{where}` must be as impasto writes it, got {value!r}: {why}; leave it out or mend it"
        ) from None


def _bare(found: dict[str, Any]) -> Provenance:
    """An account of a recipe alone, told by what only one kind of recipe has."""
    told = {"method": "denoise", "layer": "reconstruct", "tileable": "texture"}
    method = next((kind for key, kind in told.items() if key in found), "style")
    return Provenance(method=method, recipe=_recipe(MODELS[method], found))


def _recipe(model: type[BaseModel], options: dict[str, Any]) -> BaseModel:
    """A recipe from JSON; one of a later version is refused as such."""
    version = options.get("version", 1)
    if isinstance(version, int) and version > 1:
        raise ValueError(
            f"`version` must be 1, got {version}: this recipe was written by a later impasto; "
            "update impasto"
        )
    return validate(model, options)
