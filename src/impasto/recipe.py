"""Every option of every method, written once: default, range, unit, direction of effect.

The functions, the command line and the settings stored inside a finished picture all read these
models. A recipe is frozen, refuses what it does not know, and survives JSON unchanged.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from impasto.options import (
    STYLE_LAYERS,
    Device,
    History,
    Layer,
    LayerWeights,
    LearningRate,
    Memory,
    Optimizer,
    Padding,
    Pooling,
    Precision,
    Scales,
    Seed,
    Size,
    Statistic,
    Steps,
    StyleLayers,
    StyleScale,
    Tiles,
    TVWeight,
    Warmup,
    Weights,
)

_FROZEN = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

Side = Annotated[int, Field(ge=64, le=65_536)]


class StyleRecipe(BaseModel):
    """How `stylize` paints: every option, its default, its range and what more of it does."""

    model_config = _FROZEN

    version: Literal[1] = Field(1, description="version of this recipe's format")
    preset: str = Field("default", description="the named preset these options started from")
    strength: float = Field(
        0.5,
        ge=0,
        le=1,
        description="the main dial: 0 gives the content image back, 1 only the style; 0.5 uses "
        "the content and style weights as they stand",
    )
    size: Size = 512
    steps: Steps = 300
    scales: Scales = 0
    init: Literal["content", "recolored", "noise", "picture"] = Field(
        "recolored",
        description="what the picture starts as: the content image, the content image in the "
        "style's colors, random noise, or a picture of your own",
    )
    color: float = Field(
        1.0,
        ge=0,
        le=1,
        description="whose colors: 0 keeps the content image's, 1 takes the style's, between them "
        "a mixture",
    )
    color_by: Literal["luminance", "statistics"] = Field(
        "luminance",
        description="how colors are kept where `color` is below 1: `luminance` paints the light "
        "alone and keeps each place's own color, `statistics` paints with a style image that has "
        "the content image's palette",
    )
    style_scale: StyleScale = "fit"
    structure: float = Field(
        0.0,
        ge=0,
        le=1,
        description="how much more the content counts where the picture has edges and details, "
        "and less where it is plain; 0 counts all places alike, larger keeps faces and leaves "
        "skies to the style",
    )
    content_layers: LayerWeights = Field(
        {"relu4_2": 1.0},
        description="layers whose features are kept, each with its share; deeper keeps meaning, "
        "shallower keeps pixels",
    )
    style_layers: StyleLayers = STYLE_LAYERS
    content_weight: float = Field(
        0.2, ge=0, description="weight of the content loss; larger keeps more of the subject"
    )
    style_weight: float = Field(
        1.0, ge=0, description="weight of the style loss; larger takes more of the style"
    )
    tv_weight: TVWeight = 0.0
    statistic: Statistic = "wasserstein"
    normalization: Literal["relative", "paper", "notebook"] = Field(
        "relative",
        description="how losses are scaled: each by its target's own norm (one weight suits every "
        "picture and size), by the constants of Gatys et al., or as mean squared errors",
    )
    denoise: Literal["no", "before", "after", "both"] = Field(
        "no",
        description="clean noise away: out of the content image before it is painted, out of the "
        "painting after, or both; leaves smoother surfaces and takes longer",
        json_schema_extra={"alone": "after"},
    )
    warmup: Warmup = 0.75
    pooling: Pooling = "max"
    padding: Padding = "replicate"
    optimizer: Optimizer = "lbfgs"
    learning_rate: LearningRate = 0.02
    history: History = 10
    weights: Weights = "oxford"
    seed: Seed = 0
    device: Device = "auto"
    precision: Precision = "auto"
    memory: Memory = "auto"
    tiles: Tiles = "auto"

    @property
    def gives_content_back(self) -> bool:
        """Whether the dial stands at its end, where the content image is given back untouched."""
        return self.strength == 0 and self.init in ("content", "recolored")


class ReconstructRecipe(BaseModel):
    """How `reconstruct` rebuilds a picture from what one layer of the network saw of it."""

    model_config = _FROZEN

    version: Literal[1] = Field(1, description="version of this recipe's format")
    layer: Layer = Field(
        "conv4_1", description="the layer to rebuild from; deeper layers keep less of the pixels"
    )
    kind: Literal["content", "texture"] = Field(
        "content",
        description="rebuild the content from the layer's features, or a texture from the "
        "statistics of the first layer of each block up to it",
    )
    size: Size = 256
    steps: Steps = 300
    tv_weight: TVWeight = 0.0
    pooling: Pooling = "max"
    padding: Padding = "replicate"
    optimizer: Optimizer = "lbfgs"
    learning_rate: LearningRate = 0.02
    history: History = 10
    weights: Weights = "oxford"
    seed: Seed = 0
    device: Device = "auto"
    precision: Precision = "auto"
    memory: Memory = "auto"
    tiles: Tiles = "auto"


class TextureRecipe(BaseModel):
    """How `texture` makes a picture out of a style alone."""

    model_config = _FROZEN

    version: Literal[1] = Field(1, description="version of this recipe's format")
    width: Side = Field(512, description="width of the texture in pixels")
    height: Side = Field(512, description="height of the texture in pixels")
    tileable: bool = Field(
        False,
        description="make its borders fit each other, so that it can be laid side by side without "
        "a seam",
    )
    steps: Steps = 300
    scales: Scales = 0
    style_layers: StyleLayers = STYLE_LAYERS
    style_scale: StyleScale = "fit"
    statistic: Statistic = "wasserstein"
    tv_weight: TVWeight = 0.0
    warmup: Warmup = 0.75
    pooling: Pooling = "max"
    padding: Padding = "replicate"
    optimizer: Optimizer = "lbfgs"
    learning_rate: LearningRate = 0.02
    history: History = 10
    weights: Weights = "oxford"
    seed: Seed = 0
    device: Device = "auto"
    precision: Precision = "auto"
    memory: Memory = "auto"
    tiles: Tiles = "auto"


class DenoiseRecipe(BaseModel):
    """How `denoise` cleans a picture: every option, its default, its range and effect."""

    model_config = _FROZEN

    version: Literal[1] = Field(1, description="version of this recipe's format")
    method: Literal["auto", "nl-wiener", "zs-n2n", "zs-n2n-fast"] = Field(
        "auto",
        description="`nl-wiener` filters patches that look alike together, `zs-n2n` trains a small "
        "network on the picture as published, `zs-n2n-fast` the same in a fraction of the time; "
        "`auto` looks at the noise and decides",
    )
    effort: Literal["quick", "balanced", "best"] = Field(
        "balanced", description="how long to try; more gives a little less noise"
    )
    strength: float = Field(
        1.0, ge=0, le=1, description="share of the noise found that is taken away"
    )
    chroma: Annotated[float, Field(ge=0, le=1)] | Literal["same"] = Field(
        "same",
        description="the same for the noise in the colors alone; `same` is the strength; larger "
        "leaves fewer colored specks",
    )
    sigma: Annotated[float, Field(gt=0)] | Literal["auto"] = Field(
        "auto",
        description="standard deviation of the noise where it is known, 1 being white (in float "
        "data, the data's own numbers); larger smooths more; `auto` measures it, as it is in the "
        "dark and in the light",
    )
    axes: Annotated[str, Field(pattern="^[A-Z]{2,}$")] | Literal["auto"] = Field(
        "auto",
        description="what the axes of measured data are, a letter each, such as TZCYX: Y and X "
        "lie in a plane, C and S are channels, all others count planes; `auto` reads them from "
        "the file",
    )
    joint: bool = Field(
        False,
        description="fit all planes of a stack together, where each shows the same noise, instead "
        "of each by itself",
    )
    seed: Seed = 0
    device: Device = "auto"
    memory: Annotated[float, Field(gt=0)] | Literal["auto"] = Field(
        "auto",
        description="most memory the whole process may take, in GiB (2^30 bytes); a method that "
        "needs more is refused before it starts; `auto` is what is free",
    )
