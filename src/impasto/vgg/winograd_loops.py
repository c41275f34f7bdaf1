"""Winograd's transforms as compiled loops: one axis after the other, a block of channels at a time.

Tiles are counted along the rows of the image; everything is float32.
"""

from __future__ import annotations

import numpy as np

from impasto.compiled import jit

# The points are 0, ±A, ±B and infinity, as in `winograd`.
A, B = 0.75, 1.5
A2, B2 = np.float32(A**2), np.float32(B**2)
A1, B1, A3, B3 = np.float32(A), np.float32(B), np.float32(A**3), np.float32(B**3)
SUM, PRODUCT = np.float32(A**2 + B**2), np.float32(A**2 * B**2)
SUM_RATIO, INVERSE = np.float32((A**2 + B**2) / (A * B) ** 2), np.float32((A * B) ** -2)
# Over the product of a point's distances from the others.
A_EVEN, A_ODD = np.float32(0.5 / (A**2 * (A**2 - B**2))), np.float32(0.5 / (A * (A**2 - B**2)))
B_EVEN, B_ODD = np.float32(0.5 / (B**2 * (B**2 - A**2))), np.float32(0.5 / (B * (B**2 - A**2)))

BLOCK = 128  # channels whose tile stays in the first-level cache


@jit
def transform_input(x, rotated, tiles, first, begin, end):
    """Transform some tiles of an image that is surrounded by zeros.

    Args:
        x: (H, W, C).
        rotated: read each tile rotated by half a turn.
        tiles: (36, n, C), of which [:, begin:end] is written.
        first: number in the image of the tile that becomes `tiles[:, 0]`.
        begin: first tile to transform.
        end: the one after the last.
    """
    height, width, channels = x.shape
    columns = (width + 3) // 4
    padded = np.zeros((6, 6, channels), x.dtype)
    scratch = np.empty(36 * BLOCK, np.float32)  # (6, 6, BLOCK)
    for t in range(begin, end):
        top, left = 4 * ((first + t) // columns) - 1, 4 * ((first + t) % columns) - 1
        source = x
        if top < 0 or left < 0 or top + 6 > height or left + 6 > width:
            for i in range(6):
                for j in range(6):
                    y, z = top + i, left + j
                    if 0 <= y < height and 0 <= z < width:
                        for c in range(channels):
                            padded[i, j, c] = x[y, z, c]
                    else:
                        for c in range(channels):
                            padded[i, j, c] = 0
            source, top, left = padded, 0, 0
        row, step = (top + 5, -1) if rotated else (top, 1)
        for c0 in range(0, channels, BLOCK):
            n = min(BLOCK, channels - c0)
            c1 = c0 + n
            for j in range(6):
                column = left + (5 - j if rotated else j)
                r0 = source[row, column, c0:c1]
                r1 = source[row + step, column, c0:c1]
                r2 = source[row + 2 * step, column, c0:c1]
                r3 = source[row + 3 * step, column, c0:c1]
                r4 = source[row + 4 * step, column, c0:c1]
                r5 = source[row + 5 * step, column, c0:c1]
                s = scratch[j * BLOCK :]
                for c in range(n):
                    v0, v1, v2, v3, v4, v5 = _evaluate(r0[c], r1[c], r2[c], r3[c], r4[c], r5[c])
                    s[c], s[c + 6 * BLOCK], s[c + 12 * BLOCK] = v0, v1, v2
                    s[c + 18 * BLOCK], s[c + 24 * BLOCK], s[c + 30 * BLOCK] = v3, v4, v5
            for i in range(6):
                s = scratch[6 * i * BLOCK :]
                for c in range(n):
                    v0, v1, v2, v3, v4, v5 = _evaluate(
                        s[c], s[c + BLOCK], s[c + 2 * BLOCK],
                        s[c + 3 * BLOCK], s[c + 4 * BLOCK], s[c + 5 * BLOCK],
                    )  # fmt: skip
                    s[c], s[c + BLOCK], s[c + 2 * BLOCK] = v0, v1, v2
                    s[c + 3 * BLOCK], s[c + 4 * BLOCK], s[c + 5 * BLOCK] = v3, v4, v5
            for k in range(36):
                s = scratch[k * BLOCK : k * BLOCK + n]
                target = tiles[k, t, c0:c1]
                for c in range(n):
                    target[c] = s[c]


@jit
def transform_output(products, bias, rotated, first, begin, end, result):
    """Transform some tiles back into the image and add the bias.

    Args:
        products: (36, n, C), of which [:, begin:end] is read.
        bias: (C,).
        rotated: write each tile rotated by half a turn.
        first: number in the image of the tile that `products[:, 0]` becomes.
        begin: first tile to transform.
        end: the one after the last.
        result: (H, W, C); positions of a tile beyond it are left out.
    """
    height, width, channels = result.shape
    columns = (width + 3) // 4
    scratch = np.empty(24 * BLOCK, np.float32)  # (4, 6, BLOCK)
    for t in range(begin, end):
        top, left = 4 * ((first + t) // columns), 4 * ((first + t) % columns)
        for c0 in range(0, channels, BLOCK):
            n = min(BLOCK, channels - c0)
            c1 = c0 + n
            b = bias[c0:c1]
            for j in range(6):
                r0, r1 = products[j, t, c0:c1], products[6 + j, t, c0:c1]
                r2, r3 = products[12 + j, t, c0:c1], products[18 + j, t, c0:c1]
                r4, r5 = products[24 + j, t, c0:c1], products[30 + j, t, c0:c1]
                s = scratch[j * BLOCK :]
                for c in range(n):
                    v0, v1, v2, v3 = _interpolate(r0[c], r1[c], r2[c], r3[c], r4[c], r5[c])
                    s[c], s[c + 6 * BLOCK] = v0, v1
                    s[c + 12 * BLOCK], s[c + 18 * BLOCK] = v2, v3
            for i in range(4):
                s = scratch[6 * i * BLOCK :]
                for c in range(n):
                    v0, v1, v2, v3 = _interpolate(
                        s[c], s[c + BLOCK], s[c + 2 * BLOCK],
                        s[c + 3 * BLOCK], s[c + 4 * BLOCK], s[c + 5 * BLOCK],
                    )  # fmt: skip
                    s[c], s[c + BLOCK], s[c + 2 * BLOCK], s[c + 3 * BLOCK] = v0, v1, v2, v3
            for i in range(4):
                for j in range(4):
                    y, x = top + (3 - i if rotated else i), left + (3 - j if rotated else j)
                    if y < height and x < width:
                        k = (6 * i + j) * BLOCK
                        s, target = scratch[k : k + n], result[y, x, c0:c1]
                        for c in range(n):
                            target[c] = s[c] + b[c]


@jit
def _evaluate(d0, d1, d2, d3, d4, d5):
    """Apply the transposed inverse of the points' powers to six values."""
    a_even, a_odd = A_EVEN * (d4 - B2 * d2), A_ODD * (d3 - B2 * d1)
    b_even, b_odd = B_EVEN * (d4 - A2 * d2), B_ODD * (d3 - A2 * d1)
    return (
        d0 - SUM_RATIO * d2 + INVERSE * d4,
        a_even + a_odd,
        a_even - a_odd,
        b_even + b_odd,
        b_even - b_odd,
        d5 - SUM * d3 + PRODUCT * d1,
    )


@jit
def _interpolate(p0, p1, p2, p3, p4, p5):
    """Apply the transposed powers of the points to six products."""
    a_even, a_odd, b_even, b_odd = p1 + p2, p1 - p2, p3 + p4, p3 - p4
    return (
        p0 + a_even + b_even,
        A1 * a_odd + B1 * b_odd,
        A2 * a_even + B2 * b_even,
        A3 * a_odd + B3 * b_odd + p5,
    )
