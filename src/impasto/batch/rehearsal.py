"""What a batch would do, found out without doing it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from impasto.batch import storage
from impasto.batch.executors import check_ray, counts
from impasto.batch.job import Job
from impasto.batch.plan import Plan, jobs
from impasto.batch.run import TRIES
from impasto.errors import PictureError

if TYPE_CHECKING:
    from impasto.style.plan import Plan as StylePlan

_TRIED = 20  # pictures, of which the first that can be read stands for all


def rehearsal(
    plan: Plan,
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
        Pictures, those whose output is there, workers, threads, and of painting the bytes all
        workers take and the seconds of the whole; None where nothing tells.

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
    found = _planned(wanted[:_TRIED], plan) if plan.method == "style" else None
    if found is not None:
        from impasto.compute.memory import GIB

        facts["memory_gib"] = round(min(count, max(left, 1)) * found.memory / GIB, 2)
        facts["seconds"] = found.seconds and round(found.seconds * left / count, 1)
    return facts


def _planned(wanted: Sequence[Job], plan: Plan) -> StylePlan | None:
    """The plan of the first picture that can be read."""
    from impasto.style.stylize import style_plan

    recipe = plan.recipe.model_copy(update={"denoise": "no"})
    for job in wanted:
        with (
            suppress(PictureError, ValueError),
            storage.fetched(job.content) as content,
            storage.fetched(job.style) as style,
        ):
            return style_plan(content, style, recipe=recipe)
    return None
