"""One frozen convolution of the network, forwards and back, by the fastest exact way."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.vgg.winograd import (
    BACKWARD,
    FORWARD,
    OUTPUT_TILE,
    conv3x3,
    transform_kernel,
    workspace_bytes,
)

# Below so many channels the transforms cost more than the multiplications they save. Measured.
_WORTH_IT = 64 * 128


class Convolution:
    """A 3 × 3 convolution whose kernel is prepared once.

    In float32 on the CPU wide layers go by Winograd's filtering, two to three times as fast as the
    library's direct way at one and a half times its rounding error; all else goes directly.

    Args:
        kernel: (C_out, C_in, 3, 3).
        bias: (C_out,).
        device: where to compute.
        dtype: in which number format.

    Example:
        >>> convolution = Convolution(torch.rand(128, 64, 3, 3), torch.rand(128))
        >>> x = torch.rand(1, 64, 9, 7)
        >>> convolution(x).shape, convolution.back(convolution(x)).shape
        (torch.Size([1, 128, 9, 7]), torch.Size([1, 64, 9, 7]))
    """

    def __init__(
        self,
        kernel: Tensor,
        bias: Tensor,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.out, self.into = kernel.shape[:2]
        kernel = kernel.to(device, dtype)
        self.bias = bias.to(device, dtype)
        self.filtered = self.kernel = self.turned = None
        self.piece = 1  # positions a side that are computed together
        cpu = torch.device(device).type == "cpu"
        if cpu and dtype == torch.float32 and self.out * self.into >= _WORTH_IT:
            self.filtered, self.piece = transform_kernel(kernel), OUTPUT_TILE
            return
        last = {"memory_format": torch.channels_last}
        self.kernel = kernel.contiguous(**last)
        # (C_out, C_in, 3, 3) -> (C_in, C_out, 3, 3), rotated by half a turn
        self.turned = kernel.flip(2, 3).transpose(0, 1).contiguous(**last)

    def __call__(self, x: Tensor, border: int = 1) -> Tensor:
        """What it makes of (1, C_in, h, w): (1, C_out, h, w) with one position of zeros around."""
        if self.filtered is not None and border == 1:
            return _Filtered.apply(x, self)
        return F.conv2d(x, self.kernel, self.bias, padding=border)

    def back(self, gradient: Tensor, border: int = 1) -> Tensor:
        """The gradient in what it read, from that in what it made, (1, C_out, h, w)."""
        if self.filtered is not None and border == 1:
            return conv3x3(gradient, self.filtered.transpose(1, 2), None, BACKWARD)
        return F.conv2d(gradient, self.turned, padding=2 - border)

    def workspace(self, positions: float, *, back: bool = False) -> float:
        """Bytes it takes beside what it reads and makes, for so many positions."""
        into, out = (self.out, self.into) if back else (self.into, self.out)
        if self.filtered is not None:
            return workspace_bytes(positions, into, out)
        if self.kernel.device.type != "cpu" or self.kernel.dtype != torch.bfloat16:
            return 0.0
        # What is copied where the processor does not know the format.
        return 0.0 if torch.ops.mkldnn._is_mkldnn_bf16_supported() else 9.0 * into * positions * 2


class _Filtered(torch.autograd.Function):
    """Winograd's way, for those who differentiate the network with autograd."""

    @staticmethod
    def forward(ctx, x: Tensor, convolution: Convolution) -> Tensor:
        ctx.convolution = convolution
        return conv3x3(x, convolution.filtered, convolution.bias, FORWARD)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        return ctx.convolution.back(gradient), None
