"""How much the server takes on, and how much work a job would be."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from impasto.errors import ImpastoError
from impasto.methods import Recipe
from impasto.recipes import DenoiseRecipe

STYLES = 4  # in one job
PARTS = 24  # of one upload, more than its fields


class ServeOptions(BaseModel):
    """How `impasto serve` runs: every option, its default, its range."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    host: str = Field(
        "127.0.0.1",
        min_length=1,
        description="address to listen on; any but this machine's own needs a `token`",
    )
    port: int = Field(8765, ge=0, le=65_535, description="port to listen on; 0 takes a free one")
    token: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.~-]{16,200}$")] | Literal["random"] = Field(
        "random", description="what every request must carry, 16 letters and digits or more"
    )
    folder: str = Field(
        "auto",
        min_length=1,
        description="where jobs and results are kept; `auto` is among your user's data",
    )
    keep_hours: float = Field(
        168.0, gt=0, le=100_000, description="hours that finished jobs are kept"
    )
    queue: int = Field(20, ge=1, le=10_000, description="jobs that may wait at once")
    most_bytes: int = Field(
        256 * 2**20, ge=2**16, le=2**34, description="bytes of one upload, all its files together"
    )
    most_pixels: int = Field(
        64_000_000, ge=2**16, le=2**32, description="pixels of each picture that comes in"
    )
    most_work: int = Field(
        20_000_000_000,
        ge=10**6,
        le=10**15,
        description="work of one job, pixels of the result times steps",
    )
    upload_seconds: float = Field(
        120.0, gt=0, le=86_400, description="seconds that an upload may take"
    )

    @property
    def place(self) -> Path:
        """The folder that is meant."""
        if self.folder != "auto":
            return Path(self.folder)
        import platformdirs

        return Path(platformdirs.user_data_dir("impasto", appauthor=False)) / "jobs"


class RequestError(ImpastoError):
    """A request that is not carried out.

    Attributes:
        status: HTTP status that says so.
        after: seconds to wait before trying again; None where that is of no use.
    """

    def __init__(self, status: int, sentence: str, after: int | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.after = after


# Steps of painting that take about as long as cleaning as many pixels does: measured.
_CLEANING = {"auto": 14, "nl-wiener": 14, "zs-n2n": 2000, "zs-n2n-fast": 10}


def check_work(recipe: Recipe, size: tuple[int, int], most: int) -> None:
    """Refuse a job whose result would have too many pixels for so many steps.

    Args:
        recipe: what is to be done.
        size: (width, height) of the content image in pixels.
        most: pixels times steps.

    Raises:
        Refused: it is too much.

    Example:
        >>> from impasto.recipes import StyleRecipe
        >>> check_work(StyleRecipe(size=65536), (400, 300), 10**10)
        Traceback (most recent call last):
        impasto.serve.limits.RequestError: `size` and `steps` must stay below 10,000,000,000 ...
    """
    from impasto.images.resize import fit_longest_side

    if isinstance(recipe, DenoiseRecipe):
        width, height = size
        steps, names, way_out = _CLEANING[recipe.method], "`method`", "clean a part of it"
    else:
        width, height = size if recipe.size == "original" else fit_longest_side(size, recipe.size)
        steps, names, way_out = recipe.steps, "`size` and `steps`", "lower one"
    if width * height * steps > most:
        raise RequestError(
            413,
            f"{names} must stay below {most:,} pixels times steps, got {width:,} × {height:,} "
            f"pixels and {steps:,} steps; {way_out}, or start the server with a larger "
            "`--most-work`",
        )
