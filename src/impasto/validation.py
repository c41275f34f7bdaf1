"""What an option must be, in words made from the recipe itself, and the sentence when it is not."""

from __future__ import annotations

import difflib
import inspect
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

R = TypeVar("R", bound=BaseModel)

_BOUNDS = {"ge": "of at least", "gt": "above", "le": "of at most", "lt": "below"}


def validate(model: type[R], options: Mapping[str, Any]) -> R:
    """Validate options against a recipe, failing in one sentence about the first thing wrong."""
    for name in options:
        if name not in model.model_fields and name not in getattr(model, "OLD_OPTIONS", ()):
            near = did_you_mean(name, model.model_fields)
            raise ValueError(
                f"`{name}` must be an option of {model.__name__}, got {options[name]!r}"
                + (near or f"; choose from {', '.join(model.model_fields)}")
            )
    try:
        return model.model_validate(dict(options), strict=False)
    except ValidationError as error:
        raise ValueError(error_message(model, error)) from None


def reject_recipe_and_options(recipe: BaseModel | None, options: Mapping[str, Any]) -> None:
    """Refuse single options beside a whole recipe: which of the two is meant cannot be known."""
    if recipe is not None and options:
        raise ValueError(
            f"`recipe` must come alone, got it with {', '.join(options)}; "
            "give options, or recipe.model_copy(update=...)"
        )


def with_recipe_signature(
    model: type[BaseModel],
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Show a recipe's options, with their defaults, in the signature of a function's **options."""

    def sign(function: Callable[..., Any]) -> Callable[..., Any]:
        own = inspect.signature(function)
        kept = [p for p in own.parameters.values() if p.kind is not p.VAR_KEYWORD]
        fields = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=field.get_default(call_default_factory=True),
                annotation=field.annotation,
            )
            for name, field in model.model_fields.items()
            if name != "version" and name not in own.parameters
        ]
        function.__signature__ = own.replace(parameters=kept + fields)  # type: ignore[attr-defined]
        return function

    return sign


def describe_constraint(field: FieldInfo) -> str:
    """What a value must be, in words made from the field itself.

    Example:
        >>> from impasto.recipes import StyleRecipe
        >>> describe_constraint(StyleRecipe.model_fields["strength"])
        'a number from 0 to 1'
    """
    if field.examples:
        return "one of " + ", ".join(field.examples)
    return _kind(field.annotation) + _range(field)


def literal_values(annotation: Any) -> tuple[str, ...]:
    """The values a Literal annotation allows, looking inside unions; empty for anything else."""
    if get_origin(annotation) is Literal:
        return tuple(str(value) for value in get_args(annotation))
    if get_origin(annotation) in (Union, types.UnionType, Annotated):
        return tuple(choice for part in get_args(annotation) for choice in literal_values(part))
    return ()


def _kind(annotation: Any) -> str:
    """The type of an option in plain words, ranges inside unions included."""
    if get_origin(annotation) is Annotated:
        inner, *notes = get_args(annotation)
        return _kind(inner) + "".join(_range(n) for n in notes if isinstance(n, FieldInfo))
    if get_origin(annotation) in (Union, types.UnionType):
        return " or ".join(_kind(part) for part in get_args(annotation))
    if options := literal_values(annotation):
        return "one of " + ", ".join(options) if len(options) > 1 else f"`{options[0]}`"
    if get_origin(annotation) is dict:
        return "layer names with their weights"
    if get_origin(annotation) is tuple:
        return "one or more numbers, " + _kind(get_args(annotation)[0])
    return {int: "a whole number", float: "a number", str: "a text"}.get(annotation, "given")


def _range(field: FieldInfo) -> str:
    """A field's bounds in words, with a space before them."""
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
    """A bound as people write it: 1 for 1.0, and whole numbers in full."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def error_message(model: type[BaseModel], error: ValidationError) -> str:
    """The first of a validation's complaints as one sentence: name, law, value, way out."""
    first = error.errors(include_url=False)[0]
    path = [str(part) for part in first["loc"]]
    name = path[0] if path else model.__name__
    way_out = f"see {model.__name__} for every option"
    context = first.get("ctx", {})
    value = first["input"]
    kind = first["type"]
    if kind == "value_error":  # a sentence of a recipe's own
        return str(context["error"])
    if kind == "extra_forbidden":
        return f"`{name}` must be an option of {model.__name__}, got {value!r}; {way_out}"
    if name.endswith("_layers") and "[key]" in path:
        key = path[1]
        near = did_you_mean(key, literal_values(get_args(model.model_fields[name].annotation)[0]))
        return f"`{name}` must name layers of VGG-19, conv1_1 to relu5_4, got {key!r}" + (
            near or "; for example relu4_2"
        )
    bound = {
        "greater_than_equal": ("at least", "ge"),
        "less_than_equal": ("at most", "le"),
        "greater_than": ("above", "gt"),
        "less_than": ("below", "lt"),
    }.get(kind)
    if name.endswith("_layers") and len(path) > 1:
        must = f"at least {_number(context['ge'])}" if "ge" in context else "a finite number"
        return f"`{name}`: the weight of {path[1]} must be {must}, got {value!r}; {way_out}"
    if bound:
        return f"`{name}` must be {bound[0]} {_number(context[bound[1]])}, got {value!r}; {way_out}"
    if kind == "finite_number":
        return f"`{name}` must be a finite number, got {value!r}; {way_out}"
    if kind == "json_invalid":
        return f"the recipe must be valid JSON, got {str(value)[:40]!r}; {context['error']}"
    field = model.model_fields.get(name)
    allowed = literal_values(field.annotation) if field else ()
    if isinstance(value, str) and allowed and (near := did_you_mean(value, allowed)):
        way_out = near.removeprefix("; ")
    constraint = describe_constraint(field) if field else "given"
    return f"`{name}` must be {constraint}, got {value!r}; {way_out}"


def did_you_mean(name: object, known: Iterable[object]) -> str:
    """A hint at the known name most like a mistyped one, or nothing."""
    near = difflib.get_close_matches(str(name), [str(k) for k in known], 1)
    return f"; did you mean {near[0]}?" if near else ""
