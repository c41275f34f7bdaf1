"""What a running job tells whoever looks, and what it is told: steps, previews, stop, cancel."""

from __future__ import annotations

import math
import threading
import time
from typing import TYPE_CHECKING

from impasto.result import throughput
from impasto.serve.job import Job, Progress

if TYPE_CHECKING:
    from torch import Tensor

    from impasto.result import Step

PREVIEW = 1024  # pixels of a preview's longer side, at most
_EVERY = 0.4  # seconds at least between two previews
_SHARE = 20  # a preview takes at most one part in so many of the time
_QUALITY = 82


class Cancelled(Exception):
    """The job is not wanted any more."""


class JobProgress:
    """An `on_step` for one job, and the wishes that it heeds.

    Args:
        job: the job; its `step`, `history` and `preview` are kept up to date.

    Attributes:
        picture: the latest preview, a JPEG; None before the first.
        stop: set to end the run and keep its picture.
        cancel: set to end it and keep nothing.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.picture: bytes | None = None
        self.stop = threading.Event()
        self.cancel = threading.Event()
        self._rate = throughput()
        self._next = -math.inf

    def wanted(self) -> bool:
        """Whether the run is to end here with the picture it has; raises where with none."""
        if self.cancel.is_set():
            raise Cancelled
        return self.stop.is_set()

    def __call__(self, step: Step) -> None:
        """Note a step; ends the run where that is wished."""
        rate = self._rate(step)
        self.job.step = Progress(
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
            losses = (float(f"{one:.6g}") for one in step.losses.values())
            self.job.history.append((step.evaluation, *losses))
        self._show(step)
        if self.wanted():
            raise StopIteration

    def _show(self, step: Step) -> None:
        """Make a preview, if the last one is old enough."""
        now = time.monotonic()
        if now < self._next:
            return
        self.picture = preview(step.picture())
        self.job.preview += 1
        spent = time.monotonic() - now
        self._next = now + max(_EVERY, _SHARE * spent)


def preview(pixels: Tensor) -> bytes:
    """A JPEG of a picture or a plane, (C, H, W), made small enough to be sent often."""
    from impasto.images.resize import fit_longest_side, resize
    from impasto.images.write import encode

    high, wide = pixels.shape[-2:]
    if len(pixels) not in (1, 3):  # channels that are no colors
        pixels = pixels[:1]
    small = resize(pixels, fit_longest_side((wide, high), min(PREVIEW, max(wide, high))))
    if not (small.min() >= 0 and small.max() <= 1):  # measured data has numbers of its own
        small = (small - small.min()) / (small.max() - small.min()).clamp(min=1e-12)
    return encode(small, "jpeg", quality=_QUALITY)
