"""The folder of jobs: what outlives the server."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import time
from pathlib import Path

from filelock import FileLock, Timeout

from impasto.errors import ImpastoError
from impasto.files import atomic_path, ensure_directory, stale_temporary_files
from impasto.serve.job import ENDED, Job, thinned

_ID = re.compile(r"[0-9a-f]{16}")
_COMING = "coming-"  # what the folder of a job is called until all of it is there
_RECORD = "job.json"
INTERRUPTED = "the server ended while this was running; retry goes on from where it was"


class Store:
    """A folder with a folder for each job, for one server at a time.

    Args:
        folder: where; made if it is missing, for this user alone.

    Raises:
        ImpastoError: another server has it.
        ImageError: it cannot be made or written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = ensure_directory(folder)
        with contextlib.suppress(OSError):
            os.chmod(folder, 0o700)
        self._lock = FileLock(folder / ".lock", thread_local=False)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise ImpastoError(
                f"`folder` must not be another server's, got {folder}, which is in use; stop that "
                "one, or choose another"
            ) from None
        for rest in folder.glob(f"{_COMING}*"):
            shutil.rmtree(rest, ignore_errors=True)

    def close(self) -> None:
        """Leave the folder to another server."""
        self._lock.release()

    def begun(self) -> tuple[str, Path]:
        """A new job's name, and the folder to put its files in."""
        name = secrets.token_hex(8)
        coming = self.folder / f"{_COMING}{name}"
        coming.mkdir(mode=0o700)
        return name, coming

    def abandon(self, name: str) -> None:
        """Take away a job that has not come to be."""
        shutil.rmtree(self.folder / f"{_COMING}{name}", ignore_errors=True)

    def add(self, job: Job) -> None:
        """Keep a job whose files are all there."""
        coming = self.folder / f"{_COMING}{job.id}"
        self._write(coming, job)
        os.replace(coming, self.place(job.id))

    def keep(self, job: Job) -> None:
        """Keep a job as it is now."""
        self._write(self.place(job.id), job)

    def place(self, name: str) -> Path:
        """The folder of a job."""
        return self.folder / name

    def remove(self, name: str) -> None:
        """Delete a job and its files."""
        shutil.rmtree(self.place(name), ignore_errors=True)

    def load(self) -> list[Job]:
        """The jobs that are kept, the oldest first; what was running is marked as interrupted."""
        found = []
        for place in self.folder.iterdir():
            if not _ID.fullmatch(place.name):
                continue
            for rest in stale_temporary_files(place, ""):
                rest.unlink(missing_ok=True)
            try:
                job = Job.model_validate_json((place / _RECORD).read_bytes())
            except (OSError, ValueError):
                continue  # not ours, or of a later version: left where it is
            if job.id == place.name:
                found.append(job)
                self._mark(job)
        return sorted(found, key=lambda job: job.created)

    def _mark(self, job: Job) -> None:
        """Mark a job that a server left unfinished."""
        if job.status == "running":
            job.status, job.reason, job.ended = "interrupted", INTERRUPTED, time.time()
            self.keep(job)

    def _write(self, place: Path, job: Job) -> None:
        """Write a job's record, whole or not at all."""
        record = job.model_copy(update={"history": thinned(job.history)})
        if job.status not in ENDED:
            record = record.model_copy(update={"history": []})
        with atomic_path(place / _RECORD, overwrite=True) as temporary:
            temporary.write_text(record.model_dump_json(), encoding="utf-8")
