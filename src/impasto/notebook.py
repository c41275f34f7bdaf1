"""Watch a run in a notebook: a bar, a preview, the losses as they fall, and a way to stop."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from html import escape
from typing import Any

from impasto.notebook_html import curve_html, picture_html
from impasto.result import Losses, Step

_INTERVAL = 0.25  # seconds at least between two updates
_PREVIEW_SIDE = 384  # pixels of the preview's longer side, at most
_PREVIEW_INTERVAL = 2.0  # seconds at least between two previews


class Watch:
    """A progress display for `on_step`: a live bar in a notebook, elsewhere a line on stderr.

    Args:
        preview: show the image so far and the losses of all evaluations as well, in a notebook.

    Attributes:
        steps: number of evaluations so far.

    Example:
        >>> import torch
        >>> from impasto import stylize
        >>> watch = Watch(preview=False)
        >>> result = stylize(
        ...     torch.rand(3, 32, 32), torch.rand(3, 32, 32), size=32, steps=3, on_step=watch
        ... )
        >>> watch.steps
        3
    """

    def __init__(self, *, preview: bool = True) -> None:
        self.preview = preview
        self.steps = 0
        self._stopped = False
        self._last_update = self._last_preview = -float("inf")
        self._preview_html = ""
        self._history: list[Losses] = []
        self._show = _notebook_display() or _show_line

    def __call__(self, step: Step) -> None:
        """Show a step; end the run if `stop` was called."""
        self.steps += 1
        if step.losses is not None:
            self._history.append(step.losses)
        now, finished = time.perf_counter(), step.evaluation >= step.evaluations
        if finished or now - self._last_update >= _INTERVAL:
            self._last_update = now
            previews = self.preview and self._show is not _show_line
            if previews and (finished or now - self._last_preview >= _PREVIEW_INTERVAL):
                self._last_preview = now
                self._preview_html = picture_html(
                    step.picture(), "the painting so far", _PREVIEW_SIDE
                )
            progress = step.evaluation / step.evaluations
            details = self._preview_html + (curve_html(self._history) if previews else "")
            self._show(_describe(step), progress, details, finished)
        if self._stopped:
            raise StopIteration

    def stop(self) -> None:
        """End the run after its next evaluation and keep the best image so far.

        Call it from another cell, thread or button; a run that has not begun ends as it begins.
        """
        self._stopped = True


def _describe(step: Step) -> str:
    seconds_left = max(0.0, step.left * step.seconds / max(1, step.evaluation))
    loss = "" if step.losses is None else f"   loss {step.losses['total']:.4g}"
    size = f"{step.size[0]} × {step.size[1]}"
    return f"{step.evaluation} of {step.evaluations}   {size}{loss}   {seconds_left:.0f} s left"


def _show_line(text: str, progress: float, details: str, finished: bool) -> None:
    """Write one line on stderr over the last one."""
    sys.stderr.write(f"\r{text}\x1b[K" + ("\n" if finished else ""))
    sys.stderr.flush()


def _notebook_display() -> Callable[[str, float, str, bool], None] | None:
    """Return a function that shows a step in a notebook; None outside of notebooks."""
    shell: Any = None
    if ipython := sys.modules.get("IPython"):
        shell = ipython.get_ipython()
    if shell is None or not hasattr(shell, "kernel"):
        return None
    from IPython.display import HTML, display

    handle: Any = None

    def show(text: str, progress: float, details: str, finished: bool) -> None:
        nonlocal handle
        page = HTML(
            f'<div><progress value="{progress:.4f}" max="1" style="width:24em"></progress> '
            f"<code>{escape(text)}</code></div>{details}"
        )
        if handle is None:
            handle = display(page, display_id=True)
        else:
            handle.update(page)

    return show
