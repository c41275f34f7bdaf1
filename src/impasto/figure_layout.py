"""Pictures in a row on white paper: the one look that all figures with pictures share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from impasto.images.image import Image
from impasto.metrics import channels_first

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

DPI = 200
INK, SOFT, FAINT = "#222222", "#666666", "#dddddd"
_MARGIN, _GAP, _TITLE, _NOTE = 0.22, 0.14, 0.34, 0.24  # inches
_CELL = 2.4  # inches: the least width of a cell in a grid
_TALLEST, _WIDEST = 3.6, 15.0  # inches: a row's height and its width
_NARROWEST = (0.9, 1.15)  # inches: one cell's width, without and with a note


def image_row(
    titles: Sequence[str],
    images: Sequence[NDArray[np.float32]],
    *,
    notes: Sequence[str] = (),
    details: Sequence[NDArray[np.float32]] = (),
    frames: Sequence[tuple[float, float, float, float]] = (),
    crisp: bool = False,
) -> Figure:
    """Pictures side by side at equal heights, each under its title.

    Args:
        titles: what stands above each.
        images: each (H, W, 3) in [0, 1].
        notes: what stands below each.
        details: of each, (H, W, 3), drawn below it pixel by pixel.
        frames: where each detail is in its picture: left, top, width and height, shares of its
            sides.
        crisp: whether pixels of pictures drawn at least twice as large are to be seen.

    Returns:
        A matplotlib figure on white, tied to no window.
    """
    height, cells = layout([_aspect(shown) for shown in images], bool(notes))
    wide = sum(cells) + _GAP * (len(images) - 1) + 2 * _MARGIN
    lower = [min(_TALLEST, c / _aspect(shown)) for c, shown in zip(cells, details, strict=False)]
    below = _MARGIN + (max(lower) + _GAP if lower else 0) + (_NOTE if notes else 0)
    tall = below + height + _TITLE + _MARGIN - 0.06
    figure = canvas(wide, tall)
    left = _MARGIN
    for place, (title, shown, cell) in enumerate(zip(titles, images, cells, strict=True)):
        axes = figure.add_axes((left / wide, below / tall, cell / wide, height / tall))
        coarse = crisp and height * DPI >= 2 * shown.shape[0]
        _show(axes, shown, "nearest" if coarse else "lanczos")
        axes.set_title(title, fontsize=11, color=INK, pad=7)
        if notes and notes[place]:
            axes.annotate(
                notes[place], (0.5, 0), (0, -6), color=SOFT, fontsize=10, ha="center", va="top",
                xycoords="axes fraction", textcoords="offset points",
            )  # fmt: skip
        if details:
            _frame(axes, frames[place])
            box = (left / wide, _MARGIN / tall, cell / wide, max(lower) / tall)
            _show(figure.add_axes(box), details[place], "nearest")
        left += cell + _GAP
    return figure


def image_grid(
    titles: Sequence[str], images: Sequence[NDArray[np.float32]], columns: int
) -> Figure:
    """Pictures of one shape in rows, each under its title.

    Args:
        titles: what stands above each.
        images: each (H, W, 3) in [0, 1], drawn pixel by pixel.
        columns: how many stand side by side.

    Returns:
        A matplotlib figure on white, tied to no window.
    """
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    cell = max(_CELL, (_WIDEST - 2 * _MARGIN - _GAP * (columns - 1)) / max(columns, 5))
    high = cell / _aspect(images[0])
    wide = columns * cell + (columns - 1) * _GAP + 2 * _MARGIN
    tall = rows * (high + _TITLE) + 2 * _MARGIN
    figure = canvas(wide, tall)
    for place, (title, shown) in enumerate(zip(titles, images, strict=True)):
        line, column = divmod(place, columns)
        left = _MARGIN + column * (cell + _GAP)
        below = tall - _MARGIN - (line + 1) * (high + _TITLE)
        axes = figure.add_axes((left / wide, below / tall, cell / wide, high / tall))
        _show(axes, shown, "lanczos")
        axes.set_title(title, fontsize=9, color=INK, pad=5, loc="left")
    return figure


def layout(aspects: Sequence[float], notes: bool = False) -> tuple[float, list[float]]:
    """The height of a row, and the width of each of its cells, in inches.

    Args:
        aspects: width over height of each picture.
        notes: whether there are words below them, which need some width.

    Example:
        >>> layout([1.0, 1.0])
        (3.6, [3.6, 3.6])
    """
    spare = _WIDEST - 2 * _MARGIN - _GAP * (len(aspects) - 1)
    height = min(_TALLEST, spare / sum(aspects))
    return height, [max(aspect * height, _NARROWEST[notes]) for aspect in aspects]


def image(source: Any) -> NDArray[np.float32]:
    """(H, W, 3) in [0, 1] for matplotlib, of anything that holds a picture; paper shows through."""
    pixels = channels_first(source, "picture").astype(np.float32)
    pixels = np.broadcast_to(pixels, (3, *pixels.shape[1:]))  # grey -> three equal channels
    if isinstance(source, Image) and source.metadata.alpha is not None:
        alpha = source.metadata.alpha.numpy()
        pixels = pixels * alpha + (1 - alpha)
    return np.clip(np.nan_to_num(pixels), 0, 1).transpose(1, 2, 0)  # (C, H, W) -> (H, W, C)


def canvas(width: float, height: float) -> Figure:
    """An empty white figure of so many inches, with the Agg canvas and outside pyplot."""
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _aspect(shown: NDArray[np.float32]) -> float:
    """Width over height of (H, W, 3)."""
    return shown.shape[1] / shown.shape[0]


def _show(axes: Axes, pixels: NDArray[np.float32], interpolation: str) -> None:
    """Draw (H, W, 3) with nothing around it."""
    axes.imshow(pixels, interpolation=interpolation, vmin=0, vmax=1)
    axes.set_axis_off()


def _frame(axes: Axes, frame: tuple[float, float, float, float]) -> None:
    """Mark a part of a picture by a line that is seen on dark and light."""
    left, top, width, height = frame
    for color, thick in (("black", 1.8), ("white", 0.9)):
        axes.add_patch(
            Rectangle(
                (left, 1 - top - height), width, height, fill=False, ec=color, lw=thick,
                transform=axes.transAxes, clip_on=False,
            )
        )  # fmt: skip
