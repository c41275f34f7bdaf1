"""Find single pixels that are no part of the picture: salt and pepper, hot and dead pixels.

A speck stands out from all around it, and nothing of it is in its neighbors, while a star or a
bead has at least the skirt of the narrowest point-spread function. How far noise and texture make
pixels stand out is measured in the picture itself, at each brightness and around each pixel.

References:
    Garnett, Huegerich, Chui, He 2005, A universal noise removal algorithm with an impulse
    detector, IEEE TIP 14(11) (rank-ordered differences); Stetson 1987, DAOPHOT, Publications of
    the Astronomical Society of the Pacific 99 (sharpness of a star and of a hot pixel); Kendall,
    Stuart, The advanced theory of statistics (turning points of a random series).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.denoising.filters import sample_quantiles
from impasto.denoising.stripes import find_stuck_lines
from impasto.denoising.valid_pixels import fill_pixels, transparent_pixels
from impasto.images.image import Image
from impasto.images.stack import Stack
from impasto.recipes import DenoiseRecipe

_MIN_SIDE = 7  # pixels of a plane that is searched
_MAX_SAMPLES = 2**19  # values from which quantiles are computed
_BINS = 16  # of brightness, in which deviations are measured
_CHUNK = 2**15  # candidates that are examined at a time
_LEVELS = 2**18  # pixels whose brightness is looked up at a time
_ROWS = 32  # rows whose neighbors are compared at a time
_ROUNDING_8_BITS = 1.5 / 255  # deviation that is taken at least in a picture of 8 bits
_REACH = 3  # pixels around a candidate that its ground is taken from

# Deviations by which a speck exceeds its neighbors but one, at least. The picture's own tail, which
# is taken for exponential between two of its quantiles, may demand more.
_MIN_EXCESS = 6.0
_TAIL = (0.95, 0.99)
_FALSE_SPECKS = 0.1  # expected in a channel
_SPREAD_OF_MEAN = 0.943  # deviation over that of the difference with the mean of eight neighbors
# Share of a speck's height that its three lowest direct neighbors may have on average. A star of
# 1.5 pixels at half height has 0.29 on its pixel's center, and more between pixels.
_MAX_SKIRT, _NARROWEST_SKIRT, _SKIRT_DEVIATIONS = 0.2, 0.295, 2.5
# Share of turning points around it: 2/3 in white noise, none on a smooth shade. With less than the
# first the ground is texture, with less than the second drawn. Of a whole channel, paintings have
# up to 0.53.
_WHITE, _DRAWN, _WHITE_CHANNEL = 0.5, 0.25, 0.55
_MAX_EQUAL = 0.5  # share of equal neighbors around it; more is drawn
# In texture a speck must stand out more, some must, and what stands out must have no skirt: as
# much as the second share of it may.
_MIN_EXCESS_TEXTURE, _MAX_SKIRT_TEXTURE, _MAX_DOUBTFUL, _MIN_STRONG = 12.0, 0.1, 0.5, 3

# Salt and pepper: the share of each, at least, and what makes single ones sure.
_MIN_END_SHARE, _MIN_END_COUNT = 4e-5, 8
# Where more of them than the first have one value all around, there must be as many as the second.
_MAX_FLAT, _MIN_END_SHARE_FLAT = 0.5, 0.005
_MIN_STEP, _STEP_DEVIATIONS = 0.1, 5.0  # of the range, and of the deviation around
_SURE_STEP, _SURE_GAP = 0.05, 0.2
_OWN_SHARE = 0.6  # of the 24 pixels around that have the same end of the range: it is the scene's
_MIN_COMMON = 0.5  # share of a channel's specks that are in another, if both have the same
_MAX_PAIRS = 1.5  # pairs at one distance and direction over those of independent places
_PAIR_REACH = 3


class Defects(NamedTuple):
    """Pixels of planes that are no part of the picture.

    Attributes:
        mask: which they are, (P, C, H, W) bool.
        share: of all values that are single specks.
        rows: numbers from 1 of rows that are stuck, in any plane or channel.
        columns: of columns.
    """

    mask: Tensor
    share: float
    rows: tuple[int, ...] = ()
    columns: tuple[int, ...] = ()

    def fill(self, planes: Tensor) -> Tensor:
        """Return planes (P, C, H, W) whose defects continue what is around them."""
        pairs = zip(planes, self.mask, strict=True)
        return torch.stack([fill_specks(plane, mask) for plane, mask in pairs])


def find_defects(planes: Tensor, recipe: DenoiseRecipe, source: Image | Stack) -> Defects | None:
    """Find the specks and the stuck lines of planes; None if there are none.

    Args:
        planes: (P, C, H, W).
        recipe: its `specks` and `stripes`.
        source: of the planes; it says which pixels are transparent, and how values are rounded.
    """
    visible = ~transparent_pixels(source)
    least = _ROUNDING_8_BITS
    if not isinstance(source, Image):
        least = source.unit / 2 if source.dtype.kind in "ui" else 0.0
    elif source.metadata.bits > 8:
        least = 0.0
    mask = torch.zeros_like(planes, dtype=torch.bool)
    lines = torch.zeros_like(mask)
    if recipe.stripes != "off":
        for plane, out in zip(planes, lines, strict=True):
            out |= find_stuck_lines(plane) & visible
    if recipe.specks != "off":
        for plane, out, line in zip(planes, mask, lines, strict=True):
            filled = fill_specks(plane, line)
            out |= find_specks(filled, least, trusting=recipe.specks == "on") & visible & ~line
    if not (mask.any() or lines.any()):
        return None
    rows, columns = (
        tuple((1 + lines.all(axis).flatten(0, 1).any(0).nonzero()[:, 0]).tolist())
        for axis in (3, 2)
    )
    return Defects(mask | lines, float(mask.float().mean()), rows, columns)


def find_specks(plane: Tensor, least: float, *, trusting: bool = False) -> Tensor:
    """Find the specks of a plane.

    Args:
        plane: (C, H, W), in any range.
        least: deviation that is taken at least, such as that of rounding.
        trusting: take what stands out in texture and in drawings for specks, too.

    Returns:
        (C, H, W) bool.

    Example:
        >>> plane = 0.05 * torch.randn(1, 64, 64, generator=torch.manual_seed(0))
        >>> plane[0, 20, 30] = 0.9
        >>> find_specks(plane, 0).nonzero().tolist()
        [[0, 20, 30]]
    """
    mask = torch.zeros_like(plane, dtype=torch.bool)
    if min(plane.shape[1:]) < _MIN_SIDE:
        return mask
    for channel, out in zip(plane, mask, strict=True):
        out |= _find_salt_and_pepper(channel)
    _share_specks(plane, mask)
    for filled, out in zip(fill_specks(plane, mask), mask, strict=True):
        out |= _find_outliers(filled, least, trusting)
    return mask


def _share_specks(plane: Tensor, mask: Tensor) -> None:
    """Mark the specks of one channel in the others, too, if most are in two.

    Args:
        plane: (C, H, W).
        mask: salt and pepper, likewise; it is changed.
    """
    low, high = plane.amin((1, 2), keepdim=True), plane.amax((1, 2), keepdim=True)
    ends = (plane == low) | (plane == high)
    own = mask.clone()
    for channel, out in enumerate(mask):
        for other in range(len(mask)):
            shared = int((own[channel] & own[other]).sum())
            if other != channel and shared > _MIN_COMMON * int(own[other].sum()):
                out |= own[other] & ends[channel]


def fill_specks(plane: Tensor, mask: Tensor) -> Tensor:
    """Return a plane whose masked pixels continue what is around them.

    Pairs of opposite neighbors count the more the less they differ, so that edges go on.

    Args:
        plane: (C, H, W).
        mask: (C, H, W) bool.

    Example:
        >>> plane = torch.zeros(1, 8, 8)
        >>> plane[..., 4:] = 1
        >>> speck = torch.zeros(1, 8, 8, dtype=torch.bool)
        >>> speck[0, 3, 4] = True
        >>> bool(fill_specks(plane.where(~speck, -9), speck)[0, 3, 4] > 0.9)
        True
    """
    if not mask.any():
        return plane
    filled = plane.clone()
    smooth: Tensor | None = None
    for channel, (values, missing) in enumerate(zip(plane, mask, strict=True)):
        for positions in missing.flatten().nonzero()[:, 0].split(_CHUNK):
            around = _windows(values, positions, 2)  # (N, 5, 5)
            known = ~_windows(missing, positions, 2)
            sums, weights = _sum_pairs(around.double(), known)
            new = (sums / weights.clamp(min=1e-300)).to(plane.dtype)
            if bool((weights == 0).any()):  # all around is missing, too
                smooth = fill_pixels(plane, mask) if smooth is None else smooth
                new = new.where(weights > 0, smooth[channel].flatten()[positions])
            filled[channel].view(-1)[positions] = new
    return filled


def _sum_pairs(around: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Return the weighted sum of what is known in windows (N, 5, 5), and the sum of weights."""
    offsets = torch.arange(-2, 3, dtype=torch.float64)
    distance = offsets.square()[:, None] + offsets.square()
    bell = (torch.exp(-distance) * known).flatten(1)
    values = around.flatten(1)
    mean = (bell * values).sum(1) / bell.sum(1).clamp(min=1e-300)
    variance = (bell * (values - mean[:, None]).square()).sum(1) / bell.sum(1).clamp(min=1e-300)
    variance = variance + 1e-12 * mean.square() + 1e-30
    # A mean without direction, where no pair is whole.
    weights = 0.02 * bell.sum(1)
    sums = weights * mean
    for down, across in ((0, 1), (1, 0), (1, 1), (1, -1)):
        one, other = around[:, 2 + down, 2 + across], around[:, 2 - down, 2 - across]
        both = known[:, 2 + down, 2 + across] & known[:, 2 - down, 2 - across]
        likeness = both / (1 + 8 * (one - other).square() / variance) ** 2
        likeness = likeness / (down**2 + across**2)
        sums = sums + likeness * (one + other) / 2
        weights = weights + likeness
    return sums, weights


