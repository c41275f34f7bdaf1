"""The two records a picture travels in: its pixels, and what its file carried besides."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class SourceFile:
    """Which file a picture came from, without saying where it lies.

    Attributes:
        name: the file's name without its folder; None where it had none.
        sha256: hash of the file's bytes, or of the pixels of arrays and tensors.
    """

    name: str | None
    sha256: str


@dataclass(frozen=True, eq=False)
class ImageMetadata:
    """What a file carries besides pixels, kept beside them and put back on saving.

    Attributes:
        alpha: opacity, (H, W) float32 in [0, 1]; None where the picture is opaque.
        bits: bits a channel the source held: 8, 16 or 32 (float).
        exif: EXIF block with the orientation already applied and removed; None without one.
        dpi: (horizontal, vertical) dots an inch; None where the file does not say.
        format: the source's format, such as `PNG` or `JPEG`; None for arrays and tensors.
        recipe: JSON of the impasto recipe found inside the file; None without one.
        origin: the file it is from; None for arrays and tensors.
    """

    alpha: Tensor | None = None
    bits: int = 8
    exif: bytes | None = None
    dpi: tuple[float, float] | None = None
    format: str | None = None
    recipe: str | None = None
    origin: SourceFile | None = None


def source_of(picture: Image) -> SourceFile:
    """The file a picture is from, or, where it is from none, the hash of its values."""
    if picture.metadata.origin is not None:
        return picture.metadata.origin
    found = hashlib.sha256(str(tuple(picture.pixels.shape)).encode())
    for part in (picture.pixels, picture.metadata.alpha):
        if part is not None:
            found.update(part.detach().cpu().contiguous().numpy().data)
    return SourceFile(None, found.hexdigest())


@dataclass(frozen=True, eq=False)
class Image:
    """A picture in memory.

    Attributes:
        pixels: (C, H, W) float32 in [0, 1], sRGB, RGB order; C is 3, or 1 for a grey picture.
        metadata: what its file carried besides.
    """

    pixels: Tensor
    metadata: ImageMetadata = field(default_factory=ImageMetadata)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.pixels.shape[-1], self.pixels.shape[-2]
