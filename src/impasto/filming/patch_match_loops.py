"""Compiled loops of `patch_match`: strips of rows of a field of places.

A field gives each pixel of a frame its place in the source, x and y in pixels, (H, W, 2).
"""

from __future__ import annotations

import numpy as np

from impasto.compiled import jit

_QUARTER, _HALF, _ONE = np.float32(0.25), np.float32(0.5), np.float32(1)


@jit
def advance_rows(places, steps, spread, target, first, last):
    """Move a field of places along a motion: each pixel takes the place of where it was.

    Places go on beyond the border as they are at it.

    Args:
        places: of the last frame, (H, W, 2).
        steps: where each pixel was, to be added to its own position, (H, W, 2).
        spread: pixels by which the neighbors' places may disagree; beyond it the nearest one's
            is taken.
        target: places of this frame; written.
        first: row.
        last: the row after the last one.
    """
    height, width = places.shape[:2]
    for row in range(first, last):
        for column in range(width):
            x, y = column + steps[row, column, 0], row + steps[row, column, 1]
            inner_x = min(max(x, np.float32(0)), np.float32(width - 1))
            inner_y = min(max(y, np.float32(0)), np.float32(height - 1))
            left, top = int(inner_x), int(inner_y)
            right, low = min(left + 1, width - 1), min(top + 1, height - 1)
            across, down = inner_x - np.float32(left), inner_y - np.float32(top)
            agreed = True
            for axis in range(2):
                # What each neighbor says of this position, moved along with it.
                near = x - np.float32(left) if axis == 0 else y - np.float32(top)
                far = x - np.float32(right) if axis == 0 else y - np.float32(low)
                a, d = places[top, left, axis] + near, places[low, right, axis] + far
                b = places[top, right, axis] + (far if axis == 0 else near)
                c = places[low, left, axis] + (near if axis == 0 else far)
                high, least = max(max(a, b), max(c, d)), min(min(a, b), min(c, d))
                agreed = agreed and high - least <= spread
                above, below = a + (b - a) * across, c + (d - c) * across
                target[row, column, axis] = above + (below - above) * down
            if not agreed:
                near_x = right if across > _HALF else left
                near_y = low if down > _HALF else top
                target[row, column, 0] = places[near_y, near_x, 0] + x - np.float32(near_x)
                target[row, column, 1] = places[near_y, near_x, 1] + y - np.float32(near_y)


@jit
def seed_rows(guide, source, near, tries, radius, reach, spots, seed, places, costs, first, last):
    """Find for each spot the best of some random places in the source.

    Args:
        guide: the frame, (H, W, 3).
        source: the same of the source.
        near: of the spots, where to look around, (N, 2) x and y.
        tries: how many random places.
        radius: of the randomness at first, pixels; it shrinks.
        reach: pixels from a patch's middle to its side.
        spots: (N, 2), x and y.
        seed: of the chance.
        places: (N, 2); written.
        costs: (N) mean squared differences of the patches; written.
        first: spot.
        last: the spot after the last one.
    """
    right, bottom = np.float32(source.shape[1] - 1), np.float32(source.shape[0] - 1)
    for spot in range(first, last):
        column, row = spots[spot, 0], spots[spot, 1]
        best_x = min(max(near[spot, 0], np.float32(0)), right)
        best_y = min(max(near[spot, 1], np.float32(0)), bottom)
        best = _difference(guide, source, row, column, best_x, best_y, reach)
        start_x, start_y = best_x, best_y
        number = (row * guide.shape[1] + column) * 2 + seed * 7919
        for index in range(tries):
            share = _ONE - np.float32(index) / np.float32(tries)
            x = start_x + radius * share * _chance(number + index * 40503)
            y = start_y + radius * share * _chance(number + index * 40503 + 1)
            x, y = min(max(x, np.float32(0)), right), min(max(y, np.float32(0)), bottom)
            cost = _difference(guide, source, row, column, x, y, reach)
            if cost < best:
                best, best_x, best_y = cost, x, y
        places[spot, 0], places[spot, 1], costs[spot] = best_x, best_y, best


