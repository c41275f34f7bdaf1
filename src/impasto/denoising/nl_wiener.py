"""Denoising without training: similar patches are filtered together, pass after pass.

The first pass, NL-Ridge (`ridge_estimate`), makes each patch out of the others of its group, with
one weight for each (ridge regression over patches). The passes after it, NL-Bayes
(`wiener_estimate`), make each pixel out of all others of its patch, in all channels (Wiener filter
in the group's own statistics). Both allow for noise whose variance differs from place to place and
that neighbors share.

References:
    Herbreteau, Kervrann 2022, arXiv:2203.00570 (NL-Ridge); Lebrun, Buades, Morel 2013, A nonlocal
    Bayesian image denoising algorithm, SIAM J. Imaging Sciences 6(3) (NL-Bayes).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.denoising.block_matching import (
    Cut,
    Groups,
    Neighbor,
    patch_size,
    read_area,
    relative_area,
)
from impasto.denoising.compact_sources import SOURCE_REACH, restore_sources
from impasto.denoising.filters import gaussian_blur, row_strips
from impasto.denoising.nl_wiener_compiled import compiled_loops, fused_sums, ridge_sums, wiener_sums
from impasto.denoising.nl_wiener_tensors import (
    tensor_fused_sums,
    tensor_ridge_sums,
    tensor_wiener_sums,
)
from impasto.denoising.noise import Noise
from impasto.device import select_device
from impasto.errors import MemoryShortageError
from impasto.memory import GIB, free_bytes, release_caches
from impasto.recipes import DenoiseRecipe

# The sum of the colors, and two differences: orthonormal, so white noise stays white.
_OPPONENT = torch.tensor([[1.0, 1, 1], [1, 0, -1], [1, -2, 1]])
_OPPONENT = _OPPONENT / _OPPONENT.norm(dim=1, keepdim=True)

# Groups of each pass. Others that were measured: docs/log.md.
_PASSES = {
    "quick": (Groups(9, 16, 25, 9), Groups(4, 48, 25, 4)),
    "balanced": (
        Groups(9, 18, 37, 8),
        Groups(5, 96, 37, 5),
        Groups(5, 64, 37, 5),
        Groups(4, 36, 37, 3),
    ),
    "best": (
        Groups(9, 18, 37, 6),
        Groups(5, 100, 37, 4),
        Groups(5, 80, 37, 4),
        Groups(5, 60, 37, 4),
        Groups(4, 45, 37, 3),
    ),
}

# Of the last pass, where neighbors share the noise: a group has less to tell it from detail.
_MANY_SIMILAR = 45

# Noise that is coarser than a patch is looked for on half the size, so often; not on less than so
# many pixels a side; where it has this share of the variance that averaging leaves. Measured.
_BLOTCH_LEVELS, _MIN_COARSE_SIDE, _LEFT = 2, 16, 0.6
_TEXTURE = 2.5  # times as much of the expected variance in light as in color is no noise
_WHITE_POWER = 0.25  # share of white noise's variance that the mean of four pixels has

# Pixels for each part of a pass that is reported, and the most parts.
_PART, _MAX_PARTS = 2**18, 64
_BLUR_REACH = 6  # pixels around each that the noise's variance and the first guide are read from
_BLOTCH_MARGIN = 192  # pixels around a part of a picture that are searched for coarse noise
_MAX_UNLIKE_CORRELATION = 0.15  # difference of correlations between channels that count as alike
# Correlation of channels that show the same things; of colors, two that do are enough.
_MIN_LIKENESS, _MIN_COLOR_LIKENESS = 0.5, 0.1
_MIN_SIGMA, _MIN_POWER = 0.01, 1e-3  # of the largest channel's, and of the largest direction's

# Numbers that the passes hold at a time for each one of the picture, and for each pixel; what is
# held besides, which is the blocks of all threads; and the fewest rows of a band.
_HELD, _HELD_PER_PIXEL, _HELD_BYTES, _MIN_BAND = 5, 4, 100 * 2**20, 64
_MODEST = 3 * 2**29  # bytes that are enough: bands cost little
_HELD_COARSE = 3.5  # the same where noise is looked for on half the size


class _Stopped(Exception):
    """`report` ended the run."""


class FilterPlan(NamedTuple):
    """How the passes go over a picture.

    Attributes:
        bands: of rows, each filtered by all passes before the next; 1 filters all rows at once.
        memory: bytes that are taken besides the picture.
    """

    bands: int
    memory: int


def working_basis(channels: int) -> Tensor:
    """Return the channels that patches are filtered in, (C, C): of three, light and two of color.

    Example:
        >>> working_basis(2).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    return _OPPONENT if channels == 3 else torch.eye(channels)


