"""Figures: content, style and output in a row, loss curves, reconstructions side by side."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from impasto.measure.quality import channels_first
from impasto.picture.output import check_place, placed
from impasto.picture.record import Picture

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from impasto.result import Losses

FORMATS = {".png": "png", ".jpg": "jpg", ".jpeg": "jpg", ".pdf": "pdf", ".svg": "svg"}

DPI = 200
_INK, _SOFT, _FAINT = "#222222", "#666666", "#dddddd"
_MARGIN, _GAP, _TITLE = 0.22, 0.14, 0.34  # inches
_TALLEST, _WIDEST, _NARROWEST = 3.6, 15.0, 0.9  # inches: a row's height, its width, one cell's


def triptych(content: Any, style: Any, result: Any) -> Figure:
    """Content, style and output in one row of equal heights.

    Args:
        content: the content image: (C, H, W) in [0, 1], or anything that `open_picture` reads.
        style: the style image, or a list of several.
        result: the output.

    Returns:
        A matplotlib figure on white, tied to no window; write it with `save_figure`.

    Raises:
        PictureError: a file cannot be read.

    Example:
        >>> import torch
        >>> figure = triptych(torch.zeros(3, 8, 12), torch.ones(3, 8, 8), torch.zeros(3, 8, 12))
        >>> [axes.get_title() for axes in figure.axes]
        ['content', 'style', 'output']
    """
    styles = list(style) if isinstance(style, (list, tuple)) else [style]
    names = ["style"] if len(styles) == 1 else [f"style {i}" for i in range(1, len(styles) + 1)]
    return _row(["content", *names, "output"], [content, *styles, result])


def reconstruction_row(original: Any, pictures: Mapping[str, Tensor]) -> Figure:
    """A picture beside what single layers of the network remember of it.

    Args:
        original: the picture itself: (C, H, W) in [0, 1], or anything that `open_picture` reads.
        pictures: layer name -> (C, H, W) in [0, 1], drawn in the order given.

    Returns:
        A matplotlib figure on white, tied to no window; write it with `save_figure`.

    Raises:
        PictureError: a file cannot be read.

    Example:
        >>> import torch
        >>> figure = reconstruction_row(torch.zeros(3, 8, 8), {"conv1_1": torch.ones(3, 8, 8)})
        >>> [axes.get_title() for axes in figure.axes]
        ['original', 'conv1_1']
    """
    return _row(["original", *pictures], [original, *pictures.values()])


def loss_curve(history: Sequence[Losses], scale_starts: Sequence[int] = ()) -> Figure:
    """Total, style and content loss over the evaluations of a run, on a logarithmic axis.

    Zero, negative and non-finite values have no place on such an axis and leave gaps.

    Args:
        history: the losses of every evaluation, in order, as `Result.history` has them.
        scale_starts: index into `history` of each scale's first evaluation, as
            `Result.scale_starts` has them; each after the first is drawn as a thin line.

    Returns:
        A matplotlib figure on white, tied to no window; write it with `save_figure`.

    Example:
        >>> from impasto import Losses
        >>> figure = loss_curve([Losses(3.0, 1.0, 2.0), Losses(2.0, 1.0, 1.0)], [0])
        >>> [line.get_label() for line in figure.axes[0].lines]
        ['total', 'style', 'content']
    """
    figure = _canvas(7.2, 4.2)
    axes = figure.add_axes((0.135, 0.145, 0.84, 0.785))
    values = np.array([tuple(losses) for losses in history], dtype=float).reshape(-1, 3)
    drawable = np.isfinite(values) & (values > 0)
    values = np.where(drawable, values, np.nan)
    if drawable.any():
        axes.set_yscale("log")
    else:
        axes.text(0.5, 0.5, "no losses to draw", ha="center", color=_SOFT, transform=axes.transAxes)
        axes.set_yticks([])
    count = len(values)
    curves = (("total", 0, _INK, 1.8), ("style", 2, "#c8641e", 1.4), ("content", 1, "#2f6f9f", 1.4))
    for label, column, color, width in curves:
        if drawable[:, column].any():
            dot = "o" if count < 3 else None
            axes.plot(
                range(1, count + 1),
                values[:, column],
                color=color,
                lw=width,
                marker=dot,
                label=label,
                solid_joinstyle="round",
            )
    for number, start in enumerate(scale_starts, 1):
        if number > 1:
            axes.axvline(start + 1, color="#bbbbbb", lw=0.8, ls=(0, (3, 3)), zorder=0)
        if len(scale_starts) > 1:
            axes.annotate(
                f"scale {number}",
                (start + 1, 1),
                (4, 4),
                color=_SOFT,
                fontsize=8.5,
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
            )
    _quieten(axes, count)
    return figure


def save_figure(figure: Figure, path: str | Path, overwrite: bool = False) -> Path:
    """Write a figure, whole or not at all; the same figure gives the same bytes as PNG.

    Args:
        figure: what `triptych`, `loss_curve` or `reconstruction_row` returned.
        path: where to; the ending chooses the format (.png .jpg .pdf .svg).
        overwrite: replace a file that is already there.

    Returns:
        The path written.

    Raises:
        PictureError: the place cannot be written, or holds a file and `overwrite` is False.
        ValueError: the ending names no format that figures are written in.

    Example:
        >>> import tempfile
        >>> from impasto import Losses
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_figure(loss_curve([Losses(1.0, 0.5, 0.5)]), f"{folder}/loss.png").name
        'loss.png'
    """
    target = check_figure(path, overwrite=overwrite)
    kind = FORMATS[target.suffix.lower()]
    # Without these the writers stamp in their version and the time.
    stamps = {"png": "Software", "pdf": "CreationDate", "svg": "Date"}
    metadata = {stamps[kind]: None} if kind in stamps else None
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=DPI, facecolor="white", metadata=metadata)
    return placed(buffer.getvalue(), target, overwrite=overwrite)


def check_figure(
    path: str | Path,
    *,
    overwrite: bool = False,
    inputs: Sequence[str | Path] = (),
    name: str = "path",
) -> Path:
    """Refuse a place for a figure before any work is done for it.

    Args:
        path: where the figure is to go; the ending chooses the format (.png .jpg .pdf .svg).
        overwrite: whether a file that is already there may be replaced.
        inputs: files that must not be replaced whatever `overwrite` says.
        name: what the caller calls the place, for error messages.

    Returns:
        The path.

    Raises:
        PictureError: the place cannot be written, is one of `inputs`, or holds a file and
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
            f"`{name}` must end in {', '.join(others)} or {last}, got {str(path)!r}; rename it"
        )
    return check_place(target, overwrite=overwrite, inputs=inputs, name=name)


