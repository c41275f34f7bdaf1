"""Put finished frames where they go: numbered, or encoded as a film with its sound."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

from torch import Tensor

from impasto.files import atomic_path, write_atomically
from impasto.filming.job import is_delivered
from impasto.filming.work import WorkFolder
from impasto.images.read import open_image
from impasto.images.resize import composite_rgb
from impasto.images.video_read import Clip
from impasto.images.video_write import Sound, Written, write_film


def deliver_frames(pairs: Iterable[tuple[Path, Path]], *, overwrite: bool) -> None:
    """Write finished frames in their places.

    Args:
        pairs: of where each goes, and where it is.
        overwrite: replace files that exist.
    """
    for target, finished in pairs:
        if not is_delivered(target, finished):
            write_atomically(finished.read_bytes(), target, overwrite=overwrite)


def deliver_film(
    clip: Clip, start: int, count: int, work: WorkFolder, output: Path, *, overwrite: bool
) -> Written:
    """Encode finished frames of a clip, and put the film in its place in one step.

    Args:
        clip: whose rate and sound it has.
        start: number of the first frame.
        count: how many there are.
        work: where they are.
        output: path of the film.
        overwrite: replace a file that exists.
    """
    rate: Fraction = clip.rate

    def frames() -> Iterator[Tensor]:
        for number in range(count):
            yield composite_rgb(open_image(work.frame(number), name="frame"))

    sound = None
    if clip.has_sound:
        sound = Sound(clip.path, float(start / rate), float(count / rate))
    target = work.path / f"film{output.suffix.lower()}"
    written = write_film(frames, count, target, rate, sound)
    with atomic_path(output, overwrite=overwrite) as temporary:
        target.replace(temporary)
    return written
