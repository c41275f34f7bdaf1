"""Find regions of an image whose white noise is of different strength.

Noise is measured in small tiles, each by the least eigenvalues of its patches' covariance, which
detail can only raise. What brightness explains is no region, and neither is texture: noise of
another strength is as white as noise is, or too weak to be hidden by anything.

References:
    Chen, Zhu, Heng 2015, An efficient statistical method for image noise level estimation, ICCV.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.denoising.block_matching import relative_area
from impasto.denoising.estimate_white import fit_line
from impasto.denoising.filters import gaussian_blur, interpolate
from impasto.denoising.noise import LEVELS, Noise, clipped_moments, white_noise
from impasto.recipes import DenoiseRecipe

_TILE, _STRIDE = 32, 16  # pixels a side of a tile, and from one to the next
_PATCH = 4  # pixels a side of the patches in it
_MIN_SIDE = 96  # pixels of an image that is searched for regions
_MAX_TILES = 6000
_CHUNK = 256  # tiles that are decomposed at a time
# Of white noise: the mean of the lower half of the eigenvalues, and of the least one over the one
# in the middle.
_LOWER_HALF, _MIN_FLATNESS = 0.883, 0.6
_LOWER_HALF_BINNED = 0.86  # the same of patches of 3 pixels in tiles of 16
# Averaged over 2 x 2 pixels white noise has a quarter of its variance, texture has more.
_MAX_COARSENESS = 1.6
# Of a tile's pixels at the ends of the range: clipping lowers the variance.
_MAX_END_SHARE, _MAX_END_SHARE_WEAK = 0.3, 0.05
_LEAST_VARIANCE = (0.5 / 255) ** 2
# Logarithm of the ratio of variances from which a tile has another strength than its brightness
# explains.
_RATIO = math.log(2.25)
_LARGEST = 6.0  # logarithm of such a ratio
_LEAST = 0.1  # quantile of the variances of tiles with weak noise and detail that is the noise's
_REGION = 0.1  # of all tiles that a region has at least
_SPREAD = 0.3  # deviation of the logarithm of the variances in one region
_MIN_SHARE = 0.95  # of a tile's pixels in a region, from which its noise is the region's
_BLUR, _REACH = 3.0, 9  # pixels over which the finest detail is averaged, and at most
_MARGIN = 32  # pixels around a region that its patches may be like
_MIN_DIFFERENCE = 0.1  # of the noise in a difference of colors over that in their mean
_DETAIL = 0.35  # cost of more detail than the noise's, which may be texture, over that of less
_PRIOR, _DOUBT = 0.3, 0.05  # weight of the tiles' regions, and the share that they may be wrong
_SECOND_DIFFERENCES = torch.tensor(
    [
        [[0.0, 0, 0], [1, -2, 1], [0, 0, 0]],
        [[0, 1, 0], [0, -2, 0], [0, 1, 0]],
        [[1, 0, 0], [0, -2, 0], [0, 0, 1]],
        [[0, 0, 1], [0, -2, 0], [1, 0, 0]],
    ]
)[:, None] / math.sqrt(6)  # of variance one in white noise


class _Tiles(NamedTuple):
    """What was measured in each tile, (rows, columns) each."""

    variances: Tensor  # of the noise if there is little detail; never less than that
    levels: Tensor  # mean values
    white: Tensor  # whether the variance is that of white noise
    end_shares: Tensor  # of the pixels at the ends of the range
    coarseness: Tensor  # variance of 2 x 2 pixels, of 1 for white noise


def find_regions(
    image: Tensor, clipped: tuple[bool, bool], unmeasured: Tensor | None = None
) -> Tensor | None:
    """Find the regions of an image that differ in the strength of their white noise.

    Args:
        image: (C, H, W), 1 being white; the mean of the channels is examined.
        clipped: whether values were clipped at 0, and at 1.
        unmeasured: pixels that say nothing about the noise, (H, W) bool; None for none.

    Returns:
        The number of each pixel's region, (H, W), rising with the strength; None if the noise is
        the same everywhere, as far as can be told.

    Example:
        >>> deviation = torch.where(torch.arange(128) < 64, 0.02, 0.1)
        >>> noise = deviation * torch.randn(1, 128, 128, generator=torch.manual_seed(0))
        >>> regions = find_regions(0.5 + noise, (False, False))
        >>> bool(regions[:, 10].max() < regions[:, 118].min())
        True
    """
    plane = image.mean(0)
    if min(plane.shape) < _MIN_SIDE:
        return None
    step = _tile_step(plane)
    tiles = _measure_tiles(plane, unmeasured, step)
    white = tiles.white & (tiles.end_shares < _MAX_END_SHARE)
    if white.sum() < _REGION * white.numel():
        return None
    line = fit_line(tiles.levels[white], tiles.variances[white], clipped)
    ratios = _log_ratios(tiles, line, clipped)
    strong = white & (ratios > _RATIO) & (tiles.coarseness < _MAX_COARSENESS)
    weak = (ratios < -_RATIO) & (tiles.end_shares < _MAX_END_SHARE_WEAK)
    if not _has_region(strong) and not _has_region(weak):
        return None
    centers = _cluster(ratios[white], _REGION / 2 * white.numel())
    if _has_region(weak) and centers[0] > -_RATIO:
        centers = torch.cat([ratios[weak].quantile(_LEAST)[None], centers])
    if len(centers) < 2:
        return None
    # Detail raises the variance of what is too weak to be measured by white tiles.
    known = _fill(ratios.where(~weak | white, centers[0]), white | weak)
    labels = _absorb_specks((known[..., None] - centers).abs().argmin(-1))
    variance = _variance_at(
        gaussian_blur(plane[None], _BLUR, _REACH)[0].double(), line, clipped
    ).float()
    planes = plane[None]
    if len(image) == 3:  # differences of the colors, where there is less detail
        planes = torch.stack([plane, image[0] - image[2], image[0] - 2 * image[1] + image[2]])
    return _refine(planes, labels, centers.exp().float(), variance, step)


def estimate_regional_noise(
    image: Tensor, clipped: tuple[bool, bool], unmeasured: Tensor | None = None
) -> RegionalNoise | None:
    """Estimate white noise whose strength differs from region to region.

    Args:
        image: (C, H, W), 1 being white.
        clipped: as for `find_regions`.
        unmeasured: as for `find_regions`.

    Returns:
        The noise; None if there are no such regions.
    """
    regions = find_regions(image, clipped, unmeasured)
    if regions is None:
        return None
    step = _tile_step(image[0])
    shares = F.one_hot(regions).permute(2, 0, 1).float()
    shares = F.avg_pool2d(shares, _TILE, step)  # (K, rows, columns)
    channels = [_measure_tiles(plane, unmeasured, step) for plane in image]
    laws, measured = [], []
    for number, share in enumerate(shares):
        levels, variances = [], []
        for tiles in channels:
            rows, columns = tiles.white.shape
            inside = (share[:rows, :columns] > _MIN_SHARE) & (tiles.end_shares < _MAX_END_SHARE)
            usable = inside & tiles.white
            usable = usable if usable.any() else inside
            levels.append(tiles.levels[usable])
            variances.append(tiles.variances[usable].clamp(min=1e-9))
        if len(torch.cat(levels)):
            line = fit_line(torch.cat(levels), torch.cat(variances), clipped)
            laws.append(white_noise(*line, len(image), clipped))
            measured.append(number)
    if len(laws) < 2:
        return None
    # A region without tiles of its own has the noise of the one next to it in strength.
    nearest = (torch.arange(len(shares))[:, None] - torch.tensor(measured)).abs().argmin(1)
    regions = nearest[regions]
    largest = laws[int(regions.flatten().bincount().argmax())]
    tables = {field.name: getattr(largest, field.name) for field in fields(largest)}
    return RegionalNoise(**tables, laws=tuple(laws), regions=regions)


@dataclass(frozen=True, eq=False)
class RegionalNoise(Noise):
    """White noise of different strength in the regions of an image.

    Its own tables are those of the largest region.

    Attributes:
        laws: the noise of each region.
        regions: the number of each pixel's region, (H, W).
    """

    laws: tuple[Noise, ...] = ()
    regions: Tensor | None = None

    def region_sigmas(self, image: Tensor) -> Tensor:
        """Return the typical standard deviation in each region: (K, C)."""
        return torch.stack(
            [law.typical_sigma(image[:, self.regions == k]) for k, law in enumerate(self.laws)]
        )

    def typical_sigma(self, image: Tensor, unmeasured: Tensor | None = None) -> Tensor:
        """Return the root of the mean of the regions' typical variances: (C)."""
        shares = self.regions.flatten().bincount() / self.regions.numel()
        return (shares[:, None] * self.region_sigmas(image).square()).sum(0).sqrt()


