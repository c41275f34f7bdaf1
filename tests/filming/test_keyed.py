"""Films made from keyframes, keyframes of one's own, styles that change, masks frame by frame."""

import subprocess
import sys
import time
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from clip_makers import (
    HEIGHT,
    QUICK_FILM,
    STYLE,
    WIDTH,
    paint_film,
    painted,
    scene,
    tensor,
    texture,
    write_frames,
)

import impasto
from impasto.errors import ImageError
from impasto.filming.blend import blend
from impasto.filming.carrier import Carried, Carrier
from impasto.filming.motion import find_flow, warping_error
from impasto.filming.patch_match import advance_field, identity_field, match_holes
from impasto.filming.style_schedule import open_phases
from impasto.images.read import open_image
from impasto.images.video_read import Clip, open_clip
from impasto.style.source import Style

QUICK = {**QUICK_FILM, "engine": "keyed", "keys_every": 4}


@pytest.fixture(scope="module")
def frames():
    return [*scene(7), *scene(3, seed=9)]


@pytest.fixture(scope="module")
def film_of(frames, tmp_path_factory):
    """The frames of a clip with a cut, made from keyframes, and the result."""
    return paint_film(tmp_path_factory.mktemp("keyed"), frames, QUICK)


def test_keyframes_are_at_cuts_at_ends_and_between(film_of, frames):
    result, images, steps = film_of
    assert result.engine == "keyed"
    assert (result.frames, result.cuts, result.keys) == (10, (0, 7), (0, 4, 6, 7, 9))
    assert [step.frame for step in steps] == list(range(1, len(frames) + 1))
    assert [step.frame for step in steps if step.cut] == [1, 8]
    assert torch.allclose(steps[5].picture(), images[5], atol=1 / 255)


def test_frames_between_keyframes_follow_the_clip(film_of, frames):
    _, images, _ = film_of
    far = (slice(None), slice(0, 4), slice(58, WIDTH))  # away from the square
    for before, after in pairwise(images[:7]):
        assert torch.equal(before[far], after[far])
    flows = [find_flow(tensor(a), tensor(b)) for a, b in pairwise(frames[:7])]
    held = sum(map(warping_error, images[:6], images[1:7], flows))
    unmoved = sum(map(warping_error, [images[0]] * 6, images[1:7], flows))
    assert held < unmoved
    # The square has arrived, and what it uncovered is not the square.
    for image, frame in zip(images[1:7], frames[1:7], strict=True):
        assert (image - tensor(frame)).abs().mean() < 0.15


def test_a_still_clip_neither_moves_nor_drifts_from_keyframe_to_keyframe(tmp_path):
    noise = np.random.default_rng(0)
    still = texture(3).astype(int)
    frames = [np.clip(still + noise.integers(-2, 3, still.shape), 0, 255) for _ in range(9)]
    write_frames(tmp_path / "in", [frame.astype(np.uint8) for frame in frames])
    impasto.film(tmp_path / "in", STYLE, tmp_path / "out", **QUICK)
    images = painted(tmp_path / "out")
    assert max(float((image - images[0]).abs().max()) for image in images) < 1 / 255


def test_a_stopped_film_goes_on_from_its_last_keyframe(tmp_path, frames, film_of):
    write_frames(tmp_path / "in", frames)
    for count in (2, 1):
        done = []
        stopped = impasto.film(
            tmp_path / "in",
            STYLE,
            tmp_path / "out",
            on_frame=done.append,
            stop=lambda done=done, count=count: len(done) >= count,
            overwrite=True,
            **QUICK,
        )
        assert stopped.stopped
    assert 5 < stopped.frames < len(frames)
    whole = impasto.film(tmp_path / "in", STYLE, tmp_path / "out", overwrite=True, **QUICK)
    assert whole.resumed == stopped.frames
    assert all(map(torch.equal, painted(tmp_path / "out"), film_of[1]))


PROGRAM = """
import sys, numpy as np, impasto
impasto.film(sys.argv[1], np.load(sys.argv[2]), sys.argv[3], size=64, steps=4,
             frame_evaluations=2, precision="float32", device="cpu", engine="keyed", keys_every=4,
             on_frame=lambda step: print(step.frame, flush=True))
"""


