"""Makes the page's shelf, src/impasto/serve/page/shelf: NAME.jpg, its preview NAME-small.jpg
and the photograph to try the page with, ../demo.jpg.

    python docs/make_shelf.py [NAME …]

Six pictures to learn a style from, all made here, so that they may be passed on with impasto.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

import numpy as np
import torch
from demo_painting import paint
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial import cKDTree

import impasto
from impasto.demo import photograph
from impasto.images.resize import fit_longest_side, resize
from impasto.serve.service import PAGE

WIDE, HIGH = 640, 512
SHOWN = 160  # pixels on the longer side of what is shown
Image = np.ndarray  # (HIGH, WIDE, 3) in [0, 1]


def main() -> None:
    (PAGE / "shelf").mkdir(exist_ok=True)
    for name in sys.argv[1:] or SHELF:
        make, _, _ = SHELF[name]
        pixels = torch.from_numpy(np.ascontiguousarray(make().transpose(2, 0, 1))).float()
        place = PAGE / "shelf" / f"{name}.jpg"
        print(impasto.save(pixels.clamp(0, 1), place, quality=78, overwrite=True))
        small = resize(pixels, fit_longest_side((WIDE, HIGH), SHOWN)).clamp(0, 1)
        impasto.save(small, place.with_name(f"{name}-small.jpg"), quality=60, overwrite=True)
    impasto.save(photograph(), PAGE / "demo.jpg", quality=85, overwrite=True)
    shelf = [
        {
            "name": name,
            "title": {"en": english, "zh": chinese},
            "picture": f"/page/shelf/{name}.jpg",
            "thumbnail": f"/page/shelf/{name}-small.jpg",
        }
        for name, (_, english, chinese) in SHELF.items()
    ]
    text = json.dumps(shelf, ensure_ascii=False, indent=1)
    (PAGE / "shelf.json").write_text(text + "\n", encoding="utf-8")


def oil(seed: int) -> Image:
    """One of the demo's landscapes in oil."""
    return paint((WIDE, HIGH), seed).numpy().transpose(1, 2, 0)


def glass() -> Image:
    """Stained glass: a sun over hills, in pieces held by leads."""
    random = np.random.default_rng(3)
    rows, columns = grid()
    rings = [
        (radius, np.linspace(0, 2 * np.pi, count, endpoint=False) + radius)
        for radius, count in ((0, 1), (46, 7), (88, 13), (134, 18), (184, 24), (238, 30))
    ]
    sun = np.array(
        [(180 + r * np.sin(a), 400 + r * np.cos(a)) for r, angles in rings for a in angles]
    )
    rest = random.uniform((0, 0), (HIGH, WIDE), (900, 2))
    far = np.hypot(rest[:, 0] - 180, rest[:, 1] - 400) > 265
    points = np.concatenate([sun, thin_out(rest[far], 38)])
    gaps, pieces = cKDTree(points).query(np.stack([rows, columns], -1), k=2)
    piece = pieces[..., 0]
    away = np.hypot(points[:, 0] - 180, points[:, 1] - 400)
    land = points[:, 0] > 330 + 40 * np.sin(points[:, 1] / 90)
    warm = blend(("#fff0b0", "#f9b233", "#e4572e", "#b3202c", "#6a1b52"), np.clip(away / 250, 0, 1))
    sky = blend(("#2f6fa8", "#16477f", "#3f9aa6", "#0f2f63"), random.random(len(points)))
    green = blend(("#1d6b4f", "#7aa23a", "#0f4a4a", "#c7b23c"), random.random(len(points)))
    colors = np.where((away < 262)[:, None], warm, np.where(land[:, None], green, sky))
    colors *= random.uniform(0.82, 1.12, (len(points), 1))
    streaks = noise(random, (3, 26)) * 0.10 + noise(random, (30, 9)) * 0.08
    light = 1 + streaks + 0.25 * np.exp(-((gaps[..., 1] - gaps[..., 0] - 14) ** 2) / 120)
    lead = np.clip((gaps[..., 1] - gaps[..., 0] - 3.2) / 2.2, 0, 1)[..., None]
    relief = 0.10 + 0.10 * noise(random, (2, 2))[..., None]
    return colors[piece] * light[..., None] * lead + relief * (1 - lead)


