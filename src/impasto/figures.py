"""Figures: images in rows and grids, loss curves, and writing them to files.

All figures share one look: images under their titles on white paper, tied to no window.
"""

# ruff: noqa: E402

from __future__ import annotations

import io
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

# Without a handler of its own, what matplotlib logs of its caches would reach the terminal.
logging.getLogger("matplotlib").addHandler(logging.NullHandler())

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from impasto.errors import ImageError, printable, quote
from impasto.files import check_writable, write_atomically
from impasto.images.image import Image
from impasto.metrics import channels_first

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray
    from torch import Tensor

    from impasto.result import Losses

FORMATS = {".png": "png", ".jpg": "jpg", ".jpeg": "jpg", ".pdf": "pdf", ".svg": "svg"}
DPI = 200
_MAX_SIDE = 65_500  # pixels that matplotlib draws and JPEG holds

_DARK, _GRAY, _LIGHT = "#222222", "#666666", "#dddddd"  # of text, labels and grid lines
_AXIS, _SCALE_LINE = "#999999", "#bbbbbb"
# The usual losses, in the order they are drawn, and the colors of all others.
_LOSS_COLORS = {"total": _DARK, "style": "#c8641e", "content": "#2f6f9f"}
_MORE_LOSS_COLORS = ("#5b8c3e", "#8a5aa8", "#b03a5b", "#7a6a4f")

_MARGIN, _GAP, _TITLE, _NOTE = 0.22, 0.14, 0.34, 0.24  # inches
_MIN_CELL = 2.4  # inches: least width of a cell in a grid
_MAX_HEIGHT, _MAX_WIDTH = 3.6, 15.0  # inches: of a row
_MIN_WIDTHS = (0.9, 1.15)  # inches: least width of a cell in a row, without and with a note


def triptych(content: Any, style: Any, result: Any) -> Figure:
    """Draw content, style and output in one row of equal heights.

    Args:
        content: the content image: (C, H, W) in [0, 1], or anything that `open_image` reads.
        style: the style image, or a list of several.
        result: the output.

    Returns:
        A matplotlib figure on white, tied to no window; write it with `save_figure`.

    Raises:
        ImageError: a file cannot be read.

    Example:
        >>> import torch
        >>> figure = triptych(torch.zeros(3, 8, 12), torch.ones(3, 8, 8), torch.zeros(3, 8, 12))
        >>> [axes.get_title() for axes in figure.axes]
        ['content', 'style', 'output']
    """
    styles = list(style) if isinstance(style, (list, tuple)) else [style]
    names = ["style"] if len(styles) == 1 else [f"style {i}" for i in range(1, len(styles) + 1)]
    sources = [content, *styles, result]
    return image_row(["content", *names, "output"], [image_array(source) for source in sources])


def reconstruction_row(original: Any, pictures: Mapping[str, Tensor]) -> Figure:
    """Draw an image beside its reconstructions from single layers of the network.

    Args:
        original: the image itself: (C, H, W) in [0, 1], or anything that `open_image` reads.
        pictures: layer name -> (C, H, W) in [0, 1], drawn in this order.

    Returns:
        A matplotlib figure on white, tied to no window; write it with `save_figure`.

    Raises:
        ImageError: a file cannot be read.

    Example:
        >>> import torch
        >>> figure = reconstruction_row(torch.zeros(3, 8, 8), {"conv1_1": torch.ones(3, 8, 8)})
        >>> [axes.get_title() for axes in figure.axes]
        ['original', 'conv1_1']
    """
    sources = [original, *pictures.values()]
    return image_row(["original", *pictures], [image_array(source) for source in sources])


def contact_sheet(titles: Sequence[str], pictures: Sequence[Any], columns: int) -> Figure:
    """Draw images of one shape in a grid, each under its title.

    Args:
        titles: the text above each.
        pictures: (C, H, W) in [0, 1] each, or anything that `open_image` reads.
        columns: images in a row, at least 1.

    Returns:
        A matplotlib figure on white, tied to no window; write it with `save_figure`.

    Example:
        >>> import torch
        >>> figure = contact_sheet(["1", "2", "3"], [torch.zeros(3, 8, 12)] * 3, columns=2)
        >>> len(figure.axes)
        3
    """
    return _image_grid(titles, [image_array(picture) for picture in pictures], columns)


