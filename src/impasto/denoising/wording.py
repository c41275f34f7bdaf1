"""Say in words what noise there is and what is done about it, for one plane and for many."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch

from impasto.recipes import DenoiseRecipe
from impasto.result import NOT_REMOVED, REPAIR, Diagnosis, format_numbers, group_planes

_NAMES = {
    "clean": "no noise that can be told from the picture's own detail",
    "impulse": "no noise that can be told from the picture's own detail",
    "gaussian": "Gaussian noise, as strong in the dark as in the light",
    "poisson-gaussian": "Poisson-Gaussian noise, stronger in the light",
    "halftone": "a halftone, dots that carry the picture and are no noise",
    "correlated": "noise that neighbors share, as in pictures a camera has developed",
}


def describe(diagnosis: Diagnosis, recipe: DenoiseRecipe, white: float) -> str:
    """Describe the noise of a plane and what is done about it.

    Args:
        diagnosis: its noise, and the method that runs; its `words` are not read.
        recipe: its `sigma`, if it is known, and its strengths.
        white: the number that is called white: 255 for images, a stack's largest.
    """
    removal = _describe_removal(diagnosis, recipe, "nothing is to be done")
    return f"{_describe_noise([diagnosis], recipe, white)}; {removal}"


def summarize_planes(
    planes: Sequence[Diagnosis],
    recipe: DenoiseRecipe,
    white: float,
    numbers: Sequence[int] = (),
    count: int = 0,
) -> Diagnosis:
    """Summarize planes that are denoised one by one.

    Args:
        planes: the diagnosis of each, one at least.
        recipe: as for `describe`.
        white: as for `describe`.
        numbers: of the planes in their stack, from 0, if they are a sample of it.
        count: of the stack's planes, likewise.

    Returns:
        The noise of most of the planes that are changed (of most planes, if none is), with mean
        strengths, and words that tell the planes apart where they differ.
    """
    groups = group_planes(planes)
    changed = [group for group in groups if planes[group[0]].method] or groups
    group = [planes[index] for index in max(changed, key=len)]
    sentences = []
    for members in groups:
        alike = [planes[index] for index in members]
        names = format_numbers([numbers[i] if numbers else i for i in members])
        which = f"all {len(planes)} planes" if len(planes) > 1 else "1 plane"
        if len(members) < len(planes):
            which = f"{len(members)} of {len(planes)} planes ({names})"
        stays = "nothing is to be done" if len(groups) == 1 else "left unchanged"
        noise = _describe_noise(alike, recipe, white)
        sentences.append(f"{which}: {noise}; {_describe_removal(alike[0], recipe, stays)}")
    words = "; ".join(sentences)
    if count > len(planes):
        were = "was" if len(planes) == 1 else "were"
        words = f"of {count} planes {len(planes)} {were} examined; of these {words}"
    sigma = torch.tensor([plane.sigma for plane in group]).mean(0).tolist()
    gains = [plane.gain for plane in group if plane.gain is not None]
    return replace(
        group[0],
        sigma=tuple(sigma),
        gain=sum(gains) / len(gains) if gains else None,
        correlation=sum(plane.correlation for plane in group) / len(group),
        clipped=tuple(any(plane.clipped[end] for plane in group) for end in (0, 1)),
        words=words,
        planes=tuple(planes),
    )


def _describe_noise(planes: Sequence[Diagnosis], recipe: DenoiseRecipe, white: float) -> str:
    """Describe the noise of planes of one kind, and stripes besides."""
    words = _describe_kind(planes, recipe, white)
    striped = [plane.stripes for plane in planes if plane.stripes is not None]
    if striped:
        ranges = zip(*(stripes.sigma for stripes in striped), strict=True)
        sigma = _format_sigmas(ranges, white)
        words += f", and stripes, an offset of each {striped[0].direction}, sigma {sigma}"
    return words + _describe_defects(planes)


def _describe_defects(planes: Sequence[Diagnosis]) -> str:
    """Describe the specks and the stuck lines of planes, after the noise."""
    words = ""
    shares = [100 * plane.specks for plane in planes if plane.specks]
    if shares:
        ends = (f"{end:.2g}" for end in (min(shares), max(shares)))
        words = f", and specks, {' to '.join(dict.fromkeys(ends))} % of the pixels"
    elif planes[0].kind == "impulse":
        words = ", and single black and white pixels"
    for name in ("row", "column"):
        numbers = {n - 1 for plane in planes for n in getattr(plane, f"stuck_{name}s")}
        if numbers:
            plural = "s" if len(numbers) > 1 else ""
            words += f", and {name}{plural} {format_numbers(sorted(numbers))} stuck"
    return words


def _describe_kind(planes: Sequence[Diagnosis], recipe: DenoiseRecipe, white: float) -> str:
    """Describe the noise of planes of one kind, without stripes."""
    kind = planes[0].kind
    words = _NAMES[kind]
    if kind == "halftone":
        return f"{words}, {_describe_dots(planes)}"
    if kind in NOT_REMOVED:
        return words
    if any(plane.region_sigmas for plane in planes):
        words += ", of different strength from region to region"
    sigmas = [sigma for plane in planes for sigma in plane.region_sigmas or (plane.sigma,)]
    ranges = zip(*sigmas, strict=True)
    if planes[0].gain is not None and planes[0].gain < 0:
        words = "Poisson-Gaussian noise, stronger in the dark"
    words += f", sigma {_format_sigmas(ranges, white)}"
    words += ", as given" if recipe.sigma != "auto" else ""
    if kind == "correlated":
        correlations = sorted({f"{plane.correlation:.2f}" for plane in planes}, key=float)
        span = " to ".join(dict.fromkeys((correlations[0], correlations[-1])))
        words += f", correlation {span} with the next pixel"
    ends = [name for end, name in enumerate(("dark", "light")) if planes[0].clipped[end]]
    return words + (f", cut off at the {' and the '.join(ends)} end" if ends else "")


def _describe_dots(planes: Sequence[Diagnosis]) -> str:
    """Describe the dots of planes that are halftones."""
    screens = [plane.screen for plane in planes if plane.screen is not None]
    if len(screens) < len(planes):
        return "of dithering"
    period = _format_range([screen.period for screen in screens])
    angles = [f"{angle:.0f}" for angle in sorted({a for s in screens for a in s.angles})]
    degrees = " and ".join(filter(None, (", ".join(angles[:-1]), angles[-1])))
    return f"of a printing screen of period {period} pixels at {degrees} degrees"


def _format_sigmas(ranges: Iterable[Sequence[float]], white: float) -> str:
    """Write the range of each channel's standard deviations in the numbers that white has."""
    sigmas = ", ".join(_format_range([value * white for value in values]) for values in ranges)
    return sigmas + (f" of {white:.0f}" if white > 1 else "")


