"""Mutations of files and of trees of plain values, each drawn from a random number generator."""

from __future__ import annotations

import copy
import json
import struct
import zlib
from collections.abc import Sequence
from random import Random
from typing import Any

_NUMBERS = (
    0, 1, 2, 3, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 127, 128, 255, 256, 1000, 4096, 25_000,
    32_767, 32_768, 34_887, 50_002, 65_535, 65_536, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 40,
    (1 << 63) - 1, (1 << 64) - 1,
)  # fmt: skip
_TIFF_TAGS = (
    254, 255, 256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 282, 283, 284, 296, 317, 320,
    322, 323, 324, 325, 330, 338, 339, 347, 530, 700, 33723, 34377, 34665, 34675, 34853, 50674,
)  # fmt: skip
_PNG_CHUNKS = (
    b"IHDR", b"PLTE", b"IDAT", b"tRNS", b"gAMA", b"cHRM", b"iCCP", b"cICP", b"eXIf", b"iTXt",
    b"tEXt", b"zTXt", b"acTL", b"fcTL", b"pHYs", b"IEND", b"sRGB", b"bKGD",
)  # fmt: skip
_VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 0.5, -0.0, 1e-300, 1e300, 1e30, -1e9, 2**31, 2**63, -(2**70),
    10**400, float("nan"), float("inf"), float("-inf"), "", " ", "auto", "style", "denoise",
    "a/b\\c", "..", "x" * 5000, "\x1b]0;title\x07", "a\nb", "\ud800", "\u202eabc", "0", "1e999",
    "nan", [], [[]], [1], [None], {}, {"a": 1}, {"relu4_1": 1e300}, ["relu4_1"], [0.1, 0.2],
)  # fmt: skip
_KEYS = ("", "version", "method", "recipe", "x" * 300, "__class__", "strength ", "\u202e", "sigma")


