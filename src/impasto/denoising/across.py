"""Planes help each other: what neighboring planes show as well has more samples of its noise.

A stack is taken one plane at a time, by any iterator. A plane waits at each stage of the filter
for the planes after it and stays for those, so that the memory needed does not grow with the stack.
The first pass finds groups of similar patches in the neighbors too. Then each patch is fused with
the like ones in them, along the way that things move, and the other passes filter what noise is
left.

References:
    Dabov, Foi, Egiazarian 2007, Video denoising by sparse 3D transform-domain collaborative
    filtering (patches of several frames); Buades, Lisani, Miladinović 2016, Patch-based video
    denoising with optical flow estimation (fusion along motion before a spatial filter).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from impasto.denoising.block_matching import Groups, Neighbor
from impasto.denoising.coarse_noise import coarse_variance, remove_coarse_noise
from impasto.denoising.compact_sources import restore_sources
from impasto.denoising.filter_plan import parts_of_pass, passes_of
from impasto.denoising.filters import gaussian_blur
from impasto.denoising.noise import Noise
from impasto.denoising.patch_filters import (
    first_guide,
    fuse_neighbors,
    ridge_estimate,
    wiener_estimate,
)
from impasto.denoising.plane_axis import link_planes
from impasto.denoising.working_channels import channel_groups, members_in, noise_basis, noise_skew
from impasto.device import select_device
from impasto.recipes import DenoiseRecipe

T = TypeVar("T")

REACH = 2  # planes on each side that help
_FUSED = Groups(9, 1, 21, 3)  # patches that are fused; in each other plane the most similar one
# Share of the planes' noise that is in their difference, if each has its own, at least; of noise
# that neighboring pixels share, whose strength is known less well.
_OWN, _OWN_CORRELATED = 0.7, 0.5
_HELP = 0.9  # share of the noise's variance that is left, below which neighbors have helped


class PlaneToFilter(NamedTuple):
    """One plane of a stack.

    Attributes:
        number: in the order in which planes are given, from 1.
        image: (C, H, W), noisy, 0 to 1; the range of each plane may be its own.
        noise: of the image; None if the plane is done by itself and neither helps nor is helped.
        low: the data's number where the image is 0.
        span: from there to the data's number where it is 1.
        hidden: pixels that were filled in, (C, H, W) bool; None for none.
    """

    number: int
    image: Tensor
    noise: Noise | None
    low: float = 0.0
    span: float = 1.0
    hidden: Tensor | None = None


class FilteredPlane(NamedTuple):
    """What became of a plane.

    Attributes:
        number: of the plane.
        image: (C, H, W) on the CPU, without noise; None if the plane is done by itself, or if the
            run ended before anything was done to it.
        helped: whether neighbors took a part of the noise away.
    """

    number: int
    image: Tensor | None
    helped: bool = False


def with_neighbors(items: Iterable[T], reach: int) -> Iterator[tuple[T, list[T]]]:
    """Yield each item, none of them None, with those up to so many places before and after it.

    Example:
        >>> list(with_neighbors("abcd", 1))
        [('a', ['b']), ('b', ['a', 'c']), ('c', ['b', 'd']), ('d', ['c'])]
    """
    nothing = [None] * reach
    held: deque[T | None] = deque(nothing, 2 * reach + 1)
    for item in chain(items, nothing):
        held.append(item)
        if len(held) == held.maxlen and (center := held[reach]) is not None:
            others = (other for at, other in enumerate(held) if at != reach)
            yield center, [other for other in others if other is not None]


@dataclass(frozen=True, eq=False)
class _Kind:
    """What planes that help each other have in common.

    Attributes:
        members: of the noise, in these planes.
        correlated: whether neighboring pixels share the noise.
        separate: whether the channels' noise was measured separately.
        groups: channels that are filtered together.
        bases: the matrix of each group, (C, C), and its inverse.
        low: the data's number where the working images are 0.
        span: from there to the data's number where they are 1.
    """

    members: tuple[int | None, ...]
    correlated: bool
    separate: bool
    groups: tuple[tuple[int, ...], ...]
    bases: tuple[tuple[Tensor, Tensor], ...]
    low: float
    span: float


@dataclass(frozen=True, eq=False)
class _Channels:
    """Channels of a plane between two stages, in their working basis.

    Attributes:
        noisy: (C, H, W), as it came.
        fused: the same with what neighbors know of it; `noisy` before that.
        share: of the noise's variance that is left in `fused`, (1, H, W); None for all.
        variance: of the noise in `noisy`, (C, H, W).
        guide: that patches are compared on, (H, W).
        estimate: without noise, (C, H, W); None before the first pass.
    """

    noisy: Tensor
    fused: Tensor
    share: Tensor | None
    variance: Tensor
    guide: Tensor
    estimate: Tensor | None = None

    @property
    def left(self) -> Tensor:
        """Return the variance of the noise in `fused`."""
        return self.variance if self.share is None else self.variance * self.share


@dataclass(frozen=True, eq=False)
class _Plane:
    """A plane between two stages.

    Attributes:
        source: as it was given.
        kind: None if it is done by itself.
        noise: of the plane, on the device.
        scene: number of the scene; a new one begins where nothing goes on.
        shift: (down, across), pixels that the plane has moved by since the first.
        channels: of each group.
        helped: whether neighbors took a part of the noise away.
    """

    source: PlaneToFilter
    kind: _Kind | None = None
    noise: Noise | None = None
    scene: int = 0
    shift: tuple[int, int] = (0, 0)
    channels: tuple[_Channels, ...] = ()
    helped: bool = False

    def table(self, at: int) -> Tensor | None:
        """Return the autocorrelation of the noise in a group of channels; None if it is white."""
        table = self.noise.autocorrelation
        return None if table is None else table[list(self.kind.groups[at])]

    def is_helped_by(self, other: _Plane) -> bool:
        """Return whether another plane is one like this."""
        return self.kind is not None and other.kind is self.kind and other.scene == self.scene


# Takes a plane, those that help it, and what is called with the share that is done.
_Stage = Callable[[_Plane, Sequence[_Plane], Callable[[float], None]], _Plane]


class _Stopped(Exception):
    """`report` ended the run."""


class AcrossFilter:
    """The filter of `nl_wiener` for the planes of a stack, which help each other.

    Args:
        recipe: its `effort` chooses the passes, its `device` where they run.
        report: called after each part of a plane's work with the plane's number, the parts that are
            done, their number, and a function that returns the plane so far; False ends the run.
        reach: planes on each side that help.
        cuts: whether planes that do not show the same begin a new scene; else all are taken to.
        reference: image (C, H, W) that the working channels are made for, so that they do not
            depend on where a run begins; None for the first plane of each kind.

    Example:
        >>> from impasto.denoising.noise import white_noise
        >>> scene = torch.linspace(0, 1, 32).expand(1, 32, 32)
        >>> still = scene + 0.1 * torch.randn(4, 1, 32, 32, generator=torch.manual_seed(0))
        >>> noise = white_noise(0, 0.01, 1)
        >>> planes = (PlaneToFilter(n, plane, noise) for n, plane in enumerate(still, 1))
        >>> filter = AcrossFilter(DenoiseRecipe(), lambda *_: True, cuts=False)
        >>> [(plane.number, plane.helped) for plane in filter.run(planes)]
        [(1, True), (2, True), (3, True), (4, True)]
    """

    def __init__(
        self,
        recipe: DenoiseRecipe,
        report: Callable[[int, int, int, Callable[[], Tensor]], bool],
        *,
        reach: int = REACH,
        cuts: bool = True,
        reference: Tensor | None = None,
    ) -> None:
        device = select_device(recipe.device)
        self._device = torch.device("cpu") if device.type == "mps" else device
        self._recipe, self._report, self._reach, self._cuts = recipe, report, reach, cuts
        self._reference = None if reference is None else reference.to(self._device)
        self._kinds: list[_Kind] = []  # of the scene
        self._stopped = False

    def run(self, planes: Iterable[PlaneToFilter]) -> Iterator[FilteredPlane]:
        """Yield what becomes of each plane, in order.

        When `report` ends the run, the planes that are at work are yielded as they are.
        """
        passes = len(passes_of(self._recipe.effort, correlated=False))
        stages: list[tuple[int, _Stage]] = [(self._reach, self._ridge), (self._reach, self._fuse)]
        stages += [(0, partial(self._wiener, number=number)) for number in range(1, passes)]
        work = self._enter(planes)
        for part, (reach, stage) in enumerate(stages):
            work = self._pass(work, reach, stage, (part, len(stages)))
        for plane in work:
            yield self._leave(plane)

    def _enter(self, planes: Iterable[PlaneToFilter]) -> Iterator[_Plane]:
        before: _Plane | None = None  # the last plane that was not done by itself
        for source in planes:
            plane = self._begin(source, before)
            yield plane
            if self._stopped:
                return
            if plane.kind is not None:
                before = plane

    def _begin(self, source: PlaneToFilter, before: _Plane | None) -> _Plane:
        if source.noise is None:
            return _Plane(source)
        image, noise = source.image.to(self._device), source.noise.to(self._device)
        link = None
        if before is not None and before.source.image.shape == source.image.shape:
            link = link_planes(*(p.image * p.span + p.low for p in (before.source, source)))
        scene, shift = (0, (0, 0)) if before is None else (before.scene + 1, (0, 0))
        if link is not None and (link.same or not self._cuts):
            scene = before.scene
            shift = before.shift[0] + link.shift[0], before.shift[1] + link.shift[1]
        else:
            self._kinds.clear()
        kind = self._kind_of(source, image, noise)
        plane = _Plane(source, kind, noise, scene, shift)
        channels = []
        for group, (basis, _) in zip(kind.groups, kind.bases, strict=True):
            part = image[list(group)]
            rotated = torch.einsum("ij,jhw->ihw", basis, _rescale(part, source, kind))
            smooth = _rescale(gaussian_blur(part, 1.5), source, kind)
            variance = self._variance(smooth, plane, group, basis)
            guide = first_guide(rotated).contiguous()
            channels.append(_Channels(rotated, rotated, None, variance, guide))
        plane = replace(plane, channels=tuple(channels))
        measured = self._recipe.sigma == "auto"  # what is given may be too large
        if measured and before is not None and _share_noise(before, plane):
            plane = replace(plane, scene=before.scene + 1)
        return plane

    def _kind_of(self, source: PlaneToFilter, image: Tensor, noise: Noise) -> _Kind:
        members = members_in(image, noise)
        correlated = noise.autocorrelation is not None
        for kind in self._kinds:
            if (kind.members, kind.correlated, kind.separate) == (
                members,
                correlated,
                noise.separate,
            ):
                return kind
        shown = image if self._reference is None else self._reference
        groups = channel_groups(shown, members, noise)
        bases = [noise_basis(shown[group], noise.select(group)) for group in groups]
        kind = _Kind(
            members,
            correlated,
            noise.separate,
            tuple(map(tuple, groups)),
            tuple((basis, torch.linalg.inv(basis)) for basis in bases),
            source.low,
            source.span,
        )
        self._kinds.append(kind)
        return kind

    def _pass(
        self, planes: Iterable[_Plane], reach: int, stage: _Stage, place: tuple[int, int]
    ) -> Iterator[_Plane]:
        """Yield planes after a stage that sees so many planes before and after each.

        Args:
            planes: after the stage before.
            reach: planes before and after.
            stage: what is done to a plane.
            place: number of the stage, from 0, and how many there are.
        """
        for plane, others in with_neighbors(planes, reach):
            if plane.kind is None or self._stopped:
                yield plane
                continue
            near = [other for other in others if plane.is_helped_by(other)]
            advance = self._reporter(plane, place)
            try:
                plane = stage(plane, near, advance)
                advance(None, plane)
            except _Stopped:
                self._stopped = True
            yield plane

    def _reporter(self, plane: _Plane, place: tuple[int, int]) -> Callable[..., None]:
        """Return a function that reports the share of a stage's work that is done."""
        parts = parts_of_pass(plane.source.image)
        number, stages = place
        reported = number * parts

        def advance(share: float | None, plane: _Plane = plane) -> None:
            nonlocal reported
            # The last part is reported when its stage is done.
            done = number * parts + (parts if share is None else int(share * (parts - 1)))
            while reported < done:
                reported += 1
                image = partial(self._image, plane)
                if not self._report(plane.source.number, reported, stages * parts, image):
                    raise _Stopped

        return advance

    def _ridge(
        self, plane: _Plane, others: Sequence[_Plane], on_part: Callable[[float], None]
    ) -> _Plane:
        groups, *_ = passes_of(self._recipe.effort, plane.kind.correlated)
        channels = []
        for at, part in enumerate(plane.channels):
            image = ridge_estimate(
                part.noisy,
                part.guide,
                part.variance,
                groups,
                plane.table(at),
                _share_of(on_part, at, plane),
                neighbors=self._neighbors(plane, others, at),
            )
            channels.append(self._with_estimate(plane, at, image))
        return replace(plane, channels=tuple(channels))

    def _wiener(
        self,
        plane: _Plane,
        others: Sequence[_Plane],
        on_part: Callable[[float], None],
        number: int,
    ) -> _Plane:
        groups = passes_of(self._recipe.effort, plane.kind.correlated)[number]
        channels = []
        for at, part in enumerate(plane.channels):
            image = wiener_estimate(
                part.fused,
                part.estimate,
                part.guide,
                part.left,
                groups,
                plane.table(at),
                _share_of(on_part, at, plane),
            )
            channels.append(self._with_estimate(plane, at, image))
        return replace(plane, channels=tuple(channels))

    def _fuse(
        self, plane: _Plane, others: Sequence[_Plane], on_part: Callable[[float], None]
    ) -> _Plane:
        if not others:
            return plane
        channels, left = [], []
        for at, part in enumerate(plane.channels):
            fused, share = fuse_neighbors(
                part.noisy,
                part.estimate,
                part.guide,
                part.variance,
                _FUSED,
                self._neighbors(plane, others, at),
                _share_of(on_part, at, plane),
            )
            channels.append(replace(part, fused=fused, share=share))
            left.append(float(share.mean()))
        return replace(plane, channels=tuple(channels), helped=min(left) < _HELP)

    def _neighbors(self, plane: _Plane, others: Sequence[_Plane], at: int) -> list[Neighbor]:
        """Return other planes as neighbors of a plane, in one of its groups of channels."""
        return [
            Neighbor(
                other.channels[at].noisy,
                other.channels[at].variance,
                other.channels[at].guide,
                tuple(a - b for a, b in zip(other.shift, plane.shift, strict=True)),
                other.channels[at].estimate,
            )
            for other in others
        ]

    def _with_estimate(self, plane: _Plane, at: int, image: Tensor) -> _Channels:
        """Return a group of channels with a new estimate, and the variance at its brightness."""
        basis, inverse = plane.kind.bases[at]
        turned = torch.einsum("ij,jhw->ihw", inverse, image)
        variance = self._variance(turned, plane, plane.kind.groups[at], basis)
        return replace(
            plane.channels[at], estimate=image, guide=image[0].contiguous(), variance=variance
        )

    def _leave(self, plane: _Plane) -> FilteredPlane:
        if plane.kind is None or plane.channels[0].estimate is None:
            return FilteredPlane(plane.source.number, None)
        if not self._stopped:
            plane = self._finish(plane)
        return FilteredPlane(plane.source.number, self._image(plane), plane.helped)

    def _finish(self, plane: _Plane) -> _Plane:
        """Return a plane with its compact sources, or without noise coarser than a patch."""
        channels = []
        kind = plane.kind
        for part, group, (basis, _) in zip(plane.channels, kind.groups, kind.bases, strict=True):
            noise = plane.noise.select(group)
            if noise.autocorrelation is None:
                image = restore_sources(
                    part.fused, part.estimate, part.left, noise_skew(noise, basis)
                )
            else:
                passes = passes_of(self._recipe.effort, correlated=True)
                coarse = coarse_variance(part.left, noise.autocorrelation)
                image = remove_coarse_noise(part.estimate, coarse, passes, lambda share: None)
            channels.append(replace(part, estimate=image))
        return replace(plane, channels=tuple(channels))

    def _image(self, plane: _Plane) -> Tensor:
        """Return a plane's estimate as its own image, (C, H, W) on the CPU."""
        kind, clean = plane.kind, plane.source.image.to("cpu", copy=True)
        for part, group, (_, inverse) in zip(plane.channels, kind.groups, kind.bases, strict=True):
            if part.estimate is None:
                continue
            image = torch.einsum("ij,jhw->ihw", inverse, part.estimate)
            image = (
                plane.noise.select(group).debias(_rescale(image, plane.kind, plane.source)).cpu()
            )
            for channel, first in enumerate(kind.members):
                if first in group:
                    clean[channel] = image[group.index(first)]
        return clean

    def _variance(
        self, image: Tensor, plane: _Plane, group: Sequence[int], basis: Tensor
    ) -> Tensor:
        """Return the variance of a plane's noise at each pixel of a common image (C, H, W)."""
        factor = plane.source.span / plane.kind.span
        own = _rescale(image, plane.kind, plane.source)
        variance = plane.noise.select(group).variance_at(own, basis)
        return variance if factor == 1 else variance * factor**2


