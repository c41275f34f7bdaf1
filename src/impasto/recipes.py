"""Every option once: type, default, range, unit, direction of effect and help text."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import Field, model_validator

from impasto.errors import quote
from impasto.validation import Options

# VGG-19: how many convolutions each of its five blocks has (Simonyan, Zisserman 2014, column E).
BLOCKS = (2, 2, 4, 4, 4)
LAYERS = tuple(
    f"{kind}{block}_{index}"
    for block, count in enumerate(BLOCKS, 1)
    for index in range(1, count + 1)
    for kind in ("conv", "relu")
)


class VGGLayer(NamedTuple):
    """A layer of VGG-19 by the parts of its name: `conv4_2` (before the ReLU) or `relu4_2`."""

    kind: str  # conv or relu
    block: int  # 1 to 5
    index: int  # of the convolution in its block, from 1

    @property
    def stride(self) -> int:
        """Pixels a side that become one position of the layer."""
        return 2 ** (self.block - 1)

    @property
    def channels(self) -> int:
        """How many features a position has."""
        return min(64 * 2 ** (self.block - 1), 512)

    @property
    def convolution(self) -> str:
        """The convolution it is the output of, before or after the ReLU."""
        return f"conv{self.block}_{self.index}"


def parse_layer(name: str) -> VGGLayer:
    """Take a layer's name apart.

    Example:
        >>> layer = parse_layer("relu4_2")
        >>> layer.block, layer.stride, layer.channels, layer.convolution
        (4, 8, 512, 'conv4_2')
    """
    return VGGLayer(name[:4], int(name[4]), int(name[6]))


# Larger numbers mean nothing, and their products would leave float32's range.
MAX_WEIGHT = 1e9  # of a loss
MAX_SHARE = 1e6  # of a layer, or of a style beside others
MAX_SIGMA = 1e12  # of noise, in the numbers of the data
MAX_GIB = 1e6  # of memory

Layer = Literal[LAYERS]  # type: ignore[valid-type]
LayerWeights = dict[Layer, Annotated[float, Field(ge=0, le=MAX_SHARE)]]

Size = Annotated[
    Annotated[int, Field(ge=16, le=65_536)] | Literal["original"],
    Field(
        description="longer side of the output in pixels, or `original` for the content's own; "
        "larger shows finer strokes and takes longer in proportion to the pixels"
    ),
]
Steps = Annotated[
    int,
    Field(
        ge=1,
        le=100_000,
        description="evaluations of the loss and its gradient in the whole run, shared over the "
        "scales; more lowers the loss further and takes longer in proportion",
    ),
]
AutoSteps = Annotated[
    Steps | Literal["auto"],
    Field(
        description="evaluations of the loss and its gradient in the whole run, shared over the "
        "scales; more lowers the loss further and takes longer in proportion; `auto` spends on "
        "each scale what the effort allows, and ends it when the loss no longer falls",
    ),
]
Effort = Annotated[
    Literal["quick", "balanced", "best"],
    Field(
        description="how long to try where `steps` is auto: quick takes a third of the time and "
        "paints bolder strokes, balanced is what most want, best takes the loss further down"
    ),
]
Scales = Annotated[
    int,
    Field(
        ge=0,
        le=16,
        description="sizes the picture is painted at, each twice the last; 0 starts near 128 "
        "pixels; more lays down larger shapes first",
    ),
]
CONTENT_LAYERS = {"relu4_2": 1.0}
STYLE_LAYERS = {"relu1_1": 1.0, "relu2_1": 1.0, "relu3_1": 1.0, "relu4_1": 1.0, "relu5_1": 1.0}
_MOMENT = r"\d{1,9}(\.\d{1,6})?s?"
ClipRange = Annotated[
    str,
    Field(
        pattern=rf"^(whole|{_MOMENT}:({_MOMENT})?)$",
        examples=["whole", "A:B (frames from 0, or seconds such as 0s:10s)"],
    ),
]
FrameRate = Annotated[float, Field(ge=0.01, le=1000)] | Literal["auto"]
ContentLayers = Annotated[
    LayerWeights,
    Field(
        description="layers whose features are kept, each with its share; deeper keeps meaning, "
        "shallower keeps pixels",
    ),
]
StyleLayers = Annotated[
    LayerWeights,
    Field(
        description="layers whose statistics are matched, each with its share; deeper matches "
        "larger shapes, shallower matches color and grain",
    ),
]
StyleScale = Annotated[
    Annotated[float, Field(gt=0, le=8)] | Literal["fit"],
    Field(
        description="how large the strokes are, in pixels, whatever the output's size: 1 is as on "
        "a painting of 512 pixels, larger is broader; `fit` makes them grow with the output, so "
        "that a painting looks the same at every size",
    ),
]
TVWeight = Annotated[
    float,
    Field(
        ge=0,
        le=MAX_WEIGHT,
        description="weight of the total variation, the mean squared difference of neighbors; "
        "larger gives a smoother surface",
    ),
]
StyleLoss = Annotated[
    Literal["wasserstein", "gram", "gram+mean+std", "gram-paper", "gram-notebook"],
    Field(
        description="what of the style is matched: the Wasserstein distance between feature "
        "Gaussians, Gram matrices, Gram matrices with the means and deviations of the channels, "
        "each relative to the style's own; or Gram matrices by the constants of Gatys et al., or "
        "as mean squared errors",
    ),
]
ContentWeight = Annotated[
    float,
    Field(
        ge=0,
        le=MAX_WEIGHT,
        description="weight of the content loss; larger keeps more of the subject",
    ),
]
StyleWeight = Annotated[
    float,
    Field(
        ge=0,
        le=MAX_WEIGHT,
        description="weight of the style loss; larger takes more of the style",
    ),
]
ContentLoss = Annotated[
    Literal["relative", "paper", "mse"],
    Field(
        description="how the content loss is scaled: by the content's own norm (one weight suits "
        "every picture and size), as in Gatys et al., or as a mean squared error",
    ),
]
ColorBy = Annotated[
    Literal["luminance", "statistics"],
    Field(
        description="how colors are kept where `color` is below 1: `luminance` paints the light "
        "alone and keeps each place's own color, `statistics` paints with a style image that has "
        "the content image's palette",
    ),
]
Warmup = Annotated[
    float,
    Field(
        ge=0,
        le=1,
        description="where Gram matrices are matched: share of the finest size's steps, beside all "
        "at coarser ones, that minimize the better conditioned Wasserstein distance first; 0 "
        "minimizes the Gram loss itself from the start, which falls more slowly",
    ),
]
Pooling = Annotated[
    Literal["max", "average"],
    Field(description="pooling in the network; average gives smoother, softer strokes"),
]
Padding = Annotated[
    Literal["zeros", "replicate"],
    Field(
        description="what the first convolution sees beyond the border; zeros is the published "
        "network and can leave a frame, replicate does not"
    ),
]
Optimizer = Annotated[
    Literal["lbfgs", "adam", "lbfgs-clamped"],
    Field(
        description="lbfgs is L-BFGS projected onto [0, 1]; lbfgs-clamped is the notebook's, "
        "clamping pixels inside each evaluation; adam needs the least memory"
    ),
]
LearningRate = Annotated[
    float,
    Field(gt=0, le=10, description="step length of adam; larger moves faster and less steadily"),
]
History = Annotated[
    int,
    Field(
        ge=1,
        le=1000,
        description="curvature pairs L-BFGS remembers; each costs a picture of memory",
    ),
]
Weights = Annotated[
    str,
    Field(
        min_length=1,
        description="VGG-19 weights: `oxford` (the original network, offline), `torchvision` "
        "(downloaded once), or a .safetensors or .pth file",
    ),
]
Seed = Annotated[
    int,
    Field(ge=0, le=2**32 - 1, description="seed of everything random; same seed, same picture"),
]
Device = Annotated[
    str,
    Field(
        pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$",
        examples=["auto", "cpu", "cuda", "cuda:N", "mps"],
        description="where to compute: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`",
    ),
]
Precision = Annotated[
    Literal["auto", "float32", "bfloat16"],
    Field(
        description="number format of the convolutions; losses and optimiser are always float32; "
        "`auto` takes bfloat16 where a short probe finds it faster"
    ),
]
Memory = Annotated[
    Annotated[float, Field(gt=0, le=MAX_GIB)] | Literal["auto"],
    Field(
        description="most memory the whole process may take, in GiB (2^30 bytes), on a GPU the "
        "GPU's; `auto` is what is free, less a reserve; smaller paints in smaller tiles, which "
        "takes up to twice as long and changes nothing but rounding, and where even that is too "
        "much L-BFGS remembers less"
    ),
]
Tiles = Annotated[
    Annotated[tuple[Annotated[int, Field(ge=0, le=65_536)], ...], Field(min_length=1)]
    | Literal["auto"],
    Field(
        description="side of the tiles that pictures are computed in, in pixels, 0 for whole: one "
        "number, or one a scale; `auto` chooses by the memory, and is settled in the recipe that "
        "a picture carries, since other tiles round otherwise"
    ),
]

# Options of earlier versions, which `upgrade_loss_options` reads.
OLD_LOSS_OPTIONS = ("statistic", "normalization")
# (statistic, normalization) -> (style_loss, content_loss)
_OLD_LOSSES = {
    ("wasserstein", "relative"): ("wasserstein", "relative"),
    ("gram", "relative"): ("gram", "relative"),
    ("gram+mean+std", "relative"): ("gram+mean+std", "relative"),
    ("gram", "paper"): ("gram-paper", "paper"),
    ("gram", "notebook"): ("gram-notebook", "mse"),
}


def upgrade_loss_options(options: Any) -> Any:
    """Replace the options `statistic` and `normalization` of earlier versions by today's.

    An option that only one of the two was given for changes that part of the loss the others name.

    Raises:
        ValueError: a pair that no version computed.

    Example:
        >>> upgrade_loss_options({"statistic": "gram", "normalization": "notebook"})
        {'style_loss': 'gram-notebook', 'content_loss': 'mse'}
    """
    if not isinstance(options, dict) or not options.keys() & set(OLD_LOSS_OPTIONS):
        return options
    upgraded = {name: value for name, value in options.items() if name not in OLD_LOSS_OPTIONS}
    style_loss = options.get("style_loss", "wasserstein")
    pairs = {losses[0]: pair for pair, losses in _OLD_LOSSES.items()}
    if not isinstance(style_loss, str):  # such as a list, which nothing can look up
        return upgraded
    statistic, normalization = pairs.get(style_loss, pairs["wasserstein"])
    statistic = options.get("statistic", statistic)
    normalization = options.get("normalization", normalization)
    losses = None
    if isinstance(statistic, str) and isinstance(normalization, str):
        losses = _OLD_LOSSES.get((statistic, normalization))
    if losses is None:
        names = ", ".join(name for name, _ in _OLD_LOSSES.values())
        raise ValueError(
            f"`style_loss` must be one of {names}, got statistic {quote(statistic)} with "
            f"normalization {quote(normalization)}, the options of earlier versions; choose a "
            "style_loss"
        )
    upgraded["style_loss"] = losses[0]
    if "normalization" in options:
        upgraded["content_loss"] = losses[1]
    return upgraded


Side = Annotated[int, Field(ge=64, le=65_536)]


class StyleRecipe(Options):
    """How `stylize` paints: every option, its default, its range and what more of it does."""

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
    effort: Effort = "balanced"
    steps: AutoSteps = "auto"
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
    color_by: ColorBy = "luminance"
    style_scale: StyleScale = "fit"
    structure: float = Field(
        0.0,
        ge=0,
        le=1,
        description="how much more the content counts where the picture has edges and details, "
        "and less where it is plain; 0 counts all places alike, larger keeps faces and leaves "
        "skies to the style",
    )
    composition: float = Field(
        0.0,
        ge=0,
        le=1,
        description="how much of what the style shows may come along, its moon or its faces, and "
        "where: 0 takes the brush and the colors alone, 1 whatever the statistics of small "
        "pictures hold",
    )
    content_layers: ContentLayers = CONTENT_LAYERS
    style_layers: StyleLayers = STYLE_LAYERS
    content_weight: ContentWeight = 0.2
    style_weight: StyleWeight = 1.0
    tv_weight: TVWeight = 0.0
    style_loss: StyleLoss = "wasserstein"
    content_loss: ContentLoss = "relative"
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

    OLD_OPTIONS: ClassVar = OLD_LOSS_OPTIONS
    _upgrade = model_validator(mode="before")(upgrade_loss_options)

    @property
    def gives_content_back(self) -> bool:
        """True if the main dial is at 0, where the content image is returned unchanged."""
        return self.strength == 0 and self.init in ("content", "recolored")


class FilmRecipe(StyleRecipe):
    """How `film` paints: the options of `StyleRecipe`, and those of a film alone."""

    init: Literal["content", "recolored", "noise"] = Field(
        "recolored",
        description="what the first frame of each scene starts as: the frame, the frame in the "
        "style's colors, or random noise",
    )
    denoise: Literal["no"] = Field("no", description="frames are painted as they are")
    engine: Literal["auto", "painted", "keyed"] = Field(
        "auto",
        description="`painted` paints each frame a little, from the last one; `keyed` paints "
        "keyframes and carries them to the frames between, which is many times as fast; `auto` "
        "takes `painted` for films that are short and small",
    )
    keys_every: Annotated[int, Field(ge=2, le=250)] | Literal["auto"] = Field(
        "auto",
        description="frames from one keyframe to the next with engine `keyed`; fewer follow the "
        "clip more closely and take longer; `auto` goes by the motion",
    )
    crossfade: int = Field(
        25,
        ge=0,
        le=100,
        description="frames over which styles that begin later take the place of those before; 0 "
        "changes them at once",
    )
    temporal_weight: float = Field(
        100.0,
        ge=0,
        le=MAX_WEIGHT,
        description="how much a frame holds on to the last one along the motion; larger flickers "
        "less and lets fewer new strokes in",
    )
    frame_evaluations: int = Field(
        6,
        ge=1,
        le=1000,
        description="evaluations of each frame but the first of a scene; more paints each frame "
        "anew and takes longer in proportion",
    )
    range: ClipRange = Field(
        "whole",
        description="paint a part: from A up to B, in frames, or in seconds with an s; B may be "
        "left out",
    )
    rate: FrameRate = Field(
        "auto",
        description="frames a second of the film; `auto` keeps the clip's, and takes 25 for "
        "numbered frames",
    )


class FitRecipe(Options):
    """How `fit` teaches a small network to paint: the losses of `StyleRecipe`, and its training."""

    version: Literal[1] = Field(1, description="version of this recipe's format")
    strength: float = Field(
        0.5,
        ge=0,
        le=1,
        description="the main dial: 0 leaves the pictures as they are, 1 only the style; 0.5 uses "
        "the content and style weights as they stand",
    )
    size: Annotated[int, Field(ge=64, le=4096)] = Field(
        384,
        description="longer side that the pictures are painted at while it learns; the strokes of "
        "the model stay as large, in pixels, at every size that it paints later",
    )
    steps: Annotated[int, Field(ge=1, le=100_000)] = Field(
        800,
        description="pictures painted while it learns, at most; more comes closer to an optimized "
        "picture and takes longer in proportion",
    )
    content_layers: ContentLayers = CONTENT_LAYERS
    style_layers: StyleLayers = STYLE_LAYERS
    content_weight: ContentWeight = 0.12
    style_weight: StyleWeight = 1.0
    tv_weight: TVWeight = 0.0
    style_loss: StyleLoss = "wasserstein"
    content_loss: ContentLoss = "relative"
    pooling: Pooling = "max"
    padding: Padding = "replicate"
    learning_rate: LearningRate = 0.002
    weights: Weights = "oxford"
    seed: Seed = 0
    device: Device = "auto"
    precision: Precision = "auto"


class ApplyRecipe(Options):
    """How a fitted model paints a picture."""

    version: Literal[1] = Field(1, description="version of this recipe's format")
    size: Size = "original"
    amount: float = Field(
        1.0,
        ge=0,
        le=1,
        description="how much of the painting: 0 gives the picture back, 1 the painting alone, "
        "between them a mixture",
    )
    color: float = Field(
        1.0,
        ge=0,
        le=1,
        description="whose colors: 0 keeps the picture's, 1 takes the style's, between them a "
        "mixture",
    )
    color_by: ColorBy = "luminance"
    seed: Seed = 0
    device: Device = "auto"


class ReconstructRecipe(Options):
    """How `reconstruct` rebuilds a picture from what one layer of the network saw of it."""

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


class TextureRecipe(Options):
    """How `texture` makes a picture out of a style alone."""

    version: Literal[1] = Field(1, description="version of this recipe's format")
    width: Side = Field(512, description="width of the texture in pixels")
    height: Side = Field(512, description="height of the texture in pixels")
    tileable: bool = Field(
        False,
        description="make its borders fit each other, so that it can be laid side by side without "
        "a seam",
    )
    effort: Effort = "balanced"
    steps: AutoSteps = "auto"
    scales: Scales = 0
    style_layers: StyleLayers = STYLE_LAYERS
    style_scale: StyleScale = "fit"
    style_loss: StyleLoss = "wasserstein"
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

    OLD_OPTIONS: ClassVar = ("statistic",)
    _upgrade = model_validator(mode="before")(upgrade_loss_options)


_Start = Annotated[int, Field(ge=0, lt=2**31)]
_Length = Annotated[int, Field(ge=1, lt=2**31)]


class DenoiseRecipe(Options):
    """How `denoise` cleans a picture: every option, its default, its range and effect."""

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
    detail: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of the texture in what was taken away that is given back, where it "
        "looks like the picture's own and not like noise; larger keeps more of cloth, hair and "
        "grass, with a little noise in them",
    )
    sigma: Annotated[float, Field(gt=0, le=MAX_SIGMA)] | Literal["auto"] = Field(
        "auto",
        description="standard deviation of the noise where it is known, 1 being white (in float "
        "data, the data's own numbers); larger smooths more; `auto` measures it, as it is in the "
        "dark and in the light",
    )
    specks: Literal["auto", "on", "off"] = Field(
        "auto",
        description="single pixels that are no part of the picture, such as hot and dead ones, "
        "salt and pepper: `auto` replaces those that can be told from the picture's own dots, `on` "
        "all that stand out alone, stars of a single pixel too, `off` none",
    )
    stripes: Literal["auto", "off"] = Field(
        "auto",
        description="dead and stuck rows and columns, and an offset of its own in each row or "
        "column: `auto` takes them away where they are told, `off` leaves them",
    )
    axes: Annotated[str, Field(pattern="^[A-Z]{2,}$")] | Literal["auto"] = Field(
        "auto",
        description="what the axes of measured data are, a letter each, such as TZCYX: Y and X "
        "lie in a plane, C and S are channels, all others count planes; `auto` reads them from "
        "the file",
    )
    crop: tuple[_Start, _Start, _Length, _Length] | Literal["whole"] = Field(
        "whole",
        description="clean a part alone, as it is in the whole picture: column and row of its "
        "upper left corner, width and height, in pixels; `whole` is all of it",
    )
    across: Annotated[str, Field(pattern="^[A-Z]$")] | Literal["auto", "none"] = Field(
        "auto",
        description="axis of measured data along which neighboring planes help each other, such as "
        "T or Z; more detail is kept where they show the same thing, still or moving; `none` does "
        "each plane by itself; `auto` compares some of them and decides",
    )
    joint: bool = Field(
        False,
        description="fit all planes of a stack together, where each shows the same noise, instead "
        "of each by itself",
    )
    seed: Seed = 0
    device: Device = "auto"
    memory: Annotated[float, Field(gt=0, le=MAX_GIB)] | Literal["auto"] = Field(
        "auto",
        description="most memory the whole process may take, in GiB (2^30 bytes); nl-wiener works "
        "in bands of rows within it, and what needs more is refused before it is filtered; `auto` "
        "is what is free",
    )

    @property
    def part(self) -> tuple[slice, slice] | None:
        """Rows and columns of `crop`; None for the whole picture."""
        if self.crop == "whole":
            return None
        left, top, width, height = self.crop
        return slice(top, top + height), slice(left, left + width)


class ClipRecipe(DenoiseRecipe):
    """How `denoise_clip` cleans a film: the options of `DenoiseRecipe`, and those of a clip."""

    method: Literal["auto", "nl-wiener"] = Field(
        "auto", description="`nl-wiener`, the one for frames that help each other, is `auto`, too"
    )
    axes: Literal["auto"] = Field("auto", description="a clip has none to name")
    crop: Literal["whole"] = Field("whole", description="frames are cleaned whole")
    across: Literal["auto", "T", "none"] = Field(
        "auto",
        description="which frames help each other: `auto` those of a scene, `T` all, whatever they "
        "show, `none` does each frame by itself",
    )
    joint: Literal[True] = Field(True, description="the frames of a scene share their noise")
    range: ClipRange = Field(
        "whole",
        description="clean a part of a film: from A up to B, in frames, or in seconds with an s; B "
        "may be left out",
    )
    rate: FrameRate = Field(
        "auto",
        description="frames a second of the cleaned film; `auto` keeps the clip's, and takes 25 "
        "for numbered frames",
    )
