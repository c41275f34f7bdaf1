"""What a batch would do, found out without doing it."""

from __future__ import annotations

from typing import Any

from impasto.batch import storage
from impasto.batch.plan import Plan, jobs
from impasto.batch.run import counts

_GIB = 2**30


def rehearsal(
    plan: Plan,
    *,
    executor: str = "processes",
    workers: int | None = None,
    threads: int | None = None,
    existing: str = "resume",
    tries: int = 3,
    manifest: str | None = None,
) -> dict[str, Any]:
    """Count the pictures of a plan, and estimate memory and time from the first of them.

    Args:
        plan: what would be made.
        executor: as for `batch`; so the others.
        workers: how many pictures at a time.
        threads: threads a picture.
        existing: what is done where something is there.
        tries: how often a picture is begun.
        manifest: file of the account.

    Returns:
        Pictures, those whose output is there, workers, threads, and of painting the bytes all
        workers take and the seconds of the whole; None where nothing tells.

    Raises:
        ValueError: as `batch`; so the other errors.
    """
    del manifest
    count, each = counts(executor, workers, threads, existing, tries)
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
    first = next((job for job in wanted if storage.stamp(job.content)), None)
    if plan.method == "style" and first is not None:
        from impasto.style.stylize import style_plan

        recipe = plan.recipe.model_copy(update={"denoise": "no"})
        with storage.fetched(first.content) as content, storage.fetched(first.style) as style:
            found = style_plan(content, style, recipe=recipe)
        facts["memory_gib"] = round(min(count, max(left, 1)) * found.memory / _GIB, 2)
        facts["seconds"] = found.seconds and round(found.seconds * left / count, 1)
    return facts
