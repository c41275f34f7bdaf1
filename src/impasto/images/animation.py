"""Pictures one after the other in one file: animated WebP and GIF."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from impasto.files import check_writable, write_atomically
from impasto.images.resize import fit_longest_side, resize

FORMATS = {".webp": "WEBP", ".gif": "GIF"}
_QUALITY = 85  # of WebP's frames, of 100


def check_animation(
    path: str | Path, *, overwrite: bool = False, inputs: Sequence[str] = (), name: str = "path"
) -> Path:
    """Refuse a place for an animation before any work is done for it.

    Raises:
        ImageError: the place cannot be written, or is taken.
        ValueError: the ending names no format that animations are written in.

    Example:
        >>> check_animation("film.mp4")
        Traceback (most recent call last):
        ValueError: `path` must end in .webp or .gif, got 'film.mp4'; rename it
    """
    if Path(path).suffix.lower() not in FORMATS:
        ends = " or ".join(FORMATS)
        raise ValueError(f"`{name}` must end in {ends}, got {str(path)!r}; rename it")
    return check_writable(Path(path), overwrite=overwrite, inputs=inputs, name=name)


def write_animation(
    frames: Sequence[Tensor],
    path: str | Path,
    *,
    seconds: float = 8.0,
    hold: float = 2.0,
    longest: int = 640,
    overwrite: bool = False,
) -> Path:
    """Write pictures as an animation that goes round, whole or not at all.

    Args:
        frames: (3, H, W) in [0, 1] each, of any sizes; all are shown at the last one's shape.
        path: where to, ending in .webp or .gif.
        seconds: how long all but the last are shown together.
        hold: how long the last one is shown.
        longest: the longer side at most, in pixels.
        overwrite: replace a file that is already there.

    Returns:
        The path written.

    Raises:
        ValueError: no frames, or another ending.
        ImageError: the place cannot be written, or is taken.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_animation([torch.rand(3, 8, 8)] * 3, f"{folder}/film.gif").name
        'film.gif'
    """
    target = check_animation(path, overwrite=overwrite)
    if not frames:
        raise ValueError("`frames` must be at least one picture, got none; give some")
    high, wide = frames[-1].shape[1:]
    size = fit_longest_side((wide, high), min(longest, max(wide, high)))
    images = [_image(frame, size) for frame in frames]
    each = round(1000 * seconds / max(1, len(images) - 1))
    buffer = io.BytesIO()
    images[0].save(
        buffer,
        format=FORMATS[target.suffix.lower()],
        save_all=True,
        append_images=images[1:],
        duration=[max(20, each)] * (len(images) - 1) + [round(1000 * hold)],
        loop=0,
        quality=_QUALITY,
        method=4,
    )
    return write_atomically(buffer.getvalue(), target, overwrite=overwrite)


def _image(frame: Tensor, size: tuple[int, int]) -> Image.Image:
    """A picture, (3, H, W) in [0, 1], as Pillow has it, at a size."""
    shown = resize(frame.detach().cpu().float(), size).clamp(0, 1)
    return Image.fromarray((shown * 255 + 0.5).to(torch.uint8).permute(1, 2, 0).numpy())
