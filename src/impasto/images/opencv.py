"""OpenCV, which reads and writes video and finds motion: imported when it is first needed."""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from impasto.errors import ImpastoError

# FFmpeg inside OpenCV prints what it thinks of a file on stderr; this level is silence.
_SILENT = {"OPENCV_FFMPEG_LOGLEVEL": "-8"}


def load_opencv() -> Any:
    """Return the module `cv2`.

    Raises:
        ImpastoError: it is not installed.
    """
    for name, value in _SILENT.items():
        os.environ.setdefault(name, value)
    try:
        return importlib.import_module("cv2")
    except ImportError:
        raise ImpastoError(
            "film needs opencv-python-headless, which is not installed; install it with "
            "`pip install 'impasto[video]'`"
        ) from None


@contextlib.contextmanager
def silent_opencv() -> Iterator[Any]:
    """Give `cv2` with nothing logged; its own level comes back at the end."""
    cv2 = load_opencv()
    before = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield cv2
    finally:
        cv2.utils.logging.setLogLevel(before)


@contextlib.contextmanager
def open_capture(path: Path) -> Iterator[tuple[Any, Any]]:
    """Give `cv2` and its capture of a video, which may turn out not to be opened."""
    with silent_opencv() as cv2:
        capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
        try:
            yield cv2, capture
        finally:
            capture.release()


@contextlib.contextmanager
def one_opencv_thread() -> Iterator[Any]:
    """Give `cv2` with one thread, since its motion depends on how many there are."""
    cv2 = load_opencv()
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield cv2
    finally:
        cv2.setNumThreads(before)
