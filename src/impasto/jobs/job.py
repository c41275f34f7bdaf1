"""A job: what to make from which files, its state, its progress, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, Field, field_validator

from impasto.images.clip_names import is_video
from impasto.methods import METHODS, Recipe

# A job waits, runs and ends. Manifests of batches say `pending` where the server says `queued`,
# and keep jobs that were put aside; both words are in files on disk, so both stay.
Status = Literal[
    "queued", "pending", "running",
    "done", "stopped", "failed", "cancelled", "interrupted", "quarantined", "skipped",
]  # fmt: skip
PENDING, RUNNING, DONE, STOPPED, FAILED, CANCELLED, INTERRUPTED, QUARANTINED, SKIPPED = (
    "pending", "running", "done", "stopped", "failed", "cancelled", "interrupted", "quarantined",
    "skipped",
)  # fmt: skip
RETRYABLE = (STOPPED, FAILED, CANCELLED, INTERRUPTED)
ENDED = (DONE, *RETRYABLE)

MAX_POINTS = 500  # losses of an ended job that are stored, enough for a curve


@dataclass(frozen=True)
class Job:
    """One image to make.

    Attributes:
        method: name in `METHODS`.
        recipe: every option, as JSON.
        inputs: role -> path or URL. Roles are content, init, protect, keep, and for each style
            from 1 style-1, region-1, mask-1; model is the file of a fitted one.
        output: file or folder for the result.
        weights: role of a style -> its weight; 1 if missing.
        strip: leave out all metadata of the input.
        film: options that only films have, as JSON.
    """

    method: str
    recipe: str
    inputs: Mapping[str, str]
    output: str
    weights: Mapping[str, float] = field(default_factory=dict)
    strip: bool = False
    film: str = "{}"

    @property
    def makes_film(self) -> bool:
        """Whether the content is a video, of which a film is made."""
        return bool(METHODS[self.method].of_videos) and is_video(self.inputs["content"])

    @property
    def options(self) -> Recipe:
        """The recipe, parsed."""
        return METHODS[self.method].recipe.model_validate_json(self.recipe)


class JobProgress(BaseModel):
    """How far a running job is."""

    evaluation: int = Field(description="evaluations of the loss that were made")
    evaluations: int = Field(description="how many are planned")
    scale: int = Field(description="the scale being painted, or the plane being denoised, from 1")
    scales: int = Field(description="number of scales or planes")
    width: int = Field(description="of the present scale, in pixels")
    height: int = Field(description="of the present scale, in pixels")
    seconds: float = Field(description="since the run began")
    left: float | None = Field(description="seconds that are left, estimated")


class LossPoint(BaseModel):
    """The losses of one evaluation."""

    evaluation: int
    losses: dict[str, float] = Field(description="weighted losses by name; `total` is their sum")


class JobState(BaseModel):
    """The part of a job's record that changes while it waits, runs and ends."""

    status: Status = "queued"
    started: float | None = None
    ended: float | None = None
    reason: str | None = None
    history: list[LossPoint] = []
    # Only of a running job.
    step: JobProgress | None = Field(None, exclude=True)
    preview: int = Field(0, exclude=True)

    @field_validator("history", mode="before")
    @classmethod
    def _read_old_points(cls, points: Any) -> Any:
        # Records written before losses had names hold [evaluation, total, content, style].
        if not isinstance(points, list):
            return points
        names = ("total", "content", "style")
        return [
            {"evaluation": point[0], "losses": dict(zip(names, point[1:], strict=True))}
            if isinstance(point, (list, tuple))
            else point
            for point in points
        ]


@dataclass(frozen=True)
class Outcome:
    """How an attempt to run a job ended.

    Attributes:
        status: done, stopped, cancelled or failed.
        seconds: how long it took.
        saved: what saving the result returned; None unless done or stopped.
        reason: why it failed, in a sentence; None unless failed.
        permanent: True if another attempt would fail in the same way.
        frames: input -> pictures in its file, where only the first of several was used.
        notes: input or output -> what was left out of it or taken for what, each the end of a
            sentence that begins with the file's name.
    """

    status: Status
    seconds: float
    saved: Any = None
    reason: str | None = None
    permanent: bool = False
    frames: Mapping[str, int] = field(default_factory=dict)
    notes: Mapping[str, Sequence[str]] = field(default_factory=dict)


def thin_history(history: list[LossPoint]) -> list[LossPoint]:
    """Return at most `MAX_POINTS` points, evenly spaced, with the first and the last.

    Example:
        >>> points = [LossPoint(evaluation=n, losses={"total": 1.0}) for n in range(2000)]
        >>> len(thin_history(points))
        500
    """
    count = len(history)
    if count <= MAX_POINTS:
        return list(history)
    return [history[round(n * (count - 1) / (MAX_POINTS - 1))] for n in range(MAX_POINTS)]
