"""Write images: encode them in each format with their metadata, and save whole or not at all."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import PIL.Image
import torch
from PIL.TiffImagePlugin import ImageFileDirectory_v2
from torch import Tensor

from impasto.errors import ImageError
from impasto.files import check_space, check_writable, write_atomically
from impasto.images import exif as exif_block
from impasto.images.formats import ENDINGS, jpeg_segments, png_chunk
from impasto.images.icc import gray_profile, srgb_profile
from impasto.images.image import ImageMetadata
from impasto.images.iptc import RAW_PROFILE, iptc_without_location, jpeg_iptc, png_iptc
from impasto.images.tiff_tags import (
    IPTC,
    PortableTag,
    add_tags,
    fit_georeference,
    is_georeferenced,
    without_georeference,
)
from impasto.images.xmp import to_xmp, without_location

_DEPTHS = {"PNG": (8, 16), "TIFF": (8, 16, 32)}
# Pixels of a side at most: of the format, or of the libraries that read it everywhere.
MAX_SIDES = {"PNG": 1_000_000, "JPEG": 65_500, "WEBP": 16_383, "AVIF": 32_768}
_MAX_PIXELS = {"AVIF": 16_384**2}
_PIXELS_PER_BYTE = 100  # of a picture that compresses better than any painting
# Formats with no place for the resolution but EXIF.
_DPI_IN_EXIF = ("WEBP", "AVIF")
_IPTC_FORMATS = ("JPEG", "PNG", "TIFF")
_TYPES = {8: np.uint8, 16: np.uint16}
# The bytes of a JPEG's marker segment, less its length and its longest signature.
_SEGMENT = 65_533 - 32
_STRIP_BYTES = 1 << 18  # of a TIFF, before compression
_UNSIGNED, _FLOAT = 1, 3  # TIFF's sample formats


def check_output(path: str | Path, *, overwrite: bool = False, inputs: Iterable[Any] = ()) -> Path:
    """Make sure that an image can be written, before any work is done.

    Args:
        path: where to write.
        overwrite: allow a file that exists to be replaced.
        inputs: images read by the same run; paths among them may not be written to, not even
            with `overwrite`. Anything else among them is ignored.

    Returns:
        The path.

    Raises:
        ImageError: the folder is missing or cannot be written, or the file is an input, or
            exists.
        ValueError: the ending is not that of a format that impasto writes.

    Example:
        >>> check_output("painting.gif")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ValueError: `output` must end in .png, .jpg, ..., got painting.gif; choose one of them
    """
    if not os.path.isdir(Path(path)):  # `check_writable` refuses folders
        output_format(Path(path).suffix, "output", str(path))
    return check_writable(path, overwrite=overwrite, inputs=inputs)


def check_output_size(path: str | Path, size: tuple[int, int]) -> None:
    """Make sure that an image of a size can be written, before any work is done.

    Args:
        path: where to write; its ending chooses the format.
        size: (width, height) of the image in pixels.

    Raises:
        ImageError: the image is larger than the format allows, or the disk is full.
        ValueError: the ending is not that of a format that impasto writes.

    Example:
        >>> check_output_size("panorama.webp", (20_000, 512))
        Traceback (most recent call last):
        impasto.errors.ImageError: `output` must have sides of at most 16,383 pixels as WEBP, ...
    """
    _check_size(output_format(Path(path).suffix, "output", str(path)), size)
    check_space(path, size[0] * size[1] // _PIXELS_PER_BYTE)


def output_format(ending: str, name: str, value: str) -> str:
    """Return the format of an ending such as `.png`; errors quote the argument's name and value."""
    if ending.lower() not in ENDINGS:
        raise ValueError(
            f"`{name}` must end in {', '.join(ENDINGS)}, got {value or 'nothing'}; "
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
    strip: bool = False,
) -> Path:
    """Write an image to a file, whole or not at all.

    Args:
        pixels: (3, H, W), or (1, H, W) for gray, sRGB; clamped to [0, 1].
        path: where to write; its ending chooses the format (.png .jpg .jpeg .webp .tif .tiff
            .avif).
        metadata: opacity, EXIF, XMP, IPTC, tags, dpi and depth to write with the pixels, as far as
            the format holds them; `metadata_left_out` says what it does not.
        recipe: JSON of the recipe to store inside.
        overwrite: replace a file that exists.
        inputs: images this one was made from; a file among them is never replaced.
        bits: bits per channel: 8, 16 (PNG, TIFF) or 32 (floating point TIFF); None takes the
            source's, or the most that the format has.
        quality: 1 to 100, of JPEG, WebP and AVIF; larger keeps more and makes larger files. WebP
            is lossless at 100.
        strip_gps: leave out where the photograph was taken.
        strip: write nothing of the metadata but opacity; the recipe stays.

    Returns:
        The path written.

    Raises:
        ImageError: the path cannot be written, or exists and `overwrite` is False.
        ValueError: the ending is not that of a format that impasto writes, or an argument is out
            of range.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save(torch.rand(3, 4, 6), Path(folder) / "new.png").name
        'new.png'
    """
    target = check_output(path, overwrite=overwrite, inputs=inputs)
    options = {"bits": bits, "quality": quality, "strip_gps": strip_gps, "strip": strip}
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
    strip: bool = False,
) -> bytes:
    """Encode an image as the bytes of a file; the same image gives the same bytes each time.

    Args:
        pixels: (3, H, W), or (1, H, W) for gray, sRGB; clamped to [0, 1].
        format: png, jpeg, webp, tiff or avif, or an ending such as .jpg.
        metadata: as for `save`; JPEG has no opacity, so the image is composited on white.
        recipe: JSON of the recipe to store inside.
        bits: as for `save`.
        quality: as for `save`.
        strip_gps: as for `save`.
        strip: as for `save`.

    Returns:
        The file's bytes. Samples are rounded to the nearest code.

    Raises:
        ImageError: the image is larger than the format allows.
        ValueError: an argument is out of range.

    Example:
        >>> encode(torch.zeros(3, 1, 1), "png")[:4]
        b'\\x89PNG'
    """
    kind = output_format(format if format.startswith(".") else f".{format}", "format", format)
    metadata = metadata or ImageMetadata()
    _check_pixels(pixels, metadata.alpha, quality)
    size = (pixels.shape[-1], pixels.shape[-2])
    _check_size(kind, size)
    samples = _quantize(_channels(pixels, metadata.alpha, kind), _depth(bits, metadata.bits, kind))
    contents, _ = _file_metadata(
        metadata, kind, size, recipe=recipe, strip_gps=strip_gps, strip=strip
    )
    icc = gray_profile() if samples.shape[-1] < 3 else srgb_profile()
    return _ENCODERS[kind](samples, replace(contents, icc=icc, quality=quality))


