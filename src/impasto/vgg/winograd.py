"""A frozen 3 × 3 convolution, forwards and backwards, by Winograd's filtering where it is faster.

Winograd's minimal filtering F(4 × 4, 3 × 3) computes sixteen outputs with 36 multiplications
instead of 144, in float32 on the CPU. Tiles of 6 × 6 positions, four apart, are transformed by
small matrices, multiplied with the transformed kernel as 36 matrix products over the channels, and
transformed back. This goes strip by strip, so that the tiles stay in the processor's cache. One
transformed kernel serves both directions: rotating a kernel by half a turn exchanges its value at a
point for that at the point's reciprocal.

References:
    Lavin, Gray 2015, arXiv:1509.09308; Barabasz, Anderson, Soodhalter, Gregg 2018,
    arXiv:1803.10986, for the error and the choice of points.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

OUTPUT_TILE = 4  # positions a side that are computed together
_INPUT_TILE = OUTPUT_TILE + 2  # positions a side that they read
# Where polynomials are evaluated; with ±1 and ±2, as usual, the rounding error is twice as large.
_POINTS = (0.0, 0.75, -0.75, 1.5, -1.5, math.inf)
_CACHE_BYTES = 48 * 2**20  # a strip's tiles take at most this, or they leave the cache

# With fewer channels the transforms cost more than the multiplications they save. Measured.
_MIN_CHANNEL_PRODUCT = 64 * 128


class Convolution:
    """A 3 × 3 convolution whose kernel is prepared once.

    In float32 on the CPU wide layers are computed by Winograd's filtering, two to three times as
    fast as torch's direct convolution at one and a half times its rounding error; everything else
    is computed directly.

    Args:
        kernel: (C_out, C_in, 3, 3).
        bias: (C_out,).
        device: where to compute.
        dtype: number format to compute in.

    Attributes:
        output_tile: positions a side that are computed together: `OUTPUT_TILE` or 1.

    Example:
        >>> convolution = Convolution(torch.rand(128, 64, 3, 3), torch.rand(128))
        >>> x = torch.rand(1, 64, 9, 7)
        >>> convolution(x).shape, convolution.backward(convolution(x)).shape
        (torch.Size([1, 128, 9, 7]), torch.Size([1, 64, 9, 7]))
    """

    def __init__(
        self,
        kernel: Tensor,
        bias: Tensor,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.out_channels, self.in_channels = kernel.shape[:2]
        kernel = kernel.to(device, dtype)
        self.bias = bias.to(device, dtype)
        self.transformed = self.kernel = self.rotated = None
        self.output_tile = 1
        cpu = torch.device(device).type == "cpu"
        wide = self.out_channels * self.in_channels >= _MIN_CHANNEL_PRODUCT
        if cpu and dtype == torch.float32 and wide:
            self.transformed, self.output_tile = transform_kernel(kernel), OUTPUT_TILE
            return
        self.kernel = kernel.contiguous(memory_format=torch.channels_last)
        # (C_out, C_in, 3, 3) -> (C_in, C_out, 3, 3), rotated by half a turn
        rotated = kernel.flip(2, 3).transpose(0, 1)
        self.rotated = rotated.contiguous(memory_format=torch.channels_last)

    def __call__(self, x: Tensor, padding: int = 1) -> Tensor:
        """Convolve (1, C_in, h, w) with zero padding; return (1, C_out, h, w) for a padding of 1.

        The result is differentiable in `x`.
        """
        if self.transformed is not None and padding == 1:
            return _WinogradFunction.apply(x, self)
        return F.conv2d(x, self.kernel, self.bias, padding=padding)

    def backward(self, gradient: Tensor, padding: int = 1) -> Tensor:
        """Return the gradient in the input from `gradient`, that in the output (1, C_out, h, w)."""
        if self.transformed is not None and padding == 1:
            return conv3x3(gradient, self.transformed.transpose(1, 2), None, BACKWARD)
        return F.conv2d(gradient, self.rotated, padding=2 - padding)

    def workspace_bytes(self, positions: float, *, backward: bool = False) -> float:
        """Return the bytes needed for some positions besides the input and the output."""
        channels = self.in_channels, self.out_channels
        in_channels, out_channels = channels[::-1] if backward else channels
        if self.transformed is not None:
            return conv3x3_workspace_bytes(positions, in_channels, out_channels)
        if self.kernel.device.type != "cpu" or self.kernel.dtype != torch.bfloat16:
            return 0.0
        # A processor without bfloat16 makes torch copy each position's nine neighbors.
        if torch.ops.mkldnn._is_mkldnn_bf16_supported():
            return 0.0
        return 9.0 * in_channels * positions * 2


class _WinogradFunction(torch.autograd.Function):
    """Winograd's filtering for callers who differentiate the network with autograd."""

    @staticmethod
    def forward(ctx, x: Tensor, convolution: Convolution) -> Tensor:
        ctx.convolution = convolution
        return conv3x3(x, convolution.transformed, convolution.bias, FORWARD)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        return ctx.convolution.backward(gradient), None


