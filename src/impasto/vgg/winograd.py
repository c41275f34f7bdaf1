"""A frozen 3 × 3 convolution, forwards and backwards, by Winograd's filtering where it is faster.

Winograd's minimal filtering F(4 × 4, 3 × 3) computes sixteen outputs with 36 multiplications
instead of 144, in float32 on the CPU. Tiles of 6 × 6 positions, four apart, are transformed,
multiplied with the transformed kernel as 36 matrix products over the channels, and transformed
back. This goes strip by strip, so that the tiles stay in the processor's cache. Compiled loops
transform one axis after the other (`winograd_loops`); without numba, matrix products transform both
at once. One transformed kernel serves both directions: to rotate the kernel by half a turn, rotate
what it reads and what it writes.

References:
    Lavin, Gray 2015, arXiv:1509.09308; Barabasz, Anderson, Soodhalter, Gregg 2018,
    arXiv:1803.10986, for the error and the choice of points.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from functools import cache, partial
from types import ModuleType

import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.compiled import load_loops, one_thread, run_strips

OUTPUT_TILE = 4  # positions a side that are computed together
_INPUT_TILE = OUTPUT_TILE + 2  # positions a side that they read
_POINT_PAIRS = _INPUT_TILE**2  # a point for each axis
# Where polynomials are evaluated; with ±1 and ±2, as usual, the rounding error is twice as large.
_POINTS = (0.0, 0.75, -0.75, 1.5, -1.5, math.inf)
# Without compiled loops a strip's tiles take at most this, or they leave the cache.
_CACHE_BYTES = 48 * 2**20
# A strip's tiles in compiled loops: so many bytes, but not fewer than pay for reading the kernel.
_STRIP_BYTES, _MIN_STRIP_TILES = 4 * 2**20, 96
# With fewer strips, cores would idle: one large strip then has its points shared out instead.
_MIN_STRIPS, _SHARED_BYTES, _PARTS = 8, 32 * 2**20, 6

# With fewer channels the transforms cost more than the multiplications they save. Measured.
_MIN_CHANNEL_PRODUCT = 64 * 128
_MIN_CHANNEL_PRODUCT_COMPILED = 64 * 64

_thread = threading.local()


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
        on_cpu = torch.device(device).type == "cpu"
        product = self.out_channels * self.in_channels
        if on_cpu and dtype == torch.float32 and product >= _min_channel_product():
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
            return conv3x3(gradient, self.transformed.transpose(1, 2), None, rotated=True)
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


def _min_channel_product() -> int:
    return _MIN_CHANNEL_PRODUCT_COMPILED if _loops() else _MIN_CHANNEL_PRODUCT


class _WinogradFunction(torch.autograd.Function):
    """Winograd's filtering for callers who differentiate the network with autograd."""

    @staticmethod
    def forward(ctx, x: Tensor, convolution: Convolution) -> Tensor:
        ctx.convolution = convolution
        return conv3x3(x, convolution.transformed, convolution.bias)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        return ctx.convolution.backward(gradient), None


def transform_kernel(kernel: Tensor) -> Tensor:
    """Evaluate a kernel at the points: (C_out, C_in, 3, 3) -> (36, C_in, C_out)."""
    matrix = _vandermonde(_POINTS, 3).to(kernel.dtype)
    with one_thread():
        values = torch.einsum("ia,ocab,jb->ijco", matrix, kernel, matrix)
    return values.flatten(0, 1).contiguous()


