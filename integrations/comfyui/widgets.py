"""Widgets of the nodes, made from impasto's recipes: range, default, order and help of each option.

Nothing about an option is written here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from impasto.cli.options import PANELS, format_value, parse_options
from impasto.presets import PRESETS

# Panels of the command line's help whose options are shown at once; the rest is advanced.
_BASIC = ("Main dials", "Color and noise")
_FINE = 0.01  # step of a number's widget, unless the default is smaller


def make_widgets(
    model: type[BaseModel], *, without: Sequence[str] = (), advanced: bool | None = None
) -> dict[str, tuple]:
    """Return ComfyUI's inputs for the options of a recipe, in the order of the panels.

    Args:
        model: the recipe.
        without: options that get no widget.
        advanced: only options that are, or only those that are not; None for all.

    Returns:
        Option name -> (type, settings), as `INPUT_TYPES` holds them.
    """
    schemas = model.model_json_schema()["properties"]
    widgets = {}
    for name, is_advanced in _ordered(schemas):
        shown = advanced is None or advanced == is_advanced
        if shown and name != "version" and name not in without:
            kind, settings = _widget(name, schemas[name])
            widgets[name] = (kind, settings | ({"advanced": True} if is_advanced else {}))
    return widgets


def read_widgets(model: type[BaseModel], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that widgets say, those that are not at their defaults.

    Args:
        model: the recipe that the widgets were made from.
        values: option name -> value of its widget.

    Raises:
        ValueError: a list of layers is empty or names a layer twice.
    """
    schemas = model.model_json_schema()["properties"]
    options = {name: _read(model, name, schemas[name], value) for name, value in values.items()}
    return {name: value for name, value in options.items() if value != schemas[name]["default"]}


def _ordered(names: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
    """Yield the names, those at once shown first, each with whether it is advanced."""
    places = {name: panel for panel, members in PANELS.items() for name in members}
    order = list(places)
    ranked = sorted(names, key=lambda name: order.index(name) if name in places else len(order))
    basic = [name for name in ranked if places.get(name) in _BASIC]
    yield from ((name, False) for name in basic)
    yield from ((name, True) for name in ranked if name not in basic)


def _widget(name: str, schema: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    help_text, default = schema["description"], schema["default"]
    if name == "preset":
        words = "; ".join(f"{key}: {preset.words}" for key, preset in PRESETS.items())
        text = f"{help_text}; every option at its own default takes the preset's ({words})"
        return list(PRESETS), {"default": default, "tooltip": text}
    if "enum" in schema or "const" in schema:
        choices = schema.get("enum", [schema.get("const")])
        return list(choices), {"default": default, "tooltip": help_text}
    if schema.get("type") == "boolean":
        return "BOOLEAN", {"default": default, "tooltip": help_text}
    number = _number_schema(schema)
    if number is None:
        text = format_value(default)
        return "STRING", {"default": text, "multiline": False, "tooltip": help_text}
    settings: dict[str, Any] = {"default": default, "tooltip": help_text}
    low = number.get("minimum", number.get("exclusiveMinimum"))
    if word := _word(schema):
        low = _stand_in(schema)
        settings["tooltip"] += f"; {low} stands for `{word}`"
        settings["default"] = low if default == word else default
    settings |= {"min": low, "max": number["maximum"]}
    if number["type"] == "integer":
        # ComfyUI would draw another seed for each run.
        fixed = {"control_after_generate": False} if name == "seed" else {}
        return "INT", settings | {"step": 1} | fixed
    step = _FINE
    while isinstance(default, float) and 0 < default < step:
        step /= 10
    for key in ("default", "min", "max"):
        settings[key] = float(settings[key])
    return "FLOAT", settings | {"step": step, "round": False}


def _read(model: type[BaseModel], name: str, schema: Mapping[str, Any], value: Any) -> Any:
    """Return the option's value that a widget's value stands for."""
    word = _word(schema)
    if word is not None and not isinstance(value, str) and value == _stand_in(schema):
        return word
    if isinstance(value, str) and name != "preset":
        return parse_options(model, {name: value.strip()})[name]
    return value


def _number_schema(schema: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the part of an option's schema that is about a number; None where there is none."""
    kinds = ("integer", "number")
    parts = schema.get("anyOf", [schema])
    return next((part for part in parts if part.get("type") in kinds), None)


def _word(schema: Mapping[str, Any]) -> str | None:
    """Return the word that may stand in place of a number, such as `auto`."""
    if _number_schema(schema) is None:
        return None
    return next((part["const"] for part in schema.get("anyOf", ()) if "const" in part), None)


def _stand_in(schema: Mapping[str, Any]) -> int:
    """Return the number below all others that stands for the word, since a widget holds numbers."""
    number = _number_schema(schema)
    excluded = number.get("minimum", 0) > 0 or "exclusiveMinimum" in number
    return 0 if excluded else -1
