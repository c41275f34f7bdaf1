#!/usr/bin/env python3
"""Write src/impasto/options.py: the options of each function, for editors and type checkers.

    python docs/make_types.py

They are made from the recipes; tests/test_types.py holds the file to what this script writes.
"""

from __future__ import annotations

import textwrap
import types
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from impasto.methods import METHODS
from impasto.recipes import LAYERS, FitRecipe
from impasto.validation import describe_constraint

TARGET = Path(__file__).parents[1] / "src" / "impasto" / "options.py"
WIDTH = 100
HEAD = '''\
"""The options of each function with their types, for editors and type checkers alone.

Made from the recipes by docs/make_types.py; the library itself never imports it.

Example:
    >>> from impasto.options import DenoiseOptions
    >>> mine: DenoiseOptions = {"strength": 0.5, "specks": "off"}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypedDict
'''


def type_text(annotation: Any) -> str:
    """Return the type of a field as it is written, without its range.

    Example:
        >>> from impasto.recipes import StyleRecipe
        >>> type_text(StyleRecipe.model_fields["steps"].annotation)
        'int | Literal["auto"]'
    """
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return type_text(parts[0])
    if origin is Literal:
        if parts == LAYERS:
            return "Layer"
        return "Literal[" + ", ".join(_value_text(part) for part in parts) + "]"
    if origin in (Union, types.UnionType):
        return " | ".join(type_text(part) for part in parts)
    if origin is dict:
        return f"Mapping[{type_text(parts[0])}, {type_text(parts[1])}]"
    if origin is tuple and Ellipsis in parts:
        return f"Sequence[{type_text(parts[0])}]"
    if origin is tuple:
        return f"tuple[{', '.join(map(type_text, parts))}]"
    return annotation.__name__


def _value_text(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


def class_text(recipe: type[BaseModel]) -> str:
    """Return the TypedDict of a recipe's options."""
    name = recipe.__name__.removesuffix("Recipe")
    lines = [f"class {name}Options(TypedDict, total=False):"]
    lines += [f'    """Options of `{recipe.__name__}`, all of which may be left out."""', ""]
    for field_name, field in recipe.model_fields.items():
        if field_name == "version":
            continue
        default = field.get_default(call_default_factory=True)
        range_words = "" if field.annotation is bool else f"{describe_constraint(field)}; "
        words = f'"""{field.description} [{range_words}default {default}]"""'
        lines.append(f"    {field_name}: {type_text(field.annotation)}")
        lines += textwrap.wrap(
            words,
            WIDTH,
            initial_indent="    ",
            subsequent_indent="    ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    return "\n".join(lines)


def options_text() -> str:
    """Return the whole file."""
    layers = "".join(f'    "{layer}",\n' for layer in LAYERS)
    recipes = [*dict.fromkeys(method.recipe for method in METHODS.values()), FitRecipe]
    classes = [class_text(recipe) for recipe in recipes]
    return "\n\n\n".join([f"{HEAD}\nLayer = Literal[\n{layers}]", *classes]) + "\n"


if __name__ == "__main__":
    TARGET.write_text(options_text(), encoding="utf-8")
