"""Telling whoever watches how far a run is."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor

from impasto.result import Losses, OnStep, Step


@dataclass
class Watch:
    """Counts the parts of a run's work and hands each to `on_step`.

    Attributes:
        on_step: who watches; None for nobody.
        size: (width, height) of a plane.
        planes: how many planes the run has.
        plane: the one at work, from 1.
        began: when the run began, by the monotonic clock.
        stopped: whether who watches wanted the run to end.
    """

    on_step: OnStep | None
    size: tuple[int, int]
    planes: int = 1
    plane: int = 1
    began: float = field(default_factory=time.monotonic)
    stopped: bool = False

    @property
    def seconds(self) -> float:
        """Since the run began."""
        return time.monotonic() - self.began

    def goes_on(
        self, done: int, of: int, picture: Callable[[], Tensor], losses: Losses | None = None
    ) -> bool:
        """Tell that a part of a plane's work is done, and ask whether to go on.

        Args:
            done: parts that are done, from 1.
            of: parts of a plane's work.
            picture: gives the present picture.
            losses: of a network that is trained.
        """
        if self.on_step is None or self.stopped:
            return not self.stopped
        made, total = (self.plane - 1) * of + done, self.planes * of
        step = Step(
            evaluation=made,
            evaluations=total,
            scale=self.plane,
            scales=self.planes,
            size=self.size,
            losses=losses,
            seconds=self.seconds,
            left=float(total - made),
            picture=picture,
        )
        try:
            self.on_step(step)
        except StopIteration:
            self.stopped = True
        return not self.stopped