def metadata_left_out(
    metadata: ImageMetadata,
    format: str,
    size: tuple[int, int],
    *,
    recipe: str | None = None,
    strip_gps: bool = False,
    strip: bool = False,
) -> tuple[str, ...]:
    """Return what `encode` leaves out of a source's metadata because the format cannot hold it.

    Args:
        metadata: as for `encode`.
        format: as for `encode`.
        size: (width, height) of the image.
        recipe: as for `encode`.
        strip_gps: as for `encode`.
        strip: as for `encode`; with it, nothing else is left out.

    Example:
        >>> metadata_left_out(ImageMetadata(iptc=b"records"), ".webp", (8, 8))
        ('its IPTC records',)
    """
    kind = output_format(format if format.startswith(".") else f".{format}", "format", format)
    return _file_metadata(metadata, kind, size, recipe=recipe, strip_gps=strip_gps, strip=strip)[1]


def left_out_notes(
    metadata: ImageMetadata, ending: str, size: tuple[int, int], **options: Any
) -> tuple[str, ...]:
    """Return notes on what of a source's metadata an output does not hold.

    Args:
        metadata: of the source.
        ending: of the output, such as `.png`.
        size: (width, height) of the image.
        options: of `metadata_left_out`.

    Returns:
        Ends of sentences that begin with the output's name.
    """
    parts = metadata_left_out(metadata, ending, size, **options)
    return tuple(f"left out, as {ending} does not hold it: {part}" for part in parts)


def _file_metadata(
    metadata: ImageMetadata,
    kind: str,
    size: tuple[int, int],
    *,
    recipe: str | None,
    strip_gps: bool,
    strip: bool,
) -> tuple[_FileMetadata, tuple[str, ...]]:
    """Return what is written besides the samples, and what of the source the format cannot hold."""
    if strip:
        metadata = ImageMetadata()
    left_out = []
    packet, iptc, tags = metadata.xmp, metadata.iptc, metadata.tags
    if strip_gps:
        packet, tags = without_location(packet), without_georeference(tags)
        iptc = iptc and iptc_without_location(iptc)
    dpi = metadata.dpi if kind in _DPI_IN_EXIF else None
    exif = exif_block.update_for_output(metadata.exif, size, dpi=dpi, strip_gps=strip_gps)
    xmp = to_xmp(recipe or None, packet)
    if kind == "JPEG":
        if packet and len(xmp) > _SEGMENT:
            left_out.append("its XMP, which is too long")
            xmp = to_xmp(recipe or None)
        if xmp and len(xmp) > _SEGMENT:
            xmp = None
        if len(exif) and len(exif.tobytes()) > _SEGMENT:
            left_out.append("its EXIF, which is too long")
            exif = PIL.Image.Exif()
        if iptc and len(iptc) > _SEGMENT:
            left_out.append("its IPTC records, which are too long")
            iptc = None
    if iptc and kind not in _IPTC_FORMATS:
        left_out.append("its IPTC records")
    if tags and kind != "TIFF":
        named = "its georeference" if is_georeferenced(tags) else "its TIFF tags"
        others = " and other TIFF tags" if len(without_georeference(tags)) < len(tags) else ""
        left_out.append(named + (others if without_georeference(tags) else ""))
    elif tags and metadata.size:
        tags = fit_georeference(tags, (size[0] / metadata.size[0], size[1] / metadata.size[1]))
    contents = _FileMetadata(b"", exif, metadata.dpi, xmp, iptc, tags, 95)
    return contents, tuple(left_out)