def mosaic() -> Image:
    """A mosaic: stones laid along the currents of a sea, under an evening."""
    random = np.random.default_rng(11)
    rows, columns = grid()
    swirl = sum(
        turn * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 2 / reach**2)
        for y, x, reach, turn in ((150, 190, 80, 2.4), (330, 470, 110, -2.8), (420, 120, 90, 2.2))
    )
    angle = 0.5 * np.sin(columns / 90) + swirl
    height = map_coordinates(
        rows, [rows + 30 * np.sin(columns / 70 + swirl), columns], mode="nearest"
    )
    tone = np.clip(height / HIGH + 0.16 * np.sin(3 * swirl), 0, 1)
    colors = ("#f3d9a2", "#e0903f", "#b8432f", "#7d2a4a", "#26456e", "#1f7a8c", "#a9d3c4")
    picture = np.full((HIGH, WIDE, 3), (0.17, 0.15, 0.14)) + 0.04 * noise(random, (1, 1))[..., None]
    for y, x in thin_out(random.uniform(-4, (HIGH + 4, WIDE + 4), (40_000, 2)), 9.0):
        cell = int(np.clip(y, 0, HIGH - 1)), int(np.clip(x, 0, WIDE - 1))
        turn = angle[cell] + random.normal(0, 0.08)
        top, left = max(0, int(y) - 8), max(0, int(x) - 8)
        box = np.s_[top : int(y) + 9, left : int(x) + 9]
        dy, dx = rows[box] - y, columns[box] - x
        along = np.abs(dx * np.cos(turn) + dy * np.sin(turn)) / random.uniform(4.6, 6.4)
        across = np.abs(dy * np.cos(turn) - dx * np.sin(turn)) / random.uniform(3.6, 4.6)
        inside = np.clip((1 - np.maximum(along, across)) * 5, 0, 1)[..., None]
        shade = tone[cell] + random.normal(0, 0.05)
        stone = blend(colors, np.clip(shade, 0, 1)) * random.uniform(0.85, 1.15)
        edge = 1 + 0.16 * (dx + dy)[..., None] / -9
        picture[box] = picture[box] * (1 - inside) + stone * edge * inside
    return picture * (1 + 0.05 * noise(random, (1, 1)))[..., None]


def woodcut() -> Image:
    """A woodcut in three inks: lines carved along the forms of hills and clouds."""
    random = np.random.default_rng(5)
    rows, columns = grid()
    form = 70 * noise(random, (70, 90)) + 26 * noise(random, (26, 34))
    lines = np.sin((rows + 1.4 * form) / 2.5 + 0.15 * noise(random, (3, 9)))
    across = np.sin((columns * 0.8 - rows * 0.55 + 1.8 * form) / 2.9)
    sun = np.hypot(rows - 140, columns - 455)
    ridge = 300 + 0.9 * form[230] + 26 * np.sin(np.arange(WIDE) / 47)
    near = 400 + 0.7 * form[400] + 18 * np.sin(np.arange(WIDE) / 31 + 2)
    land, front = rows > ridge, rows > near
    tone = np.where(front, 0.80, np.where(land, 0.55, 0.18 + 0.34 * rows / HIGH))
    tone = tone + 0.22 * np.tanh(form / 40) - 0.5 * (sun < 62)
    rays = 0.5 + 0.5 * np.sin(np.arctan2(rows - 140, columns - 455) * 34)
    tone = np.where((sun >= 62) & ~land, tone + 0.25 * (rays - 0.5) * np.exp(-sun / 240), tone)
    cut = soft(2 * tone - 1 - 0.95 * lines, 0.25)
    cut = np.maximum(cut, soft(2 * tone - 1.75 - 0.8 * across, 0.25) * land)
    paper = (
        blend(("#efe2c4",), np.zeros(rows.shape)) * (1 + 0.03 * noise(random, (1, 1)))[..., None]
    )
    sky = blend(("#e9a23b", "#e5c07a", "#8fb3ac"), np.clip(sun / 420, 0, 1))
    second = np.where(land[..., None], blend(("#7c8f4e",), np.zeros(rows.shape)), sky)
    second = np.where((sun < 62)[..., None], blend(("#d3482b",), np.zeros(rows.shape)), second)
    wear = np.clip(0.92 + 0.16 * noise(random, (2, 2)), 0, 1)[..., None]
    page = paper * (1 - 0.85 * wear) + second * 0.85 * wear
    ink = np.array((0.10, 0.11, 0.17))
    cut = (cut * np.clip(0.97 + 0.12 * noise(random, (1, 1)), 0, 1))[..., None]
    return page * (1 - cut) + ink * cut


