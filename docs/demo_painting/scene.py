"""A composition before any brush has touched it, and the shapes it is drawn with.

Everything lies on a plane of area 1, whose unit is the square root of the picture's area, and is
sampled on one grid whatever the picture's size: so a small painting shows the same scene as a
large one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from demo_painting.palette import Palette
from demo_painting.pigment import Array, pigment

GRID = 560  # cells of a scene's grid in one unit

# What lies behind what; strokes never cross from one into another.
SKY, SUN, FAR, RIDGE, LAKE, BOAT, BANK, HOUSE, FIELD, PATH, POPPY, TREE = range(12)


@dataclass(frozen=True, eq=False)
class Scene:
    """A composition on its grid of h rows and w columns.

    Attributes:
        palette: the pigments it is made of.
        x: distance of each cell from the left edge, (h, w), in units.
        y: distance of each cell from the upper edge, (h, w), in units.
        width: of the plane, in units.
        height: of the plane, 1 / width.
        horizon: y of the far shore.
        shore: y of the near shore.
        sun: (x, y) of the sun or the moon.
        side: 1 if the sun hangs in the right half, -1 if in the left; trees take the other.
        color: Oklab color of each cell, (h, w, 3).
        flow: direction (x, y) in which a stroke runs, (h, w, 2); its length means nothing.
        kind: what is there, (h, w), from `SKY` to `TREE`.
        detail: how much small brushes have to do there, (h, w), from 0 to about 1.
    """

    palette: Palette
    x: Array
    y: Array
    width: float
    height: float
    horizon: float
    shore: float
    sun: tuple[float, float]
    side: int
    color: Array
    flow: Array
    kind: np.ndarray
    detail: Array

    def cell(self, x: Array, y: Array) -> tuple[np.ndarray, np.ndarray]:
        """The row and column that hold each point, the nearest ones for points outside."""
        rows, columns = self.kind.shape
        row = np.clip((y * GRID).astype(np.int32), 0, rows - 1)
        return row, np.clip((x * GRID).astype(np.int32), 0, columns - 1)

    def cover(
        self, where: np.ndarray, kind: int, color: Array | str, flow: Array, detail: float
    ) -> None:
        """Put something in front of what is there; a single color is given by its code."""
        self.kind[where] = kind
        self.color[where] = pigment(color) if isinstance(color, str) else color[where]
        self.flow[where] = flow[where] if flow.ndim == 3 else flow
        self.detail[where] = detail


def ripple(
    rng: np.random.Generator, frequency: float, waves: int = 9
) -> Callable[[Array, Array], Array]:
    """A smooth random function of the plane, mostly in [-1, 1], with about `frequency` per unit."""
    turn = rng.uniform(0, 2 * np.pi, waves)
    rate = 2 * np.pi * frequency * rng.uniform(0.5, 1.5, waves)
    phases = rng.uniform(0, 2 * np.pi, waves).astype(np.float32)
    across, down = (
        (rate * np.cos(turn)).astype(np.float32),
        (rate * np.sin(turn)).astype(np.float32),
    )

    def at(x: Array, y: Array) -> Array:
        total = np.zeros(np.broadcast(x, y).shape, np.float32)
        for a, b, phase in zip(across, down, phases, strict=True):
            total += np.sin(a * x + b * y + phase)
        return total / np.float32(np.sqrt(waves))

    return at


def contour(level: Array) -> Array:
    """The direction along which a function on the grid stays level, (h, w, 2)."""
    down, across = np.gradient(level)
    return np.stack([down, -across], -1) * GRID


def crest(rng: np.random.Generator, x: Array, base: float, rise: float, roughness: float) -> Array:
    """The y of a ridge at each x: broad humps and smaller ones, `rise` high above `base`."""
    line = np.zeros_like(x)
    for octave in range(5):
        rate = 2 * np.pi * 0.8 * 1.9**octave * rng.uniform(0.8, 1.2)
        line += roughness**octave * np.sin(rate * x + rng.uniform(0, 6.3))
    return base - rise * (0.5 + 0.5 * line / 1.6)
