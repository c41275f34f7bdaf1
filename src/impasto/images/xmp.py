"""Store a recipe's JSON in an image's metadata, one XMP property beside those of other programs.

XMP is the one metadata block that PNG, JPEG, WebP, TIFF and AVIF all hold. It is read with
patterns rather than an XML parser: there is nothing in a pattern for a hostile file to expand.
"""

from __future__ import annotations

import json
import re
from xml.parsers import expat
from xml.sax.saxutils import escape, unescape

MAX_BYTES = 1_000_000
_QUOTES = {'"': "&quot;", "\n": "&#10;", "\r": "&#13;", "\t": "&#9;"}
_NAMES = {
    "&quot;": '"',
    "&apos;": "'",
    **{f"&#{o};": chr(o) for o in (9, 10, 13, 34, 39)},
    **{f"&#x{o:X};": chr(o) for o in (9, 10, 13, 34, 39)},
}
_ELEMENT = re.compile(rb"<impasto:recipe>([^<]*)</impasto:recipe>")
_ATTRIBUTE = re.compile(rb"\simpasto:recipe=(?:\"([^\"<]*)\"|'([^'<]*)')")
_DESCRIPTION = (
    '<rdf:Description rdf:about={about} xmlns:impasto="urn:impasto:1/">'
    "<impasto:recipe>{recipe}</impasto:recipe>"
    "</rdf:Description>"
)
_PACKET = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    "{}"
    "</rdf:RDF></x:xmpmeta>"
    '<?xpacket end="r"?>'
)
_END = "</rdf:RDF"
_RDF = re.compile(r"""xmlns:rdf\s*=\s*["']http://www\.w3\.org/1999/02/22-rdf-syntax-ns#["']""")
_ABOUT = re.compile(r"""\srdf:about\s*=\s*("[^"<]*"|'[^'<]*')""")
_EMPTY = re.compile(
    r"""<rdf:Description(?:\s+(?:rdf:about|xmlns:\w+)\s*=\s*(?:"[^"<]*"|'[^'<]*'))*\s*"""
    r"""(?:/>|>\s*</rdf:Description\s*>)"""
)
# Properties that say how the file of before stored its pixels, or describe pictures and data
# beside it: false in another file.
_PIXELS = (
    r"tiff:(?:ImageWidth|ImageLength|BitsPerSample|SamplesPerPixel|PhotometricInterpretation"
    r"|Compression|PlanarConfiguration|YCbCr\w+|WhitePoint|PrimaryChromaticities"
    r"|ReferenceBlackWhite|TransferFunction)"
    r"|exif:(?:PixelXDimension|PixelYDimension|ColorSpace|ComponentsConfiguration"
    r"|CompressedBitsPerPixel|Gamma)"
    r"|photoshop:(?:ICCProfile|ColorMode)|xmp:Thumbnails|xmpNote:HasExtendedXMP"
    r"|(?:hdrgm|HDRGainMap|GCamera|Container|GDepth|GImage|GAudio):\w+"
)
_RECIPE = "impasto:recipe"
_LOCATION = (
    r"exif:GPS\w+|photoshop:(?:City|State|Country)"
    r"|Iptc4xmpCore:(?:Location|CountryCode)|Iptc4xmpExt:Location\w+"
)


def to_xmp(recipe: str | None, packet: str | None = None) -> bytes | None:
    """Put a recipe into an XMP packet.

    Args:
        recipe: the recipe's JSON; None for none.
        packet: the properties of other programs, as `foreign_xmp` returns them; None for none.

    Returns:
        The packet in UTF-8, ready for any format's XMP block; None if there is nothing in it.

    Example:
        >>> from_xmp(to_xmp('{"steps": 300}'))
        '{"steps": 300}'
    """
    if recipe is None:
        return packet.encode() if packet else None
    # All properties of a packet are about the same thing, in the words of the first.
    about = match[1] if packet and (match := _ABOUT.search(packet)) else '""'
    description = _DESCRIPTION.format(about=about, recipe=escape(recipe, _QUOTES))
    if packet is None:
        return _PACKET.format(description).encode()
    end = packet.rindex(_END)
    return (packet[:end] + description + packet[end:]).encode()


