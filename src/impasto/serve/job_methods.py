"""What the server has forms for: the methods of pictures, films, and fitted models."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from pydantic import BaseModel

from impasto.methods import METHODS
from impasto.recipes import ClipRecipe, FilmRecipe, FitRecipe
from impasto.validation import validate

Makes = Literal["picture", "film", "model"]


@dataclass(frozen=True)
class JobMethod:
    """One kind of job.

    Attributes:
        name: part of the path that it is asked for at.
        recipe: the options.
        suffix: what is added to the first input's name to name the result.
        makes: a picture, a film or a fitted model.
        keeps_data: whether scientific TIFFs stay in their own numbers.
        planner: as of `Method`.
    """

    name: str
    recipe: type[BaseModel]
    suffix: str
    makes: Makes = "picture"
    keeps_data: bool = False
    planner: str = ""


JOB_METHODS: dict[str, JobMethod] = {
    **{
        method.name: JobMethod(
            method.name,
            method.recipe,
            method.suffix,
            keeps_data=method.keeps_data,
            planner=method.planner,
        )
        for method in METHODS.values()
    },
    "film": JobMethod("film", FilmRecipe, "painted", "film"),
    "clip": JobMethod("clip", ClipRecipe, "clean", "film"),
    "fit": JobMethod("fit", FitRecipe, "model", "model"),
}

JobMethodName = Literal[tuple(JOB_METHODS)]  # type: ignore[valid-type]


def stored_recipe(method: JobMethodName, options: dict[str, Any]) -> Any:
    """Return the recipe of a job, from the options that it was stored with.

    Example:
        >>> stored_recipe("clip", ClipRecipe(strength=0.5).model_dump(mode="json")).strength
        0.5
    """
    # A clip's is always true, which recipes do not take for a value.
    options = {
        name: value for name, value in options.items() if name != "joint" or method != "clip"
    }
    return validate(JOB_METHODS[method].recipe, options)


@cache
def recipe_schemas() -> dict[str, Any]:
    """Return the JSON schema of the recipe of each kind of job."""
    return {name: method.recipe.model_json_schema() for name, method in JOB_METHODS.items()}
