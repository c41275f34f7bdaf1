"""What a batch would do, found out without doing it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from impasto.batch import storage
from impasto.batch.executors import check_ray, counts
from impasto.batch.job import Job
from impasto.batch.plan import BatchPlan, jobs
from impasto.batch.run import TRIES
from impasto.errors import ImageError
from impasto.images.stack import Stack

if TYPE_CHECKING:
    from torch import Tensor

    from impasto.result import Step
    from impasto.style.plan import Plan as StylePlan

_TRIED = 20  # pictures, of which the first that can be read stands for all
_SIDE = 128  # pixels of the part that is cleaned to see how long it takes
_LONGEST = 2.0  # seconds of steps after which that is ended


def estimate_batch(
    plan: BatchPlan,
    *,
    executor: str = "processes",
    workers: int | None = None,
    threads: int | None = None,
    address: str | None = None,
    gpus: float | None = None,
    existing: str = "resume",
    tries: int = TRIES,
    manifest: str | None = None,
) -> dict[str, Any]:
    """Count the pictures of a plan, and estimate memory and time from the first of them.

    Args:
        plan: what would be made.
        executor: as for `batch`; so the others, all of which are checked.
        workers: how many pictures at a time.
        threads: threads a picture.
        address: of the Ray cluster.
        gpus: that each of Ray's workers holds.
        existing: what is done where something is there.
        tries: how often a picture is begun.
        manifest: file of the account, which is not opened.

    Returns:
        Pictures, those whose output is there, workers, threads, the seconds of the whole, and of
        painting the memory that all workers take; None where nothing tells. What cleaning takes
        is tried on a part of the first picture.

    Raises:
        ValueError: as `batch`; so the other errors.
    """
    del manifest
    count, each = counts(executor, workers, threads, existing, tries)
    check_ray(executor, address, gpus)
    wanted = jobs(plan)
    there = sum(storage.stamp(job.output) is not None for job in wanted)
    facts: dict[str, Any] = {
        "pictures": len(wanted),
        "there_already": there,
        "workers": count,
        "threads": each,
        "memory_gib": None,
        "seconds": None,
    }
    left = len(wanted) - there
    if plan.method == "denoise":
        alone = _tried(wanted[:_TRIED], plan, each)
        facts["seconds"] = alone and round(alone * left / count, 1)
    elif found := _planned(wanted[:_TRIED], plan):
        from impasto.memory import GIB

        facts["memory_gib"] = round(min(count, max(left, 1)) * found.memory / GIB, 2)
        facts["seconds"] = found.seconds and round(found.seconds * left / count, 1)
    return facts


def _planned(wanted: Sequence[Job], plan: BatchPlan) -> StylePlan | None:
    """The plan of the first picture that can be read."""
    from impasto.api import plan_style

    recipe = plan.recipe.model_copy(update={"denoise": "no"})
    for job in wanted:
        with (
            suppress(ImageError, ValueError),
            storage.download(job.content) as content,
            storage.download(job.style) as style,
        ):
            return plan_style(content, style, recipe=recipe)
    return None


def _tried(wanted: Sequence[Job], plan: BatchPlan, threads: int) -> float | None:
    """Seconds that the first picture that can be read takes to clean, from a part of it."""
    import torch

    from impasto.batch.run_job import warm_up
    from impasto.denoising.denoise import denoise
    from impasto.images.open_input import input_planes, open_input

    steps: list[Step] = []

    def watch(step: Step) -> None:
        steps.append(step)
        if step.seconds > steps[0].seconds + _LONGEST:
            raise StopIteration

    before = torch.get_num_threads()
    for job in wanted:
        with suppress(ImageError, ValueError), storage.download(job.content) as content:
            source = open_input(content, plan.recipe.axes)
            plane = input_planes(source, 1)[0]
            crop = _middle(plane)
            steps.clear()
            warm_up(threads)
            try:
                result = denoise(
                    crop, recipe=plan.recipe.model_copy(update={"axes": "auto"}), on_step=watch
                )
            finally:
                torch.set_num_threads(before)
            seconds = result.seconds
            if result.stopped:  # the first step has waited for what is loaded once
                pace = (steps[-1].seconds - steps[0].seconds) / (len(steps) - 1)
                seconds = pace * steps[0].evaluations
            # Training from crops does not take longer for more pixels.
            more = 1 if result.method == "zs-n2n-fast" else plane.numel() / crop.numel()
            return seconds * more * (source.count if isinstance(source, Stack) else 1)
    return None


def _middle(plane: Tensor) -> Tensor:
    """The part in the middle of a plane (C, H, W), or all of a small one."""
    top, left = (max(0, (length - _SIDE) // 2) for length in plane.shape[1:])
    return plane[:, top : top + _SIDE, left : left + _SIDE]
