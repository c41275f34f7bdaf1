"""Command line options: made from the recipes, shared by commands, and grouped in the help.

Nothing here imports torch, so that the help of every command comes at once.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar, get_args, get_origin

import click
from click.shell_completion import CompletionItem
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from impasto.cli.terminal import is_null
from impasto.errors import OptionError
from impasto.methods import METHODS
from impasto.presets import PRESETS
from impasto.recipes import LAYERS
from impasto.validation import describe_constraint, literal_values

F = TypeVar("F", bound=Callable[..., Any])

PIPE = "-"  # stands for stdin among the inputs, and for stdout as the output

# Title of a part of the help -> the options in it, by the names that commands receive.
PANELS: Mapping[str, tuple[str, ...]] = {
    "Main dials": (
        "content", "clip", "style", "styles", "model", "start", "over", "settings", "pick", "cell",
        "cell_steps", "output", "ending", "preset", "strength", "chroma", "detail", "crop",
        "method", "effort", "sigma", "gaussian", "poisson", "layer", "kind", "width", "height",
        "tileable", "size", "color", "style_scale", "structure", "amount", "check",
    ),
    "Film": (
        "engine", "range", "rate", "keys", "keys_every", "crossfade", "temporal_weight",
        "frame_evaluations", "preview",
    ),
    "Regions and masks": ("regions", "style_masks", "protect", "keep"),
    "Color and noise": ("color_by", "denoise", "specks", "stripes"),
    "Measured data": ("axes", "across", "joint"),
    "Network and losses": (
        "composition", "content_layers", "style_layers", "content_weight", "style_weight",
        "tv_weight", "style_loss", "content_loss", "pooling", "padding", "weights",
    ),
    "Optimizer": ("steps", "init", "scales", "warmup", "optimizer", "learning_rate", "history"),
    "Files": (
        "figure", "learning", "truth", "pairs", "residual", "loss_curve", "save_every", "timelapse",
        "checkpoint", "presets", "manifest", "bits", "quality", "strip_gps", "strip",
        "sidecar",
        "overwrite", "existing",
    ),
    "Address and limits": (
        "host", "port", "token", "allow_host", "no_browser", "folder", "keep_hours", "queue",
        "most_bytes", "most_pixels", "most_frames", "most_work", "upload_seconds",
    ),
    "Running": (
        "seed", "device", "precision", "memory", "tiles", "every", "settle", "once",
        "executor", "workers", "threads", "address", "gpus", "tries", "schema", "dry_run",
        "as_json", "progress", "debug", "version", "help",
    ),
}  # fmt: skip
_SHORT = 12  # options that are listed in one piece


class Command(click.Command):
    """A command whose help groups its options: in sections of text, on a terminal in panels."""

    def panels(self, ctx: click.Context) -> dict[str, list[click.Option]]:
        """Return the options under the titles of their panels; few make one, "Options"."""
        options = [
            option
            for option in self.get_params(ctx)
            if isinstance(option, click.Option) and not option.hidden
        ]
        if len(options) <= _SHORT:
            return {"Options": options}
        named = {option_name(option): option for option in options}
        panels = {
            title: [named.pop(name) for name in names if name in named]
            for title, names in PANELS.items()
        }
        panels["More options"] = list(named.values())
        return {title: options for title, options in panels.items() if options}

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each panel as a section of plain text."""
        for title, options in self.panels(ctx).items():
            records = [option.get_help_record(ctx) for option in options]
            with formatter.section(title):
                formatter.write_dl([record for record in records if record])

    def get_help(self, ctx: click.Context) -> str:
        """Return the help: plain text in a pipe, panels drawn by rich-click on a terminal."""
        if not sys.stdout.isatty():
            return super().get_help(ctx)
        from rich_click import RichCommand, RichContext
        from rich_click.rich_panel import RichOptionPanel

        panels = [
            RichOptionPanel(title, options=[max(option.opts, key=len) for option in options])
            for title, options in self.panels(ctx).items()
        ]
        command = RichCommand(
            self.name, params=self.params, help=self.help, epilog=self.epilog, panels=panels
        )
        config = {"style_option": "bold", "max_width": ctx.max_content_width}
        context = RichContext(
            command, parent=ctx.parent, info_name=ctx.info_name, rich_help_config=config
        )
        return command.get_help(context)


def option_name(option: click.Option) -> str:
    """Return the name by which `PANELS` knows an option; click gives `--help` one of its own."""
    return "help" if "--help" in option.opts else option.name


class File(click.ParamType):
    """Text that names a file; a shell completes it."""

    name = "file"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Let the shell list files."""
        return [CompletionItem(incomplete, type="file")]


FILE = File()


def recipe_options(
    model: type[BaseModel],
    *,
    without: Sequence[str] = (),
    others: Mapping[str, type[BaseModel]] = MappingProxyType({}),
) -> Callable[[F], F]:
    """Give a command one option for every field of a recipe but its format's version.

    Args:
        model: the recipe. Names, help, ranges and defaults are read from it and stand nowhere
            else. The options arrive as text, or None where the user gave none.
        without: fields that this command has no option for.
        others: what else the command does -> its recipe. Where an option of the same name means
            something else there, its help says so.

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
        old = set(getattr(model, "OLD_OPTIONS", ())) - set(without)
        for name in sorted(old):  # of earlier versions, still read
            command = click.option(flag_name(name), name, hidden=True)(command)
        for name, field in reversed(model.model_fields.items()):
            if name not in ("version", *without):
                words = option_help(name, field)
                for title, other in others.items():
                    there = other.model_fields.get(name)
                    if there and there.description != field.description:
                        words += f"; {title}: {option_help(name, there)}"
                command = click.option(flag_name(name), name, help=words, **_shape(name, field))(
                    command
                )
        return command

    return decorate


