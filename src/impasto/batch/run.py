"""Running a batch: who gets which picture, what became of it, and what is told of it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait

from impasto.batch import manifest as rows
from impasto.batch import storage
from impasto.batch.executors import Worker, check_ray, counts, worker_pool
from impasto.batch.job import Job, algorithm_versions, read_fingerprint
from impasto.batch.manifest import Manifest, Row
from impasto.batch.plan import BatchPlan, jobs
from impasto.batch.progress import OnProgress, Progress
from impasto.batch.run_job import Outcome
from impasto.errors import ImageError, ImpastoError

TRIES = 3  # how often a picture is begun that takes its worker down with it
_BEAT = 0.2  # seconds between looks at whether to stop


def run_batch(
    plan: BatchPlan,
    *,
    executor: str = "processes",
    workers: int | None = None,
    threads: int | None = None,
    address: str | None = None,
    gpus: float | None = None,
    existing: str = "resume",
    tries: int = TRIES,
    manifest: str | None = None,
    on_progress: OnProgress | None = None,
    asked: threading.Event | None = None,
) -> Progress:
    """Make every picture of a plan, and keep account of it in the output's folder.

    What is done already, of the same inputs, options and versions, is not done again: a run that
    was killed goes on where it was. A picture that cannot be made is a row in the account, and the
    others are made.

    Args:
        plan: what to make.
        executor: `processes`, several beside this one; `inline`, this one; or `ray`, a cluster.
        workers: how many pictures at a time; None for one a core, inline always 1.
        threads: threads a picture; None for the cores shared evenly, or what the batch began with.
            Other threads round otherwise.
        address: of the Ray cluster; None starts one on this machine.
        gpus: GPUs, or part of one, that each of Ray's workers holds.
        existing: where something is there already: `resume` leaves what this plan would make and
            makes anew what the manifest knows of an earlier one, and refuses what is not known;
            `skip` leaves everything; `overwrite` replaces everything; `fail` refuses.
        tries: how often a picture is begun that takes its worker down; then it is quarantined.
        manifest: file of the account; None for the output's folder.
        on_progress: called when something has changed.
        asked: set it to end the run with what is being made now.

    Returns:
        What became of it.

    Raises:
        ValueError: an argument out of range, or two pictures of one name.
        ImageError: an output that would replace an input or something unknown.

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
    count, each = counts(executor, workers, threads, existing, tries)
    check_ray(executor, address, gpus)
    wanted = jobs(plan)
    output = storage.local(plan.output)
    place = rows.manifest_path(output, manifest)
    room = storage.temporary_directory(output, manifest)
    if existing == "fail":
        _refuse([job.output for job in wanted if storage.stamp(job.output)], "fail")
    account = Manifest(place)
    try:
        storage.clean_temporary_directory(room)
        run = _Run(account, wanted, count, tries, on_progress or (lambda _: None))
        begun_with = account.fact("threads", each)
        each = begun_with if threads is None else each
        run.sort(existing)
        if run.queue:
            with worker_pool(executor, room, each, workers, len(run.queue), address, gpus) as all_:
                run.progress.workers = len(all_)
                run.go(all_, asked or threading.Event())
    finally:
        storage.clean_temporary_directory(room)
        account.close()
    return run.progress


def _refuse(places: Sequence[str], why: str) -> None:
    """Refuse what is there already."""
    if not places:
        return
    more = f" and {len(places) - 1} more" if len(places) > 1 else ""
    raise ImageError(
        f"`output` must not hold what would be written, got {places[0]}{more}; choose another "
        f"folder, or another `existing` than {why}"
    )


