"""Color transfer: from the styles to the start, and from the content to the painting."""

from __future__ import annotations

import torch
from torch import Tensor

from impasto.images.color import chroma, clip_to_gamut, from_lab, to_lab
from impasto.style.losses import covariance, mean, spectral
from impasto.style.spec import RunSpec
from impasto.style.statistics import Moments, moments

_RIDGE = 1e-5  # keeps the map of an image of one color finite
_ROUNDS = 4  # until the mean chroma is what it should be; the gamut takes a little each time
_MAX_GAIN = 4.0  # times as colorful, at most, in one round


def recolor(content: Tensor, target: Moments) -> Tensor:
    """Give the content image the mean and covariance of other colors.

    Of all linear maps that do it, the one that moves colors least (Monge–Kantorovich).

    Args:
        content: (3, H, W) in [0, 1].
        target: the moments of the style images' pixels.

    Returns:
        (3, H, W) in [0, 1].

    Example:
        >>> gray, red = torch.rand(1, 8, 8).expand(3, -1, -1), torch.zeros(3, 8, 8)
        >>> red[0] = 1
        >>> recolor(gray, moments(red)).mean(dim=(1, 2)).round(decimals=1).tolist()
        [1.0, 0.0, 0.0]

    References:
        Pitié, Kokaram 2007, The linear Monge–Kantorovitch linear colour mapping for example-based
        colour transfer.
    """
    return _optimal_transport(content, moments(content), target, _RIDGE).clamp_(0, 1)


def match_style_colors(
    style: Tensor, mask: Tensor | None, content: Tensor, spec: RunSpec
) -> Tensor:
    """Return the style image to learn from if the painting is to keep the content's colors.

    By `luminance` its colors fade to gray, with the content's mean and deviation of lightness;
    by `statistics` its colors take on the mean and covariance of the content's. Both in CIELAB,
    and both only as far as the dial says.

    Args:
        style: (3, H, W) in [0, 1].
        mask: (H, W), where it counts.
        content: (3, h, w) in [0, 1].
        spec: `color` and `color_by`.

    Returns:
        (3, H, W) in [0, 1].

    References:
        Gatys, Bethge, Hertzmann, Shechtman 2016, Preserving color in neural artistic style
        transfer, arXiv:1606.05897.
    """
    if spec.color == 1:
        return style
    style_lab, content_lab = to_lab(style), to_lab(content)
    if spec.color_by == "luminance":
        source, target = moments(style_lab[:1], mask), moments(content_lab[:1])
        dtype = style_lab.dtype
        ratio = (covariance(target) / (covariance(source) + 1e-3)).sqrt().to(dtype)
        light = (style_lab[:1] - mean(source).to(dtype)) * ratio + mean(target).to(dtype)
        light = torch.lerp(light.clamp(0, 100), style_lab[:1], spec.color)
        return from_lab(torch.cat([light, spec.color**0.5 * style_lab[1:]])).clamp_(0, 1)
    source, target = moments(style_lab, mask), moments(content_lab)
    matched = _optimal_transport(style_lab, source, target, 1e4 * _RIDGE)
    return from_lab(torch.lerp(matched, style_lab, spec.color)).clamp_(0, 1)


def match_content_colors(content: Tensor, spec: RunSpec) -> Tensor:
    """Return the content image to paint from: by `luminance`, faded to gray as `color` says."""
    if spec.color == 1 or spec.color_by != "luminance":
        return content
    colors = to_lab(content)
    return from_lab(torch.cat([colors[:1], spec.color**0.5 * colors[1:]])).clamp_(0, 1)


def restore_colors(painted: Tensor, content: Tensor, spec: RunSpec) -> Tensor:
    """Give a painting as much of the content's colors as `color` says.

    By `luminance` each position has the content's color under the painting's light, and, where no
    screen can show that, the nearest light it can show; by `statistics` the painting is as
    colorful, on average, as the content.

    Args:
        painted: (3, H, W) in [0, 1], painted from what `match_style_colors` and
            `match_content_colors` gave.
        content: (3, H, W) in [0, 1].
        spec: `color` and `color_by`.

    Returns:
        (3, H, W) in [0, 1].
    """
    if spec.color == 1:
        return painted
    lab, content_lab = to_lab(painted), to_lab(content)
    if spec.color_by == "luminance":
        # The painting's own colors were faded by the dial's root; its root here makes it whole.
        mixed = spec.color**0.5 * lab[1:] + (1 - spec.color) * content_lab[1:]
        light = torch.lerp(content_lab[:1], lab[:1], spec.color)
        return clip_to_gamut(torch.cat([lab[:1], mixed]), torch.cat([light, mixed]))
    mean_chroma, target = chroma(lab).mean(), chroma(content_lab).mean()
    if mean_chroma < 1e-3:
        return painted
    target = mean_chroma * (target / mean_chroma) ** (1 - spec.color)
    gray = torch.cat([lab[:1], torch.zeros_like(lab[1:])])
    factor, pixels = 1.0, painted
    for _ in range(_ROUNDS):
        factor *= (target / chroma(to_lab(pixels)).mean().clamp(min=1e-3)).clamp(max=_MAX_GAIN)
        pixels = clip_to_gamut(torch.cat([lab[:1], factor * lab[1:]]), gray)
    return pixels


def _optimal_transport(image: Tensor, source: Moments, target: Moments, ridge: float) -> Tensor:
    """Give an image, (3, H, W), another mean and covariance, moving its colors least."""
    floor = ridge * torch.eye(3, dtype=source.second.dtype, device=image.device)
    a, b = covariance(source) + floor, covariance(target) + floor
    root, inverse = spectral(a, torch.sqrt), spectral(a, torch.rsqrt)
    change = inverse @ spectral(root @ b @ root, torch.sqrt) @ inverse
    offset = (mean(target) - change @ mean(source)).to(image.dtype)
    change = change.to(image.dtype)
    return torch.addmm(offset[:, None], change, image.flatten(1)).view_as(image)