def conv3x3(x: Tensor, kernel: Tensor, bias: Tensor | None, *, rotated: bool = False) -> Tensor:
    """Convolve with one position of zeros around the input.

    Args:
        x: (1, C_in, H, W) float32; channels last is read fastest.
        kernel: (36, C_in, C_out), transformed.
        bias: (C_out,), or None.
        rotated: convolve with the kernel rotated by half a turn. If its last two axes are also
            exchanged and `x` is the gradient in a convolution's output, the result is that in its
            input.

    Returns:
        (1, C_out, H, W), channels last.

    Example:
        >>> from torch.nn import functional as F
        >>> x, kernel = torch.rand(1, 8, 10, 7), torch.rand(4, 8, 3, 3)
        >>> result = conv3x3(x, transform_kernel(kernel), None)
        >>> torch.allclose(result, F.conv2d(x, kernel, padding=1), atol=1e-4)
        True
    """
    loops = _loops()
    if loops is None:
        return _conv3x3_by_matrices(x, kernel, bias, rotated)
    x = x.detach().contiguous(memory_format=torch.channels_last)
    _, in_channels, height, width = x.shape
    out_channels = kernel.shape[2]
    result = torch.empty(1, out_channels, height, width, memory_format=torch.channels_last)
    # (1, C, H, W) -> (H, W, C), views
    x_values, result_values = (image[0].permute(1, 2, 0).numpy() for image in (x, result))
    bias_values = (torch.zeros(out_channels) if bias is None else bias).numpy()
    count = -(-height // OUTPUT_TILE) * -(-width // OUTPUT_TILE)  # of tiles
    size, shared = _strip_tiles(count, in_channels, out_channels)

    def read(tiles: Tensor, first: int, part: slice) -> None:
        loops.transform_input(x_values, rotated, tiles.numpy(), first, part.start, part.stop)

    def multiply(tiles: Tensor, products: Tensor, points: slice) -> None:
        torch.bmm(tiles[points], kernel[points], out=products[points])

    def write(products: Tensor, first: int, part: slice) -> None:
        loops.transform_output(
            products.numpy(), bias_values, rotated, first, part.start, part.stop, result_values
        )

    def convolve(strip: slice) -> None:
        """Convolve a strip on one thread."""
        n = strip.stop - strip.start
        tiles, products = _strip_buffers(n, in_channels, out_channels)
        read(tiles, strip.start, slice(0, n))
        multiply(tiles, products, slice(None))
        write(products, strip.start, slice(0, n))

    if not shared:
        run_strips(convolve, _cut(count, size))
        return result
    for strip in _cut(count, size):
        n = strip.stop - strip.start
        tiles, products = _strip_buffers(n, in_channels, out_channels)
        parts = _cut(n, -(-n // _PARTS))
        run_strips(partial(read, tiles, strip.start), parts)
        run_strips(partial(multiply, tiles, products), _cut(_POINT_PAIRS, _POINT_PAIRS // _PARTS))
        run_strips(partial(write, products, strip.start), parts)
    return result


def conv3x3_workspace_bytes(positions: float, in_channels: int, out_channels: int) -> float:
    """Return the bytes that `conv3x3` needs besides its input and its output."""
    if _loops() is not None:
        count = math.ceil(positions / OUTPUT_TILE**2)
        limit, shared = _strip_limit(count, in_channels, out_channels)
        buffers = 1 if shared else torch.get_num_threads()
        return buffers * min(count, limit) * _tile_bytes(in_channels, out_channels)
    tile_channels = 2 * in_channels + out_channels
    strip = positions * _POINT_PAIRS / OUTPUT_TILE**2 * 4 * tile_channels
    # Besides the tiles: the padded strip, the outputs, and the outputs in order.
    others = OUTPUT_TILE**2 / _POINT_PAIRS * (in_channels + 2 * out_channels) / tile_channels
    return min(strip, _CACHE_BYTES) * (1 + others)


def _loops() -> ModuleType | None:
    return load_loops("impasto.vgg.winograd_loops")


def _tile_bytes(in_channels: int, out_channels: int) -> int:
    """Return the bytes of a tile and its products."""
    return 4 * _POINT_PAIRS * (in_channels + out_channels)


def _strip_limit(count: int, in_channels: int, out_channels: int) -> tuple[int, bool]:
    """Return the most tiles of a strip, and whether all threads share each strip.

    It does not depend on the number of threads: neither do the results.
    """
    tile_bytes = _tile_bytes(in_channels, out_channels)
    limit = max(_MIN_STRIP_TILES, _STRIP_BYTES // tile_bytes)
    if count >= _MIN_STRIPS * limit:
        return limit, False
    return max(1, _SHARED_BYTES // tile_bytes), True


def _strip_tiles(count: int, in_channels: int, out_channels: int) -> tuple[int, bool]:
    """Return how many tiles make a strip, and whether all threads share each strip."""
    limit, shared = _strip_limit(count, in_channels, out_channels)
    strips = -(-count // limit)
    if not shared:
        strips += strips % 2  # as many for one core of two as for the other
    return -(-count // strips), shared


def _cut(count: int, size: int) -> list[slice]:
    """Cut a range into pieces of a size; the last may be smaller."""
    return [slice(begin, min(begin + size, count)) for begin in range(0, count, size)]


def _strip_buffers(n: int, in_channels: int, out_channels: int) -> tuple[Tensor, Tensor]:
    """Return room for n tiles, (36, n, C_in), and for their products, (36, n, C_out).

    Each thread has one buffer and keeps it, since fresh memory must be cleared by the system.
    """
    middle = _POINT_PAIRS * n * in_channels
    end = middle + _POINT_PAIRS * n * out_channels
    buffer = getattr(_thread, "buffer", None)
    if buffer is None or buffer.numel() < end:
        with torch.inference_mode(False):  # whose tensors could not be written to later
            buffer = _thread.buffer = torch.empty(end)
    tiles, products = buffer[:middle], buffer[middle:end]
    return tiles.view(_POINT_PAIRS, n, -1), products.view(_POINT_PAIRS, n, -1)


def _conv3x3_by_matrices(x: Tensor, kernel: Tensor, bias: Tensor | None, rotated: bool) -> Tensor:
    """Convolve as `conv3x3` without compiled loops, in float32."""
    input_matrix, output_matrix = _matrices(rotated)
    x = x[0].permute(1, 2, 0)  # (1, C, H, W) -> (H, W, C)
    (height, width, in_channels), out_channels = x.shape, kernel.shape[2]
    rows, columns = -(-height // OUTPUT_TILE), -(-width // OUTPUT_TILE)  # of tiles
    row_bytes = 4 * _POINT_PAIRS * columns * (2 * in_channels + out_channels)
    strip_rows = min(rows, max(1, _CACHE_BYTES // row_bytes))
    # The buffers serve all strips.
    padded = x.new_zeros(OUTPUT_TILE * strip_rows + 2, OUTPUT_TILE * columns + 2, in_channels)
    tiles, transformed = (
        x.new_empty(strip_rows * columns, _POINT_PAIRS, in_channels) for _ in range(2)
    )
    product_buffer = x.new_empty(_POINT_PAIRS * strip_rows * columns * out_channels)
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
        torch.bmm(input_matrix.expand(n, -1, -1), tiles[:n], out=transformed[:n])
        products = product_buffer[: _POINT_PAIRS * n * out_channels]
        products = products.view(_POINT_PAIRS, n, out_channels)
        torch.bmm(transformed[:n].transpose(0, 1), kernel, out=products)
        torch.bmm(output_matrix.expand(n, -1, -1), products.transpose(0, 1), out=outputs[:n])
        grid = outputs[:n].view(count, columns, OUTPUT_TILE, OUTPUT_TILE, out_channels)
        # -> (h, w, C); the last tiles reach beyond the result
        strip = grid.transpose(1, 2).reshape(
            OUTPUT_TILE * count, OUTPUT_TILE * columns, out_channels
        )
        target = result_rows[OUTPUT_TILE * row : OUTPUT_TILE * (row + count)]
        strip = strip[: target.shape[0], :width]
        target.copy_(strip) if bias is None else torch.add(strip, bias, out=target)
    return result


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


@cache
def _matrices(rotated: bool) -> tuple[Tensor, Tensor]:
    """Return the matrices of F(4 × 4, 3 × 3), each for both axes at once.

    It is Toom-Cook multiplication of polynomials, transposed.

    Args:
        rotated: of what is read and what is written, by half a turn.

    Returns:
        (36, 36) for the input's tiles, and (16, 36) for the products.
    """
    input_matrix = torch.linalg.inv(_vandermonde(_POINTS, _INPUT_TILE)).T
    output_matrix = _vandermonde(_POINTS, OUTPUT_TILE).T
    if rotated:
        input_matrix, output_matrix = input_matrix.flip(1), output_matrix.flip(0)
    return tuple(torch.kron(m, m).float().contiguous() for m in (input_matrix, output_matrix))
