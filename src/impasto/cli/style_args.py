"""Styles as they are typed: `STYLE:0.7`, `--region 2=sky.png`, `--style-mask trees.png`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from impasto.cli import files
from impasto.cli.options import stacked

if TYPE_CHECKING:
    from impasto.style.source import Style

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class StyleArgument:
    """A style that was typed.

    Attributes:
        source: a file, a folder, or `-`.
        weight: how much it counts.
        region: file of the mask that says where it goes.
        mask: file of the mask that says what of it is learned from.
    """

    source: str
    weight: float = 1.0
    region: str | None = None
    mask: str | None = None


def mask_options(command: F) -> F:
    """The options that take a mask."""
    options = (
        click.option(
            "--region",
            "regions",
            multiple=True,
            metavar="[N=]FILE",
            help="mask of where a style goes: white is there, gray a little; a style without one "
            "goes where the others leave room",
        ),
        click.option(
            "--style-mask",
            "style_masks",
            multiple=True,
            metavar="[N=]FILE",
            help="mask of the part of a style image to learn from",
        ),
        click.option("--protect", metavar="FILE", help="mask, white where CONTENT stays as it is"),
        click.option(
            "--keep",
            metavar="FILE",
            help="mask, white where CONTENT is to stay recognizable, black where it need not",
        ),
    )
    return stacked(command, options)


def parse_styles(style: Sequence[str], options: Mapping[str, Any]) -> list[StyleArgument]:
    """The styles with their weights and masks.

    Args:
        style: the arguments.
        options: what `mask_options` gave.

    Raises:
        ValueError: a weight below 0, or a mask for a style that is not there.

    Example:
        >>> masks = {"regions": ("2=up.png",), "style_masks": ()}
        >>> parse_styles(["sea.jpg:0.7", "sky.jpg"], masks)[1]
        StyleArgument(source='sky.jpg', weight=1.0, region='up.png', mask=None)
    """
    found = [_wish(text) for text in style]
    for option, name in (("regions", "region"), ("style_masks", "mask")):
        for number, text in enumerate(options[option], 1):
            place, path = _placed(text, number)
            flag = f"--{option.rstrip('s').replace('_', '-')}"
            if place > len(found):
                raise ValueError(
                    f"`{flag}` must go to one of {len(found)} styles, got {text!r} for number "
                    f"{place}; name it as N=FILE"
                )
            if getattr(found[place - 1], name) is not None:
                raise ValueError(
                    f"`{flag}` must be given once a style, got {text!r} for number {place} too; "
                    "drop one"
                )
            found[place - 1] = replace(found[place - 1], **{name: path})
    return found


def style_names(found: Sequence[StyleArgument]) -> dict[str, str]:
    """Every file of the styles under the name that sentences call it by."""
    result = {}
    for number, wish in enumerate(found, 1):
        tail = f" {number}" if len(found) > 1 else ""
        files_of = {"style": wish.source, "region": wish.region, "style-mask": wish.mask}
        result |= {name + tail: path for name, path in files_of.items() if path is not None}
    return result


def open_styles(found: Sequence[StyleArgument]) -> list[Style]:
    """The styles as the library takes them, their files read."""
    from impasto.images.folder import image_files
    from impasto.style.source import Style

    styles = []
    for wish in found:
        folder = wish.source != files.PIPE and Path(wish.source).is_dir()
        paths = image_files(wish.source, "style") if folder else [wish.source]
        pictures = [files.open_content(str(path), "style") for path in paths]
        region = wish.region and files.open_content(wish.region, "region")
        mask = wish.mask and files.open_content(wish.mask, "style-mask")
        styles.append(Style(pictures if folder else pictures[0], wish.weight, region, mask))
    return styles


def _wish(text: str) -> StyleArgument:
    """A style and the weight behind its last colon; a file with such a name is a file."""
    source, colon, tail = text.rpartition(":")
    if not (colon and source) or Path(text).exists():
        return StyleArgument(text)
    try:
        weight = float(tail)
    except ValueError:
        return StyleArgument(text)
    if not 0 <= weight < math.inf:
        raise ValueError(
            f"`style` must have a weight of at least 0 behind its colon, got {text!r}; for example "
            f"{source}:0.7"
        )
    return StyleArgument(source, weight)


def _placed(text: str, number: int) -> tuple[int, str]:
    """The number of a mask's style and its file, from `2=sky.png` or `sky.png`."""
    place, equals, path = text.partition("=")
    if equals and place.isdecimal() and int(place) and path and not Path(text).exists():
        return int(place), path
    return number, text