def check_sheet(count: int, columns: int, aspect: float, path: str | Path) -> None:
    """Refuse a contact sheet that has more pixels on a side than can be drawn, before the work.

    Args:
        count: images on it.
        columns: images in a row.
        aspect: width over height of each.
        path: of the sheet, for the error.

    Raises:
        ImageError: it is too large.
    """
    _, width, height = _grid_size(count, columns, aspect)
    pixels = round(DPI * max(width, height))
    if pixels > _MAX_SIDE:
        raise ImageError(
            f"`output` must be a sheet of at most {_MAX_SIDE:,} pixels on a side, got {path} with "
            f"{pixels:,}; crop the content image closer to a square, or show fewer cells"
        )


def loss_curve(history: Sequence[Losses], scale_starts: Sequence[int] = ()) -> Figure:
    """Draw every loss over the evaluations of a run, on a logarithmic axis.

    Zero, negative and non-finite values have no place on such an axis and leave gaps.

    Args:
        history: the losses of every evaluation, in order, as in `Result.history`.
        scale_starts: index into `history` of each scale's first evaluation, as in
            `Result.scale_starts`; each after the first is drawn as a thin line.

    Returns:
        A matplotlib figure on white, tied to no window; write it with `save_figure`.

    Example:
        >>> from impasto import Losses
        >>> first = Losses(total=3.0, content=1.0, style=2.0)
        >>> figure = loss_curve([first, Losses(total=2.0, content=1.0, style=1.0)], [0])
        >>> [line.get_label() for line in figure.axes[0].lines]
        ['total', 'style', 'content']
    """
    figure = _new_figure(7.2, 4.2)
    axes = figure.add_axes((0.135, 0.145, 0.84, 0.785))
    others = dict.fromkeys(
        name for losses in history for name in losses if name not in _LOSS_COLORS
    )
    curves = {
        name: np.array([losses.get(name, np.nan) for losses in history], dtype=float)
        for name in [*_LOSS_COLORS, *others]
    }
    curves = {
        name: np.where(np.isfinite(values) & (values > 0), values, np.nan)
        for name, values in curves.items()
    }
    curves = {name: values for name, values in curves.items() if not np.isnan(values).all()}
    if curves:
        axes.set_yscale("log")
    else:
        axes.text(0.5, 0.5, "no losses to draw", ha="center", color=_GRAY, transform=axes.transAxes)
        axes.set_yticks([])
    count = len(history)
    colors = _LOSS_COLORS | {
        name: _MORE_LOSS_COLORS[index % len(_MORE_LOSS_COLORS)] for index, name in enumerate(others)
    }
    for name, values in curves.items():
        axes.plot(
            range(1, count + 1),
            values,
            color=colors[name],
            lw=1.8 if name == "total" else 1.4,
            marker="o" if count < 3 else None,  # a line needs two points to be seen
            label=name,
            solid_joinstyle="round",
        )
    for number, start in enumerate(scale_starts, 1):
        if number > 1:
            axes.axvline(start + 1, color=_SCALE_LINE, lw=0.8, ls=(0, (3, 3)), zorder=0)
        if len(scale_starts) > 1:
            axes.annotate(
                f"scale {number}",
                (start + 1, 1),
                (4, 4),
                color=_GRAY,
                fontsize=8.5,
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
            )
    _style_chart(axes, count)
    return figure


def save_figure(figure: Figure, path: str | Path, overwrite: bool = False) -> Path:
    """Write a figure, whole or not at all; the same figure gives the same bytes as PNG.

    Args:
        figure: as `triptych`, `loss_curve` or `reconstruction_row` returned it.
        path: the file to write; the ending chooses the format (.png .jpg .pdf .svg).
        overwrite: replace a file that is already there.

    Returns:
        The path written.

    Raises:
        ImageError: the path cannot be written, or holds a file and `overwrite` is False.
        ValueError: the ending names no format that figures are written in.

    Example:
        >>> import tempfile
        >>> from impasto import Losses
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     curve = loss_curve([Losses(total=1.0, content=0.5, style=0.5)])
        ...     save_figure(curve, f"{folder}/loss.png").name
        'loss.png'
    """
    target = check_figure(path, overwrite=overwrite)
    kind = FORMATS[target.suffix.lower()]
    # Without these the writers store their version and the time.
    metadata_keys = {"png": "Software", "pdf": "CreationDate", "svg": "Date"}
    metadata = {metadata_keys[kind]: None} if kind in metadata_keys else None
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=DPI, facecolor="white", metadata=metadata)
    return write_atomically(buffer.getvalue(), target, overwrite=overwrite)


