"""A watched folder: each file once, whole, whatever else happens in it."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from PIL import Image

from impasto.batch.plan import BatchPlan
from impasto.batch.watch import watch_folder
from impasto.cli.main import main
from impasto.errors import ImageError
from impasto.presets import style_recipe
from impasto.recipes import DenoiseRecipe


def draw(path, seed=0):
    """A small noisy picture in a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).integers(90, 166, (24, 32, 3), np.uint8)
    Image.fromarray(values).save(path)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with the folder `in`, which holds one picture."""
    monkeypatch.chdir(tmp_path)
    draw(tmp_path / "in" / "a.png")
    return tmp_path


def cleaning(**options):
    """A plan that cleans the folder `in`."""
    fixed = {"contents": ("in",), "styles": (), "output": "out", "recipe": DenoiseRecipe()}
    return BatchPlan("denoise", **{**fixed, **options})


def look_once(plan=None, **options):
    """Watch as a scheduler does; return what was told."""
    events = []
    fixed = {"executor": "inline", "settle": 0.05, "once": True, "on_event": events.append}
    watch_folder(plan or cleaning(), **{**fixed, **options})
    return events


class Watching:
    """A watch in a thread, with what it told."""

    def __init__(self, plan=None, **options):
        self.events, self.stop = [], threading.Event()
        fixed = {"executor": "inline", "every": 0.05, "settle": 0.3}
        self._watch = lambda: watch_folder(
            plan or cleaning(),
            **{**fixed, **options},
            on_event=self.events.append,
            stop=self.stop,
        )

    def __enter__(self):
        self.thread = threading.Thread(target=self._watch)
        self.thread.start()
        return self

    def __exit__(self, *error):
        self.stop.set()
        self.thread.join()

    def until(self, condition):
        """Wait until something is true of the events."""
        deadline = time.monotonic() + 60
        while not condition(self.events):
            assert time.monotonic() < deadline, self.events
            assert self.thread.is_alive()
            time.sleep(0.02)


def test_each_file_is_made_once_and_a_later_call_makes_what_is_new(folder):
    assert [(event.status, event.output) for event in look_once()] == [("done", "out/a.png")]
    before = os.stat("out/a.png").st_mtime_ns
    draw(folder / "in" / "deep" / "b.png", 1)
    assert [event.output for event in look_once()] == ["out/deep/b.png"]
    assert look_once() == []
    assert os.stat("out/a.png").st_mtime_ns == before


def test_a_file_that_has_changed_is_made_again(folder):
    look_once()
    before = (folder / "out" / "a.png").read_bytes()
    draw(folder / "in" / "a.png", 5)
    assert [event.output for event in look_once()] == ["out/a.png"]
    assert (folder / "out" / "a.png").read_bytes() != before


def test_what_is_put_in_while_it_watches_is_made(folder):
    with Watching() as watch:
        watch.until(lambda events: len(events) == 1)
        draw(folder / "in" / "b.png", 1)
        watch.until(lambda events: len(events) == 2)
    assert sorted(event.output for event in watch.events) == ["out/a.png", "out/b.png"]


def test_a_file_that_is_being_written_is_waited_for(folder):
    whole = (folder / "in" / "a.png").read_bytes()
    with Watching() as watch, open("in/slow.png", "wb", buffering=0) as file:
        for start in range(0, len(whole), 200):
            file.write(whole[start : start + 200])
            time.sleep(0.1)
        watch.until(lambda events: len(events) == 2)
    assert {event.status for event in watch.events} == {"done"}


def test_unfinished_and_hidden_names_and_empty_files_are_passed_over(folder):
    whole = (folder / "in" / "a.png").read_bytes()
    for name in (".a.png.Xy12", "b.png.part", "c.jpg.crdownload", "d.TMP", "~$e.png", "f.png~"):
        (folder / "in" / name).write_bytes(whole)
    (folder / "in" / "empty.png").touch()
    assert [event.content for event in look_once()] == ["in/a.png"]


def test_a_bad_file_is_told_once_until_it_changes(folder):
    bad = folder / "in" / "bad.png"
    bad.write_bytes((folder / "in" / "a.png").read_bytes()[:60])
    (folder / "in" / "list.txt").write_text("no picture")
    first = look_once()
    assert sorted(event.status for event in first) == ["done", "failed", "left out"]
    assert "bad.png" in next(event.reason for event in first if event.status == "failed")
    assert [event.status for event in look_once()] == ["left out"]
    draw(bad, 3)
    assert [(e.status, e.content) for e in look_once() if e.status != "left out"] == [
        ("done", "in/bad.png")
    ]


def test_two_files_of_one_output_do_not_replace_each_other(folder):
    Image.open("in/a.png").save("in/a.jpg")
    os.utime("in/a.jpg", (1, 1))  # the older one comes first
    for event in (look_once(), look_once()):
        failed = [each for each in event if each.status == "failed"]
        assert [each.content for each in failed] == ["in/a.png"]
        assert "in/a.jpg and in/a.png" in failed[0].reason


def test_a_file_of_someone_else_is_not_replaced(folder):
    (folder / "out").mkdir()
    (folder / "out" / "a.png").write_bytes(b"mine")
    events = look_once()
    assert [event.status for event in events] == ["failed"]
    assert "must not hold what would be written" in events[0].reason
    assert (folder / "out" / "a.png").read_bytes() == b"mine"
    assert look_once(existing="skip") == []
    assert [event.status for event in look_once(existing="overwrite")] == ["done"]


def test_the_output_may_lie_in_the_folder_and_is_not_watched(folder):
    plan = cleaning(output="in/done")
    assert [event.output for event in look_once(plan)] == ["in/done/a.png"]
    assert look_once(plan) == []


def test_the_folder_may_go_away_and_come_back(folder):
    with Watching() as watch:
        watch.until(lambda events: len(events) == 1)
        os.rename("in", "away")
        watch.until(lambda events: len(events) == 2)
        draw(folder / "away" / "b.png", 1)
        os.rename("away", "in")
        watch.until(lambda events: len(events) == 3)
    assert [event.status for event in watch.events] == ["done", "left out", "done"]


def test_styles_and_models_are_those_of_a_batch(folder):
    draw(folder / "one.png", 7)
    draw(folder / "two.png", 8)
    recipe = style_recipe(size=32, steps=1)
    plan = BatchPlan("style", ("in",), ("one.png", "two.png"), "out", recipe)
    assert sorted(e.output for e in look_once(plan)) == ["out/a-one.png", "out/a-two.png"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"contents": ("none",)}, "`folder` must be a folder, got none"),
        ({"contents": ("s3://bucket/in",)}, "`folder` must be one folder on this machine"),
        ({"output": "in"}, "`output` must not hold the watched folder"),
        ({"output": "."}, "`output` must not hold the watched folder"),
    ],
)
def test_what_cannot_be_watched_is_refused(folder, options, words):
    with pytest.raises((ImageError, ValueError), match=words):
        look_once(cleaning(**options))


@pytest.mark.parametrize(
    "options", [{"every": 0.0}, {"settle": -1.0}, {"settle": float("nan")}, {"existing": "fail"}]
)
def test_a_wrong_argument_is_refused(folder, options):
    with pytest.raises(ValueError, match=f"`{next(iter(options))}` must be"):
        look_once(**options)


def test_the_command_prints_what_it_made(folder, capsys):
    words = ["watch", "in", "-o", "out", "--once", "--settle", "0.05", "--executor", "inline"]
    assert main([*words, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["status"], facts["output"]) == ("done", "out/a.png")
    (folder / "in" / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert main([*words, "--denoise"]) == 1
    assert "bad.png" in capsys.readouterr().err
    assert main(words) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--sigma", "3", "--style", "in/a.png"], "`--sigma` must be left out of painting"),
        (["--structure", "1"], "`--structure` must be left out of cleaning"),
        (["--joint", "--model", "m"], "`--joint` must be left out of a fitted model"),
        (["--model", "m", "--style", "in/a.png"], "`model` must be left out beside `style`"),
        (["--strength", "7"], "`strength` must be at most 1, got 7"),
    ],
)
def test_options_of_something_else_are_refused(folder, capsys, words, message):
    assert main(["watch", "in", "-o", "out", *words]) == 2
    assert message in capsys.readouterr().err
    assert not (folder / "out").exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM to handle")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_exit_code_0_and_whole_files(folder, number):
    words = ["watch", "in", "-o", "out", "--every", "0.1", "--settle", "0.1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "impasto", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout.readline() == b"out/a.png\n"
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert (
        {"a.png", "impasto-batch.sqlite"}
        <= set(os.listdir("out"))
        <= {
            "a.png",
            "a.png.impasto.json",
            "impasto-batch.sqlite",
        }
    )
