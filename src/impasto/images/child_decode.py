"""Decode untrusted files in a child process, so that a fault in a decoder costs one file."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from impasto.errors import ImageError, ImageFileError
from impasto.images.clip_decode import decode_clip
from impasto.images.file_notes import color_note, file_notes
from impasto.images.header import Header, check_header
from impasto.images.opencv import load_opencv
from impasto.images.unreadable import unreadable_file

_PROGRAM = "from impasto.images.decode_worker import main; main()"
_ONE_CORE = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_END_SECONDS = 5  # that the process may take to end
_CRASHED = "a decoder crashed on it, or took more time than a picture of its size should"
_TOO_LARGE = "it takes more memory to decode than a picture of its size should"
_WAY_OUT = "save it anew with another program"


class DecoderFailure(ImageFileError):
    """A decoder crashed on a file, or took too much time or memory."""


@dataclass(frozen=True)
class FileFacts:
    """What is known of a file that a child could decode.

    Attributes:
        format: as `detect_format` names it.
        size: (width, height) in pixels, upright.
        xmp: the XMP packet; None without one.
        notes: what is left out of the picture, converted or taken for what, each the end of a
            sentence that begins with the file's name.
    """

    format: str
    size: tuple[int, int]
    xmp: str | None
    notes: tuple[str, ...] = ()


class ClipLimits(NamedTuple):
    """Pixels of a frame, and frames, that a film may have at most."""

    pixels: int
    frames: int


class ClipFacts(NamedTuple):
    """What is known of a film that a child could decode.

    Attributes:
        size: (width, height) of its frames in pixels.
        frames: how many can be decoded.
        rate: frames a second, as its header says.
    """

    size: tuple[int, int]
    frames: int
    rate: float


def facts_of(header: Header) -> FileFacts:
    """Return what is known of a file from its header."""
    xmp = header.xmp
    text = xmp.decode("utf-8", "replace") if isinstance(xmp, bytes) else xmp
    width, height = header.size
    notes = (*file_notes(header), *color_note(header))
    return FileFacts(header.format, (int(width), int(height)), text, notes)


class ChildDecoder:
    """Decodes each file in a process of its own, with limits on memory, time and files.

    One process waits with the decoders loaded and forks a child for each file. Where the system
    cannot fork (Windows), only the header is checked, in this process.

    Every method may be called from any thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards both
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def start(self) -> None:
        """Start the process that waits, unless it runs; it loads the decoders by itself."""
        with self._lock:
            if _can_fork():
                self._ensure_started()

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._stop()

    def check(
        self,
        data: bytes,
        name: str,
        label: str,
        max_pixels: int,
        *,
        pages: bool = False,
        pixels: bool = True,
    ) -> FileFacts:
        """Decode a file wholly, as a job will, and return what is known of it.

        Args:
            data: the file.
            name: the argument's name in errors.
            label: the file's name in errors.
            max_pixels: pixels at most.
            pages: decode all pages of a TIFF instead of the first.
            pixels: False reads the header alone.

        Raises:
            ImageError: it cannot be read.
            DecoderFailure: its decoder crashes or takes too much.
        """
        if not _can_fork():
            return facts_of(check_header(data, name, label, max_pixels, pages=pages))
        request = {
            "name": name,
            "label": label,
            "max_pixels": max_pixels,
            "pages": pages,
            "pixels": pixels,
            "bytes": len(data),
        }
        answer = self._ask(json.dumps(request).encode(), data)
        if answer is None:
            raise DecoderFailure(*unreadable_file(name, label, _CRASHED, way_out=_WAY_OUT).args)
        if "memory" in answer:
            raise DecoderFailure(*unreadable_file(name, label, _TOO_LARGE, way_out=_WAY_OUT).args)
        if "error" in answer:
            raise ImageError(answer["error"])
        width, height = answer["size"]
        size = (int(width), int(height))
        return FileFacts(str(answer["format"]), size, answer["xmp"], tuple(answer["notes"]))

    def check_clip(self, path: Path, name: str, label: str, limits: ClipLimits) -> ClipFacts:
        """Decode a film wholly, as a job will, and return what is known of it.

        Args:
            path: the file, on this machine.
            name: the argument's name in errors.
            label: the file's name in errors.
            limits: what it may have at most.

        Raises:
            ImageError: it cannot be read, or has too much.
            DecoderFailure: its decoder crashes or takes too much.
            ImpastoError: OpenCV is not installed.
        """
        load_opencv()
        if not _can_fork():
            answer = decode_clip(path, limits, lambda _: None)
        else:
            request = {"clip": str(path), "limits": limits, "bytes": 0}
            answer = self._ask(json.dumps(request).encode(), b"")
        if answer is None or "memory" in answer:
            reason = _CRASHED if answer is None else _TOO_LARGE
            words = {"kind": "film", "way_out": _WAY_OUT}
            raise DecoderFailure(*unreadable_file(name, label, reason, **words).args)
        if "error" in answer:
            words = {"kind": "film", "way_out": "shorten it, or save it anew"}
            raise unreadable_file(name, label, answer["error"], **words)
        width, height = answer["size"]
        return ClipFacts((int(width), int(height)), int(answer["frames"]), float(answer["rate"]))

    def _ask(self, request: bytes, data: bytes) -> dict[str, Any] | None:
        """Have a new child answer a request; None if it ended without an answer."""
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                self._send(theirs)
            with contextlib.suppress(OSError), ours.makefile("rwb") as stream:
                with contextlib.suppress(BrokenPipeError):
                    stream.write(struct.pack(">I", len(request)) + request)
                    stream.write(data)
                    stream.flush()
                head = stream.read(4)
                if len(head) == 4:
                    (length,) = struct.unpack(">I", head)
                    packed = stream.read(length)
                    if len(packed) == length:
                        return json.loads(packed)
        return None

    def _send(self, connection: socket.socket) -> None:
        """Send a connection to the waiting process, which is started anew if it has ended."""
        with self._lock:
            for attempt in range(2):
                self._ensure_started()
                try:
                    socket.send_fds(self._control, [b"\0"], [connection.fileno()])
                    return
                except OSError:
                    self._stop()
                    if attempt:
                        raise

    def _ensure_started(self) -> None:
        """Start the process if it does not run; the caller holds the lock."""
        if self._process is not None and self._process.poll() is None:
            return
        self._stop()
        self._control, theirs = socket.socketpair()
        environment = os.environ | dict.fromkeys(_ONE_CORE, "1")
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM],
                stdin=theirs,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=environment,
            )

    def _stop(self) -> None:
        """End the process if it runs; the caller holds the lock."""
        if self._control is not None:
            self._control.close()  # at which it ends
            self._control = None
        if self._process is not None:
            try:
                self._process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None


def _can_fork() -> bool:
    return hasattr(os, "fork") and hasattr(socket, "send_fds")
