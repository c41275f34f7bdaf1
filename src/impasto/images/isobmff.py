"""AVIF's container, an ISO base media file: what its boxes say of the picture inside.

AVIF decoders trust different boxes for the same fact. All that impasto needs is read once, from
the boxes of the picture that is decoded, and held against the coded stream.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from impasto.images.av1 import Stream, read_stream

_MAX_BOXES = 4096  # that are walked in one file; a plain AVIF has 20
_MAX_ITEMS = 1024  # the tiles of a grid, for example
_EXIF = b"Exif"  # type of an item that is an EXIF block
_CODED = b"av01"  # type of an item that is an AV1 image
_GRID = b"grid"  # type of an item that is put together from others


@dataclass(frozen=True)
class Box:
    """A box: where its content begins and ends in the file."""

    kind: bytes
    start: int
    end: int


@dataclass(frozen=True)
class AvifImage:
    """The image of an AVIF that is decoded.

    Attributes:
        size: (width, height), before it is turned; None if the file does not say.
        bits: bits per channel that the codec's configuration claims; None where there is none.
        streams: of each coded image it is made from, with its opacity: the size claimed for it,
            and what its own stream says.
        color: content of the box `colr` that states its colors by codes; empty without one.
    """

    size: tuple[int, int] | None
    bits: int | None
    streams: tuple[tuple[tuple[int, int] | None, Stream], ...]
    color: bytes


class _BoxCount:
    """How many boxes a walk may still visit, so that a hostile file does not take for ever."""

    def __init__(self) -> None:
        self.left = _MAX_BOXES

    def spend(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise ValueError("too many boxes")


def read_avif(data: bytes) -> AvifImage | None:
    """Return what an AVIF says of its primary item.

    Args:
        data: the whole file.

    Returns:
        The image; None for a file of tracks alone, without a still image.

    Raises:
        ValueError: the boxes are broken, or far more than a picture needs.
        IndexError, struct.error: they are cut short.
    """
    items = _read_items(data)
    return None if items is None else items.image(items.primary)


def split_avif_exif(data: bytes) -> tuple[bytes, bytes]:
    """Separate the EXIF block of an AVIF from the rest.

    Args:
        data: the whole file.

    Returns:
        The file with the items that hold such blocks renamed, so that decoders overlook them, and
        the primary item's block; the file as it is and an empty block if there is none.

    Raises:
        ValueError: the boxes are broken, or far more than a picture needs.
    """
    items = _read_items(data)
    blocks = {} if items is None else items.entries(_EXIF)
    if not blocks:
        return data, b""
    hidden = bytearray(data)
    for place in blocks.values():
        hidden[place : place + 4] = b"free"
    described = items.references.get(b"cdsc", {})
    item = next((item for item in blocks if items.primary in described.get(item, ())), None)
    try:
        block = items.content(next(iter(blocks)) if item is None else item)
    except ValueError:
        block = b""
    return bytes(hidden), block[4:]  # the block's own offset stands before it


def _read_items(data: bytes) -> _Items | None:
    """Return the items of an AVIF; None without an image among them."""
    count = _BoxCount()
    meta = _find(data, b"meta", 0, len(data), count)
    if meta is None:
        return None
    boxes = {box.kind: box for box in _boxes(data, meta.start + 4, meta.end, count)}
    if b"pitm" not in boxes or b"iprp" not in boxes:
        return None
    return _Items(data, boxes, count)


def count_frames(data: bytes) -> int:
    """Return the number of frames of an AVIF: of its longest track; 1 without tracks.

    Raises:
        ValueError: the boxes are broken.
    """
    count = _BoxCount()
    frames = 1
    movie = _find(data, b"moov", 0, len(data), count)
    tracks = _boxes(data, movie.start, movie.end, count) if movie else ()
    for track in tracks:
        if track.kind != b"trak":
            continue
        box: Box | None = track
        for kind in (b"mdia", b"minf", b"stbl", b"stsz"):
            box = box and _find(data, kind, box.start, box.end, count)
        if box:
            frames = max(frames, int.from_bytes(data[box.start + 8 : box.start + 12], "big"))
    return frames


def still_avif(data: bytes) -> bytes:
    """Return an AVIF without its tracks, so that every decoder takes the still image.

    The file keeps its length, so that all positions inside it stay right: tracks are renamed to
    free space, and the brand to that of a still image.

    Raises:
        ValueError: the boxes are broken.
    """
    still = bytearray(data)
    for box in walk_boxes(data):
        if box.kind == b"moov":
            still[box.start - 4 : box.start] = b"free"
            if data[box.start - 16 : box.start - 12] == b"\0\0\0\1":  # its size is behind its name
                raise ValueError("a box of more than 4 GB")
        elif box.kind == b"ftyp":
            for place in (box.start, *range(box.start + 8, box.end - 3, 4)):
                if data[place : place + 4] == b"avis":
                    still[place : place + 4] = b"avif"
    return bytes(still)


class _Items:
    """The items of a file: their types, properties, places and parts."""

    def __init__(self, data: bytes, boxes: dict[bytes, Box], count: _BoxCount) -> None:
        self.data = data
        self.primary = _primary_item(data, boxes[b"pitm"])
        self.types = _item_types(data, boxes.get(b"iinf"), count)
        self.extents = _item_extents(data, boxes.get(b"iloc"))
        self.references = _item_references(data, boxes.get(b"iref"), count)
        self.idat = boxes.get(b"idat")
        self.properties: list[Box] = []
        self.associations: dict[int, list[int]] = {}
        for box in _boxes(data, *_span(boxes[b"iprp"]), count):
            if box.kind == b"ipco":
                self.properties = list(_boxes(data, *_span(box), count))
            elif box.kind == b"ipma":
                self.associations |= _associations(data, box)

    def kind(self, item: int) -> bytes:
        """Return the type of an item; empty if there is no such item."""
        place = self.types.get(item)
        return b"" if place is None else self.data[place : place + 4]

    def entries(self, kind: bytes) -> dict[int, int]:
        """Return the items of a type, and where in the file it is written."""
        return {item: place for item, place in self.types.items() if self.kind(item) == kind}

    def property(self, item: int, kind: bytes, start: bytes = b"") -> bytes:
        """Return the content of an item's property that starts so; empty if there is none."""
        for index in self.associations.get(item, ()):
            if 0 < index <= len(self.properties) and self.properties[index - 1].kind == kind:
                box = self.properties[index - 1]
                if self.data.startswith(start, box.start, box.end):
                    return self.data[box.start : box.end]
        return b""

    def size(self, item: int) -> tuple[int, int] | None:
        """Return the (width, height) claimed for an item."""
        content = self.property(item, b"ispe")
        return struct.unpack(">II", content[4:12]) if content else None

    def bits(self, item: int) -> int | None:
        """Return the depth that the codec's configuration claims for an item."""
        content = self.property(item, b"av1C")
        if len(content) < 3:
            return None
        flags = content[2]
        return (12 if flags & 0x20 else 10) if flags & 0x40 else 8

    def content(self, item: int) -> bytes:
        """Return the coded data of an item."""
        in_file, extents = self.extents.get(item, (True, []))
        base = 0 if in_file or self.idat is None else self.idat.start
        if sum(size for _, size in extents) > len(self.data):
            raise ValueError("pieces that overlap")
        return b"".join(self.data[base + at : base + at + size] for at, size in extents)

    def image(self, primary: int) -> AvifImage:
        """Return what is said of an item that is an image, and of all that is decoded for it."""
        parts = self.parts(primary)
        for item, targets in self.references.get(b"auxl", {}).items():
            if primary in targets:
                parts += self.parts(item)
        coded = [item for item in parts if self.kind(item) == _CODED]
        streams = []
        for item in coded:
            if stream := read_stream(self.content(item)):
                streams.append((self.size(item), stream))
        bits = next((depth for item in (primary, *coded) if (depth := self.bits(item))), None)
        color = self.property(primary, b"colr", b"nclx")
        return AvifImage(self.size(primary), bits, tuple(streams), color)

    def parts(self, item: int) -> list[int]:
        """Return the coded images that an item is put together from; itself if it is coded."""
        if self.kind(item) != _GRID:
            return [item]
        tiles = self.references.get(b"dimg", {}).get(item, [])
        if len(tiles) > _MAX_ITEMS:
            raise ValueError("too many tiles")
        return list(tiles)


