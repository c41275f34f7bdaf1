"""`impasto presets`: what there is to choose from."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from impasto.cli.options import debug_option, flag_name, format_value, json_option
from impasto.presets import PRESETS, read_presets, thumbnail_path

F = TypeVar("F", bound=Callable[..., Any])

EPILOG = (
    "A file of your own is TOML or JSON with a table for each preset: [loud], then lines such as "
    'words = "all style" and strength = 0.9; options are named as in `impasto style --help`, with '
    "_ for -."
)


def presets_option(command: F) -> F:
    """`--presets`."""
    return click.option(
        "--presets", metavar="FILE", help="presets of your own, .toml or .json, beside impasto's"
    )(command)


@click.command(epilog=EPILOG)
@presets_option
@json_option
@debug_option
def presets(presets: str | None, as_json: bool) -> None:
    """List the presets: what each looks like and what it changes."""
    known = PRESETS if presets is None else read_presets(presets)
    if as_json:
        rows = [
            {
                "name": name,
                "words": preset.words,
                "options": dict(preset.options),
                "thumbnail": _path(thumbnail_path(name, known)),
            }
            for name, preset in known.items()
        ]
        click.echo(json.dumps(rows, ensure_ascii=False))
        return
    width = max(map(len, known))
    for name, preset in known.items():
        click.echo(f"{name:{width}}  {preset.words}")
        changed = "  ".join(
            f"{flag_name(key)} {format_value(value)}" for key, value in preset.options.items()
        )
        if changed:
            click.echo(f"{'':{width}}  {click.style(changed, dim=True)}")


def _path(place: Path | None) -> str | None:
    """A path as JSON has it."""
    return place and str(place)
