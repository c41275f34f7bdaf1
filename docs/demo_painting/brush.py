"""Brushes of the demo's painter, and the start, path and color of every stroke."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter

from demo_painting.pigment import Array
from demo_painting.scene import Scene

PATTERNS = 32  # bristle patterns a brush has; strokes draw one each
STEPS = 9  # steps of the path each way from where a stroke is aimed


class Brush(NamedTuple):
    """One brush; lengths in units of the square root of the picture's area."""

    width: float
    length: float
    coverage: float  # how many times over it covers what it paints
    bristles: int  # streaks side by side
    body: float  # thickness of its paint, in brush widths
    choosy: float  # 0 paints everywhere, 1 only where there is detail


# From broad to fine. Ratios near 1.8 leave every brush visible in the finished picture.
BRUSHES = (
    Brush(0.055, 0.26, 2.2, 16, 0.05, 0.0),
    Brush(0.028, 0.17, 2.4, 13, 0.09, 0.0),
    Brush(0.0155, 0.115, 2.4, 10, 0.13, 0.0),
    Brush(0.0095, 0.075, 1.9, 7, 0.15, 0.8),
    Brush(0.0055, 0.045, 1.3, 5, 0.16, 1.0),
)


class Strokes(NamedTuple):
    """Planned strokes, n of them, in the order they are painted."""

    spine: Array  # (n, 2 STEPS + 1, 2) points (x, y) along each, evenly spaced, in units
    color: Array  # (n, 3) Oklab
    width: Array  # (n,) in units
    dryness: Array  # (n,) from 0, a loaded brush, to 1, one that leaves gaps between its hairs
    pattern: np.ndarray  # (n,) which of the brush's bristle patterns


def plan(scene: Scene, brush: Brush, rng: np.random.Generator) -> Strokes:
    """Plan the strokes of one brush and their colors, from the back of the scene to the front."""
    xy = _aims(scene, brush, rng)
    n = len(xy)
    length = (brush.length * rng.uniform(0.65, 1.25, n)).astype(np.float32)
    spine = _trace(scene, xy, length, rng)
    run = np.linalg.norm(np.diff(spine, axis=1), axis=2).sum(1)
    width = brush.width * rng.lognormal(0, 0.18, n)
    return Strokes(
        spine=spine,
        color=_mixed(scene.color[scene.cell(xy[:, 0], xy[:, 1])], rng),
        width=np.minimum(width, 0.45 * run + 0.0015).astype(np.float32),
        dryness=rng.beta(1.6, 5, n).astype(np.float32),
        pattern=rng.integers(0, PATTERNS, n),
    )


def bristles(brush: Brush, rng: np.random.Generator) -> Array:
    """The streaks a brush's hairs leave, (PATTERNS, 64 along, 48 across), mostly in [-1, 1]."""
    noise = rng.standard_normal((PATTERNS, 64, 48)).astype(np.float32)
    streaks = gaussian_filter(noise, (0, 14, 48 / brush.bristles / 2.6), mode="nearest")
    return streaks / (2 * streaks.std())


def _aims(scene: Scene, brush: Brush, rng: np.random.Generator) -> Array:
    """Points (x, y) that strokes pass through, (n, 2): one at random in each cell of a lattice."""
    # 0.62: the share of its width times length that a tapering stroke covers.
    pitch = np.sqrt(0.62 * brush.width * brush.length / brush.coverage)
    corners = np.meshgrid(
        np.arange(-pitch, scene.width + pitch, pitch),
        np.arange(-pitch, scene.height + pitch, pitch),
    )
    xy = np.stack([axis.ravel() for axis in corners], -1)
    xy = (xy + rng.uniform(0, pitch, xy.shape)).astype(np.float32)[rng.permutation(len(xy))]
    density = 1 - brush.choosy * (1 - scene.detail[scene.cell(xy[:, 0], xy[:, 1])])
    xy = xy[rng.random(len(xy)) < density]
    return xy[np.argsort(scene.kind[scene.cell(xy[:, 0], xy[:, 1])], kind="stable")]


def _mixed(color: Array, rng: np.random.Generator) -> Array:
    """Broken color, (n, 3): each a little off in lightness and hue, a few in the complement."""
    n = len(color)
    lightness = color[:, 0] + rng.normal(0, 0.035, n)
    turn = rng.normal(0, 0.16, n)
    turn += np.pi * rng.uniform(0.8, 1.2, n) * (rng.random(n) < 0.025)
    chroma = rng.lognormal(0.08, 0.18, n)
    a, b = color[:, 1] + rng.normal(0, 0.012, n), color[:, 2] + rng.normal(0, 0.012, n)
    c, s = chroma * np.cos(turn), chroma * np.sin(turn)
    return np.stack([lightness, c * a - s * b, s * a + c * b], -1).astype(np.float32)


def _trace(scene: Scene, xy: Array, length: Array, rng: np.random.Generator) -> Array:
    """Follow the flow both ways from each point as far as the thing and its color go."""
    wobble = rng.normal(0, 0.09, (len(xy), 1)).astype(np.float32)
    start = scene.cell(xy[:, 0], xy[:, 1])
    halves, reaches = [], []
    for way in (-1.0, 1.0):
        here, heading = xy, way * scene.flow[start]
        alive, reach, points = np.ones(len(xy), bool), np.zeros(len(xy), np.int32), []
        for _ in range(STEPS):
            ahead = scene.flow[scene.cell(here[:, 0], here[:, 1])]
            ahead = ahead / np.maximum(np.hypot(ahead[:, :1], ahead[:, 1:]), 1e-6)
            ahead = ahead + wobble * np.stack([-ahead[:, 1], ahead[:, 0]], -1)
            # A stroke runs along the flow either way, so it never turns back on itself.
            ahead = np.where((ahead * heading).sum(1, keepdims=True) < 0, -ahead, ahead)
            there = here + ahead * (length / (2 * STEPS))[:, None]
            cell = scene.cell(there[:, 0], there[:, 1])
            alive &= scene.kind[cell] == scene.kind[start]
            alive &= np.linalg.norm(scene.color[cell] - scene.color[start], axis=1) < 0.16
            here = np.where(alive[:, None], there, here)
            heading = np.where(alive[:, None], ahead, heading)
            reach += alive
            points.append(here)
        halves.append(points)
        reaches.append(reach)
    path = np.stack([*halves[0][::-1], xy, *halves[1]], 1)  # (n, 2 STEPS + 1, 2)
    return _spread(path, STEPS - reaches[0], STEPS + reaches[1])


def _spread(path: Array, first: np.ndarray, last: np.ndarray) -> Array:
    """Space a path's points evenly from its `first` to its `last`, so that both ends can taper."""
    n, k = path.shape[:2]
    at = first[:, None] + np.linspace(0, 1, k) * (last - first)[:, None]
    low = np.minimum(at.astype(np.int32), k - 2)
    part = (at - low)[..., None].astype(np.float32)
    stroke = np.arange(n)[:, None]
    return (path[stroke, low] * (1 - part) + path[stroke, low + 1] * part).astype(np.float32)
