"""Run a batch: give out the jobs, record how each ended, and report the progress."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field

from impasto.batch import storage
from impasto.batch.manifest import (
    Manifest,
    Row,
    algorithm_versions,
    input_stamps,
    job_digest,
    manifest_path,
    read_notes,
)
from impasto.batch.plan import BatchPlan, plan_jobs
from impasto.batch.workers import Worker, check_workers, worker_pool
from impasto.errors import ImageError, ImpastoError
from impasto.jobs.job import DONE, FAILED, PENDING, QUARANTINED, RUNNING, SKIPPED, Job, Outcome

MAX_TRIES = 3  # how often an image is started that takes its worker down
_POLL_SECONDS = 0.2  # between two looks at whether to stop


@dataclass
class BatchProgress:
    """How far a batch is.

    Attributes:
        total: images in the plan.
        workers: how many work.
        done: images that are there, made now or before.
        made: images made in this run.
        skipped: images left alone because another file is there.
        failed: output -> reason, of images that failed.
        left_out: files of the input folders that are no pictures, with what they are.
        frames: input -> pictures in its file, where only the first of several was used.
        notes: input or output -> what was left out of it or taken for what, of images made now or
            before.
        seconds: since the run began.
        each: seconds an image took, of those made now, in the order they were done.
        running: outputs being made.
        stopped: True if the run was ended early.
        unrecorded: why the manifest does not have all of this; empty where it has.
    """

    total: int
    workers: int
    done: int = 0
    made: int = 0
    skipped: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    frames: dict[str, int] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)
    seconds: float = 0.0
    each: list[float] = field(default_factory=list)
    running: list[str] = field(default_factory=list)
    stopped: bool = False
    unrecorded: str = ""

    @property
    def left(self) -> int:
        """Images that have not ended."""
        return self.total - self.done - self.skipped - len(self.failed)

    @property
    def an_hour(self) -> float:
        """Images per hour, of those made now."""
        return 3600 * self.made / self.seconds if self.made else 0.0

    @property
    def remaining(self) -> float | None:
        """Seconds until all is done at this pace; None before the first."""
        return self.left * self.seconds / self.made if self.made else None


OnProgress = Callable[[BatchProgress], None]


def run_batch(
    plan: BatchPlan,
    *,
    executor: str = "processes",
    workers: int | None = None,
    threads: int | None = None,
    address: str | None = None,
    gpus: float | None = None,
    existing: str = "resume",
    tries: int = MAX_TRIES,
    manifest: str | None = None,
    on_progress: OnProgress | None = None,
    stop: threading.Event | None = None,
) -> BatchProgress:
    """Make every image of a plan, and record each in a manifest in the output folder.

    An image that is done already, from the same inputs, options and versions, is not made again:
    a run that was killed resumes. An image that cannot be made is recorded as failed, and the
    others are made.

    Args:
        plan: what to make.
        executor: `processes` on this machine; `inline`, this process; or `ray`, a cluster.
        workers: images at a time; None for one per core, inline always 1.
        threads: threads per image; None shares the cores evenly, or takes what the first run of
            this batch had. Another number of threads gives other rounding.
        address: of the Ray cluster; None starts one on this machine.
        gpus: GPUs, or a fraction of one, for each Ray worker.
        existing: if an output exists: `resume` keeps what this plan would make, makes anew what
            the manifest has from an earlier plan, and refuses files that it does not know;
            `skip` keeps everything; `overwrite` replaces everything; `fail` refuses.
        tries: how often an image is started that takes its worker down; then it is quarantined.
        manifest: file of the manifest; None for one in the output folder.
        on_progress: called when something has changed.
        stop: set it to end the run after the images being made.

    Returns:
        How many were made, kept, skipped, and why others failed. If the manifest cannot be
        written meanwhile, the work goes on, and `unrecorded` says so.

    Raises:
        ValueError: an argument is out of range, or two images would have one name.
        ImageError: an output would replace an input or an unknown file.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from PIL import Image
        >>> from impasto.recipes import DenoiseRecipe
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     noise = np.random.default_rng(0).integers(99, 156, (32, 32), np.uint8)
        ...     Image.fromarray(noise).save(f"{folder}/a.png")
        ...     plan = BatchPlan("denoise", (folder,), (), f"{folder}/out", DenoiseRecipe())
        ...     run_batch(plan, executor="inline").made
        1
    """
    count, default_threads = check_workers(
        executor, workers, threads, existing, tries, address, gpus
    )
    left_out: list[str] = []
    jobs = plan_jobs(plan, left_out)
    check_fitted_model(plan)
    if existing == "fail":
        _refuse_existing([job.output for job in jobs if storage.file_stamp(job.output)], "fail")
    with open_records(plan, manifest) as (rows, folder):
        run = BatchRun(rows, count, tries, on_progress or (lambda _: None))
        run.progress.left_out = left_out
        first_threads = rows.setting("threads", default_threads)
        threads = first_threads if threads is None else threads
        run.add_jobs(jobs, existing, lambda paths: _refuse_existing(paths, existing))
        if run.queue:
            pool = worker_pool(executor, folder, threads, workers, len(run.queue), address, gpus)
            with pool as started:
                run.progress.workers = len(started)
                run.work(started, stop or threading.Event())
    return run.progress


@contextlib.contextmanager
def open_records(plan: BatchPlan, manifest: str | None) -> Iterator[tuple[Manifest, str]]:
    """Open the manifest of a batch, and its folder of unfinished files, emptied before and after.

    Args:
        plan: whose outputs they are beside.
        manifest: file of the manifest; None for one in the output folder.
    """
    output = storage.local_path(plan.output)
    folder = storage.temporary_directory(output, manifest)
    rows = Manifest(manifest_path(output, manifest))
    try:
        storage.clean_temporary_directory(folder)
        yield rows, folder
    finally:
        storage.clean_temporary_directory(folder)
        rows.close()


def check_fitted_model(plan: BatchPlan) -> None:
    """Refuse a plan whose model cannot be used."""
    if plan.model:
        from impasto.batch.outputs import check_model  # torch

        check_model(storage.local_path(plan.model))


def _refuse_existing(paths: Sequence[str], existing: str) -> None:
    if paths:
        raise ImageError(existing_output(paths, existing))


def existing_output(paths: Sequence[str], existing: str) -> str:
    """Word the refusal to replace files that are no outputs of the batch.

    Example:
        >>> existing_output(["out/a.png"], "resume")[:67]
        '`output` must not hold what would be written, got out/a.png; choose'
    """
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    return (
        f"`output` must not hold what would be written, got {paths[0]}{more}; choose another "
        f"folder, or another `existing` than {existing}"
    )


class BatchRun:
    """One run: the queue, and the row of each image that has not ended.

    Args:
        manifest: where it records them.
        workers: how many work.
        tries: how often an image is started that takes its worker down.
        on_progress: called when something has changed.
        on_end: called with each job that has ended in this run, and its row.
        passes_over_failed: leave an image alone that failed before, from the same file.
    """

    def __init__(
        self,
        manifest: Manifest,
        workers: int,
        tries: int,
        on_progress: OnProgress,
        on_end: Callable[[Job, Row], None] = lambda job, row: None,
        *,
        passes_over_failed: bool = False,
    ) -> None:
        self.manifest, self.tries = manifest, tries
        self.on_progress, self.on_end = on_progress, on_end
        self.progress = BatchProgress(0, workers)
        self.queue: deque[Job] = deque()
        self._over = (QUARANTINED, FAILED) if passes_over_failed else (QUARANTINED,)
        self._rows: dict[str, Row] = {}
        self._unsaved: dict[str, Row] = {}
        self._failed_starts: dict[int, int] = {}
        self._started = time.monotonic()

    def is_at_work(self, output: str) -> bool:
        """Return True if an output is being made or waits for it."""
        return output in self._rows

    def add_jobs(
        self, jobs: Sequence[Job], existing: str, refuse: Callable[[Sequence[str]], None]
    ) -> None:
        """Put every job that is to run into the queue, and record the others.

        Args:
            jobs: of outputs that are not at work.
            existing: as for `run_batch`.
            refuse: called with the outputs that are files the manifest does not know.
        """
        before = self.manifest.load([job.output for job in jobs])
        stamps: dict[str, storage.FileStamp | None] = {}
        unknown, ended, queued = [], {}, {}
        self.progress.total += len(jobs)
        for job in jobs:
            row = before.get(job.output)
            stamp = storage.file_stamp(job.output)
            fresh = Row(
                job=job_digest(job),
                versions=algorithm_versions(),
                input_stamps=input_stamps(job, stamps),
            )
            same = row is not None and row.same_work(fresh)
            if stamp and existing != "overwrite":
                done = self._done_row(job, row, fresh, str(tuple(stamp)), same)
                if done is not None:
                    ended[job.output] = done
                    self.progress.done += 1
                    self.progress.notes |= read_notes(done)
                    continue
                if existing == "skip":
                    ended[job.output] = fresh._replace(status=SKIPPED)
                    self.progress.skipped += 1
                    continue
                if row is None or row.output_stamp not in ("", str(tuple(stamp))):
                    unknown.append(job.output)
                    continue
            if same and row.status in self._over and existing != "overwrite":
                ended[job.output] = row
                self.progress.failed[job.output] = row.reason or row.status
                continue
            # An image that was being made when the whole run was killed is not to blame.
            attempts = row.attempts - (row.status == RUNNING) if same else 0
            queued[job.output] = fresh._replace(attempts=attempts)
            self.queue.append(job)
        if unknown:
            refuse(unknown)
        self._rows |= queued
        rows = ended | queued
        self._write({path: row for path, row in rows.items() if row != before.get(path)})
        self._report()

    def _done_row(
        self, job: Job, row: Row | None, fresh: Row, stamp: str, same: bool
    ) -> Row | None:
        """Return the row of an output that the job would make again as it is; None for others."""
        if same and row.status == DONE and row.output_stamp == stamp:
            return row
        from impasto.batch.outputs import read_fingerprint  # torch, only for unrecorded outputs

        mark = read_fingerprint(job)
        return mark and fresh._replace(status=DONE, fingerprint=mark, output_stamp=stamp)

    def work(
        self,
        workers: Sequence[Worker],
        stop: threading.Event,
        more: Callable[[], bool] = lambda: False,
    ) -> None:
        """Give out jobs until the queue is empty and no more can come, or a stop is requested.

        Args:
            workers: who makes them.
            stop: set it to end after the images being made.
            more: called now and then; adds jobs, and returns whether there can be others later.
        """
        idle: deque[Worker] = deque()
        starting = {worker.restart(): worker for worker in workers}
        busy: dict[Future[Outcome], tuple[Worker, Job]] = {}
        while (not stop.is_set() and (more() or self.queue)) or busy:
            while idle and self.queue and not stop.is_set():
                worker, job = idle.popleft(), self.queue.popleft()
                self._record_start(job)
                busy[worker.start(job)] = worker, job
            if not busy and not starting:
                stop.wait(_POLL_SECONDS)
            finished, _ = wait([*busy, *starting], _POLL_SECONDS, FIRST_COMPLETED)
            for future in finished:
                if future in starting:
                    worker = starting.pop(future)
                    lost = self._failed_to_start(worker, future)
                else:
                    worker, job = busy.pop(future)
                    lost = self._record_end(job, future)
                if lost:
                    starting[worker.restart()] = worker
                else:
                    idle.append(worker)
            self._report()
        self.progress.stopped = stop.is_set() and bool(self.queue)

    def _failed_to_start(self, worker: Worker, future: Future[object]) -> bool:
        """Return True if a worker could not be started and is to be tried again.

        Raises:
            ImpastoError: it failed too often.
        """
        error = future.exception()
        if error is None:
            self._failed_starts.pop(id(worker), None)
            return False
        count = self._failed_starts[id(worker)] = self._failed_starts.get(id(worker), 0) + 1
        if count >= MAX_TRIES:
            raise ImpastoError(
                f"a worker must start, got {type(error).__name__}: {error}; in a program, call "
                'this under `if __name__ == "__main__":`, or choose inline'
            )
        return True

    def _record_start(self, job: Job) -> None:
        row = self._rows[job.output]
        self._save(job, row._replace(status=RUNNING, attempts=row.attempts + 1))
        self.progress.running.append(job.output)
        self._report()

    def _record_end(self, job: Job, future: Future[Outcome]) -> bool:
        """Record how a job ended; return True if its worker was lost."""
        self.progress.running.remove(job.output)
        error = future.exception()
        if error is not None:
            self._retry(job, f"its worker was lost: {error or type(error).__name__}")
            return True
        outcome = future.result()
        self.progress.frames |= outcome.frames
        notes = json.dumps(outcome.notes, ensure_ascii=False) if outcome.notes else ""
        row = self._rows[job.output]._replace(seconds=round(outcome.seconds, 3), notes=notes)
        self.progress.notes |= read_notes(row)
        if outcome.status == DONE:
            stamp = str(tuple(storage.file_stamp(job.output) or ()))
            row = row._replace(
                status=DONE, attempts=0, fingerprint=outcome.saved, output_stamp=stamp
            )
            self.progress.done += 1
            self.progress.made += 1
            self.progress.each.append(outcome.seconds)
            self._end(job, row)
        elif outcome.permanent:
            self.progress.failed[job.output] = outcome.reason or ""
            self._end(job, row._replace(status=FAILED, attempts=0, reason=outcome.reason))
        else:
            self._retry(job, outcome.reason or "")
        return False

    def _retry(self, job: Job, reason: str) -> None:
        """Put a job at the end of the queue again, or into quarantine after too many attempts."""
        row = self._rows[job.output]._replace(reason=" ".join(reason.split()))
        if row.attempts < self.tries:
            self._save(job, row._replace(status=PENDING))
            self.queue.append(job)
            return
        reason = f"quarantined after {row.attempts} tries: {row.reason}"
        self.progress.failed[job.output] = reason
        self._end(job, row._replace(status=QUARANTINED, reason=reason))

    def _end(self, job: Job, row: Row) -> None:
        """Record that a job has ended, and forget it."""
        self._save(job, row)
        del self._rows[job.output]
        self.on_end(job, row)

    def _save(self, job: Job, row: Row) -> None:
        self._rows[job.output] = row
        self._write({job.output: row})

    def _write(self, rows: Mapping[str, Row]) -> None:
        """Write rows; if that fails, the work goes on, and they are written with the next ones."""
        self._unsaved |= rows
        try:
            self.manifest.save(self._unsaved.items())
        except ImpastoError as error:
            self.progress.unrecorded = str(error)
        else:
            self._unsaved.clear()
            self.progress.unrecorded = ""

    def _report(self) -> None:
        self.progress.seconds = time.monotonic() - self._started
        self.on_progress(self.progress)
