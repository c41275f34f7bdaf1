"""Watching a run in a notebook: a bar, the picture coming into being, and a way to stop."""

from __future__ import annotations

import base64
import sys
import time
from collections.abc import Callable
from typing import Any

from impasto.result import Step

_EVERY = 0.25  # seconds at least between two looks
_PREVIEW = 384  # pixels of the preview's longer side, at most
_PREVIEW_EVERY = 2.0  # seconds at least between two previews


class Watch:
    """An `on_step` that shows a run: in a notebook as a live bar, elsewhere as a line on stderr.

    Args:
        preview: whether to show the picture as it comes into being, where pictures can be shown.

    Attributes:
        steps: how many evaluations were seen.

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
        self._shown = self._pictured = -float("inf")
        self._picture = ""
        self._show = _display() or _line

    def __call__(self, step: Step) -> None:
        """Show a step; ends the run where that was asked for."""
        self.steps += 1
        now, ends = time.perf_counter(), step.evaluation >= step.evaluations
        if ends or now - self._shown >= _EVERY:
            self._shown = now
            wants = self.preview and self._show is not _line
            if wants and (ends or now - self._pictured >= _PREVIEW_EVERY):
                self._pictured = now
                self._picture = _preview(step)
            self._show(_words(step), step.evaluation / step.evaluations, self._picture, ends)
        if self._stopped:
            raise StopIteration

    def stop(self) -> None:
        """End the run after its next evaluation and keep the best picture so far.

        Call it from another cell, thread or button; a run that is not there yet ends as it begins.
        """
        self._stopped = True


def _words(step: Step) -> str:
    """A step in words."""
    pace = step.seconds / max(1, step.evaluation)
    left = max(0.0, step.left * pace)
    loss = "" if step.losses is None else f"   loss {step.losses['total']:.4g}"
    size = f"{step.size[0]} × {step.size[1]}"
    return f"{step.evaluation} of {step.evaluations}   {size}{loss}   {left:.0f} s left"


def _line(words: str, share: float, picture: str, ends: bool) -> None:
    """Write one line on stderr over the last one."""
    sys.stderr.write(f"\r{words}\x1b[K" + ("\n" if ends else ""))
    sys.stderr.flush()


def _display() -> Callable[[str, float, str, bool], None] | None:
    """What shows a step in a notebook; None where there is none."""
    shell: Any = None
    if ipython := sys.modules.get("IPython"):
        shell = ipython.get_ipython()
    if shell is None or not hasattr(shell, "kernel"):
        return None
    from IPython.display import HTML, display

    handle: Any = None

    def show(words: str, share: float, picture: str, ends: bool) -> None:
        nonlocal handle
        page = HTML(
            f'<div><progress value="{share:.4f}" max="1" style="width:24em"></progress> '
            f"<code>{words}</code></div>{picture}"
        )
        if handle is None:
            handle = display(page, display_id=True)
        else:
            handle.update(page)

    return show


def _preview(step: Step) -> str:
    """The present picture as an element of a page."""
    from impasto.images.resize import fit_longest_side, resize
    from impasto.images.write import encode

    pixels = step.picture()
    high, wide = pixels.shape[1:]
    small = resize(pixels, fit_longest_side((wide, high), min(_PREVIEW, max(wide, high))))
    data = base64.b64encode(encode(small, "jpeg", quality=85)).decode()
    return f'<img alt="the painting so far" src="data:image/jpeg;base64,{data}">'
