"""`--dry-run` says what a run would do, and does none of it."""

import json

import pytest

from impasto.cli.main import main


@pytest.fixture
def rehearse(folder, capsys):
    """Call a command for real, in a folder with pictures: exit code, stdout, new files."""

    def call(*words):
        before = set(folder.iterdir())
        code = main([*words, "--dry-run", "--device", "cpu", "--precision", "float32"])
        return code, capsys.readouterr(), set(folder.iterdir()) - before

    return call


def test_a_plan_as_json_and_nothing_written(rehearse):
    code, printed, new = rehearse(
        "style", "photo.png", "paint.png", "--size", "96", "--json", "--denoise"
    )
    found = json.loads(printed.out)
    assert (code, new) == (0, set())
    assert found["size"] == [96, 64]
    assert found["evaluations"] == 150  # of the one scale
    assert sum(scale["evaluations"] for scale in found["scales"]) == 150
    assert found["scales"][-1]["tile"] is None
    assert found["memory"] < found["budget"]
    assert found["seconds"] > 0


def test_a_plan_as_a_table(rehearse):
    code, printed, new = rehearse("reconstruct", "photo.png", "--size", "64")
    assert (code, new) == (0, set())
    for words in ("cpu, float32", "64 × 43", "whole", "nothing was written"):
        assert words in printed.out


def test_it_refuses_what_a_run_refuses(rehearse):
    code, printed, _ = rehearse("style", "photo.png", "paint.png", "-o", "photo.png")
    assert code != 0
    assert "`output` must not be one of the inputs" in printed.err
    code, printed, _ = rehearse("style", "photo.png", "paint.png", "--memory", "0.001")
    assert code == 1
    assert "`memory` must be at least" in printed.err
