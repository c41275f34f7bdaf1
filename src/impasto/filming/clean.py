"""Clean a clip of its noise, its frames helping each other: `denoise_clip`."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from impasto.denoising.across import AcrossFilter, PlaneToFilter
from impasto.denoising.fitted import FittedDenoiser, fit_denoiser
from impasto.denoising.step_reporter import StepReporter
from impasto.files import ensure_directory
from impasto.filming.clean_job import REACH, CleanJob, CleanState, open_clean_job
from impasto.filming.result import ClipResult, ClipStep, OnClipFrame
from impasto.filming.scenes import Scene, find_scenes
from impasto.images.image import Image
from impasto.images.opencv import silent_opencv
from impasto.images.write import save
from impasto.recipes import ClipRecipe
from impasto.result import Diagnosis, Stop, blend_strength
from impasto.validation import with_recipe_signature

if TYPE_CHECKING:
    from typing import Unpack

    from impasto.options import ClipOptions

_DEPENDS = 2 * REACH  # frames before one that decide it: those that help, and those that help them
_TIMED_SIDE, _TIMED_FRAMES = 128, 8  # pixels a side of the part, and frames, that are timed


class ClipPlan(NamedTuple):
    """What cleaning a clip will take.

    Attributes:
        frames: how many.
        size: (width, height).
        rate: frames a second.
        scenes: number of the first frame of each, from 0, and the noise in it.
        seconds: estimated from a part of some frames of the first scene with noise.
        disk: bytes of the work folder, at most.
        resumed: frames that are finished already.
        notes: what is not as the clip says.
    """

    frames: int
    size: tuple[int, int]
    rate: float
    scenes: tuple[tuple[int, Diagnosis], ...]
    seconds: float
    disk: int
    resumed: int
    notes: tuple[str, ...]


@with_recipe_signature(ClipRecipe)
def denoise_clip(
    clip: str | Path,
    output: str | Path,
    *,
    recipe: ClipRecipe | None = None,
    on_frame: OnClipFrame | None = None,
    stop: Stop | None = None,
    overwrite: bool = False,
    sidecar: bool = True,
    **options: Unpack[ClipOptions],
) -> ClipResult:
    """Remove the noise of a film, or of numbered frames, which help each other.

    Noise is measured once for each scene, in up to eight of its frames, so that what is taken away
    does not change from frame to frame. Up to four frames on each side help, along the motion of
    the whole and of each patch; frames of another scene do not. A frame that is the last one again
    is cleaned once.

    Finished frames are kept in a folder beside the output, `OUTPUT.impasto-film`, until the film is
    written: after a kill the same call goes on from the last of them, and ends in the same bytes.

    Args:
        clip: a video file, a folder of frames, or a pattern such as `frame_%04d.png`.
        output: an .mp4 or .webm file, a folder, or a pattern such as `out/frame_%04d.png`.
        recipe: every option at once; or give the ones to change as `options`.
        on_frame: called after each frame with a `ClipStep`.
        stop: asked during each frame; returning True ends the run, and a film of the frames that
            are finished is written.
        overwrite: replace files that exist, and begin anew where the work folder is of another
            film.
        sidecar: write how the film was made beside it, into `OUTPUT.impasto.json`, from which
            `rerun` makes it again.
        options: any field of `ClipRecipe`, such as `strength` or `range`.

    Returns:
        Where the film is, and what noise was in it.

    Raises:
        ValueError: an option out of range.
        ImageError: a file that cannot be read or written.
        MemoryShortageError: frames do not fit in memory.
        ImpastoError: OpenCV is not installed.

    Example:
        >>> import tempfile
        >>> import impasto
        >>> scene = torch.rand(3, 4, 4, generator=torch.manual_seed(0))
        >>> scene = torch.nn.functional.interpolate(scene[None], size=(48, 64), mode="bicubic")[0]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for number in range(3):
        ...         noise = 0.1 * torch.randn(scene.shape, generator=torch.manual_seed(number))
        ...         _ = impasto.save((scene + noise).clamp(0, 1), f"{folder}/{number}.png")
        ...     result = impasto.denoise_clip(folder, f"{folder}/clean/%d.png", sigma=0.1)
        >>> result.frames, result.codec
        (3, 'PNG')
    """
    began = time.perf_counter()
    job = open_clean_job(clip, output, recipe, options, overwrite=overwrite, sidecar=sidecar)
    run = _Cleaning(job, on_frame, stop, began)
    run.clean()
    return run.deliver()


def plan_clip(
    clip: str | Path,
    output: str | Path,
    *,
    recipe: ClipRecipe | None = None,
    overwrite: bool = False,
    sidecar: bool = True,
    **options: Any,
) -> ClipPlan:
    """Find the scenes of a clip and their noise, and what `denoise_clip` would take for them.

    It refuses whatever `denoise_clip` refuses with the same arguments, and writes nothing.
    """
    job = open_clean_job(clip, output, recipe, options, overwrite=overwrite, sidecar=sidecar)
    done = job.load_state().done
    scenes, each, frames = [], 0.0, 0  # seconds of a frame with noise, and how many have some
    with silent_opencv():
        for scene in _find_scenes(job, job.start):
            fitted = _fit(scene, job.recipe)
            scenes.append((scene.start - job.start, _diagnosis(fitted, scene, job.recipe)))
            left = scene.stop - max(scene.start, job.start + done)
            if fitted.denoise_plane is not None and left > 0:
                each = each or _time_frame(scene, fitted, job.recipe)
                frames += left
    return ClipPlan(
        frames=job.count,
        size=job.clip.size,
        rate=float(job.clip.rate),
        scenes=tuple(scenes),
        seconds=each * frames,
        disk=job.disk,
        resumed=done,
        notes=job.clip.notes,
    )


class _FrameRun(NamedTuple):
    """A frame, and how often it comes in a row.

    Attributes:
        number: in the clip.
        frame: what it shows.
        count: itself and those that are the same.
    """

    number: int
    frame: Image
    count: int


def _frame_runs(frames: Iterable[Image], first: int) -> Iterator[_FrameRun]:
    """Yield frames that differ from the last one, with how often each comes."""
    run: _FrameRun | None = None
    for number, frame in enumerate(frames, first):
        if run is not None and _is_same(run.frame, frame):
            run = run._replace(count=run.count + 1)
            continue
        if run is not None:
            yield run
        run = _FrameRun(number, frame, 1)
    if run is not None:
        yield run


def _is_same(first: Image, second: Image) -> bool:
    """Return whether two frames show the same, opacity included."""
    alphas = first.metadata.alpha, second.metadata.alpha
    if any(alpha is None for alpha in alphas):
        same = alphas == (None, None)
    else:
        same = torch.equal(*alphas)
    return same and torch.equal(first.pixels, second.pixels)


def _find_scenes(job: CleanJob, start: int) -> Iterator[Scene]:
    cuts = job.recipe.across != "T"
    return find_scenes(job.clip.read(start, job.stop), start, cuts=cuts)


def _fit(scene: Scene, recipe: ClipRecipe) -> FittedDenoiser:
    """Measure the noise of a scene, and fit the method to it."""
    height, width = scene.samples.shape[2:]
    reporter = StepReporter(None, (width, height))
    return fit_denoiser(scene.samples, recipe, reporter, Image(scene.samples[0]))


def _together(fitted: FittedDenoiser, scene: Scene, recipe: ClipRecipe) -> bool:
    """Return whether the frames of a scene help each other."""
    several = scene.stop - scene.start > 1
    return several and recipe.across != "none" and fitted.method == "nl-wiener"


def _diagnosis(fitted: FittedDenoiser, scene: Scene, recipe: ClipRecipe) -> Diagnosis:
    """Return what is known of a scene's noise, in words for a film."""
    diagnosis = fitted.diagnosis
    if not _together(fitted, scene, recipe):
        return diagnosis
    words = f"{diagnosis.words}, with the frames next to each"
    return replace(diagnosis, across="T", words=words)