def _check_size(kind: str, size: tuple[int, int]) -> None:
    """Refuse an image that is larger than its format allows."""
    width, height = size
    way_out = "save it as TIFF" if kind == "PNG" else "save it as PNG or TIFF"
    limit = MAX_SIDES.get(kind, 2**31 - 1)
    if max(size) > limit:
        raise ImageError(
            f"`output` must have sides of at most {limit:,} pixels as {kind}, got "
            f"{width:,} × {height:,}; {way_out}"
        )
    limit = _MAX_PIXELS.get(kind, width * height)
    if width * height > limit:
        raise ImageError(
            f"`output` must have at most {limit:,} pixels as {kind}, got {width:,} × "
            f"{height:,}; {way_out}"
        )


def _check_pixels(pixels: Tensor, alpha: Tensor | None, quality: int) -> None:
    """Refuse pixels and options that cannot be written."""
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
    """Return the bits per channel to write: `bits`, or the source's as far as the format goes."""
    depths = _DEPTHS.get(kind, (8,))
    if bits is None:
        return max(depth for depth in depths if depth <= max(source, 8))
    if bits not in depths:
        raise ValueError(
            f"`bits` must be {' or '.join(map(str, depths))} for {kind}, got {bits}; "
            "choose PNG for 16 and TIFF for 16 or 32"
        )
    return bits


def _channels(pixels: Tensor, alpha: Tensor | None, kind: str) -> np.ndarray:
    """Stack pixels and opacity as (H, W, C) float32 in [0, 1], with channels the format has."""
    pixels = pixels.detach().to("cpu", torch.float32).clamp(0, 1)
    if alpha is not None:
        alpha = alpha.detach().to("cpu", torch.float32).clamp(0, 1)[None]
        if kind == "JPEG":
            pixels, alpha = pixels * alpha + (1 - alpha), None
    # WebP has no gray, AVIF none with opacity.
    if kind == "WEBP" or (kind == "AVIF" and alpha is not None):
        pixels = pixels.expand(3, -1, -1)
    stacked = pixels if alpha is None else torch.cat([pixels, alpha])
    return stacked.permute(1, 2, 0).numpy()  # (C, H, W) -> (H, W, C)


def _quantize(channels: np.ndarray, bits: int) -> np.ndarray:
    """Round values in [0, 1] to the nearest code; 32 bits stay as they are."""
    if bits == 32:
        return np.ascontiguousarray(channels)
    return np.floor(channels * np.float32(2**bits - 1) + np.float32(0.5)).astype(_TYPES[bits])


@dataclass(frozen=True, eq=False)
class _FileMetadata:
    """Everything written into a file besides its samples.

    Attributes:
        icc: the samples' color profile.
        exif: the EXIF directory; empty for none.
        dpi: dots per inch; None to state none.
        xmp: the packet with the recipe and other programs' properties; None without one.
        iptc: the IPTC records; None without any.
        tags: other tags of a TIFF.
        quality: 1 to 100, larger keeps more and makes larger files; JPEG, WebP and AVIF only.
    """

    icc: bytes
    exif: PIL.Image.Exif
    dpi: tuple[float, float] | None
    xmp: bytes | None
    iptc: bytes | None
    tags: tuple[PortableTag, ...]
    quality: int


def _encode_png(samples: np.ndarray, metadata: _FileMetadata) -> bytes:
    """Encode a PNG; (H, W, 1 to 4) uint8 or uint16."""
    height, _, channels = samples.shape
    stored = np.ascontiguousarray(samples[..., 0] if channels == 1 else samples)
    # Room for rows that do not shrink; imagecodecs' own estimate is too small for narrow images.
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
    if metadata.iptc:
        text = zlib.compress(png_iptc(metadata.iptc), 9)
        extra.append(png_chunk(b"zTXt", RAW_PROFILE.encode() + b"\0\0" + text))
    head = 8 + 12 + 13  # the signature and the first chunk
    return pixels[:head] + b"".join(extra) + pixels[head:]


