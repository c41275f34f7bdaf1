"""The options of each function with their types, for editors and type checkers alone.

Made from the recipes by docs/make_types.py; the library itself never imports it.

Example:
    >>> from impasto.options import DenoiseOptions
    >>> mine: DenoiseOptions = {"strength": 0.5, "specks": "off"}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypedDict

Layer = Literal[
    "conv1_1",
    "relu1_1",
    "conv1_2",
    "relu1_2",
    "conv2_1",
    "relu2_1",
    "conv2_2",
    "relu2_2",
    "conv3_1",
    "relu3_1",
    "conv3_2",
    "relu3_2",
    "conv3_3",
    "relu3_3",
    "conv3_4",
    "relu3_4",
    "conv4_1",
    "relu4_1",
    "conv4_2",
    "relu4_2",
    "conv4_3",
    "relu4_3",
    "conv4_4",
    "relu4_4",
    "conv5_1",
    "relu5_1",
    "conv5_2",
    "relu5_2",
    "conv5_3",
    "relu5_3",
    "conv5_4",
    "relu5_4",
]


class StyleOptions(TypedDict, total=False):
    """Options of `StyleRecipe`, all of which may be left out."""

    preset: str
    """the named preset these options started from [a text; default default]"""
    strength: float
    """the main dial: 0 gives the content image back, 1 only the style; 0.5 uses the content and
    style weights as they stand [a number from 0 to 1; default 0.5]"""
    size: int | Literal["original"]
    """longer side of the output in pixels, or `original` for the content's own; larger shows finer
    strokes and takes longer in proportion to the pixels [a whole number from 16 to 65536 or
    `original`; default 512]"""
    effort: Literal["quick", "balanced", "best"]
    """how long to try where `steps` is auto: quick takes a third of the time and paints bolder
    strokes, balanced is what most want, best takes the loss further down [one of quick, balanced,
    best; default balanced]"""
    steps: int | Literal["auto"]
    """evaluations of the loss and its gradient in the whole run, shared over the scales; more
    lowers the loss further and takes longer in proportion; `auto` spends on each scale what the
    effort allows, and ends it when the loss no longer falls [a whole number from 1 to 100000 or
    `auto`; default auto]"""
    scales: int
    """sizes the picture is painted at, each twice the last; 0 starts near 128 pixels; more lays
    down larger shapes first [a whole number from 0 to 16; default 0]"""
    init: Literal["content", "recolored", "noise", "picture"]
    """what the picture starts as: the content image, the content image in the style's colors,
    random noise, or a picture of your own [one of content, recolored, noise, picture; default
    recolored]"""
    color: float
    """whose colors: 0 keeps the content image's, 1 takes the style's, between them a mixture [a
    number from 0 to 1; default 1.0]"""
    color_by: Literal["luminance", "statistics"]
    """how colors are kept where `color` is below 1: `luminance` paints the light alone and keeps
    each place's own color, `statistics` paints with a style image that has the content image's
    palette [one of luminance, statistics; default luminance]"""
    style_scale: float | Literal["fit"]
    """how large the strokes are, in pixels, whatever the output's size: 1 is as on a painting of
    512 pixels, larger is broader; `fit` makes them grow with the output, so that a painting looks
    the same at every size [a number above 0 and of at most 8 or `fit`; default fit]"""
    structure: float
    """how much more the content counts where the picture has edges and details, and less where it
    is plain; 0 counts all places alike, larger keeps faces and leaves skies to the style [a number
    from 0 to 1; default 0.0]"""
    composition: float
    """how much of what the style shows may come along, its moon or its faces, and where: 0 takes
    the brush and the colors alone, 1 whatever the statistics of small pictures hold [a number from
    0 to 1; default 0.0]"""
    content_layers: Mapping[Layer, float]
    """layers whose features are kept, each with its share; deeper keeps meaning, shallower keeps
    pixels [layer names with their weights; default {'relu4_2': 1.0}]"""
    style_layers: Mapping[Layer, float]
    """layers whose statistics are matched, each with its share; deeper matches larger shapes,
    shallower matches color and grain [layer names with their weights; default {'relu1_1': 1.0,
    'relu2_1': 1.0, 'relu3_1': 1.0, 'relu4_1': 1.0, 'relu5_1': 1.0}]"""
    content_weight: float
    """weight of the content loss; larger keeps more of the subject [a number from 0 to 1e9; default
    0.2]"""
    style_weight: float
    """weight of the style loss; larger takes more of the style [a number from 0 to 1e9; default
    1.0]"""
    tv_weight: float
    """weight of the total variation, the mean squared difference of neighbors; larger gives a
    smoother surface [a number from 0 to 1e9; default 0.0]"""
    style_loss: Literal["wasserstein", "gram", "gram+mean+std", "gram-paper", "gram-notebook"]
    """what of the style is matched: the Wasserstein distance between feature Gaussians, Gram
    matrices, Gram matrices with the means and deviations of the channels, each relative to the
    style's own; or Gram matrices by the constants of Gatys et al., or as mean squared errors [one
    of wasserstein, gram, gram+mean+std, gram-paper, gram-notebook; default wasserstein]"""
    content_loss: Literal["relative", "paper", "mse"]
    """how the content loss is scaled: by the content's own norm (one weight suits every picture and
    size), as in Gatys et al., or as a mean squared error [one of relative, paper, mse; default
    relative]"""
    denoise: Literal["no", "before", "after", "both"]
    """clean noise away: out of the content image before it is painted, out of the painting after,
    or both; leaves smoother surfaces and takes longer [one of no, before, after, both; default
    no]"""
    warmup: float
    """where Gram matrices are matched: share of the finest size's steps, beside all at coarser
    ones, that minimize the better conditioned Wasserstein distance first; 0 minimizes the Gram loss
    itself from the start, which falls more slowly [a number from 0 to 1; default 0.75]"""
    pooling: Literal["max", "average"]
    """pooling in the network; average gives smoother, softer strokes [one of max, average; default
    max]"""
    padding: Literal["zeros", "replicate"]
    """what the first convolution sees beyond the border; zeros is the published network and can
    leave a frame, replicate does not [one of zeros, replicate; default replicate]"""
    optimizer: Literal["lbfgs", "adam", "lbfgs-clamped"]
    """lbfgs is L-BFGS projected onto [0, 1]; lbfgs-clamped is the notebook's, clamping pixels
    inside each evaluation; adam needs the least memory [one of lbfgs, adam, lbfgs-clamped; default
    lbfgs]"""
    learning_rate: float
    """step length of adam; larger moves faster and less steadily [a number above 0 and of at most
    10; default 0.02]"""
    history: int
    """curvature pairs L-BFGS remembers; each costs a picture of memory [a whole number from 1 to
    1000; default 10]"""
    weights: str
    """VGG-19 weights: `oxford` (the original network, offline), `torchvision` (downloaded once), or
    a .safetensors or .pth file [a text; default oxford]"""
    seed: int
    """seed of everything random; same seed, same picture [a whole number from 0 to 4294967295;
    default 0]"""
    device: str
    """where to compute: `auto`, `cpu`, `cuda`, `cuda:N` or `mps` [one of auto, cpu, cuda, cuda:N,
    mps; default auto]"""
    precision: Literal["auto", "float32", "bfloat16"]
    """number format of the convolutions; losses and optimiser are always float32; `auto` takes
    bfloat16 where a short probe finds it faster [one of auto, float32, bfloat16; default auto]"""
    memory: float | Literal["auto"]
    """most memory the whole process may take, in GiB (2^30 bytes), on a GPU the GPU's; `auto` is
    what is free, less a reserve; smaller paints in smaller tiles, which takes up to twice as long
    and changes nothing but rounding, and where even that is too much L-BFGS remembers less [a
    number above 0 and of at most 1e6 or `auto`; default auto]"""
    tiles: Sequence[int] | Literal["auto"]
    """side of the tiles that pictures are computed in, in pixels, 0 for whole: one number, or one a
    scale; `auto` chooses by the memory, and is settled in the recipe that a picture carries, since
    other tiles round otherwise [one or more numbers, a whole number from 0 to 65536 or `auto`;
    default auto]"""


class TextureOptions(TypedDict, total=False):
    """Options of `TextureRecipe`, all of which may be left out."""

    width: int
    """width of the texture in pixels [a whole number from 64 to 65536; default 512]"""
    height: int
    """height of the texture in pixels [a whole number from 64 to 65536; default 512]"""
    tileable: bool
    """make its borders fit each other, so that it can be laid side by side without a seam [default
    False]"""
    effort: Literal["quick", "balanced", "best"]
    """how long to try where `steps` is auto: quick takes a third of the time and paints bolder
    strokes, balanced is what most want, best takes the loss further down [one of quick, balanced,
    best; default balanced]"""
    steps: int | Literal["auto"]
    """evaluations of the loss and its gradient in the whole run, shared over the scales; more
    lowers the loss further and takes longer in proportion; `auto` spends on each scale what the
    effort allows, and ends it when the loss no longer falls [a whole number from 1 to 100000 or
    `auto`; default auto]"""
    scales: int
    """sizes the picture is painted at, each twice the last; 0 starts near 128 pixels; more lays
    down larger shapes first [a whole number from 0 to 16; default 0]"""
    style_layers: Mapping[Layer, float]
    """layers whose statistics are matched, each with its share; deeper matches larger shapes,
    shallower matches color and grain [layer names with their weights; default {'relu1_1': 1.0,
    'relu2_1': 1.0, 'relu3_1': 1.0, 'relu4_1': 1.0, 'relu5_1': 1.0}]"""
    style_scale: float | Literal["fit"]
    """how large the strokes are, in pixels, whatever the output's size: 1 is as on a painting of
    512 pixels, larger is broader; `fit` makes them grow with the output, so that a painting looks
    the same at every size [a number above 0 and of at most 8 or `fit`; default fit]"""
    style_loss: Literal["wasserstein", "gram", "gram+mean+std", "gram-paper", "gram-notebook"]
    """what of the style is matched: the Wasserstein distance between feature Gaussians, Gram
    matrices, Gram matrices with the means and deviations of the channels, each relative to the
    style's own; or Gram matrices by the constants of Gatys et al., or as mean squared errors [one
    of wasserstein, gram, gram+mean+std, gram-paper, gram-notebook; default wasserstein]"""
    tv_weight: float
    """weight of the total variation, the mean squared difference of neighbors; larger gives a
    smoother surface [a number from 0 to 1e9; default 0.0]"""
    warmup: float
    """where Gram matrices are matched: share of the finest size's steps, beside all at coarser
    ones, that minimize the better conditioned Wasserstein distance first; 0 minimizes the Gram loss
    itself from the start, which falls more slowly [a number from 0 to 1; default 0.75]"""
    pooling: Literal["max", "average"]
    """pooling in the network; average gives smoother, softer strokes [one of max, average; default
    max]"""
    padding: Literal["zeros", "replicate"]
    """what the first convolution sees beyond the border; zeros is the published network and can
    leave a frame, replicate does not [one of zeros, replicate; default replicate]"""
    optimizer: Literal["lbfgs", "adam", "lbfgs-clamped"]
    """lbfgs is L-BFGS projected onto [0, 1]; lbfgs-clamped is the notebook's, clamping pixels
    inside each evaluation; adam needs the least memory [one of lbfgs, adam, lbfgs-clamped; default
    lbfgs]"""
    learning_rate: float
    """step length of adam; larger moves faster and less steadily [a number above 0 and of at most
    10; default 0.02]"""
    history: int
    """curvature pairs L-BFGS remembers; each costs a picture of memory [a whole number from 1 to
    1000; default 10]"""
    weights: str
    """VGG-19 weights: `oxford` (the original network, offline), `torchvision` (downloaded once), or
    a .safetensors or .pth file [a text; default oxford]"""
    seed: int
    """seed of everything random; same seed, same picture [a whole number from 0 to 4294967295;
    default 0]"""
    device: str
    """where to compute: `auto`, `cpu`, `cuda`, `cuda:N` or `mps` [one of auto, cpu, cuda, cuda:N,
    mps; default auto]"""
    precision: Literal["auto", "float32", "bfloat16"]
    """number format of the convolutions; losses and optimiser are always float32; `auto` takes
    bfloat16 where a short probe finds it faster [one of auto, float32, bfloat16; default auto]"""
    memory: float | Literal["auto"]
    """most memory the whole process may take, in GiB (2^30 bytes), on a GPU the GPU's; `auto` is
    what is free, less a reserve; smaller paints in smaller tiles, which takes up to twice as long
    and changes nothing but rounding, and where even that is too much L-BFGS remembers less [a
    number above 0 and of at most 1e6 or `auto`; default auto]"""
    tiles: Sequence[int] | Literal["auto"]
    """side of the tiles that pictures are computed in, in pixels, 0 for whole: one number, or one a
    scale; `auto` chooses by the memory, and is settled in the recipe that a picture carries, since
    other tiles round otherwise [one or more numbers, a whole number from 0 to 65536 or `auto`;
    default auto]"""


class ReconstructOptions(TypedDict, total=False):
    """Options of `ReconstructRecipe`, all of which may be left out."""

    layer: Layer
    """the layer to rebuild from; deeper layers keep less of the pixels [one of conv1_1, relu1_1,
    conv1_2, relu1_2, conv2_1, relu2_1, conv2_2, relu2_2, conv3_1, relu3_1, conv3_2, relu3_2,
    conv3_3, relu3_3, conv3_4, relu3_4, conv4_1, relu4_1, conv4_2, relu4_2, conv4_3, relu4_3,
    conv4_4, relu4_4, conv5_1, relu5_1, conv5_2, relu5_2, conv5_3, relu5_3, conv5_4, relu5_4;
    default conv4_1]"""
    kind: Literal["content", "texture"]
    """rebuild the content from the layer's features, or a texture from the statistics of the first
    layer of each block up to it [one of content, texture; default content]"""
    size: int | Literal["original"]
    """longer side of the output in pixels, or `original` for the content's own; larger shows finer
    strokes and takes longer in proportion to the pixels [a whole number from 16 to 65536 or
    `original`; default 256]"""
    steps: int
    """evaluations of the loss and its gradient in the whole run, shared over the scales; more
    lowers the loss further and takes longer in proportion [a whole number from 1 to 100000; default
    300]"""
    tv_weight: float
    """weight of the total variation, the mean squared difference of neighbors; larger gives a
    smoother surface [a number from 0 to 1e9; default 0.0]"""
    pooling: Literal["max", "average"]
    """pooling in the network; average gives smoother, softer strokes [one of max, average; default
    max]"""
    padding: Literal["zeros", "replicate"]
    """what the first convolution sees beyond the border; zeros is the published network and can
    leave a frame, replicate does not [one of zeros, replicate; default replicate]"""
    optimizer: Literal["lbfgs", "adam", "lbfgs-clamped"]
    """lbfgs is L-BFGS projected onto [0, 1]; lbfgs-clamped is the notebook's, clamping pixels
    inside each evaluation; adam needs the least memory [one of lbfgs, adam, lbfgs-clamped; default
    lbfgs]"""
    learning_rate: float
    """step length of adam; larger moves faster and less steadily [a number above 0 and of at most
    10; default 0.02]"""
    history: int
    """curvature pairs L-BFGS remembers; each costs a picture of memory [a whole number from 1 to
    1000; default 10]"""
    weights: str
    """VGG-19 weights: `oxford` (the original network, offline), `torchvision` (downloaded once), or
    a .safetensors or .pth file [a text; default oxford]"""
    seed: int
    """seed of everything random; same seed, same picture [a whole number from 0 to 4294967295;
    default 0]"""
    device: str
    """where to compute: `auto`, `cpu`, `cuda`, `cuda:N` or `mps` [one of auto, cpu, cuda, cuda:N,
    mps; default auto]"""
    precision: Literal["auto", "float32", "bfloat16"]
    """number format of the convolutions; losses and optimiser are always float32; `auto` takes
    bfloat16 where a short probe finds it faster [one of auto, float32, bfloat16; default auto]"""
    memory: float | Literal["auto"]
    """most memory the whole process may take, in GiB (2^30 bytes), on a GPU the GPU's; `auto` is
    what is free, less a reserve; smaller paints in smaller tiles, which takes up to twice as long
    and changes nothing but rounding, and where even that is too much L-BFGS remembers less [a
    number above 0 and of at most 1e6 or `auto`; default auto]"""
    tiles: Sequence[int] | Literal["auto"]
    """side of the tiles that pictures are computed in, in pixels, 0 for whole: one number, or one a
    scale; `auto` chooses by the memory, and is settled in the recipe that a picture carries, since
    other tiles round otherwise [one or more numbers, a whole number from 0 to 65536 or `auto`;
    default auto]"""


class DenoiseOptions(TypedDict, total=False):
    """Options of `DenoiseRecipe`, all of which may be left out."""

    method: Literal["auto", "nl-wiener", "zs-n2n", "zs-n2n-fast"]
    """`nl-wiener` filters patches that look alike together, `zs-n2n` trains a small network on the
    picture as published, `zs-n2n-fast` the same in a fraction of the time; `auto` looks at the
    noise and decides [one of auto, nl-wiener, zs-n2n, zs-n2n-fast; default auto]"""
    effort: Literal["quick", "balanced", "best"]
    """how long to try; more gives a little less noise [one of quick, balanced, best; default
    balanced]"""
    strength: float
    """share of the noise found that is taken away [a number from 0 to 1; default 1.0]"""
    chroma: float | Literal["same"]
    """the same for the noise in the colors alone; `same` is the strength; larger leaves fewer
    colored specks [a number from 0 to 1 or `same`; default same]"""
    detail: float
    """share of the texture in what was taken away that is given back, where it looks like the
    picture's own and not like noise; larger keeps more of cloth, hair and grass, with a little
    noise in them [a number from 0 to 1; default 0.0]"""
    sigma: float | Literal["auto"]
    """standard deviation of the noise where it is known, 1 being white (in float data, the data's
    own numbers); larger smooths more; `auto` measures it, as it is in the dark and in the light [a
    number above 0 and of at most 1e12 or `auto`; default auto]"""
    specks: Literal["auto", "on", "off"]
    """single pixels that are no part of the picture, such as hot and dead ones, salt and pepper:
    `auto` replaces those that can be told from the picture's own dots, `on` all that stand out
    alone, stars of a single pixel too, `off` none [one of auto, on, off; default auto]"""
    stripes: Literal["auto", "off"]
    """dead and stuck rows and columns, and an offset of its own in each row or column: `auto` takes
    them away where they are told, `off` leaves them [one of auto, off; default auto]"""
    axes: str | Literal["auto"]
    """what the axes of measured data are, a letter each, such as TZCYX: Y and X lie in a plane, C
    and S are channels, all others count planes; `auto` reads them from the file [capital letters or
    `auto`; default auto]"""
    crop: tuple[int, int, int, int] | Literal["whole"]
    """clean a part alone, as it is in the whole picture: column and row of its upper left corner,
    width and height, in pixels; `whole` is all of it [4 whole numbers or `whole`; default whole]"""
    across: str | Literal["auto", "none"]
    """axis of measured data along which neighboring planes help each other, such as T or Z; more
    detail is kept where they show the same thing, still or moving; `none` does each plane by
    itself; `auto` compares some of them and decides [a capital letter or one of auto, none; default
    auto]"""
    joint: bool
    """fit all planes of a stack together, where each shows the same noise, instead of each by
    itself [default False]"""
    seed: int
    """seed of everything random; same seed, same picture [a whole number from 0 to 4294967295;
    default 0]"""
    device: str
    """where to compute: `auto`, `cpu`, `cuda`, `cuda:N` or `mps` [one of auto, cpu, cuda, cuda:N,
    mps; default auto]"""
    memory: float | Literal["auto"]
    """most memory the whole process may take, in GiB (2^30 bytes); nl-wiener works in bands of rows
    within it, and what needs more is refused before it is filtered; `auto` is what is free [a
    number above 0 and of at most 1e6 or `auto`; default auto]"""


class ApplyOptions(TypedDict, total=False):
    """Options of `ApplyRecipe`, all of which may be left out."""

    size: int | Literal["original"]
    """longer side of the output in pixels, or `original` for the content's own; larger shows finer
    strokes and takes longer in proportion to the pixels [a whole number from 16 to 65536 or
    `original`; default original]"""
    amount: float
    """how much of the painting: 0 gives the picture back, 1 the painting alone, between them a
    mixture [a number from 0 to 1; default 1.0]"""
    color: float
    """whose colors: 0 keeps the picture's, 1 takes the style's, between them a mixture [a number
    from 0 to 1; default 1.0]"""
    color_by: Literal["luminance", "statistics"]
    """how colors are kept where `color` is below 1: `luminance` paints the light alone and keeps
    each place's own color, `statistics` paints with a style image that has the content image's
    palette [one of luminance, statistics; default luminance]"""
    seed: int
    """seed of everything random; same seed, same picture [a whole number from 0 to 4294967295;
    default 0]"""
    device: str
    """where to compute: `auto`, `cpu`, `cuda`, `cuda:N` or `mps` [one of auto, cpu, cuda, cuda:N,
    mps; default auto]"""


class FilmOptions(TypedDict, total=False):
    """Options of `FilmRecipe`, all of which may be left out."""

    preset: str
    """the named preset these options started from [a text; default default]"""
    strength: float
    """the main dial: 0 gives the content image back, 1 only the style; 0.5 uses the content and
    style weights as they stand [a number from 0 to 1; default 0.5]"""
    size: int | Literal["original"]
    """longer side of the output in pixels, or `original` for the content's own; larger shows finer
    strokes and takes longer in proportion to the pixels [a whole number from 16 to 65536 or
    `original`; default 512]"""
    effort: Literal["quick", "balanced", "best"]
    """how long to try where `steps` is auto: quick takes a third of the time and paints bolder
    strokes, balanced is what most want, best takes the loss further down [one of quick, balanced,
    best; default balanced]"""
    steps: int | Literal["auto"]
    """evaluations of the loss and its gradient in the whole run, shared over the scales; more
    lowers the loss further and takes longer in proportion; `auto` spends on each scale what the
    effort allows, and ends it when the loss no longer falls [a whole number from 1 to 100000 or
    `auto`; default auto]"""
    scales: int
    """sizes the picture is painted at, each twice the last; 0 starts near 128 pixels; more lays
    down larger shapes first [a whole number from 0 to 16; default 0]"""
    init: Literal["content", "recolored", "noise"]
    """what the first frame of each scene starts as: the frame, the frame in the style's colors, or
    random noise [one of content, recolored, noise; default recolored]"""
    color: float
    """whose colors: 0 keeps the content image's, 1 takes the style's, between them a mixture [a
    number from 0 to 1; default 1.0]"""
    color_by: Literal["luminance", "statistics"]
    """how colors are kept where `color` is below 1: `luminance` paints the light alone and keeps
    each place's own color, `statistics` paints with a style image that has the content image's
    palette [one of luminance, statistics; default luminance]"""
    style_scale: float | Literal["fit"]
    """how large the strokes are, in pixels, whatever the output's size: 1 is as on a painting of
    512 pixels, larger is broader; `fit` makes them grow with the output, so that a painting looks
    the same at every size [a number above 0 and of at most 8 or `fit`; default fit]"""
    structure: float
    """how much more the content counts where the picture has edges and details, and less where it
    is plain; 0 counts all places alike, larger keeps faces and leaves skies to the style [a number
    from 0 to 1; default 0.0]"""
    composition: float
    """how much of what the style shows may come along, its moon or its faces, and where: 0 takes
    the brush and the colors alone, 1 whatever the statistics of small pictures hold [a number from
    0 to 1; default 0.0]"""
    content_layers: Mapping[Layer, float]
    """layers whose features are kept, each with its share; deeper keeps meaning, shallower keeps
    pixels [layer names with their weights; default {'relu4_2': 1.0}]"""
    style_layers: Mapping[Layer, float]
    """layers whose statistics are matched, each with its share; deeper matches larger shapes,
    shallower matches color and grain [layer names with their weights; default {'relu1_1': 1.0,
    'relu2_1': 1.0, 'relu3_1': 1.0, 'relu4_1': 1.0, 'relu5_1': 1.0}]"""
    content_weight: float
    """weight of the content loss; larger keeps more of the subject [a number from 0 to 1e9; default
    0.2]"""
    style_weight: float
    """weight of the style loss; larger takes more of the style [a number from 0 to 1e9; default
    1.0]"""
    tv_weight: float
    """weight of the total variation, the mean squared difference of neighbors; larger gives a
    smoother surface [a number from 0 to 1e9; default 0.0]"""
    style_loss: Literal["wasserstein", "gram", "gram+mean+std", "gram-paper", "gram-notebook"]
    """what of the style is matched: the Wasserstein distance between feature Gaussians, Gram
    matrices, Gram matrices with the means and deviations of the channels, each relative to the
    style's own; or Gram matrices by the constants of Gatys et al., or as mean squared errors [one
    of wasserstein, gram, gram+mean+std, gram-paper, gram-notebook; default wasserstein]"""
    content_loss: Literal["relative", "paper", "mse"]
    """how the content loss is scaled: by the content's own norm (one weight suits every picture and
    size), as in Gatys et al., or as a mean squared error [one of relative, paper, mse; default
    relative]"""
    denoise: Literal["no"]
    """frames are painted as they are [`no`; default no]"""
    warmup: float
    """where Gram matrices are matched: share of the finest size's steps, beside all at coarser
    ones, that minimize the better conditioned Wasserstein distance first; 0 minimizes the Gram loss
    itself from the start, which falls more slowly [a number from 0 to 1; default 0.75]"""
    pooling: Literal["max", "average"]
    """pooling in the network; average gives smoother, softer strokes [one of max, average; default
    max]"""
    padding: Literal["zeros", "replicate"]
    """what the first convolution sees beyond the border; zeros is the published network and can
    leave a frame, replicate does not [one of zeros, replicate; default replicate]"""
    optimizer: Literal["lbfgs", "adam", "lbfgs-clamped"]
    """lbfgs is L-BFGS projected onto [0, 1]; lbfgs-clamped is the notebook's, clamping pixels
    inside each evaluation; adam needs the least memory [one of lbfgs, adam, lbfgs-clamped; default
    lbfgs]"""
    learning_rate: float
    """step length of adam; larger moves faster and less steadily [a number above 0 and of at most
    10; default 0.02]"""
    history: int
    """curvature pairs L-BFGS remembers; each costs a picture of memory [a whole number from 1 to
    1000; default 10]"""
    weights: str
    """VGG-19 weights: `oxford` (the original network, offline), `torchvision` (downloaded once), or
    a .safetensors or .pth file [a text; default oxford]"""
    seed: int
    """seed of everything random; same seed, same picture [a whole number from 0 to 4294967295;
    default 0]"""
    device: str
    """where to compute: `auto`, `cpu`, `cuda`, `cuda:N` or `mps` [one of auto, cpu, cuda, cuda:N,
    mps; default auto]"""
    precision: Literal["auto", "float32", "bfloat16"]
    """number format of the convolutions; losses and optimiser are always float32; `auto` takes
    bfloat16 where a short probe finds it faster [one of auto, float32, bfloat16; default auto]"""
    memory: float | Literal["auto"]
    """most memory the whole process may take, in GiB (2^30 bytes), on a GPU the GPU's; `auto` is
    what is free, less a reserve; smaller paints in smaller tiles, which takes up to twice as long
    and changes nothing but rounding, and where even that is too much L-BFGS remembers less [a
    number above 0 and of at most 1e6 or `auto`; default auto]"""
    tiles: Sequence[int] | Literal["auto"]
    """side of the tiles that pictures are computed in, in pixels, 0 for whole: one number, or one a
    scale; `auto` chooses by the memory, and is settled in the recipe that a picture carries, since
    other tiles round otherwise [one or more numbers, a whole number from 0 to 65536 or `auto`;
    default auto]"""
    engine: Literal["auto", "painted", "keyed"]
    """`painted` paints each frame a little, from the last one; `keyed` paints keyframes and carries
    them to the frames between, which is many times as fast; `auto` takes `painted` for films that
    are short and small [one of auto, painted, keyed; default auto]"""
    keys_every: int | Literal["auto"]
    """frames from one keyframe to the next with engine `keyed`; fewer follow the clip more closely
    and take longer; `auto` goes by the motion [a whole number from 2 to 250 or `auto`; default
    auto]"""
    crossfade: int
    """frames over which styles that begin later take the place of those before; 0 changes them at
    once [a whole number from 0 to 100; default 25]"""
    temporal_weight: float
    """how much a frame holds on to the last one along the motion; larger flickers less and lets
    fewer new strokes in [a number from 0 to 1e9; default 100.0]"""
    frame_evaluations: int
    """evaluations of each frame but the first of a scene; more paints each frame anew and takes
    longer in proportion [a whole number from 1 to 1000; default 6]"""
    range: str
    """paint a part: from A up to B, in frames, or in seconds with an s; B may be left out [one of
    whole, A:B (frames from 0, or seconds such as 0s:10s); default whole]"""
    rate: float | Literal["auto"]
    """frames a second of the film; `auto` keeps the clip's, and takes 25 for numbered frames [a
    number from 0.01 to 1000 or `auto`; default auto]"""


class ClipOptions(TypedDict, total=False):
    """Options of `ClipRecipe`, all of which may be left out."""

    method: Literal["auto", "nl-wiener"]
    """`nl-wiener`, the one for frames that help each other, is `auto`, too [one of auto, nl-wiener;
    default auto]"""
    effort: Literal["quick", "balanced", "best"]
    """how long to try; more gives a little less noise [one of quick, balanced, best; default
    balanced]"""
    strength: float
    """share of the noise found that is taken away [a number from 0 to 1; default 1.0]"""
    chroma: float | Literal["same"]
    """the same for the noise in the colors alone; `same` is the strength; larger leaves fewer
    colored specks [a number from 0 to 1 or `same`; default same]"""
    detail: float
    """share of the texture in what was taken away that is given back, where it looks like the
    picture's own and not like noise; larger keeps more of cloth, hair and grass, with a little
    noise in them [a number from 0 to 1; default 0.0]"""
    sigma: float | Literal["auto"]
    """standard deviation of the noise where it is known, 1 being white (in float data, the data's
    own numbers); larger smooths more; `auto` measures it, as it is in the dark and in the light [a
    number above 0 and of at most 1e12 or `auto`; default auto]"""
    specks: Literal["auto", "on", "off"]
    """single pixels that are no part of the picture, such as hot and dead ones, salt and pepper:
    `auto` replaces those that can be told from the picture's own dots, `on` all that stand out
    alone, stars of a single pixel too, `off` none [one of auto, on, off; default auto]"""
    stripes: Literal["auto", "off"]
    """dead and stuck rows and columns, and an offset of its own in each row or column: `auto` takes
    them away where they are told, `off` leaves them [one of auto, off; default auto]"""
    axes: Literal["auto"]
    """a clip has none to name [`auto`; default auto]"""
    crop: Literal["whole"]
    """frames are cleaned whole [`whole`; default whole]"""
    across: Literal["auto", "T", "none"]
    """which frames help each other: `auto` those of a scene, `T` all, whatever they show, `none`
    does each frame by itself [one of auto, T, none; default auto]"""
    joint: Literal[True]
    """the frames of a scene share their noise [`True`; default True]"""
    seed: int
    """seed of everything random; same seed, same picture [a whole number from 0 to 4294967295;
    default 0]"""
    device: str
    """where to compute: `auto`, `cpu`, `cuda`, `cuda:N` or `mps` [one of auto, cpu, cuda, cuda:N,
    mps; default auto]"""
    memory: float | Literal["auto"]
    """most memory the whole process may take, in GiB (2^30 bytes); nl-wiener works in bands of rows
    within it, and what needs more is refused before it is filtered; `auto` is what is free [a
    number above 0 and of at most 1e6 or `auto`; default auto]"""
    range: str
    """clean a part of a film: from A up to B, in frames, or in seconds with an s; B may be left out
    [one of whole, A:B (frames from 0, or seconds such as 0s:10s); default whole]"""
    rate: float | Literal["auto"]
    """frames a second of the cleaned film; `auto` keeps the clip's, and takes 25 for numbered
    frames [a number from 0.01 to 1000 or `auto`; default auto]"""


class FitOptions(TypedDict, total=False):
    """Options of `FitRecipe`, all of which may be left out."""

    strength: float
    """the main dial: 0 leaves the pictures as they are, 1 only the style; 0.5 uses the content and
    style weights as they stand [a number from 0 to 1; default 0.5]"""
    size: int
    """longer side that the pictures are painted at while it learns; the strokes of the model stay
    as large, in pixels, at every size that it paints later [a whole number from 64 to 4096; default
    384]"""
    steps: int
    """pictures painted while it learns, at most; more comes closer to an optimized picture and
    takes longer in proportion [a whole number from 1 to 100000; default 800]"""
    content_layers: Mapping[Layer, float]
    """layers whose features are kept, each with its share; deeper keeps meaning, shallower keeps
    pixels [layer names with their weights; default {'relu4_2': 1.0}]"""
    style_layers: Mapping[Layer, float]
    """layers whose statistics are matched, each with its share; deeper matches larger shapes,
    shallower matches color and grain [layer names with their weights; default {'relu1_1': 1.0,
    'relu2_1': 1.0, 'relu3_1': 1.0, 'relu4_1': 1.0, 'relu5_1': 1.0}]"""
    content_weight: float
    """weight of the content loss; larger keeps more of the subject [a number from 0 to 1e9; default
    0.12]"""
    style_weight: float
    """weight of the style loss; larger takes more of the style [a number from 0 to 1e9; default
    1.0]"""
    tv_weight: float
    """weight of the total variation, the mean squared difference of neighbors; larger gives a
    smoother surface [a number from 0 to 1e9; default 0.0]"""
    style_loss: Literal["wasserstein", "gram", "gram+mean+std", "gram-paper", "gram-notebook"]
    """what of the style is matched: the Wasserstein distance between feature Gaussians, Gram
    matrices, Gram matrices with the means and deviations of the channels, each relative to the
    style's own; or Gram matrices by the constants of Gatys et al., or as mean squared errors [one
    of wasserstein, gram, gram+mean+std, gram-paper, gram-notebook; default wasserstein]"""
    content_loss: Literal["relative", "paper", "mse"]
    """how the content loss is scaled: by the content's own norm (one weight suits every picture and
    size), as in Gatys et al., or as a mean squared error [one of relative, paper, mse; default
    relative]"""
    pooling: Literal["max", "average"]
    """pooling in the network; average gives smoother, softer strokes [one of max, average; default
    max]"""
    padding: Literal["zeros", "replicate"]
    """what the first convolution sees beyond the border; zeros is the published network and can
    leave a frame, replicate does not [one of zeros, replicate; default replicate]"""
    learning_rate: float
    """step length of adam; larger moves faster and less steadily [a number above 0 and of at most
    10; default 0.002]"""
    weights: str
    """VGG-19 weights: `oxford` (the original network, offline), `torchvision` (downloaded once), or
    a .safetensors or .pth file [a text; default oxford]"""
    seed: int
    """seed of everything random; same seed, same picture [a whole number from 0 to 4294967295;
    default 0]"""
    device: str
    """where to compute: `auto`, `cpu`, `cuda`, `cuda:N` or `mps` [one of auto, cpu, cuda, cuda:N,
    mps; default auto]"""
    precision: Literal["auto", "float32", "bfloat16"]
    """number format of the convolutions; losses and optimiser are always float32; `auto` takes
    bfloat16 where a short probe finds it faster [one of auto, float32, bfloat16; default auto]"""