class _Candidates(NamedTuple):
    """What stands out from a channel, (N) each."""

    positions: Tensor  # by rows
    excess: Tensor  # over the neighbors but one, in deviations of the ground
    skirt: Tensor  # share of the height in the three lowest direct neighbors
    turning: Tensor  # share of turning points around
    equal: Tensor  # share of equal neighbors around


def _find_outliers(values: Tensor, least: float, trusting: bool) -> Tensor:
    """Return which pixels of a channel (H, W) stand out alone, whatever their value."""
    mask = torch.zeros_like(values, dtype=torch.bool)
    span = float(values.max() - values.min())
    if span == 0:
        return mask
    excess, bright, mean = _excess(values)
    deviation = _deviations(values, mean).clamp(min=max(least, 1e-6 * span))
    score = excess / deviation
    near, far = sample_quantiles(score, _TAIL, _MAX_SAMPLES)
    slope = (far - near) / math.log((1 - _TAIL[0]) / (1 - _TAIL[1]))
    threshold = far + slope * math.log((1 - _TAIL[1]) * values.numel() / _FALSE_SPECKS)
    threshold = max(_MIN_EXCESS, threshold)
    positions = (score > _MIN_EXCESS).flatten().nonzero()[:, 0]
    if not len(positions):
        return mask
    parts = [_examine(values, part, excess, bright, deviation) for part in positions.split(_CHUNK)]
    found = _Candidates(*(torch.cat(tables) for tables in zip(*parts, strict=True)))
    stands_out = found.excess > threshold
    narrow = _NARROWEST_SKIRT - _SKIRT_DEVIATIONS / 2 / found.excess
    single = found.skirt < narrow.clamp(max=_MAX_SKIRT)
    drawn = (found.equal >= _MAX_EQUAL) | (found.turning < _DRAWN)
    sure = stands_out & single
    if not trusting:
        sure &= ~drawn & ((found.turning >= _WHITE) | (found.excess > _MIN_EXCESS_TEXTURE))
    if not trusting and not _is_white(values):
        bare = found.skirt < _MAX_SKIRT_TEXTURE
        sure &= bare & (found.excess > _MIN_EXCESS_TEXTURE)
        strong, doubtful = int(sure.sum()), int((stands_out & ~bare & ~drawn).sum())
        if strong < _MIN_STRONG or doubtful > _MAX_DOUBTFUL * strong:
            return mask
    mask.view(-1)[found.positions[sure]] = True
    return mask


