"""Motion between the frames of a film: flow, where to believe it, cuts, what stands still."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from impasto.images.opencv import load_opencv, one_opencv_thread
from impasto.style.stylize import Motion

# Forward and backward flow may differ by a share of their length and a constant, in pixels²
# (Sundaram, Brox, Keutzer 2010).
_SHARE, _SLACK = 0.01, 0.5
RESIDUAL = 24 / 255  # of the content carried along: beyond it nothing is believed
_STILL_CHANGE = 3 / 255  # of the content, averaged nearby, below which nothing moves
_STILL_FLOW = 0.3  # pixels a frame; strokes that stay behind a slow motion would be seen
_SPECK = 5  # pixels a side; what seems to move and is smaller is noise
_NEAR = 9  # pixels a side over which changes are averaged
_FAR = 25  # and motion, too: what noise makes of flat areas has no direction
_STROKE, _LEAST_STROKE = 1 / 64, 2.0  # sigma of what is finer than a stroke: share, pixels
_CUT_TRUST = 0.2  # a scene ends where less of the frame than this is believed
_CUT_COLORS = 0.45  # or where the colors differ by more, 0 to 1
_CUT_TRUST_COLORS = 0.75  # and less than this is believed
_BINS = 8  # of each color


class Flow(NamedTuple):
    """Where each pixel of a frame was in the last one.

    Attributes:
        steps: (H, W, 2) float32, x and y in pixels, to be added to a pixel's place.
        trust: (H, W) float32 in [0, 1].
    """

    steps: np.ndarray
    trust: np.ndarray


def find_flow(before: Tensor, after: Tensor) -> Flow:
    """Find the motion from one frame to the next, and how far to believe it.

    Dense inverse search in both directions; believed is what leads back to where it came from and
    finds the same colors there.

    Args:
        before: the last frame, (3, H, W) in [0, 1].
        after: the next one.

    References:
        Kroeger, Timofte, Dai, Van Gool 2016, Fast optical flow using dense inverse search;
        Ruder, Dosovitskiy, Brox 2016, Artistic style transfer for videos, for the occlusions.
    """
    return find_flows(before, after)[0]


def find_flows(before: Tensor, after: Tensor) -> tuple[Flow, Flow]:
    """Find the motion as `find_flow` does, and that of the same film run backwards."""
    old, new = _gray(before), _gray(after)
    with one_opencv_thread() as cv2:
        search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        back, forth = search.calc(new, old, None), search.calc(old, new, None)
    images = to_array(before), to_array(after)
    return _check(back, forth, *images), _check(forth, back, *images[::-1])


def _check(back: np.ndarray, forth: np.ndarray, before: np.ndarray, after: np.ndarray) -> Flow:
    """Return the motion `back` from one frame to the last, with how far to believe it."""
    returned = sample(forth, back)
    error = ((back + returned) ** 2).sum(2)
    allowed = _SHARE * ((back**2).sum(2) + (returned**2).sum(2)) + _SLACK
    residual = box(np.abs(after - sample(before, back)).mean(2), 3)
    trust = np.clip(2 - error / allowed, 0, 1) * np.clip(2 - 2 * residual / RESIDUAL, 0, 1)
    inside = is_inside(places_of(back), before)
    trust = (trust * inside).astype(np.float32)
    # What is uncovered begins a pixel before the check sees it.
    return Flow(back, box(load_opencv().erode(trust, np.ones((3, 3), np.uint8)), 3))


def is_cut(before: Tensor, after: Tensor, flow: Flow) -> bool:
    """Return whether a new scene begins with a frame.

    Args:
        before: the last frame, (3, H, W) in [0, 1].
        after: the next one.
        flow: as `find_flow` gives it.
    """
    trust = float(flow.trust.mean())
    colors = float((_histogram(before) - _histogram(after)).abs().sum() / 2)
    return trust < _CUT_TRUST or (colors > _CUT_COLORS and trust < _CUT_TRUST_COLORS)


def find_still(reference: Tensor, content: Tensor, flow: Flow) -> Tensor:
    """Return where a frame stands still, (H, W), 1 where it does.

    Args:
        reference: the content as it was when each pixel was painted last, (3, H, W) in [0, 1].
        content: the frame.
        flow: from the last frame to this.
    """
    change = box((content - reference).abs().amax(0).numpy(), _NEAR)
    lengths = [np.sqrt((box(flow.steps, side) ** 2).sum(2)) for side in (_NEAR, _FAR)]
    moves = np.minimum(*lengths) >= _STILL_FLOW
    moving = ((change >= _STILL_CHANGE) | moves).astype(np.uint8)
    with one_opencv_thread() as cv2:
        # What moves shows all over the average that it is in; specks are noise.
        specks = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_SPECK, _SPECK))
        moving = cv2.morphologyEx(moving, cv2.MORPH_OPEN, specks)
    return torch.from_numpy(1 - moving.astype(np.float32))


def carry(painted: Tensor, flow: Flow, still: Tensor, weight: float) -> Motion:
    """Carry a painted frame to the next one.

    Args:
        painted: the last painted frame, (3, H, W) in [0, 1].
        flow: the motion of the content.
        still: (H, W), 1 where nothing moves.
        weight: of the temporal loss.
    """
    pixels = torch.where(still.bool(), painted, carry_pixels(painted, flow)).contiguous()
    trust = torch.maximum(torch.from_numpy(flow.trust), still)
    return motion_to(pixels, trust, still, weight)


def carry_pixels(painted: Tensor, flow: Flow) -> Tensor:
    """Return a frame, (3, H, W) in [0, 1], where the motion takes it; its border beyond it."""
    carried = sample(to_array(painted), flow.steps, cubic=True)
    return torch.from_numpy(carried).permute(2, 0, 1).clamp(0, 1)


def motion_to(pixels: Tensor, trust: Tensor, still: Tensor, weight: float) -> Motion:
    """Return what a painted frame that was carried to another says of it.

    Args:
        pixels: the painted frame where the motion took it, (3, H, W) in [0, 1].
        trust: (H, W) in [0, 1].
        still: (H, W), 1 where nothing moves.
        weight: of the temporal loss.
    """
    with one_opencv_thread() as cv2:
        sigma = max(_LEAST_STROKE, _STROKE * max(pixels.shape[1:]))
        blurred = cv2.GaussianBlur(to_array(pixels), (0, 0), sigma)
    strokes = pixels - torch.from_numpy(blurred).permute(2, 0, 1)
    return Motion(pixels, trust, strokes.contiguous(), 1 - still, weight)


def warping_error(before: Tensor, after: Tensor, flow: Flow) -> float:
    """Return the root mean square of what changes along the motion, where it is believed.

    Args:
        before: a frame of a film, (3, H, W) in [0, 1].
        after: another frame of it.
        flow: the motion between the same frames of the input.
    """
    believed = flow.trust > 0.5
    difference = (to_array(after) - sample(to_array(before), flow.steps))[believed]
    return float(np.sqrt((difference.astype(np.float64) ** 2).mean())) if believed.any() else 0.0


def _histogram(frame: Tensor) -> Tensor:
    """Return the shares of coarse colors, (bins³,), blurred a little against their borders."""
    bins = (frame * (_BINS - 1) + 0.5).long().flatten(1)
    index = (bins[0] * _BINS + bins[1]) * _BINS + bins[2]
    counts = torch.bincount(index, minlength=_BINS**3).float().view(1, 1, _BINS, _BINS, _BINS)
    smooth = functional.avg_pool3d(counts, 3, stride=1, padding=1, count_include_pad=False)
    return (smooth / smooth.sum()).flatten()


def _gray(frame: Tensor) -> np.ndarray:
    """Return the light of a frame, (H, W) uint8."""
    weights = torch.tensor([0.299, 0.587, 0.114])
    return ((frame * weights[:, None, None]).sum(0) * 255 + 0.5).to(torch.uint8).numpy()


def to_array(frame: Tensor) -> np.ndarray:
    """Return a frame as an array, (H, W, 3)."""
    return np.ascontiguousarray(frame.permute(1, 2, 0).numpy())


def sample(image: np.ndarray, steps: np.ndarray, *, cubic: bool = False) -> np.ndarray:
    """Return an image's values at each place moved by its step."""
    return sample_at(image, places_of(steps), cubic=cubic)


def places_of(steps: np.ndarray) -> np.ndarray:
    """Return each pixel's place moved by its step, (H, W, 2), x and y in pixels."""
    height, width = steps.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return np.stack([x, y], 2) + steps


def is_inside(places: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Return which places are less than a pixel outside an image, (H, W)."""
    height, width = image.shape[:2]
    x, y = places[..., 0], places[..., 1]
    return (x > -1) & (x < width) & (y > -1) & (y < height)


def sample_at(image: np.ndarray, places: np.ndarray, *, cubic: bool = False) -> np.ndarray:
    """Return an image's values at places, (H, W, 2), x and y in pixels; the border goes on."""
    with one_opencv_thread() as cv2:
        kind = cv2.INTER_CUBIC if cubic else cv2.INTER_LINEAR
        maps = np.ascontiguousarray(places[..., 0]), np.ascontiguousarray(places[..., 1])
        return cv2.remap(image, *maps, kind, borderMode=cv2.BORDER_REPLICATE)


def box(plane: np.ndarray, side: int) -> np.ndarray:
    """Return averages over squares of so many pixels a side, (H, W) or (H, W, C)."""
    with one_opencv_thread() as cv2:
        return cv2.blur(plane, (side, side))