def check_figure(
    path: str | Path,
    *,
    overwrite: bool = False,
    inputs: Sequence[str | Path] = (),
    name: str = "path",
) -> Path:
    """Check a path for a figure before any work is done for it.

    Args:
        path: the file to write; the ending chooses the format (.png .jpg .pdf .svg).
        overwrite: whether a file that is already there may be replaced.
        inputs: files that must not be replaced even with `overwrite`.
        name: of the path, for error messages.

    Returns:
        The path.

    Raises:
        ImageError: the path cannot be written, is one of `inputs`, or holds a file and
            `overwrite` is False.
        ValueError: the ending names no format that figures are written in.

    Example:
        >>> check_figure("row.bmp")
        Traceback (most recent call last):
        ValueError: `path` must end in .png, .jpg, .jpeg, .pdf or .svg, got 'row.bmp'; rename it
    """
    target = Path(path)
    if target.suffix.lower() not in FORMATS:
        *others, last = FORMATS
        raise ValueError(
            f"`{name}` must end in {', '.join(others)} or {last}, got {quote(str(path))}; rename it"
        )
    return check_writable(target, overwrite=overwrite, inputs=inputs, name=name)


def image_row(
    titles: Sequence[str],
    images: Sequence[NDArray[np.float32]],
    *,
    notes: Sequence[str] = (),
    details: Sequence[NDArray[np.float32]] = (),
    frames: Sequence[tuple[float, float, float, float]] = (),
    crisp: bool = False,
) -> Figure:
    """Draw images side by side at equal heights, each under its title.

    Args:
        titles: the text above each.
        images: each (H, W, 3) in [0, 1].
        notes: the text below each.
        details: a part of each, (H, W, 3), drawn below it pixel by pixel.
        frames: place of each detail in its image: left, top, width and height, as shares of its
            sides.
        crisp: show the pixels of images that are drawn at least twice as large.

    Returns:
        A matplotlib figure on white, tied to no window.
    """
    height, widths = row_size([_aspect(pixels) for pixels in images], bool(notes))
    figure_width = sum(widths) + _GAP * (len(images) - 1) + 2 * _MARGIN
    detail_heights = [
        min(_MAX_HEIGHT, width / _aspect(pixels))
        for width, pixels in zip(widths, details, strict=False)
    ]
    detail_height = max(detail_heights, default=0)
    bottom = _MARGIN + (detail_height + _GAP if details else 0) + (_NOTE if notes else 0)
    figure_height = bottom + height + _TITLE + _MARGIN - 0.06
    figure = _new_figure(figure_width, figure_height)
    left = _MARGIN
    for index, (title, pixels, width) in enumerate(zip(titles, images, widths, strict=True)):
        x, share = left / figure_width, width / figure_width
        axes = figure.add_axes((x, bottom / figure_height, share, height / figure_height))
        enlarged = crisp and height * DPI >= 2 * pixels.shape[0]
        _show(axes, pixels, "nearest" if enlarged else "lanczos")
        axes.set_title(title, fontsize=11, color=_DARK, pad=7)
        if notes and notes[index]:
            axes.annotate(
                notes[index], (0.5, 0), (0, -6), color=_GRAY, fontsize=10, ha="center", va="top",
                xycoords="axes fraction", textcoords="offset points",
            )  # fmt: skip
        if details:
            _draw_frame(axes, frames[index])
            box = (x, _MARGIN / figure_height, share, detail_height / figure_height)
            _show(figure.add_axes(box), details[index], "nearest")
        left += width + _GAP
    return figure


def row_size(aspects: Sequence[float], notes: bool = False) -> tuple[float, list[float]]:
    """Return the height of a row, and the width of each of its cells, in inches.

    Args:
        aspects: width over height of each image.
        notes: leave width for a text below each.

    Example:
        >>> row_size([1.0, 1.0])
        (3.6, [3.6, 3.6])
    """
    available = _MAX_WIDTH - 2 * _MARGIN - _GAP * (len(aspects) - 1)
    height = min(_MAX_HEIGHT, available / sum(aspects))
    return height, [max(aspect * height, _MIN_WIDTHS[notes]) for aspect in aspects]


