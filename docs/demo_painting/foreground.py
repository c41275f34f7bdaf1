"""The near half of the demo's landscape: the bank, the field, the poppies, the cypresses."""

from __future__ import annotations

import numpy as np

from demo_painting.pigment import Array, glaze, pigment, ramp
from demo_painting.scene import (
    BANK,
    FIELD,
    GRID,
    HOUSE,
    PATH,
    POPPY,
    TREE,
    Scene,
    contour,
    crest,
    ripple,
)


def bank(scene: Scene, rng: np.random.Generator) -> None:
    """The near shore: hedges, round trees, a few cottages with their lamps lit."""
    palette, x, y = scene.palette, scene.x, scene.y
    line = crest(rng, x, scene.shore, 0.03 * scene.height, 0.6)
    line += 0.02 * scene.side * (scene.width / 2 - x)
    depth = y - line
    mottle = ripple(rng, 9)(x, y * 2)
    color = ramp([(0, palette.bank[0]), (1, palette.bank[1])], depth / 0.06 + 0.3 * mottle)
    slope = np.gradient(line, axis=1) * GRID
    flow = np.stack([np.ones_like(x), slope + 0.5 * mottle], -1)
    scene.cover(depth > 0, BANK, color, flow, 0.45)

    def top(at: float) -> float:
        return float(np.interp(at, x[0], line[0]))

    for _ in range(rng.integers(9, 13)):
        at = rng.uniform(0, scene.width)
        _bush(scene, rng, at, top(at) + 0.012, rng.uniform(0.016, 0.034))
    middle = scene.width * (0.5 + scene.side * rng.uniform(0.18, 0.3))
    for i in range(rng.integers(3, 5)):
        at = middle + (i - 1.5) * rng.uniform(0.062, 0.075)
        _cottage(scene, at, top(at) + rng.uniform(0.02, 0.034), rng.uniform(0.028, 0.042))


def _bush(scene: Scene, rng: np.random.Generator, x: float, y: float, size: float) -> None:
    """A round tree in turning strokes, light above and dark below."""
    shade, body, light, _ = scene.palette.leaf
    u, v = (scene.x - x) / size, (scene.y - y + size * 0.5) / (size * 1.05)
    r = np.hypot(u, v) + 0.12 * np.sin(5 * np.arctan2(v, u) + rng.uniform(0, 6))
    color = ramp([(0, light), (0.45, body), (1, shade)], 0.5 + 0.55 * v + 0.15 * u)
    turning = np.stack([-v + 0.3 * u, u + 0.3 * v], -1)
    scene.cover(r < 1, BANK, color, turning, 0.75)


def _cottage(scene: Scene, x: float, foot: float, size: float) -> None:
    """A small house with a pitched roof; its lit window is what one sees."""
    palette = scene.palette
    u, v = (scene.x - x) / size, (foot - scene.y) / size
    upright, level = np.array([0.0, 1.0]), np.array([1.0, 0.0])
    wall = ramp([(0, palette.wall[0]), (1, palette.wall[1])], 0.5 - 0.5 * u * scene.side)
    scene.cover((np.abs(u) < 0.8) & (v > 0) & (v < 0.7), HOUSE, wall, upright, 1)
    under_roof = (v >= 0.7) & (v < 1.5 - 0.8 * np.abs(u)) & (np.abs(u) < 0.98)
    for half, color in ((u <= 0, palette.roof[0]), (u > 0, palette.roof[1])):
        pitch = np.stack([np.sign(u), np.ones_like(u)], -1)
        scene.cover(under_roof & half, HOUSE, color, pitch, 1)
    window = (np.abs(u - 0.1) < 0.2) & (v > 0.18) & (v < 0.52)
    scene.cover(window, HOUSE, palette.lamp, level, 1)


def field(scene: Scene, rng: np.random.Generator) -> None:
    """A ripe field in rows that run together far off, and a path winding through it."""
    palette, x, y, side = scene.palette, scene.x, scene.y, scene.side
    line = crest(rng, x, scene.shore + 0.075 * scene.height, 0.028 * scene.height, 0.4)
    depth = (y - line) / (scene.height - scene.shore)
    meet = scene.width * (0.5 + side * 0.22)
    fan = (x - meet) / np.maximum(y - scene.shore + 0.05 * scene.height, 0.02)
    fan = fan / np.sqrt(1 + (fan / 4) ** 2)
    swell = ripple(rng, 1.6)(x, y * 1.6)
    phase = fan * rng.uniform(3.2, 4.6) + 0.35 * swell
    rows = np.sin(2 * np.pi * phase)
    color = ramp(palette.field, depth + 0.22 * swell)
    color = glaze(color, pigment(palette.furrow), 0.72 * (rows - 0.15))
    crown = np.clip(-rows - 0.35, 0, 1) * np.clip(1.1 - depth, 0, 1)
    color = glaze(color, pigment(palette.light), 0.6 * crown)
    color = glaze(color, pigment(palette.leaf[1]), 0.8 * (swell - 0.35))
    near = (depth - 0.72) * np.clip(0.6 + swell, 0, 1)
    color = glaze(color, pigment(palette.furrow), 1.1 * near)
    where = depth > 0
    scene.cover(where, FIELD, color, contour(phase), 0.3)
    _path(scene, where, np.clip(depth, 0, 2), meet, swell)