def denoise_by_region(
    fit: Callable[..., Callable[[Tensor], Tensor]],
    planes: Tensor,
    noise: RegionalNoise,
    recipe: DenoiseRecipe,
    report: Callable[[int, int, Callable[[], Tensor]], bool],
) -> Callable[[Tensor], Tensor]:
    """Return a function that denoises each region of a plane (C, H, W) by its own noise.

    A group of patches with noise of two strengths would leave some of the stronger one in all of
    them, so each region is denoised with its surroundings as if all of it had the region's noise.

    Args:
        fit: a method, as in `METHODS`.
        planes: as for the method.
        noise: of the planes, with their regions.
        recipe: as for the method.
        report: as for the method.
    """

    def denoise_plane(noisy: Tensor) -> Tensor:
        whole = tuple(slice(0, side) for side in noisy.shape[1:])
        wanted = recipe.part or whole
        clean = noisy[:, *wanted].cpu().clone()
        for number, law in enumerate(noise.laws):
            mask = noise.regions == number
            if not mask[wanted].any():
                continue
            span = tuple(_span(mask.any(1 - axis), noisy.shape[1 + axis]) for axis in (0, 1))
            shared = tuple(
                slice(max(a.start, b.start), min(a.stop, b.stop))
                for a, b in zip(span, wanted, strict=True)
            )
            own = recipe
            if recipe.part is not None:
                own = _with_part(recipe, relative_area(shared, _corner(span)))

            def report_part(done: int, parts: int, image: Callable[[], Tensor], at=number) -> bool:
                return report(at * parts + done, len(noise.laws) * parts, clean.clone)

            image = fit(planes, law, own, report_part)(noisy[:, *span]).cpu()
            here, target = mask[shared], clean[:, *relative_area(shared, _corner(wanted))]
            target[:, here] = image[:, here]
        return clean

    return denoise_plane


