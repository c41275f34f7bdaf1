"""Files, stdin and stdout: opened, checked before any work, written; and what is printed."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from impasto.cli.delivery import print_left_out
from impasto.cli.options import PIPE, path_or_bytes
from impasto.cli.terminal import echo, echo_json, is_null
from impasto.files import check_writable
from impasto.images.animation import check_animation
from impasto.images.formats import ENDINGS
from impasto.images.image import Image, ImageMetadata
from impasto.images.open_input import open_input
from impasto.images.read import open_image
from impasto.images.stack import Stack
from impasto.images.write import (
    check_output,
    check_output_size,
    encode,
    save,
)
from impasto.provenance import sidecar_path

if TYPE_CHECKING:
    from torch import Tensor

    from impasto.result import Diagnosis

TIFF_ENDINGS = tuple(ending for ending, name in ENDINGS.items() if name == "TIFF")


@dataclass(frozen=True)
class SaveOptions:
    """Path of a run's image and how it is written.

    Attributes:
        output: a path, or `-` for stdout.
        overwrite: replace files that exist.
        inputs: files that must never be replaced.
        bits: bits a channel, 8 or 16; None for the writer's own choice.
        quality: quality of the lossy formats, 1 to 100; None for the writer's own choice.
        strip_gps: leave out where a photograph was taken.
        strip: leave out all metadata of the input.
        sidecar: write the provenance into a file of its own, too.
    """

    output: str
    overwrite: bool = False
    inputs: tuple[str, ...] = ()
    bits: int | None = None
    quality: int | None = None
    strip_gps: bool = False
    strip: bool = False
    sidecar: bool = False

    @property
    def sidecar_path(self) -> Path | None:
        """Path of the provenance's own file; None where there is none."""
        if not self.sidecar or self.output == PIPE:
            return None
        return sidecar_path(self.output)

    @property
    def writer_options(self) -> dict[str, Any]:
        """Options of the image writer that the user has set."""
        options = {"bits": self.bits, "quality": self.quality}
        return {
            **{name: value for name, value in options.items() if value is not None},
            "strip_gps": self.strip_gps,
            "strip": self.strip,
        }

    @property
    def rules(self) -> dict[str, Any]:
        """Keyword arguments of every writer that say which files may be replaced."""
        return {"overwrite": self.overwrite, "inputs": self.inputs}


def save_options(
    output: str, inputs: Iterable[str | None], options: Mapping[str, Any]
) -> SaveOptions:
    """Return the `SaveOptions` that a command's options describe.

    Args:
        output: a path, or `-` for stdout.
        inputs: what the run reads; what is no file among them is left out.
        options: a command's options by name; those it does not have keep their defaults.
    """
    names = {field.name for field in fields(SaveOptions)} - {"output", "inputs"}
    chosen = {name: options[name] for name in names if name in options}
    if chosen.get("bits"):
        chosen["bits"] = int(chosen["bits"])
    paths = tuple(source for source in inputs if source and source != PIPE)
    return SaveOptions(output, inputs=paths, **chosen)


def read_image(source: str, name: str) -> Image:
    """Open an image from a file, or from stdin where the source is `-`."""
    image = open_image(path_or_bytes(source), name=name)
    print_notes(source, image)
    return image


def read_image_or_stack(source: str, name: str, axes: str = "auto") -> Image | Stack:
    """Open an image, or measured data where the source is a TIFF of such."""
    data = open_input(path_or_bytes(source), axes, name)
    print_notes(source, data)
    return data


def print_notes(source: str, data: Image | Stack) -> None:
    """Say on stderr what of a file was left out, or taken for what."""
    for note in data.notes if isinstance(data, Stack) else data.metadata.notes:
        echo(f"impasto: {source}: {note}", err=True)


def is_tiff(path: str) -> bool:
    """Say whether a file name ends in .tif or .tiff."""
    return Path(path).suffix.lower() in TIFF_ENDINGS


def snapshot_path(saving: SaveOptions, evaluation: int) -> Path:
    """Return the path of an evaluation's image: `out.png` -> `out-00050.png`."""
    output = Path(saving.output)
    return output.with_name(f"{output.stem}-{evaluation:05}.png")


