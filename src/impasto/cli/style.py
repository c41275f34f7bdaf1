"""`impasto style`, `impasto texture` and `impasto reconstruct`: what the user types to paint.

The callbacks import the library, and with it torch, only when they run: help comes without.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from impasto.cli.options import (
    FILE,
    PIPE,
    Command,
    output_option,
    parse_options,
    presets_option,
    recipe_options,
    recipe_texts,
    saving_options,
    stem,
)
from impasto.cli.style_args import (
    StyleArgument,
    mask_options,
    parse_styles,
    style_mask_option,
)
from impasto.presets import PRESETS, read_presets, style_recipe
from impasto.recipes import BLOCKS, ReconstructRecipe, StyleRecipe, TextureRecipe
from impasto.validation import literal_values, validate

# The first convolution of every block: the row that the figure of `reconstruct` shows.
ROW = tuple(f"conv{block}_1" for block in range(1, len(BLOCKS) + 1))

STYLE_EPILOG = (
    "A STYLE is a picture, or a folder of pictures as one style; STYLE:0.7 gives it a weight. "
    "--region and --style-mask go to the styles in their order, or to style N with N=FILE. "
    "CONTENT, one STYLE or --init may be `-` for stdin; -o - writes a PNG to stdout, and --json "
    "then goes to stderr. --init also takes the path of a picture. Ctrl-C keeps the best picture "
    "so far. --denoise without a NAME goes behind STYLE. Options not given are the preset's; the "
    "defaults shown are those of `default`."
)
TEXTURE_EPILOG = (
    "A STYLE is a picture, or a folder of pictures as one style; STYLE:0.7 gives it a weight. One "
    "may be `-` for stdin; -o - writes a PNG to stdout. Ctrl-C keeps the best texture so far."
)
RECONSTRUCT_EPILOG = (
    f"--figure rebuilds IMAGE from {ROW[0]} … {ROW[-1]} and draws all of them beside it; -o is "
    "then optional, and --layer needs it. IMAGE may be `-` for stdin; -o - writes a PNG to "
    "stdout, and --json then goes to stderr. Ctrl-C keeps the best picture so far."
)


@click.command("style", cls=Command, epilog=STYLE_EPILOG)
@click.argument("content", type=FILE)
@click.argument("style", nargs=-1, required=True, type=FILE)
@output_option("where to  [default: CONTENT-STYLE.png here]")
@mask_options
@click.option(
    "--figure", metavar="FILE", type=FILE, help="draw content, style, output: .png .jpg .pdf .svg"
)
@presets_option
@recipe_options(StyleRecipe)
@saving_options
def style_command(content: str, style: tuple[str, ...], output: str | None, **options: Any) -> int:
    """Paint CONTENT in the style of STYLE.

    Several styles are blended by their weights; each may have a region of its own.
    """
    recipe, init = _style_recipe(options)
    styles = parse_styles(style, options)
    stems = [stem(source) for source in (content, *(style.source for style in styles))]
    return paint_style(content, styles, output or f"{'-'.join(stems)}.png", recipe, options, init)


@click.command("texture", cls=Command, epilog=TEXTURE_EPILOG)
@click.argument("style", nargs=-1, required=True, type=FILE)
@output_option("where to  [default: STYLE-texture.png here]")
@style_mask_option
@recipe_options(TextureRecipe)
@saving_options
def texture_command(style: tuple[str, ...], output: str | None, **options: Any) -> int:
    """Make a texture out of STYLE alone.

    Its strokes and colors, in a picture of any size.
    """
    if options["checkpoint"]:
        raise ValueError("`checkpoint` is not for textures, which start from noise; leave it out")
    recipe = validate(
        TextureRecipe, parse_options(TextureRecipe, recipe_texts(TextureRecipe, options))
    )
    styles = parse_styles(style, options)
    output = output or f"{'-'.join(stem(style.source) for style in styles)}-texture.png"

    return _paint("texture", {"": recipe}, {"style": styles}, output, options)


@click.command("reconstruct", cls=Command, epilog=RECONSTRUCT_EPILOG)
@click.argument("image", type=FILE)
@output_option("where to  [default: IMAGE-LAYER.png here]")
@click.option(
    "--figure", metavar="FILE", type=FILE, help="draw the row of five layers: .png .jpg .pdf .svg"
)
@recipe_options(ReconstructRecipe)
@saving_options
def reconstruct_command(image: str, output: str | None, **options: Any) -> int:
    """Rebuild IMAGE from one layer of the network."""
    recipe = validate(
        ReconstructRecipe,
        parse_options(ReconstructRecipe, recipe_texts(ReconstructRecipe, options)),
    )
    row = ROW if options["figure"] else ()
    writes_image = output is not None or not row
    for name in () if writes_image else ("layer", "loss_curve", "save_every", "bits", "quality"):
        if options[name] is not None:
            raise ValueError(
                f"`{name}` needs a picture of its own beside `--figure`, got {options[name]!r}; "
                "add -o FILE"
            )
    layers = dict.fromkeys([recipe.layer, *row] if writes_image else row)

    return _paint(
        "reconstruct",
        {layer: recipe.model_copy(update={"layer": layer}) for layer in layers},
        {"image": image},
        output or f"{stem(image)}-{recipe.layer}.png",
        options,
        writes_image=writes_image,
        row=row,
    )


def paint_style(
    content: str,
    styles: Sequence[StyleArgument],
    output: str,
    recipe: StyleRecipe,
    options: Mapping[str, Any],
    init: str | None = None,
) -> int:
    """Paint a file in some styles, and return the exit code.

    Args:
        content: the content image's file.
        styles: the styles as they were typed.
        output: path of the image.
        recipe: how it is painted.
        options: the command's other options, masks included.
        init: file of the image to start from, if there is one.
    """
    files = {"protect": options["protect"], "keep": options["keep"], "init": init}
    inputs = {"content": content, "style": styles}
    inputs |= {name: path for name, path in files.items() if path}
    return _paint("style", {"": recipe}, inputs, output, options)


def _paint(*arguments: Any, **keywords: Any) -> int:
    """Run a command; the library, and with it torch, is loaded only now."""
    from impasto.cli.run import paint

    return paint(*arguments, **keywords)


def _style_recipe(options: Mapping[str, Any]) -> tuple[StyleRecipe, str | None]:
    """Return the recipe, and the image to start from where `--init` names one."""
    texts = recipe_texts(StyleRecipe, options)
    init = texts["init"]
    words = set(literal_values(StyleRecipe.model_fields["init"].annotation)) - {"picture"}
    if init in words or init is None:
        init = None
    elif init == PIPE or Path(init).exists() or Path(init).name != Path(init).stem:
        texts["init"] = "picture"
    else:
        raise ValueError(
            f"`init` must be one of {', '.join(sorted(words))} or the path of a picture, "
            f"got {init!r}; there is no such file"
        )
    changed = parse_options(StyleRecipe, texts)
    presets = PRESETS if options["presets"] is None else read_presets(options["presets"])
    return style_recipe(changed.pop("preset", "default"), presets=presets, **changed), init
