"""AV1's headers: the sizes and the depth that its decoder will obey."""

from __future__ import annotations

import math
from typing import NamedTuple

_SEQUENCE, _FRAME_HEADER, _FRAME, _REPEATED_HEADER = 1, 3, 6, 7  # types of units
_MAX_UNITS = 4096  # of one image
_HEAD = 1024  # bytes of a unit that its header takes at most, as far as it is read
_KEY, _INTER, _SWITCH = 0, 1, 3  # types of frames; 2 is one without references
_CHOSEN = 2  # by each frame, instead of off or on for all


class Timing(NamedTuple):
    """The lengths in bits of a decoder model's times, where a stream has one.

    Attributes:
        removal: of the time at which a frame leaves the buffer.
        presentation: of the time at which it is shown; 0 where all intervals are equal.
    """

    removal: int
    presentation: int


class SequenceHeader(NamedTuple):
    """What the stream itself claims of all its frames.

    Attributes:
        size: (width, height) that its frames have if they do not state their own.
        bits: bits per channel.
        reduced: True for a single still picture, whose headers are shorter.
        side_bits: lengths of a frame's own width and height.
        id_bits: length of a frame's number, and of the difference of two; None without numbers.
        order_bits: length of the number in the order of showing; 0 without it.
        screen_tools: whether tools for screen content are used: 0, 1, or chosen by each frame.
        integer_vectors: whether motion is in whole pixels: 0, 1, or chosen by each frame.
        timing: of the decoder model; None without one.
        points: of each operating point the layers in it, and whether the decoder model covers it.
    """

    size: tuple[int, int]
    bits: int
    reduced: bool = False
    side_bits: tuple[int, int] = (16, 16)
    id_bits: tuple[int, int] | None = None
    order_bits: int = 0
    screen_tools: int = _CHOSEN
    integer_vectors: int = _CHOSEN
    timing: Timing | None = None
    points: tuple[tuple[int, bool], ...] = ()


class Stream(NamedTuple):
    """What the stream of one image claims.

    Attributes:
        size: (width, height) of its largest frame.
        bits: bits per channel.
        sizes: of the sequence and of each frame that states one.
    """

    size: tuple[int, int]
    bits: int
    sizes: frozenset[tuple[int, int]]


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


def read_stream(data: bytes) -> Stream | None:
    """Read the headers of an AV1 stream; None if it has no sequence header.

    Args:
        data: the coded data of one image.

    Raises:
        ValueError: it has several sequence headers that differ, or too many units to look at.
        IndexError: it is cut short.
    """
    sequence: SequenceHeader | None = None
    frames = set()
    place, units = 0, 0
    while place < len(data):
        head = data[place]
        extension = data[place + 1] if head & 4 else 0
        place += 2 if head & 4 else 1
        length = len(data) - place
        if head & 2:
            length, place = _leb128(data, place)
        kind = head >> 3 & 15
        reader = BitReader(data[place : place + min(length, _HEAD)])
        if kind == _SEQUENCE:
            header = _read_sequence(reader)
            if sequence not in (None, header):
                raise ValueError("an AV1 stream of several pictures")
            sequence = header
        elif kind in (_FRAME_HEADER, _FRAME, _REPEATED_HEADER):
            if sequence is None:
                raise ValueError("an AV1 frame before its sequence header")
            if size := _frame_size(reader, sequence, extension):
                frames.add(size)
        place += length
        units += 1
        if units > _MAX_UNITS:
            raise ValueError("an AV1 stream of too many units")
    if sequence is None:
        return None
    if not frames:
        raise ValueError("an AV1 stream without a frame")
    largest = max(frames, key=math.prod)
    return Stream(largest, sequence.bits, frozenset((sequence.size, *frames)))


def _leb128(data: bytes, place: int) -> tuple[int, int]:
    """Return a number of seven bits a byte, and where it ends."""
    value = 0
    for index in range(8):
        byte = data[place + index]
        value |= (byte & 127) << 7 * index
        if not byte & 128:
            return value, place + index + 1
    raise IndexError("a number that does not end")


