"""What a descent minimizes: a recipe's losses with their weights, or what leads there faster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from torch import Tensor

from impasto.recipes import LAYERS, StyleRecipe
from impasto.style import losses
from impasto.style.statistics import Moments

# How steeply `strength` turns each loss down; the subject is lost sooner than the style is, so the
# content fades evenly and the style by squares (docs/method.md).
_CONTENT_FADE, _STYLE_FADE = 1.0, 2.0
# In a warm-up a layer counts at least this share of the weightiest deeper one: what a deep layer
# wants can only be had through the shallow ones. Measured (docs/log.md).
_SHALLOW = 0.3


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


class Region(NamedTuple):
    """A part of the picture, and the statistics wanted there.

    Attributes:
        mask: (H, W) in [0, 1], how much each position belongs to it; None for everywhere.
        share: what its style loss counts; its part of the area, where all regions are equal, so
            that a position is pulled alike wherever it lies.
        targets: layer to the style's moments.
    """

    mask: Tensor | None
    share: float
    targets: dict[str, Moments]


Terms = list[Callable[[Moments], Tensor]]


class WeightedLosses(NamedTuple):
    """A weighted sum of losses.

    Attributes:
        style: layer to each region's losses of its moments, added up.
        weights: layer to the weight of that.
        shares: what each region counts.
        factors: layer to what makes Σ w (F − P)² its weighted content loss.
        tv: the weight of the total variation.
    """

    style: dict[str, list[Terms]]
    weights: dict[str, float]
    shares: list[float]
    factors: dict[str, float]
    tv: float

    def style_loss(self, layer: str, found: Sequence[Moments]) -> Tensor:
        """The weighted style loss of one layer, from each region's moments."""
        parts = zip(self.shares, self.style[layer], found, strict=True)
        whole = sum(share * sum(term(own) for term in terms) for share, terms, own in parts)
        return self.weights[layer] * whole


def build_losses(
    recipe: StyleRecipe,
    regions: Sequence[Region],
    contents: dict[str, Tensor],
    masks: dict[str, Tensor | None],
) -> WeightedLosses:
    """What a recipe asks for.

    Args:
        recipe: weights, layers, statistic, normalization.
        regions: which statistics are wanted where.
        contents: the content image's features by layer.
        masks: by layer, where the picture counts.
    """
    weights = layer_weights(recipe)
    factor = _CONTENT_LOSSES[recipe.normalization]
    return WeightedLosses(
        {
            layer: [
                [_aimed(term, region.targets[layer]) for term in style_losses(recipe)]
                for region in regions
            ]
            for layer in weights.style
        },
        weights.style,
        [region.share for region in regions],
        {
            layer: weight * factor(contents[layer], masks[layer])
            for layer, weight in weights.content.items()
        },
        recipe.tv_weight,
    )


def warmup_losses(own: WeightedLosses, regions: Sequence[Region]) -> WeightedLosses:
    """What leads to a goal faster than the goal itself: Wasserstein distances in place of Grams.

    The loss of Gram matrices is ill-conditioned: a few directions in which the features are large
    hide all others. The Wasserstein distance weighs directions evenly and has its zero in the same
    place. Each layer counts by its share in the goal, measured by the loss of features that are
    all zero, the shallow ones a little more; content and total variation keep theirs.

    Args:
        own: the goal.
        regions: which statistics are wanted where.
    """
    energies = {
        layer: own.style_loss(layer, [_nothing(one.targets[layer]) for one in regions]).item()
        for layer in own.style
    }
    total = sum(energies.values()) or 1.0  # nothing to match: a style image that is transparent
    weights, deeper = {}, 0.0
    for layer in sorted(energies, key=LAYERS.index, reverse=True):
        weights[layer] = max(energies[layer] / total, _SHALLOW * deeper)
        deeper = max(deeper, weights[layer])
    whole = sum(weights.values()) or 1.0
    return WeightedLosses(
        {
            layer: [[_aimed(losses.wasserstein_relative, one.targets[layer])] for one in regions]
            for layer in weights
        },
        {layer: weight / whole for layer, weight in weights.items()},
        own.shares,
        {layer: factor / total for layer, factor in own.factors.items()},
        own.tv / total,
    )


def warms_up(recipe: StyleRecipe) -> bool:
    """Whether a run of a recipe begins with a warm-up.

    Example:
        >>> warms_up(StyleRecipe()), warms_up(StyleRecipe(statistic="gram"))
        (False, True)
    """
    led = recipe.warmup > 0 and recipe.statistic != "wasserstein"
    return led and bool(layer_weights(recipe).style)


def apply_strength(recipe: StyleRecipe) -> tuple[float, float]:
    """Content and style weight after the main dial, `strength`.

    At 0.5 both are the recipe's own. Below it the style's weight falls to 0, above it the
    content's does; the other one stays.

    Example:
        >>> apply_strength(StyleRecipe(strength=0.5)), apply_strength(StyleRecipe(strength=1.0))
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


def layer_weights(recipe: StyleRecipe) -> LayerWeights:
    """What each layer's losses count in the total, the main dial and the layers' shares included.

    Example:
        >>> layer_weights(StyleRecipe(style_layers={"relu1_1": 1, "relu2_1": 3})).style
        {'relu1_1': 0.25, 'relu2_1': 0.75}
    """
    content, style = apply_strength(recipe)
    return LayerWeights(
        _shared(recipe, recipe.content_layers, content), _shared(recipe, recipe.style_layers, style)
    )


def _shared(recipe: StyleRecipe, layers: dict[str, float], weight: float) -> dict[str, float]:
    """A weight spread over layers; as an average where losses are relative."""
    whole = max(sum(layers.values()), 1e-12) if recipe.normalization == "relative" else 1.0
    return {layer: weight * share / whole for layer, share in layers.items() if share and weight}


def _nothing(target: Moments) -> Moments:
    """The moments of features that are all zero."""
    return Moments(target.weight, 0 * target.first, 0 * target.second)


def _aimed(term: StyleLoss, target: Moments) -> Callable[[Moments], Tensor]:
    """A style loss with its target, and what of it can be computed once."""
    if term is losses.wasserstein_relative:
        return partial(term, target=target, root=losses.covariance_root(target))
    return partial(term, target=target)
