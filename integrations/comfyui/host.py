"""What the nodes ask of ComfyUI: progress, preview, interruption, device and folders.

Each works without ComfyUI, too, and then does nothing. Nothing of the host is changed.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

_TOTAL = 1000  # parts of a node's progress
_INTERVAL = 0.1  # seconds at least between two reports
_PREVIEW_INTERVAL = 1.0  # seconds at least between two previews
_PREVIEW_SIDE = 512  # pixels of a preview's longer side, at most
_DEVICES = re.compile(r"cpu|mps|cuda(:\d+)?")


def _module(name: str) -> Any:
    """Return one of ComfyUI's modules; None outside of it. Others may have the same name."""
    return sys.modules.get(name)


def check_interrupt() -> None:
    """End the node if the user asked for it."""
    if management := _module("comfy.model_management"):
        management.throw_exception_if_processing_interrupted()


def is_interrupted() -> bool:
    """Return whether the user asked for the end; the answer stays the same until it comes."""
    management = _module("comfy.model_management")
    return management is not None and bool(management.processing_interrupted())


def device() -> str:
    """Return the device that ComfyUI computes on, in impasto's words."""
    management = _module("comfy.model_management")
    if management is None:
        return "auto"
    name = str(management.get_torch_device())
    return name if _DEVICES.fullmatch(name) else "cpu"


def folders(*kinds: str) -> list[Path]:
    """Return ComfyUI's folders of these kinds (`output`, `input`, `temp`); outside, the present."""
    paths = _module("folder_paths")
    if paths is None:
        return [Path.cwd()]
    return [Path(getattr(paths, f"get_{kind}_directory")()) for kind in kinds]


class Progress:
    """The bar and the preview of a node while it runs.

    Args:
        parts: how many pictures or frames it works on, one after the other.
    """

    def __init__(self, parts: int = 1) -> None:
        utils = _module("comfy.utils")
        self._bar = utils.ProgressBar(_TOTAL) if utils else None
        self._parts = parts
        self._shown = 0
        self._last_report = self._last_preview = -float("inf")

    def on_step(self, part: int = 0) -> Callable[[Any], None]:
        """Return what a method calls after each of its steps on a part, counted from 0."""

        def report(step: Any) -> None:
            share = 1 - step.left / max(step.left + step.evaluation, 1e-9)
            self.report(part + share, step.picture)

        return report

    def report(self, parts: float, picture: Callable[[], Tensor] | None = None) -> None:
        """Report how many parts are done, and from time to time what comes of them.

        Raises:
            Exception: ComfyUI's own, if the user asked for the end.
        """
        check_interrupt()
        now = time.monotonic()
        if self._bar is None or now - self._last_report < _INTERVAL:
            return
        self._last_report = now
        self._shown = max(self._shown, round(_TOTAL * min(parts / self._parts, 1)))
        preview = None
        if picture is not None and now - self._last_preview >= _PREVIEW_INTERVAL:
            preview = _preview(picture())
            self._last_preview = time.monotonic()
        self._bar.update_absolute(self._shown, _TOTAL, preview)

    def finish(self) -> None:
        """Fill the bar; raise ComfyUI's exception if a run was ended before its time."""
        check_interrupt()
        if self._bar is not None:
            self._bar.update_absolute(_TOTAL, _TOTAL)


def _preview(pixels: Tensor) -> tuple[str, Any, int] | None:
    """Return a preview as ComfyUI's progress bar takes it; None of what is no picture."""
    import PIL.Image

    from impasto.images.resize import thumbnail

    if pixels.ndim != 3 or len(pixels) not in (1, 3):
        return None
    small = thumbnail(pixels.float().clamp(0, 1), _PREVIEW_SIDE)
    array = (small.expand(3, -1, -1).movedim(0, -1) * 255).round().byte().numpy()
    return "JPEG", PIL.Image.fromarray(array), _PREVIEW_SIDE