def mutate_file(data: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """Change a file in a few places, most often in the fields that its format has."""
    for _ in range(random.choice((1, 1, 1, 2, 2, 3, 5, 8))):
        change = _change_of_format(data) if random.random() < 0.6 else None
        data = (change or _change_bytes)(data, random)
        if random.random() < 0.03:
            data = _splice(data, random.choice(others), random)
    return data[:2_000_000]


def mutate_tree(tree: Any, random: Random) -> Any:
    """Change a tree of plain values in a few places; the tree itself stays as it is."""
    tree = json.loads(json.dumps(tree))
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        tree = _change_tree(tree, random)
    return tree


def mutate_text(text: str, random: Random) -> bytes:
    """Return a text's bytes, sometimes changed, nested deeply or repeated."""
    data = text.encode("utf-8", "surrogatepass")
    chance = random.random()
    if chance < 0.15:
        return _change_bytes(data, random)
    if chance < 0.17:
        return b"[" * 5000 + data + b"]" * 5000
    if chance < 0.18:
        return data * 40
    return data


def _number_bytes(value: int, size: int, order: str) -> bytes:
    """Return the lowest bytes of a number."""
    return (value & (1 << 8 * size) - 1).to_bytes(size, "little" if order == "<" else "big")


def _change_of_format(data: bytes) -> Any:
    """Return the function that changes a file's own structure; None for a format without one."""
    if data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return _change_tiff
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return _change_png
    if data[:2] == b"\xff\xd8":
        return _change_jpeg
    if data[:4] == b"RIFF":
        return _change_riff
    if data[4:8] in (b"ftyp", b"JXL ", b"jP  "):
        return _change_boxes
    return None


def _change_bytes(data: bytes, random: Random) -> bytes:
    """Change some bytes of a file without knowing what they are."""
    at = random.randrange(len(data) + 1)
    if random.random() < 0.4:  # headers are more telling than pixels
        at = min(at, random.randrange(256))
    length = random.choice((1, 1, 2, 4, 8, random.randrange(1, 64)))
    kind = random.randrange(8)
    if kind == 0:
        return data[:at]
    if kind == 1:
        return data[:at] + data[at + length :]
    if kind == 2:
        return data[:at] + data[at : at + length] * random.choice((2, 3, 50)) + data[at + length :]
    if kind == 3:
        return data[:at] + random.randbytes(length) + data[at:]
    if kind == 4:
        size, order = random.choice((1, 2, 4, 8)), random.choice("<>")
        return data[:at] + _number_bytes(random.choice(_NUMBERS), size, order) + data[at + size :]
    if kind == 5:
        return data[:at] + random.randbytes(length) + data[at + length :]
    byte = data[at : at + 1]
    return data[:at] + bytes(b ^ (1 << random.randrange(8)) for b in byte) + data[at + 1 :]


def _splice(data: bytes, other: bytes, random: Random) -> bytes:
    """Join the beginning of a file and the end of another."""
    return data[: random.randrange(len(data) + 1)] + other[random.randrange(len(other) + 1) :]


def _change_tiff(data: bytes, random: Random) -> bytes:
    """Change an entry of one of a TIFF's directories."""
    order = "<" if data[:2] == b"II" else ">"
    big = 43 in data[2:4]
    number, entry_size, word = ("Q", 20, 8) if big else ("H", 12, 4)
    file = bytearray(data)
    try:
        (start,) = struct.unpack_from(order + ("Q" if big else "I"), file, 8 if big else 4)
        for _ in range(random.choice((0, 0, 0, 1, 2))):  # a later directory
            (count,) = struct.unpack_from(order + number, file, start)
            end = start + struct.calcsize(number) + entry_size * count
            (following,) = struct.unpack_from(order + ("Q" if big else "I"), file, end)
            start = following or start
        (count,) = struct.unpack_from(order + number, file, start)
        first = start + struct.calcsize(number)
        at = first + entry_size * random.randrange(max(1, min(count, 100)))
        kind = random.randrange(8)
        if kind == 0:
            struct.pack_into(order + "H", file, at, random.choice(_TIFF_TAGS))
        elif kind == 1:
            struct.pack_into(order + "H", file, at + 2, random.choice((*range(19), 255)))
        elif kind == 2:
            file[at + 4 : at + 4 + word] = _number_bytes(random.choice(_NUMBERS), word, order)
        elif kind == 3:
            struct.pack_into(order + number, file, start, random.choice((0, 1, count - 1, 65535)))
        elif kind == 4:
            other = first + entry_size * random.randrange(max(1, min(count, 100)))
            file[at : at + entry_size] = file[other : other + entry_size]
        elif kind == 5:  # a value elsewhere in the file
            place = int.from_bytes(file[at + 4 + word : at + 4 + 2 * word], _ORDERS[order])
            size = random.choice((1, 2, 4, 8))
            if place + size <= len(file):
                value = _number_bytes(random.choice(_NUMBERS), size, order)
                file[place : place + size] = value
        else:
            size = random.choice((2, 4, word))
            value = _number_bytes(random.choice(_NUMBERS), size, order)
            file[at + 4 + word : at + 4 + word + size] = value
    except (struct.error, OverflowError):
        return _change_bytes(data, random)
    return bytes(file)


_ORDERS = {"<": "little", ">": "big"}


def _change_png(data: bytes, random: Random) -> bytes:
    """Change, drop, repeat or add a chunk of a PNG; its checksum fits again."""
    chunks, start = [], 8
    while start + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, start)
        chunks.append((data[start + 4 : start + 8], data[start + 8 : start + 8 + length]))
        start += 12 + length
    if not chunks:
        return _change_bytes(data, random)
    _change_parts(chunks, random, _PNG_CHUNKS)
    return data[:8] + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def _change_jpeg(data: bytes, random: Random) -> bytes:
    """Change, drop, repeat or add a segment of a JPEG."""
    segments, start = [], 2
    while start + 4 <= len(data) and data[start] == 0xFF and data[start + 1] != 0xDA:
        (length,) = struct.unpack_from(">H", data, start + 2)
        segments.append((data[start : start + 2], data[start + 4 : start + 2 + length]))
        start += 2 + length
    if not segments:
        return _change_bytes(data, random)
    _change_parts(
        segments, random, (b"\xff\xc0", b"\xff\xc2", b"\xff\xe1", b"\xff\xe2", b"\xff\xee")
    )
    body = b"".join(
        marker + struct.pack(">H", min(65535, len(part) + 2)) + part[:65533]
        for marker, part in segments
    )
    return data[:2] + body + data[start:]


