"""`impasto sheet`: the same painting in many ways, small and labelled; then one of them, large."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import click

from impasto.cli import files
from impasto.cli.options import (
    debug_option,
    flag_name,
    given_options,
    json_option,
    overwrite_option,
    progress_option,
)
from impasto.cli.presets import presets_option
from impasto.cli.signals import interruptible
from impasto.cli.style import paint_files
from impasto.cli.style_args import mask_options, open_styles, parse_styles
from impasto.cli.style_args import style_names as named_files
from impasto.contact_sheet import VALUES, SheetCell, sheet_cells
from impasto.presets import PRESETS, read_presets
from impasto.recipes import StyleRecipe


class _Effort(NamedTuple):
    """What a cell is painted with: pixels on its longer side, evaluations."""

    size: int
    steps: int


MOST = 36  # paintings on a sheet
FEW = 9  # more than these are painted smaller, so that it takes about as long
_LARGE, _SMALL = _Effort(160, 40), _Effort(128, 20)
# What a painting is asked for beside its recipe, where nothing is.
_PLAIN = {
    **dict.fromkeys(("figure", "loss_curve", "timelapse", "save_every", "checkpoint", "quality")),
    "bits": None,
    "strip_gps": False,
    "sidecar": True,
    "dry_run": False,
}

EPILOG = (
    "The same command with --pick N paints the cell of that number at full size. Any other option "
    "of `impasto style` is given with --set, as --set seed=3; it holds for all cells."
)


@click.command(epilog=EPILOG)
@click.argument("content")
@click.argument("style", nargs=-1, required=True)
@click.option(
    "--over",
    multiple=True,
    metavar="OPTION[=A,B,…]",
    help=f"what to vary: one or two of {', '.join(flag_name(name)[2:] for name in VALUES)}, with "
    "values of your own or the usual ones; style-scale counts in shares of the usual brush  "
    "[default: preset]",
)
@click.option("--set", "settings", multiple=True, metavar="OPTION=VALUE", help="for all cells")
@click.option(
    "--cell", type=click.IntRange(64, 512), metavar="N",
    help=f"longer side of a cell in pixels  [default: {_LARGE.size}; {_SMALL.size} of more "
    f"than {FEW} cells]",
)  # fmt: skip
@click.option(
    "--cell-steps", type=click.IntRange(1, 1000), metavar="N",
    help="evaluations of a cell; more shows finer strokes  "
    f"[default: {_LARGE.steps}; {_SMALL.steps} of more than {FEW}]",
)  # fmt: skip
@click.option("--pick", type=click.IntRange(1), metavar="N", help="paint this cell at full size")
@click.option("-o", "--output", metavar="FILE", help="where to  [default: CONTENT-sheet.png here]")
@mask_options
@presets_option
@overwrite_option
@json_option
@progress_option
@debug_option
def sheet(content: str, style: tuple[str, ...], **options: Any) -> int:
    """Show CONTENT in the style of STYLE in many ways at once.

    Small and quick, each with a number and what was varied.
    """
    known = PRESETS if options["presets"] is None else read_presets(options["presets"])
    over = _over(options["over"] or ("preset",), known)
    shared = _settings(options["settings"])
    size = shared.pop("size", 512)
    if options["pick"]:
        return _picked(content, style, over, {**shared, "size": size, "presets": known}, options)
    count = math.prod(map(len, over.values()))
    if count > MOST:
        raise ValueError(f"`over` must give at most {MOST} cells, got {count}; name fewer")
    effort = _SMALL if count > FEW else _LARGE
    shared["steps"] = options["cell_steps"] or effort.steps
    found = sheet_cells(over, options["cell"] or effort.size, presets=known, **shared)
    wanted = parse_styles(style, options)
    beside = {name: options[name] for name in ("protect", "keep") if options[name]}
    inputs = {"content": content, **named_files(wanted), **beside}
    files.check_single_stdin(inputs)
    place = options["output"] or f"{files.base_name(content)}-sheet.png"
    saving = files.SaveOptions(place, options["overwrite"], files.files(*inputs.values()))
    files.check_places(saving, writes_picture=False, figures={"output": place})
    pictures = {
        "content": files.open_content(content, "content"),
        "style": open_styles(wanted),
        **{name: files.open_content(source, name) for name, source in beside.items()},
    }
    columns = len(list(over.values())[-1]) if len(over) == 2 else 0
    return _drawn(found, pictures, saving, columns, options)


def _drawn(
    found: list[SheetCell],
    pictures: dict[str, Any],
    saving: files.SaveOptions,
    columns: int,
    options: Any,
) -> int:
    """Paint every cell and draw the sheet."""
    from impasto.api import plan_style, stylize
    from impasto.figures import contact_sheet, save_figure

    plan_style(**pictures, recipe=_only_painted(found[0]))  # refused before anything is said
    painted = []
    with interruptible() as asked:
        for cell in found:
            if asked.is_set():
                break
            if options["progress"] is not False:
                click.echo(f"{cell.number} of {len(found)}: {cell.label}", err=True)
            painted.append(stylize(**pictures, recipe=_only_painted(cell)).pixels)
        titles = [f"{cell.number}   {cell.label}" for cell in found[: len(painted)]]
        columns = columns or math.ceil(math.sqrt(len(found)))
        if painted:
            drawing = contact_sheet(titles, painted, columns)
            save_figure(drawing, saving.output, saving.overwrite)
    facts = {
        "output": saving.output,
        "cells": [{"number": cell.number, "label": cell.label} for cell in found[: len(painted)]],
    }
    if painted:
        files.print_result(saving.output, facts if options["as_json"] else None)
    return 130 if asked.is_set() else 0


def _only_painted(cell: SheetCell) -> StyleRecipe:
    """A cell's recipe without what cleans: a sheet is to be quick."""
    return cell.recipe.model_copy(update={"denoise": "no"})


