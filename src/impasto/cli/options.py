"""Command line options made from the recipes, and the few that the command line adds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar, get_args, get_origin

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from impasto.presets import PRESETS
from impasto.recipes import LAYERS
from impasto.validation import describe_constraint, literal_values

F = TypeVar("F", bound=Callable[..., Any])


def recipe_options(model: type[BaseModel]) -> Callable[[F], F]:
    """Give a command one option for every field of a recipe but its format's version.

    Args:
        model: the recipe. Names, help, ranges and defaults are read from it and stand nowhere
            else. The options arrive as text, or None where the user gave none.

    Returns:
        A decorator for a click command.

    Example:
        >>> from impasto.recipes import StyleRecipe
        >>> @click.command()
        ... @recipe_options(StyleRecipe)
        ... def command(**options): ...
        >>> [option.opts[0] for option in command.params][:3]
        ['--preset', '--strength', '--size']
    """

    def decorate(command: F) -> F:
        for name in getattr(model, "OLD_OPTIONS", ()):  # of earlier versions, still read
            command = click.option(flag_name(name), name, hidden=True)(command)
        for name, field in reversed(model.model_fields.items()):
            if name != "version":
                command = click.option(
                    flag_name(name), name, help=option_help(name, field), **_shape(field)
                )(command)
        return command

    return decorate


def given_options(model: type[BaseModel], texts: Mapping[str, str | None]) -> dict[str, Any]:
    """The options the user gave, as values a recipe can check.

    Args:
        model: the recipe that `recipe_options` made the options from.
        texts: what click hands over: option name -> text, or None where not given.

    Returns:
        Option name -> number, text or layer weights. Whatever does not parse stays text, so that
        the recipe's own sentence names it.

    Raises:
        ValueError: a list of layers is empty or names a layer twice.

    Example:
        >>> from impasto.recipes import StyleRecipe
        >>> values = {"steps": "50", "seed": None, "style_layers": "relu1_1:2,relu2_1"}
        >>> given_options(StyleRecipe, values)
        {'steps': 50, 'style_layers': {'relu1_1': 2, 'relu2_1': 1.0}}
    """
    return {
        name: _parsed(name, model.model_fields[name], text) if name in model.model_fields else text
        for name, text in texts.items()
        if text is not None
    }


def flag_name(name: str) -> str:
    """The option that stands for a field: `style_weight` -> `--style-weight`."""
    return "--" + name.replace("_", "-")


def format_value(value: Any) -> str:
    """A value as one would type it.

    Example:
        >>> format_value({"relu1_1": 1.0, "relu2_1": 0.5})
        'relu1_1,relu2_1:0.5'
    """
    if isinstance(value, Mapping):
        return ",".join(k if w == 1 else f"{k}:{format_value(w)}" for k, w in value.items())
    return f"{value:g}" if isinstance(value, float) else str(value)


def option_help(name: str, field: FieldInfo) -> str:
    """A field's help: what it does, what it may be, what it is when not given."""
    if name == "preset":
        must = f"one of {', '.join(PRESETS)}"
    elif literal_values(field.annotation) == LAYERS:
        must = f"one of {LAYERS[0]}, {LAYERS[1]} … {LAYERS[-1]}"
    else:
        must = describe_constraint(field)
    default = format_value(field.get_default(call_default_factory=True))
    if field.annotation is bool:
        return field.description
    word = _alone(field)
    alone = f"; {word} where no NAME follows" if word else ""
    return f"{field.description}  [{must}; default {default}{alone}]"


def option_errors(sentence: str) -> str:
    """A recipe's sentence with the way out that a command line has.

    Example:
        >>> option_errors("`strength` must be at most 1, got 7; see StyleRecipe for every option")
        '`strength` must be at most 1, got 7; see `impasto style --help` for every option'
    """
    commands = {
        "StyleRecipe": "style",
        "TextureRecipe": "texture",
        "ReconstructRecipe": "reconstruct",
        "DenoiseRecipe": "denoise",
    }
    for model, command in commands.items():
        sentence = sentence.replace(f"see {model} for", f"see `impasto {command} --help` for")
    return sentence


def debug_option(command: F) -> F:
    """`--debug`; `main` itself looks for it, since what goes wrong first may be the parsing."""
    return click.option(
        "--debug", is_flag=True, expose_value=False, help="show the traceback of an error"
    )(command)


def json_option(command: F) -> F:
    """`--json`."""
    return click.option("--json", "as_json", is_flag=True, help="print one JSON object")(command)


def sidecar_option(command: F) -> F:
    """`--sidecar/--no-sidecar`."""
    return click.option(
        "--sidecar/--no-sidecar",
        default=True,
        help="write the recipe to OUTPUT.impasto.json as well as into the picture  [default: do]",
    )(command)


