"""Ctrl-C once: finish this step and keep the picture. Twice: stop at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from impasto.result import OnStep, Step


@contextmanager
def interruptible(
    said: str = "stopping after this step; once more to stop at once",
) -> Iterator[threading.Event]:
    """Turn the first SIGINT or SIGTERM into a flag, and the second into KeyboardInterrupt.

    Args:
        said: what the first one is answered.

    Returns:
        A context manager that gives the flag; the handlers of before come back at its end.

    Example:
        >>> with interruptible() as asked:
        ...     signal.raise_signal(signal.SIGINT)
        ...     asked.is_set()
        True
    """
    asked = threading.Event()

    def handle(number: int, frame: FrameType | None) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()
        # Not through sys.stderr: the signal may have come in the middle of a write to it.
        os.write(2, f"\nimpasto: {said}\n".encode())

    if threading.current_thread() is not threading.main_thread():
        yield asked  # only the main thread may set handlers
        return
    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def stop_when_asked(asked: threading.Event, *watchers: OnStep) -> OnStep:
    """Tell every watcher of a step, then end the run if that was asked for.

    Example:
        >>> with interruptible() as asked:
        ...     stop_when_asked(asked, print)("a step")
        a step
    """

    def on_step(step: Step) -> None:
        for watcher in watchers:
            watcher(step)
        if asked.is_set():
            raise StopIteration

    return on_step
