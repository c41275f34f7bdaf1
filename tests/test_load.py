"""Threads by the load of the machine."""

import pytest
import torch

from impasto.jobs import load
from impasto.jobs.load import FreeCores


@pytest.fixture
def usage(monkeypatch):
    """Say what was used in the next second: cores of our own, and idle ones; four threads."""
    before = torch.get_num_threads()
    now = [0.0, 0.0, 0.0]
    monkeypatch.setattr(load, "_measure_usage", lambda: load._Usage(*now))
    monkeypatch.setattr(load, "_threads_at_first", lambda: 4)
    torch.set_num_threads(4)

    def pass_time(own, idle, seconds=1.0):
        for index, rate in enumerate((1.0, own, idle)):
            now[index] += rate * seconds

    yield pass_time
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("own", "idle", "threads"),
    [(3.9, 0.0, 4), (3.2, 0.0, 3), (2.4, 0.1, 2), (1.0, 3.0, 4), (0.2, 0.1, 1), (4.0, 60.0, 4)],
)
def test_threads_are_the_cores_that_are_left(usage, own, idle, threads):
    cores = FreeCores()
    usage(own, idle)
    cores.adapt()
    assert torch.get_num_threads() == threads


def test_they_come_back_and_a_moment_decides_nothing(usage):
    cores = FreeCores()
    usage(1.0, 0.0)
    cores.adapt()
    usage(1.0, 3.0, seconds=0.1)
    cores.adapt()
    assert torch.get_num_threads() == 1
    usage(1.0, 3.0)
    cores.adapt()
    assert torch.get_num_threads() == 4
