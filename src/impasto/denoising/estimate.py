"""Estimate the noise model of an image from the image alone.

White noise is estimated from the least eigenvalues of patches' covariance (`estimate_white.py`),
noise that neighbors share from the image's flattest blocks.

References:
    Chen, Zhu, Heng 2015, An efficient statistical method for image noise level estimation, ICCV;
    Foi, Trimeche, Katkovnik, Egiazarian 2008, Practical Poissonian-Gaussian noise modeling and
    fitting for single-image raw-data, IEEE TIP 17(10).
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.denoising.estimate_white import (
    PatchSpectrum,
    channel_correlation,
    channels_agree,
    fit_few_photons,
    fit_white_noise,
    has_white_noise,
    patch_spectrum,
)
from impasto.denoising.filters import interpolate, select_values
from impasto.denoising.noise import (
    LEVELS,
    NORMAL_PROBABILITIES,
    NORMAL_VALUES,
    Noise,
    white_noise,
)
from impasto.denoising.shared_detail import fit_noise_beside_detail

_BINS = 6  # of brightness
_CLIPPED_SHARE = 0.002  # of values at the end of the range, from which they count as clipped

_BLOCK_SIDE = 12  # pixels of the blocks that are searched for flat ones
_FLATTEST = 0.12  # share of a bin's blocks
_ROUNDING = 1e-7  # variance that rounding makes
_REACH = 4  # pixels within which noise may correlate
_TAPER = 2  # reaches from the center to where correlations are taken for zero
# Frequencies a side of the noise's spectrum, and the least power of each, of 1 on average.
_SPECTRUM, _MIN_POWER = 32, 0.02
# Deviation of blocks' variances over their mean: noise has 0.1 to 0.35, texture 0.4 to 2. Noise of
# a small deviation may have a little more.
_MAX_SPREAD, _MAX_SPREAD_WEAK, _WEAK_SIGMA = 0.4, 0.48, 2.5 / 255
# Noise that neighbors share loses this factor of its variance to the plane that is removed, and
# because the flattest blocks are those whose noise happens to be flat. Measured.
_LOST = 1.3
_MAX_RATIO_TO_FINE = 2.5  # of a bin's ratio of coarse and fine variance to the least of all bins
_GAMMA = 2.2  # of the tone curve between a sensor's values and an image's
# Least share of a channel's white noise that is its own, where the rest is taken for detail; and of
# the variance that seems to be shared by neighbors, where that is white noise with texture.
_MIN_OWN_SHARE, _MIN_WHITE_SHARE = 0.5, 0.6
_MIN_WHITE_PLATEAU = 0.7  # of that detail
_MAX_RATIO = 1.5  # of the strengths of channels that have one law
_UNCORRELATED = F.pad(torch.ones(1, 1, 1), (_REACH,) * 4)


def estimate_noise(image: Tensor, basis: Tensor, unmeasured: Tensor | None = None) -> Noise:
    """Estimate the noise in an image.

    Channels that are the same are measured once. Where channels' noise differs, each is measured by
    itself.

    Args:
        image: (C, H, W), 1 being white.
        basis: (C, C) orthonormal rows, the channels in which the autocorrelation is estimated;
            if channels are the same or without noise, those left are its own basis.
        unmeasured: pixels that say nothing about the noise, (C, H, W) bool; None for none.

    Returns:
        The noise. It is taken for white only if two bins of brightness show that it is alike in all
        directions of patch space, where texture leaves some directions free.
    """
    if unmeasured is None:
        unmeasured = torch.zeros_like(image, dtype=torch.bool)
    members = _find_members(image, unmeasured)
    different = [c for c, first in enumerate(members) if c == first]
    if not different:
        return replace(white_noise(0.0, 0.0, len(image)), reliable=False)
    if len(different) == len(image):
        return _estimate_different(image, basis, unmeasured)
    basis = torch.eye(len(different))
    noise = _estimate_different(image[different], basis, unmeasured[different])
    return noise.expand(members)


def _find_members(image: Tensor, unmeasured: Tensor) -> tuple[int | None, ...]:
    """Return the first channel that each is the same as, and None for one without pixels."""
    members: list[int | None] = []
    for c, channel in enumerate(image):
        same = (first for first in range(c) if torch.equal(image[first], channel))
        members.append(None if unmeasured[c].all() else next(same, c))
    return tuple(members)


def _estimate_different(image: Tensor, basis: Tensor, unmeasured: Tensor) -> Noise:
    """Estimate the noise of channels that differ and have pixels."""
    if counted := fit_few_photons(image, unmeasured):
        return counted
    clipped = _clipped_ends(image, unmeasured)
    spectra = [patch_spectrum(*planes) for planes in zip(image, unmeasured, strict=True)]
    if has_white_noise(spectra):
        noise = fit_white_noise(image, unmeasured, spectra, clipped)
        if len(image) == 1:
            return noise
        agree = channels_agree(noise, spectra)
        hidden = not all(has_white_noise([spectrum]) for spectrum in spectra)
        if hidden or not agree:
            own_noise = _estimate_beside_detail(image, unmeasured, spectra)
            if own_noise and (not agree or _is_unlike(own_noise, image, unmeasured)):
                return own_noise
        if agree:
            correlation = channel_correlation(image, unmeasured, noise)
            return replace(noise, channel_correlation=correlation)
        return _estimate_separately(image, unmeasured)
    own_noise = _estimate_beside_detail(image, unmeasured, spectra) if len(image) > 1 else None
    return own_noise or estimate_correlated_noise(image, spectra, basis, clipped, unmeasured)


def _is_unlike(noise: Noise, image: Tensor, unmeasured: Tensor) -> bool:
    """Return whether the channels' strengths differ much."""
    sigma = noise.typical_sigma(image, unmeasured)
    return bool(sigma.max() > _MAX_RATIO * sigma.min())


