"""Changes of jobs as server-sent events."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from pydantic import BaseModel, Field

from impasto.jobs.job import ENDED, JobProgress, LossPoint
from impasto.serve.problems import RequestError
from impasto.serve.records import JobView
from impasto.serve.workers import Workers

_POLL_SECONDS = 0.1  # between two looks for changes
_STEP_SECONDS = 0.2  # at least between two events about a job's steps
_KEEP_ALIVE_SECONDS = 15.0  # of silence before a comment is sent


class JobsEvent(BaseModel):
    """Event `jobs`, the first of a stream of all jobs: all of them, the newest first."""

    jobs: list[JobView]


class GoneEvent(BaseModel):
    """Event `gone`: a job was deleted or has expired."""

    id: str


class StepEvent(BaseModel):
    """Event `step`: a running job took steps."""

    id: str
    step: JobProgress
    losses: list[LossPoint] = Field(description="those after the ones that were sent")
    preview: int = Field(description="number of the latest preview")


# Event -> what its data is; `job` comes with every other change of a job.
EVENTS: dict[str, type[BaseModel]] = {
    "jobs": JobsEvent, "job": JobView, "step": StepEvent, "gone": GoneEvent,
}  # fmt: skip


async def event_stream(
    workers: Workers,
    job_id: str | None,
    closing: Callable[[], bool],
    last_id: str | None = None,
) -> AsyncIterator[str]:
    """Stream jobs as they are now, then every change.

    Nothing is queued for a slow reader: each event is made when it is sent.

    Args:
        workers: the jobs.
        job_id: stream this job alone, until it has ended; None for all jobs, without end.
        closing: returns True if the server is about to end.
        last_id: of the last event that the reader has; it gets what changed after it, if that is
            still known.
    """
    subscriber = _Subscriber(workers, job_id)
    last_sent = time.monotonic()
    for event in subscriber.first_events(last_id):
        yield event
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
        self._version = 0  # of the latest change that was sent
        self._steps: dict[str, tuple[int, float]] = {}  # evaluation, and when it was sent
        self._losses: dict[str, int] = {}  # number of points that were sent

    def first_events(self, last_id: str | None) -> Iterator[str]:
        """Yield what the reader needs before the changes."""
        version = self._workers.version()
        if self._job_id is not None:
            self._version = version
            view = self._view(self._job_id)
            self.ended = view is None or view["status"] in ENDED
            yield self._gone(self._job_id) if view is None else self._event("job", view)
            return
        run, _, number = (last_id or "").partition("-")
        known = int(number) if number.isascii() and number.isdecimal() else -1
        running = list(self._workers.evaluations())
        if run == self._workers.run and self._workers.remembers(known):
            self._version = known
            # Their losses since then came in steps, which the reader missed.
            views = [view for job_id in running if (view := self._view(job_id)) is not None]
            for view in views:
                yield self._event("job", view)
            return
        self._version = version
        for job_id in running:
            self._mark_sent(job_id)
        jobs = [view.model_dump() for view in self._workers.views()]
        yield self._event("jobs", {"jobs": jobs})

    def changes(self, now: float) -> Iterator[str]:
        """Yield an event for each change since the last call."""
        for version, job_id, there in self._workers.changes_since(self._version):
            self._version = version
            if self._job_id not in (None, job_id):
                continue
            if not there:
                self.ended = self._job_id is not None
                yield self._gone(job_id)
            elif (view := self._view(job_id)) is not None:  # else it was deleted just now
                yield self._event("job", view)
                self.ended = self._job_id is not None and view["status"] in ENDED
        for job_id, evaluation in self._workers.evaluations().items():
            if self._job_id in (None, job_id) and (event := self._step(job_id, evaluation, now)):
                yield event

    def _view(self, job_id: str) -> dict[str, Any] | None:
        """Return a job to send; None if it was deleted."""
        self._mark_sent(job_id)
        try:
            return self._workers.view(job_id).model_dump()
        except RequestError:
            return None

    def _mark_sent(self, job_id: str) -> None:
        """Remember that a job is sent as it is now, with its losses so far."""
        progress = self._workers.progress_since(job_id, 0)
        self._losses[job_id] = 0 if progress is None else progress["seen"]
        self._steps.pop(job_id, None)

    def _step(self, job_id: str, evaluation: int, now: float) -> str | None:
        """Return an event about new steps of a job; None if there are none or it is too soon."""
        last, sent = self._steps.get(job_id, (0, -_STEP_SECONDS))
        if evaluation == last or now - sent < _STEP_SECONDS:
            return None
        progress = self._workers.progress_since(job_id, self._losses.get(job_id, 0))
        if progress is None:
            return None
        self._losses[job_id] = progress.pop("seen")
        self._steps[job_id] = (evaluation, now)
        return _encode("step", progress)

    def _gone(self, job_id: str) -> str:
        return self._event("gone", {"id": job_id})

    def _event(self, kind: str, data: dict[str, Any]) -> str:
        """Return an event with the id that a reader gives back when it comes again."""
        return f"id: {self._workers.run}-{self._version}\n{_encode(kind, data)}"


def _encode(kind: str, data: dict[str, Any]) -> str:
    return f"event: {kind}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n"
