"""Who does the work: this process, processes beside it, or a Ray cluster.

Each executor is a list of workers; a worker takes one picture at a time and gives back a future.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from typing import Protocol

from impasto.batch.job import Job
from impasto.batch.run_job import Outcome, run_job, warm_up

EXISTING = ("resume", "skip", "overwrite", "fail")
EXECUTORS = ("processes", "inline", "ray")


class Worker(Protocol):
    """One worker."""

    def start(self, job: Job) -> Future[Outcome]:
        """Begin a picture; the future raises where the worker itself was lost."""

    def renew(self) -> Future[object]:
        """Start the worker, or a new one in its place; the future ends when it can be given work.

        It raises where the worker cannot be started.
        """

    def stop(self, *, now: bool) -> None:
        """Let the worker go, in the middle of a picture where `now`."""


class Inline:
    """This process itself."""

    def __init__(self, room: str, threads: int) -> None:
        self._room, self._threads = room, threads

    def start(self, job: Job) -> Future[Outcome]:
        """Make a picture before anything else happens."""
        import torch

        before = torch.get_num_threads()
        warm_up(self._threads)
        done: Future[Outcome] = Future()
        try:
            done.set_result(run_job(job, self._room, 1.0))
        finally:
            torch.set_num_threads(before)
        return done

    def renew(self) -> Future[object]:
        """It is there, and cannot be lost without the run."""
        there: Future[object] = Future()
        there.set_result(None)
        return there

    def stop(self, *, now: bool) -> None:
        """Nothing."""


class Process:
    """A process beside this one."""

    def __init__(self, room: str, threads: int, workers: int) -> None:
        self._room, self._share = room, 1 / workers
        self._threads = threads
        self._pool: ProcessPoolExecutor | None = None

    def start(self, job: Job) -> Future[Outcome]:
        """Hand a picture over."""
        return self._pool.submit(run_job, job, self._room, self._share)

    def renew(self) -> Future[object]:
        """Start the process; it loads what it needs with its first picture."""
        if self._pool:
            self._pool.shutdown(wait=False, cancel_futures=True)
        # A fork would carry torch's threads in a state that nobody knows.
        self._pool = ProcessPoolExecutor(
            1,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_settled,
            initargs=(self._threads,),
        )
        return self._pool.submit(os.getpid)

    def stop(self, *, now: bool) -> None:
        """End the process."""
        if self._pool is None:
            return
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
    warm_up(threads)


@contextmanager
def worker_count(workers: list[Worker]) -> Iterator[list[Worker]]:
    """Workers for the length of a batch; in the middle of their pictures where it goes wrong."""
    now = True
    try:
        yield workers
        now = False
    finally:
        for worker in workers:
            worker.stop(now=now)


def counts(
    executor: str, workers: int | None, threads: int | None, existing: str, tries: int
) -> tuple[int, int]:
    """How many workers there are, and the threads of each; refuses what makes no sense."""
    for name, value, known in (
        ("executor", executor, EXECUTORS),
        ("existing", existing, EXISTING),
    ):
        if value not in known:
            raise ValueError(f"`{name}` must be one of {', '.join(known)}, got {value!r}")
    for name, number in (("workers", workers), ("threads", threads), ("tries", tries)):
        if number is not None and number < 1:
            raise ValueError(f"`{name}` must be at least 1, got {number}; leave it out")
    if executor == "inline" and workers not in (None, 1):
        raise ValueError(f"`workers` must be 1 inline, got {workers}; use processes")
    cores = _cores()
    count = 1 if executor == "inline" else workers or cores
    return count, threads or max(1, cores // count)


def _cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_ray(executor: str, address: str | None, gpus: float | None) -> None:
    """Refuse what only Ray has a use for."""
    if gpus is not None and not 0 <= gpus <= 64:
        raise ValueError(f"`gpus` must be from 0 to 64, got {gpus:g}; leave it out")
    for name, value in (("address", address), ("gpus", gpus)):
        if value is not None and executor != "ray":
            raise ValueError(
                f"`{name}` must go with executor ray, got {value!r} with {executor}; leave it out"
            )


@contextmanager
def worker_pool(
    executor: str,
    room: str,
    threads: int,
    workers: int | None,
    most: int,
    address: str | None,
    gpus: float | None,
) -> Iterator[list[Worker]]:
    """The workers of an executor, no more than there are pictures, for the length of a batch."""
    if executor == "inline":
        yield [Inline(room, threads)]
    elif executor == "processes":
        count = min(workers or max(1, _cores() // threads), most)
        with worker_count([Process(room, threads, count) for _ in range(count)]) as all_:
            yield all_
    else:
        from impasto.batch.on_ray import OnRay, cluster

        with cluster(address) as cores:
            count = min(workers or max(1, int(cores) // threads), most)
            with worker_count([OnRay(room, threads, gpus or 0) for _ in range(count)]) as all_:
                yield all_