def _estimate_beside_detail(
    image: Tensor, unmeasured: Tensor, spectra: list[PatchSpectrum]
) -> Noise | None:
    """Estimate white noise beside the detail that channels share; None if it is not told so."""
    laws = fit_noise_beside_detail(image, unmeasured)
    if laws is None:
        return None
    noises = [white_noise(gain, base, 1) for gain, base in laws]
    for noise, spectrum in zip(noises, spectra, strict=True):
        expected = interpolate(spectrum.levels, noise.levels[0], noise.variances[0])
        ratio = float((expected / spectrum.variances.clamp(min=1e-12)).max())
        # Detail that is as white as noise is noise that the channels share.
        if ratio < _MIN_OWN_SHARE and has_white_noise([spectrum], _MIN_WHITE_PLATEAU):
            return None
    return _join_channels(noises)


def _estimate_separately(image: Tensor, unmeasured: Tensor) -> Noise:
    """Estimate the noise of each channel by itself, in its own range."""
    noises = []
    for channel, out in zip(image[:, None], unmeasured[:, None], strict=True):
        values = channel[~out]
        low, span = float(values.min()), float(values.max() - values.min()) or 1.0
        own = _estimate_alone((channel - low) / span, out)
        noises.append(_rescale_range(own, low, span))
    return _join_channels(noises)


def _estimate_alone(channel: Tensor, unmeasured: Tensor) -> Noise:
    """Estimate the noise of a channel (1, H, W) beside which others have white noise.

    Texture as strong as the noise makes it look shared by neighbors, but leaves no direction with
    much less than the rest.
    """
    noise = _estimate_different(channel, torch.eye(1), unmeasured)
    if noise.autocorrelation is None or not noise.reliable:
        return noise
    spectrum = patch_spectrum(channel[0], unmeasured[0])
    expected = interpolate(spectrum.levels, noise.levels[0], noise.variances[0])
    if float((spectrum.variances / expected.clamp(min=1e-12)).median()) < _MIN_WHITE_SHARE:
        return noise
    return fit_white_noise(channel, unmeasured, [spectrum], _clipped_ends(channel, unmeasured))


