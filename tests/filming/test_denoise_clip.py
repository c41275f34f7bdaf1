"""Cleaning clips from end to end, on a few small frames."""

import subprocess
import sys
import time

import numpy as np
import PIL.Image
import pytest
import torch
from clip_makers import HEIGHT, WIDTH, scene, tensor, texture, write_frames, write_video

import impasto
from impasto.errors import ImageError, ImpastoError, MemoryShortageError
from impasto.filming import clean_job
from impasto.filming.clean import plan_clip
from impasto.filming.scenes import find_scenes
from impasto.images.image import Image
from impasto.images.read import open_image
from impasto.images.video_read import open_clip
from impasto.metrics import psnr

QUICK = {"sigma": 20 / 255, "effort": "quick", "device": "cpu"}


def with_noise(frames, sigma=20, seed=0):
    noise = np.random.default_rng(seed)
    noisy = [frame + noise.normal(0, sigma, frame.shape) for frame in frames]
    return [np.clip(np.rint(frame), 0, 255).astype(np.uint8) for frame in noisy]


def cleaned(folder):
    return [open_image(path, name="frame").pixels for path in sorted(folder.glob("*.png"))]


@pytest.fixture(scope="module")
def frames():
    """A scene of six frames, of which one comes three times, and one of three."""
    first = with_noise(scene(6, step=1))
    return [*first[:3], first[2], first[2], *first[3:], *with_noise(scene(3, seed=9), seed=1)]


@pytest.fixture(scope="module")
def straight(frames, tmp_path_factory):
    """The frames cleaned in one go, and the result."""
    folder = tmp_path_factory.mktemp("clip")
    write_frames(folder / "in", frames)
    steps = []
    result = impasto.denoise_clip(folder / "in", folder / "out", on_frame=steps.append, **QUICK)
    return result, cleaned(folder / "out"), steps


def test_a_cleaned_clip_has_the_frames_and_scenes_of_its_own(straight, frames):
    result, images, steps = straight
    assert result.frames == len(images) == len(frames) == 11
    assert (result.size, result.codec, result.stopped) == ((WIDTH, HEIGHT), "PNG", False)
    assert [number for number, _ in result.scenes] == [0, 8]
    assert all(noise.across == "T" for _, noise in result.scenes)
    assert [step.frame for step in steps] == list(range(1, 12))
    assert [step.frame for step in steps if step.cut] == [1, 9]
    assert torch.allclose(steps[-1].picture(), images[-1], atol=1 / 255)
    assert not list(result.path.parent.glob("*.impasto-film"))


def test_frames_help_each_other(straight, frames, tmp_path):
    truth = [tensor(frame) for frame in scene(6, step=1)]
    write_frames(tmp_path / "in", frames)
    impasto.denoise_clip(tmp_path / "in", tmp_path / "out", across="none", **QUICK)
    alone = cleaned(tmp_path / "out")
    assert psnr(straight[1][2], truth[2]) > psnr(alone[2], truth[2]) + 0.3


def test_a_frame_that_comes_again_is_cleaned_once(straight):
    images = straight[1]
    assert torch.equal(images[2], images[3])
    assert torch.equal(images[2], images[4])
    assert not torch.equal(images[4], images[5])


def test_frames_of_another_scene_do_not_help(straight, frames, tmp_path):
    write_frames(tmp_path / "in", frames[8:])
    impasto.denoise_clip(tmp_path / "in", tmp_path / "out", **QUICK)
    assert all(map(torch.equal, cleaned(tmp_path / "out"), straight[1][8:]))
    impasto.denoise_clip(tmp_path / "in", tmp_path / "whole", across="T", range="1:", **QUICK)
    assert [path.name for path in sorted((tmp_path / "whole").glob("*.png"))] == [
        "frame_000001.png",
        "frame_000002.png",
    ]


