"""The objective: what a recipe makes of features, and its gradient in the pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from impasto.recipe import StyleRecipe
from impasto.result import Losses
from impasto.style import losses
from impasto.style.moments import Moments, moments, pooled
from impasto.vgg.trunk import Trunk, scaled_mask
from impasto.vgg.weights import load

# How steeply `strength` turns each loss down; the subject is lost sooner than the style is, so the
# content fades evenly and the style by squares (docs/method.md).
_CONTENT_FADE, _STYLE_FADE = 1.0, 2.0

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


def style_targets(
    trunk: Trunk, styles: Sequence[tuple[Tensor, Tensor | None]], layers: Sequence[str]
) -> dict[str, Moments]:
    """The pooled statistics of some style images, each image counting alike whatever its size.

    Args:
        trunk: the network.
        styles: pixels (3, H, W) and mask (H, W) or None, each.
        layers: which layers to read.

    Returns:
        Layer name to the mean of the images' per-position moments.
    """
    parts: dict[str, list[Moments]] = {layer: [] for layer in layers}
    with torch.no_grad():
        for pixels, mask in styles:
            features = trunk(pixels)
            for layer in layers:
                parts[layer].append(moments(features[layer], scaled_mask(mask, layer)))
    return {layer: pooled(found) for layer, found in parts.items()}


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

    Args:
        recipe: weights, layers, statistic, normalization.
        trunk: the network, reading at least the recipe's layers.
        content: the content image, (3, H, W), at this size.
        mask: (H, W), where the picture counts; None for everywhere.
        targets: the style's statistics by layer.
    """

    def __init__(
        self,
        recipe: StyleRecipe,
        trunk: Trunk,
        content: Tensor,
        mask: Tensor | None,
        targets: dict[str, Moments],
    ) -> None:
        self.recipe = recipe
        self.trunk = trunk
        self.content_weight, self.style_weight = dialed(recipe)
        self.style_terms = {
            layer: [_aimed(term, targets[layer]) for term in style_losses(recipe)]
            for layer in recipe.style_layers
        }
        self.content_term = _CONTENT_LOSSES[recipe.normalization]
        layers = {*recipe.content_layers, *recipe.style_layers}
        self.masks = {layer: scaled_mask(mask, layer) for layer in layers}
        with torch.no_grad():
            features = trunk(content)
        self.contents = {layer: features[layer].clone() for layer in recipe.content_layers}

    def losses(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Total, content and style loss of a picture, differentiable, each weighted."""
        features = self.trunk(pixels)
        content = self.content_weight * self._average(
            self.recipe.content_layers,
            lambda layer: self.content_term(
                features[layer], self.contents[layer], self.masks[layer]
            ),
        )
        style = self.style_weight * self._average(
            self.recipe.style_layers, partial(self._style, features)
        )
        total = content + style + 0 * pixels.sum()  # differentiable even if every weight is 0
        if self.recipe.tv_weight:
            total = total + self.recipe.tv_weight * losses.total_variation(pixels)
        return total, content, style

    def __call__(self, pixels: Tensor) -> tuple[Losses, Tensor]:
        """Losses of a picture, (3, H, W), and the gradient of their total in its pixels."""
        pixels = pixels.detach().requires_grad_()
        total, content, style = self.losses(pixels)
        (gradient,) = torch.autograd.grad(total, pixels)
        found = Losses(*torch.stack([total, content, style]).detach().tolist())
        return found, gradient.contiguous()

    def _style(self, features: dict[str, Tensor], layer: str) -> Tensor:
        """One layer's style loss."""
        found = moments(features[layer], self.masks[layer])
        return sum(term(found) for term in self.style_terms[layer])

    def _average(self, weights: dict[str, float], loss: Callable[[str], Tensor]) -> Tensor:
        """Sum of the layers' losses by weight; as an average where losses are relative."""
        total = sum(weight * loss(layer) for layer, weight in weights.items() if weight)
        if self.recipe.normalization == "relative":
            total = total / max(sum(weights.values()), 1e-12)
        return torch.as_tensor(total, dtype=torch.float32)


def _aimed(term: StyleLoss, target: Moments) -> Callable[[Moments], Tensor]:
    """A style loss with its target, and what of it can be computed once."""
    if term is losses.wasserstein_relative:
        return partial(term, target=target, root=losses.covariance_root(target))
    return partial(term, target=target)
