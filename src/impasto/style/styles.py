"""Style images: opened and checked, resized and measured at each scale, each in its region."""

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
from impasto.images.resize import composite_rgb, fit_longest_side, resize
from impasto.provenance import StyleInput
from impasto.style.color import match_style_colors, recolor
from impasto.style.features import style_statistics
from impasto.style.plan import ScalePlan
from impasto.style.schedule import Size
from impasto.style.source import Style
from impasto.style.spec import RunSpec
from impasto.style.statistics import Moments, moments, weighted_average
from impasto.style.terms import Region
from impasto.vgg.network import VGG19Features

_STROKES = 512  # pixels on a painting's longer side at which `style_scale` 1 is the same as `fit`
_MIN_SIDE = 16  # pixels: below it the network's fifth block has no position
_MIN_TILE = 128  # pixels a side
_MIN_AREA = 0.002  # share of the image below which a style has no room; resizing rounds
_FLAT = 0.5 / 255  # of the range: less is one color
_CHECK_SIDE = 256  # pixels on the longer side at which masks are checked before a run


class StyleSource(NamedTuple):
    """A style whose files are open and checked."""

    images: list[Image]
    weight: float
    region: Image | None
    mask: Image | None


class StyleTargets(NamedTuple):
    """The statistics of the styles of one region at one scale, averaged by weight."""

    layers: dict[str, Moments]
    colors: Moments | None  # of the pixels; None if nothing is recolored at this scale


def open_styles(
    style: ImageSource | Style | Sequence[ImageSource | Style | StyleSource], content: Size | None
) -> list[StyleSource]:
    """Open and check every style of a run; those of weight 0 are left out.

    Args:
        style: the argument of `stylize`; what is open already is taken as it is.
        content: (width, height) of the content image, whose shape regions must have; None if
            there is none, as for a texture, which refuses regions.

    Raises:
        ValueError: no style, weights that add up to nothing, a mask of another shape, or a region
            that is black or has no room left.
        ImageError: a file that cannot be read, or a folder without images.
    """
    listed = list(style) if isinstance(style, (list, tuple)) else [style]
    if not listed:
        raise ValueError("`style` must be at least one picture, got an empty list; give one")
    if all(isinstance(each, StyleSource) for each in listed):
        return listed
    styles = [each if isinstance(each, Style) else Style(each) for each in listed]
    if not sum(each.weight for each in styles):
        weights = ", ".join(f"{each.weight:g}" for each in styles)
        raise ValueError(
            f"`style` must have weights that add up to more than 0, got {weights}; raise one"
        )
    if content is None and any(each.region is not None for each in styles):
        raise ValueError(
            "`region` of a style must be left out for a texture, which has no content image to "
            "lie on, got one"
        )
    sources = [_open_style(each, content) for each in styles if each.weight]
    if content is not None:
        _check_room(sources, content)
    return sources


def output_size(image: Image, size: int | str, name: str) -> Size:
    """Return the size an image is worked at; refuse it if the network would see nothing of it.

    Args:
        image: a content or style image.
        size: longer side in pixels, or `original`.
        name: what errors call the image.

    Example:
        >>> output_size(Image(torch.zeros(3, 768, 1024)), 512, "content")
        (512, 384)
    """
    result = image.size if size == "original" else fit_longest_side(image.size, int(size))
    width, height = image.size
    if min(width, height, *result) < _MIN_SIDE:
        resized = "" if result == image.size else f", {result[0]} × {result[1]} at size {size}"
        raise ValueError(
            f"`{name}` must have at least {_MIN_SIDE} pixels on each side, got "
            f"{width} × {height}{resized}; crop it closer to a square or enlarge it"
        )
    if image.metadata.alpha is not None and not bool((image.metadata.alpha > 0).any()):
        raise ValueError(
            f"`{name}` must have something to see, got {width} × {height} pixels that are all "
            "transparent; give an opaque picture"
        )
    return result


def resize_image(image: Image, size: Size, device: torch.device) -> tuple[Tensor, Tensor | None]:
    """Return an image's opaque pixels (3, H, W) and its alpha (H, W), if any, at one size."""
    alpha = image.metadata.alpha
    mask = None if alpha is None else resize(alpha, size).to(device)
    return resize(composite_rgb(image), size).to(device), mask


def equal_area_size(size: Size, output: Size) -> Size:
    """Return the size of a style image with as many pixels as the output, never enlarged.

    Example:
        >>> equal_area_size((2000, 1000), (512, 512))
        (724, 362)
    """
    factor = min(1.0, (output[0] * output[1] / (size[0] * size[1])) ** 0.5)
    return max(_MIN_SIDE, round(size[0] * factor)), max(_MIN_SIDE, round(size[1] * factor))


