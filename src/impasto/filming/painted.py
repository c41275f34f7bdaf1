"""The engine `painted`: every frame starts from the last one and is painted a little."""

from __future__ import annotations

import torch
from torch import Tensor

from impasto.filming.carrier import MATCHED, Carried, Carrier
from impasto.filming.motion import carry, find_flows, find_still, is_cut, motion_to
from impasto.filming.run import FilmRun
from impasto.filming.steady import mix_with_next, mix_with_past, share_to_mix
from impasto.images.image import Image
from impasto.style.stylize import Motion

_REMEMBERED = 10  # frames that a frame is held to, before a newer one takes its place
_SURE = (0.6, 0.8)  # trust from which on the older frame is held to, and wholly


def paint_frames(run: FilmRun) -> None:
    """Paint the frames that are left, one after the other."""
    for number, frame in run.frames():
        if not _paint_frame(run, number, frame):
            return


def _paint_frame(run: FilmRun, number: int, frame: Image) -> bool:
    """Paint one frame and count it; return False if the run was stopped instead."""
    content = run.content(frame)
    before = run.state.tensors if run.state else None
    change, motion, still, cut = 0.0, None, torch.zeros(content.shape[1:]), before is None
    recipe, seed = run.job.recipe, run.job.recipe.seed + 10_007 * number
    carrier = None if before is None else Carrier.restore(before, seed)
    if before is not None:
        flow, ahead = find_flows(before["content"], content)
        cut = is_cut(before["content"], content, flow)
        change = run.job.styles.change(number)
        if not cut and change < 1:
            if not change:
                still = find_still(before["reference"], content, flow)
            motion = carry(before["painted"], flow, still, recipe.temporal_weight)
            motion = hold_to_older(motion, carrier.step(content, flow), still)
            # The old styles' strokes give way to the frame in the new ones' colors.
            held, trust = (part * (1 - change) for part in (motion.held, motion.trust))
            motion = motion._replace(held=held, trust=trust)
    if bool(still.all()) and run.can_repeat(number, frame):
        run.repeat(number)
        pixels, painted, mixed = before["painted"], before["painted"], before["mixed"]
    else:
        painted = run.paint(number, frame, motion, recipe.frame_evaluations)
        if painted is None:
            return False
        mixed = painted
        if motion is not None and number not in run.job.keys:
            share = share_to_mix(change)
            mixed = mix_with_past(painted, before["painted"], before["mixed"], flow, share)
            last = mix_with_next(before["mixed"], before["painted"], painted, ahead, share)
            run.finish(number - 1, run.last_frame(number), last)
        pixels = run.finish(number, frame, mixed)
    reference = content if cut else torch.where(still.bool(), before["reference"], content)
    if motion is None or change or carrier.frames >= _REMEMBERED:
        carrier = Carrier(painted, content, reference, seed)
    latest = {"painted": painted, "mixed": mixed, "content": content, "reference": reference}
    run.count(number + 1, **latest, **carrier.tensors)
    run.report(number, pixels, cut=cut, still=float(still.mean()))
    return True


def hold_to_older(motion: Motion, remembered: Carried, still: Tensor) -> Motion:
    """Return a motion that holds to an older frame where that can be followed to here.

    It was sampled once, not once a frame: its strokes are as sharp as they were painted, and
    frames far apart hold together. What comes into view starts as the patches of the older frame
    that were painted where it looked alike.
    """
    least, most = _SURE
    sure = ((remembered.trust - least) / (most - least)).clamp(0, 1)
    new = 1 - torch.maximum(motion.trust, sure)
    pixels = torch.lerp(motion.pixels, remembered.pixels, torch.maximum(sure, new))
    pixels = torch.where(still.bool(), motion.pixels, pixels)
    held = torch.maximum(motion.trust, sure * remembered.trust)
    trust = torch.maximum(held, new * (remembered.trust / MATCHED).clamp(max=1))
    return motion_to(pixels, trust, still, motion.weight)._replace(held=held)
