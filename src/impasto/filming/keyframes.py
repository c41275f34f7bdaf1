"""Keyframes of the user's own: painted by hand, or impasto's and edited."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from impasto.images.image import Image
from impasto.images.open_input import identify_input
from impasto.images.read import ImageSource, open_image
from impasto.images.resize import composite_rgb, resize
from impasto.provenance import Input, KeyInput

_TOLERANCE = 0.01  # a keyframe's height may differ by this share, or by a pixel


def open_keys(
    keys: Mapping[int, ImageSource] | None, size: tuple[int, int], part: tuple[int, int]
) -> dict[int, Image]:
    """Open and check the keyframes of a film.

    Args:
        keys: number of a frame in the clip, from 0 -> what it is to look like.
        size: (width, height) of the clip's frames.
        part: first frame of the film in the clip, and the one behind its last.

    Raises:
        ValueError: a frame that is not in the film, or a picture of other proportions.
        ImageError: a file that cannot be read.
    """
    opened = {}
    for number, source in sorted((keys or {}).items()):
        whole = isinstance(number, int) and not isinstance(number, bool)
        if not (whole and part[0] <= number < part[1]):
            raise ValueError(
                f"`key` must be for a frame of the film, {part[0]} to {part[1] - 1}, got "
                f"{number!r}; choose one of these"
            )
        image = open_image(source, name="key")
        expected = image.size[0] * size[1] / size[0]
        if abs(image.size[1] - expected) > max(1, _TOLERANCE * expected):
            raise ValueError(
                f"`key` of frame {number} must have the shape of the clip, {size[0]} × {size[1]} "
                f"or any size in proportion, got {image.size[0]} × {image.size[1]}; crop it"
            )
        opened[number] = image
    return opened


def key_inputs(keys: Mapping[int, Image]) -> tuple[KeyInput, ...]:
    """Return keyframes by the names and hashes of their files."""
    return tuple(
        KeyInput(frame=number, picture=Input.model_validate(identify_input(image)))
        for number, image in keys.items()
    )


def fit_keys(keys: Mapping[int, Image], start: int, size: tuple[int, int]) -> dict[int, Tensor]:
    """Return keyframes by the numbers of their frames in the film, (3, H, W) at its size."""
    return {
        number - start: resize(composite_rgb(image), size).contiguous()
        for number, image in keys.items()
    }
