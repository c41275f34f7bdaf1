"""The objective: a goal, and its gradient in the pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from impasto.memory import release_caches
from impasto.recipes import ReconstructRecipe, StyleRecipe
from impasto.result import Losses
from impasto.style import losses
from impasto.style.features import content_targets
from impasto.style.losses import content_loss_and_gradient
from impasto.style.statistics import Moments, accumulation_dtype, backward_moments, moments
from impasto.style.weighted_losses import Region, build_losses, layer_weights, warmup_losses
from impasto.vgg.network import VGG19Features, pool_mask
from impasto.vgg.tiling import Place, TiledNetwork
from impasto.vgg.weights import load_weights


class Evaluation(NamedTuple):
    """What one evaluation found.

    Attributes:
        losses: the recipe's own.
        gradient: (3, H, W), of `value` in the pixels.
        value: what is being minimized: the recipe's total, or in a warm-up what leads there.
    """

    losses: Losses
    gradient: Tensor
    value: float


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


def network(recipe: StyleRecipe, device: torch.device, dtype: torch.dtype) -> VGG19Features:
    """VGG-19 as deep as a recipe's layers need it."""
    return VGG19Features(
        load_weights(recipe.weights),
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
        mask: (H, W), where the content counts; None for everywhere.
        regions: which style statistics are wanted where; a region's mask has `mask` in it.
        tile: side of the tiles, in pixels; None computes the picture whole.
        keep: (H, W), what the content loss counts at each position beside `mask`; None for 1.
        warmup: whether to minimize what leads to the recipe's losses instead of them; the losses
            reported are the recipe's own.
        heed: called at each of the layers, on the way forwards and back; raising ends it.
    """

    def __init__(
        self,
        recipe: StyleRecipe,
        trunk: VGG19Features,
        content: Tensor,
        mask: Tensor | None,
        regions: Sequence[Region],
        tile: int | None = None,
        *,
        keep: Tensor | None = None,
        warmup: bool = False,
        heed: Callable[[], None] | None = None,
    ) -> None:
        self.heed = heed or (lambda: None)
        self.sweep = TiledNetwork(trunk, (content.shape[2], content.shape[1]), tile)
        self.precision = accumulation_dtype(trunk.device)
        weights = layer_weights(recipe)
        self.contents = content_targets(self.sweep, content, list(weights.content))
        aims = [_aim(region, list(weights.style), self.precision) for region in regions]
        self.masks = {
            layer: [pool_mask(aim.mask, layer) for aim in aims] for layer in weights.style
        }
        held = {layer: pool_mask(mask, layer) for layer in weights.content}
        self.own = self.goal = build_losses(recipe, aims, self.contents, held)
        if warmup:
            self.goal = warmup_losses(self.own, aims)
        kept = mask if keep is None else keep if mask is None else keep * mask
        self.held = {layer: pool_mask(kept, layer) for layer in weights.content}

    @torch.no_grad()
    def __call__(self, pixels: Tensor) -> Evaluation:
        """Losses of a picture, (3, H, W), and the gradient of what is minimized."""
        if self.sweep.tile is not None:
            release_caches(
                pixels.device
            )  # where memory is dear, each evaluation starts with all of it
        content, style, value, gradient = self.sweep.within_memory(lambda: self._swept(pixels))
        total = content + style
        if self.own.tv:
            rough, slope = _roughness(pixels)
            total += self.own.tv * rough
            value += self.goal.tv * rough
            gradient = gradient.add_(slope, alpha=self.goal.tv)
        return Evaluation(
            Losses(total=total, content=content, style=style), gradient.contiguous(), value
        )

    def _swept(self, pixels: Tensor) -> tuple[float, float, float, Tensor]:
        """Content loss, style loss, what is minimized of both, its gradient (3, H, W)."""
        sums: dict[str, list[Moments | None]] = {
            layer: [None] * len(masks) for layer, masks in self.masks.items()
        }

        def visit(layer: str, features: Tensor, place: Place) -> None:
            self.heed()
            for region, mask in enumerate(self.masks.get(layer, ())):
                before = sums[layer][region]
                if before is None or _reaches(mask, place):
                    found = moments(features, _part(mask, place))
                    sums[layer][region] = found if before is None else before.plus(found)

        swept = self.sweep.forward(pixels, visit, keep=True)
        style, value, slopes = self._style(sums)
        content = 0.0

        def inject(layer: str, features: Tensor, gradient: Tensor, place: Place) -> None:
            nonlocal content, value
            self.heed()
            for mask, slope in zip(self.masks.get(layer, ()), slopes.get(layer, ()), strict=True):
                if _reaches(mask, place):
                    backward_moments(features, _part(mask, place), slope, gradient)
            if factor := self.goal.factors.get(layer):
                target = self.contents[layer][:, *place]
                held = _part(self.held[layer], place)
                found = content_loss_and_gradient(features, target, held, factor, gradient)
                content += found * self.own.factors[layer] / factor
                value += found

        gradient = self.sweep.backward(swept, inject)
        return content, style, value, gradient

    def _style(
        self, sums: dict[str, list[Moments]]
    ) -> tuple[float, float, dict[str, list[tuple[Tensor, Tensor]]]]:
        """The style loss, what is minimized, its gradient in each region's Σw·f and Σw·f·fᵀ."""
        total, value, slopes = 0.0, 0.0, {}
        for layer in self.goal.style:
            # Means of float64 sums need no more than float32, and the gradient of a mean is that
            # of the sum over Σw.
            per_position = [own.normalized().to(self.precision) for own in sums[layer]]
            if self.goal is not self.own:
                total += self.own.style_loss(layer, per_position).item()
            leaves = [part.requires_grad_() for own in per_position for part in own[1:]]
            with torch.enable_grad():
                loss = self.goal.style_loss(layer, per_position)
                found = torch.autograd.grad(loss, leaves, allow_unused=True, materialize_grads=True)
            scales = [1 / own.weight.item() if own.weight else 0.0 for own in sums[layer]]
            pairs = zip(found[::2], found[1::2], scales, strict=True)
            slopes[layer] = [(first * scale, second * scale) for first, second, scale in pairs]
            value += loss.item()
        return (value if self.goal is self.own else total), value, slopes


def _aim(region: Region, layers: Sequence[str], precision: torch.dtype) -> Region:
    """A region with only the layers that count, in the number format of losses."""
    return region._replace(targets={layer: region.targets[layer].to(precision) for layer in layers})


def _part(mask: Tensor | None, place: Place) -> Tensor | None:
    """The mask of some of a layer's positions."""
    return None if mask is None else mask[place]


def _reaches(mask: Tensor | None, place: Place) -> bool:
    """Whether a region has anything among some of a layer's positions."""
    return mask is None or bool(mask[place].any())


def _roughness(pixels: Tensor) -> tuple[float, Tensor]:
    """Total variation and its gradient."""
    leaf = pixels.detach().requires_grad_()
    with torch.enable_grad():
        loss = losses.total_variation(leaf)
        (gradient,) = torch.autograd.grad(loss, leaf)
    return loss.item(), gradient
