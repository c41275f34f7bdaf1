"""Film from end to end, on clips small enough for a test."""

import subprocess
import sys
import time
from itertools import pairwise

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
    write_video,
)

import impasto
from impasto.errors import ImageError
from impasto.filming.carrier import Carrier
from impasto.filming.film import plan_film
from impasto.filming.motion import carry, find_flow, find_still, is_cut, warping_error
from impasto.filming.painted import hold_to_older
from impasto.filming.preview import preview_film
from impasto.images.video_read import open_clip


@pytest.fixture(scope="module")
def frames():
    return [*scene(4), *scene(3, seed=9)]


@pytest.fixture(scope="module")
def film_of(frames, tmp_path_factory):
    """The frames of a clip with a cut, painted, and the result."""
    return paint_film(tmp_path_factory.mktemp("film"), frames, QUICK_FILM)


def test_a_film_has_the_clip_s_frames_and_scenes(film_of, frames):
    result, images, steps = film_of
    assert result.frames == len(images) == len(frames)
    assert result.size == (WIDTH, HEIGHT)
    assert result.cuts == (0, 4)
    assert [step.frame for step in steps] == list(range(1, 8))
    assert [step.cut for step in steps] == [True, False, False, False, True, False, False]
    assert torch.allclose(steps[-1].picture(), images[-1], atol=1 / 255)
    assert not list(result.path.parent.glob("*.impasto-film"))


def test_what_stands_still_stays_the_same_and_what_moves_is_painted(film_of, frames):
    _, images, _ = film_of
    far = (slice(None), slice(0, 4), slice(56, WIDTH))  # away from the square
    for before, after in pairwise(images[:4]):
        assert torch.equal(before[far], after[far])
        assert not torch.equal(before, after)
    assert (images[3] - tensor(frames[3])).abs().mean() > 0.02


def test_a_still_clip_neither_moves_nor_drifts(tmp_path):
    noise = np.random.default_rng(0)
    still = texture(3).astype(int)
    frames = [np.clip(still + noise.integers(-2, 3, still.shape), 0, 255) for _ in range(6)]
    write_frames(tmp_path / "in", [frame.astype(np.uint8) for frame in frames])
    steps = []
    impasto.film(tmp_path / "in", STYLE, tmp_path / "out", on_step=steps.append, **QUICK_FILM)
    images = painted(tmp_path / "out")
    assert len(steps) == 4  # of the first frame
    assert (images[5] - images[0]).abs().max() < 1 / 255


def test_frames_hold_together_better_than_painted_one_by_one(film_of, frames):
    _, images, _ = film_of
    alone = [impasto.stylize(tensor(frame), STYLE, size=WIDTH, steps=4) for frame in frames[:4]]
    flows = [find_flow(tensor(a), tensor(b)) for a, b in pairwise(frames[:4])]

    def flicker(shown):
        return sum(map(warping_error, shown[:3], shown[1:4], flows))

    # Few steps from the frames themselves hardly flicker; the film does so less than the clip.
    assert flicker(images) < 0.8 * flicker([result.pixels for result in alone])
    assert flicker(images) < flicker(list(map(tensor, frames)))


def test_the_same_seed_gives_the_same_bytes(tmp_path, frames):
    write_frames(tmp_path / "in", frames[:3])
    made = []
    for name in ("a.mp4", "b.mp4"):
        impasto.film(tmp_path / "in", STYLE, tmp_path / name, rate=10, **QUICK_FILM)
        made.append((tmp_path / name).read_bytes())
    assert made[0] == made[1]
    clip = open_clip(tmp_path / "a.mp4")
    assert (clip.frames, clip.rate, clip.size) == (3, 10, (WIDTH, HEIGHT))


