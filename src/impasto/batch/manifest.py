"""The manifest of a batch: the state of every image, in a SQLite file that outlives the run.

One process writes it, the one that gives out the work. Each image is a row.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

from impasto._version import __version__
from impasto.batch import storage
from impasto.batch.storage import FileStamp
from impasto.errors import ImageError, ImpastoError
from impasto.jobs.job import PENDING, Job

NAME = "impasto-batch.sqlite"

_VERSION = 1
_MODES = "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
# The names of tables and columns are those of manifests that are already on disks.
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
# Options that change where and in how many pieces an image is computed, not what was asked for.
_NOT_IN_FINGERPRINT = frozenset({"device", "memory", "tiles"})


class Row(NamedTuple):
    """The state of one image.

    Attributes:
        status: pending, running, done, failed, quarantined or skipped.
        attempts: how often it was started without an end.
        reason: why it failed.
        seconds: how long it took.
        fingerprint: SHA-256 of everything its bytes depend on, once it is done.
        job: digest of method, files and options.
        versions: versions of impasto and torch.
        input_stamps: size and time of its inputs.
        output_stamp: the same of its output when it was written.
    """

    status: str = PENDING
    attempts: int = 0
    reason: str | None = None
    seconds: float | None = None
    fingerprint: str | None = None
    job: str = ""
    versions: str = ""
    input_stamps: str = ""
    output_stamp: str = ""

    def same_work(self, other: Row) -> bool:
        """Return True if both rows have the same options, versions and inputs."""
        return self[5:8] == other[5:8]


class Manifest:
    """The rows of a batch, in a file.

    Args:
        path: the file; made if it is missing.

    Raises:
        ImageError: it cannot be opened, or is not a manifest.
        ImpastoError: another run has it open.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(self.path, isolation_level=None, timeout=0)
            # The file is its own lock, released when the process that holds it ends.
            self._database.executescript(f"PRAGMA locking_mode=EXCLUSIVE; {_MODES} {_TABLES}")
            version = self.setting("version", _VERSION)
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

    def setting(self, name: str, default: Any) -> Any:
        """Return a setting of the whole batch; the first run stores its own as the default."""
        self._database.execute(
            "INSERT OR IGNORE INTO facts VALUES (?, ?)", (name, json.dumps(default))
        )
        query = "SELECT value FROM facts WHERE name = ?"
        (value,) = self._database.execute(query, (name,)).fetchone()
        return json.loads(value)

    def load(self) -> dict[str, Row]:
        """Return every row by its output."""
        rows = self._database.execute(
            "SELECT output, status, attempts, reason, seconds, fingerprint, job, algorithm, "
            "seen, written FROM pictures"
        )
        return {output: Row(*values) for output, *values in rows}

    def save(self, rows: Iterable[tuple[str, Row]]) -> None:
        """Write rows by their outputs, all or none."""
        with self._transaction():
            self._database.executemany(
                "INSERT OR REPLACE INTO pictures (output, status, attempts, reason, seconds, "
                "fingerprint, job, algorithm, seen, written) VALUES (?,?,?,?,?,?,?,?,?,?)",
                ((output, *row) for output, row in rows),
            )

    def close(self) -> None:
        """Close the file and release it to another run."""
        self._database.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")


def manifest_path(output: str, path: str | None = None) -> Path:
    """Return the manifest's path: in the output folder, or in the current one if that is remote.

    Example:
        >>> manifest_path("out").as_posix()
        'out/impasto-batch.sqlite'
    """
    if path:
        return Path(path)
    if not storage.is_remote(output):
        return Path(os.path.join(storage.local_path(output), NAME))
    return Path(f"impasto-batch-{hashlib.sha256(output.encode()).hexdigest()[:12]}.sqlite")


def job_digest(job: Job) -> str:
    """Return a hash of a job's method, files and options."""
    style = job.inputs.get("style-1", "")
    text = json.dumps([job.method, job.inputs["content"], style, job.recipe])
    return hashlib.sha256(text.encode()).hexdigest()


def input_stamps(job: Job, stamps: dict[str, FileStamp | None]) -> str:
    """Return the stamps of a job's inputs as text; `stamps` remembers those already read."""
    for path in job.inputs.values():
        if path not in stamps:
            stamps[path] = storage.file_stamp(path)
    return json.dumps([stamps[path] for path in job.inputs.values()])


def fingerprint(method: str, recipe: str, inputs: Sequence[str], weights: str) -> str:
    """Compute a hash of everything that an image's bytes depend on.

    The versions of impasto and torch are part of it; where the image is computed, and in which
    tiles, is not.

    Args:
        method: `style` or `denoise`.
        recipe: JSON of the recipe.
        inputs: SHA-256 of content and style.
        weights: SHA-256 of the network's weights; empty if there are none.

    Returns:
        SHA-256, in hexadecimal.

    Example:
        >>> cpu, gpu = '{"strength": 1.0, "device": "cpu"}', '{"strength": 1.0, "device": "cuda"}'
        >>> fingerprint("denoise", cpu, ["ab"], "") == fingerprint("denoise", gpu, ["ab"], "")
        True
    """
    options = json.loads(recipe)
    options = {name: options[name] for name in options if name not in _NOT_IN_FINGERPRINT}
    parts = [method, options, list(inputs), weights, algorithm_versions()]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@cache
def algorithm_versions() -> str:
    """Return the versions that an image's bytes depend on, without importing torch.

    Example:
        >>> algorithm_versions().split()[0]
        'impasto'
    """
    try:
        torch = version("torch")
    except PackageNotFoundError:  # a torch that no package manager installed
        torch = "?"
    return f"impasto {__version__} torch {torch}"
