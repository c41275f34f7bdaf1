"""The manifest of a batch: the state of every image, in a SQLite file that outlives the run.

One process writes it, the one that gives out the work. Each image is a row.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

from impasto._version import __version__
from impasto.batch import storage
from impasto.batch.storage import FileStamp
from impasto.errors import ImageError, ImpastoError, printable
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
    written TEXT,
    notes TEXT
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
# Options that change where and in how many pieces an image is computed, not what was asked for.
_NOT_IN_FINGERPRINT = frozenset({"device", "memory", "tiles"})


# The output, then the fields of `Row`, in order.
_COLUMNS = (
    *("output", "status", "attempts", "reason", "seconds", "fingerprint"),
    *("job", "algorithm", "seen", "written", "notes"),
)


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
        notes: JSON of what was left out of its files, or taken for what: file -> notes; empty
            for nothing.
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
    notes: str = ""

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
        except (OSError, sqlite3.Error) as error:
            raise self._unusable(error) from None
        self._database.text_factory = lambda data: data.decode(errors="replace")
        try:
            # The file is its own lock, released when the process that holds it ends.
            self._database.executescript(f"PRAGMA locking_mode=EXCLUSIVE; {_MODES} {_TABLES}")
            self._add_missing_columns()
            version = self.setting("version", _VERSION)
        except sqlite3.Error as error:
            self.close()
            raise self._unusable(error) from None
        if version != _VERSION:
            self.close()
            raise ImageError(
                f"the manifest must be of version {_VERSION}, got {version} in {self.path}; "
                "update impasto"
            )

    def setting(self, name: str, default: int) -> int:
        """Return a setting of the whole batch; the first run stores its own as the default."""
        with suppress(sqlite3.OperationalError):  # a full disk: this run alone has it then
            self._database.execute(
                "INSERT OR IGNORE INTO facts VALUES (?, ?)", (name, json.dumps(default))
            )
        query = "SELECT value FROM facts WHERE name = ?"
        row = self._database.execute(query, (name,)).fetchone()
        try:
            value = json.loads(row[0]) if row else default
        except (ValueError, TypeError, RecursionError):  # what no version of impasto wrote
            return default
        return value if type(value) is int and value > 0 else default

    def load(self, outputs: Sequence[str] | None = None) -> dict[str, Row]:
        """Return rows by their outputs, but for those that no version of impasto wrote.

        Args:
            outputs: whose rows; None for all.

        Raises:
            ImageError: the file is damaged.
        """
        query = f"SELECT {', '.join(_COLUMNS)} FROM pictures"
        try:
            if outputs is None:
                rows = self._database.execute(query).fetchall()
            else:
                one = f"{query} WHERE output = ?"
                keys = [(_to_key(output),) for output in outputs]
                rows = [row for key in keys for row in self._database.execute(one, key)]
        except sqlite3.Error as error:
            raise self._unusable(error) from None
        return {_from_key(key): row for key, *values in rows if (row := _read_row(values))}

    def save(self, rows: Iterable[tuple[str, Row]]) -> None:
        """Write rows by their outputs, all or none.

        Raises:
            ImpastoError: they cannot be written; what was written before is still there.
        """
        columns, marks = ", ".join(_COLUMNS), ",".join("?" * len(_COLUMNS))
        values = [(_to_key(output), *map(_encodable, row)) for output, row in rows]
        try:
            with self._transaction():
                self._database.executemany(
                    f"INSERT OR REPLACE INTO pictures ({columns}) VALUES ({marks})", values
                )
        except sqlite3.Error as error:
            raise ImpastoError(
                f"the manifest must be a file that can be written, got {self.path}: "
                f"{printable(str(error))}; make "
                "room for it, and run the same batch again, which recognizes what is done"
            ) from None

    def close(self) -> None:
        """Close the file and release it to another run."""
        with suppress(sqlite3.Error):
            self._database.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._database.execute("COMMIT")
        except BaseException:
            if self._database.in_transaction:  # SQLite ends it itself where the disk is full
                self._database.execute("ROLLBACK")
            raise

    def _add_missing_columns(self) -> None:
        """Add the columns that a table of another version does not have; they are empty."""
        known = {row[1] for row in self._database.execute("PRAGMA table_info(pictures)")}
        if not known.issuperset(("output", "status")):
            raise sqlite3.DatabaseError("its pictures are another program's")
        for column in _COLUMNS:
            if column not in known:
                self._database.execute(f"ALTER TABLE pictures ADD COLUMN {column}")

    def _unusable(self, error: Exception) -> ImpastoError:
        """Word the error for a file that is no use as a manifest, or that another run has."""
        # The lowest byte is the kind of error, the others tell its cause.
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
            return ImpastoError(
                f"{self.path} must belong to one run at a time, got one that is still going; "
                "wait for it, or stop it"
            )
        return ImageError(
            "the manifest must be a file that can be written, got "
            f"{self.path}: {printable(str(error))}; "
            "choose another folder, or remove it: finished pictures are recognized without it"
        )


def _read_row(values: Sequence[Any]) -> Row | None:
    """Return the row with values in the order of its columns; None if a type is wrong."""
    status, attempts, reason, seconds, mark, *texts = values
    # None is in columns that were added.
    attempts, texts = attempts or 0, ["" if text is None else text for text in texts]
    if type(attempts) is not int or not isinstance(seconds, (int, float, type(None))):
        return None
    if not all(isinstance(text, str) for text in (status, *texts)):
        return None
    if not all(isinstance(text, (str, type(None))) for text in (reason, mark)):
        return None
    return Row(status, attempts, reason, seconds, mark, *texts)


def read_notes(row: Row) -> dict[str, list[str]]:
    """Return the notes of a row by their files; none where no version of impasto wrote them."""
    try:
        notes = json.loads(row.notes or "{}")
        return {str(place): [str(note) for note in each] for place, each in notes.items()}
    except (ValueError, TypeError, AttributeError, RecursionError):
        return {}


def _to_key(output: str) -> str | bytes:
    """Return an output as SQLite can hold it: as bytes if its name is not Unicode."""
    try:
        output.encode()
    except UnicodeEncodeError:
        return output.encode("utf-8", "surrogatepass")
    return output


def _from_key(key: str | bytes) -> str:
    return key.decode("utf-8", "surrogatepass") if isinstance(key, bytes) else str(key)


def _encodable(value: Any) -> Any:
    """Return a value of a row as SQLite can hold it."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


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
    second = job.inputs.get("style-1") or job.inputs.get("model", "")
    parts = [job.method, job.inputs["content"], second, job.recipe, *_writing(job.strip)]
    text = json.dumps([*parts, job.film] if job.film != "{}" else parts)
    return hashlib.sha256(text.encode()).hexdigest()


