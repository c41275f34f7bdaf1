"""A painted frame carried along a clip: each pixel knows its place in it, frame after frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from impasto.filming.motion import (
    RESIDUAL,
    Flow,
    box,
    find_still,
    is_inside,
    sample_at,
    to_array,
)
from impasto.filming.patch_match import advance_field, identity_field, match_holes
from impasto.images.opencv import one_opencv_thread

_CARRIED = 0.5  # the motion is followed where it is believed more than this
MATCHED = 0.6  # trust of a place that was matched, where the patches are the same
_LEAST = 0.02  # trust of one where they have nothing in common
_SPECK = 3  # pixels a side
_JUMP = 0.3  # pixels by which two neighbors' places differ where pieces meet
_SEAM = 2  # pixels to each side over which they give way to each other
_LIST = 1024  # places in a row: what is sampled is no wider than a picture may be
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

    @property
    def tensors(self) -> dict[str, Tensor]:
        """Everything from which `restore` makes the same again, by name."""
        arrays = {
            "source": self.painted,
            "guide": self.content,
            "places": self._places,
            "trust": self._trust,
        }
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
        return {**tensors, "since": self.reference, "come": torch.tensor(self.frames)}

    @classmethod
    def restore(cls, tensors: Mapping[str, Tensor], seed: int) -> Carrier:
        """Return what was carrying, from its tensors."""
        source, guide = (tensors[name].permute(2, 0, 1) for name in ("source", "guide"))
        carrier = cls(source, guide, tensors["since"], seed)
        carrier._places, carrier._trust = tensors["places"].numpy(), tensors["trust"].numpy()
        carrier.frames = int(tensors["come"])
        return carrier

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
        believed = np.minimum(flow.trust, np.where(trust > MATCHED, alike, 1))
        # A slow motion from beyond the border leads out of the source by parts of a pixel.
        believed = np.where(is_inside(places, self.content), believed, 0)
        holes = _without_specks((believed < _CARRIED) & ~stays)
        places, costs = match_holes(
            guide, self.content, places, holes, self.seed + 101 * self.frames
        )
        matched = np.clip(MATCHED / (1 + costs), _LEAST, MATCHED)
        trust = np.where(holes, np.minimum(matched, trust), trust)
        self._places, self._trust = places, np.ascontiguousarray(trust, np.float32)
        self.reference = torch.where(still.bool(), self.reference, content)
        pixels = _to_tensor(_render(self.painted, places))
        return Carried(pixels, torch.from_numpy(self._trust.copy()), still)


def _to_tensor(image: np.ndarray) -> Tensor:
    return torch.from_numpy(image).permute(2, 0, 1).clamp(0, 1).contiguous()


def _render(source: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return what a source shows at a field of places, pieces of it with soft seams.

    A seam is softened by what the pieces around say of a pixel, not by smoothing: so it moves by
    parts of pixels as everything else does.
    """
    pixels = sample_at(source, places, cubic=True)
    own = identity_field(*places.shape[:2])
    offsets = places - own
    apart = np.zeros(places.shape[:2], np.uint8)
    for axis in (0, 1):
        jump = np.abs(np.diff(offsets, axis=axis)).max(2) > _JUMP
        ahead, behind = [slice(None)] * 2, [slice(None)] * 2
        ahead[axis], behind[axis] = slice(1, None), slice(None, -1)
        apart[tuple(ahead)] |= jump
        apart[tuple(behind)] |= jump
    with one_opencv_thread() as cv2:
        apart = cv2.dilate(apart, np.ones((2 * _SEAM - 1,) * 2, np.uint8))
    rows, columns = np.nonzero(apart)
    if not len(rows):
        return pixels
    total, weights = np.zeros((len(rows), 3), np.float32), np.zeros((len(rows), 1), np.float32)
    for down in range(-_SEAM, _SEAM + 1):
        for across in range(-_SEAM, _SEAM + 1):
            y = np.clip(rows + down, 0, len(places) - 1)
            x = np.clip(columns + across, 0, places.shape[1] - 1)
            said = own[rows, columns] + offsets[y, x]
            weight = np.float32(np.exp(-(down**2 + across**2) / _SEAM**2))
            total += weight * _sample_list(source, said)
            weights += weight
    pixels[rows, columns] = total / weights
    return pixels


def _sample_list(source: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return a source's values at a list of places, (N, 2): (N, 3)."""
    columns = min(len(places), _LIST)
    rows = -(-len(places) // columns)
    padded = np.zeros((rows * columns, 2), np.float32)
    padded[: len(places)] = places
    sampled = sample_at(source, padded.reshape(rows, columns, 2), cubic=True)
    return sampled.reshape(-1, 3)[: len(places)]


def _without_specks(holes: np.ndarray) -> np.ndarray:
    """Leave out holes of a pixel or two, which are noise."""
    with one_opencv_thread() as cv2:
        shape = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_SPECK, _SPECK))
        return cv2.morphologyEx(holes.astype(np.uint8), cv2.MORPH_OPEN, shape).astype(bool)
