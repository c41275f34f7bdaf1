"""How fast a run goes, from its steps."""

from __future__ import annotations

from collections.abc import Callable

from impasto.result import Step


def throughput() -> Callable[[Step], float]:
    """A function that turns the steps of one run into evaluations a second at the present scale.

    Example:
        >>> from impasto.result import Losses
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