def walk_boxes(data: bytes) -> list[Box]:
    """Return the outermost boxes of a file.

    Raises:
        ValueError: they are broken.
    """
    return list(_boxes(data, 0, len(data), _BoxCount()))


def _span(box: Box) -> tuple[int, int]:
    return box.start, box.end


def _boxes(data: bytes, start: int, end: int, count: _BoxCount) -> Iterator[Box]:
    """Yield the boxes between two positions."""
    while start + 8 <= end:
        count.spend()
        size, kind = struct.unpack_from(">I4s", data, start)
        content = start + 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, content)
            content += 8
        if size == 0:
            size = end - start
        if size < content - start or start + size > end:
            raise ValueError(f"a box that is longer than what it is in, {kind!r}")
        yield Box(kind, content, start + size)
        start += size


def _find(data: bytes, kind: bytes, start: int, end: int, count: _BoxCount) -> Box | None:
    return next((box for box in _boxes(data, start, end, count) if box.kind == kind), None)


def _number(data: bytes, place: int, size: int) -> int:
    """Return a big-endian number of `size` bytes."""
    if place + size > len(data):
        raise ValueError("a box that is cut short")
    return int.from_bytes(data[place : place + size], "big")


def _primary_item(data: bytes, box: Box) -> int:
    return _number(data, box.start + 4, 4 if data[box.start] else 2)


