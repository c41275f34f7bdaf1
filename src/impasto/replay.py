"""Making a picture again from the account inside it, or another in the same way: `rerun`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from impasto.images.open_input import open_input
from impasto.images.read import ImageSource, open_image
from impasto.images.source_files import file_sha256, read_with
from impasto.provenance import (
    MAX_BYTES,
    Input,
    Provenance,
    StyleInput,
    current_maker,
    read_provenance,
)
from impasto.result import DenoiseResult, OnStep, Result

SIDECAR = ".impasto.json"
KNOWN = ("oxford", "torchvision")  # weights that are no file


class RerunPlan(NamedTuple):
    """What `rerun` will do.

    Attributes:
        account: what is repeated.
        pictures: the method's arguments, opened.
        changes: one sentence for everything that will not be as it was.
        files: the inputs that were found beside the recipe or in the current folder.
    """

    account: Provenance
    pictures: dict[str, Any]
    changes: tuple[str, ...]
    files: tuple[Path, ...]


def rerun(
    source: str | Path | Provenance,
    *,
    content: ImageSource | None = None,
    style: ImageSource | Sequence[ImageSource] | None = None,
    weights: str | None = None,
    on_step: OnStep | None = None,
) -> Result | DenoiseResult:
    """Make a picture again: the same bytes, on the same machine with the same torch on its CPU.

    The inputs are looked for, by name and hash, beside the recipe and in the current folder; only
    there. Given others, the same is made of those.

    Args:
        source: a picture that impasto made, a recipe's file, or an account that was read.
        content: another content image, or where the one meant is now.
        style: the same for the style images, in order.
        weights: the file of VGG-19 weights, where the recipe names one: no recipe opens a file
            that was not asked for.
        on_step: as for the method itself.

    Returns:
        What the method gives.

    Raises:
        ValueError: no recipe, one that is not valid, or an input that is missing or was changed.
        ImageError: a file that cannot be read.

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
    found = prepare_rerun(source, content=content, style=style, weights=weights)
    return run_again(found, on_step)


def prepare_rerun(
    source: str | Path | Provenance,
    *,
    content: ImageSource | None = None,
    style: ImageSource | Sequence[ImageSource] | None = None,
    weights: str | None = None,
) -> RerunPlan:
    """Read the account and find its inputs, as `rerun` does, before any work."""
    if isinstance(source, Provenance):
        account, folder = source, Path()
    else:
        account, folder = _account(source), Path(source).parent
    account = _weighed(account, weights)
    changes = list(_changes(account))
    search = _Search((folder, Path()), changes, [])
    inputs = account.inputs
    pictures: dict[str, Any] = {}
    if account.method != "texture":
        given = search.found(inputs.content, "content", content)
        if account.method == "denoise":
            pictures["content"] = open_input(given, account.recipe.axes, "content")
        else:
            pictures["content"] = open_image(given, name="content")
    if account.method in ("style", "texture"):
        pictures["style"] = search.styles(inputs.styles, style)
    for name in ("init", "protect", "keep"):
        one = getattr(inputs, name)
        if one is not None:
            pictures[name] = open_image(search.found(one, name, None), name=name)
    return RerunPlan(account, pictures, tuple(changes), tuple(search.files))


def run_again(found: RerunPlan, on_step: OnStep | None = None) -> Result | DenoiseResult:
    """Carry out what was prepared."""
    recipe, pictures = found.account.recipe, found.pictures
    if found.account.method == "style":
        from impasto.api import stylize

        names = {"init": "init_image"}
        beside = {names.get(name, name): one for name, one in pictures.items()}
        return stylize(recipe=recipe, on_step=on_step, **beside)
    if found.account.method == "texture":
        from impasto.api import texture

        return texture(pictures["style"], recipe=recipe, on_step=on_step)
    if found.account.method == "reconstruct":
        from impasto.api import reconstruct

        return reconstruct(pictures["content"], recipe=recipe, on_step=on_step)
    from impasto.denoising.denoise import denoise

    return denoise(pictures["content"], recipe=recipe, on_step=on_step)