@pytest.mark.slow
def test_a_killed_film_goes_on_to_the_same_bytes(tmp_path, frames, film_of):
    write_frames(tmp_path / "in", frames)
    np.save(tmp_path / "style.npy", STYLE)
    command = [sys.executable, "-c", PROGRAM, "in", "style.npy", "out"]
    for kill in range(20):
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=tmp_path) as process:
            process.stdout.readline()
            time.sleep(0.02 * kill)
            process.kill()
        if not list(tmp_path.rglob("*.impasto-film")):
            break  # the kill came when all was done
    else:
        subprocess.run(command, check=True, cwd=tmp_path)
    assert all(map(torch.equal, painted(tmp_path / "out"), film_of[1]))


@pytest.mark.parametrize("engine", ["painted", "keyed"])
def test_a_keyframe_of_one_s_own_is_that_frame(tmp_path, frames, engine):
    write_frames(tmp_path / "in", frames[:6])
    key = texture(5, 2 * HEIGHT, 2 * WIDTH)
    impasto.film(
        tmp_path / "in", STYLE, tmp_path / "out", keys={3: key}, **QUICK | {"engine": engine}
    )
    images = painted(tmp_path / "out")
    shown = open_image(key).pixels
    shown = torch.nn.functional.interpolate(shown[None], (HEIGHT, WIDTH), mode="area")[0]
    distances = [float((image - shown).abs().mean()) for image in images]
    assert distances[3] < 0.02
    assert distances[4] < distances[0]  # it goes on from there


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({9: STYLE}, r"`key` must be for a frame of the film, 0 to 5, got 9; choose one of these"),
        ({1: texture(1, 48, 48)}, r"`key` of frame 1 must have the shape of the clip, 64 × 48"),
    ],
)
def test_keyframes_that_cannot_be_are_refused_before_any_work(tmp_path, frames, keys, words):
    write_frames(tmp_path / "in", frames[:6])
    with pytest.raises(ValueError, match=words):
        impasto.film(tmp_path / "in", STYLE, tmp_path / "out", keys=keys, **QUICK)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("engine", ["painted", "keyed"])
def test_styles_take_the_place_of_others(tmp_path, engine):
    write_frames(tmp_path / "in", [texture(3)] * 9)
    red, blue = STYLE.copy(), STYLE.copy()
    red[..., 1:] //= 4
    blue[..., :2] //= 4
    options = QUICK | {"engine": engine, "crossfade": 3, "keys_every": 20}
    impasto.film(tmp_path / "in", {0: red, "0.12s": blue}, tmp_path / "out", **options)
    warmth = [float(image[0].mean() - image[2].mean()) for image in painted(tmp_path / "out")]
    assert max(warmth[:3]) - min(warmth[:3]) < 0.01
    assert warmth[2] > warmth[4] > warmth[6]  # across the change
    assert warmth[8] < warmth[0] - 0.1


def test_styles_have_to_begin_with_the_film():
    part = (10, 90)
    clip = Clip(Path("clip"), (64, 48), 100, Fraction(25), "")
    with pytest.raises(ValueError, match="`style` must have one for the first frame, 10, got"):
        open_phases({20: STYLE}, clip, part, 5)
    with pytest.raises(ValueError, match="`style` must begin before the film ends, at frame 90"):
        open_phases({0: STYLE, 90: STYLE}, clip, part, 5)
    with pytest.raises(ValueError, match="got two for frame 50"):
        open_phases({0: STYLE, 50: STYLE, "2s": STYLE}, clip, part, 5)
    with pytest.raises(ValueError, match="`style` must begin at a frame such as 60"):
        open_phases({0: STYLE, "soon": STYLE}, clip, part, 5)
    phases = open_phases({0: STYLE, 5: STYLE, "2s": STYLE}, clip, part, 5)
    assert [(phase.start, phase.fade) for phase in phases] == [(5, 0), (50, 5)]


