"""What a contact sheet is made of: the same painting with one option or two varied."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from impasto.presets import PRESETS, Preset, style_recipe
from impasto.recipes import StyleRecipe

BRUSHES = (0.5, 0.7, 1.0, 1.4, 2.0)  # strokes beside those of `fit`
VALUES: Mapping[str, tuple[Any, ...]] = {
    "strength": (0.2, 0.35, 0.5, 0.65, 0.8),
    "style_scale": BRUSHES,
    "color": (0.0, 0.25, 0.5, 0.75, 1.0),
    "structure": (0.0, 0.25, 0.5, 0.75, 1.0),
    "preset": tuple(name for name in PRESETS if name not in ("notebook", "gatys")),
}
_STROKES = 512  # pixels at which `style_scale` 1 is `fit`


class SheetCell(NamedTuple):
    """One painting of a sheet.

    Attributes:
        number: from 1, by rows.
        label: what is varied, as one would type it.
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
    """The paintings of a contact sheet, at one size.

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
    found = []
    for number, values in enumerate(itertools.product(*over.values()), 1):
        varied = dict(zip(over, values, strict=True))
        label = "  ".join(f"{name.replace('_', '-')} {_shown(v)}" for name, v in varied.items())
        if "style_scale" in varied:
            varied["style_scale"] = round(varied["style_scale"] * size / _STROKES, 6)
        recipe = style_recipe(**{**options, **varied, "size": size}, presets=presets)
        found.append(SheetCell(number, label, recipe))
    return found


def _shown(value: Any) -> str:
    """A value as one would type it."""
    return f"{value:g}" if isinstance(value, int | float) else str(value)