class _Run:
    """One run: the queue, and what is known of each picture."""

    def __init__(
        self, account: Manifest, wanted: Sequence[Job], workers: int, tries: int, watch: OnProgress
    ) -> None:
        self.account, self.wanted, self.tries, self.watch = account, wanted, tries, watch
        self.progress = Progress(len(wanted), workers)
        self.queue: deque[Job] = deque()
        self._rows: dict[str, Row] = {}
        self._starts: dict[int, int] = {}
        self._began = time.monotonic()

    def sort(self, existing: str) -> None:
        """Find out what is to be done."""
        before = self.account.rows()
        stamps: dict[str, storage.Stamp | None] = {}
        unknown = []
        for job in self.wanted:
            row = before.get(job.output)
            there = storage.stamp(job.output)
            seen = rows.input_stamps(job, stamps)
            fresh = Row(job=rows.job_digest(job), algorithm=algorithm_versions(), seen=seen)
            same = row is not None and row.wanted == fresh.wanted
            if there and existing != "overwrite":
                kept = self._kept(job, row, fresh, str(tuple(there)), same)
                if kept is not None:
                    self._rows[job.output] = kept
                    self.progress.done += 1
                    continue
                if existing == "skip":
                    self._rows[job.output] = fresh._replace(status=rows.SKIPPED)
                    self.progress.skipped += 1
                    continue
                if row is None or row.written not in ("", str(tuple(there))):
                    unknown.append(job.output)
            if same and row.status == rows.QUARANTINED and existing != "overwrite":
                self._rows[job.output] = row
                self.progress.failed[job.output] = row.reason or rows.QUARANTINED
                continue
            # One that was being made when the whole run was killed is not to blame.
            attempts = row.attempts - (row.status == rows.RUNNING) if same else 0
            self._rows[job.output] = fresh._replace(attempts=attempts)
            self.queue.append(job)
        _refuse(unknown, existing)
        changed = [(place, row) for place, row in self._rows.items() if row != before.get(place)]
        self.account.put(changed)
        self._tell()

    def _kept(self, job: Job, row: Row | None, fresh: Row, there: str, same: bool) -> Row | None:
        """The row of a picture that is there and is the one that is wanted; None of others."""
        if same and row.status == rows.DONE and row.written == there:
            return row
        mark = read_fingerprint(job)
        return mark and fresh._replace(status=rows.DONE, fingerprint=mark, written=there)

    def go(self, workers: Sequence[Worker], asked: threading.Event) -> None:
        """Give out the work until there is none, or until that is asked for."""
        idle: deque[Worker] = deque()
        starting = {worker.renew(): worker for worker in workers}
        busy: dict[Future[Outcome], tuple[Worker, Job]] = {}
        while (self.queue and not asked.is_set()) or busy:
            while idle and self.queue and not asked.is_set():
                worker, job = idle.popleft(), self.queue.popleft()
                self._begin(job)
                busy[worker.start(job)] = worker, job
            finished, _ = wait([*busy, *starting], _BEAT, FIRST_COMPLETED)
            for future in finished:
                if future in starting:
                    worker = starting.pop(future)
                    lost = self._failed_to_start(worker, future)
                else:
                    worker, job = busy.pop(future)
                    lost = self._end(job, future)
                if lost:
                    starting[worker.renew()] = worker
                else:
                    idle.append(worker)
            self._tell()
        self.progress.stopped = asked.is_set() and bool(self.queue)

    def _failed_to_start(self, worker: Worker, future: Future[object]) -> bool:
        """Whether a worker could not be started; after some tries that ends the run.

        Raises:
            ImpastoError: it will not start.
        """
        error = future.exception()
        if error is None:
            self._starts.pop(id(worker), None)
            return False
        count = self._starts[id(worker)] = self._starts.get(id(worker), 0) + 1
        if count >= TRIES:
            raise ImpastoError(
                f"a worker must start, got {type(error).__name__}: {error}; in a program, call "
                'this under `if __name__ == "__main__":`, or choose inline'
            )
        return True

    def _begin(self, job: Job) -> None:
        """Write down that a picture is begun."""
        row = self._rows[job.output]
        self._put(job, row._replace(status=rows.RUNNING, attempts=row.attempts + 1))
        self.progress.running.append(job.output)
        self._tell()

    def _end(self, job: Job, future: Future[Outcome]) -> bool:
        """Write down what became of a picture; gives back whether its worker was lost."""
        self.progress.running.remove(job.output)
        error = future.exception()
        if error is not None:
            self._again(job, f"its worker was lost: {error or type(error).__name__}")
            return True
        outcome = future.result()
        if outcome.fingerprint is None and not outcome.lasting:
            self._again(job, outcome.reason or "")
            return False
        row = self._rows[job.output]._replace(seconds=round(outcome.seconds, 3))
        if outcome.fingerprint is None:
            self._put(job, row._replace(status=rows.FAILED, attempts=0, reason=outcome.reason))
            self.progress.failed[job.output] = outcome.reason or ""
            return False
        written = storage.stamp(job.output)
        self._put(
            job,
            row._replace(
                status=rows.DONE,
                attempts=0,
                fingerprint=outcome.fingerprint,
                written=str(tuple(written or ())),
            ),
        )
        self.progress.done += 1
        self.progress.made += 1
        self.progress.each.append(outcome.seconds)
        return False

    def _again(self, job: Job, reason: str) -> None:
        """Try a picture again at the end of the queue, or put it aside."""
        row = self._rows[job.output]._replace(reason=" ".join(reason.split()))
        if row.attempts < self.tries:
            self._put(job, row._replace(status=rows.PENDING))
            self.queue.append(job)
            return
        reason = f"quarantined after {row.attempts} tries: {row.reason}"
        self._put(job, row._replace(status=rows.QUARANTINED, reason=reason))
        self.progress.failed[job.output] = reason

    def _put(self, job: Job, row: Row) -> None:
        """Keep a row here and in the file."""
        self._rows[job.output] = row
        self.account.put([(job.output, row)])

    def _tell(self) -> None:
        """Say how far it is."""
        self.progress.seconds = time.monotonic() - self._began
        self.watch(self.progress)