@pytest.mark.parametrize("engine", ["painted", "keyed"])
def test_each_frame_has_a_mask_of_its_own(tmp_path, frames, engine):
    write_frames(tmp_path / "in", frames[:3])
    masks = np.zeros((3, HEIGHT, WIDTH, 3), np.uint8)
    for number, mask in enumerate(masks[:2]):
        mask[:, 20 * number : 20 * number + 16] = 255
    write_frames(tmp_path / "masks", masks)
    options = QUICK | {"engine": engine, "protect": tmp_path / "masks"}
    impasto.film(tmp_path / "in", STYLE, tmp_path / "out", **options)
    for number, image in enumerate(painted(tmp_path / "out")):
        difference = (image - tensor(frames[number])).abs().mean(0)
        for place in range(2):
            part = difference[:, 20 * place + 1 : 20 * place + 15]
            assert bool(part.max() < 2 / 255) == (place == number)
    (tmp_path / "masks" / "frame_0002.png").unlink()
    with pytest.raises(ValueError, match="one mask for each of the clip's 3 frames, got 2"):
        impasto.film(tmp_path / "in", STYLE, tmp_path / "more", **options)
    options["protect"] = str(tmp_path / "no_%04d.png")
    with pytest.raises(ImageError, match="be a pattern of files that exist"):
        impasto.film(tmp_path / "in", STYLE, tmp_path / "more", **options)


def test_a_region_has_a_mask_for_each_frame(tmp_path, frames):
    write_frames(tmp_path / "in", frames[:3])
    masks = np.zeros((3, HEIGHT, WIDTH, 3), np.uint8)
    masks[0, :, :32] = masks[2, :, 32:] = 255
    write_frames(tmp_path / "masks", masks)
    there = Style(255 - STYLE, region=tmp_path / "masks")
    part, clip = (0, 3), open_clip(tmp_path / "in")
    (phase,) = open_phases([STYLE, there], clip, part, 5)
    assert [len(phase.sources_at(number)) for number in range(3)] == [2, 1, 2]
    assert phase.sources_at(2)[1].region.pixels[0, 0, -1] == 1
    with pytest.raises(ValueError, match="`region` must leave a style for frame 1, got masks"):
        open_phases(there, clip, part, 5)
    impasto.film(tmp_path / "in", [STYLE, there], tmp_path / "out", **QUICK)
    assert len(painted(tmp_path / "out")) == 3


def test_a_field_moves_and_goes_on_beyond_the_border():
    steps = np.full((16, 24, 2), (-1.5, 0.0), np.float32)
    places = advance_field(advance_field(identity_field(16, 24), steps), steps)
    assert np.abs(places - identity_field(16, 24) - (-3, 0)).max() < 1e-4


def test_holes_are_filled_with_what_looks_alike(monkeypatch):
    source = texture(8).astype(np.float32) / 255
    guide = np.roll(source, 6, 1)
    holes = np.zeros((HEIGHT, WIDTH), bool)
    holes[10:34, 20:50] = True
    places, costs = match_holes(guide, source, identity_field(HEIGHT, WIDTH), holes, 3)
    assert np.array_equal(places[~holes], identity_field(HEIGHT, WIDTH)[~holes])
    assert costs[holes].mean() < 1.5
    monkeypatch.setenv("IMPASTO_NO_COMPILED", "1")
    tensors = match_holes(guide, source, identity_field(HEIGHT, WIDTH), holes, 3)
    assert np.abs(tensors[0] - places).max() < 0.01
    steps = np.random.default_rng(0).normal(0, 2, (HEIGHT, WIDTH, 2)).astype(np.float32)
    slow = advance_field(places, steps)
    monkeypatch.delenv("IMPASTO_NO_COMPILED")
    assert np.abs(slow - advance_field(places, steps)).max() < 1e-3


def test_a_frame_is_carried_as_it_is_where_it_moves_by_whole_pixels(frames):
    contents = [tensor(np.roll(texture(3), 3 * k, 1)) for k in range(4)]
    carrier = Carrier(contents[0], contents[0], contents[0], 0)
    for before, after in pairwise(contents):
        carried = carrier.step(after, find_flow(before, after))
    inside = (slice(None), slice(4, -4), slice(16, -4))
    assert (carried.pixels - contents[3])[inside].abs().mean() < 0.01
    assert carried.trust[inside[1:]].mean() > 0.9


def test_what_one_keyframe_does_not_show_comes_from_the_other():
    seen, unseen = torch.ones(16, 16), torch.full((16, 16), 0.02)
    red, blue = torch.zeros(3, 16, 16), torch.zeros(3, 16, 16)
    red[0], blue[2] = 1, 1
    still = torch.zeros(16, 16)
    mixed = blend(Carried(red, seen, still), Carried(blue, unseen, still), 0.7)
    assert mixed[0].mean() > 0.9
