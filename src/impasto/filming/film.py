"""Film: paint a clip frame by frame without flicker, `film`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from impasto.files import (
    atomic_path,
    ensure_directory,
    write_atomically,
)
from impasto.filming.job import STATE_BYTES, FilmJob, film_recipe, is_delivered, open_job
from impasto.filming.motion import carry, find_flow, find_still, is_cut
from impasto.filming.work import FilmState
from impasto.images.image import Image
from impasto.images.opencv import load_opencv
from impasto.images.read import ImageSource, open_image
from impasto.images.resize import composite_rgb, resize
from impasto.images.video_read import open_clip, parse_range
from impasto.images.video_write import Sound, write_film
from impasto.images.write import save
from impasto.recipes import FilmRecipe
from impasto.result import OnStep, Stop
from impasto.style.source import Style
from impasto.style.styles import output_size
from impasto.style.stylize import prepare_styles
from impasto.validation import with_recipe_signature

PREVIEW = 5  # frames
_GAP = 8  # pixels between the pictures of a preview
_BYTES = 3.2  # a pixel of a finished frame, at most
_SETTLED = ("precision", "history", "tiles")  # what `auto` comes to, by the machine


@dataclass(frozen=True)
class FilmStep:
    """A finished frame, as handed to `on_frame`.

    Attributes:
        frame: how many frames are finished, this one included.
        frames: how many there are to be.
        cut: whether a new scene begins with it.
        still: share of it that stands still, 0 to 1.
        seconds: since the run began.
        left: seconds until all are finished, estimated.
        picture: call it for the frame, (3, H, W) in [0, 1].
    """

    frame: int
    frames: int
    cut: bool
    still: float
    seconds: float
    left: float
    picture: Callable[[], Tensor]


OnFrame = Callable[[FilmStep], None]


@dataclass(frozen=True)
class FilmResult:
    """A finished film.

    Attributes:
        path: the file, or the folder of its frames; None if no frame was finished.
        size: (width, height).
        frames: how many it has.
        resumed: how many of them an earlier run had finished.
        rate: frames a second.
        cuts: numbers of the frames, from 0, with which this run saw a new scene begin.
        seconds: wall time of this run.
        codec: how it is encoded; `PNG` for frames.
        stopped: whether `stop` ended the run early.
        recipe: every option.
        notes: what was left out or changed, each a sentence.
    """

    path: Path | None
    size: tuple[int, int]
    frames: int
    resumed: int
    rate: float
    cuts: tuple[int, ...]
    seconds: float
    codec: str
    stopped: bool
    recipe: FilmRecipe
    notes: tuple[str, ...] = ()


class FilmPlan(NamedTuple):
    """What a film will take.

    Attributes:
        frames: how many.
        size: (width, height) as painted.
        rate: frames a second.
        seconds: at most, for a clip without cuts.
        scene_seconds: what each cut adds.
        disk: bytes of the work folder.
        memory: bytes that the process takes at its peak.
        resumed: frames that are finished already.
        notes: what is not as the clip says.
    """

    frames: int
    size: tuple[int, int]
    rate: float
    seconds: float
    scene_seconds: float
    disk: int
    memory: int
    resumed: int
    notes: tuple[str, ...]


@with_recipe_signature(FilmRecipe)
def film(
    clip: str | Path,
    style: ImageSource | Style | Sequence[ImageSource | Style],
    output: str | Path,
    *,
    recipe: FilmRecipe | None = None,
    protect: ImageSource | None = None,
    keep: ImageSource | None = None,
    on_frame: OnFrame | None = None,
    on_step: OnStep | None = None,
    stop: Stop | None = None,
    overwrite: bool = False,
    **options: Any,
) -> FilmResult:
    """Paint a film in the style of one or more style images, without flicker.

    The first frame of each scene is painted as `stylize` paints. Each other one starts from the
    last painted frame, moved along the motion of the clip, is held to it where that motion can be
    believed, and gets a few evaluations. What stands still in the clip stands still in the film.

    Finished frames are kept in a folder beside the output, `OUTPUT.impasto-film`, until the film is
    written: after a kill the same call goes on from the last of them, and ends in the same bytes on
    the same machine.

    Args:
        clip: a video file, a folder of frames, or a pattern such as `frame_%04d.png`.
        style: as for `stylize`.
        output: an .mp4 or .webm file, a folder, or a pattern such as `out/frame_%04d.png`.
        recipe: every option at once; or give the ones to change as `options`.
        protect: a mask for all frames, white where the clip stays as it is.
        keep: a mask for all frames, white where the content loss counts in full.
        on_frame: called after each frame with a `FilmStep`.
        on_step: called after each evaluation of a frame, as by `stylize`.
        stop: asked during each frame; returning True ends the run, and a film of the frames that
            are finished is written.
        overwrite: replace files that exist, and begin anew where the work folder is of another
            film.
        options: any field of `FilmRecipe`.

    Returns:
        Where the film is, and how it came to be.

    Raises:
        ValueError: an option out of range.
        ImageError: a file that cannot be read or written.
        ImpastoError: OpenCV is not installed.

    References:
        Ruder, Dosovitskiy, Brox 2016, Artistic style transfer for videos, arXiv:1604.08610.
    """
    began = time.perf_counter()
    job = open_job(clip, style, output, recipe, options, protect, keep, overwrite)
    run = _Filming(job, on_frame, on_step, stop, began)
    run.paint()
    return run.deliver()


def plan_film(
    clip: str | Path,
    style: ImageSource | Style | Sequence[ImageSource | Style],
    output: str | Path,
    *,
    recipe: FilmRecipe | None = None,
    protect: ImageSource | None = None,
    keep: ImageSource | None = None,
    overwrite: bool = False,
    **options: Any,
) -> FilmPlan:
    """Plan what `film` would do with the same arguments; refuses whatever it refuses."""
    job = open_job(clip, style, output, recipe, options, protect, keep, overwrite, timed=True)
    plan = job.prepared.setup.plan
    size, each = plan.sizes[-1], job.seconds_a_frame
    pixels = size[0] * size[1]
    state = job.work.load()
    done = state.done if state else 0
    scene = plan.seconds or 0.0
    seconds = (0.0 if done else scene) + each * (job.count - max(done, 1))
    return FilmPlan(
        frames=job.count,
        size=size,
        rate=float(job.clip.rate),
        seconds=max(0.0, seconds),
        scene_seconds=max(0.0, scene - each),
        disk=round(pixels * (_BYTES * job.count + STATE_BYTES)),
        memory=plan.memory,
        resumed=done,
        notes=job.clip.notes,
    )


def preview_film(
    clip: str | Path,
    style: ImageSource | Style | Sequence[ImageSource | Style],
    *,
    recipe: FilmRecipe | None = None,
    protect: ImageSource | None = None,
    keep: ImageSource | None = None,
    on_step: OnStep | None = None,
    stop: Stop | None = None,
    **options: Any,
) -> Tensor:
    """Paint five frames across a clip, each by itself, and lay them under the clip's own.

    Returns:
        (3, H, W) in [0, 1]; with fewer frames where `stop` ended it, and the clip is that short.
    """
    load_opencv()
    recipe = film_recipe(recipe, options)
    source = open_clip(clip, recipe.rate)
    start, stop_at = parse_range(recipe.range, source.frames, source.rate)
    count = min(PREVIEW, stop_at - start)
    numbers = [start + (2 * k + 1) * (stop_at - start) // (2 * count) for k in range(count)]
    prepared, columns = None, []
    for number, frame in enumerate(source.read(start, numbers[-1] + 1), start):
        if number not in numbers:
            continue
        if prepared is None:
            output_size(frame, recipe.size, "clip")
            prepared = prepare_styles(frame, style, recipe=recipe)
        result, _ = prepared.paint_frame(
            frame, protect=protect, keep=keep, on_step=on_step, stop=stop
        )
        shown = resize(composite_rgb(frame), result.size)
        gap = torch.ones(3, _GAP, result.size[0])
        columns.append(torch.cat([shown, gap, result.pixels.expand(3, -1, -1)], 1))
        if result.stopped:
            break
    gap = torch.ones(3, columns[0].shape[1], _GAP)
    parts = [part for column in columns for part in (column, gap)][:-1]
    return torch.cat(parts, 2)


class _Filming:
    """One run over the frames of a film."""

    def __init__(
        self,
        job: FilmJob,
        on_frame: OnFrame | None,
        on_step: OnStep | None,
        stop: Stop | None,
        began: float,
    ) -> None:
        self.job = job
        self.on_frame, self.on_step, self.stop = on_frame, on_step, stop
        self.began = began
        self.state: FilmState | None = None
        self.resumed = 0
        self.cuts: list[int] = []
        self.stopped = False
        self.spent: list[float] = []  # seconds of this run's frames
        self.following = job.prepared.for_frames(job.recipe.frame_evaluations)

    @property
    def done(self) -> int:
        """How many frames are finished."""
        return self.state.done if self.state else 0

    def paint(self) -> None:
        """Paint the frames that are left."""
        job = self.job
        if job.writes_frames:
            ensure_directory(job.output.parent, "output")
        recipe = job.prepared.setup.recipe
        job.work.open({name: getattr(recipe, name) for name in _SETTLED})
        self.state = job.work.load()
        self.resumed = self.done
        first = job.start + self.done
        for frame in job.clip.read(first, job.start + job.count):
            if self.stop is not None and self.stop():
                self.stopped = True
            if self.stopped or not self._paint_frame(frame):
                return

    def _paint_frame(self, frame: Image) -> bool:
        """Paint one frame and keep it; return False if the run was stopped instead."""
        began = time.perf_counter()
        job, before = self.job, self.state
        size = job.prepared.setup.plan.sizes[-1]
        content = resize(composite_rgb(frame), size).contiguous()
        motion, still, cut = None, torch.zeros(size[1], size[0]), before is None
        if before is not None:
            flow = find_flow(before.content, content)
            cut = is_cut(before.content, content, flow)
            if not cut:
                still = find_still(before.reference, content, flow)
                motion = carry(before.painted, flow, still, job.recipe.temporal_weight)
        number = self.done
        target = job.work.frame(number)
        if bool(still.all()) and self._can_repeat(frame):
            data = job.work.frame(number - 1).read_bytes()
            write_atomically(data, target, overwrite=True)
            pixels = painted = before.painted
        else:
            prepared = job.prepared if cut else self.following
            result, painted = prepared.paint_frame(
                frame, motion, **job.masks, on_step=self.on_step, stop=self.stop
            )
            if result.stopped:
                self.stopped = True
                return False
            pixels = result.pixels
            save(pixels, target, metadata=result.metadata, bits=8, overwrite=True)
        reference = content if cut else torch.where(still.bool(), before.reference, content)
        self.state = FilmState(number + 1, painted, content, reference)
        job.work.save(self.state)
        if cut:
            self.cuts.append(job.start + number)
        self.spent.append(time.perf_counter() - began)
        self._report(cut, float(still.mean()), pixels)
        return True

    def _can_repeat(self, frame: Image) -> bool:
        """Return whether a frame that stands still has nothing of its own."""
        shown = self.job.recipe.color < 1 or self.job.masks["protect"] is not None
        return not shown and frame.metadata.alpha is None

    def _report(self, cut: bool, still: float, pixels: Tensor) -> None:
        if self.on_frame is None:
            return
        # The first frame of a run is a scene's, or has the style to measure.
        later = self.spent[1:] or self.spent
        step = FilmStep(
            frame=self.done,
            frames=self.job.count,
            cut=cut,
            still=still,
            seconds=time.perf_counter() - self.began,
            left=sum(later) / len(later) * (self.job.count - self.done),
            picture=pixels.clone,
        )
        self.on_frame(step)

    def deliver(self) -> FilmResult:
        """Write the film of the frames that are finished, and return the result."""
        job, path, codec = self.job, None, ""
        notes = list(job.clip.notes)
        size = job.prepared.setup.plan.sizes[-1]
        if self.done and job.writes_frames:
            path, codec = job.output.parent, "PNG"
            for number in range(self.done):
                target, finished = job.frame_path(number), job.work.frame(number)
                if not is_delivered(target, finished):
                    write_atomically(finished.read_bytes(), target, overwrite=job.overwrite)
        elif self.done:
            written = self._encode()
            path, size, codec = job.output, written.size, written.codec
            notes += written.notes
        if not self.stopped:
            job.work.remove()
        return FilmResult(
            path=path,
            size=size,
            frames=self.done,
            resumed=self.resumed,
            rate=float(job.clip.rate),
            cuts=tuple(self.cuts),
            seconds=time.perf_counter() - self.began,
            codec=codec,
            stopped=self.stopped,
            recipe=job.prepared.setup.recipe,
            notes=tuple(notes),
        )

    def _encode(self) -> Any:
        """Encode the finished frames, and put the film in its place in one step."""
        job, rate = self.job, self.job.clip.rate

        def frames() -> Iterator[Tensor]:
            for number in range(self.done):
                yield composite_rgb(open_image(job.work.frame(number), name="frame"))

        sound = None
        if job.clip.has_sound:
            sound = Sound(job.clip.path, float(job.start / rate), float(self.done / rate))
        target = job.work.path / f"film{job.output.suffix.lower()}"
        written = write_film(frames, self.done, target, rate, sound)
        with atomic_path(job.output, overwrite=job.overwrite) as temporary:
            target.replace(temporary)
        return written
