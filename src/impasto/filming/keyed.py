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
from impasto.filming.steady import mix_with_next, mix_with_past, share_to_mix
from impasto.images.image import Image, ImageMetadata
from impasto.images.resize import resize

_KEY_WEIGHT = 0.15  # times the temporal weight, of a keyframe
_ALIKE = (0.2, 0.4)  # trust from which on a keyframe starts from what was matched, and wholly
_SOFT = 7  # pixels over which what is held goes over into what is painted
_SURE = 0.5  # what is trusted more is carried by the motion
_WHOLE = 0.995  # a keyframe that is carried from the last one so far is not painted


class _KeptFlow(NamedTuple):
    """A motion in 8 and 16 bits."""

    steps: np.ndarray  # (H, W, 2) float16
    trust: np.ndarray  # (H, W) uint8

    @classmethod
    def of(cls, flow: Flow) -> _KeptFlow:
        return cls(flow.steps.astype(np.float16), (flow.trust * 255 + 0.5).astype(np.uint8))

    @property
    def flow(self) -> Flow:
        return Flow(self.steps.astype(np.float32), self.trust.astype(np.float32) / 255)


class _Between(NamedTuple):
    """A frame behind a keyframe, kept until the next one: in 8 and 16 bits, since there are many.

    Attributes:
        content: (3, H, W) uint8.
        carried: the keyframe before it, carried here, (3, H, W) uint8.
        trust: of that, (H, W) uint8.
        still: share of the frame that stands still.
        back: where its pixels were in the frame before.
        ahead: where the pixels of the frame before are in this one.
        metadata: what goes into its file.
    """

    content: Tensor
    carried: Tensor
    trust: Tensor
    still: float
    back: _KeptFlow
    ahead: _KeptFlow
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
        self.key_frame: Image | None = None  # the last keyframe as the clip has it
        self.fading = False  # to styles that begin
        if run.state is not None:
            self._carry_on(run.done - 1, run.read(run.done - 1))

    def take(self, number: int, frame: Image) -> bool:
        """Take in the next frame; return False if the run was stopped."""
        content = _round(self.run.content(frame))
        if self.carrier is None:
            return self._begin_scene(number, frame, content)
        back, forth = find_flows(self.latest.content, content)
        if is_cut(self.latest.content, content, back):
            return self.end_scene() and self._begin_scene(number, frame, content)
        carried = self.carrier.step(content, back)
        self.latest = _Latest(number, frame, content, carried)
        self.between.append(self._keep(frame, content, carried, back, forth))
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
        painted = _round(painted)
        shown = self.run.finish(number, frame, painted)
        self._count_key(number, frame, painted, painted, content, content)
        self.run.report(number, shown, cut=True, still=0.0)
        return True

    def _end_segment(self) -> bool:
        """Make the last frame a keyframe and finish those before it; False if stopped."""
        run, latest = self.run, self.latest
        painted = self._paint_key(latest)
        if painted is None:
            return False
        painted = _round(painted)
        made = [*self._blend_between(painted), painted]
        first = latest.number - len(made) + 1
        mixed, shown = self._mix(first, made)
        run.finish(first - 1, self.key_frame, mixed.pop(0))
        for number, (each, pixels) in enumerate(zip(self.between, mixed, strict=True), first):
            frame = Image(each.content.float() / 255, each.metadata)
            frame = latest.frame if number == latest.number else frame
            finished = run.finish(number, frame, pixels)
            if number < latest.number:
                run.report(number, finished, cut=False, still=each.still)
        reference, still = latest.content, self.between[-1].still
        if not self._is_anew(latest.number):
            reference = self.carrier.reference
        self._count_key(latest.number, latest.frame, painted, shown, latest.content, reference)
        run.report(latest.number, finished, cut=False, still=still)
        return True

    def _blend_between(self, painted: Tensor) -> list[Tensor]:
        """Return the frames between the last keyframe and the next one, made from both."""
        latest, between = self.latest, self.between[:-1]
        after = Carrier(painted, latest.content, latest.content, self._seed(latest.number))
        made = []
        for index in reversed(range(len(between))):
            each, ahead = between[index], self.between[index + 1].ahead.flow
            carried = after.step(each.content.float() / 255, ahead)
            carried = carried._replace(pixels=_round(carried.pixels))
            pixels, trust = each.carried.float() / 255, each.trust.float() / 255
            before = Carried(pixels, trust, carried.still)
            share = (index + 1) / (len(between) + 1)
            made.append(_round(blend(before, carried, share)))
        return made[::-1]

    def _mix(self, first: int, made: list[Tensor]) -> tuple[list[Tensor], Tensor]:
        """Mix frames with those beside them.

        Args:
            first: number of the first one, behind the last keyframe.
            made: the frames, up to the next keyframe.

        Returns:
            The last keyframe and the frames, of which the last waits for its next one; and that.
        """
        last, mixed = self.run.state.tensors, []
        before, steady = last["painted"], last["mixed"]
        for number, (each, painted) in enumerate(zip(self.between, made, strict=True), first):
            share = share_to_mix(self.run.job.styles.change(number))
            mixed.append(mix_with_next(steady, before, painted, each.ahead.flow, share))
            if number in self.run.job.keys:
                steady = painted
            else:
                steady = mix_with_past(painted, before, steady, each.back.flow, share)
            before = painted
        return [*mixed, steady], steady

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

    def _count_key(
        self,
        number: int,
        frame: Image,
        painted: Tensor,
        mixed: Tensor,
        content: Tensor,
        reference: Tensor,
    ) -> None:
        """Count all frames up to a keyframe as finished, and go on from it."""
        self.run.keys.append(self.run.job.start + number)
        tensors = {"painted": painted, "mixed": mixed, "content": content, "reference": reference}
        self.run.count(number + 1, **tensors)
        self._carry_on(number, frame)

    def _carry_on(self, number: int, frame: Image) -> None:
        """Go on from the keyframe that is kept."""
        last = self.run.state.tensors
        painted, content, reference = (last[k] for k in ("painted", "content", "reference"))
        self.key_frame = frame
        self.carrier = Carrier(painted, content, reference, self._seed(number))
        self.latest = _Latest(number, Image(content), content, None)
        self.between = []
        self.fading = bool(self.run.job.styles.fade(number + 1))

    def _keep(
        self, frame: Image, content: Tensor, carried: Carried, back: Flow, ahead: Flow
    ) -> _Between:
        return _Between(
            content=(content * 255 + 0.5).to(torch.uint8),
            carried=(carried.pixels * 255 + 0.5).to(torch.uint8),
            trust=(carried.trust * 255 + 0.5).to(torch.uint8),
            still=float(carried.still.mean()),
            back=_KeptFlow.of(back),
            ahead=_KeptFlow.of(ahead),
            metadata=_small(frame, self.run.size),
        )

    def _seed(self, number: int) -> int:
        return self.run.job.recipe.seed + 10_007 * number


def _round(content: Tensor) -> Tensor:
    """Return a frame in steps of 8 bits, as it is kept."""
    return (content * 255 + 0.5).to(torch.uint8).float() / 255


def _small(frame: Image, size: tuple[int, int]) -> ImageMetadata:
    """Return what a frame carries, with its transparency at the film's size."""
    alpha = frame.metadata.alpha
    return replace(frame.metadata, alpha=None if alpha is None else resize(alpha, size))
