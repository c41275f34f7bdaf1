"""Any picture, from a file or from memory, to the one form the rest of impasto works on."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import PIL.Image
import torch
from torch import Tensor

from impasto.images import exif as exif_block
from impasto.images.decode import Samples, decode_file, samples_of
from impasto.images.describe import describe_image
from impasto.images.formats import MAX_PIXELS
from impasto.images.header import Unreadable, read_header
from impasto.images.icc import to_srgb
from impasto.images.image import Image, ImageMetadata, SourceFile
from impasto.images.quiet import suppress_decoder_warnings
from impasto.images.source_files import read_bytes, unreadable_file
from impasto.images.xmp import from_xmp

__all__ = ["MAX_PIXELS", "describe_image", "open_image"]

ImageSource = str | Path | bytes | BinaryIO | PIL.Image.Image | np.ndarray | Tensor | Image

_INTEGERS = {np.dtype(np.uint8): (255, 8), np.dtype(np.uint16): (65535, 16)}


def open_image(
    source: ImageSource, *, name: str = "picture", max_pixels: int = MAX_PIXELS
) -> Image:
    """Open a picture: upright, in sRGB, at its full depth.

    A file is known by its content, whatever its name. The EXIF orientation is applied, a color
    profile is converted to sRGB, and what the file carries besides is kept. Of an animation or a
    stack, the first frame is read.

    Args:
        source: a path; the bytes of a file; a file open for reading bytes; a Pillow image; an
            array (H, W), (H, W, 1), (H, W, 2), (H, W, 3) or (H, W, 4), of uint8, uint16, or
            floats in [0, 1]; a tensor (C, H, W) or (H, W), of uint8 or floats in [0, 1]; or a
            `Image`, which comes back as it is. Two and four channels end in opacity.
        name: what errors call it.
        max_pixels: pixels at most in a file; checked on its header, before anything is decoded.

    Returns:
        Pixels (3, H, W), or (1, H, W) for a grey picture, float32 in [0, 1] on the CPU, with what
        came with them.

    Raises:
        ImageError: the file is missing, broken, too large, or no format that impasto reads.
        ValueError: an array or tensor of another shape, kind or range.
        TypeError: anything else.

    Example:
        >>> open_image(np.zeros((480, 640, 3), np.uint8)).size
        (640, 480)
    """
    if isinstance(source, Image):
        return source
    if isinstance(source, Tensor):
        return _from_tensor(source, name)
    if isinstance(source, np.ndarray):
        return _from_array(source, name)
    if isinstance(source, PIL.Image.Image):
        return _from_image(source, name)
    if not (
        isinstance(source, str | Path | bytes | bytearray | memoryview) or hasattr(source, "read")
    ):
        raise TypeError(
            f"`{name}` must be a path, bytes, an open file, a Pillow image, a NumPy array, a "
            f"tensor or an Image, got {type(source).__name__}; open it first"
        )
    data, label = read_bytes(source, name)
    try:
        samples = decode_file(data, read_header(data, max_pixels))
        return _picture(samples, SourceFile(_name(source), sha256(data).hexdigest()))
    except Unreadable as error:
        raise unreadable_file(name, label, str(error)) from error


def _name(source: Any) -> str | None:
    """What a file is called, without its folder; None where it has no name."""
    found = source if isinstance(source, str | Path) else getattr(source, "name", None)
    return Path(found).name or None if isinstance(found, str | Path) else None


def _picture(samples: Samples, origin: SourceFile | None = None) -> Image:
    """Decoded samples as a picture: in sRGB, upright, with what they carry."""
    header = samples.header
    alpha = samples.alpha
    if alpha is not None:
        alpha = _tensor(_upright(alpha, header.orientation))
    colors = _upright(to_srgb(samples.colors, header.icc), header.orientation)
    metadata = ImageMetadata(
        alpha=alpha,
        bits=8 if header.bits <= 8 else 16 if header.bits <= 16 else 32,
        exif=exif_block.strip_for_storage(header.exif),
        dpi=header.dpi,
        format=header.format,
        recipe=from_xmp(header.xmp),
        origin=origin,
    )
    return Image(_tensor(colors.transpose(2, 0, 1)), metadata)  # (H, W, C) -> (C, H, W)


def _upright(array: np.ndarray, orientation: int) -> np.ndarray:
    """An array (H, W, …) as its EXIF orientation, 1 to 8, says it is to be seen."""
    if orientation >= 5:
        array = array.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return array


def _tensor(array: np.ndarray) -> Tensor:
    """An array as a float32 tensor of its own memory."""
    return torch.from_numpy(np.array(array, dtype=np.float32, order="C"))


def _from_image(image: PIL.Image.Image, name: str) -> Image:
    """A picture from an image that Pillow has open, or that was made with it."""
    label = f"a {image.width} × {image.height} {image.mode} image"
    try:
        if min(image.size) < 1:
            raise Unreadable("it has no pixels")
        with suppress_decoder_warnings():
            return _picture(samples_of(image))
    except Unreadable as error:
        raise unreadable_file(name, label, str(error)) from error
    except (OSError, SyntaxError, ValueError) as error:
        why = "its pixels are cut short or broken"
        raise unreadable_file(name, label, why) from error


def _from_array(array: np.ndarray, name: str) -> Image:
    """A picture from an array (H, W) or (H, W, C)."""
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[-1] not in (1, 2, 3, 4):
        raise ValueError(
            f"`{name}` must have axes (H, W) or (H, W, C) with 1 to 4 channels, got shape "
            f"{array.shape}; move the channels last"
        )
    if array.dtype in _INTEGERS:
        maximum, bits = _INTEGERS[array.dtype]
        return _from_channels(array.astype(np.float32) / np.float32(maximum), bits, name)
    if array.dtype not in (np.float32, np.float64):
        raise ValueError(
            f"`{name}` must be uint8, uint16, float32 or float64, got {array.dtype}; convert it"
        )
    return _from_channels(array, 32, name)


def _from_tensor(tensor: Tensor, name: str) -> Image:
    """A picture from a tensor (H, W) or (C, H, W)."""
    if tensor.ndim == 4:
        raise ValueError(
            f"`{name}` must be (C, H, W) or (H, W), got shape {tuple(tensor.shape)}; "
            "drop the batch axis"
        )
    if tensor.ndim == 2:
        tensor = tensor[None]
    if tensor.ndim != 3 or tensor.shape[0] not in (1, 2, 3, 4):
        raise ValueError(
            f"`{name}` must be (C, H, W) with 1 to 4 channels, or (H, W), got shape "
            f"{tuple(tensor.shape)}; move the channels first"
        )
    bits, tensor = 32, tensor.detach()
    if tensor.dtype == torch.uint8:
        bits, tensor = 8, tensor.float() / 255
    elif not tensor.is_floating_point():
        raise ValueError(
            f"`{name}` must be uint8 or floating point, got {tensor.dtype}; convert it"
        )
    array = tensor.to("cpu", torch.float32).permute(1, 2, 0).numpy()  # (C, H, W) -> (H, W, C)
    return _from_channels(array, bits, name)


def _from_channels(array: np.ndarray, bits: int, name: str) -> Image:
    """A picture from floats (H, W, C) that may end in opacity."""
    if array.size == 0:
        raise ValueError(
            f"`{name}` must have pixels, got {array.shape[1]} × {array.shape[0]}; "
            "give at least 1 × 1"
        )
    low, high = float(array.min()), float(array.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError(
            f"`{name}` must be finite, got {low:g} to {high:g}; replace the bad values"
        )
    if low < 0 or high > 1:
        raise ValueError(f"`{name}` must be in [0, 1], got {low:g} to {high:g}; scale or clamp it")
    alpha = None
    if array.shape[-1] in (2, 4):
        array, alpha = array[..., :-1], _tensor(array[..., -1])
    return Image(_tensor(array.transpose(2, 0, 1)), ImageMetadata(alpha=alpha, bits=bits))
