"""`impasto style`: paint a photograph in the style of one picture or several."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from impasto.cli import files
from impasto.cli.dry_run import tell_plans
from impasto.cli.interrupt import obeying, stoppable
from impasto.cli.options import (
    given,
    recipe_options,
    saving_options,
)
from impasto.cli.progress import watching
from impasto.law import choices
from impasto.presets import style_recipe
from impasto.recipe import StyleRecipe

EPILOG = (
    "CONTENT, one STYLE or --init may be `-` for stdin; -o - writes a PNG to stdout, and --json "
    "then goes to stderr. --init also takes the path of a picture. Ctrl-C keeps the best picture "
    "so far. --denoise without a NAME goes behind STYLE. Options not given are the preset's; the "
    "defaults shown are those of `default`."
)


@click.command(epilog=EPILOG)
@click.argument("content")
@click.argument("style", nargs=-1, required=True)
@click.option("-o", "--output", metavar="FILE", help="where to  [default: CONTENT-STYLE.png here]")
@click.option("--figure", metavar="FILE", help="draw content, style, output: .png .jpg .pdf .svg")
@recipe_options(StyleRecipe)
@saving_options
def style(content: str, style: tuple[str, ...], output: str | None, **options: Any) -> int:
    """Paint CONTENT in the style of STYLE.

    Several styles are blended.
    """
    recipe, start = _recipe({name: options[name] for name in _FIELDS})
    named = {"content": content, **_numbered(style)} | ({"init": start} if start else {})
    files.one_pipe(named)
    place = output or "-".join(map(files.stem, (content, *style))) + ".png"
    saving = files.saving_of(place, files.files(*named.values(), files.weights_of(recipe)), options)
    files.check_places(
        saving,
        figures={name: options[name] for name in ("figure", "loss_curve")},
        save_every=options["save_every"],
        steps=recipe.steps,
    )
    pictures = {name: files.opened(source, name) for name, source in named.items()}
    if options["dry_run"]:
        return _rehearse(recipe, pictures, options["as_json"])
    return _run(recipe, pictures, saving, options)


def _run(recipe: StyleRecipe, pictures: dict[str, Any], saving: files.Saving, options: Any) -> int:
    """Paint, write everything, and say where it is."""
    kept = files.checkpoints(options["checkpoint"])
    styles = _styles(pictures)
    # Where no figure needs it at the end, the run may let go of the photograph.
    content = pictures["content"] if options["figure"] else None
    with stoppable() as asked:
        with watching(options["progress"]) as draw:
            result = _painter(recipe)(
                content or pictures.pop("content"),
                styles if len(styles) > 1 else styles[0],
                recipe=recipe,
                on_step=obeying(
                    asked, draw, files.snapshots(saving, options["save_every"], recipe)
                ),
                init_picture=pictures.get("init"),
                checkpoint=kept,
            )
        written = files.put(saving, result.pixels, result.carried, result.recipe.model_dump_json())
        _draw(result, content, styles, options)
    files.tell(written, files.summary(result, written) if options["as_json"] else None)
    if asked.is_set():
        return files.tell_stopped(result.evaluations, written, options)
    if kept:
        kept.clear()
    return 0


def _painter(recipe: StyleRecipe) -> Callable[..., Any]:
    """What paints, and cleans where that is wanted."""
    if recipe.denoise == "no":
        from impasto.style.stylize import stylize

        return stylize
    from impasto.painting import paint

    return paint


def _rehearse(recipe: StyleRecipe, pictures: dict[str, Any], as_json: bool) -> int:
    """Print what a run would do; cleaning needs no plan."""
    from impasto.style.stylize import style_plan

    recipe = recipe.model_copy(update={"denoise": "no"})
    first = pictures.get("init")
    planned = style_plan(pictures["content"], _styles(pictures), recipe=recipe, init_picture=first)
    tell_plans({"": planned}, as_json)
    return 0


def _styles(pictures: dict[str, Any]) -> list[Any]:
    """The style images among the pictures."""
    return [picture for name, picture in pictures.items() if name.startswith("style")]


def _draw(result: Any, content: Any, styles: list[Any], options: Any) -> None:
    """Draw the figures that were asked for."""
    if not (options["figure"] or options["loss_curve"]):
        return
    from impasto.measure.figures import loss_curve, save_figure, triptych
    from impasto.picture.record import Picture

    if options["figure"]:
        row = triptych(content, styles, Picture(result.pixels, result.carried))
        save_figure(row, options["figure"], options["overwrite"])
    if options["loss_curve"]:
        curve = loss_curve(result.history, result.scale_starts)
        save_figure(curve, options["loss_curve"], options["overwrite"])


def _recipe(texts: dict[str, str | None]) -> tuple[StyleRecipe, str | None]:
    """The recipe, and the picture to start from where `--init` names one."""
    start = texts["init"]
    words = set(choices(StyleRecipe.model_fields["init"].annotation)) - {"picture"}
    if start in words or start is None:
        start = None
    elif start == files.PIPE or Path(start).exists() or Path(start).name != Path(start).stem:
        texts = {**texts, "init": "picture"}
    else:
        raise ValueError(
            f"`init` must be one of {', '.join(sorted(words))} or the path of a picture, "
            f"got {start!r}; there is no such file"
        )
    options = given(StyleRecipe, texts)
    return style_recipe(options.pop("preset", "default"), **options), start


def _numbered(style: tuple[str, ...]) -> dict[str, str]:
    """Names for the styles: `style`, or `style 1`, `style 2` …"""
    if len(style) == 1:
        return {"style": style[0]}
    return {f"style {number}": source for number, source in enumerate(style, 1)}


_FIELDS = tuple(name for name in StyleRecipe.model_fields if name != "version")
