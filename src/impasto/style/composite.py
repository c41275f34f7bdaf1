"""Masks of the content, and what a painting is given last: the content's colors and pixels."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.images.color import to_gray
from impasto.images.image import Image
from impasto.images.masks import resize_mask
from impasto.images.resize import composite_rgb, resize
from impasto.style.color import restore_colors
from impasto.style.objective import Evaluation
from impasto.style.schedule import Size
from impasto.style.spec import RunSpec

Finish = Callable[[Tensor], Tensor]
EvaluatePixels = Callable[[Tensor], Evaluation]

_DETAIL = 1 / 200  # of the longer side: details smaller than this are no structure
_REACH = 1 / 40  # of the longer side: how far an edge's weight spreads
_ROUNDS = 10
_MAX_WEIGHT = 4.0  # no position counts more than this many times the average


def needs_composite(spec: RunSpec, protect: Image | None) -> bool:
    """Return whether a painting is anything else than what the optimizer ended with."""
    return protect is not None or (spec.color < 1 and not spec.evaluate_only)


def composite(
    spec: RunSpec, content: Image, protect: Image | None, size: Size, *, gray: bool = False
) -> Finish:
    """Return a function that finishes a painting of one size, (3, H, W) on the CPU.

    Args:
        spec: `color` and `color_by`.
        content: the content image.
        protect: a mask, where the content stays as it is.
        size: (width, height) of the painting.
        gray: the painting is to have no color at all.
    """
    if not needs_composite(spec, protect):
        return to_gray if gray else lambda painted: painted
    pixels = resize(composite_rgb(content), size)
    mask = None if protect is None else resize_mask(protect, size)

    def finish(painted: Tensor) -> Tensor:
        restored = restore_colors(painted, pixels, spec)
        restored = to_gray(restored) if gray else restored
        if mask is None:
            return restored
        pasted = torch.lerp(restored, pixels, mask)
        # Channels that are equal may be rounded in different ways.
        return to_gray(pasted) if gray and bool((pixels == pixels[:1]).all()) else pasted

    return finish


def paste_protected(objective: EvaluatePixels, content: Tensor, protect: Tensor) -> EvaluatePixels:
    """Return an objective that sees the content where it is protected, and moves nothing there.

    Args:
        objective: the objective of the whole image.
        content: (3, H, W).
        protect: (H, W) in [0, 1], 1 where the content stays.
    """

    def evaluate(pixels: Tensor) -> Evaluation:
        evaluation = objective(torch.lerp(pixels, content, protect))
        return evaluation._replace(gradient=evaluation.gradient * (1 - protect))

    return evaluate


def hold_still(objective: EvaluatePixels, moving: Tensor) -> EvaluatePixels:
    """Return an objective that moves only a part of the pixels.

    Args:
        objective: the objective of the whole image.
        moving: (H, W) in [0, 1], 0 where the pixels stay as the run starts.
    """

    def evaluate(pixels: Tensor) -> Evaluation:
        evaluation = objective(pixels)
        return evaluation._replace(gradient=evaluation.gradient * moving)

    return evaluate


def without_color(objective: EvaluatePixels) -> EvaluatePixels:
    """Return an objective of the mean of an image's channels alone.

    All three channels get the same gradient, so that gray stays gray: of inputs without any color
    the network's features alone would let some grow, since VGG-19 knows the world in color.
    """

    def evaluate(pixels: Tensor) -> Evaluation:
        evaluation = objective(to_gray(pixels))
        return evaluation._replace(gradient=to_gray(evaluation.gradient))

    return evaluate


def content_weights(content: Tensor, structure: float, keep: Image | None) -> Tensor | None:
    """Compute what the content loss counts at each position.

    Args:
        content: (3, H, W) in [0, 1].
        structure: 0 counts all positions alike, 1 only by how much of the image's structure is
            near them; the average stays 1.
        keep: a mask: a share of that; None for 1.

    Returns:
        (H, W) of at least 0; None if it is 1 everywhere.
    """
    weights = None
    if structure > 0:
        weights = 1 + structure * (edge_density(content) - 1)
    if keep is not None:
        mask = resize_mask(keep, (content.shape[2], content.shape[1]), content.device)
        weights = mask if weights is None else mask * weights
    return weights


def edge_density(content: Tensor) -> Tensor:
    """Compute how much structure is near each position, (3, H, W) -> (H, W), 1 on average.

    The slope of the light at the scale of an eye in a portrait, spread a little; an image of one
    tone is alike everywhere.
    """
    longest = max(content.shape[1:])
    light = _gaussian_blur(content.mean(0), _DETAIL * longest)
    down = F.pad(light[1:] - light[:-1], (0, 0, 0, 1))
    right = F.pad(light[:, 1:] - light[:, :-1], (0, 1))
    density = _gaussian_blur(torch.hypot(down, right), _REACH * longest)
    for _ in range(_ROUNDS):  # the cap takes from the average, which is restored
        density = density / density.mean().clamp(min=1e-6)
        density = density.clamp(max=_MAX_WEIGHT)
    return density if bool(density.any()) else torch.ones_like(density)


def _gaussian_blur(plane: Tensor, sigma: float) -> Tensor:
    """Blur a plane, (H, W), by a Gaussian of sigma pixels, mirrored at the borders."""
    radius = min(max(1, round(3 * sigma)), min(plane.shape) - 1)
    offsets = torch.arange(-radius, radius + 1, dtype=plane.dtype, device=plane.device)
    kernel = torch.exp(-0.5 * (offsets / max(sigma, 0.3)) ** 2)
    kernel = (kernel / kernel.sum())[None, None]
    padded = F.pad(plane[None, None], (radius,) * 4, mode="reflect")
    blurred = F.conv2d(padded, kernel[..., None])
    return F.conv2d(blurred, kernel[:, :, None])[0, 0]
