"""Figures: content, style and output in a row, loss curves, reconstructions side by side."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from impasto.figure_layout import DPI, FAINT, INK, SOFT, canvas, image, image_grid, image_row
from impasto.files import check_writable, write_atomically

if TYPE_CHECKING:
    from torch import Tensor

    from impasto.result import Losses

FORMATS = {".png": "png", ".jpg": "jpg", ".jpeg": "jpg", ".pdf": "pdf", ".svg": "svg"}


def triptych(content: Any, style: Any, result: Any) -> Figure:
    """Content, style and output in one row of equal heights.

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
    pictures = [content, *styles, result]
    return image_row(["content", *names, "output"], [image(picture) for picture in pictures])


def reconstruction_row(original: Any, pictures: Mapping[str, Tensor]) -> Figure:
    """A picture beside what single layers of the network remember of it.

    Args:
        original: the picture itself: (C, H, W) in [0, 1], or anything that `open_image` reads.
        pictures: layer name -> (C, H, W) in [0, 1], drawn in the order given.

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
    return image_row(["original", *pictures], [image(source) for source in sources])


def contact_sheet(titles: Sequence[str], pictures: Sequence[Any], columns: int) -> Figure:
    """Pictures of one shape in a grid, each under its title.

    Args:
        titles: what stands above each.
        pictures: (C, H, W) in [0, 1] each, or anything that `open_image` reads.
        columns: how many stand side by side, at least 1.

    Returns:
        A matplotlib figure on white, tied to no window; write it with `save_figure`.

    Example:
        >>> import torch
        >>> figure = contact_sheet(["1", "2", "3"], [torch.zeros(3, 8, 12)] * 3, columns=2)
        >>> len(figure.axes)
        3
    """
    return image_grid(titles, [image(picture) for picture in pictures], columns)


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
        >>> first = Losses(total=3.0, content=1.0, style=2.0)
        >>> figure = loss_curve([first, Losses(total=2.0, content=1.0, style=1.0)], [0])
        >>> [line.get_label() for line in figure.axes[0].lines]
        ['total', 'style', 'content']
    """
    figure = canvas(7.2, 4.2)
    axes = figure.add_axes((0.135, 0.145, 0.84, 0.785))
    values = np.array(
        [[losses[name] for name in ("total", "content", "style")] for losses in history],
        dtype=float,
    ).reshape(-1, 3)
    drawable = np.isfinite(values) & (values > 0)
    values = np.where(drawable, values, np.nan)
    if drawable.any():
        axes.set_yscale("log")
    else:
        axes.text(0.5, 0.5, "no losses to draw", ha="center", color=SOFT, transform=axes.transAxes)
        axes.set_yticks([])
    count = len(values)
    curves = (("total", 0, INK, 1.8), ("style", 2, "#c8641e", 1.4), ("content", 1, "#2f6f9f", 1.4))
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
                color=SOFT,
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
        ImageError: the place cannot be written, or holds a file and `overwrite` is False.
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
    # Without these the writers stamp in their version and the time.
    stamps = {"png": "Software", "pdf": "CreationDate", "svg": "Date"}
    metadata = {stamps[kind]: None} if kind in stamps else None
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
    """Refuse a place for a figure before any work is done for it.

    Args:
        path: where the figure is to go; the ending chooses the format (.png .jpg .pdf .svg).
        overwrite: whether a file that is already there may be replaced.
        inputs: files that must not be replaced whatever `overwrite` says.
        name: what the caller calls the place, for error messages.

    Returns:
        The path.

    Raises:
        ImageError: the place cannot be written, is one of `inputs`, or holds a file and
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
    return check_writable(target, overwrite=overwrite, inputs=inputs, name=name)


def _quieten(axes: Any, count: int) -> None:
    """Take away everything from a chart that is not needed to read it."""
    axes.set_xlabel("evaluation", color=SOFT, fontsize=10, loc="left")
    axes.set_ylabel("loss", color=SOFT, fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#999999")
    axes.tick_params(which="both", color="#999999", labelcolor=SOFT, labelsize=9)
    axes.tick_params(which="minor", left=False)
    axes.grid(axis="y", color=FAINT, lw=0.6)
    axes.set_axisbelow(True)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, steps=[1, 2, 5, 10]))
    axes.set_xlim(1 - 0.01 * count, max(count, 2) + 0.01 * count)
    if axes.lines and (handles := axes.get_legend_handles_labels()[0]):
        axes.legend(
            handles=handles,
            frameon=False,
            fontsize=10,
            labelcolor=INK,
            ncols=3,
            loc="upper right",
            bbox_to_anchor=(1.015, -0.06),
            columnspacing=1.6,
        )
