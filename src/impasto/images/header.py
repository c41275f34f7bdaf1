"""A file's header: format, size, depth and metadata, read before a pixel is decoded."""

from __future__ import annotations

import contextlib
import io
import logging
import math
import struct
from dataclasses import dataclass, replace
from itertools import islice
from operator import gt
from typing import Any

import tifffile
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    WebPImagePlugin,
)

from impasto.images import exif as exif_block
from impasto.images.color_space import (
    ColorSpace,
    color_space_of_avif,
    color_space_of_bmp,
    color_space_of_info,
    color_space_of_jxl,
    color_space_of_png,
    color_space_of_tiff,
)
from impasto.images.formats import (
    MAX_PIXELS,
    describe_unknown_format,
    detect_format,
    jpeg_segments,
    png_chunks,
    size_from_header,
    webp_frame_size,
    webp_size,
    without_chunks,
)
from impasto.images.iptc import iptc_of_info, iptc_of_resources
from impasto.images.isobmff import (
    AvifImage,
    count_frames,
    read_avif,
    split_avif_exif,
    still_avif,
)
from impasto.images.jxl import read_jxl
from impasto.images.pnm import pnm_header
from impasto.images.tiff_layout import picture_page, tiff_channels, whole_pages
from impasto.images.tiff_tags import IPTC, PHOTOSHOP, PortableTag, portable_tags, read_tag
from impasto.images.unreadable import Unreadable, decoding, refusing

# Without a handler of their own, what these libraries log would reach the user's terminal.
for _library in ("tifffile", "PIL", "imagecodecs"):
    logging.getLogger(_library).addHandler(logging.NullHandler())

_MAX_PAGES = 5000
# Of a TIFF: orientation, resolution, XMP, and what it states of its colors.
_TIFF_TAGS = (274, 282, 283, 296, 700, 301, 318, 319)
# Times the pixels of a picture, if it is not small, that its parts may have together, or it those
# of its first frame.
_SPARE, _SMALL = 4, 1 << 22
_TEXT = (b"tEXt", b"zTXt", b"iTXt")
_BMP_WITH_COLORS = 108  # bytes of the first second header of a BMP that states colors
_APNG = (b"acTL", b"fcTL", b"fdAT")
_NAMED_SAMPLES = {0: "L", 1: "L", 2: "RGB", 3: "P", 5: "CMYK", 6: "YCbCr", 8: "LAB"}
# Of the index of a JPEG with more pictures behind the first: how many, and 16 bytes for each.
_READ_JPEGS = (0xC0, 0xC1, 0xC2, 0xC9, 0xCA)  # baseline, extended, progressive; arithmetic
_UNREAD_JPEGS = {0xC3: "a lossless JPEG", 0xCB: "a lossless JPEG", 0xF7: "a JPEG-LS"}
_UNREAD_JPEGS |= dict.fromkeys(
    (*range(0xC5, 0xC8), *range(0xCD, 0xD0), 0xDE), "a hierarchical JPEG"
)
_MPF_COUNT, _MPF_ENTRIES = 0xB001, 0xB002


