"""Fitting: it learns, stops, resumes in the same bytes, and refuses what it cannot use."""

import subprocess
import sys
import time

import pytest
import torch
from model_makers import QUICK, fitted, picture

import impasto
from impasto.models import training
from impasto.models.fit import plan_fit
from impasto.models.model_file import encode_model
from impasto.style.source import Style


def model_bytes(result):
    return encode_model(result.model.parts)


def test_it_learns(monkeypatch):
    monkeypatch.setattr(training, "CROPS", 4)
    result = fitted(steps=40)
    losses = [step["total"] for step in result.history]
    assert result.steps == len(losses) == 40
    assert sum(losses[-4:]) < 0.8 * sum(losses[:4])
    figures = result.model.facts.figures
    assert figures.style + figures.content < losses[0]


def test_the_same_seed_gives_the_same_bytes():
    assert model_bytes(fitted()) == model_bytes(fitted())
    assert model_bytes(fitted()) != model_bytes(fitted(seed=1))


def test_steps_are_reported_and_a_stop_keeps_what_is_learned():
    seen = []

    def watch(step):
        seen.append((step.evaluation, step.evaluations, step.left))
        assert step.picture().shape == (3, step.size[1], step.size[0])
        assert {"total", "style", "content"} <= step.losses.keys()
        if step.evaluation == 2:
            raise StopIteration

    result = fitted(steps=5, on_step=watch)
    assert [step[0] for step in seen] == [1, 2]
    assert result.stopped
    assert result.steps == 2
    assert result.model(picture(4)).size == (64, 48)


def test_stop_ends_a_step_without_a_trace():
    asked = []

    def stop():
        asked.append(True)
        return len(asked) > 3

    result = fitted(steps=5, stop=stop)
    assert result.stopped
    assert result.steps == 1


def test_a_stopped_fit_resumes_in_the_same_bytes(tmp_path):
    def interrupt(step):
        if step.evaluation == 3:
            raise StopIteration

    whole = fitted(steps=6)
    first = fitted(steps=6, checkpoint=tmp_path, on_step=interrupt)
    assert first.stopped
    assert list(tmp_path.iterdir())
    again = fitted(steps=6, checkpoint=tmp_path)
    assert again.steps == 6
    assert len(again.history) == 3
    assert model_bytes(again) == model_bytes(whole)
    assert not list(tmp_path.iterdir())


def test_a_killed_fit_resumes_in_the_same_bytes(tmp_path):
    code = """
import sys
sys.path.insert(0, sys.argv[1])
import torch
torch.set_num_threads(1)
from impasto.style import checkpoint
checkpoint.INTERVAL = 0.0
checkpoint.SHARE = 0.0
from model_makers import fitted
from test_fit import model_bytes
result = fitted(steps=30, checkpoint=sys.argv[2])
sys.stdout.buffer.write(model_bytes(result))
"""
    here = str(__file__).rpartition("/")[0]
    words = [sys.executable, "-c", code, here]
    whole = subprocess.run([*words, str(tmp_path / "a")], check=True, capture_output=True).stdout
    folder = tmp_path / "b"
    killed = subprocess.Popen([*words, str(folder)], stdout=subprocess.DEVNULL)
    while not list(folder.glob("*.pt")):
        assert killed.poll() is None
        time.sleep(0.05)
    time.sleep(0.3)
    killed.kill()
    killed.wait()
    again = subprocess.run([*words, str(folder)], check=True, capture_output=True).stdout
    assert again == whole


def test_a_fit_that_gains_nothing_any_more_ends(monkeypatch):
    monkeypatch.setattr(training, "CROPS", 2)
    monkeypatch.setattr(training, "_LEAST_GAIN", 1.0)  # no epoch gains that much
    result = fitted(steps=500)
    assert result.settled
    assert not result.stopped
    assert result.steps < 50


def test_another_model_can_be_the_start(tmp_path):
    first = fitted()
    path = first.save(tmp_path / "first.impasto")
    second = fitted(start=path)
    assert second.model.facts.figures.steps == 6
    assert second.history[0]["total"] < fitted().history[0]["total"]


def test_several_styles_and_masks_are_taken_and_regions_refused():
    half = torch.zeros(1, 48, 64)
    half[..., :32] = 1
    styles = [Style(picture(3), mask=half), Style(picture(5), weight=0.5)]
    result = impasto.fit(picture(1), styles, **QUICK)
    assert [style.weight for style in result.model.facts.styles] == [1.0, 0.5]
    with pytest.raises(ValueError, match="region"):
        impasto.fit(picture(1), Style(picture(3), region=half), **QUICK)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"photographs": []}, "`photographs` must be at least one picture"),
        ({"photographs": torch.rand(3, 8, 40)}, "at least 16 pixels"),
        ({"strength": 0.0}, "`strength` must leave the style a weight"),
        ({"size": 5}, "`size`"),
        ({"preset": "x"}, "`preset` must be an option of FitRecipe"),
    ],
)
def test_what_cannot_be_fitted_is_refused_before_any_work(arguments, words):
    given = {"photographs": picture(1), "style": picture(3), **QUICK, **arguments}
    with pytest.raises(ValueError, match=words):
        impasto.fit(**given)


def test_a_plan_counts_steps_and_time():
    plan = plan_fit([picture(1), picture(2)], picture(3), **QUICK)
    assert (plan.photographs, plan.crop, plan.steps, plan.resumed) == (2, (64, 48), 3, 0)
    assert plan.seconds > 0


def test_of_many_photographs_some_are_taken(monkeypatch):
    monkeypatch.setattr("impasto.models.fit.MOST_PHOTOGRAPHS", 2)
    many = [picture(seed) for seed in range(5)]
    result = impasto.fit(many, picture(9), **{**QUICK, "steps": 1})
    hashes = [one.sha256 for one in result.model.facts.photographs]
    few = impasto.fit([many[0], many[2]], picture(9), **{**QUICK, "steps": 1})
    assert hashes == [one.sha256 for one in few.model.facts.photographs]
