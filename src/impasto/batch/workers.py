"""The workers of a batch: this process, other processes, or actors on a Ray cluster.

A worker makes one image at a time and returns a future. Ray's actors are sent paths and recipes,
never pixels: each reads its files from where they lie and writes them where they go.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Protocol

from impasto.batch import storage
from impasto.errors import ImpastoError, quote
from impasto.jobs.job import Job, Outcome
from impasto.jobs.quiet import quiet_libraries

EXISTING = ("resume", "skip", "overwrite", "fail")
_MOST = 4096  # workers, threads or tries; more than any machine has a use for
EXECUTORS = ("processes", "inline", "ray")


class Worker(Protocol):
    """One worker."""

    def start(self, job: Job) -> Future[Outcome]:
        """Start a job; the future raises if the worker itself is lost."""

    def restart(self) -> Future[object]:
        """Start the worker, or a new one in its place; the future ends when it can take a job.

        It raises if the worker cannot be started.
        """

    def stop(self, *, now: bool) -> None:
        """End the worker; `now` does not wait for its job."""


class InlineWorker:
    """This process itself."""

    def __init__(self, folder: str, threads: int) -> None:
        self._folder, self._threads = folder, threads

    def start(self, job: Job) -> Future[Outcome]:
        """Run a job before returning."""
        import torch

        threads_before = torch.get_num_threads()
        set_threads(self._threads)
        future: Future[Outcome] = Future()
        try:
            future.set_result(_run(job, self._folder, 1.0))
        finally:
            torch.set_num_threads(threads_before)
        return future

    def restart(self) -> Future[object]:
        """Return a future that has ended: this process is always ready."""
        future: Future[object] = Future()
        future.set_result(None)
        return future

    def stop(self, *, now: bool) -> None:
        """Do nothing."""


class ProcessWorker:
    """Another process on this machine."""

    def __init__(self, folder: str, threads: int, workers: int) -> None:
        self._folder, self._share = folder, 1 / workers
        self._threads = threads
        self._pool: ProcessPoolExecutor | None = None

    def start(self, job: Job) -> Future[Outcome]:
        """Send a job to the process."""
        return self._pool.submit(_run, job, self._folder, self._share)

    def restart(self) -> Future[object]:
        """Start the process; it loads what it needs with its first job."""
        if self._pool:
            self._pool.shutdown(wait=False, cancel_futures=True)
        # A fork would copy torch's threads in an undefined state.
        self._pool = ProcessPoolExecutor(
            1,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_start_process,
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


class RayWorker:
    """One actor on a Ray cluster."""

    def __init__(self, folder: str, threads: int, gpus: float) -> None:
        self._folder, self._threads, self._gpus = _absolute(folder), threads, gpus
        self._actor: Any = None

    def start(self, job: Job) -> Future[Outcome]:
        """Send a job to the actor, with paths that hold on every machine."""
        inputs = {role: _absolute(path) for role, path in job.inputs.items()}
        job = replace(job, inputs=inputs, output=_absolute(job.output))
        return self._actor.run.remote(job, self._folder).future()

    def restart(self) -> Future[object]:
        """Ask the cluster for an actor; the future waits until there is room for one."""
        import ray

        self.stop(now=True)
        # A lost job is given out again by the batch, not by Ray.
        options = {"num_cpus": self._threads, "num_gpus": self._gpus, "max_restarts": 0}
        self._actor = ray.remote(**options)(_Actor).remote(self._threads)
        return self._actor.ready.remote().future()

    def stop(self, *, now: bool) -> None:
        """End the actor."""
        import ray

        if self._actor is not None:
            with contextlib.suppress(Exception):  # it must go, whatever state it is in
                ray.kill(self._actor)
        self._actor = None


class _Actor:
    """The part of a `RayWorker` that runs in the cluster."""

    def __init__(self, threads: int) -> None:
        set_threads(threads)

    def ready(self) -> None:
        """Return as soon as the actor runs."""

    def run(self, job: Job, folder: str) -> Outcome:
        """Run a job."""
        return _run(job, folder, 1.0)


def _run(job: Job, folder: str, share: float) -> Outcome:
    from impasto.batch.outputs import make_output  # torch, which the giving process never needs

    return make_output(job, folder, share)


def set_threads(threads: int) -> None:
    """Let torch use so many threads in this process."""
    import torch

    torch.set_num_threads(threads)


def _start_process(threads: int) -> None:
    # Ctrl-C is handled by the parent, and a worker must not outlive it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    parent = multiprocessing.parent_process()

    def exit_with_parent() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=exit_with_parent, daemon=True).start()
    contextlib.ExitStack().enter_context(quiet_libraries())  # until the process ends
    set_threads(threads)


def _absolute(path: str) -> str:
    return os.path.abspath(path) if path and not storage.is_remote(path) else path


def check_workers(
    executor: str,
    workers: int | None,
    threads: int | None,
    existing: str,
    tries: int,
    address: str | None,
    gpus: float | None,
) -> tuple[int, int]:
    """Return the number of workers and the threads of each.

    Raises:
        ValueError: an argument is out of range, or only for another executor.
    """
    for name, value, choices in (
        ("executor", executor, EXECUTORS),
        ("existing", existing, EXISTING),
    ):
        if value not in choices:
            raise ValueError(f"`{name}` must be one of {', '.join(choices)}, got {quote(value)}")
    for name, number in (("workers", workers), ("threads", threads), ("tries", tries)):
        if number is not None and number < 1:
            raise ValueError(f"`{name}` must be at least 1, got {number}; leave it out")
        if number is not None and number > _MOST:
            raise ValueError(f"`{name}` must be at most {_MOST}, got {quote(number)}; leave it out")
    if executor == "inline" and workers not in (None, 1):
        raise ValueError(f"`workers` must be 1 inline, got {workers}; use processes")
    if gpus is not None and not 0 <= gpus <= 64:
        raise ValueError(f"`gpus` must be from 0 to 64, got {gpus:g}; leave it out")
    for name, value in (("address", address), ("gpus", gpus)):
        if value is not None and executor != "ray":
            raise ValueError(
                f"`{name}` must go with executor ray, got {quote(value)} with {executor}; "
                "leave it out"
            )
    cores = _core_count()
    count = 1 if executor == "inline" else workers or cores
    return count, threads or max(1, cores // count)


def _core_count() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def worker_pool(
    executor: str,
    folder: str,
    threads: int,
    workers: int | None,
    max_workers: int,
    address: str | None,
    gpus: float | None,
) -> Iterator[list[Worker]]:
    """Give an executor's workers, at most `max_workers`, and stop them at the end."""
    with contextlib.ExitStack() as stack:
        pool: list[Worker]
        if executor == "inline":
            pool = [InlineWorker(folder, threads)]
        elif executor == "processes":
            count = min(workers or max(1, _core_count() // threads), max_workers)
            pool = [ProcessWorker(folder, threads, count) for _ in range(count)]
        else:
            cores = stack.enter_context(ray_cluster(address))
            count = min(workers or max(1, int(cores) // threads), max_workers)
            pool = [RayWorker(folder, threads, gpus or 0) for _ in range(count)]
        failed = True
        try:
            yield pool
            failed = False
        finally:
            for worker in pool:
                worker.stop(now=failed)


@contextmanager
def ray_cluster(address: str | None) -> Iterator[float]:
    """Connect to a Ray cluster, or start one on this machine, and leave it at the end.

    Args:
        address: `auto`, `host:port` or `ray://host:port`; None starts one here.

    Returns:
        A context manager that gives the number of cores in the cluster.

    Raises:
        ImpastoError: Ray is not installed, or the cluster cannot be reached.
    """
    try:
        import ray
    except ImportError:
        raise ImpastoError(
            "executor ray must have Ray installed, got none; install impasto[ray]"
        ) from None
    started_here = not ray.is_initialized()
    try:
        if started_here:
            ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except Exception as error:  # Ray's own, the network's, and what its parts raise
        raise ImpastoError(
            f"`address` must be a Ray cluster that can be reached, got {address or 'this machine'}:"
            f" {' '.join(str(error).split())[:200]}; start it, or leave it out"
        ) from None
    try:
        yield ray.cluster_resources().get("CPU", 1)
    finally:
        if started_here:
            ray.shutdown()
