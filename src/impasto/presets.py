"""The named styles of painting: each preset is a few changed options of `StyleRecipe`."""

from __future__ import annotations

import tomllib
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from impasto.errors import OptionError, quote, quoted_name
from impasto.recipes import StyleRecipe, upgrade_loss_options
from impasto.validation import did_you_mean, parse_json, validate

R = TypeVar("R", bound=StyleRecipe)

_MAX_BYTES = 1_000_000  # bytes of a file of options
THUMBNAILS = Path(__file__).parent / "thumbnails"  # made by docs/make_thumbnails.py


class Preset(NamedTuple):
    """A named style of painting.

    Attributes:
        words: what it looks like, in a sentence.
        options: what it changes of `StyleRecipe`.
    """

    words: str
    options: Mapping[str, Any]


_LARGE = {"relu3_1": 1.0, "relu4_1": 1.0, "relu5_1": 1.0}
_GRAIN = {"relu1_1": 1.0, "relu2_1": 1.0, "relu3_1": 0.5}

# Each preset is only what it changes.
PRESETS: Mapping[str, Preset] = types.MappingProxyType(
    {
        "default": Preset("strokes and colors of the style, the subject whole", {}),
        "gentle": Preset(
            "the photograph, touched with the style's brush; faces stay",
            {"strength": 0.25, "structure": 0.5},
        ),
        "bold": Preset(
            "the style comes first, the subject is suggested",
            {"strength": 0.85},
        ),
        "own-colors": Preset(
            "the style's strokes in the photograph's own colors",
            {"color": 0.0, "color_by": "luminance"},
        ),
        "palette": Preset(
            "the style's strokes in the photograph's palette, mixed anew",
            {"color": 0.0, "color_by": "statistics", "strength": 0.6},
        ),
        "shapes": Preset(
            "large, smooth forms of the style without its grain",
            {"style_layers": _LARGE, "strength": 0.6, "pooling": "average", "tv_weight": 3.0},
        ),
        "grain": Preset(
            "the style's paper, pigment and grain over an exact drawing",
            {"style_layers": _GRAIN, "strength": 0.5},
        ),
        "wash": Preset(
            "soft, flat surfaces without small strokes",
            {"pooling": "average", "tv_weight": 2.0, "strength": 0.4, "structure": 0.5},
        ),
        "tint": Preset(
            "the photograph in the style's colors, with hardly a stroke",
            {"style_layers": {"relu1_1": 1.0}, "strength": 0.2},
        ),
        # The notebook to the letter (docs/method.md): convolutions counted in order and read
        # before the ReLU, mean squared errors, torch's L-BFGS with the clamp inside.
        "notebook": Preset(
            "the student notebook that impasto grew from, to the letter",
            {
                "init": "content",
                "content_layers": {"conv2_2": 1.0},
                "style_layers": dict.fromkeys(
                    ("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1"), 1.0
                ),
                "content_weight": 1.0,
                "style_weight": 1e6,
                "style_loss": "gram-notebook",
                "content_loss": "mse",
                "padding": "zeros",
                "optimizer": "lbfgs-clamped",
                "history": 100,
                "steps": 300,
                "scales": 1,
                "precision": "float32",
                "warmup": 0.0,
            },
        ),
        # Gatys, Ecker, Bethge 2016. Its equations (2) and (6) have no gradient where a feature is
        # negative, so the features it calls conv1_1 … are read after the ReLU.
        "gatys": Preset(
            "Gatys, Ecker and Bethge 2016: the paper's layers, losses and start",
            {
                "content_layers": {"relu4_2": 1.0},
                "style_layers": dict.fromkeys(
                    ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"), 0.2
                ),
                "content_weight": 1.0,
                "style_weight": 1e3,
                "style_loss": "gram-paper",
                "content_loss": "paper",
                "pooling": "average",
                "padding": "zeros",
                "init": "noise",
                "scales": 1,
                "warmup": 0.0,
                "steps": 500,
            },
        ),
    }
)


def style_recipe(
    preset: str = "default", *, presets: Mapping[str, Preset] = PRESETS, **options: Any
) -> StyleRecipe:
    """Return the recipe of a named preset, with some of its options changed.

    Args:
        preset: a name in `presets`.
        presets: the presets there are; `read_presets` gives those of a file too.
        options: any field of `StyleRecipe`; each replaces the preset's own.

    Returns:
        A frozen, valid recipe.

    Raises:
        ValueError: the preset or an option is unknown, or a value is out of its range.

    Example:
        >>> style_recipe("gatys", steps=100).style_loss
        'gram-paper'
        >>> style_recipe(strength=2)
        Traceback (most recent call last):
        impasto.errors.OptionError: `strength` must be at most 1, got 2; see StyleRecipe ...
    """
    return style_recipe_of({**options, "preset": preset}, presets)


