"""Stop a run from outside, and report its progress, losses and previews."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from impasto.jobs.job import JobProgress, JobState, LossPoint
from impasto.jobs.load import FreeCores

if TYPE_CHECKING:
    from torch import Tensor

    from impasto.result import OnStep, Step

PREVIEW_SIDE = 1024  # pixels
_PREVIEW_INTERVAL = 0.4  # seconds at least between two previews
_PREVIEW_COST = 20  # previews take at most one part in so many of the time
_JPEG_QUALITY = 82


def throughput() -> Callable[[Step], float]:
    """Return a function that turns the steps of one run into evaluations a second at their scale.

    Example:
        >>> from impasto.result import Losses, Step
        >>> losses = Losses(total=1, content=0, style=1)
        >>> rate = throughput()
        >>> for evaluation, seconds in ((1, 5.0), (2, 5.5), (3, 6.0)):  # five seconds of loading
        ...     step = Step(
        ...         evaluation, 9, 1, 1, (64, 64), losses, seconds, 1, lambda: None
        ...     )
        ...     latest = rate(step)
        >>> latest
        2.0
    """
    scale, first, since, latest = 0, 0, 0.0, 0.0

    def rate(step: Step) -> float:
        nonlocal scale, first, since, latest
        if not scale:  # the first evaluation's time holds the loading of the network too
            first, since = step.evaluation, step.seconds
        elif step.scale != scale:
            first, since = step.evaluation - 1, latest
        scale, latest = step.scale, step.seconds
        made = step.evaluation - first
        # With nothing else to go by, all that went before, in an earlier process maybe.
        return (made or step.evaluation) / max(step.seconds - (since if made else 0), 1e-6)

    return rate


class JobCancelled(Exception):
    """The run was cancelled: end it without a result."""


class StopEvent(threading.Event):
    """A request, from any thread, to end a run.

    `set` ends the run and keeps the image made so far; `cancel` ends it without a result. The
    event itself is a method's `stop` argument, and `on_step(...)` its `on_step`.

    Example:
        >>> stop = StopEvent()
        >>> stop(), stop.set(), stop()
        (False, None, True)
    """

    def __init__(self) -> None:
        super().__init__()
        self.cancelled = False

    def cancel(self) -> None:
        """Ask the run to end without a result."""
        self.cancelled = True
        self.set()

    def __call__(self) -> bool:
        """Return True if the run is to end; raise `JobCancelled` if without a result."""
        if self.cancelled:
            raise JobCancelled
        return self.is_set()

    def on_step(self, *watchers: OnStep) -> OnStep:
        """Return an `on_step` that calls every watcher, then ends the run if that was asked.

        Example:
            >>> StopEvent().on_step(print)("a step")
            a step
        """

        def on_step(step: Step) -> None:
            for watcher in watchers:
                watcher(step)
            if self():
                raise StopIteration

        return on_step


class JobReporter:
    """Keeps a job's state up to date while it runs; its `on_step` goes to the method.

    Args:
        state: its `step`, `history` and `preview` are updated.

    Attributes:
        stop: set it to end the run.
        preview: the latest preview, a JPEG; None before the first.
    """

    def __init__(self, state: JobState) -> None:
        self.state = state
        self.stop = StopEvent()
        self.preview: bytes | None = None
        self.on_step = self.stop.on_step(self._record)
        self._rate = throughput()
        self._cores = FreeCores()
        self._next_preview = -math.inf

    def show(self, pixels: Tensor) -> None:
        """Make a new preview, of pixels (C, H, W)."""
        self.preview = encode_preview(pixels)
        self.state.preview += 1

    def _record(self, step: Step) -> None:
        self._cores.adapt()
        rate = self._rate(step)
        self.state.step = JobProgress(
            evaluation=step.evaluation,
            evaluations=step.evaluations,
            scale=step.scale,
            scales=step.scales,
            width=step.size[0],
            height=step.size[1],
            seconds=round(step.seconds, 3),
            left=round(step.left / rate, 1) if rate > 0 else None,
        )
        if step.losses is not None and math.isfinite(step.losses["total"]):
            losses = {name: float(f"{loss:.6g}") for name, loss in step.losses.items()}
            self.state.history.append(LossPoint(evaluation=step.evaluation, losses=losses))
        started = time.monotonic()
        if started >= self._next_preview:
            self.show(step.picture())
            cost = time.monotonic() - started
            self._next_preview = started + max(_PREVIEW_INTERVAL, _PREVIEW_COST * cost)


def encode_preview(pixels: Tensor) -> bytes:
    """Return a small JPEG of an image or a plane (C, H, W)."""
    from impasto.images.resize import thumbnail
    from impasto.images.write import encode

    if len(pixels) not in (1, 3):  # channels that are not colors
        pixels = pixels[:1]
    small = thumbnail(pixels, PREVIEW_SIDE)
    if not (small.min() >= 0 and small.max() <= 1):  # scientific data has its own range
        small = (small - small.min()) / (small.max() - small.min()).clamp(min=1e-12)
    return encode(small, "jpeg", quality=_JPEG_QUALITY)
