"""CIELAB, light apart from color in steps that look alike, and the way back into sRGB."""

from __future__ import annotations

import torch
from torch import Tensor

# IEC 61966-2-1: linear sRGB -> XYZ, white D65.
_XYZ = (
    (0.412453, 0.357580, 0.180423),
    (0.212671, 0.715160, 0.072169),
    (0.019334, 0.119193, 0.950227),
)
_WHITE = (0.950456, 1.0, 1.088754)  # the sums of its rows, so that gray is exactly gray
_KNEE = 6 / 29
_HALVINGS = 12  # of the way into the gamut
_OUTSIDE = 1e-4  # how far past [0, 1] a channel still counts as inside


def to_lab(pixels: Tensor) -> Tensor:
    """sRGB to CIE L*a*b*.

    Args:
        pixels: (3, H, W) in [0, 1].

    Returns:
        (3, H, W): lightness from 0 to 100, then the two axes of color, 0 for grays.

    Example:
        >>> to_lab(torch.ones(3, 1, 1)).round().abs().flatten().tolist()
        [100.0, 0.0, 0.0]
    """
    linear = torch.where(pixels <= 0.04045, pixels / 12.92, ((pixels + 0.055) / 1.055) ** 2.4)
    xyz = _product(_matrix(pixels), linear)
    curve = torch.where(
        xyz > _KNEE**3, xyz.clamp(min=1e-9) ** (1 / 3), xyz / (3 * _KNEE**2) + 4 / 29
    )
    x, y, z = curve
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def from_lab(colors: Tensor) -> Tensor:
    """CIE L*a*b* to sRGB, not clamped: past [0, 1] where a screen cannot show the color.

    Args:
        colors: (3, H, W), as `to_lab` gives it.

    Returns:
        (3, H, W).
    """
    y = (colors[0] + 16) / 116
    curve = torch.stack([y + colors[1] / 500, y, y - colors[2] / 200])
    xyz = torch.where(curve > _KNEE, curve**3, 3 * _KNEE**2 * (curve - 4 / 29))
    linear = _product(torch.linalg.inv(_matrix(colors)), xyz)
    low = linear * 12.92
    return torch.where(
        linear <= 0.0031308, low, 1.055 * linear.clamp(min=1e-9) ** (1 / 2.4) - 0.055
    )


def shown(wanted: Tensor, fallback: Tensor) -> Tensor:
    """Colors as sRGB, each as near to what is wanted as a screen can show it.

    Args:
        wanted: (3, H, W) CIE L*a*b*.
        fallback: (3, H, W) CIE L*a*b*, inside the gamut: the way goes straight towards it.

    Returns:
        (3, H, W) in [0, 1].
    """
    near, far = torch.zeros_like(wanted[0]), torch.ones_like(wanted[0])
    outside = ~_inside(wanted)
    if not outside.any():
        return from_lab(wanted).clamp(0, 1)
    for _ in range(_HALVINGS):
        middle = (near + far) / 2
        fits = _inside(torch.lerp(wanted, fallback, middle))
        far = torch.where(fits, middle, far)
        near = torch.where(fits, near, middle)
    return from_lab(torch.where(outside, torch.lerp(wanted, fallback, far), wanted)).clamp(0, 1)


def set_chroma(colors: Tensor) -> Tensor:
    """How colorful each position is, (3, H, W) CIE L*a*b* -> (H, W); 0 for grays."""
    return torch.hypot(colors[1], colors[2])


def _inside(colors: Tensor) -> Tensor:
    """Whether a screen can show each color, (3, H, W) -> (H, W)."""
    found = from_lab(colors)
    return ((found >= -_OUTSIDE) & (found <= 1 + _OUTSIDE)).all(0)


def _matrix(like: Tensor) -> Tensor:
    """Linear sRGB -> XYZ divided by white's."""
    matrix = torch.tensor(_XYZ, dtype=like.dtype, device=like.device)
    return matrix / torch.tensor(_WHITE, dtype=like.dtype, device=like.device)[:, None]


def _product(matrix: Tensor, colors: Tensor) -> Tensor:
    """A matrix times every color, (3, 3), (3, H, W) -> (3, H, W)."""
    return (matrix @ colors.flatten(1)).view_as(colors)
