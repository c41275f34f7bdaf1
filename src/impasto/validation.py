"""Validation of options against a recipe, and the words for what an option must be."""

from __future__ import annotations

import difflib
import inspect
import json
import math
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic.fields import FieldInfo

from impasto.errors import OptionError, quoted_name

R = TypeVar("R", bound=BaseModel)
F = TypeVar("F", bound=Callable[..., Any])

_MAX_DIGITS = 1000  # of a whole number in JSON
_MAX_NESTING = 50  # lists and objects in each other in JSON; a recipe has five

_BOUNDS = {"ge": "of at least", "gt": "above", "le": "of at most", "lt": "below"}
_PATTERNS = {"^[A-Z]$": "a capital letter", "^[A-Z]{2,}$": "capital letters"}
# pydantic's type of error -> the bound in its context, and the words before it.
_LIMITS = {
    "greater_than_equal": ("ge", "at least"),
    "less_than_equal": ("le", "at most"),
    "greater_than": ("gt", "above"),
    "less_than": ("lt", "below"),
}


class Options(BaseModel):
    """Options of a method or the server: frozen, and none but these.

    True and false are no numbers here; Python would count them as 1 and 0.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _refuse_booleans(cls, options: Any) -> Any:
        for name, value in options.items() if isinstance(options, dict) else ():
            field = cls.model_fields.get(name)
            if field is None or field.annotation in (bool, Literal[True], Literal[False]):
                continue
            if _holds_boolean(value):
                constraint = f"be {describe_constraint(field)}"
                raise OptionError(name, value, constraint, recipe=cls.__name__)
        return options


def validate(model: type[R], options: Mapping[str, Any]) -> R:
    """Return a recipe with some options; all others have their defaults.

    Args:
        model: class of the recipe.
        options: name to value.

    Raises:
        OptionError: an option is unknown or has a wrong value; about the first of them alone.
    """
    for name, value in options.items():
        if name not in model.model_fields and name not in getattr(model, "OLD_OPTIONS", ()):
            near = did_you_mean(name, model.model_fields).removeprefix("; ")
            hint = near or f"choose from {', '.join(model.model_fields)}"
            constraint = f"be an option of {model.__name__}"
            raise OptionError(quoted_name(name), value, constraint, hint, model.__name__)
    try:
        return model.model_validate(dict(options), strict=False)
    except ValidationError as error:
        raise option_error(model, error) from None


def option_error(model: type[BaseModel], error: ValidationError) -> ValueError:
    """Return an error about the first thing that pydantic says is wrong.

    Args:
        model: class of the recipe that was validated.
        error: what pydantic raised.

    Returns:
        An `OptionError`; where a validator of the recipe raised, its own error.

    Example:
        >>> from impasto.recipes import StyleRecipe
        >>> try:
        ...     StyleRecipe(style_layers={"relu4_1": -1})
        ... except ValidationError as error:
        ...     print(option_error(StyleRecipe, error))
        `style_layers`: the weight of relu4_1 must be at least 0, got -1; see StyleRecipe for ...
    """
    first = error.errors(include_url=False)[0]
    kind, value, context = first["type"], first["input"], first.get("ctx", {})
    if kind == "value_error":
        return context["error"]
    name, *path = (str(part) for part in first["loc"])
    recipe = model.__name__
    if kind == "extra_forbidden":
        constraint = f"be an option of {recipe}"
        return OptionError(quoted_name(name), value, constraint, recipe=recipe)
    field = model.model_fields[name]
    part = hint = None
    # In a dictionary, pydantic's path is the key, followed by "[key]" if the key itself is wrong.
    if get_origin(field.annotation) is dict and path:
        if "[key]" in path:
            layers = literal_values(get_args(field.annotation)[0])
            hint = did_you_mean(path[0], layers).removeprefix("; ") or "for example relu4_2"
            constraint = f"name layers of VGG-19, {layers[0]} to {layers[-1]}"
            return OptionError(name, path[0], constraint, hint, recipe)
        part = f"the weight of {quoted_name(path[0])}"
    if kind in _LIMITS:
        bound, words = _LIMITS[kind]
        constraint = f"be {words} {_number(context[bound])}"
    elif kind == "finite_number" or part:
        constraint = "be a finite number"
    else:
        constraint = f"be {describe_constraint(field)}"
        if isinstance(value, str):
            hint = did_you_mean(value, literal_values(field.annotation)).removeprefix("; ")
    return OptionError(name, value, constraint, hint or None, recipe, part or "")


def reject_recipe_and_options(recipe: BaseModel | None, options: Mapping[str, Any]) -> None:
    """Raise an error if both a recipe and single options are given: which one counts is unclear.

    Raises:
        ValueError: both are given.
    """
    if recipe is not None and options:
        raise ValueError(
            f"`recipe` must come alone, got it with {', '.join(options)}; "
            "give options, or recipe.model_copy(update=...)"
        )


def with_recipe_signature(model: type[BaseModel]) -> Callable[[F], F]:
    """Return a decorator that shows a recipe's options in the signature instead of **options."""

    def decorate(function: F) -> F:
        signature = inspect.signature(function)
        parameters = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        options = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=field.get_default(call_default_factory=True),
                annotation=field.annotation,
            )
            for name, field in model.model_fields.items()
            if name != "version" and name not in signature.parameters
        ]
        signature = signature.replace(parameters=parameters + options)
        function.__signature__ = signature  # type: ignore[attr-defined]
        return function

    return decorate