def foreign_xmp(xmp: bytes | str | None) -> str | None:
    """Return an XMP packet without impasto's own property.

    Args:
        xmp: the packet of a file; None if the file has none.

    Returns:
        The packet; None if no program but impasto wrote properties into it.

    Raises:
        ValueError: it is longer than `MAX_BYTES` or not well-formed, or has a document type.
    """
    if xmp is None:
        return None
    if len(xmp) > MAX_BYTES:
        raise ValueError("its XMP is longer than 1 MB")
    packet = _decode(xmp)
    _check(packet)
    packet = _EMPTY.sub("", _without(packet, _RECIPE))
    if "<rdf:Description" not in packet:
        return None
    _check(to_xmp("{}", packet).decode())
    return packet


def without_pixel_facts(packet: str | None) -> str | None:
    """Return a packet without what it says of the pixels of the file that it was in.

    The orientation becomes 1, since pictures are turned upright.
    """
    if packet is None:
        return None
    packet = re.sub(r"""(\stiff:Orientation\s*=\s*["'])\d+""", r"\g<1>1", packet)
    packet = re.sub(r"(<tiff:Orientation(?:\s[^<>]*)?>)\s*\d+", r"\g<1>1", packet)
    return _without(packet, _PIXELS)


def without_location(packet: str | None) -> str | None:
    """Return a packet without what it says of where a photograph was taken."""
    return None if packet is None else _without(packet, _LOCATION)


def from_xmp(xmp: bytes | str | None) -> str | None:
    """Return the recipe's JSON inside an XMP packet.

    Both forms are read: the element that impasto writes, and the attribute that other programs
    may turn it into.

    Args:
        xmp: the packet of a file; None if the file has none.

    Returns:
        The JSON of one object; None if there is no recipe, if it is not JSON, or if the packet is
        larger than `MAX_BYTES`.
    """
    if xmp is None or len(xmp) > MAX_BYTES:
        return None
    packet = xmp.encode("utf-8", "replace") if isinstance(xmp, str) else bytes(xmp)
    if not (match := _ELEMENT.search(packet) or _ATTRIBUTE.search(packet)):
        return None
    text = unescape(next(filter(None, match.groups()), b"").decode("utf-8", "replace"), _NAMES)
    try:
        # As a float, no number has too many digits; who reads the recipe says what is wrong.
        return text if isinstance(json.loads(text, parse_int=float), dict) else None
    except (ValueError, RecursionError):
        return None


def _decode(xmp: bytes | str) -> str:
    """Return a packet as text, whichever encoding it is in."""
    if isinstance(xmp, str):
        return xmp.strip("\0")
    wide = xmp.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        return bytes(xmp).decode("utf-16" if wide else "utf-8-sig").strip("\0")
    except UnicodeError as error:
        raise ValueError("its XMP is broken") from error


def _check(packet: str) -> None:
    """Refuse a packet that a reader of XML would not read to its end, or into which none goes."""
    if "<!DOCTYPE" in packet or not _RDF.search(packet) or _END not in packet:
        raise ValueError("its XMP is not in a form that can be read")
    try:
        expat.ParserCreate(namespace_separator=" ").Parse(packet.encode("utf-8"), True)
    except (expat.ExpatError, UnicodeError) as error:
        raise ValueError("its XMP is broken") from error


def _without(packet: str, names: str) -> str:
    """Remove properties from a packet, in any of their three forms."""
    packet = re.sub(rf"<(?:{names})(?:\s[^<>]*)?/>", "", packet)
    packet = re.sub(rf"<({names})(?:\s[^<>]*)?>.*?</\1\s*>", "", packet, flags=re.DOTALL)
    return re.sub(rf"""\s(?:{names})\s*=\s*(?:"[^"]*"|'[^']*')""", "", packet)
