"""The file formats that impasto reads: how to detect them, and their outer structure."""

from __future__ import annotations

import posixpath
import struct
import zlib
from collections.abc import Callable, Collection, Iterator

from impasto.images.isobmff import read_avif
from impasto.images.pnm import pnm_header

# Ending of a file that impasto writes -> format, as Pillow names it.
ENDINGS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".avif": "AVIF",
}
FORMATS = tuple(dict.fromkeys(ENDINGS.values()))
# Other endings of files that it reads. Formats are told by content; the endings only say which
# files of a folder are meant to be pictures, whatever they hold.
OTHER_ENDINGS = (
    *(".jfif", ".jpe", ".jif", ".apng", ".gif", ".bmp", ".dib"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".jxl"),
)
# Files of raw photographs are TIFFs inside, but of one made for a program, beside its picture.
_RAW_ENDINGS = (
    *(".3fr", ".arw", ".cr2", ".cr3", ".dcr", ".dng", ".erf", ".fff", ".iiq", ".kdc", ".mef"),
    *(".mos", ".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2"),
    *(".srf", ".srw", ".x3f"),
)
# What impasto writes beside results, what systems write into folders, and what programs call files
# that they have not finished.
_PASSED_OVER = (
    *(".impasto.json", "impasto-batch.sqlite", "impasto-batch.sqlite-wal"),
    *("impasto-batch.sqlite-shm", ".impasto-film", "thumbs.db", "desktop.ini"),
    *(".part", ".partial", ".crdownload", ".download", ".filepart", ".tmp", ".temp", "~"),
)
HEAD_BYTES = 4096  # of a file, that tell its format
CHOICES = "give a JPEG, PNG, WebP, TIFF, AVIF, JPEG XL, GIF, BMP or PPM file"
MAX_PIXELS = 500_000_000

_PIECE = 1 << 20  # bytes that are decompressed at once
# Chunks of a PNG that matter for its pixels.
_PIXEL_CHUNKS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
# Color type of a PNG -> bytes of its transparent color; palettes have any number of them.
_TRANSPARENT_BYTES = {0: (2,), 2: (6,), 3: range(257)}

