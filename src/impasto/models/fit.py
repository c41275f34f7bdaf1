"""Fit a small network to paint in one style: `fit`, and `plan_fit` for what it will take."""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from impasto.images.color import is_gray
from impasto.images.image import source_of
from impasto.images.read import ImageSource, image_files, open_image
from impasto.images.resize import composite_rgb, resize
from impasto.models.model import Model, TiledPainting, assemble, signature_distance
from impasto.models.model_file import FitFigures, ModelFacts, ModelParts
from impasto.models.network import PaintingNetwork
from impasto.models.painting_losses import FitObjective
from impasto.models.training import Task, Training, cut_crops
from impasto.provenance import Input, current_maker
from impasto.recipes import FitRecipe
from impasto.result import Losses, OnStep, Step, Stop
from impasto.style.checkpoint import Checkpoint, Checkpoints, open_checkpoint
from impasto.style.engine import StopRequested
from impasto.style.source import Style
from impasto.style.styles import (
    StyleSource,
    checkpoint_inputs,
    open_styles,
    output_size,
    style_inputs,
)
from impasto.validation import reject_recipe_and_options, validate, with_recipe_signature

if TYPE_CHECKING:
    from typing import Unpack

    from impasto.options import FitOptions

T = TypeVar("T")

MOST_PHOTOGRAPHS = 100  # that are learned from: more would not be seen often enough
_MEASURED = 6  # pictures whose whole paintings are measured in the end, at most
_LEAST_DEVIATION = 0.2  # of a channel's mean from picture to picture, in its own deviation
_LEAST_UNLIKENESS = 0.45  # that pictures of one kind have, however few were learned from


@dataclass(frozen=True, eq=False)
class FitResult:
    """A fitted model, and how it came to be.

    Attributes:
        model: the model.
        history: the losses of every step, each of one part of a picture.
        steps: taken, those before an interruption included.
        seconds: wall time, likewise.
        stopped: whether the fit was ended before its time.
        settled: whether it ended because it gained nothing any more.
    """

    model: Model
    history: tuple[Losses, ...]
    steps: int
    seconds: float
    stopped: bool = False
    settled: bool = False

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write the model's file, as `Model.save` does."""
        return self.model.save(path, overwrite=overwrite)


class FitPlan(NamedTuple):
    """What a fit will take.

    Attributes:
        photographs: how many pictures it learns from.
        crop: (width, height) of the largest part of one that is painted in a step.
        steps: at most.
        resumed: steps that an interrupted fit has taken already.
        seconds: estimated for the rest, from two steps.
        device: where it computes.
        precision: number format of VGG-19's convolutions.
    """

    photographs: int
    crop: tuple[int, int]
    steps: int
    resumed: int
    seconds: float
    device: str
    precision: str


@with_recipe_signature(FitRecipe)
def fit(
    photographs: ImageSource | Sequence[ImageSource],
    style: ImageSource | Style | Sequence[ImageSource | Style],
    *,
    recipe: FitRecipe | None = None,
    start: Model | str | Path | None = None,
    on_step: OnStep | None = None,
    checkpoint: str | Path | Checkpoints | None = None,
    stop: Stop | None = None,
    **options: Unpack[FitOptions],
) -> FitResult:
    """Fit a small network to paint in a style, on pictures of your own, in minutes.

    The network paints parts of the pictures, and learns from the losses that `stylize` minimizes:
    the statistics of the whole style, and the content. Afterwards `impasto.apply` paints any
    picture with it in a fraction of a second.

    Args:
        photographs: pictures like those to be painted later, or a folder of them; at least 16
            pixels a side. Of more than a hundred, a hundred are taken, spread evenly.
        style: as for `stylize`, but without regions: a model paints alike everywhere.
        recipe: every option at once; or give the ones to change as `options`.
        start: a fitted model, or the path of its file, whose weights to start from.
        on_step: called after each step with a `Step`; raising `StopIteration` in it ends the fit
            and keeps what is learned.
        checkpoint: a folder where the fit saves its state, made if it is missing. After a crash, a
            kill or a stop the same call resumes, and ends in the same bytes on the same machine
            with the same number of threads; a fit that ends by itself removes its file.
        stop: called between the layers of each step but the first; True ends the fit there.
        options: any field of `FitRecipe`.

    Returns:
        The model with its losses.

    Raises:
        ValueError: an option or an image out of range.
        ImageError: a file that cannot be read, or a checkpoint folder that cannot be written.
        ModelError: the model to start from cannot be used.
        WeightsError: weights that are missing or altered.

    Example:
        >>> result = fit(torch.rand(3, 32, 48), torch.rand(3, 32, 32), size=64, steps=2)
        >>> result.steps, sorted(result.history[0])
        (2, ['content', 'style', 'total'])
    """
    job = _prepare(photographs, style, recipe, options, start, checkpoint)
    return _Fit(job, on_step, stop).run()


