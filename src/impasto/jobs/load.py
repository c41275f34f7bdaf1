"""Threads by the load of the machine: beside a busy program, fewer are faster.

Threads that share an operation wait for each other. If another program takes the core of one of
them, the others wait with it, at every operation: beside one busy program, two threads on two cores
take three times as long as alone, one thread less than twice. The picture is the same for any
number of threads.
"""

from __future__ import annotations

import time
from functools import cache
from typing import NamedTuple

import psutil

_INTERVAL = 0.5  # seconds, at least, over which the load is measured
_OTHERS = 0.3  # of a core, that other programs may take without costing a thread


class _Usage(NamedTuple):
    """Seconds of the clock, of this process on all cores, and of no process on all cores."""

    clock: float
    own: float
    idle: float


class FreeCores:
    """Keeps torch's threads to the cores that other programs leave, up to what it had at first.

    For processes of impasto's own: the number stays when a run ends, until the next one changes it.

    Example:
        >>> FreeCores().adapt()
    """

    def __init__(self) -> None:
        self._most = _threads_at_first()
        self._before = _measure_usage()

    def adapt(self) -> None:
        """Choose the number of threads by the load since the last time; called between steps."""
        import torch

        now = _measure_usage()
        seconds = now.clock - self._before.clock
        if seconds < _INTERVAL:
            return
        cores = (now.own - self._before.own + now.idle - self._before.idle) / seconds
        self._before = now
        torch.set_num_threads(max(1, min(self._most, int(cores + _OTHERS))))


@cache
def _threads_at_first() -> int:
    import torch

    return torch.get_num_threads()


def _measure_usage() -> _Usage:
    return _Usage(time.perf_counter(), time.process_time(), psutil.cpu_times().idle)