def _is_white(values: Tensor) -> bool:
    """Return whether noise gives a channel (H, W) nearly the turning points of white noise."""
    step = values.diff(dim=1)
    return float((step[:, 1:] * step[:, :-1] < 0).float().mean()) > _WHITE_CHANNEL


def _excess(values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return by how much pixels exceed all eight neighbors but one, whether upwards, their mean."""
    padded = F.pad(values[None, None], (1, 1, 1, 1), mode="reflect")[0, 0]
    excess, mean = torch.empty_like(values), torch.empty_like(values)
    bright = torch.empty_like(values, dtype=torch.bool)
    for top in range(0, len(values), _ROWS):  # few enough for the cache
        rows = slice(top, top + _ROWS)
        strip = padded[top : top + _ROWS + 2]
        up, down, mean[rows] = _strip_excess(strip)
        torch.maximum(up, down, out=excess[rows])
        torch.gt(up, down, out=bright[rows])
    return excess, bright, mean


def _strip_excess(padded: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return by how much pixels exceed all neighbors but one, fall short of all but one, the mean.

    Args:
        padded: (H + 2, W + 2), with a border of neighbors.

    Returns:
        (H, W) each.
    """
    height, width = padded.shape[0] - 2, padded.shape[1] - 2
    values = padded[1:-1, 1:-1]
    first = torch.full_like(values, -torch.inf)
    second, least, less = first.clone(), -first, -first
    mean = torch.zeros_like(values)
    for down in range(3):
        for across in range(3):
            if (down, across) == (1, 1):
                continue
            neighbor = padded[down : down + height, across : across + width]
            second = torch.maximum(second, torch.minimum(first, neighbor))
            first = torch.maximum(first, neighbor)
            less = torch.minimum(less, torch.maximum(least, neighbor))
            least = torch.minimum(least, neighbor)
            mean += neighbor / 8
    return values - second, less - values, mean


def _deviations(values: Tensor, mean: Tensor) -> Tensor:
    """Return how far pixels of each brightness usually are from the mean of their neighbors.

    It is the larger one of two quantiles, since few photons leave half of the pixels at zero.
    """
    differences, levels = (values - mean).abs().flatten(), mean.flatten()
    step = 1 + len(levels) // _MAX_SAMPLES
    order = levels[::step].argsort()
    centers, deviations = [], []
    for part in order.chunk(_BINS):
        half, most = sample_quantiles(differences[::step][part], (0.5, 0.8), _MAX_SAMPLES)
        centers.append(float(levels[::step][part].median()))
        deviations.append(_SPREAD_OF_MEAN * max(half / 0.6745, most / 1.2816))
    table = torch.tensor(deviations)
    usual = torch.empty_like(levels)
    for part, target in zip(levels.split(_LEVELS), usual.split(_LEVELS), strict=True):
        above = torch.searchsorted(torch.tensor(centers), part).clamp(max=len(table) - 1)
        torch.maximum(table[above], table[(above - 1).clamp(min=0)], out=target)
    return usual.view_as(values)


def _examine(
    values: Tensor, positions: Tensor, excess: Tensor, bright: Tensor, deviation: Tensor
) -> _Candidates:
    """Examine what stands out from a channel (H, W) at positions (N)."""
    window = _windows(values, positions, _REACH)  # (N, 7, 7)
    ring = torch.ones(2 * _REACH + 1, 2 * _REACH + 1, dtype=torch.bool)
    ring[2:5, 2:5] = False
    around = window[:, ring].sort(1).values  # (N, 40)
    level = (around[:, 19] + around[:, 20]) / 2
    spread = (around[:, 33] - around[:, 6]) / 1.93  # 84th and 16th percentile
    sign = torch.where(bright.flatten()[positions], 1.0, -1.0)
    height = sign * (window[:, 3, 3] - level)
    direct = torch.stack([window[:, 2, 3], window[:, 4, 3], window[:, 3, 2], window[:, 3, 4]])
    shares = sign * (direct - level) / height.clamp(min=1e-30)
    steps = window.diff(dim=1), window.diff(dim=2)
    turning = (steps[0][:, 1:] * steps[0][:, :-1] < 0).float().mean((1, 2))
    turning = turning + (steps[1][..., 1:] * steps[1][..., :-1] < 0).float().mean((1, 2))
    equal = sum((step == 0).float().mean((1, 2)) for step in steps)
    scale = torch.maximum(deviation.flatten()[positions], spread)
    return _Candidates(
        positions,
        excess.flatten()[positions] / scale,
        (shares.sum(0) - shares.max(0).values) / 3,
        turning / 2,
        equal / 2,
    )


def _find_salt_and_pepper(values: Tensor) -> Tensor:
    """Return which pixels of a channel (H, W) at both ends of its range are specks.

    They are told by the many that stand out from what is around them at places that are
    independent of each other, as those of letters and dots of a drawing are not.
    """
    nothing = torch.zeros_like(values, dtype=torch.bool)
    low, high = values.min(), values.max()
    ends = (values == low) | (values == high)
    least = max(_MIN_END_COUNT, _MIN_END_SHARE * values.numel())
    if low == high or min(int((values == end).sum()) for end in (low, high)) < least:
        return nothing
    positions = ends.flatten().nonzero()[:, 0]
    known_tables = [_examine_ends(values, part, low, high) for part in positions.split(_CHUNK)]
    step, spread, gap, scene = (torch.cat(tables) for tables in zip(*known_tables, strict=True))
    clear = ~scene & (step > (_STEP_DEVIATIONS * spread).clamp(min=_MIN_STEP))
    own = values.flatten()[positions]
    counts = [int((clear & (own == end)).sum()) for end in (low, high)]
    places = nothing.clone()
    places.view(-1)[positions[clear]] = True
    if float((spread[clear] == 0).float().mean()) > _MAX_FLAT:  # a drawing has few dots, too
        least = max(least, _MIN_END_SHARE_FLAT * values.numel())
    if min(counts) < least or not _are_independent(places):
        return nothing
    # The more specks there are, the likelier is one where the scene itself may reach the end.
    share = min(sum(counts) / values.numel(), 0.5)
    deviations = math.sqrt(2 * math.log((1 - share) / share + 1))
    sure = ~scene & ((step > (deviations * spread).clamp(min=_SURE_STEP)) | (gap > _SURE_GAP))
    specks = nothing.clone()
    specks.view(-1)[positions[sure]] = True
    return specks


def _examine_ends(
    values: Tensor, positions: Tensor, low: Tensor, high: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Compare pixels at the ends of a channel's range with what is around and at neither end.

    Args:
        values: (H, W).
        positions: of the pixels, by rows, (N).
        low: the least value.
        high: the largest.

    Returns:
        (N) each: the step to the median, the deviation of what is around, the least step, all in
        units of the range, and whether the scene itself is at this end.
    """
    around = _windows(values, positions, 2).flatten(1)  # (N, 25)
    own = values.flatten()[positions]
    scene = (around == own[:, None]).sum(1) - 1 > _OWN_SHARE * 24
    known = around.masked_fill((around == low) | (around == high), torch.nan)
    quarter, half, most = known.nanquantile(torch.tensor([0.25, 0.5, 0.75]), dim=1)
    steps = (own[:, None] - known).abs() / (high - low)
    gap = steps.nan_to_num(torch.inf).amin(1)
    step = (own - half).abs() / (high - low)
    spread = (most - quarter) / 1.35 / (high - low)
    return step, spread, gap, scene | half.isnan()


def _are_independent(mask: Tensor) -> bool:
    """Return whether places (H, W) are as often neighbors of each other as independent ones are."""
    places = mask.float()
    share = float(places.mean())
    touching, expected_touching = 0.0, 0.0
    for down in range(_PAIR_REACH + 1):
        for across in range(-_PAIR_REACH, _PAIR_REACH + 1):
            if (down, across) <= (0, 0):
                continue
            one = places[down:, max(0, across) : places.shape[1] + min(0, across)]
            other = places[
                : places.shape[0] - down, max(0, -across) : places.shape[1] - max(0, across)
            ]
            pairs = float((one * other).sum())
            expected = share**2 * one.numel()
            if pairs > _MAX_PAIRS * expected + 4 * math.sqrt(expected) + 3:
                return False
            if max(down, abs(across)) == 1:
                touching, expected_touching = touching + pairs, expected_touching + expected
    most = _MAX_PAIRS * expected_touching + 4 * math.sqrt(expected_touching) + 1
    return touching <= most


def _windows(plane: Tensor, positions: Tensor, reach: int) -> Tensor:
    """Return the square around each position in (H, W), mirrored: (N, side, side)."""
    height, width = plane.shape
    offsets = torch.arange(-reach, reach + 1)
    rows, columns = (
        (side - 1 - (side - 1 - (axis[:, None] + offsets).abs()).abs())
        for axis, side in ((positions // width, height), (positions % width, width))
    )
    return plane[rows[:, :, None], columns[:, None]]
