"""`impasto fit` and `impasto apply`, called for real on pictures of a few pixels."""

import json
import signal
import subprocess
import sys
import time

import PIL.Image
import pytest

from impasto.cli import run_fit
from impasto.cli.main import main
from impasto.models import training
from impasto.models.model import Model

QUICK = ["--size", "64", "--steps", "2", "--device", "cpu", "--precision", "float32"]
FIT = ["fit", "photo.png", "other.jpg", "--style", "paint.png", *QUICK]


@pytest.fixture
def model(folder):
    """A fitted model in the folder."""
    assert main([*FIT, "-o", "oil.impasto"]) == 0
    return folder / "oil.impasto"


def test_a_fit_writes_a_model_and_reports_it(folder, capsys):
    words = [*FIT, "--json", "--progress", "--preview", "look.png"]
    assert main(words) == 0
    printed = capsys.readouterr()
    facts = json.loads(printed.out)
    assert facts["output"] == "paint.impasto"
    assert (facts["steps"], facts["photographs"], facts["settled"]) == (2, 2, False)
    assert "2/2" in printed.err
    assert "step 1/1" not in printed.err
    assert Model.load("paint.impasto").facts.recipe.size == 64
    with PIL.Image.open("look.png") as picture:
        assert max(picture.size) == 16
    assert {path.name for path in folder.iterdir()} == {
        *("photo.png", "other.jpg", "paint.png", "paint.impasto", "look.png")
    }


def test_a_fit_that_cannot_begin_leaves_nothing(folder):
    before = set(folder.iterdir())
    assert main(["fit", "missing.png", "--style", "paint.png", "-o", "a.impasto"]) == 1
    assert main(["fit", "photo.png", "--style", "missing.png", "-o", "a.impasto"]) == 1
    assert set(folder.iterdir()) == before


