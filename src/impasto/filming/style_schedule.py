"""Styles that change over a film: which count how much at each frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from types import MappingProxyType
from typing import NamedTuple

from impasto.errors import quote
from impasto.filming.frame_masks import FrameMasks, is_mask_folder, open_frame_masks
from impasto.images.read import ImageSource
from impasto.images.video_read import Clip, frame_at, is_moment
from impasto.provenance import Input, StyleInput
from impasto.style.source import Style
from impasto.style.styles import StyleSource, open_styles, style_inputs
from impasto.style.stylize import PreparedStyles

Styles = ImageSource | Style | Sequence[ImageSource | Style]
FilmStyles = Styles | Mapping[int | str, Styles]


class Phase(NamedTuple):
    """A part of a film in its own styles.

    Attributes:
        start: number of its first frame in the clip, from 0.
        sources: the styles.
        fade: frames over which they take the place of those before.
        regions: of the styles whose region has a mask for each frame, by their numbers in
            `sources`.
    """

    start: int
    sources: list[StyleSource]
    fade: int = 0
    regions: Mapping[int, FrameMasks] = MappingProxyType({})

    def sources_at(self, number: int) -> list[StyleSource]:
        """Return the styles of a frame of the film, from 0; those whose region is black are out."""
        sources = []
        for index, source in enumerate(self.sources):
            masks = self.regions.get(index)
            region = source.region if masks is None else masks.at(number)
            if masks is None or region is not None:
                sources.append(source._replace(region=region))
        return sources


def open_phases(style: FilmStyles, clip: Clip, part: tuple[int, int], fade: int) -> list[Phase]:
    """Open and check the styles of a film.

    Args:
        style: as for `stylize`; or a mapping from where styles begin, a frame from 0 or a time
            such as `2.5s`, to these styles.
        clip: where its frames come from.
        part: first frame of the film in the clip, and the one behind its last.
        fade: frames over which styles take the place of those before.

    Raises:
        ValueError: a moment that is none, twice the same, beyond the film, or no styles for its
            first frame; or a frame in which the region of every style is black.
    """
    if not isinstance(style, Mapping):
        return [_open_phase(style, clip, part, part[0], part[1], 0)]
    starts: dict[int, Styles] = {}
    for moment, styles in style.items():
        start = parse_moment(moment, clip.rate)
        if start in starts:
            raise ValueError(
                f"`style` must begin others at different frames, got two for frame {start}; give "
                "them together, as a list"
            )
        if start >= part[1]:
            raise ValueError(
                f"`style` must begin before the film ends, at frame {part[1]}, got {moment!r}; "
                "choose an earlier moment"
            )
        starts[start] = styles
    order = sorted(starts)
    if not order or order[0] > part[0]:
        raise ValueError(
            f"`style` must have one for the first frame, {part[0]}, got the first at frame "
            f"{order[0] if order else 'none'}; give one that begins there"
        )
    # Those that have given way before the film begins are not needed.
    while len(order) > 1 and order[1] + fade <= part[0]:
        order.pop(0)
    ends = [*order[1:], part[1]]
    return [
        _open_phase(starts[start], clip, part, start, end, fade if number else 0)
        for number, (start, end) in enumerate(zip(order, ends, strict=True))
    ]


def phase_inputs(phases: Sequence[Phase]) -> tuple[StyleInput, ...]:
    """Return the styles of a film by the names and hashes of their files, and where they begin."""
    inputs = []
    for phase in phases:
        for index, each in enumerate(style_inputs(phase.sources)):
            masks = phase.regions.get(index)
            region = Input.model_validate(masks.source) if masks else each.region
            inputs.append(each.model_copy(update={"start": phase.start, "region": region}))
    return tuple(inputs)


def _open_phase(
    styles: Styles, clip: Clip, part: tuple[int, int], start: int, end: int, fade: int
) -> Phase:
    """Open and check the styles of a phase from frame `start` up to `end` of the clip."""
    listed = list(styles) if isinstance(styles, (list, tuple)) else [styles]
    listed = [each if isinstance(each, Style) else Style(each) for each in listed]
    weighed = [each for each in listed if each.weight]
    regions = {
        index: open_frame_masks(each.region, "region", clip, part)
        for index, each in enumerate(weighed)
        if is_mask_folder(each.region)
    }
    for index in regions:
        weighed[index] = replace(weighed[index], region=None)
    sources = open_styles(weighed or listed, clip.size)
    phase = Phase(start, sources, min(fade, end - start), regions)
    if len(regions) == len(sources):
        for number in range(max(start, part[0]) - part[0], end - part[0]):
            if not phase.sources_at(number):
                raise ValueError(
                    f"`region` must leave a style for frame {number + part[0]}, got masks that are "
                    "all black there; give a style without a region"
                )
    return phase


def parse_moment(moment: int | str, rate: Fraction) -> int:
    """Return the frame of a moment: its number, or a time in seconds with an `s`.

    Example:
        >>> parse_moment("2.5s", Fraction(24)), parse_moment(60, Fraction(24))
        (60, 60)
    """
    text = str(moment)
    if isinstance(moment, bool) or not is_moment(text):
        raise ValueError(
            f"`style` must begin at a frame such as 60, or at a time such as 2.5s, got "
            f"{quote(text)}; correct it"
        )
    return frame_at(text, rate)


class StyleSchedule:
    """The styles of each frame, prepared.

    Args:
        prepared: all styles, prepared for the frames of the film.
        phases: as `open_phases` gives them.
        start: number of the film's first frame in the clip.
    """

    def __init__(self, prepared: PreparedStyles, phases: list[Phase], start: int) -> None:
        self._prepared = prepared
        self._phases = phases
        self._start = start
        self._made: dict[tuple[int, int, int], PreparedStyles] = {}

    def at(self, number: int) -> PreparedStyles:
        """Return the styles of a frame of the film, from 0, ready to paint a picture."""
        return self.following(number, 0)

    def following(self, number: int, evaluations: int) -> PreparedStyles:
        """Return the styles of a frame, ready to paint one that continues another.

        Args:
            number: of the frame in the film, from 0.
            evaluations: of such a frame.
        """
        phase, weight = self._phase(number)
        alone = weight < 1 or bool(self._phases[phase].regions)
        key = phase, number if alone else -1, evaluations
        if key not in self._made:
            # What is prepared for one frame serves no other; the rest does until its phase ends.
            self._made = {k: v for k, v in self._made.items() if k[:2] in ((phase, -1), key[:2])}
            base = self._prepared.with_sources(self._mixed(number))
            self._made[key] = base.for_frames(evaluations) if evaluations else base
        return self._made[key]

    def change(self, number: int) -> float:
        """Return how much of the styles of the frame before is to give way at a frame, 0 to 1."""
        phase, _ = self._phase(number)
        if number == 0 or self._phase(number) == self._phase(number - 1):
            return 0.0
        return 2 / (self._phases[phase].fade + 1) if self._phases[phase].fade else 1.0

    def weight(self, number: int) -> float:
        """Return how much the newest styles count at a frame, 0 to 1."""
        return self._phase(number)[1]

    def fade(self, number: int) -> int:
        """Return how many frames a change that begins at a frame takes; 0 if none does."""
        phase = self._phases[self._phase(number)[0]]
        return max(1, phase.fade) if phase.start == self._start + number and number else 0

    def _phase(self, number: int) -> tuple[int, float]:
        """Return the number of a frame's phase, and how much its styles count."""
        frame = self._start + number
        begun = [k for k, phase in enumerate(self._phases) if phase.start <= frame]
        index = max(begun, default=0)
        phase = self._phases[index]
        done = frame - phase.start + 1
        if index == 0 or done > phase.fade:
            return index, 1.0
        x = done / (phase.fade + 1)
        return index, x * x * (3 - 2 * x)

    def _mixed(self, number: int) -> list[StyleSource]:
        """Return the styles of a frame, with a share of those before."""
        phase, weight = self._phase(number)
        sources = _shares(self._phases[phase].sources_at(number), weight)
        if weight < 1:
            before = self._phases[phase - 1].sources_at(number)
            sources = [*_shares(before, 1 - weight), *sources]
        return sources


def _shares(sources: list[StyleSource], weight: float) -> list[StyleSource]:
    """Return styles whose weights add up to one given."""
    total = sum(source.weight for source in sources)
    return [source._replace(weight=weight * source.weight / total) for source in sources]
