"""`rerun`: make an image again from its provenance, or another image in the same way."""

from __future__ import annotations

import codecs
import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from impasto.errors import ImageError, quote
from impasto.files import recorded_name
from impasto.images.clip_names import is_pattern, is_video
from impasto.images.open_input import open_input
from impasto.images.read import ImageSource, open_image, read_recipe, read_with
from impasto.images.video_read import clip_sha256, is_frames
from impasto.images.video_write import film_versions
from impasto.methods import METHODS
from impasto.provenance import (
    MAX_BYTES,
    SIDECAR,
    Input,
    Provenance,
    StyleInput,
    current_maker,
    read_provenance,
    sidecar_path,
)
from impasto.result import DenoiseResult, OnStep, Result
from impasto.style.source import Style

if TYPE_CHECKING:
    from impasto.filming.result import ClipResult, FilmResult

KNOWN_WEIGHTS = ("oxford", "torchvision")  # weights that are not a file


class RerunPlan(NamedTuple):
    """A rerun, ready to start.

    Attributes:
        provenance: what is repeated.
        images: the opened inputs by role.
        changes: one sentence for everything that differs from the first run.
        files: the input files that were found next to the recipe or in the current folder.
    """

    provenance: Provenance
    images: dict[str, Any]
    changes: tuple[str, ...]
    files: tuple[Path, ...]

    @property
    def makes_film(self) -> bool:
        """Whether it makes a film."""
        return METHODS[self.provenance.method].makes_films


def rerun(
    source: str | Path | Provenance,
    *,
    content: ImageSource | None = None,
    style: ImageSource | Sequence[ImageSource] | None = None,
    weights: str | None = None,
    on_step: OnStep | None = None,
    output: str | Path | None = None,
    overwrite: bool = False,
) -> Result | DenoiseResult | FilmResult | ClipResult:
    """Make an image or a film again; on the same machine, torch and CPU: the same bytes.

    Inputs are looked up by name and hash next to the recipe and in the current folder, nowhere
    else. Give other inputs to apply the same recipe to them.

    Args:
        source: an image or a film that impasto made, the file of a recipe, or provenance that was
            read. A film's recipe is read from the sidecar file beside it.
        content: another content image or clip, or the path of the original one.
        style: the same for the style images, in order.
        weights: the file of VGG-19 weights if the recipe names one. A recipe never opens a file
            by itself.
        on_step: called after each step of the run; of a film, after each frame.
        output: where a film goes; None for images, whose result is yours to save.
        overwrite: as for `film`.

    Returns:
        The result of the method.

    Raises:
        ValueError: there is no valid recipe, or an input is missing or has changed; or a film has
            no `output`, or an image has one.
        ImageError: a file cannot be read.

    Example:
        >>> import tempfile, torch
        >>> from impasto import stylize
        >>> first = stylize(torch.rand(3, 32, 32), torch.rand(3, 32, 32), size=32, steps=1)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = first.save(f"{folder}/painted.png")
        ...     again = rerun(file, content=torch.rand(3, 32, 32), style=torch.rand(3, 32, 32))
        >>> again.recipe == first.recipe
        True
    """
    plan = prepare_rerun(source, content=content, style=style, weights=weights)
    if plan.makes_film != (output is not None):
        raise ValueError(
            f"`output` must be given for a film and for nothing else, got {output} for "
            f"{METHODS[plan.provenance.method].title}; {'give' if plan.makes_film else 'drop'} it"
        )
    if plan.makes_film:
        return film_again(plan, output, overwrite=overwrite, on_frame=on_step)
    return run_again(plan, on_step)


