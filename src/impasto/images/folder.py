"""The pictures of a folder."""

from __future__ import annotations

from pathlib import Path

from impasto.errors import ImageError
from impasto.images.formats import ENDINGS


def image_files(folder: str | Path, name: str) -> list[Path]:
    """The picture files of a folder, known by their endings, by name; not those of its folders.

    Args:
        folder: where to look.
        name: what errors call it.

    Raises:
        ImageError: there is none.
    """
    found = [
        path
        for path in sorted(Path(folder).iterdir())
        if path.suffix.lower() in ENDINGS and path.is_file() and not path.name.startswith(".")
    ]
    if not found:
        raise ImageError(
            f"`{name}` must be a picture or a folder of pictures, got {folder}, which holds none; "
            "choose another"
        )
    return found
