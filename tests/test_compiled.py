"""Compiled loops and strips of work."""

import threading

import numpy as np
import pytest
import torch

from impasto import compiled
from impasto.compiled import announce_compilation, jit, load_loops, run_strips


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_strips_run_side_by_side_and_come_back_in_order(two_threads):
    meeting = threading.Barrier(2)  # broken unless two strips are under way at once

    def work(strip):
        meeting.wait(timeout=60)
        return strip, torch.get_num_threads()

    assert run_strips(work, [0, 1]) == [(0, 1), (1, 1)]
    assert torch.get_num_threads() == 2


def test_a_strip_that_fails_fails_the_run(two_threads):
    with pytest.raises(ZeroDivisionError):
        run_strips(lambda strip: 1 // strip, [1, 0])
    assert torch.get_num_threads() == 2


def test_a_compiled_loop_is_announced_before_it_is_compiled(monkeypatch, tmp_path):
    numba = pytest.importorskip("numba")
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    order = []
    compiled._listen()
    announce_compilation(lambda: order.append("announced"))

    @jit
    def total(values):
        result = 0.0
        for value in values:
            result += value
        return result

    order.append(total(np.ones(3)))
    order.append(total(np.ones(4)))
    assert order == ["announced", 3.0, 4.0]


def test_without_numba_there_are_no_loops(monkeypatch):
    monkeypatch.setenv("IMPASTO_NO_COMPILED", "1")
    assert load_loops("json") is None
