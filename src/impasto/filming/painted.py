"""The engine `painted`: every frame starts from the last one and is painted a little."""

from __future__ import annotations

import torch

from impasto.filming.motion import carry, find_flow, find_still, is_cut
from impasto.filming.run import FilmRun
from impasto.images.image import Image


def paint_frames(run: FilmRun) -> None:
    """Paint the frames that are left, one after the other."""
    for number, frame in run.frames():
        if not _paint_frame(run, number, frame):
            return


def _paint_frame(run: FilmRun, number: int, frame: Image) -> bool:
    """Paint one frame and count it; return False if the run was stopped instead."""
    content = run.content(frame)
    before = run.state.tensors if run.state else None
    motion, still, cut = None, torch.zeros(content.shape[1:]), before is None
    recipe = run.job.recipe
    if before is not None:
        flow = find_flow(before["content"], content)
        cut = is_cut(before["content"], content, flow)
        change = run.job.styles.change(number)
        if not cut and change < 1:
            if not change:
                still = find_still(before["reference"], content, flow)
            motion = carry(before["painted"], flow, still, recipe.temporal_weight)
            # The old styles' strokes give way to the frame in the new ones' colors.
            motion = motion._replace(trust=motion.trust * (1 - change))
    if bool(still.all()) and run.can_repeat(number, frame):
        run.repeat(number)
        pixels = painted = before["painted"]
    else:
        painted = run.paint(number, frame, motion, recipe.frame_evaluations)
        if painted is None:
            return False
        pixels = run.finish(number, frame, painted)
    reference = content if cut else torch.where(still.bool(), before["reference"], content)
    run.count(number + 1, painted=painted, content=content, reference=reference)
    run.report(number, pixels, cut=cut, still=float(still.mean()))
    return True
