"""`impasto sheet`: the same painting in many ways, small and labelled; then one of them, large."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import click

from impasto.cli.options import (
    FILE,
    Command,
    debug_option,
    flag_name,
    json_option,
    output_option,
    overwrite_option,
    parse_options,
    presets_option,
    progress_option,
    stem,
)
from impasto.cli.style import paint_style
from impasto.cli.style_args import mask_options, parse_styles
from impasto.presets import PRESETS, Preset, read_presets, style_recipe
from impasto.recipes import StyleRecipe

MAX_CELLS = 36
MANY = 9  # more cells than these are painted smaller, so that a sheet takes about as long
LARGE_CELL, LARGE_STEPS = 160, 40  # pixels on a cell's longer side, evaluations
SMALL_CELL, SMALL_STEPS = 128, 20  # the same where there are many
PLAIN = ("notebook", "gatys")  # presets that reproduce a publication rather than a look
VALUES: Mapping[str, tuple[Any, ...]] = {
    "strength": (0.2, 0.35, 0.5, 0.65, 0.8),
    "style_scale": (0.5, 0.7, 1.0, 1.4, 2.0),
    "color": (0.0, 0.25, 0.5, 0.75, 1.0),
    "structure": (0.0, 0.25, 0.5, 0.75, 1.0),
    "preset": tuple(name for name in PRESETS if name not in PLAIN),
}
_UNIT_SIDE = 512  # pixels at which `style_scale` 1 is what `fit` gives

EPILOG = (
    "The same command with --pick N paints the cell of that number at full size. Any other option "
    "of `impasto style` is given with --set, as --set seed=3; it holds for all cells."
)


class SheetCell(NamedTuple):
    """One painting of a sheet.

    Attributes:
        number: from 1, by rows.
        label: what is varied, as one types it.
        recipe: how it is painted.
    """

    number: int
    label: str
    recipe: StyleRecipe


def sheet_cells(
    over: Mapping[str, Sequence[Any]],
    size: int,
    *,
    presets: Mapping[str, Preset] = PRESETS,
    **options: Any,
) -> list[SheetCell]:
    """List the paintings of a contact sheet, at one size.

    The same call with another size gives the same paintings, larger: strokes grow with them.

    Args:
        over: an option or two, each with its values; of `style_scale` they are shares of what
            `fit` gives.
        size: longer side of each painting in pixels.
        presets: the presets there are.
        options: what all of them share, as for `style_recipe`.

    Raises:
        ValueError: an option or a value is wrong.

    Example:
        >>> [cell.label for cell in sheet_cells({"strength": [0.2, 0.8], "color": [0, 1]}, 128)]
        ['strength 0.2  color 0', 'strength 0.2  color 1', 'strength 0.8  color 0', ...
    """
    cells = []
    for number, values in enumerate(itertools.product(*over.values()), 1):
        varied = dict(zip(over, values, strict=True))
        label = "  ".join(
            f"{flag_name(name)[2:]} {f'{value:g}' if isinstance(value, int | float) else value}"
            for name, value in varied.items()
        )
        if "style_scale" in varied:
            varied["style_scale"] = round(varied["style_scale"] * size / _UNIT_SIDE, 6)
        recipe = style_recipe(**{**options, **varied, "size": size}, presets=presets)
        cells.append(SheetCell(number, label, recipe))
    return cells


@click.command("sheet", cls=Command, epilog=EPILOG)
@click.argument("content", type=FILE)
@click.argument("style", nargs=-1, required=True, type=FILE)
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
    "--cell",
    type=click.IntRange(64, 512),
    metavar="N",
    help=f"longer side of a cell in pixels  [default: {LARGE_CELL}; {SMALL_CELL} of more "
    f"than {MANY} cells]",
)
@click.option(
    "--cell-steps",
    type=click.IntRange(1, 1000),
    metavar="N",
    help="evaluations of a cell; more shows finer strokes  "
    f"[default: {LARGE_STEPS}; {SMALL_STEPS} of more than {MANY}]",
)
@click.option("--pick", type=click.IntRange(1), metavar="N", help="paint this cell at full size")
@output_option("where to  [default: CONTENT-sheet.png here]")
@mask_options
@presets_option
@overwrite_option
@json_option
@progress_option
@debug_option
def sheet_command(content: str, style: tuple[str, ...], **options: Any) -> int:
    """Show CONTENT in the style of STYLE in many ways at once.

    Small and quick, each with a number and what was varied.
    """
    presets = PRESETS if options["presets"] is None else read_presets(options["presets"])
    over = _parse_over(options["over"] or ("preset",), presets)
    shared = {**_parse_settings(options["settings"]), "presets": presets}
    styles = parse_styles(style, options)
    size = shared.pop("size", _UNIT_SIDE)
    if options["pick"]:
        if size == "original":
            from impasto.cli.files import read_image

            size = max(read_image(content, "content").size)
        cell = _picked_cell(sheet_cells(over, size, **shared), options["pick"])
        output = options["output"] or f"{stem(content)}-{cell.number}.png"
        return paint_style(content, styles, output, cell.recipe, {**options, "sidecar": True})
    count = math.prod(map(len, over.values()))
    if count > MAX_CELLS:
        raise ValueError(f"`over` must give at most {MAX_CELLS} cells, got {count}; name fewer")
    side, steps = (SMALL_CELL, SMALL_STEPS) if count > MANY else (LARGE_CELL, LARGE_STEPS)
    shared["steps"] = options["cell_steps"] or steps
    cells = sheet_cells(over, options["cell"] or side, **shared)
    masks = {name: options[name] for name in ("protect", "keep") if options[name]}

    from impasto.cli.run import paint_sheet

    return paint_sheet(
        # A sheet is to be quick: nothing is cleaned.
        [cell._replace(recipe=cell.recipe.model_copy(update={"denoise": "no"})) for cell in cells],
        {"content": content, "style": styles, **masks},
        options["output"] or f"{stem(content)}-sheet.png",
        options,
        columns=len(list(over.values())[-1]) if len(over) == 2 else math.ceil(math.sqrt(count)),
    )


def _picked_cell(cells: Sequence[SheetCell], number: int) -> SheetCell:
    if number > len(cells):
        raise ValueError(
            f"`pick` must be a cell from 1 to {len(cells)}, got {number}; look at the sheet again"
        )
    return cells[number - 1]


def _parse_over(texts: Sequence[str], presets: Mapping[str, Preset]) -> dict[str, list[Any]]:
    """Parse `strength=0.2,0.8` into the option that varies and its values."""
    over: dict[str, list[Any]] = {}
    for text in texts:
        name, _, listed = text.partition("=")
        name = name.removeprefix("--").replace("-", "_")
        if name not in VALUES:
            raise ValueError(
                f"`over` must be one of {', '.join(flag_name(name)[2:] for name in VALUES)}, "
                f"got {text!r}"
            )
        looks = [preset for preset in presets if preset not in PLAIN]
        values = listed.split(",") if listed else looks if name == "preset" else VALUES[name]
        over[name] = [_parse_value(name, value) for value in values]
    if len(over) > 2:
        raise ValueError(f"`over` must be one option or two, got {len(over)}; drop some")
    return over


def _parse_value(name: str, value: Any) -> Any:
    if name == "preset" or not isinstance(value, str):
        return value
    try:
        return float(value)
    except ValueError:
        raise ValueError(
            f"`over` must give numbers for {flag_name(name)[2:]}, got {value!r}; for example "
            f"{flag_name(name)[2:]}=0.2,0.8"
        ) from None


def _parse_settings(texts: Sequence[str]) -> dict[str, Any]:
    """Parse `seed=3` into options of `impasto style` that hold for all cells."""
    settings = {}
    for text in texts:
        name, equals, value = text.partition("=")
        name = name.removeprefix("--").replace("-", "_")
        names = {*StyleRecipe.model_fields, *StyleRecipe.OLD_OPTIONS} - {"version"}
        if not equals or name not in names:
            raise ValueError(
                f"`set` must be OPTION=VALUE with an option of `impasto style`, got {text!r}; for "
                "example seed=3"
            )
        settings[name] = value
    return parse_options(StyleRecipe, settings)