def _row(titles: list[str], sources: list[Any]) -> Figure:
    """Pictures side by side at equal heights, each under its title."""
    images = [_image(source) for source in sources]
    aspects = [image.shape[1] / image.shape[0] for image in images]
    spare = _WIDEST - 2 * _MARGIN - _GAP * (len(images) - 1)
    height = min(_TALLEST, spare / sum(aspects))
    cells = [max(aspect * height, _NARROWEST) for aspect in aspects]
    wide = sum(cells) + _GAP * (len(images) - 1) + 2 * _MARGIN
    tall = height + _TITLE + 2 * _MARGIN - 0.06
    figure = _canvas(wide, tall)
    left = _MARGIN
    for title, image, cell in zip(titles, images, cells, strict=True):
        axes = figure.add_axes((left / wide, _MARGIN / tall, cell / wide, height / tall))
        axes.imshow(image, interpolation="lanczos", vmin=0, vmax=1)
        axes.set_title(title, fontsize=11, color=_INK, pad=7)
        axes.set_axis_off()
        left += cell + _GAP
    return figure


def _image(source: Any) -> NDArray[np.float32]:
    """(H, W, 3) in [0, 1] for matplotlib, of anything that holds a picture; paper shows through."""
    pixels = channels_first(source, "picture").astype(np.float32)
    pixels = np.broadcast_to(pixels, (3, *pixels.shape[1:]))  # grey -> three equal channels
    if isinstance(source, Picture) and source.carried.alpha is not None:
        alpha = source.carried.alpha.numpy()
        pixels = pixels * alpha + (1 - alpha)
    return np.clip(np.nan_to_num(pixels), 0, 1).transpose(1, 2, 0)  # (C, H, W) -> (H, W, C)


def _canvas(width: float, height: float) -> Figure:
    """An empty white figure of so many inches, with the Agg canvas and outside pyplot."""
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _quieten(axes: Any, count: int) -> None:
    """Take away everything from a chart that is not needed to read it."""
    axes.set_xlabel("evaluation", color=_SOFT, fontsize=10, loc="left")
    axes.set_ylabel("loss", color=_SOFT, fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#999999")
    axes.tick_params(which="both", color="#999999", labelcolor=_SOFT, labelsize=9)
    axes.tick_params(which="minor", left=False)
    axes.grid(axis="y", color=_FAINT, lw=0.6)
    axes.set_axisbelow(True)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, steps=[1, 2, 5, 10]))
    axes.set_xlim(1 - 0.01 * count, max(count, 2) + 0.01 * count)
    if axes.lines and (handles := axes.get_legend_handles_labels()[0]):
        axes.legend(
            handles=handles,
            frameon=False,
            fontsize=10,
            labelcolor=_INK,
            ncols=3,
            loc="upper right",
            bbox_to_anchor=(1.015, -0.06),
            columnspacing=1.6,
        )
