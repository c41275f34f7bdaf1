"""`impasto denoise` of a film."""

import json
import signal

import numpy as np
import PIL.Image
import pytest

from impasto.cli.main import main
from impasto.filming import clean
from impasto.images.video_read import open_clip

QUICK = ["--sigma", "20", "--effort", "quick", "--device", "cpu"]


@pytest.fixture
def clip(folder):
    """A folder of five noisy frames."""
    (folder / "clip").mkdir()
    random = np.random.default_rng(4)
    picture = PIL.Image.fromarray(random.integers(60, 200, (6, 8, 3)).astype(np.uint8))
    smooth = np.asarray(picture.resize((48, 36), PIL.Image.Resampling.BICUBIC))
    for number in range(5):
        noisy = np.clip(smooth + random.normal(0, 20, smooth.shape), 0, 255).astype(np.uint8)
        PIL.Image.fromarray(noisy).save(folder / "clip" / f"{number}.png")
    return folder


def test_a_film_is_cleaned_and_reported(clip, capsys):
    words = ["denoise", "clip", "-o", "a.mp4", "--rate", "12", "--json", "--progress"]
    assert main([*words, *QUICK]) == 0
    printed = capsys.readouterr()
    facts = json.loads(printed.out)
    assert facts["frames"] == open_clip("a.mp4").frames == 5
    assert (facts["output"], facts["rate"], facts["size"]) == ("a.mp4", 12, [48, 36])
    assert [scene["frame"] for scene in facts["scenes"]] == [0]
    assert facts["scenes"][0]["words"].endswith("with the frames next to each")
    assert "frame 1/5  new scene" in printed.err
    assert "frame 5/5" in printed.err


def test_without_a_name_frames_become_frames(clip, capsys):
    assert main(["denoise", "clip/%d.png", *QUICK]) == 0
    assert capsys.readouterr().out == "clip-clean\n"
    assert len(list((clip / "clip-clean").glob("frame_*.png"))) == 5


def test_a_plan_writes_nothing(clip, capsys):
    before = set(clip.iterdir())
    assert main(["denoise", "clip", "--dry-run", *QUICK]) == 0
    printed = capsys.readouterr().out
    for words in ("frames     5, 25 a second", "scenes     1", "noise      Gaussian", "48 × 36"):
        assert words in printed
    assert printed.endswith("nothing was written\n")
    assert set(clip.iterdir()) == before
    assert main(["denoise", "clip", "--dry-run", "--json", *QUICK]) == 0
    assert json.loads(capsys.readouterr().out)["frames"] == 5


def test_ctrl_c_leaves_a_film_of_what_is_done(clip, capsys, monkeypatch):
    keep = clean._Cleaning._keep

    def interrupt(self, *arguments):
        keep(self, *arguments)
        if self.state.done == 2:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(clean._Cleaning, "_keep", interrupt)
    assert main(["denoise", "clip", "-o", "a.mp4", *QUICK]) == 130
    assert "stopped after 2 frames; the film of them is in a.mp4" in capsys.readouterr().err
    assert open_clip("a.mp4").frames == 2
    monkeypatch.undo()
    monkeypatch.chdir(clip)
    assert main(["denoise", "clip", "-o", "a.mp4", "--overwrite", *QUICK]) == 0
    assert open_clip("a.mp4").frames == 5


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["nothing.mp4"], "`clip` must be a film that exists, got nothing.mp4"),
        (["%d.png"], "`clip` must be a pattern of files that exist, got %d.png"),
        (["clip", "-o", "a.gif"], "`output` must end in .mp4 or .webm"),
        (["clip", "-o", "-"], "`output` must be a file or folder, got `-`"),
        (["clip", "--range", "9s:"], "`range` must hold a frame of the clip"),
        (["clip", "--figure", "a.png"], "`figure` must be left out for a film"),
        (["clip", "--method", "zs-n2n"], "`method` must be one of auto, nl-wiener"),
        (["clip", "--crop", "0,0,4,4"], "`crop` must be"),
        (["clip", "--sigma", "300"], "`sigma` must be at most 255"),
        (["photo.png", "--range", "0:3"], "`range` must be left out for other than a film"),
    ],
)
def test_what_cannot_be_is_one_sentence(clip, capsys, words, sentence):
    assert main(["denoise", *words]) in (1, 2)
    printed = capsys.readouterr().err
    assert printed.startswith(f"impasto: {sentence}")
    assert printed.count("\n") == 1
    assert "Recipe" not in printed
