"""A command line whose network is played by stand-ins, and small pictures to give it."""

import os
import subprocess
import sys
from pathlib import Path

import fake_rooms
import numpy as np
import pytest
from PIL import Image

# Before any stand-in is there that they could keep for good.
import impasto.api
from impasto.cli.main import main

SOURCES = Path(__file__).parents[2] / "src"


@pytest.fixture
def calls(monkeypatch):
    """What the stand-ins are called with."""
    api = sys.modules["impasto.api"]
    for importer in ("impasto.api", "impasto.cli.run_demo"):  # to import the stand-ins
        monkeypatch.delitem(sys.modules, importer, raising=False)
    monkeypatch.setattr(sys.modules["impasto"], "api", api)  # which changes the package, too
    for name, module in fake_rooms.modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    fake_rooms.CALLS.clear()
    return fake_rooms.CALLS


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with a photograph and two paintings."""
    monkeypatch.chdir(tmp_path)
    for seed, (name, size) in enumerate(
        {"photo.png": (24, 16), "paint.png": (20, 20), "other.jpg": (16, 24)}.items()
    ):
        values = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
        Image.fromarray(values).save(tmp_path / name)
    return tmp_path


@pytest.fixture
def impasto(calls, folder, capsys):
    """Call the command: exit code, stdout, stderr."""

    def call(*words):
        code = main([str(word) for word in words])
        out, err = capsys.readouterr()
        return code, out, err

    return call


@pytest.fixture
def spawn(folder):
    """Start the command in a process of its own."""
    started = []

    def start(*words, sleep=0.0, **kwargs):
        environment = {
            **os.environ,
            "PYTHONPATH": str(SOURCES),
            "FAKE_SLEEP": str(sleep),
            "OMP_NUM_THREADS": "1",
        }
        process = subprocess.Popen(
            [sys.executable, fake_rooms.__file__, *map(str, words)],
            env=environment,
            cwd=folder,
            stdin=kwargs.pop("stdin", subprocess.PIPE),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **kwargs,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()
