"""The names of films: videos by their endings, folders, and patterns of numbered frames."""

from __future__ import annotations

import re
from pathlib import Path

VIDEO_ENDINGS = (
    ".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi", ".mpg", ".mpeg", ".mts", ".m2ts", ".wmv",
    ".flv", ".3gp", ".ogv", ".y4m",
)  # fmt: skip
PATTERN = re.compile(r"%0?(\d*)d")


def is_video(path: str | Path) -> bool:
    """Return whether a path has the ending of a video; it need not be there.

    Example:
        >>> is_video("films/a.MOV"), is_video("a.gif")
        (True, False)
    """
    return Path(path).suffix.lower() in VIDEO_ENDINGS


def film_ending(path: str | Path) -> str:
    """Return the ending of the film that is made of a video, .webm of the same and .mp4 of others.

    Example:
        >>> film_ending("a.webm"), film_ending("a.avi")
        ('.webm', '.mp4')
    """
    return ".webm" if Path(path).suffix.lower() == ".webm" else ".mp4"


def is_clip(path: str | Path) -> bool:
    """Return whether a path looks like a film: a video, a folder, or a pattern of frames.

    Example:
        >>> is_clip("a.webm"), is_clip("frame_%04d.png"), is_clip("photo.jpg")
        (True, True, False)
    """
    place = Path(path)
    if place.is_dir() or is_video(place):
        return True
    return is_pattern(place) and not place.exists()


def fill_pattern(pattern: Path, number: int) -> Path:
    """Return a frame's file by a pattern.

    Example:
        >>> fill_pattern(Path("out/frame_%04d.png"), 7).name
        'frame_0007.png'
    """
    width = int(PATTERN.search(pattern.name)[1] or 0)
    return pattern.with_name(PATTERN.sub(f"{number:0{width}d}", pattern.name, count=1))


def is_pattern(path: str | Path) -> bool:
    """Return whether a path is a pattern of numbered frames.

    Example:
        >>> is_pattern("out/frame_%04d.png"), is_pattern("out.mp4")
        (True, False)
    """
    return bool(PATTERN.search(Path(path).name))
