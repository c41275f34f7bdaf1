"""`impasto reconstruct`: what one layer of the network remembers of a picture."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import click

from impasto.cli import files
from impasto.cli.dry_run import print_plans
from impasto.cli.options import given_options, recipe_options, saving_options
from impasto.cli.progress import show_progress
from impasto.cli.signals import interruptible, stop_when_asked
from impasto.cli.timelapse import record_timelapse
from impasto.recipes import BLOCKS, ReconstructRecipe
from impasto.validation import validate

if TYPE_CHECKING:
    from impasto.images.image import Image
    from impasto.result import Result
    from impasto.style.checkpoint import Checkpoints

# The first convolution of every block: the row that the figure shows.
ROW = tuple(f"conv{block}_1" for block in range(1, len(BLOCKS) + 1))

EPILOG = (
    f"--figure rebuilds IMAGE from {ROW[0]} … {ROW[-1]} and draws all of them beside it; -o is "
    "then optional, and --layer needs it. IMAGE may be `-` for stdin; -o - writes a PNG to "
    "stdout, and --json then goes to stderr. Ctrl-C keeps the best picture so far."
)


@click.command(epilog=EPILOG)
@click.argument("image")
@click.option("-o", "--output", metavar="FILE", help="where to  [default: IMAGE-LAYER.png here]")
@click.option("--figure", metavar="FILE", help="draw the row of five layers: .png .jpg .pdf .svg")
@recipe_options(ReconstructRecipe)
@saving_options
def reconstruct(image: str, output: str | None, **options: Any) -> int:
    """Rebuild IMAGE from one layer of the network."""
    recipe = validate(ReconstructRecipe, given_options(ReconstructRecipe, _texts(options)))
    wants_picture = output is not None or not options["figure"]
    if not wants_picture:
        _refuse_without_output(options)
    files.check_single_stdin({"image": image})
    place = output or f"{files.base_name(image)}-{recipe.layer}.png"
    saving = files.saving_of(place, files.files(image, files.weights_of(recipe)), options)
    files.check_places(
        saving,
        writes_picture=wants_picture,
        figures={name: options[name] for name in ("figure", "loss_curve", "timelapse")},
        save_every=options["save_every"],
        steps=recipe.steps,
    )
    picture = files.open_content(image, "image")
    if options["dry_run"]:
        return _rehearse(picture, recipe, _layers(recipe, wants_picture, options), options)
    with interruptible() as asked:
        return _run(picture, recipe, saving if wants_picture else None, options, asked)


def _run(
    picture: Image,
    recipe: ReconstructRecipe,
    saving: files.SaveOptions | None,
    options: dict[str, Any],
    asked: threading.Event,
) -> int:
    """Rebuild every layer that is wanted, write everything, and say where it is."""
    results: dict[str, Result] = {}
    kept = files.checkpoints(options["checkpoint"])
    layers = _layers(recipe, saving is not None, options)
    for layer in layers:
        if not asked.is_set():
            own = recipe.model_copy(update={"layer": layer})
            keeps = saving if layer == recipe.layer else None
            label = layer if len(layers) > 1 else ""
            results[layer] = _rebuilt(picture, own, keeps, options, asked, label, kept)
    written = options["figure"]
    main = results[recipe.layer] if saving else next(iter(results.values()))
    if saving:
        written = files.write_result(saving, main)
    _draw(picture, results, main, options)
    facts = files.summary(main, written) if options["as_json"] else None
    if facts and options["figure"]:
        facts["layers"] = {
            layer: files.plain(results[layer].losses["total"]) for layer in ROW if layer in results
        }
    files.print_result(written, facts)
    total = sum(result.evaluations for result in results.values())
    if asked.is_set():
        return files.tell_stopped(total, written, options)
    if kept:
        kept.clear()
    return 0


def _layers(recipe: ReconstructRecipe, own: bool, options: dict[str, Any]) -> list[str]:
    """The layers to rebuild: the recipe's own where its picture is wanted, and those of the row."""
    return list(
        dict.fromkeys([*([recipe.layer] if own else []), *(ROW if options["figure"] else [])])
    )


def _rehearse(
    picture: Image, recipe: ReconstructRecipe, layers: list[str], options: dict[str, Any]
) -> int:
    """Print what a run would do."""
    from impasto.api import plan_reconstruction

    recipes = {layer: recipe.model_copy(update={"layer": layer}) for layer in layers}
    plans = {layer: plan_reconstruction(picture, recipe=own) for layer, own in recipes.items()}
    print_plans(plans, options["as_json"])
    return 0


def _rebuilt(
    picture: Image,
    recipe: ReconstructRecipe,
    saving: files.SaveOptions | None,
    options: dict[str, Any],
    asked: threading.Event,
    label: str,
    kept: Checkpoints | None,
) -> Result:
    """Rebuild one layer, drawing progress and writing snapshots on the way."""
    from impasto.api import reconstruct as rebuild

    film = record_timelapse(
        options["timelapse"] if saving else None, recipe.steps, options["overwrite"]
    )
    with show_progress(options["progress"], label) as draw, film as frames:
        written = [files.snapshots(saving, options["save_every"], recipe)] if saving else []
        on_step = stop_when_asked(asked, draw, frames, *written)
        return rebuild(picture, recipe=recipe, on_step=on_step, checkpoint=kept, stop=asked.is_set)


def _draw(
    picture: Image, results: dict[str, Result], main: Result, options: dict[str, Any]
) -> None:
    """Draw the figures that were asked for."""
    if not (options["figure"] or options["loss_curve"]):
        return
    from impasto.figures import loss_curve, reconstruction_row, save_figure

    if options["figure"]:
        row = {layer: results[layer].pixels for layer in ROW if layer in results}
        save_figure(reconstruction_row(picture, row), options["figure"], options["overwrite"])
    if options["loss_curve"]:
        curve = loss_curve(main.history, main.scale_starts)
        save_figure(curve, options["loss_curve"], options["overwrite"])


def _refuse_without_output(options: dict[str, Any]) -> None:
    """Refuse what only makes sense for one picture where only the row is written."""
    for name in ("layer", "loss_curve", "save_every", "bits", "quality"):
        if options[name] is not None:
            raise ValueError(
                f"`{name}` needs a picture of its own beside `--figure`, got {options[name]!r}; "
                "add -o FILE"
            )


def _texts(options: dict[str, Any]) -> dict[str, str | None]:
    """The options that are the recipe's."""
    return {name: options[name] for name in ReconstructRecipe.model_fields if name in options}