def _path(scene: Scene, where: np.ndarray, depth: Array, meet: float, swell: Array) -> None:
    """A path from the far end of the field, swinging out as it comes nearer."""
    bend = meet + 0.1 * scene.side * np.sin(2.6 * depth + 0.4) * np.minimum(depth, 1) ** 0.7
    bend -= 0.31 * scene.side * scene.width * depth**1.6
    across = (scene.x - bend) / (0.008 + 0.085 * depth**1.3)
    light, dark = scene.palette.path
    color = ramp([(0, light), (1, dark)], 0.5 - 0.5 * across * scene.side + 0.3 * swell)
    flow = np.stack([np.gradient(bend, axis=0) * GRID + 0.4 * across, np.ones_like(across)], -1)
    scene.cover(where & (np.abs(across) < 1), PATH, color, flow, 0.4)
    scene.detail[where] += 0.45 * np.exp(-((np.abs(across[where]) - 1) ** 2) / 0.02)


def cypresses(scene: Scene, rng: np.random.Generator) -> None:
    """Dark flames on the side away from the sun, their shadows falling towards us."""
    places = [(0.0, 0.8), (0.09, 0.56), (-0.1, 0.42), (0.19, 0.3)][: rng.integers(2, 5)]
    middle = scene.width * (0.5 - scene.side * rng.uniform(0.27, 0.33))
    stand = []
    for offset, tall in reversed(places):
        x = middle + scene.side * offset * rng.uniform(0.9, 1.2)
        foot = scene.height * (rng.uniform(0.86, 0.89) + 0.035 * (tall > 0.7))
        stand.append((x, foot, tall * scene.height * rng.uniform(0.95, 1.05)))
        _shadow(scene, x, foot)
    _poppies(scene, rng)
    for x, foot, tall in stand:
        _cypress(scene, rng, x, foot, tall)


def _shadow(scene: Scene, x: float, foot: float) -> None:
    """A tree's shadow on the field, a glaze over what is there."""
    run = scene.y - foot
    across = (scene.x - x + 1.5 * scene.side * run) / (0.045 + 0.15 * np.clip(run, 0, 1))
    amount = np.clip(1.25 - across**2, 0, 1) * (run > -0.008) * (scene.kind >= FIELD)
    scene.color[:] = glaze(scene.color, pigment(scene.palette.furrow), 0.85 * amount)


def _poppies(scene: Scene, rng: np.random.Generator) -> None:
    """Dabs of red in drifts across the field, larger towards us."""
    drift = ripple(rng, 1.8)
    for x, y in rng.uniform((0, 0.8 * scene.height), (scene.width, scene.height), (420, 2)):
        tilt, other = rng.uniform(-0.6, 0.6), rng.random() < 0.3
        if drift(np.float32(x), np.float32(y)) < 0.25:
            continue
        size = 0.003 + 0.031 * (y / scene.height - 0.78)
        rows, columns = (
            slice(max(0, int((at - 3 * size) * GRID)), int((at + 3 * size) * GRID) + 1)
            for at in (y, x)
        )
        u, v = scene.x[rows, columns] - x, scene.y[rows, columns] - y
        dab = (np.hypot(u / 1.4, v) < size) & (scene.kind[rows, columns] == FIELD)
        scene.kind[rows, columns][dab] = POPPY
        scene.color[rows, columns][dab] = pigment(scene.palette.bloom[int(other)])
        scene.flow[rows, columns][dab] = (1.0, tilt)
        scene.detail[rows, columns][dab] = 1


def _cypress(scene: Scene, rng: np.random.Generator, x: float, foot: float, tall: float) -> None:
    """One tree: tongues of dark green up a leaning axis, warm where the sun grazes it."""
    palette, side, y = scene.palette, scene.side, scene.y
    p, q = rng.uniform(0, 6.3, 2)
    t = (foot - y) / tall
    up = np.clip(t, 0, 1)
    axis = x + (0.02 * np.sin(5.5 * up + p) + 0.015 * side * up) * up
    broad = 0.062 * (tall / 0.7) ** 0.6 * rng.uniform(0.9, 1.1)
    half = broad * np.sin(np.pi * (0.006 + 0.994 * up) ** 0.62).clip(0) ** 0.85
    u = (scene.x - axis) / np.maximum(half, 1e-4)
    # Each side has its own row of leaf tips, pointing up.
    tips = np.where(u < 0, (y * 16 + p) % 1.0, (y * 19 + q) % 1.0)
    where = (t > 0.022 * ((scene.x * 61 + p) % 1.0)) & (t < 1)
    where &= np.abs(u) < 0.82 + 0.3 * tips
    swirl = 2 * np.pi * (1.3 * u + 2.0 * t + 0.2 * ((y * 23 + q) % 1.0)) + p
    light = np.clip(0.5 + 0.5 * side * u, 0, 1)
    shade, body, bright, deepest = palette.leaf
    leaf = [(0, deepest), (0.35, shade), (0.75, body), (1.1, bright)]
    color = ramp(leaf, 0.08 + 0.62 * light**1.5 + 0.28 * np.sin(swirl))
    color = glaze(color, pigment(palette.glow), 2 * (light - 0.78))
    lean = (np.gradient(axis, axis=0) + u * np.gradient(half, axis=0)) * GRID
    flow = np.stack([lean + 0.3 * np.cos(swirl) - 0.15 * u, np.ones_like(u)], -1)
    scene.cover(where, TREE, color, flow, 0.5)
    scene.detail[where] += 0.4 * (np.abs(u[where]) > 0.7)