def _join_channels(noises: list[Noise]) -> Noise:
    """Join the noises of single channels."""
    length = max(noise.levels.shape[1] for noise in noises)
    levels, variances, clean_values = (
        torch.cat([_lengthen(getattr(noise, name), length) for noise in noises])
        for name in ("levels", "variances", "clean_values")
    )
    white = all(noise.autocorrelation is None for noise in noises)
    lines = torch.cat([noise.lines for noise in noises]) if white else None
    autocorrelation = None
    if not white:
        tables = (noise.autocorrelation for noise in noises)
        autocorrelation = torch.cat([_UNCORRELATED if t is None else t for t in tables])
    low, high = (any(noise.clipped[end] for noise in noises) for end in (0, 1))
    tables = (levels, variances, clean_values, torch.eye(len(noises)), autocorrelation, lines)
    return Noise(*tables, (low, high), separate=True)


def _rescale_range(noise: Noise, low: float, span: float) -> Noise:
    """Return noise estimated in [0, 1] for values from `low` to `low + span`.

    Noise that was not estimated reliably becomes none.
    """
    reliable = float(noise.reliable)
    levels, clean_values = (low + span * t for t in (noise.levels, noise.clean_values))
    lines = None
    if noise.lines is not None:
        gains, bases = noise.lines.T
        lines = torch.stack([gains * span, bases * span**2 - gains * span * low], 1)
    return replace(
        noise,
        levels=levels,
        variances=noise.variances * span**2 * reliable,
        clean_values=clean_values if noise.reliable else levels,
        lines=lines,
    )


def _lengthen(table: Tensor, length: int) -> Tensor:
    """Repeat a table's last entry: (1, N) -> (1, length)."""
    return F.pad(table, (0, length - table.shape[1]), mode="replicate")


def _clipped_ends(image: Tensor, unmeasured: Tensor) -> tuple[bool, bool]:
    """Return whether values were clipped at 0 and at 1: many are equal to it, none is beyond."""
    values = select_values(image, ~unmeasured)
    low, high = (
        bool(end == bound) and float((values == bound).float().mean()) > _CLIPPED_SHARE
        for end, bound in ((values.min(), 0), (values.max(), 1))
    )
    return low, high


def estimate_correlated_noise(
    image: Tensor,
    spectra: list[PatchSpectrum],
    basis: Tensor,
    clipped: tuple[bool, bool],
    unmeasured: Tensor,
) -> Noise:
    """Estimate noise that neighbors share from the flattest blocks of an image.

    Args:
        image: (C, H, W).
        spectra: levels and variances of the finest detail in each channel, noise or not.
        basis: (C, C) orthonormal rows, the channels in which the autocorrelation is estimated.
        clipped: whether values were clipped at 0, and at 1.
        unmeasured: pixels whose blocks are left out, (C, H, W) bool.
    """
    flat = _FlatBlocks(image, spectra, unmeasured)
    levels, variances = flat.levels, flat.variances * _LOST
    clean_values = levels if len(image) != 3 else _invert_tone_curve(levels, variances)
    tables = (levels, variances, clean_values, flat.channel_correlation)
    return Noise(*tables, flat.autocorrelation(basis), None, clipped, flat.reliable)


class _Bin:
    """The flattest blocks of one bin of brightness.

    Attributes:
        members: indices of the blocks.
        variance: their mean variance.
        ratio: the same over the variance of the finest detail.
        end_share: share of their pixels at the ends of the range.
        uniform: True if their variances are as alike as noise's: noise is the same everywhere,
            texture is not, and a drawing's flat blocks do not vary at all.
    """

    def __init__(
        self, members: Tensor, variances: Tensor, patch_variances: Tensor, end_share: float
    ) -> None:
        self.members, self.end_share = members, end_share
        self.variance = float(variances.mean())
        self.ratio = self.variance / max(float(patch_variances.mean()), 1e-9)
        means = variances.mean(0)
        spread = float(means.std() / means.mean().clamp(min=1e-12)) if len(means) > 1 else 1.0
        max_spread = _MAX_SPREAD_WEAK if self.variance < _WEAK_SIGMA**2 else _MAX_SPREAD
        self.uniform = self.variance > _ROUNDING and spread < max_spread


