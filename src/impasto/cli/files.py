"""Where pictures come from and go to: files, stdin and stdout, checked before any work."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from torch import Tensor

    from impasto.images.image import Image, ImageMetadata
    from impasto.images.stack import Stack
    from impasto.recipes import ReconstructRecipe, StyleRecipe
    from impasto.result import DenoiseResult, Diagnosis, OnStep, Result, Step
    from impasto.style.checkpoint import Checkpoints

    Recipe = StyleRecipe | ReconstructRecipe

PIPE = "-"
SIDECAR = ".impasto.json"


@dataclass(frozen=True)
class SaveOptions:
    """Where a run's picture goes and how it is written.

    Attributes:
        output: a path, or `-` for stdout.
        overwrite: whether files that are already there may be replaced.
        inputs: files that must never be replaced.
        bits: bits a channel, 8 or 16; None for the writer's own choice.
        quality: quality of the formats that lose, 1 to 100; None for the writer's own choice.
        strip_gps: whether to leave out where a photograph was taken.
        sidecar: whether to write the recipe into a file of its own, too.
    """

    output: str
    overwrite: bool = False
    inputs: tuple[str, ...] = ()
    bits: int | None = None
    quality: int | None = None
    strip_gps: bool = False
    sidecar: bool = False

    @property
    def beside(self) -> Path | None:
        """Where the account of how the picture was made goes besides; None for nowhere."""
        if not self.sidecar or self.output == PIPE:
            return None
        return Path(f"{self.output}{SIDECAR}")

    @property
    def settings(self) -> dict[str, Any]:
        """The options for the writer that the user has set."""
        wished = {"bits": self.bits, "quality": self.quality}
        return {
            **{name: value for name, value in wished.items() if value is not None},
            "strip_gps": self.strip_gps,
        }


def check_single_stdin(named: Mapping[str, str]) -> None:
    """Refuse a second `-` among the inputs, and a `-` with nothing piped in."""
    piped = [name for name, source in named.items() if source == PIPE]
    if len(piped) > 1:
        raise ValueError(
            f"only one input must be `-`, got {' and '.join(piped)}; name a file for the others"
        )
    if piped and sys.stdin.isatty():
        raise ValueError(f"`{piped[0]}` is `-`, but nothing is piped in; name a file")


def open_content(source: str, name: str) -> Image:
    """Read a picture from a file, or from stdin where the source is `-`."""
    from impasto.images.read import open_image

    return open_image(contents(source), name=name)


def open_measured(source: str, name: str, axes: str = "auto") -> Image | Stack:
    """Open a picture, or measured data where the source is a TIFF of such."""
    from impasto.images.open_input import open_input

    return open_input(contents(source), axes, name)


def contents(source: str) -> str | bytes:
    """A path as it is, or what stdin holds where the source is `-`."""
    return sys.stdin.buffer.read() if source == PIPE else source


def base_name(source: str) -> str:
    """The name a source gives to what is made from it."""
    return "stdin" if source == PIPE else Path(source).stem


def files(*sources: str | None) -> tuple[str, ...]:
    """The sources that are files."""
    return tuple(source for source in sources if source and source != PIPE)


def weights_of(recipe: Recipe) -> str | None:
    """The weights where they are a file."""
    return recipe.weights if Path(recipe.weights).is_file() else None


def snapshot(saving: SaveOptions, evaluation: int) -> Path:
    """Where the picture of an evaluation goes: `out.png` -> `out-00050.png`."""
    output = Path(saving.output)
    return output.with_name(f"{output.stem}-{evaluation:05}.png")


def check_places(
    saving: SaveOptions,
    *,
    writes_picture: bool = True,
    figures: Mapping[str, str | None],
    save_every: int | None = None,
    steps: int = 0,
) -> None:
    """Refuse every place that cannot be written, before any work.

    Args:
        saving: where the picture goes.
        writes_picture: False where only figures are written.
        figures: option name -> where its figure or animation goes, or None.
        save_every: how many evaluations lie between snapshots; None for no snapshots.
        steps: how many evaluations are planned.

    Raises:
        ValueError: a place or a combination of options makes no sense.
        ImageError: a place cannot be written, or is taken.
    """
    from impasto.figures import check_figure
    from impasto.files import check_writable
    from impasto.images.animation import check_animation
    from impasto.images.write import check_output

    rules = {"overwrite": saving.overwrite, "inputs": saving.inputs}
    taken: dict[Path, str] = {}
    if writes_picture and saving.output == PIPE:
        if sys.stdout.isatty():
            raise ValueError("`output` is `-`, but stdout is a terminal; name a file, or pipe it")
        if save_every:
            raise ValueError("`save_every` needs a file to write beside, got `-o -`; name a file")
    elif writes_picture:
        taken[check_output(saving.output, **rules).resolve()] = "output"
        for evaluation in range(save_every, steps + 1, save_every) if save_every else ():
            taken[check_output(snapshot(saving, evaluation), **rules).resolve()] = "save_every"
    if writes_picture and saving.beside:
        beside = check_writable(saving.beside, **rules, name="output")
        taken[beside.resolve()] = "output"
    for name, place in figures.items():
        if place is None:
            continue
        (check_animation if name == "timelapse" else check_figure)(place, **rules, name=name)
        other = taken.setdefault(Path(place).resolve(), name)
        if other != name:
            raise ValueError(
                f"`{name}` must be a file of its own, got {place!r}, which `{other}` writes; "
                "choose another name"
            )
    if writes_picture:
        _rehearse(saving)


def write_result(saving: SaveOptions, result: Result | DenoiseResult) -> str:
    """Write a result's picture with the account of how it was made; gives its path, or `-`."""
    from impasto.provenance import Output

    account = result.provenance(Output(**saving.settings)).model_dump_json()
    written = put_pixels(saving, result.pixels, result.metadata, account)
    put_sidecar(saving, account)
    return written


