"""Which pixels count: the range that nearly all values span, and what is not measured or filtered.

Frames, masks and the outside of a round field of view have no noise, and a hot pixel or a fill
value of -9999 is no part of the scene. Noise is measured without them; they come back unchanged.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.denoising.filters import sample_quantiles, select_values
from impasto.images.image import Image
from impasto.images.stack import Stack

_CONSTANT_SIDE = 4  # pixels a side of a square without variance: noise makes none
_MIN_CONSTANT = 0.1  # share of a plane; less does not disturb the measurement
_MIN_FREE = 2  # windows without a constant pixel for each that has some
_MAX_SINGLES = 0.002  # pixels of other values inside of a constant area, as a share of it
_WINDOW, _WINDOW_STRIDE = 8, 4  # pixels, to tell a frame from the paper of a drawing
_TAILS = 0.01  # share of values at each end that may lie anywhere
_OUTLIER_SPANS = 2  # of the other values, beyond which lie outliers
_MAX_SAMPLES = 2**20  # values from which quantiles are computed
_FULL_SPAN = 0.5  # of white, from which an image counts as using all of its range


class ValueRange(NamedTuple):
    """The range of planes (P, C, H, W).

    Attributes:
        low: the value that becomes 0 for the methods.
        span: from `low` to the value that becomes 1.
        floor: the least value of each channel that is no outlier, (C, 1, 1).
        ceiling: the largest, (C, 1, 1).
    """

    low: float
    span: float
    floor: Tensor
    ceiling: Tensor

    def normalize(self, planes: Tensor) -> Tensor:
        """Return (..., C, H, W) with `low` at 0 and `low + span` at 1; the same if they are."""
        if (self.low, self.span) == (0, 1):
            return planes
        return (planes - self.low).div_(self.span)


def value_range(planes: Tensor, source: Image | Stack) -> ValueRange:
    """Return the range that nearly all values of planes span.

    Values further from the central 98 % of a channel than twice what these span are outliers.
    Images of 8 bits have [0, 1], and so do others that use at least half of it.

    Args:
        planes: (P, C, H, W).
        source: of the planes.
    """
    ignored = constant_areas(planes) | transparent_pixels(source)
    floors, ceilings, least, largest = [], [], [], []
    for channel, out in zip(planes.unbind(1), ignored.unbind(1), strict=True):
        values = select_values(channel, ~out.expand_as(channel))
        if not len(values):  # a constant channel
            floors.append(-torch.inf)
            ceilings.append(torch.inf)
            continue
        low, high = sample_quantiles(values, (_TAILS, 1 - _TAILS), _MAX_SAMPLES)
        margin = _OUTLIER_SPANS * (high - low) or torch.inf
        floors.append(low - margin)
        ceilings.append(high + margin)
        usual = values[(values >= floors[-1]) & (values <= ceilings[-1])]
        least.append(float(usual.min()))
        largest.append(float(usual.max()))
    floor, ceiling = (torch.tensor(bounds).view(-1, 1, 1) for bounds in (floors, ceilings))
    low, high = min(least, default=float(planes.min())), max(largest, default=float(planes.max()))
    if isinstance(source, Image) and (high - low >= _FULL_SPAN or _has_eight_bits(planes, source)):
        low, high = 0.0, 1.0
    return ValueRange(low, high - low or 1.0, floor, ceiling)


def _has_eight_bits(planes: Tensor, image: Image) -> bool:
    """Return whether an image has no finer steps than those of 8 bits."""
    if image.metadata.bits == 8:
        return True
    codes = 255 * planes.flatten()[:: 1 + planes.numel() // _MAX_SAMPLES]
    return bool((codes - codes.round()).abs().max() < 0.01)


def transparent_pixels(source: Image | Stack) -> Tensor:
    """Return where an image is fully transparent, (H, W), or one False that stands for all."""
    alpha = source.metadata.alpha if isinstance(source, Image) else None
    return torch.tensor(False) if alpha is None else alpha == 0


def unmeasured_pixels(planes: Tensor, source: Image | Stack, values: ValueRange) -> Tensor:
    """Return which pixels say nothing about the noise, (P, C, H, W) bool.

    They are constant areas, outliers, and transparent pixels.
    """
    beyond = (planes < values.floor) | (planes > values.ceiling)
    return constant_areas(planes) | beyond | transparent_pixels(source)


def unfiltered_pixels(plane: Tensor, source: Image | Stack, values: ValueRange) -> Tensor:
    """Return which pixels of a plane come back as they are, (C, H, W) bool.

    They are constant areas, single outliers and constant groups of them, and transparent pixels.
    Other outliers, such as bright beads, are filtered like anything else.
    """
    hidden = constant_areas(plane[None])[0] | transparent_pixels(source)
    beyond = (plane < values.floor) | (plane > values.ceiling)
    if beyond.any() and min(plane.shape[1:]) >= 3:
        padded = F.pad(plane[:, None], (1, 1, 1, 1), mode="reflect")
        median = F.unfold(padded, 3).median(1).values.view_as(plane)
        median_beyond = (median < values.floor) | (median > values.ceiling)
        hidden |= beyond & (~median_beyond | _in_constant_squares(plane[None], 3)[0])
    return hidden


def constant_areas(planes: Tensor) -> Tensor:
    """Return which pixels lie in large areas of one value, such as a frame, (P, C, H, W) bool.

    The paper of a drawing is none: it reaches everywhere between the lines.

    Example:
        >>> plane = torch.rand(1, 1, 48, 48, generator=torch.manual_seed(0))
        >>> plane[..., :20] = 1
        >>> round(constant_areas(plane).float().mean().item(), 2)
        0.42
    """
    height, width = planes.shape[2:]
    whole = planes.amax((2, 3), keepdim=True) == planes.amin((2, 3), keepdim=True)
    # A row of a square has one pair of equal neighbors less than pixels, so few make no large area.
    pairs = (planes[..., 1:] == planes[..., :-1]).all(1).sum((1, 2))
    most = pairs * _CONSTANT_SIDE / (_CONSTANT_SIDE - 1) / (height * width)
    if min(height, width) < _WINDOW or bool((most <= _MIN_CONSTANT).all()):
        return whole.expand_as(planes).clone()
    constant = (whole | _in_constant_squares(planes, _CONSTANT_SIDE)).all(1, keepdim=True)
    shares = F.avg_pool2d(constant.float(), _WINDOW, _WINDOW_STRIDE)
    free = (shares == 0).sum((2, 3), keepdim=True)
    partly = ((shares > 0) & (shares < 1)).sum((2, 3), keepdim=True)
    large = constant.float().mean((2, 3), keepdim=True) > _MIN_CONSTANT
    areas = whole | (constant & large & (free >= _MIN_FREE * partly))
    areas |= _rims(planes, areas)
    # Where few photons were counted, the zeros have single pixels among them, and so has noise that
    # was clipped, if only in one of the channels.
    neighbors = F.pad(areas.float(), (1, 1, 1, 1), mode="replicate")
    neighbors = 9 * F.avg_pool2d(neighbors, 3, 1)
    singles = (~areas & (neighbors > 6.5)).sum((2, 3), keepdim=True)
    empty = singles <= _MAX_SINGLES * areas.sum((2, 3), keepdim=True)
    return whole | (areas & empty.all(1, keepdim=True))


def _rims(planes: Tensor, areas: Tensor) -> Tensor:
    """Return the pixels around constant areas that have an area's value, (P, C, H, W) bool."""
    reach = _CONSTANT_SIDE - 1
    near = _max_filter(F.pad(areas.float(), (reach,) * 4), 2 * reach + 1) > 0
    rims = torch.zeros_like(areas)
    for index in areas.any(3).any(2).nonzero().tolist():
        plane, area = planes[tuple(index)], areas[tuple(index)]
        rims[tuple(index)] = near[tuple(index)] & torch.isin(plane, plane[area].unique())
    return rims


