"""Watch a folder: a batch whose list grows with the files that are put into it."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from impasto.batch import storage
from impasto.batch.manifest import Row, read_notes
from impasto.batch.plan import BatchPlan, jobs_of_files, list_styles
from impasto.batch.run import (
    MAX_TRIES,
    BatchProgress,
    BatchRun,
    check_fitted_model,
    existing_output,
    open_records,
)
from impasto.batch.workers import check_workers, worker_pool
from impasto.errors import ImageError, quote
from impasto.jobs.job import DONE, FAILED, Job
from impasto.methods import METHODS

MAX_SECONDS = 86_400.0
_MANY = 4096  # workers, of which as many start as there are cores for


class WatchEvent(NamedTuple):
    """What became of a file.

    Attributes:
        status: done, failed or quarantined; `left out` if it is no picture.
        content: the file.
        output: the result, or where it would be; empty for none.
        reason: why there is none; empty where there is one.
        seconds: how long it took.
        notes: input or output -> what was left out of it or taken for what.
    """

    status: str
    content: str
    output: str = ""
    reason: str = ""
    seconds: float = 0.0
    notes: dict[str, list[str]] = {}  # noqa: RUF012


@dataclass
class WatchCounts:
    """How many pictures a watch has made, and how many failed."""

    made: int = 0
    failed: int = 0


@dataclass
class _Seen:
    """A file as it was at the last look."""

    stamp: storage.FileStamp
    since: float  # when it was first seen so
    taken: bool = False


def watch_folder(
    plan: BatchPlan,
    *,
    every: float = 2.0,
    settle: float = 5.0,
    once: bool = False,
    executor: str = "processes",
    workers: int | None = 1,
    threads: int | None = None,
    address: str | None = None,
    gpus: float | None = None,
    existing: str = "resume",
    tries: int = MAX_TRIES,
    manifest: str | None = None,
    on_event: Callable[[WatchEvent], None] | None = None,
    stop: threading.Event | None = None,
) -> WatchCounts:
    """Paint or clean what is in a folder and what is put into it, each file once.

    A file is taken when it is whole: its size and time have stayed the same for `settle` seconds.
    What was made before, from the same file with the same options and versions, is not made
    again; what failed is tried again when the file has changed. The oldest comes first.

    Args:
        plan: what to make; `contents` is one folder of this machine. Its subfolders are watched
            too, but not the output folder in it.
        every: seconds from one look at the folder to the next.
        settle: seconds for which a file must have stayed as it is.
        once: end when what is there has been made, as a scheduler wants it; files that change
            meanwhile are left for the next time.
        executor: as for `run_batch`, and so are the arguments up to `manifest`.
        workers: pictures at a time.
        threads: threads a picture.
        address: of the Ray cluster.
        gpus: GPUs for each Ray worker.
        existing: if an output exists; what would be refused is told and passed over.
        tries: how often a picture is started that takes its worker down.
        manifest: file of the manifest.
        on_event: called with each file that has ended.
        stop: set it to end the watch after the pictures being made.

    Returns:
        How many were made, and how many failed.

    Raises:
        ValueError: an argument is out of range.
        ImageError: the folder or a style cannot be read, or the folder is the output's, too.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from PIL import Image
        >>> from impasto.recipes import DenoiseRecipe
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     noise = np.random.default_rng(0).integers(99, 156, (32, 32), np.uint8)
        ...     Image.fromarray(noise).save(f"{folder}/a.png")
        ...     plan = BatchPlan("denoise", (folder,), (), f"{folder}/out", DenoiseRecipe())
        ...     watch_folder(plan, executor="inline", settle=0.1, once=True).made
        1
    """
    for name, seconds in (("every", every), ("settle", settle)):
        if not (math.isfinite(seconds) and 0 < seconds <= MAX_SECONDS):
            raise ValueError(
                f"`{name}` must be above 0 and at most {MAX_SECONDS:.0f} seconds, got {seconds:g}"
            )
    if existing == "fail":
        raise ValueError(
            "`existing` must be resume, skip or overwrite for a watched folder, got fail"
        )
    folder = _Folder(plan)
    count, default_threads = check_workers(
        executor, workers, threads, existing, tries, address, gpus
    )
    styles = list_styles(plan)
    check_fitted_model(plan)
    stop = stop or threading.Event()
    watch = _Watch(plan, folder, styles, every, settle, once, existing, on_event)
    with open_records(plan, manifest) as (rows, unfinished):
        watch.run = BatchRun(
            rows, count, tries, watch.forget, watch.report, passes_over_failed=True
        )
        first_threads = rows.setting("threads", default_threads)
        threads = first_threads if threads is None else threads
        while watch.look() and not watch.run.queue and not stop.wait(watch.pause):
            pass
        if watch.run.queue:  # workers are started for the first picture
            with worker_pool(
                executor, unfinished, threads, workers, _MANY, address, gpus
            ) as started:
                watch.run.work(started, stop, watch.look)
    return watch.counts


class _Folder:
    """The watched folder: its files, and since when each is as it is.

    Memory: one record for each file that is in it.
    """

    def __init__(self, plan: BatchPlan) -> None:
        if len(plan.contents) != 1 or storage.is_remote(plan.contents[0]):
            raise ValueError(
                "`folder` must be one folder on this machine, got "
                f"{quote(', '.join(plan.contents))}; `impasto batch` reads other places"
            )
        self.path = storage.local_path(plan.contents[0])
        if not os.path.isdir(self.path):
            raise ImageError(f"`folder` must be a folder, got {self.path}; make it, or correct it")
        self._output = ""
        if not storage.is_remote(plan.output):
            self._output = os.path.realpath(storage.local_path(plan.output))
        watched = os.path.realpath(self.path)
        if self._output and os.path.commonpath([self._output, watched]) == self._output:
            raise ImageError(
                f"`output` must not hold the watched folder, got {plan.output} for {self.path}; "
                "choose another, such as a folder in it"
            )
        self._seen: dict[str, _Seen] = {}

    def look(self, settle: float, on_error: Callable[[OSError], None]) -> list[storage.ListedFile]:
        """Return the files that have become whole since the last look, the oldest first."""
        now = time.monotonic()
        seen: dict[str, _Seen] = {}
        for path, stamp in self._stamps(on_error):
            before = self._seen.get(path)
            seen[path] = before if before and before.stamp == stamp else _Seen(stamp, now)
        self._seen = seen  # what is gone is forgotten
        whole = [
            path
            for path, file in seen.items()
            if not file.taken and file.stamp.size and now - file.since >= settle
        ]
        whole.sort(key=lambda path: (int(seen[path].stamp.changed), path))
        for path in whole:
            seen[path].taken = True
        return [
            storage.ListedFile(path, Path(path).relative_to(self.path).as_posix()) for path in whole
        ]

    def has_new(self) -> bool:
        """Return True if a file has not been taken."""
        return any(not file.taken for file in self._seen.values())

    def put_back(self, path: str) -> None:
        """Take a file again at the next look."""
        self._seen[path].taken = False

    def _stamps(
        self, on_error: Callable[[OSError], None]
    ) -> Iterator[tuple[str, storage.FileStamp]]:
        for path in storage.walk_files(Path(self.path), without=self._output, on_error=on_error):
            if stamp := storage.file_stamp(str(path)):
                yield str(path), stamp


class _Watch:
    """The looks at a folder, which add to a run of a batch."""

    run: BatchRun

    def __init__(
        self,
        plan: BatchPlan,
        folder: _Folder,
        styles: Sequence[storage.ListedFile],
        every: float,
        settle: float,
        once: bool,
        existing: str,
        on_event: Callable[[WatchEvent], None] | None,
    ) -> None:
        self.plan, self.folder, self.styles = plan, folder, styles
        self.settle, self.once, self.existing = settle, once, existing
        # A scheduler's watch looks twice: at what is there, and whether it has stayed so.
        self.pause = settle if once else every
        self.on_event = on_event or (lambda event: None)
        self.counts = WatchCounts()
        self._looks, self._next_look = 0, -math.inf
        self._owners: dict[str, str] = {}  # output -> its content, while that is there
        self._unreadable = ""

    def look(self) -> bool:
        """Add what has become whole, if it is time for a look; return whether more can come."""
        if self.once and self._looks == 2:
            return False
        if time.monotonic() < self._next_look:
            return True
        self._add(self.folder.look(self.settle, self._cannot_read))
        self._looks += 1
        self._next_look = time.monotonic() + self.pause
        return not self.once or (self._looks < 2 and self.folder.has_new())

    def report(self, job: Job, row: Row) -> None:
        """Report how a job has ended."""
        done = row.status == DONE
        reason = "" if done else row.reason or row.status
        content = job.inputs["content"]
        seconds, notes = row.seconds or 0.0, read_notes(row)
        self._tell(WatchEvent(row.status, content, job.output, reason, seconds, notes))

    def forget(self, progress: BatchProgress) -> None:
        """Keep the account of a run as small as it was: each end was told, and is in its row."""
        for ended in (progress.failed, progress.notes, progress.frames, progress.each):
            ended.clear()

    def _tell(self, event: WatchEvent) -> None:
        self.counts.made += event.status == DONE
        self.counts.failed += event.status not in (DONE, "left out")
        self.on_event(event)

    def _add(self, files: list[storage.ListedFile]) -> None:
        """Add the jobs of some files to the run, and tell of those that can have none."""
        if not files:
            return
        videos = bool(METHODS[self.plan.method].of_videos)
        listing = storage.sort_out(files, storage.read_local_head, videos)
        for described in listing.left_out:
            self._tell(WatchEvent("left out", described, reason="it is no picture to read"))
        jobs: dict[str, Job] = {}
        for file in listing.images:
            own = jobs_of_files(self.plan, [file], self.styles)
            if any(self.run.is_at_work(output) for output in own):  # it has changed meanwhile
                self.folder.put_back(file.path)
                continue
            for output, job in own.items():
                owner = self._owners.get(output, file.path)
                if owner != file.path and os.path.exists(owner):
                    reason = (
                        f"`output` must be another file for each picture, got {output} for "
                        f"{owner} and {file.path}; give one of them another name"
                    )
                    self._tell(WatchEvent(FAILED, file.path, output, reason))
                    continue
                self._owners[output] = file.path
                jobs[output] = job
        self._owners = {
            output: owner for output, owner in self._owners.items() if os.path.isfile(owner)
        }

        def refuse(outputs: Sequence[str]) -> None:
            for output in outputs:
                reason = existing_output([output], self.existing)
                self._tell(WatchEvent(FAILED, jobs[output].inputs["content"], output, reason))

        self.run.add_jobs(list(jobs.values()), self.existing, refuse)

    def _cannot_read(self, error: OSError) -> None:
        """Tell once of a folder that cannot be read; it may come back."""
        place = str(error.filename or self.folder.path)
        if place != self._unreadable:
            self._unreadable = place
            reason = f"it must be a folder that can be read, got {error.strerror or error}"
            self.on_event(WatchEvent("left out", place, reason=reason))
