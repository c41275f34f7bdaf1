"""Figures of denoising: what went in and came out, and the pair of views that networks learn from.

Noise vanishes from a picture that is drawn smaller. Where that happens, a second row shows a part
of it pixel by pixel, the part with the most to see.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.denoising.zs_n2n import pair_downsample
from impasto.figure_layout import DPI, image, image_row, layout
from impasto.images.image import Image, ImageMetadata
from impasto.images.open_input import open_input
from impasto.images.resize import resize
from impasto.metrics import psnr

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ENLARGED = 3  # dots of the figure for a pixel of a detail
_SLIMMEST = 2  # a detail's longer side over its shorter one, where the picture has more
_FEWEST = 16  # pixels of the shorter side of pictures that have details
_SHARES = (0.1, 99.9)  # percentiles drawn black and white


def denoise_figure(truth: Any, noisy: Any, denoised: Any, *, stretch: bool = False) -> Figure:
    """Truth, noisy and denoised picture in one row, with how close each comes to the truth.

    Args:
        truth: the picture without noise, or None where nobody has it: then nothing is measured.
            Like the two others (C, H, W) or (planes, C, H, W), or anything that `denoise` takes.
            Of several planes the middle one is drawn; of other than one or three channels, their
            mean.
        noisy: the picture that was cleaned.
        denoised: what became of it.
        stretch: draw the 0.1th percentile of the truth (without one, of the denoised picture) as
            black and the 99.9th as white, as suits measured data; otherwise 0 and 1.

    Returns:
        A matplotlib figure on white, tied to no window; write it with `save_figure`. The PSNR
        below a picture is that of values cut off at black and white.

    Raises:
        ImageError: a file cannot be read.
        ValueError: the pictures differ in size, or are none.

    Example:
        >>> clean, noisy = torch.full((3, 16, 16), 0.5), torch.full((3, 16, 16), 0.6)
        >>> figure = denoise_figure(clean, noisy, clean)
        >>> [axes.get_title() for axes in figure.axes]
        ['truth', 'noisy', 'denoised']
        >>> [words.get_text() for axes in figure.axes for words in axes.texts]
        ['PSNR 20.00 dB', 'equal to the truth']
    """
    given = {"noisy": noisy, "denoised": denoised}
    given = given if truth is None else {"truth": truth, **given}
    pictures = {name: _picture(source, name) for name, source in given.items()}
    _check_sizes(pictures)
    best = pictures["denoised" if truth is None else "truth"]
    if stretch:
        low, high = _ends(best.pixels)
        pictures = {name: _stretched(found, low, high) for name, found in pictures.items()}
        best = _stretched(best, low, high)
    notes = [] if truth is None else ["", *(_closeness(best, p) for p in [*pictures.values()][1:])]
    return _with_details(pictures, best, notes)


def pair_figure(noisy: Any, *, stretch: bool = False) -> Figure:
    """A noisy picture beside the two half-size views that the pair downsampler makes of it.

    Args:
        noisy: as for `denoise_figure`.
        stretch: draw the picture's 0.1th percentile as black and its 99.9th as white.

    Returns:
        A matplotlib figure on white, tied to no window; write it with `save_figure`.

    Raises:
        ImageError: a file cannot be read.
        ValueError: it is no picture.

    Example:
        >>> figure = pair_figure(torch.rand(3, 16, 12))
        >>> [axes.texts[0].get_text() for axes in figure.axes]
        ['12 × 16', '6 × 8', '6 × 8']

    References:
        Mansour, Heckel 2023, arXiv:2303.11253, section 3.
    """
    picture = _picture(noisy, "noisy")
    if stretch:
        picture = _stretched(picture, *_ends(picture.pixels))
    views = pair_downsample(picture.pixels[None])
    pictures = {"noisy": Image(picture.pixels)}
    pictures |= {
        f"{name} view": Image(v[0]) for name, v in zip(("first", "second"), views, strict=True)
    }
    notes = [" × ".join(map(str, found.size)) for found in pictures.values()]
    return _with_details(pictures, picture, notes)


def _picture(source: Any, name: str) -> Image:
    """The plane of a source that is drawn, (C, H, W), with its opacity if it has any."""
    if isinstance(source, Tensor) and source.is_floating_point() and source.ndim >= 3:
        planes = source.detach().cpu().float().reshape(-1, *source.shape[-3:])
        return Image(planes[len(planes) // 2])
    found = open_input(source, name=name)
    if isinstance(found, Image):
        return found
    indices = list(found.plane_indices())
    return Image(found.read_plane(indices[len(indices) // 2]))


def _check_sizes(pictures: dict[str, Image]) -> None:
    """Refuse pictures that cannot be compared; a grey one goes with colors."""
    wanted = pictures["noisy"]
    for name, found in pictures.items():
        channels = {found.pixels.shape[0], wanted.pixels.shape[0]}
        if found.size != wanted.size or len(channels - {1}) > 1:
            raise ValueError(
                f"`{name}` must have the size of `noisy`, {_spoken(wanted)}, got {_spoken(found)}; "
                "give pictures of the same thing"
            )


def _spoken(picture: Image) -> str:
    """A picture's size in words."""
    channels = picture.pixels.shape[0]
    width, height = picture.size
    return f"{width} × {height} pixels in {channels} channel{'s' if channels != 1 else ''}"