def _change_riff(data: bytes, random: Random) -> bytes:
    """Change, drop, repeat or add a chunk of a WebP."""
    chunks, start = [], 12
    while start + 8 <= len(data):
        (length,) = struct.unpack_from("<I", data, start + 4)
        chunks.append((data[start : start + 4], data[start + 8 : start + 8 + length]))
        start += 8 + length + length % 2
    if not chunks:
        return _change_bytes(data, random)
    _change_parts(chunks, random, (b"VP8X", b"VP8L", b"ALPH", b"ANIM", b"ANMF", b"EXIF", b"XMP "))
    body = b"".join(
        kind + struct.pack("<I", len(part)) + part + b"\0" * (len(part) % 2)
        for kind, part in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def _change_boxes(data: bytes, random: Random) -> bytes:
    """Change a box of an ISO media file: its size, its name or a number in it."""
    names = (
        b"ftyp", b"meta", b"iprp", b"ipco", b"ipma", b"ispe", b"av1C", b"iloc", b"iinf", b"infe",
        b"pitm", b"mdat", b"moov", b"trak", b"tkhd", b"stsd", b"stsz", b"stco", b"colr", b"irot",
        b"JXL ", b"jxlc", b"jxlp", b"Exif",
    )  # fmt: skip
    places = [at for name in names if (at := data.find(name)) >= 4]
    if not places:
        return _change_bytes(data, random)
    at = random.choice(places)
    kind = random.randrange(4)
    if kind == 0:
        return data[: at - 4] + _number_bytes(random.choice(_NUMBERS), 4, ">") + data[at:]
    if kind == 1:
        return data[:at] + random.choice(names) + data[at + 4 :]
    if kind == 2:
        (size,) = struct.unpack_from(">I", data, at - 4)
        box = data[at - 4 : at - 4 + size]
        return data[: at - 4] + random.choice((b"", box + box)) + data[at - 4 + size :]
    place, size = at + 4 + random.randrange(24), random.choice((1, 2, 4))
    return data[:place] + _number_bytes(random.choice(_NUMBERS), size, ">") + data[place + size :]


def _change_parts(parts: list[tuple[bytes, bytes]], random: Random, names: Sequence[bytes]) -> None:
    """Change a list of named parts in place."""
    at = random.randrange(len(parts))
    name, body = parts[at]
    kind = random.randrange(7)
    if kind == 0:
        del parts[at]
    elif kind == 1:
        parts.insert(random.randrange(len(parts) + 1), parts[at])
    elif kind == 2:
        parts[at] = (random.choice(names), body)
    elif kind == 3:
        parts.insert(at, (random.choice(names), random.randbytes(random.randrange(40))))
    elif kind == 4:
        parts[at] = (name, _change_bytes(body, random))
    else:
        place, size = random.randrange(max(1, min(len(body), 24))), random.choice((1, 2, 4))
        value = _number_bytes(random.choice(_NUMBERS), size, random.choice("<>"))
        parts[at] = (name, body[:place] + value + body[place + size :])


def _change_tree(tree: Any, random: Random) -> Any:
    """Change one place of a tree."""
    if not isinstance(tree, dict | list) or not tree or random.random() < 0.04:
        return copy.deepcopy(random.choice(_VALUES))
    keys = list(tree) if isinstance(tree, dict) else list(range(len(tree)))
    key = random.choice(keys)
    kind = random.randrange(10)
    if kind < 5 and isinstance(tree[key], dict | list) and tree[key]:
        tree[key] = _change_tree(tree[key], random)
    elif kind < 8:
        tree[key] = copy.deepcopy(random.choice(_VALUES))
    elif kind == 8:
        del tree[key]
    elif isinstance(tree, dict):
        tree[random.choice((*_KEYS, *keys))] = copy.deepcopy(random.choice(_VALUES))
    else:
        tree.append(copy.deepcopy(random.choice(_VALUES)))
    return tree