def plan_fit(
    photographs: ImageSource | Sequence[ImageSource],
    style: ImageSource | Style | Sequence[ImageSource | Style],
    *,
    recipe: FitRecipe | None = None,
    start: Model | str | Path | None = None,
    checkpoint: str | Path | Checkpoints | None = None,
    **options: Any,
) -> FitPlan:
    """Plan what `fit` would do with the same arguments, and take three steps to time it.

    Example:
        >>> plan = plan_fit(torch.rand(3, 32, 48), torch.rand(3, 32, 32), size=64, steps=9)
        >>> plan.photographs, plan.crop, plan.steps
        (1, (48, 32), 9)
    """
    job = _prepare(photographs, style, recipe, options, start, checkpoint)
    resumed = job.training.steps
    seconds = [_timed_step(job.training) for _ in range(3)]
    sides = [crop.content.shape[1:] for crop in job.training.task.crops]
    height, width = max(sides, key=lambda side: side[0] * side[1])
    return FitPlan(
        photographs=len(job.inputs),
        crop=(width, height),
        steps=job.recipe.steps,
        resumed=resumed,
        seconds=min(seconds[1:]) * (job.recipe.steps - resumed),
        device=str(job.training.task.objective.vgg.device),
        precision=job.recipe.precision,
    )


def _timed_step(training: Training) -> float:
    began = time.perf_counter()
    training.step(lambda: None)
    return time.perf_counter() - began


class _Job(NamedTuple):
    """A fit before its first step: everything opened, measured and checked."""

    recipe: FitRecipe
    training: Training
    pictures: list[Tensor]  # at the size they are painted at
    inputs: tuple[Input, ...]
    sources: list[StyleSource]
    start: Model | None
    checkpoint: Checkpoint | None
    seconds: float  # that an interrupted fit has taken already


def _prepare(
    photographs: ImageSource | Sequence[ImageSource],
    style: Any,
    recipe: FitRecipe | None,
    options: dict[str, Any],
    start: Model | str | Path | None,
    checkpoint: str | Path | Checkpoints | None,
) -> _Job:
    """Open everything, measure the styles, and find an interrupted fit."""
    reject_recipe_and_options(recipe, options)
    recipe = validate(FitRecipe, options) if recipe is None else recipe
    model = start if start is None or isinstance(start, Model) else Model.load(start)
    pictures, inputs = _open_photographs(photographs, recipe.size)
    sources = open_styles(style, None)
    objective = FitObjective.of(recipe, sources)
    previous = list(model.parts.weights.values()) if model else []
    given = [*pictures, *checkpoint_inputs(sources), *previous]
    saved = open_checkpoint(checkpoint, recipe, objective.vgg.sha256, given)
    state = saved.load() if saved else {}
    if state and (dtype := getattr(torch, state["precision"])) != objective.vgg.dtype:
        objective = FitObjective.of(recipe, sources, dtype)
    recipe = recipe.model_copy(
        update={
            "precision": str(objective.vgg.dtype).removeprefix("torch."),
            "weights": Path(recipe.weights).name,
        }
    )
    network = PaintingNetwork()
    network.initialize(torch.Generator().manual_seed(recipe.seed))
    if model is not None:
        network.load_state_dict(model.parts.weights)
    network.to(objective.vgg.device, memory_format=torch.channels_last)
    task = Task(
        objective=objective,
        crops=cut_crops(pictures, objective.colors, recipe.seed),
        learning_rate=recipe.learning_rate,
        steps=recipe.steps,
        seed=recipe.seed,
    )
    return _Job(
        recipe=recipe,
        training=Training(task, network, state.get("training", {})),
        pictures=pictures,
        inputs=inputs,
        sources=sources,
        start=model,
        checkpoint=saved,
        seconds=state.get("seconds", 0.0),
    )


