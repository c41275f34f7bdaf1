"""What painting and cleaning a clip share: where frames come from, and where the film goes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from impasto.errors import ImageError
from impasto.files import atomic_path, check_writable, write_atomically
from impasto.filming.work import WorkFolder, was_placed
from impasto.images.clip_names import fill_pattern, is_pattern
from impasto.images.read import open_image
from impasto.images.resize import composite_rgb
from impasto.images.video_read import Clip
from impasto.images.video_write import (
    Sound,
    Written,
    check_film_ending,
    film_versions,
    write_film,
)
from impasto.methods import method_of
from impasto.provenance import Inputs, Provenance, current_maker, sidecar_path, sidecar_text
from impasto.recipes import ClipRecipe, FilmRecipe

_FRAME_NAME = "frame_%06d.png"  # of films that are written into a folder


class Delivered(NamedTuple):
    """Where finished frames were put.

    Attributes:
        path: the file, or the folder of frames; None if there were none.
        size: (width, height).
        codec: how it is encoded; `PNG` for frames.
        notes: what was left out or changed, the clip's own included, each a sentence.
    """

    path: Path | None
    size: tuple[int, int]
    codec: str
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class ClipJob:
    """A clip of which a film is to be made.

    Attributes:
        clip: where frames come from.
        start: number of the film's first frame in the clip.
        count: frames of the film.
        output: the file, or the pattern of frames.
        work: where finished frames are kept.
        overwrite: whether files may be replaced.
        provenance: how the film is made.
        sidecar: whether it is written beside the film.
    """

    clip: Clip
    start: int
    count: int
    output: Path
    work: WorkFolder
    overwrite: bool
    provenance: Provenance
    sidecar: bool

    @property
    def writes_frames(self) -> bool:
        """Whether the output is numbered frames."""
        return is_pattern(self.output)

    @property
    def stop(self) -> int:
        """Number in the clip of the frame behind the last one."""
        return self.start + self.count

    def check_free(self) -> None:
        """Refuse to replace other frames or another sidecar, unless they may be replaced."""
        place = sidecar_path(self.output)
        if self.sidecar and place.parent.is_dir():
            same = place.is_file() and place.read_bytes() == self._sidecar_text
            check_writable(place, overwrite=self.overwrite or same, name="sidecar")
        if self.overwrite or not self.writes_frames:
            return
        for path, finished in self._frame_pairs(self.count):
            if path.exists() and not _is_delivered(path, finished):
                raise ImageError(
                    f"`output` must be new files, got {path}, which exists; choose another name, "
                    "or give overwrite"
                )

    def deliver(self, done: int, size: tuple[int, int], *, stopped: bool) -> Delivered:
        """Put the frames that are finished in their places: numbered, or encoded as a film.

        The sidecar tells of the whole film alone.

        Args:
            done: how many they are.
            size: (width, height) of each.
            stopped: whether there are more to come.
        """
        if not done:
            return Delivered(None, size, "", self.clip.notes)
        delivered = self._deliver_frames(done, size)
        if self.sidecar and stopped:
            sidecar_path(self.output).unlink(missing_ok=True)
        elif self.sidecar:
            write_atomically(self._sidecar_text, sidecar_path(self.output), overwrite=True)
        return delivered

    @property
    def _sidecar_text(self) -> bytes:
        return sidecar_text(self.provenance.model_dump_json())

    def _deliver_frames(self, done: int, size: tuple[int, int]) -> Delivered:
        notes = self.clip.notes
        if self.writes_frames:
            for target, finished in self._frame_pairs(done):
                if not _is_delivered(target, finished):
                    write_atomically(finished.read_bytes(), target, overwrite=self.overwrite)
            return Delivered(self.output.parent, size, "PNG", notes)
        written = self._encode(done)
        return Delivered(self.output, written.size, written.codec, (*notes, *written.notes))

    def _encode(self, done: int) -> Written:
        """Encode finished frames, and put the film in its place in one step."""
        rate = self.clip.rate

        def frames() -> Iterator[Tensor]:
            for number in range(done):
                yield composite_rgb(open_image(self.work.frame(number), name="frame"))

        sound = None
        if self.clip.has_sound:
            sound = Sound(self.clip.path, float(self.start / rate), float(done / rate))
        target = self.work.path / f"film{self.output.suffix.lower()}"
        written = write_film(frames, done, target, rate, sound)
        overwrite = self.overwrite or was_placed(self.output)
        self.work.note_place(target)
        with atomic_path(self.output, overwrite=overwrite) as temporary:
            target.replace(temporary)
        return written

    def _frame_pairs(self, count: int) -> Iterator[tuple[Path, Path]]:
        """Yield where the first frames go, numbered as in the clip, and where they are finished."""
        for number in range(count):
            target = fill_pattern(self.output, self.clip.numbers[self.start + number])
            yield target, self.work.frame(number)


def film_provenance(recipe: FilmRecipe | ClipRecipe, inputs: Inputs, device: str) -> Provenance:
    """Return how a film is made, with the versions that make it."""
    maker = current_maker(device, **film_versions())
    return Provenance(method=method_of(recipe), recipe=recipe, inputs=inputs, maker=maker)


def check_target(output: Path, clip: Path, overwrite: bool) -> Path:
    """Refuse an output that cannot be written; return the file, or the pattern of frames."""
    if output.is_dir() or not output.suffix:
        output = output / _FRAME_NAME
    if not is_pattern(output):
        check_film_ending(output)
        return check_writable(output, overwrite=overwrite or was_placed(output), inputs=[clip])
    if output.suffix.lower() != ".png":
        raise ValueError(
            f"`output` must be a pattern of .png frames, got {str(output)!r}; rename it"
        )
    folder = output.parent
    sources = clip if clip.is_dir() else clip.parent
    if (
        folder.exists()
        and sources.exists()
        and folder.samefile(sources)
        and (clip.is_dir() or is_pattern(clip))
    ):
        raise ImageError(
            f"`output` must not be among the clip's own frames, got {output}; choose another folder"
        )
    return output


def _is_delivered(path: Path, finished: Path) -> bool:
    """Return whether a kill came when a frame was in its place already."""
    return path.exists() and finished.exists() and path.read_bytes() == finished.read_bytes()
