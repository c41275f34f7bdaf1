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

import torch
from torch import Tensor

from impasto.denoising.block_matching import Cut, Groups, relative_area
from impasto.denoising.coarse_noise import coarse_variance, remove_coarse_noise
from impasto.denoising.compact_sources import restore_sources
from impasto.denoising.filter_plan import (
    filtered_area,
    parts_of_pass,
    passes_of,
    plan_cuts,
    plan_filter,
    split_rows,
)
from impasto.denoising.filters import gaussian_blur, row_strips
from impasto.denoising.noise import Noise
from impasto.denoising.patch_filters import first_guide, ridge_estimate, wiener_estimate
from impasto.denoising.working_channels import channel_groups, members_in, noise_basis, noise_skew
from impasto.device import select_device
from impasto.recipes import DenoiseRecipe


class _Stopped(Exception):
    """`report` ended the run."""


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
    area = filtered_area(size, part, noise)
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
        for band in split_rows(area, bands):
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
        cuts, rows, columns = plan_cuts(size, area, passes, noise)
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
