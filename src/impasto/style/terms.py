"""Loss terms: what the objective adds up.

A feature term reads the network's layers. In one evaluation the objective calls `begin`; then, tile
by tile on the way forwards, `accumulate`; then `evaluate`; then, tile by tile on the way back,
`add_gradient`. A term that is a function of sums over positions (moments) does its work in the
first two, one that compares features position by position in the last. A pixel term sees only the
pixels. Each has a name, by which its loss is reported.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from impasto.compiled import run_strips
from impasto.recipes import LAYERS
from impasto.style import losses
from impasto.style.statistics import Moments, backward_moments, moments
from impasto.vgg.network import pool_mask
from impasto.vgg.tiling import Place

# In a warm-up a layer counts at least this share of the weightiest deeper one: what a deep layer
# wants can only be had through the shallow ones. Measured (docs/log.md).
_SHALLOW = 0.3

MomentLoss = Callable[[Moments], Tensor]
_MOMENT_LOSSES = {
    "gram": (losses.gram_relative,),
    "gram+mean+std": (losses.gram_relative, losses.mean_std_relative),
    "gram-paper": (losses.gram_paper,),
    "gram-notebook": (losses.gram_notebook,),
}
_CONTENT_FACTORS = {
    "relative": losses.content_relative,
    "paper": losses.content_half_sum,
    "mse": losses.content_mse,
}


class Contribution(NamedTuple):
    """A part of a loss: as the recipe defines it, and as it is minimized, apart in a warm-up."""

    loss: float
    minimized: float


class FeatureTerm(Protocol):
    """A loss of features, which adds its gradient to that of the network."""

    name: str

    def begin(self) -> None:
        """Forget the last evaluation."""

    def accumulate(self, layer: str, features: Tensor, place: Place) -> None:
        """Take in a tile's own features (C, h, w) of a layer, and where they lie in it."""

    def evaluate(self) -> Contribution:
        """Return what the loss is after the sweep forwards, 0 if it comes with the gradient."""

    def add_gradient(
        self, layer: str, features: Tensor, gradient: Tensor, place: Place
    ) -> Contribution:
        """Add to a tile's gradient (C, h, w) in place; return the part of the loss found here."""

    def rescale(self, divisor: float) -> None:
        """Divide what is minimized, not what is reported."""


class PixelTerm(Protocol):
    """A loss of the pixels alone."""

    name: str

    def add_gradient(self, pixels: Tensor, gradient: Tensor) -> Contribution:
        """Add to the gradient (3, H, W) in place; return the loss of the pixels (3, H, W)."""

    def rescale(self, divisor: float) -> None:
        """Divide what is minimized, not what is reported."""


class Region(NamedTuple):
    """A part of the image, and the style statistics wanted there.

    Attributes:
        mask: (H, W) in [0, 1], how much each position belongs to it; None for everywhere.
        weight: what its style loss counts; its part of the area if all regions are equal, so that
            a position is pulled alike wherever it lies.
        targets: layer to the style's moments.
    """

    mask: Tensor | None
    weight: float
    targets: dict[str, Moments]


