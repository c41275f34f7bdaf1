"""The five file formats impasto knows, told by their content, and what the rest looks like."""

from __future__ import annotations

import struct

# Ending -> format, as Pillow names it.
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
CHOICES = "give a JPEG, PNG, WebP, TIFF or AVIF file"
MAX_PIXELS = 500_000_000

_PNG = b"\x89PNG\r\n\x1a\n"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_OTHERS = (
    (b"GIF8", "a GIF"),
    (b"BM", "a BMP"),
    (b"%PDF", "a PDF"),
    (b"%!PS", "an EPS"),
    (b"\xc5\xd0\xd3\xc6", "an EPS"),
    (b"8BPS", "a Photoshop document"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000"),
    (b"\xff\x0a", "a JPEG XL"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL"),
    (b"\0\0\x01\0", "an ICO"),
    (b"v/1\x01", "an OpenEXR"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
)


def detect_format(data: bytes) -> str | None:
    """The format of a file's bytes, one of `FORMATS`, or None for anything else."""
    if data.startswith(_PNG):
        return "PNG"
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WEBP"
    if data.startswith(_TIFF):
        return "TIFF"
    return "AVIF" if {b"avif", b"avis"} & set(_brands(data)) else None


def describe_unknown_format(data: bytes) -> str:
    """What a file that impasto does not read looks like, in words that follow `it is`."""
    if any(brand[:3] in (b"hei", b"hev") or brand == b"mif1" for brand in _brands(data)):
        return "a HEIC"
    for magic, words in _OTHERS:
        if data.startswith(magic):
            return words
    start = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith(b"<svg") or (
        start.startswith((b"<?xml", b"<!doctype")) and b"<svg" in start
    ):
        return "an SVG"
    return "no picture format impasto knows"


def size_from_header(data: bytes, format: str) -> tuple[int, int] | None:
    """(width, height) that a PNG, WebP or AVIF claims, read without any decoder; else None."""
    try:
        if format == "PNG":
            return struct.unpack(">II", data[16:24])
        if format == "WEBP":
            return _webp_size(data)
        if format == "AVIF":
            place = data.index(b"ispe") + 8
            return struct.unpack(">II", data[place : place + 8])
    except (struct.error, ValueError, IndexError):
        pass
    return None


def chunks(png: bytes) -> list[tuple[bytes, int, int]]:
    """The chunks of a PNG as (type, start, end), from its length field to past its checksum."""
    found, start = [], len(_PNG)
    while start + 12 <= len(png):
        (length,) = struct.unpack(">I", png[start : start + 4])
        end = start + 12 + length
        found.append((png[start + 4 : start + 8], start, min(end, len(png))))
        start = end
    return found


def only_chunks(png: bytes, kept: frozenset[bytes]) -> bytes:
    """A PNG with only the chunks of the given types."""
    return _PNG + b"".join(png[start:end] for kind, start, end in chunks(png) if kind in kept)


def _brands(data: bytes) -> list[bytes]:
    """The brands in the first box of an ISO media file; none for other files."""
    if data[4:8] != b"ftyp":
        return []
    end = min(int.from_bytes(data[:4], "big"), 1024)
    return [data[8:12], *(data[place : place + 4] for place in range(16, end, 4))]


def _webp_size(data: bytes) -> tuple[int, int] | None:
    """The canvas size in the first chunk of a WebP."""
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
