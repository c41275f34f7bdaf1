"""Workers on a Ray cluster: actors that are told places and recipes, never pixels.

Ray is an extra; each actor reads its pictures from where they lie and writes them where they go.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from impasto.batch import storage
from impasto.batch.job import Job
from impasto.batch.run_job import Outcome, run_job, warm_up
from impasto.errors import ImpastoError


class OnRay:
    """One actor of a cluster."""

    def __init__(self, room: str, threads: int, gpus: float) -> None:
        self._room, self._threads, self._gpus = _absolute(room), threads, gpus
        self._actor: Any = None

    def start(self, job: Job) -> Future[Outcome]:
        """Hand a picture over."""
        places = {name: _absolute(getattr(job, name)) for name in ("content", "style", "output")}
        return self._actor.perform.remote(replace(job, **places), self._room).future()

    def renew(self) -> Future[object]:
        """Ask the cluster for an actor; it may take until there is room for one."""
        import ray

        self.stop(now=True)
        # A picture that is lost is the run's to give out again, not Ray's.
        asked = ray.remote(num_cpus=self._threads, num_gpus=self._gpus, max_restarts=0)(_Actor)
        self._actor = asked.remote(self._threads)
        return self._actor.there.remote().future()

    def stop(self, *, now: bool) -> None:
        """Let the actor go."""
        import ray

        if self._actor is not None:
            with contextlib.suppress(Exception):  # whatever is wrong with it, it is to go
                ray.kill(self._actor)
        self._actor = None


class _Actor:
    """What runs in the cluster."""

    def __init__(self, threads: int) -> None:
        warm_up(threads)

    def there(self) -> str:
        """Say that it is there."""
        return os.uname().nodename if hasattr(os, "uname") else ""

    def perform(self, job: Job, room: str) -> Outcome:
        """Make a picture."""
        return run_job(job, room, 1.0)


def _absolute(place: str) -> str:
    """A place as every machine of the cluster names it."""
    return os.path.abspath(place) if place and not storage.is_remote(place) else place


@contextmanager
def cluster(address: str | None) -> Iterator[float]:
    """Reach a cluster, or start one on this machine, for the length of a batch.

    Args:
        address: `auto`, `host:port` or `ray://host:port`; None starts one here.

    Returns:
        A context manager that gives how many cores the cluster has.

    Raises:
        ImpastoError: Ray is not installed, or the cluster cannot be reached.
    """
    try:
        import ray
    except ImportError:
        raise ImpastoError(
            "executor ray must have Ray installed, got none; install impasto[ray]"
        ) from None
    mine = not ray.is_initialized()
    try:
        if mine:
            ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except Exception as error:  # Ray's own, the network's, and what its parts raise
        raise ImpastoError(
            f"`address` must be a Ray cluster that can be reached, got {address or 'this machine'}:"
            f" {' '.join(str(error).split())[:200]}; start it, or leave it out"
        ) from None
    try:
        yield ray.cluster_resources().get("CPU", 1)
    finally:
        if mine:
            ray.shutdown()
