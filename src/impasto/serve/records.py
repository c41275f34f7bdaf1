"""Records of jobs: the folder that stores them, and the view of them that the API returns."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from filelock import FileLock, Timeout
from pydantic import BaseModel, Field

from impasto.errors import ImageError, ImpastoError
from impasto.files import atomic_path, ensure_directory, stale_temporary_files
from impasto.jobs.job import (
    ENDED,
    INTERRUPTED,
    RETRYABLE,
    RUNNING,
    Job,
    JobProgress,
    JobState,
    LossPoint,
    Status,
    thin_history,
)
from impasto.methods import METHODS
from impasto.serve.job_methods import JobMethodName
from impasto.serve.limits import is_full, storing
from impasto.serve.problems import RequestError

if TYPE_CHECKING:
    from impasto.provenance import Input, Inputs
    from impasto.result import Diagnosis

CHECKPOINT = "checkpoint"  # folder of an unfinished run, in a job's folder
FORMATS = ("png", "png16", "jpeg", "webp", "tiff", "tiff16")
INTERRUPTED_REASON = "the server ended while this was running; retry goes on from where it was"

_ID = re.compile(r"[0-9a-f]{16}")
_DRAFT = "coming-"  # prefix of a job's folder until all of its files are there
_RECORD = "job.json"


class Upload(BaseModel):
    """An input file of a job."""

    role: str = Field(
        description="content, style-1, region-1, mask-1, protect, keep, init, photograph-1 or model"
    )
    name: str = Field(description="the file's name on the user's machine")
    file: str = Field(description="the file's name in the job's folder")
    sha256: str
    width: int
    height: int
    weight: float | None = Field(None, description="of a style")
    frames: int | None = Field(None, description="of a clip")
    rate: float | None = Field(None, description="frames a second of a clip")
    notes: list[str] = Field(
        [],
        description="what of the file is left out, converted, or taken for what; each the end of a "
        "sentence that begins with its name",
    )


class NoiseInfo(BaseModel):
    """The noise of a picture, as `impasto.diagnose` finds it."""

    kind: str
    sigma: list[float] = Field(description="standard deviation in each channel, 1 being white")
    correlation: float
    clipped: tuple[bool, bool]
    method: str | None = Field(description="the method that removes it; null if there is none")
    words: str
    specks: float = Field(0.0, description="share of the values that are specks")
    stack: bool = Field(description="true for scientific data")
    planes: int = Field(1, description="planes that were examined one by one")
    changed: int = Field(0, description="those of them that a method runs on")
    width: int
    height: int
    notes: list[str] = Field([], description="on the file, as those of a job's inputs")

    @classmethod
    def of(cls, diagnosis: Diagnosis, size: tuple[int, int], *, stack: bool) -> NoiseInfo:
        """Return a diagnosis as the API shows it."""
        planes = diagnosis.planes or (diagnosis,)
        return cls(
            kind=diagnosis.kind,
            sigma=list(diagnosis.sigma),
            correlation=diagnosis.correlation,
            clipped=diagnosis.clipped,
            method=diagnosis.method,
            words=diagnosis.words,
            specks=diagnosis.specks,
            stack=stack,
            planes=len(planes),
            changed=sum(plane.method is not None for plane in planes),
            width=size[0],
            height=size[1],
        )


class ResultInfo(BaseModel):
    """The result of a job."""

    width: int
    height: int
    seconds: float
    bits: int = Field(description="bits a channel of the content image")
    stack: bool = Field(description="true for scientific data, which is given as TIFF only")
    formats: list[str] = Field(description="formats that it can be downloaded in")
    diagnosis: NoiseInfo | None = None
    method: str | None = Field(None, description="the method of denoising that ran")
    frames: int | None = Field(None, description="of a film")
    rate: float | None = Field(None, description="frames a second of a film")
    unlikeness: float | None = Field(
        None,
        description="how unlike the pictures of the fit a picture is that a model painted; above 1 "
        "it is unlike all of them",
    )
    notes: list[str] = Field([], description="what of a film was left out or changed")


class JobRecord(JobState):
    """A job of the server, as it is stored in its folder."""

    id: str
    method: JobMethodName
    created: float = Field(default_factory=time.time)
    title: str = ""
    recipe: dict[str, Any]
    uploads: list[Upload]
    result: ResultInfo | None = None
    key: str | None = Field(None, description="Idempotency-Key of the request that made it")
    request: str | None = Field(None, description="fingerprint of that request")
    version: int = Field(0, exclude=True)  # grows with every change that is worth an event

    def job(self, folder: Path) -> Job:
        """Return the job to run, with its files in `folder`."""
        return Job(
            self.method,
            json.dumps(self.recipe),
            {upload.role: str(folder / upload.file) for upload in self.uploads},
            str(folder),
            {upload.role: upload.weight for upload in self.uploads if upload.weight is not None},
        )

    def public_message(self, message: str, folder: Path) -> str:
        """Replace the paths in a message by the names that the user's files have."""
        for upload in self.uploads:
            message = message.replace(str(folder / upload.file), upload.name)
        return message.replace(str(folder), "its folder")


class InputView(BaseModel):
    """An input as the API shows it."""

    role: str
    name: str
    sha256: str
    width: int
    height: int
    weight: float | None
    frames: int | None = Field(None, description="of a clip")
    rate: float | None = Field(None, description="frames a second of a clip")
    notes: list[str] = Field(
        description="what of the file is left out, converted, or taken for what; each the end of a "
        "sentence that begins with its name",
    )
    url: str