def style_recipe_of(
    options: Mapping[str, Any],
    presets: Mapping[str, Preset] = PRESETS,
    model: type[R] = StyleRecipe,
) -> R:
    """Return the recipe that a file or a request describes: as `style_recipe`, from one mapping.

    Args:
        options: any field of the recipe.
        presets: as for `style_recipe`.
        model: the recipe's class, `FilmRecipe` for films.

    Example:
        >>> style_recipe_of({"preset": "gatys", "steps": 100}).style_loss
        'gram-paper'
    """
    preset = options.get("preset", "default")
    if not isinstance(preset, str) or preset not in presets:
        raise ValueError(
            f"`preset` must be one of {', '.join(presets)}, got {quote(preset)}"
            f"{did_you_mean(preset, presets)}"
        )
    return validate(model, {**presets[preset].options, **options, "preset": preset})


def read_presets(path: str | Path) -> Mapping[str, Preset]:
    """Read the presets of a user's file, and add them to those of impasto.

    Args:
        path: a .toml or .json file: a table for each preset, named after it, with the options it
            changes, and `words` that describe it. A name that impasto has takes its place.

    Returns:
        Name to preset.

    Raises:
        ValueError: the file cannot be read, is not TOML or JSON, or an option is wrong.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder) / "mine.toml"
        ...     _ = file.write_text('[loud]\\nwords = "all style"\\nstrength = 0.9')
        ...     style_recipe("loud", presets=read_presets(file)).strength
        0.9
    """
    presets = {}
    for name, table in _read_tables(Path(path)).items():
        shown = quoted_name(name)
        if not isinstance(table, dict):
            raise ValueError(
                f"`presets` must hold a table for each preset, got {quote(table)} for {shown} "
                f"in {path}; write [{shown}] and its options below"
            )
        words = table.get("words", "")
        if not isinstance(words, str):
            raise ValueError(
                f"`words` must be a text, got {quote(words)} for {shown} in {path}; put "
                "it in quotes"
            )
        options = {key: value for key, value in table.items() if key != "words"}
        try:
            validate(StyleRecipe, options)
        except OptionError as error:
            raise error.at(f"preset {shown} of {path}") from None
        # Upgraded, so that an option given on top of the preset replaces it.
        presets[name] = Preset(words, upgrade_loss_options(options))
    return types.MappingProxyType({**PRESETS, **presets})


def thumbnail_path(name: str, presets: Mapping[str, Preset] = PRESETS) -> Path | None:
    """Return the thumbnail of one of impasto's own presets; None for others or replaced ones.

    Example:
        >>> thumbnail_path("default").name
        'default.jpg'
    """
    built_in = name in PRESETS and presets.get(name) is PRESETS[name]
    return THUMBNAILS / f"{name}.jpg" if built_in else None


def _read_tables(path: Path) -> dict[str, Any]:
    """Read a TOML or JSON file."""
    readers = {".toml": tomllib.loads, ".json": parse_json}
    if path.suffix.lower() not in readers:
        raise ValueError(f"`presets` must end in .toml or .json, got {quote(str(path))}; rename it")
    words = {"kind": "TOML or JSON", "see": "impasto presets --help"}
    return read_options_file(path, "presets", readers[path.suffix.lower()], **words)


def read_options_file(
    path: Path, name: str, parse: Callable[[str], Any], *, kind: str, see: str
) -> dict[str, Any]:
    """Read a file of options.

    Args:
        path: the file.
        name: what errors call it.
        parse: its text to a dictionary.
        kind: what errors call its format.
        see: the command that tells more.

    Raises:
        ValueError: it cannot be read, is too large, or holds something else.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(_MAX_BYTES + 1)  # what has no size of its own, too, such as a pipe
        if len(data) > _MAX_BYTES:
            raise ValueError(f"it is larger than {_MAX_BYTES:,} bytes")
        options = parse(data.decode("utf-8-sig"))
        if not isinstance(options, dict):
            raise ValueError("it is not a table")
    except (OSError, ValueError, RecursionError) as error:
        why = _reason(error)
        raise ValueError(
            f"`{name}` must be a readable {kind} file, got {path}: {why}; see `{see}`"
        ) from None
    return options


def _reason(error: Exception) -> str:
    """Say why a file of options cannot be read."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    if isinstance(error, UnicodeDecodeError):
        return "it is not text in UTF-8"
    if isinstance(error, RecursionError):
        return "lists or tables are nested too deeply in it"
    return str(error)