def test_a_stopped_film_is_there_and_the_same_call_goes_on(tmp_path, frames, film_of):
    write_frames(tmp_path / "in", frames)
    done = []
    output = tmp_path / "out.webm"
    options = {"on_frame": done.append, "overwrite": True, **QUICK_FILM}
    stopped = impasto.film(tmp_path / "in", STYLE, output, stop=lambda: len(done) == 3, **options)
    assert stopped.stopped
    assert stopped.frames == open_clip(output).frames == 3
    output.unlink()
    with pytest.raises(ImageError, match="unfinished frames of another film"):
        impasto.film(tmp_path / "in", texture(5, 48, 48), output, **QUICK_FILM)
    whole = impasto.film(tmp_path / "in", STYLE, output, **options)
    assert (whole.frames, whole.resumed, whole.stopped) == (7, 3, False)
    assert len(done) == 7
    straight = impasto.film(tmp_path / "in", STYLE, tmp_path / "straight.webm", **QUICK_FILM)
    assert output.read_bytes() == straight.path.read_bytes()


PROGRAM = """
import sys, numpy as np, impasto
impasto.film(sys.argv[1], np.load(sys.argv[2]), sys.argv[3], size=64, steps=4,
             frame_evaluations=2, precision="float32", device="cpu",
             on_frame=lambda step: print(step.frame, flush=True))
"""


@pytest.mark.slow
def test_a_killed_film_goes_on_frame_for_frame(tmp_path, frames, film_of):
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
    assert len(painted(tmp_path / "out")) == len(frames)
    assert all(map(torch.equal, painted(tmp_path / "out"), film_of[1]))
    assert not list(tmp_path.rglob("*.impasto-film"))


def test_a_part_of_a_clip_is_painted_alone(tmp_path, frames):
    clip = write_video(tmp_path / "in.mp4", frames, rate=10)
    result = impasto.film(clip, STYLE, tmp_path / "out.mp4", range="0.2s:0.4s", **QUICK_FILM)
    assert result.frames == open_clip(tmp_path / "out.mp4").frames == 2
    assert result.cuts == (2,)


def test_odd_sides_are_said(tmp_path):
    write_frames(tmp_path / "in", scene(2, height=47, width=63))
    result = impasto.film(tmp_path / "in", STYLE, tmp_path / "a.mp4", **{**QUICK_FILM, "size": 63})
    assert result.size == open_clip(tmp_path / "a.mp4").size == (62, 46)
    assert any("of the 63 × 47 the last row" in note for note in result.notes)


