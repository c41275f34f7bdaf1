"""`impasto texture`: a texture of any size out of a style alone."""

from __future__ import annotations

from typing import Any

import click

from impasto.cli import files
from impasto.cli.dry_run import tell_plans
from impasto.cli.interrupt import obeying, stoppable
from impasto.cli.options import given, recipe_options, saving_options
from impasto.cli.progress import watching
from impasto.cli.timelapse import filmed
from impasto.cli.wishes import named, opened, wishes
from impasto.law import checked
from impasto.recipe import TextureRecipe

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
    from impasto.style.texture import texture as make
    from impasto.style.texture import texture_plan

    if options["checkpoint"]:
        raise ValueError("`checkpoint` is not for textures, which start from noise; leave it out")
    fields = [name for name in TextureRecipe.model_fields if name != "version"]
    recipe = checked(TextureRecipe, given(TextureRecipe, {name: options[name] for name in fields}))
    wanted = wishes(style, {**options, "regions": ()})
    inputs = named(wanted)
    files.one_pipe(inputs)
    place = output or f"{'-'.join(files.stem(wish.source) for wish in wanted)}-texture.png"
    taken = (*inputs.values(), files.weights_of(recipe))
    saving = files.saving_of(place, files.files(*taken), options)
    files.check_places(
        saving,
        figures={name: options[name] for name in ("loss_curve", "timelapse")},
        save_every=options["save_every"],
        steps=recipe.steps,
    )
    styles = opened(wanted)
    if options["dry_run"]:
        tell_plans({"": texture_plan(styles, recipe=recipe)}, options["as_json"])
        return 0
    with stoppable() as asked:
        film = filmed(options["timelapse"], recipe.steps, options["overwrite"])
        every = files.snapshots(saving, options["save_every"], recipe)
        with watching(options["progress"]) as draw, film as frames:
            result = make(
                styles,
                recipe=recipe,
                on_step=obeying(asked, draw, frames, every),
                stop=asked.is_set,
            )
        written = files.put(saving, result)
        files.draw_losses(result, options)
    files.tell(written, files.summary(result, written) if options["as_json"] else None)
    if asked.is_set():
        return files.tell_stopped(result.evaluations, written, options)
    return 0
