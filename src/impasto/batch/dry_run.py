"""Estimate a batch: count its images, and its memory and time from the first of them."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import torch

from impasto.batch import storage
from impasto.batch.outputs import check_model
from impasto.batch.plan import BatchPlan, plan_jobs
from impasto.batch.run import MAX_TRIES
from impasto.batch.workers import check_workers, set_threads
from impasto.denoising.denoise import denoise
from impasto.errors import ImageError
from impasto.images.open_input import input_planes, open_input
from impasto.images.read import open_image, read_metadata
from impasto.images.resize import result_size
from impasto.images.stack import Stack
from impasto.images.tiff_read import is_scientific_tiff
from impasto.images.write import MAX_SIDES, check_output_size, left_out_notes
from impasto.jobs.job import Job
from impasto.memory import GIB
from impasto.methods import METHODS

if TYPE_CHECKING:
    from torch import Tensor

    from impasto.images.image import ImageMetadata
    from impasto.result import Step
    from impasto.style.plan import Plan as StylePlan

_CANDIDATES = 20  # the first of so many images that can be read stands for all
_CROP_SIDE = 128  # pixels of the part that is denoised to measure the time
_MAX_SECONDS = 2.0  # after which that measurement ends


def estimate_batch(
    plan: BatchPlan,
    *,
    executor: str = "processes",
    workers: int | None = None,
    threads: int | None = None,
    address: str | None = None,
    gpus: float | None = None,
    existing: str = "resume",
    tries: int = MAX_TRIES,
    manifest: str | None = None,
) -> dict[str, Any]:
    """Count the images of a plan, and estimate memory and time from the first of them.

    Args:
        plan: what would be made.
        executor: as for `run_batch`; so are the others, all of which are checked.
        workers: images at a time.
        threads: threads per image.
        address: of the Ray cluster.
        gpus: for each Ray worker.
        existing: what to do if an output exists.
        tries: how often an image is started.
        manifest: file of the manifest, which is not opened.

    Returns:
        Number of images, of films if there are any, of existing outputs, workers and threads; the
        files left out; seconds of all images, without films; for painting the memory of all
        workers; the outputs that their format cannot hold, with the reason; and notes on what of
        which file would be left out, as far as the size of the files must be read. None if it
        cannot be known. Denoising is tried on a part of the first image.

    Raises:
        ValueError: as `run_batch`.
        ImageError: as `run_batch`.
    """
    del manifest
    count, each = check_workers(executor, workers, threads, existing, tries, address, gpus)
    left_out: list[str] = []
    jobs = plan_jobs(plan, left_out)
    if plan.model:
        check_model(jobs[0].inputs["model"])
    films = [job for job in jobs if job.makes_film]
    pictures = [job for job in jobs if not job.makes_film]
    too_large, notes = _check_inputs(pictures)
    there = sum(storage.file_stamp(job.output) is not None for job in jobs)
    estimate: dict[str, Any] = {
        "pictures": len(pictures),
        **({"films": len(films)} if films else {}),
        "left_out": left_out,
        "there_already": there,
        "too_large": too_large,
        "notes": notes,
        "workers": count,
        "threads": each,
        "memory_gib": None,
        "seconds": None,
    }
    left = sum(storage.file_stamp(job.output) is None for job in pictures)
    if plan.method == "apply":
        seconds = _measure_applying(pictures[:_CANDIDATES], each)
        estimate["seconds"] = _round_up(seconds, left / count)
    elif plan.method == "denoise":
        seconds = _measure_denoising(pictures[:_CANDIDATES], plan, each)
        estimate["seconds"] = _round_up(seconds, left / count)
    elif first := _plan_first(pictures[:_CANDIDATES], plan):
        estimate["memory_gib"] = round(min(count, max(left, 1)) * first.memory / GIB, 2)
        estimate["seconds"] = _round_up(first.seconds, left / count)
    return estimate


def _round_up(seconds: float | None, times: float) -> float | None:
    """Return so many times the seconds in tenths, at least one if anything takes any time."""
    return seconds and math.ceil(10 * seconds * times) / 10


def _check_inputs(jobs: Sequence[Job]) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Read the headers of local files whose results may be too large, each once.

    Returns:
        The outputs that their format cannot hold, with the reasons; and by input or output, what
        would be left out or taken for what.
    """
    reasons: dict[str, str] = {}
    notes: dict[str, list[str]] = {}
    contents: dict[str, ImageMetadata | None] = {}
    for job in jobs:
        content = job.inputs["content"]
        size = getattr(job.options, "size", "original")
        fits_all = size != "original" and size <= min(MAX_SIDES.values())
        if fits_all or storage.is_remote(content):
            continue
        if content not in contents:
            contents[content] = None
            with suppress(ImageError):  # measured data, or running the job will say why
                contents[content] = read_metadata(content)
        metadata = contents[content]
        if metadata is None:
            continue
        ending = os.path.splitext(job.output)[1]
        size = result_size(job.options, metadata.size)
        if not (METHODS[job.method].keeps_data and is_scientific_tiff(content)):
            left_out = left_out_notes(metadata, ending, size, strip=job.strip)
            for place, each in ((content, metadata.notes), (job.output, left_out)):
                if each:
                    notes[place] = list(each)
        try:
            check_output_size(job.output, size)
        except ImageError as error:
            reasons[job.output] = str(error)
    return reasons, notes


