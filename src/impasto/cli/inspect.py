"""Commands that look at things: `info`, `compare`, `figure`, `presets`, `doctor`; and `demo`.

The callbacks import the library, and with it torch, only where they need it.
"""

from __future__ import annotations

import io
import json
import math
import os
import platform
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from impasto._version import __version__
from impasto.cli.options import (
    FILE,
    PIPE,
    Command,
    check_single_stdin,
    debug_option,
    flag_name,
    format_value,
    json_option,
    overwrite_option,
    path_or_bytes,
    presets_option,
    progress_option,
)
from impasto.errors import ImageError
from impasto.presets import PRESETS, read_presets, thumbnail_path

if TYPE_CHECKING:
    from torch import Tensor

    from impasto.images.image import Image
    from impasto.images.stack import Stack

LIBRARIES = ("torch", "numpy", "pillow", "tifffile", "imagecodecs", "scikit-image", "matplotlib")
MIN_MEMORY = 1.0  # GiB: about what a run at 512 pixels takes

PRESETS_EPILOG = (
    "A file of your own is TOML or JSON with a table for each preset: [loud], then lines such as "
    'words = "all style" and strength = 0.9; options are named as in `impasto style --help`, with '
    "_ for -."
)


@click.command("info", cls=Command)
@click.argument("file", type=FILE)
@json_option
@debug_option
def info_command(file: str, as_json: bool) -> None:
    """Show what FILE is and how it was made.

    FILE may be `-` for stdin.
    """
    check_single_stdin({"file": file})
    source = path_or_bytes(file)
    facts = _file_facts(source)

    from impasto.cli.files import noise_facts
    from impasto.denoising.diagnose import diagnose
    from impasto.images.open_input import open_input

    diagnosis = diagnose(open_input(source, name="file"))
    if as_json:
        click.echo(json.dumps(facts | {"noise": noise_facts(diagnosis)}, ensure_ascii=False))
        return
    facts |= _maker_facts(facts.pop("made", {})) | {"noise": diagnosis.words}
    rows = list(_rows(facts))
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        click.echo(f"{click.style(name.ljust(width), bold=True)}  {value}".rstrip())


@click.command("compare", cls=Command)
@click.argument("a", type=FILE)
@click.argument("b", type=FILE)
@json_option
@debug_option
def compare_command(a: str, b: str, as_json: bool) -> None:
    """Measure how close A and B are.

    PSNR is in decibels, SSIM goes up to 1; higher is closer. One of the two may be `-` for
    stdin. In JSON, an infinite PSNR, of equal pictures, is null. Stacks are measured over all
    planes; white is the largest number of their type, and 1 of floats.
    """
    check_single_stdin({"a": a, "b": b})
    from impasto.cli.files import json_number, read_image_or_stack
    from impasto.metrics import psnr, ssim

    sources = read_image_or_stack(a, "a"), read_image_or_stack(b, "b")
    counts = [getattr(source, "count", 1) for source in sources]
    if counts[0] != counts[1]:
        raise ValueError(
            f"`b` must have as many planes as `a`, {counts[0]}, got {counts[1]}; compare others"
        )
    errors, similarities = [], []
    for planes in zip(*map(_planes, sources), strict=True):
        # A gray image is repeated where the other has colors.
        channels = max(map(len, planes))
        first, second = (p.expand(channels, -1, -1) if len(p) == 1 else p for p in planes)
        errors.append(10 ** (-psnr(first, second) / 10))
        similarities.append(ssim(first, second))
    error = sum(errors) / len(errors)
    decibels = -10 * math.log10(error) if error else math.inf
    similarity = sum(similarities) / len(similarities)
    if as_json:
        facts = {"psnr": json_number(decibels), "ssim": json_number(similarity)}
        click.echo(json.dumps(facts))
        return
    click.echo("PSNR  " + (f"{decibels:.2f} dB" if math.isfinite(decibels) else "infinite"))
    click.echo(f"SSIM  {similarity:.4f}")


@click.command("figure", cls=Command)
@click.argument("content", type=FILE)
@click.argument("style", type=FILE)
@click.argument("result", type=FILE)
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="FILE",
    type=FILE,
    help="where to: .png .jpg .pdf .svg",
)
@overwrite_option
@debug_option
def figure_command(output: str, overwrite: bool, **sources: str) -> None:
    """Draw CONTENT, STYLE and RESULT in one row."""
    check_single_stdin(sources)
    from impasto.cli.files import read_image
    from impasto.figures import check_figure, save_figure, triptych

    inputs = tuple(source for source in sources.values() if source != PIPE)
    check_figure(output, overwrite=overwrite, inputs=inputs, name="output")
    row = triptych(*(read_image(source, name) for name, source in sources.items()))
    click.echo(str(save_figure(row, output, overwrite)))


