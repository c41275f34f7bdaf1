"""Checkpoints: the state of a run on disk, so that the same call resumes after a crash or a kill.

One file a run, named after everything that the run depends on: the same call opens it, any other
call does not. It is written whole or not at all, by `torch.save`, and read without executing code.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import pickle
import time
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel
from torch import Tensor

from impasto._version import __version__
from impasto.errors import ImageError, ImpastoError
from impasto.files import atomic_path, check_pickles, ensure_directory, stale_temporary_files
from impasto.images.image import Image
from impasto.style.optimizers import State
from impasto.style.spec import R

Input = Image | Tensor | float | None

FORMAT = 4
INTERVAL = 15.0  # seconds at least between two saves of a run
SHARE = 20.0  # saving takes at most one part in so many of a run's time
_READ_ERRORS = (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, pickle.PickleError)


class Checkpoints:
    """A folder where runs save their state; runs of every kind may share it.

    Args:
        folder: where the files go; made if it is missing.
        outlive: keep the file of a finished run until `clear`, for a caller that still has to save
            its image; otherwise it is removed when the run ends.
        on_failure: called if a state cannot be saved, and the run goes on; None ends the run with
            the error.

    Raises:
        ImageError: the folder cannot be made or written.

    Example:
        >>> import tempfile
        >>> from impasto.recipes import StyleRecipe
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     checkpoint = Checkpoints(folder).of(StyleRecipe(), "weights", [])
        ...     checkpoint.save({"evaluations": 3, "pixels": torch.zeros(3, 16, 16)})
        ...     checkpoint.load()["evaluations"]
        3
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        outlive: bool = False,
        on_failure: Callable[[ImageError], None] | None = None,
    ) -> None:
        self.folder = ensure_directory(folder, "checkpoint")
        self.outlive = outlive
        self.on_failure = on_failure
        self.runs: list[Checkpoint] = []

    def of(
        self,
        recipe: BaseModel,
        weights: str,
        inputs: Iterable[Input],
    ) -> Checkpoint:
        """Return the checkpoint of the run with these options and inputs."""
        checkpoint = Checkpoint(
            self.folder,
            run_fingerprint(recipe, weights, inputs),
            outlive=self.outlive,
            on_failure=self.on_failure,
        )
        self.runs.append(checkpoint)
        return checkpoint

    def clear(self) -> None:
        """Remove the files of the runs that `of` was called for."""
        for run in self.runs:
            run.remove()


class Checkpoint:
    """The file of one run's state.

    Args:
        folder: where it is.
        fingerprint: hash of everything that the run depends on.
        outlive: keep the file when the run has finished.
        on_failure: called if a state cannot be saved; None raises.
    """

    def __init__(
        self,
        folder: Path,
        fingerprint: str,
        *,
        outlive: bool = False,
        on_failure: Callable[[ImageError], None] | None = None,
    ) -> None:
        self.fingerprint = fingerprint
        self.outlive = outlive
        self.on_failure = on_failure
        self.path = folder / f"impasto-{fingerprint[:16]}.pt"
        self._mark = f"{fingerprint[:16]}-"
        self._saved, self._took = -float("inf"), 0.0
        for temporary in stale_temporary_files(folder, self._mark):
            with contextlib.suppress(OSError):
                temporary.unlink()

    @property
    def due(self) -> bool:
        """True if it is time to save again."""
        return time.perf_counter() - self._saved >= max(INTERVAL, SHARE * self._took)

    def save(self, state: State) -> None:
        """Save a state in place of the one before.

        Args:
            state: names to tensors, numbers, texts, None, or lists and dictionaries of those.

        Raises:
            ImageError: the file cannot be written; the state before is still there.
        """
        began = time.perf_counter()
        record = {"format": FORMAT, "fingerprint": self.fingerprint, "state": _plain(state)}
        try:
            with atomic_path(
                self.path,
                overwrite=True,
                mark=self._mark,
                name="checkpoint",
                way_out="make room, and the same call goes on from its last checkpoint",
            ) as temporary:
                _write(record, temporary)
        except ImageError as error:
            if self.on_failure is None:
                raise
            self.on_failure(error)
        self._saved = time.perf_counter()
        self._took = self._saved - began

    def load(self) -> State:
        """Return the state that was saved, its tensors on the CPU; empty if there is none.

        Raises:
            ImpastoError: the file is there, but damaged or not readable.
        """
        try:
            # torch reads a file without its checksums, so they are compared first.
            with zipfile.ZipFile(self.path) as archive:
                damaged = archive.testzip()
            if damaged is not None:
                raise ValueError(f"the checksum of {damaged} does not match")
            check_pickles(self.path)
            record = torch.load(self.path, map_location="cpu", weights_only=True)
            if record["fingerprint"] != self.fingerprint:
                raise ValueError("it belongs to another run")
            return record["state"]
        except FileNotFoundError:
            return {}
        except (*_READ_ERRORS, LookupError, TypeError) as error:
            raise ImpastoError(
                f"`checkpoint` must be as impasto left it, got {self.path}, which cannot be read: "
                f"{error}; delete that file to start this run anew"
            ) from error

    def remove(self) -> None:
        """Remove the file if it exists."""
        with contextlib.suppress(OSError):
            self.path.unlink()