@pytest.mark.parametrize("done", [1, 2, 5, 7, 8, 9, 10])
def test_a_stopped_clip_goes_on_to_the_same_bytes(straight, frames, tmp_path, done):
    write_frames(tmp_path / "in", frames)
    steps, output = [], tmp_path / "out" / "%03d.png"
    options = {"on_frame": steps.append, "overwrite": True, **QUICK}
    stopped = impasto.denoise_clip(
        tmp_path / "in", output, stop=lambda: len(steps) >= done, **options
    )
    assert stopped.stopped
    assert stopped.frames == len(steps) == len(cleaned(output.parent)) >= done
    result = impasto.denoise_clip(tmp_path / "in", output, **options)
    assert (result.frames, result.resumed) == (11, stopped.frames)
    assert len(steps) == 11
    assert all(map(torch.equal, cleaned(output.parent), straight[1]))


PROGRAM = """
import sys, impasto
impasto.denoise_clip(sys.argv[1], sys.argv[2], sigma=20 / 255, effort="quick", device="cpu",
                     on_frame=lambda step: print(step.frame, flush=True))
"""


@pytest.mark.slow
def test_a_killed_clip_goes_on_frame_for_frame(straight, frames, tmp_path):
    write_frames(tmp_path / "in", frames)
    command = [sys.executable, "-c", PROGRAM, "in", "out"]
    for kill in range(20):
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=tmp_path) as process:
            process.stdout.readline()
            time.sleep(0.01 * kill)
            process.kill()
        if not list(tmp_path.rglob("*.impasto-film")):
            break  # the kill came when all was done
    else:
        subprocess.run(command, check=True, cwd=tmp_path)
    assert all(map(torch.equal, cleaned(tmp_path / "out"), straight[1]))
    assert not list(tmp_path.rglob("*.impasto-film"))


def test_a_video_becomes_a_video(frames, tmp_path):
    source = write_video(tmp_path / "in.avi", frames, codec="MJPG", rate=12)
    result = impasto.denoise_clip(source, tmp_path / "out.mp4", range="2:6", **QUICK)
    clip = open_clip(tmp_path / "out.mp4")
    assert (clip.frames, clip.rate, clip.size) == (4, 12, (WIDTH, HEIGHT))
    assert result.path == tmp_path / "out.mp4"
    assert [number for number, _ in result.scenes] == [0]


def test_noise_is_measured_once_a_scene(frames, tmp_path):
    write_frames(tmp_path / "in", frames)
    options = {"effort": "quick", "device": "cpu"}
    result = impasto.denoise_clip(tmp_path / "in", tmp_path / "out", **options)
    sigmas = [max(noise.sigma) * 255 for _, noise in result.scenes]
    assert len(sigmas) == 2
    assert all(14 < sigma < 26 for sigma in sigmas)


def test_at_strength_0_nothing_changes(frames, tmp_path):
    write_frames(tmp_path / "in", frames[:3])
    impasto.denoise_clip(tmp_path / "in", tmp_path / "out", strength=0, **QUICK)
    assert all(map(torch.equal, cleaned(tmp_path / "out"), map(tensor, frames[:3])))


def test_bits_opacity_and_odd_sides_stay_in_frames(tmp_path):
    (tmp_path / "in").mkdir()
    alpha = np.full((9, 7), 255, np.uint8)
    alpha[:3] = 0
    for number, frame in enumerate(with_noise([texture(1, 9, 7)] * 3)):
        picture = PIL.Image.fromarray(np.dstack([frame, alpha]))
        picture.save(tmp_path / "in" / f"{number}.png")
    impasto.denoise_clip(tmp_path / "in", tmp_path / "out", **QUICK)
    image = open_image(tmp_path / "out" / "frame_000001.png")
    assert image.size == (7, 9)
    assert np.array_equal(image.metadata.alpha * 255, alpha)
    deep = (np.random.default_rng(0).random((3, 20, 24)) * 65535).astype(np.uint16)
    (tmp_path / "deep").mkdir()
    for number, frame in enumerate(deep):
        PIL.Image.fromarray(frame).save(tmp_path / "deep" / f"{number}.png")
    impasto.denoise_clip(tmp_path / "deep", tmp_path / "a", **QUICK)
    assert open_image(tmp_path / "a" / "frame_000002.png").metadata.bits == 16