_PNG = b"\x89PNG\r\n\x1a\n"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_BMP_HEADS = (12, 16, 40, 52, 56, 64, 108, 124)  # bytes of a BMP's second header
_OTHER_FORMATS = (
    (b"%PDF", "a PDF"),
    (b"%!PS", "an EPS"),
    (b"\xc5\xd0\xd3\xc6", "an EPS"),
    (b"8BPS", "a Photoshop document"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000"),
    (b"II\xbc", "a JPEG XR"),
    (b"\0\0\x01\0", "an ICO"),
    (b"v/1\x01", "an OpenEXR"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
)


def detect_format(data: bytes) -> str | None:
    """Return the format of a file's bytes: of `FORMATS`, JXL, GIF, BMP or PPM; None for others."""
    if data.startswith(_PNG):
        return "PNG"
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WEBP"
    if data.startswith(_TIFF):
        return "TIFF"
    if data.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")):
        return "JXL"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if data.startswith(b"BM") and int.from_bytes(data[14:18], "little") in _BMP_HEADS:
        return "BMP"
    if pnm_header(data) is not None:
        return "PPM"
    return "AVIF" if {b"avif", b"avis"} & set(_brands(data)) else None


def describe_unknown_format(data: bytes) -> str:
    """Describe a file that impasto does not read, in words that follow `it is`."""
    if any(brand[:3] in (b"hei", b"hev") or brand == b"mif1" for brand in _brands(data)):
        return "a HEIC"
    for magic, words in _OTHER_FORMATS:
        if data.startswith(magic):
            return words
    start = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith(b"<svg") or (
        start.startswith((b"<?xml", b"<!doctype")) and b"<svg" in start
    ):
        return "an SVG"
    return "not in a format that impasto knows"


def is_passed_over(name: str) -> bool:
    """Return whether a file of a folder is hidden, or written by a program beside pictures."""
    return name.startswith((".", "~$")) or name.lower().endswith(_PASSED_OVER)


def is_picture(name: str, read_head: Callable[[], bytes]) -> bool:
    """Return whether a file of a folder counts as a picture: by its ending, or by its content.

    Args:
        name: its name.
        read_head: returns its first `HEAD_BYTES` bytes; called only if the name does not tell.

    Example:
        >>> is_picture("a.JPG", bytes), is_picture("a.nef", bytes), is_picture("a", bytes)
        (True, False, False)
    """
    ending = posixpath.splitext(name)[1].lower()
    if ending in ENDINGS or ending in OTHER_ENDINGS:
        return True
    if ending in _RAW_ENDINGS:
        return False
    try:
        return detect_format(read_head()) is not None
    except OSError:
        return False


def describe_left_out(name: str, read_head: Callable[[], bytes]) -> str:
    """Name a file of a folder that is no picture, with what it is if that is known.

    Example:
        >>> describe_left_out("a.nef", bytes), describe_left_out("a", lambda: b"%PDF-1.7")
        ('a.nef (a raw photograph)', 'a (a PDF)')
    """
    if name.lower().endswith(_RAW_ENDINGS):
        return f"{name} (a raw photograph)"
    try:
        words = describe_unknown_format(read_head())
    except OSError:
        return name
    return f"{name} ({words})" if words.startswith("a") else name


def size_from_header(data: bytes, format: str) -> tuple[int, int] | None:
    """Return the (width, height) that a file claims, without a decoder; None for JPEG and TIFF."""
    try:
        if format == "PNG":
            return struct.unpack(">II", data[16:24])
        if format == "WEBP":
            return webp_size(data)
        if format == "GIF":
            return _gif_size(data)
        if format == "BMP":
            form = "<HH" if data[14] == 12 else "<Ii"
            width, height = struct.unpack_from(form, data, 18)
            return width, abs(height)  # below 0 where the first row is the top one
        if format == "PPM":
            return pnm_header(data)[1:3]
        if format == "AVIF":
            return (still := read_avif(data)) and still.size
    except (struct.error, ValueError, IndexError):
        pass
    return None


def png_chunks(png: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield the chunks of a PNG as (type, start, end), from length field to past the checksum."""
    start = len(_PNG)
    while start + 12 <= len(png):
        (length,) = struct.unpack(">I", png[start : start + 4])
        end = start + 12 + length
        yield png[start + 4 : start + 8], start, min(end, len(png))
        start = end


def only_pixels(png: bytes) -> bytes:
    """Return a PNG with only the chunks that matter for its pixels: libpng warns of no others.

    A transparent color that does not fit the color type is left out, as decoders do.
    """
    transparent_bytes = _TRANSPARENT_BYTES.get(png[25], ())
    return _PNG + b"".join(
        png[start:end]
        for kind, start, end in png_chunks(png)
        if kind in _PIXEL_CHUNKS and (kind != b"tRNS" or end - start - 12 in transparent_bytes)
    )


def has_whole_stream(png: bytes) -> bool:
    """Return whether a PNG's compressed pixels end with their right checksum: libpng warns else."""
    stream = zlib.decompressobj()
    try:
        for kind, start, end in png_chunks(png):
            data = png[start + 8 : end - 4] if kind == b"IDAT" else b""
            while data:
                stream.decompress(data, _PIECE)
                data = stream.unconsumed_tail
    except zlib.error:
        return False
    return stream.eof and not stream.unused_data


def without_chunks(png: bytes, kinds: Collection[bytes]) -> bytes:
    """Return a PNG without its chunks of the given types."""
    return _PNG + b"".join(
        png[start:end] for kind, start, end in png_chunks(png) if kind not in kinds
    )


def png_chunk(kind: bytes, data: bytes) -> bytes:
    """Return one chunk of a PNG: length, type, data, checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def jpeg_segments(jpeg: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield the segments in front of a JPEG's pixels as (marker, start, end)."""
    start = 2
    while start + 4 <= len(jpeg):
        marker = jpeg[start + 1]
        if jpeg[start] != 0xFF:  # junk
            start = jpeg.find(b"\xff", start)
            if start < 0:
                return
        elif marker in (0, 0xFF):  # padding
            start += 1
        elif marker == 1 or 0xD0 <= marker <= 0xD8:  # markers without a segment
            start += 2
        elif marker in (0xD9, 0xDA):  # the end, or the pixels
            return
        else:
            end = min(start + 2 + int.from_bytes(jpeg[start + 2 : start + 4], "big"), len(jpeg))
            yield marker, start, end
            start = end


def _brands(data: bytes) -> list[bytes]:
    """Return the brands in the first box of an ISO media file; none for other files."""
    if data[4:8] != b"ftyp":
        return []
    end = min(int.from_bytes(data[:4], "big"), 1024)
    return [data[8:12], *(data[place : place + 4] for place in range(16, end, 4))]


def _gif_size(data: bytes) -> tuple[int, int]:
    """Return the size of a GIF's screen, or that of its first picture where it reaches beyond."""
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    place = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    while data[place] == 0x21:  # blocks of extensions, each in parts
        place += 2
        while data[place]:
            place += 1 + data[place]
        place += 1
    if data[place] == 0x2C:
        left, top, wide, high = struct.unpack_from("<HHHH", data, place + 1)
        width, height = max(width, left + wide), max(height, top + high)
    return width, height


def webp_size(data: bytes) -> tuple[int, int] | None:
    """Return the canvas size (width, height) in the first chunk of a WebP; None without one."""
    kind = data[12:16]
    if kind == b"VP8X":
        width, height = data[24:27], data[27:30]
        return int.from_bytes(width, "little") + 1, int.from_bytes(height, "little") + 1
    if kind == b"VP8L":
        packed = int.from_bytes(data[21:25], "little")
        return (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        width, height = struct.unpack("<HH", data[26:30])
        return width & 0x3FFF, height & 0x3FFF
    return None


def webp_frame_size(data: bytes) -> tuple[int, int] | None:
    """Return the (width, height) of the first frame of an animated WebP; None for other files."""
    start = 12
    while start + 24 <= len(data):
        (length,) = struct.unpack_from("<I", data, start + 4)
        if data[start : start + 4] == b"ANMF":
            width, height = data[start + 14 : start + 17], data[start + 17 : start + 20]
            return int.from_bytes(width, "little") + 1, int.from_bytes(height, "little") + 1
        start += 8 + length + length % 2
    return None
