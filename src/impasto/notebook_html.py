"""Pictures, comparisons and curves as plain HTML, for notebooks that show results."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from html import escape

from torch import Tensor

from impasto.images.resize import thumbnail
from impasto.images.write import encode

COMPARED_SIDE = 768  # pixels of the longer side of a picture that a notebook keeps, at most
_POINTS = 200  # of a curve, at most
_CURVE = 360, 90  # pixels
_COLORS = ("#888", "#d95f02", "#1b9e77", "#7570b3", "#e7298a")
# What a slider does: the upper picture is cut off left of it. It knows its neighbors alone, so that
# a notebook may hold any number of them.
_SLIDE = (
    "this.previousElementSibling.style.clipPath='inset(0 0 0 '+this.value+'%)';"
    "this.nextElementSibling.style.left=this.value+'%'"
)


def picture_html(pixels: Tensor, alt: str, side: int, style: str = "") -> str:
    """Return a picture as an HTML element that holds its own data.

    Args:
        pixels: (3, H, W) or (1, H, W) in [0, 1].
        alt: what it shows, for those who cannot see it.
        side: pixels of its longer side, at most.
        style: CSS.

    Example:
        >>> import torch
        >>> picture_html(torch.zeros(3, 4, 4), "black", 100)[:47]
        '<img alt="black" style="" src="data:image/jpeg;'
    """
    data = encode(thumbnail(pixels.clamp(0, 1), side), "jpeg", quality=90)
    text = base64.b64encode(data).decode()
    return f'<img alt="{escape(alt)}" style="{style}" src="data:image/jpeg;base64,{text}">'


def slider_html(before: Tensor, after: Tensor, caption: str) -> str:
    """Return two pictures over each other, with a slider that uncovers the one or the other.

    It is HTML with one line of JavaScript, and works in JupyterLab and in VS Code. Where a page
    shows no styles or scripts, both pictures are there.

    Args:
        before: (3, H, W) or (1, H, W) in [0, 1].
        after: the same; it is shown in the proportions of its own.
        caption: text below.
    """
    height, width = after.shape[1:]
    wide = round(width * min(1, COMPARED_SIDE / max(height, width)))
    cover = "position:absolute;inset:0;width:100%;height:100%;margin:0;max-width:none;"
    slider = f"{cover}opacity:0;cursor:ew-resize;"
    line = (
        "position:absolute;top:0;bottom:0;left:50%;width:2px;background:#fff;"
        "box-shadow:0 0 3px #000;pointer-events:none"
    )
    return (
        '<figure style="margin:0">'
        f'<div style="position:relative;width:{wide}px;max-width:100%;'
        f'aspect-ratio:{width}/{height}">'
        f"{picture_html(before, 'before', COMPARED_SIDE, cover)}"
        f"{picture_html(after, 'after', COMPARED_SIDE, cover + 'clip-path:inset(0 0 0 50%)')}"
        '<input type="range" min="0" max="100" value="50" aria-label="before and after" '
        f'style="{slider}" oninput="{_SLIDE}">'
        f'<div style="{line}"></div></div>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def curve_html(history: Sequence[Mapping[str, float]]) -> str:
    """Return losses over evaluations as a drawing, on a logarithmic scale; "" of fewer than two.

    Args:
        history: the losses of each evaluation, by name.
    """
    stride = -(-len(history) // _POINTS)
    shown = [*history[:-1:stride], *history[-1:]] if stride else []
    names = [name for name in (history[-1] if history else ()) if name == "total"]
    names += [name for name in (history[-1] if history else ()) if name != "total"]
    logs = {
        name: [math.log10(losses[name]) if losses.get(name, 0) > 0 else None for losses in shown]
        for name in names
    }
    values = [value for line in logs.values() for value in line if value is not None]
    if len(shown) < 2 or not values or not all(map(math.isfinite, values)):
        return ""
    (width, height), low, high = _CURVE, min(values), max(values)
    span = high - low or 1.0
    lines, labels = [], []
    for name, color in zip(names, _COLORS, strict=False):
        points = " ".join(
            f"{width * at / (len(shown) - 1):.1f},{height * (high - value) / span:.1f}"
            for at, value in enumerate(logs[name])
            if value is not None
        )
        if points:
            lines.append(f'<polyline points="{points}" fill="none" stroke="{color}"/>')
            labels.append(
                f'<span style="color:{color}">{escape(name)} {history[-1][name]:.3g}</span>'
            )
    return (
        f'<div><svg role="img" aria-label="losses" width="{width}" height="{height}" '
        f'viewBox="0 -2 {width} {height + 4}">{"".join(lines)}</svg><br>'
        f"<small>{' &nbsp; '.join(labels)}</small></div>"
    )
