"""A 3 × 3 convolution with a quarter of the multiplications, in float32 on the CPU.

Winograd's minimal filtering F(4 × 4, 3 × 3): sixteen outputs from 36 multiplications instead of
144. Pieces of 6 × 6 positions, four apart, are transformed by small matrices, multiplied with the
transformed kernel as 36 matrix products over the channels, and transformed back. Strip by strip,
so that the pieces stay in the processor's cache. One transformed kernel serves both ways: turning
a kernel by half a turn exchanges its value at a point for that at the point's reciprocal.

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

OUTPUT_TILE = 4  # positions a side that one piece gives
_IN = OUTPUT_TILE + 2  # and that it reads
# Where polynomials are evaluated; with ±1 and ±2, as usual, the rounding error is twice as large.
_POINTS = (0.0, 0.75, -0.75, 1.5, -1.5, math.inf)
_CACHED = 48 * 2**20  # bytes of a strip's pieces; more leaves the cache


class Transform(NamedTuple):
    """The small matrices of one direction, each for both axes at once."""

    pieces: Tensor  # (36, 36), for what is read
    products: Tensor  # (16, 36), for what was multiplied


def transform_kernel(kernel: Tensor) -> Tensor:
    """A kernel at the points: (C_out, C_in, 3, 3) -> (36, C_in, C_out)."""
    values = _values(_POINTS, 3).to(kernel.dtype)
    at = torch.einsum("ia,ocab,jb->ijco", values, kernel, values)
    return at.flatten(0, 1).contiguous()


def conv3x3(x: Tensor, kernel: Tensor, bias: Tensor | None, transform: Transform) -> Tensor:
    """Convolve, with zeros beyond the border.

    Args:
        x: (1, C_in, H, W) float32; channels last is read fastest.
        kernel: (36, C_in, C_out), transformed.
        bias: (C_out,), or None.
        transform: `FORWARD`; or `BACKWARD` for a kernel whose last two axes are exchanged: the
            gradient in what the convolution read, from that in what it gave.

    Returns:
        (1, C_out, H, W), channels last.

    Example:
        >>> from torch.nn import functional as F
        >>> x, kernel = torch.rand(1, 8, 10, 7), torch.rand(4, 8, 3, 3)
        >>> found = conv3x3(x, transform_kernel(kernel), None, FORWARD)
        >>> torch.allclose(found, F.conv2d(x, kernel, padding=1), atol=1e-4)
        True
    """
    x = x[0].permute(1, 2, 0)  # (H, W, C)
    (height, width, into), out = x.shape, kernel.shape[2]
    rows, columns = -(-height // OUTPUT_TILE), -(-width // OUTPUT_TILE)  # of pieces
    many = min(rows, max(1, _CACHED // (4 * _IN**2 * columns * (2 * into + out))))
    padded = x.new_zeros(OUTPUT_TILE * many + 2, OUTPUT_TILE * columns + 2, into)
    pieces, seen = (x.new_empty(many * columns, _IN**2, into) for _ in range(2))
    products = x.new_empty(_IN**2 * many * columns * out)
    results = x.new_empty(many * columns, OUTPUT_TILE**2, out)
    result = torch.empty(1, out, height, width, memory_format=torch.channels_last)
    found = result[0].permute(1, 2, 0)  # (H, W, C)
    for row in range(0, rows, many):
        count = min(many, rows - row)
        n = count * columns
        _padded(x, OUTPUT_TILE * row - 1, padded[: OUTPUT_TILE * count + 2])
        pieces[:n].view(count, columns, _IN, _IN, into).copy_(_overlapping(padded, count, columns))
        torch.bmm(transform.pieces.expand(n, -1, -1), pieces[:n], out=seen[:n])
        product = products[: _IN**2 * n * out].view(_IN**2, n, out)
        torch.bmm(seen[:n].transpose(0, 1), kernel, out=product)
        torch.bmm(transform.products.expand(n, -1, -1), product.transpose(0, 1), out=results[:n])
        grid = results[:n].view(count, columns, OUTPUT_TILE, OUTPUT_TILE, out).transpose(1, 2)
        strip = grid.reshape(
            OUTPUT_TILE * count, OUTPUT_TILE * columns, out
        )  # (h, w, C), some beyond the end
        here = found[OUTPUT_TILE * row : OUTPUT_TILE * (row + count)]
        strip = strip[: here.shape[0], :width]
        here.copy_(strip) if bias is None else torch.add(strip, bias, out=here)
    return result


def workspace_bytes(positions: float, into: int, out: int) -> float:
    """Bytes that `conv3x3` takes beside what it reads and gives."""
    strip = positions * _IN**2 / OUTPUT_TILE**2 * 4 * (2 * into + out)
    # Beside the pieces: the padded strip, what is transformed back, and that in order.
    return min(strip, _CACHED) * (1 + OUTPUT_TILE**2 / _IN**2 * (into + 2 * out) / (2 * into + out))


def _padded(x: Tensor, first: int, into: Tensor) -> None:
    """Rows of (H, W, C) from `first` on, with a zero column before and zeros beyond the end."""
    begin, end = max(first, 0), min(first + into.shape[0], x.shape[0])
    into[begin - first : end - first, 1 : x.shape[1] + 1] = x[begin:end]
    into[end - first :] = 0


def _overlapping(padded: Tensor, rows: int, columns: int) -> Tensor:
    """Pieces of 6 × 6, four apart: (h, w, C) -> (rows, columns, 6, 6, C), a view."""
    down, right, _ = padded.stride()
    size = (rows, columns, _IN, _IN, padded.shape[2])
    return padded.as_strided(size, (OUTPUT_TILE * down, OUTPUT_TILE * right, down, right, 1))


def _values(points: Sequence[float], count: int) -> Tensor:
    """A polynomial's values from its coefficients, (points, count); at infinity, the highest."""
    rows = [
        [0.0] * (count - 1) + [1.0] if math.isinf(p) else [p**k for k in range(count)]
        for p in points
    ]
    return torch.tensor(rows, dtype=torch.float64)


def _transform(points: Sequence[float], factors: Sequence[float]) -> Transform:
    """The matrices of F(4 × 4, 3 × 3): Toom and Cook's multiplication of polynomials, transposed.

    Args:
        points: six of them.
        factors: what the kernel's values must still be multiplied by.
    """
    pieces = torch.linalg.inv(_values(points, _IN)).T * torch.tensor(factors)[:, None]
    products = _values(points, OUTPUT_TILE).T
    return Transform(*(torch.kron(m, m).float().contiguous() for m in (pieces, products)))


# k'(z) = z² k(1/z): the turned kernel's value at 1/z is k's at z, over z².
FORWARD = _transform(_POINTS, [1.0] * _IN)
BACKWARD = _transform(
    [1 / p if p else math.inf for p in _POINTS],
    [1 / p**2 if p and math.isfinite(p) else 1.0 for p in _POINTS],
)
