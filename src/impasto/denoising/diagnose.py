"""Name the noise of an image and the method that removes it: `diagnose`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from torch import Tensor
from torch.nn import functional as F

from impasto.denoising.estimate import estimate_noise
from impasto.denoising.halftone import find_halftone, is_periodic
from impasto.denoising.noise import Noise, rescale_noise
from impasto.denoising.plane_axis import choose_axis
from impasto.denoising.regions import RegionalNoise, estimate_regional_noise
from impasto.denoising.specks import Defects, find_defects
from impasto.denoising.stripes import find_stripes
from impasto.denoising.valid_pixels import ValueRange, fill_pixels, unmeasured_pixels, value_range
from impasto.denoising.wording import describe, summarize_planes, with_help
from impasto.denoising.working_channels import working_basis
from impasto.images.image import Image
from impasto.images.open_input import input_planes, open_input, plane_numbers
from impasto.images.read import ImageSource
from impasto.images.stack import Stack
from impasto.recipes import DenoiseRecipe
from impasto.result import REPAIR, Diagnosis, Kind
from impasto.validation import validate

if TYPE_CHECKING:
    from typing import Unpack

    from impasto.options import DenoiseOptions

SAMPLE_PLANES = 8  # that stand for a stack
_INVISIBLE_SIGMA = 0.5 / 255  # of the range
_MAX_SIGMA = 10.0  # of the range; more leaves nothing but the mean either way

# Impulses stand out from the median of their neighbors by so much, and by so many times its usual
# deviation. That deviation is small: in strong noise nothing stands out. Fewer are single defects.
_IMPULSE, _IMPULSE_DEVIATIONS, _IMPULSE_MAX_DEVIATION = 0.25, 6, 0.05
_IMPULSE_SHARE = 0.01
_CORNER = 512  # pixels a side of the part of an image that is searched for impulses

_METHOD: dict[Kind, str | None] = {
    "clean": None,
    "gaussian": "nl-wiener",
    "poisson-gaussian": "nl-wiener",
    "correlated": "nl-wiener",
    "impulse": None,
    "halftone": None,
}


def diagnose(picture: ImageSource | Stack, **options: Unpack[DenoiseOptions]) -> Diagnosis:
    """Describe the noise of a picture, and what `denoise` would do about it.

    Args:
        picture: as for `denoise`. Of a stack, at most eight planes spread over it are examined,
            each by itself, as they are denoised; together if `joint`.
        options: any field of `DenoiseRecipe`.

    Returns:
        The kind of noise, its strength in each channel, and the method that would run; of several
        planes the most frequent ones, and each plane's own in `planes`.

    Raises:
        ValueError: an option or the picture is out of range, or values are not finite.
        ImageError: a file cannot be read.

    Example:
        >>> import torch
        >>> noisy = 0.5 + 0.1 * torch.randn(1, 64, 64, generator=torch.manual_seed(0))
        >>> diagnosis = diagnose(noisy)
        >>> diagnosis.kind, round(diagnosis.sigma[0], 1)
        ('gaussian', 0.1)
    """
    recipe = validate(DenoiseRecipe, options)
    source = open_input(picture, recipe.axes)
    across, white = choose_axis(source, recipe), white_level(source)
    planes = input_planes(source, SAMPLE_PLANES)
    samples = [planes] if recipe.joint else planes.split(1)
    diagnoses = [
        with_help(diagnose_planes(sample, recipe, source)[0], across, recipe, white)
        for sample in samples
    ]
    if len(diagnoses) == 1:
        return diagnoses[0]
    numbers = plane_numbers(source.count, SAMPLE_PLANES)
    return summarize_planes(diagnoses, recipe, white, numbers, source.count)


def diagnose_planes(
    planes: Tensor, recipe: DenoiseRecipe, source: Image | Stack
) -> tuple[Diagnosis, ValueRange, Defects | None]:
    """Describe the noise of planes that share it.

    Args:
        planes: (P, C, H, W).
        recipe: its `method`, or `auto`, its `sigma`, `specks` and `stripes`.
        source: of the planes; it says which pixels are transparent, and what number is white.

    Returns:
        The diagnosis, the range of the planes without their defects, and the defects.
    """
    defects = find_defects(planes, recipe, source)
    if defects is not None and find_halftone(value_range(planes, source).normalize(planes[0])):
        defects = None
    planes = planes if defects is None else defects.fill(planes)
    values = value_range(planes, source)
    diagnosis = _diagnose_noise(planes, recipe, values, source, defects)
    return diagnosis, values, defects


def _diagnose_noise(
    planes: Tensor,
    recipe: DenoiseRecipe,
    values: ValueRange,
    source: Image | Stack,
    defects: Defects | None,
) -> Diagnosis:
    """Describe the noise of planes (P, C, H, W) whose defects are filled."""
    span = values.span
    outside = unmeasured_pixels(planes, source, values)
    first = fill_pixels(planes[0], outside[0])
    halftone = find_halftone(values.normalize(first)) if recipe.sigma == "auto" else None
    stripes = None
    if recipe.stripes != "off" and len(planes) == 1 and halftone is None:
        stripes = find_stripes(first)
    planes = planes if stripes is None else stripes.remove(planes)
    unmeasured = outside.transpose(0, 1).flatten(1, 2)
    image = values.normalize(planes).transpose(0, 1).flatten(1, 2)  # (C, P·H, W)
    regional = None
    noise = estimate_noise(image, working_basis(len(image)), unmeasured)
    textured = noise.autocorrelation is not None and is_periodic(values.normalize(first))
    if textured and halftone is None:
        noise = replace(noise, reliable=False)  # it may be that of threads or bars
    if recipe.sigma != "auto":
        noise = rescale_noise(noise, min(recipe.sigma / span, _MAX_SIGMA))
    # A drawing has flat and busy regions, too.
    elif len(planes) == 1 and noise.reliable and halftone is None:
        regional = _estimate_regions(image, unmeasured, noise)
        noise = regional or noise
    sigma = tuple((noise.typical_sigma(image, unmeasured) * span).tolist())
    kind: Kind = "halftone" if halftone else _kind_of_noise(noise, max(sigma) / span)
    if kind != "halftone" and defects is None and _has_impulses(image, unmeasured):
        kind = "impulse"  # too many for any to be told
    if recipe.sigma != "auto" and kind == "clean":
        kind = "gaussian"
    if defects is not None and defects.share and kind == "clean":
        kind = "impulse"
    if kind in ("clean", "halftone") or (kind == "impulse" and defects is not None):
        sigma = (0.0,) * len(sigma)
    method = _METHOD[kind] if recipe.method == "auto" else recipe.method
    if method is None and (defects is not None or stripes is not None):
        method = REPAIR
    correlation = 0.0
    if noise.autocorrelation is not None:
        correlation = _neighbor_correlation(noise.autocorrelation[0])
    gain = None if kind != "poisson-gaussian" else noise.gain * span
    regions = (regional.region_sigmas(image) * span).tolist() if regional else ()
    diagnosis = Diagnosis(
        kind=kind,
        sigma=sigma,
        gain=gain,
        correlation=correlation,
        clipped=noise.clipped,
        method=method,
        words="",
        noise=noise,
        region_sigmas=tuple(map(tuple, regions)),
        stripes=stripes,
        specks=0.0 if defects is None else defects.share,
        stuck_rows=() if defects is None else defects.rows,
        stuck_columns=() if defects is None else defects.columns,
        screen=halftone and halftone.screen,
    )
    return replace(diagnosis, words=describe(diagnosis, recipe, white_level(source)))


def _estimate_regions(image: Tensor, unmeasured: Tensor, noise: Noise) -> RegionalNoise | None:
    """Return the noise of regions where its strength differs, with its channels as measured."""
    whole = unmeasured.flatten(1).all(1)
    if noise.separate or whole.all():
        return None
    outside = unmeasured[~whole].any(0)
    regional = estimate_regional_noise(fill_pixels(image, unmeasured), noise.clipped, outside)
    if regional is None:
        return None
    channels = {"channel_correlation": noise.channel_correlation, "members": noise.members}
    laws = tuple(replace(law, **channels) for law in regional.laws)
    return replace(regional, laws=laws, **channels)


def white_level(source: Image | Stack) -> float:
    """Return the largest number of a source as people write it: 255, or its data type's largest."""
    return 255 if isinstance(source, Image) else round(1 / source.unit)


