"""State that all routes share: the jobs, the files of the page, the places for uploads."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NamedTuple

from fastapi import Depends, Request

from impasto.images.child_decode import ChildDecoder
from impasto.presets import THUMBNAILS
from impasto.serve.limits import ServeOptions
from impasto.serve.records import Store
from impasto.serve.workers import Workers

PAGE = Path(__file__).parent / "page"
MAX_PARALLEL_UPLOADS = 4
_KEPT_BYTES = 64 << 20  # of encoded files
_MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".jpg": "image/jpeg",
}


class PageFile(NamedTuple):
    """A file of the page, held in memory."""

    data: bytes
    media_type: str
    etag: str
    zipped: bytes | None  # the same compressed, if that makes it shorter


class RecentDownloads:
    """Encoded files that were asked for last, for whoever asks again or for another range."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._files: OrderedDict[str, bytes] = OrderedDict()

    def get(self, etag: str, encode: Callable[[], bytes]) -> bytes:
        """Return a file by its ETag, encoded now if it is not there."""
        with self._lock:
            if etag in self._files:
                self._files.move_to_end(etag)
                return self._files[etag]
        data = encode()
        with self._lock:
            self._files[etag] = data
            while sum(map(len, self._files.values())) > _KEPT_BYTES:
                self._files.popitem(last=False)
        return data


class Service:
    """State of a running server.

    Attributes:
        options: how the server runs.
        store: the folder of jobs.
        decoder: decodes uploads in child processes.
        workers: the queue of jobs and the threads that run them.
        page_files: path below /page/ -> file; nothing else can be requested there.
        upload_slots: limits how many uploads are received at once.
        downloads: the last files that were encoded.
        diagnosis_lock: held while an upload is diagnosed, which takes a core and memory.
        closing: True once the server is about to end; event streams end then.
    """

    def __init__(self, options: ServeOptions) -> None:
        self.options = options
        self.store = Store(options.jobs_folder)
        self.decoder = ChildDecoder()
        self.workers = Workers(self.store, options.queue, options.keep_hours)
        self.page_files = load_page_files()
        self.upload_slots = asyncio.Semaphore(MAX_PARALLEL_UPLOADS)
        self.diagnosis_lock = threading.Lock()
        self.downloads = RecentDownloads()
        self.closing = False

    def check_room(self, request: Request) -> None:
        """Refuse a request for a new job if the queue is full, unless it came before."""
        key = request.headers.get("idempotency-key")
        if request.url.path.startswith("/v1/jobs/") and not self.workers.has_key(key):
            self.workers.check_room()


async def get_service(request: Request) -> Service:
    """Return the state of the server that a request came to."""
    return request.app.state.service


ServiceDependency = Annotated[Service, Depends(get_service)]


def load_page_files() -> dict[str, PageFile]:
    """Read every file of the page and every thumbnail of a preset.

    Returns:
        Path below /page/ -> file.

    Example:
        >>> load_page_files()["style.css"].media_type
        'text/css; charset=utf-8'
    """
    paths = {
        path.relative_to(PAGE).as_posix(): path
        for path in PAGE.rglob("*")
        if path.suffix in _MEDIA_TYPES and path.is_file()
    }
    paths |= {f"thumbnails/{path.name}": path for path in THUMBNAILS.glob("*.jpg")}
    files = {}
    for name, path in paths.items():
        data = path.read_bytes()
        etag = f'"{hashlib.sha256(data).hexdigest()[:20]}"'
        zipped = gzip.compress(data, 6, mtime=0)
        short = zipped if len(zipped) < 0.9 * len(data) else None
        files[name] = PageFile(data, _MEDIA_TYPES[path.suffix], etag, short)
    return files
