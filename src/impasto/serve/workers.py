"""The queue of jobs and the threads that carry them out, one for each device."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any

from impasto.errors import ImpastoError
from impasto.serve.job import ENDED, RETRYABLE, Job, JobView, thinned, view
from impasto.serve.limits import RequestError
from impasto.serve.progress import Cancelled, JobProgress
from impasto.serve.run_job import failure_reason, run_job
from impasto.serve.store import INTERRUPTED, Store

_SWEEP = 60.0  # seconds between two looks for jobs that have expired
_PATIENCE = 15.0  # seconds that a thread may take to come to its end
_SOON = 10  # seconds after which to ask again where nothing tells better


class Workers:
    """All jobs of a server, and who does them.

    Everything here may be called from any thread.

    Args:
        store: where jobs are kept.
        queue: jobs that may wait at once.
        keep_hours: hours that finished jobs are kept.

    Attributes:
        devices: what there is to compute on, the fastest first; empty until that is known.
    """

    def __init__(self, store: Store, queue: int, keep_hours: float) -> None:
        self.store = store
        self.queue = queue
        self.keep_hours = keep_hours
        self.devices: list[str] = []
        self._changed = threading.Condition()
        self._jobs: dict[str, Job] = {}
        self._waiting: list[str] = []
        self._watches: dict[str, JobProgress] = {}
        self._closing = False
        self._threads: list[threading.Thread] = []
        for job in store.load():
            self._jobs[job.id] = job
            if job.status == "queued":
                self._waiting.append(job.id)

    def start(self) -> None:
        """Begin to work; returns at once."""
        self._spawn(self._open)
        self._spawn(self._sweep)

    def close(self) -> None:
        """End what is running, mark it as interrupted, and leave the folder."""
        with self._changed:
            self._closing = True
            for watch in self._watches.values():
                watch.stop.set()
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(_PATIENCE)
        self.store.close()

    # What the API asks.

    def views(self) -> list[JobView]:
        """All jobs, the newest first; losses only of those that have not ended."""
        with self._changed:
            found = [self._view(job) for job in reversed(self._jobs.values())]
        return [
            one.model_copy(update={"history": []}) if one.status in ENDED else one for one in found
        ]

    def view(self, name: str) -> JobView:
        """One job."""
        with self._changed:
            return self._view(self._known(name))

    def job(self, name: str) -> Job:
        """One job as it is kept."""
        with self._changed:
            return self._known(name).model_copy()

    def preview(self, name: str) -> bytes:
        """The latest preview of a job."""
        with self._changed:
            self._known(name)
            watch = self._watches.get(name)
            if watch is None or watch.picture is None:
                raise RequestError(404, "there is no preview of this job now; see its result")
            return watch.picture

    def marks(self) -> dict[str, tuple[int, int]]:
        """What tells that a job has changed: of each, a number for its status and one for steps."""
        with self._changed:
            return {
                name: (job.version, 0 if job.step is None else job.step.evaluation)
                for name, job in self._jobs.items()
            }

    def counts(self) -> tuple[int, int]:
        """How many jobs are running, and how many wait."""
        with self._changed:
            return len(self._watches), len(self._waiting)

    def news(self, name: str, seen: int) -> dict[str, Any] | None:
        """Where a running job is, with its losses after so many; None if it is not running."""
        with self._changed:
            job = self._jobs.get(name)
            if job is None or job.status != "running" or job.step is None:
                return None
            return {
                "id": name,
                "step": job.step.model_dump(),
                "losses": thinned(job.history[seen:]),
                "seen": len(job.history),
                "preview": job.preview,
            }

    # What the API wants done.

    def check_room(self) -> None:
        """Refuse where no more may wait."""
        with self._changed:
            if len(self._waiting) >= self.queue:
                raise RequestError(
                    429,
                    f"the queue must have room, got {len(self._waiting)} jobs waiting of at most "
                    f"{self.queue}; try again later",
                    self._soon(),
                )

    def submit(self, job: Job) -> JobView:
        """Take a job whose files are in the store."""
        with self._changed:
            self.check_room()
            self.store.add(job)
            self._jobs[job.id] = job
            return self._enqueued(job)

    def stop(self, name: str) -> JobView:
        """End a running job within a step and keep its picture."""
        with self._changed:
            job = self._known(name)
            if job.status != "running":
                raise RequestError(
                    409, f"`stop` must be asked of a running job, got a {job.status} one"
                )
            self._watches[name].stop.set()
            return self._view(job)

    def cancel(self, name: str) -> JobView:
        """End a job without a picture."""
        with self._changed:
            job = self._known(name)
            if job.status == "queued":
                self._waiting.remove(name)
                self._ended(job, "cancelled")
            elif job.status == "running":
                self._watches[name].cancel.set()
            else:
                raise RequestError(
                    409,
                    f"`cancel` must be asked of a job that has not ended, got a {job.status} one",
                )
            return self._view(job)

    def retry(self, name: str) -> JobView:
        """Let a job that did not come to its end wait again."""
        with self._changed:
            job = self._known(name)
            if job.status not in RETRYABLE:
                raise RequestError(
                    409,
                    f"`retry` must be asked of one of {', '.join(RETRYABLE)}, got {job.status}",
                )
            self.check_room()
            job.status, job.reason = "queued", None  # what it has made already stays until then
            job.started = job.ended = job.step = None
            job.history, job.preview = [], 0
            self.store.keep(job)
            return self._enqueued(job)

    def delete(self, name: str) -> None:
        """Forget a job and its files."""
        with self._changed:
            job = self._known(name)
            if job.status == "running":
                raise RequestError(409, "a running job must end first, got it running; cancel it")
            if job.status == "queued":
                self._waiting.remove(name)
            self._forget(name)

    # What the threads do.

    def _spawn(self, what: Callable[..., None], *arguments: Any) -> None:
        """Run something in a thread of its own."""
        thread = threading.Thread(target=what, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _open(self) -> None:
        """Find the devices, which takes a while, and put a thread to work for each."""
        from impasto.device import available_devices

        found = available_devices()
        first = found[0].partition(":")[0]
        with self._changed:
            self.devices = found
            if self._closing:
                return
            for device in found:
                self._spawn(self._work, device, device.partition(":")[0] == first)

    def _work(self, device: str, first: bool) -> None:
        """Carry out jobs for a device until the server closes.

        Args:
            device: its name.
            first: whether it takes jobs that leave the device open.
        """
        import torch

        from impasto.memory import release_caches
        from impasto.vgg.weights import load_weights

        load_weights("oxford")  # so that the first job need not wait for it
        several = sum(one.startswith(device.partition(":")[0]) for one in self.devices) > 1
        while (job := self._next(device, first)) is not None:
            self._carry_out(job, device if several else None)
            release_caches(torch.device(device))  # what a job leaves behind would pile up

    def _next(self, device: str, first: bool) -> Job | None:
        """The next job for a device, now running; None where the server closes."""
        with self._changed:
            while not self._closing:
                for name in self._waiting:
                    job = self._jobs[name]
                    if self._fits(job, device, first):
                        self._waiting.remove(name)
                        job.status, job.started = "running", time.time()
                        self._watches[name] = JobProgress(job)
                        self._note(job)
                        return job
                self._changed.wait()
        return None

    def _fits(self, job: Job, device: str, first: bool) -> bool:
        """Whether a job is for a device."""
        wanted = job.recipe.get("device", "auto")
        named = "cuda:0" if wanted == "cuda" else wanted
        if named in self.devices:
            return named == device
        # A device that is not there: the run itself says so.
        return first

    def _carry_out(self, job: Job, device: str | None) -> None:
        """Do a job and note what became of it."""
        watch = self._watches[job.id]
        status, why, outcome = "done", None, None
        try:
            outcome = run_job(job, self.store.place(job.id), device, watch)
            if watch.stop.is_set():
                status = "stopped"
        except Cancelled:
            status = "cancelled"
        except Exception as error:  # whatever happens to a job, the next one is done
            status, why = "failed", failure_reason(error, job, self.store.place(job.id))
        with self._changed:
            if self._closing and watch.stop.is_set() and status in ("stopped", "failed"):
                status, why, outcome = "interrupted", INTERRUPTED, None
            job.result, job.reason = outcome or job.result, why
            self._ended(job, status)

    def _ended(self, job: Job, status: Any) -> None:
        """Note that a job has ended."""
        job.status, job.ended = status, time.time()
        job.history = thinned(job.history)
        job.step = None
        self._watches.pop(job.id, None)
        self._note(job)

    def _sweep(self) -> None:
        """Delete what has expired, now and then."""
        with self._changed:
            while not self._closing:
                oldest = time.time() - 3600 * self.keep_hours
                for name, job in list(self._jobs.items()):
                    if job.status in ENDED and (job.ended or 0) < oldest:
                        self._forget(name)
                self._changed.wait(_SWEEP)

    # What holds it together; whoever calls these has the condition.

    def _known(self, name: str) -> Job:
        """A job by its name."""
        if name not in self._jobs:
            raise RequestError(404, "there is no such job; it may have expired or been deleted")
        return self._jobs[name]

    def _view(self, job: Job) -> JobView:
        """A job as the API shows it."""
        place = self._waiting.index(job.id) + 1 if job.status == "queued" else None
        return view(job, place, self.keep_hours)

    def _enqueued(self, job: Job) -> JobView:
        """Put a job at the end of the queue."""
        self._waiting.append(job.id)
        job.version += 1
        self._changed.notify_all()
        return self._view(job)

    def _note(self, job: Job) -> None:
        """Keep a job as it is now, and tell who waits."""
        job.version += 1
        # Where the disk is full, say, the job is what it is; only a restart will not know.
        with contextlib.suppress(ImpastoError):
            self.store.keep(job)
        for name in self._waiting:  # their places have changed
            self._jobs[name].version += 1
        self._changed.notify_all()

    def _forget(self, name: str) -> None:
        """Delete a job and its files."""
        del self._jobs[name]
        self.store.remove(name)
        for other in self._waiting:
            self._jobs[other].version += 1

    def _soon(self) -> int:
        """Seconds until there may be room again."""
        left = [
            job.step.left
            for name in self._watches
            if (job := self._jobs[name]).step is not None and job.step.left is not None
        ]
        return max(1, round(min(left))) if left else _SOON
