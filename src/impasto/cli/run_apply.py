"""Run `impasto apply`: check every place, paint one picture after the other, report."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from impasto.batch.plan import ending_of
from impasto.cli.delivery import Delivery
from impasto.cli.files import (
    SaveOptions,
    check_places,
    check_result_size,
    print_result,
    read_image,
    save_options,
)
from impasto.cli.options import PIPE, check_single_stdin, stem
from impasto.cli.progress import interruptible
from impasto.cli.run import INTERRUPTED, open_style, report_problems
from impasto.cli.style_args import parse_styles
from impasto.cli.terminal import echo, echo_json, say_left_out
from impasto.errors import MAX_SENTENCE, ImpastoError, shorten
from impasto.files import ensure_directory
from impasto.images.read import image_files
from impasto.images.resize import composite_rgb, resize, result_size
from impasto.images.write import output_format
from impasto.models.model import Model, apply
from impasto.models.painting_losses import measure_painting
from impasto.recipes import ApplyRecipe
from impasto.style.source import Style

SOME_FAILED = 3  # exit code


class Work(NamedTuple):
    """A picture, and how its painting is written."""

    source: str
    saving: SaveOptions


def apply_to_files(
    model: str,
    pictures: Sequence[str],
    output: str | None,
    recipe: ApplyRecipe,
    options: Mapping[str, Any],
) -> int:
    """Paint files with a model, or print what would be painted, and return the exit code.

    Args:
        model: the model's file.
        pictures: files and folders.
        output: a file, a folder, or `-`; None names the painting after picture and model.
        recipe: how.
        options: the command's other options.
    """
    fitted = Model.load(model)
    sources = _list_sources(pictures)
    check_single_stdin({f"picture {number}": path for number, path in enumerate(sources, 1)})
    works = _lay_out(sources, output, model, options)
    for work in works:
        if not options["dry_run"] or _folder_exists(work):
            check_places(work.saving)
    if options["dry_run"]:
        return _print_plan(works, recipe, options["as_json"])
    styles = [open_style(style) for style in parse_styles(options["check"], {})]
    facts: list[dict[str, Any]] = []
    failed, problems = 0, list[str]()
    shows = sys.stderr.isatty() if options["progress"] is None else options["progress"]
    with interruptible("stopping after this picture; once more to stop at once") as stop_requested:
        for work in works:
            if stop_requested.is_set():
                break
            try:
                facts.append(_paint(work, fitted, recipe, styles, problems))
            except (ImpastoError, ValueError) as error:
                if len(works) == 1:
                    raise
                failed += 1
                echo(f"impasto: {work.source}: {shorten(str(error), MAX_SENTENCE)}", err=True)
            if shows and len(works) > 1:
                echo(f"impasto: {len(facts) + failed} of {len(works)} pictures", err=True)
    code = report_problems(problems)
    _print_end(facts, options["as_json"], single=len(works) == 1)
    if stop_requested.is_set():
        echo(f"impasto: stopped after {len(facts)} of {len(works)} pictures", err=True)
        return INTERRUPTED
    return SOME_FAILED if failed else code


def _list_sources(pictures: Sequence[str]) -> list[str]:
    """List the pictures, those of folders too, each once."""
    sources: list[str] = []
    for source in pictures:
        if source == PIPE or not Path(source).is_dir():
            sources.append(source)
            continue
        left_out: list[str] = []
        sources += [str(path) for path in image_files(source, "pictures", left_out)]
        say_left_out(left_out)
    return list(dict.fromkeys(sources))


def _lay_out(
    sources: Sequence[str], output: str | None, model: str, options: Mapping[str, Any]
) -> list[Work]:
    """Say where each painting goes, before any is painted."""
    inputs = [*sources, model, *options["check"]]
    ending = ending_of(options["ending"] or ".png")
    output_format(ending, "format", ending)
    if output is None and len(sources) > 1:
        raise ValueError(
            f"`output` must be a folder for {len(sources)} pictures, got none; give -o DIR"
        )
    if output is None:
        output = f"{stem(sources[0])}-{stem(model)}{ending}"
    folder = output != PIPE and (Path(output).is_dir() or not Path(output).suffix)
    if not folder and len(sources) > 1:
        raise ValueError(
            f"`output` must be a folder for {len(sources)} pictures, got {output}; name one"
        )
    if not folder:
        return [Work(sources[0], save_options(output, inputs, options))]
    if not options["dry_run"]:
        ensure_directory(output, "output")
    places: dict[str, str] = {}
    for source in sources:
        place = str(Path(output) / f"{stem(source)}{ending}")
        if place in places:
            raise ValueError(
                f"`output` must be another file for each picture, got {place} for "
                f"{places[place]} and {source}; rename one, or run them apart"
            )
        places[place] = source
    return [Work(source, save_options(place, inputs, options)) for place, source in places.items()]


def _folder_exists(work: Work) -> bool:
    """Return whether a painting's folder is there, which a dry run does not make."""
    return work.saving.output == PIPE or Path(work.saving.output).parent.is_dir()


def _paint(
    work: Work,
    model: Model,
    recipe: ApplyRecipe,
    styles: Sequence[Style],
    problems: list[str],
) -> dict[str, Any]:
    """Paint one picture, write it, and return what `--json` prints of it."""
    image = read_image(work.source, "picture")
    check_result_size(work.saving, result_size(recipe, image.size))
    result = apply(image, model, recipe=recipe)
    delivery = Delivery(work.saving)
    written = delivery.write_result(result)
    problems += delivery.problems
    facts = {
        "picture": work.source,
        "output": written,
        "size": list(result.size),
        "seconds": round(result.seconds, 3),
        "unlikeness": round(result.unlikeness, 3),
    }
    if note := result.unlike_note:
        echo(f"impasto: {work.source}: {note}", err=True)
    if styles:
        content = resize(composite_rgb(image), result.size)
        losses, reached = measure_painting(result, content, model, styles)
        facts |= {"style_loss": round(losses["style"], 6), "fit_style_loss": reached["style"]}
        echo(
            f"impasto: {work.source}: style loss {losses['style']:.4f}, of the pictures of the "
            f"fit {reached['style']:.4f}; content loss {losses['content']:.4f}, of those "
            f"{reached['content']:.4f}",
            err=True,
        )
    return facts


def _print_plan(works: Sequence[Work], recipe: ApplyRecipe, as_json: bool) -> int:
    """Print what would be painted, and return the exit code."""
    rows = []
    for work in works:
        size = result_size(recipe, read_image(work.source, "picture").size)
        check_result_size(work.saving, size)
        rows.append({"picture": work.source, "output": work.saving.output, "size": list(size)})
    if as_json:
        echo_json({"pictures": rows})
        return 0
    for row in rows:
        echo(f"{row['picture']}  {row['size'][0]} × {row['size'][1]}  {row['output']}")
    echo("nothing was written")
    return 0


def _print_end(facts: Sequence[Mapping[str, Any]], as_json: bool, *, single: bool) -> None:
    """Print where the paintings are, or the facts about them as one JSON object."""
    if single and facts:
        print_result(facts[0]["output"], facts[0] if as_json else None)
    elif as_json:
        echo_json({"pictures": list(facts)})
    else:
        for fact in facts:
            echo(fact["output"])
