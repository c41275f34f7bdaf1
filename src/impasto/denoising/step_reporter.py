"""Count the parts of a denoising run and hand them to `on_step`."""

from __future__ import annotations

import time
from collections.abc import Callable

from torch import Tensor

from impasto.result import OnStep, Step


class StepReporter:
    """Counts the parts of a run's work and hands each to `on_step` as a `Step`.

    Args:
        on_step: called with each step; None for nobody.
        size: (width, height) of a plane.
        planes: how many planes the run has.
        inner: rows and columns that are shown of what is denoised.

    Attributes:
        stopped: True if `on_step` ended the run.
    """

    def __init__(
        self,
        on_step: OnStep | None,
        size: tuple[int, int],
        planes: int = 1,
        inner: tuple[slice, slice] = (slice(None), slice(None)),
    ) -> None:
        self.stopped = False
        self._on_step = on_step
        self._size = size
        self._planes = planes
        self._inner = inner
        self._finished = 0  # planes
        self._shares: dict[int, float] = {}  # that are done of those after them
        self._start = time.monotonic()

    @property
    def plane(self) -> int:
        """Return the number of the first plane that is not finished, from 1."""
        return min(self._finished + 1, self._planes)

    @property
    def seconds(self) -> float:
        """Return the seconds since the run began."""
        return time.monotonic() - self._start

    def finish(self) -> None:
        """Count the first plane that is not finished as done."""
        self._finished += 1
        self._shares.pop(self._finished, None)

    def report(self, done: int, parts: int, image: Callable[[], Tensor]) -> bool:
        """Report that a part of a plane's work is done; return False if the run is to end.

        Args:
            done: parts that are done, from 1.
            parts: of a plane's work.
            image: returns the plane so far, (C, H, W) on the CPU.
        """
        return self.report_plane(self._finished + 1, done, parts, image)

    def report_plane(self, plane: int, done: int, parts: int, image: Callable[[], Tensor]) -> bool:
        """Report the same of a plane, from 1, while others are at work too."""
        if self._on_step is None or self.stopped:
            return not self.stopped
        self._shares[plane] = done / parts
        evaluations = self._planes * parts
        evaluation = round((self._finished + sum(self._shares.values())) * parts)
        step = Step(
            evaluation=evaluation,
            evaluations=evaluations,
            scale=self.plane,
            scales=self._planes,
            size=self._size,
            losses=None,
            seconds=self.seconds,
            left=float(evaluations - evaluation),
            picture=lambda: image()[..., *self._inner],
        )
        try:
            self._on_step(step)
        except StopIteration:
            self.stopped = True
        return not self.stopped