def put_sidecar(saving: SaveOptions, account: str) -> None:
    """Write an account into a file of its own, where one is wanted."""
    from impasto.files import write_atomically

    if saving.beside:
        text = json.dumps(json.loads(account), indent=2, ensure_ascii=False) + "\n"
        write_atomically(text.encode(), saving.beside, overwrite=saving.overwrite)


def put_pixels(
    saving: SaveOptions, pixels: Tensor, metadata: ImageMetadata, recipe: str | None
) -> str:
    """Write a picture; gives back its path, or `-`."""
    from impasto.images.write import encode, save

    if saving.output == PIPE:
        data = encode(pixels, "png", metadata=metadata, recipe=recipe, **saving.settings)
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return PIPE
    return str(
        save(
            pixels,
            saving.output,
            metadata=metadata,
            recipe=recipe,
            overwrite=saving.overwrite,
            inputs=saving.inputs,
            **saving.settings,
        )
    )


def snapshots(saving: SaveOptions, every: int | None, recipe: Recipe) -> OnStep:
    """A watcher that writes the picture each so many evaluations; none where `every` is None.

    What it writes may be smaller than the output, and is opaque.
    """
    from impasto.images.image import ImageMetadata
    from impasto.images.write import save

    # A picture that is shared must not tell where its maker keeps files.
    record = recipe.model_copy(update={"weights": Path(recipe.weights).name}).model_dump_json()

    def watch(step: Step) -> None:
        if every and step.evaluation % every == 0:
            save(
                step.picture(),
                snapshot(saving, step.evaluation),
                metadata=ImageMetadata(),
                recipe=record,
                overwrite=saving.overwrite,
                inputs=saving.inputs,
            )

    return watch


def summary(result: Result, output: str) -> dict[str, Any]:
    """What `--json` says of a run, in plain JSON values."""
    recipe = result.recipe
    kind = {"preset": recipe.preset} if hasattr(recipe, "preset") else {}
    if hasattr(recipe, "layer"):
        kind = {"layer": recipe.layer, "kind": recipe.kind}
    return {
        "output": output,
        "size": [int(side) for side in result.size],
        "seconds": round(float(result.seconds), 3),
        "evaluations": int(result.evaluations),
        "loss": plain(result.losses["total"]),
        "content_loss": plain(result.losses["content"]),
        "style_loss": plain(result.losses["style"]),
        **kind,
        "seed": recipe.seed,
        "device": str(result.device),
        "precision": str(result.precision),
    }


def noise_facts(found: Diagnosis) -> dict[str, Any]:
    """What `--json` says of noise, in plain JSON values."""
    return {
        "kind": found.kind,
        "sigma": [plain(sigma) for sigma in found.sigma],
        "gain": None if found.gain is None else plain(found.gain),
        "correlation": plain(found.correlation),
        "clipped": list(found.clipped),
        "method": found.method,
        "words": found.words,
    }


def plain(number: float) -> float | None:
    """A number as JSON knows it: infinity and NaN become null."""
    value = float(number)
    return value if math.isfinite(value) else None


def draw_losses(result: Result, options: Mapping[str, Any]) -> None:
    """Draw the losses where that was asked for."""
    if options["loss_curve"]:
        from impasto.figures import loss_curve, save_figure

        curve = loss_curve(result.history, result.scale_starts)
        save_figure(curve, options["loss_curve"], options["overwrite"])


def print_result(output: str, facts: Mapping[str, Any] | None) -> None:
    """Print a result's path, or its facts as JSON; on stderr where stdout carries the picture."""
    if facts is not None:
        click.echo(json.dumps(facts, ensure_ascii=False), err=output == PIPE)
    elif output != PIPE:
        click.echo(output)


def tell_stopped(evaluations: int, output: str, options: Mapping[str, Any]) -> int:
    """Say on stderr that a run was cut short; gives back the exit code of an interruption."""
    where = "was written to stdout" if output == PIPE else f"is in {output}"
    way_on = ""
    if options["checkpoint"]:
        # The picture written just now stands in the way of the finished one.
        needed = "" if options["overwrite"] or output == PIPE else " with --overwrite"
        way_on = f"; the same command{needed} goes on from here"
    click.echo(
        f"impasto: stopped after {evaluations} evaluations; the best picture so far {where}"
        f"{way_on}",
        err=True,
    )
    return 130


def checkpoints(folder: str | None) -> Checkpoints | None:
    """The folder of `--checkpoint`, made; files of finished runs stay until all is written."""
    if folder is None:
        return None
    from impasto.style.checkpoint import Checkpoints

    return Checkpoints(folder, outlive=True)


def saving_of(output: str, inputs: Sequence[str], options: Mapping[str, Any]) -> SaveOptions:
    """A `SaveOptions` from the options that `saving_options` gave a command."""
    return SaveOptions(
        output=output,
        overwrite=options["overwrite"],
        inputs=tuple(inputs),
        bits=int(options["bits"]) if options["bits"] else None,
        quality=options["quality"],
        strip_gps=options["strip_gps"],
        sidecar=options.get("sidecar", False),
    )


def _rehearse(saving: SaveOptions) -> None:
    """Encode a tiny picture the same way, so that no long run ends in a refusal."""
    import torch

    from impasto.images.image import ImageMetadata
    from impasto.images.write import encode

    ending = ".png" if saving.output == PIPE else Path(saving.output).suffix
    encode(torch.zeros(3, 16, 16), ending, metadata=ImageMetadata(), recipe="{}", **saving.settings)
