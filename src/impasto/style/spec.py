"""The specification of a run: what the recipes of style transfer, texture and reconstruction share.

Each recipe becomes a `RunSpec` by one function; plan, objective and engine know nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from pydantic import BaseModel

from impasto.errors import OptionError
from impasto.recipes import ReconstructRecipe, StyleRecipe, TextureRecipe, parse_layer

R = TypeVar("R", bound=BaseModel)

# How steeply `strength` turns each loss down; the subject is lost sooner than the style is, so the
# content fades evenly and the style by squares (docs/method.md).
_CONTENT_FADE, _STYLE_FADE = 1.0, 2.0
# These losses are relative to their target's norm, so that layers are averaged, not added.
_RELATIVE = ("wasserstein", "gram", "gram+mean+std", "relative")
# Scales beyond `Effort.whole_side` compute these blocks and hold the content here.
_SHALLOW_BLOCKS, _SHALLOW_LAYER, _SHALLOW_CONTENT = 3, "relu3_1", 0.1
# Options that mean the same in every recipe.
_SHARED = (
    *("steps", "tv_weight", "pooling", "padding", "optimizer", "learning_rate", "history"),
    *("weights", "seed", "device", "precision", "memory", "tiles"),
)


@dataclass(frozen=True)
class RunSpec:
    """Everything that decides a run but the images and their size.

    Attributes:
        layers: the layers that the network reads.
        content_layers: layer to the weight of its content loss, the main dial included.
        style_layers: layer to the weight of its style loss, the main dial included.
        content_loss: `relative`, `paper` or `mse`, as in `StyleRecipe`.
        style_loss: as in `StyleRecipe`.
        warmup: share of the finest scale's evaluations, beside all at coarser ones, that minimize
            the warm-up loss; 0 for no warm-up.
        scales: number of scales, 0 to start near 128 pixels.
        start: the first image: the content, the content in the style's colors, noise, faint noise
            in the style's colors, or an image that the user gives.
        effort: as in `StyleRecipe`; counts where `steps` is auto.
        evaluate_only: evaluate the start once and return it.
        style_scale, structure, composition, color, color_by: as in `StyleRecipe`.

    The other attributes are the options of the same name in every recipe.
    """

    layers: tuple[str, ...]
    content_layers: dict[str, float]
    style_layers: dict[str, float]
    content_loss: str
    style_loss: str
    warmup: float
    scales: int
    start: Literal["content", "recolored", "noise", "faint", "picture"]
    steps: int | Literal["auto"]
    tv_weight: float
    pooling: str
    padding: str
    optimizer: str
    learning_rate: float
    history: int
    weights: str
    seed: int
    device: str
    precision: str
    memory: float | str
    tiles: tuple[int, ...] | str
    effort: str = "balanced"
    evaluate_only: bool = False
    style_scale: float | str = "fit"
    structure: float = 0.0
    composition: float = 1.0
    color: float = 1.0
    color_by: str = "luminance"

    @property
    def can_be_shallow(self) -> bool:
        """Return whether shallow layers have statistics to match and deeper ones to leave out."""
        blocks = [parse_layer(layer).block for layer in self.layers]
        styles = [parse_layer(layer).block for layer in self.style_layers]
        relative = self.style_loss in _RELATIVE and self.content_loss in _RELATIVE
        return relative and bool(styles) and min(styles) <= _SHALLOW_BLOCKS < max(blocks)


def style_spec(recipe: StyleRecipe) -> RunSpec:
    """Return the specification of a style transfer.

    Example:
        >>> style_spec(StyleRecipe(style_layers={"relu1_1": 1, "relu2_1": 3})).style_layers
        {'relu1_1': 0.25, 'relu2_1': 0.75}
        >>> style_spec(StyleRecipe()).warmup, style_spec(StyleRecipe(style_loss="gram")).warmup
        (0.0, 0.75)
    """
    if not (recipe.content_layers or recipe.style_layers):
        constraint, hint = "name at least one layer if `content_layers` names none", "leave it out"
        raise OptionError("style_layers", {}, constraint, hint, "StyleRecipe")
    content_weight, style_weight = apply_strength(recipe)
    style_layers = _layer_weights(recipe.style_layers, style_weight, recipe.style_loss)
    return RunSpec(
        layers=(*recipe.content_layers, *recipe.style_layers),
        content_layers=_layer_weights(recipe.content_layers, content_weight, recipe.content_loss),
        style_layers=style_layers,
        content_loss=recipe.content_loss,
        style_loss=recipe.style_loss,
        warmup=_warmup(recipe.warmup, recipe.style_loss, style_layers),
        scales=recipe.scales,
        effort=recipe.effort,
        start="content" if recipe.gives_content_back else recipe.init,
        evaluate_only=recipe.gives_content_back,
        style_scale=recipe.style_scale,
        structure=recipe.structure,
        composition=recipe.composition,
        color=recipe.color,
        color_by=recipe.color_by,
        **_shared_options(recipe),
    )


def texture_spec(recipe: TextureRecipe) -> RunSpec:
    """Return the specification of a texture: a style loss alone, from faint noise."""
    if not recipe.style_layers:
        hint = "leave it out"
        raise OptionError("style_layers", {}, "name at least one layer", hint, "TextureRecipe")
    style_layers = _layer_weights(recipe.style_layers, 1.0, recipe.style_loss)
    return RunSpec(
        layers=tuple(recipe.style_layers),
        content_layers={},
        style_layers=style_layers,
        content_loss="relative",
        style_loss=recipe.style_loss,
        warmup=_warmup(recipe.warmup, recipe.style_loss, style_layers),
        scales=recipe.scales,
        effort=recipe.effort,
        start="faint",
        style_scale=recipe.style_scale,
        **_shared_options(recipe),
    )


def reconstruct_spec(recipe: ReconstructRecipe) -> RunSpec:
    """Return the specification of a reconstruction: one layer's features, or Gram matrices.

    Example:
        >>> spec = reconstruct_spec(ReconstructRecipe(layer="conv3_2", kind="texture"))
        >>> list(spec.style_layers)
        ['conv1_1', 'conv2_1', 'conv3_1']
    """
    layer = parse_layer(recipe.layer)
    texture = recipe.kind == "texture"
    blocks = range(1, layer.block + 1)
    content_layers = {} if texture else {recipe.layer: 1.0}
    style_layers = {f"{layer.kind}{block}_1": 1.0 for block in blocks} if texture else {}
    return RunSpec(
        layers=(*content_layers, *style_layers),
        content_layers=content_layers,
        style_layers=_layer_weights(style_layers, 1.0, "gram"),
        content_loss="relative",
        style_loss="gram",
        warmup=0.0,
        # A texture has its own large shapes to find; features pin every pixel, so one scale does.
        scales=0 if texture else 1,
        start="noise",
        **_shared_options(recipe),
    )


def shallow_spec(spec: RunSpec) -> RunSpec:
    """Return the specification of scales at which only the shallow layers are computed.

    The statistics of deeper layers are right already, enlarged from the scale before; what is left
    is what the shallow layers see, strokes and grain. The content holds on to a layer of theirs, by
    a tenth of its weight: more and the strokes give way to the photograph. Measured (docs/log.md).

    Example:
        >>> spec = shallow_spec(style_spec(StyleRecipe()))
        >>> list(spec.style_layers), round(spec.content_layers["relu3_1"], 3)
        (['relu1_1', 'relu2_1', 'relu3_1'], 0.02)
    """
    styles = {
        layer: weight
        for layer, weight in spec.style_layers.items()
        if parse_layer(layer).block <= _SHALLOW_BLOCKS
    }
    factor = sum(spec.style_layers.values()) / sum(styles.values())
    content = _SHALLOW_CONTENT * sum(spec.content_layers.values())
    content_layers = {_SHALLOW_LAYER: content} if content else {}
    return replace(
        spec,
        layers=(*content_layers, *styles),
        style_layers={layer: factor * weight for layer, weight in styles.items()},
        content_layers=content_layers,
    )


def coarse_spec(spec: RunSpec, size: tuple[int, int]) -> RunSpec:
    """Return the specification of a scale that is there to be enlarged.

    A layer with fewer positions than channels has seen too little for statistics: they hold the
    style's arrangement, its moon and its faces, and would paint them where nothing is. Such a layer
    counts by its positions, the less the lower `composition` is. Measured (docs/log.md).

    Args:
        spec: of the run.
        size: (width, height) of the scale.

    Example:
        >>> spec = coarse_spec(style_spec(StyleRecipe()), (128, 96))
        >>> [round(weight, 3) for weight in spec.style_layers.values()]
        [0.2, 0.2, 0.2, 0.075, 0.019]
    """
    if spec.style_loss not in _RELATIVE:
        return spec
    weights = {}
    for name, weight in spec.style_layers.items():
        layer = parse_layer(name)
        positions = (size[0] // layer.stride) * (size[1] // layer.stride)
        weights[name] = weight * min(1.0, positions / layer.channels) ** (1 - spec.composition)
    return replace(spec, style_layers=weights)


def apply_strength(recipe: StyleRecipe) -> tuple[float, float]:
    """Return content and style weight after the main dial, `strength`.

    At 0.5 both are the recipe's own. Below it the style's weight falls to 0, above it the
    content's does; the other one stays.

    Example:
        >>> apply_strength(StyleRecipe(strength=0.5)), apply_strength(StyleRecipe(strength=1.0))
        ((0.2, 1.0), (0.0, 1.0))
    """
    content = min(1.0, 2 * (1 - recipe.strength)) ** _CONTENT_FADE * recipe.content_weight
    style = min(1.0, 2 * recipe.strength) ** _STYLE_FADE * recipe.style_weight
    return content, style


def resolve_auto(recipe: R, dtype: torch.dtype, history: int, tiles: tuple[int, ...]) -> R:
    """Replace `auto` in a recipe by the values used, and strip the folder from its weights' path.

    Example:
        >>> resolve_auto(StyleRecipe(weights="/home/me/vgg.pth"), torch.float32, 10, (0,)).weights
        'vgg.pth'
    """
    return recipe.model_copy(
        update={
            "precision": str(dtype).removeprefix("torch."),
            "history": history,
            "tiles": tiles,
            "weights": Path(recipe.weights).name,
        }
    )


def _shared_options(recipe: BaseModel) -> dict[str, Any]:
    return {name: getattr(recipe, name) for name in _SHARED}


def _layer_weights(shares: Mapping[str, float], weight: float, loss: str) -> dict[str, float]:
    """Spread a weight over layers, as an average if the loss is relative; drop layers of 0."""
    total = max(sum(shares.values()), 1e-12) if loss in _RELATIVE else 1.0
    return {layer: weight * share / total for layer, share in shares.items() if share and weight}


def _warmup(warmup: float, style_loss: str, style_layers: Mapping[str, float]) -> float:
    # The warm-up minimizes the Wasserstein distance, so only the other losses need one.
    return warmup if style_loss != "wasserstein" and style_layers else 0.0
