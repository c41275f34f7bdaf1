"""Apply a fitted model: `Model` and `apply`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.device import select_device
from impasto.files import check_writable, write_atomically
from impasto.images.color import is_gray, to_gray
from impasto.images.image import SourceFile, source_of
from impasto.images.read import ImageSource, open_image
from impasto.images.resize import composite_rgb, resize, thumbnail
from impasto.models.model_file import ModelFacts, ModelParts, encode_model, model_hash, read_model
from impasto.models.network import REACH, STRIDE, PaintingNetwork, crop_noise, noise_planes
from impasto.notebook_html import COMPARED_SIDE
from impasto.provenance import Inputs
from impasto.recipes import ApplyRecipe, StyleRecipe
from impasto.result import Losses, OnStep, Result, Step, Stop, check_finite
from impasto.style.color import recolor, restore_colors
from impasto.style.spec import style_spec
from impasto.style.statistics import Moments
from impasto.style.styles import output_size
from impasto.validation import reject_recipe_and_options, validate, with_recipe_signature

if TYPE_CHECKING:
    from typing import Unpack

    from impasto.options import ApplyOptions

TILE = 1024  # pixels a side that are painted at once; what lies around them is painted again
_WHOLE = 1024  # statistics of images up to this side squared are measured in all of the image
_PART = 384  # pixels a side of each part that is measured of a larger one
# An image is unlike those of the fit beyond this many times their own largest. Measured.
UNLIKE = 1.5


@dataclass(frozen=True, eq=False)
class ApplyResult(Result):
    """A picture that a fitted model painted.

    Attributes:
        unlikeness: how unlike the pictures of the fit the image is, as a multiple of the largest
            unlikeness among those: beyond `UNLIKE` the model was not made for this.
    """

    unlikeness: float = 0.0

    @property
    def unlike_note(self) -> str | None:
        """Return that the model was not made for such a picture, if it was not.

        It is the end of a sentence that begins with the picture's name.
        """
        if self.unlikeness <= UNLIKE:
            return None
        return (
            "is unlike the pictures that the model was fitted to, "
            f"{self.unlikeness:.1f} times as far as the farthest of their own"
        )


@dataclass(frozen=True, eq=False)
class Model:
    """A network fitted to paint in one style; `impasto.fit` makes it, `load` reads its file.

    Attributes:
        parts: what its file holds.
        file: its name and hash.

    Example:
        >>> from impasto import fit
        >>> model = fit(torch.rand(3, 32, 48), torch.rand(3, 32, 32), size=64, steps=1).model
        >>> model(torch.rand(3, 20, 30)).size
        (30, 20)
    """

    parts: ModelParts
    file: SourceFile

    @classmethod
    def load(cls, path: str | Path) -> Model:
        """Read a model's file; nothing in it is executed.

        Args:
            path: a file that `impasto fit` or `Model.save` wrote.

        Raises:
            ModelError: it cannot be read, is no model, is damaged or was written by a later
                impasto.
        """
        return cls(*read_model(path))

    @classmethod
    def of(cls, parts: ModelParts) -> Model:
        """Return the model that some parts make, as its file would hold it."""
        return cls(parts, SourceFile(None, model_hash(encode_model(parts))))

    @property
    def facts(self) -> ModelFacts:
        """Recipe, inputs, maker and figures of the fit."""
        return self.parts.facts

    def network(self, device: torch.device) -> PaintingNetwork:
        """Return the network, on a device."""
        network = PaintingNetwork()
        network.load_state_dict(self.parts.weights)
        return network.to(device, memory_format=torch.channels_last)

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write the model's file, whole or not at all; under 1 MB.

        Args:
            path: where to.
            overwrite: replace a file that is already there.

        Raises:
            ImageError: the place cannot be written, or holds a file and `overwrite` is False.
        """
        target = check_writable(path, overwrite=overwrite)
        return write_atomically(encode_model(self.parts), target, overwrite=overwrite)

    def __call__(
        self,
        content: ImageSource,
        *,
        recipe: ApplyRecipe | None = None,
        **options: Unpack[ApplyOptions],
    ) -> ApplyResult:
        """Paint an image, as `apply` does with the same arguments."""
        return apply(content, self, recipe=recipe, **options)