class Transform(NamedTuple):
    """The small matrices of one direction, each for both axes at once."""

    input: Tensor  # (36, 36), applied to the input's tiles
    output: Tensor  # (16, 36), applied to the products


def transform_kernel(kernel: Tensor) -> Tensor:
    """Evaluate a kernel at the points: (C_out, C_in, 3, 3) -> (36, C_in, C_out)."""
    matrix = _vandermonde(_POINTS, 3).to(kernel.dtype)
    values = torch.einsum("ia,ocab,jb->ijco", matrix, kernel, matrix)
    return values.flatten(0, 1).contiguous()


def conv3x3(x: Tensor, kernel: Tensor, bias: Tensor | None, transform: Transform) -> Tensor:
    """Convolve with one position of zeros around the input.

    Args:
        x: (1, C_in, H, W) float32; channels last is read fastest.
        kernel: (36, C_in, C_out), transformed.
        bias: (C_out,), or None.
        transform: `FORWARD`; or, for a kernel whose last two axes are exchanged, `BACKWARD`: then
            `x` is the gradient in a convolution's output and the result that in its input.

    Returns:
        (1, C_out, H, W), channels last.

    Example:
        >>> from torch.nn import functional as F
        >>> x, kernel = torch.rand(1, 8, 10, 7), torch.rand(4, 8, 3, 3)
        >>> result = conv3x3(x, transform_kernel(kernel), None, FORWARD)
        >>> torch.allclose(result, F.conv2d(x, kernel, padding=1), atol=1e-4)
        True
    """
    x = x[0].permute(1, 2, 0)  # (1, C, H, W) -> (H, W, C)
    (height, width, in_channels), out_channels = x.shape, kernel.shape[2]
    rows, columns = -(-height // OUTPUT_TILE), -(-width // OUTPUT_TILE)  # of tiles
    row_bytes = 4 * _INPUT_TILE**2 * columns * (2 * in_channels + out_channels)
    strip_rows = min(rows, max(1, _CACHE_BYTES // row_bytes))
    # The buffers serve all strips.
    padded = x.new_zeros(OUTPUT_TILE * strip_rows + 2, OUTPUT_TILE * columns + 2, in_channels)
    tiles, transformed = (
        x.new_empty(strip_rows * columns, _INPUT_TILE**2, in_channels) for _ in range(2)
    )
    product_buffer = x.new_empty(_INPUT_TILE**2 * strip_rows * columns * out_channels)
    outputs = x.new_empty(strip_rows * columns, OUTPUT_TILE**2, out_channels)
    result = torch.empty(1, out_channels, height, width, memory_format=torch.channels_last)
    result_rows = result[0].permute(1, 2, 0)  # (1, C, H, W) -> (H, W, C), a view
    for row in range(0, rows, strip_rows):
        count = min(strip_rows, rows - row)
        n = count * columns  # tiles of this strip
        _copy_padded_rows(x, OUTPUT_TILE * row - 1, padded[: OUTPUT_TILE * count + 2])
        tiles[:n].view(count, columns, _INPUT_TILE, _INPUT_TILE, in_channels).copy_(
            _overlapping_tiles(padded, count, columns)
        )
        torch.bmm(transform.input.expand(n, -1, -1), tiles[:n], out=transformed[:n])
        products = product_buffer[: _INPUT_TILE**2 * n * out_channels]
        products = products.view(_INPUT_TILE**2, n, out_channels)
        torch.bmm(transformed[:n].transpose(0, 1), kernel, out=products)
        torch.bmm(transform.output.expand(n, -1, -1), products.transpose(0, 1), out=outputs[:n])
        grid = outputs[:n].view(count, columns, OUTPUT_TILE, OUTPUT_TILE, out_channels)
        # -> (h, w, C); the last tiles reach beyond the result
        strip = grid.transpose(1, 2).reshape(
            OUTPUT_TILE * count, OUTPUT_TILE * columns, out_channels
        )
        target = result_rows[OUTPUT_TILE * row : OUTPUT_TILE * (row + count)]
        strip = strip[: target.shape[0], :width]
        target.copy_(strip) if bias is None else torch.add(strip, bias, out=target)
    return result


def conv3x3_workspace_bytes(positions: float, in_channels: int, out_channels: int) -> float:
    """Return the bytes that `conv3x3` needs besides its input and its output."""
    tile_channels = 2 * in_channels + out_channels
    strip = positions * _INPUT_TILE**2 / OUTPUT_TILE**2 * 4 * tile_channels
    # Besides the tiles: the padded strip, the outputs, and the outputs in order.
    others = OUTPUT_TILE**2 / _INPUT_TILE**2 * (in_channels + 2 * out_channels) / tile_channels
    return min(strip, _CACHE_BYTES) * (1 + others)


def _copy_padded_rows(x: Tensor, first: int, padded: Tensor) -> None:
    """Copy rows of (H, W, C) from `first` on, with a zero column before and zeros after the end."""
    begin, end = max(first, 0), min(first + padded.shape[0], x.shape[0])
    padded[begin - first : end - first, 1 : x.shape[1] + 1] = x[begin:end]
    padded[end - first :] = 0


def _overlapping_tiles(padded: Tensor, rows: int, columns: int) -> Tensor:
    """Return tiles of 6 × 6, four apart: (h, w, C) -> (rows, columns, 6, 6, C), a view."""
    down, right, _ = padded.stride()
    size = (rows, columns, _INPUT_TILE, _INPUT_TILE, padded.shape[2])
    return padded.as_strided(size, (OUTPUT_TILE * down, OUTPUT_TILE * right, down, right, 1))


def _vandermonde(points: Sequence[float], count: int) -> Tensor:
    """Return each point's powers, (points, count); at infinity only the highest counts."""
    rows = [
        [0.0] * (count - 1) + [1.0] if math.isinf(p) else [p**k for k in range(count)]
        for p in points
    ]
    return torch.tensor(rows, dtype=torch.float64)


def _make_transform(points: Sequence[float], factors: Sequence[float]) -> Transform:
    """Return the matrices of F(4 × 4, 3 × 3): Toom-Cook multiplication of polynomials, transposed.

    Args:
        points: six of them.
        factors: by which the kernel's value at each point must still be multiplied.
    """
    input_matrix = torch.linalg.inv(_vandermonde(points, _INPUT_TILE)).T
    input_matrix = input_matrix * torch.tensor(factors)[:, None]
    output_matrix = _vandermonde(points, OUTPUT_TILE).T
    matrices = (torch.kron(m, m).float().contiguous() for m in (input_matrix, output_matrix))
    return Transform(*matrices)


# k'(z) = z² k(1/z): the rotated kernel's value at 1/z is k's at z, over z².
FORWARD = _make_transform(_POINTS, [1.0] * _INPUT_TILE)
BACKWARD = _make_transform(
    [1 / p if p else math.inf for p in _POINTS],
    [1 / p**2 if p and math.isfinite(p) else 1.0 for p in _POINTS],
)