@dataclass(frozen=True, eq=False)
class Header:
    """Everything that stands in front of the pixels of a file.

    Attributes:
        format: JPEG, PNG, WEBP, TIFF, AVIF, JXL, GIF, BMP or PPM; whatever Pillow says for an image
            already open.
        stored_size: (width, height) as stored, before the orientation is applied.
        mode: the channels in Pillow's words, such as `RGBA` or `CMYK`.
        bits: bits per channel: 1 to 16, or 32 for floating point.
        alpha: True if there is an opacity channel or a transparent color.
        frames: number of frames or pages; None if they are not counted yet.
        image: Pillow's image, not yet decoded; None for TIFF, JXL and PPM.
        page: tifffile's page of the image; None for the others.
        exif: the EXIF directory; a TIFF's own.
        orientation: EXIF orientation of the stored pixels, 1 to 8.
        dpi: dots per inch; None if the file does not say.
        icc: the color profile; None without one.
        xmp: the XMP packet; None without one.
        iptc: the IPTC records; None without any.
        tags: of a TIFF, those that another TIFF may have too.
        color_space: what the file states of its colors besides a profile; None for nothing.
        notes: what is left out of the picture, or taken for what without its file's word; each the
            end of a sentence that begins with the file's name.
    """

    format: str | None
    stored_size: tuple[int, int]
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
    iptc: bytes | None = None
    tags: tuple[PortableTag, ...] = ()
    color_space: ColorSpace | None = None
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels, upright."""
        width, height = self.stored_size
        return (height, width) if self.orientation >= 5 else (width, height)


def check_header(
    data: bytes, name: str, label: str, max_pixels: int = MAX_PIXELS, *, pages: bool = False
) -> Header:
    """Check a local file or an upload on its header alone.

    Args:
        data: the whole file.
        name: the argument's name in errors.
        label: the file's name in errors.
        max_pixels: pixels at most; more are refused before any decoder sees the file.
        pages: count the pixels of all pages of a TIFF instead of those of the first.

    Raises:
        ImageError: a format that impasto does not read, a broken header, or too many pixels.

    Example:
        >>> check_header(b"<svg/>", "content", "cat.png")
        Traceback (most recent call last):
        impasto.errors.ImageFileError: `content` must be a readable picture, got cat.png: ...
    """
    with refusing(name, label):
        header = read_header(data, max_pixels)
        if pages and header.format == "TIFF":
            _check_pages(data, max_pixels)
    return header


def read_header(data: bytes, max_pixels: int = MAX_PIXELS) -> Header:
    """Read what stands before the pixels of a file.

    Args:
        data: the whole file.
        max_pixels: pixels at most; more are refused before any decoder sees the file.

    Raises:
        Unreadable: another format, a broken header, or too many pixels.
    """
    if not data:
        raise Unreadable("the file is empty")
    format = detect_format(data)
    if format is None:
        raise Unreadable(f"it is {describe_unknown_format(data)}")
    if claimed := size_from_header(data, format):
        check_pixels(claimed, max_pixels)
    name = {"WEBP": "WebP"}.get(format, format)
    with decoding(f"its {name} header is broken or cut short"):
        header = _READERS[format](data)
    check_pixels(header.stored_size, max_pixels)
    if header.color_space is not None and header.color_space.hdr:
        raise Unreadable(
            f"its colors are HDR ({header.color_space.hdr}), which impasto does not read",
            "convert it to SDR",
        )
    return header


def check_pixels(size: tuple[int, int], max_pixels: int) -> None:
    """Refuse an image without pixels or with too many of them."""
    width, height = size
    if width * height > max_pixels:
        raise Unreadable(
            f"it claims {width:,} × {height:,} pixels, more than the limit of {max_pixels:,}"
        )
    if min(width, height) < 1:
        raise Unreadable(f"it claims {width} × {height} pixels")


def _check_pages(data: bytes, max_pixels: int) -> None:
    """Refuse a TIFF whose pages have too many pixels in total."""
    total = 0
    with (
        decoding("its TIFF pages are broken or cut short"),
        tifffile.TiffFile(io.BytesIO(data)) as file,
    ):
        for number, page in enumerate(file.pages, 1):
            total += page.imagewidth * page.imagelength
            if total > max_pixels:
                raise Unreadable(f"its pages claim more than the limit of {max_pixels:,} pixels")
            if number > _MAX_PAGES:
                raise Unreadable(f"it has more than {_MAX_PAGES:,} pages")


def image_header(image: Image.Image) -> Header:
    """Return the header of an image that Pillow has open."""
    directory = exif_block.open_exif(image)
    bits = {"1": 1, "F": 32}.get(image.mode, 16 if image.mode.startswith("I") else 8)
    # Pillow invents a resolution for JPEGs that state none.
    invented = image.format in ("JPEG", "MPO") and image.info.get("jfif_unit") not in (1, 2)
    stated = None if invented else image.info.get("dpi")
    dpi = exif_block.dots_per_inch(*stated) if _is_pair(stated) else None
    return Header(
        format="JPEG" if image.format == "MPO" else image.format,
        stored_size=image.size,
        mode=image.mode,
        bits=bits,
        alpha=image.has_transparency_data or image.mode in ("PA", "La", "RGBa"),
        frames=getattr(image, "n_frames", 1),
        image=image,
        page=None,
        exif=directory,
        orientation=exif_block.orientation_of(directory),
        dpi=dpi or exif_block.resolution(directory),
        icc=image.info.get("icc_profile") or None,
        xmp=image.info.get("xmp") or image.info.get("XML:com.adobe.xmp"),
        iptc=iptc_of_info(image.info),
        color_space=color_space_of_info(image.info) or exif_block.color_space_of_exif(directory),
    )


# Below, Pillow's own classes rather than Image.open: that one measures against a limit which is
# global to the process, and tries formats that nobody asked for. Pillow's Python warnings belong
# to the host program and may be errors there: what would cause one is cut out of the file before
# Pillow sees it.


def _jpeg_header(data: bytes) -> Header:
    """Read the header of a JPEG."""
    pixels, blocks, index, ultra_hdr, end = [data[:2]], [], b"", False, 2
    for kind, start, end in jpeg_segments(data):
        segment = data[start:end]
        _check_jpeg_process(kind, segment)
        if kind == 0xE1 and segment[4:10] == b"Exif\0\0":
            blocks.append(segment[10:])
        elif kind == 0xE2 and segment[4:8] == b"MPF\0":
            index = segment[8:]
        else:
            pixels.append(segment)
        ultra_hdr |= kind == 0xE1 and b' hdrgm:Version="' in segment
    pixels.append(data[end:])
    image = JpegImagePlugin.JpegImageFile(io.BytesIO(b"".join(pixels)))
    if exif := exif_block.repair_exif(b"".join(blocks)):
        image.info["exif"] = exif
    # The second picture of an Ultra HDR file is a map of brightness, not a frame.
    return replace(image_header(image), frames=1 if ultra_hdr else _frames_in_index(index))


def _check_jpeg_process(marker: int, segment: bytes) -> None:
    """Refuse a JPEG that is coded as no decoder here reads it, by its name."""
    name = _UNREAD_JPEGS.get(marker)
    if marker in _READ_JPEGS and len(segment) > 9:
        if segment[4] != 8:
            name = f"a JPEG with {segment[4]} bits a channel"
        elif segment[9] not in (1, 3, 4):
            name = f"a JPEG with {segment[9]} channels"
    if name:
        raise Unreadable(f"it is {name}", "save it as PNG, or as JPEG with 8 bits a channel")


def _frames_in_index(index: bytes) -> int:
    """Return how many pictures a JPEG's multi-picture index lists; 1 without a valid one."""
    order = ">" if index[:2] == b"MM" else "<"
    if len(index) < 8:
        return 1
    (start,) = struct.unpack_from(order + "I", index, 4)
    entries = exif_block.read_directory(index, order, start)
    _, _, count = entries.get(_MPF_COUNT, (0, 0, b""))
    _, _, listed = entries.get(_MPF_ENTRIES, (0, 0, b""))
    frames = int.from_bytes(count, "big" if order == ">" else "little")
    return frames if frames > 1 and len(listed) >= 16 * frames else 1


