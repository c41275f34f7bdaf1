"""Where the content counts more: a mask of the painter's, or the picture's own edges."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.images.image import Image
from impasto.images.masks import resize_mask

_GRAIN = 1 / 200  # of the longer side: details smaller than this are no structure
_REACH = 1 / 40  # of the longer side: how far an edge's weight spreads
_ROUNDS = 10
_MOST = 4.0  # no position counts more than this many times the average


def structure_map(content: Tensor, structure: float, keep: Image | None) -> Tensor | None:
    """What the content loss counts at each position.

    Args:
        content: (3, H, W) in [0, 1].
        structure: 0 counts all positions alike, 1 only by how much of the picture's structure
            lies about them; the average stays 1.
        keep: a mask: a share of that; None for 1.

    Returns:
        (H, W) of at least 0; None where it is 1 everywhere.
    """
    found = None
    if structure > 0:
        found = 1 + structure * (edges(content) - 1)
    if keep is not None:
        given = resize_mask(keep, (content.shape[2], content.shape[1]), content.device)
        found = given if found is None else given * found
    return found


def edges(content: Tensor) -> Tensor:
    """How much structure lies about each position, (3, H, W) -> (H, W), 1 on average.

    The slope of the light at the scale of an eye in a portrait, spread a little; a picture of one
    tone is alike everywhere.
    """
    longest = max(content.shape[1:])
    light = _blurred(content.mean(0), _GRAIN * longest)
    down = F.pad(light[1:] - light[:-1], (0, 0, 0, 1))
    right = F.pad(light[:, 1:] - light[:, :-1], (0, 1))
    found = _blurred(torch.hypot(down, right), _REACH * longest)
    for _ in range(_ROUNDS):  # the cap takes from the average, which is restored
        found = found / found.mean().clamp(min=1e-6)
        found = found.clamp(max=_MOST)
    return found if bool(found.any()) else torch.ones_like(found)


def _blurred(plane: Tensor, sigma: float) -> Tensor:
    """A plane, (H, W), blurred by a Gaussian of so many pixels, mirrored at the borders."""
    radius = min(max(1, round(3 * sigma)), min(plane.shape) - 1)
    at = torch.arange(-radius, radius + 1, dtype=plane.dtype, device=plane.device)
    kernel = torch.exp(-0.5 * (at / max(sigma, 0.3)) ** 2)
    kernel = (kernel / kernel.sum())[None, None]
    found = F.pad(plane[None, None], (radius,) * 4, mode="reflect")
    found = F.conv2d(found, kernel[..., None])
    return F.conv2d(found, kernel[:, :, None])[0, 0]