def input_stamps(job: Job, stamps: dict[str, FileStamp | None]) -> str:
    """Return the stamps of a job's inputs as text; `stamps` remembers those already read."""
    for path in job.inputs.values():
        if path not in stamps:
            stamps[path] = storage.file_stamp(path)
    return json.dumps([stamps[path] for path in job.inputs.values()])


def _writing(strip: bool) -> tuple[str, ...]:
    """Return how a file is written as part of a hash; nothing for the default, as it once was."""
    return ("strip",) if strip else ()


def fingerprint(
    method: str, recipe: str, inputs: Sequence[str], weights: str, *, strip: bool = False
) -> str:
    """Compute a hash of everything that an image's bytes depend on.

    The versions of impasto and torch are part of it; where the image is computed, and in which
    tiles, is not.

    Args:
        method: `style`, `denoise` or `apply`.
        recipe: JSON of the recipe.
        inputs: SHA-256 of content, and of style or model.
        weights: SHA-256 of the network's weights; empty if there are none.
        strip: whether all metadata of the input is left out.

    Returns:
        SHA-256, in hexadecimal.

    Example:
        >>> cpu, gpu = '{"strength": 1.0, "device": "cpu"}', '{"strength": 1.0, "device": "cuda"}'
        >>> fingerprint("denoise", cpu, ["ab"], "") == fingerprint("denoise", gpu, ["ab"], "")
        True
    """
    options = json.loads(recipe)
    options = {name: options[name] for name in options if name not in _NOT_IN_FINGERPRINT}
    parts = [method, options, list(inputs), weights, algorithm_versions(), *_writing(strip)]
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