def _ends(pixels: Tensor) -> tuple[float, float]:
    """The values to draw black and white, from some of the pixels where there are many."""
    step = max(1, int((pixels.numel() / 1e6) ** 0.5))
    low, high = np.percentile(pixels[:, ::step, ::step].numpy(), _SHARES).tolist()
    return (low, high) if high > low else (low, low + 1)


def _stretched(picture: Image, low: float, high: float) -> Image:
    """A picture whose `low` is drawn black and whose `high` is drawn white."""
    return Image((picture.pixels - low) / (high - low), picture.metadata)


def _closeness(truth: Image, picture: Image) -> str:
    """How close a picture is to the truth, as both are drawn."""
    channels = max(truth.pixels.shape[0], picture.pixels.shape[0])
    found = psnr(*(one.pixels.clamp(0, 1).expand(channels, -1, -1) for one in (truth, picture)))
    return f"PSNR {found:.2f} dB" if math.isfinite(found) else "equal to the truth"


def _with_details(pictures: dict[str, Image], guide: Image, notes: Sequence[str]) -> Figure:
    """A row of pictures of one thing, with details of them where pixels would not be seen.

    Args:
        pictures: name -> picture, of the guide's size or half of it.
        guide: the one that says which part has the most to see.
        notes: what stands below each.
    """
    aspects = [found.size[0] / found.size[1] for found in pictures.values()]
    inches, cells = layout(aspects, bool(notes))
    dots = inches * DPI
    images = [_drawn(found, dots) for found in pictures.values()]
    width, height = guide.size
    if height <= dots or min(width, height) < _FEWEST:
        return image_row(list(pictures), images, notes=notes, crisp=True)
    shape = min(max(aspects[0], 1 / _SLIMMEST), _SLIMMEST)
    wide = min(width, round(cells[0] * DPI / _ENLARGED)) // 2 * 2
    tall = min(height, round(cells[0] * DPI / _ENLARGED / shape)) // 2 * 2
    top, left = _liveliest(guide.pixels, tall, wide)
    details = []
    for found in pictures.values():
        smaller = round(height / found.size[1])  # 2 for half-size views
        rows, columns = (
            slice(start // smaller, (start + side) // smaller)
            for start, side in ((top, tall), (left, wide))
        )
        alpha = found.metadata.alpha
        metadata = ImageMetadata(alpha=None if alpha is None else alpha[rows, columns])
        details.append(_drawn(Image(found.pixels[:, rows, columns], metadata), math.inf))
    frame = left / width, top / height, wide / width, tall / height
    frames = [frame] * len(images)
    return image_row(
        list(pictures), images, notes=notes, details=details, frames=frames, crisp=True
    )


def _drawn(picture: Image, dots: float) -> np.ndarray:
    """(H, W, 3) in [0, 1] of a picture, with about as many rows as it is drawn with or fewer."""
    pixels = picture.pixels
    if pixels.shape[0] not in (1, 3):
        pixels = pixels.mean(0, keepdim=True)
    found = image(Image(pixels, picture.metadata))
    height, width = found.shape[:2]
    if height <= dots:
        return found
    size = max(1, round(width * dots / height)), max(1, round(dots))
    return resize(torch.from_numpy(found).permute(2, 0, 1), size).permute(1, 2, 0).numpy()


def _liveliest(pixels: Tensor, tall: int, wide: int) -> tuple[int, int]:
    """Top and left, both even, of the part (tall, wide) of (C, H, W) with the steepest slopes."""
    # Cells of four pixels a side are about free of noise.
    coarse = F.avg_pool2d(pixels.mean(0)[None, None], 4)  # (C, H, W) -> (1, 1, H / 4, W / 4)
    down, along = (F.pad(coarse.diff(dim=d).abs(), p) for d, p in ((2, (0, 0, 0, 1)), (3, (0, 1))))
    window = max(1, tall // 4), max(1, wide // 4)
    stride = tuple(max(1, side // 8) for side in window)
    slopes = F.avg_pool2d(down + along, window, stride)[0, 0]
    y, x = divmod(int(slopes.argmax()), slopes.shape[1])
    return 4 * stride[0] * y, 4 * stride[1] * x