@with_recipe_signature(ApplyRecipe)
def apply(
    content: ImageSource,
    model: Model | str | Path,
    *,
    recipe: ApplyRecipe | None = None,
    on_step: OnStep | None = None,
    stop: Stop | None = None,
    **options: Unpack[ApplyOptions],
) -> ApplyResult:
    """Paint an image with a fitted model: no loss, no optimization, one pass of a small network.

    Args:
        content: the image, as for `impasto.stylize`; at least 16 pixels a side. Transparency,
            metadata and bit depth are kept as there.
        model: a fitted model, or the path of its file.
        recipe: every option at once; or give the ones to change as `options`.
        on_step: called after each tile with a `Step` without losses; raising `StopIteration` in it
            ends the run, and what is not painted yet stays as the image.
        stop: asked before each tile but the first; True ends the run likewise.
        options: any field of `ApplyRecipe`: `size`, `amount`, `color`, `color_by`, `seed`,
            `device`.

    Returns:
        The painting, without losses, and how unlike the pictures of the fit the image is.

    Raises:
        ValueError: an option or the image is out of range.
        ImageError: the image cannot be read.
        ModelError: the model's file cannot be used.

    Example:
        >>> from impasto import fit
        >>> model = fit(torch.rand(3, 32, 48), torch.rand(3, 32, 32), size=64, steps=1).model
        >>> apply(torch.rand(3, 20, 30), model, size=60).size
        (60, 40)
    """
    reject_recipe_and_options(recipe, options)
    recipe = validate(ApplyRecipe, options) if recipe is None else recipe
    model = model if isinstance(model, Model) else Model.load(model)
    image = open_image(content, name="content")
    size = output_size(image, recipe.size, "content")
    began = time.perf_counter()
    device = select_device(recipe.device)
    pixels = resize(composite_rgb(image), size)
    tiles = TiledPainting(model.network(device), pixels, model.parts.colors, recipe.seed)
    painted, stopped = _paint_tiles(tiles, began, on_step, stop)
    spec = style_spec(StyleRecipe(color=recipe.color, color_by=recipe.color_by))
    painted = restore_colors(painted, pixels, spec)
    if model.facts.gray and is_gray(image):
        painted = to_gray(painted)
    painted = torch.lerp(pixels, painted, recipe.amount) if recipe.amount < 1 else painted
    metadata = image.metadata
    alpha = None if metadata.alpha is None else resize(metadata.alpha, size)
    return ApplyResult(
        pixels=check_finite(painted, "the picture", "fit the model again"),
        metadata=replace(metadata, recipe=None, alpha=alpha),
        recipe=recipe,
        history=(),
        scale_starts=(),
        losses=Losses(),
        evaluations=0,
        seconds=time.perf_counter() - began,
        device=str(device),
        precision="float32",
        stopped=stopped,
        inputs=Inputs(content=source_of(image), model=model.file),
        before=thumbnail(pixels, COMPARED_SIDE),
        unlikeness=_unlikeness(model, tiles, recipe.seed, device),
    )


def _unlikeness(model: Model, tiles: TiledPainting, seed: int, device: torch.device) -> float:
    """Return how unlike the pictures of the fit an image is, at the size that those had."""
    signature, side = tiles.signature, model.facts.recipe.size
    if max(tiles.content.shape) > side:
        small = thumbnail(tiles.content, side)
        network = model.network(device)
        signature = TiledPainting(network, small, model.parts.colors, seed).signature
    distance = signature_distance(signature, *model.parts.signatures)
    return distance / model.facts.figures.unlikeness


def _paint_tiles(
    tiles: TiledPainting, began: float, on_step: OnStep | None, stop: Stop | None
) -> tuple[Tensor, bool]:
    """Return the painting, (3, H, W), and whether it was ended before its last tile."""
    out = tiles.content.clone()
    size = out.shape[2], out.shape[1]
    for number, (rows, columns, painted) in enumerate(tiles, 1):
        out[:, rows, columns] = painted
        left = tiles.count - number
        if on_step is not None:
            seconds = time.perf_counter() - began
            step = Step(number, tiles.count, 1, 1, size, None, seconds, float(left), out.clone)
            try:
                on_step(step)
            except StopIteration:
                return out, bool(left)
        if left and stop is not None and stop():
            return out, True
    return out, False


def signature_distance(signature: Tensor, mean: Tensor, deviation: Tensor) -> float:
    """Return the root mean square of (signature − mean) / deviation, all (N,)."""
    return ((signature - mean) / deviation.clamp_min(1e-6)).square().mean().sqrt().item()


