"""The brush and the canvas of the demo's painter."""

import numpy as np
import pytest
from demo_painting.brush import BRUSHES, STEPS, bristles, plan
from demo_painting.canvas import lay, lit, primed
from demo_painting.landscape import compose
from demo_painting.scene import SKY, TREE, contour, ripple

pytestmark = pytest.mark.slow  # the library never runs the painter, it ships one painting
SCENE = compose(1.25, 7)


def planned(brush):
    return plan(SCENE, brush, np.random.default_rng(0))


def test_every_kind_of_thing_is_in_the_scene_and_every_cell_is_something():
    for seed in range(3):
        kinds = np.unique(compose(1.25, seed).kind)
        assert {SKY, TREE} <= set(kinds.tolist())
        assert len(kinds) >= 10


def test_thousands_of_strokes_shorter_and_narrower_from_brush_to_brush():
    plans = [planned(brush) for brush in BRUSHES]
    assert sum(len(strokes.color) for strokes in plans) > 5000
    runs = [np.linalg.norm(np.diff(s.spine, axis=1), axis=2).sum(1).mean() for s in plans]
    widths = [strokes.width.mean() for strokes in plans]
    assert runs == sorted(runs, reverse=True)
    assert widths == sorted(widths, reverse=True)


def test_strokes_stay_on_the_thing_they_paint():
    strokes = planned(BRUSHES[2])
    aimed = SCENE.kind[SCENE.cell(*strokes.spine[:, STEPS].T)]
    inside = [SCENE.kind[SCENE.cell(*strokes.spine[:, i].T)] for i in range(2 * STEPS + 1)]
    # Straight pieces between points of a bent path may cut a corner.
    assert np.mean(inside == aimed) > 0.993


def test_strokes_follow_the_flow():
    strokes = planned(BRUSHES[2])
    middle = SCENE.cell(*strokes.spine[:, STEPS].T)
    run = strokes.spine[:, STEPS + 1] - strokes.spine[:, STEPS - 1]
    flow = SCENE.flow[middle]
    size = np.linalg.norm(run, axis=1) * np.linalg.norm(flow, axis=1)
    cosine = np.abs((run * flow).sum(1))[size > 1e-9] / size[size > 1e-9]
    assert np.median(cosine) > 0.95


def test_strokes_are_painted_from_back_to_front():
    strokes = planned(BRUSHES[1])
    kinds = SCENE.kind[SCENE.cell(*strokes.spine[:, STEPS].T)].astype(int)
    assert np.mean(np.diff(kinds) < 0) < 0.03


def test_without_strokes_the_canvas_is_an_even_ground():
    canvas = primed(40, 30)
    before = canvas.color.copy()
    brush = BRUSHES[0]
    none = planned(brush)._replace(
        **{name: part[:0] for name, part in planned(brush)._asdict().items()}
    )
    lay(canvas, brush, none, bristles(brush, np.random.default_rng(0)))
    np.testing.assert_array_equal(canvas.color, before)
    assert np.ptp(lit(canvas), axis=(0, 1)).max() == 0


def test_one_stroke_leaves_no_holes():
    brush = BRUSHES[0]
    strokes = planned(brush)
    spine = np.linspace((0.35, 0.4), (0.6, 0.55), 2 * STEPS + 1, dtype=np.float32)
    one = type(strokes)(
        spine[None],
        np.ones((1, 3), np.float32),
        np.full(1, brush.width, np.float32),
        np.zeros(1, np.float32),
        np.zeros(1, int),
    )
    canvas = primed(300, 300)
    still = np.zeros_like(bristles(brush, np.random.default_rng(0)))
    lay(canvas, brush, one, still)
    painted = canvas.relief[:-1].reshape(300, 300) > 0
    assert painted.sum() > 0.5 * brush.width * 0.29 * 300**2
    for line in (*painted, *painted.T):
        touched = np.flatnonzero(line)
        assert touched.size == 0 or touched.size == np.ptp(touched) + 1


def test_the_contour_of_a_slope_runs_along_it():
    y, x = np.mgrid[:20, :30].astype(np.float32)
    along = contour(x + 2 * y)
    np.testing.assert_allclose(along @ np.array([1.0, 2.0]), 0, atol=1e-3)


def test_ripple_is_smooth_and_bounded():
    at = ripple(np.random.default_rng(0), 2.0)
    x = np.linspace(0, 3, 3000, dtype=np.float32)
    values = at(x, np.zeros_like(x))
    assert np.abs(values).max() <= 3
    assert np.abs(np.diff(values)).max() < 0.1
    assert values.std() > 0.3


def test_the_brushes_together_leave_hardly_any_ground_bare():
    rng = np.random.default_rng(1)
    canvas = primed(240, 192)
    for brush in BRUSHES:
        patterns = bristles(brush, rng)
        lay(canvas, brush, plan(SCENE, brush, rng), patterns)
    bare = canvas.relief[:-1].reshape(192, 240) == 0
    assert 0 < bare.mean() < 0.01
    for part in (bare[:48], bare[-48:], bare[:, :48], bare[:, -48:]):
        assert part.mean() < 0.02
