"""The objective: the sum of the loss terms of one scale, and its gradient in the pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from impasto.memory import release_caches
from impasto.result import Losses
from impasto.style.features import content_targets
from impasto.style.spec import RunSpec
from impasto.style.statistics import accumulation_dtype
from impasto.style.terms import (
    ContentTerm,
    FeatureTerm,
    PixelTerm,
    Region,
    StyleTerm,
    TotalVariationTerm,
)
from impasto.vgg.network import VGG19Features
from impasto.vgg.tiling import Place, TiledNetwork


class Evaluation(NamedTuple):
    """The result of one evaluation.

    Attributes:
        losses: as the recipe defines them, by the names of the terms.
        gradient: (3, H, W), of `value` in the pixels.
        value: what is minimized: the recipe's total, or in a warm-up what leads there.
    """

    losses: Losses
    gradient: Tensor
    value: float


class Objective:
    """A sum of loss terms at one size.

    Called with pixels it gives losses and gradient: one sweep forwards forms the layers' moments,
    the losses of the moments are differentiated as small matrices, one sweep backwards carries the
    gradient to the pixels. Whole or in tiles is the same code and the same result.

    Args:
        tiled: the network at this size, whole or in tiles.
        feature_terms: losses of features.
        pixel_terms: losses of the pixels alone.
        check_stop: called at each of the layers, forwards and backwards; raising ends it.
    """

    def __init__(
        self,
        tiled: TiledNetwork,
        feature_terms: Sequence[FeatureTerm],
        pixel_terms: Sequence[PixelTerm] = (),
        check_stop: Callable[[], None] | None = None,
    ) -> None:
        self.tiled = tiled
        self.feature_terms = feature_terms
        self.pixel_terms = pixel_terms
        self.check_stop = check_stop or (lambda: None)

    @torch.no_grad()
    def __call__(self, pixels: Tensor) -> Evaluation:
        """Return the losses of an image, (3, H, W), and the gradient of what is minimized."""
        if self.tiled.tile is not None:
            # Tiles mean that memory is short, so each evaluation starts with all of it.
            release_caches(pixels.device)
        losses, value, gradient = self.tiled.within_memory(lambda: self._sweep(pixels))
        for term in self.pixel_terms:
            part = term.add_gradient(pixels, gradient)
            losses[term.name] = part.loss
            value += part.minimized
        return Evaluation(
            Losses(total=sum(losses.values()), **losses), gradient.contiguous(), value
        )

    def _sweep(self, pixels: Tensor) -> tuple[dict[str, float], float, Tensor]:
        """Run the network forwards and backwards: losses, what is minimized, gradient (3, H, W)."""
        for term in self.feature_terms:
            term.begin()

        def accumulate(layer: str, features: Tensor, place: Place) -> None:
            self.check_stop()
            for term in self.feature_terms:
                term.accumulate(layer, features, place)

        state = self.tiled.forward(pixels, accumulate, keep=True)
        losses = dict.fromkeys(sorted(term.name for term in self.feature_terms), 0.0)
        value = 0.0
        for term in self.feature_terms:
            losses[term.name], minimized = term.evaluate()
            value += minimized

        def add_gradient(layer: str, features: Tensor, gradient: Tensor, place: Place) -> None:
            nonlocal value
            self.check_stop()
            for term in self.feature_terms:
                loss, minimized = term.add_gradient(layer, features, gradient, place)
                losses[term.name] += loss
                value += minimized

        gradient = self.tiled.backward(state, add_gradient)
        return losses, value, gradient


def build_objective(
    spec: RunSpec,
    network: VGG19Features,
    size: tuple[int, int],
    tile: int | None = None,
    *,
    regions: Sequence[Region] = (),
    content: Tensor | None = None,
    mask: Tensor | None = None,
    keep: Tensor | None = None,
    warmup: bool = False,
    extra_terms: Sequence[PixelTerm] = (),
    style_term: FeatureTerm | None = None,
    check_stop: Callable[[], None] | None = None,
) -> Objective:
    """Build the objective of a run at one size.

    Args:
        spec: layers, weights and losses.
        network: reads at least the spec's layers.
        size: (width, height) of the image.
        tile: side of the tiles, in pixels; None computes the image whole.
        regions: which style statistics are wanted where; a region's mask has `mask` in it.
        content: the content image, (3, H, W); None if no layer has a content loss.
        mask: (H, W), where the content counts; None for everywhere.
        keep: (H, W), what the content loss counts at each position beside `mask`; None for 1.
        extra_terms: losses of the pixels beside the spec's own.
        style_term: of an earlier objective with the same spec, size and regions, whose targets
            need not be prepared again.
        warmup: minimize what leads to the losses faster, instead of them; reported are the losses.
        check_stop: called at each of the layers, forwards and backwards; raising ends it.
    """
    tiled = TiledNetwork(network, size, tile)
    layers = list(spec.content_layers)
    targets = content_targets(tiled, content, layers) if layers else {}
    content_term = ContentTerm(spec.content_loss, spec.content_layers, targets, mask, keep)
    dtype = accumulation_dtype(network.device)
    if style_term is None:
        style_term = StyleTerm(spec.style_loss, spec.style_layers, regions, dtype)
    variation = [TotalVariationTerm(spec.tv_weight)] if spec.tv_weight else []
    pixel_terms = [*variation, *extra_terms]
    if warmup:
        energy = style_term.warm_up()
        for term in (content_term, *pixel_terms):
            term.rescale(energy)
    return Objective(tiled, [style_term, content_term], pixel_terms, check_stop)
