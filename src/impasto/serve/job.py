"""A job as the server keeps it and as the API shows it."""

from __future__ import annotations

import time
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Status = Literal["queued", "running", "done", "stopped", "failed", "cancelled", "interrupted"]
Method = Literal["style", "denoise", "reconstruct"]
# Evaluation, total loss, content loss, style loss.
Point = tuple[int, float, float, float]

ENDED = ("done", "stopped", "failed", "cancelled", "interrupted")
RETRYABLE = ("stopped", "failed", "cancelled", "interrupted")
SHOWN = 500  # points of the losses that are kept of a job that has ended


class Progress(BaseModel):
    """Where a running job is."""

    evaluation: int = Field(description="evaluations of the loss that were made")
    evaluations: int = Field(description="how many are planned")
    scale: int = Field(description="which size is being painted, or which plane cleaned, from 1")
    scales: int = Field(description="how many there are")
    width: int = Field(description="of the present size, in pixels")
    height: int = Field(description="of the present size, in pixels")
    seconds: float = Field(description="since the run began")
    left: float | None = Field(description="seconds that are left, estimated")


class Upload(BaseModel):
    """A picture that a job was given."""

    role: str = Field(description="content, style-1, region-1, mask-1, protect, keep or init")
    name: str = Field(description="what the file was called where it came from")
    file: str = Field(description="what it is called in the job's folder")
    sha256: str
    width: int
    height: int
    weight: float | None = Field(None, description="of a style")


class Noise(BaseModel):
    """What noise a picture has, as `impasto.diagnose` says it."""

    kind: str
    sigma: list[float] = Field(description="standard deviation in each channel, 1 being white")
    correlation: float
    clipped: tuple[bool, bool]
    method: str | None = Field(description="what takes it away; null where nothing is to be done")
    words: str
    stack: bool = Field(description="whether it is measured data")
    width: int
    height: int


class Outcome(BaseModel):
    """What a job ended in."""

    width: int
    height: int
    seconds: float
    bits: int = Field(description="bits a channel that the content image had")
    stack: bool = Field(description="whether it is measured data, given out as TIFF only")
    formats: list[str] = Field(description="what it can be downloaded as")
    diagnosis: Noise | None = None
    method: str | None = Field(None, description="the method of denoising that ran")


class Job(BaseModel):
    """One picture to be made, from its request to its result."""

    model_config = ConfigDict(validate_assignment=False)

    id: str
    method: Method
    status: Status = "queued"
    created: float = Field(default_factory=time.time)
    started: float | None = None
    ended: float | None = None
    title: str = ""
    recipe: dict[str, Any]
    reason: str | None = None
    uploads: list[Upload]
    history: list[Point] = []
    result: Outcome | None = None
    # What only a running job has.
    step: Progress | None = Field(None, exclude=True)
    preview: int = Field(0, exclude=True)
    version: int = Field(0, exclude=True)


class Shown(BaseModel):
    """An input as the API shows it."""

    role: str
    name: str
    sha256: str
    width: int
    height: int
    weight: float | None
    url: str


class JobView(BaseModel):
    """A job as the API shows it; times are seconds since 1970."""

    id: str
    method: Method
    status: Status
    created: float
    started: float | None
    ended: float | None
    position: int | None = Field(description="place in the queue, from 1; null if not waiting")
    title: str
    recipe: dict[str, Any]
    reason: str | None = Field(description="why it failed or was interrupted, in a sentence")
    inputs: list[Shown]
    step: Progress | None
    history: list[Point] = Field(description="evaluation and losses: total, content, style")
    preview: int = Field(description="number of the latest preview, 0 before the first")
    result: Outcome | None
    retryable: bool
    expires: Annotated[float, Field(description="when it will be deleted")] | None


class Jobs(BaseModel):
    """All jobs, the newest first."""

    jobs: list[JobView]


def view(job: Job, position: int | None, keep_hours: float) -> JobView:
    """What the API shows of a job."""
    inputs = [
        Shown(**one.model_dump(exclude={"file"}), url=f"/v1/jobs/{job.id}/inputs/{one.role}")
        for one in job.uploads
    ]
    names = set(JobView.model_fields) & set(Job.model_fields) - {"history"}
    return JobView(
        **{name: getattr(job, name) for name in names},
        history=thinned(job.history),
        position=position,
        inputs=inputs,
        retryable=job.status in RETRYABLE,
        expires=None if job.ended is None else job.ended + 3600 * keep_hours,
    )


def thinned(history: list[Point]) -> list[Point]:
    """At most so many points as a curve needs, the first and the last among them.

    Example:
        >>> len(thinned([(n, 1.0, 0.5, 0.5) for n in range(2000)]))
        500
    """
    count = len(history)
    if count <= SHOWN:
        return list(history)
    return [history[round(place * (count - 1) / (SHOWN - 1))] for place in range(SHOWN)]
