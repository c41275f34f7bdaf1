"""Odd clips: broken, without pictures, with one frame, uneven, turned, of odd sizes, of 10 bits."""

import wave
from fractions import Fraction

import numpy as np
import pytest
import torch
from clip_makers import (
    HEIGHT,
    QUICK_FILM,
    STYLE,
    WIDTH,
    gray_planes,
    scene,
    set_durations,
    write_frames,
    write_video,
    write_y4m,
)

import impasto
from impasto.errors import ImageError, ImpastoError
from impasto.images.video_read import open_clip

CLEAN = {"sigma": 0.05, "effort": "quick", "device": "cpu"}


def spoiled(path, seed):
    """Some random bytes of a file changed."""
    random = np.random.default_rng(seed)
    data = bytearray(path.read_bytes())
    for place in random.integers(len(data), size=random.integers(1, 60)):
        data[place] = random.integers(256)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "mp4v"), ("a.webm", "VP80"), ("a.avi", "MJPG")]
)
def test_a_broken_clip_is_refused_or_the_same_each_time(tmp_path, name, codec):
    whole = write_video(tmp_path / name, scene(8), codec=codec).read_bytes()
    for seed in range(8):
        (tmp_path / name).write_bytes(whole)
        path = spoiled(tmp_path / name, seed)
        try:
            clip = open_clip(path)
        except ImpastoError:
            continue
        frames = [frame.pixels for frame in clip.read()]
        assert len(frames) == clip.frames
        assert torch.equal(next(clip.read(clip.frames - 1)).pixels, frames[-1])


def test_frames_behind_a_broken_one_are_read(tmp_path):
    path = write_video(tmp_path / "a.avi", scene(8), codec="MJPG")
    data = bytearray(path.read_bytes())
    starts = [n for n in range(len(data)) if data[n : n + 3] == b"\xff\xd8\xff"]
    assert len(starts) == 8
    data[starts[3] : starts[4] - 8] = bytes(starts[4] - 8 - starts[3])  # up to the next header
    path.write_bytes(data)
    clip = open_clip(path)
    assert clip.frames == 7
    assert "1 of its frames cannot be decoded and are left out" in clip.notes
    result = impasto.denoise_clip(path, tmp_path / "b.mp4", **CLEAN)
    assert result.frames == open_clip(tmp_path / "b.mp4").frames == 7


def test_sound_alone_is_no_film(tmp_path):
    with wave.open(str(tmp_path / "a.mp4"), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", "NONE"))
        sound.writeframes(bytes(16_000))
    track = write_video(tmp_path / "b.mp4", scene(3))
    track.write_bytes(track.read_bytes().replace(b"vide", b"soun", 1))
    for path in (tmp_path / "a.mp4", track):
        with pytest.raises(ImageError, match="no picture in it can be decoded; choose a video"):
            impasto.film(path, STYLE, tmp_path / "out.mp4", **QUICK_FILM)
    assert not list(tmp_path.glob("out*"))


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "mp4v"), ("a.webm", "VP80")])
def test_a_film_of_one_frame_is_made(tmp_path, name, codec):
    clip = write_video(tmp_path / name, scene(1), codec=codec)
    film = impasto.film(clip, STYLE, tmp_path / "film.mp4", **QUICK_FILM, engine="keyed")
    clean = impasto.denoise_clip(clip, tmp_path / "clean.webm", **CLEAN)
    for result in (film, clean):
        assert (result.frames, open_clip(result.path).frames, result.rate) == (1, 1, 10)


def test_a_header_of_ten_hours_is_not_believed(tmp_path):
    path = set_durations(write_video(tmp_path / "a.mp4", scene(6)), [(900_000, 1024)])
    clip = open_clip(path)
    assert (clip.frames, clip.rate) == (6, 10)
    assert any("6 frames can be read, where its header claims" in note for note in clip.notes)
    assert impasto.denoise_clip(path, tmp_path / "b.mp4", **CLEAN).frames == 6


