"""Read images: from files, arrays, tensors and Pillow images to one form, `Image`."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import PIL.Image
import torch
from torch import Tensor

from impasto.errors import ImageError, join_some
from impasto.files import recorded_name
from impasto.images import exif as exif_block
from impasto.images.decode import Samples, decode_file, samples_of
from impasto.images.file_notes import file_notes
from impasto.images.formats import (
    HEAD_BYTES,
    MAX_PIXELS,
    describe_left_out,
    is_passed_over,
    is_picture,
)
from impasto.images.header import Header, check_header
from impasto.images.icc import profile_name, to_srgb
from impasto.images.image import Image, ImageMetadata, SourceFile
from impasto.images.tiff_layout import whole_pages
from impasto.images.tiff_tags import is_georeferenced, without_georeference
from impasto.images.unreadable import Unreadable, decoding, refusing, unreadable_file
from impasto.images.xmp import foreign_xmp, from_xmp, without_pixel_facts
from impasto.validation import parse_json

ImageSource = str | Path | bytes | BinaryIO | PIL.Image.Image | np.ndarray | Tensor | Image

_INTEGERS = {np.dtype(np.uint8): (255, 8), np.dtype(np.uint16): (65535, 16)}


def open_image(
    source: ImageSource, *, name: str = "picture", max_pixels: int = MAX_PIXELS
) -> Image:
    """Open an image: upright, in sRGB, at its full depth.

    A file's format is detected from its content, whatever its name. The EXIF orientation is
    applied, a color profile is converted to sRGB, and the other metadata is kept. Of an animation
    or a stack, the first frame is read.

    Args:
        source: a path; the bytes of a file; a file open for reading bytes; a Pillow image; an
            array (H, W), (H, W, 1), (H, W, 2), (H, W, 3) or (H, W, 4), of uint8, uint16, or
            floats in [0, 1]; a tensor (C, H, W) or (H, W), of uint8 or floats in [0, 1]; or an
            `Image`, which is returned as it is. Two and four channels end in opacity.
        name: the argument's name in errors.
        max_pixels: pixels at most in a file; checked on its header, before anything is decoded.

    Returns:
        Pixels (3, H, W), or (1, H, W) for a gray image, float32 in [0, 1] on the CPU, with their
        metadata.

    Raises:
        ImageError: the file is missing, broken, too large, or in a format that impasto does not
            read.
        ValueError: an array or tensor of another shape, type or range.
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
        return _from_numpy(source, name)
    if isinstance(source, PIL.Image.Image):
        return _from_pillow(source, name)
    if not (
        isinstance(source, str | Path | bytes | bytearray | memoryview) or hasattr(source, "read")
    ):
        raise TypeError(
            f"`{name}` must be a path, bytes, an open file, a Pillow image, a NumPy array, a "
            f"tensor or an Image, got {type(source).__name__}; open it first"
        )
    data, label = read_bytes(source, name)
    header = check_header(data, name, label, max_pixels)
    with refusing(name, label):
        samples = decode_file(data, header)
        return _from_samples(samples, SourceFile(source_name(source), sha256(data).hexdigest()))


def describe_image(path: str | Path | bytes | BinaryIO, *, name: str = "file") -> dict[str, Any]:
    """Describe an image file without decoding its pixels.

    Args:
        path: the file, its bytes, or a file open for reading bytes.
        name: the argument's name in errors.

    Returns:
        A mapping that JSON can hold: `format`; `size` [width, height] in pixels, upright; `mode`,
        the channels in Pillow's words, `RGBA+1` with one that has no name; `bits` per channel;
        `alpha`; `icc`, the color profile's name or None; `color_space`, what the file states of
        its colors besides, such as `Display P3 (cICP)`, or None; `exif`, a few facts by name;
        `dpi` [horizontal, vertical] or None; `frames`; `recipe`, the impasto recipe inside or
        None; `recipe_problem`, why what is there cannot be read, only where that is so; `bytes`,
        the length of the file.

    Raises:
        ImageError: the file is missing, or not an image that impasto reads.

    Example:
        >>> from impasto.images.write import encode
        >>> facts = describe_image(encode(torch.zeros(1, 2, 3), "png"))
        >>> facts["format"], facts["size"], facts["bits"]
        ('PNG', [3, 2], 8)
    """
    data, label = read_bytes(path, name)
    header = check_header(data, name, label)
    return {
        "format": header.format,
        "size": [int(side) for side in header.size],
        "mode": header.mode,
        "bits": int(header.bits),
        "alpha": bool(header.alpha),
        "icc": profile_name(header.icc),
        "color_space": str(header.color_space) if header.color_space else None,
        "exif": exif_block.exif_facts(header.exif, header.orientation),
        "dpi": [round(value, 2) for value in header.dpi] if header.dpi else None,
        "frames": _count_frames(header),
        **_split_provenance(from_xmp(header.xmp)),
        "bytes": len(data),
    }


