"""One run over the frames of a film: what both engines share."""

from __future__ import annotations

import time
from collections.abc import Iterator

from torch import Tensor

from impasto.files import ensure_directory, write_atomically
from impasto.filming.job import SETTLED, FilmJob
from impasto.filming.result import FilmResult, FilmStep, OnFrame
from impasto.filming.work import FilmState
from impasto.images.image import Image
from impasto.images.resize import composite_rgb, resize
from impasto.images.write import save
from impasto.result import OnStep, Stop
from impasto.style.stylize import Motion


class FilmRun:
    """The state of one run: which frames are finished, and how they are painted and kept.

    Attributes:
        job: the film.
        state: where the film goes on; None at its start.
        stopped: whether the run was asked to end.
    """

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
        if job.writes_frames:
            ensure_directory(job.output.parent, "output")
        recipe = job.recipe
        job.work.open({name: getattr(recipe, name) for name in SETTLED})
        self.state: FilmState | None = job.work.load()
        self.resumed = self.done
        self.cuts: list[int] = []
        self.keys: list[int] = []
        self.stopped = False
        self._last_frame: Image | None = None
        self._last = time.perf_counter()
        self._spent: list[float] = []  # seconds of this run's frames

    @property
    def done(self) -> int:
        """How many frames are finished."""
        return self.state.done if self.state else 0

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the film."""
        return self.job.prepared.setup.plan.sizes[-1]

    def frames(self) -> Iterator[tuple[int, Image]]:
        """Yield the frames that are not finished, with their numbers in the film, from 0."""
        first = self.done
        frames = self.job.clip.read(self.job.start + first, self.job.start + self.job.count)
        for number, frame in enumerate(frames, first):
            if self.stop is not None and self.stop():
                self.stopped = True
            if self.stopped:
                return
            yield number, frame
            self._last_frame = frame

    def read(self, number: int) -> Image:
        """Return a frame of the clip by its number in the film."""
        place = self.job.start + number
        return next(self.job.clip.read(place, place + 1))

    def last_frame(self, number: int) -> Image:
        """Return the frame before one of those that `frames` yields."""
        return self._last_frame or self.read(number - 1)

    def content(self, frame: Image) -> Tensor:
        """Return a frame at the film's size, (3, H, W)."""
        return resize(composite_rgb(frame), self.size).contiguous()

    def paint(
        self, number: int, frame: Image, motion: Motion | None = None, evaluations: int = 0
    ) -> Tensor | None:
        """Paint a frame, (3, H, W), before it is finished; None if the run was stopped instead.

        Args:
            number: of the frame in the film, from 0.
            frame: as the clip has it.
            motion: what the last frame says; None paints it as a picture.
            evaluations: where there is motion, how many the frame gets.
        """
        if (key := self.job.keys.get(number)) is not None:
            return key
        prepared = self.job.styles.at(number)
        if motion is not None:
            prepared = self.job.styles.following(number, evaluations)
        masks = self.job.masks_at(number)
        result, raw = prepared.paint_frame(
            frame, motion, **masks, on_step=self.on_step, stop=self.stop
        )
        self.stopped = self.stopped or result.stopped
        return None if result.stopped else raw

    def finish(self, number: int, frame: Image, raw: Tensor) -> Tensor:
        """Give a painting what a frame keeps of the clip, keep it, and return it, (3, H, W)."""
        pixels, metadata = self.job.styles.at(number).finish_frame(
            raw, frame, self.job.masks_at(number)["protect"]
        )
        pixels = self.job.keys.get(number, pixels)
        save(pixels, self.job.work.frame(number), metadata=metadata, bits=8, overwrite=True)
        return pixels

    def can_repeat(self, number: int, frame: Image) -> bool:
        """Return whether a frame that stands still has nothing of its own."""
        shown = self.job.recipe.color < 1 or self.job.masks["protect"] is not None
        alpha = frame.metadata.alpha
        return not shown and alpha is None and number not in self.job.keys

    def repeat(self, number: int) -> None:
        """Take the last frame for this one too."""
        data = self.job.work.frame(number - 1).read_bytes()
        write_atomically(data, self.job.work.frame(number), overwrite=True)

    def count(self, done: int, **tensors: Tensor) -> None:
        """Count frames as finished, and keep what the next one goes on from."""
        self.state = FilmState(done, tensors)
        self.job.work.save(self.state)

    def report(self, number: int, pixels: Tensor, *, cut: bool, still: float) -> None:
        """Tell who watches of a finished frame."""
        now = time.perf_counter()
        self._spent.append(now - self._last)
        self._last = now
        if cut:
            self.cuts.append(self.job.start + number)
        if self.on_frame is None:
            return
        # The first frame of a run is a scene's, or has the style to measure.
        later = self._spent[1:] or self._spent
        step = FilmStep(
            frame=number + 1,
            frames=self.job.count,
            cut=cut,
            still=still,
            seconds=now - self.began,
            left=sum(later) / len(later) * (self.job.count - number - 1),
            picture=pixels.clone,
        )
        self.on_frame(step)

    def deliver(self) -> FilmResult:
        """Write the film of the frames that are finished, and return the result."""
        job = self.job
        delivered = job.deliver(self.done, self.size, stopped=self.stopped)
        if not self.stopped:
            job.work.remove()
        return FilmResult(
            path=delivered.path,
            size=delivered.size,
            frames=self.done,
            resumed=self.resumed,
            rate=float(job.clip.rate),
            cuts=tuple(self.cuts),
            keys=tuple(self.keys),
            engine=job.recipe.engine,
            seconds=time.perf_counter() - self.began,
            codec=delivered.codec,
            stopped=self.stopped,
            provenance=job.provenance,
            recipe=job.recipe,
            notes=delivered.notes,
        )