def test_frames_that_last_unequally_long_get_their_mean(tmp_path):
    path = set_durations(write_video(tmp_path / "a.mp4", scene(8)), [(4, 1024), (4, 2048)])
    clip = open_clip(path)
    assert (clip.frames, clip.rate) == (8, 7)  # from the first to the last, a second
    assert any("its frames last unequally long; the film has 7" in note for note in clip.notes)


@pytest.mark.parametrize(
    ("head", "rate"), [("F1:36000", 25), ("F100000:1", 25), ("F30000:1001", Fraction(30000, 1001))]
)
def test_a_rate_that_no_film_has_is_not_taken(tmp_path, head, rate):
    path = write_y4m(tmp_path / "a.y4m", [gray_planes(126)] * 3, f"W64 H48 {head} Ip A1:1 C420jpeg")
    clip = open_clip(path)
    assert (clip.frames, clip.rate) == (3, rate)
    assert bool(clip.notes) == (rate == 25)
    with pytest.raises(ValueError, match=r"`rate` must be .*0\.01"):
        impasto.denoise_clip(path, tmp_path / "b.mp4", rate=0.0001)


def test_a_frame_of_ten_hours_does_not_slow_the_others(tmp_path):
    entries = [(6, 1024), (1, 1024 * 180_000), (1, 1024)]
    path = set_durations(write_video(tmp_path / "a.mp4", scene(8)), entries)
    clip = open_clip(path)
    assert clip.frames == 8
    assert clip.rate >= 1
    assert any("claim to last" in note for note in clip.notes)


def test_odd_sides_are_read_and_kept_in_numbered_frames(tmp_path):
    planes = [gray_planes(126, 63, 47)] * 2
    path = write_y4m(tmp_path / "a.y4m", planes, "W63 H47 F25:1 Ip A1:1 C420jpeg")
    assert open_clip(path).size == (63, 47)
    impasto.denoise_clip(path, tmp_path / "out", **CLEAN)
    assert {impasto.open_image(each).size for each in (tmp_path / "out").glob("*.png")} == {
        (63, 47)
    }
    result = impasto.denoise_clip(path, tmp_path / "b.mp4", **CLEAN)
    assert open_clip(result.path).size == (62, 46)
    assert any("of the 63 × 47 the last row" in note for note in result.notes)


@pytest.mark.parametrize(("bits", "tolerance"), [(8, 0.6), (10, 2.5)])
@pytest.mark.parametrize("luma", [16, 60, 126, 200, 235])
def test_a_gray_card_of_8_and_10_bits_is_read_as_gray(tmp_path, bits, tolerance, luma):
    kind = "C420jpeg" if bits == 8 else "C420p10 XYSCSS=420P10"
    planes = [gray_planes(luma, bits=bits)] * 2
    clip = open_clip(write_y4m(tmp_path / "a.y4m", planes, f"W64 H48 F25:1 Ip A1:1 {kind}"))
    shown = next(clip.read()).pixels * 255
    assert (shown - (luma - 16) * 255 / 219).abs().max() < tolerance


def test_a_gray_card_stays_gray_from_video_to_video(tmp_path):
    path = write_y4m(tmp_path / "a.y4m", [gray_planes(126)] * 3)
    for name in ("b.mp4", "b.webm"):
        impasto.film(path, STYLE, tmp_path / name, **{**QUICK_FILM, "strength": 0.0})
        shown = next(open_clip(tmp_path / name).read()).pixels
        assert (shown - 128 / 255).abs().max() < 1.5 / 255


def test_a_frame_too_large_to_be_one_is_refused(tmp_path):
    head = "W60000 H60000 F25:1 Ip A1:1 C420jpeg"
    with pytest.raises(ImageError, match="no picture in it can be decoded"):
        open_clip(write_y4m(tmp_path / "a.y4m", [gray_planes(126)], head))


def test_frames_that_change_their_size_are_refused(tmp_path):
    write_frames(tmp_path / "in", [*scene(2), *scene(1, width=WIDTH + 2, height=HEIGHT)])
    with pytest.raises(ImageError, match="must have frames of one size"):
        impasto.film(tmp_path / "in", STYLE, tmp_path / "out.mp4", **QUICK_FILM)