def image_array(source: Any) -> NDArray[np.float32]:
    """Return (H, W, 3) in [0, 1] for matplotlib; transparent pixels become white.

    Args:
        source: (C, H, W) in [0, 1], or anything that `open_image` reads.
    """
    pixels = channels_first(source, "picture").astype(np.float32)
    pixels = np.broadcast_to(pixels, (3, *pixels.shape[1:]))  # gray -> three equal channels
    if isinstance(source, Image) and source.metadata.alpha is not None:
        alpha = source.metadata.alpha.numpy()
        pixels = pixels * alpha + (1 - alpha)
    return np.clip(np.nan_to_num(pixels), 0, 1).transpose(1, 2, 0)  # (C, H, W) -> (H, W, C)


def _image_grid(
    titles: Sequence[str], images: Sequence[NDArray[np.float32]], columns: int
) -> Figure:
    """Draw images of one shape, (H, W, 3) in [0, 1] each, in rows; see `contact_sheet`."""
    columns = min(columns, len(images))
    cell_width, width, height = _grid_size(len(images), columns, _aspect(images[0]))
    cell_height = cell_width / _aspect(images[0])
    figure = _new_figure(width, height)
    for index, (title, pixels) in enumerate(zip(titles, images, strict=True)):
        row, column = divmod(index, columns)
        left = _MARGIN + column * (cell_width + _GAP)
        bottom = height - _MARGIN - (row + 1) * (cell_height + _TITLE)
        box = (left / width, bottom / height, cell_width / width, cell_height / height)
        axes = figure.add_axes(box)
        _show(axes, pixels, "lanczos")
        # Labels may be names from a presets file.
        options = {"fontsize": 9, "color": _DARK, "pad": 5, "loc": "left", "parse_math": False}
        axes.set_title(printable(title), **options)
    return figure


def _grid_size(count: int, columns: int, aspect: float) -> tuple[float, float, float]:
    """Return the width of a cell and the width and height of a grid, in inches."""
    columns = min(columns, count)
    rows = -(-count // columns)
    spread = (_MAX_WIDTH - 2 * _MARGIN - _GAP * (columns - 1)) / max(columns, 5)
    cell_width = max(_MIN_CELL, spread)
    width = columns * cell_width + (columns - 1) * _GAP + 2 * _MARGIN
    height = rows * (cell_width / aspect + _TITLE) + 2 * _MARGIN
    return cell_width, width, height


def _new_figure(width: float, height: float) -> Figure:
    """Return an empty white figure of some inches, with the Agg canvas and outside pyplot."""
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _aspect(pixels: NDArray[np.float32]) -> float:
    """Return width over height of (H, W, 3)."""
    return pixels.shape[1] / pixels.shape[0]


def _show(axes: Axes, pixels: NDArray[np.float32], interpolation: str) -> None:
    """Draw (H, W, 3) with nothing around it."""
    axes.imshow(pixels, interpolation=interpolation, vmin=0, vmax=1)
    axes.set_axis_off()


def _draw_frame(axes: Axes, frame: tuple[float, float, float, float]) -> None:
    """Mark a part of an image by a line that is visible on dark and light."""
    left, top, width, height = frame
    for color, thickness in (("black", 1.8), ("white", 0.9)):
        axes.add_patch(
            Rectangle(
                (left, 1 - top - height), width, height, fill=False, ec=color, lw=thickness,
                transform=axes.transAxes, clip_on=False,
            )
        )  # fmt: skip


def _style_chart(axes: Axes, count: int) -> None:
    """Remove everything from a chart of some evaluations that is not needed to read it."""
    axes.set_xlabel("evaluation", color=_GRAY, fontsize=10, loc="left")
    axes.set_ylabel("loss", color=_GRAY, fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_AXIS)
    axes.tick_params(which="both", color=_AXIS, labelcolor=_GRAY, labelsize=9)
    axes.tick_params(which="minor", left=False)
    axes.grid(axis="y", color=_LIGHT, lw=0.6)
    axes.set_axisbelow(True)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, steps=[1, 2, 5, 10]))
    axes.set_xlim(1 - 0.01 * count, max(count, 2) + 0.01 * count)
    if axes.lines and (handles := axes.get_legend_handles_labels()[0]):
        axes.legend(
            handles=handles,
            frameon=False,
            fontsize=10,
            labelcolor=_DARK,
            ncols=max(3, len(handles)),
            loc="upper right",
            bbox_to_anchor=(1.015, -0.06),
            columnspacing=1.6,
        )
