"""The convolutional trunk of VGG-19, by layer name, only as deep as the deepest layer asked for."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.recipe import LAYERS
from impasto.vgg.weights import CONVS, VGGWeights


class Trunk:
    """VGG-19's convolutions, frozen, with the normalization of pictures inside.

    Args:
        weights: the network's weights.
        layers: names such as `conv4_2` (before the ReLU) or `relu4_2` (after it).
        pooling: `max` as published, or `average`.
        padding: what conv1_1 sees beyond the border: `zeros` as published, or `replicate`.
        device: where to compute.
        dtype: number format of the convolutions, `torch.float32` or `torch.bfloat16`.

    Raises:
        ValueError: a layer VGG-19 does not have.

    Example:
        >>> from impasto.vgg.weights import load
        >>> trunk = Trunk(load("oxford"), ["relu1_1", "conv3_1"])
        >>> features = trunk(torch.rand(3, 32, 48))
        >>> features["conv3_1"].shape
        torch.Size([256, 8, 12])

    References:
        Simonyan, Zisserman 2014, arXiv:1409.1556.
    """

    def __init__(
        self,
        weights: VGGWeights,
        layers: Iterable[str],
        *,
        pooling: str = "max",
        padding: str = "zeros",
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.layers = tuple(sorted(set(layers), key=_depth))
        self.pooling = pooling
        self.padding = padding
        self.dtype = dtype
        self.mean = weights.mean.to(device).view(3, 1, 1)
        deepest = _depth(self.layers[-1]) // 2
        self.convs = {
            name: (
                weights.convs[name][0].to(device, dtype, memory_format=torch.channels_last),
                weights.convs[name][1].to(device, dtype),
            )
            for name in CONVS[: deepest + 1]
        }

    def __call__(self, pixels: Tensor) -> dict[str, Tensor]:
        """Read the layers of a picture.

        Args:
            pixels: (3, H, W) float32, RGB in [0, 1].

        Returns:
            Layer name to features (C, H_l, W_l) in the trunk's number format.
        """
        x = (pixels - self.mean).to(self.dtype)[None]  # (3, H, W) -> (1, 3, H, W)
        x = x.contiguous(memory_format=torch.channels_last)
        features = {}
        for name, (kernel, bias) in self.convs.items():
            if name[6] == "1" and name != "conv1_1":
                x = self._pool(x)  # (1, C, H, W) -> (1, C, H//2, W//2)
            border = 1
            if name == "conv1_1" and self.padding == "replicate":
                x, border = F.pad(x, (1, 1, 1, 1), mode="replicate"), 0
            x = F.conv2d(x, kernel, bias, padding=border)
            if name in self.layers:
                features[name] = x[0]
                x = F.relu(x)
            else:
                x = F.relu_(x)  # the convolution's own output is not read by anyone
            rectified = name.replace("conv", "relu")
            if rectified in self.layers:
                features[rectified] = x[0]
        return features

    def _pool(self, x: Tensor) -> Tensor:
        """Halve both sides; an odd last row or column is left out, as published."""
        return F.max_pool2d(x, 2) if self.pooling == "max" else F.avg_pool2d(x, 2)


def scaled_mask(mask: Tensor | None, layer: str) -> Tensor | None:
    """A mask at a layer's resolution: (H, W) -> (H_l, W_l), averaged as the pooling sees it."""
    if mask is None:
        return None
    for _ in range(int(layer[4]) - 1):
        mask = F.avg_pool2d(mask[None], 2)[0]
    return mask


def _depth(layer: str) -> int:
    """How deep a layer lies, convolutions and ReLUs counted alike."""
    if layer not in LAYERS:
        raise ValueError(
            f"`layers` must name layers of VGG-19, conv1_1 to relu5_4, got {layer!r}; "
            "for example relu4_2"
        )
    return LAYERS.index(layer)
