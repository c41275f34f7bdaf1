"""What a file says about its picture before a pixel is decoded."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from typing import Any

import tifffile
from PIL import AvifImagePlugin, Image, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

from impasto.images import exif as exif_block
from impasto.images.formats import (
    MAX_PIXELS,
    chunks,
    describe_unknown_format,
    only_chunks,
    size_from_header,
)
from impasto.images.formats import detect_format as recognize
from impasto.images.quiet import suppress_decoder_warnings
from impasto.images.xmp import MAX_BYTES

_MAX_SAMPLES = 8
_TEXT = frozenset({b"tEXt", b"zTXt", b"iTXt"})
_NAMED_SAMPLES = {0: "L", 1: "L", 2: "RGB", 3: "P", 5: "CMYK", 6: "YCbCr", 8: "LAB"}


class Unreadable(Exception):
    """Why a file cannot be read, in words that end a sentence; never leaves the picture room."""


@dataclass(frozen=True, eq=False)
class Header:
    """The facts in front of a picture's pixels.

    Attributes:
        format: JPEG, PNG, WEBP, TIFF or AVIF; whatever Pillow says for an image already open.
        size: (width, height) as stored, before the orientation is applied.
        mode: the channels in Pillow's words, such as `RGBA` or `CMYK`.
        bits: bits a channel: 1 to 16, or 32 for floating point.
        alpha: whether there is an opacity channel or a transparent color.
        frames: how many frames or pages there are; None where nobody has counted them yet.
        image: Pillow's image, not yet decoded; None for TIFF.
        page: tifffile's first page; None for the others.
        exif: the EXIF directory; a TIFF's own.
        orientation: EXIF orientation of the stored pixels, 1 to 8.
        dpi: dots an inch; None where the file does not say.
        icc: the color profile; None without one.
        xmp: the XMP packet; None without one.
    """

    format: str | None
    size: tuple[int, int]
    mode: str
    bits: int
    alpha: bool
    frames: int | None
    image: Image.Image | None
    page: Any
    exif: Image.Exif
    orientation: int
    dpi: tuple[float, float] | None
    icc: bytes | None
    xmp: bytes | str | None


def read_header(data: bytes, max_pixels: int = MAX_PIXELS) -> Header:
    """Read what stands before the pixels of a file.

    Args:
        data: the whole file.
        max_pixels: pixels at most; more is refused before any decoder sees the file.

    Raises:
        Unreadable: another format, a broken header, or too many pixels.
    """
    if not data:
        raise Unreadable("the file is empty")
    format = recognize(data)
    if format is None:
        raise Unreadable(f"it is {describe_unknown_format(data)}")
    if claimed := size_from_header(data, format):
        check_pixels(claimed, max_pixels)
    try:
        with suppress_decoder_warnings():
            header = _tiff_header(data) if format == "TIFF" else _opened(data, format)
    except (Unreadable, MemoryError):
        raise
    # Decoders raise whatever a broken file makes them raise.
    except Exception as error:
        name = {"WEBP": "WebP"}.get(format, format)
        raise Unreadable(f"its {name} header is broken or cut short") from error
    check_pixels(header.size, max_pixels)
    return header


def check_pixels(size: tuple[int, int], max_pixels: int) -> None:
    """Refuse a picture without pixels or with too many of them."""
    width, height = size
    if width * height > max_pixels:
        raise Unreadable(
            f"it claims {width:,} × {height:,} pixels, more than the limit of {max_pixels:,}"
        )
    if min(width, height) < 1:
        raise Unreadable(f"it claims {width} × {height} pixels")


def image_header(image: Image.Image) -> Header:
    """The header of an image that Pillow has open."""
    directory = exif_block.open_exif(image)
    bits = {"1": 1, "F": 32}.get(image.mode, 16 if image.mode.startswith("I") else 8)
    xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    return Header(
        format="JPEG" if image.format == "MPO" else image.format,
        size=image.size,
        mode=image.mode,
        bits=bits,
        alpha=image.has_transparency_data or image.mode in ("PA", "La", "RGBa"),
        frames=getattr(image, "n_frames", 1),
        image=image,
        page=None,
        exif=directory,
        orientation=exif_block.orientation(directory),
        dpi=_stated_dpi(image) or exif_block.resolution(directory),
        icc=image.info.get("icc_profile") or None,
        xmp=xmp,
    )


def _opened(data: bytes, format: str) -> Header:
    """The header of a JPEG, PNG, WebP or AVIF."""
    # Pillow's own classes rather than Image.open: that one measures against a limit of its own,
    # which is a global of the process, and tries formats nobody asked for.
    if format == "JPEG":
        header = image_header(JpegImagePlugin.jpeg_factory(io.BytesIO(data)))
    elif format == "PNG":
        header = image_header(_png(data))
        return replace(header, bits=data[24], mode=_png_mode(data, header.mode))
    elif format == "WEBP":
        header = image_header(WebPImagePlugin.WebPImageFile(io.BytesIO(data)))
    else:
        header = image_header(AvifImagePlugin.AvifImageFile(io.BytesIO(data)))
        return replace(header, bits=_avif_bits(data))
    return header


def _png(data: bytes) -> PngImagePlugin.PngImageFile:
    """Pillow's image of a PNG, without its texts where they are too long to be worth reading."""
    try:
        return PngImagePlugin.PngImageFile(io.BytesIO(data))
    except ValueError:
        rest = frozenset(kind for kind, _, _ in chunks(data)) - _TEXT
        return PngImagePlugin.PngImageFile(io.BytesIO(only_chunks(data, rest)))


