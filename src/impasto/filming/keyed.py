"""The engine `keyed`: keyframes are painted, and carried to the frames between them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from impasto.filming.blend import blend
from impasto.filming.carrier import MATCHED, Carried, Carrier
from impasto.filming.key_choice import KEY_EVALUATIONS, is_key
from impasto.filming.motion import Flow, box, find_flows, is_cut, motion_to
from impasto.filming.run import FilmRun
from impasto.images.image import Image, ImageMetadata
from impasto.images.resize import resize

_KEY_WEIGHT = 0.15  # times the temporal weight, of a keyframe
_ALIKE = (0.2, 0.4)  # trust from which on a keyframe starts from what was matched, and wholly
_SOFT = 7  # pixels over which what is held goes over into what is painted
_SURE = 0.5  # what is trusted more is carried by the motion
_WHOLE = 0.995  # a keyframe that is carried from the last one so far is not painted


class _Between(NamedTuple):
    """A frame behind a keyframe, kept until the next one: in 8 and 16 bits, since there are many.

    Attributes:
        content: (3, H, W) uint8.
        carried: the keyframe before it, carried here, (3, H, W) uint8.
        trust: of that, (H, W) uint8.
        still: share of the frame that stands still.
        steps: where its pixels are in the next frame, (H, W, 2) float16; None for the last.
        believed: of that, (H, W) uint8.
        metadata: what goes into its file.
    """

    content: Tensor
    carried: Tensor
    trust: Tensor
    still: float
    steps: np.ndarray | None
    believed: np.ndarray | None
    metadata: ImageMetadata


@dataclass
class _Latest:
    """The last frame that was taken in."""

    number: int
    frame: Image
    content: Tensor
    carried: Carried | None  # None for a keyframe


def paint_keys(run: FilmRun) -> None:
    """Make the frames that are left, from one keyframe to the next."""
    engine = _Keyed(run)
    for number, frame in run.frames():
        if not engine.take(number, frame):
            return
    if not run.stopped:
        engine.end_scene()


class _Keyed:
    """A film that is made from keyframe to keyframe.

    What is kept for the next run is the last keyframe with all frames before it finished. Those
    behind it are made anew, the same: they cost little, and the keyframe after them is kept too.
    """

    def __init__(self, run: FilmRun) -> None:
        self.run = run
        self.between: list[_Between] = []
        self.carrier: Carrier | None = None
        self.latest: _Latest | None = None
        self.fading = False  # to styles that begin
        if run.state is not None:
            last = run.state.tensors
            self._carry_on(run.done - 1, last["painted"], last["content"], last["reference"])

    def take(self, number: int, frame: Image) -> bool:
        """Take in the next frame; return False if the run was stopped."""
        content = _round(self.run.content(frame))
        if self.carrier is None:
            return self._begin_scene(number, frame, content)
        back, forth = find_flows(self.latest.content, content)
        if is_cut(self.latest.content, content, back):
            return self.end_scene() and self._begin_scene(number, frame, content)
        if self.between:
            self.between[-1] = self.between[-1]._replace(
                steps=forth.steps.astype(np.float16), believed=_to_bytes(forth.trust)
            )
        carried = self.carrier.step(content, back)
        self.latest = _Latest(number, frame, content, carried)
        self.between.append(self._keep(frame, content, carried))
        if self._is_key(number, carried):
            return self._end_segment()
        return True

    def end_scene(self) -> bool:
        """Make the last frame a keyframe: what came into view behind the one before is its."""
        return self._end_segment() if self.between else True

    def _is_key(self, number: int, carried: Carried) -> bool:
        """Return whether a frame is to be a keyframe."""
        run = self.run
        if number in run.job.keys or run.job.styles.fade(number + 1):
            return True
        weight = run.job.styles.weight(number)
        if weight < 1 or self.fading:  # one painting gives way to the other
            return weight == 1
        covered = float((carried.trust > _SURE).float().mean())
        return is_key(run.job.recipe, self.carrier.frames, covered)

    def _begin_scene(self, number: int, frame: Image, content: Tensor) -> bool:
        """Paint the first frame of a scene."""
        painted = self.run.paint(number, frame)
        if painted is None:
            return False
        shown = self.run.finish(number, frame, painted)
        self._count_key(number, painted, content, content)
        self.run.report(number, shown, cut=True, still=0.0)
        return True

    def _end_segment(self) -> bool:
        """Make the last frame a keyframe and finish those before it; False if stopped."""
        run, (*between, last), latest = self.run, self.between, self.latest
        painted = self._paint_key(latest)
        if painted is None:
            return False
        first = latest.number - len(between)
        after = Carrier(painted, latest.content, latest.content, self._seed(latest.number))
        finished = []
        for index in reversed(range(len(between))):
            each = between[index]
            flow = Flow(each.steps.astype(np.float32), each.believed.astype(np.float32) / 255)
            carried = after.step(each.content.float() / 255, flow)
            carried = carried._replace(pixels=_round(carried.pixels))
            pixels, trust = each.carried.float() / 255, each.trust.float() / 255
            before = Carried(pixels, trust, carried.still)
            share = (index + 1) / (len(between) + 1)
            finished.append((blend(before, carried, share) * 255 + 0.5).to(torch.uint8))
        finished.reverse()
        for number, (each, pixels) in enumerate(zip(between, finished, strict=True), first):
            image = Image(each.content.float() / 255, each.metadata)
            shown_between = run.finish(number, image, pixels.float() / 255)
            run.report(number, shown_between, cut=False, still=each.still)
        shown = run.finish(latest.number, latest.frame, painted)
        reference = latest.content
        if not self._is_anew(latest.number):
            reference = self.carrier.reference
        self._count_key(latest.number, painted, latest.content, reference)
        run.report(latest.number, shown, cut=False, still=last.still)
        return True

    def _is_anew(self, number: int) -> bool:
        """Return whether a keyframe owes nothing to the one before."""
        return self.fading or number in self.run.job.keys

    def _paint_key(self, latest: _Latest) -> Tensor | None:
        """Paint the last frame, (3, H, W), before it is finished; None if stopped."""
        run, carried, number = self.run, latest.carried, latest.number
        if number in run.job.keys:
            return run.job.keys[number]
        if not self.fading and float(carried.trust.mean()) >= _WHOLE:
            return carried.pixels
        last = run.state.tensors
        if "after" in last:  # by the run before this one
            return last["after"]
        motion, recipe = None, run.job.recipe
        if not self.fading:
            # Matched pieces are where it starts, and nothing that it has to hold to.
            least, most = _ALIKE
            start = ((carried.trust - least) / (most - least)).clamp(0, 1)
            held = carried.trust * (carried.trust > MATCHED)
            held = torch.from_numpy(box(held.numpy(), _SOFT))
            weight = _KEY_WEIGHT * recipe.temporal_weight
            motion = motion_to(carried.pixels, start, carried.still, weight)
            motion = motion._replace(held=held)
        evaluations = KEY_EVALUATIONS * recipe.frame_evaluations
        painted = run.paint(number, latest.frame, motion, evaluations)
        if painted is not None:
            if motion is not None:
                painted = torch.where(carried.still.bool(), carried.pixels, painted)
            run.count(run.done, **last, after=painted)
        return painted

    def _count_key(self, number: int, painted: Tensor, content: Tensor, reference: Tensor) -> None:
        """Count all frames up to a keyframe as finished, and go on from it."""
        self.run.keys.append(self.run.job.start + number)
        self.run.count(number + 1, painted=painted, content=content, reference=reference)
        self._carry_on(number, painted, content, reference)

    def _carry_on(self, number: int, painted: Tensor, content: Tensor, reference: Tensor) -> None:
        self.carrier = Carrier(painted, content, reference, self._seed(number))
        self.latest = _Latest(number, Image(content), content, None)
        self.between = []
        self.fading = bool(self.run.job.styles.fade(number + 1))

    def _keep(self, frame: Image, content: Tensor, carried: Carried) -> _Between:
        return _Between(
            content=(content * 255 + 0.5).to(torch.uint8),
            carried=(carried.pixels * 255 + 0.5).to(torch.uint8),
            trust=(carried.trust * 255 + 0.5).to(torch.uint8),
            still=float(carried.still.mean()),
            steps=None,
            believed=None,
            metadata=_small(frame, self.run.size),
        )

    def _seed(self, number: int) -> int:
        return self.run.job.recipe.seed + 10_007 * number


def _round(content: Tensor) -> Tensor:
    """Return a frame in steps of 8 bits, as it is kept."""
    return (content * 255 + 0.5).to(torch.uint8).float() / 255


def _to_bytes(plane: np.ndarray) -> np.ndarray:
    return (plane * 255 + 0.5).astype(np.uint8)


def _small(frame: Image, size: tuple[int, int]) -> ImageMetadata:
    """Return what a frame carries, with its transparency at the film's size."""
    alpha = frame.metadata.alpha
    return replace(frame.metadata, alpha=None if alpha is None else resize(alpha, size))
