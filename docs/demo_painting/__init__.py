"""The demo's style picture: an oil painting that exists nowhere but in this code."""

from __future__ import annotations

import math
from numbers import Integral

import numpy as np
import torch
from torch import Tensor

from demo_painting.brush import BRUSHES, bristles, plan
from demo_painting.canvas import lay, lit, primed
from demo_painting.landscape import compose
from demo_painting.pigment import screen

SIDES = (16, 4096)  # pixels a side may have
FINE = 420  # pixels in one unit of the canvas, at least, before it is scaled down


def paint(size: tuple[int, int] = (640, 512), seed: int = 7) -> Tensor:
    """Paint a landscape in oil: sun or moon over a lake, in thousands of curved brush strokes.

    Painted as one paints: on a toned ground, with brushes from broad to fine, each stroke
    following the flow of what it describes and broken in color, wet over wet; at the end light
    rakes over the relief. Strokes are a fixed part of the picture, so a smaller size shows the
    same painting smaller. The time grows with the pixels.

    Args:
        size: (width, height) in pixels, each from 16 to 4096.
        seed: which painting, 0 or more; another seed is another landscape at another hour.

    Returns:
        The painting, (3, H, W) float32 in [0, 1], sRGB, on the CPU; the same for the same
        arguments on the same machine.

    Raises:
        TypeError: a side or the seed is no whole number.
        ValueError: a side or the seed is out of range.

    Example:
        >>> paint((48, 32), seed=1).shape
        torch.Size([3, 32, 48])

    References:
        Hertzmann 1998, "Painterly rendering with curved brush strokes of multiple sizes".
        Litwinowicz 1997, "Processing images and video for an impressionist effect".
    """
    width, height = (_whole(f"size[{i}]", side, *SIDES) for i, side in enumerate(_pair(size)))
    seed = _whole("seed", seed, 0, 2**32 - 1)
    scene = compose(width / height, seed)
    rng = np.random.default_rng([seed, 1])
    # At least twice as fine as asked for: strokes have hard edges until they are averaged.
    finer = min(16, max(2, math.ceil(FINE / math.sqrt(width * height))))
    canvas = primed(width * finer, height * finer)
    for brush in BRUSHES:
        patterns = bristles(brush, rng)
        lay(canvas, brush, plan(scene, brush, rng), patterns)
    light = lit(canvas).reshape(height, finer, width, finer, 3).mean((1, 3))  # (H, W, 3)
    return torch.from_numpy(screen(light).astype(np.float32)).permute(2, 0, 1).contiguous()


def _pair(size: object) -> tuple[object, object]:
    """`size` as two things."""
    if not isinstance(size, tuple | list) or len(size) != 2:
        raise TypeError(f"`size` must be (width, height), got {size!r}; for example (640, 512)")
    return size[0], size[1]


def _whole(name: str, value: object, low: int, high: int) -> int:
    """`value` as a whole number from `low` to `high`."""
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise TypeError(f"`{name}` must be a whole number, got {value!r}; for example {low + 1}")
    if not low <= value <= high:
        raise ValueError(
            f"`{name}` must be from {low} to {high}, got {value}; choose one in that range"
        )
    return int(value)