def style_size(size: Size, scale: Size, style_scale: float | str, output: Size) -> Size:
    """Return the size a style image is read at for one scale of a run.

    Args:
        size: (width, height) of the style image.
        scale: (width, height) of the scale.
        style_scale: the recipe's: `fit`, or how large the strokes are beside those of a painting
            of 512 pixels.
        output: (width, height) of the finished image.

    Example:
        >>> style_size((2000, 1000), (512, 512), 2.0, (1024, 1024))  # half the painting's size
        (724, 362)
        >>> style_size((2000, 1000), (512, 512), "fit", (1024, 1024))
        (724, 362)
    """
    if style_scale == "fit":
        return equal_area_size(size, scale)
    share = style_scale * _STROKES / max(output)
    factor = share * (scale[0] * scale[1] / (size[0] * size[1])) ** 0.5
    return max(_MIN_SIDE, round(size[0] * factor)), max(_MIN_SIDE, round(size[1] * factor))


def style_sizes(
    styles: Sequence[StyleSource], scale: Size, style_scale: float | str, output: Size
) -> list[Size]:
    """Return the sizes at which all style images are read at one scale."""
    images = [image for style in styles for image in style.images]
    return [style_size(image.size, scale, style_scale, output) for image in images]


def checkpoint_inputs(styles: Sequence[StyleSource]) -> list[Image | float | None]:
    """List everything that styles consist of, in order."""
    return [part for s in styles for part in (*s.images, s.weight, s.region, s.mask)]


def style_inputs(styles: Sequence[StyleSource]) -> tuple[StyleInput, ...]:
    """Return the styles by the names and hashes of their files."""
    return tuple(
        StyleInput(
            pictures=tuple(map(identify_input, style.images)),
            weight=style.weight,
            region=style.region and identify_input(style.region),
            mask=style.mask and identify_input(style.mask),
        )
        for style in styles
    )


def measure_styles(
    styles: Sequence[StyleSource],
    spec: RunSpec,
    network: VGG19Features,
    scale: ScalePlan,
    output: Size,
    *,
    content: Tensor | None = None,
    colors: bool = False,
) -> list[StyleTargets]:
    """Compute the statistics of the styles of each region at one scale.

    Args:
        styles: the styles.
        spec: `style_layers`, `style_scale`, `color` and `color_by`.
        network: reads at least the style layers.
        scale: its size, and its tiles, which no style image's are larger than.
        output: (width, height) of the finished image.
        content: the content image at that scale, (3, H, W); needed if `color` is below 1.
        colors: measure the pixels too, for recoloring the start.
    """
    layers = list(spec.style_layers)
    measured = []
    for members in _group_by_region(styles):
        group = [styles[number] for number in members]
        total = sum(style.weight for style in group)
        shares, features, pixels_moments = [], [], []
        for style in group:
            for image in style.images:
                size = style_size(image.size, scale.size, spec.style_scale, output)
                pixels, mask = _resize_masked(image, style.mask, size, network.device)
                if spec.color < 1:
                    pixels = match_style_colors(pixels, mask, content, spec)
                shares.append(style.weight / total / len(style.images))
                tile = _tile_side(size, scale)
                features.append(style_statistics(network, pixels, mask, layers, tile))
                if colors:
                    pixels_moments.append(moments(pixels, mask))
        measured.append(
            StyleTargets(
                {
                    layer: weighted_average([part[layer] for part in features], shares)
                    for layer in layers
                },
                weighted_average(pixels_moments, shares) if colors else None,
            )
        )
    return measured


def build_regions(
    styles: Sequence[StyleSource],
    targets: Sequence[StyleTargets],
    size: Size,
    device: torch.device,
    base: Tensor | None,
) -> list[Region]:
    """Lay out the styles at one scale: where which statistics are wanted.

    Args:
        styles: the styles.
        targets: as `measure_styles` gave them.
        size: (width, height) of the scale.
        device: where the masks go.
        base: (H, W), where the image counts at all; None for everywhere.
    """
    groups = _group_by_region(styles)
    weights = [sum(styles[number].weight for number in members) for members in groups]
    masks = _region_masks([styles[members[0]] for members in groups], size, device)
    area = math.prod(size) if base is None else base.sum().item()
    regions = []
    for group, mask in enumerate(masks):
        weight = weights[group] / max(weights)
        if mask is not None:
            mask = mask if base is None else mask * base
            weight *= mask.sum().item() / max(area, 1e-12)
        regions.append(Region(base if mask is None else mask, weight, targets[group].layers))
    return regions


def recolor_by_region(
    content: Tensor, targets: Sequence[StyleTargets], regions: Sequence[Region]
) -> Tensor:
    """Give the content image, (3, H, W), the styles' colors, in each region those of its own."""
    recolored = [recolor(content, target.colors) for target in targets]
    if len(recolored) == 1:
        return recolored[0]
    mixed = content.clone()
    for pixels, region in zip(recolored, regions, strict=True):
        mixed += (1 if region.mask is None else region.mask) * (pixels - content)
    return mixed.clamp_(0, 1)