def test_one_frame_is_a_film(frames, tmp_path):
    source = write_video(tmp_path / "in.avi", frames[:1], codec="MJPG")
    result = impasto.denoise_clip(source, tmp_path / "out.webm", device="cpu", effort="quick")
    assert result.frames == open_clip(tmp_path / "out.webm").frames == 1


def test_a_plan_tells_scenes_and_time_and_writes_nothing(frames, tmp_path):
    write_frames(tmp_path / "in", frames)
    plan = plan_clip(tmp_path / "in", tmp_path / "out.mp4", **QUICK)
    assert (plan.frames, plan.size, plan.resumed) == (11, (WIDTH, HEIGHT), 0)
    assert [number for number, _ in plan.scenes] == [0, 8]
    assert plan.seconds > 0
    assert plan.disk > 11 * WIDTH * HEIGHT * 3
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_what_cannot_be_is_refused_before_any_work(frames, tmp_path, monkeypatch):
    write_frames(tmp_path / "in", frames[:2])
    with pytest.raises(ImageError, match="must not be among the clip's own frames"):
        impasto.denoise_clip(tmp_path / "in", tmp_path / "in", overwrite=True)
    write_frames(tmp_path / "mixed", [*frames[:2], texture(1, 20, 20)])
    with pytest.raises(ImageError, match=r"frames of one size, got .* 64 × 48 and 20 × 20"):
        impasto.denoise_clip(tmp_path / "mixed", tmp_path / "b.mp4")
    write_frames(tmp_path / "tiny", [np.zeros((3, 1, 3), np.uint8)] * 2)
    with pytest.raises(ImageError, match="at least 2 pixels on each side to become a film"):
        impasto.denoise_clip(tmp_path / "tiny", tmp_path / "b.mp4")
    video = write_video(tmp_path / "a.mp4", frames[:2])
    before = video.read_bytes()
    with pytest.raises(ImageError, match="`output` must not be one of the inputs"):
        impasto.denoise_clip(video, video, overwrite=True)
    assert video.read_bytes() == before
    with pytest.raises(ValueError, match="`method` must be one of auto, nl-wiener"):
        impasto.denoise_clip(video, tmp_path / "b.mp4", method="zs-n2n")
    monkeypatch.setattr(clean_job, "free_bytes", lambda *_: 1000)
    with pytest.raises(MemoryShortageError, match="`across` must fit in memory, got T"):
        impasto.denoise_clip(video, tmp_path / "b.mp4", across="T")
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ImpastoError, match=r"pip install 'impasto\[video\]'"):
        impasto.denoise_clip(tmp_path / "in", tmp_path / "b.mp4")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "in", "mixed", "tiny"]


def test_scenes_end_where_frames_show_something_else():
    first, second = (tensor(frame[0]) for frame in (scene(1), scene(1, seed=9)))
    dim = [first * share for share in (1, 0.97, 0.94, 0.91)]  # fades, but goes on
    images = [Image(pixels) for pixels in (*dim, second, second)]
    assert [scene[:2] for scene in find_scenes(iter(images), 5)] == [(5, 9), (9, 11)]
    assert [scene[:2] for scene in find_scenes(iter(images), 5, cuts=False)] == [(5, 11)]
    long = [Image(first + number / 1000) for number in range(100)]
    (only,) = find_scenes(iter(long), 0)
    assert len(only.samples) <= 8
    assert torch.equal(only.samples[0], first)
    assert only.samples[-1, 0, 0, 0] - first[0, 0, 0] > 0.07
