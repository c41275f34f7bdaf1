"""Styles as they are typed: `STYLE:0.7`, `--region 2=sky.png`, `--style-mask trees.png`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import click

from impasto.cli.options import FILE, apply_options
from impasto.errors import quote
from impasto.recipes import MAX_SHARE

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


def style_mask_option(command: F) -> F:
    """Add `--style-mask`."""
    return click.option(
        "--style-mask",
        "style_masks",
        multiple=True,
        metavar="[N=]FILE",
        type=FILE,
        help="mask of the part of a style image to learn from",
    )(command)


def mask_options(command: F) -> F:
    """Add the options that take a mask."""
    options = (
        click.option(
            "--region",
            "regions",
            multiple=True,
            metavar="[N=]FILE",
            type=FILE,
            help="mask of where a style goes: white is there, gray a little; a style without one "
            "goes where the others leave room",
        ),
        style_mask_option,
        click.option(
            "--protect",
            metavar="FILE",
            type=FILE,
            help="mask, white where CONTENT stays as it is",
        ),
        click.option(
            "--keep",
            metavar="FILE",
            type=FILE,
            help="mask, white where CONTENT is to stay recognizable, black where it need not",
        ),
    )
    return apply_options(command, options)


def parse_styles(texts: Sequence[str], options: Mapping[str, Any]) -> list[StyleArgument]:
    """Parse the styles with their weights and masks.

    Args:
        texts: the arguments.
        options: a command's options; of them, `regions` and `style_masks` count.

    Raises:
        ValueError: a weight below 0, or a mask for a style that is not there.

    Example:
        >>> masks = {"regions": ("2=up.png",), "style_masks": ()}
        >>> parse_styles(["sea.jpg:0.7", "sky.jpg"], masks)[1]
        StyleArgument(source='sky.jpg', weight=1.0, region='up.png', mask=None)
    """
    styles = [_parse_style(text) for text in texts]
    for option, field in (("regions", "region"), ("style_masks", "mask")):
        flag = f"--{option.rstrip('s').replace('_', '-')}"
        for default, text in enumerate(options.get(option, ()), 1):
            number, path = _parse_mask(text, default)
            if number > len(styles):
                raise ValueError(
                    f"`{flag}` must go to one of {len(styles)} styles, got {text!r} for number "
                    f"{number}; name it as N=FILE"
                )
            if getattr(styles[number - 1], field) is not None:
                raise ValueError(
                    f"`{flag}` must be given once a style, got {text!r} for number {number} too; "
                    "drop one"
                )
            styles[number - 1] = replace(styles[number - 1], **{field: path})
    return styles


def style_sources(styles: Sequence[StyleArgument]) -> dict[str, str]:
    """Return every file of the styles under the name that sentences call it by."""
    sources = {}
    for number, style in enumerate(styles, 1):
        tail = f" {number}" if len(styles) > 1 else ""
        paths = {"style": style.source, "region": style.region, "style-mask": style.mask}
        sources |= {name + tail: path for name, path in paths.items() if path is not None}
    return sources


def _parse_style(text: str) -> StyleArgument:
    """Split a style from the weight behind its last colon; a file with such a name is a file."""
    source, colon, tail = text.rpartition(":")
    if not (colon and source) or Path(text).exists():
        return StyleArgument(text)
    weight = _parse_weight(tail)
    if weight is None and not Path(source).exists():
        return StyleArgument(text)
    if weight is None or not 0 <= weight <= MAX_SHARE:
        raise ValueError(
            f"`style` must have a weight from 0 to {MAX_SHARE:,.0f} behind its colon, got "
            f"{quote(text)}; for example {source}:0.7"
        )
    return StyleArgument(source, weight)


def _parse_weight(text: str) -> float | None:
    """Parse a weight: `0.7`, `0,7` or `70%`; None for anything else."""
    digits = text.strip().removesuffix("%")
    try:
        weight = float(digits.replace(",", "."))
    except ValueError:
        return None
    return weight / 100 if digits != text.strip() else weight


def _parse_mask(text: str, default: int) -> tuple[int, str]:
    """Parse `2=sky.png` or `sky.png` into the number of its style and the file."""
    number, equals, path = text.partition("=")
    if equals and number.isdecimal() and int(number) and path and not Path(text).exists():
        return int(number), path
    return default, text
