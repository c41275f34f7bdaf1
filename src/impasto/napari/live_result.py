"""A denoised layer whose strength, chroma and detail are changed without filtering again."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Image

from impasto.result import DenoiseResult, blend_strength


class LiveResult:
    """The result of a run, and the array of its layer that another mixture is written into.

    Args:
        result: what the run gave, of measured data.
        array: of the data's shape; what `show` writes into.
        layer: shows the array.
    """

    def __init__(self, result: DenoiseResult, array: np.ndarray, layer: Image) -> None:
        self.result = result
        self.layer = layer
        self._array = array
        self._indices = list(result.source.plane_indices())
        self._texture: Any = None

    @property
    def has_colors(self) -> bool:
        """Whether there are colors whose noise can be treated by itself."""
        return self.result.noisy.shape[-3] == 3

    @property
    def has_texture(self) -> bool:
        """Whether the texture was looked for, which takes a while."""
        return self._texture is not None

    @property
    def planes(self) -> int:
        """How many planes there are."""
        return len(self._indices)

    def find_texture(self) -> None:
        """Look for the texture in what was taken away."""
        self._texture = self._planes(self.result.texture)

    def at(self, shares: dict[str, Any]) -> DenoiseResult:
        """Return the result with other shares, for its recipe."""
        return self.result.at(**shares)

    def mix(self, result: DenoiseResult, number: int) -> None:
        """Write a plane of another mixture into the array.

        Args:
            result: with the shares wanted.
            number: of the plane, from 0.
        """
        pixels = blend_strength(
            self._planes(result.noisy)[number],
            self._planes(result.clean)[number],
            result.recipe,
            self._texture[number] if result.recipe.detail and self.has_texture else None,
            None if result.defects is None else self._planes(result.defects)[number],
        )
        result.source.write_plane(self._array, self._indices[number], pixels)

    def number_of(self, index: tuple[int, ...]) -> int:
        """Return the number of a plane by its index; 0 where there is one plane."""
        return self._indices.index(index) if index in self._indices else 0

    def _planes(self, tensor: Any) -> Any:
        return tensor.reshape(-1, *tensor.shape[-3:])  # (C, H, W) -> (1, C, H, W)
