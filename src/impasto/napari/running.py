"""Work in a thread beside the viewer: its progress, its end, and what went wrong in a sentence."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any

from napari.qt.threading import create_worker
from napari.utils.notifications import show_error, show_info
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QHBoxLayout, QProgressBar, QPushButton, QWidget

from impasto.errors import ImpastoError, printable
from impasto.result import Step

_INTERVAL = 0.05  # seconds at least between two reports
# What bad input, a full disk or too little memory raise, with a sentence of their own.
_EXPECTED = (ImpastoError, ValueError, TypeError, OSError, MemoryError)


class _Signals(QObject):
    stepped = Signal(object)


class RunBar(QWidget):
    """A progress bar and a button to cancel, for one piece of work at a time in a thread."""

    def __init__(self) -> None:
        super().__init__()
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.cancel_button = QPushButton("Cancel")
        self.cancel_button.clicked.connect(self.cancel)
        layout.addWidget(self.bar, 1)
        layout.addWidget(self.cancel_button)
        self._signals = _Signals()
        self._signals.stepped.connect(self._show)
        self._on_step: Callable[[Step], None] | None = None
        self._stop = threading.Event()
        self._last = 0.0
        self.running = False
        stop = self._stop  # of the run at hand; the widget may go while it runs
        self.destroyed.connect(lambda *_: stop.set())
        self._show_idle()

    def start(
        self,
        work: Callable[[Callable[[Step], None], Callable[[], bool]], Any],
        on_done: Callable[[Any], None],
        *,
        on_step: Callable[[Step], None] | None = None,
        on_end: Callable[[], None] | None = None,
    ) -> None:
        """Run something in a thread.

        Args:
            work: called there with an `on_step` for the library, which ends the run when it is
                cancelled, and a function that says whether it is.
            on_done: called here with what it returned, if it was not cancelled.
            on_step: called here with some of the steps.
            on_end: called here however it ends.
        """
        if self.running:
            show_info("impasto is at work; cancel it first")
            return
        self.running = True
        self._stop.clear()
        self._on_step = on_step
        self.bar.setRange(0, 0)  # until the first step
        self.cancel_button.setEnabled(True)
        self._last = 0.0

        def guarded() -> tuple[Any, Exception | None]:
            try:
                return work(self._report, self._stop.is_set), None
            except _EXPECTED as error:
                return None, error

        def finish(outcome: tuple[Any, Exception | None]) -> None:
            end()
            value, error = outcome
            if self._stop.is_set() and value is None:
                show_info("impasto: cancelled; nothing was changed")
            elif error is not None:
                show_error(f"impasto: {printable(str(error)) or type(error).__name__}")
            else:
                on_done(value)

        def end(*_: Any) -> None:
            if self.running:
                self.running = False
                self._show_idle()
                if on_end is not None:
                    on_end()

        create_worker(guarded, _connect={"returned": finish, "errored": end})

    def cancel(self) -> None:
        """End the work after its present step."""
        self._stop.set()
        self.cancel_button.setEnabled(False)

    def _report(self, step: Step) -> None:
        """Take a step, in the thread of the work."""
        if self._stop.is_set():
            raise StopIteration
        now = time.monotonic()
        if now - self._last >= _INTERVAL or step.evaluation == step.evaluations:
            self._last = now
            with contextlib.suppress(RuntimeError):  # the widget is gone
                self._signals.stepped.emit(step)

    def _show(self, step: Step) -> None:
        if not self.running:
            return
        self.bar.setRange(0, 1000)
        self.bar.setValue(round(1000 * step.evaluation / max(1, step.evaluations)))
        if self._on_step is not None:
            self._on_step(step)

    def _show_idle(self) -> None:
        self.bar.setRange(0, 1000)
        self.bar.setValue(0)
        self.cancel_button.setEnabled(False)
