"""`impasto demo`: a first picture that needs nothing but the install."""

from __future__ import annotations

import json

import click

from impasto.cli.options import debug_option, json_option, overwrite_option, progress_option
from impasto.cli.progress import show_progress
from impasto.cli.signals import interruptible, stop_when_asked


@click.command()
@click.option(
    "-o", "--output", default="impasto-demo", metavar="DIR", show_default=True, help="where to"
)
@overwrite_option
@json_option
@progress_option
@debug_option
def demo(output: str, overwrite: bool, as_json: bool, progress: bool | None) -> int:
    """Paint a first picture out of nothing.

    Stylizes a photograph with a painting, both of which come with impasto, and writes content,
    style, result, a figure of the three and the loss curve.
    """
    from impasto.demo import demo as paint_demo

    with interruptible() as asked, show_progress(progress) as draw:
        paths = paint_demo(output, on_step=stop_when_asked(asked, draw), overwrite=overwrite)
    if as_json:
        click.echo(json.dumps({name: str(path) for name, path in paths.items()}))
    else:
        for path in paths.values():
            click.echo(str(path))
    return 130 if asked.is_set() else 0