def _format_range(values: Sequence[float]) -> str:
    """Write the least and the largest of some numbers, or one number if both are written alike."""
    ends = (f"{end:.1f}" if end >= 1 else f"{end:.2g}" for end in (min(values), max(values)))
    return " to ".join(dict.fromkeys(ends))


def _describe_removal(diagnosis: Diagnosis, recipe: DenoiseRecipe, nothing: str) -> str:
    """Describe what is done about noise; `nothing` says that nothing is."""
    method, strength = diagnosis.method, recipe.strength
    if method is None and diagnosis.kind == "halftone":
        return (
            f"{nothing}; to be rid of the dots, make the picture smaller by their distance, or "
            "give a method, which smooths them"
        )
    if method is None:
        return nothing
    chroma = strength if recipe.chroma == "same" else recipe.chroma
    if strength == chroma == 0:
        return "at strength 0 nothing is taken away"
    share = f"{_percent(strength)} "
    if chroma != strength:
        share = f"{_percent(strength)} in the light and {_percent(chroma)} in the colors "
    elif strength == 1:
        share = ""
    if method == REPAIR:
        return f"{method} takes them away and changes nothing else"
    if diagnosis.kind in NOT_REMOVED:
        return f"{method} is applied as asked" + (f", {share.strip()} of it" if share else "")
    return f"{method} takes {share + 'of it' if share else 'it'} away"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
