"""Compiled loops of `nl_wiener`: the groups of a block of reference patches, one after the other.

Arrays are flat and float32, and end a vector later than their numbers. `row` is the pixels of an
image from one row to the next. A patch has N values; rows of matrices are padded to whole vectors,
and four of them are worked on at a time.
"""

from __future__ import annotations

import numpy as np

from impasto.compiled import jit
from impasto.simd import (
    LANES,
    add,
    at_most,
    bit_count,
    fma,
    load,
    lowest_bit,
    multiply,
    splat,
    store,
    subtract,
    sum_of,
    transpose,
)

_ATTEMPTS = 6  # at a factorization, each with a higher floor
_FLOOR, _LEAST_FLOOR = np.float32(1e-6), np.float32(1e-10)
_ZERO, _ONE = np.float32(0), np.float32(1)
_FAR = np.float32(3e38)


@jit
def ridge_block(
    noisy, variance, guide, row, correlation,
    patch, similar, window, size, planes, downs, acrosses, sums, weights,
):  # fmt: skip
    """Add up the groups of a block, each patch a weighted sum of the others of its group.

    Patches of other planes, which lie below the block in the same arrays, help; they are not added.

    Args:
        noisy: (C, planes · H · row + 16), as is `variance`.
        variance: of the noise.
        guide: (planes · H, row) that patches are compared on.
        row: pixels from one row to the next.
        correlation: of the noise with its neighbors, (C, 2m + 1, 2m + 1); m is 0 for white noise.
        patch: (height, width).
        similar: patches in a group.
        window: (height, width) in positions, around a reference.
        size: (height, width) of a plane's block.
        planes: how many planes are searched; the references are in the first.
        downs: first rows of the reference patches.
        acrosses: their first columns.
        sums: of the first plane's filtered patches, weighted, (C, H · row + 16); added to.
        weights: of the patches at their first pixels; added to.
    """
    n = patch[0] * patch[1]
    width, columns = _pad(n), _pad(similar)
    rows = (similar + 3) // 4 * 4
    right = _pad(similar + 1)  # right-hand sides: the noise, and a column of ones
    step = columns + right
    positions = np.empty(similar, np.int64)
    distances = np.empty(planes * window[0] * _pad(window[1]) + LANES, np.float32)
    y = np.zeros(rows * width + LANES, np.float32)
    estimate = np.zeros(rows * width + LANES, np.float32)
    matrix = np.zeros(rows * step + LANES, np.float32)
    gram = np.zeros(rows * columns + LANES, np.float32)
    noise = np.zeros(rows * columns + LANES, np.float32)
    theta = np.zeros(rows * columns + LANES, np.float32)
    product = np.zeros(rows * columns + LANES, np.float32)
    square = np.empty(16, np.float32)
    powers, sigmas = np.empty(similar, np.float32), np.empty(similar, np.float32)
    downs_of, acrosses_of = np.empty(similar, np.int64), np.empty(similar, np.int64)
    mask = _mask(patch[1])
    reach = correlation.shape[1] // 2
    for down in downs:
        for across in acrosses:
            own = _match(
                guide, row, patch, window, size, 0, planes, down, across, similar, distances,
                positions,
            )  # fmt: skip
            for m in range(similar):
                downs_of[m] = positions[m] // row
                acrosses_of[m] = positions[m] - downs_of[m] * row
                # Planes share no noise.
                downs_of[m] += downs_of[m] // size[0] * correlation.shape[1]
            for channel in range(noisy.shape[0]):
                _gather(variance[channel], row, 1, patch, positions, y, width)
                for m in range(similar):
                    powers[m] = _row_sum(y, m * width, width)
                    sigmas[m] = np.sqrt(powers[m])
                _gather(noisy[channel], row, 1, patch, positions, y, width)
                mean = _ZERO
                for m in range(similar):
                    mean += _row_sum(y, m * width, width)
                mean /= np.float32(similar * n)
                for m in range(similar):
                    for i in range(m * width, m * width + n):
                        y[i] -= mean
                trace = _ZERO
                for a in range(similar):
                    for b in range(a, similar):
                        total = splat(_ZERO)
                        for at in range(0, width, LANES):
                            total = fma(load(y, a * width + at), load(y, b * width + at), total)
                        gram[a * columns + b] = sum_of(total)
                    trace += gram[a * columns + a]
                    for b in range(similar):
                        dy, dx = downs_of[a] - downs_of[b], acrosses_of[a] - acrosses_of[b]
                        value = _ZERO
                        if abs(dy) <= reach and abs(dx) <= reach:
                            value = correlation[channel, dy + reach, dx + reach]
                            value *= sigmas[a] * sigmas[b]
                        noise[a * columns + b] = value
                floor = _FLOOR * trace / np.float32(similar) + _LEAST_FLOOR
                for _ in range(_ATTEMPTS):
                    for a in range(rows):
                        for at in range(0, columns, LANES):
                            store(matrix, a * step + at, load(gram, a * columns + at))
                        for at in range(columns, step, LANES):
                            store(matrix, a * step + at, splat(_ZERO))
                    for a in range(similar):
                        matrix[a * step + a] += floor
                        for b in range(similar):
                            matrix[a * step + columns + b] = noise[a * columns + b]
                        matrix[a * step + columns + similar] = _ONE
                    for a in range(similar, rows):
                        matrix[a * step + a] = _ONE
                    if _eliminate(matrix, rows, step, square):
                        break
                    floor *= np.float32(30)
                _substitute(matrix, rows, columns, step, square)
                ones = _ZERO
                for a in range(similar):
                    ones += matrix[a * step + columns + similar]
                for b in range(similar):
                    share = _ZERO
                    for a in range(similar):
                        share += matrix[a * step + columns + b]
                    share /= ones
                    for a in range(similar):
                        at = a * step + columns
                        theta[a * columns + b] = matrix[at + similar] * share - matrix[at + b]
                    theta[b * columns + b] += _ONE
                _fill(product, rows * columns, _ZERO)
                _fill(estimate, rows * width, mean)
                for a in range(0, similar, 4):
                    for at in range(0, columns, LANES):
                        _tile(
                            product, a * columns + at, columns, noise, a * columns, columns, 1,
                            theta, at, columns, similar, _ONE,
                        )  # fmt: skip
                    for at in range(0, width, LANES):
                        _tile(
                            estimate, a * width + at, width, theta, a, 1, columns,
                            y, at, width, similar, _ONE,
                        )  # fmt: skip
                for m in range(own):
                    left = _ZERO
                    for a in range(similar):
                        left += theta[a * columns + m] * product[a * columns + m]
                    # A patch counts by how little noise is left in it.
                    total = powers[m]
                    left = max(left, _ZERO) + np.float32(1e-4) * total
                    weight = total / max(left, np.float32(1e-20))
                    weights[channel, positions[m]] += weight
                    _scatter(
                        sums[channel],
                        row,
                        1,
                        patch,
                        positions[m],
                        estimate,
                        m * width,
                        mask,
                        weight,
                    )


