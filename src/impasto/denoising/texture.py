"""Tell the picture's own texture in what a filter took away: the part that follows what it left.

A filter shrinks fine texture with the noise. What is left of it in the denoised picture has the
right shape, but is too weak, and the method noise, the noisy picture minus the denoised one, has
the rest. In small windows the powers of both and their product tell by how much the filter shrank
the texture and by how much the noise. What the texture lost is given back in the shape that is
left; where nothing is left of it, as in a sky or out of focus, nothing is.

References:
    Buades, Coll, Morel 2005, A review of image denoising algorithms, with a new one, Multiscale
    Modeling and Simulation 4(2) (method noise); Brunet, Vrscay, Wang 2009, The use of residuals in
    image denoising, ICIAR (structure in it).
"""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.compiled import run_strips
from impasto.denoising.noise import Noise
from impasto.denoising.regions import RegionalNoise
from impasto.denoising.working_channels import working_basis

STEP = 8  # pixels from one window to the next; windows are twice as wide
REACH = 4 * STEP  # pixels around each that its texture depends on, at most
_SIDE = 2 * STEP
_STRIP = 16  # rows of cells that a thread works on at a time
# Bands of frequencies that are shrunk alike: waves in a window, and directions.
_WAVES, _DIRECTIONS = (1.5, 4.0, math.inf), 4
# Deviations of chance by which the power exceeds the noise's from where it counts, and counts in
# full.
_CHANCE, _SURE = 2.0, 4.0
_MAX_RAISE = 1.0  # of what is left
_MIN_LEFT = 0.5  # power of the noise over that of the picture at which a frequency counts half
_MIN_POWER = 0.02  # of noise at a frequency, over white noise's


