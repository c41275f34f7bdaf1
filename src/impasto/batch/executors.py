"""Who does the work: this process, processes beside it, or a Ray cluster.

Each executor is a list of workers; a worker takes one picture at a time and gives back a future.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from typing import Protocol

from impasto.batch.job import Job
from impasto.batch.work import Outcome, perform, ready


class Worker(Protocol):
    """One worker."""

    def start(self, job: Job) -> Future[Outcome]:
        """Begin a picture; the future raises where the worker itself was lost."""

    def renew(self) -> None:
        """Put a new worker in the place of one that was lost."""

    def stop(self, *, now: bool) -> None:
        """Let the worker go, in the middle of a picture where `now`."""


class Inline:
    """This process itself."""

    def __init__(self, output: str, threads: int) -> None:
        self._output, self._threads = output, threads

    def start(self, job: Job) -> Future[Outcome]:
        """Make a picture before anything else happens."""
        import torch

        before = torch.get_num_threads()
        ready(self._threads)
        done: Future[Outcome] = Future()
        try:
            done.set_result(perform(job, self._output, 1.0))
        finally:
            torch.set_num_threads(before)
        return done

    def renew(self) -> None:
        """Nothing: it cannot be lost without the run."""

    def stop(self, *, now: bool) -> None:
        """Nothing."""


class Process:
    """A process beside this one."""

    def __init__(self, output: str, threads: int, workers: int) -> None:
        self._output, self._share = output, 1 / workers
        self._threads = threads
        self.renew()

    def start(self, job: Job) -> Future[Outcome]:
        """Hand a picture over."""
        return self._pool.submit(perform, job, self._output, self._share)

    def renew(self) -> None:
        """Start the process; it loads what it needs with its first picture."""
        # A fork would carry torch's threads in a state that nobody knows.
        self._pool = ProcessPoolExecutor(
            1,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_settled,
            initargs=(self._threads,),
        )

    def stop(self, *, now: bool) -> None:
        """End the process."""
        if now:
            for process in list((self._pool._processes or {}).values()):
                process.kill()
        self._pool.shutdown(wait=True, cancel_futures=True)


def _settled(threads: int) -> None:
    """Make a process a worker: Ctrl-C is its parent's business, and so is its life."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    parent = multiprocessing.parent_process()

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
    ready(threads)


@contextmanager
def staff(hired: Callable[[], list[Worker]]) -> Iterator[list[Worker]]:
    """Workers for the length of a batch.

    Args:
        hired: starts them.
    """
    workers = hired()
    now = True
    try:
        yield workers
        now = False
    finally:
        for worker in workers:
            worker.stop(now=now)
