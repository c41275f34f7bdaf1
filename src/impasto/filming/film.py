"""Film: paint a clip frame by frame without flicker, `film`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from impasto.filming.job import STATE_BYTES, FilmInputs, open_job
from impasto.filming.keyed import paint_keys
from impasto.filming.painted import paint_frames
from impasto.filming.result import FilmResult, OnFrame
from impasto.filming.run import FilmRun
from impasto.filming.style_schedule import FilmStyles
from impasto.images.read import ImageSource
from impasto.recipes import FilmRecipe
from impasto.result import OnStep, Stop
from impasto.validation import with_recipe_signature

if TYPE_CHECKING:
    from typing import Unpack

    from impasto.options import FilmOptions

_BYTES = 3.2  # a pixel of a finished frame, at most


class FilmPlan(NamedTuple):
    """What a film will take.

    Attributes:
        frames: how many.
        engine: `painted` or `keyed`.
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
    engine: str
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
    style: FilmStyles,
    output: str | Path,
    *,
    recipe: FilmRecipe | None = None,
    protect: ImageSource | None = None,
    keep: ImageSource | None = None,
    keys: Mapping[int, ImageSource] | None = None,
    on_frame: OnFrame | None = None,
    on_step: OnStep | None = None,
    stop: Stop | None = None,
    overwrite: bool = False,
    sidecar: bool = True,
    **options: Unpack[FilmOptions],
) -> FilmResult:
    """Paint a film in the style of one or more style images, without flicker.

    The first frame of each scene is painted as `stylize` paints. With engine `painted` each other
    one starts from the last painted frame, moved along the motion of the clip, is held to it where
    that motion can be believed, and gets a few evaluations. With engine `keyed` only keyframes are
    painted, and carried to the frames between them. What stands still in the clip stands still in
    the film.

    Finished frames are kept in a folder beside the output, `OUTPUT.impasto-film`, until the film is
    written: after a kill the same call goes on from the last of them, and ends in the same bytes on
    the same machine.

    Args:
        clip: a video file, a folder of frames, or a pattern such as `frame_%04d.png`.
        style: as for `stylize`; or a mapping from where styles begin, a frame from 0 or a time such
            as `"2.5s"`, to what `stylize` takes: `{0: a, "2.5s": [b, c]}`.
        output: an .mp4 or .webm file, a folder, or a pattern such as `out/frame_%04d.png`.
        recipe: every option at once; or give the ones to change as `options`.
        protect: a mask, white where the clip stays as it is; or a folder or pattern of masks, one
            for each frame of the clip.
        keep: the same, white where the content loss counts in full.
        keys: pictures that frames are to be, by their numbers in the clip, from 0; others follow
            them.
        on_frame: called after each frame with a `FilmStep`.
        on_step: called after each evaluation of a frame, as by `stylize`.
        stop: asked during each frame; returning True ends the run, and a film of the frames that
            are finished is written.
        overwrite: replace files that exist, and begin anew where the work folder is of another
            film.
        sidecar: write how the film was made beside it, into `OUTPUT.impasto.json`, from which
            `rerun` makes it again.
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
    inputs = FilmInputs(clip, style, protect, keep, keys)
    job = open_job(inputs, output, recipe, options, overwrite, sidecar=sidecar)
    run = FilmRun(job, on_frame, on_step, stop, began)
    (paint_keys if job.recipe.engine == "keyed" else paint_frames)(run)
    return run.deliver()


def plan_film(
    clip: str | Path,
    style: FilmStyles,
    output: str | Path,
    *,
    recipe: FilmRecipe | None = None,
    protect: ImageSource | None = None,
    keep: ImageSource | None = None,
    keys: Mapping[int, ImageSource] | None = None,
    overwrite: bool = False,
    sidecar: bool = True,
    **options: Any,
) -> FilmPlan:
    """Plan what `film` would do with the same arguments; refuses whatever it refuses."""
    inputs = FilmInputs(clip, style, protect, keep, keys)
    job = open_job(inputs, output, recipe, options, overwrite, sidecar=sidecar, timed=True)
    plan = job.prepared.setup.plan
    size, each = plan.sizes[-1], job.seconds_a_frame
    pixels = size[0] * size[1]
    state = job.work.load()
    done = state.done if state else 0
    scene = plan.seconds or 0.0
    seconds = (0.0 if done else scene) + each * (job.count - max(done, 1))
    return FilmPlan(
        frames=job.count,
        engine=job.recipe.engine,
        size=size,
        rate=float(job.clip.rate),
        seconds=max(0.0, seconds),
        scene_seconds=max(0.0, scene - each),
        disk=round(pixels * (_BYTES * job.count + STATE_BYTES)),
        memory=plan.memory,
        resumed=done,
        notes=job.clip.notes,
    )
