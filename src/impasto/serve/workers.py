"""The queue of jobs, and the threads that run them, one for each device."""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from impasto.jobs.job import (
    CANCELLED,
    ENDED,
    FAILED,
    INTERRUPTED,
    RETRYABLE,
    RUNNING,
    STOPPED,
    Status,
    thin_history,
)
from impasto.jobs.progress import JobReporter
from impasto.serve.problems import RequestError
from impasto.serve.records import INTERRUPTED_REASON, JobRecord, JobView, Store

_EXPIRY_SECONDS = 60.0  # between two looks for jobs that have expired
_JOIN_SECONDS = 15.0  # that a thread may take to end
_RETRY_SECONDS = 10  # after which to ask again if no job says when it will end
_REMEMBERED = 1000  # jobs that were deleted, which a client that was away is told of


class Change(NamedTuple):
    """What happened to a job.

    Attributes:
        version: number of the change; later ones are larger.
        job: the job's id.
        there: False if it was deleted.
    """

    version: int
    job: str
    there: bool


class Workers:
    """All jobs of a server, and the threads that run them.

    Every method may be called from any thread.

    Args:
        store: the folder of jobs.
        queue: number of jobs that may wait.
        keep_hours: hours that ended jobs are kept.

    Attributes:
        devices: names of the devices, the fastest first; empty until they are known.
        run: a name of this server's run, within which versions are counted.
    """

    def __init__(self, store: Store, queue: int, keep_hours: float) -> None:
        self.store = store
        self.queue = queue
        self.keep_hours = keep_hours
        self.devices: list[str] = []
        self.run = secrets.token_hex(4)
        self._changed = threading.Condition()  # guards everything below
        self._jobs: dict[str, JobRecord] = {}
        self._waiting: list[str] = []
        self._reporters: dict[str, JobReporter] = {}
        self._unsaved: set[str] = set()  # jobs whose state could not be stored
        self._version = 0  # of the latest change
        self._deleted: deque[Change] = deque(maxlen=_REMEMBERED)
        self._closing = False
        self._threads: list[threading.Thread] = []
        for record in store.load():
            self._jobs[record.id] = record
            if record.status == "queued":
                self._waiting.append(record.id)

    def start(self) -> None:
        """Start the threads; returns at once."""
        self._start_thread(self._open_devices)
        self._start_thread(self._delete_expired)

    def close(self) -> None:
        """Stop running jobs, mark them as interrupted, and release the folder."""
        with self._changed:
            self._closing = True
            for reporter in self._reporters.values():
                reporter.stop.set()
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(_JOIN_SECONDS)
        with self._changed:
            self._save_again()
        self.store.close()

    # Questions of the API.

    def views(self) -> list[JobView]:
        """Return all jobs, the newest first, with losses only if they have not ended."""
        with self._changed:
            views = [self._view(record) for record in reversed(self._jobs.values())]
        return [
            view.model_copy(update={"history": []}) if view.status in ENDED else view
            for view in views
        ]

    def view(self, job_id: str) -> JobView:
        """Return one job."""
        with self._changed:
            return self._view(self._find(job_id))

    def record(self, job_id: str) -> JobRecord:
        """Return one job as it is stored."""
        with self._changed:
            return self._find(job_id).model_copy()

    def preview(self, job_id: str) -> bytes:
        """Return the latest preview of a running job, a JPEG."""
        with self._changed:
            self._find(job_id)
            reporter = self._reporters.get(job_id)
            if reporter is None or reporter.preview is None:
                raise RequestError(
                    "no_preview", "there is no preview of this job now; see its result"
                )
            return reporter.preview

    def version(self) -> int:
        """Return the number of the latest change of any job."""
        with self._changed:
            return self._version

    def remembers(self, version: int) -> bool:
        """Return whether every change after one is known; deleted jobs are forgotten some day."""
        with self._changed:
            forgotten = len(self._deleted) == _REMEMBERED and self._deleted[0].version > version
            return 0 <= version <= self._version and not forgotten

    def changes_since(self, version: int) -> list[Change]:
        """Return the latest change of each job that changed after another change, in order."""
        with self._changed:
            changes = [Change(job.version, job_id, True) for job_id, job in self._jobs.items()]
            changes += self._deleted
        return sorted(change for change in changes if change.version > version)

    def evaluations(self) -> dict[str, int]:
        """Return the number of the latest evaluation of each running job."""
        with self._changed:
            steps = {job_id: self._jobs[job_id].step for job_id in self._reporters}
            return {job_id: step.evaluation for job_id, step in steps.items() if step is not None}

    def counts(self) -> tuple[int, int]:
        """Return the number of running and of waiting jobs."""
        with self._changed:
            return len(self._reporters), len(self._waiting)

    def progress_since(self, job_id: str, seen: int) -> dict[str, Any] | None:
        """Return a running job's progress, with its losses after the first `seen` points.

        None if the job is not running.
        """
        with self._changed:
            record = self._jobs.get(job_id)
            if record is None or record.status != RUNNING or record.step is None:
                return None
            return {
                "id": job_id,
                "step": record.step.model_dump(),
                "losses": [point.model_dump() for point in thin_history(record.history[seen:])],
                "seen": len(record.history),
                "preview": record.preview,
            }

    # Requests of the API.

    def check_room(self) -> None:
        """Raise `RequestError` if the queue is full."""
        with self._changed:
            if len(self._waiting) >= self.queue:
                raise RequestError(
                    "queue_full",
                    f"the queue must have room, got {len(self._waiting)} jobs waiting of at most "
                    f"{self.queue}; try again later",
                    headers={"retry-after": str(self._seconds_until_room())},
                )

    def has_key(self, key: str | None) -> bool:
        """Return whether there is a job of a request with this key."""
        with self._changed:
            return key is not None and any(job.key == key for job in self._jobs.values())

    def find_request(self, key: str | None, request: str) -> JobView | None:
        """Return the job of an earlier request with the same key; None if there is none.

        Args:
            key: the Idempotency-Key; None if the request has none.
            request: fingerprint of the request.

        Raises:
            RequestError: the key is of another request.
        """
        with self._changed:
            for record in self._jobs.values() if key is not None else ():
                if record.key != key:
                    continue
                if record.request != request:
                    raise RequestError(
                        "key_reused",
                        "`Idempotency-Key` must be new for another request, got that of job "
                        f"{record.id}; choose another",
                    )
                return self._view(record)
        return None

    def submit(self, record: JobRecord) -> JobView:
        """Put a job whose files are in its draft into the queue.

        Returns:
            The job, or that of an earlier request with the same key.
        """
        with self._changed:
            earlier = self.find_request(record.key, record.request or "")
            if earlier is not None:
                return earlier
            self.check_room()
            self.store.add(record)
            self._jobs[record.id] = record
            return self._enqueue(record)

    def stop(self, job_id: str) -> JobView:
        """End a running job within a step and keep its image."""
        with self._changed:
            record = self._find(job_id)
            if record.status != RUNNING:
                raise RequestError(
                    "wrong_state",
                    f"`stop` must be asked of a running job, got a {record.status} one",
                )
            self._reporters[job_id].stop.set()
            return self._view(record)

    def cancel(self, job_id: str) -> JobView:
        """End a job without an image."""
        with self._changed:
            record = self._find(job_id)
            if record.status == "queued":
                changes = {"status": CANCELLED, "ended": time.time()}
                self.store.save(record.model_copy(update=changes))
                self._waiting.remove(job_id)
                self._change(record, changes)
                self._announce(record)
            elif record.status == RUNNING:
                self._reporters[job_id].stop.cancel()
            else:
                raise RequestError(
                    "wrong_state",
                    "`cancel` must be asked of a job that has not ended, got a "
                    f"{record.status} one",
                )
            return self._view(record)

    def retry(self, job_id: str) -> JobView:
        """Put a job that did not finish into the queue again."""
        with self._changed:
            record = self._find(job_id)
            if record.status not in RETRYABLE:
                raise RequestError(
                    "wrong_state",
                    f"`retry` must be asked of one of {', '.join(RETRYABLE)}, got {record.status}",
                )
            self.check_room()
            changes = dict.fromkeys(("reason", "started", "ended", "step"))
            changes |= {"status": "queued", "history": [], "preview": 0}
            # An earlier result stays until there is another.
            self.store.save(record.model_copy(update=changes))
            self._change(record, changes)
            return self._enqueue(record)

    def delete(self, job_id: str) -> None:
        """Delete a job and its files."""
        with self._changed:
            record = self._find(job_id)
            if record.status == RUNNING:
                raise RequestError(
                    "wrong_state", "a running job must end first, got it running; cancel it"
                )
            self._remove(job_id)

    # The threads.

    def _start_thread(self, target: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _open_devices(self) -> None:
        """Find the devices, and start a thread for each."""
        # Importing torch takes seconds; the server answers meanwhile.
        from impasto.device import available_devices

        devices = available_devices()
        fastest = devices[0].partition(":")[0]
        with self._changed:
            self.devices = devices
            if self._closing:
                return
            for device in devices:
                self._start_thread(self._work, device, device.partition(":")[0] == fastest)

    def _work(self, device: str, is_default: bool) -> None:
        """Run jobs on a device until the server closes.

        Args:
            device: its name.
            is_default: True if it runs jobs that leave the device open.
        """
        import torch

        from impasto.api import stylize
        from impasto.memory import release_caches

        with contextlib.suppress(Exception):  # each job says why, and this thread must live
            # So that the first job does not wait for weights, imports and compiled code.
            stylize(*torch.rand(2, 3, 64, 64), steps=1, device=device)
        kind = device.partition(":")[0]
        several = sum(other.startswith(kind) for other in self.devices) > 1
        while (record := self._next(device, is_default)) is not None:
            self._run(record, device if several else None)
            release_caches(torch.device(device))  # or the caches of many jobs would pile up

    def _next(self, device: str, is_default: bool) -> JobRecord | None:
        """Return the next job for a device, now running; None if the server closes."""
        with self._changed:
            while not self._closing:
                for job_id in self._waiting:
                    record = self._jobs[job_id]
                    if self._is_for(record, device, is_default):
                        self._waiting.remove(job_id)
                        record.status, record.started = RUNNING, time.time()
                        self._reporters[job_id] = JobReporter(record)
                        self._save(record)
                        return record
                self._changed.wait()
        return None

    def _is_for(self, record: JobRecord, device: str, is_default: bool) -> bool:
        requested = record.recipe.get("device", "auto")
        requested = "cuda:0" if requested == "cuda" else requested
        if requested in self.devices:
            return requested == device
        # A device that does not exist: the run itself says so.
        return is_default

    def _run(self, record: JobRecord, device: str | None) -> None:
        """Run a job and record how it ended."""
        from impasto.serve.results import attempt_result

        reporter, folder = self._reporters[record.id], self.store.path(record.id)
        outcome = attempt_result(record, folder, device, reporter)
        status, result = outcome.status, outcome.saved
        reason = outcome.reason and record.public_message(outcome.reason, folder)
        with self._changed:
            if self._closing and reporter.stop.is_set() and status in (STOPPED, FAILED):
                status, reason, result = INTERRUPTED, INTERRUPTED_REASON, None
            record.result, record.reason = result or record.result, reason
            self._end(record, status)

    def _delete_expired(self) -> None:
        """Delete ended jobs after `keep_hours`, until the server closes."""
        with self._changed:
            while not self._closing:
                oldest = time.time() - 3600 * self.keep_hours
                for job_id, record in list(self._jobs.items()):
                    if record.status in ENDED and (record.ended or 0) < oldest:
                        with contextlib.suppress(RequestError):  # the next look tries again
                            self._remove(job_id)
                self._save_again()
                self._changed.wait(_EXPIRY_SECONDS)

    # Helpers; the caller holds the condition.

    def _find(self, job_id: str) -> JobRecord:
        if job_id not in self._jobs:
            raise RequestError(
                "no_such_job", "there is no such job; it may have expired or been deleted"
            )
        return self._jobs[job_id]

    def _view(self, record: JobRecord) -> JobView:
        position = self._waiting.index(record.id) + 1 if record.status == "queued" else None
        return JobView.of(record, position, self.keep_hours)

    def _enqueue(self, record: JobRecord) -> JobView:
        self._waiting.append(record.id)
        self._count(record)
        self._changed.notify_all()
        return self._view(record)

    def _end(self, record: JobRecord, status: Status) -> None:
        record.status, record.ended = status, time.time()
        record.history = thin_history(record.history)
        record.step = None
        self._reporters.pop(record.id, None)
        self._save(record)

    def _save(self, record: JobRecord) -> None:
        """Store what has happened to a job, and wake everyone who waits for a change."""
        self._unsaved.add(record.id)  # on a full disk it goes on, and is stored later
        self._save_again()
        self._announce(record)

    def _save_again(self) -> None:
        """Store the jobs whose state could not be stored before."""
        for job_id in list(self._unsaved):
            with contextlib.suppress(RequestError):
                self.store.save(self._jobs[job_id])
                self._unsaved.discard(job_id)

    def _change(self, record: JobRecord, changes: dict[str, Any]) -> None:
        """Change a job in memory, after it was stored."""
        for name, value in changes.items():
            setattr(record, name, value)
        self._unsaved.discard(record.id)

    def _announce(self, record: JobRecord) -> None:
        self._count(record)
        self._count_positions()
        self._changed.notify_all()

    def _remove(self, job_id: str) -> None:
        self.store.remove(job_id)
        record = self._jobs.pop(job_id)
        self._unsaved.discard(job_id)
        self._count(record)
        self._deleted.append(Change(record.version, job_id, False))
        if record.status == "queued":
            self._waiting.remove(job_id)
        self._count_positions()

    def _count_positions(self) -> None:
        """Note that the places of waiting jobs may have changed."""
        for job_id in self._waiting:
            self._count(self._jobs[job_id])

    def _count(self, record: JobRecord) -> None:
        """Give a job that changed the next version."""
        self._version += 1
        record.version = self._version

    def _seconds_until_room(self) -> int:
        left = [
            record.step.left
            for job_id in self._reporters
            if (record := self._jobs[job_id]).step is not None and record.step.left is not None
        ]
        return max(1, round(min(left))) if left else _RETRY_SECONDS
