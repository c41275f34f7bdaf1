"""Options and limits of the server, and the error for what exceeds them."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from impasto.errors import ImageError, ImpastoError
from impasto.methods import Recipe
from impasto.recipes import DenoiseRecipe
from impasto.style.schedule import full_size_evaluations
from impasto.validation import Options

MAX_STYLES = 4  # of one job
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


class RequestError(ImpastoError):
    """A request that the server refuses.

    Attributes:
        status: HTTP status of the answer.
        retry_after: seconds after which the same request may succeed; None if waiting is no help.
    """

    def __init__(self, status: int, sentence: str, retry_after: int | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.retry_after = retry_after


_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def is_full(error: BaseException | None) -> bool:
    """Return True if an error is that of a disk without room."""
    return isinstance(error, OSError) and error.errno in _NO_ROOM


def disk_error(error: BaseException | None) -> RequestError:
    """Return what a client is told of an error of the server's disk; no path is in it."""
    if is_full(error):
        return RequestError(
            507, "the server's disk must have room, got none left; make room, and ask again"
        )
    reason = getattr(error, "strerror", None) or "an error of its disk"
    return RequestError(
        503,
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


# Denoising a pixel takes as long as so many steps of painting a pixel (measured).
_DENOISING_STEPS = {"auto": 14, "nl-wiener": 14, "zs-n2n": 2000, "zs-n2n-fast": 10}


def check_work(recipe: Recipe, size: tuple[int, int], max_work: int) -> None:
    """Refuse a job that has too many pixels for so many steps.

    Args:
        recipe: options of the job.
        size: (width, height) of the content image in pixels.
        max_work: pixels of the result times steps, at most.

    Raises:
        RequestError: the job is too much work.

    Example:
        >>> from impasto.recipes import StyleRecipe
        >>> check_work(StyleRecipe(size=65536), (400, 300), 10**10)
        Traceback (most recent call last):
        impasto.serve.limits.RequestError: `size` and `steps` must stay below 10,000,000,000 ...
    """
    from impasto.images.resize import result_size  # imports PyTorch

    width, height = result_size(recipe, size)
    if isinstance(recipe, DenoiseRecipe):
        if recipe.method.startswith("zs-n2n"):  # the network is trained on the whole
            width, height = size
        steps, names, hint = _DENOISING_STEPS[recipe.method], "`method`", "clean a part of it"
    else:
        steps, names, hint = full_size_evaluations(recipe), "`size` and `steps`", "lower one"
    if width * height * steps > max_work:
        raise RequestError(
            413,
            f"{names} must stay below {max_work:,} pixels times steps, got {width:,} × {height:,} "
            f"pixels and {steps:,} steps; {hint}, or start the server with a larger `--most-work`",
        )
