"""The fuzzer finds what it looks for, and a few thousand of its cases find nothing."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import fuzz
import seeds
import targets
from targets import TARGETS, Case, make_case

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it forks and reads /proc")


def fault_of(monkeypatch, function, **limits):
    """What the fuzzer reports about one case of a target."""
    monkeypatch.setitem(TARGETS, "double", function)
    monkeypatch.setattr(targets, "make_case", lambda number, names: Case("double", b"data"))
    for name, value in limits.items():
        monkeypatch.setattr(fuzz, name, value)
    return fuzz.run(0, 1, 60, ["double"])["faults"]


def raise_value_error(path, folder):
    raise ValueError("not from impasto")


def print_to_terminal(path, folder):
    os.write(2, b"a C library speaks")


def spin(path, folder):
    while True:
        pass


FAULTS = {
    "an error that is not impasto's": raise_value_error,
    "a hang": spin,
    "memory": lambda path, folder: (b"x" * 150_000_000, time.sleep(1)),
    "death": lambda path, folder: os.kill(os.getpid(), signal.SIGKILL),
    "a word behind our back": print_to_terminal,
    "a file left behind": lambda path, folder: (folder / ".part").write_bytes(b""),
    "a changed input": lambda path, folder: path.write_bytes(b"other"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_reported(monkeypatch, name):
    assert fault_of(monkeypatch, FAULTS[name], CPU_SECONDS=0.3, MEMORY=100_000_000) == 1


def test_case_without_fault_is_not_reported(monkeypatch):
    assert fault_of(monkeypatch, lambda path, folder: None) == 0


@pytest.mark.parametrize("name", TARGETS)
def test_number_makes_the_same_case(name):
    assert make_case(7, [name]) == make_case(7, [name])


def test_seeds_cover_every_format():
    starts = {data[:4] for data in seeds.image_seeds()}
    assert {b"\x89PNG", b"RIFF", b"II*\0", b"GIF8"} <= starts
    assert len(seeds.image_seeds()) > 100
    assert len(seeds.tiff_seeds()) > 150