def find_texture(noisy: Tensor, clean: Tensor, noise: Noise) -> Tensor:
    """Return the texture that a filter took with the noise, as far as the picture still shows it.

    Args:
        noisy: (C, H, W), on the CPU.
        clean: the same without noise.
        noise: that was taken away.

    Returns:
        (C, H, W), to be added to `clean`.

    Example:
        >>> from impasto.denoising.noise import white_noise
        >>> noisy = 0.5 + 0.1 * torch.randn(1, 64, 64, generator=torch.manual_seed(0))
        >>> clean = torch.full_like(noisy, 0.5)
        >>> texture = find_texture(noisy, clean, white_noise(0, 0.01, 1))
        >>> bool(texture.square().mean() < 0.01 * noisy.var())
        True
    """
    noise = noise.to(torch.device("cpu"))
    basis = _basis(noise, len(noisy))
    height, width = noisy.shape[1:]
    rows, columns = (-(-side // STEP) for side in (height, width))  # of cells
    # Windows reach a step beyond the cells, and their neighbors another one.
    ends = (2 * STEP, (columns + 2) * STEP - width, 0, 0)
    power = _relative_power(noise, len(noisy))
    texture = torch.empty_like(noisy)

    def work(first: int) -> None:
        last = min(first + _STRIP, rows)
        lines = torch.arange((first - 2) * STEP, (last + 2) * STEP).clamp(0, height - 1)
        dirty, picture = noisy[:, lines], clean[:, lines]
        law = noise
        if isinstance(noise, RegionalNoise):
            law = replace(noise, regions=noise.regions[lines])
        variance = _variance(law, picture, basis)
        dirty, picture = (torch.einsum("ij,jhw->ihw", basis, i) for i in (dirty, picture))
        planes = torch.stack([dirty - picture, picture, variance])  # (3, C, h, w)
        strip = _filter_strip(F.pad(planes, ends, mode="replicate"), power)
        if len(basis) == 3 and not torch.equal(basis, torch.eye(3)):
            strip[1:] = 0  # texture is in the light; what colors lost is mostly noise
        strip = torch.einsum("ji,jhw->ihw", basis, strip)
        target = texture[:, first * STEP : last * STEP]
        target.copy_(strip[:, : target.shape[1], :width])

    run_strips(work, range(0, rows, _STRIP))
    return texture


def _basis(noise: Noise, channels: int) -> Tensor:
    """Return the channels that the noise's correlation with its neighbors is known in, (C, C)."""
    members = noise.members or tuple(range(channels))
    if noise.separate or members != tuple(range(channels)):
        return torch.eye(channels)
    return working_basis(channels)


def _variance(noise: Noise, clean: Tensor, basis: Tensor) -> Tensor:
    """Return the variance of the noise at each pixel, (C, H, W)."""
    if not isinstance(noise, RegionalNoise):
        return noise.variance_at(clean, basis)
    variance = torch.empty_like(clean)
    for number, law in enumerate(noise.laws):
        here = noise.regions == number
        if here.any():
            variance[:, here] = law.variance_at(clean, basis)[:, here]
    return variance


def _relative_power(noise: Noise, channels: int) -> Tensor:
    """Return the noise's power at each frequency of a window over white noise's, (C, 1, 1, n)."""
    if noise.autocorrelation is None:
        return torch.ones(channels, 1, 1, _SIDE * (_SIDE // 2 + 1))
    reach = noise.autocorrelation.shape[1] // 2
    table = F.pad(noise.autocorrelation, (0, _SIDE - 2 * reach - 1) * 2)
    power = torch.fft.rfft2(table.roll((-reach, -reach), (1, 2))).real
    return power.clamp(min=_MIN_POWER).view(channels, 1, 1, -1)


def _filter_strip(planes: Tensor, power: Tensor) -> Tensor:
    """Return the texture of some rows of cells.

    Args:
        planes: residual, picture and variance, (3, C, h, w), two cells around the ones filtered.
        power: of the noise at each frequency, (C, 1, 1, n).

    Returns:
        (C, h - 4 steps, w - 4 steps).
    """
    window = torch.outer(*[torch.hann_window(_SIDE).sqrt()] * 2)
    windows = planes.unfold(2, _SIDE, STEP).unfold(3, _SIDE, STEP)  # (3, C, rows, columns, …)
    residual = torch.fft.rfft2(windows[0] * window).flatten(-2)  # (C, rows, columns, n)
    centered = windows[1] - windows[1].mean((-1, -2), keepdim=True)
    picture = torch.fft.rfft2(centered * window).flatten(-2)
    noise = (windows[2] * window.square()).sum((-1, -2))[..., None] * power
    missing = picture[:, 1:-1, 1:-1] * _missing_share(residual, picture, noise)
    parts = torch.fft.irfft2(missing.unflatten(-1, (_SIDE, STEP + 1)), s=(_SIDE, _SIDE)) * window
    # Each cell is the sum of quarters of the four windows that it lies in.
    quarters = parts.unflatten(-1, (2, STEP)).unflatten(-3, (2, STEP))  # (…, 2, step, 2, step)
    cells = (
        quarters[:, :-1, :-1, 1, :, 1]
        + quarters[:, :-1, 1:, 1, :, 0]
        + quarters[:, 1:, :-1, 0, :, 1]
        + quarters[:, 1:, 1:, 0, :, 0]
    )  # (C, rows, columns, step, step)
    return cells.transpose(2, 3).flatten(3, 4).flatten(1, 2)


def _missing_share(residual: Tensor, picture: Tensor, noise: Tensor) -> Tensor:
    """Return what each frequency of the picture lost, over what is left of it.

    A filter leaves the share t of the texture's power T, and s of the noise's power N, amplitudes
    both. The noisy picture has the power T + N, the denoised one t²T + s²N, and the product of both
    is tT + sN; so t follows. It is that of a band of frequencies in a window and those around it.

    Args:
        residual: spectra of windows, (C, rows, columns, n).
        picture: likewise.
        noise: its power at each frequency, likewise.

    Returns:
        (C, rows - 2, columns - 2, n).
    """
    bands, counts = _bands()
    noisy = residual + picture

    def around(power: Tensor, weights: Tensor) -> Tensor:
        """Return the mean of a window and those around it, in each band."""
        sums = (power @ weights.T).permute(0, 3, 1, 2)
        return F.avg_pool2d(sums, 3, 1).permute(0, 2, 3, 1)  # (C, rows, columns, bands)

    weights = bands * counts
    total = around(noisy.abs().square(), weights)
    product = around((noisy * picture.conj()).real, weights)
    left = around(picture.abs().square(), weights)
    expected = around(noise, weights)
    # Windows that overlap are not as many independent ones.
    chance = (2 / 9 * around(noise.square(), weights.square())).clamp(min=1e-30).sqrt()
    excess = total - expected
    sure = ((excess / chance - _CHANCE) / (_SURE - _CHANCE)).clamp(0, 1)
    spread = (total * left - product.square()).clamp(min=0)
    share = product + (spread * expected / excess.clamp(min=1e-20)).sqrt()
    share = share / total.clamp(min=1e-20)
    raised = (1 / share.clamp(min=1 / (1 + _MAX_RAISE)) - 1).clamp(min=0) * sure
    power = F.avg_pool2d((picture.abs().square() / noise).permute(0, 3, 1, 2), 3, 1)
    power = power.permute(0, 2, 3, 1)
    return (raised @ bands) * power / (power + _MIN_LEFT)


def _bands() -> tuple[Tensor, Tensor]:
    """Return which frequencies are in which band, (bands, n), and for how many each stands, (n)."""
    across = torch.fft.rfftfreq(_SIDE) * _SIDE
    down = torch.fft.fftfreq(_SIDE)[:, None] * _SIDE
    waves = torch.hypot(down, across)
    angles = torch.atan2(down, across) / math.pi * _DIRECTIONS
    directions = angles.round().long() % _DIRECTIONS
    bands = [
        (waves > least) & (waves <= most) & (directions == direction)
        for least, most in pairwise(_WAVES)
        for direction in range(_DIRECTIONS)
    ]
    # All but the first and the last across stand for two.
    counts = torch.where((across > 0) & (across < STEP), 2.0, 1.0).expand(_SIDE, -1)
    return torch.stack(bands).flatten(1).float(), counts.flatten()
