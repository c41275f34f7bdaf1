"""The painting network: small, convolutional, from an image in the style's colors to a painting.

It works at a quarter, an eighth and a sixteenth of the resolution and ends in a head of few
channels at full size, so that nearly all of its work is done on few positions. A few channels of
noise give it something to make strokes of where a picture is plain.

Each convolution is followed by a normalization of its channels over the whole picture, without
which it learns half as well (docs/log.md). Statistics measured once can be fixed: the network is
then nothing but convolutions, sees no farther than `REACH`, and paints in tiles what it would paint
whole.

References:
    Ulyanov, Vedaldi, Lempitsky 2017, Improved texture networks, arXiv:1701.02096; Johnson, Alahi,
    Fei-Fei 2016, Perceptual losses for real-time style transfer, arXiv:1603.08155.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

STRIDE = 16  # pixels a side of one position at the coarsest level
REACH = 128  # pixels around a pixel that can change it, at most: a multiple of STRIDE
NOISE = 4  # channels of noise that each level reads; in half of them neighbors are alike
_SMOOTH = 8  # positions over which they are
_LEVELS = (4, 4, 8)  # pixels a side of one position where each level reads its noise
_CHANNELS = (48, 64, 64)  # at each level
_HEAD = (32, 16)  # at half and at full resolution
SIGNATURE = 2 * _CHANNELS[-1]  # numbers that tell one kind of picture from another
_BLOCKS = (1, 2, 1)  # residual blocks at each level
_FLOOR = 1e-5  # of a variance


class NormalizedConvolution(nn.Module):
    """A 3 × 3 convolution with a repeated border, and a normalization of its channels.

    Args:
        inputs: channels it reads.
        outputs: channels it makes.
        stride: 2 halves the resolution.

    Attributes:
        statistics: mean and variance, (C,) each, of the last picture whose own were used.
        fixed: normalize by these, whatever the picture.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride
        self.statistics: tuple[Tensor, Tensor] | None = None
        self.fixed = False
        self.kernel = nn.Parameter(torch.empty(outputs, inputs, 3, 3))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.scale = nn.Parameter(torch.ones(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (B, C, h, w), and normalize over batch and positions."""
        padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
        if self.fixed:
            mean, variance = self.statistics
            factor = self.scale * (variance + _FLOOR).rsqrt()
            kernel = self.kernel * factor[:, None, None, None]
            return F.conv2d(padded, kernel, self.bias - mean * factor, self.stride)
        y = F.conv2d(padded, self.kernel, None, self.stride)  # (B, C, h, w) -> (B, C', h', w')
        variance, mean = torch.var_mean(y, (0, 2, 3), correction=0)
        self.statistics = mean.detach(), variance.detach()
        factor = self.scale * (variance + _FLOOR).rsqrt()
        return y * factor[:, None, None] + (self.bias - mean * factor)[:, None, None]


class ResidualBlock(nn.Module):
    """Two convolutions whose output is added to their input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = NormalizedConvolution(channels, channels)
        self.second = NormalizedConvolution(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return x plus what is found in it, (1, C, h, w)."""
        return x + self.second(F.relu(self.first(x)))


class PaintingNetwork(nn.Module):
    """The network: images in the style's colors and noise to paintings.

    Example:
        >>> network = PaintingNetwork()
        >>> network(torch.rand(1, 3, 32, 48), noise_planes((48, 32), seed=0)).shape
        torch.Size([1, 3, 32, 48])
    """

    def __init__(self) -> None:
        super().__init__()
        fine, middle, coarse = _CHANNELS
        half, full = _HEAD
        convolution = NormalizedConvolution
        self.down = nn.ModuleList(
            [
                convolution(3 * _LEVELS[0] ** 2 + NOISE, fine),
                convolution(fine + NOISE, middle, stride=2),
                convolution(middle + NOISE, coarse, stride=2),
            ]
        )
        self.blocks = nn.ModuleList(
            nn.Sequential(*(ResidualBlock(channels) for _ in range(count)))
            for channels, count in zip(_CHANNELS, _BLOCKS, strict=True)
        )
        self.up = nn.ModuleList([convolution(coarse, middle), convolution(middle, fine)])
        self.head = nn.ModuleList([convolution(fine, half), convolution(half, full)])
        self.kernel = nn.Parameter(torch.empty(3, full + 3, 3, 3))
        self.bias = nn.Parameter(torch.zeros(3))

    @property
    def convolutions(self) -> list[NormalizedConvolution]:
        """All convolutions but the last."""
        return [part for part in self.modules() if isinstance(part, NormalizedConvolution)]

    def initialize(self, generator: torch.Generator) -> None:
        """Set random weights before a fit."""
        for kernel in [part.kernel for part in self.convolutions] + [self.kernel]:
            bound = (1 / kernel[0].numel()) ** 0.5
            drawn = torch.rand(kernel.shape, generator=generator)
            kernel.data.copy_((2 * drawn - 1) * bound)

    def fix_statistics(self) -> None:
        """Normalize from now on by the statistics of the images painted last."""
        for convolution in self.convolutions:
            convolution.fixed = True

    def signature(self) -> Tensor:
        """Return what the coarsest level saw of the images painted last, (SIGNATURE,).

        The means and the deviations of its channels before they are normalized.
        """
        mean, variance = self.down[-1].statistics
        return torch.cat([mean, variance.sqrt()]).float()

    def forward(self, x: Tensor, noise: list[Tensor]) -> Tensor:
        """Paint (B, 3, H, W) in [0, 1], both sides multiples of `STRIDE`.

        Args:
            x: images in the style's colors; parts of one image if there are several.
            noise: as `noise_planes` makes it, for each.
        """
        centered = 2 * x - 1
        y = F.pixel_unshuffle(centered, _LEVELS[0])  # (B, 3, H, W) -> (B, 48, H/4, W/4)
        levels = []
        for convolution, plane in zip(self.down, noise, strict=True):
            y = F.relu(convolution(torch.cat([y, plane], 1)))
            levels.append(y)
        y = self.blocks[2](levels[2])  # (B, 64, H/16, W/16)
        for level, convolution in zip((1, 0), self.up, strict=True):
            y = self.blocks[level](F.relu(convolution(_enlarge(y))) + levels[level])
        for convolution in self.head:  # (B, 48, H/4, W/4) -> (B, 16, H, W)
            # Smoothly: repeated positions would show as squares in the painting.
            y = F.interpolate(y, scale_factor=2, mode="bilinear")
            y = F.relu(convolution(y))
        y = F.pad(torch.cat([y, centered], 1), (1, 1, 1, 1), mode="replicate")
        return torch.sigmoid(F.conv2d(y, self.kernel, self.bias))


def noise_planes(size: tuple[int, int], seed: int) -> list[Tensor]:
    """Return the noise that the network reads: the same for the same seed.

    Args:
        size: (width, height) in pixels, multiples of `STRIDE`.
        seed: of the random numbers.

    Returns:
        One for each level, (1, C, H / level, W / level).
    """
    generator = torch.Generator().manual_seed(seed)
    planes = []
    for level in _LEVELS:
        width, height = (side // level for side in size)
        fine = torch.randn(1, NOISE // 2, height, width, generator=generator)
        sides = height // _SMOOTH + 2, width // _SMOOTH + 2
        coarse = torch.randn(1, NOISE // 2, *sides, generator=generator)
        smooth = F.interpolate(coarse, scale_factor=_SMOOTH, mode="bilinear")
        planes.append(torch.cat([fine, smooth[..., :height, :width]], 1))
    return planes


def crop_noise(noise: list[Tensor], rows: slice, columns: slice) -> list[Tensor]:
    """Return the noise of a part of the image; its borders are multiples of `STRIDE`."""
    return [
        plane[
            ...,
            rows.start // level : rows.stop // level,
            columns.start // level : columns.stop // level,
        ]
        for plane, level in zip(noise, _LEVELS, strict=True)
    ]


def _enlarge(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="nearest")
