"""What a worker does: one picture, from its file to its file."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from impasto.batch import storage
from impasto.batch.job import Job, fingerprint
from impasto.errors import ImpastoError


@dataclass(frozen=True)
class Outcome:
    """What became of a picture.

    Attributes:
        seconds: how long it took.
        fingerprint: SHA-256 of all that it depends on; None where it failed.
        reason: why it failed, in a sentence; None where it did not.
        lasting: whether it would fail again in the same way.
    """

    seconds: float
    fingerprint: str | None = None
    reason: str | None = None
    lasting: bool = False


def warm_up(threads: int) -> None:
    """Give a process the threads of a worker."""
    import torch

    torch.set_num_threads(threads)


def run_job(job: Job, room: str, share: float) -> Outcome:
    """Make one picture and put it in its place, whole or not at all.

    Args:
        job: the picture.
        room: the folder for unfinished files; empty for one of this machine's own.
        share: this worker's part of the memory that is free, above 0 up to 1.
    """
    began = time.monotonic()

    def spent() -> float:
        return time.monotonic() - began

    try:
        mark = _made(job, room, share)
        return Outcome(spent(), mark)
    except (ImpastoError, ValueError, TypeError) as error:
        return Outcome(spent(), None, _line(error), lasting=True)
    except Exception as error:  # a picture that goes wrong is a row, never the end of the batch
        return Outcome(spent(), None, f"{type(error).__name__}: {_line(error)}")


def _made(job: Job, room: str, share: float) -> str:
    """Make a picture; gives back its fingerprint."""
    if room:
        os.makedirs(room, exist_ok=True)
    with (
        TemporaryDirectory(prefix="picture-", dir=room or None) as folder,
        storage.download(job.content) as content,
        storage.download(job.style) as style,
    ):
        here = Path(folder) / storage.name_of(job.output)
        mark = (_painted if job.method == "style" else _cleaned)(job, content, style, here, share)
        storage.upload(str(here), job.output)
    return mark


def _painted(job: Job, content: str, style: str, here: Path, share: float) -> str:
    """Paint a picture into a file."""
    from impasto.api import stylize
    from impasto.vgg.weights import load_weights

    recipe = job.options
    result = stylize(content, style, recipe=_limited(recipe, share))
    hashes = [result.inputs.content.sha256, result.inputs.styles[0].pictures[0].sha256]
    mark = fingerprint(job.method, job.recipe, hashes, load_weights(recipe.weights).sha256)
    account = result.provenance()
    own = account.recipe.model_copy(update={"memory": recipe.memory})
    _saved(result, account.model_copy(update={"recipe": own, "fingerprint": mark}), here)
    return mark


def _cleaned(job: Job, content: str, style: str, here: Path, share: float) -> str:
    """Clean a picture, or measured data, into a file."""
    from impasto.denoising.denoise import denoise, denoise_stack, denoising_provenance
    from impasto.images.open_input import open_input
    from impasto.images.tiff_read import is_scientific_tiff

    recipe = job.options
    limited = _limited(recipe, share)
    measured = recipe.axes != "auto" or is_scientific_tiff(content)
    source = open_input(content, recipe.axes)
    account = denoising_provenance(source, recipe)
    mark = fingerprint(job.method, job.recipe, [account.inputs.content.sha256], "")
    if measured and here.suffix.lower() in (".tif", ".tiff"):
        denoise_stack(source, here, recipe=recipe, fingerprint=mark)
        return mark
    result = denoise(source, recipe=limited)
    _saved(result, account.model_copy(update={"fingerprint": mark}), here)
    return mark


def _saved(result: Any, account: Any, here: Path) -> None:
    """Write a picture with its account inside."""
    from impasto.images.write import save

    save(result.pixels, here, metadata=result.metadata, recipe=account.model_dump_json())


def _limited(recipe: Any, share: float) -> Any:
    """The recipe with a worker's part of the memory, where none is given."""
    if recipe.memory != "auto" or share == 1:
        return recipe
    from impasto.memory import GIB, available_bytes, used_bytes

    return recipe.model_copy(update={"memory": (used_bytes() + share * available_bytes()) / GIB})


def _line(error: BaseException) -> str:
    """What an error says, in a line."""
    return " ".join(str(error).split()) or type(error).__name__
