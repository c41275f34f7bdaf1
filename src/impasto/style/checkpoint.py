"""What a run has reached, kept on disk, so that the same run goes on after a crash or a kill.

One safetensors file a run, named after everything that the run depends on: the same call finds it,
any other call does not. Tensors are stored as they are, all else as JSON beside them. A file is
written whole or not at all, and carries a checksum.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import safetensors
import torch
from torch import Tensor

from impasto._version import __version__
from impasto.errors import ImpastoError
from impasto.files import atomic_path, ensure_directory, stale_temporary_files
from impasto.images.image import Image
from impasto.recipes import ReconstructRecipe, StyleRecipe
from impasto.style.descent import State
from impasto.style.sizing import R

Input = Image | Tensor | float | None

FORMAT = 2
INTERVAL = 15.0  # seconds at least between two saves of a run
SHARE = 20.0  # saving takes at most one part in so many of a run's time
_DTYPES = {torch.float32: "F32", torch.float64: "F64", torch.int64: "I64"}
_TENSOR = "tensor:"  # what stands in the JSON in place of a tensor, before its number


class Checkpoints:
    """A folder where runs keep what they have reached; runs of every kind may share it.

    Args:
        folder: where the files go; made if it is missing.
        outlive: whether the file of a finished run stays until `clear`, for who still has to put
            its picture into safety; else it goes as the run ends.

    Raises:
        ImageError: the folder cannot be made or written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     checkpoint = Checkpoints(folder).of(StyleRecipe(), "weights", [])
        ...     checkpoint.save({"evaluations": 3, "pixels": torch.zeros(3, 16, 16)})
        ...     checkpoint.load()["evaluations"]
        3
    """

    def __init__(self, folder: str | Path, *, outlive: bool = False) -> None:
        self.folder = ensure_directory(folder, "checkpoint")
        self.outlive = outlive
        self.runs: list[Checkpoint] = []

    def of(
        self,
        recipe: StyleRecipe | ReconstructRecipe,
        weights: str,
        inputs: Iterable[Input],
    ) -> Checkpoint:
        """The checkpoint of the run that these make."""
        checkpoint = Checkpoint(
            self.folder, run_fingerprint(recipe, weights, inputs), outlive=self.outlive
        )
        self.runs.append(checkpoint)
        return checkpoint

    def clear(self) -> None:
        """Remove the files of the runs that were asked for here."""
        for run in self.runs:
            run.remove()


class Checkpoint:
    """The file in which one run keeps what it has reached.

    Args:
        folder: where it is.
        fingerprint: hash of everything that the run depends on.
        outlive: whether the file stays when the run has finished.
    """

    def __init__(self, folder: Path, fingerprint: str, *, outlive: bool = False) -> None:
        self.fingerprint = fingerprint
        self.outlive = outlive
        self.path = folder / f"impasto-{fingerprint[:16]}.safetensors"
        self._mark = f"{fingerprint[:16]}-"
        self._saved, self._took = -float("inf"), 0.0
        for temporary in stale_temporary_files(folder, self._mark):
            with contextlib.suppress(OSError):
                temporary.unlink()

    @property
    def due(self) -> bool:
        """Whether it is time to save again."""
        return time.perf_counter() - self._saved >= max(INTERVAL, SHARE * self._took)

    def save(self, state: State) -> None:
        """Keep a state in place of the one kept before.

        Args:
            state: names to tensors, numbers, texts, None, or lists and dictionaries of those.

        Raises:
            ImageError: the file cannot be written; the state kept before is still there.
        """
        began = time.perf_counter()
        tensors: list[Tensor] = []
        tree = _without_tensors(state, tensors)
        named = {str(number): one.detach().cpu().contiguous() for number, one in enumerate(tensors)}
        record = {
            "format": FORMAT,
            "fingerprint": self.fingerprint,
            "state": tree,
            "checksum": _checksum(named, tree),
        }
        with atomic_path(
            self.path,
            overwrite=True,
            mark=self._mark,
            name="checkpoint",
            way_out="make room, and the same call goes on from its last checkpoint",
        ) as temporary:
            _write(temporary, named, {"impasto": json.dumps(record)})
        self._saved = time.perf_counter()
        self._took = self._saved - began

    def load(self) -> State:
        """The state that was kept, its tensors on the CPU; empty where there is none.

        Raises:
            ImpastoError: the file is there, but damaged or not to be read.
        """
        try:
            with safetensors.safe_open(self.path, framework="pt") as file:
                record = json.loads(file.metadata()["impasto"])
                # Copied, because the same bytes at another alignment can add up to other sums.
                named = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
            sound = record["checksum"] == _checksum(named, record["state"])
            if not sound or record["fingerprint"] != self.fingerprint:
                raise ValueError("what it holds is not what was written")
            return _with_tensors(record["state"], named)
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, LookupError, TypeError, safetensors.SafetensorError) as error:
            raise ImpastoError(
                f"`checkpoint` must be as impasto left it, got {self.path}, which cannot be read: "
                f"{error}; delete that file to start this run anew"
            ) from error

    def remove(self) -> None:
        """Take the file away; no harm where there is none."""
        with contextlib.suppress(OSError):
            self.path.unlink()


def checkpoint_of(
    where: str | Path | Checkpoints | None,
    recipe: StyleRecipe | ReconstructRecipe,
    weights: str,
    inputs: Iterable[Input],
) -> Checkpoint | None:
    """What the argument `checkpoint` of a run stands for; None where nothing is to be kept.

    Args:
        where: the argument.
        recipe: the options as they were given.
        weights: hash of the network's weights.
        inputs: pictures, masks and weights of styles, in order; None says that one is missing.
    """
    if where is None:
        return None
    folder = where if isinstance(where, Checkpoints) else Checkpoints(where)
    return folder.of(recipe, weights, inputs)


def resumed_settings(recipe: R, reached: State) -> R:
    """A recipe with what the run had decided before it was cut short, if it was."""
    if not reached:
        return recipe
    found = {
        "precision": reached["precision"],
        "history": reached["curvature_pairs"],
        "tiles": tuple(reached["tiles"]),
    }
    return recipe.model_copy(update=found)


def run_fingerprint(
    recipe: StyleRecipe | ReconstructRecipe, weights: str, inputs: Iterable[Input]
) -> str:
    """A hash of everything that a run depends on.

    Args:
        recipe: the options as they were given: a run that goes on keeps what `auto` became.
        weights: hash of the network's weights; where they lie does not matter.
        inputs: pictures, masks and weights of styles, in order; None says that one is missing.

    Returns:
        SHA-256 in hexadecimal digits.
    """
    options = {**recipe.model_dump(), "weights": weights}
    head = [FORMAT, __version__, type(recipe).__name__, options]
    found = hashlib.sha256(json.dumps(head).encode())
    for part in inputs:
        tensors = [part.pixels, part.metadata.alpha] if isinstance(part, Image) else [part]
        for tensor in tensors:
            if isinstance(tensor, Tensor):
                found.update(str((tuple(tensor.shape), tensor.dtype)).encode())
                found.update(_bytes(tensor))
            else:
                found.update(repr(tensor).encode())
    return found.hexdigest()


def _write(path: Path, named: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file tensor by tensor.

    Its own library would hold all of it in memory twice, or write to a temporary name of its own,
    which a kill leaves behind.
    """
    header: dict[str, Any] = {"__metadata__": metadata}
    end = 0
    for name, tensor in named.items():
        begin, end = end, end + tensor.numel() * tensor.element_size()
        offsets, shape = [begin, end], list(tensor.shape)
        header[name] = {"dtype": _DTYPES[tensor.dtype], "shape": shape, "data_offsets": offsets}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "xb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for tensor in named.values():
            file.write(_bytes(tensor))


