"""`impasto film`, called for real on frames of a few pixels."""

import json

import numpy as np
import PIL.Image
import pytest

from impasto.cli.main import main
from impasto.filming.run import FilmRun
from impasto.images.video_read import open_clip

QUICK = [
    *("--size", "48", "--steps", "2", "--frame-evaluations", "1"),
    *("--device", "cpu", "--precision", "float32"),
]


@pytest.fixture
def clip(folder):
    """A folder of three frames beside the paintings."""
    (folder / "clip").mkdir()
    values = np.random.default_rng(4).integers(0, 256, (9, 12, 3)).astype(np.uint8)
    picture = PIL.Image.fromarray(values).resize((48, 36), PIL.Image.Resampling.BICUBIC)
    for number in range(3):
        picture.rotate(3 * number).save(folder / "clip" / f"{number}.png")
    return folder


def test_a_film_is_painted_and_reported(clip, capsys):
    words = ["film", "clip", "paint.png", "-o", "a.mp4", "--rate", "12", "--json", "--progress"]
    assert main([*words, *QUICK]) == 0
    printed = capsys.readouterr()
    facts = json.loads(printed.out)
    assert facts["frames"] == open_clip("a.mp4").frames == 3
    assert (facts["output"], facts["rate"], facts["size"]) == ("a.mp4", 12, [48, 36])
    assert "frame 1/3  new scene" in printed.err
    assert "frame 3/3" in printed.err


def test_a_plan_writes_nothing(clip, capsys):
    before = set(clip.iterdir())
    assert main(["film", "clip", "paint.png", "--dry-run", *QUICK]) == 0
    printed = capsys.readouterr().out
    for words in ("frames     3, 25 a second", "48 × 36", "for each cut", "nothing was written"):
        assert words in printed
    assert set(clip.iterdir()) == before


def test_a_preview_is_one_picture(clip, capsys):
    assert main(["film", "clip", "paint.png", "--preview", "look.png", *QUICK]) == 0
    assert capsys.readouterr().out == "look.png\n"
    with PIL.Image.open("look.png") as picture:
        assert picture.size == (3 * 48 + 2 * 8, 2 * 36 + 8)


def test_ctrl_c_leaves_a_film_of_what_is_done(clip, capsys, monkeypatch):
    paint = FilmRun.paint

    def interrupt(self, *arguments):
        if self.done == 2:
            raise_signal()
        return paint(self, *arguments)

    def raise_signal():
        import signal

        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(FilmRun, "paint", interrupt)
    assert main(["film", "clip", "paint.png", "-o", "a.mp4", *QUICK]) == 130
    assert "stopped after 2 frames; the film of them is in a.mp4" in capsys.readouterr().err
    assert open_clip("a.mp4").frames == 2
    monkeypatch.undo()
    monkeypatch.chdir(clip)
    assert main(["film", "clip", "paint.png", "-o", "a.mp4", "--overwrite", *QUICK]) == 0
    assert open_clip("a.mp4").frames == 3


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["nothing.mp4", "paint.png"], "`clip` must be a film that exists, got nothing.mp4"),
        (["photo.png", "paint.png", "-o", "a.gif"], "`output` must end in .mp4 or .webm"),
        (["-", "paint.png"], "`clip` must be a file, got `-`"),
        (["clip", "paint.png", "--range", "9s:"], "`range` must hold a frame of the clip"),
        (["clip", "paint.png", "--temporal-weight", "-1"], "`temporal_weight` must be at least 0"),
        (["clip", "paint.png", "--init", "photo.png"], "`init` must be one of content, recolored"),
    ],
)
def test_what_cannot_be_is_one_sentence(clip, capsys, words, sentence):
    assert main(["film", *words, *QUICK]) in (1, 2)
    printed = capsys.readouterr().err
    assert printed.startswith(f"impasto: {sentence}")
    assert printed.count("\n") == 1
