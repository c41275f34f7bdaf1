"""`impasto film`: what the user types to paint a clip.

The callback imports the library, and with it torch, only when it runs: help comes without.
"""

from __future__ import annotations

from typing import Any

import click

from impasto.cli.options import (
    FILE,
    Command,
    debug_option,
    dry_run_option,
    json_option,
    output_option,
    overwrite_option,
    parse_options,
    presets_option,
    progress_option,
    recipe_options,
    recipe_texts,
    sidecar_option,
    stem,
)
from impasto.cli.style_args import mask_options, parse_styles
from impasto.presets import PRESETS, read_presets, style_recipe_of
from impasto.recipes import FilmRecipe

EPILOG = (
    "CLIP is a video, a folder of frames, or a pattern such as frame_%04d.png; -o an .mp4 or .webm "
    "file, a folder, or a pattern. STYLE@60 or STYLE@2.5s begins at that frame or time, and takes "
    "the place of those before. A folder or pattern of masks holds one for each frame of CLIP. "
    "Finished frames are kept beside the output until the film is written: after a kill the same "
    "command goes on; after Ctrl-C, which leaves a film of what is done, with --overwrite. With "
    "ffmpeg installed the sound is kept. Needs OpenCV: pip install 'impasto[video]'. Options not "
    "given are the preset's; the defaults shown are those of `default`."
)


@click.command("film", cls=Command, epilog=EPILOG)
@click.argument("clip", type=FILE)
@click.argument("style", nargs=-1, required=True, type=FILE)
@output_option(
    "where to: .mp4, .webm, a folder or a pattern of frames  [default: CLIP-STYLE.mp4 here]"
)
@click.option(
    "--key",
    "keys",
    multiple=True,
    metavar="FRAME=FILE",
    type=FILE,
    help="a picture that a frame of CLIP, counted from 0, is to be; others follow it",
)
@click.option(
    "--preview",
    metavar="FILE",
    type=FILE,
    help="paint five frames across the clip into this picture, under the clip's own, and no film",
)
@mask_options
@presets_option
@recipe_options(FilmRecipe, without=("denoise",))
@sidecar_option
@overwrite_option
@dry_run_option("frames, size, time and disk")
@json_option
@progress_option
@debug_option
def film_command(clip: str, style: tuple[str, ...], output: str | None, **options: Any) -> int:
    """Paint CLIP, a film, in the style of STYLE.

    Each frame continues the last one along the motion, so that strokes do not flicker.
    """
    from impasto.cli.run_film import film_to_file, preview_to_file, split_start

    changed = parse_options(FilmRecipe, recipe_texts(FilmRecipe, options))
    presets = PRESETS if options["presets"] is None else read_presets(options["presets"])
    recipe = style_recipe_of(changed, presets, FilmRecipe)
    texts, starts = zip(*map(split_start, style), strict=True)
    styles = parse_styles(texts, options)
    options["starts"] = starts
    if options["preview"]:
        return preview_to_file(clip, styles, options["preview"], recipe, options)
    stems = [stem(source) for source in (clip.rstrip("/"), *(each.source for each in styles))]
    return film_to_file(clip, styles, output or f"{'-'.join(stems)}.mp4", recipe, options)
