"""`impasto rerun`: the same picture again, or another in the same way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from impasto.cli import files
from impasto.cli.interrupt import obeying, stoppable
from impasto.cli.options import (
    debug_option,
    json_option,
    overwrite_option,
    progress_option,
    sidecar_option,
)
from impasto.cli.progress import watching

EPILOG = (
    "Inputs are looked for by name and content beside FILE and in the current folder, nowhere "
    "else. On the same machine, with the same torch, on its CPU, the bytes are the same."
)


def _schema(context: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    """Print the recipes' JSON Schema and end."""
    if wanted:
        from impasto.provenance import schema

        click.echo(json.dumps(schema(), indent=2))
        context.exit()


@click.command(epilog=EPILOG)
@click.argument("file")
@click.option("--content", metavar="FILE", help="another content image, or where it is now")
@click.option("--style", multiple=True, metavar="FILE", help="the same for the styles, in order")
@click.option("--weights", metavar="FILE", help="VGG-19 weights, where the recipe names a file")
@click.option("-o", "--output", metavar="OUT", help="where to  [default: FILE-again, here]")
@click.option(
    "--schema", is_flag=True, is_eager=True, expose_value=False, callback=_schema,
    help="print the JSON Schema of recipes and end",
)  # fmt: skip
@sidecar_option
@overwrite_option
@json_option
@progress_option
@debug_option
def rerun(file: str, output: str | None, **options: Any) -> int:
    """Make the picture in FILE again.

    FILE is a picture that impasto made, or a recipe. With --content or --style, the same is made
    of other pictures.
    """
    from impasto.repetition import prepared, repeated

    stem, ending = _named(file)
    place = output or f"{stem}-again{ending}"
    inputs = (file, options["content"], *options["style"], options["weights"])
    files.check_places(files.Saving(place, options["overwrite"], files.files(*inputs)), figures={})
    found = prepared(
        file,
        content=options["content"],
        style=list(options["style"]) or None,
        weights=options["weights"],
    )
    for change in found.changes:
        click.echo(f"impasto: {change}", err=True)
    wished = found.account.output
    saving = files.Saving(
        place,
        options["overwrite"],
        files.files(*inputs, *map(str, found.files)),
        wished.bits,
        wished.quality,
        wished.strip_gps,
        sidecar=options["sidecar"],
    )
    files.check_places(saving, figures={})
    with stoppable() as asked:
        with watching(options["progress"]) as draw:
            result = repeated(found, obeying(asked, draw))
        written = files.put(saving, result)
    files.tell(written, {"output": written, "method": found.account.method} | {
        "seconds": round(result.seconds, 3), "changes": list(found.changes)
    } if options["as_json"] else None)  # fmt: skip
    if not asked.is_set():
        return 0
    click.echo(f"impasto: stopped; what was made by then is in {written}", err=True)
    return 130


def _named(file: str) -> tuple[str, str]:
    """The name and ending that a file's picture has: `a.png.impasto.json` -> `a`, `.png`."""
    name = Path(file).name.removesuffix(".impasto.json")
    ending = Path(name).suffix
    return Path(name).stem, ".png" if ending in ("", ".json") else ending