def nl_wiener(
    planes: Tensor,
    noise: Noise,
    recipe: DenoiseRecipe,
    report: Callable[[int, int, Callable[[], Tensor]], bool],
) -> Callable[[Tensor], Tensor]:
    """Return a function that denoises a plane (C, H, W) in [0, 1].

    Args:
        planes: not used: this method needs no fitting.
        noise: the noise of the planes.
        recipe: its `effort` chooses the passes, its `device` where they run, its `part` what is
            returned, and its `memory` whether that is done in bands.
        report: called after each part of a pass with its number, the number of parts, and a
            function that returns the image so far; False ends the run.

    Raises:
        MemoryShortageError: when a plane is denoised, not even the smallest bands fit.
    """
    device = select_device(recipe.device)
    if device.type == "mps":  # has no Cholesky factorization
        device = torch.device("cpu")
    noise = noise.to(device)
    part = recipe.part
    passes = passes_of(recipe.effort, noise.autocorrelation is not None)

    def denoise_plane(noisy: Tensor) -> Tensor:
        noisy = noisy.to(device)
        estimates: dict[tuple[int, ...], tuple[Tensor, Tensor]] = {}  # of channels that are done

        def current() -> Tensor:
            clean = (noisy if part is None else noisy[:, *part]).to("cpu", copy=True)
            for group, (estimate, inverse) in estimates.items():
                own = noise.select(group)
                for rows in row_strips(estimate):
                    image = torch.einsum("ij,jhw->ihw", inverse, estimate[:, rows])
                    image = own.debias(image).cpu()
                    for channel, first in enumerate(members):
                        if first in group:
                            clean[channel, rows] = image[group.index(first)]
            return clean

        plan = plan_filter(tuple(noisy.shape), noise, recipe, device)
        members = members_in(noisy, noise)
        groups = channel_groups(noisy, members, noise)
        parts = parts_of_pass(noisy if part is None else noisy[:, *part], plan.bands)
        rounds = plan.bands * len(passes) + (noise.autocorrelation is not None)
        reported, total = 0, len(groups) * rounds * parts

        def advance(done: int) -> None:
            nonlocal reported
            while reported < done:
                reported += 1
                if not report(reported, total, current):
                    raise _Stopped

        def on_part(share: float) -> None:  # the last part is reported when its pass is done
            advance(finished * parts + int(share * (parts - 1)))

        finished = 0  # passes
        try:
            for group in groups:
                own = noise.select(group)
                image = noisy if len(group) == len(noisy) else noisy[group]
                bands = plan.bands
                for estimate in _filter_channels(image, own, passes, on_part, part, bands):
                    estimates[tuple(group)] = estimate
                    finished += 1
                    advance(finished * parts)
        except _Stopped:
            pass
        return current()

    return denoise_plane


def passes_of(effort: str, correlated: bool) -> tuple[Groups, ...]:
    """Return how each pass of an effort groups patches, of noise that neighbors share or not."""
    passes = _PASSES[effort]
    if correlated:
        passes = (*passes[:-1], passes[-1]._replace(similar=_MANY_SIMILAR))
    return passes


