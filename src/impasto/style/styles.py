"""What is learned from: style images, how much each counts, where it goes, what of it is meant."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from impasto.images.image import Image
from impasto.images.masks import check_mask_shape, is_white, open_mask, resize_mask
from impasto.images.open_input import identify_input
from impasto.images.read import ImageSource, image_files, open_image
from impasto.provenance import StyleInput
from impasto.recipes import StyleRecipe
from impasto.style.color import match_style_colors, recolor
from impasto.style.features import style_statistics
from impasto.style.plan import ScalePlan
from impasto.style.sizing import Masked, Size, output_size, resize_to, style_size
from impasto.style.source import Style
from impasto.style.statistics import Moments, weighted_average
from impasto.style.weighted_losses import Region
from impasto.vgg.network import VGG19Features

_LEAST_TILE = 128  # pixels a side
_ROOM = 0.002  # share of the picture below which a style has no room; resizing rounds
_LOOKED_AT = 256  # pixels on the longer side at which masks are looked at before a run


class Opened(NamedTuple):
    """A style that was opened and checked."""

    pictures: list[Image]
    weight: float
    region: Image | None
    mask: Image | None


def open_styles(
    style: ImageSource | Style | Sequence[ImageSource | Style], content: Image
) -> list[Opened]:
    """Open and check every style of a run; those of weight 0 are left out.

    Args:
        style: the argument of `stylize`.
        content: the content image, whose shape regions must have.

    Raises:
        ValueError: no style, weights that add up to nothing, a mask of another shape, or a region
            that is black or has no room left.
        ImageError: a file that cannot be read, or a folder without pictures.
    """
    given = list(style) if isinstance(style, (list, tuple)) else [style]
    if not given:
        raise ValueError("`style` must be at least one picture, got an empty list; give one")
    wanted = [one if isinstance(one, Style) else Style(one) for one in given]
    if not sum(one.weight for one in wanted):
        weights = ", ".join(f"{one.weight:g}" for one in wanted)
        raise ValueError(
            f"`style` must have weights that add up to more than 0, got {weights}; raise one"
        )
    found = [_opened(one, content.size) for one in wanted if one.weight]
    shape = torch.tensor(content.size) / max(content.size) * _LOOKED_AT
    width, height = (max(1, round(side)) for side in shape.tolist())
    for number, mask in enumerate(_masks(found, (width, height), torch.device("cpu")), 1):
        if mask is not None and mask.mean() < _ROOM:
            raise ValueError(
                f"`style` must leave room for every style, got none for number {number}, which has "
                "no region while those of the others cover everything; give it one"
            )
    return found


def sizes(styles: Sequence[Opened], rung: Size, scale: float | str, output: Size) -> list[Size]:
    """The sizes at which style images are read at one scale of the pyramid."""
    return [style_size(one.size, rung, scale, output) for s in styles for one in s.pictures]


def parts(styles: Sequence[Opened]) -> list[Image | float | None]:
    """Everything that styles consist of, in order."""
    return [part for s in styles for part in (*s.pictures, s.weight, s.region, s.mask)]


def style_inputs(styles: Sequence[Opened]) -> tuple[StyleInput, ...]:
    """The styles by the names and hashes of their files."""
    return tuple(
        StyleInput(
            pictures=tuple(map(identify_input, style.pictures)),
            weight=style.weight,
            region=style.region and identify_input(style.region),
            mask=style.mask and identify_input(style.mask),
        )
        for style in styles
    )


class Look(NamedTuple):
    """A style at the size it is read at, in the tones it is learned in."""

    pictures: list[Masked]
    share: float  # of its region's statistics
    region: int  # which region it belongs to


def looks(
    styles: Sequence[Opened], recipe: StyleRecipe, content: Tensor, output: Size
) -> list[Look]:
    """The styles as they are read for one scale of the pyramid.

    Args:
        styles: the styles.
        recipe: `style_scale`, `color` and `color_by`.
        content: the content image at that scale, (3, H, W).
        output: (width, height) of the finished picture.
    """
    rung = (content.shape[2], content.shape[1])
    groups = _groups(styles)
    found = []
    for number, style in enumerate(styles):
        (group,) = (g for g, members in enumerate(groups) if number in members)
        whole = sum(styles[other].weight for other in groups[group])
        pictures = []
        for one in style.pictures:
            size = style_size(one.size, rung, recipe.style_scale, output)
            pixels, mask = _masked(one, style.mask, size, content.device)
            pictures.append((match_style_colors(pixels, mask, content, recipe), mask))
        found.append(Look(pictures, style.weight / whole, group))
    return found


def regions(
    styles: Sequence[Opened],
    looks: Sequence[Look],
    trunk: VGG19Features,
    layers: Sequence[str],
    base: Tensor | None,
    rung: ScalePlan,
) -> list[Region]:
    """Where which statistics are wanted, at one size.

    Args:
        styles: the styles.
        looks: the same at the size they are read at.
        trunk: the network.
        layers: which layers to read.
        base: (H, W), where the picture counts at all; None for everywhere.
        rung: the present scale: its size, and its tiles, which no style image's are larger than.
    """
    groups = _groups(styles)
    weights = [sum(styles[number].weight for number in members) for members in groups]
    masks = _masks([styles[members[0]] for members in groups], rung.size, trunk.device)
    whole = math.prod(rung.size) if base is None else base.sum().item()
    found = []
    for group, mask in enumerate(masks):
        share = weights[group] / max(weights)
        if mask is not None:
            mask = mask if base is None else mask * base
            share *= mask.sum().item() / max(whole, 1e-12)
        own = [look for look in looks if look.region == group]
        targets = _pooled(own, trunk, layers, rung)
        found.append(Region(base if mask is None else mask, share, targets))
    return found


def recolored_content(content: Tensor, looks: Sequence[Look], regions: Sequence[Region]) -> Tensor:
    """The content image in the styles' colors, in each region those of its own.

    Args:
        content: (3, H, W) in [0, 1].
        looks: the styles.
        regions: where they go, as `regions` gave them.

    Returns:
        (3, H, W) in [0, 1].
    """
    found = []
    for number in range(len(regions)):
        own = [look for look in looks if look.region == number]
        pictures = [picture for look in own for picture in look.pictures]
        shares = [look.share / len(look.pictures) for look in own for _ in look.pictures]
        found.append(recolor(content, pictures, shares))
    if len(found) == 1:
        return found[0]
    mixed = content.clone()
    for picture, region in zip(found, regions, strict=True):
        mixed += (1 if region.mask is None else region.mask) * (picture - content)
    return mixed.clamp_(0, 1)


def _pooled(
    own: Sequence[Look], trunk: VGG19Features, layers: Sequence[str], rung: ScalePlan
) -> dict[str, Moments]:
    """The statistics of some styles together, each with its share, by layer."""
    parts = [
        (
            look.share / len(look.pictures),
            style_statistics(trunk, *picture, layers, _tile(picture[0], rung)),
        )
        for look in own
        for picture in look.pictures
    ]
    shares = [share for share, _ in parts]
    return {layer: weighted_average([part[layer] for _, part in parts], shares) for layer in layers}


def _tile(pixels: Tensor, rung: ScalePlan) -> int | None:
    """The side of a style image's tiles: no more memory than the painting's."""
    if rung.tile is None and pixels[0].numel() > math.prod(rung.size):
        return max(_LEAST_TILE, min(rung.size) // 16 * 16)
    return rung.tile


def _opened(style: Style, content: Size) -> Opened:
    """One style, its files read and its masks checked."""
    picture = style.picture
    folder = isinstance(picture, (str, Path)) and Path(picture).is_dir()
    listed = picture if isinstance(picture, (list, tuple)) else [picture]
    paths = image_files(picture, "style") if folder else listed
    pictures = [open_image(path, name="style") for path in paths]
    for one in pictures:
        output_size(one, "original", "style")
    region = mask = None
    if style.region is not None:
        region = open_mask(style.region, "region")
        check_mask_shape(region, content, "region", "the content image")
    if style.mask is not None:
        if len(pictures) > 1:
            raise ValueError(
                f"`mask` of a style must go with one picture, got {len(pictures)}; "
                "give its pictures as styles of their own"
            )
        mask = open_mask(style.mask, "mask")
        check_mask_shape(mask, pictures[0].size, "mask", "the style image")
    return Opened(pictures, float(style.weight), region, mask)


def _groups(styles: Sequence[Opened]) -> list[list[int]]:
    """The numbers of the styles that share a region."""
    if all(_everywhere(style.region) for style in styles):
        return [list(range(len(styles)))]
    found: list[list[int]] = []
    for number, style in enumerate(styles):
        for members in found:
            if _alike(styles[members[0]].region, style.region):
                members.append(number)
                break
        else:
            found.append([number])
    return found


def _masks(styles: Sequence[Opened], size: Size, device: torch.device) -> list[Tensor | None]:
    """Where each of some styles goes, (H, W) in [0, 1]; None for everywhere.

    A style without a region goes where the others leave room. Where regions lie over each other
    and add up to more than white, all give way alike.
    """
    if all(_everywhere(style.region) for style in styles):
        return [None] * len(styles)
    own = [None if s.region is None else resize_mask(s.region, size, device) for s in styles]
    covered = sum(mask for mask in own if mask is not None)
    if torch.is_tensor(covered):
        rest = (1 - covered).clamp(min=0)
        crowd = covered.clamp(min=1)
        return [rest if mask is None else mask / crowd for mask in own]
    raise AssertionError("a style with a region is among them")


def _everywhere(region: Image | None) -> bool:
    """Whether a region is white all over."""
    return region is None or is_white(region)


def _alike(a: Image | None, b: Image | None) -> bool:
    """Whether two regions are the same."""
    if a is None or b is None:
        return a is b
    return a.size == b.size and torch.equal(a.pixels, b.pixels)


def _masked(picture: Image, mask: Image | None, size: Size, device: torch.device) -> Masked:
    """A style image's pixels at a size, and where they count."""
    pixels, alpha = resize_to(picture, size, device)
    if mask is None:
        return pixels, alpha
    where = resize_mask(mask, size, device)
    return pixels, where if alpha is None else where * alpha
