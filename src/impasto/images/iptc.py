"""IPTC-IIM: what agencies write into JPEG, TIFF and PNG files about a photograph."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

RAW_PROFILE = "Raw profile type iptc"  # keyword of the PNG text that holds it, as hexadecimal
_SIGNATURE = b"Photoshop 3.0\0"
_RESOURCE, _IPTC = b"8BIM", 0x0404
# Of record 2: content location, city, sublocation, province, country.
_LOCATION = (26, 27, 90, 92, 95, 100, 101)


def iptc_of_info(info: dict[str, Any]) -> bytes | None:
    """Return the IPTC records of an image that Pillow has open; None without any."""
    if isinstance(resources := info.get("photoshop"), dict):
        return resources.get(_IPTC) or None
    if isinstance(text := info.get(RAW_PROFILE), str):
        try:
            data = bytes.fromhex("".join(text.split("\n")[3:]))
        except ValueError:
            return None
        if data[:1] == b"\x1c":
            return data
        return iptc_of_resources(data.removeprefix(_SIGNATURE))
    return None


def iptc_of_resources(data: bytes) -> bytes | None:
    """Return the IPTC records among Photoshop's image resources; None without any."""
    position = 0
    while data[position : position + 4] == _RESOURCE and position + 8 < len(data):
        (code,) = struct.unpack_from(">H", data, position + 4)
        start = position + 7 + data[position + 6]  # behind the name
        start += start % 2
        if start + 4 > len(data):
            return None
        (size,) = struct.unpack_from(">I", data, start)
        if code == _IPTC:
            return data[start + 4 : start + 4 + size] or None
        position = start + 4 + size + size % 2
    return None


def jpeg_iptc(iptc: bytes) -> bytes:
    """Return the content of the JPEG segment that holds IPTC records."""
    size = struct.pack(">HHI", _IPTC, 0, len(iptc))
    return _SIGNATURE + _RESOURCE + size + iptc + bytes(len(iptc) % 2)


def png_iptc(iptc: bytes) -> bytes:
    """Return the text of a PNG that holds IPTC records."""
    digits = iptc.hex()
    lines = [digits[start : start + 72] for start in range(0, len(digits), 72)]
    return "\n".join(["", "iptc", f"{len(iptc):8}", *lines, ""]).encode()


def iptc_without_location(iptc: bytes) -> bytes:
    """Return IPTC records without those that say where a photograph was taken."""
    return b"".join(
        record for record in _records(iptc) if not (record[1:2] == b"\2" and record[2] in _LOCATION)
    )


def _records(iptc: bytes) -> Iterator[bytes]:
    """Yield the records, each with its head; what is no record comes in one piece at the end."""
    position = 0
    while iptc[position : position + 1] == b"\x1c" and position + 5 <= len(iptc):
        (size,) = struct.unpack_from(">H", iptc, position + 3)
        if size & 0x8000:  # an extended one, longer than 32 KB
            break
        yield iptc[position : position + 5 + size]
        position += 5 + size
    if rest := iptc[position:]:
        yield rest.ljust(3, b"\0")