def _png_header(data: bytes) -> Header:
    """Read the header of a PNG, without its texts if they are too long to be worth reading."""
    frames = [
        int.from_bytes(data[start + 8 : start + 12], "big")
        for kind, start, _ in png_chunks(data)
        if kind == b"acTL"
    ]
    if len(frames) > 1 or any(not 0 < count <= 0x80000000 for count in frames):
        data = without_chunks(data, _APNG)
    try:
        image = PngImagePlugin.PngImageFile(io.BytesIO(data))
    except ValueError:
        image = PngImagePlugin.PngImageFile(io.BytesIO(without_chunks(data, _TEXT)))
    repair_png_exif(image)
    header = image_header(image)
    # Pillow names the channels differently at 16 bits.
    names = {0: "L", 2: "RGB", 4: "LA", 6: "RGBA"} if data[24] == 16 else {}
    return replace(
        header,
        bits=data[24],
        mode=names.get(data[25], header.mode),
        color_space=color_space_of_png(data) or header.color_space,
    )


def repair_png_exif(image: Image.Image) -> None:
    """Repair the EXIF of a PNG that impasto opened, before Pillow reads it.

    Called again once the pixels are decoded: a PNG may have its EXIF behind them.
    """
    if text := image.info.pop("Raw profile type exif", None):
        with contextlib.suppress(ValueError, AttributeError):
            image.info.setdefault("exif", bytes.fromhex("".join(text.split("\n")[3:])))
    if block := image.info.get("exif"):
        image.info["exif"] = b"Exif\0\0" + exif_block.repair_exif(block)