class JobView(BaseModel):
    """A job as the API shows it; times are seconds since 1970."""

    id: str
    method: JobMethodName
    status: Status
    created: float
    started: float | None
    ended: float | None
    position: int | None = Field(description="place in the queue, from 1; null if not waiting")
    title: str
    recipe: dict[str, Any]
    reason: str | None = Field(description="why it failed or was interrupted, in a sentence")
    inputs: list[InputView]
    step: JobProgress | None
    history: list[LossPoint] = Field(description="losses of each evaluation, by name")
    preview: int = Field(description="number of the latest preview, 0 before the first")
    result: ResultInfo | None
    retryable: bool
    expires: Annotated[float, Field(description="when it will be deleted")] | None

    @classmethod
    def of(cls, record: JobRecord, position: int | None, keep_hours: float) -> JobView:
        """Return the view of a record.

        Args:
            record: the job.
            position: place in the queue, from 1; None if it does not wait.
            keep_hours: hours that an ended job is kept.
        """
        inputs = [
            InputView(
                **upload.model_dump(exclude={"file"}),
                url=f"/v1/jobs/{record.id}/inputs/{upload.role}",
            )
            for upload in record.uploads
        ]
        names = set(cls.model_fields) & set(JobRecord.model_fields) - {"history"}
        return cls(
            **{name: getattr(record, name) for name in names},
            history=thin_history(record.history),
            position=position,
            inputs=inputs,
            retryable=record.status in RETRYABLE,
            expires=None if record.ended is None else record.ended + 3600 * keep_hours,
        )


def inputs_by_role(inputs: Inputs) -> list[tuple[str, Input, float | None]]:
    """List the inputs in a provenance as (role, input, weight), with the API's roles."""
    listed: list[tuple[str, Input | None, float | None]] = []
    for number, style in enumerate(inputs.styles, 1):
        listed.append((f"style-{number}", style.pictures[0], style.weight))
        listed.append((f"region-{number}", style.region, None))
        listed.append((f"mask-{number}", style.mask, None))
    for role in ("content", "model", *METHODS["style"].optional_inputs):
        listed.append((role, getattr(inputs, role), None))
    return [item for item in listed if item[1] is not None]


class Store:
    """A folder with a subfolder for each job, for one server at a time.

    Args:
        folder: made if it is missing, readable for this user alone.

    Raises:
        ImpastoError: another server uses it.
        ImageError: it cannot be made or written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            ensure_directory(folder)
        except ImageError as error:
            # On a full disk, what is there can still be shown and deleted.
            if not (folder.is_dir() and is_full(error.__context__)):
                raise
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
        except OSError as error:
            if not is_full(error):
                raise ImpastoError(
                    f"`folder` must be a place that can be written, got {folder}: "
                    f"{(error.strerror or str(error)).lower()}; choose another"
                ) from None
        for draft in folder.glob(f"{_DRAFT}*"):
            shutil.rmtree(draft, ignore_errors=True)

    def close(self) -> None:
        """Release the folder to another server."""
        self._lock.release()

    def create_draft(self) -> tuple[str, Path]:
        """Return the id of a new job, and the folder to put its files into."""
        job_id = secrets.token_hex(8)
        draft = self.folder / f"{_DRAFT}{job_id}"
        with storing():
            draft.mkdir(mode=0o700)
        return job_id, draft

    def discard_draft(self, job_id: str) -> None:
        """Delete the folder of a job that was not added."""
        shutil.rmtree(self.folder / f"{_DRAFT}{job_id}", ignore_errors=True)

    def add(self, record: JobRecord) -> None:
        """Store a job whose files are all in its draft."""
        draft = self.folder / f"{_DRAFT}{record.id}"
        with storing():
            self._write(draft, record)
            os.replace(draft, self.path(record.id))

    def save(self, record: JobRecord) -> None:
        """Store the present state of a job.

        Raises:
            RequestError: the disk is full or fails; the state before is still there.
        """
        with storing():
            self._write(self.path(record.id), record)

    def path(self, job_id: str) -> Path:
        """Return the folder of a job."""
        return self.folder / job_id

    def remove(self, job_id: str) -> None:
        """Delete a job and its files.

        Raises:
            RequestError: its folder cannot be changed; the job is still there.
        """
        # As a draft it is no job any more, even if some of its files stay until the next start.
        with storing(), contextlib.suppress(FileNotFoundError):
            os.replace(self.path(job_id), self.folder / f"{_DRAFT}{job_id}")
        self.discard_draft(job_id)

    def load(self) -> list[JobRecord]:
        """Return the stored jobs, the oldest first; those that were running are interrupted."""
        records = []
        for folder in self.folder.iterdir():
            if not _ID.fullmatch(folder.name):
                continue
            for file in stale_temporary_files(folder, ""):
                with contextlib.suppress(OSError):
                    file.unlink()
            try:
                record = JobRecord.model_validate_json((folder / _RECORD).read_bytes())
            except (OSError, ValueError):
                continue  # not a job, or of a later version: left where it is
            if record.id != folder.name:
                continue
            if record.status == RUNNING:
                record.status, record.reason = INTERRUPTED, INTERRUPTED_REASON
                record.ended = time.time()
                with contextlib.suppress(RequestError):  # the next start finds it as this one did
                    self.save(record)
            records.append(record)
        return sorted(records, key=lambda record: record.created)

    def _write(self, folder: Path, record: JobRecord) -> None:
        """Write a record, whole or not at all."""
        history = thin_history(record.history) if record.status in ENDED else []
        record = record.model_copy(update={"history": history})
        with atomic_path(folder / _RECORD, overwrite=True) as temporary:
            temporary.write_text(record.model_dump_json(), encoding="utf-8")
