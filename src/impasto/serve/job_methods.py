"""What the server has forms for: the methods of pictures, films, and fitted models."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from pydantic import BaseModel

from impasto.methods import METHODS
from impasto.recipes import FitRecipe
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
            "film" if method.makes_films else "picture",
            keeps_data=method.keeps_data,
            planner=method.planner,
        )
        for method in METHODS.values()
    },
    "fit": JobMethod("fit", FitRecipe, "model", "model"),
}

JobMethodName = Literal[tuple(JOB_METHODS)]  # type: ignore[valid-type]


def stored_recipe(method: JobMethodName, options: dict[str, Any]) -> Any:
    """Return the recipe of a job, from the options that it was stored with.

    Example:
        >>> stored_recipe("film", {"strength": 0.6}).strength
        0.6
    """
    return validate(JOB_METHODS[method].recipe, options)


@cache
def recipe_schemas() -> dict[str, Any]:
    """Return the JSON schema of the recipe of each kind of job."""
    return {name: method.recipe.model_json_schema() for name, method in JOB_METHODS.items()}
