"""Which frames of a film are keyframes."""

from __future__ import annotations

from impasto.recipes import FilmRecipe

KEY_EVALUATIONS = 4  # times the evaluations of a painted frame, of a keyframe that continues one
_MOST = 24  # frames from one keyframe to the next
_LEAST = 4
_COVERED = 0.7  # a new one where less of the frame than this is carried from the last


def frames_between_keys(recipe: FilmRecipe) -> int:
    """Return how many frames a keyframe is from the last one at most."""
    return _MOST if recipe.keys_every == "auto" else recipe.keys_every


def is_key(recipe: FilmRecipe, frames: int, covered: float) -> bool:
    """Return whether a frame is to be a keyframe.

    Args:
        recipe: how often at least.
        frames: how far it is from the last one.
        covered: share of it that the motion carries from there, 0 to 1.

    Example:
        >>> [is_key(FilmRecipe(), *case) for case in ((6, 0.9), (6, 0.5), (2, 0.5), (24, 0.9))]
        [False, True, False, True]
    """
    if frames >= frames_between_keys(recipe):
        return True
    return recipe.keys_every == "auto" and frames >= _LEAST and covered < _COVERED
