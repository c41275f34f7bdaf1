"""What became of every picture of a batch: a SQLite file that outlives the run.

One process writes it, the one that gives out the work; a picture is a row.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from impasto.batch import storage
from impasto.batch.job import Job
from impasto.batch.storage import Stamp
from impasto.errors import ImageError, ImpastoError

NAME = "impasto-batch.sqlite"
PENDING, RUNNING, DONE, FAILED, QUARANTINED, SKIPPED = (
    "pending", "running", "done", "failed", "quarantined", "skipped",
)  # fmt: skip

_VERSION = 1
_MODES = "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
_TABLES = """
CREATE TABLE IF NOT EXISTS pictures (
    output TEXT PRIMARY KEY,
    job TEXT NOT NULL,
    algorithm TEXT NOT NULL,
    status TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    reason TEXT,
    seconds REAL,
    fingerprint TEXT,
    seen TEXT,
    written TEXT
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""


class Row(NamedTuple):
    """What is known of one picture.

    Attributes:
        status: pending, running, done, failed, quarantined or skipped.
        attempts: how often it was begun and not ended.
        reason: why it failed.
        seconds: how long it took.
        fingerprint: SHA-256 of all it depends on, once it is done.
        job: what was to be done, by a hash.
        algorithm: versions it was made with.
        seen: what its inputs looked like from outside.
        written: what its output looked like when it was written.
    """

    status: str = PENDING
    attempts: int = 0
    reason: str | None = None
    seconds: float | None = None
    fingerprint: str | None = None
    job: str = ""
    algorithm: str = ""
    seen: str = ""
    written: str = ""

    @property
    def wanted(self) -> tuple[str, str, str]:
        """What it is a row of: options, versions and inputs."""
        return self.job, self.algorithm, self.seen


class Manifest:
    """The rows of a batch, in a file.

    Args:
        path: where it lies; made where it is missing.

    Raises:
        ImageError: it cannot be opened, or is no manifest.
        ImpastoError: another run has it open.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._base = sqlite3.connect(self.path, isolation_level=None, timeout=0)
            # The file is its own lock, which goes with the process that holds it.
            self._base.executescript(f"PRAGMA locking_mode=EXCLUSIVE; {_MODES} {_TABLES}")
            version = self.fact("version", _VERSION)
        except (OSError, sqlite3.Error) as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
                raise ImpastoError(
                    f"{self.path} must belong to one run at a time, got one that is still going; "
                    "wait for it, or stop it"
                ) from None
            raise ImageError(
                f"the manifest must be a file that can be written, got {self.path}: {error}; "
                "choose another folder, or remove it"
            ) from None
        if version != _VERSION:
            self.close()
            raise ImageError(
                f"the manifest must be of version {_VERSION}, got {version} in {self.path}; "
                "update impasto"
            )

    def fact(self, name: str, value: Any) -> Any:
        """Something that is decided once for a batch: what it was first, or else the value."""
        self._base.execute("INSERT OR IGNORE INTO facts VALUES (?, ?)", (name, json.dumps(value)))
        (found,) = self._base.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return json.loads(found)

    def rows(self) -> dict[str, Row]:
        """Every row by its output."""
        found = self._base.execute(
            "SELECT output, status, attempts, reason, seconds, fingerprint, job, algorithm, "
            "seen, written FROM pictures"
        )
        return {output: Row(*rest) for output, *rest in found}

    def put(self, rows: Iterable[tuple[str, Row]]) -> None:
        """Write rows, all or none."""
        with self._changing():
            self._base.executemany(
                "INSERT OR REPLACE INTO pictures (output, status, attempts, reason, seconds, "
                "fingerprint, job, algorithm, seen, written) VALUES (?,?,?,?,?,?,?,?,?,?)",
                ((output, *row) for output, row in rows),
            )

    def close(self) -> None:
        """Leave one file behind."""
        self._base.close()

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """A transaction."""
        self._base.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._base.execute("ROLLBACK")
            raise
        self._base.execute("COMMIT")


def manifest_path(output: str, given: str | None = None) -> Path:
    """Where the manifest of an output folder lies; here, where that folder is elsewhere.

    Example:
        >>> manifest_path("out").as_posix()
        'out/impasto-batch.sqlite'
    """
    if given:
        return Path(given)
    if not storage.is_remote(output):
        return Path(os.path.join(storage.local(output), NAME))
    return Path(f"impasto-batch-{hashlib.sha256(output.encode()).hexdigest()[:12]}.sqlite")


def job_digest(job: Job) -> str:
    """A hash of what is to be done, by places and options."""
    text = json.dumps([job.method, job.content, job.style, job.recipe])
    return hashlib.sha256(text.encode()).hexdigest()


def input_stamps(job: Job, stamps: dict[str, Stamp | None]) -> str:
    """What a picture's inputs look like from outside; each file is looked at once."""
    for place in (job.content, job.style):
        if place and place not in stamps:
            stamps[place] = storage.stamp(place)
    return json.dumps([stamps[place] for place in (job.content, job.style) if place])
