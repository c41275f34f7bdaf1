"""The composition of the demo's painting: a lake among hills in the evening, from a seed.

The far half of it: sky, mountains, water. `foreground` has the near half.
"""

from __future__ import annotations

import numpy as np

from demo_painting import foreground
from demo_painting.palette import PALETTES
from demo_painting.pigment import glaze, pigment, ramp
from demo_painting.scene import (
    BOAT,
    FAR,
    GRID,
    LAKE,
    RIDGE,
    SKY,
    SUN,
    Array,
    Scene,
    contour,
    crest,
    ripple,
)

SUN_RADIUS = 0.047


def compose(aspect: float, seed: int) -> Scene:
    """A landscape for a picture `aspect` times as wide as it is high, another for every seed."""
    # The second number picks a series of landscapes; in this one the default seed sits well.
    rng = np.random.default_rng([seed, 102])
    width, height = float(np.sqrt(aspect)), float(np.sqrt(1 / aspect))
    rows, columns = max(8, round(GRID * height)), max(8, round(GRID * width))
    y, x = np.mgrid[:rows, :columns].astype(np.float32) / GRID
    side = 1 if rng.random() < 0.5 else -1
    horizon = height * rng.uniform(0.53, 0.61)
    scene = Scene(
        palette=PALETTES[(seed + 2) % len(PALETTES)],
        x=x,
        y=y,
        width=width,
        height=height,
        horizon=horizon,
        shore=horizon + height * rng.uniform(0.12, 0.15),
        sun=(
            width * (0.5 + side * rng.uniform(0.12, 0.2)),
            horizon - height * rng.uniform(0.17, 0.29),
        ),
        side=side,
        color=np.zeros((rows, columns, 3), np.float32),
        flow=np.zeros((rows, columns, 2), np.float32),
        kind=np.zeros((rows, columns), np.int8),
        detail=np.zeros((rows, columns), np.float32),
    )
    _sky(scene, rng)
    _mountains(scene, rng)
    _lake(scene, rng)
    foreground.bank(scene, rng)
    foreground.field(scene, rng)
    foreground.cypresses(scene, rng)
    return scene


def _sky(scene: Scene, rng: np.random.Generator) -> None:
    """Wind drawn as the level lines of one function, and rings of light about the sun."""
    palette, x, y, sun = scene.palette, scene.x, scene.y, scene.sun
    drift, gust = ripple(rng, 1.2), ripple(rng, 2.2)
    wx, wy, eddies = _eddies(scene, rng)
    r = np.hypot(x - sun[0], y - sun[1])
    halo = rng.uniform(0.145, 0.175)
    # The wind parts before the sun as a stream does before a round stone.
    parted = np.clip(1 - (halo / np.maximum(r, halo)) ** 2, 0, 1)
    slant = 0.16 * rng.choice([-1, 1])
    wind = (wy - sun[1] + slant * (wx - sun[0]) + 0.05 * drift(wx, wy)) * parted
    wind += 0.012 * gust(wx, wy)
    still = 1 - np.clip((r / halo - 0.85) / 0.5, 0, 1)
    near = np.exp(-((r / 0.34) ** 2))
    t = 1 - (1 - np.clip(y / scene.horizon, 0, 1) + 0.04 * drift(wx, wy)) * (1 - 0.8 * near)
    band = 0.75 * np.sin(2 * np.pi * wind / 0.075 + gust(wx, wy))
    band += 0.4 * np.sin(2 * np.pi * wind / 0.031 + 2 * drift(wx, wy))
    strength = np.clip(0.45 + 0.35 * eddies + 0.3 * gust(x, y), 0, 1) * (1 - still)
    lit, dim = np.clip(band, 0, 1) * strength, np.clip(-band, 0, 1) * strength
    color = ramp(palette.sky, t)
    color = glaze(color, pigment(palette.breeze), 0.85 * lit * (1 - 0.6 * t))
    color = glaze(color, pigment(palette.light), lit**2 * (0.2 + 0.6 * t))
    color = glaze(color, pigment(palette.deep), 0.7 * dim * (1 - t))
    rings = 0.5 + 0.5 * np.sin(2 * np.pi * r / 0.058 + 1.0)
    color = glaze(color, pigment(palette.disk), 0.9 * rings * np.exp(-((r / 0.13) ** 2)))
    color = glaze(color, pigment(palette.glow), 0.9 * (1 - rings) * np.exp(-((r / 0.17) ** 2)))
    flow = contour(np.where(r < halo, 1.1 * (r - halo), wind))
    scene.cover(np.ones_like(x, bool), SKY, color, flow, 0.12)
    scene.detail[:] += 0.4 * near**2 + 0.3 * eddies
    disk = ramp([(0, palette.disk), (0.8, palette.light), (1, palette.glow)], r / SUN_RADIUS)
    turning = np.stack([sun[1] - y, x - sun[0]], -1)
    scene.cover(r < SUN_RADIUS, SUN, disk, turning, 0.8)


