"""What of a file is left out or converted when it is read, in the words that users get to see."""

from __future__ import annotations

from impasto.images.header import Header
from impasto.images.icc import converted_space
from impasto.images.tiff_tags import is_georeferenced
from impasto.images.xmp import foreign_xmp, without_pixel_facts


def file_notes(header: Header) -> tuple[str, ...]:
    """Return what of a file is left out of its picture, or taken for what without its word.

    Args:
        header: of a decoded file, or of one of which no more is known.

    Returns:
        Ends of sentences that begin with the file's name.
    """
    notes = list(header.notes)
    if header.page is None and (header.frames or 1) > 1:  # that of a TIFF has a note of its own
        notes.append(f"1 of its {header.frames:,} pictures taken, the others left out")
    try:
        without_pixel_facts(foreign_xmp(header.xmp))
    except ValueError as error:
        notes.append(f"{error} and left out")
    if header.orientation != 1 and is_georeferenced(header.tags):
        notes.append("its georeference is left out, as the picture is turned")
    return tuple(notes)


def color_note(header: Header) -> tuple[str, ...]:
    """Return a note on the color space that is converted to sRGB, if there is any."""
    channels = {"C": 4, "L": 1, "1": 1, "I": 1, "F": 1}.get(header.mode[:1], 3)
    channels = 3 if header.mode.startswith("LAB") else channels
    space = converted_space(header.icc, header.color_space, channels)
    return (f"its colors are converted from {space} to sRGB",) if space else ()