def _plan_first(jobs: Sequence[Job], plan: BatchPlan) -> StylePlan | None:
    """Plan the first job whose inputs can be read."""
    recipe = plan.recipe.model_copy(update={"denoise": "no"})
    for job in jobs:
        with (
            suppress(ImageError, ValueError),
            storage.download(job.inputs["content"]) as content,
            storage.download(job.inputs["style-1"]) as style,
        ):
            images = {"content": content, "style": style}
            return METHODS[plan.method].plan(images, recipe=recipe)
    return None


def _measure_applying(jobs: Sequence[Job], threads: int) -> float | None:
    """Return the seconds of painting the first job whose input can be read."""
    threads_before = torch.get_num_threads()
    for job in jobs:
        with suppress(ImageError, ValueError), storage.download_all(job.inputs) as inputs:
            images = {"content": open_image(inputs["content"]), "model": inputs["model"]}
            set_threads(threads)
            try:
                return METHODS[job.method].run(images, recipe=job.options).seconds
            finally:
                torch.set_num_threads(threads_before)
    return None


def _measure_denoising(jobs: Sequence[Job], plan: BatchPlan, threads: int) -> float | None:
    """Estimate the seconds of the first job whose input can be read, from a part of it."""
    steps: list[Step] = []

    def on_step(step: Step) -> None:
        steps.append(step)
        if step.seconds > steps[0].seconds + _MAX_SECONDS:
            raise StopIteration

    recipe = plan.recipe.model_copy(update={"axes": "auto", "crop": "whole"})
    threads_before = torch.get_num_threads()
    for job in jobs:
        with suppress(ImageError, ValueError), storage.download(job.inputs["content"]) as content:
            source = open_input(content, plan.recipe.axes)
            plane = input_planes(source, 1)[0]
            crop = _center_crop(plane)
            steps.clear()
            set_threads(threads)
            try:
                result = denoise(crop, recipe=recipe, on_step=on_step)
            finally:
                torch.set_num_threads(threads_before)
            seconds = result.seconds
            if result.stopped:  # the first step includes what is loaded once
                pace = (steps[-1].seconds - steps[0].seconds) / (len(steps) - 1)
                seconds = pace * steps[0].evaluations
            # Training from crops does not take longer for more pixels.
            more = 1 if result.method == "zs-n2n-fast" else plane.numel() / crop.numel()
            return seconds * more * (source.count if isinstance(source, Stack) else 1)
    return None


def _center_crop(plane: Tensor) -> Tensor:
    """Return the center of a plane (C, H, W), or all of a small one."""
    top, left = (max(0, (length - _CROP_SIDE) // 2) for length in plane.shape[1:])
    return plane[:, top : top + _CROP_SIDE, left : left + _CROP_SIDE]
