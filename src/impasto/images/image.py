"""An image in memory: its pixels, and the metadata that its file carried."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from impasto.images.tiff_tags import PortableTag


@dataclass(frozen=True)
class SourceFile:
    """The name and hash of the file an image came from, without its folder.

    Attributes:
        name: the file's name without its folder; None if it had none.
        sha256: hash of the file's bytes, or of the pixels of arrays and tensors.
    """

    name: str | None
    sha256: str


@dataclass(frozen=True, eq=False)
class ImageMetadata:
    """Everything a file carries besides color, put back on saving.

    Attributes:
        alpha: opacity, (H, W) float32 in [0, 1]; None for an opaque image.
        bits: bits per channel of the source: 8, 16 or 32 (float).
        exif: EXIF block with the orientation already applied and removed; None without one.
        dpi: (horizontal, vertical) dots per inch; None if the file does not say.
        format: the source's format, such as `PNG` or `JPEG`; None for arrays and tensors.
        recipe: JSON of the impasto recipe stored in the file; None without one.
        origin: the file the image is from; None for arrays and tensors.
        frames: frames or pages in the file, of which this is the first; 1 for a single picture.
        xmp: the XMP packet of other programs than impasto, without what is true of the file's own
            pixels alone; None without one.
        iptc: the IPTC records; None without any.
        tags: of a TIFF, the tags that another TIFF may have too, GeoTIFF's among them.
        size: (width, height) of the source, upright, which georeferences in `tags` count by.
        notes: what was left out when the file was read, or taken for what without its word; each
            the end of a sentence that begins with the file's name.
    """

    alpha: Tensor | None = None
    bits: int = 8
    exif: bytes | None = None
    dpi: tuple[float, float] | None = None
    format: str | None = None
    recipe: str | None = None
    origin: SourceFile | None = None
    frames: int = 1
    xmp: str | None = None
    iptc: bytes | None = None
    tags: tuple[PortableTag, ...] = ()
    size: tuple[int, int] | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Image:
    """An image in memory.

    Attributes:
        pixels: (C, H, W) float32 in [0, 1], sRGB, RGB order; C is 3, or 1 for a gray image.
        metadata: everything else that its file carried.
    """

    pixels: Tensor
    metadata: ImageMetadata = field(default_factory=ImageMetadata)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.pixels.shape[-1], self.pixels.shape[-2]


def source_of(image: Image) -> SourceFile:
    """Return the file an image is from, or, if it is from none, the hash of its values."""
    if image.metadata.origin is not None:
        return image.metadata.origin
    tensors = [image.pixels]
    if image.metadata.alpha is not None:
        tensors.append(image.metadata.alpha)
    return SourceFile(None, pixel_hash(tensors, str(tuple(image.pixels.shape))))


def pixel_hash(tensors: Iterable[Tensor], prefix: str = "") -> str:
    """Return the SHA-256 of the values of tensors, in hexadecimal digits.

    Args:
        tensors: of any shape, on any device; taken one at a time. Only their values count.
        prefix: text that is hashed first, such as the shape.

    Example:
        >>> import torch
        >>> pixel_hash([torch.zeros(3, 2, 2)])[:8]
        '17b0761f'
    """
    digest = hashlib.sha256(prefix.encode())
    for tensor in tensors:
        digest.update(tensor.detach().cpu().contiguous().numpy().data)
    return digest.hexdigest()
