"""Writing films: by ffmpeg where it is there, by OpenCV where it is not, whole or not at all."""

import os
import stat
import subprocess
import sys
import wave
from fractions import Fraction

import pytest
import torch
from clip_makers import scene, write_video

from impasto.errors import ImageError
from impasto.images import video_write
from impasto.images.video_read import open_clip
from impasto.images.video_write import Sound, find_ffmpeg, write_film

RATE = Fraction(30000, 1001)


def images(count):
    return [torch.from_numpy(frame.copy()).permute(2, 0, 1).float() / 255 for frame in scene(count)]


@pytest.fixture
def no_ffmpeg(monkeypatch):
    monkeypatch.setattr(video_write, "find_ffmpeg", lambda: None)


@pytest.mark.parametrize("ending", [".mp4", ".webm"])
def test_opencv_writes_what_is_read_again(tmp_path, no_ffmpeg, ending):
    target = tmp_path / f"a{ending}"
    written = write_film(lambda: iter(images(5)), 5, target, RATE)
    clip = open_clip(target)
    assert (clip.frames, clip.rate, clip.size) == (5, RATE, written.size)
    assert written.notes == ()
    for before, after in zip(images(5), clip.read(), strict=True):
        assert (after.pixels - before).abs().mean() < 0.05
    first = target.read_bytes()
    write_film(lambda: iter(images(5)), 5, target, RATE)
    assert target.read_bytes() == first


@pytest.mark.parametrize("level", [16, 90, 128, 200, 235])
def test_opencv_keeps_gray_gray(tmp_path, no_ffmpeg, level):
    card = torch.full((3, 48, 64), level / 255)
    write_film(lambda: iter([card] * 3), 3, tmp_path / "a.mp4", RATE)
    shown = next(open_clip(tmp_path / "a.mp4").read()).pixels
    assert (shown - level / 255).abs().max() < 2.5 / 255


def test_sound_that_cannot_be_kept_is_said(tmp_path, no_ffmpeg):
    clip = write_video(tmp_path / "in.mp4", scene(3))
    box = b"hdlr" + bytes(8) + b"soun"  # names a track, as a QuickTime file does
    clip.write_bytes(clip.read_bytes() + (8 + len(box)).to_bytes(4, "big") + b"free" + box)
    assert open_clip(clip).has_sound
    sound = Sound(clip, 0.0, 0.3)
    written = write_film(lambda: iter(images(3)), 3, tmp_path / "a.mp4", RATE, sound)
    assert written.notes == ("the sound is left out; with `ffmpeg` installed it is kept",)


def test_an_ffmpeg_that_fails_costs_nothing(tmp_path, monkeypatch):
    program = tmp_path / "bin" / "ffmpeg"
    program.parent.mkdir()
    program.write_text(
        f"#!{sys.executable}\nimport sys\n"
        f"open({str(tmp_path / 'words')!r}, 'w').write(' '.join(sys.argv))\n"
        "sys.exit('no such encoder')\n"
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    written = write_film(lambda: iter(images(3)), 3, tmp_path / "a.mp4", RATE)
    assert open_clip(tmp_path / "a.mp4").frames == 3
    assert "OpenCV does (ffmpeg: no such encoder)" in written.notes[0]
    words = (tmp_path / "words").read_text()
    for part in ("-s 64x48", "-r 30000/1001", "-pix_fmt yuv420p", "color_trc=bt709"):
        assert part in words


@pytest.mark.skipif(find_ffmpeg() is None, reason="needs the user's own ffmpeg")
def test_ffmpeg_keeps_the_sound(tmp_path):
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(range(256)) * 100)
    silent = write_video(tmp_path / "silent.mp4", scene(20), rate=10)
    clip = tmp_path / "in.mp4"
    subprocess.run(
        [find_ffmpeg(), "-loglevel", "error", "-i", silent, "-i", tmp_path / "a.wav", clip],
        check=True,
    )
    target = tmp_path / "a.mp4"
    written = write_film(lambda: iter(images(10)), 10, target, Fraction(10), Sound(clip, 0.5, 1))
    assert (written.codec, written.notes) == ("H.264", ())
    assert open_clip(target).has_sound
    assert open_clip(target).frames == 10


def test_without_an_encoder_frames_are_the_way_out(tmp_path, no_ffmpeg, monkeypatch):
    monkeypatch.setitem(video_write._CODECS, ".mp4", ())
    with pytest.raises(ImageError, match=r"no encoder.*install ffmpeg, or write frames"):
        write_film(lambda: iter(images(2)), 2, tmp_path / "a.mp4", RATE)


def test_a_film_that_is_not_whole_is_an_error(tmp_path, no_ffmpeg):
    with pytest.raises(ImageError, match="must hold 5 frames when it is read again, got 3"):
        write_film(lambda: iter(images(3)), 5, tmp_path / "a.mp4", RATE)
