"""Colors: the start in the style's, and the painting in the content's, by two ways and one dial."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from impasto.images.color import chroma, clip_to_gamut, from_lab, to_lab
from impasto.recipes import StyleRecipe
from impasto.style.losses import covariance, mean, spectral
from impasto.style.statistics import Moments, moments, weighted_average

_RIDGE = 1e-5  # keeps the map of a picture of one color finite
_ROUNDS = 4  # until the mean chroma is what it should be; the gamut takes a little each time
_MOST = 4.0  # times as colorful, at most, in one round


def recolor(
    content: Tensor,
    styles: Sequence[tuple[Tensor, Tensor | None]],
    shares: Sequence[float] | None = None,
) -> Tensor:
    """The content image with the mean and covariance of the style images' colors.

    Of all linear maps that do it, the one that moves colors least (Monge–Kantorovich).

    Args:
        content: (3, H, W) in [0, 1].
        styles: pixels (3, H, W) and mask (H, W) or None, each.
        shares: what each style counts, adding up to 1; None counts all alike.

    Returns:
        (3, H, W) in [0, 1].

    Example:
        >>> gray, red = torch.rand(1, 8, 8).expand(3, -1, -1), torch.zeros(3, 8, 8)
        >>> red[0] = 1
        >>> recolor(gray, [(red, None)]).mean(dim=(1, 2)).round(decimals=1).tolist()
        [1.0, 0.0, 0.0]

    References:
        Pitié, Kokaram 2007, The linear Monge–Kantorovitch linear colour mapping for example-based
        colour transfer.
    """
    target = weighted_average([moments(*style) for style in styles], shares)
    return _transport(content, moments(content), target, _RIDGE).clamp_(0, 1)


def match_style_colors(
    style: Tensor, mask: Tensor | None, content: Tensor, recipe: StyleRecipe
) -> Tensor:
    """A style image as it is learned from, where the painting is to keep the content's colors.

    By `luminance` its colors fade to gray, with the content's mean and deviation of lightness;
    by `statistics` its colors take on the mean and covariance of the content's. Both in CIELAB,
    and both only as far as the dial says.

    Args:
        style: (3, H, W) in [0, 1].
        mask: (H, W), where it counts.
        content: (3, h, w) in [0, 1].
        recipe: `color` and `color_by`.

    Returns:
        (3, H, W) in [0, 1].

    References:
        Gatys, Bethge, Hertzmann, Shechtman 2016, Preserving color in neural artistic style
        transfer, arXiv:1606.05897.
    """
    if recipe.color == 1:
        return style
    own, wanted = to_lab(style), to_lab(content)
    if recipe.color_by == "luminance":
        found, aim = moments(own[:1], mask), moments(wanted[:1])
        ratio = (covariance(aim) / (covariance(found) + 1e-3)).sqrt().to(own.dtype)
        light = (own[:1] - mean(found).to(own.dtype)) * ratio + mean(aim).to(own.dtype)
        light = torch.lerp(light.clamp(0, 100), own[:1], recipe.color)
        return from_lab(torch.cat([light, recipe.color**0.5 * own[1:]])).clamp_(0, 1)
    target = _transport(own, moments(own, mask), moments(wanted), 1e4 * _RIDGE)
    return from_lab(torch.lerp(target, own, recipe.color)).clamp_(0, 1)


def match_content_colors(content: Tensor, recipe: StyleRecipe) -> Tensor:
    """The content image as it is painted from: by `luminance`, faded to gray as the dial says."""
    if recipe.color == 1 or recipe.color_by != "luminance":
        return content
    colors = to_lab(content)
    return from_lab(torch.cat([colors[:1], recipe.color**0.5 * colors[1:]])).clamp_(0, 1)


def restore_colors(painted: Tensor, content: Tensor, recipe: StyleRecipe) -> Tensor:
    """The painting with as much of the content's colors as the dial says.

    By `luminance` each position has the content's color under the painting's light, and, where no
    screen can show that, the nearest light it can show; by `statistics` the painting is as
    colorful, on average, as the content.

    Args:
        painted: (3, H, W) in [0, 1], painted from what `match_style_colors` and
            `match_content_colors` gave.
        content: (3, H, W) in [0, 1].
        recipe: `color` and `color_by`.

    Returns:
        (3, H, W) in [0, 1].
    """
    if recipe.color == 1:
        return painted
    here, there = to_lab(painted), to_lab(content)
    if recipe.color_by == "luminance":
        # The painting's own colors were faded by the dial's root; its root here makes it whole.
        mixed = recipe.color**0.5 * here[1:] + (1 - recipe.color) * there[1:]
        wanted = torch.cat([here[:1], mixed])
        return clip_to_gamut(
            wanted, torch.cat([torch.lerp(there[:1], here[:1], recipe.color), wanted[1:]])
        )
    before, aim = chroma(here).mean(), chroma(there).mean()
    if before < 1e-3:
        return painted
    aim = before * (aim / before) ** (1 - recipe.color)
    gray = torch.cat([here[:1], torch.zeros_like(here[1:])])
    factor, found = 1.0, painted
    for _ in range(_ROUNDS):
        factor *= (aim / chroma(to_lab(found)).mean().clamp(min=1e-3)).clamp(max=_MOST)
        found = clip_to_gamut(torch.cat([here[:1], factor * here[1:]]), gray)
    return found


def _transport(picture: Tensor, own: Moments, target: Moments, ridge: float) -> Tensor:
    """A picture, (3, H, W), with another's mean and covariance, its colors moved least."""
    floor = ridge * torch.eye(3, dtype=own.second.dtype, device=picture.device)
    a, b = covariance(own) + floor, covariance(target) + floor
    root, inverse = spectral(a, torch.sqrt), spectral(a, torch.rsqrt)
    change = inverse @ spectral(root @ b @ root, torch.sqrt) @ inverse
    offset = (mean(target) - change @ mean(own)).to(picture.dtype)
    change = change.to(picture.dtype)
    return torch.addmm(offset[:, None], change, picture.flatten(1)).view_as(picture)