class TiledPainting:
    """An image painted tile by tile: the same but for rounding as if it were painted whole.

    The statistics that normalize it are measured first, once: in the whole image, or, of a large
    one, in nine parts that lie evenly over it.

    Args:
        network: whose normalization is fixed by this.
        content: (3, H, W) in [0, 1].
        colors: the moments of the style images' pixels.
        seed: of the noise.
        tile: pixels a side that are painted at once.

    Attributes:
        signature: the network's, of the image.
    """

    @torch.inference_mode()
    def __init__(
        self,
        network: PaintingNetwork,
        content: Tensor,
        colors: Moments,
        seed: int,
        tile: int = TILE,
    ) -> None:
        self.network = network
        self.content = content
        self.tile = tile
        self.device = network.bias.device
        height, width = content.shape[1:]
        margin = (0, -width % STRIDE, 0, -height % STRIDE)
        self.input = F.pad(recolor(content, colors)[None], margin, mode="replicate")
        self.size = self.input.shape[3], self.input.shape[2]
        self.noise = noise_planes(self.size, seed)
        self._whole: Tensor | None = None  # of an image that is measured and painted at once
        self._measure()
        self.signature = network.signature().cpu()

    def __iter__(self) -> Iterator[tuple[slice, slice, Tensor]]:
        """Yield the place of each tile in the image, and what is painted there, (3, h, w)."""
        height, width = self.content.shape[1:]
        for rows in _pieces(self.size[1], self.tile):
            for columns in _pieces(self.size[0], self.tile):
                painted = self._paint(rows, columns)
                down = slice(rows.start, min(rows.stop, height))
                right = slice(columns.start, min(columns.stop, width))
                own = painted[:, : down.stop - down.start, : right.stop - right.start]
                yield down, right, own

    @property
    def count(self) -> int:
        """How many tiles there are."""
        width, height = self.size
        return -(-width // self.tile) * -(-height // self.tile)

    def _measure(self) -> None:
        """Measure the statistics of the image, and fix them."""
        width, height = self.size
        if width * height <= _WHOLE**2:
            places = [(slice(0, height), slice(0, width))]
        else:
            places = [(y, x) for y in _spread(height) for x in _spread(width)]
        parts = [self._read(rows, columns) for rows, columns in places]
        x = torch.cat([part for part, _ in parts])
        noise = [torch.cat(planes) for planes in zip(*(noise for _, noise in parts), strict=True)]
        painted = self.network(x.contiguous(memory_format=torch.channels_last), noise)
        self.network.fix_statistics()
        if len(places) == self.count == 1:
            self._whole = painted[0].cpu()

    @torch.inference_mode()
    def _paint(self, rows: slice, columns: slice) -> Tensor:
        """Paint a tile and its surroundings, and return the tile's own part, (3, h, w)."""
        if self._whole is not None:
            return self._whole
        high = slice(max(rows.start - REACH, 0), min(rows.stop + REACH, self.size[1]))
        wide = slice(max(columns.start - REACH, 0), min(columns.stop + REACH, self.size[0]))
        painted = self.network(*self._read(high, wide))[0]
        top, left = rows.start - high.start, columns.start - wide.start
        bottom, right = rows.stop - high.start, columns.stop - wide.start
        return painted[:, top:bottom, left:right].cpu()

    def _read(self, rows: slice, columns: slice) -> tuple[Tensor, list[Tensor]]:
        """Return a part of the image, and of the noise, on the network's device."""
        x = self.input[:, :, rows, columns].to(self.device)
        noise = [plane.to(self.device) for plane in crop_noise(self.noise, rows, columns)]
        return x.contiguous(memory_format=torch.channels_last), noise


def assemble(tiles: TiledPainting) -> Tensor:
    """Return a whole painting, (3, H, W)."""
    out = torch.empty_like(tiles.content)
    for rows, columns, painted in tiles:
        out[:, rows, columns] = painted
    return out


def _pieces(length: int, most: int) -> Iterator[slice]:
    for start in range(0, length, most):
        yield slice(start, min(start + most, length))


def _spread(length: int) -> list[slice]:
    """Return where up to three parts of a side lie, evenly, at multiples of the stride."""
    side = min(_PART, length)
    starts = [(length - side) * number // 2 // STRIDE * STRIDE for number in range(3)]
    return [slice(start, start + side) for start in dict.fromkeys(starts)]