def read_recipe(path: str | Path | bytes | BinaryIO, *, name: str = "file") -> str | None:
    """Return the JSON of the recipe inside an image file; None without one.

    Args:
        path: as for `describe_image`; its pixels are not decoded.
        name: the argument's name in errors.

    Raises:
        ImageError: the file is missing, or not an image that impasto reads.
    """
    data, label = read_bytes(path, name)
    return from_xmp(check_header(data, name, label).xmp)


def _count_frames(header: Header) -> int:
    """Count the frames or pages of a file; 1 if its later pages are broken.

    Pages of a TIFF that are smaller copies of another do not count.
    """
    if header.page is None:
        return header.frames or 1
    try:
        with decoding("its pages are broken"):
            return max(1, sum(1 for _ in whole_pages(header.page.parent)))
    except Unreadable:
        return 1


def read_metadata(path: str | Path | bytes | BinaryIO, *, name: str = "picture") -> ImageMetadata:
    """Read what an image file carries besides its pixels, as far as it stands before them.

    Args:
        path: as for `describe_image`; its pixels are not decoded.
        name: the argument's name in errors.

    Returns:
        The metadata, with the size and without opacity.

    Raises:
        ImageError: the file is missing, or not an image that impasto reads.
    """
    data, label = read_bytes(path, name)
    return metadata_of(check_header(data, name, label))


def metadata_of(header: Header) -> ImageMetadata:
    """Return a header's metadata, true of the picture turned upright; its opacity is not known."""
    return ImageMetadata(
        bits=8 if header.bits <= 8 else 16 if header.bits <= 16 else 32,
        exif=exif_block.strip_for_storage(header.exif),
        dpi=header.dpi,
        format=header.format,
        recipe=from_xmp(header.xmp),
        frames=_count_frames(header),
        **_portable_metadata(header),
    )


def _split_provenance(text: str | None) -> dict[str, Any]:
    """Separate the recipe stored in an image from the rest of its provenance."""
    if text is None:
        return {"recipe": None}
    try:
        stored = parse_json(text, finite=True)
    except ValueError as error:
        return {"recipe": None, "recipe_problem": str(error)}
    if not isinstance(stored.get("recipe"), dict):
        return {"recipe": stored}
    rest = {name: value for name, value in stored.items() if name != "recipe"}
    return {"recipe": stored["recipe"], "made": rest}