def parse_options(model: type[BaseModel], texts: Mapping[str, str | None]) -> dict[str, Any]:
    """Turn the options that the user typed into values that a recipe can validate.

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
        >>> parse_options(StyleRecipe, values)
        {'steps': 50, 'style_layers': {'relu1_1': 2, 'relu2_1': 1.0}}
    """
    return {
        name: _parse_option(name, model.model_fields[name], text)
        if name in model.model_fields
        else text  # of earlier versions
        for name, text in texts.items()
        if text is not None
    }


def recipe_texts(model: type[BaseModel], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that are a recipe's, out of all that a command got."""
    names = [*model.model_fields, *getattr(model, "OLD_OPTIONS", ())]
    return {name: options[name] for name in names if name in options}


def stem(source: str) -> str:
    """Return the name that a source gives to what is made from it.

    Example:
        >>> stem("photos/cat.jpg"), stem("-")
        ('cat', 'stdin')
    """
    return "stdin" if source == PIPE else Path(source).stem


def check_single_stdin(sources: Mapping[str, str]) -> None:
    """Refuse a second `-` among the inputs, and a `-` with nothing piped in."""
    piped = [name for name, source in sources.items() if source == PIPE]
    if len(piped) > 1:
        raise ValueError(
            f"only one input must be `-`, got {' and '.join(piped)}; name a file for the others"
        )
    if piped and (sys.stdin.isatty() or is_null(sys.stdin)):
        raise ValueError(f"`{piped[0]}` is `-`, but nothing is piped in; name a file")


def path_or_bytes(source: str) -> str | bytes:
    """Return a path as it is, and of `-` the bytes on stdin."""
    return sys.stdin.buffer.read() if source == PIPE else source


def flag_name(name: str) -> str:
    """Return the option of a field: `style_weight` -> `--style-weight`."""
    return "--" + name.replace("_", "-")


def format_value(value: Any) -> str:
    """Write a value as one types it.

    Example:
        >>> format_value({"relu1_1": 1.0, "relu2_1": 0.5})
        'relu1_1,relu2_1:0.5'
    """
    if isinstance(value, Mapping):
        return ",".join(k if w == 1 else f"{k}:{format_value(w)}" for k, w in value.items())
    return f"{value:g}" if isinstance(value, float) else str(value)


def option_help(name: str, field: FieldInfo) -> str:
    """Return a field's help: what it does, its range, its default."""
    if name == "preset":
        must = f"one of {', '.join(PRESETS)}"
    elif literal_values(field.annotation) == LAYERS:
        must = f"one of {LAYERS[0]}, {LAYERS[1]} … {LAYERS[-1]}"
    else:
        must = describe_constraint(field)
    default = format_value(field.get_default(call_default_factory=True))
    if field.annotation is bool:
        return field.description
    word = _bare_value(field)
    alone = f"; {word} where no NAME follows" if word else ""
    return f"{field.description}  [{must}; default {default}{alone}]"


def option_errors(error: Exception) -> str:
    """Return an error's sentence, with the way out that a command line has.

    Example:
        >>> from impasto.presets import style_recipe
        >>> try:
        ...     style_recipe(strength=7)
        ... except ValueError as error:
        ...     print(option_errors(error))
        `strength` must be at most 1, got 7; see `impasto style --help` for every option
    """
    commands = {method.recipe.__name__: method.name for method in METHODS.values()}
    commands |= {"ServeOptions": "serve", "FilmRecipe": "film", "FitRecipe": "fit"}
    commands["ClipRecipe"] = "denoise"
    if isinstance(error, OptionError) and error.recipe in commands:
        return error.sentence(f"see `impasto {commands[error.recipe]} --help` for every option")
    return str(error)


def debug_option(command: F) -> F:
    """Add `--debug`; `main` reads it from the words, since parsing may be what fails."""
    return click.option(
        "--debug", is_flag=True, expose_value=False, help="show the traceback of an error"
    )(command)


def json_option(command: F) -> F:
    """Add `--json`."""
    return click.option("--json", "as_json", is_flag=True, help="print one JSON object")(command)


def sidecar_option(command: F) -> F:
    """Add `--sidecar/--no-sidecar`."""
    return click.option(
        "--sidecar/--no-sidecar",
        default=True,
        help="write the recipe to OUTPUT.impasto.json; pictures hold it, too  [default: do]",
    )(command)


def overwrite_option(command: F) -> F:
    """Add `--overwrite`."""
    return click.option("--overwrite", is_flag=True, help="replace files that are already there")(
        command
    )


def progress_option(command: F) -> F:
    """Add `--progress/--quiet`."""
    return click.option(
        "--progress/--quiet",
        default=None,
        help="draw progress on stderr, or do not  [default: only on a terminal]",
    )(command)


def saving_options(command: F) -> F:
    """Add the options of how a painted picture is written and its run shown."""
    options = (
        click.option(
            "--loss-curve", metavar="FILE", type=FILE, help="draw the losses: .png .jpg .pdf .svg"
        ),
        click.option(
            "--save-every",
            type=click.IntRange(1),
            metavar="N",
            help="write the picture each N evaluations, beside the output, as OUTPUT-00050.png",
        ),
        click.option(
            "--timelapse",
            metavar="FILE",
            type=FILE,
            help="the painting coming into being, as an animated .webp or .gif",
        ),
        click.option(
            "--checkpoint",
            metavar="DIR",
            type=FILE,
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
    return apply_options(command, options)


def file_options(depths: Sequence[str] = ("8", "16")) -> Callable[[F], F]:
    """Return a decorator that adds how an image file is written; `depths` are the bits allowed."""

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
            strip_option,
            overwrite_option,
        )
        return apply_options(command, options)

    return decorate


def strip_option(command: F) -> F:
    """Add `--strip`."""
    return click.option(
        "--strip",
        is_flag=True,
        help="leave out all that the input carries besides its picture: EXIF, XMP, IPTC, tags and "
        "resolution; the recipe stays",
    )(command)


def output_option(words: str, metavar: str = "FILE", **settings: Any) -> Callable[[F], F]:
    """Return a decorator that adds `-o`.

    Args:
        words: its help.
        metavar: what stands for its value there.
        settings: of `click.option` besides, such as `required`.
    """
    return click.option("-o", "--output", metavar=metavar, type=FILE, help=words, **settings)


def dry_run_option(facts: str) -> Callable[[F], F]:
    """Return a decorator that adds `--dry-run`, which prints these `facts`."""
    return click.option(
        "--dry-run", is_flag=True, help=f"check everything, print {facts}, and write nothing"
    )


def presets_option(command: F) -> F:
    """Add `--presets`."""
    return click.option(
        "--presets",
        metavar="FILE",
        type=FILE,
        help="presets of your own, .toml or .json, beside impasto's",
    )(command)


def apply_options(command: F, options: Iterable[Callable[[F], F]]) -> F:
    """Apply decorators so that the command's parameters come in the order written."""
    for option in reversed(tuple(options)):
        command = option(command)
    return command


def _shape(name: str, field: FieldInfo) -> dict[str, Any]:
    """Return how click parses a field: as a flag, a word that may be left out, or a value."""
    if field.annotation is bool:
        return {"is_flag": True, "default": None}
    shape = {"metavar": _metavar(field)}
    choices = tuple(PRESETS) if name == "preset" else literal_values(field.annotation)
    if choices:
        shape["shell_complete"] = lambda ctx, param, start: [
            choice for choice in choices if choice.startswith(start)
        ]
    if word := _bare_value(field):
        return shape | {"is_flag": False, "flag_value": word}
    return shape


def _bare_value(field: FieldInfo) -> str | None:
    """Return the value of an option that no value follows; None where one must."""
    return (field.json_schema_extra or {}).get("alone")


def _metavar(field: FieldInfo) -> str:
    if get_origin(field.annotation) is dict:
        return "LAYER[:WEIGHT],…"
    for part in _annotations(field.annotation):
        if get_origin(part) is tuple:
            return "NUMBER,…" if Ellipsis in get_args(part) else "X,Y,W,H"
    return "NUMBER" if _is_numeric(field.annotation) else "NAME"


def _annotations(annotation: Any) -> tuple[Any, ...]:
    """Return an annotation and everything that it is made of."""
    return (
        annotation,
        *(inner for part in get_args(annotation) for inner in _annotations(part)),
    )


def _is_numeric(annotation: Any) -> bool:
    return any(part in (int, float) for part in _annotations(annotation))


def _parse_option(name: str, field: FieldInfo, text: str) -> Any:
    if get_origin(field.annotation) is dict:
        return _parse_layers(name, text)
    if (name == "tiles" and text != "auto") or (name == "crop" and "," in text):
        return [_parse_number(part.strip()) for part in text.split(",")]
    return _parse_number(text) if _is_numeric(field.annotation) else text


def _parse_layers(name: str, text: str) -> dict[str, Any]:
    """Parse `relu1_1,relu2_1:0.5` into layer -> weight."""
    layers: dict[str, Any] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        layer, colon, weight = part.partition(":")
        if layer in layers:
            raise ValueError(
                f"`{name}` must name each layer once, got {layer} twice in {text!r}; drop one"
            )
        layers[layer] = _parse_number(weight) if colon else 1.0
    if not layers:
        raise ValueError(
            f"`{name}` must name at least one layer, got {text!r}; for example relu1_1,relu2_1:0.5"
        )
    return layers


def _parse_number(text: str) -> int | float | str:
    """Parse a number; text that is none stays as it is, for the recipe to refuse."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
