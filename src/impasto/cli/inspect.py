"""`impasto compare`, `impasto figure` and `impasto info`: looking at pictures that exist."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from impasto.cli import files
from impasto.cli.options import debug_option, format_value, json_option, overwrite_option
from impasto.errors import ImageError
from impasto.images.image import Image

if TYPE_CHECKING:
    from torch import Tensor

    from impasto.images.stack import Stack
    from impasto.result import Diagnosis


@click.command()
@click.argument("a")
@click.argument("b")
@json_option
@debug_option
def compare(a: str, b: str, as_json: bool) -> None:
    """Measure how close A and B are.

    PSNR is in decibels, SSIM goes up to 1; higher is closer. One of the two may be `-` for
    stdin. In JSON, an infinite PSNR, of equal pictures, is null. Stacks are measured over all
    planes; white is the largest number of their type, and 1 of floats.
    """
    files.check_single_stdin({"a": a, "b": b})
    decibels, likeness = _closeness(files.open_measured(a, "a"), files.open_measured(b, "b"))
    if as_json:
        click.echo(json.dumps({"psnr": files.plain(decibels), "ssim": files.plain(likeness)}))
        return
    click.echo("PSNR  " + (f"{decibels:.2f} dB" if math.isfinite(decibels) else "infinite"))
    click.echo(f"SSIM  {likeness:.4f}")


@click.command()
@click.argument("content")
@click.argument("style")
@click.argument("result")
@click.option("-o", "--output", required=True, metavar="FILE", help="where to: .png .jpg .pdf .svg")
@overwrite_option
@debug_option
def figure(content: str, style: str, result: str, output: str, overwrite: bool) -> None:
    """Draw CONTENT, STYLE and RESULT in one row."""
    from impasto.figures import check_figure, save_figure, triptych

    named = {"content": content, "style": style, "result": result}
    files.check_single_stdin(named)
    inputs = files.files(*named.values())
    check_figure(output, overwrite=overwrite, inputs=inputs, name="output")
    pictures = [files.open_content(source, name) for name, source in named.items()]
    row = triptych(*pictures)
    click.echo(str(save_figure(row, output, overwrite)))


@click.command()
@click.argument("file")
@json_option
@debug_option
def info(file: str, as_json: bool) -> None:
    """Show what FILE is and how it was made.

    FILE may be `-` for stdin.
    """
    files.check_single_stdin({"file": file})
    facts, found = _facts(files.contents(file))
    if as_json:
        click.echo(json.dumps(facts | {"noise": files.noise_facts(found)}, ensure_ascii=False))
        return
    made = _made(facts.pop("made", {}))
    rows = list(_rows(facts | made | {"noise": found.words}))
    width = max((len(name) for name, _ in rows), default=0)
    for name, value in rows:
        click.echo(f"{click.style(name.ljust(width), bold=True)}  {value}".rstrip())


def _closeness(a: Image | Stack, b: Image | Stack) -> tuple[float, float]:
    """PSNR and SSIM over all planes of two pictures or stacks."""
    from impasto.metrics import psnr, ssim

    counts = [1 if isinstance(one, Image) else one.count for one in (a, b)]
    if counts[0] != counts[1]:
        raise ValueError(
            f"`b` must have as many planes as `a`, {counts[0]}, got {counts[1]}; compare others"
        )
    errors, likenesses = [], []
    for planes in zip(_planes(a), _planes(b), strict=True):
        first, second = _alike(*planes)
        errors.append(10 ** (-psnr(first, second) / 10))
        likenesses.append(ssim(first, second))
    error = sum(errors) / len(errors)
    decibels = -10 * math.log10(error) if error else math.inf
    return decibels, sum(likenesses) / len(likenesses)


def _planes(source: Image | Stack) -> Iterator[Tensor]:
    """The planes of a picture or a stack, (C, H, W), one at a time."""
    if isinstance(source, Image):
        yield source.pixels
    else:
        yield from (source.read_plane(index) for index in source.plane_indices())


def _alike(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Two pictures (C, H, W); a gray one is repeated where the other has colors."""
    channels = max(len(a), len(b))
    first, second = (one.expand(channels, -1, -1) if len(one) == 1 else one for one in (a, b))
    return first, second


def _facts(source: str | bytes) -> tuple[dict[str, Any], Diagnosis]:
    """What a file is, and what noise it has."""
    from impasto.denoising.diagnose import diagnose
    from impasto.images.open_input import open_input
    from impasto.images.read import describe_image
    from impasto.images.tiff_read import is_scientific_tiff

    measured = isinstance(source, str) and is_scientific_tiff(source)
    try:
        facts = dict(describe_image(source, name="file"))
    except ImageError:
        if not measured:
            raise
        # Data may be of a type that no picture has.
        facts = {"format": "TIFF", "bytes": Path(source).stat().st_size}
    opened = open_input(source, name="file")
    if measured:
        facts |= {"axes": opened.axes, "shape": list(opened.shape), "dtype": opened.dtype.name}
    return facts, diagnose(opened)


def _made(account: Mapping[str, Any]) -> dict[str, Any]:
    """What a picture was made from and by, a name each."""
    if not account:
        return {}
    inputs = account.get("inputs") or {}
    styles = [one["name"] or "unnamed" for s in inputs.get("styles", ()) for one in s["pictures"]]
    others = {name: one["name"] for name, one in inputs.items() if isinstance(one, Mapping)}
    maker = account.get("maker") or {}
    by = [f"{name} {maker[name]}" for name in ("impasto", "torch", "device") if name in maker]
    found = {"method": account.get("method"), **others, "style": ", ".join(styles) or None}
    return {name: value for name, value in found.items() if value} | {"made by": ", ".join(by)}


def _rows(facts: Mapping[str, Any], indent: str = "") -> Iterator[tuple[str, str]]:
    """Names and values of a table, nested facts indented below their name."""
    for name, value in facts.items():
        label = indent + str(name).replace("_", " " if not indent else "_")
        if isinstance(value, Mapping) and value and not str(name).endswith("_layers"):
            yield label, ""
            yield from _rows(value, indent + "  ")
        else:
            yield label, _spoken(value)


def _spoken(value: Any) -> str:
    """A value in words."""
    if value is None or value == {}:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return " × ".join(map(format_value, value))
    return format_value(value)
