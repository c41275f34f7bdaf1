"""Styles that change over a film: which count how much at each frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

from impasto.errors import quote
from impasto.images.read import ImageSource
from impasto.images.video_read import frame_at, is_moment
from impasto.style.source import Style
from impasto.style.styles import StyleSource, open_styles
from impasto.style.stylize import PreparedStyles

Styles = ImageSource | Style | Sequence[ImageSource | Style]
FilmStyles = Styles | Mapping[int | str, Styles]


class Phase(NamedTuple):
    """A part of a film in its own styles.

    Attributes:
        start: number of its first frame in the clip, from 0.
        sources: the styles.
        fade: frames over which they take the place of those before.
    """

    start: int
    sources: list[StyleSource]
    fade: int = 0


def open_phases(
    style: FilmStyles, size: tuple[int, int], part: tuple[int, int], rate: Fraction, fade: int
) -> list[Phase]:
    """Open and check the styles of a film.

    Args:
        style: as for `stylize`; or a mapping from where styles begin, a frame from 0 or a time
            such as `2.5s`, to these styles.
        size: (width, height) of the frames.
        part: first frame of the film in the clip, and the one behind its last.
        rate: frames a second.
        fade: frames over which styles take the place of those before.

    Raises:
        ValueError: a moment that is none, twice the same, beyond the film, or no styles for its
            first frame.
    """
    if not isinstance(style, Mapping):
        return [Phase(part[0], open_styles(style, size))]
    starts: dict[int, Styles] = {}
    for moment, styles in style.items():
        start = parse_moment(moment, rate)
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
        Phase(start, open_styles(starts[start], size), min(fade, end - start) if number else 0)
        for number, (start, end) in enumerate(zip(order, ends, strict=True))
    ]


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
        self._made: dict[tuple[int, float, int], PreparedStyles] = {}

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
        key = phase, weight, evaluations
        if key not in self._made:
            # Statistics of a mixture serve one frame; those of a phase until the next one.
            keep = {self._phase(number - 1)[0], phase}
            self._made = {k: v for k, v in self._made.items() if k[1] == 1 and k[0] in keep}
            base = self._prepared.with_sources(self._mixed(phase, weight))
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

    def _mixed(self, phase: int, weight: float) -> list[StyleSource]:
        """Return the styles of a phase, with a share of those before."""
        sources = _shares(self._phases[phase].sources, weight)
        if weight < 1:
            sources = [*_shares(self._phases[phase - 1].sources, 1 - weight), *sources]
        return sources


def _shares(sources: list[StyleSource], weight: float) -> list[StyleSource]:
    """Return styles whose weights add up to one given."""
    total = sum(source.weight for source in sources)
    return [source._replace(weight=weight * source.weight / total) for source in sources]
