"""What of a new job can be refused before it waits: too much work, no such device, no memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from impasto.errors import ImpastoError, MemoryShortageError, quote
from impasto.images.crop import check_part
from impasto.images.resize import result_size
from impasto.jobs.run_job import method_images
from impasto.methods import METHODS
from impasto.recipes import ApplyRecipe, DenoiseRecipe, FilmRecipe, FitRecipe, TextureRecipe
from impasto.serve.problems import RequestError
from impasto.serve.records import JobRecord, Upload
from impasto.serve.service import Service
from impasto.style.schedule import full_size_evaluations

# Pixels of a result below which any machine has the memory, so that nothing is planned.
_ALWAYS_FITS = 4_000_000
_STAND_IN = 256  # pixels of the longer side of the picture that stands in for one to be planned
# Denoising a pixel takes as long as so many steps of painting a pixel (measured).
_DENOISING_STEPS = {"auto": 14, "nl-wiener": 14, "zs-n2n": 2000, "zs-n2n-fast": 10}


def check_device(service: Service, recipe: Any) -> None:
    """Refuse a device that this machine has not.

    Raises:
        RequestError: it has not.
    """
    device = getattr(recipe, "device", "auto")
    devices = service.workers.devices
    if device == "auto" or not devices:  # not known yet in the first seconds
        return
    if ("cuda:0" if device == "cuda" else device) not in devices:
        raise RequestError(
            "no_such_device",
            f"`device` must be one of {', '.join(['auto', *devices])} here, got {quote(device)}; "
            "auto always works",
        )


def check_plan(service: Service, job: JobRecord, folder: Path) -> None:
    """Refuse a job that its method's plan refuses, such as one that needs too much memory.

    It is planned only where memory may be short: a large result, or memory or tiles that were set.

    Args:
        service: state of the server.
        job: the job.
        folder: where its files are.

    Raises:
        RequestError: the plan refuses it.
    """
    method = METHODS.get(job.method)
    if method is None or not method.planner:
        return
    recipe = job.job(folder).options
    width, height = _result_size(recipe, job.uploads[0])
    is_set = any(getattr(recipe, name, "auto") != "auto" for name in ("memory", "tiles"))
    if width * height < _ALWAYS_FITS and not is_set:
        return
    if hasattr(recipe, "denoise"):
        recipe = recipe.model_copy(update={"denoise": "no"})
    try:
        method.plan(method_images(job.job(folder)), recipe=recipe)
    except MemoryShortageError as error:
        # What other jobs take now may be free when this one's turn comes.
        if is_set or not any(service.workers.counts()):
            raise RequestError("not_enough_memory", str(error)) from None
    except (ImpastoError, ValueError) as error:
        raise RequestError("impossible_job", job.public_message(str(error), folder)) from None


def check_work(recipe: Any, first: Upload, max_work: int) -> None:
    """Refuse a job that has too many pixels for so many steps.

    Args:
        recipe: options of the job.
        first: its first input.
        max_work: pixels of the result times steps, at most.

    Raises:
        RequestError: the job is too much work.

    Example:
        >>> from impasto.recipes import StyleRecipe
        >>> first = Upload(role="content", name="", file="", sha256="", width=400, height=300)
        >>> check_work(StyleRecipe(size=65536), first, 10**10)
        Traceback (most recent call last):
        impasto.serve.problems.RequestError: `size` and `steps` must stay below 10,000,000,000 ...
    """
    width, height = _result_size(recipe, first)
    frames = first.frames or 1
    if isinstance(recipe, DenoiseRecipe):
        if recipe.method.startswith("zs-n2n"):  # the network is trained on the whole
            width, height = first.width, first.height
        steps, names, hint = _DENOISING_STEPS[recipe.method], "`method`", "clean a part of it"
    elif isinstance(recipe, FilmRecipe):
        steps, names, hint = recipe.frame_evaluations, "`size` and `range`", "paint a part of it"
    elif isinstance(recipe, ApplyRecipe):
        steps, names, hint = 1, "`size`", "lower it"
    else:
        steps, names, hint = _steps(recipe), "`size` and `steps`", "lower one"
    steps *= frames
    if width * height * steps > max_work:
        raise RequestError(
            "too_much_work",
            f"{names} must stay below {max_work:,} pixels times steps, got {width:,} × {height:,} "
            f"pixels and {steps:,} steps; {hint}, or start the server with a larger `--most-work`",
        )


def _steps(recipe: Any) -> int:
    """Return how many steps of the finished size a recipe takes."""
    return recipe.steps if isinstance(recipe, FitRecipe) else full_size_evaluations(recipe)


def _result_size(recipe: Any, first: Upload) -> tuple[int, int]:
    """Return (width, height) of what a recipe makes of its first input."""
    size = None if isinstance(recipe, TextureRecipe) else (first.width, first.height)
    return result_size(recipe, size)


def estimate_memory(method: str, recipe: Any, size: tuple[int, int]) -> int | None:
    """Return the bytes that the process takes at its peak while a job runs.

    Args:
        method: what is to be done.
        recipe: options of the job.
        size: (width, height) of the content in pixels.

    Returns:
        None if the method has no plan to tell it by.

    Raises:
        RequestError: they are not there.
    """
    planned = METHODS.get("style" if method == "film" else method)  # frames are painted as pictures
    if planned is None or not planned.planner:
        return None
    width, height = result_size(recipe, None if method == "texture" else size)
    # The plan goes by sizes alone; a small picture of the same proportions is read at once.
    factor = min(1.0, _STAND_IN / max(size))
    rows, columns = (max(16, round(side * factor)) for side in size[::-1])
    ramp = np.linspace(0, 1, columns, dtype=np.float32)[:, np.newaxis]
    stand_in = np.broadcast_to(ramp, (rows, columns, 3))
    changes = {"size": max(width, height)} if method != "texture" else {}
    if hasattr(recipe, "denoise"):
        changes["denoise"] = "no"
    if getattr(recipe, "init", "") == "picture":
        changes["init"] = "content"
    try:
        plan = planned.plan(
            {"content": stand_in, "style": stand_in},
            recipe=recipe.model_copy(update=changes),
            timed=False,
        )
    except MemoryShortageError as error:
        raise RequestError("not_enough_memory", str(error)) from None
    except (ImpastoError, ValueError) as error:
        raise RequestError("impossible_job", str(error)) from None
    return plan.memory


def check_crop(recipe: Any, content: Upload) -> None:
    """Refuse a part to be denoised that does not lie in the content image.

    Raises:
        RequestError: it does not.
    """
    crop = getattr(recipe, "crop", "whole")
    if crop == "whole":
        return
    try:
        check_part(crop, (content.width, content.height))
    except ValueError as error:
        raise RequestError("crop_outside", str(error)) from None