def _encode_jpeg(samples: np.ndarray, metadata: _FileMetadata) -> bytes:
    """Encode a JPEG; (H, W, 1 or 3) uint8."""
    options = {"exif": metadata.exif.tobytes()} if len(metadata.exif) else {}
    if metadata.xmp:
        options["xmp"] = metadata.xmp
    if metadata.dpi:
        options["dpi"] = tuple(min(max(round(value), 1), 65535) for value in metadata.dpi)
    # Full color resolution: subsampling smears the edges of brush strokes.
    jpeg = _by_pillow(samples, "JPEG", metadata, subsampling=0, **options)
    if not metadata.iptc:
        return jpeg
    # Behind the first segment, which readers expect to be JFIF's.
    _, _, first = next(jpeg_segments(jpeg))
    content = jpeg_iptc(metadata.iptc)
    segment = b"\xff\xed" + struct.pack(">H", len(content) + 2) + content
    return jpeg[:first] + segment + jpeg[first:]


def _encode_webp(samples: np.ndarray, metadata: _FileMetadata) -> bytes:
    """Encode a WebP, lossless at quality 100; (H, W, 3 or 4) uint8."""
    options = {"xmp": metadata.xmp} if metadata.xmp else {}
    if len(metadata.exif):
        options["exif"] = metadata.exif.tobytes()
    # `exact` keeps the colors under transparent pixels.
    lossless = metadata.quality == 100
    return _by_pillow(samples, "WEBP", metadata, lossless=lossless, exact=True, **options)


def _encode_avif(samples: np.ndarray, metadata: _FileMetadata) -> bytes:
    """Encode an AVIF; (H, W, 1, 3 or 4) uint8."""
    options = {"xmp": metadata.xmp} if metadata.xmp else {}
    if len(metadata.exif):
        options["exif"] = metadata.exif.tobytes()
    if samples.shape[-1] > 1:
        options["subsampling"] = "4:4:4"
    # One thread: the number of threads may change the bytes.
    return _by_pillow(samples, "AVIF", metadata, max_threads=1, autotiling=False, **options)


def _encode_tiff(samples: np.ndarray, metadata: _FileMetadata) -> bytes:
    """Encode a TIFF, deflated; (H, W, 1 to 4) uint8, uint16 or float32."""
    height, width, channels = samples.shape
    kind = samples.dtype.kind
    rows = max(1, _STRIP_BYTES // (samples.itemsize * width * channels))
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
    # tifffile would write the same pixels but other tags: it has no place for the directories of
    # EXIF and GPS, always states a resolution, and leaves out tags with default values.
    directory = ImageFileDirectory_v2()
    if metadata.xmp:
        directory.tagtype[700] = 1
        tags[700] = metadata.xmp
    if metadata.iptc:
        directory.tagtype[IPTC] = 7
        tags[IPTC] = metadata.iptc
    # An EXIF block is a TIFF's directory: its tags belong among the TIFF's own.
    for tag, value in {**dict(metadata.exif), **tags}.items():
        directory[tag] = value
    add_tags(directory, metadata.tags)
    file = io.BytesIO()
    directory.save(file)  # the strips' offsets count from where it ends
    return file.getvalue() + b"".join(strips)


def _strip(rows: np.ndarray) -> bytes:
    """Deflate a few rows of a TIFF; of integers, the differences of neighbors."""
    if rows.dtype.kind != "f":
        rows = np.diff(rows, axis=1, prepend=rows.dtype.type(0))  # wraps around, as TIFF defines
    return zlib.compress(rows.astype(rows.dtype.newbyteorder("<")).tobytes(), 6)


def _by_pillow(
    samples: np.ndarray, format: str, metadata: _FileMetadata, **options: object
) -> bytes:
    """Encode a JPEG, WebP or AVIF."""
    squeezed = samples[..., 0] if samples.shape[-1] == 1 else samples
    file = io.BytesIO()
    PIL.Image.fromarray(np.ascontiguousarray(squeezed)).save(
        file, format, quality=metadata.quality, icc_profile=metadata.icc, **options
    )
    return file.getvalue()


_ENCODERS = {
    "PNG": _encode_png,
    "JPEG": _encode_jpeg,
    "WEBP": _encode_webp,
    "TIFF": _encode_tiff,
    "AVIF": _encode_avif,
}
