"""The directories of a TIFF as they are chained in the file: walked, put in order, one tag more.

A TIFF's pages are directories, each with the place of the next. tifffile writes them in the order
in which it is given pages, and cannot add a tag; here that is done to the file's own bytes.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from impasto.images.header import Unreadable

_BYTES = 1  # TIFF's type of a tag whose values are bytes
_CLASSIC_END = 2**32
# Bytes of a value of each of TIFF's types.
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_SIZES |= {16: 8, 17: 8, 18: 8}
# Tags without which the data is not what it was: words, places, lengths, resolution, colors.
_NEEDED = (270, 273, 279, 282, 283, 320, 324, 325, 50838, 50839)


class _Words(NamedTuple):
    """How a file writes its numbers."""

    order: str  # of the bytes, as struct has it
    count: str  # of a directory's entries
    offset: str  # of places in the file
    entry: int  # bytes of an entry
    first: int  # where the header says where the first directory is


def check_chain(path: Path) -> None:
    """Make sure that a file has all its directories, and what they need of their values.

    tifffile passes over what it cannot find: pages at the end of a file that is cut short, or the
    description that tells of their axes.

    Raises:
        Unreadable: the file ends before, or its directories follow each other in a circle.
    """
    with open(path, "rb") as file:
        words = _words(file)
        room = struct.calcsize(words.offset)
        for offset, pointer in _directories(file, words):
            start = offset + struct.calcsize(words.count)
            file.seek(start)
            form = f"{words.order}HH{words.offset}{words.offset}"
            for tag, kind, count, place in struct.iter_unpack(form, file.read(pointer - start)):
                size = _SIZES.get(kind, 0) * count
                if tag in _NEEDED and size > room:
                    _number(file, place + size - 1, "B")


def rechain(path: Path, order: Sequence[int]) -> None:
    """Chain a file's directories anew; `order` says which place each of them is to take."""
    with open(path, "r+b") as file:
        words = _words(file)
        chained = zip(order, _directories(file, words), strict=True)
        sorted_ones = [directory for _, directory in sorted(chained)]
        pointers = [words.first, *(pointer for _, pointer in sorted_ones)]
        offsets = [*(offset for offset, _ in sorted_ones), 0]
        for pointer, offset in zip(pointers, offsets, strict=True):
            file.seek(pointer)
            file.write(struct.pack(words.order + words.offset, offset))


def add_bytes(path: Path, tag: int, data: bytes) -> bool:
    """Give a file's first directory one more tag, in place of one with the same number.

    The directory is written again at the file's end; everything else stays where it is.

    Args:
        path: the file.
        tag: its number.
        data: its value, longer than eight bytes.

    Returns:
        Whether there was room; a classic TIFF ends at 4 GB.
    """
    with open(path, "r+b") as file:
        words = _words(file)
        offset, pointer = _directories(file, words)[0]
        start = offset + struct.calcsize(words.count)
        file.seek(start)
        block = file.read(pointer - start)
        entries = [block[at : at + words.entry] for at in range(0, len(block), words.entry)]
        file.seek(pointer)
        following = file.read(struct.calcsize(words.offset))
        end = file.seek(0, os.SEEK_END)
        place = end + end % 2
        directory = place + len(data) + len(data) % 2
        if words.offset == "I" and directory + len(block) + 32 > _CLASSIC_END:
            return False
        code = words.order + "H"
        kept = [one for one in entries if struct.unpack(code, one[:2])[0] != tag]
        new = struct.pack(words.order + f"HH{words.offset * 2}", tag, _BYTES, len(data), place)
        ordered = sorted([*kept, new], key=lambda one: struct.unpack(code, one[:2])[0])
        file.write(bytes(place - end) + data + bytes(len(data) % 2))
        file.write(struct.pack(words.order + words.count, len(ordered)))
        file.write(b"".join(ordered) + following)
        file.seek(words.first)
        file.write(struct.pack(words.order + words.offset, directory))
    return True


def _words(file: BinaryIO) -> _Words:
    """How an open TIFF writes its numbers."""
    head = file.read(4)
    order = ">" if head[:2] == b"MM" else "<"
    big = len(head) == 4 and struct.unpack(order + "H", head[2:])[0] == 43
    return _Words(order, "Q", "Q", 20, 8) if big else _Words(order, "H", "I", 12, 4)


def _directories(file: BinaryIO, words: _Words) -> list[tuple[int, int]]:
    """Where each directory of an open file begins, and where it says what follows."""
    found: dict[int, int] = {}
    pointer = words.first
    while offset := _number(file, pointer, words.order + words.offset):
        if offset in found:
            raise Unreadable("its pages follow each other in a circle")
        count = _number(file, offset, words.order + words.count)
        pointer = offset + struct.calcsize(words.count) + count * words.entry
        found[offset] = pointer
    return list(found.items())


def _number(file: BinaryIO, place: int, form: str) -> int:
    """A whole number in an open file."""
    size = struct.calcsize(form)
    try:
        file.seek(place)
        data = file.read(size)
    except (OSError, OverflowError):  # further than a file can be long
        data = b""
    if len(data) < size:
        raise Unreadable("the file is cut short")
    return struct.unpack(form, data)[0]
