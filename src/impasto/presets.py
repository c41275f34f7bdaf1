"""The named styles of painting: each preset is a few changed options of `StyleRecipe`."""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any

from impasto.law import checked, nearest
from impasto.recipe import StyleRecipe

# Each preset is only what it changes.
PRESETS: Mapping[str, Mapping[str, Any]] = types.MappingProxyType(
    {
        "default": {},
        # The notebook to the letter (docs/method.md): convolutions counted in order and read
        # before the ReLU, mean squared errors, torch's L-BFGS with the clamp inside.
        "notebook": {
            "init": "content",
            "content_layers": {"conv2_2": 1.0},
            "style_layers": dict.fromkeys(
                ("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1"), 1.0
            ),
            "content_weight": 1.0,
            "style_weight": 1e6,
            "statistic": "gram",
            "normalization": "notebook",
            "padding": "zeros",
            "optimizer": "lbfgs-clamped",
            "history": 100,
            "scales": 1,
            "precision": "float32",
            "warmup": 0.0,
        },
        # Gatys, Ecker, Bethge 2016. Its equations (2) and (6) have no gradient where a feature is
        # negative, so the features it calls conv1_1 … are read after the ReLU.
        "gatys": {
            "content_layers": {"relu4_2": 1.0},
            "style_layers": dict.fromkeys(
                ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"), 0.2
            ),
            "content_weight": 1.0,
            "style_weight": 1e3,
            "statistic": "gram",
            "normalization": "paper",
            "pooling": "average",
            "padding": "zeros",
            "init": "noise",
            "scales": 1,
            "warmup": 0.0,
            "steps": 500,
        },
    }
)


def style_recipe(preset: str = "default", **options: Any) -> StyleRecipe:
    """The recipe of a named preset, with some of its options changed.

    Args:
        preset: a name in `PRESETS`.
        options: any field of `StyleRecipe`; each replaces the preset's own.

    Returns:
        A frozen, valid recipe.

    Raises:
        ValueError: the preset or an option is unknown, or a value is out of its range.

    Example:
        >>> style_recipe("gatys", steps=100).normalization
        'paper'
        >>> style_recipe(strength=2)
        Traceback (most recent call last):
        ValueError: `strength` must be at most 1, got 2; see StyleRecipe for every option
    """
    if preset not in PRESETS:
        raise ValueError(
            f"`preset` must be one of {', '.join(PRESETS)}, got {preset!r}"
            f"{nearest(preset, PRESETS)}"
        )
    return checked(StyleRecipe, {**PRESETS[preset], **options, "preset": preset})
