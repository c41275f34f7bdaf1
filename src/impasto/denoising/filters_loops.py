"""Compiled loops of `filters`, over rows of flat float32 arrays that end a vector late."""

from __future__ import annotations

import numpy as np

from impasto.compiled import jit
from impasto.simd import LANES, fma, load, splat, store


@jit
def filter_rows(image, width, line, first, last, target):
    """Filter the rows from `first` to `last` of an image by a kernel down and across.

    Args:
        image: (H + reach, width); reach is one less than the kernel's length.
        width: of the image; that of the target is less by the reach.
        line: the kernel, the same along both axes.
        first: row of the target.
        last: the row after the last one.
        target: (H, width - reach).
    """
    reach = line.size - 1
    down = np.zeros(width + 2 * LANES, np.float32)
    out = np.zeros(width + 2 * LANES, np.float32)
    for row in range(first, last):
        for at in range(0, width, LANES):
            total = splat(np.float32(0))
            for tap in range(line.size):
                total = fma(line[tap], load(image, (row + tap) * width + at), total)
            store(down, at, total)
        for at in range(0, width - reach, LANES):
            total = splat(np.float32(0))
            for tap in range(line.size):
                total = fma(line[tap], load(down, at + tap), total)
            store(out, at, total)
        target[row * (width - reach) : (row + 1) * (width - reach)] = out[: width - reach]


@jit
def look_up(values, positions, table, starts, target):
    """Look up values in a piecewise linear table, constant beyond its ends.

    Args:
        values: flat.
        positions: of the table's entries, rising.
        table: the entries.
        starts: for each of equal steps in [0, 1] the first position that is at least as large.
        target: the results.
    """
    last = positions.size - 1
    steps = np.float32(starts.size)
    least_below_one = np.float32(1 - 2**-24)
    for at in range(values.size):
        value = values[at]
        index = 0
        if value > 0:
            index = starts[int(min(value, least_below_one) * steps)]
        while index < last and positions[index] < value:
            index += 1
        index = max(index, 1)
        low, high = positions[index - 1], positions[index]
        share = (value - low) / max(high - low, np.float32(1e-9))
        share = min(max(share, np.float32(0)), np.float32(1))
        target[at] = table[index - 1] + share * (table[index] - table[index - 1])