def _png_mode(data: bytes, mode: str) -> str:
    """The channels of a PNG, which Pillow names differently at 16 bits."""
    return {0: "L", 2: "RGB", 4: "LA", 6: "RGBA"}.get(data[25], mode) if data[24] == 16 else mode


def _avif_bits(data: bytes) -> int:
    """Bits a channel of an AVIF, from the first configuration of its codec."""
    place = data.find(b"av1C")
    flags = data[place + 6] if 0 <= place < len(data) - 6 else 0
    return (12 if flags & 0x20 else 10) if flags & 0x40 else 8


def _stated_dpi(image: Image.Image) -> tuple[float, float] | None:
    """The resolution outside EXIF; Pillow invents one for JPEGs that state none."""
    if image.format in ("JPEG", "MPO") and image.info.get("jfif_unit") not in (1, 2):
        return None
    pair = image.info.get("dpi")
    return exif_block.dots_per_inch(*pair) if isinstance(pair, tuple) and len(pair) == 2 else None


def _tiff_header(data: bytes) -> Header:
    """The header of a TIFF's first page."""
    page = tifffile.TiffFile(io.BytesIO(data)).pages[0]
    if page.samplesperpixel > _MAX_SAMPLES:
        raise Unreadable(f"it has {page.samplesperpixel} channels, more than {_MAX_SAMPLES}")
    if page.imagedepth != 1:
        raise Unreadable("it is a volume, not a picture")
    kind, photometric = page.sampleformat, int(page.photometric)
    alpha = any(int(extra) in (1, 2) for extra in page.extrasamples)
    bits = page.bitspersample
    tags = {tag.code: tag.value for tag in page.tags if tag.code in (274, 282, 283, 296, 700)}
    for code in (282, 283):
        if isinstance(pair := tags.get(code), tuple) and len(pair) == 2 and pair[1]:
            tags[code] = pair[0] / pair[1]
    xmp = tags.get(700)
    return Header(
        format="TIFF",
        size=(int(page.imagewidth), int(page.imagelength)),
        mode=_NAMED_SAMPLES.get(photometric, "?") + ("A" if alpha else ""),
        bits=32 if kind == 3 else int(max(bits) if isinstance(bits, tuple) else bits),
        alpha=alpha,
        frames=None,
        image=None,
        page=page,
        exif=exif_block.load_exif(data),
        orientation=exif_block.orientation(tags),
        dpi=exif_block.resolution(tags),
        icc=bytes(page.iccprofile) if page.iccprofile else None,
        xmp=xmp if isinstance(xmp, bytes | str) and len(xmp) <= MAX_BYTES else None,
    )
