"""Recognize dots that carry a picture: a printing screen's, ordered dithering, error diffusion.

A screen (clustered-dot halftone) has its dots on a square grid all over the picture: the spectrum
has sharp peaks at the same places in most blocks, two of them at right angles and of one frequency,
which have much of the power in fine detail; and dots are dark on light where the picture is light,
light on dark where it is dark, while threads and tiles are the same in light and shadow. Dithering
makes the shades of few colors: neighbors differ all over, while coarser detail is only the
picture's. Noise has neither.

References:
    Ulichney 1987, Digital Halftoning, MIT Press.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

_BLOCK = 128  # pixels a side of the blocks whose spectra are compared
_MAX_BLOCKS = 128
_MAX_CHANNELS = 4  # that are searched
_MIN_FREQUENCY = 0.075  # cycles a pixel; coarser is the picture's
_ACTIVE = 0.1  # power of a block over the mean, from which it has dots
_MIN_ACTIVE = 0.2  # of all blocks
_SURROUNDINGS = 17  # frequencies a side whose median a peak stands out from
_MIN_PROMINENCE, _CHANCE = 1.6, 6.0  # of the mean logarithm: at least, and over √blocks
_LOBE = 5  # frequencies a side that a peak spreads over: the window's
_MIN_SHARE = 0.4  # of the power in fine detail that peaks have
_MIN_PATTERN_SHARE = 0.75  # likewise, of a pattern beside which no shared noise is measured
_MIN_COVERAGE = 0.5  # of the active blocks, in which they have half of that
_MIN_CONTRAST = 0.015  # deviation of the dots; the blocks of JPEG have less
_MIN_TONES = 0.01  # deviation of the blocks' means: what has no shades carries no picture
_SQUARENESS = 1.3  # frequencies by which a peak may miss the right angle
_MIN_PERIOD = 2.5  # pixels
_MIN_PRINTED_PERIOD = 3.5  # pixels; less may be ordered dithering
_MIN_TURN = 4  # degrees between two screens
_SAME_PERIOD = 0.08  # relative difference of periods of the same screening
_MAX_PEAKS = 40  # strongest ones that are paired
_SHADE_CELL, _SHADE_PERIODS = 16, 3  # pixels, and periods, a side of a cell of dots at least
_EXAMINED = 2048  # pixels a side of the part that is divided into cells
_MIN_SKEWNESS_RANGE = 0.65  # from light cells to dark ones; noise on a pattern makes up to 0.4
_MAX_SHADE_CORRELATION = -0.7  # rank correlation of the cells' means with their skewness

# Weights of channels, whose sum is another number for each color.
_CODES = torch.tensor([1.0, 1.7724539, 2.7182818, 4.6692016])
_SAMPLE = 2**16  # pixels whose colors are counted first
_MAX_GRAYS, _MAX_COLORS = 64, 256  # that dithering makes shades from
_CELL = 16  # pixels a side of the cells whose spectra are examined
_COARSE_BAND, _FINE_BAND = (1.2, 3.5), (6.0, 16.0)  # half periods in a cell
_MIN_DOTS = 1e-3  # amplitude of fine detail, from which a cell has dots
_MIN_DOTTED = 0.4  # of the cells that have
# Power of coarse over fine detail in the calmest cells, this share; white noise has 0.4 or more.
_CALMEST, _MAX_COARSE_POWER = 0.05, 0.33


class Screen(NamedTuple):
    """A printing screen.

    Attributes:
        period: pixels from one row of dots to the next.
        angles: degrees of the rows, 0 to 90, one for each screen that was found.
    """

    period: float
    angles: tuple[float, ...]


class Halftone(NamedTuple):
    """How dots carry a picture.

    Attributes:
        screen: the printing screen's; None for dithering.
    """

    screen: Screen | None


def find_halftone(image: Tensor) -> Halftone | None:
    """Find out whether a picture is made of dots; None if it is not.

    Args:
        image: (C, H, W).
    """
    screen = find_screen(image)
    if screen is not None and screen.period > _MIN_PRINTED_PERIOD:
        return Halftone(screen)
    return Halftone(None) if is_dithered(image) else screen and Halftone(screen)


def find_screen(image: Tensor) -> Screen | None:
    """Find the printing screen of a picture; None if it has none.

    Args:
        image: (C, H, W).

    Example:
        >>> y, x = torch.meshgrid(torch.arange(256.0), torch.arange(256.0), indexing="ij")
        >>> dots = torch.cos(2 * torch.pi * x / 6) + torch.cos(2 * torch.pi * y / 6)
        >>> screen = find_screen((dots > (x - 128) / 80).float()[None])
        >>> round(screen.period, 1), screen.angles
        (6.0, (0.0,))
    """
    if all(torch.equal(image[0], channel) for channel in image[1:]):
        image = image[:1]
    planes = image[:_MAX_CHANNELS]
    screens = [screen for plane in planes if (screen := _find_in_plane(plane)) is not None]
    if not screens:
        return None
    angles: list[float] = []
    for screen in screens:
        angles += [a for a in screen.angles if all(_turn(a, other) > _MIN_TURN for other in angles)]
    return Screen(screens[0].period, tuple(sorted(angles)))


def _turn(a: float, b: float) -> float:
    """Return the degrees between two angles of a square grid."""
    return abs((a - b + 45) % 90 - 45)


def is_periodic(image: Tensor) -> bool:
    """Return whether nearly all fine detail of a picture (C, H, W) is one pattern, as of threads.

    A photograph of fabric has too little in the pattern for that: noise has the rest.
    """
    patterns = [_find_pattern(plane) for plane in image[:_MAX_CHANNELS]]
    return all(p is not None and p.share > _MIN_PATTERN_SHARE for p in patterns)


class _Pattern(NamedTuple):
    """The peaks in the spectrum of blocks, which have most of the power in fine detail."""

    logs: Tensor  # mean logarithm of the power, (side, side / 2 + 1)
    peaks: Tensor  # whether a frequency is one, likewise
    side: int  # pixels of a block
    tones: float  # deviation of the blocks' means
    share: float  # of the power in fine detail


def _find_pattern(plane: Tensor) -> _Pattern | None:
    """Find the pattern that is all over a plane (H, W)."""
    side = min(_BLOCK, *(length // 2 * 2 for length in plane.shape))
    if side < _BLOCK // 2:
        return None
    blocks = _spread_blocks(plane, side)
    means = blocks.mean((1, 2), keepdim=True)
    window = torch.hann_window(side, periodic=False, dtype=blocks.dtype)
    power = torch.fft.rfft2((blocks - means) * window * window[:, None]).abs().square()
    power = power.roll(side // 2, 1)  # (blocks, v, u), v from −side/2, u from 0
    down = torch.arange(side) - side // 2
    across = torch.arange(side // 2 + 1)
    frequency = torch.hypot(down[:, None].float(), across.float()) / side
    fine = frequency >= _MIN_FREQUENCY
    total = (power * fine).sum((1, 2))
    active = total > _ACTIVE * total.mean()
    if not active.any() or active.sum() < _MIN_ACTIVE * len(blocks):
        return None
    power, total = power[active], total[active]
    logs = (power + 1e-9 * float(power.mean())).log()
    threshold = max(_MIN_PROMINENCE, _CHANCE / math.sqrt(len(power)))
    peaks = _find_peaks(logs.mean(0), fine, threshold)
    if not peaks.any():
        return None
    lobes = F.max_pool2d(peaks[None].float(), _LOBE, 1, _LOBE // 2)[0] * fine
    dots = (power * lobes).sum((1, 2))
    shares = dots / total.clamp(min=1e-20)
    contrast = (2 * dots.mean() / window.square().sum() ** 2 / side**2).sqrt()
    share, coverage = dots.sum() / total.sum(), (shares > _MIN_SHARE / 2).float().mean()
    if share < _MIN_SHARE or coverage < _MIN_COVERAGE or contrast < _MIN_CONTRAST:
        return None
    tones = float(means[active].std(correction=0))
    return _Pattern(logs.mean(0), peaks, side, tones, float(share))


def _find_in_plane(plane: Tensor) -> Screen | None:
    """Find the screens of one channel (H, W)."""
    pattern = _find_pattern(plane)
    if pattern is None or pattern.tones < _MIN_TONES:
        return None
    screen = _square_grid(pattern)
    return screen if screen is not None and _carries_tones(plane, screen.period) else None


def _carries_tones(plane: Tensor, period: float) -> bool:
    """Return whether dots are dark ones on light where a plane is light, and light ones on dark.

    Dots of a screen grow with the shade, while threads or tiles are the same in light and shadow.
    """
    side = max(_SHADE_CELL, math.ceil(_SHADE_PERIODS * period))
    cells = F.unfold(plane[None, None, :_EXAMINED, :_EXAMINED], side, stride=side // 2)[0]
    # What of a dot is cut at a cell's border makes no difference.
    window = torch.hann_window(side + 2, periodic=False)[1:-1]
    weights = (window[:, None] * window).flatten() / window.sum() ** 2
    means = weights @ cells
    cells = cells - means
    deviations = (weights @ cells.square()).sqrt()
    dotted = deviations > _ACTIVE * deviations.mean()
    skewness = (weights @ cells**3)[dotted] / deviations[dotted] ** 3
    ends = skewness.quantile(skewness.new_tensor([0.05, 0.95]))
    if float(ends[1] - ends[0]) < _MIN_SKEWNESS_RANGE:
        return False
    order = torch.stack([t.argsort().argsort().float() for t in (means[dotted], skewness)])
    return float(torch.corrcoef(order)[0, 1]) < _MAX_SHADE_CORRELATION


def _spread_blocks(plane: Tensor, side: int) -> Tensor:
    """Return at most `_MAX_BLOCKS` blocks of a plane (H, W), spread over it."""
    height, width = plane.shape
    step = side // 2
    rows, columns = ((length - side) // step + 1 for length in (height, width))
    factor = math.sqrt(max(1.0, rows * columns / _MAX_BLOCKS))
    blocks = []
    for count, length in ((rows, height), (columns, width)):
        number = max(1, math.ceil(count / factor))
        blocks.append(torch.linspace(0, length - side, number).round().long().tolist())
    return torch.stack([plane[y : y + side, x : x + side] for y in blocks[0] for x in blocks[1]])


def _find_peaks(logs: Tensor, fine: Tensor, threshold: float) -> Tensor:
    """Return which frequencies' logarithms are largest and exceed those around by a threshold."""
    reach = _SURROUNDINGS // 2
    peaks = fine & (logs == F.max_pool2d(logs[None], 3, 1, 1)[0])
    # The spectrum goes on beyond u = 0 as its own mirror image, and is periodic in v.
    mirrored = logs.flip(0).roll(1, 0)
    wide = torch.cat([mirrored[:, 1 : reach + 1].flip(1), logs], 1)
    wide = torch.cat([wide, mirrored[:, -reach - 1 : -1].flip(1)], 1)
    wide = torch.cat([wide[-reach:], wide, wide[:reach]])
    around = wide.unfold(0, _SURROUNDINGS, 1).unfold(1, _SURROUNDINGS, 1)[peaks]  # (peaks, 17, 17)
    level = around.flatten(1).median(1).values
    # Edges along the axes are a ridge, not a peak.
    level = torch.maximum(level, around[:, reach].median(1).values)
    level = torch.maximum(level, around[:, :, reach].median(1).values)
    peaks[peaks.clone()] = logs[peaks] - level > threshold
    return peaks


