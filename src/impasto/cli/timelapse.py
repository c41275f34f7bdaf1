"""`--timelapse`: a painting coming into being, as an animated WebP or GIF."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from impasto.result import OnStep, Step

if TYPE_CHECKING:
    from torch import Tensor

FRAMES = 100  # at most
_LONGEST = 640  # pixels of a frame's longer side, at most


@contextmanager
def record_timelapse(place: str | None, steps: int, overwrite: bool) -> Iterator[OnStep]:
    """Watch a run, and write what was seen as an animation when it has ended.

    Args:
        place: where to; None films nothing.
        steps: evaluations that are planned.
        overwrite: whether a file that is there may be replaced.
    """
    frames: list[Tensor] = []
    every = max(1, -(-steps // FRAMES))

    def watch(step: Step) -> None:
        if place and (step.evaluation == 1 or step.evaluation % every == 0):
            frames.append(_small(step.picture()))

    yield watch
    if place and frames:
        from impasto.images.animation import write_animation

        write_animation(frames, place, longest=_LONGEST, overwrite=overwrite)


def _small(pixels: Tensor) -> Tensor:
    """A frame no larger than it will be shown, in bytes."""
    import torch

    from impasto.images.resize import fit_longest_side, resize

    high, wide = pixels.shape[1:]
    size = fit_longest_side((wide, high), min(_LONGEST, max(wide, high)))
    return resize(pixels, size).to(torch.float16)