def parts_of_pass(noisy: Tensor, bands: int = 1) -> int:
    """Return in how many parts a pass over each band of (C, H, W) is reported."""
    return min(max(1, noisy[0].numel() // bands // _PART), _MAX_PARTS)


def members_in(noisy: Tensor, noise: Noise) -> tuple[int | None, ...]:
    """Return the noise's members if channels that were the same are so in this plane too."""
    members = noise.members or tuple(range(len(noisy)))
    pairs = ((c, first) for c, first in enumerate(members) if first is not None)
    if all(torch.equal(noisy[c], noisy[first]) for c, first in pairs):
        return members
    return tuple(None if first is None else c for c, first in enumerate(members))


def channel_groups(noisy: Tensor, members: tuple[int | None, ...], noise: Noise) -> list[list[int]]:
    """Return the channels that are filtered together: those that show the same things."""
    different = [c for c, first in enumerate(members) if c == first]
    colors = len(different) == len(noisy) == 3
    if noise.autocorrelation is not None and (noise.separate or not colors):
        return [[channel] for channel in different]
    image = noisy if len(different) == len(noisy) else noisy[different]
    smooth = gaussian_blur(image, 1.5).flatten(1)
    smooth.sub_(smooth.mean(1, keepdim=True))
    products = smooth @ smooth.T
    norms = products.diagonal().sqrt().clamp(min=1e-12)
    alike = (products / norms / norms[:, None]).abs().tolist()
    if colors and max(alike[0][1], alike[0][2], alike[1][2]) > _MIN_COLOR_LIKENESS:
        return [different]
    groups: list[list[int]] = []
    for at, channel in enumerate(different):
        near = [g for g in groups if any(alike[at][different.index(c)] > _MIN_LIKENESS for c in g)]
        groups = [g for g in groups if g not in near]
        groups.append([*(c for g in near for c in g), channel])
    return [sorted(group) for group in groups]


def plan_filter(
    shape: tuple[int, int, int],
    noise: Noise,
    recipe: DenoiseRecipe,
    device: torch.device,
) -> FilterPlan:
    """Return the fewest bands that are modest, or at least fit in memory, and what they take.

    Args:
        shape: of a plane, (C, H, W).
        noise: of the plane.
        recipe: its `effort`, `part` and `memory`.
        device: where the passes run.

    Raises:
        MemoryShortageError: not even the smallest bands fit.
    """
    channels, *size = shape
    passes = passes_of(recipe.effort, noise.autocorrelation is not None)
    area = _filtered_area(tuple(size), recipe.part, noise) or tuple(slice(0, n) for n in size)
    height, width = (axis.stop - axis.start for axis in area)
    release_caches(device)  # so that what was freed is not counted as used
    free = free_bytes(recipe.memory, device)
    whole = 4 * channels * height * width
    # Coarse noise is looked for in all of the picture at once, on half its size.
    least = 0 if noise.autocorrelation is None else round(_HELD_COARSE * whole)

    def plan(bands: int) -> FilterPlan:
        needed = 4 * _read_pixels(tuple(size), area, bands, passes, noise)
        needed *= _HELD * channels + _HELD_PER_PIXEL
        if bands > 1:  # the estimate of all bands, and in the end the result
            needed = max(needed + whole, 2 * whole)
        return FilterPlan(bands, max(needed, least) + _HELD_BYTES)

    most = max(1, height // _MIN_BAND)
    smallest = plan(most)
    if smallest.memory > free:
        raise MemoryShortageError(
            "`method` must fit in memory, got nl-wiener, which needs "
            f"{smallest.memory / GIB:.2f} GiB more for {width} × {height} pixels, {_MIN_BAND} rows "
            f"at a time, where there are {free / GIB:.2f}; raise `memory`, or give a `crop`"
        )
    enough = free
    if device.type == "cpu":  # no less than the smallest bands take
        enough = min(free, max(_MODEST, smallest.memory))
    return next(p for p in map(plan, range(1, most + 1)) if p.memory <= enough)


def _read_pixels(
    size: tuple[int, int],
    area: tuple[slice, slice],
    bands: int,
    passes: Sequence[Groups],
    noise: Noise,
) -> int:
    """Return the most pixels that a band of an area, with what lies around it, is made from."""
    areas = _split_rows(area, bands)
    cuts = [_plan_cuts(size, band, passes, noise)[1:] for band in areas]
    return max((y.stop - y.start) * (x.stop - x.start) for y, x in cuts)


def _filter_channels(
    noisy: Tensor,
    noise: Noise,
    passes: Sequence[Groups],
    on_part: Callable[[float], None],
    part: tuple[slice, slice] | None = None,
    bands: int = 1,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the estimate of channels (C, H, W) after each pass, and the matrix that they need.

    The estimate is in other channels, which the matrix turns back; noise has moved its mean. It is
    that of the rows and columns of a part, if one is given. Of several bands, those that are not
    done yet are noisy in it. Bands do not change it.
    """
    basis = noise_basis(noisy, noise)
    inverse = torch.linalg.inv(basis)
    size = tuple(noisy.shape[1:])
    area = _filtered_area(size, part, noise)
    corner, inner = (0, 0), (slice(None), slice(None))
    if area is not None:
        corner = area[0].start, area[1].start
        inner = relative_area(part, corner)
    if bands == 1:
        for step in _run_passes(noisy, noise, basis, passes, on_part, area):
            yield step[0][:, *inner], inverse
        estimate, coarse = step
        del step
    else:
        area = area or (slice(0, size[0]), slice(0, size[1]))
        image, coarse_bands = torch.einsum("ij,jhw->ihw", basis, noisy[:, *area]), []
        for band in _split_rows(area, bands):
            target = image[:, *relative_area(band, corner)]
            for step in _run_passes(noisy, noise, basis, passes, on_part, band):
                target.copy_(step[0])
                yield image[:, *inner], inverse
            coarse_bands.append(step[1])
            del step
        estimate = image
        if noise.autocorrelation is not None:
            coarse = torch.cat(coarse_bands, 1)
    if noise.autocorrelation is not None:
        cut = None if part is None else Cut(size, corner, None)
        clean = remove_coarse_noise(estimate, coarse, passes, on_part, cut)
        yield clean[:, *inner], inverse


def _run_passes(
    noisy: Tensor,
    noise: Noise,
    basis: Tensor,
    passes: Sequence[Groups],
    on_part: Callable[[float], None],
    area: tuple[slice, slice] | None,
) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Yield the estimate of an area, or of all, after each pass, in the channels of a basis.

    Beside it is None, and with the last one, if neighbors share the noise, the variance of what is
    left of it at half the size.
    """
    size = tuple(noisy.shape[1:])
    cuts: list[Cut | None] = [None] * len(passes)
    inner = slice(None), slice(None)
    if area is not None:
        cuts, rows, columns = _plan_cuts(size, area, passes, noise)
        inner = relative_area(area, (rows.start, columns.start))
        noisy = noisy[:, rows, columns]
    inverse = torch.linalg.inv(basis)
    correlation = noise.autocorrelation
    rotated = torch.einsum("ij,jhw->ihw", basis, noisy)
    variance = _variance_at(noise, gaussian_blur(noisy, 1.5), None, basis)
    estimate = ridge_estimate(
        rotated, first_guide(rotated), variance, passes[0], correlation, on_part, cuts[0]
    )
    for groups, cut in zip((*passes[1:], None), (*cuts[1:], None), strict=True):
        coarse = None
        if groups is None and correlation is None:
            skew = noise_skew(noise, basis)
            estimate = restore_sources(rotated, estimate, variance, skew, size)
        elif groups is None:
            del rotated
            coarse = coarse_variance(variance[:, *inner], correlation)
        yield estimate[:, *inner], coarse
        if groups is not None:
            del variance  # what is not needed takes no memory while the next is made
            variance = _variance_at(noise, estimate, inverse, basis)
            estimate = wiener_estimate(
                rotated, estimate, estimate[0], variance, groups, correlation, on_part, cut
            )


def _variance_at(noise: Noise, image: Tensor, inverse: Tensor | None, basis: Tensor) -> Tensor:
    """Return the noise's variance in the channels of a basis, (C, H, W).

    Args:
        noise: as for `Noise.variance_at`.
        image: (C, H, W) without noise.
        inverse: turns the image's channels into the picture's; None if they are.
        basis: as for `Noise.variance_at`.
    """
    variance = torch.empty_like(image, memory_format=torch.contiguous_format)
    for rows in row_strips(image):
        strip = image[:, rows]
        if inverse is not None:
            strip = torch.einsum("ij,jhw->ihw", inverse, strip)
        variance[:, rows] = noise.variance_at(strip, basis)
    return variance


def _filtered_area(
    size: tuple[int, int], part: tuple[slice, slice] | None, noise: Noise
) -> tuple[slice, slice] | None:
    """Return the rows and columns that all passes fill for a part: those searched for blotches."""
    if part is None or noise.autocorrelation is None:
        return part
    even = 2**_BLOTCH_LEVELS  # halves and quarters of the picture have the same pixels
    rows, columns = (
        slice(axis.start // even * even, axis.stop) for axis in _widen(part, _BLOTCH_MARGIN, size)
    )
    return rows, columns


def _split_rows(area: tuple[slice, slice], bands: int) -> list[tuple[slice, slice]]:
    """Return an area's bands of nearly as many rows, whose halves and quarters have whole pixels.

    Example:
        >>> [rows for rows, _ in _split_rows((slice(4, 34), slice(0, 9)), 3)]
        [slice(4, 16, None), slice(16, 28, None), slice(28, 34, None)]
    """
    rows, columns = area
    even = 2**_BLOTCH_LEVELS
    units = -(-(rows.stop - rows.start) // even)
    ends = [rows.start + even * -(-units * band // bands) for band in range(bands + 1)]
    ends[-1] = rows.stop
    return [(slice(*span), columns) for span in pairwise(ends)]


def _plan_cuts(
    size: tuple[int, int], part: tuple[slice, slice], passes: Sequence[Groups], noise: Noise
) -> tuple[list[Cut], slice, slice]:
    """Return what each pass fills so that a part comes out as in the whole.

    Args:
        size: (height, width) of the whole.
        part: rows and columns of it.
        passes: how patches are grouped.
        noise: that is taken away.

    Returns:
        A cut for each pass, and the rows and columns that are to be cut out.
    """
    area = part if noise.autocorrelation is not None else _widen(part, SOURCE_REACH, size)
    areas = []
    for groups in reversed(passes):
        areas.append(area)
        area = read_area(area, size, groups)
    rows, columns = _widen(area, _BLUR_REACH, size)
    corner = rows.start, columns.start
    return [Cut(size, corner, area) for area in reversed(areas)], rows, columns


def _widen(area: tuple[slice, slice], around: int, size: tuple[int, int]) -> tuple[slice, slice]:
    """Return rows and columns with so many more around, as far as an image of a size has them."""
    rows, columns = (
        slice(max(0, axis.start - around), min(side, axis.stop + around))
        for axis, side in zip(area, size, strict=True)
    )
    return rows, columns


def coarse_variance(variance: Tensor, autocorrelation: Tensor) -> Tensor:
    """Return the variance at half the size of noise that neighbors share, (C, H, W) of both."""
    return _halve(variance * _coarse_power(autocorrelation))


def remove_coarse_noise(
    estimate: Tensor,
    variance: Tensor,
    passes: Sequence[Groups],
    on_part: Callable[[float], None],
    cut: Cut | None = None,
) -> Tensor:
    """Take away what noise is left that is coarser than a patch, unless it is the picture's own.

    Args:
        estimate: (C, H, W), of noise that neighbors share.
        variance: of the noise that was filtered, at half the size, as of `coarse_variance`.
        passes: how patches are grouped.
        on_part: as for `ridge_estimate`.
        cut: as for `ridge_estimate`.

    Returns:
        (C, H, W).
    """
    clean = _remove_blotches(estimate, variance, passes, on_part, cut=cut)
    if len(clean) == 3 and _is_texture(estimate, clean, variance):
        clean[0] = estimate[0]
    return clean


def first_guide(image: Tensor) -> Tensor:
    """Return what patches are compared on in the first pass: with a little less noise in them."""
    return gaussian_blur(image[:1], 0.7)[0]


def _remove_blotches(
    estimate: Tensor,
    variance: Tensor,
    passes: Sequence[Groups],
    on_part: Callable[[float], None],
    levels: int = _BLOTCH_LEVELS,
    cut: Cut | None = None,
) -> Tensor:
    """Take away what noise is left that is coarser than a patch, on a picture of half the size.

    Noise that neighbors share has most of its power at low frequencies, where a patch sees a part
    of one blotch and cannot tell it from the picture. On half the size, and half of that, it can;
    what is found there is white enough.

    Args:
        estimate: (C, H, W), of noise that neighbors share.
        variance: of the noise that is left, at half the size.
        passes: how patches are grouped.
        on_part: called with the share that is done, up to 1; may raise to end the work.
        levels: how often the size is halved.
        cut: where the picture lies in another one that it was cut from; None for nowhere.

    Returns:
        (C, H, W).

    References:
        Facciolo, Pierazzo, Morel 2017, Conservative scale recomposition for multiscale denoising.
    """
    if not levels or min(estimate.shape[1:]) < _MIN_COARSE_SIDE:
        return estimate
    coarse = _halve(estimate)
    variance = variance * _LEFT
    if cut is not None:
        height, width = (-(-side // 2) for side in cut.size)
        cut = Cut((height, width), (cut.corner[0] // 2, cut.corner[1] // 2), None)

    # The coarser sizes take a fifth of the work.
    reports = [
        lambda share, before=before: on_part(0.8 * (before + share) / len(passes))
        for before in range(len(passes))
    ]
    clean = ridge_estimate(
        coarse, first_guide(coarse), variance, passes[0], on_part=reports[0], cut=cut
    )
    for groups, report in zip(passes[1:], reports[1:], strict=True):
        clean = wiener_estimate(coarse, clean, clean[0], variance, groups, on_part=report, cut=cut)
    clean = _remove_blotches(
        clean,
        _halve(variance * _WHITE_POWER),
        passes,
        lambda share: on_part(0.8 + 0.2 * share),
        levels - 1,
        cut,
    )
    picture = torch.empty_like(estimate, memory_format=torch.contiguous_format)
    for target, plane, blotches in zip(picture, estimate, coarse - clean, strict=True):
        fine = F.interpolate(blotches[None, None], scale_factor=2, mode="bicubic")[0, 0]
        torch.sub(plane, fine[: plane.shape[0], : plane.shape[1]], out=target)
    return picture


def _halve(image: Tensor) -> Tensor:
    """Return (C, H, W) at half the size, rounded up."""
    return F.avg_pool2d(image[None], 2, ceil_mode=True, count_include_pad=False)[0]


def _is_texture(estimate: Tensor, clean: Tensor, variance: Tensor) -> bool:
    """Return whether the blotches taken away, of light and two of color, are the picture's texture.

    Noise that neighbors share, as demosaicing makes it, is in color as much as in light.

    Args:
        estimate: with the blotches, (3, H, W).
        clean: without.
        variance: of the noise at half the size.
    """
    planes = zip(estimate, clean, strict=True)
    powers = torch.stack([(blotchy - plane).square_().mean() for blotchy, plane in planes])
    light, *colors = (powers / variance.mean((1, 2))).tolist()
    return light > _TEXTURE * max(colors)


def _coarse_power(autocorrelation: Tensor) -> Tensor:
    """Return the share of the noise's variance that the mean of 2 × 2 pixels has, (C, 1, 1)."""
    middle = autocorrelation.shape[-1] // 2
    near = slice(middle - 1, middle + 2)
    weights = autocorrelation.new_tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16
    power = (autocorrelation[:, near, near] * weights).sum((1, 2), keepdim=True)
    return power.clamp(min=_WHITE_POWER)


def noise_skew(noise: Noise, basis: Tensor) -> Tensor | None:
    """Return the most that the noise's third cumulant over its variance can be in a basis: (C)."""
    if noise.lines is None:
        return None
    return (basis.abs() * noise.lines[:, 0].clamp(min=0)).amax(1)


def noise_basis(noisy: Tensor, noise: Noise) -> Tensor:
    """Return working channels (C, C) in which white noise is independent and nearly alike.

    The first is the best estimate of light that all channels share. For channels of like noise
    this is `working_basis`.
    """
    channels = len(noisy)
    basis = working_basis(channels).to(noisy)
    if channels != 3 and noise.autocorrelation is None:
        basis = torch.cat([basis.sum(0)[None], basis[1:]])
        basis = torch.linalg.qr(basis.T).Q.T
    correlation = noise.channel_correlation
    others = correlation[~torch.eye(len(noisy), dtype=torch.bool, device=noisy.device)]
    alike = not len(others) or float(others.max() - others.min()) < _MAX_UNLIKE_CORRELATION
    if noise.autocorrelation is not None or (alike and not noise.separate):
        return basis
    sigma = noise.typical_sigma(noisy) if noise.separate else noisy.new_ones(channels)
    sigma = sigma.clamp(min=_MIN_SIGMA * float(sigma.max()))
    sigma = sigma / sigma.log().mean().exp()
    values, vectors = torch.linalg.eigh(correlation * sigma * sigma[:, None])
    values = values.clamp(min=_MIN_POWER * float(values.max()))
    whitening = vectors @ (vectors / values.sqrt()).T
    # The first row gives light its best ratio to noise, the others follow the colors'.
    rows = torch.cat([whitening.sum(1)[None], basis[1:]])
    orthonormal = torch.linalg.qr(rows.T).Q.T
    signs = (orthonormal * rows).sum(1).sign()
    return signs[:, None] * orthonormal @ whitening


def ridge_estimate(
    noisy: Tensor,
    guide: Tensor,
    variance: Tensor,
    groups: Groups,
    autocorrelation: Tensor | None = None,
    on_part: Callable[[float], None] = lambda share: None,
    cut: Cut | None = None,
    neighbors: Sequence[Neighbor] = (),
) -> Tensor:
    """Estimate each patch as a weighted sum of the patches like it (NL-Ridge).

    The weights of a patch sum to one and are those of least risk by Stein's unbiased estimate, so
    that nothing but the noisy image is needed.

    Args:
        noisy: (C, H, W), in channels whose noise is independent.
        guide: (H, W) that patches are compared on.
        variance: of the noise, (C, H, W).
        groups: how patches are grouped.
        autocorrelation: of each channel's noise with its neighbors, (C, 2m + 1, 2m + 1) with 1 in
            the center; None for white noise.
        on_part: called with the share that is done, up to 1; may raise to end the work.
        cut: where the image lies in another one that it was cut from; None for nowhere. What is not
            in its area is anything.
        neighbors: planes whose patches help.

    Returns:
        (C, H, W).

    Example:
        >>> clean = torch.linspace(0, 1, 32).expand(1, 32, 32)
        >>> noisy = clean + 0.1 * torch.randn(clean.shape, generator=torch.manual_seed(0))
        >>> groups, variance = Groups(5, 9, 15, 3), torch.full_like(noisy, 0.01)
        >>> estimate = ridge_estimate(noisy, noisy[0], variance, groups)
        >>> bool((estimate - clean).square().mean() < 0.3 * (noisy - clean).square().mean())
        True
    """
    loops = compiled_loops(noisy)
    sums, weights = (
        ridge_sums(loops, noisy, guide, variance, groups, autocorrelation, on_part, cut, neighbors)
        if loops
        else tensor_ridge_sums(
            noisy, guide, variance, groups, autocorrelation, on_part, cut, neighbors
        )
    )
    return _mean(sums, weights, patch_size(tuple(guide.shape), groups), cut)


def wiener_estimate(
    noisy: Tensor,
    pilot: Tensor,
    guide: Tensor,
    variance: Tensor,
    groups: Groups,
    autocorrelation: Tensor | None = None,
    on_part: Callable[[float], None] = lambda share: None,
    cut: Cut | None = None,
) -> Tensor:
    """Filter each patch by the mean and covariance of the patches like it (NL-Bayes).

    Args:
        noisy: as for `ridge_estimate`; the channels are filtered together.
        pilot: an earlier estimate of the same shape.
        guide: as for `ridge_estimate`.
        variance: as for `ridge_estimate`.
        groups: how patches are grouped.
        autocorrelation: as for `ridge_estimate`.
        on_part: as for `ridge_estimate`.
        cut: as for `ridge_estimate`.

    Returns:
        (C, H, W).
    """
    patch = patch_size(tuple(guide.shape), groups)
    correlation = None
    if autocorrelation is not None:
        correlation = _correlation_within_patch(patch, autocorrelation)
    loops = compiled_loops(noisy)
    images = pilot, guide, variance
    sums, weights = (
        wiener_sums(loops, noisy, *images, groups, correlation, on_part, cut)
        if loops
        else tensor_wiener_sums(noisy, *images, groups, correlation, on_part, cut)
    )
    return _mean(sums, weights, patch, cut)


def _mean(sums: Tensor, weights: Tensor, patch: tuple[int, int], cut: Cut | None) -> Tensor:
    """Return the weighted mean of patches; nothing where none lies, around the area of a cut.

    It is made in the place of both.
    """
    for plane in weights:  # one after the other, for the sake of memory
        plane.copy_(_spread(plane, patch))
    if cut is not None:  # so that no later table is asked about what is no number
        weights.masked_fill_(~(weights > 0), 1.0)
    return sums.div_(weights)


def fuse_neighbors(
    noisy: Tensor,
    pilot: Tensor,
    guide: Tensor,
    variance: Tensor,
    groups: Groups,
    neighbors: Sequence[Neighbor],
    on_part: Callable[[float], None] = lambda share: None,
) -> tuple[Tensor, Tensor]:
    """Fuse each patch of a plane with those like it in its neighbors.

    A fused patch is the weighted mean of least expected squared error: the pilots tell by how much
    the patches differ, together and not one by one, so that two to both sides of a shift by half a
    pixel count fully.

    Args:
        noisy: (C, H, W), in channels whose noise is independent.
        pilot: an earlier estimate of the same shape.
        guide: (H, W) that patches are compared on.
        variance: of the noise, (C, H, W).
        groups: how patches are grouped; `similar` are taken of each neighbor.
        neighbors: with their pilots.
        on_part: as for `ridge_estimate`.

    Returns:
        The plane with less noise, (C, H, W), and the share of the variance that is left, (1, H, W).
    """
    loops = compiled_loops(noisy)
    planes = noisy, pilot, guide, variance
    sums, weights, counts = (
        fused_sums(loops, *planes, groups, on_part, neighbors)
        if loops
        else tensor_fused_sums(*planes, groups, on_part, neighbors)
    )
    patch = patch_size(tuple(guide.shape), groups)
    total = _spread(weights[0], patch)
    return sums.div_(total), _spread(counts[0], patch).div_(total)[None]


def _spread(weights: Tensor, patch: tuple[int, int]) -> Tensor:
    """Return the weights of each pixel's patches, whose first pixels have them: (H, W)."""
    for axis, side in enumerate(patch):
        total = weights.clone()
        for offset in range(1, side):
            length = weights.shape[axis] - offset
            total.narrow(axis, offset, length).add_(weights.narrow(axis, 0, length))
        weights = total
    return weights


def _correlation_within_patch(patch: tuple[int, int], autocorrelation: Tensor) -> Tensor:
    """Return the noise's correlation between a patch's pixels, channels apart: (C·n, C·n)."""
    height, width = patch
    device = autocorrelation.device
    rows, columns = (torch.arange(side, device=device) for side in patch)
    pixels = torch.cartesian_prod(rows, columns).view(-1, 2)
    dy, dx = (pixels[:, None] - pixels).unbind(2)
    matrices = []
    for table in autocorrelation:
        center = len(table) // 2
        padded = F.pad(table, (width, width, height, height))
        matrices.append(padded[dy + center + height, dx + center + width])
    return torch.block_diag(*matrices)
