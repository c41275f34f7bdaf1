"""Commands that look at things: `info`, `compare`, `figure`, `presets`, `doctor`; and `demo`.

The callbacks import the library, and with it torch, only where they need it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from impasto.cli.options import (
    FILE,
    Command,
    check_single_stdin,
    debug_option,
    flag_name,
    format_value,
    json_option,
    output_option,
    overwrite_option,
    path_or_bytes,
    presets_option,
    progress_option,
)
from impasto.cli.terminal import echo, echo_json
from impasto.presets import PRESETS, read_presets, thumbnail_path

if TYPE_CHECKING:
    pass

PRESETS_EPILOG = (
    "A file of your own is TOML or JSON with a table for each preset: [loud], then lines such as "
    'words = "all style" and strength = 0.9; options are named as in `impasto style --help`, with '
    "_ for -."
)


@click.command("info", cls=Command)
@click.argument("file", type=FILE)
@json_option
@debug_option
def info_command(file: str, as_json: bool) -> None:
    """Show what FILE is and how it was made.

    FILE may be `-` for stdin.
    """
    check_single_stdin({"file": file})
    from impasto.cli.run_inspect import show_info

    show_info(path_or_bytes(file), as_json)


@click.command("compare", cls=Command)
@click.argument("a", type=FILE)
@click.argument("b", type=FILE)
@json_option
@debug_option
def compare_command(a: str, b: str, as_json: bool) -> None:
    """Measure how close A and B are.

    PSNR is in decibels, SSIM goes up to 1; higher is closer. One of the two may be `-` for
    stdin. In JSON, an infinite PSNR, of equal pictures, is null. Stacks are measured over all
    planes; white is the largest number of their type, and 1 of floats.
    """
    check_single_stdin({"a": a, "b": b})
    from impasto.cli.run_inspect import show_closeness

    show_closeness(a, b, as_json)


@click.command("figure", cls=Command)
@click.argument("content", type=FILE)
@click.argument("style", type=FILE)
@click.argument("result", type=FILE)
@output_option("where to: .png .jpg .pdf .svg", required=True)
@overwrite_option
@debug_option
def figure_command(output: str, overwrite: bool, **sources: str) -> None:
    """Draw CONTENT, STYLE and RESULT in one row."""
    check_single_stdin(sources)
    from impasto.cli.run_demo import draw_figure

    draw_figure(output, sources, overwrite)


@click.command("presets", cls=Command, epilog=PRESETS_EPILOG)
@presets_option
@json_option
@debug_option
def presets_command(presets: str | None, as_json: bool) -> None:
    """List the presets: what each looks like and what it changes."""
    known = PRESETS if presets is None else read_presets(presets)
    if as_json:
        rows = []
        for name, preset in known.items():
            path = thumbnail_path(name, known)
            rows.append(
                {
                    "name": name,
                    "words": preset.words,
                    "options": dict(preset.options),
                    "thumbnail": path and str(path),
                }
            )
        echo_json(rows)
        return
    width = max(map(len, known))
    for name, preset in known.items():
        echo(f"{name:{width}}  {preset.words}")
        changed = "  ".join(
            f"{flag_name(key)} {format_value(value)}" for key, value in preset.options.items()
        )
        if changed:
            echo(lead=f"{'':{width}}  {changed}", dim=True)


@click.command("demo", cls=Command)
@output_option("where to", "DIR", default="impasto-demo", show_default=True)
@overwrite_option
@json_option
@progress_option
@debug_option
def demo_command(output: str, overwrite: bool, as_json: bool, progress: bool | None) -> int:
    """Paint a first picture out of nothing.

    Stylizes a photograph with a painting, both of which come with impasto, and writes content,
    style, result, a figure of the three and the loss curve.
    """
    from impasto.cli.run_demo import paint_demo

    return paint_demo(output, overwrite, as_json, progress)
