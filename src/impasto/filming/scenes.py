"""The scenes of a clip: where one ends, and a few of its frames to measure its noise in."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.denoising.diagnose import SAMPLE_PLANES
from impasto.denoising.plane_axis import link_planes
from impasto.images.image import Image

_GRID = (9, 16)  # rows and columns of areas whose colors tell scenes apart
_CUT_COLORS = 12 / 255  # mean difference of theirs, from which frames may be of two scenes
_MAX_VALUES = 2**25  # of the frames that noise is measured in, but two of them at least


class Scene(NamedTuple):
    """A part of a clip that shows one thing.

    Attributes:
        start: number of its first frame in the clip.
        stop: of the one behind its last.
        samples: a few of its frames, evenly spaced, (P, C, H, W); the first is the first of all.
    """

    start: int
    stop: int
    samples: Tensor


class _Samples:
    """Evenly spaced frames of a series whose length is not known before its end."""

    def __init__(self, most: int) -> None:
        self._most, self._every, self._count = most, 1, 0
        self.frames: list[Tensor] = []

    def add(self, frame: Tensor) -> None:
        """Take in the next frame."""
        if self._count % self._every == 0:
            if len(self.frames) == self._most:
                self.frames = self.frames[::2]
                self._every *= 2
            if self._count % self._every == 0:
                self.frames.append(frame)
        self._count += 1


def find_scenes(frames: Iterator[Image], start: int, *, cuts: bool = True) -> Iterator[Scene]:
    """Yield the scenes of a clip, each when its end has been seen.

    A scene ends where a frame does not show what the last one shows, and has other colors, too.
    Whether it does depends on these two frames alone.

    Args:
        frames: one after the other; two of them and the samples are held.
        start: number of the first one, with which a scene begins.
        cuts: whether scenes end before the clip does; frames of another number of channels begin
            one either way.

    Example:
        >>> first, second = (torch.rand(3, 64, 64, generator=torch.manual_seed(n)) for n in (0, 1))
        >>> frames = [Image(pixels) for pixels in (first, first, second * 0.3, second * 0.3)]
        >>> [(scene.start, scene.stop) for scene in find_scenes(iter(frames), 10)]
        [(10, 12), (12, 14)]
    """
    before, samples, number = None, _Samples(SAMPLE_PLANES), start
    for number, frame in enumerate(frames, start):
        pixels = frame.pixels
        if before is None or _is_cut(before, pixels, cuts):
            if before is not None:
                yield Scene(start, number, torch.stack(samples.frames))
            start = number
            most = _MAX_VALUES // math.prod(pixels.shape)
            samples = _Samples(max(2, min(SAMPLE_PLANES, most)))
        samples.add(pixels)
        before = pixels
    if before is not None:
        yield Scene(start, number + 1, torch.stack(samples.frames))


def _is_cut(before: Tensor, after: Tensor, cuts: bool) -> bool:
    """Return whether a new scene begins with a frame."""
    if before.shape != after.shape:
        return True
    if not cuts:
        return False
    old, new = (F.adaptive_avg_pool2d(pixels, _GRID) for pixels in (before, after))
    # Without likeness alone, what is dim, blurred or shaken would fall apart into many scenes.
    return float((new - old).abs().mean()) > _CUT_COLORS and not link_planes(before, after).same