def _account(source: str | Path) -> Provenance:
    """The account inside a picture, or in a file of its own."""
    path = Path(source)
    words = {"kind": "recipe", "way_out": "give a picture that impasto made, or its recipe"}
    start = read_with(path, "file", lambda one: _first(one, 64), **words)
    if start.lstrip()[:1] == b"{":
        text = read_with(path, "file", lambda one: _first(one, MAX_BYTES + 1), **words)
        return read_provenance(text.decode("utf-8", "replace"), "file")
    metadata = open_image(path, name="file").metadata
    if metadata.recipe is None:
        raise ValueError(
            f"`file` must be a picture with a recipe inside, got {path}, which has none; give a "
            "picture that impasto made, or its recipe"
        )
    return read_provenance(metadata.recipe, "file")


def _weighed(account: Provenance, weights: str | None) -> Provenance:
    """The account with the weights that are given; refused where it names a file and none is."""
    named = getattr(account.recipe, "weights", "oxford")
    if weights is None and named in KNOWN:
        return account
    if weights is None:
        raise ValueError(
            f"`weights` must be given where a recipe names a file, got {named!r}; give it as "
            "`--weights`"
        )
    return account.model_copy(
        update={"recipe": account.recipe.model_copy(update={"weights": weights})}
    )


def _first(path: Path, count: int) -> bytes:
    """The first bytes of a file."""
    with open(path, "rb") as file:
        return file.read(count)


class _Search(NamedTuple):
    """Where inputs are looked for, what is said of those that are others, which were found."""

    folders: tuple[Path, ...]
    changes: list[str]
    files: list[Path]

    def found(self, wanted: Input | None, name: str, given: ImageSource | None) -> Any:
        """An input's path, or what was given in its place.

        Raises:
            ValueError: it is nowhere, or what is there is another.
        """
        if given is not None:
            if (
                isinstance(given, str | Path)
                and wanted is not None
                and _hash(given) != wanted.sha256
            ):
                self.changes.append(f"`{name}` is {given}, not what the recipe names")
            return given
        option = (
            f"`--{name}`"
            if name in ("content", "style")
            else f"a file named {wanted and wanted.name}"
        )
        if wanted is None or wanted.name is None:
            raise ValueError(
                f"`{name}` must be given, since the recipe names no file for it; give {option}"
            )
        there = [
            f / wanted.name for f in dict.fromkeys(self.folders) if (f / wanted.name).is_file()
        ]
        for path in there:
            if _hash(path) == wanted.sha256:
                self.files.append(path)
                return path
        where = "beside the recipe or in the current folder"
        if there:
            raise ValueError(
                f"`{name}` must be {wanted.name} as it was, got {there[0]}, which has changed; "
                f"give the one that is meant as {option}"
            )
        raise ValueError(
            f"`{name}` must be there, got no {wanted.name} {where}; put it there or give {option}"
        )

    def styles(self, wanted: Sequence[StyleInput], given: Any) -> list[Any]:
        """The styles, opened, or those given in their place with their weights and regions."""
        from impasto.style.source import Style

        others = (
            None if given is None else list(given) if isinstance(given, (list, tuple)) else [given]
        )
        if others is not None and len(others) != max(1, len(wanted)):
            raise ValueError(
                f"`style` must be {max(1, len(wanted))} as in the recipe, got {len(others)}; give "
                "one for each, in order"
            )
        found = []
        for number, one in enumerate(wanted or [None]):
            if others is not None:
                single = one is not None and len(one.pictures) == 1
                picture = self.found(one.pictures[0] if single else None, "style", others[number])
                pictures = [picture]
            elif one is None:
                pictures = [self.found(None, "style", None)]
            else:
                pictures = [self.found(p, "style", None) for p in one.pictures]
            weight, region, mask = 1.0, None, None
            if one is not None:
                weight = one.weight
                region = one.region and self.found(one.region, "region", None)
                mask = one.mask and self.found(one.mask, "mask", None)
            found.append(
                Style(pictures[0] if len(pictures) == 1 else pictures, weight, region, mask)
            )
        return found


def _hash(path: str | Path) -> str | None:
    """SHA-256 of a file; None where it cannot be read, which opening it will say."""
    try:
        return file_sha256(path)
    except OSError:
        return None


def _changes(account: Provenance) -> Iterable[str]:
    """What made the picture and is not here."""
    made = account.maker
    if made is None:
        return
    here = current_maker(made.device)
    for name in ("impasto", "torch", "machine", "threads"):
        before, now = getattr(made, name), getattr(here, name)
        if before != now:
            yield f"it was made with {name} {before}, this is {now}: bytes may differ"
