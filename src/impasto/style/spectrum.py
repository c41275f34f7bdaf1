"""How curved the loss is at each spatial frequency, learnt from where the descent has been.

The network answers to some frequencies far more strongly than to others, so a multiple of the
identity is a poor first guess of the inverse curvature for L-BFGS. A guess that is diagonal in
frequency, one number for each color and band, costs a Fourier transform and is learnt from the
curvature pairs themselves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

_BANDS = 24  # evenly spaced in the logarithm of frequency
_FADE = 0.8  # each older pair counts this share of the next younger one


class Spectrum:
    """The frequency bands of pictures of one size.

    Args:
        size: (width, height), in pixels.
        device: where the pictures are.

    Example:
        >>> spectrum = Spectrum((32, 24))
        >>> step, bend = torch.rand(3, 24, 32), torch.rand(3, 24, 32)
        >>> gain = spectrum.gain([spectrum.powers(4 * bend, bend)])
        >>> torch.allclose(spectrum.scaled(bend, gain), 4 * bend, atol=1e-4)
        True
    """

    def __init__(self, size: tuple[int, int], device: torch.device | str = "cpu") -> None:
        self.size = width, height = size
        down = torch.fft.fftfreq(height, device=device)[:, None]
        across = torch.fft.rfftfreq(width, device=device)[None]
        least, most = 1 / max(size), 0.5**0.5  # cycles a pixel: once a picture, and the corner
        octaves = torch.hypot(down, across).clamp_(min=least).div_(least).log_()
        # (H, W//2 + 1): each frequency's place among the bands, between two of them
        self.place = octaves.mul_((_BANDS - 1) / math.log(most / least)).clamp_(0, _BANDS - 1.001)
        # A real picture's transform holds each frequency but the outermost columns' twice.
        self.twice = torch.full((across.shape[1],), 2.0, device=device)
        self.twice[0] = 1
        if width % 2 == 0:
            self.twice[-1] = 1

    def powers(self, step: Tensor, bend: Tensor) -> Tensor:
        """The power of a curvature pair in each band, over the bend's whole power.

        Args:
            step: (3, H, W), from where to where the pixels went.
            bend: (3, H, W), how the gradient changed on the way.

        Returns:
            (2, 3, bands) float64 on the CPU: the step's powers and the bend's.
        """
        found = torch.stack([self._binned(step), self._binned(bend)])
        return found / found[1].sum().clamp_min(1e-300)

    def gain(self, powers: Sequence[Tensor]) -> Tensor:
        """Steps per bend in each band, (3, bands) float64, from pairs' powers, the latest last."""
        fading = [_FADE**age * power for age, power in enumerate(reversed(powers))]
        step, bend = sum(fading)
        whole = (step.sum() / bend.sum()).sqrt()
        known = bend > 1e-12 * bend.sum()
        return torch.where(known, (step / bend.clamp_min(1e-300)).sqrt(), whole).clamp_min(1e-30)

    def scaled(self, picture: Tensor, gain: Tensor) -> Tensor:
        """A picture, (3, H, W), with each color's bands multiplied by a gain, (3, bands)."""
        low = self.place.long()  # (H, W//2 + 1)
        share = self.place - low
        out = torch.empty_like(picture)
        for color, own in enumerate(gain.to(picture)):  # one at a time, for memory's sake
            factor = torch.lerp(own[low], own[low + 1], share)
            wave = torch.fft.rfft2(picture[color], norm="ortho")
            out[color] = torch.fft.irfft2(wave.mul_(factor), s=picture.shape[1:], norm="ortho")
        return out

    def _binned(self, picture: Tensor) -> Tensor:
        """The power of each color in each band, (3, bands) float64."""
        low = self.place.long().flatten()
        share = (self.place.flatten() - low).double()
        found = []
        for color in picture:
            wave = torch.fft.rfft2(color, norm="ortho")
            power = torch.view_as_real(wave).square().sum(-1).mul_(self.twice).flatten().double()
            above = torch.bincount(low + 1, power * share, _BANDS)
            found.append(torch.bincount(low, power - power * share, _BANDS) + above)
        return torch.stack(found).cpu()
