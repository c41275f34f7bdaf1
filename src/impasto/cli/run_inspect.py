"""What the commands `info` and `compare` do, without loading what only painting needs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from impasto.cli.files import json_number, noise_facts, print_notes, read_image_or_stack
from impasto.cli.options import format_value
from impasto.cli.terminal import echo, echo_json
from impasto.denoising.diagnose import diagnose
from impasto.errors import ImageError, shorten
from impasto.images.clip_names import is_pattern, is_video
from impasto.images.image import Image
from impasto.images.open_input import open_input
from impasto.images.read import describe_image
from impasto.images.stack import Stack
from impasto.images.tiff_read import is_scientific_tiff, open_stack
from impasto.images.video_read import open_clip
from impasto.metrics import psnr, ssim
from impasto.models.model_file import ENDING, read_model
from impasto.provenance import MAX_BYTES, provenance_of, read_provenance, sidecar_path

_MAX_VALUE = 500  # characters of a row


def show_info(source: str | bytes, as_json: bool) -> None:
    """Print what a file is, how it was made, and its noise; of a fitted model, what it reached."""
    if isinstance(source, str) and Path(source).suffix == ENDING:
        facts = _model_facts(source)
        echo_json(facts) if as_json else _print_table(facts)
        return
    if isinstance(source, str) and (is_video(source) or is_pattern(source)):
        facts = _clip_facts(source)
        made = {} if as_json else _maker_facts(facts.pop("made", {}))
        echo_json(facts) if as_json else _print_table(facts | made)
        return
    facts = _checked_recipe(_file_facts(source))
    data = open_input(source, name="file")
    print_notes(facts["format"] if isinstance(source, bytes) else source, data)
    diagnosis = diagnose(data)
    if as_json:
        echo_json(facts | {"noise": noise_facts(diagnosis)})
        return
    if problem := facts.pop("recipe_problem", None):
        facts["recipe"] = f"unreadable: {problem}"
    _print_table(facts | _maker_facts(facts.pop("made", {})) | {"noise": diagnosis.words})


def _print_table(facts: Mapping[str, Any]) -> None:
    rows = list(_rows(facts))
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        echo(f"  {shorten(value, _MAX_VALUE)}".rstrip(), lead=name.ljust(width), bold=True)


def show_closeness(a: str, b: str, as_json: bool) -> None:
    """Print PSNR and SSIM of two images or stacks."""
    sources = read_image_or_stack(a, "a"), read_image_or_stack(b, "b")
    counts = [getattr(source, "count", 1) for source in sources]
    if counts[0] != counts[1]:
        raise ValueError(
            f"`b` must have as many planes as `a`, {counts[0]}, got {counts[1]}; compare others"
        )
    errors, similarities = [], []
    for planes in zip(*map(_planes, sources), strict=True):
        # A gray image is repeated where the other has colors.
        channels = max(map(len, planes))
        first, second = (p.expand(channels, -1, -1) if len(p) == 1 else p for p in planes)
        errors.append(10 ** (-psnr(first, second) / 10))
        similarities.append(ssim(first, second))
    error = sum(errors) / len(errors)
    decibels = -10 * math.log10(error) if error else math.inf
    similarity = sum(similarities) / len(similarities)
    if as_json:
        facts = {"psnr": json_number(decibels), "ssim": json_number(similarity)}
        echo_json(facts)
        return
    echo("PSNR  " + (f"{decibels:.2f} dB" if math.isfinite(decibels) else "infinite"))
    echo(f"SSIM  {similarity:.4f}")


def _model_facts(path: str) -> dict[str, Any]:
    """Return what a fitted model's file says about itself."""
    parts, file = read_model(path)
    facts = parts.facts
    styles = [image.name or "unnamed" for style in facts.styles for image in style.pictures]
    maker = facts.maker
    return {
        "format": "fitted model",
        "bytes": Path(path).stat().st_size,
        "sha256": file.sha256,
        "style": ", ".join(styles),
        "photographs": len(facts.photographs),
        "figures": facts.figures.model_dump(),
        "recipe": facts.recipe.model_dump(),
        "made by": f"impasto {maker.impasto}, torch {maker.torch}, device {maker.device}",
    }


