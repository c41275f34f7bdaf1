"""The HTTP API in docs/api.md: its flows run, and it lists every code."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from stage import TOKEN, listening, picture

import impasto
from impasto.serve.problems import PROBLEMS

TEXT = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")


@pytest.fixture
def origin(tmp_path, monkeypatch):
    """A server, in a folder with the pictures that the flows use."""
    monkeypatch.chdir(tmp_path)
    for name in ("photo.jpg", "painting.jpg"):
        Path(name).write_bytes(picture(64, 48))
    with listening(tmp_path / "jobs") as origin:
        yield origin


def block(language):
    (code,) = re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.M | re.S)
    return code


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_flow_with_curl_runs(origin):
    environment = os.environ | {"SERVER": origin, "TOKEN": TOKEN}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block("sh")],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert '"status":"done"' in done.stdout
    assert Path("painting-of-photo.jpg").read_bytes()[:2] == b"\xff\xd8"


def test_the_flow_in_python_runs_and_refusals_are_errors(origin):
    names = {"impasto": impasto, "Path": Path, "address": f"{origin}/#token={TOKEN}"}
    exec(block("python"), names)
    made = impasto.open_image("painting-of-photo.png")
    assert made.size == (64, 48)
    client = names["client"]
    with pytest.raises(impasto.ImpastoError, match=r"must be at most 1, got 3.*\(wrong_option\)"):
        client.submit("denoise", {"strength": 3}, content="photo.jpg")


def test_every_code_is_listed_with_its_status_and_meaning():
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \| (.*) \|$", TEXT, re.M)
    assert {code: (int(status), text) for status, code, text in rows} == PROBLEMS
