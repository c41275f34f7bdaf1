"""`impasto watch`: paint or clean whatever is put into a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from impasto.batch.watch import WatchEvent, watch_folder
from impasto.cli.batch import (
    NONE_DONE,
    SOME_FAILED,
    place_options,
    plan_of,
    say_notes,
    worker_options,
)
from impasto.cli.options import (
    FILE,
    Command,
    debug_option,
    flag_name,
    json_option,
    parse_options,
    presets_option,
    progress_option,
    recipe_options,
    recipe_texts,
)
from impasto.cli.progress import interruptible
from impasto.cli.terminal import echo, echo_json
from impasto.errors import MAX_SENTENCE, shorten
from impasto.methods import METHODS, film_fields
from impasto.presets import PRESETS, read_presets, style_recipe
from impasto.recipes import ApplyRecipe, ClipRecipe, DenoiseRecipe, FilmRecipe, StyleRecipe
from impasto.validation import validate

if TYPE_CHECKING:
    from impasto.methods import MethodName, Recipe

EPILOG = (
    "With --style it paints, with --model it paints with what `impasto fit` wrote, with neither it "
    "cleans. A file is taken when it has stayed as it is for --settle seconds; hidden files, and "
    "names such as .part and .tmp, are passed over. What is done, and what cannot be read, is in "
    "impasto-batch.sqlite in DIR: started again, it goes on, and does a file anew when that has "
    "changed. Ctrl-C and SIGTERM end it after the picture at hand. Exit codes: 0 ended; with "
    "--once 3 if some failed, 1 if all did; 2 wrong usage."
)
_OTHERS = {"cleaning": DenoiseRecipe, "with --model": ApplyRecipe}
_STYLE = tuple(StyleRecipe.model_fields)
_CLEAN = (*_STYLE, *DenoiseRecipe.model_fields)
_APPLY = (*_CLEAN, *ApplyRecipe.model_fields)
_FILM = (*_APPLY, *FilmRecipe.model_fields)


@click.command("watch", cls=Command, epilog=EPILOG)
@click.argument("folder", type=FILE)
@click.option(
    "-s",
    "--style",
    "styles",
    multiple=True,
    metavar="STYLE",
    type=FILE,
    help="paint in the style of a picture; several make a painting each",
)
@click.option("--model", metavar="MODEL", default="", type=FILE, help="paint with a fitted model")
@place_options
@presets_option
@recipe_options(StyleRecipe, others=_OTHERS)
@recipe_options(DenoiseRecipe, without=_STYLE)
@recipe_options(ApplyRecipe, without=_CLEAN)
@recipe_options(FilmRecipe, without=(*_APPLY, *StyleRecipe.OLD_OPTIONS))
@recipe_options(ClipRecipe, without=_FILM)
@click.option(
    "--every",
    type=float,
    metavar="SECONDS",
    default=2.0,
    help="from one look at FOLDER to the next  [default: 2]",
)
@click.option(
    "--settle",
    type=float,
    metavar="SECONDS",
    default=5.0,
    help="for which a file must have stayed as it is to count as whole; more for slow writers  "
    "[default: 5]",
)
@click.option("--once", is_flag=True, help="end when what is there is done, for cron")
@worker_options(1)
@json_option
@progress_option
@debug_option
def watch_command(folder: str, styles: tuple[str, ...], model: str, **options: Any) -> int:
    """Paint or clean whatever is put into FOLDER.

    A camera's or a scanner's, each file once, until it is stopped.
    """
    method, recipe = _method_and_recipe(bool(styles), bool(model), options)
    plan = plan_of(method, (folder,), styles, recipe, options, model)

    names = (
        *("every", "settle", "once", "executor", "workers", "threads", "address", "gpus"),
        *("existing", "tries", "manifest"),
    )
    say = _say_json if options["as_json"] else _say
    quiet = options["progress"] is False
    if not quiet and not options["once"] and not options["as_json"]:
        echo(f"impasto: watching {folder}; Ctrl-C ends", err=True)
    with interruptible("finishing the pictures at hand; once more to abandon them") as stop:
        counts = watch_folder(
            plan, **{name: options[name] for name in names}, on_event=say, stop=stop
        )
    if not options["once"] or not counts.failed:
        return 0
    return SOME_FAILED if counts.made else NONE_DONE


def _method_and_recipe(
    styled: bool, fitted: bool, options: dict[str, Any]
) -> tuple[MethodName, Recipe]:
    """Return what is done to each file, and how; refuse options of something else."""
    if styled and fitted:
        raise ValueError("`model` must be left out beside `style`, got both; choose one")
    method: MethodName = "style" if styled else "apply" if fitted else "denoise"
    if method == "denoise" and options["denoise"] == "after":
        options["denoise"] = None  # `--denoise` alone says what is done anyway
    recipe = METHODS[method].recipe
    own = {*recipe.model_fields, *getattr(recipe, "OLD_OPTIONS", ()), *film_fields(method)}
    own |= {"presets"} if styled else set()
    for name in ("presets", *_FILM, *StyleRecipe.OLD_OPTIONS):
        if name not in own and options.get(name) not in (None, False):
            way = {"style": "painting", "apply": "a fitted model", "denoise": "cleaning"}[method]
            raise ValueError(
                f"`{flag_name(name)}` must be left out of {way}, got {options[name]!r}; leave it "
                "out" + ("" if styled else ", or add `--style`")
            )
    changed = parse_options(recipe, recipe_texts(recipe, options))
    if not styled:
        return method, validate(recipe, changed)
    presets = read_presets(options["presets"]) if options["presets"] else PRESETS
    return method, style_recipe(changed.pop("preset", "default"), presets=presets, **changed)


def _say(event: WatchEvent) -> None:
    """Print what became of a file: the result on stdout, anything else on stderr."""
    if event.reason:
        sentence = shorten(f"{event.content}: {event.reason}", MAX_SENTENCE)
        echo(f"impasto: {sentence}", err=True)
    else:
        say_notes(event.notes)
        echo(event.output)


def _say_json(event: WatchEvent) -> None:
    """Print what became of a file as one line of JSON."""
    echo_json(event._asdict())
