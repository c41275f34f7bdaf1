"""The objective: what a recipe makes of features, and its gradient in the pixels."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from impasto.compute.memory import release
from impasto.recipe import ReconstructRecipe, StyleRecipe
from impasto.result import Losses
from impasto.style import losses
from impasto.style.losses import pull
from impasto.style.moments import Moments, descend, exact, moments
from impasto.style.targets import content_targets
from impasto.vgg.sweep import Place, Sweep
from impasto.vgg.trunk import Trunk, scaled_mask
from impasto.vgg.weights import load

# How steeply `strength` turns each loss down; the subject is lost sooner than the style is, so the
# content fades evenly and the style by squares (docs/method.md).
_CONTENT_FADE, _STYLE_FADE = 1.0, 2.0


class LayerWeights(NamedTuple):
    """Layer name to weight; layers that do not count are left out."""

    content: dict[str, float]
    style: dict[str, float]


StyleLoss = Callable[[Moments, Moments], Tensor]
_STYLE_LOSSES: dict[tuple[str, str], tuple[StyleLoss, ...]] = {
    ("gram", "relative"): (losses.gram_relative,),
    ("gram", "paper"): (losses.gram_paper,),
    ("gram", "notebook"): (losses.gram_notebook,),
    ("gram+mean+std", "relative"): (losses.gram_relative, losses.mean_std_relative),
    ("wasserstein", "relative"): (losses.wasserstein_relative,),
}
_CONTENT_LOSSES = {
    "relative": losses.content_relative,
    "paper": losses.content_half_sum,
    "notebook": losses.content_mse,
}


def dialed(recipe: StyleRecipe) -> tuple[float, float]:
    """Content and style weight after the main dial, `strength`.

    At 0.5 both are the recipe's own. Below it the style's weight falls to 0, above it the
    content's does; the other one stays.

    Example:
        >>> dialed(StyleRecipe(strength=0.5)), dialed(StyleRecipe(strength=1.0))
        ((0.2, 1.0), (0.0, 1.0))
    """
    content = min(1.0, 2 * (1 - recipe.strength)) ** _CONTENT_FADE * recipe.content_weight
    style = min(1.0, 2 * recipe.strength) ** _STYLE_FADE * recipe.style_weight
    return content, style


def style_losses(recipe: StyleRecipe) -> tuple[StyleLoss, ...]:
    """The loss of one layer's statistics, as terms to add.

    Raises:
        ValueError: the statistic is not defined under that normalization.
    """
    terms = _STYLE_LOSSES.get((recipe.statistic, recipe.normalization))
    if terms is None:
        allowed = ", ".join(n for s, n in _STYLE_LOSSES if s == recipe.statistic)
        raise ValueError(
            f"`normalization` must be {allowed} with statistic {recipe.statistic}, "
            f"got {recipe.normalization!r}; or choose statistic gram"
        )
    return terms


def objective_recipe(recipe: ReconstructRecipe) -> StyleRecipe:
    """The style recipe whose objective a reconstruction minimizes.

    Example:
        >>> list(objective_recipe(ReconstructRecipe(layer="conv3_2", kind="texture")).style_layers)
        ['conv1_1', 'conv2_1', 'conv3_1']
    """
    kind, block = recipe.layer[:4], int(recipe.layer[4])
    texture = recipe.kind == "texture"
    return StyleRecipe(
        content_layers={} if texture else {recipe.layer: 1.0},
        style_layers={f"{kind}{b}_1": 1.0 for b in range(1, block + 1)} if texture else {},
        content_weight=1.0,
        style_weight=1.0,
        statistic="gram",
        tv_weight=recipe.tv_weight,
        pooling=recipe.pooling,
        padding=recipe.padding,
        weights=recipe.weights,
    )


def network(recipe: StyleRecipe, device: torch.device, dtype: torch.dtype) -> Trunk:
    """VGG-19 as deep as a recipe's layers need it."""
    return Trunk(
        load(recipe.weights),
        [*recipe.content_layers, *recipe.style_layers],
        pooling=recipe.pooling,
        padding=recipe.padding,
        device=device,
        dtype=dtype,
    )