def _kind_of_noise(noise: Noise, sigma: float) -> Kind:
    """Name the noise of a standard deviation relative to the range."""
    if sigma < _INVISIBLE_SIGMA or not noise.reliable:
        return "clean"
    if noise.autocorrelation is not None:
        return "correlated"
    return "poisson-gaussian" if noise.gain else "gaussian"


def _has_impulses(image: Tensor, unmeasured: Tensor) -> bool:
    """Return whether many single pixels at the ends of the range stand out from all around them."""
    corner = image[:, :_CORNER, :_CORNER]
    if min(corner.shape[1:]) < 3:
        return False
    inner = corner[:, 1:-1, 1:-1]
    ends = inner <= 0, inner >= inner.max()
    if min(float(end.float().mean()) for end in ends) <= _IMPULSE_SHARE / 2:
        return False  # nearly always; what follows takes longer
    patches = F.unfold(corner[:, None], 3).unflatten(1, (1, 9))[:, 0]  # (C, 9, positions)
    center = patches[:, 4]
    difference = (center - patches[:, [0, 1, 2, 3, 5, 6, 7, 8]].median(1).values).abs()
    deviation = 1.4826 * difference.median()
    measured = ~unmeasured[:, :_CORNER, :_CORNER][:, 1:-1, 1:-1].flatten(1)
    stands_out = measured & (difference > max(_IMPULSE, _IMPULSE_DEVIATIONS * float(deviation)))
    black, white = (
        float((stands_out & at_end).float().mean())
        for at_end in (center <= 0, center >= center.max())
    )
    return float(deviation) < _IMPULSE_MAX_DEVIATION and min(black, white) > _IMPULSE_SHARE / 2


def _neighbor_correlation(table: Tensor) -> float:
    """Return the mean correlation with the direct neighbors from an autocorrelation table."""
    center = len(table) // 2
    return float((table[center, center + 1] + table[center + 1, center]) / 2)
