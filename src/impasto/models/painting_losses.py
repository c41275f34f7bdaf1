"""The losses that a fit minimizes, and those of a finished painting beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from impasto.device import select_device, select_precision
from impasto.images.resize import resize
from impasto.models.model import ApplyResult, Model
from impasto.recipes import FitRecipe, StyleRecipe
from impasto.result import Losses
from impasto.style.features import load_network, style_statistics
from impasto.style.objective import Objective, build_objective
from impasto.style.spec import RunSpec, style_spec
from impasto.style.statistics import Moments, moments, weighted_average
from impasto.style.styles import StyleSource, equal_area_size, open_styles, resize_image
from impasto.style.terms import Region, StyleTerm
from impasto.validation import validate
from impasto.vgg.network import VGG19Features

_SHAPE = 0.75  # height of a photograph by its width: what the area of style images is held to
_WHOLE = 1024**2  # pixels of an image that VGG-19 sees whole
_TILE = 512  # pixels a side of the tiles of a larger one


@dataclass(frozen=True, eq=False)
class FitObjective:
    """What a fit minimizes, for images of any size.

    Attributes:
        spec: losses and their weights.
        vgg: the network that sees them.
        style_term: the style loss.
        colors: the moments of the style images' pixels.
    """

    spec: RunSpec
    vgg: VGG19Features
    style_term: StyleTerm
    colors: Moments

    @classmethod
    def of(
        cls, recipe: FitRecipe, styles: Sequence[StyleSource], dtype: torch.dtype | None = None
    ) -> FitObjective:
        """Load VGG-19 and measure the styles.

        Args:
            recipe: of the fit.
            styles: opened.
            dtype: number format of VGG-19's convolutions; None for the recipe's.
        """
        spec = fit_spec(recipe)
        device = select_device(recipe.device)
        vgg = load_network(spec, device, dtype or select_precision(device, recipe.precision))
        targets, colors = _measure(styles, spec, vgg, recipe.size)
        # Float32 is exact enough for a step of training, and its eigenvalues take half the time.
        region = [Region(None, 1.0, targets)]
        term = StyleTerm(spec.style_loss, spec.style_layers, region, torch.float32)
        return cls(spec, vgg, term, colors)

    def at(self, content: Tensor, check_stop: Any = None) -> Objective:
        """Return the objective of paintings of a content image, (3, H, W)."""
        height, width = content.shape[1:]
        return build_objective(
            self.spec,
            self.vgg,
            (width, height),
            tile=None if height * width <= _WHOLE else _TILE,
            content=content.to(self.vgg.device),
            style_term=self.style_term,
            check_stop=check_stop,
        )


def measure_painting(
    result: ApplyResult, content: Tensor, model: Model, style: Any
) -> tuple[Losses, Losses]:
    """Measure a painting by the losses of its model's fit.

    Args:
        result: what `apply` returned.
        content: what it painted, (3, H, W) at the painting's size.
        model: the model.
        style: the styles of the fit, as for `fit`.

    Returns:
        The painting's losses, and those of the pictures of the fit, on average.
    """
    objective = FitObjective.of(model.facts.recipe, open_styles(style, None))
    losses = objective.at(content)(result.pixels.to(objective.vgg.device)).losses
    figures = model.facts.figures
    return losses, Losses(style=figures.style, content=figures.content)


def fit_spec(recipe: FitRecipe) -> RunSpec:
    """Return the specification of the losses, those of style transfer."""
    shared = FitRecipe.model_fields.keys() & StyleRecipe.model_fields.keys() - {"version", "steps"}
    options = {name: getattr(recipe, name) for name in shared}
    spec = style_spec(validate(StyleRecipe, options))
    if not spec.style_layers:
        raise ValueError(
            f"`strength` must leave the style a weight, got {recipe.strength:g} with style_weight "
            f"{recipe.style_weight:g}; raise them"
        )
    return spec


def _measure(
    sources: Sequence[StyleSource], spec: RunSpec, vgg: VGG19Features, size: int
) -> tuple[dict[str, Moments], Moments]:
    """Return the statistics of the styles at a size, averaged by weight, and of their pixels."""
    layers = list(spec.style_layers)
    total = sum(source.weight for source in sources)
    shares, features, colors = [], [], []
    for source in sources:
        for image in source.images:
            at = equal_area_size(image.size, (size, round(size * _SHAPE)))
            pixels, mask = resize_image(image, at, vgg.device)
            if source.mask is not None:
                masked = resize(source.mask.pixels[0], at).to(vgg.device)
                mask = masked if mask is None else mask * masked
            shares.append(source.weight / total / len(source.images))
            features.append(style_statistics(vgg, pixels, mask, layers))
            colors.append(moments(pixels, mask))
    targets = {
        layer: weighted_average([part[layer] for part in features], shares) for layer in layers
    }
    return targets, weighted_average(colors, shares)
