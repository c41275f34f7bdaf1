"""How far a batch is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Progress:
    """How far a batch is.

    Attributes:
        total: pictures in the plan.
        done: those that are there, made now or before.
        made: those made in this run.
        skipped: those left alone because something else is there.
        failed: output -> reason, of those that failed.
        seconds: since the run began.
        each: seconds a picture took, of those made now, in the order they were done.
        running: outputs being made.
        workers: how many work.
        stopped: whether the run was ended early.
    """

    total: int
    workers: int
    done: int = 0
    made: int = 0
    skipped: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    each: list[float] = field(default_factory=list)
    running: list[str] = field(default_factory=list)
    stopped: bool = False

    @property
    def left(self) -> int:
        """Pictures that nothing has become of yet."""
        return self.total - self.done - self.skipped - len(self.failed)

    @property
    def an_hour(self) -> float:
        """Pictures an hour, of those made now."""
        return 3600 * self.made / self.seconds if self.made else 0.0

    @property
    def remaining(self) -> float | None:
        """Seconds until all is done, at this pace; None where nothing tells yet."""
        return self.left * self.seconds / self.made if self.made else None


OnProgress = Callable[[Progress], None]