def test_masks_and_colors_are_as_for_pictures(tmp_path, frames):
    write_frames(tmp_path / "in", frames[:2])
    protect = torch.zeros(HEIGHT, WIDTH)
    protect[:, : WIDTH // 2] = 1
    impasto.film(tmp_path / "in", STYLE, tmp_path / "out", protect=protect, color=0.0, **QUICK_FILM)
    for image, frame in zip(painted(tmp_path / "out"), frames[:2], strict=True):
        difference = (image - tensor(frame)).abs()
        assert difference[..., : WIDTH // 2 - 1].max() < 2 / 255
        assert difference[..., WIDTH // 2 + 1 :].mean() > 0.01


def test_gray_frames_stay_gray(tmp_path):
    card = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    write_frames(tmp_path / "in", [card, card])
    impasto.film(tmp_path / "in", STYLE, tmp_path / "a.mp4", **{**QUICK_FILM, "strength": 0.0})
    shown = next(open_clip(tmp_path / "a.mp4").read()).pixels
    assert (shown - 128 / 255).abs().max() < 1.5 / 255


def test_a_plan_tells_frames_time_and_disk_and_writes_nothing(tmp_path, frames):
    write_frames(tmp_path / "in", frames)
    plan = plan_film(tmp_path / "in", STYLE, tmp_path / "a.mp4", **QUICK_FILM)
    assert (plan.frames, plan.size, plan.resumed) == (7, (WIDTH, HEIGHT), 0)
    assert plan.seconds > 0
    assert plan.disk > 7 * WIDTH * HEIGHT * 3
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_a_preview_shows_five_frames_under_their_own(tmp_path, frames):
    write_frames(tmp_path / "in", frames)
    picture = preview_film(tmp_path / "in", STYLE, **QUICK_FILM)
    assert picture.shape == (3, 2 * HEIGHT + 8, 5 * WIDTH + 4 * 8)
    assert torch.allclose(picture[:, :HEIGHT, :WIDTH], tensor(frames[0]), atol=1e-6)


def test_outputs_that_cannot_be_are_refused_before_any_work(tmp_path, frames):
    write_frames(tmp_path / "in", frames[:2])
    with pytest.raises(ValueError, match=r"`output` must end in \.mp4 or \.webm"):
        impasto.film(tmp_path / "in", STYLE, tmp_path / "a.avi", **QUICK_FILM)
    with pytest.raises(ImageError, match="must not be among the clip's own frames"):
        impasto.film(tmp_path / "in", STYLE, tmp_path / "in", overwrite=True, **QUICK_FILM)
    (tmp_path / "a.mp4").write_bytes(b"mine")
    with pytest.raises(ImageError, match=r"a\.mp4"):
        impasto.film(tmp_path / "in", STYLE, tmp_path / "a.mp4", **QUICK_FILM)
    with pytest.raises(ValueError, match="`range` must"):
        impasto.film(tmp_path / "in", STYLE, tmp_path / "b.mp4", range="soon", **QUICK_FILM)
    assert (tmp_path / "a.mp4").read_bytes() == b"mine"


def test_motion_is_found_and_what_it_uncovers_is_not_believed(frames):
    before, after = tensor(frames[1]), tensor(frames[2])
    flow = find_flow(before, after)
    inside = flow.steps[16:26, 14:20]  # of the square, which moved two pixels to the right
    assert np.abs(inside.mean((0, 1)) - (-2, 0)).max() < 0.5
    assert flow.trust[16:26, 14:20].mean() > 0.8
    assert flow.trust[14:28, 6:8].mean() < 0.6  # uncovered
    still = find_still(before, after, flow)
    assert still[0:4, 56:].all()
    assert not still[16:26, 14:20].any()
    motion = carry(before, flow, still, 1.0)
    square = (slice(None), slice(16, 26), slice(14, 20))
    assert (motion.pixels[square] - after[square]).abs().mean() < 0.02


def test_what_comes_into_view_starts_as_what_looked_alike_was_painted():
    wide = np.random.default_rng(5).integers(0, 30, (48, 80, 3), np.uint8)
    wide[:, 24:48] += 180  # a light band between dark ones
    before, after = tensor(wide[:, :64]), tensor(wide[:, 10:74])
    blue, yellow = torch.tensor([0.1, 0.2, 0.9]), torch.tensor([0.9, 0.8, 0.1])
    light = before.mean(0) > 0.5
    painted = torch.where(light, blue[:, None, None], yellow[:, None, None])
    flow = find_flow(before, after)
    still = find_still(before, after, flow)
    carried = Carrier(painted, before, before, seed=1).step(after, flow)
    motion = hold_to_older(carry(painted, flow, still, 1.0), carried, still)
    new = (slice(None), slice(None), slice(-6, None))
    assert flow.trust[:, -6:].max() < 0.1
    assert (motion.pixels[new] - painted[:, :, :6]).abs().mean() < 0.02
    assert motion.trust[:, -6:].mean() > 0.3
    assert motion.held[:, -6:].max() < 0.1


def test_a_cut_is_none_where_things_only_move(frames):
    cuts = [
        is_cut(a, b, find_flow(a, b))
        for a, b in zip(map(tensor, frames[:-1]), map(tensor, frames[1:]), strict=True)
    ]
    assert cuts == [False, False, False, True, False, False]


def test_frames_too_small_to_paint_are_the_clip_s(tmp_path):
    write_frames(tmp_path / "in", [np.zeros((40, 1, 3), np.uint8)] * 2)
    with pytest.raises(ValueError, match="`clip` must have at least 16 pixels on each side"):
        impasto.film(tmp_path / "in", STYLE, tmp_path / "out.mp4", **QUICK_FILM)
    with pytest.raises(ValueError, match="`clip` must have at least 16 pixels on each side"):
        preview_film(tmp_path / "in", STYLE, **QUICK_FILM)
    assert not list(tmp_path.glob("out*"))
