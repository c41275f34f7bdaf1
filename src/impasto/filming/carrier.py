"""A painted frame carried along a clip: each pixel knows its place in it, frame after frame."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from impasto.filming.motion import RESIDUAL, Flow, box, find_still, sample_at, to_array
from impasto.filming.patch_match import advance_field, identity_field, match_holes
from impasto.images.opencv import one_opencv_thread

_CARRIED = 0.5  # the motion is followed where it is believed more than this
_MATCHED = 0.6  # trust of a place that was matched, where the patches are the same
_LEAST = 0.02  # trust of one where they have nothing in common
_SPECK = 3  # pixels a side
_LOOSE = 1.5  # the source may differ by so many times what two neighboring frames may


class Carried(NamedTuple):
    """A painted frame carried to another frame.

    Attributes:
        pixels: (3, H, W) in [0, 1].
        trust: (H, W) in [0, 1]: 1 where the motion led here all the way, less where patches
            had to be matched.
        still: (H, W), 1 where nothing has moved or changed.
    """

    pixels: Tensor
    trust: Tensor
    still: Tensor


class Carrier:
    """Carries a painted frame from frame to frame, and samples it once, however far it has come.

    Where the motion is not believed, or the colors of the clip are not those of the place that
    it leads to, places are found by patch matching, with the clip as the guide. They then move
    along as the others do.

    Args:
        painted: the frame's painting, (3, H, W) in [0, 1].
        content: the frame, (3, H, W) in [0, 1].
        reference: the content as it was when each pixel was painted, (3, H, W).
        seed: of the matching.
    """

    def __init__(self, painted: Tensor, content: Tensor, reference: Tensor, seed: int) -> None:
        self.painted = to_array(painted)
        self.content = to_array(content)
        self.reference = reference
        self.seed = seed
        self.frames = 0  # how far it has come
        self._places = identity_field(*content.shape[1:])
        self._trust = np.ones(content.shape[1:], np.float32)

    def step(self, content: Tensor, flow: Flow) -> Carried:
        """Carry on to the next frame.

        Args:
            content: the frame, (3, H, W) in [0, 1].
            flow: where each of its pixels was in the last frame.
        """
        self.frames += 1
        guide = to_array(content)
        still = find_still(self.reference, content, flow)
        stays = still.numpy().astype(bool)
        steps = np.where(stays[..., None], np.float32(0), flow.steps)
        places = advance_field(self._places, steps)
        trust = np.minimum(sample_at(self._trust, identity_field(*stays.shape) + steps), 1)
        residual = np.abs(guide - sample_at(self.content, places)).mean(2)
        alike = np.clip(2 - 2 * box(residual, 3) / (_LOOSE * RESIDUAL), 0, 1)
        # What was matched never was quite alike; it moves along until the motion ends.
        believed = np.minimum(flow.trust, np.where(trust > _MATCHED, alike, 1))
        holes = _without_specks((believed < _CARRIED) & ~stays)
        places, costs = match_holes(
            guide, self.content, places, holes, self.seed + 101 * self.frames
        )
        matched = np.clip(_MATCHED / (1 + costs), _LEAST, _MATCHED)
        trust = np.where(holes, np.minimum(matched, trust), trust)
        self._places, self._trust = places, np.ascontiguousarray(trust, np.float32)
        self.reference = torch.where(still.bool(), self.reference, content)
        pixels = sample_at(self.painted, places, cubic=True)
        pixels = torch.from_numpy(pixels).permute(2, 0, 1).clamp(0, 1).contiguous()
        return Carried(pixels, torch.from_numpy(self._trust.copy()), still)


def _without_specks(holes: np.ndarray) -> np.ndarray:
    """Leave out holes of a pixel or two, which are noise."""
    with one_opencv_thread() as cv2:
        shape = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_SPECK, _SPECK))
        return cv2.morphologyEx(holes.astype(np.uint8), cv2.MORPH_OPEN, shape).astype(bool)
