"""The facts of a picture file, without decoding it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, BinaryIO

from impasto.images import exif as exif_block
from impasto.images.formats import MAX_PIXELS
from impasto.images.header import Header, Unreadable, read_header
from impasto.images.icc import profile_name
from impasto.images.quiet import suppress_decoder_warnings
from impasto.images.source_files import read_bytes, unreadable_file
from impasto.images.xmp import from_xmp


def describe_image(path: str | Path | bytes | BinaryIO, *, name: str = "file") -> dict[str, Any]:
    """What a picture file says about itself.

    Args:
        path: the file, its bytes, or a file open for reading bytes.
        name: what errors call it.

    Returns:
        A mapping that JSON can hold: `format`; `size` [width, height] in pixels, upright; `mode`,
        the channels in Pillow's words; `bits` a channel; `alpha`; `icc`, the color profile's name
        or None; `exif`, a few facts by name; `dpi` [horizontal, vertical] or None; `frames`;
        `recipe`, the impasto recipe inside or None; `bytes`, the length of the file.

    Raises:
        ImageError: the file is missing or no picture that impasto reads.

    Example:
        >>> import torch
        >>> from impasto.images.write import encode
        >>> facts = describe_image(encode(torch.zeros(1, 2, 3), "png"))
        >>> facts["format"], facts["size"], facts["bits"]
        ('PNG', [3, 2], 8)
    """
    data, label = read_bytes(path, name)
    try:
        header = read_header(data, MAX_PIXELS)
    except Unreadable as error:
        raise unreadable_file(name, label, str(error)) from error
    recipe = from_xmp(header.xmp)
    size = header.size[::-1] if header.orientation > 4 else header.size
    return {
        "format": header.format,
        "size": [int(side) for side in size],
        "mode": header.mode,
        "bits": int(header.bits),
        "alpha": bool(header.alpha),
        "icc": profile_name(header.icc),
        "exif": exif_block.exif_facts(header.exif, header.orientation),
        "dpi": [round(value, 2) for value in header.dpi] if header.dpi else None,
        "frames": _frames(header),
        **_account(recipe),
        "bytes": len(data),
    }


def _frames(header: Header) -> int:
    """How many frames or pages a file has; 1 where its later pages are broken."""
    if header.page is None:
        return header.frames or 1
    try:
        with suppress_decoder_warnings():
            return len(header.page.parent.pages)
    except MemoryError:
        raise
    except Exception:
        return 1


def _account(text: str | None) -> dict[str, Any]:
    """The recipe of a picture, and apart from it what else its account says."""
    found = json.loads(text) if text else None
    if found is None or not isinstance(found.get("recipe"), dict):
        return {"recipe": found}
    made = {name: value for name, value in found.items() if name != "recipe"}
    return {"recipe": found["recipe"], "made": made}