def _picked(
    content: str, style: tuple[str, ...], over: Any, shared: dict[str, Any], options: dict[str, Any]
) -> int:
    """Paint one cell at full size, as `impasto style` would."""
    size = shared.pop("size")
    if size == "original":
        size = max(files.open_content(content, "content").size)
    found = sheet_cells(over, size, **shared)
    if options["pick"] > len(found):
        raise ValueError(
            f"`pick` must be a cell from 1 to {len(found)}, got {options['pick']}; look at the "
            "sheet again"
        )
    recipe = found[options["pick"] - 1].recipe
    place = options["output"] or f"{files.base_name(content)}-{options['pick']}.png"
    return paint_files(content, style, place, recipe, None, {**_PLAIN, **options})


def _over(texts: tuple[str, ...], known: Any) -> dict[str, list[Any]]:
    """What is varied, with its values."""
    found: dict[str, list[Any]] = {}
    for text in texts:
        name, _, listed = text.partition("=")
        name = name.removeprefix("--").replace("-", "_")
        if name not in VALUES:
            raise ValueError(
                f"`over` must be one of {', '.join(flag_name(one)[2:] for one in VALUES)}, "
                f"got {text!r}"
            )
        usual = [one for one in known if one not in ("notebook", "gatys")]
        values = listed.split(",") if listed else usual if name == "preset" else VALUES[name]
        found[name] = [_value(name, value) for value in values]
    if len(found) > 2:
        raise ValueError(f"`over` must be one option or two, got {len(found)}; drop some")
    return found


def _value(name: str, value: Any) -> Any:
    """A value as the recipe takes it."""
    if name == "preset" or not isinstance(value, str):
        return value
    try:
        return float(value)
    except ValueError:
        raise ValueError(
            f"`over` must give numbers for {flag_name(name)[2:]}, got {value!r}; for example "
            f"{flag_name(name)[2:]}=0.2,0.8"
        ) from None


def _settings(texts: tuple[str, ...]) -> dict[str, Any]:
    """Options of `impasto style` for all cells."""
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        name = name.removeprefix("--").replace("-", "_")
        known = (*StyleRecipe.model_fields, *StyleRecipe.OLD_OPTIONS)
        if not equals or name not in known or name == "version":
            raise ValueError(
                f"`set` must be OPTION=VALUE with an option of `impasto style`, got {text!r}; for "
                "example seed=3"
            )
        found[name] = value
    return given_options(StyleRecipe, found)