def prepare_rerun(
    source: str | Path | Provenance,
    *,
    content: ImageSource | None = None,
    style: ImageSource | Sequence[ImageSource] | None = None,
    weights: str | None = None,
) -> RerunPlan:
    """Read the provenance and open its inputs, as `rerun` does, without running anything."""
    if isinstance(source, Provenance):
        provenance, folders = source, (Path(),)
    else:
        place = find_sidecar(Path(source))
        provenance, folders = _read_source(place), (place.parent, Path())
        if is_pattern(place):  # numbered frames have a folder of their own, beside their clip
            folders = (place.parent, place.parent.parent, Path())
    provenance = _with_weights(provenance, weights)
    method, inputs = METHODS[provenance.method], provenance.inputs
    search = _InputSearch(folders, list(_differences(provenance)), [])
    images: dict[str, Any] = {}
    if "content" in method.inputs:
        path = search.find(inputs.content, "content", content)
        if method.makes_films:
            images["content"] = path
        elif method.keeps_data:
            images["content"] = open_input(path, provenance.recipe.axes, "content")
        else:
            images["content"] = open_image(path, name="content")
    if "model" in method.inputs:
        images["model"] = search.find(inputs.model, "model", None)
    if "style" in method.inputs:
        images["style"] = search.find_styles(inputs.styles, style)
    if method.makes_films and inputs.styles:
        images["style"] = _by_start(inputs.styles, images["style"])
    for role in method.optional_inputs:
        expected = getattr(inputs, role)
        if role == "keys":
            images[role] = {key.frame: search.find(key.picture, "key", None) for key in expected}
        elif expected is not None:
            path = search.find(expected, role, None)
            images[role] = path if method.makes_films else open_image(path, name=role)
    return RerunPlan(provenance, images, tuple(search.changes), tuple(search.files))


def run_again(plan: RerunPlan, on_step: OnStep | None = None) -> Result | DenoiseResult:
    """Run a prepared rerun."""
    provenance = plan.provenance
    return METHODS[provenance.method].run(plan.images, recipe=provenance.recipe, on_step=on_step)


def film_again(plan: RerunPlan, output: str | Path, **settings: Any) -> FilmResult | ClipResult:
    """Make the film of a prepared rerun.

    Args:
        plan: what is repeated.
        output: where the film goes.
        settings: as for `Method.make_film`.
    """
    provenance = plan.provenance
    method = METHODS[provenance.method]
    return method.make_film(plan.images, output, recipe=provenance.recipe, **settings)


def find_sidecar(path: Path) -> Path:
    """Return the file that holds a film's recipe; any other path as it is.

    Args:
        path: a film, or the folder or pattern of its frames.

    Raises:
        ValueError: there is none, or several in a folder.
    """
    if path.name.endswith(SIDECAR) or not (is_frames(path) or is_video(path)):
        return path
    sidecars = [sidecar_path(path)]
    if path.is_dir():
        sidecars = sorted(path.glob(f"*{SIDECAR}"))
    sidecars = [each for each in sidecars if each.is_file()]
    if len(sidecars) != 1:
        raise ValueError(
            f"`file` must have one recipe beside its film, got {len(sidecars)} for {path}; name "
            f"the file that ends in {SIDECAR}"
        )
    return sidecars[0]


def _by_start(inputs: Sequence[StyleInput], styles: Sequence[Style]) -> dict[int, list[Style]]:
    """Return the styles of a film by the frames where they begin."""
    phases: dict[int, list[Style]] = {}
    for each, style in zip(inputs, styles, strict=True):
        phases.setdefault(each.start or 0, []).append(style)
    return phases


def _read_source(path: Path) -> Provenance:
    """Read the provenance inside an image, or in a file of its own."""

    def read_start(count: int) -> bytes:
        def read(path: Path) -> bytes:
            with open(path, "rb") as file:
                return file.read(count)

        way_out = "give a picture that impasto made, or its recipe"
        return read_with(path, "file", read, kind="recipe", way_out=way_out)

    start = read_start(64).removeprefix(codecs.BOM_UTF8).lstrip()
    if start[:1] == b"{":
        return read_provenance(read_start(MAX_BYTES + 1).decode("utf-8-sig", "replace"), "file")
    recipe = read_recipe(path, name="file")
    if recipe is None:
        raise ValueError(
            f"`file` must be a picture with a recipe inside, got {path}, which has none; give a "
            "picture that impasto made, or its recipe"
        )
    return read_provenance(recipe, "file")


def _with_weights(provenance: Provenance, weights: str | None) -> Provenance:
    """Put the given weights into the recipe; refuse a recipe that names a file if none are."""
    stored = getattr(provenance.recipe, "weights", "oxford")
    if weights is None and stored in KNOWN_WEIGHTS:
        return provenance
    if weights is None:
        raise ValueError(
            f"`weights` must be given if a recipe names a file, got {quote(stored)}; give it as "
            "`--weights`"
        )
    recipe = provenance.recipe.model_copy(update={"weights": weights})
    return provenance.model_copy(update={"recipe": recipe})