def choose_photographs(photographs: Sequence[T]) -> list[T]:
    """Return those that are learned from: all, or `MOST_PHOTOGRAPHS` spread evenly over many.

    Example:
        >>> len(choose_photographs(range(1000)))
        100
    """
    count = min(len(photographs), MOST_PHOTOGRAPHS)
    return [photographs[number * len(photographs) // count] for number in range(count)]


def _open_photographs(
    photographs: ImageSource | Sequence[ImageSource], size: int
) -> tuple[list[Tensor], tuple[Input, ...]]:
    """Open the pictures that are learned from, one after the other, and keep them small.

    Returns:
        Each at the size that it is painted at, (3, H, W), and what each was.
    """
    sources: list[Any] = []
    for source in photographs if isinstance(photographs, (list, tuple)) else [photographs]:
        folder = isinstance(source, (str, Path)) and Path(source).is_dir()
        sources += image_files(source, "photographs") if folder else [source]
    if not sources:
        raise ValueError("`photographs` must be at least one picture, got none; give some")
    pictures, inputs = [], []
    for source in choose_photographs(sources):
        image = open_image(source, name="photographs")
        longer = min(size, max(image.size))  # none is enlarged
        pixels = composite_rgb(image)
        pictures.append(resize(pixels, output_size(image, longer, "photographs")).clone())
        inputs.append(Input.model_validate(source_of(image)))
    return pictures, tuple(inputs)


class _Fit:
    """The run of a fit."""

    def __init__(self, job: _Job, on_step: OnStep | None, stop: Stop | None) -> None:
        self.job = job
        self.training = job.training
        self.objective = job.training.task.objective
        self.on_step = on_step
        self.stop = stop
        self.history: list[Losses] = []
        self.began = time.perf_counter() - job.seconds
        self.stopped = False

    def run(self) -> FitResult:
        """Take the steps that are left, and return the model."""
        job, training = self.job, self.training
        with suppress(StopRequested):
            while not training.finished:
                self.history.append(training.step(self._check_stop))
                if job.checkpoint is not None and (training.steps == 1 or job.checkpoint.due):
                    self._save()
                self._report()
        self.stopped = not training.finished
        if self.stopped and job.checkpoint is not None:
            self._save()
        seconds = time.perf_counter() - self.began
        result = FitResult(
            model=self._model(),
            history=tuple(self.history),
            steps=training.steps,
            seconds=seconds,
            stopped=self.stopped,
            settled=not self.stopped and training.steps < job.recipe.steps,
        )
        if job.checkpoint is not None and not self.stopped and not job.checkpoint.outlive:
            job.checkpoint.remove()
        return result

    def _check_stop(self) -> None:
        if self.stop is not None and self.training.steps and self.stop():
            raise StopRequested

    def _save(self) -> None:
        self.job.checkpoint.save(
            {
                "training": self.training.state(),
                "precision": self.job.recipe.precision,
                "seconds": time.perf_counter() - self.began,
            }
        )

    def _report(self) -> None:
        """Call `on_step`; its `StopIteration` ends the fit as `stop` does."""
        training = self.training
        if self.on_step is None:
            return
        painted = training.painted
        step = Step(
            evaluation=training.steps,
            evaluations=training.end,
            scale=1,
            scales=1,
            size=(painted.shape[2], painted.shape[1]),
            losses=training.average,
            seconds=time.perf_counter() - self.began,
            left=float(training.end - training.steps),
            picture=lambda: painted.float().cpu().clone(),
        )
        try:
            self.on_step(step)
        except StopIteration:
            raise StopRequested from None

    def _model(self) -> Model:
        """Return the model as it is now, with what it reached."""
        job = self.job
        network, recipe, device = self.training.network, job.recipe, self.objective.vgg.device
        painted = [self._paint(picture) for picture in job.pictures]
        seen = torch.stack([signature for _, signature in painted])  # (P, N)
        own = _LEAST_DEVIATION * seen[:, seen.shape[1] // 2 :].mean(0).repeat(2)
        signatures = seen.mean(0), torch.hypot(seen.std(0, correction=0), own)
        distances = [signature_distance(one, *signatures) for one in seen]
        before = job.start.facts.figures if job.start is not None else None
        pairs = list(zip(job.pictures, painted, strict=True))[:_MEASURED]
        losses = [self.objective.at(picture)(one).losses for picture, (one, _) in pairs]
        average = {n: sum(each[n] for each in losses) / len(losses) for n in ("style", "content")}
        facts = ModelFacts(
            recipe=recipe,
            styles=style_inputs(job.sources),
            photographs=job.inputs,
            gray=all(is_gray(image) for source in job.sources for image in source.images),
            maker=current_maker(str(device)),
            figures=FitFigures(
                steps=self.training.steps + (before.steps if before else 0),
                style=average["style"],
                content=average["content"],
                unlikeness=max(_LEAST_UNLIKENESS, *distances),
            ),
        )
        weights = {name: tensor.cpu() for name, tensor in network.state_dict().items()}
        return Model.of(ModelParts(facts, weights, self.objective.colors, signatures))

    def _paint(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """Return a picture painted, (3, H, W), and its signature."""
        network = copy.deepcopy(self.training.network)  # painting fixes its statistics
        tiles = TiledPainting(network, picture, self.objective.colors, self.job.recipe.seed)
        return assemble(tiles).to(self.objective.vgg.device), tiles.signature
