"""Write animations: WebP and GIF."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from impasto.errors import quote
from impasto.files import check_writable, write_atomically
from impasto.images.resize import resize, thumbnail

FORMATS = {".webp": "WEBP", ".gif": "GIF"}
_QUALITY = 85  # of WebP's frames, 1 to 100


def check_animation(
    path: str | Path, *, overwrite: bool = False, inputs: Sequence[str] = (), name: str = "path"
) -> Path:
    """Make sure that an animation can be written, before any work is done.

    Args:
        path: where to write.
        overwrite: replace a file that exists.
        inputs: files that must not be written to.
        name: the argument's name in errors.

    Raises:
        ImageError: the path cannot be written, or exists.
        ValueError: the ending names no format that animations are written in.

    Example:
        >>> check_animation("film.mp4")
        Traceback (most recent call last):
        ValueError: `path` must end in .webp or .gif, got 'film.mp4'; rename it
    """
    if Path(path).suffix.lower() not in FORMATS:
        endings = " or ".join(FORMATS)
        raise ValueError(f"`{name}` must end in {endings}, got {quote(str(path))}; rename it")
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
    """Write images as an animation that repeats, whole or not at all.

    Args:
        frames: (3, H, W) in [0, 1] each, of any sizes; all are resized to the size of the last.
        path: where to write, ending in .webp or .gif.
        seconds: duration of all frames but the last.
        hold: duration of the last frame in seconds.
        longest: the longer side at most, in pixels.
        overwrite: replace a file that exists.

    Returns:
        The path written.

    Raises:
        ValueError: no frames, or another ending.
        ImageError: the path cannot be written, or exists.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_animation([torch.rand(3, 8, 8)] * 3, f"{folder}/film.gif").name
        'film.gif'
    """
    target = check_animation(path, overwrite=overwrite)
    if not frames:
        raise ValueError("`frames` must be at least one picture, got none; give some")
    last = thumbnail(frames[-1].detach().cpu().float(), longest)
    height, width = last.shape[1:]
    images = [_to_pillow(frame, (width, height)) for frame in (*frames[:-1], last)]
    duration = round(1000 * seconds / max(1, len(images) - 1))  # ms
    buffer = io.BytesIO()
    images[0].save(
        buffer,
        format=FORMATS[target.suffix.lower()],
        save_all=True,
        append_images=images[1:],
        duration=[max(20, duration)] * (len(images) - 1) + [round(1000 * hold)],
        loop=0,
        quality=_QUALITY,
        method=4,
    )
    return write_atomically(buffer.getvalue(), target, overwrite=overwrite)


def _to_pillow(frame: Tensor, size: tuple[int, int]) -> Image.Image:
    """Convert (3, H, W) in [0, 1] to a Pillow image of a size."""
    pixels = resize(frame.detach().cpu().float(), size).clamp(0, 1)
    return Image.fromarray((pixels * 255 + 0.5).to(torch.uint8).permute(1, 2, 0).numpy())