class Objective:
    """The weighted sum of content loss, style loss and total variation, at one size.

    Called with pixels it gives losses and gradient: one sweep forwards forms the layers' moments,
    the losses of the moments are differentiated as small matrices, one sweep backwards carries the
    gradient to the pixels. Whole or in tiles is the same code and the same result.

    Args:
        recipe: weights, layers, statistic, normalization.
        trunk: the network, reading at least the recipe's layers.
        content: the content image, (3, H, W), at this size.
        mask: (H, W), where the picture counts; None for everywhere.
        targets: the style's statistics by layer.
        tile: side of the tiles, in pixels; None computes the picture whole.
    """

    def __init__(
        self,
        recipe: StyleRecipe,
        trunk: Trunk,
        content: Tensor,
        mask: Tensor | None,
        targets: dict[str, Moments],
        tile: int | None = None,
    ) -> None:
        self.recipe = recipe
        self.sweep = Sweep(trunk, (content.shape[2], content.shape[1]), tile)
        self.precision = exact(trunk.device)
        self.weights = layer_weights(recipe)
        self.style_terms = {
            layer: [
                _aimed(term, targets[layer].to(self.precision)) for term in style_losses(recipe)
            ]
            for layer in self.weights.style
        }
        self.masks = {layer: scaled_mask(mask, layer) for layer in trunk.layers}
        self.contents = content_targets(self.sweep, content, list(self.weights.content))
        factor = _CONTENT_LOSSES[recipe.normalization]
        self.factors = {
            layer: weight * factor(self.contents[layer], self.masks[layer])
            for layer, weight in self.weights.content.items()
        }

    @torch.no_grad()
    def __call__(self, pixels: Tensor) -> tuple[Losses, Tensor]:
        """Losses of a picture, (3, H, W), and the gradient of their total in its pixels."""
        if self.sweep.tile is not None:
            release(pixels.device)  # where memory is dear, each evaluation starts with all of it
        content, style, gradient = self.sweep.within_memory(lambda: self._swept(pixels))
        total = content + style
        if self.recipe.tv_weight:
            rough, slope = _roughness(pixels)
            total += self.recipe.tv_weight * rough
            gradient = gradient.add_(slope, alpha=self.recipe.tv_weight)
        return Losses(total, content, style), gradient.contiguous()

    def _swept(self, pixels: Tensor) -> tuple[float, float, Tensor]:
        """Content loss, style loss and their gradient, (3, H, W)."""
        sums: dict[str, Moments] = {}

        def visit(layer: str, features: Tensor, place: Place) -> None:
            if layer in self.style_terms:
                found = moments(features, self._mask(layer, place))
                sums[layer] = sums[layer].plus(found) if layer in sums else found

        swept = self.sweep.forward(pixels, visit, keep=True)
        style, slopes = self._style(sums)
        content = 0.0

        def inject(layer: str, features: Tensor, gradient: Tensor, place: Place) -> None:
            nonlocal content
            mask = self._mask(layer, place)
            if layer in slopes:
                descend(features, mask, slopes[layer], gradient)
            if factor := self.factors.get(layer):
                target = self.contents[layer][:, *place]
                content += pull(features, target, mask, factor, gradient)

        gradient = self.sweep.backward(swept, inject)
        return content, style, gradient

    def _style(self, sums: dict[str, Moments]) -> tuple[float, dict[str, tuple[Tensor, Tensor]]]:
        """The style loss, and its gradient in each layer's Σw·f and Σw·f·fᵀ."""
        total, slopes = 0.0, {}
        for layer, weight in self.weights.style.items():
            # Means of float64 sums need no more than float32, and the gradient of a mean is that
            # of the sum over Σw.
            per_position = sums[layer].normalized().to(self.precision)
            leaves = [part.requires_grad_() for part in per_position[1:]]
            with torch.enable_grad():
                terms = self.style_terms[layer]
                loss = weight * sum(term(per_position) for term in terms)
                found = torch.autograd.grad(loss, leaves, allow_unused=True, materialize_grads=True)
            scale = 1 / sums[layer].weight.item() if sums[layer].weight else 0.0
            slopes[layer] = (found[0] * scale, found[1] * scale)
            total += loss.item()
        return total, slopes

    def _mask(self, layer: str, place: Place) -> Tensor | None:
        """The mask of some of a layer's positions."""
        mask = self.masks[layer]
        return None if mask is None else mask[place]


def layer_weights(recipe: StyleRecipe) -> LayerWeights:
    """What each layer's losses count in the total, the main dial and the layers' shares included.

    Example:
        >>> layer_weights(StyleRecipe(style_layers={"relu1_1": 1, "relu2_1": 3})).style
        {'relu1_1': 0.25, 'relu2_1': 0.75}
    """
    content, style = dialed(recipe)
    return LayerWeights(
        _shared(recipe, recipe.content_layers, content), _shared(recipe, recipe.style_layers, style)
    )


def _shared(recipe: StyleRecipe, layers: dict[str, float], weight: float) -> dict[str, float]:
    """A weight spread over layers; as an average where losses are relative."""
    whole = max(sum(layers.values()), 1e-12) if recipe.normalization == "relative" else 1.0
    return {layer: weight * share / whole for layer, share in layers.items() if share and weight}


def _roughness(pixels: Tensor) -> tuple[float, Tensor]:
    """Total variation and its gradient."""
    leaf = pixels.detach().requires_grad_()
    with torch.enable_grad():
        loss = losses.total_variation(leaf)
        (gradient,) = torch.autograd.grad(loss, leaf)
    return loss.item(), gradient


def _aimed(term: StyleLoss, target: Moments) -> Callable[[Moments], Tensor]:
    """A style loss with its target, and what of it can be computed once."""
    if term is losses.wasserstein_relative:
        return partial(term, target=target, root=losses.covariance_root(target))
    return partial(term, target=target)