def _clean_runs(
    runs: Iterable[_FrameRun],
    scene: Scene,
    fitted: FittedDenoiser,
    recipe: ClipRecipe,
    stop: Stop,
) -> Iterator[tuple[_FrameRun, Tensor]]:
    """Yield frames of a scene with what they are without noise, until `stop` ends it."""
    waiting: deque[tuple] = deque()

    def planes() -> Iterator[PlaneToFilter]:
        for place, run in enumerate(runs, 1):
            own = replace(fitted, source=run.frame)
            defects = own.find_defects(run.frame.pixels)
            ready = own.prepare(run.frame.pixels, defects)
            waiting.append((run, own, defects, ready))
            yield own.plane_to_filter(ready, place)

    def finish(clean: Tensor) -> tuple[_FrameRun, Tensor]:
        run, own, defects, _ = waiting.popleft()
        noisy = run.frame.pixels
        texture = own.texture(noisy, clean) if recipe.detail else None
        mask = None if defects is None else defects.mask[0]
        return run, blend_strength(noisy, clean, recipe, texture, mask)

    if not _together(fitted, scene, recipe):
        for _ in planes():
            run, own, defects, _ = waiting[0]
            if stop():
                return
            yield finish(own.denoise(run.frame.pixels, defects))
        return
    reference = fitted.values.normalize(scene.samples[0])
    across = AcrossFilter(
        recipe, lambda *_: not stop(), reach=REACH, cuts=False, reference=reference
    )
    for filtered in across.run(planes()):
        if stop() or filtered.image is None:
            return
        _, own, _, ready = waiting[0]
        yield finish(own.restore(ready, filtered.image))