@jit
def match_rows(
    guide, source, places, holes, expected, distance, radius, reach,
    guide_weight, place_weight, coherence, seed, target, costs, first, last,
):  # fmt: skip
    """Take for each hole the best of the places that it, its neighbors and chance propose.

    Args:
        guide: the frame, (H, W, 3).
        source: the same of the source.
        places: before this pass, (H, W, 2).
        holes: (H, W) uint8, 1 where a place is wanted.
        expected: the places that the motion gives, (H, W, 2).
        distance: of the neighbors, pixels.
        radius: of the chance, pixels.
        reach: pixels from a patch's middle to its side.
        guide_weight: of the mean squared difference of the patches.
        place_weight: of the squared distance from what is expected, pixels².
        coherence: what a place gains for each of its four neighbors that it continues.
        seed: of the chance.
        target: places after this pass; written at holes.
        costs: (H, W) of the differences of the patches; written at holes.
        first: row.
        last: the row after the last one.
    """
    height, width = places.shape[:2]
    for row in range(first, last):
        for column in range(width):
            if holes[row, column] == 0:
                continue
            best, best_cost = np.float32(3e38), np.float32(0)
            best_x, best_y = places[row, column, 0], places[row, column, 1]
            number = (row * width + column) * 2 + seed * 7919
            for candidate in range(12):
                if candidate == 0:
                    x, y = places[row, column, 0], places[row, column, 1]
                elif candidate == 1:
                    x, y = expected[row, column, 0], expected[row, column, 1]
                elif candidate < 10:
                    index = candidate - 2 if candidate < 6 else candidate - 1
                    down = (index // 3 - 1) * distance
                    across = (index % 3 - 1) * distance
                    at_y, at_x = row + down, column + across
                    if at_y < 0 or at_y >= height or at_x < 0 or at_x >= width:
                        continue
                    x = places[at_y, at_x, 0] - np.float32(across)
                    y = places[at_y, at_x, 1] - np.float32(down)
                else:
                    of = places if candidate == 10 else expected
                    x = of[row, column, 0] + radius * _chance(number + candidate * 40503)
                    y = of[row, column, 1] + radius * _chance(number + candidate * 40503 + 1)
                if not (0 <= x <= source.shape[1] - 1 and 0 <= y <= source.shape[0] - 1):
                    continue
                cost = guide_weight * _difference(guide, source, row, column, x, y, reach)
                off_x, off_y = x - expected[row, column, 0], y - expected[row, column, 1]
                total = cost + place_weight * (off_x * off_x + off_y * off_y)
                if row > 0:
                    total -= coherence * _continues(places, row, column, -1, 0, x, y)
                if row < height - 1:
                    total -= coherence * _continues(places, row, column, 1, 0, x, y)
                if column > 0:
                    total -= coherence * _continues(places, row, column, 0, -1, x, y)
                if column < width - 1:
                    total -= coherence * _continues(places, row, column, 0, 1, x, y)
                if total < best:
                    best, best_cost, best_x, best_y = total, cost, x, y
            target[row, column, 0], target[row, column, 1] = best_x, best_y
            costs[row, column] = best_cost


@jit
def _continues(places, row, column, down, across, x, y):
    """Return 1 if a place continues that of a neighbor, else 0."""
    off_x = places[row + down, column + across, 0] - np.float32(across) - x
    off_y = places[row + down, column + across, 1] - np.float32(down) - y
    return _ONE if off_x * off_x + off_y * off_y < _QUARTER else np.float32(0)


@jit
def _difference(guide, source, row, column, x, y, reach):
    """Return the mean squared difference of the patches around a pixel and around a place."""
    height, width = source.shape[:2]
    at_x, at_y = int(x + _HALF), int(y + _HALF)
    total = np.float32(0)
    for down in range(-reach, reach + 1):
        own_y = min(max(row + down, 0), guide.shape[0] - 1)
        other_y = min(max(at_y + down, 0), height - 1)
        for across in range(-reach, reach + 1):
            own_x = min(max(column + across, 0), guide.shape[1] - 1)
            other_x = min(max(at_x + across, 0), width - 1)
            for channel in range(3):
                off = guide[own_y, own_x, channel] - source[other_y, other_x, channel]
                total += off * off
    side = 2 * reach + 1
    return total / np.float32(3 * side * side)


@jit
def _chance(number):
    """Return a number in [-1, 1) that looks random and is the same for the same argument."""
    bits = (number * 2654435761 + 1013904223) & 0xFFFFFFFF
    bits ^= bits >> 15
    bits = (bits * 2246822519) & 0xFFFFFFFF
    bits ^= bits >> 13
    return np.float32(bits & 0xFFFFFF) / np.float32(0x800000) - _ONE