def test_a_plan_writes_nothing(folder, capsys):
    before = set(folder.iterdir())
    assert main([*FIT, "--dry-run"]) == 0
    printed = capsys.readouterr().out
    for words in ("pictures   2", "steps      2 at most", "time       at most", "nothing was"):
        assert words in printed
    assert main([*FIT, "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["steps"] == 2
    assert set(folder.iterdir()) == before


def test_places_are_checked_before_the_fit(folder, model, capsys, monkeypatch):
    monkeypatch.setattr(training.Training, "step", lambda *_: pytest.fail("it began"))
    for words, sentence in {
        ("-o", "oil.impasto"): "`output` must be a new file",
        ("-o", "-"): "`output` must be a file",
        ("-o", "photo.png", "--overwrite"): "must not be one of the inputs",
        ("-o", "a.impasto", "--preview", "photo.png"): "`output` must",
        ("-o", "a.impasto", "--from", "photo.png"): "`model` must be a fitted model",
        ("-o", "a.impasto", "--strength", "0"): "`strength` must leave the style a weight",
        ("-o", "a.impasto", "--steps", "x"): "see `impasto fit --help`",
    }.items():
        assert main([*FIT, *words]) in (1, 2)
        assert sentence in capsys.readouterr().err


def test_ctrl_c_leaves_a_model_and_the_same_command_goes_on(folder, capsys, monkeypatch):
    step = training.Training.step

    def interrupt(self, check_stop):
        losses = step(self, check_stop)
        if self.steps == 1:
            signal.raise_signal(signal.SIGINT)
        return losses

    with monkeypatch.context() as patched:
        patched.setattr(training.Training, "step", interrupt)
        assert main([*FIT, "-o", "a.impasto"]) == 130
    assert "stopped after 1 steps; the model so far is in a.impasto" in capsys.readouterr().err
    assert Model.load("a.impasto").facts.figures.steps == 1
    assert (folder / "a.impasto.impasto-fit").is_dir()
    assert main([*FIT, "-o", "a.impasto", "--overwrite", "--progress"]) == 0
    assert "going on from evaluation 1 of 2" in capsys.readouterr().err
    assert Model.load("a.impasto").facts.figures.steps == 2
    assert not (folder / "a.impasto.impasto-fit").exists()


def test_a_model_that_was_written_before_a_kill_is_finished_by_the_same_command(
    folder, model, monkeypatch, capsys
):
    class Killed(BaseException):
        pass

    def die(*_):
        raise Killed

    monkeypatch.setattr(run_fit.Checkpoints, "clear", die)
    with pytest.raises(Killed):
        main([*FIT, "-o", "b.impasto"])
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    assert (folder / "b.impasto.impasto-fit").is_dir()
    assert main([*FIT, "-o", "b.impasto"]) == 0
    assert (folder / "b.impasto").read_bytes() == model.read_bytes()
    assert not (folder / "b.impasto.impasto-fit").exists()
    assert main([*FIT, "-o", "b.impasto"]) == 1
    assert "must be a new file" in capsys.readouterr().err


def test_a_killed_fit_goes_on(folder):
    words = [*FIT, "--steps", "40", "-o", "a.impasto"]
    killed = subprocess.Popen([sys.executable, "-m", "impasto", *words], stderr=subprocess.DEVNULL)
    state = folder / "a.impasto.impasto-fit"
    for _ in range(1200):
        if state.is_dir() and list(state.glob("*.pt")):
            break
        time.sleep(0.05)
    killed.kill()
    killed.wait()
    assert not (folder / "a.impasto").exists()
    assert main(words) == 0
    assert Model.load("a.impasto").facts.figures.steps == 40
    assert not state.exists()


def test_a_picture_is_painted_under_a_name_of_its_own(model, capsys):
    capsys.readouterr()
    assert main(["apply", "oil.impasto", "photo.png"]) == 0
    assert capsys.readouterr().out == "photo-oil.png\n"
    with PIL.Image.open("photo-oil.png") as picture:
        assert picture.size == (24, 16)
    assert main(["apply", "oil.impasto", "photo.png"]) == 1
    assert "`output` must be a new file" in capsys.readouterr().err
    words = ["apply", "oil.impasto", "photo.png", "-o", "b.jpg", "--size", "48", "--json"]
    assert main(words) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["output"], facts["size"]) == ("b.jpg", [48, 32])
    assert facts["unlikeness"] > 0


def test_a_model_tells_how_it_was_made(model, capsys):
    capsys.readouterr()
    assert main(["info", "oil.impasto", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["style"], facts["photographs"]) == ("paint.png", 2)
    assert facts["figures"]["steps"] == 2
    assert main(["info", "oil.impasto"]) == 0
    assert "fitted model" in capsys.readouterr().out


def test_a_painting_is_made_again(model, capsys):
    assert main(["apply", "oil.impasto", "photo.png", "-o", "a.png"]) == 0
    assert main(["rerun", "a.png", "-o", "b.png"]) == 0
    with PIL.Image.open("a.png") as first, PIL.Image.open("b.png") as second:
        assert first.tobytes() == second.tobytes()


def test_several_pictures_go_into_a_folder_and_one_bad_file_stops_nothing(model, capsys):
    (model.parent / "bad.png").write_bytes(b"no picture")
    words = ["apply", "oil.impasto", "photo.png", "bad.png", "other.jpg", "-o", "out", "--progress"]
    capsys.readouterr()
    assert main([*words, "--format", "jpg"]) == 3
    printed = capsys.readouterr()
    assert printed.out.split() == ["out/photo.jpg", "out/other.jpg"]
    assert "bad.png: `picture` must be a readable picture" in printed.err
    assert "3 of 3 pictures" in printed.err


def test_a_folder_of_pictures_is_painted(model, capsys):
    folder = model.parent / "in"
    folder.mkdir()
    for name in ("photo.png", "other.jpg"):
        (model.parent / name).rename(folder / name)
    capsys.readouterr()
    assert main(["apply", "oil.impasto", "in", "-o", "out", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["pictures"]
    assert [row["output"] for row in rows] == ["out/other.png", "out/photo.png"]


def test_what_would_be_painted_is_told_and_nothing_written(model, capsys):
    before = set(model.parent.iterdir())
    capsys.readouterr()
    words = ["apply", "oil.impasto", "photo.png", "other.jpg", "-o", "out", "--dry-run"]
    assert main(words) == 0
    assert "photo.png  24 × 16  out/photo.png" in capsys.readouterr().out
    assert set(model.parent.iterdir()) == before


def test_places_are_checked_before_a_picture_is_painted(model, capsys):
    (model.parent / "in").mkdir()
    PIL.Image.new("RGB", (20, 20)).save(model.parent / "in" / "photo.jpg")
    two = ["photo.png", "other.jpg"]
    for words, sentence in {
        ("apply", "oil.impasto", *two): "`output` must be a folder for 2 pictures",
        ("apply", "oil.impasto", *two, "-o", "a.png"): "`output` must be a folder",
        ("apply", "oil.impasto", "photo.png", "in", "-o", "out"): "another file for each",
        ("apply", "oil.impasto", *two, "-o", "out", "--format", "xyz"): "`format`",
        ("apply", "photo.png", "photo.png"): "`model` must be a fitted model",
        ("apply", "oil.impasto", "photo.png", "--amount", "2"): "see `impasto apply --help`",
        ("apply", "oil.impasto", "photo.png", "-o", "photo.png", "--overwrite"): "inputs",
    }.items():
        capsys.readouterr()
        assert main([*words]) in (1, 2)
        assert sentence in capsys.readouterr().err


def test_a_painting_is_measured_against_the_style(model, capsys):
    capsys.readouterr()
    assert main(["apply", "oil.impasto", "photo.png", "--check", "paint.png", "--json"]) == 0
    printed = capsys.readouterr()
    facts = json.loads(printed.out)
    assert facts["style_loss"] > 0
    assert "photo.png: style loss" in printed.err