def _open_style(style: Style, content: Size | None) -> StyleSource:
    """Read one style's files and check its masks."""
    source = style.picture
    folder = isinstance(source, (str, Path)) and Path(source).is_dir()
    listed = source if isinstance(source, (list, tuple)) else [source]
    paths = image_files(source, "style") if folder else listed
    images = [open_image(path, name="style") for path in paths]
    for image in images:
        output_size(image, "original", "style")
    if all(map(_is_flat, images)):
        raise ValueError(
            "`style` must show more than one color, got a picture that is the same all over; "
            "there is nothing to learn from it, choose a painting"
        )
    region = mask = None
    if style.region is not None:
        region = open_mask(style.region, "region")
        check_mask_shape(region, content, "region", "the content image")
    if style.mask is not None:
        if len(images) > 1:
            raise ValueError(
                f"`mask` of a style must go with one picture, got {len(images)}; "
                "give its pictures as styles of their own"
            )
        mask = open_mask(style.mask, "mask")
        check_mask_shape(mask, images[0].size, "mask", "the style image")
        if (share := float(mask.pixels.mean())) < _MIN_AREA:
            raise _too_small("mask", share, None, "the style image")
    return StyleSource(images, float(style.weight), region, mask)


def _is_flat(image: Image) -> bool:
    """Return True if an image has one color, but for what rounding to 8 bits leaves."""
    pixels = image.pixels.flatten(1)
    return bool((pixels.amax(1) - pixels.amin(1)).max() < _FLAT)


def _check_room(styles: Sequence[StyleSource], content: Size) -> None:
    """Refuse a style that has no room beside the regions of the others."""
    shape = torch.tensor(content) / max(content) * _CHECK_SIDE
    width, height = (max(1, round(side)) for side in shape.tolist())
    masks = _region_masks(styles, (width, height), torch.device("cpu"))
    for number, mask in enumerate(masks, 1):
        if mask is None or mask.mean() >= _MIN_AREA:
            continue
        if styles[number - 1].region is not None:
            raise _too_small("region", float(mask.mean()), number, "the content image")
        raise ValueError(
            f"`style` must leave room for every style, got none for number {number}, which has "
            "no region while those of the others cover everything; give it one"
        )


def _too_small(name: str, share: float, number: int | None, target: str) -> ValueError:
    """Return the error that refuses a mask with too little white in it."""
    owner = f" of style {number}" if number else ""
    return ValueError(
        f"`{name}`{owner} must be white on at least {100 * _MIN_AREA:g} % of {target}, got "
        f"{100 * share:.2g} %, which is too small to paint; paint it larger"
    )


def _group_by_region(styles: Sequence[StyleSource]) -> list[list[int]]:
    """Group the numbers of the styles that share a region."""
    if all(_is_everywhere(style.region) for style in styles):
        return [list(range(len(styles)))]
    groups: list[list[int]] = []
    for number, style in enumerate(styles):
        for members in groups:
            if _same_region(styles[members[0]].region, style.region):
                members.append(number)
                break
        else:
            groups.append([number])
    return groups


def _region_masks(
    styles: Sequence[StyleSource], size: Size, device: torch.device
) -> list[Tensor | None]:
    """Return where each style goes, (H, W) in [0, 1]; None for everywhere.

    A style without a region goes where the others leave room. Where regions overlap and add up to
    more than white, all give way alike.
    """
    if all(_is_everywhere(style.region) for style in styles):
        return [None] * len(styles)
    masks = [None if s.region is None else resize_mask(s.region, size, device) for s in styles]
    covered = sum(mask for mask in masks if mask is not None)
    rest = (1 - covered).clamp(min=0)
    overlap = covered.clamp(min=1)
    return [rest if mask is None else mask / overlap for mask in masks]


def _is_everywhere(region: Image | None) -> bool:
    return region is None or is_white(region)


def _same_region(a: Image | None, b: Image | None) -> bool:
    if a is None or b is None:
        return a is b
    return a.size == b.size and torch.equal(a.pixels, b.pixels)


def _resize_masked(
    image: Image, mask: Image | None, size: Size, device: torch.device
) -> tuple[Tensor, Tensor | None]:
    """Return a style image's pixels at a size, and where they count."""
    pixels, alpha = resize_image(image, size, device)
    if mask is None:
        return pixels, alpha
    resized = resize_mask(mask, size, device)
    return pixels, resized if alpha is None else resized * alpha


def _tile_side(size: Size, scale: ScalePlan) -> int | None:
    """Return the side of a style image's tiles: no more memory than the painting's."""
    if scale.tile is None and math.prod(size) > math.prod(scale.size):
        return max(_MIN_TILE, min(scale.size) // 16 * 16)
    return scale.tile
