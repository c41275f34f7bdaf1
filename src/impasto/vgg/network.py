"""The convolutional trunk of VGG-19, by layer name, only as deep as the deepest layer asked for.

The network is frozen and is run forwards and backwards by hand: the backward pass of a frozen
convolution is another convolution; ReLUs and their backward pass work in place; pooling keeps no
indices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.recipes import LAYERS, parse_layer
from impasto.vgg.convolution import Convolution
from impasto.vgg.weights import CONVS, VGGWeights

# The convolutions that a pooling precedes.
POOLED = frozenset(name for name in CONVS if name.endswith("_1") and name != "conv1_1")

Visit = Callable[[str, Tensor], None]  # layer, features (C, h, w)
Inject = Callable[[str, Tensor, Tensor], None]  # layer, features, gradient to add to, in place


class VGG19Features:
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
        >>> from impasto.vgg.weights import load_weights
        >>> trunk = VGG19Features(load_weights("oxford"), ["relu1_1", "conv3_1"])
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
        self.device = torch.device(device)
        self.dtype = dtype
        self.mean = weights.mean.to(device).view(3, 1, 1)
        self.names = CONVS[: _depth(self.layers[-1]) // 2 + 1]
        self.sha256 = weights.sha256
        self.convolutions = {
            name: Convolution(*weights.convs[name], self.device, dtype) for name in self.names
        }

    def __call__(self, pixels: Tensor) -> dict[str, Tensor]:
        """Read the layers of a picture; differentiable in the pixels.

        Args:
            pixels: (3, H, W) float32, RGB in [0, 1].

        Returns:
            Layer name to features (C, H_l, W_l) in the trunk's number format.
        """
        found: dict[str, Tensor] = {}
        self.forward(self.normalized(pixels), self.names, found.__setitem__)
        return found

    def normalized(self, pixels: Tensor) -> Tensor:
        """What the first convolution reads: (3, H, W) -> (1, 3, H, W), channels last."""
        x = (pixels - self.mean).to(self.dtype)[None]
        return x.contiguous(memory_format=torch.channels_last)

    def forward(
        self,
        x: Tensor,
        names: Iterable[str],
        visit: Visit,
        tape: dict[str, Tensor] | None = None,
    ) -> Tensor:
        """Run consecutive convolutions.

        Args:
            x: (1, C, h, w), what the first of them reads: normalized pixels, or the output of the
                convolution before, pooled where a block begins.
            names: the convolutions to run, in order.
            visit: called with each layer that was asked for, as it comes.
            tape: filled with what `backward` needs, one tensor a convolution; None keeps nothing.

        Returns:
            The last convolution's output after its ReLU, (1, C, h, w).
        """
        for place, name in enumerate(names):
            if place and name in POOLED:
                x = self.pool(x)  # (1, C, h, w) -> (1, C, h//2, w//2)
            border = 1
            if name == "conv1_1" and self.padding == "replicate":
                x, border = F.pad(x, (1, 1, 1, 1), mode="replicate"), 0
            out = self.convolutions[name](x, border)
            if name in self.layers:
                visit(name, out[0])
                x = F.relu(out)  # what was visited must stay as it is
            else:
                x = out = F.relu_(out)
            if tape is not None:
                tape[name] = out
            if (rectified := _rectified(name)) in self.layers:
                visit(rectified, x[0])
        return x

    def backward(self, tape: dict[str, Tensor], inject: Inject, gradient: Tensor | None) -> Tensor:
        """Carry a gradient back through the convolutions on a tape, which is used up.

        Args:
            tape: as `forward` filled it.
            inject: called with each layer that was asked for, its features (C, h, w) and the
                gradient there so far (C, h, w), to which it adds the loss's own in place.
            gradient: in the last convolution's output, (1, C, h, w), which is overwritten; None for
                zero.

        Returns:
            The gradient in the first convolution's input, (1, C, h, w).
        """
        names = list(tape)
        for name in reversed(names):
            out = tape.pop(name)
            if gradient is None:
                gradient = torch.zeros_like(out)
            read_before = name in self.layers
            if (rectified := _rectified(name)) in self.layers:
                inject(rectified, (F.relu(out) if read_before else out)[0], gradient[0])
            torch.ops.aten.threshold_backward.grad_input(gradient, out, 0, grad_input=gradient)
            if read_before:
                inject(name, out[0], gradient[0])
            gradient = self._through(name, gradient)
            if name in POOLED and name != names[0]:
                below = tape[CONVS[CONVS.index(name) - 1]]
                gradient = self.unpool(below, gradient)
        return gradient

    def pool(self, x: Tensor) -> Tensor:
        """Halve both sides; an odd last row or column is left out, as published."""
        return F.max_pool2d(x, 2) if self.pooling == "max" else F.avg_pool2d(x, 2)

    def unpool(self, x: Tensor, gradient: Tensor) -> Tensor:
        """The gradient in `pool`'s input `x`, before or after its ReLU, from that in its output."""
        if self.pooling == "average":
            return torch.ops.aten.avg_pool2d_backward(
                gradient, x, [2, 2], [2, 2], [0, 0], False, True, None
            )
        # Pooling again costs less than keeping eight bytes of index for every feature.
        _, indices = F.max_pool2d(x, 2, return_indices=True)
        return torch.ops.aten.max_pool2d_with_indices_backward(
            gradient, x, [2, 2], [2, 2], [0, 0], [1, 1], False, indices
        )

    def _through(self, name: str, gradient: Tensor) -> Tensor:
        """The gradient in a convolution's input from that in its output."""
        if name != "conv1_1" or self.padding == "zeros":
            return self.convolutions[name].back(gradient)
        wide = self.convolutions[name].back(gradient, 0)  # (1, 3, h + 2, w + 2)
        x = wide[:, :, 1:-1, 1:-1]
        return torch.ops.aten.replication_pad2d_backward(wide, x, [1, 1, 1, 1])


def pool_mask(mask: Tensor | None, layer: str) -> Tensor | None:
    """A mask at a layer's resolution: (H, W) -> (H_l, W_l), averaged as the pooling sees it."""
    if mask is None:
        return None
    for _ in range(parse_layer(layer).block - 1):
        mask = F.avg_pool2d(mask[None], 2)[0]
    return mask


def _rectified(name: str) -> str:
    """The ReLU behind a convolution: `conv4_2` -> `relu4_2`."""
    return name.replace("conv", "relu")


def _depth(layer: str) -> int:
    """How deep a layer lies, convolutions and ReLUs counted alike."""
    if layer not in LAYERS:
        raise ValueError(
            f"`layers` must name layers of VGG-19, conv1_1 to relu5_4, got {layer!r}; "
            "for example relu4_2"
        )
    return LAYERS.index(layer)
