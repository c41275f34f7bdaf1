"""Conversion between sRGB and CIELAB, which separates lightness from color; and what is gray."""

from __future__ import annotations

import torch
from torch import Tensor

from impasto.images.image import Image

# IEC 61966-2-1: linear sRGB -> XYZ, white D65.
_XYZ = (
    (0.412453, 0.357580, 0.180423),
    (0.212671, 0.715160, 0.072169),
    (0.019334, 0.119193, 0.950227),
)
_WHITE = (0.950456, 1.0, 1.088754)  # the sums of its rows, so that gray is exactly gray
_KNEE = 6 / 29
_BISECTIONS = 12  # of the way into the gamut
_TOLERANCE = 1e-4  # a channel this far past [0, 1] still counts as inside
_GRAY_TOLERANCE = 0.5 / 255  # channels this close are of one gray: profiles and codecs round


def to_lab(pixels: Tensor) -> Tensor:
    """Convert sRGB to CIE L*a*b*.

    Args:
        pixels: (3, H, W) in [0, 1].

    Returns:
        (3, H, W): lightness from 0 to 100, then the two axes of color, 0 for grays.

    Example:
        >>> to_lab(torch.ones(3, 1, 1)).round().abs().flatten().tolist()
        [100.0, 0.0, 0.0]
    """
    linear = torch.where(pixels <= 0.04045, pixels / 12.92, ((pixels + 0.055) / 1.055) ** 2.4)
    xyz = _product(_xyz_matrix(pixels), linear)
    curve = torch.where(
        xyz > _KNEE**3, xyz.clamp(min=1e-9) ** (1 / 3), xyz / (3 * _KNEE**2) + 4 / 29
    )
    x, y, z = curve
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def from_lab(colors: Tensor) -> Tensor:
    """Convert CIE L*a*b* to sRGB, not clamped: colors outside the gamut are outside [0, 1].

    Args:
        colors: (3, H, W), as `to_lab` returns it.

    Returns:
        (3, H, W).
    """
    y = (colors[0] + 16) / 116
    curve = torch.stack([y + colors[1] / 500, y, y - colors[2] / 200])
    xyz = torch.where(curve > _KNEE, curve**3, 3 * _KNEE**2 * (curve - 4 / 29))
    linear = _product(torch.linalg.inv(_xyz_matrix(colors)), xyz)
    low = linear * 12.92
    return torch.where(
        linear <= 0.0031308, low, 1.055 * linear.clamp(min=1e-9) ** (1 / 2.4) - 0.055
    )


def clip_to_gamut(colors: Tensor, fallback: Tensor) -> Tensor:
    """Convert CIE L*a*b* to sRGB, moving colors outside the gamut straight to a fallback.

    Args:
        colors: (3, H, W) CIE L*a*b*; those inside the gamut stay as they are.
        fallback: (3, H, W) CIE L*a*b*, inside the gamut; each color is moved towards it only until
            it is inside too.

    Returns:
        (3, H, W) in [0, 1].
    """
    near, far = torch.zeros_like(colors[0]), torch.ones_like(colors[0])
    outside = ~_in_gamut(colors)
    if not outside.any():
        return from_lab(colors).clamp(0, 1)
    for _ in range(_BISECTIONS):
        middle = (near + far) / 2
        fits = _in_gamut(torch.lerp(colors, fallback, middle))
        far = torch.where(fits, middle, far)
        near = torch.where(fits, near, middle)
    return from_lab(torch.where(outside, torch.lerp(colors, fallback, far), colors)).clamp(0, 1)


def chroma(colors: Tensor) -> Tensor:
    """Return the chroma of each position, (3, H, W) CIE L*a*b* -> (H, W); 0 for grays."""
    return torch.hypot(colors[1], colors[2])


def is_gray(image: Image) -> bool:
    """Return whether nothing in an image has a color; transparent pixels do not count.

    Example:
        >>> is_gray(Image(torch.rand(1, 4, 4))), is_gray(Image(torch.rand(3, 4, 4)))
        (True, False)
    """
    first, *others = image.pixels
    alpha = image.metadata.alpha
    for channel in others:
        difference = (channel - first).abs()
        if alpha is not None:
            difference = difference * (alpha > 0)
        if difference.max() > _GRAY_TOLERANCE:
            return False
    return True


def to_gray(pixels: Tensor) -> Tensor:
    """Replace the channels of an image by their mean, (C, H, W) -> (C, H, W)."""
    return pixels.mean(0, keepdim=True).repeat(len(pixels), 1, 1)


def _in_gamut(colors: Tensor) -> Tensor:
    """Mark the colors that sRGB can show, (3, H, W) CIE L*a*b* -> (H, W)."""
    pixels = from_lab(colors)
    return ((pixels >= -_TOLERANCE) & (pixels <= 1 + _TOLERANCE)).all(0)


def _xyz_matrix(like: Tensor) -> Tensor:
    """Return the matrix from linear sRGB to XYZ divided by the XYZ of white."""
    matrix = torch.tensor(_XYZ, dtype=like.dtype, device=like.device)
    return matrix / torch.tensor(_WHITE, dtype=like.dtype, device=like.device)[:, None]


def _product(matrix: Tensor, colors: Tensor) -> Tensor:
    """Multiply every color by a matrix, (3, 3), (3, H, W) -> (3, H, W)."""
    return (matrix @ colors.flatten(1)).view_as(colors)
