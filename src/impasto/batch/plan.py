"""The plan of a batch: every image it will make, checked before any work."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from impasto.batch import storage
from impasto.errors import ImageError, quote, quoted_name
from impasto.images.clip_names import film_ending, is_video
from impasto.images.formats import ENDINGS
from impasto.jobs.job import Job
from impasto.methods import METHODS, MethodName, Recipe, film_fields
from impasto.presets import read_options_file, style_recipe_of
from impasto.validation import did_you_mean, validate

BATCH_METHODS = tuple(name for name, method in METHODS.items() if method.in_batches)


@dataclass(frozen=True)
class BatchPlan:
    """The work of a batch.

    Attributes:
        method: `style`, `denoise` or `apply`.
        contents: files, folders, patterns or URLs of images and videos.
        styles: the same of style images; each content is painted in each. Empty for other methods.
        output: the folder for the results.
        recipe: every option.
        format: the ending of the results, such as `.png`; empty for `.png`, and `.tif` for a
            TIFF that is denoised. Videos become .mp4, and .webm those that were.
        strip: leave out all metadata of the inputs.
        model: file or URL of the fitted model to apply; empty for other methods.
        film: options that only films have, by name.
    """

    method: MethodName
    contents: tuple[str, ...]
    styles: tuple[str, ...]
    output: str
    recipe: Recipe
    format: str = ""
    strip: bool = False
    model: str = ""
    film: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        inputs = METHODS[self.method].inputs
        if "style" in inputs and not self.styles:
            raise ValueError("`style` must be at least one picture, got none; give one")
        if "model" in inputs and not self.model:
            raise ValueError("`model` must be the file of a fitted model, got none; give one")
        for role, given in (("style", self.styles), ("model", self.model)):
            if given and role not in inputs:
                raise ValueError(
                    f"`{role}` must be left out of a batch of {self.method}, got {quote(given)}; "
                    "leave it out"
                )
        if self.film:
            validate(METHODS[METHODS[self.method].of_videos].recipe, self.film)
        if not self.contents:
            raise ValueError("`contents` must be at least one picture, got none; give one")
        places = {
            "contents": self.contents,
            "style": self.styles,
            "model": (self.model,),
            "output": (self.output,),
        }
        for name, paths in places.items():
            if nul := next((path for path in paths if "\0" in path), None):
                raise ValueError(
                    f"`{name}` must be a place, got {quote(nul)} with a NUL in it; correct it"
                )
        if self.format and self.format not in ENDINGS:
            raise ValueError(
                f"`format` must be one of {', '.join(ENDINGS)}, got {quote(self.format)}; "
                "choose one"
            )


def plan_jobs(plan: BatchPlan, left_out: list[str] | None = None) -> list[Job]:
    """List the jobs of a batch, in order; outputs keep the tree of the input folders.

    Args:
        plan: what to make.
        left_out: files of the folders that are no pictures are added to it, with what they are.

    Raises:
        ImageError: a path holds no images, or an output would replace an input.
        ValueError: two outputs would have one name.
    """
    others: list[str] = []
    videos = bool(METHODS[plan.method].of_videos)
    contents = _list_unique(plan.contents, "contents", others, videos=videos)
    styles = _list_unique(plan.styles, "style", others)
    if left_out is not None:
        left_out += dict.fromkeys(others)
    jobs = jobs_of_files(plan, contents, styles)
    inputs_on_disk = {_resolve(image.path) for image in (*contents, *styles)}
    if plan.model:
        inputs_on_disk.add(_resolve(storage.local_path(plan.model)))
    for output in jobs:
        if _resolve(output) in inputs_on_disk:
            raise ImageError(
                f"`output` must not replace an input, got {output}; choose another folder"
            )
    return list(jobs.values())


def list_styles(plan: BatchPlan) -> list[storage.ListedFile]:
    """List the style images of a plan."""
    return _list_unique(plan.styles, "style", [])


def jobs_of_files(
    plan: BatchPlan,
    contents: Sequence[storage.ListedFile],
    styles: Sequence[storage.ListedFile],
) -> dict[str, Job]:
    """Return the jobs of some files by their outputs.

    Raises:
        ValueError: two outputs would have one name.
    """
    recipe, film = plan.recipe.model_dump_json(), json.dumps(dict(plan.film), sort_keys=True)
    jobs: dict[str, Job] = {}
    folder = storage.local_path(plan.output)
    for content in contents:
        for style in styles or [None]:
            output = storage.join(folder, _output_name(plan, content, style, len(styles)))
            inputs = {"content": content.path}
            if style:
                inputs["style-1"] = style.path
            if plan.model:
                inputs["model"] = storage.local_path(plan.model)
            job = Job(plan.method, recipe, inputs, output, strip=plan.strip)
            if job.makes_film:
                job = replace(job, film=film)
            other = jobs.setdefault(output, job)
            if other is not job:
                raise ValueError(
                    f"`output` must be another file for each picture, got {output} for "
                    f"{other.inputs['content']} and {content.path}; give one of them another "
                    "name, or run them apart"
                )
    return jobs


def read_plan(path: str | Path) -> BatchPlan:
    """Read a plan from a TOML file.

    Args:
        path: a file with `method`, `contents`, `styles`, `model`, `output`, `format`, `strip` and
            a table `recipe`, which may hold options of films; only contents and output are
            required. Paths are relative to the current folder.

    Raises:
        ValueError: it cannot be read, or a value in it is wrong.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder) / "plan.toml"
        ...     text = 'method = "denoise"\\ncontents = ["noisy/"]\\noutput = "clean"'
        ...     _ = file.write_text(text)
        ...     read_plan(file).contents
        ('noisy/',)
    """
    values = read_options_file(
        Path(path), "plan", tomllib.loads, kind="TOML", see="impasto batch run --help"
    )
    known = ("method", "contents", "styles", "model", "output", "format", "strip", "recipe")
    for key in values:
        if key not in known:
            hint = did_you_mean(key, known) or f"; choose from {', '.join(known)}"
            raise ValueError(
                f"`{quoted_name(key)}` must be a key of a plan, got it in {path}{hint}"
            )
    guessed = "style" if "styles" in values else "apply" if "model" in values else "denoise"
    method = values.get("method", guessed)
    if method not in BATCH_METHODS:
        choices = ", ".join(BATCH_METHODS)
        raise ValueError(f"`method` must be one of {choices}, got {quote(method)} in {path}")
    options = values.get("recipe", {})
    if not isinstance(options, dict):
        raise ValueError(f"`recipe` must be a table, got {quote(options)} in {path}")
    names = film_fields(method)
    film = {name: value for name, value in options.items() if name in names}
    own = {name: value for name, value in options.items() if name not in names}
    # Options of a style start from a preset.
    recipe = style_recipe_of(own) if method == "style" else validate(METHODS[method].recipe, own)
    output = values.get("output")
    if not isinstance(output, str) or not output:
        raise ValueError(f"`output` must be a folder, got {quote(output)} in {path}; name one")
    format_name = values.get("format", "")
    if not isinstance(format_name, str):
        raise ValueError(
            f"`format` must be a text, got {quote(format_name)} in {path}; such as .png"
        )
    model = values.get("model", "")
    if not isinstance(model, str):
        raise ValueError(f"`model` must be a file, got {quote(model)} in {path}; name one")
    strip = values.get("strip", False)
    if not isinstance(strip, bool):
        raise ValueError(f"`strip` must be true or false, got {quote(strip)} in {path}")
    return BatchPlan(
        method,
        _read_paths(values, "contents", path),
        _read_paths(values, "styles", path),
        output,
        recipe,
        ending_of(format_name),
        strip,
        model,
        film,
    )


def ending_of(format: str) -> str:
    """Return the file ending of a format's name; empty stays empty.

    Example:
        >>> ending_of("PNG"), ending_of(".jpg"), ending_of("")
        ('.png', '.jpg', '')
    """
    return format and f".{format.lstrip('.').lower()}"


def _read_paths(values: dict[str, Any], key: str, path: str | Path) -> tuple[str, ...]:
    """Read a list of texts; a text alone is a list of one."""
    paths = values.get(key, [])
    paths = [paths] if isinstance(paths, str) else paths
    if not isinstance(paths, list) or not all(isinstance(item, str) for item in paths):
        raise ValueError(f"`{key}` must be a list of places, got {quote(paths)} in {path}")
    return tuple(paths)


def _list_unique(
    sources: tuple[str, ...], name: str, left_out: list[str], *, videos: bool = False
) -> list[storage.ListedFile]:
    """List the images of several sources, each once, even if two patterns match it."""
    files = []
    for source in sources:
        listing = storage.list_images(source, name, videos=videos)
        files += listing.images
        left_out += listing.left_out
    return list({_resolve(file.path): file for file in reversed(files)}.values())[::-1]


def _output_name(
    plan: BatchPlan, content: storage.ListedFile, style: storage.ListedFile | None, styles: int
) -> str:
    base, ending = os.path.splitext(content.relative)
    if style is not None and styles > 1:
        base += "-" + os.path.splitext(style.relative)[0].replace("/", "-")
    if METHODS[plan.method].of_videos and is_video(content.relative):
        return base + film_ending(content.relative)
    keeps_tiff = METHODS[plan.method].keeps_data and ending.lower() in storage.TIFF_ENDINGS
    return base + (plan.format or (ending if keeps_tiff else ".png"))


def _resolve(path: str) -> str:
    """Return the same text for every spelling of a path."""
    return path if storage.is_remote(path) else os.path.realpath(path)
