"""Color as the demo's painter mixes it: Oklab, where equal steps look equally large."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

# Linear RGB -> cone response -> Oklab (Björn Ottosson 2020, "A perceptual color space").
_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_OPPONENTS = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
_FROM_CONES = np.linalg.inv(_CONES).astype(np.float32)
_FROM_OPPONENTS = np.linalg.inv(_OPPONENTS).astype(np.float32)


def pigment(code: str) -> Array:
    """The Oklab color, (3,), of a hexadecimal sRGB code such as `1d2f6f`."""
    srgb = np.array([int(code[i : i + 2], 16) / 255 for i in (0, 2, 4)])
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    return (_OPPONENTS @ np.cbrt(_CONES @ linear)).astype(np.float32)


def ramp(stops: list[tuple[float, str]], t: Array) -> Array:
    """Colors, (..., 3), read at positions `t` from pigments placed along a line."""
    places = [place for place, _ in stops]
    mixed = np.stack([pigment(code) for _, code in stops])
    return np.stack([np.interp(t, places, mixed[:, i]) for i in range(3)], -1).astype(np.float32)


def glaze(under: Array, over: Array, amount: Array) -> Array:
    """`under` mixed towards `over` by `amount` in [0, 1] per place."""
    return under + (over - under) * np.clip(amount, 0, 1)[..., None]


def linear_light(lab: Array) -> Array:
    """Oklab, (..., 3), as linear RGB; colors no screen can show are not yet clipped."""
    return (lab @ _FROM_OPPONENTS.T) ** 3 @ _FROM_CONES.T


def screen(linear: Array) -> Array:
    """Linear RGB as sRGB in [0, 1]."""
    light = np.clip(linear, 0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