@jit
def wiener_block(
    noisy, pilot, variance, guide, row, channels, correlation,
    patch, similar, window, size, downs, acrosses, sums, weights,
):  # fmt: skip
    """Add up the groups of a block, filtered by their mean and covariance.

    Args:
        noisy: (H, row, C), as are `pilot`, `variance` and `sums`.
        pilot: an earlier estimate.
        variance: as for `ridge_block`.
        guide: as for `ridge_block`.
        row: as for `ridge_block`.
        channels: C.
        correlation: of the noise between the values of a patch, (N, padded N); empty if white.
        patch: as for `ridge_block`.
        similar: as for `ridge_block`.
        window: as for `ridge_block`.
        size: (height, width) of the block.
        downs: as for `ridge_block`.
        acrosses: as for `ridge_block`.
        sums: of the filtered patches; added to.
        weights: (H, row), how often each position was filtered; added to.
    """
    n = patch[0] * patch[1] * channels
    width, columns = _pad(n), _pad(similar)
    rows, step = (n + 3) // 4 * 4, width + columns
    positions = np.empty(similar, np.int64)
    distances = np.empty(window[0] * _pad(window[1]) + LANES, np.float32)
    x = np.zeros(columns * width + LANES, np.float32)
    y = np.zeros(columns * width + LANES, np.float32)
    noise = np.zeros(columns * width + LANES, np.float32)
    matrix = np.zeros(width * step + LANES, np.float32)
    between = np.zeros(rows * width + LANES, np.float32)
    product = np.zeros(width * columns + LANES, np.float32)
    square = np.empty(16, np.float32)
    mean = np.zeros(width, np.float32)
    power = np.zeros(width, np.float32)
    mask = _mask(patch[1] * channels)
    share = _ONE / np.float32(max(1, similar - 1))
    for down in downs:
        for across in acrosses:
            _match(
                guide, row, patch, window, size, 0, 1, down, across, similar, distances, positions
            )
            _gather(variance, row, channels, patch, positions, x, width)
            _column_means(x, similar, width, power)
            _gather(pilot, row, channels, patch, positions, x, width)
            _column_means(x, similar, width, mean)
            trace = splat(_ZERO)
            for m in range(similar):
                for at in range(0, width, LANES):
                    value = subtract(load(x, m * width + at), load(mean, at))
                    store(x, m * width + at, value)
                    trace = fma(value, value, trace)
            floor = sum_of(trace) * share
            for i in range(n):
                floor += power[i]
            floor = _FLOOR * floor / np.float32(n) + _LEAST_FLOOR
            if correlation.size:
                for i in range(n):
                    for j in range(n):
                        value = correlation[i * width + j] * np.sqrt(power[i] * power[j])
                        between[i * width + j] = value
            _gather(noisy, row, channels, patch, positions, y, width)
            for _ in range(_ATTEMPTS):
                for i in range(rows):
                    first = i // LANES * LANES
                    for at in range(first, width, LANES):
                        store(matrix, i * step + at, load(between, i * width + at))
                for i in range(n):
                    matrix[i * step + i] += floor
                    if not correlation.size:
                        matrix[i * step + i] += power[i]
                for i in range(n, rows):
                    matrix[i * step + i] = _ONE
                for i in range(0, rows, 4):
                    for at in range(i // LANES * LANES, width, LANES):
                        _tile(
                            matrix, i * step + at, step, x, i, 1, width,
                            x, at, width, similar, share,
                        )  # fmt: skip
                for i in range(0, width, LANES):
                    for m in range(0, columns, LANES):
                        transpose(y, m * width + i, width, matrix, i * step + width + m, step)
                for i in range(rows):
                    for at in range(i * step + width, (i + 1) * step, LANES):
                        store(matrix, at, subtract(load(matrix, at), mean[i]))
                if _eliminate(matrix, rows, step, square):
                    break
                floor *= np.float32(30)
            _substitute(matrix, rows, width, step, square)
            # y less the noise in it: equal to the signal's part of it, and rounded far less.
            if correlation.size:
                _fill(product, rows * columns, _ZERO)
                for i in range(0, rows, 4):
                    for at in range(0, columns, LANES):
                        _tile(
                            product, i * columns + at, columns, between, i * width, width, 1,
                            matrix, width + at, step, n, _ONE,
                        )  # fmt: skip
            else:
                for i in range(n):
                    for at in range(0, columns, LANES):
                        value = multiply(load(matrix, i * step + width + at), power[i])
                        store(product, i * columns + at, value)
            for i in range(0, width, LANES):
                for m in range(0, columns, LANES):
                    transpose(product, i * columns + m, columns, noise, m * width + i, width)
            for m in range(similar):
                for at in range(m * width, (m + 1) * width, LANES):
                    store(y, at, subtract(load(y, at), load(noise, at)))
            for m in range(similar):
                weights[positions[m]] += _ONE
                _scatter(sums, row, channels, patch, positions[m], y, m * width, mask, _ONE)


@jit
def fuse_block(
    noisy, pilot, variance, guide, row, channels,
    patch, similar, window, size, planes, reach, doubts, downs, acrosses, sums, weights, counts,
):  # fmt: skip
    """Add up a block's patches, each fused with those like it in other planes.

    Args:
        noisy: as for `wiener_block`, as are the other arguments that it has.
        pilot: an earlier estimate.
        variance: of the noise.
        guide: that patches are compared on.
        row: pixels from one row to the next.
        channels: C.
        patch: (height, width).
        similar: patches that are taken of each other plane.
        window: (height, width) in positions, around a reference.
        size: (height, width) of a plane's block.
        planes: how many there are.
        reach: pixels around patches over which their difference beyond noise is measured.
        doubts: factors of the squared differences between pilots, and of what noisy patches differ
            by beyond their noise and a margin.
        downs: first rows of the reference patches.
        acrosses: their first columns.
        sums: of the fused patches, weighted; added to.
        weights: (H, row), of each patch at its first pixel, which is its own noise's variance over
            the fused one's; added to.
        counts: (H, row), how many patches are at each position; added to.
    """
    n = patch[0] * patch[1] * channels
    width, members = _pad(n), 1 + (planes - 1) * similar
    rows, columns = (members + 3) // 4 * 4, _pad(members)
    step = columns + LANES
    found = np.empty(similar, np.int64)
    positions = np.empty(members, np.int64)
    distances = np.empty(window[0] * _pad(window[1]) + LANES, np.float32)
    x = np.zeros(members * width + LANES, np.float32)
    power = np.zeros(members * width + LANES, np.float32)
    scale = np.zeros(width + LANES, np.float32)
    matrix = np.zeros(rows * step + LANES, np.float32)
    fused = np.zeros(width + LANES, np.float32)
    square = np.empty(16, np.float32)
    mask = _mask(patch[1] * channels)
    share = _ONE / np.float32(n)
    doubt, more_doubt, margin = doubts
    for down in downs:
        for across in acrosses:
            positions[0] = down * row + across
            for plane in range(1, planes):
                _match(
                    guide, row, patch, window, size, plane, 1, down, across, similar, distances,
                    found,
                )  # fmt: skip
                positions[1 + (plane - 1) * similar : 1 + plane * similar] = found
            _gather(variance, row, channels, patch, positions, power, width)
            for i in range(n):
                scale[i] = share / power[i]
            _gather(pilot, row, channels, patch, positions, x, width)
            for m in range(members - 1, -1, -1):
                for at in range(0, width, LANES):
                    value = subtract(load(x, m * width + at), load(x, at))
                    store(x, m * width + at, value)
            _fill(matrix, rows * step, _ZERO)
            for a in range(members):
                for b in range(a, members):
                    total = splat(_ZERO)
                    for at in range(0, width, LANES):
                        value = multiply(load(x, a * width + at), load(scale, at))
                        total = fma(value, load(x, b * width + at), total)
                    matrix[a * step + b] = sum_of(total) * doubt
                total = splat(_ZERO)
                for at in range(0, width, LANES):
                    total = fma(load(power, a * width + at), load(scale, at), total)
                matrix[a * step + a] += sum_of(total)
                matrix[a * step + columns] = _ONE
            for a in range(members, rows):
                matrix[a * step + a] = _ONE
            weight = _ONE
            _gather(noisy, row, channels, patch, positions, x, width)
            for a in range(1, members):
                beyond = _difference_beyond_noise(
                    noisy, variance, row, channels, patch, size, reach, positions[0], positions[a]
                )
                matrix[a * step + a] += more_doubt * max(beyond - margin, _ZERO)
            if _eliminate(matrix, rows, step, square):
                _substitute(matrix, rows, columns, step, square)
                weight = _ZERO
                for a in range(members):
                    weight += matrix[a * step + columns]
                _fill(fused, width, _ZERO)
                for a in range(members):
                    theta = matrix[a * step + columns] / weight
                    for at in range(0, width, LANES):
                        value = fma(theta, load(x, a * width + at), load(fused, at))
                        store(fused, at, value)
            else:
                for at in range(0, width, LANES):
                    store(fused, at, load(x, at))
            weights[positions[0]] += weight
            counts[positions[0]] += _ONE
            _scatter(sums, row, channels, patch, positions[0], fused, 0, mask, weight)


@jit
def _difference_beyond_noise(
    noisy, variance, row, channels, patch, size, reach, position, other
):  # fmt: skip
    """Return how much more two patches and what lies around them differ than by their noise.

    Args:
        noisy: as for `fuse_block`, as are the other arguments that it has.
        variance: of the noise.
        row: pixels from one row to the next.
        channels: C.
        patch: (height, width).
        size: (height, width) of a plane's block.
        reach: pixels around the patches.
        position: of a patch.
        other: of one in another plane.

    Returns:
        The mean squared difference less the noise of both, over that of the first.
    """
    down, across = position // row, position % row
    far, aside = other // row, other % row
    near = far % size[0]
    up = min(reach, down, near)
    below = min(reach, size[0] - patch[0] - max(down, near))
    left = min(reach, across, aside)
    right = min(reach, row - patch[1] - max(across, aside))
    line = (left + patch[1] + right) * channels
    total, own, others = _ZERO, _ZERO, _ZERO
    for dy in range(-up, patch[0] + below):
        first = ((down + dy) * row + across - left) * channels
        second = ((far + dy) * row + aside - left) * channels
        for i in range(line):
            value = noisy[second + i] - noisy[first + i]
            total += value * value
            own += variance[first + i]
            others += variance[second + i]
    return (total - own - others) / own


@jit
def _pad(count):
    """Return the numbers of so many whole vectors that a count has place in them."""
    return (count + LANES - 1) // LANES * LANES


@jit
def _mask(count):
    """Return so many ones, and zeros to the end of the last vector."""
    mask = np.zeros(_pad(count), np.float32)
    mask[:count] = _ONE
    return mask


@jit
def _fill(array, size, value):
    for at in range(0, size, LANES):
        store(array, at, splat(value))


@jit
def _row_sum(array, at, width):
    total = splat(_ZERO)
    for i in range(at, at + width, LANES):
        total = add(total, load(array, i))
    return sum_of(total)


@jit
def _match(
    guide, row, patch, window, size, start, planes, down, across, similar, distances, positions
):
    """Find the patches nearest to the first plane's at (down, across) in a window around it.

    Args:
        guide: as for `ridge_block`.
        row: as for `ridge_block`.
        patch: as for `ridge_block`.
        window: as for `ridge_block`.
        size: as for `ridge_block`.
        start: number of the first plane that is searched.
        planes: how many are.
        down: first row of the reference.
        across: its first column.
        similar: how many patches are found.
        distances: room for those of all positions in the windows.
        positions: what is found is written here, by planes and rows.

    Returns:
        How many of them are in the first plane that is searched.
    """
    tall, wide = size[0] - patch[0] + 1, size[1] - patch[1] + 1  # positions
    top = min(max(down - window[0] // 2, 0), tall - window[0])
    left = min(max(across - window[1] // 2, 0), wide - window[1])
    width, rows = _pad(window[1]), planes * window[0]
    for i in range(rows):
        first = (start + i // window[0]) * size[0] + top + i % window[0]
        for j in range(0, window[1], LANES):
            total = splat(_ZERO)
            for dy in range(patch[0]):
                at = (first + dy) * row + left + j
                reference = (down + dy) * row + across
                for dx in range(patch[1]):
                    value = subtract(load(guide, at + dx), guide[reference + dx])
                    total = fma(value, value, total)
            store(distances, i * width + j, total)
        for j in range(i * width + window[1], (i + 1) * width):
            distances[j] = _FAR
    # Bisect: fewer than a group are within `low`, at least as many within `high`.
    low, high, below = -_ONE, _ZERO, 0
    if start == 0:  # a reference is nearest to itself
        distances[(down - top) * width + across - left] = -_ONE
        below = 1
    count = _count(distances, rows * width, high)
    if count < similar:
        low, below = high, count
        high, count = _ZERO, rows * window[1]
        for i in range(rows):
            for j in range(i * width, i * width + window[1]):
                high = max(high, distances[j])
        while count > similar:
            middle = (low + high) / np.float32(2)
            if not low < middle < high:
                break
            within = _count(distances, rows * width, middle)
            if within < similar:
                low, below = middle, within
            else:
                high, count = middle, within
    positions[:] = down * row + across  # for distances that are no numbers
    equal = similar - below  # of the candidates beyond `low`
    count = own = 0
    for i in range(rows):
        if i == window[0]:
            own = count
        for j in range(0, width, LANES):
            bits = at_most(load(distances, i * width + j), high)
            while bits:
                place = j + lowest_bit(bits)
                bits &= bits - 1
                if distances[i * width + place] > low:
                    if equal == 0:
                        continue
                    equal -= 1
                first = (start + i // window[0]) * size[0] + top + i % window[0]
                positions[count] = first * row + left + place
                count += 1
    if planes == 1:
        return similar
    if count < similar:
        positions[:] = down * row + across
        return similar
    return own


@jit
def _count(distances, size, limit):
    count = 0
    for i in range(0, size, LANES):
        count += bit_count(at_most(load(distances, i), limit))
    return count


@jit
def _gather(image, row, channels, patch, positions, target, width):
    """Copy the patches at positions to rows (k, width), followed by zeros."""
    line = patch[1] * channels
    for m in range(positions.size):
        at = m * width
        for dy in range(patch[0]):
            source = (positions[m] + dy * row) * channels
            for i in range(0, line, LANES):
                store(target, at + i, load(image, source + i))
            at += line
        store(target, at, splat(_ZERO))


@jit
def _scatter(sums, row, channels, patch, position, source, at, mask, weight):
    """Add a patch to an image at a position, times a weight."""
    line = patch[1] * channels
    for dy in range(patch[0]):
        target = (position + dy * row) * channels
        for i in range(0, line, LANES):
            value = multiply(load(source, at + i), load(mask, i))
            store(sums, target + i, fma(value, weight, load(sums, target + i)))
        at += line


@jit
def _column_means(x, count, width, means):
    share = _ONE / np.float32(count)
    for i in range(0, width, LANES):
        total = splat(_ZERO)
        for at in range(i, count * width, width):
            total = add(total, load(x, at))
        store(means, i, multiply(total, share))


@jit
def _tile(c, c_at, c_step, a, a_at, a_row, a_step, b, b_at, b_step, count, factor):
    """Add a factor times a product of matrices to a tile of four rows and a vector's columns."""
    sum_0 = sum_1 = sum_2 = sum_3 = splat(_ZERO)
    for _ in range(count):
        value = load(b, b_at)
        sum_0 = fma(a[a_at], value, sum_0)
        sum_1 = fma(a[a_at + a_row], value, sum_1)
        sum_2 = fma(a[a_at + 2 * a_row], value, sum_2)
        sum_3 = fma(a[a_at + 3 * a_row], value, sum_3)
        a_at += a_step
        b_at += b_step
    store(c, c_at, fma(factor, sum_0, load(c, c_at)))
    store(c, c_at + c_step, fma(factor, sum_1, load(c, c_at + c_step)))
    store(c, c_at + 2 * c_step, fma(factor, sum_2, load(c, c_at + 2 * c_step)))
    store(c, c_at + 3 * c_step, fma(factor, sum_3, load(c, c_at + 3 * c_step)))


@jit
def _eliminate(matrix, rows, step, square):
    """Turn [C | Y] into [U | Z] with C = UᵀU and UᵀZ = Y; return False if C is not positive.

    Args:
        matrix: (rows, step); of C the upper half is read.
        rows: a multiple of four; no more of Y are read.
        step: columns of C and Y.
        square: room for (4, 4).
    """
    for i in range(0, rows, 4):
        for at in range(i // LANES * LANES, step, LANES):
            _tile(
                matrix, i * step + at, step, matrix, i, 1, step, matrix, at, step, i, -_ONE
            )  # fmt: skip
        for r in range(4):
            for q in range(r + 1):
                value = matrix[(i + q) * step + i + r]
                for p in range(q):
                    value -= square[4 * q + p] * square[4 * r + p]
                if q < r:
                    square[4 * r + q] = value * square[4 * q + q]
                elif value > 0:
                    square[4 * r + r] = _ONE / np.sqrt(value)
                else:
                    return False
        for at in range(i // LANES * LANES, step, LANES):
            _solve_four(matrix, i * step + at, step, square)
    return True


@jit
def _substitute(matrix, rows, columns, step, square):
    """Turn [U | Z] into [U | X] with UX = Z; U has so many columns."""
    for i in range(rows - 4, -1, -4):
        for r in range(4):
            at = (i + 3 - r) * step + i + 3
            for q in range(r):
                square[4 * r + q] = matrix[at - q]
            square[4 * r + r] = _ONE / matrix[at - r]
        for at in range(columns, step, LANES):
            _tile(
                matrix, i * step + at, step, matrix, i * step + i + 4, step, 1,
                matrix, (i + 4) * step + at, step, rows - i - 4, -_ONE,
            )  # fmt: skip
            _solve_four(matrix, (i + 3) * step + at, -step, square)


@jit
def _solve_four(matrix, at, step, square):
    """Take from each of four rows what the rows before it share with it, and scale it."""
    row_0 = multiply(load(matrix, at), square[0])
    store(matrix, at, row_0)
    at += step
    row_1 = fma(-square[4], row_0, load(matrix, at))
    row_1 = multiply(row_1, square[5])
    store(matrix, at, row_1)
    at += step
    row_2 = fma(-square[8], row_0, load(matrix, at))
    row_2 = multiply(fma(-square[9], row_1, row_2), square[10])
    store(matrix, at, row_2)
    at += step
    row_3 = fma(-square[12], row_0, load(matrix, at))
    row_3 = fma(-square[13], row_1, row_3)
    store(matrix, at, multiply(fma(-square[14], row_2, row_3), square[15]))
