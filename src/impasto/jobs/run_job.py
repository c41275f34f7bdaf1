"""Run one job with its part of the memory, and turn errors into an outcome."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from impasto.errors import MAX_SENTENCE, ImpastoError, printable, shorten
from impasto.jobs.job import Job, Outcome
from impasto.jobs.progress import JobCancelled, JobReporter, StopEvent
from impasto.memory import GIB, available_bytes, used_bytes
from impasto.methods import METHODS, Recipe
from impasto.style.source import Style

if TYPE_CHECKING:
    from pathlib import Path

    from impasto.result import DenoiseResult, Result


def run_job(
    job: Job,
    *,
    share: float = 1.0,
    device: str | None = None,
    reporter: JobReporter | None = None,
    checkpoint: Path | None = None,
    opened: Mapping[str, Any] | None = None,
    measurements: Any = None,
) -> Result | DenoiseResult:
    """Run a job's method on its input files, which must be on this machine.

    Args:
        job: what to make; its `output` is not written.
        share: part of the free memory that the job may use, above 0 up to 1.
        device: where to compute; None leaves it to the recipe.
        reporter: reports progress, and ends the run on request.
        checkpoint: file to resume from, if the method can resume.
        opened: role -> image, of inputs that are open already.
        measurements: what earlier jobs measured, if the method measures its pictures.

    Returns:
        The result. Its recipe has the job's own `memory`, whatever `share` made of it.
    """
    recipe = job.options
    limited = limit_memory(recipe, share)
    if device is not None:
        limited = limited.model_copy(update={"device": device})
    result = METHODS[job.method].run(
        method_images(job, opened),
        recipe=limited,
        on_step=reporter and reporter.on_step,
        stop=reporter and reporter.stop,
        checkpoint=checkpoint,
        measurements=measurements,
    )
    # The limit says something about this machine's load, not about the image.
    own = {"memory": recipe.memory} if "memory" in type(recipe).model_fields else {}
    return replace(result, recipe=result.recipe.model_copy(update=own))


def method_images(job: Job, opened: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return a job's inputs as its method takes them: the files of each style together.

    Args:
        job: the job.
        opened: role -> image that stands for the input's path.

    Example:
        >>> inputs = {"content": "a.png", "style-1": "b.png", "mask-1": "c.png"}
        >>> images = method_images(Job("style", "{}", inputs, "out.png", {"style-1": 0.5}))
        >>> images["content"], images["style"][0].weight, images["style"][0].mask
        ('a.png', 0.5, 'c.png')
    """
    inputs = {**job.inputs, **(opened or {})}
    images: dict[str, Any] = {role: image for role, image in inputs.items() if "-" not in role}
    numbers = [role.partition("-")[2] for role in inputs if role.startswith("style-")]
    if numbers:
        images["style"] = [
            Style(
                inputs[f"style-{number}"],
                job.weights.get(f"style-{number}", 1.0),
                inputs.get(f"region-{number}"),
                inputs.get(f"mask-{number}"),
            )
            for number in numbers
        ]
    return images


def attempt(work: Callable[[], Any], stop: StopEvent | None = None) -> Outcome:
    """Call `work`, which runs a job and saves its result, and report how it ended.

    Args:
        work: returns what `Outcome.saved` is to hold.
        stop: the request that may have ended the run early.

    Example:
        >>> attempt(lambda: 7).saved, attempt(lambda: 1 / 0).reason
        (7, 'something unforeseen went wrong, ZeroDivisionError: division by zero')
    """
    started = time.monotonic()
    saved = reason = None
    permanent = False
    try:
        saved = work()
        early = stop is not None and stop.is_set() and not stop.cancelled
        status = "stopped" if early else "done"
    except JobCancelled:
        status = "cancelled"
    except Exception as error:  # one job that fails must not end the others
        status, reason = "failed", failure_reason(error)
        permanent = isinstance(error, (ImpastoError, ValueError, TypeError, OSError))
    return Outcome(status, time.monotonic() - started, saved, reason, permanent)


def failure_reason(error: Exception) -> str:
    """Say in one line why a job failed."""
    message = shorten(printable(" ".join(str(error).split())), MAX_SENTENCE)
    if isinstance(error, (ImpastoError, ValueError, TypeError)):
        return message or type(error).__name__
    if isinstance(error, OSError) and error.strerror:
        place = f", got {error.filename}" if error.filename else ""
        return f"the disk must be one that can be used{place}: {error.strerror.lower()}; make room"
    if isinstance(error, MemoryError) or "memory" in message.lower():
        return "there is not enough memory for this job; ask for a smaller `size`"
    return f"something unforeseen went wrong, {type(error).__name__}: {message}"


def limit_memory(recipe: Recipe, share: float) -> Recipe:
    """Give a recipe with `memory=auto` a part of the memory that is free."""
    if getattr(recipe, "memory", None) != "auto" or share == 1:
        return recipe
    limit = (used_bytes() + share * available_bytes()) / GIB
    return recipe.model_copy(update={"memory": limit})
