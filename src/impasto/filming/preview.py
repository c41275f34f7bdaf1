"""A look at a film before it is painted: five frames across the clip, `preview_film`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from impasto.filming.frame_masks import masks_of, open_masks
from impasto.filming.job import film_recipe
from impasto.filming.style_schedule import FilmStyles, StyleSchedule, open_phases
from impasto.images.opencv import load_opencv
from impasto.images.read import ImageSource
from impasto.images.resize import composite_rgb, resize
from impasto.images.video_read import open_clip, parse_range
from impasto.recipes import FilmRecipe
from impasto.result import OnStep, Stop
from impasto.style.styles import output_size
from impasto.style.stylize import prepare_styles

PREVIEW = 5  # frames
_GAP = 8  # pixels between the pictures of a preview


def preview_film(
    clip: str | Path,
    style: FilmStyles,
    *,
    recipe: FilmRecipe | None = None,
    protect: ImageSource | None = None,
    keep: ImageSource | None = None,
    on_step: OnStep | None = None,
    stop: Stop | None = None,
    **options: Any,
) -> Tensor:
    """Paint five frames across a clip, each by itself, and lay them under the clip's own.

    Returns:
        (3, H, W) in [0, 1]; with fewer frames where `stop` ended it, and the clip is that short.
    """
    load_opencv()
    recipe = film_recipe(recipe, options)
    source = open_clip(clip, recipe.rate)
    part = start, stop_at = parse_range(recipe.range, source.frames, source.rate)
    count = min(PREVIEW, stop_at - start)
    numbers = [start + (2 * k + 1) * (stop_at - start) // (2 * count) for k in range(count)]
    masks = open_masks({"protect": protect, "keep": keep}, source, part)
    styles, columns = None, []
    for number, frame in enumerate(source.read(start, numbers[-1] + 1), start):
        if number not in numbers:
            continue
        if styles is None:
            output_size(frame, recipe.size, "clip")
            phases = open_phases(style, source, part, recipe.crossfade)
            sources = [each for phase in phases for each in phase.sources]
            prepared = prepare_styles(frame, sources, recipe=recipe)
            styles = StyleSchedule(prepared, phases, start)
        result, _ = styles.at(number - start).paint_frame(
            frame, **masks_of(masks, number - start), on_step=on_step, stop=stop
        )
        shown = resize(composite_rgb(frame), result.size)
        gap = torch.ones(3, _GAP, result.size[0])
        columns.append(torch.cat([shown, gap, result.pixels.expand(3, -1, -1)], 1))
        if result.stopped:
            break
    gap = torch.ones(3, columns[0].shape[1], _GAP)
    parts = [part for column in columns for part in (column, gap)][:-1]
    return torch.cat(parts, 2)