def _without_tensors(part: Any, tensors: list[Tensor]) -> Any:
    """A part of a state as JSON can hold it; its tensors go into the list, each only once."""
    if isinstance(part, Tensor):
        # By what they hold on to: the same pixels may be the best ones and the latest.
        for number, one in enumerate(tensors):
            if one is part or _memory(one) == _memory(part):
                return f"{_TENSOR}{number}"
        tensors.append(part)
        return f"{_TENSOR}{len(tensors) - 1}"
    if isinstance(part, dict):
        return {name: _without_tensors(one, tensors) for name, one in part.items()}
    if isinstance(part, (list, tuple)):
        return [_without_tensors(one, tensors) for one in part]
    return part


def _with_tensors(part: Any, named: dict[str, Tensor]) -> Any:
    """A part of a state with its tensors back in place."""
    if isinstance(part, str) and part.startswith(_TENSOR):
        return named[part.removeprefix(_TENSOR)]
    if isinstance(part, dict):
        return {name: _with_tensors(one, named) for name, one in part.items()}
    if isinstance(part, list):
        return [_with_tensors(one, named) for one in part]
    return part


def _checksum(named: dict[str, Tensor], tree: Any) -> int:
    """A sum over everything that a file keeps, which damage changes."""
    found = zlib.crc32(json.dumps(tree).encode())
    for number in range(len(named)):
        found = zlib.crc32(_bytes(named[str(number)]), found)
    return found


def _memory(tensor: Tensor) -> tuple[Any, ...]:
    """What two tensors share only if they are the same values in the same place."""
    return tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype


def _bytes(tensor: Tensor) -> memoryview:
    """The values of a tensor, without a copy where it lies on the CPU."""
    return memoryview(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