def read_bytes(source: Any, name: str) -> tuple[bytes, str]:
    """Read the bytes of a file.

    Args:
        source: a path, the bytes themselves, or a file open for reading bytes.
        name: the argument's name in errors.

    Returns:
        The bytes, and the file's name in errors.

    Raises:
        ImageError: there is no such file, or it cannot be read.
        TypeError: a file open for text, or anything else.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source), f"{len(source):,} bytes"
    if isinstance(source, str | Path):
        return read_with(source, name, Path.read_bytes), str(source) or "''"
    label = str(getattr(source, "name", "a stream"))
    try:
        data = source.read()
    except OSError as error:
        raise unreadable_file(name, label, error.strerror or str(error)) from error
    if not isinstance(data, bytes):
        raise TypeError(
            f"`{name}` must be a file of bytes, got {label} open for text; use mode 'rb'"
        )
    return data, label


def source_name(source: Any) -> str | None:
    """Return the name to record of a path or an open file; None if it has none."""
    path = source if isinstance(source, str | Path) else getattr(source, "name", None)
    return recorded_name(Path(path).name) if isinstance(path, str | Path) else None


def read_with(path: str | Path, name: str, read: Callable[[Path], bytes], **words: str) -> bytes:
    """Call a function that reads a regular file or a pipe, and word its errors.

    Args:
        path: the file.
        name: the argument's name in errors.
        read: the function.
        words: `kind` and `way_out` of `unreadable_file`.

    Raises:
        ImageError: there is no such file, or it cannot be read.
    """
    label = str(path) or "''"
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            raise unreadable_file(name, label, "it is a folder", **words)
        if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
            raise unreadable_file(name, label, "it is a device, not a file", **words)
        return read(Path(path))
    except (FileNotFoundError, NotADirectoryError):
        reason = "there is no such file"
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
    except ValueError:  # a null byte in the path
        reason = "there is no such file"
    raise unreadable_file(name, label, reason, **words)


def image_files(folder: str | Path, name: str, left_out: list[str] | None = None) -> list[Path]:
    """List the image files of a folder, recognized by ending or content, sorted by name.

    Args:
        folder: the folder; folders inside it are not searched.
        name: the argument's name in errors.
        left_out: the names of other files are added to it.

    Raises:
        ImageError: there is none.
    """
    paths, others = [], []
    for path in sorted(Path(folder).iterdir()):
        if is_passed_over(path.name) or not path.is_file():
            continue
        read_head = partial(read_start, path)
        if is_picture(path.name, read_head):
            paths.append(path)
        else:
            others.append(describe_left_out(path.name, read_head))
    if not paths:
        raise ImageError(
            f"`{name}` must be a picture or a folder of pictures, got {folder}, which holds none"
            f"{f' but {join_some(others)}' if others else ''}; choose another"
        )
    if left_out is not None:
        left_out += others
    return paths


def read_start(path: str | Path) -> bytes:
    """Read the bytes of a file that tell its format."""
    with open(path, "rb") as file:
        return file.read(HEAD_BYTES)


def _from_samples(samples: Samples, origin: SourceFile | None = None) -> Image:
    """Convert decoded samples to an image: in sRGB, upright, with their metadata."""
    header = samples.header
    alpha = samples.alpha
    if alpha is not None:
        alpha = _tensor(_upright(alpha, header.orientation))
    colors = to_srgb(samples.colors, header.icc, header.color_space, header.bits)
    colors = _upright(colors, header.orientation)
    metadata = replace(metadata_of(header), alpha=alpha, origin=origin)
    return Image(_tensor(colors.transpose(2, 0, 1)), metadata)  # (H, W, C) -> (C, H, W)


def _portable_metadata(header: Header) -> dict[str, Any]:
    """Return the metadata that is not EXIF, true of the picture turned upright, and the notes."""
    xmp = None
    with contextlib.suppress(ValueError):
        xmp = without_pixel_facts(foreign_xmp(header.xmp))
    tags = header.tags
    if header.orientation != 1 and is_georeferenced(tags):
        tags = without_georeference(tags)
    fields = {"xmp": xmp, "iptc": header.iptc, "tags": tags, "size": header.size}
    return {**fields, "notes": file_notes(header)}


def _upright(array: np.ndarray, orientation: int) -> np.ndarray:
    """Turn an array (H, W, …) upright by its EXIF orientation, 1 to 8."""
    if orientation >= 5:
        array = array.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return array


def _tensor(array: np.ndarray) -> Tensor:
    """Copy an array into a float32 tensor with memory of its own."""
    return torch.from_numpy(np.array(array, dtype=np.float32, order="C"))


def _from_pillow(image: PIL.Image.Image, name: str) -> Image:
    """Convert an image that Pillow has open, or that was made with it."""
    label = f"a {image.width} × {image.height} {image.mode} image"
    with refusing(name, label):
        if min(image.size) < 1:
            raise Unreadable("it has no pixels")
        try:
            return _from_samples(samples_of(image))
        except (OSError, SyntaxError, ValueError) as error:
            raise Unreadable("its pixels are cut short or broken") from error


def _from_numpy(array: np.ndarray, name: str) -> Image:
    """Convert an array (H, W) or (H, W, C)."""
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
    """Convert a tensor (H, W) or (C, H, W)."""
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
    """Convert floats (H, W, C) whose last channel may be opacity."""
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