def _read_sequence(reader: BitReader) -> SequenceHeader:
    """Read the unit's fields in the order of AV1's specification, section 5.5."""
    read = reader.read
    profile, _, reduced = read(3), read(1), read(1)
    timing, points = None, ()
    if reduced:
        read(5)  # level
    else:
        timing, points = _read_operating_points(reader)
    side_bits = read(4) + 1, read(4) + 1
    size = (read(side_bits[0]) + 1, read(side_bits[1]) + 1)
    id_bits = None
    if not reduced and read(1):  # frame numbers
        difference = read(4) + 2
        id_bits = difference + read(3) + 1, difference
    read(3)  # tools of every stream
    order_bits, screen_tools, integer_vectors = 0, _CHOSEN, _CHOSEN
    if not reduced:
        read(4)
        ordered = read(1)
        if ordered:
            read(2)
        screen_tools = _CHOSEN if read(1) else read(1)
        if screen_tools:
            integer_vectors = _CHOSEN if read(1) else read(1)
        if ordered:
            order_bits = read(3) + 1
    read(3)  # superres, cdef, restoration
    deep = read(1)
    bits = 10 if deep else 8
    if profile == 2 and deep:
        bits = 12 if read(1) else 10
    return SequenceHeader(
        size=size,
        bits=bits,
        reduced=bool(reduced),
        side_bits=side_bits,
        id_bits=id_bits,
        order_bits=order_bits,
        screen_tools=screen_tools,
        integer_vectors=integer_vectors,
        timing=timing,
        points=points,
    )


def _read_operating_points(
    reader: BitReader,
) -> tuple[Timing | None, tuple[tuple[int, bool], ...]]:
    """Read timing, decoder model and operating points."""
    read = reader.read
    timing, delay_bits = None, 0
    if read(1):  # timing
        read(64)
        equal_intervals = read(1)
        if equal_intervals:  # their length is a number in Exp-Golomb code
            zeros = 0
            while not read(1):
                zeros += 1
            if zeros > 31:  # of which decoders make different things
                raise ValueError("an AV1 interval that is too long")
            read(zeros)
        if read(1):  # decoder model
            delay_bits = read(5) + 1
            read(32)
            removal, presentation = read(5) + 1, read(5) + 1
            timing = Timing(removal, 0 if equal_intervals else presentation)
    display_delay = read(1)
    points = []
    for _ in range(read(5) + 1):
        layers = read(12)
        if read(5) > 7:  # level
            read(1)  # tier
        modeled = bool(timing and read(1))
        if modeled:
            read(2 * delay_bits + 1)
        if display_delay and read(1):
            read(4)
        points.append((layers, modeled))
    return timing, tuple(points)


def _frame_size(
    reader: BitReader, sequence: SequenceHeader, extension: int
) -> tuple[int, int] | None:
    """Read a frame header, section 5.9 of the specification, as far as its size.

    Args:
        reader: of the unit's bytes.
        sequence: the header of its stream.
        extension: the byte behind the unit's first, with the frame's layers; 0 without one.

    Returns:
        (width, height); None for a frame that takes both from an earlier one.
    """
    read = reader.read
    if sequence.reduced:
        return sequence.size
    if read(1):  # an earlier frame is shown
        return None
    timing, kind = sequence.timing, read(2)
    shown = read(1)
    if not shown:
        read(1)  # may be shown later
    elif timing:
        read(timing.presentation)
    fresh = kind == _SWITCH or (kind == _KEY and shown)  # refreshes all that is remembered
    resilient = fresh or read(1)
    read(1)  # update of probabilities
    screen_tools = read(1) if sequence.screen_tools == _CHOSEN else sequence.screen_tools
    if screen_tools and sequence.integer_vectors == _CHOSEN:
        read(1)
    if sequence.id_bits:
        read(sequence.id_bits[0])
    own_size = kind == _SWITCH or read(1)
    read(sequence.order_bits)
    inter = kind in (_INTER, _SWITCH)
    if inter and not resilient:
        read(3)  # the frame whose probabilities are taken
    if timing and read(1):
        _skip_removal_times(reader, sequence, extension)
    refreshed = 0xFF if fresh else read(8)
    if (inter or refreshed != 0xFF) and resilient and sequence.order_bits:
        read(8 * sequence.order_bits)
    if inter:
        _skip_references(reader, sequence)
        if own_size and not resilient and any(read(1) for _ in range(7)):
            return None  # that of a frame it refers to
    if not own_size:
        return sequence.size
    width_bits, height_bits = sequence.side_bits
    return read(width_bits) + 1, read(height_bits) + 1


def _skip_removal_times(reader: BitReader, sequence: SequenceHeader, extension: int) -> None:
    """Skip when the frame leaves the buffer, in each operating point that holds it."""
    temporal, spatial = extension >> 5, extension >> 3 & 3
    for layers, modeled in sequence.points:
        if modeled and (not layers or (layers >> temporal & 1 and layers >> spatial + 8 & 1)):
            reader.read(sequence.timing.removal)


def _skip_references(reader: BitReader, sequence: SequenceHeader) -> None:
    """Skip which earlier frames a frame refers to."""
    short = sequence.order_bits and reader.read(1)
    if short:
        reader.read(6)
    for _ in range(7):
        if not short:
            reader.read(3)
        if sequence.id_bits:
            reader.read(sequence.id_bits[1])