def _webp_header(data: bytes) -> Header:
    """Read the header of a WebP."""
    canvas, frame = webp_size(data), webp_frame_size(data)
    if canvas and frame and math.prod(canvas) > _SPARE * max(_SMALL, math.prod(frame)):
        raise Unreadable(
            f"its first frame is {frame[0]:,} × {frame[1]:,}, far smaller than the "
            f"{canvas[0]:,} × {canvas[1]:,} it claims"
        )
    image = WebPImagePlugin.WebPImageFile(io.BytesIO(data))
    if block := image.info.get("exif"):
        image.info["exif"] = exif_block.repair_exif(block)
    return image_header(image)


def _avif_header(data: bytes) -> Header:
    """Read the header of an AVIF; of an animation, that of the still picture inside."""
    still = _check_avif(data)
    pixels, block = split_avif_exif(still_avif(data))
    image = AvifImagePlugin.AvifImageFile(io.BytesIO(pixels))
    if block:
        # Pillow still turns the rotation that AVIF itself states into an EXIF block; that rotation
        # has precedence over the one in the file's EXIF.
        stated = exif_block.orientation_of(exif_block.open_exif(image))
        exif = exif_block.load_exif(block)
        image = AvifImagePlugin.AvifImageFile(io.BytesIO(pixels))
        image.info["exif"] = exif_block.repair_exif(block)
        if stated != exif.get(exif_block.ORIENTATION, 1):
            exif[exif_block.ORIENTATION] = stated
            image.info["exif"] = exif.tobytes()
    header = replace(image_header(image), bits=still.bits, frames=count_frames(data))
    return replace(header, color_space=color_space_of_avif(still.color) or header.color_space)


def _check_avif(data: bytes) -> AvifImage:
    """Return what an AVIF says of its image; refuse it if its coded stream contradicts that."""
    still = read_avif(data)
    if still is None and count_frames(data) > 1:
        raise Unreadable("it is an AVIF without a still picture", "save its first frame as one")
    if still is None or still.size is None:
        raise ValueError("an AVIF without a picture")
    if not still.streams or still.bits is None:
        raise Unreadable("its pixels are cut short or broken")
    for claimed, stream in still.streams:
        sizes = {size for size in stream.sizes if claimed is None or any(map(gt, size, claimed))}
        if sizes or stream.size != claimed:
            width, height = max(sizes, default=stream.size)
            raise Unreadable(
                f"its pixels are {width:,} × {height:,}, not the "
                f"{' × '.join(f'{side:,}' for side in claimed or still.size)} it claims"
            )
        if stream.bits != still.bits:
            raise Unreadable(f"its pixels have {stream.bits} bits, not the {still.bits} it claims")
    total = sum(math.prod(stream.size) for _, stream in still.streams)
    if total > _SPARE * max(_SMALL, math.prod(still.size)):
        raise Unreadable("its tiles are far larger than its picture")
    return still


