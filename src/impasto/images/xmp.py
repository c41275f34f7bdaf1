"""Store a recipe's JSON in an image's metadata: one XMP property, the same in every format.

XMP is the one metadata block that PNG, JPEG, WebP, TIFF and AVIF all hold. It is read with a
pattern rather than an XML parser: there is nothing in a pattern for a hostile file to expand.
"""

from __future__ import annotations

import json
import re
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
_PACKET = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:impasto="urn:impasto:1/">'
    "<impasto:recipe>{}</impasto:recipe>"
    "</rdf:Description></rdf:RDF></x:xmpmeta>"
    '<?xpacket end="r"?>'
)


def to_xmp(recipe: str) -> bytes:
    """Wrap a recipe in an XMP packet.

    Args:
        recipe: the recipe's JSON.

    Returns:
        The packet in UTF-8, ready for any format's XMP block.

    Example:
        >>> from_xmp(to_xmp('{"steps": 300}'))
        '{"steps": 300}'
    """
    return _PACKET.format(escape(recipe, _QUOTES)).encode()


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
