"""A style as the user gives it; apart from `styles`, so that it loads without the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from impasto.errors import quote
from impasto.images.read import ImageSource
from impasto.recipes import MAX_SHARE


@dataclass(frozen=True, eq=False)
class Style:
    """A style image, or a folder of them as one style, and how it is used.

    Attributes:
        picture: the image to learn from, as `stylize` takes it; or a folder or a list, whose
            images then count alike.
        weight: how much it counts beside the other styles, from 0 to 1e6. Only the proportions
            matter: twice the weight counts twice as much.
        region: a mask of where on the content image this style goes: white is all of it, gray a
            part, black nothing. Of any size in the content image's shape. A style without one goes
            where the regions of the others leave room.
        mask: a mask of the part of the style image to learn from, in its shape; None learns from
            all of it.

    Raises:
        ValueError: a weight out of range, or one that is not a number.

    Example:
        >>> import torch
        >>> Style(torch.rand(3, 32, 32), weight=0.7).weight
        0.7
    """

    picture: ImageSource | Sequence[ImageSource]
    weight: float = 1.0
    region: ImageSource | None = None
    mask: ImageSource | None = None

    def __post_init__(self) -> None:
        number = isinstance(self.weight, (int, float)) and not isinstance(self.weight, bool)
        if not (number and 0 <= self.weight <= MAX_SHARE):
            raise ValueError(
                f"`weight` of a style must be a number from 0 to {MAX_SHARE:,.0f}, got "
                f"{quote(self.weight)}; 1 is usual"
            )
