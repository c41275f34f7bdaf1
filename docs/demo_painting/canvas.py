"""Paint on canvas: strokes laid wet over wet with their relief, and the light that rakes it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

from demo_painting.brush import Brush, Strokes
from demo_painting.pigment import Array, linear_light, pigment

BATCH = 600_000  # samples placed at once
# Under 1 / sqrt(2), so that a tilted lattice of samples leaves no pixel out.
PITCH = 0.69


@dataclass(frozen=True, eq=False)
class Canvas:
    """Paint so far; one pixel of slack at the end takes whatever falls outside."""

    rows: int
    columns: int
    color: Array  # (rows * columns + 1, 3) Oklab
    relief: Array  # (rows * columns + 1,) height of the paint, in units
    top: np.ndarray  # (rows * columns + 1,) scratch: the last sample to touch each pixel

    @property
    def unit(self) -> float:
        """Pixels in one unit."""
        return float(np.sqrt(self.rows * self.columns))


def primed(columns: int, rows: int) -> Canvas:
    """A canvas toned in warm sienna, which glows through wherever the paint is thin."""
    pixels = rows * columns + 1
    color = np.empty((pixels, 3), np.float32)
    color[:] = pigment("9a5a3a")
    return Canvas(rows, columns, color, np.zeros(pixels, np.float32), np.zeros(pixels, np.int32))


def lay(canvas: Canvas, brush: Brush, strokes: Strokes, patterns: Array) -> None:
    """Paint strokes in their order.

    Each is a grid of samples, `along` by `across`, bent around its spine. Within a batch the
    later stroke hides the earlier; between batches wet paint takes up some of what lies below.
    """
    along = max(6, int(np.ceil(1.25 * brush.length * canvas.unit / PITCH)))
    across = max(3, int(np.ceil(1.25 * brush.width * canvas.unit / PITCH)))
    at = np.meshgrid(
        np.linspace(0, patterns.shape[1] - 1, along),
        np.linspace(0, patterns.shape[2] - 1, across),
        indexing="ij",
    )
    hairs = np.stack([map_coordinates(pattern, at, order=1) for pattern in patterns])
    size = max(1, BATCH // (along * across))
    for start in range(0, len(strokes.color), size):
        some = Strokes(*(part[start : start + size] for part in strokes))
        _lay_batch(canvas, brush, some, hairs[some.pattern])


def _lay_batch(canvas: Canvas, brush: Brush, strokes: Strokes, hair: Array) -> None:
    """Place every sample of some strokes, keep the topmost on each pixel, blend those."""
    _, along, across = hair.shape
    u = np.linspace(0, 1, along, dtype=np.float32)
    v = np.linspace(-1, 1, across, dtype=np.float32)
    where = _pixels(canvas, strokes, u, v)
    worn = 1.25 - 2.6 * strokes.dryness[:, None] * (0.35 + u**2)  # (n, along)
    where[hair > worn[..., None]] = canvas.rows * canvas.columns
    where = where.ravel()
    order = np.arange(where.size, dtype=np.int32)
    canvas.top[where] = order  # where indices repeat, the last assignment stays
    seen = np.flatnonzero(canvas.top[where] == order)
    pixel, streak = where[seen], hair.ravel()[seen]
    stroke, i, j = np.unravel_index(seen, hair.shape)
    color = strokes.color[stroke]
    color[:, 0] += 0.035 * streak
    color[:, 1:] *= (1 + 0.12 * streak)[:, None]
    opacity = 0.9 - 0.25 * u**3
    canvas.color[pixel] += opacity[i, None] * (color - canvas.color[pixel])
    # Paint stands highest along the rims, where the brush pushed it, and where the brush lifted.
    profile = 0.6 * np.sqrt(1 - v**2) + 0.35 * np.exp(-(((np.abs(v) - 0.82) / 0.12) ** 2))
    load = 0.75 - 0.2 * u + 0.5 * np.exp(-(((u - 0.86) / 0.1) ** 2))
    body = brush.body * strokes.width[stroke] * load[i] * (profile[j] + 0.42 * streak)
    canvas.relief[pixel] = 0.55 * canvas.relief[pixel] + body


def _pixels(canvas: Canvas, strokes: Strokes, u: Array, v: Array) -> np.ndarray:
    """The pixel each sample falls on, (n, along, across); the slack pixel for those outside."""
    k = strokes.spine.shape[1]
    low = np.minimum((u * (k - 1)).astype(np.int32), k - 2)
    part = (u * (k - 1) - low)[:, None]
    spine = strokes.spine[:, low] * (1 - part) + strokes.spine[:, low + 1] * part
    tangent = np.gradient(spine, axis=1)  # (n, along, 2)
    tangent /= np.maximum(np.hypot(tangent[..., :1], tangent[..., 1:]), 1e-9)
    taper = np.minimum(1, u / 0.1) ** 0.5 * np.minimum(1, (1 - u) / 0.38) ** 0.6
    half = strokes.width[:, None] / 2 * taper
    x = (spine[..., 0, None] - (tangent[..., 1] * half)[..., None] * v) * canvas.unit
    y = (spine[..., 1, None] + (tangent[..., 0] * half)[..., None] * v) * canvas.unit
    outside = (x < 0) | (y < 0) | (x >= canvas.columns) | (y >= canvas.rows)
    where = y.astype(np.int32) * canvas.columns + x.astype(np.int32)
    where[outside] = canvas.rows * canvas.columns
    return where


def lit(canvas: Canvas) -> Array:
    """The canvas in linear light, (rows, columns, 3), under a lamp at the upper left."""
    relief = canvas.relief[:-1].reshape(canvas.rows, canvas.columns) * canvas.unit
    # Blurred by a fixed part of the picture: edges of paint would otherwise steepen with its size.
    down, right = np.gradient(gaussian_filter(relief, 0.0009 * canvas.unit))
    facing = np.tanh(2.6 * (0.6 * right + 0.8 * down))
    shade = 1 + 0.42 * facing
    gloss = 0.06 * np.clip(facing - 0.5, 0, 1)
    light = linear_light(canvas.color[:-1]).reshape(canvas.rows, canvas.columns, 3)
    return np.clip(light, 0, 1) * shade[..., None] + gloss[..., None]