class StyleTerm:
    """A style loss of feature moments, summed over layers and regions.

    Args:
        loss: a style loss of `StyleRecipe`.
        weights: layer to the weight of its loss.
        regions: which statistics are wanted where.
        dtype: number format of the losses.
    """

    name = "style"

    def __init__(
        self, loss: str, weights: dict[str, float], regions: Sequence[Region], dtype: torch.dtype
    ) -> None:
        self.dtype = dtype
        self.weights = self.minimized_weights = weights
        self.region_weights = [region.weight for region in regions]
        self.targets = {
            layer: [region.targets[layer].to(dtype) for region in regions] for layer in weights
        }
        self.masks = {
            layer: [pool_mask(region.mask, layer) for region in regions] for layer in weights
        }
        self.losses = self.minimized_losses = self._prepare(loss)
        self.begin()

    def warm_up(self) -> float:
        """Minimize what leads to the loss faster than the loss itself: the Wasserstein distance.

        The loss of Gram matrices is ill-conditioned: a few directions in which the features are
        large hide all others. The Wasserstein distance weighs directions evenly and has its zero in
        the same place. Each layer counts by its share in the loss, measured at features that are
        all zero, the shallow ones a little more.

        Returns:
            The loss at features that are all zero, by which the other terms are to be divided.
        """
        energies = {
            layer: self._layer_loss(layer, [_zero_moments(target) for target in targets]).item()
            for layer, targets in self.targets.items()
        }
        total = sum(energies.values()) or 1.0  # nothing to match: a style that is transparent
        weights, deeper = {}, 0.0
        for layer in sorted(energies, key=LAYERS.index, reverse=True):
            weights[layer] = max(energies[layer] / total, _SHALLOW * deeper)
            deeper = max(deeper, weights[layer])
        weight = sum(weights.values()) or 1.0
        self.minimized_losses = self._prepare("wasserstein")
        self.minimized_weights = {layer: part / weight for layer, part in weights.items()}
        return total

    def rescale(self, divisor: float) -> None:
        """Divide what is minimized, not what is reported."""
        self.minimized_weights = {
            layer: weight / divisor for layer, weight in self.minimized_weights.items()
        }

    def begin(self) -> None:
        """Forget the last evaluation."""
        self._sums: dict[str, list[Moments | None]] = {
            layer: [None] * len(masks) for layer, masks in self.masks.items()
        }
        self._slopes: dict[str, list[tuple[Tensor, Tensor]]] = {}

    def accumulate(self, layer: str, features: Tensor, place: Place) -> None:
        """Add a tile's features (C, h, w) to the sums of each region that reaches it."""
        for region, mask in enumerate(self.masks.get(layer, ())):
            sums = self._sums[layer][region]
            if sums is None or _reaches(mask, place):
                tile_sums = moments(features, _mask_at(mask, place))
                self._sums[layer][region] = tile_sums if sums is None else sums.plus(tile_sums)

    def evaluate(self) -> Contribution:
        """Return the loss, and keep its gradient in each region's Σw·f and Σw·f·fᵀ."""
        layers = list(self.minimized_weights)
        # The eigenvalues of one matrix are work for one thread; those of several are not.
        parts = run_strips(self._evaluate_layer, layers)
        self._slopes = {layer: slopes for layer, (_, slopes) in zip(layers, parts, strict=True)}
        loss = sum((contribution.loss for contribution, _ in parts), 0.0)
        return Contribution(loss, sum((contribution.minimized for contribution, _ in parts), 0.0))

    def _evaluate_layer(self, layer: str) -> tuple[Contribution, list[tuple[Tensor, Tensor]]]:
        """Return a layer's loss, and its gradient in each region's Σw·f and Σw·f·fᵀ."""
        # Means of float64 sums need no more than float32, and the gradient of a mean is that
        # of the sum over Σw.
        means = [sums.normalized().to(self.dtype) for sums in self._sums[layer]]
        leaves = [part.requires_grad_() for mean in means for part in mean[1:]]
        with torch.enable_grad():
            value = self._minimized_loss(layer, means)
            gradients = torch.autograd.grad(
                value, leaves, allow_unused=True, materialize_grads=True
            )
        minimized = value.item()
        warming_up = self.minimized_losses is not self.losses
        loss = self._layer_loss(layer, means).item() if warming_up else minimized
        scales = [1 / sums.weight.item() if sums.weight else 0.0 for sums in self._sums[layer]]
        pairs = zip(gradients[::2], gradients[1::2], scales, strict=True)
        slopes = [(first * s, second * s) for first, second, s in pairs]
        return Contribution(loss, minimized), slopes

    def add_gradient(
        self, layer: str, features: Tensor, gradient: Tensor, place: Place
    ) -> Contribution:
        """Carry the gradient in the sums on to a tile's features."""
        slopes = self._slopes.get(layer, ())
        for mask, slope in zip(self.masks.get(layer, ()), slopes, strict=True):
            if _reaches(mask, place):
                backward_moments(features, _mask_at(mask, place), slope, gradient)
        return Contribution(0.0, 0.0)

    def _prepare(self, loss: str) -> dict[str, list[list[MomentLoss]]]:
        return {
            layer: [_prepare_moment_loss(loss, target) for target in targets]
            for layer, targets in self.targets.items()
        }

    def _layer_loss(self, layer: str, means: Sequence[Moments]) -> Tensor:
        return self.weights[layer] * self._sum_regions(self.losses[layer], means)

    def _minimized_loss(self, layer: str, means: Sequence[Moments]) -> Tensor:
        total = self._sum_regions(self.minimized_losses[layer], means)
        return self.minimized_weights[layer] * total

    def _sum_regions(
        self, region_losses: Sequence[Sequence[MomentLoss]], means: Sequence[Moments]
    ) -> Tensor:
        regions = zip(self.region_weights, region_losses, means, strict=True)
        return sum(weight * sum(loss(mean) for loss in parts) for weight, parts, mean in regions)