def _square_grid(pattern: _Pattern) -> Screen | None:
    """Return the grids that pairs of peaks at right angles make; None if there is no pair."""
    logs, peaks, side = pattern[:3]
    tops = peaks.nonzero()
    tops = tops[logs[tops[:, 0], tops[:, 1]].argsort(descending=True)][:_MAX_PEAKS]
    points = [_vertex(logs, int(v), int(u), -(side // 2)) for v, u in tops.tolist()]
    grids: list[tuple[float, float]] = []
    for index, (v, u) in enumerate(points):
        for other_v, other_u in points[index + 1 :]:
            misses = (math.hypot(other_v - s * u, other_u + s * v) for s in (1, -1))
            if min(misses) < _SQUARENESS:
                period = side / ((math.hypot(v, u) + math.hypot(other_v, other_u)) / 2)
                if period > _MIN_PERIOD:
                    grids.append((period, math.degrees(math.atan2(v, u)) % 90))
    if not grids:
        return None
    # Harmonics and mixtures of screens have other periods than the strongest.
    first = grids[0][0]
    angles: list[float] = []
    for period, angle in grids:
        new = all(_turn(angle, other) > _MIN_TURN for other in angles)
        if new and abs(period / first - 1) < _SAME_PERIOD:
            angles.append(float(round(angle)) % 90)
    return Screen(first, tuple(sorted(angles)))


def _vertex(logs: Tensor, v: int, u: int, first: int) -> tuple[float, float]:
    """Return the place of a peak between the frequencies, by parabolas through its neighbors."""
    place = []
    for axis, at in ((0, v), (1, u)):
        length = logs.shape[axis]
        line = logs[:, u] if axis == 0 else logs[v]
        if 0 < at < length - 1:
            a, b, c = (float(line[at + step]) for step in (-1, 0, 1))
            curve = a - 2 * b + c
            place.append(at + (0.5 * (a - c) / curve if curve < 0 else 0.0))
        else:
            place.append(float(at))
    return place[0] + first, place[1]


def is_dithered(image: Tensor) -> bool:
    """Return whether a picture of few colors makes its shades of dots.

    Args:
        image: (C, H, W).

    Example:
        >>> ramp = torch.linspace(0.2, 0.8, 64).expand(64, 64)
        >>> bayer = torch.tensor([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]])
        >>> is_dithered((ramp > (bayer.repeat(16, 16) + 0.5) / 16).float()[None])
        True
        >>> noise = torch.rand(64, 64, generator=torch.manual_seed(0))
        >>> is_dithered((ramp > noise).float()[None])
        False
    """
    if min(image.shape[1:]) < 4 * _CELL or not _has_few_colors(image):
        return False
    cells = F.unfold(image[:, None, :_EXAMINED, :_EXAMINED], _CELL, stride=_CELL)
    cells = cells.transpose(1, 2).unflatten(2, (_CELL, _CELL))  # (C, cells, 16, 16)
    if float(cells.mean((2, 3)).std(1).max()) < _MIN_TONES:
        return False
    line = torch.arange(_CELL)
    cosines = torch.cos(math.pi * (line + 0.5) * line[:, None] / _CELL)
    cosines = cosines / cosines.norm(dim=1, keepdim=True)
    power = (cosines @ cells @ cosines.T).square().sum(0)  # (cells, 16, 16)
    frequency = torch.hypot(line.float(), line[:, None].float())
    coarse, fine = (
        power[:, (frequency > low) & (frequency < high)].mean(1)
        for low, high in (_COARSE_BAND, _FINE_BAND)
    )
    dotted = fine > _MIN_DOTS**2
    if float(dotted.float().mean()) < _MIN_DOTTED:
        return False
    return float((coarse / fine)[dotted].quantile(_CALMEST)) < _MAX_COARSE_POWER


def _has_few_colors(image: Tensor) -> bool:
    """Return whether an image (C, H, W) has as few grays or colors as dithering uses."""
    if len(image) > len(_CODES):
        return False
    codes, values = _CODES[: len(image)], image.flatten(1)
    if len((codes @ values[:, :: 1 + values.shape[1] // _SAMPLE]).unique()) > _MAX_COLORS:
        return False
    if len(image) == 1 or all(torch.equal(image[0], channel) for channel in image[1:]):
        return len(image[0].unique()) <= _MAX_GRAYS
    return len((codes @ values).unique()) <= _MAX_COLORS
