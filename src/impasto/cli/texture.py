"""`impasto texture`: a texture of any size out of a style alone."""

from __future__ import annotations

from typing import Any

import click

from impasto.cli import files
from impasto.cli.dry_run import print_plans
from impasto.cli.options import given_options, recipe_options, saving_options
from impasto.cli.progress import show_progress
from impasto.cli.signals import interruptible, stop_when_asked
from impasto.cli.style_args import open_styles, parse_styles, style_names
from impasto.cli.timelapse import record_timelapse
from impasto.recipes import TextureRecipe
from impasto.validation import validate

EPILOG = (
    "A STYLE is a picture, or a folder of pictures as one style; STYLE:0.7 gives it a weight. One "
    "may be `-` for stdin; -o - writes a PNG to stdout. Ctrl-C keeps the best texture so far."
)


@click.command(epilog=EPILOG)
@click.argument("style", nargs=-1, required=True)
@click.option("-o", "--output", metavar="FILE", help="where to  [default: STYLE-texture.png here]")
@click.option("--style-mask", "style_masks", multiple=True, metavar="[N=]FILE",
              help="mask of the part of a style image to learn from")  # fmt: skip
@recipe_options(TextureRecipe)
@saving_options
def texture(style: tuple[str, ...], output: str | None, **options: Any) -> int:
    """Make a texture out of STYLE alone.

    Its strokes and colors, in a picture of any size.
    """
    from impasto.api import plan_texture
    from impasto.api import texture as make

    if options["checkpoint"]:
        raise ValueError("`checkpoint` is not for textures, which start from noise; leave it out")
    names = (*TextureRecipe.model_fields, *TextureRecipe.OLD_OPTIONS)
    fields = [name for name in names if name != "version"]
    recipe = validate(
        TextureRecipe, given_options(TextureRecipe, {name: options[name] for name in fields})
    )
    wanted = parse_styles(style, {**options, "regions": ()})
    inputs = style_names(wanted)
    files.check_single_stdin(inputs)
    place = output or f"{'-'.join(files.base_name(wish.source) for wish in wanted)}-texture.png"
    taken = (*inputs.values(), files.weights_of(recipe))
    saving = files.saving_of(place, files.files(*taken), options)
    files.check_places(
        saving,
        figures={name: options[name] for name in ("loss_curve", "timelapse")},
        save_every=options["save_every"],
        steps=recipe.steps,
    )
    styles = open_styles(wanted)
    if options["dry_run"]:
        print_plans({"": plan_texture(styles, recipe=recipe)}, options["as_json"])
        return 0
    with interruptible() as asked:
        film = record_timelapse(options["timelapse"], recipe.steps, options["overwrite"])
        every = files.snapshots(saving, options["save_every"], recipe)
        with show_progress(options["progress"]) as draw, film as frames:
            result = make(
                styles,
                recipe=recipe,
                on_step=stop_when_asked(asked, draw, frames, every),
                stop=asked.is_set,
            )
        written = files.write_result(saving, result)
        files.draw_losses(result, options)
    files.print_result(written, files.summary(result, written) if options["as_json"] else None)
    if asked.is_set():
        return files.tell_stopped(result.evaluations, written, options)
    return 0