def _rescale(image: Tensor, old: PlaneToFilter | _Kind, new: PlaneToFilter | _Kind) -> Tensor:
    """Return an image in the range of another plane, or of all planes of a kind."""
    if (old.low, old.span) == (new.low, new.span):
        return image
    return (image * old.span + (old.low - new.low)) / new.span


def _share_of(on_part: Callable[[float], None], at: int, plane: _Plane) -> Callable[[float], None]:
    """Return what is called with the share of a group of channels that is done."""
    groups = len(plane.channels)
    return lambda share: on_part((at + share) / groups)


def _share_noise(before: _Plane, plane: _Plane) -> bool:
    """Return whether two planes differ by less than their noise, if that of each is its own.

    Then it is the camera's, or they are copies, and neighbors know no more about it.
    """
    if not plane.is_helped_by(before):
        return False
    move = tuple(a - b for a, b in zip(plane.shift, before.shift, strict=True))
    height, width = plane.source.image.shape[1:]
    there, here = (
        (
            slice(max(0, sign * move[0]), height - max(0, -sign * move[0])),
            slice(max(0, sign * move[1]), width - max(0, -sign * move[1])),
        )
        for sign in (-1, 1)
    )
    counted = torch.ones(height, width, dtype=torch.bool, device="cpu")[here]
    for source, area in ((before.source, there), (plane.source, here)):
        if source.hidden is not None:
            counted = counted & ~source.hidden.any(0)[area]
    if not counted.any():
        return False
    least = _OWN_CORRELATED if plane.kind.correlated else _OWN
    for first, second in zip(before.channels, plane.channels, strict=True):
        counted = counted.to(first.noisy.device)
        difference = (second.noisy[:, *here] - first.noisy[:, *there])[:, counted]
        expected = (second.variance[:, *here] + first.variance[:, *there])[:, counted]
        if bool((difference.var(1, correction=0) < least * expected.mean(1)).any()):
            return True
    return False
