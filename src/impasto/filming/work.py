"""The work folder of a film: finished frames and the state to go on from, safe from any kill."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from impasto._version import __version__
from impasto.errors import ImageError
from impasto.files import ensure_directory, file_sha256, matches_mark, write_atomically

FOLDER = ".impasto-film"  # ending of the folder's name
_PLACED = "placed"  # file in it with the hash of the film that takes its place


class FilmState(NamedTuple):
    """What the next frame goes on from.

    Attributes:
        done: finished frames.
        tensors: what the engine goes on from, by name.
    """

    done: int
    tensors: dict[str, Tensor]


class WorkFolder:
    """The folder beside a film in which it comes to be.

    A frame is written before the state that counts it, each whole or not at all: whenever the
    process ends, the state tells how many frames are finished.

    Args:
        output: path of the film.
        facts: everything that decides the film; a folder of another film is refused.
        overwrite: begin anew where there is one of another film.

    Raises:
        ImageError: the folder is of another film, or cannot be written.
    """

    def __init__(self, output: Path, facts: dict[str, Any], *, overwrite: bool) -> None:
        self.path = work_path(output)
        self._facts = self.path / "film.json"
        self._state = self.path / "state.safetensors"
        text = json.dumps({"impasto": __version__, **facts}, sort_keys=True)
        self.fingerprint = hashlib.sha256(text.encode()).hexdigest()
        if self.path.exists() and self._read().get("fingerprint") != self.fingerprint:
            self._refuse(overwrite)
            shutil.rmtree(self.path)

    def _refuse(self, overwrite: bool) -> None:
        """Refuse a folder that is not this film's, unless it may be begun anew."""
        own = self._facts.exists()
        # A kill may leave a folder with nothing in it but a temporary file.
        others = any(not path.name.startswith(".impasto-") for path in self.path.iterdir())
        if others and not (own and overwrite):
            way_out = "finish that film with its own command, or give overwrite"
            raise ImageError(
                "`output` must not have unfinished frames of another film beside it, got "
                f"{self.path}; {way_out if own else 'move it away'}"
            )

    def open(self, settled: dict[str, Any]) -> None:
        """Make the folder if it is missing.

        Args:
            settled: what `auto` came to, which the film goes on with.
        """
        if not self.path.exists():
            ensure_directory(self.path, "output")
            text = json.dumps({"fingerprint": self.fingerprint, "settled": settled})
            write_atomically(text.encode(), self._facts, overwrite=True)

    @property
    def settled(self) -> dict[str, Any]:
        """What `auto` came to when the film began; empty before."""
        return self._read().get("settled", {})

    def frame(self, number: int) -> Path:
        """Return the file of a frame, from 0."""
        return self.path / f"{number:08}.png"

    def load(self) -> FilmState | None:
        """Return where the film goes on; None at its start."""
        try:
            tensors = load(self._state.read_bytes())
        except (FileNotFoundError, SafetensorError):
            return None
        return FilmState(int(tensors.pop("done").item()), tensors)

    def save(self, state: FilmState) -> None:
        """Keep where the film goes on."""
        tensors = {**state.tensors, "done": torch.tensor(state.done)}
        # Two of them may be one tensor, which the format refuses.
        data = save({name: tensor.contiguous().clone() for name, tensor in tensors.items()})
        write_atomically(data, self._state, overwrite=True)

    def note_place(self, film: Path) -> None:
        """Keep the hash of a film that is about to take its place."""
        write_atomically(file_sha256(film).encode(), self.path / _PLACED, overwrite=True)

    def remove(self) -> None:
        """Remove the folder: the film is delivered."""
        # Under another name first, so that no kill leaves half of it.
        refuse = self.path.with_name(f".impasto-{self.path.name}.tmp")
        shutil.rmtree(refuse, ignore_errors=True)
        self.path.rename(refuse)
        shutil.rmtree(refuse, ignore_errors=True)

    def _read(self) -> dict[str, Any]:
        try:
            return json.loads(self._facts.read_bytes())
        except (OSError, ValueError):
            return {}


def was_placed(output: Path) -> bool:
    """Return whether a kill came when a film was in its place, before its folder was removed."""
    return matches_mark(output, work_path(output) / _PLACED)


def work_path(output: Path) -> Path:
    """Return the work folder of a film.

    Example:
        >>> work_path(Path("films/cat.mp4")).name
        'cat.mp4.impasto-film'
    """
    real = Path(os.path.abspath(output))
    return real.with_name(real.name.replace("%", "_") + FOLDER)
