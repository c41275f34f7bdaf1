"""The plan of a batch: every picture it will make, checked before any work."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from impasto.batch import storage
from impasto.batch.job import Job, Method
from impasto.errors import ImageError
from impasto.images.formats import ENDINGS
from impasto.presets import read_options_file, style_recipe
from impasto.recipes import DenoiseRecipe, StyleRecipe
from impasto.validation import did_you_mean, validate

_TIFF = (".tif", ".tiff")


@dataclass(frozen=True)
class BatchPlan:
    """What a batch is to do.

    Attributes:
        method: `style` or `denoise`.
        contents: files, folders, patterns or URLs of pictures.
        styles: the same of styles; each content is painted in each. None to denoise.
        output: the folder for what comes of it.
        recipe: how.
        format: the ending of what is written, such as `.png`; empty for `.png`, and `.tif` for a
            TIFF that is denoised.
    """

    method: Method
    contents: tuple[str, ...]
    styles: tuple[str, ...]
    output: str
    recipe: StyleRecipe | DenoiseRecipe
    format: str = ""

    def __post_init__(self) -> None:
        if self.method == "style" and not self.styles:
            raise ValueError("`style` must be at least one picture, got none; give one")
        if not self.contents:
            raise ValueError("`contents` must be at least one picture, got none; give one")
        if self.format and self.format not in ENDINGS:
            raise ValueError(
                f"`format` must be one of {', '.join(ENDINGS)}, got {self.format!r}; choose one"
            )


def jobs(plan: BatchPlan) -> list[Job]:
    """Every picture of a batch, in order; the tree of folders is kept.

    Raises:
        ImageError: a place holds no pictures, or an output would replace an input.
        ValueError: two pictures would have one name.
    """
    contents = _unique([one for s in plan.contents for one in storage.pictures(s, "contents")])
    styles = _unique([one for s in plan.styles for one in storage.pictures(s, "style")])
    recipe = plan.recipe.model_dump_json()
    found: dict[str, Job] = {}
    output = storage.local(plan.output)
    for content in contents:
        for style in styles or [None]:
            place = storage.join(output, _below(plan, content, style, len(styles)))
            job = Job(plan.method, content.place, style.place if style else "", place, recipe)
            other = found.setdefault(place, job)
            if other is not job:
                raise ValueError(
                    f"`output` must be another place for each picture, got {place} for "
                    f"{other.content} and {content.place}; give one of them another name, or run "
                    "them apart"
                )
    inputs = {_real(one.place) for one in (*contents, *styles)}
    for place in found:
        if _real(place) in inputs:
            raise ImageError(
                f"`output` must not replace an input, got {place}; choose another folder"
            )
    return list(found.values())


def read_plan(path: str | Path) -> BatchPlan:
    """A plan from a TOML file.

    Args:
        path: a file with `method`, `contents`, `styles`, `output`, `format` and a table `recipe`;
            all but contents and output may be left out. Paths are seen from the current folder.

    Raises:
        ValueError: it cannot be read, or something in it is wrong.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder) / "plan.toml"
        ...     text = 'method = "denoise"\\ncontents = ["noisy/"]\\noutput = "clean"'
        ...     _ = file.write_text(text)
        ...     read_plan(file).contents
        ('noisy/',)
    """
    words = {"kind": "TOML", "see": "impasto batch run --help"}
    found = read_options_file(Path(path), "plan", tomllib.loads, **words)
    known = ("method", "contents", "styles", "output", "format", "recipe")
    for key in found:
        if key not in known:
            near = did_you_mean(key, known) or f"; choose from {', '.join(known)}"
            raise ValueError(
                f"`{key}` must be something that a plan has, got {key} in {path}{near}"
            )
    method = found.get("method", "style" if "styles" in found else "denoise")
    if method not in ("style", "denoise"):
        raise ValueError(f"`method` must be style or denoise, got {method!r} in {path}")
    options = found.get("recipe", {})
    if not isinstance(options, dict):
        raise ValueError(f"`recipe` must be a table, got {options!r} in {path}")
    recipe = style_recipe(**options) if method == "style" else validate(DenoiseRecipe, options)
    output = found.get("output")
    if not isinstance(output, str) or not output:
        raise ValueError(f"`output` must be a folder, got {output!r} in {path}; name one")
    ending = found.get("format", "")
    if not isinstance(ending, str):
        raise ValueError(f"`format` must be a text, got {ending!r} in {path}; such as .png")
    return BatchPlan(
        method,
        _texts(found, "contents", path),
        _texts(found, "styles", path),
        output,
        recipe,
        ending_of(ending),
    )


def ending_of(format: str) -> str:
    """A format's name as the ending of files; empty stays empty.

    Example:
        >>> ending_of("PNG"), ending_of(".jpg"), ending_of("")
        ('.png', '.jpg', '')
    """
    return format and f".{format.lstrip('.').lower()}"


def _texts(found: dict[str, Any], key: str, path: str | Path) -> tuple[str, ...]:
    """A list of texts; a text alone is a list of one."""
    value = found.get(key, [])
    value = [value] if isinstance(value, str) else value
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise ValueError(f"`{key}` must be a list of places, got {value!r} in {path}")
    return tuple(value)


def _unique(found: list[storage.Found]) -> list[storage.Found]:
    """Each picture once, where two patterns name it."""
    return list({_real(one.place): one for one in reversed(found)}.values())[::-1]


def _below(
    plan: BatchPlan, content: storage.Found, style: storage.Found | None, styles: int
) -> str:
    """The name of what comes of a picture, in the output's folder."""
    base, ending = os.path.splitext(content.below)
    if style is not None and styles > 1:
        base += "-" + os.path.splitext(style.below)[0].replace("/", "-")
    measured = plan.method == "denoise" and ending.lower() in _TIFF
    return base + (plan.format or (ending if measured else ".png"))


def _real(place: str) -> str:
    """One name for a place, however it is written."""
    return place if storage.is_remote(place) else os.path.realpath(place)