def _clip_facts(path: str) -> dict[str, Any]:
    """Return what a film is, and how it was made, where the file beside it says so."""
    clip = open_clip(path)
    for note in clip.notes:
        echo(f"impasto: {path}: {note}", err=True)
    facts = {
        "format": "film",
        "size": list(clip.size),
        "frames": clip.frames,
        "rate": round(float(clip.rate), 4),
        "seconds": round(float(clip.frames / clip.rate), 3),
        "sound": clip.has_sound,
        "recipe": None,
    }
    place = sidecar_path(path)
    if not place.is_file():
        return facts
    try:
        text = place.read_bytes()[: MAX_BYTES + 1].decode(errors="replace")
        told = read_provenance(text, "recipe").model_dump(mode="json")
    except (OSError, ValueError) as error:
        return facts | {"recipe_problem": str(error)}
    return facts | {"recipe": told.pop("recipe"), "made": told}


def _planes(source: Image | Stack) -> Iterator[Tensor]:
    """Yield the planes of an image or a stack, (C, H, W), one at a time."""
    if isinstance(source, Stack):
        yield from (source.read_plane(index) for index in source.plane_indices())
    else:
        yield source.pixels


def _file_facts(source: str | bytes) -> dict[str, Any]:
    """Return what a file says about itself; of measured data, axes and type too."""
    failure = None
    try:
        facts = dict(describe_image(source, name="file"))
    except ImageError as error:
        facts, failure = {"format": "TIFF", "recipe": None}, error
    if facts["format"] != "TIFF":
        return facts
    if not is_scientific_tiff(source):
        if failure:
            raise failure
        return facts
    if failure:  # data may be of a type that no image has
        facts["bytes"] = len(source) if isinstance(source, bytes) else Path(source).stat().st_size
    stack = open_stack(source, name="file")
    return facts | {"axes": stack.axes, "shape": list(stack.shape), "dtype": stack.dtype.name}


def _checked_recipe(facts: dict[str, Any]) -> dict[str, Any]:
    """Replace a recipe that impasto cannot have written by the reason; the other facts stay."""
    recipe = facts["recipe"]
    if recipe is None:
        return facts
    try:
        provenance_of({**facts["made"], "recipe": recipe} if "made" in facts else recipe)
    except ValueError as error:
        facts = {name: value for name, value in facts.items() if name != "made"}
        return facts | {"recipe": None, "recipe_problem": str(error)}
    return facts


def _maker_facts(made: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an image was made from and by, a name each."""
    if not made:
        return {}
    inputs = made.get("inputs") or {}
    styles = [
        image.get("name") or "unnamed"
        for style in inputs.get("styles", ())
        for image in style["pictures"]
    ]
    names = {key: value.get("name") for key, value in inputs.items() if isinstance(value, Mapping)}
    maker = made.get("maker") or {}
    versions = [f"{name} {maker[name]}" for name in ("impasto", "torch", "device") if name in maker]
    treatments = made.get("treatments")
    treatments = treatments if isinstance(treatments, list) else []
    removed = "; ".join(_format_treatment(t) for t in treatments if isinstance(t, Mapping)) or None
    facts = {"method": made.get("method"), "removed": removed}
    facts |= {**names, "style": ", ".join(styles) or None}
    return {key: value for key, value in facts.items() if value} | {"made by": ", ".join(versions)}


def _format_treatment(treatment: Mapping[str, Any]) -> str:
    """Write what was done to planes: `gaussian noise by nl-wiener in planes 1-3`."""
    method, planes = treatment.get("method"), treatment.get("planes")
    done = f"{treatment.get('kind')} noise by {method}" if method else "nothing"
    return done if planes is None else f"{done} in planes {planes}"


def _rows(facts: Mapping[str, Any], indent: str = "") -> Iterator[tuple[str, str]]:
    """Yield names and values of a table, nested facts indented below their name."""
    for name, value in facts.items():
        label = indent + str(name).replace("_", " " if not indent else "_")
        if isinstance(value, Mapping) and value and not str(name).endswith("_layers"):
            yield label, ""
            yield from _rows(value, indent + "  ")
        else:
            yield label, _format_fact(value)


def _format_fact(value: Any) -> str:
    if value is None or value == {}:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return " × ".join(map(format_value, value))
    return format_value(value)
