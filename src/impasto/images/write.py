"""Saving a picture whole or not at all, with everything its file is to carry."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from impasto.errors import ImageError
from impasto.files import check_writable, write_atomically
from impasto.images import encode as formats
from impasto.images import exif as exif_block
from impasto.images.formats import ENDINGS
from impasto.images.icc import gray_profile, srgb_profile
from impasto.images.image import ImageMetadata
from impasto.images.xmp import to_xmp

_WRITERS = {
    "PNG": formats.png,
    "JPEG": formats.jpeg,
    "WEBP": formats.webp,
    "TIFF": formats.tiff,
    "AVIF": formats.avif,
}
_DEPTHS = {"PNG": (8, 16), "TIFF": (8, 16, 32)}
_SIDES = {"JPEG": 65_500, "WEBP": 16_383, "AVIF": 65_536}
# Formats with no place for the resolution but EXIF.
_DPI_IN_EXIF = ("WEBP", "AVIF")
_TYPES = {8: np.uint8, 16: np.uint16}


def check_output(path: str | Path, *, overwrite: bool = False, inputs: Iterable[Any] = ()) -> Path:
    """Make sure that a picture can be written, before any work is done.

    Args:
        path: where to write.
        overwrite: whether a file that is already there may be replaced.
        inputs: pictures read by the same run; paths among them may not be written to, not even
            with `overwrite`. Anything else among them is passed over.

    Returns:
        The path.

    Raises:
        ImageError: the folder is missing or cannot be written, or the file is an input, or is
            there already.
        ValueError: the ending names no format that impasto writes.

    Example:
        >>> check_output("painting.gif")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ValueError: `output` must end in .png, .jpg, ..., got painting.gif; choose one of them
    """
    if not os.path.isdir(Path(path)):  # which gets a sentence of its own below
        output_format(Path(path).suffix, "output", str(path))
    return check_writable(path, overwrite=overwrite, inputs=inputs)


def output_format(ending: str, argument: str, given: str) -> str:
    """The format of an ending such as `.png`."""
    if ending.lower() not in ENDINGS:
        raise ValueError(
            f"`{argument}` must end in {', '.join(ENDINGS)}, got {given or 'nothing'}; "
            "choose one of them"
        )
    return ENDINGS[ending.lower()]


def save(
    pixels: Tensor,
    path: str | Path,
    *,
    metadata: ImageMetadata | None = None,
    recipe: str | None = None,
    overwrite: bool = False,
    inputs: Iterable[Any] = (),
    bits: int | None = None,
    quality: int = 95,
    strip_gps: bool = False,
) -> Path:
    """Write a picture to a file, whole or not at all.

    Args:
        pixels: (3, H, W), or (1, H, W) for grey, sRGB; clamped to [0, 1].
        path: where to; the ending chooses the format (.png .jpg .jpeg .webp .tif .tiff .avif).
        metadata: what goes beside the pixels: opacity, EXIF, dpi, and the depth.
        recipe: JSON of the recipe to store inside.
        overwrite: replace a file that is already there.
        inputs: pictures this one was made from; a file among them is never replaced.
        bits: bits a channel: 8, 16 (PNG, TIFF) or 32 (floating point TIFF); None takes the
            source's, as far as the format goes.
        quality: 1 to 100, of JPEG, WebP and AVIF; larger keeps more and makes larger files. WebP
            is lossless at 100.
        strip_gps: leave out where the photograph was taken.

    Returns:
        The path written.

    Raises:
        ImageError: the place cannot be written, or holds a file and `overwrite` is False.
        ValueError: the ending names no format that impasto writes, or an argument is out of range.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save(torch.rand(3, 4, 6), Path(folder) / "new.png").name
        'new.png'
    """
    target = check_output(path, overwrite=overwrite, inputs=inputs)
    options = {"bits": bits, "quality": quality, "strip_gps": strip_gps}
    data = encode(pixels, target.suffix, metadata=metadata, recipe=recipe, **options)
    return write_atomically(data, target, overwrite=overwrite)


def encode(
    pixels: Tensor,
    format: str,
    *,
    metadata: ImageMetadata | None = None,
    recipe: str | None = None,
    bits: int | None = None,
    quality: int = 95,
    strip_gps: bool = False,
) -> bytes:
    """The bytes of a picture file; the same picture gives the same bytes each time.

    Args:
        pixels: (3, H, W), or (1, H, W) for grey, sRGB; clamped to [0, 1].
        format: png, jpeg, webp, tiff or avif, or an ending such as .jpg.
        metadata: what goes beside the pixels; opacity is composited on white for JPEG.
        recipe: JSON of the recipe to store inside.
        bits: as for `save`.
        quality: as for `save`.
        strip_gps: as for `save`.

    Returns:
        The file. Samples are rounded to the nearest code.

    Raises:
        ImageError: the picture is larger than the format can hold.
        ValueError: an argument is out of range.

    Example:
        >>> encode(torch.zeros(3, 1, 1), "png")[:4]
        b'\\x89PNG'
    """
    kind = output_format(format if format.startswith(".") else f".{format}", "format", format)
    metadata = metadata or ImageMetadata()
    _check_pixels(pixels, metadata.alpha, quality)
    size = (pixels.shape[-1], pixels.shape[-2])
    if max(size) > _SIDES.get(kind, 2**31 - 1):
        raise ImageError(
            f"`output` must have sides of at most {_SIDES[kind]:,} pixels as {kind}, got "
            f"{size[0]:,} × {size[1]:,}; save it as PNG or TIFF"
        )
    samples = _quantized(_channels(pixels, metadata.alpha, kind), _depth(bits, metadata.bits, kind))
    dpi = metadata.dpi if kind in _DPI_IN_EXIF else None
    contents = formats.Metadata(
        icc=gray_profile() if samples.shape[-1] < 3 else srgb_profile(),
        exif=exif_block.update_for_output(metadata.exif, size, dpi=dpi, strip_gps=strip_gps),
        dpi=metadata.dpi,
        xmp=to_xmp(recipe) if recipe else None,
        quality=quality,
    )
    return _WRITERS[kind](samples, contents)


def _check_pixels(pixels: Tensor, alpha: Tensor | None, quality: int) -> None:
    """Refuse what cannot be written, before anything is."""
    if pixels.ndim != 3 or pixels.shape[0] not in (1, 3) or 0 in pixels.shape:
        raise ValueError(
            f"`pixels` must be (3, H, W) or (1, H, W), got {tuple(pixels.shape)}; reshape them"
        )
    if not pixels.is_floating_point() or not bool(torch.isfinite(pixels).all()):
        raise ValueError(
            f"`pixels` must be finite floats in [0, 1], got {pixels.dtype} with "
            f"{int((~torch.isfinite(pixels)).sum())} values that are not; replace them"
        )
    if alpha is not None and alpha.shape != pixels.shape[1:]:
        raise ValueError(
            f"`metadata.alpha` must be {tuple(pixels.shape[1:])} like the pixels, got "
            f"{tuple(alpha.shape)}; resize it"
        )
    if not 1 <= quality <= 100:
        raise ValueError(f"`quality` must be from 1 to 100, got {quality}; 95 is the default")


def _depth(bits: int | None, source: int, kind: str) -> int:
    """The bits a channel to write: those asked for, or the source's as far as the format goes."""
    offered = _DEPTHS.get(kind, (8,))
    if bits is None:
        return max(depth for depth in offered if depth <= max(source, 8))
    if bits not in offered:
        raise ValueError(
            f"`bits` must be {' or '.join(map(str, offered))} for {kind}, got {bits}; "
            "choose PNG for 16 and TIFF for 16 or 32"
        )
    return bits


def _channels(pixels: Tensor, alpha: Tensor | None, kind: str) -> np.ndarray:
    """Pixels and opacity as (H, W, C) float32 in [0, 1] with the channels a format has."""
    pixels = pixels.detach().to("cpu", torch.float32).clamp(0, 1)
    if alpha is not None:
        alpha = alpha.detach().to("cpu", torch.float32).clamp(0, 1)[None]
        if kind == "JPEG":
            pixels, alpha = pixels * alpha + (1 - alpha), None
    # WebP knows no grey, AVIF none with opacity.
    if kind == "WEBP" or (kind == "AVIF" and alpha is not None):
        pixels = pixels.expand(3, -1, -1)
    stacked = pixels if alpha is None else torch.cat([pixels, alpha])
    return stacked.permute(1, 2, 0).numpy()  # (C, H, W) -> (H, W, C)


def _quantized(channels: np.ndarray, bits: int) -> np.ndarray:
    """Values in [0, 1] rounded to the nearest code; 32 bits stay as they are."""
    if bits == 32:
        return np.ascontiguousarray(channels)
    return np.floor(channels * np.float32(2**bits - 1) + np.float32(0.5)).astype(_TYPES[bits])