def open_checkpoint(
    checkpoint: str | Path | Checkpoints | None,
    recipe: BaseModel,
    weights: str,
    inputs: Iterable[Input],
) -> Checkpoint | None:
    """Return the checkpoint that a run's argument `checkpoint` stands for; None for none.

    Args:
        checkpoint: the argument.
        recipe: the options as they were given.
        weights: hash of the network's weights.
        inputs: images, masks and weights of styles, in order; None says that one is missing.
    """
    if checkpoint is None:
        return None
    folder = checkpoint if isinstance(checkpoint, Checkpoints) else Checkpoints(checkpoint)
    return folder.of(recipe, weights, inputs)


def resume_settings(recipe: R, state: State) -> R:
    """Return a recipe with the settings that an interrupted run had chosen, if there was one."""
    if not state:
        return recipe
    settings = {
        "precision": state["precision"],
        "history": state["curvature_pairs"],
        "tiles": tuple(state["tiles"]),
    }
    return recipe.model_copy(update=settings)


def run_fingerprint(recipe: BaseModel, weights: str, inputs: Iterable[Input]) -> str:
    """Hash everything that a run depends on.

    Args:
        recipe: the options as the user gave them: a run that resumes keeps what `auto` became.
        weights: hash of the network's weights; where they lie does not matter.
        inputs: images, masks and weights of styles, in order; None says that one is missing.

    Returns:
        SHA-256 in hexadecimal digits.
    """
    options = {**recipe.model_dump(), "weights": weights}
    head = [FORMAT, __version__, type(recipe).__name__, options]
    digest = hashlib.sha256(json.dumps(head).encode())
    for part in inputs:
        tensors = [part.pixels, part.metadata.alpha] if isinstance(part, Image) else [part]
        for tensor in tensors:
            if isinstance(tensor, Tensor):
                digest.update(str((tuple(tensor.shape), tensor.dtype)).encode())
                digest.update(_bytes(tensor))
            else:
                digest.update(repr(tensor).encode())
    return digest.hexdigest()


def _write(record: dict[str, Any], path: Path) -> None:
    with open(path, "xb") as file:
        try:
            torch.save(record, file)
        except RuntimeError as error:  # torch's word for a full disk
            raise OSError(str(error)) from error


def _plain(part: Any) -> Any:
    """Return a part of a state in the types that `torch.load` reads with `weights_only`."""
    if isinstance(part, dict):
        return {name: _plain(value) for name, value in part.items()}
    if isinstance(part, (list, tuple)):
        return [_plain(value) for value in part]
    return part


def _bytes(tensor: Tensor) -> memoryview:
    """Return the values of a tensor, without a copy if it is on the CPU."""
    return memoryview(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
