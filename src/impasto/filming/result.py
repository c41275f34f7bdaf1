"""What `film` says: of each finished frame, and of the finished film."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from impasto.recipes import FilmRecipe


@dataclass(frozen=True)
class FilmStep:
    """A finished frame, as handed to `on_frame`.

    Attributes:
        frame: how many frames are finished, this one included.
        frames: how many there are to be.
        cut: whether a new scene begins with it.
        still: share of it that stands still, 0 to 1.
        seconds: since the run began.
        left: seconds until all are finished, estimated.
        picture: call it for the frame, (3, H, W) in [0, 1].
    """

    frame: int
    frames: int
    cut: bool
    still: float
    seconds: float
    left: float
    picture: Callable[[], Tensor]


OnFrame = Callable[[FilmStep], None]


@dataclass(frozen=True)
class FilmResult:
    """A finished film.

    Attributes:
        path: the file, or the folder of its frames; None if no frame was finished.
        size: (width, height).
        frames: how many it has.
        resumed: how many of them an earlier run had finished.
        rate: frames a second.
        cuts: numbers of the frames, from 0, with which this run saw a new scene begin.
        keys: numbers of the frames, from 0, that this run painted, or was given, as keyframes;
            empty where each frame is painted.
        engine: `painted` or `keyed`.
        seconds: wall time of this run.
        codec: how it is encoded; `PNG` for frames.
        stopped: whether `stop` ended the run early.
        recipe: every option.
        notes: what was left out or changed, each a sentence.
    """

    path: Path | None
    size: tuple[int, int]
    frames: int
    resumed: int
    rate: float
    cuts: tuple[int, ...]
    keys: tuple[int, ...]
    engine: str
    seconds: float
    codec: str
    stopped: bool
    recipe: FilmRecipe
    notes: tuple[str, ...] = ()