def _span(used: Tensor, side: int) -> slice:
    """Return the part of an axis (N) that is used, with what lies around it."""
    indices = used.nonzero()
    return slice(max(0, int(indices[0]) - _MARGIN), min(side, int(indices[-1]) + 1 + _MARGIN))


def _corner(area: tuple[slice, ...]) -> tuple[int, int]:
    """Return the row and column that an area begins at."""
    return area[0].start, area[1].start


def _with_part(recipe: DenoiseRecipe, part: tuple[slice, ...]) -> DenoiseRecipe:
    """Return a recipe for other rows and columns."""
    (top, bottom), (left, right) = ((axis.start, axis.stop) for axis in part)
    return recipe.model_copy(update={"crop": (left, top, right - left, bottom - top)})


def _tile_step(plane: Tensor) -> int:
    """Return the pixels from one tile of a plane (H, W) to the next."""
    return _STRIDE * max(1, round((plane.numel() / _STRIDE**2 / _MAX_TILES) ** 0.5))


def _measure_tiles(plane: Tensor, unmeasured: Tensor | None, step: int) -> _Tiles:
    """Measure the tiles of a plane (H, W)."""
    values = _tile_eigenvalues(plane, _PATCH, _TILE, step)
    middle = values.shape[-1] // 2
    variances = values[..., : middle + 1].mean(-1) / _LOWER_HALF
    binned = _tile_eigenvalues(F.avg_pool2d(plane[None], 2)[0], 3, _TILE // 2, step // 2)
    binned = 4 * binned[..., : binned.shape[-1] // 2].mean(-1) / _LOWER_HALF_BINNED
    rows, columns = (min(sides) for sides in zip(variances.shape, binned.shape, strict=True))
    values, variances, binned = (t[:rows, :columns] for t in (values, variances, binned))
    at_ends = (plane <= plane.min()) | (plane >= plane.max())
    if unmeasured is not None:
        at_ends = at_ends | unmeasured

    def tile_means(pixels: Tensor) -> Tensor:
        return F.avg_pool2d(pixels.double()[None], _TILE, step)[0][:rows, :columns]

    flatness = values[..., 0] / values[..., middle].clamp(min=1e-12)
    white = (flatness > _MIN_FLATNESS) & (variances > _LEAST_VARIANCE)
    coarseness = binned / variances.clamp(min=1e-12)
    return _Tiles(variances, tile_means(plane), white, tile_means(at_ends), coarseness)


def _tile_eigenvalues(plane: Tensor, side: int, tile: int, step: int) -> Tensor:
    """Return the eigenvalues of the covariance of the patches in each tile, rising.

    Args:
        plane: (H, W).
        side: pixels a side of a patch.
        tile: pixels a side of a tile.
        step: pixels from one tile to the next.

    Returns:
        (rows, columns, side² − 1), without the one of the patches' means.
    """
    tiles = plane.unfold(0, tile, step).unfold(1, tile, step)  # (rows, columns, tile, tile)
    rows, columns = tiles.shape[:2]
    parts = []
    for part in tiles.flatten(0, 1).split(_CHUNK):
        patches = F.unfold(part[:, None], side).double()  # (tiles, side², patches)
        patches -= patches.mean(1, keepdim=True)
        patches -= patches.mean(2, keepdim=True)
        covariance = patches @ patches.transpose(1, 2) / patches.shape[2]
        parts.append(torch.linalg.eigvalsh(covariance)[:, 1:])
    return torch.cat(parts).view(rows, columns, -1)


def _log_ratios(tiles: _Tiles, line: tuple[float, float], clipped: tuple[bool, bool]) -> Tensor:
    """Return the logarithm of the factor of a line's variances that explains each tile's.

    Noise that was clipped is stronger than its variance says.
    """
    logs = torch.linspace(-_LARGEST, _LARGEST, round(40 * _LARGEST) + 1, dtype=torch.float64)
    predicted = torch.stack(
        [_variance_at(tiles.levels, (f * line[0], f * line[1]), clipped) for f in logs.exp()]
    )
    error = (predicted.log() - tiles.variances.clamp(min=1e-12).log()).abs()
    return logs[error.argmin(0)]


def _variance_at(levels: Tensor, line: tuple[float, float], clipped: tuple[bool, bool]) -> Tensor:
    """Return the variance that a line and clipping give at some levels."""
    means, variances = clipped_moments(LEVELS, (line[0] * LEVELS + line[1]).clamp(min=0), clipped)
    return interpolate(levels, means, variances).clamp(min=1e-9)


def _has_region(mask: Tensor) -> bool:
    """Return whether enough tiles (rows, columns) that are marked lie together."""
    least = _REGION * mask.numel()
    return any(int(region.sum()) >= least for region in _connected(mask))


def _connected(mask: Tensor) -> Iterator[Tensor]:
    """Yield the parts of a mask (rows, columns) that lie together, corners touching."""
    remaining = mask.clone()
    while remaining.any():
        region = torch.zeros_like(mask)
        region.view(-1)[remaining.flatten().int().argmax()] = True
        size = 0
        while int(region.sum()) > size:
            size = int(region.sum())
            region = (F.max_pool2d(region[None].float(), 3, 1, 1)[0] > 0) & remaining
        yield region
        remaining &= ~region


def _absorb_specks(labels: Tensor) -> Tensor:
    """Give parts of a region (rows, columns) that are too small for one the label around them."""
    least = _REGION / 2 * labels.numel()
    small = torch.zeros_like(labels, dtype=torch.bool)
    for label in labels.unique():
        for part in _connected(labels == label):
            if int(part.sum()) < least:
                small |= part
    while small.any() and not small.all():
        counts = F.one_hot(labels).permute(2, 0, 1).float() * ~small
        counts = F.avg_pool2d(counts[None], 3, 1, 1, divisor_override=1)[0]
        reached = small & (counts.sum(0) > 0)
        labels = counts.argmax(0).where(reached, labels)
        small &= ~reached
    return labels


def _cluster(values: Tensor, least: float) -> Tensor:
    """Split values (N) where they differ until each part is narrow; return the parts' medians.

    Parts of fewer values than `least` are left out, and so are those next to another.
    """
    parts, centers = [values.sort().values], []
    while parts:
        part = parts.pop()
        if len(part) > max(least, 8) and part.std() > _SPREAD:
            # Where the two halves differ most for their sizes (Otsu).
            counts = torch.arange(1, len(part), dtype=torch.float64)
            sums = part.cumsum(0)[:-1]
            others = part.sum() - sums
            gaps = (sums / counts - others / (len(part) - counts)).square()
            cut = int((gaps * counts * (len(part) - counts)).argmax()) + 1
            parts += [part[:cut], part[cut:]]
        elif len(part) >= least:
            centers.append(part.median())
    distinct: list[Tensor] = []
    for center in sorted(centers):
        if not distinct or center - distinct[-1] > _SPREAD:
            distinct.append(center)
    return torch.stack(distinct or [values.median()])


def _fill(values: Tensor, known: Tensor) -> Tensor:
    """Fill unknown tiles (rows, columns) from those around them, at most by their own values."""
    sums, weights = values.where(known, torch.zeros_like(values))[None, None], known.double()
    weights = weights[None, None]
    total, count = torch.zeros_like(sums), torch.zeros_like(sums)
    reach = 1
    while float(count.min()) == 0:
        # What is near counts much more than what is far.
        scale = 1e-3 ** (reach // 2)
        total = total + scale * F.avg_pool2d(F.pad(sums, (reach,) * 4), 2 * reach + 1, 1)
        count = count + scale * F.avg_pool2d(F.pad(weights, (reach,) * 4), 2 * reach + 1, 1)
        reach *= 2
    filled = (total / count)[0, 0]
    return values.where(known, torch.minimum(filled, values))


def _refine(planes: Tensor, labels: Tensor, factors: Tensor, variance: Tensor, step: int) -> Tensor:
    """Give each pixel the region near it that its finest detail fits best.

    Args:
        planes: (N, H, W), of which the one with the least detail counts.
        labels: regions of the tiles, (rows, columns).
        factors: of each region's variance, (K).
        variance: of the first plane's noise at each pixel where the factor is one, (H, W).
        step: pixels from one tile to the next.

    Returns:
        Regions of the pixels, (H, W).
    """
    # A tile's center is half a tile from its corner.
    rows, columns = (torch.arange(side) for side in planes.shape[1:])
    down, across = (
        ((axis - (_TILE - 1) / 2) / step).clamp(0, count - 1)
        for axis, count in zip((rows, columns), labels.shape, strict=True)
    )
    near = F.one_hot(labels, len(factors)).permute(2, 0, 1).float()
    near = near[:, down.round().long()][:, :, across.round().long()]  # (K, H, W)
    first = factors[near.argmax(0)] * variance  # (H, W)
    near = F.avg_pool2d(near[None], 2 * step + 1, 1, step, count_include_pad=False)[0]
    local = torch.stack([_finest_variance(plane) for plane in planes])
    ratios = (local / first).flatten(1).median(1).values / (local[0] / first).median()
    used = ratios > _MIN_DIFFERENCE  # gray has no colors that differ
    local = (local[used] / ratios[used, None, None]).amin(0)
    scaled = factors[:, None, None] * variance
    excess = (local / scaled).clamp(min=1e-9).log()
    misfit = torch.where(excess > 0, _DETAIL * excess, -excess) - _PRIOR * (near + _DOUBT).log()
    return misfit.masked_fill(near == 0, torch.inf).argmin(0)


def _finest_variance(plane: Tensor) -> Tensor:
    """Return the local variance of a plane (H, W) in the direction that has the least.

    It is taken from the mean deviation, which edges raise less. Texture leaves some directions
    free, noise none.
    """
    padded = F.pad(plane[None, None], (1, 1, 1, 1), mode="reflect")
    detail = F.conv2d(padded, _SECOND_DIFFERENCES)[0].abs()
    return (math.pi / 2) * gaussian_blur(detail, _BLUR, _REACH).square().amin(0)
