"""The process that decodes untrusted files: it forks a child with limits for each of them.

It runs apart from the server (`child_decode.py` starts it) and imports no more than the decoders
need, so that a fork takes milliseconds. A decoder that crashes, hangs or wants too much memory ends
its child and nothing else.
"""

from __future__ import annotations

import io
import json
import os
import resource
import signal
import socket
import struct
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, BinaryIO

import imagecodecs
import tifffile

from impasto.errors import ImageError
from impasto.images.child_decode import facts_of
from impasto.images.clip_decode import decode_clip
from impasto.images.decode import decode_file
from impasto.images.header import check_header
from impasto.images.seccomp import restrict_calls
from impasto.images.tiff_layout import check_picture_channels, describe_data_channels
from impasto.images.tiff_page import check_page, decode_page
from impasto.images.unreadable import Unreadable, decoding, refusing

# What a child may take: so much for any file, and so much for each sample of a page.
_MEMORY, _MEMORY_PER_SAMPLE = 384 << 20, 24  # bytes
_CLIP_MEMORY = 1 << 30  # bytes: OpenCV, and threads of FFmpeg with frames of their own
_SECONDS, _SECONDS_PER_MEGASAMPLE = 4.0, 1.0  # of one core
_WALL_FACTOR = 20  # by which it may take longer where the machine is busy
_OPEN_FILES = 32  # libraries are loaded when they are first needed
# Decoders that imagecodecs loads when they are first called, which would cost every child.
_DECODERS = ("avif", "deflate", "delta", "floatpred", "jpeg8", "lzw", "packbits", "packints", "png")


def main() -> None:
    """Fork a child for each socket that comes in through standard input, until that is closed."""
    control = socket.socket(fileno=0)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the children
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the server's to handle
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (1, 2):  # C libraries write their complaints there
        os.dup2(null, stream)
    for name in (*(f"{name}_decode" for name in _DECODERS), "cms_transform"):
        getattr(imagecodecs, name)
    while True:
        _, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        if not descriptors:
            return
        if os.fork() == 0:
            control.close()
            with socket.socket(fileno=descriptors[0]) as connection:
                _answer(connection.makefile("rwb"))
            os._exit(0)
        os.close(descriptors[0])


def _answer(stream: BinaryIO) -> None:
    """Read one request and send its answer."""
    (length,) = struct.unpack(">I", stream.read(4))
    request = json.loads(stream.read(length))
    data = stream.read(request["bytes"])
    limits = _Limits()
    try:
        if "clip" in request:
            limits.extra = _CLIP_MEMORY
            answer = decode_clip(Path(request["clip"]), request["limits"], limits.allow)
        else:
            answer = _check(data, request, limits)
    except ImageError as error:
        answer = {"error": str(error)}
    except MemoryError:
        answer = {"memory": True}
    packed = json.dumps(answer).encode()
    stream.write(struct.pack(">I", len(packed)) + packed)
    stream.flush()


class _Limits:
    """The limits of this process; those of memory and time grow with the picture."""

    def __init__(self) -> None:
        self.extra = 0  # bytes beside those of any file
        try:
            with open("/proc/self/statm") as file:
                self.base = int(file.read().split()[0]) * resource.getpagesize()
        except OSError:  # not Linux: memory is not limited
            self.base = None
        for limit, value in (
            (resource.RLIMIT_CORE, 0),
            (resource.RLIMIT_FSIZE, 0),
            (resource.RLIMIT_NOFILE, _OPEN_FILES),
        ):
            resource.setrlimit(limit, (value, value))
        restrict_calls()  # where the system offers it; the limits hold without
        self.allow(0)

    def allow(self, samples: int) -> None:
        """Allow what a page of so many samples may take, from now on."""
        seconds = _SECONDS + _SECONDS_PER_MEGASAMPLE * samples / 1e6
        _, most = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time() + seconds + 1), most))
        signal.setitimer(signal.ITIMER_REAL, _WALL_FACTOR * seconds)
        if self.base is not None:
            memory = self.base + self.extra + _MEMORY + _MEMORY_PER_SAMPLE * samples
            _, most = resource.getrlimit(resource.RLIMIT_AS)
            resource.setrlimit(resource.RLIMIT_AS, (memory, most))


def _check(data: bytes, request: dict[str, Any], limits: _Limits) -> dict[str, Any]:
    """Decode a file as a job would, and return what the server needs to know of it."""
    name, label, pages = request["name"], request["label"], request["pages"]
    header = check_header(data, name, label, request["max_pixels"], pages=pages)
    if request["pixels"]:
        with refusing(name, label):
            if pages and header.format == "TIFF" and _decode_pages(data, limits):
                notes = describe_data_channels(header.page)
                header = replace(header, notes=notes, color_space=None)  # measured data stays
            else:
                width, height = header.stored_size
                limits.allow(4 * width * height)
                decode_file(data, header)
                if header.page is not None:
                    notes = check_picture_channels(header.page)
                    header = replace(header, notes=(*header.notes, *notes))
    return asdict(facts_of(header))


def _decode_pages(data: bytes, limits: _Limits) -> bool:
    """Decode every page of a TIFF as measured data; return whether all can be."""
    try:
        with decoding("its pages are broken"), tifffile.TiffFile(io.BytesIO(data)) as file:
            for page in file.pages:
                check_page(page, len(data))
                limits.allow(page.size)
                decode_page(page)
    except Unreadable:
        return False
    return True
