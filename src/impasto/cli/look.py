"""`impasto compare`, `impasto figure` and `impasto info`: looking at pictures that exist."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from impasto.cli import files
from impasto.cli.options import debug_option, json_option, overwrite_option, shown

if TYPE_CHECKING:
    from impasto.picture.record import Picture


@click.command()
@click.argument("a")
@click.argument("b")
@json_option
@debug_option
def compare(a: str, b: str, as_json: bool) -> None:
    """Measure how close A and B are.

    PSNR is in decibels, SSIM goes up to 1; higher is closer. One of the two may be `-` for
    stdin. In JSON, an infinite PSNR, of equal pictures, is null.
    """
    from impasto.measure.quality import psnr, ssim

    files.one_pipe({"a": a, "b": b})
    first, second = _alike(files.opened(a, "a"), files.opened(b, "b"))
    decibels, likeness = psnr(first, second), ssim(first, second)
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
    from impasto.measure.figures import check_figure, save_figure, triptych

    named = {"content": content, "style": style, "result": result}
    files.one_pipe(named)
    inputs = files.files(*named.values())
    check_figure(output, overwrite=overwrite, inputs=inputs, name="output")
    pictures = [files.opened(source, name) for name, source in named.items()]
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
    from impasto.picture.read import describe

    files.one_pipe({"file": file})
    facts = dict(describe(files.contents(file), name="file"))
    if as_json:
        click.echo(json.dumps(facts, ensure_ascii=False))
        return
    rows = list(_rows(facts))
    width = max((len(name) for name, _ in rows), default=0)
    for name, value in rows:
        click.echo(f"{click.style(name.ljust(width), bold=True)}  {value}".rstrip())


def _alike(a: Picture, b: Picture) -> tuple[Any, Any]:
    """The pixels of two pictures; a grey one is repeated where the other has colors."""
    channels = max(a.pixels.shape[0], b.pixels.shape[0])
    first, second = (
        p.pixels.expand(channels, -1, -1) if p.pixels.shape[0] == 1 else p.pixels for p in (a, b)
    )
    return first, second


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
        return " × ".join(map(shown, value))
    return shown(value)