class _Cleaning:
    """One run over the frames of a clip."""

    def __init__(
        self, job: CleanJob, on_frame: OnClipFrame | None, stop: Stop | None, began: float
    ) -> None:
        self.job, self.on_frame, self.began = job, on_frame, began
        self._stop = stop
        self.state = job.load_state()
        self.resumed = self.state.done
        self.scenes: list[tuple[int, Diagnosis]] = []
        self.stopped = False

    def clean(self) -> None:
        """Clean the frames that are left."""
        job = self.job
        if job.writes_frames:
            ensure_directory(job.output.parent, "output")
        job.work.open({"across": job.recipe.across})
        if self.state.done == job.count:
            return
        with silent_opencv():  # two readers that end one after the other would leave it silent
            self._clean_scenes()

    def _clean_scenes(self) -> None:
        job, position = self.job, self.state.first
        frames = job.clip.read(position, job.stop)
        for scene in _find_scenes(job, self.state.scene):
            part = islice(frames, scene.stop - position)
            if scene.stop - job.start <= self.state.done:  # and the next one is not begun
                deque(part, 0)
            else:
                self._clean_scene(scene, part, position)
            if self._asked_to_stop():
                return
            position = scene.stop

    def _asked_to_stop(self) -> bool:
        if self._stop is not None and self._stop():
            self.stopped = True
        return self.stopped

    def _clean_scene(self, scene: Scene, frames: Iterable[Image], first: int) -> None:
        """Clean the frames of a scene from a number on, but keep only those that are not done."""
        job = self.job
        fitted = _fit(scene, job.recipe)
        self.scenes.append((scene.start - job.start, _diagnosis(fitted, scene, job.recipe)))
        recent: deque[int] = deque(maxlen=_DEPENDS)
        runs = _frame_runs(frames, first)
        for run, clean in _clean_runs(runs, scene, fitted, job.recipe, self._asked_to_stop):
            recent.append(run.number)
            if run.number - job.start >= self.state.done:
                self._keep(run, clean, scene, recent[0])

    def _keep(self, run: _FrameRun, clean: Tensor, scene: Scene, first: int) -> None:
        """Write a frame as often as it comes, and then that it is done."""
        job, done = self.job, self.state.done
        metadata = run.frame.metadata
        bits = 8 if metadata.bits == 8 else 16
        pixels = clean.clamp(0, 1)
        for number in range(done, done + run.count):
            save(pixels, job.work.frame(number), metadata=metadata, bits=bits, overwrite=True)
        self.state = CleanState(done + run.count, scene.start, first)
        job.save_state(self.state)
        seconds = time.perf_counter() - self.began
        if self.on_frame is None:
            return
        each = seconds / (self.state.done - self.resumed)
        for number in range(done + 1, self.state.done + 1):
            step = ClipStep(
                frame=number,
                frames=job.count,
                cut=number - 1 + job.start == scene.start,
                seconds=seconds,
                left=each * (job.count - number),
                picture=pixels.clone,
            )
            self.on_frame(step)

    def deliver(self) -> ClipResult:
        """Write the film of the frames that are finished, and return the result."""
        job = self.job
        delivered = job.deliver(self.state.done, job.clip.size, stopped=self.stopped)
        if not self.stopped:
            job.work.remove()
        return ClipResult(
            path=delivered.path,
            size=delivered.size,
            frames=self.state.done,
            resumed=self.resumed,
            rate=float(job.clip.rate),
            scenes=tuple(self.scenes),
            seconds=time.perf_counter() - self.began,
            codec=delivered.codec,
            stopped=self.stopped,
            provenance=job.provenance,
            recipe=job.recipe,
            notes=delivered.notes,
        )


def _time_frame(scene: Scene, fitted: FittedDenoiser, recipe: ClipRecipe) -> float:
    """Return the seconds of a frame, estimated from the center of some that are cleaned twice."""
    height, width = scene.samples.shape[2:]
    top, left = (max(0, (side - _TIMED_SIDE) // 2) for side in (height, width))
    part = scene.samples[..., top : top + _TIMED_SIDE, left : left + _TIMED_SIDE]
    if len(scene.samples) == 1:  # its noise may have a place in it
        fitted = _fit(scene._replace(samples=part), recipe)
    frames, seconds = _TIMED_FRAMES if len(part) > 1 else 1, 0.0
    for _ in range(2):  # the first time loads what is loaded once
        runs = [_FrameRun(n, Image(part[n % len(part)]), 1) for n in range(frames)]
        began = time.perf_counter()
        deque(_clean_runs(runs, scene, fitted, recipe, lambda: False), 0)
        seconds = (time.perf_counter() - began) / frames
    return seconds * height * width / (part.shape[2] * part.shape[3])