class _FlatBlocks:
    """The flattest blocks of an image, and the noise in them.

    Attributes:
        levels: (C, N) mean values, rising.
        variances: (C, N) at these levels.
        channel_correlation: (C, C).
        reliable: False if most bins of brightness hold texture.
    """

    def __init__(self, image: Tensor, spectra: list[PatchSpectrum], unmeasured: Tensor) -> None:
        self.side = min(_BLOCK_SIDE, *image.shape[1:])
        out = unmeasured.any(0)
        step = max(4, 2 * round(math.sqrt(int((~out).sum()) / 60_000) * 2))
        blocks = F.unfold(image[:, None], self.side, stride=step).transpose(1, 2)  # (C, N, n)
        hit = F.max_pool2d(out[None].float(), self.side, step).flatten() > 0
        ends = image[~unmeasured].min(), image[~unmeasured].max()
        if hit.any() and (~hit).sum() >= _BINS:
            blocks = blocks[:, ~hit]
        means = blocks.mean(2)
        plane, _ = torch.linalg.qr(_plane_basis(self.side))
        residual = blocks - (blocks @ plane) @ plane.T
        variances = residual.square().sum(2) / max(1, self.side**2 - 3)  # (C, N)
        bins = self._flattest(spectra, blocks, residual, variances, ends)
        unclipped = [bin_ for bin_ in bins if bin_.end_share < 0.5]
        uniform = [bin_ for bin_ in unclipped if bin_.uniform]
        self.reliable = 2 * len(uniform) >= max(1, len(unclipped))
        usable = [bin_ for bin_ in uniform if bin_.end_share < 0.05] or uniform or bins
        # The correlation is read where the least detail is left.
        calmest = sorted(usable, key=lambda bin_: bin_.ratio)[:2]
        # Noise has one spectrum at each brightness; what has more that is coarse is texture.
        most = _MAX_RATIO_TO_FINE * calmest[0].ratio
        usable = [bin_ for bin_ in usable if bin_.ratio <= most]
        members = torch.cat([bin_.members for bin_ in calmest])
        self._noise = residual[:, members].reshape(len(image), -1, self.side, self.side)
        entries = [
            (means[:, bin_.members].mean(1), variances[:, bin_.members].mean(1)) for bin_ in usable
        ]
        tables = [
            _sorted_table(
                torch.stack([level[c] for level, _ in entries]),
                torch.stack([variance[c] for _, variance in entries]),
            )
            for c in range(len(image))
        ]
        self.levels = torch.stack([levels for levels, _ in tables])
        self.variances = torch.stack([variances for _, variances in tables])
        values = self._noise.flatten(1)
        # A channel without noise correlates with none.
        several = len(image) > 1 and values.shape[1] > 1
        correlation = torch.corrcoef(values).nan_to_num(0) if several else torch.eye(len(image))
        self.channel_correlation = correlation.fill_diagonal_(1)

    def _flattest(
        self,
        spectra: list[PatchSpectrum],
        blocks: Tensor,
        residual: Tensor,
        variances: Tensor,
        ends: tuple[Tensor, Tensor],
    ) -> list[_Bin]:
        """Pick the blocks with the least coarse detail in each bin of brightness."""
        low, high = ends
        means = blocks.mean(2)
        brightness = means.mean(0)
        coarse = F.avg_pool2d(
            residual.mean(0).view(-1, 1, self.side, self.side), max(1, self.side // 3)
        )
        roughness = coarse.square().mean((1, 2, 3))
        at_ends = (blocks <= low) | (blocks >= high)
        end_shares = at_ends.float().mean((0, 2))
        fine = torch.stack(
            [
                interpolate(mean, *_sorted_table(spectrum.levels, spectrum.variances))
                for mean, spectrum in zip(means, spectra, strict=True)
            ]
        )
        bins = []
        for part in brightness.argsort().chunk(_BINS):
            flattest = roughness[part].argsort()[: max(6, int(len(part) * _FLATTEST))]
            members = part[flattest]
            end_share = float(end_shares[members].mean())
            bins.append(_Bin(members, variances[:, members], fine[:, members], end_share))
        return bins

    def autocorrelation(self, basis: Tensor) -> Tensor:
        """Return the correlation with neighbors in a basis' channels, (C, 2m + 1, 2m + 1)."""
        noise = torch.einsum("ij,jnhw->inhw", basis, self._noise)
        noise = noise / noise.square().mean((2, 3), keepdim=True).sqrt().clamp(min=1e-6)
        reach, side = _REACH, self.side
        table = torch.zeros(len(basis), 2 * reach + 1, 2 * reach + 1)
        for y in range(-reach, reach + 1):
            for x in range(-reach, reach + 1):
                if max(abs(y), abs(x)) < side:
                    a = noise[..., max(0, y) : side + min(0, y), max(0, x) : side + min(0, x)]
                    b = noise[..., max(0, -y) : side - max(0, y), max(0, -x) : side - max(0, x)]
                    table[:, y + reach, x + reach] = (a * b).mean((1, 2, 3))
        # What is far apart is known less well.
        taper = 1 - torch.arange(-reach, reach + 1).abs() / (_TAPER * (reach + 1))
        return _positive_definite(table * taper[:, None] * taper)


def _positive_definite(table: Tensor) -> Tensor:
    """Raise an autocorrelation's spectrum to a floor, so that it is that of some noise.

    The result is cut to its reach again, which takes it a little off; whoever inverts a covariance
    made of it has a floor of his own.

    Args:
        table: (C, 2m + 1, 2m + 1), of any scale; all zero where there is no noise.

    Returns:
        The same shape with 1 in the center.
    """
    reach = table.shape[1] // 2
    center = table[:, reach : reach + 1, reach : reach + 1].clamp(min=1e-9)
    padded = F.pad(table / center, (0, _SPECTRUM - 2 * reach - 1) * 2)
    power = torch.fft.fft2(padded.roll((-reach, -reach), (1, 2))).real.clamp(min=_MIN_POWER)
    raised = torch.fft.ifft2(power).real.roll((reach, reach), (1, 2))
    raised = raised[:, : 2 * reach + 1, : 2 * reach + 1]
    return raised / raised[:, reach : reach + 1, reach : reach + 1]


def _plane_basis(side: int) -> Tensor:
    """Return a constant and two slopes over a block, (n, 3)."""
    line = torch.arange(side) - (side - 1) / 2
    ones = torch.ones(side, side)
    return torch.stack([ones, line[:, None] * ones, line * ones]).flatten(1).T


def _sorted_table(levels: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Sort a table by level; a single entry becomes two, as `interpolate` needs."""
    order = levels.argsort()
    levels, values = levels[order], values[order]
    if len(levels) == 1:
        return torch.cat([levels, levels + 0.1]), values.repeat(2)
    return levels, values


def _invert_tone_curve(levels: Tensor, variances: Tensor) -> Tensor:
    """Return the values without noise if the noise was added before a tone curve: (C, N).

    A concave curve takes more from the dark side of noise than from the light side, so that its
    mean is too dark.
    """
    spreads = torch.cat([torch.zeros(1), torch.logspace(-4, 0.3, 90)]).double()
    linear = LEVELS[::2, None, None] ** _GAMMA + spreads[:, None] * NORMAL_VALUES
    values = linear.clamp(0, 1) ** (1 / _GAMMA)
    means = (values * NORMAL_PROBABILITIES).sum(2)
    squares = (values - means[..., None]).square()
    deviations = (squares * NORMAL_PROBABILITIES).sum(2).sqrt()
    bias = (LEVELS[::2, None] - means).flatten()
    clean_values = torch.zeros_like(levels)
    for c in range(len(levels)):
        for i in range(levels.shape[1]):
            level, deviation = levels[c, i], variances[c, i].sqrt()
            distance = (means - level).square() + (deviations - deviation).square()
            clean_values[c, i] = level + bias[distance.argmin()].clamp(min=0)
    return clean_values