def _item_types(data: bytes, box: Box | None, count: _BoxCount) -> dict[int, int]:
    """Return the place of each item's type."""
    if box is None:
        return {}
    types = {}
    for entry in _boxes(data, box.start + (8 if data[box.start] else 6), box.end, count):
        version = data[entry.start]
        if entry.kind == b"infe" and version in (2, 3):
            wide = 4 if version == 3 else 2
            place = entry.start + 4
            types[_number(data, place, wide)] = place + wide + 2
    return types


def _item_extents(data: bytes, box: Box | None) -> dict[int, tuple[bool, list[tuple[int, int]]]]:
    """Return of each item whether it is in the file itself, and its pieces: position, length."""
    extents: dict[int, tuple[bool, list[tuple[int, int]]]] = {}
    if box is None:
        return extents
    place = box.start

    def number(size: int) -> int:
        nonlocal place
        place += size
        if place > box.end:
            raise ValueError("a box that is cut short")
        return _number(data, place - size, size)

    version = number(4) >> 24
    sizes = number(2)  # four bits each: of offsets, lengths, base offsets, indexes; in bytes
    id_size = 4 if version == 2 else 2
    for _ in range(number(id_size)):
        item = number(id_size)
        in_file = not (version and number(2) & 15)
        number(2)  # which file
        base = number(sizes >> 4 & 15)
        pieces = []
        for _ in range(number(2)):
            number(sizes & 15 if version else 0)
            pieces.append((base + number(sizes >> 12), number(sizes >> 8 & 15)))
            if len(pieces) > _MAX_ITEMS:
                raise ValueError("too many pieces")
        # A length of 0 means to the end of the file.
        extents[item] = (in_file, [(at, size or len(data) - at) for at, size in pieces])
    return extents


def _item_references(
    data: bytes, box: Box | None, count: _BoxCount
) -> dict[bytes, dict[int, list[int]]]:
    """Return, by kind, which items refer to which."""
    references: dict[bytes, dict[int, list[int]]] = {}
    if box is None:
        return references
    wide = 4 if data[box.start] else 2
    for entry in _boxes(data, box.start + 4, box.end, count):
        source = _number(data, entry.start, wide)
        number = _number(data, entry.start + wide, 2)
        start = entry.start + wide + 2
        if start + number * wide > entry.end:
            raise ValueError("a box that is cut short")
        targets = [_number(data, start + wide * index, wide) for index in range(number)]
        references.setdefault(entry.kind, {})[source] = targets
    return references


def _associations(data: bytes, box: Box) -> dict[int, list[int]]:
    """Return the numbers of the properties of each item, from 1."""
    version, flags = data[box.start], data[box.start + 3]
    id_size, index_size = (4 if version else 2), (2 if flags & 1 else 1)
    place, end = box.start + 8, box.end
    associations: dict[int, list[int]] = {}
    for _ in range(_number(data, box.start + 4, 4)):
        if place + id_size + 1 > end:
            raise ValueError("a box that is cut short")
        item = _number(data, place, id_size)
        number = data[place + id_size]
        place += id_size + 1
        mask = 0x7FFF if index_size == 2 else 0x7F  # the highest bit says that it must be obeyed
        associations[item] = [
            _number(data, place + index_size * index, index_size) & mask for index in range(number)
        ]
        place += index_size * number
    return associations
