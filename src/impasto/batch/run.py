"""Running a batch: who gets which picture, what became of it, and what is told of it."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from impasto.batch import manifest as rows
from impasto.batch import storage
from impasto.batch.executors import Inline, Process, Worker, staff
from impasto.batch.job import Job, algorithm, fingerprint
from impasto.batch.manifest import Manifest, Row
from impasto.batch.plan import Plan, jobs
from impasto.batch.work import Outcome
from impasto.errors import ImpastoError, PictureError

Existing = Literal["resume", "skip", "overwrite", "fail"]
EXISTING: tuple[str, ...] = ("resume", "skip", "overwrite", "fail")
EXECUTORS = ("processes", "inline", "ray")
TRIES = 3  # how often a picture is begun that takes its worker down with it
_BEAT = 0.2  # seconds between looks at whether to stop


@dataclass
class Progress:
    """How far a batch is.

    Attributes:
        total: pictures in the plan.
        done: those that are there, made now or before.
        made: those made in this run.
        skipped: those left alone because something else is there.
        failed: output -> reason, of those that failed.
        seconds: since the run began.
        each: seconds a picture took, of those made now, in the order they were done.
        running: outputs being made.
        workers: how many work.
        stopped: whether the run was ended early.
    """

    total: int
    workers: int
    done: int = 0
    made: int = 0
    skipped: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    each: list[float] = field(default_factory=list)
    running: list[str] = field(default_factory=list)
    stopped: bool = False

    @property
    def left(self) -> int:
        """Pictures that nothing has become of yet."""
        return self.total - self.done - self.skipped - len(self.failed)

    @property
    def an_hour(self) -> float:
        """Pictures an hour, of those made now."""
        return 3600 * self.made / self.seconds if self.made else 0.0

    @property
    def remaining(self) -> float | None:
        """Seconds until all is done, at this pace; None where nothing tells yet."""
        return self.left * self.seconds / self.made if self.made else None


Watch = Callable[[Progress], None]


def batch(
    plan: Plan,
    *,
    executor: str = "processes",
    workers: int | None = None,
    threads: int | None = None,
    address: str | None = None,
    gpus: float | None = None,
    existing: str = "resume",
    tries: int = TRIES,
    manifest: str | None = None,
    on_progress: Watch | None = None,
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
        PictureError: an output that would replace an input or something unknown.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from PIL import Image
        >>> from impasto.recipe import DenoiseRecipe
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     noise = np.random.default_rng(0).integers(99, 156, (32, 32), np.uint8)
        ...     Image.fromarray(noise).save(f"{folder}/a.png")
        ...     plan = Plan("denoise", (folder,), (), f"{folder}/out", DenoiseRecipe())
        ...     batch(plan, executor="inline").made
        1
    """
    count, each = counts(executor, workers, threads, existing, tries)
    _check_ray(executor, address, gpus)
    wanted = jobs(plan)
    output = storage.local(plan.output)
    place = rows.path_for(output, manifest)
    if existing == "fail":
        _refuse([job.output for job in wanted if storage.stamp(job.output)], "fail")
    account = Manifest(place)
    try:
        storage.swept(output)
        run = _Run(account, wanted, count, tries, on_progress or (lambda _: None))
        begun_with = account.fact("threads", each)
        each = begun_with if threads is None else each
        run.sort(existing)
        if run.queue:
            with _staff(executor, output, each, workers, len(run.queue), address, gpus) as all_:
                run.progress.workers = len(all_)
                run.go(all_, asked or threading.Event())
    finally:
        storage.swept(output)
        account.close()
    return run.progress


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


def _check_ray(executor: str, address: str | None, gpus: float | None) -> None:
    """Refuse what only Ray has a use for."""
    if gpus is not None and not 0 <= gpus <= 64:
        raise ValueError(f"`gpus` must be from 0 to 64, got {gpus:g}; leave it out")
    for name, value in (("address", address), ("gpus", gpus)):
        if value is not None and executor != "ray":
            raise ValueError(
                f"`{name}` must go with executor ray, got {value!r} with {executor}; leave it out"
            )


@contextmanager
def _staff(
    executor: str,
    output: str,
    threads: int,
    workers: int | None,
    most: int,
    address: str | None,
    gpus: float | None,
) -> Iterator[list[Worker]]:
    """The workers of an executor, no more than there are pictures, for the length of a batch."""
    if executor == "inline":
        yield [Inline(output, threads)]
    elif executor == "processes":
        count = min(workers or max(1, _cores() // threads), most)
        with staff([Process(output, threads, count) for _ in range(count)]) as all_:
            yield all_
    else:
        from impasto.batch.on_ray import OnRay, cluster

        with cluster(address) as cores:
            count = min(workers or max(1, int(cores) // threads), most)
            with staff([OnRay(output, threads, gpus or 0) for _ in range(count)]) as all_:
                yield all_


def _refuse(places: Sequence[str], why: str) -> None:
    """Refuse what is there already."""
    if not places:
        return
    more = f" and {len(places) - 1} more" if len(places) > 1 else ""
    raise PictureError(
        f"`output` must not hold what would be written, got {places[0]}{more}; choose another "
        f"folder, or another `existing` than {why}"
    )


class _Run:
    """One run: the queue, and what is known of each picture."""

    def __init__(
        self, account: Manifest, wanted: Sequence[Job], workers: int, tries: int, watch: Watch
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
            seen = rows.glance(job, stamps)
            fresh = Row(job=rows.told(job), algorithm=algorithm(), seen=seen)
            same = row is not None and rows.current(row, job, seen)
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
            if same and row and row.status == rows.QUARANTINED and existing != "overwrite":
                self._rows[job.output] = row
                self.progress.failed[job.output] = row.reason or rows.QUARANTINED
                continue
            # One that was being made when the whole run was killed is not to blame.
            attempts = row.attempts - (row.status == rows.RUNNING) if same and row else 0
            self._rows[job.output] = fresh._replace(attempts=attempts)
            self.queue.append(job)
        _refuse(unknown, existing)
        changed = [(place, row) for place, row in self._rows.items() if row != before.get(place)]
        self.account.put(changed)
        self._tell()

    def _kept(self, job: Job, row: Row | None, fresh: Row, there: str, same: bool) -> Row | None:
        """The row of a picture that is there and is the one that is wanted; None of others."""
        if same and row and row.status == rows.DONE and row.written == there:
            return row
        mark = _marked(job)
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


def _marked(job: Job) -> str | None:
    """The fingerprint inside a picture that is there, where it is the one that is wanted."""
    from impasto.picture.read import open_picture
    from impasto.provenance import read_provenance

    try:
        with storage.fetched(job.output) as here:
            recipe = open_picture(here).carried.recipe
        found = read_provenance(recipe).fingerprint if recipe else None
        if found is None:
            return None
        weights = ""
        if job.method == "style":
            from impasto.vgg.weights import load

            weights = load(job.options.weights).sha256
        hashes = [_hash(place) for place in (job.content, job.style) if place]
    except (ImpastoError, ValueError, OSError):
        return None
    return found if found == fingerprint(job.method, job.recipe, hashes, weights) else None


def _hash(place: str) -> str:
    """SHA-256 of a file."""
    import hashlib

    with storage.fetched(place) as here, open(here, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
