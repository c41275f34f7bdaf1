"""The options that several recipes have: type, range, unit and direction of effect of each."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

# VGG-19: how many convolutions each of its five blocks has (Simonyan, Zisserman 2014, column E).
BLOCKS = (2, 2, 4, 4, 4)
LAYERS = tuple(
    f"{kind}{block}_{index}"
    for block, count in enumerate(BLOCKS, 1)
    for index in range(1, count + 1)
    for kind in ("conv", "relu")
)

Layer = Literal[LAYERS]  # type: ignore[valid-type]
LayerWeights = dict[Layer, Annotated[float, Field(ge=0)]]

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
Scales = Annotated[
    int,
    Field(
        ge=0,
        le=16,
        description="sizes the picture is painted at, each twice the last; 0 starts near 128 "
        "pixels; more lays down larger shapes first",
    ),
]
STYLE_LAYERS = {"relu1_1": 1.0, "relu2_1": 1.0, "relu3_1": 1.0, "relu4_1": 1.0, "relu5_1": 1.0}
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
        description="weight of the total variation, the mean squared difference of neighbors; "
        "larger gives a smoother surface",
    ),
]
Statistic = Annotated[
    Literal["gram", "gram+mean+std", "wasserstein"],
    Field(
        description="what of the style is matched: Gram matrices, Gram matrices with the means "
        "and deviations of the channels, or the Wasserstein distance between feature Gaussians",
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
        description="curvature pairs L-BFGS remembers; each costs two pictures of memory",
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
    Annotated[float, Field(gt=0)] | Literal["auto"],
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
