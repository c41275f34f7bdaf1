"""Find and remove stripes: an offset of its own in each row, or in each column, of a plane.

Beside them, find single rows and columns of a sensor that are dead or stuck.

The median of the differences between two neighboring rows is the difference of their offsets, plus
what the picture changes all along a row. Offsets are independent of each other, so such differences
alternate, while a picture's add up; that tells them apart.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

Direction = Literal["row", "column"]

_MIN_LINES = 48  # rows of a plane that is searched, and pixels in each
_MAX_PIXELS = 4096  # of a row, from which its median is taken
_MAX_CORRELATION = -0.3  # of differences with the next; independent offsets have -0.5
_DEVIATIONS = 4.0  # that the offsets have at least, in units of what noise makes of them
_DOMINANCE = 2.0  # deviation of one direction's offsets over the other's
_CUT = 4.0  # deviations of a difference that count in full; more is an edge
_ITERATIONS = 8
# Variance of the picture's changes over the offsets' that is taken at least: less leaves the
# picture's shades in the offsets, more leaves some of slow offsets.
_LEAST_CHANGE = 0.03

# Single lines: how far they are from the lines beside them, in deviations of all lines, in the
# distance that one of fifty has, and in deviations of a pixel; the share of that which the lines
# beside may have, and which each quarter must have.
_LINE_DEVIATIONS, _LINE_TAIL, _LINE_NOISE = 10.0, 3.0, 1.0
_LINE_SKIRT, _LINE_QUARTER = 0.15, 0.4
_FROZEN = 0.98  # share of a line's pixels with one value, from which it is stuck in any case
_MAX_STUCK = 0.02  # share of the lines; more is a pattern
# Share of turning points and of equal neighbors along the lines beside, to tell them from drawn
# ones.
_MIN_TURNING, _MAX_EQUAL = 0.3, 0.5


class Stripes(NamedTuple):
    """The offsets of a plane's rows or columns.

    Attributes:
        direction: `row` if each row has an offset.
        offsets: of each channel, (C, H, 1) for rows and (C, 1, W) for columns.
    """

    direction: Direction
    offsets: Tensor

    @property
    def sigma(self) -> tuple[float, ...]:
        """Return the standard deviation of the offsets in each channel."""
        return tuple(self.offsets.flatten(1).std(1).tolist())

    def remove(self, planes: Tensor) -> Tensor:
        """Return planes (..., C, H, W) without the offsets, within the range that they had."""
        return (planes - self.offsets).clamp(planes.min(), planes.max())


def find_stripes(plane: Tensor) -> Stripes | None:
    """Estimate the offsets of a plane's rows, or of its columns.

    Args:
        plane: (C, H, W).

    Returns:
        The offsets; None unless they are clearly more than noise and the picture make.

    Example:
        >>> generator = torch.manual_seed(0)
        >>> plane = 0.05 * torch.randn(1, 64, 64, generator=generator)
        >>> find_stripes(plane) is None
        True
        >>> find_stripes(plane + 0.1 * torch.randn(1, 64, 1, generator=generator)).direction
        'row'
    """
    if min(plane.shape[1:]) < _MIN_LINES:
        return None
    rows, columns = _Lines(plane), _Lines(plane.transpose(1, 2))
    for lines, others, direction in ((rows, columns, "row"), (columns, rows, "column")):
        if lines.is_striped and lines.deviation > _DOMINANCE * others.deviation:
            offsets = torch.stack([_split(m) for m in lines.differences])[..., None]
            return Stripes(direction, offsets if direction == "row" else offsets.transpose(1, 2))
    return None


def find_stuck_lines(plane: Tensor) -> Tensor:
    """Find single rows and columns that stand out along all of a plane, as dead ones do.

    Args:
        plane: (C, H, W).

    Returns:
        Their pixels, (C, H, W) bool.

    Example:
        >>> plane = 0.05 * torch.randn(1, 64, 64, generator=torch.manual_seed(0))
        >>> plane[..., 20] = 0.5
        >>> find_stuck_lines(plane)[0].all(0).nonzero().tolist()
        [[20]]
    """
    mask = torch.zeros_like(plane, dtype=torch.bool)
    if min(plane.shape[1:]) < _MIN_LINES:
        return mask
    for turned, lines in ((plane, mask), (plane.transpose(1, 2), mask.transpose(1, 2))):
        stuck, frozen = map(torch.stack, zip(*map(_stuck_columns, turned), strict=True))
        stuck |= frozen & stuck.any(0)  # of a sensor's colors, some are too plain to tell
        lines |= stuck[:, None]
    return mask


def _stuck_columns(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return which columns of a channel (H, W) are stuck, and which have one value, (W) bool."""
    height, width = values.shape
    stuck = torch.zeros(width, dtype=torch.bool)
    frozen = stuck.clone()
    values = values[:: 1 + height // _MAX_PIXELS]
    # Of columns 2 to W - 3, which have two on each side.
    middle, left, right = values[:, 2:-2], values[:, 1:-3], values[:, 3:-1]
    changes = middle - (left + right) / 2
    heights = changes.median(0).values
    spread = 1.4826 * (heights - heights.median()).abs().median()
    noise = 1.4826 * (changes - heights).abs().median(0).values.median()
    tail = heights.abs().quantile(1 - _MAX_STUCK)
    least = torch.stack([_LINE_DEVIATIONS * spread, _LINE_NOISE * noise, _LINE_TAIL * tail]).amax()
    stands_out = (heights.abs() > least) & (heights != 0)
    # Medians take their time: only of columns of which they may say something.
    (high,) = stands_out.nonzero(as_tuple=True)
    tall, sign = heights[high].abs(), heights[high].sign()
    quarters = torch.stack([part.median(0).values for part in changes[:, high].chunk(4)])
    beside = (
        torch.stack([left[:, high] - values[:, high], right[:, high] - values[:, high + 4]])
        .median(1)
        .values
    )
    whole = (quarters * sign > _LINE_QUARTER * tall).all(0)
    stands_out[high] = whole & (beside.abs() < _LINE_SKIRT * tall).all(0)
    steps = values.diff(dim=0)
    equal = (steps == 0).float().mean(0)
    # Of values of which so many are the same, most neighbors are.
    (same,) = (equal[2:-2] > 2 * _FROZEN - 1 - 2 / len(values)).nonzero(as_tuple=True)
    columns = middle[:, same]
    frozen[2 + same] = (columns == columns.median(0).values).float().mean(0) >= _FROZEN
    stands_out |= frozen[2:-2]
    turning = ((steps[1:] * steps[:-1]) < 0).float().mean(0)
    natural = (turning > _MIN_TURNING) & (equal < _MAX_EQUAL)
    stands_out &= natural[1:-3] & natural[3:-1]
    if stands_out.sum() <= max(1, _MAX_STUCK * width):
        stuck[2:-2] = stands_out
    return stuck, frozen


class _Lines:
    """Medians of the differences between the rows of a plane (C, H, W).

    Attributes:
        differences: (C, H - 1).
        deviation: of the offsets that would make them, in the channel that has the most.
        is_striped: whether they are those of independent offsets.
    """

    def __init__(self, plane: Tensor) -> None:
        step = 1 + plane.shape[2] // _MAX_PIXELS
        values = plane[..., ::step]
        # What was clipped has no offset.
        low, high = values.amin((1, 2), keepdim=True), values.amax((1, 2), keepdim=True)
        values = values.masked_fill((values <= low) | (values >= high), torch.nan)
        changes = values.diff(dim=1)
        self.differences = changes.nanmedian(2).values.nan_to_num(0)
        deviations = (changes - self.differences[..., None]).abs()
        spread = 1.4826 * deviations.flatten(1).nanmedian(1).values.nan_to_num(0)
        noise = 1.2533 * spread / changes.shape[2] ** 0.5  # of the median of as many values
        deviations = 1.4826 * self.differences.abs().median(1).values
        self.deviation = float((deviations / 2**0.5).max())
        channel = int(deviations.argmax())
        cut = (_CUT * deviations[channel]).clamp(min=1e-12)
        values = self.differences[channel].clamp(-cut, cut)
        correlation = float((values[1:] * values[:-1]).mean() / values.square().mean().clamp(1e-20))
        enough = float(deviations[channel]) > _DEVIATIONS * float(noise[channel])
        self.is_striped = enough and correlation < _MAX_CORRELATION


def _split(differences: Tensor) -> Tensor:
    """Return the independent offsets whose differences, with the picture's, are given.

    The sum of the differences is an independent offset for each row plus the picture, which changes
    little from row to row but at edges; the picture is its smoothest part, with edges left out.

    Args:
        differences: (H - 1).

    Returns:
        (H), of mean zero.
    """
    differences = differences.double()
    cut = _CUT * 1.4826 * differences.abs().median()
    values = differences.clamp(-cut, cut)
    offset = -(values[1:] * values[:-1]).mean()
    change = (values.square().mean() - 2 * offset).clamp(min=_LEAST_CHANGE * offset)
    total = torch.cat([differences.new_zeros(1), differences.cumsum(0)])
    identity = torch.eye(len(total), dtype=torch.float64)
    slope = identity.diff(dim=0)
    picture = total
    weights = (1 / change).expand(len(differences))
    for _ in range(_ITERATIONS):
        matrix = identity / offset + slope.T @ (weights[:, None] * slope)
        picture = torch.linalg.solve(matrix, total / offset)
        weights = 1 / torch.maximum(change, picture.diff().square())
    offsets = total - picture
    return (offsets - offsets.mean()).float()