def overwrite_option(command: F) -> F:
    """`--overwrite`."""
    return click.option("--overwrite", is_flag=True, help="replace files that are already there")(
        command
    )


def progress_option(command: F) -> F:
    """`--progress/--quiet`."""
    return click.option(
        "--progress/--quiet",
        default=None,
        help="draw progress on stderr, or do not  [default: only on a terminal]",
    )(command)


def saving_options(command: F) -> F:
    """Everything about how pictures are written."""
    options = (
        click.option("--loss-curve", metavar="FILE", help="draw the losses: .png .jpg .pdf .svg"),
        click.option(
            "--save-every",
            type=click.IntRange(1),
            metavar="N",
            help="write the picture each N evaluations, beside the output, as OUTPUT-00050.png",
        ),
        click.option(
            "--timelapse",
            metavar="FILE",
            help="the painting coming into being, as an animated .webp or .gif",
        ),
        click.option(
            "--checkpoint",
            metavar="DIR",
            help="keep the run's state in this folder, so that the same command goes on after a "
            "crash or kill",
        ),
        file_options(),
        sidecar_option,
        dry_run_option("sizes, tiles, memory and time"),
        json_option,
        progress_option,
        debug_option,
    )
    return stacked(command, options)


def file_options(depths: Sequence[str] = ("8", "16")) -> Callable[[F], F]:
    """How a picture's file is written, in one of some numbers of bits."""

    def decorate(command: F) -> F:
        bits = click.Choice(depths)
        options = (
            click.option("--bits", type=bits, help="bits a channel of the output"),
            click.option(
                "--quality",
                type=click.IntRange(1, 100),
                metavar="N",
                help="quality of .jpg, .webp and .avif ; larger keeps more",
            ),
            click.option(
                "--strip-gps", is_flag=True, help="leave out where a photograph was taken"
            ),
            overwrite_option,
        )
        return stacked(command, options)

    return decorate


def dry_run_option(what: str) -> Callable[[F], F]:
    """`--dry-run`, which prints what there is to say."""
    return click.option(
        "--dry-run", is_flag=True, help=f"check everything, print {what}, and write nothing"
    )


def stacked(command: F, options: Iterable[Callable[[F], F]]) -> F:
    """Apply decorators so that `--help` lists them in the order written."""
    for option in reversed(tuple(options)):
        command = option(command)
    return command


def _shape(field: FieldInfo) -> dict[str, Any]:
    """How a field is typed: as a flag, as a word that may be left out, or as a value."""
    if field.annotation is bool:
        return {"is_flag": True, "default": None}
    if word := _alone(field):
        return {"metavar": _metavar(field), "is_flag": False, "flag_value": word}
    return {"metavar": _metavar(field)}


def _alone(field: FieldInfo) -> str | None:
    """What an option means that no value follows; None where one must."""
    return (field.json_schema_extra or {}).get("alone")


def _metavar(field: FieldInfo) -> str:
    """The placeholder behind an option in `--help`."""
    if get_origin(field.annotation) is dict:
        return "LAYER[:WEIGHT],…"
    if any(get_origin(part) is tuple for part in _parts(field.annotation)):
        return "NUMBER,…"
    return "NUMBER" if _numeric(field.annotation) else "NAME"


def _parts(annotation: Any) -> tuple[Any, ...]:
    """An annotation and everything that it is made of."""
    return (annotation, *(inner for part in get_args(annotation) for inner in _parts(part)))


def _numeric(annotation: Any) -> bool:
    """Whether an annotation takes numbers."""
    return annotation in (int, float) or any(_numeric(part) for part in get_args(annotation))


def _parsed(name: str, field: FieldInfo, text: str) -> Any:
    """One option's text as the value it means."""
    if get_origin(field.annotation) is dict:
        return _layers(name, text)
    if name == "tiles" and text != "auto":
        return [_number(part.strip()) for part in text.split(",")]
    return _number(text) if _numeric(field.annotation) else text


def _layers(name: str, text: str) -> dict[str, Any]:
    """`relu1_1,relu2_1:0.5` as layer -> weight."""
    layers: dict[str, Any] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        layer, colon, weight = part.partition(":")
        if layer in layers:
            raise ValueError(
                f"`{name}` must name each layer once, got {layer} twice in {text!r}; drop one"
            )
        layers[layer] = _number(weight) if colon else 1.0
    if not layers:
        raise ValueError(
            f"`{name}` must name at least one layer, got {text!r}; for example relu1_1,relu2_1:0.5"
        )
    return layers


def _number(text: str) -> int | float | str:
    """A number where the text is one, else the text."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