@click.command("presets", cls=Command, epilog=PRESETS_EPILOG)
@presets_option
@json_option
@debug_option
def presets_command(presets: str | None, as_json: bool) -> None:
    """List the presets: what each looks like and what it changes."""
    known = PRESETS if presets is None else read_presets(presets)
    if as_json:
        rows = []
        for name, preset in known.items():
            path = thumbnail_path(name, known)
            rows.append(
                {
                    "name": name,
                    "words": preset.words,
                    "options": dict(preset.options),
                    "thumbnail": path and str(path),
                }
            )
        click.echo(json.dumps(rows, ensure_ascii=False))
        return
    width = max(map(len, known))
    for name, preset in known.items():
        click.echo(f"{name:{width}}  {preset.words}")
        changed = "  ".join(
            f"{flag_name(key)} {format_value(value)}" for key, value in preset.options.items()
        )
        if changed:
            click.echo(f"{'':{width}}  {click.style(changed, dim=True)}")


@click.command("demo", cls=Command)
@click.option(
    "-o",
    "--output",
    default="impasto-demo",
    metavar="DIR",
    type=FILE,
    show_default=True,
    help="where to",
)
@overwrite_option
@json_option
@progress_option
@debug_option
def demo_command(output: str, overwrite: bool, as_json: bool, progress: bool | None) -> int:
    """Paint a first picture out of nothing.

    Stylizes a photograph with a painting, both of which come with impasto, and writes content,
    style, result, a figure of the three and the loss curve.
    """
    from impasto.cli.progress import combine_watchers, interruptible, show_progress
    from impasto.demo import demo

    with interruptible() as stop_requested, show_progress(progress) as draw:
        paths = demo(output, on_step=combine_watchers(stop_requested, draw), overwrite=overwrite)
    if as_json:
        click.echo(json.dumps({name: str(path) for name, path in paths.items()}))
    else:
        for path in paths.values():
            click.echo(str(path))
    return 130 if stop_requested.is_set() else 0


@click.command("doctor", cls=Command)
@json_option
@debug_option
def doctor_command(as_json: bool) -> int:
    """Check whether a run would work here.

    Looks at libraries, device, precision, threads, memory, weights, formats, figures and the
    current folder; exits 0 when all is well, else 1.
    """
    checks = [_run_check(name, check) for name, check in CHECKS.items()]
    ok = all(check["ok"] for check in checks)
    if as_json:
        click.echo(json.dumps({"ok": ok, "checks": checks}, ensure_ascii=False))
    else:
        for check in checks:
            word = (
                click.style("ok    ", fg="green")
                if check["ok"]
                else click.style("not ok", fg="red")
            )
            click.echo(f"{word}  {check['name']:<10}  {check['detail']}")
        click.echo("a run would work here" if ok else "a run would not work here")
    return 0 if ok else 1


def _run_check(name: str, check: Callable[[], str]) -> dict[str, object]:
    """Run one check; whatever it raises, a failed import too, is what it reports."""
    try:
        return {"name": name, "ok": True, "detail": check()}
    except Exception as error:
        detail = " ".join(str(error).split()) or type(error).__name__
        return {"name": name, "ok": False, "detail": detail}


def _check_impasto() -> str:
    return f"{__version__} on Python {platform.python_version()}, {platform.system()}"


def _check_libraries() -> str:
    missing, versions = [], []
    for library in LIBRARIES:
        try:
            versions.append(f"{library} {version(library)}")
        except PackageNotFoundError:
            missing.append(library)
    if missing:
        raise RuntimeError(f"{', '.join(missing)} not installed; install impasto again")
    return ", ".join(versions)


def _check_device() -> str:
    from impasto.device import select_device

    return str(select_device("auto"))


def _check_precision() -> str:
    from impasto.device import select_device, select_precision

    return (
        f"{str(select_precision(select_device('auto'))).removeprefix('torch.')}, by a short probe"
    )


def _check_threads() -> str:
    import torch

    return f"{torch.get_num_threads()} of {os.cpu_count()} processors"


