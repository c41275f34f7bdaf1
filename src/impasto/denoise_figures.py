"""Figures of denoising: noisy and denoised images, and the pair of views that ZS-N2N learns from.

Noise vanishes from an image that is drawn smaller. Then a second row shows a part of it pixel by
pixel, the part with the most detail.
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
from impasto.figures import DPI, image_array, image_row, row_size
from impasto.images.image import Image, ImageMetadata
from impasto.images.open_input import open_input
from impasto.images.resize import resize
from impasto.metrics import describe_shape, psnr

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from impasto.result import DenoiseResult

_DOTS_PER_PIXEL = 3  # dots of the figure for a pixel of a detail
_MAX_ASPECT = 2  # of a detail's longer side over its shorter one
_MIN_SIDE = 16  # pixels of the shorter side of images that get details
_PERCENTILES = (0.1, 99.9)  # drawn black and white


def denoise_figure(truth: Any, noisy: Any, denoised: Any, *, stretch: bool = False) -> Figure:
    """Draw truth, noisy and denoised picture in one row, with the PSNR of each to the truth.

    Args:
        truth: the picture without noise, or None if it is not known; then nothing is measured.
            Like the two others (C, H, W) or (planes, C, H, W), or anything that `denoise` takes.
            Of several planes the middle one is drawn; of other than one or three channels, their
            mean.
        noisy: the picture before denoising.
        denoised: the same after it.
        stretch: draw the 0.1th percentile of the truth (without one, of the denoised picture) as
            black and the 99.9th as white, as suits measured data; otherwise 0 and 1.

    Returns:
        A matplotlib figure on white, tied to no window; write it with `save_figure`. The PSNR
        below a picture is that of values clipped at black and white.

    Raises:
        ImageError: a file cannot be read.
        ValueError: the pictures differ in size, or a source is not a picture.

    Example:
        >>> clean, noisy = torch.full((3, 16, 16), 0.5), torch.full((3, 16, 16), 0.6)
        >>> figure = denoise_figure(clean, noisy, clean)
        >>> [axes.get_title() for axes in figure.axes]
        ['truth', 'noisy', 'denoised']
        >>> [words.get_text() for axes in figure.axes for words in axes.texts]
        ['PSNR 20.00 dB', 'equal to the truth']
    """
    sources = {"noisy": noisy, "denoised": denoised}
    sources = sources if truth is None else {"truth": truth, **sources}
    images = {name: _middle_plane(source, name) for name, source in sources.items()}
    _check_sizes(images)
    guide_name = "denoised" if truth is None else "truth"
    if stretch:
        black, white = _black_and_white(images[guide_name].pixels)
        images = {name: _stretch(image, black, white) for name, image in images.items()}
    guide = images[guide_name]
    notes = []
    if truth is not None:
        notes = ["", *(_psnr_note(guide, images[name]) for name in ("noisy", "denoised"))]
    return _row_with_details(images, guide, notes)


def result_figure(result: DenoiseResult, truth: Any = None) -> Figure:
    """Draw a result as `denoise_figure` does, with its opacity; measured data is stretched.

    Args:
        result: of `denoise`.
        truth: as for `denoise_figure`.

    Returns:
        A matplotlib figure on white, tied to no window; write it with `save_figure`.

    Example:
        >>> from impasto import denoise
        >>> figure = result_figure(denoise(torch.rand(1, 16, 16), sigma=0.1))
        >>> [axes.get_title() for axes in figure.axes]
        ['noisy', 'denoised']
    """
    if not isinstance(result.source, ImageMetadata):
        return denoise_figure(truth, result.noisy, result.pixels, stretch=True)
    noisy, pixels = (Image(pixels, result.source) for pixels in (result.noisy, result.pixels))
    return denoise_figure(truth, noisy, pixels)


def pair_figure(noisy: Any, *, stretch: bool = False) -> Figure:
    """Draw a noisy picture beside the two half-size views that the pair downsampler makes of it.

    Args:
        noisy: as for `denoise_figure`.
        stretch: draw the picture's 0.1th percentile as black and its 99.9th as white.

    Returns:
        A matplotlib figure on white, tied to no window; write it with `save_figure`.

    Raises:
        ImageError: a file cannot be read.
        ValueError: the source is not a picture.

    Example:
        >>> figure = pair_figure(torch.rand(3, 16, 12))
        >>> [axes.texts[0].get_text() for axes in figure.axes]
        ['12 × 16', '6 × 8', '6 × 8']

    References:
        Mansour, Heckel 2023, arXiv:2303.11253, section 3.
    """
    image = _middle_plane(noisy, "noisy")
    if stretch:
        image = _stretch(image, *_black_and_white(image.pixels))
    first, second = pair_downsample(image.pixels[None])
    images = {
        "noisy": Image(image.pixels),
        "first view": Image(first[0]),
        "second view": Image(second[0]),
    }
    notes = [" × ".join(map(str, view.size)) for view in images.values()]
    return _row_with_details(images, image, notes)


def _middle_plane(source: Any, name: str) -> Image:
    """Return the plane of a source that is drawn, (C, H, W), with its opacity if it has any."""
    if isinstance(source, Tensor) and source.is_floating_point() and source.ndim >= 3:
        planes = source.detach().cpu().float().reshape(-1, *source.shape[-3:])
        return Image(planes[len(planes) // 2])
    data = open_input(source, name=name)
    if isinstance(data, Image):
        return data
    indices = list(data.plane_indices())
    return Image(data.read_plane(indices[len(indices) // 2]))


def _check_sizes(images: dict[str, Image]) -> None:
    """Refuse images that cannot be compared; a gray one goes with colors."""
    noisy = images["noisy"]
    for name, image in images.items():
        channels = {image.pixels.shape[0], noisy.pixels.shape[0]}
        if image.size != noisy.size or len(channels - {1}) > 1:
            raise ValueError(
                f"`{name}` must have the size of `noisy`, {describe_shape(noisy.pixels.shape)}, "
                f"got {describe_shape(image.pixels.shape)}; give pictures of the same thing"
            )


def _black_and_white(pixels: Tensor) -> tuple[float, float]:
    """Return the values to draw black and white, from a sample of the pixels if there are many."""
    step = max(1, int((pixels.numel() / 1e6) ** 0.5))
    black, white = np.percentile(pixels[:, ::step, ::step].numpy(), _PERCENTILES).tolist()
    return (black, white) if white > black else (black, black + 1)


def _stretch(image: Image, black: float, white: float) -> Image:
    """Rescale an image so that `black` becomes 0 and `white` becomes 1."""
    return Image((image.pixels - black) / (white - black), image.metadata)


def _psnr_note(truth: Image, image: Image) -> str:
    """Write the PSNR of an image to the truth, as both are drawn."""
    channels = max(truth.pixels.shape[0], image.pixels.shape[0])
    drawn = (i.pixels.clamp(0, 1).expand(channels, -1, -1) for i in (truth, image))
    value = psnr(*drawn)
    return f"PSNR {value:.2f} dB" if math.isfinite(value) else "equal to the truth"


def _row_with_details(images: dict[str, Image], guide: Image, notes: Sequence[str]) -> Figure:
    """Draw images of one scene in a row, with details of them if pixels would not be visible.

    Args:
        images: title -> image, of the guide's size or half of it.
        guide: the image whose steepest part becomes the detail.
        notes: the text below each.
    """
    aspects = [image.size[0] / image.size[1] for image in images.values()]
    row_height, cell_widths = row_size(aspects, bool(notes))
    dots = row_height * DPI
    arrays = [_resized_array(image, dots) for image in images.values()]
    width, height = guide.size
    if height <= dots or min(width, height) < _MIN_SIDE:
        return image_row(list(images), arrays, notes=notes, crisp=True)
    aspect = min(max(aspects[0], 1 / _MAX_ASPECT), _MAX_ASPECT)
    detail_width = min(width, round(cell_widths[0] * DPI / _DOTS_PER_PIXEL)) // 2 * 2
    detail_height = min(height, round(cell_widths[0] * DPI / _DOTS_PER_PIXEL / aspect)) // 2 * 2
    top, left = _steepest_part(guide.pixels, detail_height, detail_width)
    details = []
    for image in images.values():
        factor = round(height / image.size[1])  # 2 for half-size views
        rows, columns = (
            slice(start // factor, (start + side) // factor)
            for start, side in ((top, detail_height), (left, detail_width))
        )
        alpha = image.metadata.alpha
        metadata = ImageMetadata(alpha=None if alpha is None else alpha[rows, columns])
        details.append(_resized_array(Image(image.pixels[:, rows, columns], metadata), math.inf))
    frame = left / width, top / height, detail_width / width, detail_height / height
    frames = [frame] * len(arrays)
    return image_row(list(images), arrays, notes=notes, details=details, frames=frames, crisp=True)


def _resized_array(image: Image, dots: float) -> np.ndarray:
    """Return (H, W, 3) in [0, 1] with at most about as many rows as the figure has dots."""
    pixels = image.pixels
    if pixels.shape[0] not in (1, 3):
        pixels = pixels.mean(0, keepdim=True)
    array = image_array(Image(pixels, image.metadata))
    height, width = array.shape[:2]
    if height <= dots:
        return array
    size = max(1, round(width * dots / height)), max(1, round(dots))
    return resize(torch.from_numpy(array).permute(2, 0, 1), size).permute(1, 2, 0).numpy()


def _steepest_part(pixels: Tensor, height: int, width: int) -> tuple[int, int]:
    """Return top and left, both even, of the part of (C, H, W) with the steepest slopes."""
    # Cells of four pixels a side are about free of noise.
    coarse = F.avg_pool2d(pixels.mean(0)[None, None], 4)  # (C, H, W) -> (1, 1, H / 4, W / 4)
    down, across = (F.pad(coarse.diff(dim=d).abs(), p) for d, p in ((2, (0, 0, 0, 1)), (3, (0, 1))))
    window = max(1, height // 4), max(1, width // 4)
    stride = tuple(max(1, side // 8) for side in window)
    slopes = F.avg_pool2d(down + across, window, stride)[0, 0]
    y, x = divmod(int(slopes.argmax()), slopes.shape[1])
    return 4 * stride[0] * y, 4 * stride[1] * x
