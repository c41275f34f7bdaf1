"""What is said of each finished frame of a film, and of the finished film."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from impasto.provenance import Provenance
from impasto.recipes import ClipRecipe, FilmRecipe
from impasto.result import Diagnosis


@dataclass(frozen=True, kw_only=True)
class ClipStep:
    """A finished frame, as handed to `on_frame`.

    Attributes:
        frame: how many frames are finished, this one included.
        frames: how many there are to be.
        cut: whether a new scene begins with it.
        seconds: since the run began.
        left: seconds until all are finished, estimated.
        picture: call it for the frame, (C, H, W) in [0, 1].
    """

    frame: int
    frames: int
    cut: bool
    seconds: float
    left: float
    picture: Callable[[], Tensor]


@dataclass(frozen=True, kw_only=True)
class FilmStep(ClipStep):
    """A painted frame, as handed to `on_frame`.

    Attributes:
        still: share of it that stands still, 0 to 1.
    """

    still: float


OnClipFrame = Callable[[ClipStep], None]
OnFrame = Callable[[FilmStep], None]


@dataclass(frozen=True, kw_only=True)
class MadeFilm:
    """A finished film.

    Attributes:
        path: the file, or the folder of its frames; None if no frame was finished.
        size: (width, height).
        frames: how many it has.
        resumed: how many of them an earlier run had finished.
        rate: frames a second.
        seconds: wall time of this run.
        codec: how it is encoded; `PNG` for frames.
        stopped: whether `stop` ended the run early.
        provenance: how the whole film is made, as its sidecar file holds it.
        notes: what was left out or changed, each a sentence.
    """

    path: Path | None
    size: tuple[int, int]
    frames: int
    resumed: int
    rate: float
    seconds: float
    codec: str
    stopped: bool
    provenance: Provenance
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class FilmResult(MadeFilm):
    """A painted film.

    Attributes:
        cuts: numbers of the frames, from 0, with which this run saw a new scene begin.
        keys: numbers of the frames, from 0, that this run painted, or was given, as keyframes;
            empty where each frame is painted.
        engine: `painted` or `keyed`.
        recipe: every option.
    """

    cuts: tuple[int, ...]
    keys: tuple[int, ...]
    engine: str
    recipe: FilmRecipe


@dataclass(frozen=True, kw_only=True)
class ClipResult(MadeFilm):
    """A cleaned film.

    Attributes:
        scenes: of those that this run measured, number of the first frame, from 0, and the noise.
        recipe: every option.
    """

    scenes: tuple[tuple[int, Diagnosis], ...]
    recipe: ClipRecipe
