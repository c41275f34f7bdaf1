"""What happens to jobs, as server-sent events."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from impasto.serve.job import ENDED
from impasto.serve.limits import RequestError
from impasto.serve.workers import Workers

_LOOK = 0.1  # seconds between two looks at what has changed
_STEPS = 0.2  # seconds at least between two messages about a job's steps
_ALIVE = 15.0  # seconds of silence after which to say that all is well


async def happenings(
    workers: Workers, only: str | None, closing: Callable[[], bool]
) -> AsyncIterator[str]:
    """Everything that happens to jobs: how they are now, then what changes.

    Nothing is piled up for a reader that is slow: each message is made when it is sent.

    Args:
        workers: the jobs.
        only: of this job alone, until it has ended; None for all, for ever.
        closing: whether the server is about to end.
    """
    teller = _Subscriber(workers, only)
    latest = time.monotonic()
    yield teller.beginning()
    while not closing() and not teller.over:
        await asyncio.sleep(_LOOK)
        now = time.monotonic()
        for message in teller.changes(now):
            latest = now
            yield message
        if now - latest > _ALIVE:
            latest = now
            yield ": alive\n\n"


class _Subscriber:
    """What one reader has been told.

    Attributes:
        over: whether there is nothing more to tell.
    """

    def __init__(self, workers: Workers, only: str | None) -> None:
        self.over = False
        self._workers = workers
        self._only = only
        self._versions: dict[str, int] = {}
        self._steps: dict[str, tuple[int, float]] = {}  # evaluation, and when it was told
        self._losses: dict[str, int] = {}

    def beginning(self) -> str:
        """The first message."""
        marks = self._marks()
        for name, (version, _) in marks.items():
            self._note(name, version)
        if self._only is None:
            jobs = [job.model_dump() for job in self._workers.views()]
            return _event("jobs", {"jobs": jobs})
        job = self._told(self._only, marks.get(self._only, (0, 0))[0])
        self.over = job is None or job["status"] in ENDED
        return _event("gone", {"id": self._only}) if job is None else _event("job", job)

    def changes(self, now: float) -> Iterator[str]:
        """The messages about everything that has changed."""
        marks = self._marks()
        for name in self._versions.keys() - marks.keys():
            del self._versions[name]
            self.over = self._only is not None
            yield _event("gone", {"id": name})
        for name, (version, evaluation) in marks.items():
            if self._versions.get(name) != version:
                job = self._told(name, version)
                if job is not None:
                    yield _event("job", job)
                    self.over = self._only is not None and job["status"] in ENDED
            elif message := self._step(name, evaluation, now):
                yield message

    def _marks(self) -> dict[str, tuple[int, int]]:
        """What tells that a job has changed, of those that this is about."""
        marks = self._workers.marks()
        return {name: mark for name, mark in marks.items() if self._only in (None, name)}

    def _told(self, name: str, version: int) -> dict[str, Any] | None:
        """A job as it is now, noted as told; None where it has just gone."""
        self._note(name, version)
        try:
            return self._workers.view(name).model_dump()
        except RequestError:
            return None

    def _note(self, name: str, version: int) -> None:
        """Note that a job is told as it is now, with its losses so far."""
        news = self._workers.news(name, 0)
        self._losses[name] = 0 if news is None else news["seen"]
        self._steps.pop(name, None)
        self._versions[name] = version

    def _step(self, name: str, evaluation: int, now: float) -> str | None:
        """A message about a job's steps; None where there is none or it is too soon."""
        last, when = self._steps.get(name, (0, -_STEPS))
        if evaluation == last or now - when < _STEPS:
            return None
        news = self._workers.news(name, self._losses.get(name, 0))
        if news is None:
            return None
        self._losses[name] = news.pop("seen")
        self._steps[name] = (evaluation, now)
        return _event("step", news)


def _event(kind: str, data: dict[str, Any]) -> str:
    """A message."""
    return f"event: {kind}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n"
