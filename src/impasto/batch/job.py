"""One picture of a batch: what it is made from, how, and where it goes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

from impasto._version import __version__
from impasto.batch import storage
from impasto.errors import ImpastoError
from impasto.methods import METHODS
from impasto.recipes import DenoiseRecipe, StyleRecipe

# Where a picture is computed and in how many pieces changes nothing that was asked for.
_CIRCUMSTANCES = frozenset({"device", "memory", "tiles"})

Method = Literal["style", "denoise"]


@dataclass(frozen=True)
class Job:
    """One picture of a batch.

    Attributes:
        method: `style` or `denoise`.
        content: where the picture lies.
        style: where the style lies; empty where there is none.
        output: where it goes.
        recipe: how, as JSON.
    """

    method: Method
    content: str
    style: str
    output: str
    recipe: str

    @property
    def options(self) -> StyleRecipe | DenoiseRecipe:
        """The recipe itself."""
        return METHODS[self.method].recipe.model_validate_json(self.recipe)


def fingerprint(method: str, recipe: str, inputs: Sequence[str], weights: str) -> str:
    """What tells whether a picture is the one that is wanted.

    Args:
        method: `style` or `denoise`.
        recipe: JSON of the recipe.
        inputs: SHA-256 of content and style.
        weights: SHA-256 of the network's weights; empty where none are used.

    Returns:
        SHA-256 of all that the picture's bytes depend on, the versions of impasto and torch with
        it; where it is computed, and in which tiles, is left out.

    Example:
        >>> one = fingerprint("denoise", '{"strength": 1.0}', ["ab"], "")
        >>> one == fingerprint("denoise", '{"strength": 1.0, "device": "cpu"}', ["ab"], "")
        True
    """
    options = {k: v for k, v in json.loads(recipe).items() if k not in _CIRCUMSTANCES}
    whole = [method, options, list(inputs), weights, algorithm_versions()]
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()


@cache
def algorithm_versions() -> str:
    """The versions that a picture's bytes depend on.

    Example:
        >>> algorithm_versions().split()[0]
        'impasto'
    """
    try:
        torch = version("torch")
    except PackageNotFoundError:  # a torch that no package manager installed
        torch = "?"
    return f"impasto {__version__} torch {torch}"


def read_fingerprint(job: Job) -> str | None:
    """The fingerprint inside a picture that is there, where it is the one that is wanted."""
    from impasto.images.read import open_image
    from impasto.images.source_files import file_sha256
    from impasto.provenance import read_provenance

    try:
        with storage.download(job.output) as here:
            recipe = open_image(here).metadata.recipe
        found = read_provenance(recipe).fingerprint if recipe else None
        if found is None:
            return None
        weights = ""
        if job.method == "style":
            from impasto.vgg.weights import load_weights

            weights = load_weights(job.options.weights).sha256
        hashes = []
        for place in filter(None, (job.content, job.style)):
            with storage.download(place) as here:
                hashes.append(file_sha256(here))
    except (ImpastoError, ValueError, OSError):
        return None
    return found if found == fingerprint(job.method, job.recipe, hashes, weights) else None
