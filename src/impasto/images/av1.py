"""AV1's sequence header: the size and depth that its decoder will obey."""

from __future__ import annotations

from typing import NamedTuple

_SEQUENCE = 1  # type of the unit that holds the header
_MAX_UNITS = 4096  # of one image
_HEAD = 256  # bytes of the unit that suffice


class SequenceHeader(NamedTuple):
    """What the stream itself claims.

    Attributes:
        size: (width, height) of its largest frame.
        bits: bits per channel.
    """

    size: tuple[int, int]
    bits: int


class BitReader:
    """Read numbers from bytes, the highest bit first, or, if `lowest_first`, the lowest.

    Example:
        >>> BitReader(b"\\xa0").read(3)
        5
    """

    def __init__(self, data: bytes, *, lowest_first: bool = False) -> None:
        self.data = data
        self.lowest_first = lowest_first
        self.place = 0

    def read(self, bits: int) -> int:
        """Return the next number of `bits` bits.

        Raises:
            IndexError: the bytes are at an end.
        """
        value = 0
        for index in range(bits):
            byte, offset = divmod(self.place, 8)
            if self.lowest_first:
                value |= (self.data[byte] >> offset & 1) << index
            else:
                value = value << 1 | self.data[byte] >> 7 - offset & 1
            self.place += 1
        return value


def sequence_header(stream: bytes) -> SequenceHeader | None:
    """Return the sequence header of an AV1 stream; None if there is none.

    Args:
        stream: the coded data of one image; it may be cut short behind the header.

    Raises:
        ValueError: it has several that differ, or too many units to look at.
        IndexError: it is cut short.
    """
    headers = set()
    place, units = 0, 0
    while place < len(stream):
        head = stream[place]
        place += 2 if head & 4 else 1  # with an extension
        length = len(stream) - place
        if head & 2:
            length, place = _leb128(stream, place)
        if head >> 3 & 15 == _SEQUENCE:
            headers.add(_parse(BitReader(stream[place : place + min(length, _HEAD)])))
        place += length
        units += 1
        if units > _MAX_UNITS or len(headers) > 1:
            raise ValueError("an AV1 stream of several pictures")
    return headers.pop() if headers else None


def _leb128(data: bytes, place: int) -> tuple[int, int]:
    """Return a number of seven bits a byte, and where it ends."""
    value = 0
    for index in range(8):
        byte = data[place + index]
        value |= (byte & 127) << 7 * index
        if not byte & 128:
            return value, place + index + 1
    raise IndexError("a number that does not end")


def _parse(reader: BitReader) -> SequenceHeader:
    """Parse the unit's fields in the order of AV1's specification, section 5.5."""
    read = reader.read
    profile, _, reduced = read(3), read(1), read(1)
    if reduced:
        read(5)  # level
    else:
        _skip_operating_points(reader)
    width_bits, height_bits = read(4) + 1, read(4) + 1
    size = (read(width_bits) + 1, read(height_bits) + 1)
    if not reduced and read(1):  # frame numbers
        read(7)
    read(3)  # tools of every stream
    if not reduced:
        _skip_tools_of_sequences(reader)
    read(3)  # superres, cdef, restoration
    deep = read(1)
    if profile == 2 and deep:
        return SequenceHeader(size, 12 if read(1) else 10)
    return SequenceHeader(size, 10 if deep else 8)


def _skip_operating_points(reader: BitReader) -> None:
    """Skip timing, decoder model and operating points."""
    read = reader.read
    delay_bits = 0
    if read(1):  # timing
        read(64)
        if read(1):  # pictures at equal intervals: a number in Exp-Golomb code
            zeros = 0
            while not read(1):
                zeros += 1
            read(zeros)
        if read(1):  # decoder model
            delay_bits = read(5) + 1
            read(42)
    display_delay = read(1)
    for _ in range(read(5) + 1):
        read(12)
        if read(5) > 7:  # level
            read(1)  # tier
        if delay_bits and read(1):
            read(2 * delay_bits + 1)
        if display_delay and read(1):
            read(4)


def _skip_tools_of_sequences(reader: BitReader) -> None:
    """Skip the tools that a stream of a single still picture does not have."""
    read = reader.read
    read(4)
    order_hint = read(1)
    if order_hint:
        read(2)
    if read(1) or read(1):  # screen content tools, chosen in each frame or always on
        integer_vectors_chosen = read(1)
        if not integer_vectors_chosen:
            read(1)
    if order_hint:
        read(3)
