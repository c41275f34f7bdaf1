"""`impasto style`: paint a photograph in the style of one picture or several."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from impasto.cli import files
from impasto.cli.dry_run import print_plans
from impasto.cli.options import (
    given_options,
    recipe_options,
    saving_options,
)
from impasto.cli.presets import presets_option
from impasto.cli.progress import show_progress
from impasto.cli.signals import interruptible, stop_when_asked
from impasto.cli.style_args import mask_options, open_styles, parse_styles, style_names
from impasto.cli.timelapse import record_timelapse
from impasto.presets import PRESETS, read_presets, style_recipe
from impasto.recipes import StyleRecipe
from impasto.validation import literal_values

if TYPE_CHECKING:
    from impasto.result import Result

EPILOG = (
    "A STYLE is a picture, or a folder of pictures as one style; STYLE:0.7 gives it a weight. "
    "--region and --style-mask go to the styles in their order, or to style N with N=FILE. "
    "CONTENT, one STYLE or --init may be `-` for stdin; -o - writes a PNG to stdout, and --json "
    "then goes to stderr. --init also takes the path of a picture. Ctrl-C keeps the best picture "
    "so far. --denoise without a NAME goes behind STYLE. Options not given are the preset's; the "
    "defaults shown are those of `default`."
)


@click.command(epilog=EPILOG)
@click.argument("content")
@click.argument("style", nargs=-1, required=True)
@click.option("-o", "--output", metavar="FILE", help="where to  [default: CONTENT-STYLE.png here]")
@mask_options
@click.option("--figure", metavar="FILE", help="draw content, style, output: .png .jpg .pdf .svg")
@presets_option
@recipe_options(StyleRecipe)
@saving_options
def style(content: str, style: tuple[str, ...], output: str | None, **options: Any) -> int:
    """Paint CONTENT in the style of STYLE.

    Several styles are blended by their weights; each may have a region of its own.
    """
    recipe, start = _recipe({name: options[name] for name in _FIELDS}, options["presets"])
    return paint_files(content, style, output, recipe, start, options)


def paint_files(
    content: str,
    style: tuple[str, ...],
    output: str | None,
    recipe: StyleRecipe,
    start: str | None,
    options: dict[str, Any],
) -> int:
    """Paint files as a recipe says, check every place first, and say where the picture is.

    Args:
        content: the content image's file.
        style: the styles as they were typed.
        output: where to; None names it after the inputs.
        recipe: how.
        start: file of the init picture, if there is one.
        options: the command's other options.
    """
    wanted = parse_styles(style, options)
    beside = {name: options[name] for name in ("protect", "keep") if options[name]}
    beside |= {"init": start} if start else {}
    inputs = {"content": content, **style_names(wanted), **beside}
    files.check_single_stdin(inputs)
    stems = [files.base_name(source) for source in (content, *(wish.source for wish in wanted))]
    place = output or "-".join(stems) + ".png"
    taken = (*inputs.values(), files.weights_of(recipe))
    saving = files.saving_of(place, files.files(*taken), options)
    files.check_places(
        saving,
        figures={name: options[name] for name in ("figure", "loss_curve", "timelapse")},
        save_every=options["save_every"],
        steps=recipe.steps,
    )
    pictures = {
        "content": files.open_content(content, "content"),
        "style": open_styles(wanted),
        **{_ARGUMENTS[name]: files.open_content(source, name) for name, source in beside.items()},
    }
    if options["dry_run"]:
        return _rehearse(recipe, pictures, options["as_json"])
    return _run(recipe, pictures, saving, options)


def _run(
    recipe: StyleRecipe, pictures: dict[str, Any], saving: files.SaveOptions, options: Any
) -> int:
    """Paint, write everything, and say where it is."""
    kept = files.checkpoints(options["checkpoint"])
    # Where no figure needs them at the end, the run may let go of the pictures.
    shown = dict(pictures) if options["figure"] else {}
    from impasto.api import stylize

    with interruptible() as asked:
        film = record_timelapse(options["timelapse"], recipe.steps, options["overwrite"])
        with show_progress(options["progress"]) as draw, film as frames:
            result = stylize(
                pictures.pop("content"),
                pictures.pop("style"),
                recipe=recipe,
                on_step=stop_when_asked(
                    asked, draw, frames, files.snapshots(saving, options["save_every"], recipe)
                ),
                checkpoint=kept,
                stop=asked.is_set,
                **pictures,
            )
        written = files.write_result(saving, result)
        _draw(result, shown, options)
    files.print_result(written, files.summary(result, written) if options["as_json"] else None)
    if asked.is_set():
        return files.tell_stopped(result.evaluations, written, options)
    if kept:
        kept.clear()
    return 0


def _rehearse(recipe: StyleRecipe, pictures: dict[str, Any], as_json: bool) -> int:
    """Print what a run would do; cleaning needs no plan."""
    from impasto.api import plan_style

    recipe = recipe.model_copy(update={"denoise": "no"})
    print_plans({"": plan_style(**pictures, recipe=recipe)}, as_json)
    return 0


def _draw(result: Result, shown: dict[str, Any], options: Any) -> None:
    """Draw the figures that were asked for."""
    files.draw_losses(result, options)
    if shown:
        from impasto.figures import save_figure, triptych
        from impasto.images.image import Image

        # Of a folder of styles there is no one picture to show.
        styles = [one.picture for one in shown["style"] if isinstance(one.picture, Image)]
        row = triptych(shown["content"], styles, Image(result.pixels, result.metadata))
        save_figure(row, options["figure"], options["overwrite"])


def _recipe(texts: dict[str, str | None], presets: str | None) -> tuple[StyleRecipe, str | None]:
    """The recipe, and the picture to start from where `--init` names one."""
    start = texts["init"]
    words = set(literal_values(StyleRecipe.model_fields["init"].annotation)) - {"picture"}
    if start in words or start is None:
        start = None
    elif start == files.PIPE or Path(start).exists() or Path(start).name != Path(start).stem:
        texts = {**texts, "init": "picture"}
    else:
        raise ValueError(
            f"`init` must be one of {', '.join(sorted(words))} or the path of a picture, "
            f"got {start!r}; there is no such file"
        )
    options = given_options(StyleRecipe, texts)
    known = PRESETS if presets is None else read_presets(presets)
    return style_recipe(options.pop("preset", "default"), presets=known, **options), start


# What the command line calls a picture -> what the library does.
_ARGUMENTS = {"init": "init_image", "protect": "protect", "keep": "keep"}
_FIELDS = tuple(
    name for name in (*StyleRecipe.model_fields, *StyleRecipe.OLD_OPTIONS) if name != "version"
)