def _in_constant_squares(planes: Tensor, side: int) -> Tensor:
    """Return which pixels lie in a square of one value, (P, C, H, W) bool."""
    largest, least = (_max_filter(sign * planes, side) for sign in (1, -1))
    squares = (largest == -least).float()
    return _max_filter(F.pad(squares, (side - 1,) * 4), side) > 0


def _max_filter(planes: Tensor, side: int) -> Tensor:
    """Return the largest value of each square that lies inside of the planes."""
    return F.max_pool2d(F.max_pool2d(planes, (side, 1), 1), (1, side), 1)


def fill_pixels(plane: Tensor, hidden: Tensor) -> Tensor:
    """Return a plane (C, H, W) whose hidden pixels continue their surroundings smoothly.

    Example:
        >>> plane = torch.tensor([[[1.0, 1.0, -9999.0, 1.0]]])
        >>> fill_pixels(plane, plane < 0).tolist()
        [[[1.0, 1.0, 1.0, 1.0]]]
    """
    if not hidden.any() or plane[0].numel() == 1:
        return plane
    weights = (~hidden).float()
    total = F.avg_pool2d(plane.where(~hidden, 0), 2, ceil_mode=True)
    share = F.avg_pool2d(weights, 2, ceil_mode=True)
    coarse = fill_pixels(total / share.clamp(min=1e-6), share == 0)
    size = tuple(plane.shape[1:])
    fine = F.interpolate(coarse[None], size, mode="bilinear", align_corners=False)[0]
    return plane.where(~hidden, fine)