def check_places(
    saving: SaveOptions,
    figures: Mapping[str, str | None] | None = None,
    *,
    writes_image: bool = True,
    save_every: int | None = None,
    steps: int = 0,
) -> None:
    """Refuse every path that cannot be written, before any work.

    Args:
        saving: the image's path.
        figures: option name -> path of its figure or animation, or None.
        writes_image: False where only figures are written.
        save_every: evaluations between snapshots; None for no snapshots.
        steps: evaluations planned.

    Raises:
        ValueError: a path or a combination of options makes no sense.
        ImageError: a path cannot be written, or is taken.
    """
    taken: dict[Path, str] = {}
    if writes_image and saving.output == PIPE:
        if sys.stdout.isatty():
            raise ValueError("`output` is `-`, but stdout is a terminal; name a file, or pipe it")
        if is_null(sys.stdout):
            raise ValueError("`output` is `-`, but stdout is closed; name a file, or pipe it")
        if save_every:
            raise ValueError("`save_every` needs a file to write beside, got `-o -`; name a file")
    elif writes_image:
        taken[check_output(saving.output, **saving.rules).resolve()] = "output"
        for evaluation in range(save_every, steps + 1, save_every) if save_every else ():
            path = check_output(snapshot_path(saving, evaluation), **saving.rules)
            taken[path.resolve()] = "save_every"
    if writes_image and saving.sidecar_path:
        path = check_writable(saving.sidecar_path, **saving.rules, name="output")
        taken[path.resolve()] = "output"
    check_figures(saving, figures or {}, taken)
    if writes_image:
        # Encode a tiny image the same way, so that no long run ends in a refusal.
        ending = ".png" if saving.output == PIPE else Path(saving.output).suffix
        encode(
            torch.zeros(3, 16, 16),
            ending,
            metadata=ImageMetadata(),
            recipe="{}",
            **saving.writer_options,
        )


def check_result_size(saving: SaveOptions, size: tuple[int, int]) -> None:
    """Refuse a result, of (width, height) pixels, that its format or the disk cannot hold."""
    if saving.output != PIPE:
        check_output_size(saving.output, size)


def check_figures(
    saving: SaveOptions, figures: Mapping[str, str | None], taken: Mapping[Path, str]
) -> None:
    """Refuse figures that cannot be written, and two files of one name.

    Args:
        saving: which files may be replaced.
        figures: option name -> path of its figure or animation, or None.
        taken: path -> name of the option that writes it.
    """
    taken = dict(taken)
    for name, path in figures.items():
        if path is None:
            continue
        if name == "timelapse":
            check_animation(path, **saving.rules, name=name)
        else:
            from impasto.figures import check_figure  # matplotlib takes 0.2 s

            check_figure(path, **saving.rules, name=name)
        other = taken.setdefault(Path(path).resolve(), name)
        if other != name:
            raise ValueError(
                f"`{name}` must be a file of its own, got {path!r}, which `{other}` writes; "
                "choose another name"
            )


def write_pixels(
    saving: SaveOptions, pixels: Tensor, metadata: ImageMetadata, recipe: str | None
) -> str:
    """Write an image, say what its format could not hold, and return its path, or `-`."""
    contents = {"metadata": metadata, "recipe": recipe, **saving.writer_options}
    print_left_out(saving, metadata, (pixels.shape[-1], pixels.shape[-2]), recipe)
    if saving.output == PIPE:
        sys.stdout.buffer.write(encode(pixels, "png", **contents))
        sys.stdout.buffer.flush()
        return PIPE
    return str(save(pixels, saving.output, **contents, **saving.rules))


def print_result(output: str, facts: Mapping[str, Any] | None) -> None:
    """Print a result's path, or its facts as JSON; on stderr where stdout carries the image."""
    if facts is not None:
        echo_json(facts, err=output == PIPE)
    elif output != PIPE:
        echo(output)


def noise_facts(diagnosis: Diagnosis) -> dict[str, Any]:
    """Return what `--json` prints of noise, in plain JSON values; of several planes apart, too."""
    treatments = [
        {**treatment.model_dump(), "sigma": [json_number(sigma) for sigma in treatment.sigma]}
        for treatment in diagnosis.treatments
    ]
    screen = {} if diagnosis.screen is None else {"screen": diagnosis.screen._asdict()}
    return (
        {
            "kind": diagnosis.kind,
            "sigma": [json_number(sigma) for sigma in diagnosis.sigma],
            "gain": None if diagnosis.gain is None else json_number(diagnosis.gain),
            "correlation": json_number(diagnosis.correlation),
            "clipped": list(diagnosis.clipped),
            "method": diagnosis.method,
            "words": diagnosis.words,
            "specks": json_number(diagnosis.specks),
            "stuck_rows": list(diagnosis.stuck_rows),
            "stuck_columns": list(diagnosis.stuck_columns),
        }
        | screen
        | ({"treatments": treatments} if diagnosis.planes else {})
    )


def json_number(number: float) -> float | None:
    """Return a number as JSON has it: infinity and NaN become null."""
    value = float(number)
    return value if math.isfinite(value) else None
