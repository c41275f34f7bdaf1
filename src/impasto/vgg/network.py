"""VGG-19's convolutions by layer name, only as deep as the deepest layer asked for.

The network is frozen and is run forwards and backwards by hand: the backward pass of a frozen
convolution is another convolution; ReLUs and their backward pass work in place; pooling stores no
indices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import copy

import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.errors import quote
from impasto.recipes import LAYERS, parse_layer
from impasto.vgg.weights import CONVS, VGGWeights
from impasto.vgg.winograd import Convolution

# The convolutions that a pooling precedes.
POOLED = frozenset(name for name in CONVS if name.endswith("_1") and name != "conv1_1")

OnFeatures = Callable[[str, Tensor], None]  # layer, features (C, h, w)
AddGradient = Callable[[str, Tensor, Tensor], None]  # layer, features, gradient to add to, in place


class VGG19Features:
    """VGG-19's convolutions, frozen, with the normalization of images inside.

    Args:
        weights: the network's weights.
        layers: names such as `conv4_2` (before the ReLU) or `relu4_2` (after it).
        pooling: `max` as published, or `average`.
        padding: what conv1_1 reads beyond the border: `zeros` as published, or `replicate`.
        device: where to compute.
        dtype: number format of the convolutions, `torch.float32` or `torch.bfloat16`.

    Raises:
        ValueError: a layer that VGG-19 does not have.

    Example:
        >>> from impasto.vgg.weights import load_weights
        >>> network = VGG19Features(load_weights("oxford"), ["relu1_1", "conv3_1"])
        >>> features = network(torch.rand(3, 32, 48))
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
        self._read(layers)
        self.pooling = pooling
        self.padding = padding
        self.device = torch.device(device)
        self.dtype = dtype
        self.mean = weights.mean.to(device).view(3, 1, 1)
        self.sha256 = weights.sha256
        self.convolutions = {
            name: Convolution(*weights.convs[name], self.device, dtype) for name in self.names
        }

    def __call__(self, pixels: Tensor) -> dict[str, Tensor]:
        """Compute the layers of an image; differentiable in the pixels.

        Args:
            pixels: (3, H, W) float32, RGB in [0, 1].

        Returns:
            Layer name to features (C, H_l, W_l) in the network's number format.
        """
        features: dict[str, Tensor] = {}
        self.forward(self.normalize(pixels), self.names, features.__setitem__)
        return features

    def truncated(self, layers: Iterable[str]) -> VGG19Features:
        """Return the same network only as deep as some layers need it; the weights are shared."""
        network = copy(self)
        network._read(layers)
        return network

    def _read(self, layers: Iterable[str]) -> None:
        """Choose the layers that are read, and the convolutions that they need."""
        self.layers = tuple(sorted(set(layers), key=_depth))
        # A convolution and its ReLU are two layers.
        self.names = CONVS[: _depth(self.layers[-1]) // 2 + 1]

    def normalize(self, pixels: Tensor) -> Tensor:
        """Make the first convolution's input: (3, H, W) -> (1, 3, H, W), channels last."""
        x = (pixels - self.mean).to(self.dtype)[None]
        return x.contiguous(memory_format=torch.channels_last)

    def forward(
        self,
        x: Tensor,
        names: Iterable[str],
        on_features: OnFeatures,
        activations: dict[str, Tensor] | None = None,
    ) -> Tensor:
        """Run consecutive convolutions.

        Args:
            x: (1, C, h, w), the input of the first of them: normalized pixels, or the output of the
                convolution before, pooled where a block begins.
            names: the convolutions to run, in order.
            on_features: called with each layer that was asked for, as soon as it is computed.
            activations: filled with the activations that `backward` needs, one tensor for each
                convolution; None saves nothing.

        Returns:
            The last convolution's output after its ReLU, (1, C, h, w).
        """
        for index, name in enumerate(names):
            if index and name in POOLED:
                x = self.pool(x)  # (1, C, h, w) -> (1, C, h//2, w//2)
            padding = 1
            if name == "conv1_1" and self.padding == "replicate":
                x, padding = F.pad(x, (1, 1, 1, 1), mode="replicate"), 0
            out = self.convolutions[name](x, padding)
            if name in self.layers:
                on_features(name, out[0])
                x = F.relu(out)  # not in place: the caller may have stored the features
            else:
                x = out = F.relu_(out)
            if activations is not None:
                activations[name] = out
            if (relu := _relu_of(name)) in self.layers:
                on_features(relu, x[0])
        return x

    def backward(
        self, activations: dict[str, Tensor], add_gradient: AddGradient, gradient: Tensor | None
    ) -> Tensor:
        """Carry a gradient back through the convolutions whose activations were saved.

        Args:
            activations: as `forward` filled them; emptied on the way.
            add_gradient: called with each layer that was asked for, its features (C, h, w) and the
                gradient there so far (C, h, w), to which it adds the loss's own in place.
            gradient: in the last convolution's output, (1, C, h, w), which is overwritten; None for
                zero.

        Returns:
            The gradient in the first convolution's input, (1, C, h, w).
        """
        names = list(activations)
        for name in reversed(names):
            out = activations.pop(name)
            if gradient is None:
                gradient = torch.zeros_like(out)
            before_relu = name in self.layers
            if (relu := _relu_of(name)) in self.layers:
                add_gradient(relu, (F.relu(out) if before_relu else out)[0], gradient[0])
            torch.ops.aten.threshold_backward.grad_input(gradient, out, 0, grad_input=gradient)
            if before_relu:
                add_gradient(name, out[0], gradient[0])
            gradient = self._convolution_backward(name, gradient)
            if name in POOLED and name != names[0]:
                pool_input = activations[CONVS[CONVS.index(name) - 1]]
                gradient = self.pool_backward(pool_input, gradient)
        return gradient

    def pool(self, x: Tensor) -> Tensor:
        """Halve both sides; an odd last row or column is left out, as published."""
        return F.max_pool2d(x, 2) if self.pooling == "max" else F.avg_pool2d(x, 2)

    def pool_backward(self, x: Tensor, gradient: Tensor) -> Tensor:
        """Return the gradient in `pool`'s input from that in its output.

        Args:
            x: the input of `pool`, before or after its ReLU.
            gradient: in the output.
        """
        if self.pooling == "average":
            return torch.ops.aten.avg_pool2d_backward(
                gradient, x, [2, 2], [2, 2], [0, 0], False, True, None
            )
        # Pooling again costs less than storing eight bytes of index for every feature.
        _, indices = F.max_pool2d(x, 2, return_indices=True)
        return torch.ops.aten.max_pool2d_with_indices_backward(
            gradient, x, [2, 2], [2, 2], [0, 0], [1, 1], False, indices
        )

    def _convolution_backward(self, name: str, gradient: Tensor) -> Tensor:
        """Return the gradient in a convolution's input from that in its output."""
        if name != "conv1_1" or self.padding == "zeros":
            return self.convolutions[name].backward(gradient)
        padded = self.convolutions[name].backward(gradient, 0)  # (1, 3, h + 2, w + 2)
        x = padded[:, :, 1:-1, 1:-1]
        return torch.ops.aten.replication_pad2d_backward(padded, x, [1, 1, 1, 1])


def pool_mask(mask: Tensor | None, layer: str) -> Tensor | None:
    """Average a mask down to a layer's resolution as the pooling does: (H, W) -> (H_l, W_l)."""
    if mask is None:
        return None
    for _ in range(parse_layer(layer).block - 1):
        mask = F.avg_pool2d(mask[None], 2)[0]
    return mask


def _relu_of(convolution: str) -> str:
    """Name the ReLU after a convolution: `conv4_2` -> `relu4_2`."""
    return convolution.replace("conv", "relu")


def _depth(layer: str) -> int:
    """Return how deep a layer lies, counting convolutions and ReLUs alike, from 0."""
    if layer not in LAYERS:
        raise ValueError(
            f"`layers` must name layers of VGG-19, conv1_1 to relu5_4, got {quote(layer)}; "
            "for example relu4_2"
        )
    return LAYERS.index(layer)