def _eddies(scene: Scene, rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """The plane wound up in three places away from the sun: x, y, and how much it is wound."""
    wx, wy, wound = scene.x, scene.y, np.zeros_like(scene.x)
    first = rng.uniform(0, 1)
    for i in range(3):
        # Golden-section steps spread any number of places evenly, whatever the first.
        cx = scene.width * (0.08 + 0.84 * ((first + i * 0.382) % 1))
        cy = scene.horizon * (0.2 + 0.36 * ((first + i * 0.618) % 1))
        apart = np.hypot(cx - scene.sun[0], cy - scene.sun[1])
        free = float(np.clip((apart - 0.12) / 0.2, 0, 1))
        reach = rng.uniform(0.085, 0.14) * (0.5 + 0.5 * free)
        core = free * np.exp(-((wx - cx) ** 2 + (1.25 * (wy - cy)) ** 2) / reach**2)
        angle = core * (rng.choice([-1, 1]) * rng.uniform(3.0, 4.2))
        dx, dy = wx - cx, wy - cy
        wx = cx + np.cos(angle) * dx - np.sin(angle) * dy
        wy = cy + np.sin(angle) * dx + np.cos(angle) * dy
        wound = np.maximum(wound, core)
    return wx, wy, wound


def _mountains(scene: Scene, rng: np.random.Generator) -> None:
    """Two ranges, the farther one paler; lit where they face the sun."""
    palette, x, y = scene.palette, scene.x, scene.y
    ranges = ((FAR, 0.17, palette.far, 0.5, 0.012), (RIDGE, 0.085, palette.ridge, 0.45, 0.0))
    for kind, rise, colors, roughness, lift in ranges:
        rise = rise * scene.height
        line = crest(rng, x, scene.horizon - lift * scene.height, rise, roughness)
        depth = y - line
        slope = np.gradient(line, axis=1) * GRID
        folds = ripple(rng, 5)(x * 1.5 + 0.6 * y, y * 0.5)
        color = ramp([(0, colors[0]), (1, colors[1])], depth / rise + 0.25 * folds)
        facing = slope * np.tanh((scene.sun[0] - x) / 0.06)
        lit = np.clip(0.5 + 0.9 * facing + 0.5 * folds, 0, 1)
        lit *= np.exp(-((x - scene.sun[0]) ** 2) / 0.09 - np.maximum(depth, 0) / 0.05)
        color = glaze(color, pigment(palette.glow), 0.55 * lit)
        edge = np.exp(-((depth / 0.006) ** 2))
        color = glaze(color, pigment(palette.deep), 0.65 * edge)
        lean = slope + 0.9 * np.clip(depth / rise, 0, 1) * np.sign(folds)
        where = depth > 0
        scene.cover(where, kind, color, np.stack([np.ones_like(x), lean], -1), 0.3)
        scene.detail[where] += 0.6 * edge[where]


def _lake(scene: Scene, rng: np.random.Generator) -> None:
    """Water: the sky upside down in level strokes, with the sun's path across it."""
    palette, x, y = scene.palette, scene.x, scene.y
    depth = (y - scene.horizon) / (0.17 * scene.height)
    wave = ripple(rng, 3)(x * 0.8, y * 9)
    glint = ripple(rng, 3)(x * 1.2, y * 14)
    color = ramp(palette.water, depth + 0.1 * wave)
    color = glaze(color, pigment(palette.light), 0.4 * (glint - 0.2))
    mirrored = 0.8 * np.exp(-np.maximum(depth, 0) / 0.1) * (0.5 + 0.5 * wave)
    color = glaze(color, pigment(palette.ridge[1]), mirrored)
    spread = 0.035 + 0.06 * np.clip(depth, 0, 1)
    path = np.exp(-(((x - scene.sun[0] - 0.012 * wave) / spread) ** 2))
    broken = np.clip(0.75 + 0.5 * ripple(rng, 4)(x * 1.2, y * 12), 0, 1)
    color = glaze(color, pigment(palette.glow), 1.2 * path * broken)
    color = glaze(color, pigment(palette.disk), 1.1 * path**2.5 * broken**2)
    where = depth > 0
    scene.cover(where, LAKE, color, np.stack([np.ones_like(x), 0.1 * wave], -1), 0.25)
    scene.detail[where] += 0.5 * path[where]
    _boat(scene, scene.sun[0] - 0.17 * scene.side, scene.horizon + 0.055 * scene.height)


def _boat(scene: Scene, x: float, y: float, size: float = 0.03) -> None:
    """Two small sails, their hull and their reflection."""
    u, v = (scene.x - x) / size, (scene.y - y) / size
    upright, level = np.array([0.25, -1.0]), np.array([1.0, 0.0])
    light, warm = scene.palette.sail
    reflection = (v > 0.3) & (v < 1.7) & (np.abs(u - 0.1) < 0.5 * (1.7 - v) / 1.4)
    scene.cover(reflection, LAKE, light, level, 1)
    aloft = (v < 0) & (v > -2.3)
    scene.cover(aloft & (u > -0.05) & (u < 0.85 + 0.38 * v), BOAT, light, upright, 1)
    scene.cover(aloft & (u > -0.6 - 0.22 * v) & (u < -0.1), BOAT, warm, upright, 1)
    hull = (v >= 0) & (v < 0.35) & (np.abs(u) < 1.1 - 0.9 * v)
    scene.cover(hull, BOAT, scene.palette.bank[1], level, 1)