class _InputSearch(NamedTuple):
    """A search for inputs by name and hash.

    Attributes:
        folders: the folders to look in.
        changes: sentences about inputs that are not the original ones; grows.
        files: the original inputs that were found; grows.
    """

    folders: tuple[Path, ...]
    changes: list[str]
    files: list[Path]

    def find(self, expected: Input | None, role: str, replacement: ImageSource | None) -> Any:
        """Return the path of an input, or its replacement.

        Raises:
            ValueError: there is no such file, or it has changed.
        """
        if replacement is not None:
            is_path = isinstance(replacement, str | Path)
            if is_path and expected is not None and _hash(replacement) != expected.sha256:
                self.changes.append(f"`{role}` is {replacement}, not what the recipe names")
            return replacement
        name = expected and expected.name
        option = f"`--{role}`" if role in ("content", "style") else f"a file named {name}"
        if name in (None, ".", ".."):  # no names, but other folders
            raise ValueError(
                f"`{role}` must be given, since the recipe names no file for it; give {option}"
            )
        folders = dict.fromkeys(self.folders)
        paths = [folder / name for folder in folders]
        if "\ufffd" in name:  # the file's own name could not be recorded
            paths += [path for path in _list_files(folders) if recorded_name(path.name) == name]
        # A pattern has no hash if no file matches it. False where a name is too long.
        hashes = {path: _hash(path) for path in paths}
        paths = [path for path in paths if hashes[path] or os.path.isfile(path)]
        for path in paths:
            if hashes[path] == expected.sha256:
                self.files.append(path)
                return path
        if paths:
            raise ValueError(
                f"`{role}` must be {name} as it was, got {paths[0]}, which has changed; give the "
                f"original as {option}"
            )
        raise ValueError(
            f"`{role}` must be a file that exists, got no {name} next to the recipe or in the "
            f"current folder; put it there or give {option}"
        )

    def find_styles(self, expected: Sequence[StyleInput], replacements: Any) -> list[Style]:
        """Return the styles, or their replacements with the original weights and masks."""
        count = max(1, len(expected))
        if replacements is None:
            replacements = [None] * count
        elif not isinstance(replacements, (list, tuple)):
            replacements = [replacements]
        if len(replacements) != count:
            raise ValueError(
                f"`style` must be {count} as in the recipe, got {len(replacements)}; give one for "
                "each, in order"
            )
        if not expected:  # a recipe without inputs
            return [Style(self.find(None, "style", replacements[0]))]
        styles = []
        for style, replacement in zip(expected, replacements, strict=True):
            if replacement is None:
                images = [self.find(image, "style", None) for image in style.pictures]
            else:
                single = style.pictures[0] if len(style.pictures) == 1 else None
                images = [self.find(single, "style", replacement)]
            region = style.region and self.find(style.region, "region", None)
            mask = style.mask and self.find(style.mask, "mask", None)
            image = images[0] if len(images) == 1 else images
            styles.append(Style(image, style.weight, region, mask))
        return styles


def _list_files(folders: Iterable[Path]) -> list[Path]:
    """List what is in some folders, but for those that may not be read."""
    paths: list[Path] = []
    for folder in folders:
        with contextlib.suppress(OSError):
            paths += sorted(folder.iterdir())
    return paths


def _hash(path: str | Path) -> str | None:
    try:
        return clip_sha256(Path(path))
    except (OSError, ImageError):
        return None  # opening the file will say why


def _differences(provenance: Provenance) -> Iterator[str]:
    """Say how this program and machine differ from those of the first run."""
    before = provenance.maker
    if before is None:
        return
    films = METHODS[provenance.method].makes_films
    now = current_maker(before.device, **(film_versions() if films else {}))
    for name in ("impasto", "torch", "machine", "threads", "opencv", "ffmpeg"):
        old, new = getattr(before, name) or "none", getattr(now, name) or "none"
        if old != new:
            yield f"it was made with {name} {old}, this is {new}: bytes may differ"
