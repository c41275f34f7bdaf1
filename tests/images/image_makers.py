"""Tiny images and hand-made files for the tests of images."""

from __future__ import annotations

import io
import struct
import zlib

import imagecodecs
import numpy as np
from PIL import Image

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "AVIF")


def smooth(height: int = 24, width: int = 40, channels: int = 3) -> np.ndarray:
    """A gentle gradient, (H, W, C) uint8, that lossy formats keep well."""
    y, x = np.mgrid[0:height, 0:width]
    planes = [60 + 3 * x, 200 - 4 * y, 40 + 2 * x + 2 * y, 255 - 5 * x]
    return np.stack([p.clip(0, 255) for p in planes[:channels]], axis=-1).astype(np.uint8)


def noisy(height: int = 9, width: int = 13, channels: int = 3, dtype=np.uint8) -> np.ndarray:
    """Random codes over the whole range, (H, W, C)."""
    top = np.iinfo(dtype).max + 1
    shape = (height, width, channels)
    return np.random.default_rng(7).integers(0, top, shape).astype(dtype)


def file_of(image: Image.Image, format: str, **options) -> bytes:
    """Return an image as Pillow writes it."""
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    """One chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def with_chunk(png: bytes, kind: bytes, data: bytes) -> bytes:
    """A PNG with one more chunk after its first."""
    return png[:33] + chunk(kind, data) + png[33:]


def interlaced(samples: np.ndarray) -> bytes:
    """An Adam7 PNG of (H, W, C) uint16."""
    height, width, channels = samples.shape
    rows = b""
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2)]
    for x, y, dx, dy in [*passes, (0, 1, 1, 2)]:
        part = samples[y::dy, x::dx]
        if part.size:
            rows += b"".join(b"\0" + row.astype(">u2").tobytes() for row in part)
    color = {1: 0, 3: 2, 2: 4, 4: 6}[channels]
    head = struct.pack(">IIBBBBB", width, height, 16, color, 0, 0, 1)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


PRIMARIES = {
    "Display P3": ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
    "Adobe RGB": ((0.640, 0.330), (0.210, 0.710), (0.150, 0.060)),
    "swapped": ((0.300, 0.600), (0.640, 0.330), (0.150, 0.060)),
}
SRGB = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
WHITE = (0.3127, 0.3290)


def rgb_profile(name: str, gamma: float = 2.2) -> bytes:
    """An ICC profile of given primaries and a plain gamma."""
    flat = [value for x, y in PRIMARIES[name] for value in (x, y, 1.0)]
    return imagecodecs.cms_profile("rgb", whitepoint=[*WHITE, 1.0], primaries=flat, gamma=gamma)


def expected_srgb(colors: np.ndarray, name: str, gamma: float = 2.2) -> np.ndarray:
    """Convert colors of that profile to sRGB, by the textbook."""
    matrix = np.linalg.inv(_to_xyz(SRGB)) @ _to_xyz(PRIMARIES[name])
    linear = np.clip(colors**gamma @ matrix.T, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def _to_xyz(primaries) -> np.ndarray:
    columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in primaries]).T
    x, y = WHITE
    return columns * np.linalg.solve(columns, [x / y, 1, (1 - x - y) / y])


def cmyk_profile() -> bytes:
    """A CMYK profile made by hand: lightness falls with the ink, cyan leans to blue-green.

    A table of two steps an ink gives the Lab color of each of the 16 full-ink mixtures.
    """
    corners = []
    for node in range(16):
        c, m, y, k = (node >> shift & 1 for shift in (3, 2, 1, 0))
        lightness = max(0, 100 - 25 * (c + m + y) - 100 * k)
        a, b = (0, 0) if k else (-30 * c + 50 * m, -30 * c + 70 * y)
        corners += [lightness * 65280 // 100, (a + 128) * 256, (b + 128) * 256]
    ramp = struct.pack(">2H", 0, 65535)
    table = b"mft2\0\0\0\0" + bytes([4, 3, 2, 0])
    table += struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    table += struct.pack(">2H", 2, 2) + ramp * 4 + struct.pack(">48H", *corners) + ramp * 3
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)
    tags = {b"A2B0": table, b"wtpt": white}
    place, index, body = 132 + 12 * len(tags), b"", b""
    for name, data in tags.items():
        index += struct.pack(">4sII", name, place + len(body), len(data))
        body += data
    head = struct.pack(
        ">I4sI4s4s4s", place + len(body), b"lcms", 0x02400000, b"prtr", b"CMYK", b"Lab "
    )
    head += struct.pack(">6H", 2000, 1, 1, 0, 0, 0) + b"acsp" + bytes(28)
    head += struct.pack(">3i", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + index + body
