"""Fields of places in a source image: moved along a motion, and matched anew where it fails.

Compiled loops, or array operations where numba is missing; a field is the same for any number of
threads.
"""

from __future__ import annotations

from types import ModuleType

import numpy as np

from impasto.compiled import load_loops, run_strips

_LOOPS = "impasto.filming.patch_match_loops"
_STRIP = 32  # rows that a thread works on at a time
_SPREAD = 1.5  # pixels by which the places of neighbors may disagree
_PIECES = (32, 16, 8)  # pixels a side of the pieces that are tried, large ones first
_ALIKE = 1.5  # a pixel joins a piece where its patch differs by no more, in units of the noise
_TRIES = 24  # random places for each piece
_DISTANCES = (4, 2, 1, 1)  # pixels to the neighbors that each pass asks
_REACH = 2  # patches of 5 x 5 pixels
_SIGMA = 10 / 255  # of what differs between patches that show the same
_FAR = 0.15  # of the longer side: a place that far from what is expected costs 1
_COHERENCE = 0.4  # what continuing a neighbor's place gains
_OFFSETS = tuple((y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if x or y)


def identity_field(height: int, width: int) -> np.ndarray:
    """Return the field in which each pixel is at its own place, (H, W, 2).

    Example:
        >>> identity_field(2, 3)[1, 2].tolist()
        [2.0, 1.0]
    """
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return np.stack([x, y], 2)


def advance_field(places: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Move a field along a motion; where two things meet, pixels go with the nearer one.

    Args:
        places: of the last frame, (H, W, 2) float32, x and y in pixels.
        steps: where each pixel was in the last frame, to be added to its own position.

    Returns:
        The places of this frame.

    Example:
        >>> advance_field(identity_field(8, 8), np.ones((8, 8, 2), np.float32))[2, 3].tolist()
        [4.0, 3.0]
    """
    loops = load_loops(_LOOPS)
    if loops is None:
        return _advance(places, steps)
    target = np.empty_like(places)
    places, steps = np.ascontiguousarray(places), np.ascontiguousarray(steps)

    def work(rows: tuple[int, int]) -> None:
        loops.advance_rows(places, steps, np.float32(_SPREAD), target, *rows)

    run_strips(work, _strips(len(places)))
    return target


def match_holes(
    guide: np.ndarray, source: np.ndarray, places: np.ndarray, holes: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Find places whose surroundings in the source look like those of the holes of a frame.

    Pieces first, large ones and then smaller ones: each takes the best of some random places, and
    keeps the pixels that look alike there. Then passes over all holes, in which each tries the
    places that continue its neighbors', and two at random. What counts is how alike the patches
    are, how far the place is from the one given, and whether it continues those of its neighbors:
    so whole pieces of the source come over, and its strokes stay in one piece.

    Args:
        guide: the frame, (H, W, 3) float32 in [0, 1].
        source: the same of the source, of any size.
        places: (H, W, 2); at holes, where to begin.
        holes: (H, W) bool.
        seed: of the random places.

    Returns:
        The places, and at holes how different the patches are: 1 is as much as noise may make.

    References:
        Barnes, Shechtman, Finkelstein, Goldman 2009, PatchMatch; Jamriška et al. 2019, Stylizing
        video by example; Sýkora et al. 2019, StyleBlit, for the pieces.
    """
    costs = np.zeros(places.shape[:2], np.float32)
    rows_of_holes = np.flatnonzero(holes.any(1))
    if not len(rows_of_holes):
        return places, costs
    loops = load_loops(_LOOPS)
    guide, source = np.ascontiguousarray(guide), np.ascontiguousarray(source)
    expected, marks = np.ascontiguousarray(places), np.ascontiguousarray(holes, np.uint8)
    longest = max(source.shape[:2])
    weights = [np.float32(1 / _SIGMA**2), np.float32(1 / (_FAR * longest) ** 2)]
    weights.append(np.float32(_COHERENCE))
    current = _place_pieces(loops, guide, source, expected, holes, seed)
    for number, distance in enumerate(_DISTANCES):
        radius = np.float32(max(1.0, longest / 4 / 2**number))
        target = current.copy()
        arguments = (guide, source, current, marks, expected, distance, radius, _REACH, *weights)
        if loops is None:
            _match(*arguments, seed + number, target, costs)
        else:

            def work(rows: tuple[int, int], *, given=(*arguments, seed + number, target)) -> None:
                loops.match_rows(*given, costs, *rows)

            strips = _strips(int(rows_of_holes[-1]) + 1, int(rows_of_holes[0]))
            run_strips(work, strips)
        current = target
    return current, costs


def _place_pieces(
    loops: ModuleType | None,
    guide: np.ndarray,
    source: np.ndarray,
    expected: np.ndarray,
    holes: np.ndarray,
    seed: int,
) -> np.ndarray:
    """Return the places of a field with its holes filled by pieces of the source."""
    places = expected.copy()
    rows, columns = np.nonzero(holes)
    limit = np.float32([source.shape[1] - 1, source.shape[0] - 1])
    # What the motion leads to, or goes on with beyond the border, stays where it looks alike.
    own, place = np.stack([columns, rows], 1), expected[rows, columns]
    different = _difference(guide, source, own, place, _REACH) / _SIGMA**2
    inside = ((place >= 0) & (place <= limit)).all(1)
    rest = ~inside | (different >= _ALIKE)
    rows, columns = rows[rest], columns[rest]
    for number, side in enumerate(_PIECES if len(rows) else ()):
        # Each pixel belongs to the nearest of spots that are spread evenly, but not in rows.
        spots, owner = _nearest_spots(rows, columns, side, seed + number)
        spots = np.clip(spots, 0, np.array(guide.shape[1::-1]) - 1)
        near = expected[spots[:, 1], spots[:, 0]]
        radius = np.float32(max(source.shape[:2]) / 3)
        matched = np.empty((len(spots), 2), np.float32)
        costs = np.empty(len(spots), np.float32)
        seeds = (guide, source, near, _TRIES, radius, 2 * _REACH, spots, seed + number)
        (_seed if loops is None else loops.seed_rows)(*seeds, matched, costs, 0, len(spots))
        own = np.stack([columns, rows], 1)
        place = matched[owner] + (own - spots[owner]).astype(np.float32)
        inside = ((place >= 0) & (place <= limit)).all(1)
        place = np.where(inside[:, None], place, matched[owner])
        different = _difference(guide, source, own, place, _REACH) / _SIGMA**2
        joins = inside & (different < _ALIKE)
        joins |= number == len(_PIECES) - 1  # something has to be there
        places[rows[joins], columns[joins]] = place[joins]
        rows, columns = rows[~joins], columns[~joins]
        if not len(rows):
            break
    return places


def _nearest_spots(
    rows: np.ndarray, columns: np.ndarray, side: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return spots, (N, 2) x and y, one for each cell of a grid, and each pixel's nearest one."""
    cells_x, cells_y = columns // side, rows // side
    best = np.full(len(rows), np.inf)
    nearest = np.zeros((len(rows), 2), np.int64)
    for down in (-1, 0, 1):
        for across in (-1, 0, 1):
            x, y = cells_x + across, cells_y + down
            number = (y * 65_537 + x) * 2 + seed * 7919
            spot_x = ((x + 0.5 + 0.4 * _chance(number)) * side).astype(np.int64)
            spot_y = ((y + 0.5 + 0.4 * _chance(number + 1)) * side).astype(np.int64)
            distance = (spot_x - columns) ** 2 + (spot_y - rows) ** 2
            closer = distance < best
            best = np.where(closer, distance, best)
            nearest[closer] = np.stack([spot_x, spot_y], 1)[closer]
    return np.unique(nearest, axis=0, return_inverse=True)


def _strips(stop: int, start: int = 0) -> list[tuple[int, int]]:
    return [(row, min(row + _STRIP, stop)) for row in range(start, stop, _STRIP)]


def _advance(places: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Do what `advance_rows` does."""
    height, width = places.shape[:2]
    moved = identity_field(height, width) + steps
    inner = np.clip(moved, 0, np.float32([width - 1, height - 1]))
    left, top = inner[..., 0].astype(int), inner[..., 1].astype(int)
    right, low = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    corners = [(top, left), (top, right), (low, left), (low, right)]
    said = [places[y, x] + moved - np.stack([x, y], 2) for y, x in corners]
    agreed = (np.max(said, 0) - np.min(said, 0) <= _SPREAD).all(2)
    across, down = inner[..., :1] - left[..., None], inner[..., 1:] - top[..., None]
    a, b, c, d = said
    mean = (a + (b - a) * across) * (1 - down) + (c + (d - c) * across) * down
    nearest = np.where(down > 0.5, np.where(across > 0.5, d, c), np.where(across > 0.5, b, a))
    return np.where(agreed[..., None], mean, nearest).astype(np.float32)


def _seed(
    guide, source, near, tries, radius, reach, spots, seed, places, costs, first, last
) -> None:
    """Do what `seed_rows` does."""
    limit = np.float32([source.shape[1] - 1, source.shape[0] - 1])
    start = np.clip(near, 0, limit)
    number = (spots[:, 1] * guide.shape[1] + spots[:, 0]) * 2 + seed * 7919
    places[:], costs[:] = start, _difference(guide, source, spots, start, reach)
    for index in range(tries):
        share = np.float32(1) - np.float32(index) / np.float32(tries)
        chance = [_chance(number + index * 40503 + axis) for axis in (0, 1)]
        place = np.clip(start + radius * share * np.stack(chance, 1), 0, limit)
        cost = _difference(guide, source, spots, place, reach)
        better = cost < costs
        places[better], costs[better] = place[better], cost[better]


def _match(
    guide, source, places, marks, expected, distance, radius, reach,
    guide_weight, place_weight, coherence, seed, target, costs,
) -> None:  # fmt: skip
    """Do what `match_rows` does, for all holes at once."""
    width = places.shape[1]
    rows, columns = np.nonzero(marks)
    own = np.stack([columns, rows], 1)
    aim = expected[rows, columns]
    number = (rows * width + columns) * 2 + seed * 7919
    candidates = [places[rows, columns], aim]
    for down, across in _OFFSETS:
        candidates.append(_continued(places, own, down * distance, across * distance))
    for index, of in ((10, places[rows, columns]), (11, aim)):
        chance = [_chance(number + index * 40503 + axis) for axis in (0, 1)]
        candidates.append(of + radius * np.stack(chance, 1))
    near = [_continued(places, own, *step) for step in ((-1, 0), (1, 0), (0, -1), (0, 1))]
    best = np.full(len(rows), np.inf, np.float32)
    limit = np.float32([source.shape[1] - 1, source.shape[0] - 1])
    for place in candidates:
        outside = ((place < 0) | (place > limit)).any(1)
        cost = guide_weight * _difference(guide, source, own, place, reach)
        total = cost + place_weight * ((place - aim) ** 2).sum(1)
        for other in near:
            total -= coherence * (((other - place) ** 2).sum(1) < 0.25)
        better = (total < best) & ~outside  # nothing is less than what is not a number
        best = np.where(better, total, best)
        target[rows[better], columns[better]] = place[better]
        costs[rows[better], columns[better]] = cost[better]


def _continued(places: np.ndarray, own: np.ndarray, down: int, across: int) -> np.ndarray:
    """Return the places that continue those of neighbors; not a number outside."""
    x, y = own[:, 0] + across, own[:, 1] + down
    inside = (x >= 0) & (x < places.shape[1]) & (y >= 0) & (y < places.shape[0])
    continued = np.full(own.shape, np.nan, np.float32)
    continued[inside] = places[y[inside], x[inside]] - np.float32([across, down])
    return continued


def _difference(
    guide: np.ndarray, source: np.ndarray, own: np.ndarray, place: np.ndarray, reach: int
) -> np.ndarray:
    """Return the mean squared differences of the patches around pixels and around places."""
    at = np.nan_to_num(place + np.float32(0.5)).astype(int)
    total = np.where(np.isnan(place[:, 0]), np.nan, 0).astype(np.float32)
    for down in range(-reach, reach + 1):
        for across in range(-reach, reach + 1):
            patches = []
            for image, middle in ((guide, own), (source, at)):
                y = np.clip(middle[:, 1] + down, 0, image.shape[0] - 1)
                x = np.clip(middle[:, 0] + across, 0, image.shape[1] - 1)
                patches.append(image[y, x])
            total += ((patches[0] - patches[1]) ** 2).sum(1)
    return total / np.float32(3 * (2 * reach + 1) ** 2)


def _chance(number: np.ndarray) -> np.ndarray:
    """Return numbers in [-1, 1) that look random and are the same for the same argument."""
    bits = (number.astype(np.uint64) * 2654435761 + 1013904223) & 0xFFFFFFFF
    bits ^= bits >> np.uint64(15)
    bits = (bits * 2246822519) & 0xFFFFFFFF
    bits ^= bits >> np.uint64(13)
    return (bits & 0xFFFFFF).astype(np.float32) / np.float32(0x800000) - np.float32(1)