def _check_memory() -> str:
    from impasto.memory import GIB, available_bytes

    left = available_bytes() / GIB
    if left < MIN_MEMORY:
        raise RuntimeError(
            f"{left:.1f} GiB free, of {MIN_MEMORY:g} needed at 512 pixels; close other programs"
        )
    return f"{left:.1f} GiB free"


def _check_weights() -> str:
    from impasto.vgg.weights import load_weights

    load_weights("oxford")
    return "the original Oxford VGG-19, SHA-256 verified"


def _check_formats() -> str:
    import torch

    from impasto.images.formats import FORMATS
    from impasto.images.image import ImageMetadata
    from impasto.images.read import open_image
    from impasto.images.write import encode

    gray = torch.full((3, 16, 24), 0.5)
    for name in FORMATS:
        try:
            size = open_image(encode(gray, name, metadata=ImageMetadata())).size
        except Exception as error:
            raise RuntimeError(f"{name}: {error}") from error
        if size != (24, 16):
            raise RuntimeError(f"{name} comes back as {size[0]} × {size[1]} pixels, not 24 × 16")
    return f"{', '.join(FORMATS)} written and read back"


def _check_figures() -> str:
    from impasto.figures import loss_curve
    from impasto.result import Losses

    buffer = io.BytesIO()
    loss_curve([Losses(total=1.0, content=0.5, style=0.5)] * 3).savefig(buffer, format="png")
    return "drawn"


def _check_folder() -> str:
    if not os.access(".", os.W_OK):
        raise RuntimeError("the current folder cannot be written; name another with -o")
    return "the current folder can be written"


CHECKS: dict[str, Callable[[], str]] = {
    "impasto": _check_impasto,
    "libraries": _check_libraries,
    "device": _check_device,
    "precision": _check_precision,
    "threads": _check_threads,
    "memory": _check_memory,
    "weights": _check_weights,
    "formats": _check_formats,
    "figures": _check_figures,
    "folder": _check_folder,
}


def _planes(source: Image | Stack) -> Iterator[Tensor]:
    """Yield the planes of an image or a stack, (C, H, W), one at a time."""
    if hasattr(source, "read_plane"):
        yield from (source.read_plane(index) for index in source.plane_indices())
    else:
        yield source.pixels


def _file_facts(source: str | bytes) -> dict[str, Any]:
    """Return what a file says about itself; of measured data, axes and type too."""
    from impasto.images.read import describe_image

    failure = None
    try:
        facts = dict(describe_image(source, name="file"))
    except ImageError as error:
        if isinstance(source, bytes):
            raise
        facts, failure = {"format": "TIFF"}, error
    if facts["format"] != "TIFF" or isinstance(source, bytes):
        return facts
    from impasto.images.tiff_read import is_scientific_tiff, open_stack

    if not is_scientific_tiff(source):
        if failure:
            raise failure
        return facts
    if failure:  # data may be of a type that no image has
        facts["bytes"] = Path(source).stat().st_size
    stack = open_stack(source, name="file")
    return facts | {"axes": stack.axes, "shape": list(stack.shape), "dtype": stack.dtype.name}


def _maker_facts(made: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an image was made from and by, a name each."""
    if not made:
        return {}
    inputs = made.get("inputs") or {}
    styles = [
        image["name"] or "unnamed"
        for style in inputs.get("styles", ())
        for image in style["pictures"]
    ]
    names = {key: value["name"] for key, value in inputs.items() if isinstance(value, Mapping)}
    maker = made.get("maker") or {}
    versions = [f"{name} {maker[name]}" for name in ("impasto", "torch", "device") if name in maker]
    facts = {"method": made.get("method"), **names, "style": ", ".join(styles) or None}
    return {key: value for key, value in facts.items() if value} | {"made by": ", ".join(versions)}


def _rows(facts: Mapping[str, Any], indent: str = "") -> Iterator[tuple[str, str]]:
    """Yield names and values of a table, nested facts indented below their name."""
    for name, value in facts.items():
        label = indent + str(name).replace("_", " " if not indent else "_")
        if isinstance(value, Mapping) and value and not str(name).endswith("_layers"):
            yield label, ""
            yield from _rows(value, indent + "  ")
        else:
            yield label, _format_fact(value)


def _format_fact(value: Any) -> str:
    if value is None or value == {}:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return " × ".join(map(format_value, value))
    return format_value(value)
