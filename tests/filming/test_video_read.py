"""Reading clips: what a file says of itself is counted, not believed."""

from fractions import Fraction

import numpy as np
import pytest
from clip_makers import HEIGHT, WIDTH, scene, turn, write_frames, write_video

from impasto.errors import ImageError, ImpastoError
from impasto.images import opencv
from impasto.images.clip_names import fill_pattern
from impasto.images.video_read import _square, _Times, open_clip, parse_range


def test_a_video_is_read_frame_by_frame(tmp_path):
    clip = open_clip(write_video(tmp_path / "a.mp4", scene(7), rate=30000 / 1001))
    assert (clip.frames, clip.size, clip.rate) == (7, (WIDTH, HEIGHT), Fraction(30000, 1001))
    assert not clip.has_sound
    assert clip.notes == ()
    frames = list(clip.read())
    assert len(frames) == 7
    middle = next(clip.read(4, 5))
    assert np.array_equal(middle.pixels, frames[4].pixels)
    truth = scene(7)[4].astype(float)
    assert np.abs(middle.pixels.permute(1, 2, 0).numpy() * 255 - truth).mean() < 12


@pytest.mark.parametrize("degrees", [90, 180])
def test_a_turned_video_is_upright(tmp_path, degrees):
    frames = scene(3)
    straight = next(open_clip(write_video(tmp_path / "a.mp4", frames)).read())
    clip = open_clip(turn(write_video(tmp_path / "b.mp4", frames), degrees))
    expected = np.rot90(straight.pixels.permute(1, 2, 0).numpy(), -(degrees // 90))
    assert clip.size == (expected.shape[1], expected.shape[0])
    assert np.array_equal(next(clip.read()).pixels.permute(1, 2, 0).numpy(), expected)


def test_a_header_that_claims_more_is_not_believed(tmp_path):
    path = write_video(tmp_path / "a.avi", scene(6), codec="MJPG")
    data = bytearray(path.read_bytes())
    # AVI's headers say twice how many frames there are.
    place = data.index(b"avih") + 8 + 16
    data[place : place + 4] = (900_000).to_bytes(4, "little")
    place = data.index(b"strh") + 8 + 32
    data[place : place + 4] = (900_000).to_bytes(4, "little")
    path.write_bytes(data)
    clip = open_clip(path)
    assert clip.frames == 6
    assert any("6 frames can be read, where its header claims" in note for note in clip.notes)


@pytest.mark.parametrize("content", [b"", b"no film at all" * 50])
def test_what_is_no_film_is_refused(tmp_path, content):
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=r"`clip` must be a film, got .*choose a video"):
        open_clip(path)


def test_a_video_cut_short_is_refused_or_gives_what_is_there(tmp_path):
    whole = write_video(tmp_path / "a.webm", scene(8), codec="VP80")
    short = tmp_path / "b.webm"
    short.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert 0 < open_clip(short).frames < 8
    index_lost = tmp_path / "c.mp4"
    video = write_video(tmp_path / "d.mp4", scene(8))
    index_lost.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    with pytest.raises(ImageError, match="no picture in it can be decoded"):
        open_clip(index_lost)


def test_one_frame_is_a_film(tmp_path):
    assert open_clip(write_video(tmp_path / "a.mp4", scene(1))).frames == 1


def test_numbered_frames_come_by_their_numbers(tmp_path):
    frames = scene(11)
    write_frames(tmp_path, frames, "f{}.png")  # f10 after f9
    for place in (tmp_path, tmp_path / "f%d.png"):
        clip = open_clip(place, 12.5)
        assert (clip.frames, clip.rate) == (11, Fraction(25, 2))
        last = list(clip.read())[-1]
        assert np.array_equal(last.pixels.permute(1, 2, 0).mul(255).round().numpy(), frames[10])
        assert clip.numbers[10] == 10
    part = [tmp_path / f"f{number}.png" for number in range(5)]
    for path in part:
        path.unlink()
    assert open_clip(tmp_path).numbers[0] == 5
    with pytest.raises(ImageError, match="be a pattern of files that exist"):
        open_clip(tmp_path / "g%d.png")


def test_frames_of_two_sizes_are_refused(tmp_path):
    write_frames(tmp_path, scene(2))
    write_frames(tmp_path, scene(1, height=40), "frame_{:04d}b.png")
    with pytest.raises(ImageError, match="must have frames of one size"):
        list(open_clip(tmp_path).read())


def test_a_missing_file_is_refused_by_name(tmp_path):
    with pytest.raises(ImageError, match=r"`clip` must be a film that exists, got .*nothing\.mp4"):
        open_clip(tmp_path / "nothing.mp4")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("whole", (0, 90)), ("0:1.5s", (0, 45)), ("10:20", (10, 20)), ("2s:", (60, 90))],
)
def test_a_range_counts_frames_or_seconds(text, expected):
    assert parse_range(text, 90, Fraction(30)) == expected


def test_a_range_without_frames_is_refused():
    with pytest.raises(ValueError, match="`range` must hold a frame of the clip, which has 90"):
        parse_range("5s:9s", 90, Fraction(30))


def test_a_pattern_keeps_its_digits(tmp_path):
    assert fill_pattern(tmp_path / "a%d.png", 12).name == "a12.png"


def test_without_opencv_one_sentence_says_how_to_get_it(monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(opencv.importlib, "import_module", missing)
    with pytest.raises(ImpastoError, match=r"pip install 'impasto\[video\]'"):
        opencv.load_opencv()


def test_the_rate_is_the_header_s_where_the_times_bear_it_out():
    even, uneven = _Times(), _Times()
    for number in range(10):
        even.add(number * 0.04)
        uneven.add(number * 0.04 + (0.04 if number > 4 else 0))
    assert (even.rate(25.0), even.uneven) == (25, False)
    assert even.rate(90_000.0) == 25
    assert uneven.uneven
    assert float(uneven.rate(25.0)) == pytest.approx(9 / 0.4, rel=1e-3)
    assert _Times().rate(0.0) == 25  # nothing says


def test_pixels_that_are_not_square_are_made_square():
    with opencv.silent_opencv() as cv2:
        frame = np.zeros((20, 30, 3), np.uint8)
        assert _square(cv2, frame, 4 / 3).shape == (20, 40, 3)
        assert _square(cv2, frame, 1.0).shape == (20, 30, 3)