def marble() -> Image:
    """Marbled paper: drops of ink on water, drawn through with combs."""
    random = np.random.default_rng(8)
    rows, columns = grid()
    y, x = rows.copy(), columns.copy()
    for number in range(7):  # the last comb is undone first
        phase, reach = random.uniform(0, 6.3), (26, 60, 15, 44, 90, 20, 120)[number]
        if number % 2:
            y = y + 0.55 * reach * np.sin(x / reach + phase)
        else:
            x = x + 0.45 * reach * np.sin(y / reach + phase + 0.6 * np.sin(y / 97))
    y, x = y + 16 * noise(random, (40, 40)), x + 16 * noise(random, (34, 50))
    drops = random.uniform((-300, -300), (HIGH + 300, WIDE + 300), (330, 2))
    distance, which = cKDTree(drops).query(np.stack([y, x], -1))
    bands = np.sin(distance / 3.1 + which % 7) * 0.5 + 0.5
    colors = ("#f2e6cf", "#123a5a", "#c4472e", "#e3b04b", "#2f7f86", "#f2e6cf", "#5b1f3a")
    base = blend(colors, (which * 0.6180339) % 1)
    vein = blend(("#f6edda", "#0f2c46"), (which * 0.377) % 1)
    mixed = base + (vein - base) * soft(bands - 0.62, 0.18)[..., None]
    grain = 1 + 0.04 * noise(random, (1, 1)) + 0.05 * noise(random, (6, 6))
    return mixed * grain[..., None]


def grid() -> tuple[np.ndarray, np.ndarray]:
    """Row and column of every pixel."""
    return np.mgrid[:HIGH, :WIDE].astype(float)


def noise(random: np.random.Generator, reach: tuple[float, float]) -> np.ndarray:
    """Smooth noise of deviation 1 that reaches so far down and across."""
    smooth = gaussian_filter(random.normal(size=(HIGH, WIDE)), reach, mode="wrap")
    return smooth / smooth.std()


def soft(value: np.ndarray, width: float) -> np.ndarray:
    """1 above 0 and 0 below, with an edge."""
    return np.clip(value / width + 0.5, 0, 1)


def thin_out(points: np.ndarray, gap: float) -> np.ndarray:
    """Points that are no closer to each other than a gap."""
    tree, keep = cKDTree(points), np.ones(len(points), bool)
    for index in range(len(points)):
        if keep[index]:
            for other in tree.query_ball_point(points[index], gap):
                keep[other] &= other <= index
    return points[keep]


def blend(colors: tuple[str, ...], share: np.ndarray | float) -> np.ndarray:
    """Colors on the way from the first, at 0, to the last, at 1."""
    known = np.array([[int(code[at : at + 2], 16) / 255 for at in (1, 3, 5)] for code in colors])
    shares = np.linspace(0, 1, len(known))
    return np.stack([np.interp(share, shares, known[:, band]) for band in range(3)], -1)


SHELF: dict[str, tuple[Callable[[], Image], str, str]] = {
    "evening": (lambda: oil(7), "Evening lake, oil", "傍晚湖面，油画"),
    "night": (lambda: oil(8), "Moonlight, oil", "月夜，油画"),
    "glass": (glass, "Stained glass", "彩绘玻璃"),
    "mosaic": (mosaic, "Mosaic", "马赛克"),
    "woodcut": (woodcut, "Woodcut in three inks", "三色木刻"),
    "marble": (marble, "Marbled paper", "大理石纹纸"),
}


if __name__ == "__main__":
    main()