def describe_constraint(field: FieldInfo) -> str:
    """Return what a value of a field must be, in words made from its annotation.

    Example:
        >>> from impasto.recipes import StyleRecipe
        >>> describe_constraint(StyleRecipe.model_fields["strength"])
        'a number from 0 to 1'
    """
    if field.examples:
        return "one of " + ", ".join(field.examples)
    return _type_words(field.annotation) + _range_words(field)


def literal_values(annotation: Any) -> tuple[str, ...]:
    """Return the values that a Literal allows, also inside a union; none for anything else."""
    if get_origin(annotation) is Literal:
        return tuple(str(value) for value in get_args(annotation))
    if get_origin(annotation) in (Union, types.UnionType, Annotated):
        return tuple(choice for part in get_args(annotation) for choice in literal_values(part))
    return ()


def did_you_mean(name: object, known: Iterable[object]) -> str:
    """Return "; did you mean X?" with the known name nearest to a mistyped one; "" if none is.

    Example:
        >>> did_you_mean("strenght", ["strength", "size"])
        '; did you mean strength?'
    """
    near = difflib.get_close_matches(str(name), [str(k) for k in known], 1)
    return f"; did you mean {near[0]}?" if near else ""


def parse_json(text: str, *, finite: bool = False) -> Any:
    """Return the value of a JSON text from outside, with nothing in it that a sentence cannot say.

    Args:
        text: the JSON.
        finite: refuse NaN and infinity, too; else they are let through, as by Python's own parser,
            since recipes refuse them by the name of their option.

    Raises:
        ValueError: the text is not JSON, has a key twice in one object, lists in lists without
            end, a number of thousands of digits, or half a character.

    Example:
        >>> parse_json('{"steps": 3}')
        {'steps': 3}
        >>> parse_json('{"steps": 3, "steps": 4}')
        Traceback (most recent call last):
        ValueError: the key steps stands twice in it
    """
    try:
        value = json.loads(text, object_pairs_hook=_unique_keys, parse_int=_parse_integer)
    except RecursionError:
        raise ValueError("lists or objects are nested too deeply in it") from None
    _check_parts(value, finite)
    return value


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object's keys and values; Python's own parser would keep the last of equal keys."""
    parsed: dict[str, Any] = {}
    for key, value in pairs:
        if key in parsed:
            raise ValueError(f"the key {quoted_name(key)} stands twice in it")
        parsed[key] = value
    return parsed


def _holds_boolean(value: Any) -> bool:
    """Return True for true and false, alone or among the numbers of a list or of layers."""
    parts = value.values() if isinstance(value, dict) else value
    parts = parts if isinstance(value, (dict, list, tuple)) else (value,)
    return any(isinstance(part, bool) for part in parts)


def _parse_integer(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise ValueError(f"a number in it has {len(text):,} digits")
    return int(text)


def _check_parts(value: Any, finite: bool) -> None:
    """Refuse nesting that later code could not walk through, and text that is not Unicode."""
    parts = [(value, 0)]
    while parts:
        part, depth = parts.pop()
        if depth > _MAX_NESTING:
            raise ValueError("lists or objects are nested too deeply in it")
        if isinstance(part, str):
            try:
                part.encode()
            except UnicodeEncodeError:  # \ud800 alone
                raise ValueError("half a character stands in it") from None
        elif finite and isinstance(part, float) and not math.isfinite(part):
            raise ValueError(f"{part} stands in it, which is no number of JSON")
        elif isinstance(part, dict):
            parts += [(inner, depth + 1) for pair in part.items() for inner in pair]
        elif isinstance(part, list):
            parts += [(inner, depth + 1) for inner in part]


def _type_words(annotation: Any) -> str:
    """Return an annotation in plain words, with the ranges inside unions."""
    if get_origin(annotation) is Annotated:
        inner, *notes = get_args(annotation)
        if inner is str:
            patterns = (
                getattr(m, "pattern", None) for note in notes for m in getattr(note, "metadata", ())
            )
            return _PATTERNS.get(next(patterns, None), "a text")
        ranges = (_range_words(note) for note in notes if isinstance(note, FieldInfo))
        return _type_words(inner) + "".join(ranges)
    if get_origin(annotation) in (Union, types.UnionType):
        return " or ".join(_type_words(part) for part in get_args(annotation))
    if values := literal_values(annotation):
        return "one of " + ", ".join(values) if len(values) > 1 else f"`{values[0]}`"
    if get_origin(annotation) is dict:
        return "layer names with their weights"
    if get_origin(annotation) is tuple:
        first, *others = get_args(annotation)
        if Ellipsis not in others:
            return f"{1 + len(others)} whole numbers"
        return "one or more numbers, " + _type_words(first)
    return {int: "a whole number", float: "a number", str: "a text"}.get(annotation, "given")


def _range_words(field: FieldInfo) -> str:
    """Return a field's bounds in words, with a space before them."""
    bounds = {
        name: getattr(note, name)
        for note in field.metadata
        for name in _BOUNDS
        if hasattr(note, name)
    }
    if "ge" in bounds and "le" in bounds:
        return f" from {_number(bounds['ge'])} to {_number(bounds['le'])}"
    words = [f"{_BOUNDS[name]} {_number(value)}" for name, value in bounds.items()]
    return " " + " and ".join(words) if words else ""


def _number(value: float) -> str:
    """Return a bound as people write it: 1 for 1.0, 1e9 for 1e+09, whole numbers in full."""
    return (
        f"{value:g}".replace("e+0", "e").replace("e+", "e")
        if isinstance(value, float)
        else str(value)
    )
