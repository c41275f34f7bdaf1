"""The table of methods: each with its recipe, its inputs, and the functions that plan and run it.

Provenance, rerun, batches and the server read this table. A new method needs its own package, an
entry here and, where a person is to reach it, a command or a form.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, Union

from pydantic import BaseModel

from impasto.recipes import (
    ApplyRecipe,
    ClipRecipe,
    DenoiseRecipe,
    FilmRecipe,
    ReconstructRecipe,
    StyleRecipe,
    TextureRecipe,
)

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Method:
    """One method, and everything that its callers need to know about it.

    Attributes:
        name: key in `METHODS`, stored in every result.
        title: name for people.
        recipe: the options.
        inputs: roles of the images that it needs, in the order of the function's arguments.
        function: `module:name` of the function that runs it; imported on first use.
        planner: the same of the function that estimates size, memory and time; empty if there is
            none.
        optional_inputs: role of an image that may be given -> the function's keyword for it.
        controls: which of `stop`, `checkpoint` and `measurements` the function takes.
        keeps_data: whether scientific TIFFs and arrays stay in their own numbers.
        suffix: what is added to the content's name to name the result.
        in_batches: whether a batch may use it.
        of_videos: the method that does the same to videos; empty if none does.
        makes_films: whether its content is a clip, and its function writes a film.
    """

    name: str
    title: str
    recipe: type[BaseModel]
    inputs: tuple[str, ...]
    function: str
    planner: str = ""
    optional_inputs: Mapping[str, str] = field(default_factory=dict)
    controls: tuple[str, ...] = ()
    keeps_data: bool = False
    suffix: str = "painted"
    in_batches: bool = False
    of_videos: str = ""
    makes_films: bool = False

    def run(
        self,
        images: Mapping[str, Any],
        *,
        recipe: BaseModel,
        on_step: Callable[[Any], None] | None = None,
        stop: Callable[[], bool] | None = None,
        checkpoint: str | Path | None = None,
        measurements: Any = None,
    ) -> Any:
        """Run the method on images by their roles.

        Args:
            images: role -> image, path or `Style`, as the method's own function takes them.
            recipe: every option.
            on_step: called after each step; it may raise `StopIteration` to end the run.
            stop: asked between steps whether to end the run, if the method has steps that long.
            checkpoint: file to resume from, if the method can resume.
            measurements: what is known of pictures, if the method measures them.

        Returns:
            A `Result`, or the `DenoiseResult` of denoising.
        """
        controls = {"stop": stop, "checkpoint": checkpoint, "measurements": measurements}
        return self._call(
            self.function,
            images,
            recipe=recipe,
            on_step=on_step,
            **{name: controls[name] for name in self.controls},
        )

    def make_film(
        self,
        images: Mapping[str, Any],
        output: str | Path,
        *,
        recipe: BaseModel,
        **settings: Any,
    ) -> Any:
        """Run a method that makes films.

        Args:
            images: role -> path, image or styles, as the method's own function takes them.
            output: where the film goes.
            recipe: every option.
            settings: the function's other arguments, such as `overwrite`, `on_frame` and `stop`.

        Returns:
            A `FilmResult` or a `ClipResult`.
        """
        return self._call(self.function, {**images, "output": output}, recipe=recipe, **settings)

    def plan(self, images: Mapping[str, Any], *, recipe: BaseModel, timed: bool = True) -> Any:
        """Estimate size, memory and, if `timed`, time of a run without starting it."""
        probe = {} if timed else {"timed": False}
        return self._call(self.planner, images, recipe=recipe, **probe)

    def _call(self, target: str, images: Mapping[str, Any], **options: Any) -> Any:
        module, _, name = target.partition(":")
        function = getattr(import_module(module), name)
        roles = (*self.inputs, "output") if self.makes_films else self.inputs
        required = [images[role] for role in roles]
        optional = {
            keyword: images[role]
            for role, keyword in self.optional_inputs.items()
            if images.get(role) is not None
        }
        return function(*required, **optional, **options)


METHODS = {
    method.name: method
    for method in (
        Method(
            name="style",
            title="style transfer",
            recipe=StyleRecipe,
            inputs=("content", "style"),
            function="impasto.api:stylize",
            planner="impasto.api:plan_style",
            optional_inputs={"init": "init_image", "protect": "protect", "keep": "keep"},
            controls=("stop", "checkpoint"),
            in_batches=True,
            of_videos="film",
        ),
        Method(
            name="texture",
            title="texture synthesis",
            recipe=TextureRecipe,
            inputs=("style",),
            function="impasto.api:texture",
            planner="impasto.api:plan_texture",
            controls=("stop",),
            suffix="texture",
        ),
        Method(
            name="reconstruct",
            title="reconstruction from one layer",
            recipe=ReconstructRecipe,
            inputs=("content",),
            function="impasto.api:reconstruct",
            planner="impasto.api:plan_reconstruction",
            controls=("stop", "checkpoint"),
        ),
        Method(
            name="denoise",
            title="denoising",
            recipe=DenoiseRecipe,
            inputs=("content",),
            function="impasto.denoising.denoise:denoise",
            controls=("measurements",),
            keeps_data=True,
            suffix="clean",
            in_batches=True,
            of_videos="denoise-clip",
        ),
        Method(
            name="apply",
            title="painting with a fitted model",
            recipe=ApplyRecipe,
            inputs=("content", "model"),
            function="impasto.models.model:apply",
            controls=("stop",),
            in_batches=True,
        ),
        Method(
            name="film",
            title="style transfer of a film",
            recipe=FilmRecipe,
            inputs=("content", "style"),
            function="impasto.filming.film:film",
            optional_inputs={"protect": "protect", "keep": "keep", "keys": "keys"},
            controls=("stop",),
            makes_films=True,
        ),
        Method(
            name="denoise-clip",
            title="denoising of a film",
            recipe=ClipRecipe,
            inputs=("content",),
            function="impasto.filming.clean:denoise_clip",
            controls=("stop",),
            suffix="clean",
            makes_films=True,
        ),
    )
}

MethodName = Literal[tuple(METHODS)]  # type: ignore[valid-type]
Recipe = Union[tuple(method.recipe for method in METHODS.values())]  # noqa: UP007


def method_of(recipe: BaseModel) -> str:
    """Return the name of the method that a recipe belongs to.

    Example:
        >>> method_of(StyleRecipe())
        'style'
    """
    return next(name for name, method in METHODS.items() if type(recipe) is method.recipe)


def film_fields(name: str) -> tuple[str, ...]:
    """Return the options that the method which does the same to videos has besides.

    Example:
        >>> film_fields("denoise")
        ('range', 'rate')
    """
    method = METHODS[name]
    if not method.of_videos:
        return ()
    fields = METHODS[method.of_videos].recipe.model_fields
    return tuple(field for field in fields if field not in method.recipe.model_fields)


def guess_method(options: Mapping[str, Any]) -> str:
    """Return the method whose recipe knows the most of these options; `style` if several do.

    Example:
        >>> guess_method({"strength": 0.7}), guess_method({"strength": 0.7, "sigma": 0.1})
        ('style', 'denoise')
    """
    unknown = {
        name: len(options.keys() - method.recipe.model_fields.keys())
        for name, method in METHODS.items()
    }
    return min(unknown, key=unknown.__getitem__)  # the first of equals, in the table's order
