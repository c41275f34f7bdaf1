"""What a run says on its way (`Step`) and what it ends in (`Result`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

    from impasto.picture.record import Carried
    from impasto.recipe import ReconstructRecipe, StyleRecipe


class Losses(NamedTuple):
    """The weighted losses of one evaluation; `total` is what the optimizer sees."""

    total: float
    content: float
    style: float


@dataclass(frozen=True)
class Step:
    """One evaluation of the loss and its gradient, as handed to `on_step`.

    Raise `StopIteration` inside `on_step` to end the run early and keep the best picture so far.

    Attributes:
        evaluation: how many evaluations were made, this one included, from 1.
        evaluations: how many are planned in the whole run.
        scale: which size of the pyramid is being painted, from 1.
        scales: how many sizes there are.
        size: (width, height) of that size, in pixels.
        losses: the losses of this evaluation.
        seconds: time since the run began, in seconds.
        left: evaluations that are planned after this one, each counted by the pixels of its size
            beside this one's: as many as will take as long as the rest of the run.
        picture: call it for the present picture, (3, H, W) float32 in [0, 1] on the CPU; costs a
            copy, so call it only when it is wanted.
    """

    evaluation: int
    evaluations: int
    scale: int
    scales: int
    size: tuple[int, int]
    losses: Losses
    seconds: float
    left: float
    picture: Callable[[], Tensor]


OnStep = Callable[[Step], None]


@dataclass(frozen=True, eq=False)
class Result:
    """A finished picture and how it came to be.

    Attributes:
        pixels: the picture, (3, H, W) float32 in [0, 1], sRGB, on the CPU.
        carried: what the content image's file carried besides: alpha, EXIF, dpi, bit depth.
        recipe: every option the run used.
        history: the losses of every evaluation, in order; scales follow each other.
        scale_starts: index into `history` of each scale's first evaluation.
        losses: the losses of the picture returned.
        evaluations: how many times the loss and its gradient were evaluated.
        seconds: wall time of the run.
        device: where it ran, such as `cpu` or `cuda:0`.
        precision: number format of the convolutions, `float32` or `bfloat16`.
        stopped: whether `on_step` ended the run early.
    """

    pixels: Tensor
    carried: Carried
    recipe: StyleRecipe | ReconstructRecipe
    history: tuple[Losses, ...]
    scale_starts: tuple[int, ...]
    losses: Losses
    evaluations: int
    seconds: float
    device: str
    precision: str
    stopped: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.pixels.shape[-1], self.pixels.shape[-2]

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write the picture, with its recipe inside, whole or not at all.

        Args:
            path: where to; the ending chooses the format (.png .jpg .webp .tif .avif).
            overwrite: replace a file that is already there.

        Returns:
            The path written.

        Raises:
            PictureError: the place cannot be written, or holds a file and `overwrite` is False.
            ValueError: the ending names no format that impasto writes.
        """
        from impasto.picture.write import save

        return save(
            self.pixels,
            path,
            carried=self.carried,
            recipe=self.recipe.model_dump_json(),
            overwrite=overwrite,
        )