class ContentTerm:
    """A content loss: the weighted squared distance of features from the content image's.

    Args:
        loss: a content loss of `StyleRecipe`.
        weights: layer to the weight of its loss.
        targets: layer to the content image's features (C, h, w).
        mask: (H, W), where the content counts; None for everywhere.
        keep: (H, W), what each position counts beside that; None for 1.
    """

    name = "content"

    def __init__(
        self,
        loss: str,
        weights: dict[str, float],
        targets: dict[str, Tensor],
        mask: Tensor | None = None,
        keep: Tensor | None = None,
    ) -> None:
        self.targets = targets
        self.factors = {
            layer: weight * _CONTENT_FACTORS[loss](targets[layer], pool_mask(mask, layer))
            for layer, weight in weights.items()
        }
        self.minimized_factors = self.factors
        combined = mask if keep is None else keep if mask is None else keep * mask
        self.masks = {layer: pool_mask(combined, layer) for layer in weights}

    def rescale(self, divisor: float) -> None:
        """Divide what is minimized, not what is reported."""
        self.minimized_factors = {
            layer: factor / divisor for layer, factor in self.minimized_factors.items()
        }

    def begin(self) -> None:
        """Do nothing: there is nothing to forget."""

    def accumulate(self, layer: str, features: Tensor, place: Place) -> None:
        """Do nothing: the features come again on the way back."""

    def evaluate(self) -> Contribution:
        """Return 0: the loss comes with the gradient."""
        return Contribution(0.0, 0.0)

    def add_gradient(
        self, layer: str, features: Tensor, gradient: Tensor, place: Place
    ) -> Contribution:
        """Add a tile's gradient and return its part of the loss."""
        factor = self.minimized_factors.get(layer)
        if not factor:
            return Contribution(0.0, 0.0)
        target, mask = self.targets[layer][:, *place], _mask_at(self.masks[layer], place)
        minimized = losses.content_loss_and_gradient(features, target, mask, factor, gradient)
        return Contribution(minimized * self.factors[layer] / factor, minimized)


class TotalVariationTerm:
    """The total variation of the pixels, the mean squared difference of neighbors."""

    name = "total_variation"

    def __init__(self, weight: float) -> None:
        self.weight = self.minimized_weight = weight

    def rescale(self, divisor: float) -> None:
        """Divide what is minimized, not what is reported."""
        self.minimized_weight /= divisor

    def add_gradient(self, pixels: Tensor, gradient: Tensor) -> Contribution:
        """Add the gradient in place and return the loss."""
        leaf = pixels.detach().requires_grad_()
        with torch.enable_grad():
            variation = losses.total_variation(leaf)
            (slope,) = torch.autograd.grad(variation, leaf)
        gradient.add_(slope, alpha=self.minimized_weight)
        value = variation.item()
        return Contribution(self.weight * value, self.minimized_weight * value)


class TemporalTerm:
    """The mean squared distance of the pixels from the last frame's, carried along the motion.

    Args:
        target: the last painted frame where the motion took it, (3, H, W).
        trust: (H, W) in [0, 1], how far the motion is believed.
        weight: of the loss.
    """

    name = "temporal"

    def __init__(self, target: Tensor, trust: Tensor, weight: float) -> None:
        self.target, self.trust = target, trust
        self.weight = self.minimized_weight = weight

    def rescale(self, divisor: float) -> None:
        """Divide what is minimized, not what is reported."""
        self.minimized_weight /= divisor

    def add_gradient(self, pixels: Tensor, gradient: Tensor) -> Contribution:
        """Add the gradient in place and return the loss."""
        difference = pixels - self.target
        weighted = self.trust * difference
        value = (weighted * difference).mean().item()
        gradient.add_(weighted, alpha=2 * self.minimized_weight / pixels.numel())
        return Contribution(self.weight * value, self.minimized_weight * value)


def _prepare_moment_loss(loss: str, target: Moments) -> list[MomentLoss]:
    """Return the functions whose sum is a style loss, with what of the target is computed once."""
    if loss == "wasserstein":
        root = losses.covariance_root(target)
        return [partial(losses.wasserstein_relative, target=target, root=root)]
    return [partial(function, target=target) for function in _MOMENT_LOSSES[loss]]


def _zero_moments(target: Moments) -> Moments:
    return Moments(target.weight, 0 * target.first, 0 * target.second)


def _mask_at(mask: Tensor | None, place: Place) -> Tensor | None:
    return None if mask is None else mask[place]


def _reaches(mask: Tensor | None, place: Place) -> bool:
    """Return whether a region has anything among some of a layer's positions."""
    return mask is None or bool(mask[place].any())
