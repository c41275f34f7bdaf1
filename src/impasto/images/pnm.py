"""Decode PNM files (PBM, PGM, PPM) at full depth: Pillow has 8 bits for colors of 16."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np

# A token ends at white space; `#` begins a comment until the end of its line.
_SPACE = rb"(?:\s|#[^\r\n]*[\r\n])"
_NUMBER = _SPACE + rb"+(\d{1,10})"
_BITMAP = re.compile(rb"P([14])" + 2 * _NUMBER + rb"\s")
_SAMPLES = re.compile(rb"P([2356])" + 3 * _NUMBER + rb"\s")
_HEAD = 65_536  # bytes that the head may have, with its comments


class PnmHeader(NamedTuple):
    """The numbers in front of a PNM's samples.

    Attributes:
        kind: 1 to 6, behind the P.
        width: in pixels.
        height: in pixels.
        maximum: the number that stands for white.
        start: position of the samples in the file.
    """

    kind: int
    width: int
    height: int
    maximum: int
    start: int

    @property
    def channels(self) -> int:
        """1 for gray, 3 for RGB."""
        return 3 if self.kind in (3, 6) else 1


def pnm_header(data: bytes) -> PnmHeader | None:
    """Return the header of a PNM; None for anything else.

    Example:
        >>> pnm_header(b"P5 # a comment\\n2 1 65535\\n....")
        PnmHeader(kind=5, width=2, height=1, maximum=65535, start=25)
    """
    head = data[:_HEAD]
    match = _BITMAP.match(head) or _SAMPLES.match(head)
    if match is None:
        return None
    kind, width, height, *rest = map(int, match.groups())
    maximum = rest[0] if rest else 1
    return PnmHeader(kind, width, height, maximum, match.end()) if 0 < maximum < 65_536 else None


def decode_pnm(data: bytes, header: PnmHeader) -> np.ndarray:
    """Decode the samples of a PNM's first image.

    Returns:
        (H, W, 1) or (H, W, 3) float32 in [0, 1].

    Raises:
        ValueError: too few samples, or one above the maximum.
    """
    kind, width, height, maximum, start = header
    count = width * height * header.channels
    if kind == 4:  # rows of bits, each filled up to whole bytes; 1 is black
        row = (width + 7) // 8
        stored = np.frombuffer(data, np.uint8, row * height, start).reshape(height, row)
        samples = 1 - np.unpackbits(stored, axis=1)[:, :width]
    elif kind == 1:  # digits, with or without space between them
        digits = re.sub(rb"#[^\r\n]*|\s+", b"", data[start:])
        samples = ord("1") - np.frombuffer(digits, np.uint8, count)
    elif kind in (2, 3):
        text = re.sub(rb"#[^\r\n]*", b"", data[start:])
        samples = np.array(text.split(None, count)[:count], np.uint32)
    else:
        samples = np.frombuffer(data, ">u2" if maximum > 255 else np.uint8, count, start)
    if samples.size != count or samples.max() > maximum:
        raise ValueError("too few samples, or one above the maximum")
    scaled = samples.astype(np.float32) / np.float32(maximum)
    return scaled.reshape(height, width, header.channels)
