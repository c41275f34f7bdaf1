"""Changes of jobs as server-sent events."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from impasto.jobs.job import ENDED
from impasto.serve.limits import RequestError
from impasto.serve.workers import Workers

_POLL_SECONDS = 0.1  # between two looks for changes
_STEP_SECONDS = 0.2  # at least between two events about a job's steps
_KEEP_ALIVE_SECONDS = 15.0  # of silence before a comment is sent


async def event_stream(
    workers: Workers, job_id: str | None, closing: Callable[[], bool]
) -> AsyncIterator[str]:
    """Stream jobs as they are now, then every change.

    Nothing is queued for a slow reader: each event is made when it is sent.

    Args:
        workers: the jobs.
        job_id: stream this job alone, until it has ended; None for all jobs, without end.
        closing: returns True if the server is about to end.
    """
    subscriber = _Subscriber(workers, job_id)
    last_sent = time.monotonic()
    yield subscriber.first_event()
    while not closing() and not subscriber.ended:
        await asyncio.sleep(_POLL_SECONDS)
        now = time.monotonic()
        for event in subscriber.changes(now):
            last_sent = now
            yield event
        if now - last_sent > _KEEP_ALIVE_SECONDS:
            last_sent = now
            yield ": alive\n\n"


class _Subscriber:
    """One reader of events, and what it was sent of each job.

    Attributes:
        ended: True if there is nothing more to send.
    """

    def __init__(self, workers: Workers, job_id: str | None) -> None:
        self.ended = False
        self._workers = workers
        self._job_id = job_id
        self._versions: dict[str, int] = {}
        self._steps: dict[str, tuple[int, float]] = {}  # evaluation, and when it was sent
        self._losses: dict[str, int] = {}  # number of points that were sent

    def first_event(self) -> str:
        versions = self._current_versions()
        for job_id, (version, _) in versions.items():
            self._mark_sent(job_id, version)
        if self._job_id is None:
            jobs = [view.model_dump() for view in self._workers.views()]
            return _event("jobs", {"jobs": jobs})
        view = self._view(self._job_id, versions.get(self._job_id, (0, 0))[0])
        self.ended = view is None or view["status"] in ENDED
        return _event("gone", {"id": self._job_id}) if view is None else _event("job", view)

    def changes(self, now: float) -> Iterator[str]:
        """Yield an event for each change since the last call."""
        versions = self._current_versions()
        for job_id in self._versions.keys() - versions.keys():
            del self._versions[job_id]
            self.ended = self._job_id is not None
            yield _event("gone", {"id": job_id})
        for job_id, (version, evaluation) in versions.items():
            if self._versions.get(job_id) != version:
                view = self._view(job_id, version)
                if view is not None:
                    yield _event("job", view)
                    self.ended = self._job_id is not None and view["status"] in ENDED
            elif event := self._step_event(job_id, evaluation, now):
                yield event

    def _current_versions(self) -> dict[str, tuple[int, int]]:
        versions = self._workers.versions()
        return {
            job_id: version
            for job_id, version in versions.items()
            if self._job_id in (None, job_id)
        }

    def _view(self, job_id: str, version: int) -> dict[str, Any] | None:
        """Return a job to send; None if it was deleted just now."""
        self._mark_sent(job_id, version)
        try:
            return self._workers.view(job_id).model_dump()
        except RequestError:
            return None

    def _mark_sent(self, job_id: str, version: int) -> None:
        """Remember that a job is sent as it is now, with its losses so far."""
        progress = self._workers.progress_since(job_id, 0)
        self._losses[job_id] = 0 if progress is None else progress["seen"]
        self._steps.pop(job_id, None)
        self._versions[job_id] = version

    def _step_event(self, job_id: str, evaluation: int, now: float) -> str | None:
        """Return an event about new steps of a job; None if there are none or it is too soon."""
        last, sent = self._steps.get(job_id, (0, -_STEP_SECONDS))
        if evaluation == last or now - sent < _STEP_SECONDS:
            return None
        progress = self._workers.progress_since(job_id, self._losses.get(job_id, 0))
        if progress is None:
            return None
        self._losses[job_id] = progress.pop("seen")
        self._steps[job_id] = (evaluation, now)
        return _event("step", progress)


def _event(kind: str, data: dict[str, Any]) -> str:
    return f"event: {kind}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n"
