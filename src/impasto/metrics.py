"""Image metrics: PSNR and SSIM."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from impasto.images.open_input import open_input
from impasto.images.read import open_image
from impasto.images.stack import Stack

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Wang et al. 2004: a Gaussian of 1.5 pixels, cut off after 5 pixels each side.
WINDOW = 11


def psnr(a: Any, b: Any) -> float:
    """Return the peak signal-to-noise ratio of two pictures, pixel by pixel.

    It is 10 log10(1 / MSE) with a peak of 1, over all values of all channels, in float64. Only
    differences of value count: a shift by one pixel costs as much as noise of the same size.

    Args:
        a: one picture, (C, H, W) in [0, 1], as a tensor or array of floats; or anything that
            `open_image` reads. Values outside [0, 1] are taken as they are.
        b: the other, of the same shape.

    Returns:
        Decibels; higher is closer, infinity where the pictures are equal.

    Raises:
        ValueError: the shapes differ, or a value is not finite.
        ImageError: a file cannot be read.

    Example:
        >>> import torch
        >>> black = torch.zeros(3, 8, 8)
        >>> round(psnr(black, black + 0.1), 3)
        20.0
        >>> psnr(black, black)
        inf
    """
    first, second = _pair(a, b)
    mse = float(np.mean((first - second) ** 2))
    return -10 * math.log10(mse) if mse > 0 else math.inf


def ssim(a: Any, b: Any) -> float:
    """Return the structural similarity of two pictures: brightness, contrast and structure.

    It is the index of Wang et al., averaged over the picture and its channels: Gaussian windows of
    11 pixels (sigma 1.5), population covariances, K1 = 0.01, K2 = 0.03, a data range of 1.

    Args:
        a: one picture, (C, H, W) in [0, 1], as a tensor or array of floats; or anything that
            `open_image` reads. Both sides must be at least 11 pixels.
        b: the other, of the same shape.

    Returns:
        A number up to 1; higher is closer, 1 where the pictures are equal.

    Raises:
        ValueError: the shapes differ, a side is under 11 pixels, or a value is not finite.
        ImageError: a file cannot be read.

    Example:
        >>> import torch
        >>> ramp = torch.linspace(0, 1, 16).expand(3, 16, 16)
        >>> ssim(ramp, ramp)
        1.0
        >>> ssim(ramp, 1 - ramp) < 0.2
        True

    References:
        Wang, Bovik, Sheikh, Simoncelli 2004, Image Quality Assessment: From Error Visibility to
        Structural Similarity, IEEE TIP 13(4).
    """
    from skimage.metrics import structural_similarity

    first, second = _pair(a, b)
    height, width = first.shape[1:]
    if min(height, width) < WINDOW:
        raise ValueError(
            f"`a` must be at least {WINDOW} × {WINDOW} pixels for SSIM's window, "
            f"got {width} × {height}; compare larger pictures, or use psnr"
        )
    return float(
        structural_similarity(
            first,
            second,
            channel_axis=0,
            data_range=1.0,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
    )


def _pair(a: Any, b: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return both pictures as (C, H, W) float64; refuse them if they cannot be compared."""
    first, second = channels_first(a, "a"), channels_first(b, "b")
    if first.shape != second.shape:
        raise ValueError(
            f"`b` must have the size of `a`, {describe_shape(first.shape)}, "
            f"got {describe_shape(second.shape)}; resize or convert one of them first"
        )
    for name, values in (("a", first), ("b", second)):
        if not np.isfinite(values).all():
            raise ValueError(f"`{name}` must hold finite numbers only, got NaN or infinity")
    return first, second


def channels_first(source: Any, name: str) -> NDArray[np.float64]:
    """Return (C, H, W) float64 from a float tensor or array, or anything `open_image` reads."""
    if isinstance(source, torch.Tensor) and source.ndim == 3 and source.is_floating_point():
        return source.detach().cpu().double().numpy()
    if isinstance(source, np.ndarray) and source.ndim == 3 and source.dtype.kind == "f":
        channels_last = source.shape[-1] in (1, 3, 4) and source.shape[0] not in (1, 3, 4)
        if not channels_last:  # `open_image` transposes floats of (H, W, C)
            return source.astype(np.float64)
    if isinstance(source, str | Path | bytes):  # of which measured data has more than colors
        data = open_input(source, name=name)
        if isinstance(data, Stack) and not data.single:
            raise ValueError(
                f"`{name}` must be a single picture, got {source} with {data.count} planes; "
                "give one of them"
            )
        plane = data.read_plane(()) if isinstance(data, Stack) else data.pixels
        return plane.double().numpy()
    return open_image(source, name=name).pixels.double().numpy()


def describe_shape(shape: tuple[int, ...]) -> str:
    """Write a shape (C, H, W) in words.

    Example:
        >>> describe_shape((1, 20, 30))
        '30 × 20 pixels in 1 channel'
    """
    channels, height, width = shape
    return f"{width} × {height} pixels in {channels} channel{'s' if channels != 1 else ''}"
