"""Options and limits of the server."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from impasto.errors import ImageError
from impasto.serve.problems import RequestError
from impasto.validation import Options

MAX_STYLES = 4  # of one job
MAX_PHOTOGRAPHS = 16  # that a model is fitted to
MAX_PARTS = 24  # files, and as many fields, of one form; more than any form has


class ServeOptions(Options):
    """Options of `impasto serve`."""

    host: str = Field(
        "127.0.0.1",
        min_length=1,
        description="address to listen on; one that other machines can reach needs a `token`",
    )
    port: int = Field(8765, ge=0, le=65_535, description="port to listen on; 0 takes a free one")
    token: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.~-]{16,200}$")] | Literal["random"] = Field(
        "random",
        description="secret that every request must send, 16 letters and digits or more; `random` "
        "makes a new one at each start",
    )
    folder: str = Field(
        "auto",
        min_length=1,
        description="folder of jobs and results; `auto` is a folder in your user data",
    )
    keep_hours: float = Field(
        168.0, gt=0, le=100_000, description="hours until finished jobs are deleted"
    )
    queue: int = Field(20, ge=1, le=10_000, description="jobs that may wait, at most")
    most_bytes: int = Field(
        256 * 2**20,
        ge=2**16,
        le=2**34,
        description="bytes of an upload, all its files together, at most",
    )
    most_pixels: int = Field(
        64_000_000, ge=2**16, le=2**32, description="pixels of an uploaded picture, at most"
    )
    most_frames: int = Field(
        3000, ge=1, le=1_000_000, description="frames of an uploaded film, at most"
    )
    most_work: int = Field(
        20_000_000_000,
        ge=10**6,
        le=10**15,
        description="work of a job, pixels of the result times steps, at most",
    )
    upload_seconds: float = Field(
        120.0, gt=0, le=86_400, description="seconds that an upload may take, at most"
    )

    @property
    def jobs_folder(self) -> Path:
        """Folder of the jobs; `auto` is replaced by the folder of this user's data."""
        if self.folder != "auto":
            return Path(self.folder)
        import platformdirs

        return Path(platformdirs.user_data_dir("impasto", appauthor=False)) / "jobs"


_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def is_full(error: BaseException | None) -> bool:
    """Return True if an error is that of a disk without room."""
    return isinstance(error, OSError) and error.errno in _NO_ROOM


def disk_error(error: BaseException | None) -> RequestError:
    """Return what a client is told of an error of the server's disk; no path is in it."""
    if is_full(error):
        return RequestError(
            "disk_full", "the server's disk must have room, got none left; make room, and ask again"
        )
    reason = getattr(error, "strerror", None) or "an error of its disk"
    return RequestError(
        "disk_error",
        "the server's folder of jobs must be one that it can use, got "
        f"{reason.lower()}; ask who runs it",
    )


@contextmanager
def storing() -> Iterator[None]:
    """Turn an error of the disk in its block into the `RequestError` that a client gets."""
    try:
        yield
    except OSError as error:
        raise disk_error(error) from error
    except ImageError as error:  # `impasto.files` words what the disk says
        raise disk_error(error.__cause__) from error
