"""Decode an untrusted film once, to know what it has; runs in a child process, without PyTorch."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from impasto.images.opencv import open_capture

_MAX_RATE = 1000  # frames a second that a header may claim


def decode_clip(path: Path, limits: Sequence[int], allow: Callable[[int], None]) -> dict[str, Any]:
    """Return size, frames and rate of a film, or `error`, the reason why it is refused.

    Args:
        path: the file.
        limits: pixels of a frame and number of frames, at most.
        allow: told how many samples the next frame has, before it is decoded.
    """
    max_pixels, max_frames = limits
    allow(0)
    with open_capture(path) as (cv2, capture):
        if not capture.isOpened():
            return {"error": "it cannot be opened"}
        width = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH))
        height = int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        rate = capture.get(cv2.CAP_PROP_FPS)
        if not 0 < width * height <= max_pixels:
            return {"error": f"it has {width:,} × {height:,} pixels, of at most {max_pixels:,}"}
        frames, shape = 0, None
        while True:
            allow(4 * width * height)
            if not capture.grab():
                break
            decoded, frame = capture.retrieve()
            if not decoded:
                break
            shape = shape or frame.shape
            frames += 1
            if frames > max_frames:
                return {"error": f"it has more than {max_frames:,} frames"}
        if shape is None:
            return {"error": "no picture in it can be decoded"}
    rate = rate if math.isfinite(rate) and 0 < rate <= _MAX_RATE else 25.0
    return {"size": (shape[1], shape[0]), "frames": frames, "rate": rate}