def _tiff_header(data: bytes) -> Header:
    """Read the header of a TIFF: of the page that is the image."""
    file = tifffile.TiffFile(io.BytesIO(data))
    page = picture_page(file)
    channels, photometric = tiff_channels(page), int(page.photometric)
    alpha = channels.opacity is not None
    bits = page.bitspersample
    # What holds for the whole file may be said in its first directory alone.
    tags = {tag.code: tag.value for tag in file.pages[0].tags if tag.code in (274, 700)}
    tags |= {tag.code: tag.value for tag in page.tags if tag.code in _TIFF_TAGS}
    for code in (282, 283):
        if _is_pair(ratio := tags.get(code)) and ratio[1]:
            tags[code] = ratio[0] / ratio[1]
    xmp, exif = tags.get(700), exif_block.load_exif(data)
    iptc, resources = (page.tags.get(code) for code in (IPTC, PHOTOSHOP))
    icc = page.iccprofile or file.pages[0].iccprofile
    bits = 32 if page.sampleformat == 3 else int(max(bits) if isinstance(bits, tuple) else bits)
    mode = _NAMED_SAMPLES.get(photometric, "?") + ("A" if alpha else "")
    return Header(
        format="TIFF",
        stored_size=(int(page.imagewidth), int(page.imagelength)),
        mode=mode + (f"+{channels.unnamed}" if channels.unnamed > 0 else ""),
        bits=bits,
        alpha=alpha,
        frames=None,
        image=None,
        page=page,
        exif=exif,
        orientation=exif_block.orientation_of(tags),
        dpi=exif_block.resolution(tags),
        icc=bytes(icc) if icc else None,
        xmp=xmp if isinstance(xmp, bytes | str) else None,
        color_space=color_space_of_tiff(tags, bits, inverted=photometric == 0)
        or exif_block.color_space_of_exif(exif),
        iptc=(iptc and read_tag(file, iptc))
        or (resources and iptc_of_resources(read_tag(file, resources))),
        tags=portable_tags(file, page),
        notes=_tiff_notes(file, page),
    )


def _tiff_notes(file: tifffile.TiffFile, page: tifffile.TiffPage) -> tuple[str, ...]:
    """Say which pages are left out of the picture besides those that call themselves smaller."""
    if page is not (first := file.pages.first) and not first.is_reduced:
        return ("its first page taken for a preview of the larger one, and left out",)
    several = len(list(islice(whole_pages(file), 2))) > 1
    return (f"1 of its {len(file.pages)} pages taken, the others left out",) if several else ()


def _gif_header(data: bytes) -> Header:
    """Read the header of a GIF."""
    return image_header(GifImagePlugin.GifImageFile(io.BytesIO(data)))


def _bmp_header(data: bytes) -> Header:
    """Read the header of a BMP, with the profile or the primaries of its fifth version."""
    image = BmpImagePlugin.BmpImageFile(io.BytesIO(data))
    header = image_header(image)
    if int.from_bytes(data[14:18], "little") < _BMP_WITH_COLORS:
        return header
    kind, profile = data[70:74], None
    if kind == b"DEBM" and len(data) >= 138:  # MBED: a profile is embedded
        start, length = struct.unpack_from("<II", data, 126)
        profile = data[14 + start : 14 + start + length]
    space = color_space_of_bmp(data[74:122]) if kind == bytes(4) else None
    return replace(header, icc=profile or None, color_space=space)


def _pnm_header(data: bytes) -> Header:
    """Read the header of a PNM."""
    pnm = pnm_header(data)
    return Header(
        format="PPM",
        stored_size=(pnm.width, pnm.height),
        mode="L" if pnm.channels == 1 else "RGB",
        bits=max(1, pnm.maximum.bit_length()),
        alpha=False,
        frames=1,
        image=None,
        page=None,
        exif=Image.Exif(),
        orientation=1,
        dpi=None,
        icc=None,
        xmp=None,
    )


def _jxl_header(data: bytes) -> Header:
    """Read the header of a JPEG XL."""
    jxl = read_jxl(data)
    mode = {1: "L", 3: "RGB"}[jxl.channels] + ("A" if jxl.alpha else "")
    exif = exif_block.load_exif(jxl.exif)
    return Header(
        format="JXL",
        stored_size=jxl.size,
        mode=mode,
        bits=jxl.bits,
        alpha=jxl.alpha,
        frames=1,
        image=None,
        page=None,
        exif=exif,
        orientation=1,  # the decoder turns the picture
        dpi=exif_block.resolution(exif),
        icc=None,
        xmp=jxl.xmp,
        color_space=color_space_of_jxl(jxl.primaries, jxl.transfer, jxl.gamma or 0),
    )


def _is_pair(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 2


_READERS = {
    "JPEG": _jpeg_header,
    "PNG": _png_header,
    "WEBP": _webp_header,
    "AVIF": _avif_header,
    "TIFF": _tiff_header,
    "GIF": _gif_header,
    "BMP": _bmp_header,
    "PPM": _pnm_header,
    "JXL": _jxl_header,
}
