"""A picture's quantized samples to the bytes of each format, its metadata with them."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass

import imagecodecs
import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from impasto.images.decode import png_chunk

# What a JPEG's marker segment holds, less its length and its longest signature.
_SEGMENT = 65_533 - 32
_ROWS_BYTES = 1 << 18
_UNSIGNED, _FLOAT = 1, 3


@dataclass(frozen=True, eq=False)
class Metadata:
    """What is written beside the samples.

    Attributes:
        icc: the color profile the samples are in.
        exif: the EXIF directory; empty for none.
        dpi: dots an inch; None to state none.
        xmp: the packet with the recipe; None without one.
        quality: 1 to 100, larger keeps more and makes larger files; JPEG, WebP and AVIF only.
    """

    icc: bytes
    exif: Image.Exif
    dpi: tuple[float, float] | None
    xmp: bytes | None
    quality: int


def png(samples: np.ndarray, metadata: Metadata) -> bytes:
    """A PNG of 8 or 16 bits a channel; (H, W, 1 to 4) uint8 or uint16."""
    height, _, channels = samples.shape
    stored = np.ascontiguousarray(samples[..., 0] if channels == 1 else samples)
    # Room for rows that do not shrink; imagecodecs' own guess falls short on narrow pictures.
    room = 2 * (stored.nbytes + height) + 4096
    pixels = bytes(imagecodecs.png_encode(stored, out=room))
    extra = [png_chunk(b"iCCP", b"sRGB\0\0" + zlib.compress(metadata.icc, 9))]
    if metadata.dpi:
        per_meter = [min(round(value / 0.0254), 2**31 - 1) for value in metadata.dpi]
        extra.append(png_chunk(b"pHYs", struct.pack(">IIB", *per_meter, 1)))
    if len(metadata.exif):
        extra.append(png_chunk(b"eXIf", metadata.exif.tobytes()[6:]))
    if metadata.xmp:
        extra.append(png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + metadata.xmp))
    head = 8 + 12 + 13  # the signature and the first chunk
    return pixels[:head] + b"".join(extra) + pixels[head:]


def jpeg(samples: np.ndarray, metadata: Metadata) -> bytes:
    """A JPEG; (H, W, 1 or 3) uint8. Metadata that its 64 KB segments cannot hold is left out."""
    block = metadata.exif.tobytes() if len(metadata.exif) else b""
    options = {"exif": block} if 0 < len(block) <= _SEGMENT else {}
    if metadata.xmp and len(metadata.xmp) <= _SEGMENT:
        options["xmp"] = metadata.xmp
    if metadata.dpi:
        options["dpi"] = tuple(min(max(round(value), 1), 65535) for value in metadata.dpi)
    # Full color resolution: halved colors smear the edges of brush strokes.
    return _by_pillow(samples, "JPEG", metadata, subsampling=0, **options)


def webp(samples: np.ndarray, metadata: Metadata) -> bytes:
    """A WebP, lossless at quality 100; (H, W, 3 or 4) uint8."""
    options = {"xmp": metadata.xmp} if metadata.xmp else {}
    if len(metadata.exif):
        options["exif"] = metadata.exif.tobytes()
    # Exact: colors under transparent pixels stay as they are.
    lossless = metadata.quality == 100
    return _by_pillow(samples, "WEBP", metadata, lossless=lossless, exact=True, **options)


def avif(samples: np.ndarray, metadata: Metadata) -> bytes:
    """An AVIF of 8 bits a channel; (H, W, 1, 3 or 4) uint8."""
    options = {"xmp": metadata.xmp} if metadata.xmp else {}
    if len(metadata.exif):
        options["exif"] = metadata.exif.tobytes()
    if samples.shape[-1] > 1:
        options["subsampling"] = "4:4:4"
    # One thread: the number of threads may change the bytes.
    return _by_pillow(samples, "AVIF", metadata, max_threads=1, autotiling=False, **options)


def tiff(samples: np.ndarray, metadata: Metadata) -> bytes:
    """A TIFF, deflated; (H, W, 1 to 4) uint8, uint16 or float32."""
    height, width, channels = samples.shape
    kind = samples.dtype.kind
    rows = max(1, _ROWS_BYTES // (samples.itemsize * width * channels))
    strips = [_strip(samples[top : top + rows]) for top in range(0, height, rows)]
    lengths = [len(strip) for strip in strips]
    tags = {
        256: width,
        257: height,
        258: (samples.itemsize * 8,) * channels,
        259: 8,  # deflate
        262: 2 if channels >= 3 else 1,  # RGB or black is zero
        273: tuple(sum(lengths[:index]) for index in range(len(strips))),
        277: channels,
        278: rows,
        279: tuple(lengths),
        284: 1,  # channels side by side
        317: 1 if kind == "f" else 2,  # differences of neighbors
        339: (_FLOAT if kind == "f" else _UNSIGNED,) * channels,
        34675: metadata.icc,
    }
    if channels in (2, 4):
        tags[338] = 2  # opacity, not multiplied in
    if metadata.dpi:
        tags |= {282: metadata.dpi[0], 283: metadata.dpi[1], 296: 2}
    directory = ImageFileDirectory_v2()
    if metadata.xmp:
        directory.tagtype[700] = 1
        tags[700] = metadata.xmp
    # An EXIF block is a TIFF's directory: its tags belong among the TIFF's own.
    for tag, value in {**dict(metadata.exif), **tags}.items():
        directory[tag] = value
    return directory_bytes(directory) + b"".join(strips)


def directory_bytes(directory: ImageFileDirectory_v2) -> bytes:
    """A TIFF up to its strips, whose offsets count from where it ends."""
    file = io.BytesIO()
    directory.save(file)
    return file.getvalue()


def _strip(rows: np.ndarray) -> bytes:
    """A few rows of a TIFF, as differences of neighbors where they are whole numbers, deflated."""
    if rows.dtype.kind != "f":
        rows = np.diff(rows, axis=1, prepend=rows.dtype.type(0))  # wraps around, as TIFF has it
    return zlib.compress(rows.astype(rows.dtype.newbyteorder("<")).tobytes(), 6)


def _by_pillow(samples: np.ndarray, format: str, metadata: Metadata, **options: object) -> bytes:
    """A JPEG, WebP or AVIF."""
    squeezed = samples[..., 0] if samples.shape[-1] == 1 else samples
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(squeezed)).save(
        file, format, quality=metadata.quality, icc_profile=metadata.icc, **options
    )
    return file.getvalue()
