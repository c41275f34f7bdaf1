"""`impasto doctor`: would a run work here, and how."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

import click

from impasto._version import __version__
from impasto.cli.options import debug_option, json_option

LIBRARIES = ("torch", "numpy", "pillow", "tifffile", "imagecodecs", "scikit-image", "matplotlib")
LEAST_MEMORY = 1.0  # GiB: about what a run at 512 pixels takes


@click.command()
@json_option
@debug_option
def doctor(as_json: bool) -> int:
    """Check whether a run would work here.

    Looks at libraries, device, precision, threads, memory, weights, formats, figures and the
    current folder; exits 0 when all is well, else 1.
    """
    checks = [_checked(name, check) for name, check in CHECKS.items()]
    well = all(check["ok"] for check in checks)
    if as_json:
        click.echo(json.dumps({"ok": well, "checks": checks}, ensure_ascii=False))
    else:
        for check in checks:
            word = (
                click.style("ok    ", fg="green")
                if check["ok"]
                else click.style("not ok", fg="red")
            )
            click.echo(f"{word}  {check['name']:<10}  {check['detail']}")
        click.echo("a run would work here" if well else "a run would not work here")
    return 0 if well else 1


def _checked(name: str, check: Callable[[], str]) -> dict[str, object]:
    """Run one check; whatever it raises is its finding."""
    try:
        return {"name": name, "ok": True, "detail": check()}
    except Exception as error:
        detail = " ".join(str(error).split()) or type(error).__name__
        return {"name": name, "ok": False, "detail": detail}


def _impasto() -> str:
    return f"{__version__} on Python {platform.python_version()}, {platform.system()}"


def _libraries() -> str:
    missing = []
    found = []
    for library in LIBRARIES:
        try:
            found.append(f"{library} {version(library)}")
        except PackageNotFoundError:
            missing.append(library)
    if missing:
        raise RuntimeError(f"{', '.join(missing)} not installed; install impasto again")
    return ", ".join(found)


def _device() -> str:
    from impasto.device import select_device

    return str(select_device("auto"))


def _precision() -> str:
    from impasto.device import select_device, select_precision

    return (
        f"{str(select_precision(select_device('auto'))).removeprefix('torch.')}, by a short probe"
    )


def _threads() -> str:
    import torch

    return f"{torch.get_num_threads()} of {os.cpu_count()} processors"


def _memory() -> str:
    from impasto.memory import GIB, available_bytes

    left = available_bytes() / GIB
    if left < LEAST_MEMORY:
        raise RuntimeError(
            f"{left:.1f} GiB free, of {LEAST_MEMORY:g} needed at 512 pixels; close other programs"
        )
    return f"{left:.1f} GiB free"


def _weights() -> str:
    from impasto.vgg.weights import load_weights

    load_weights("oxford")
    return "the original Oxford VGG-19, SHA-256 verified"


def _formats() -> str:
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


def _figures() -> str:
    import io

    from impasto.figures import loss_curve
    from impasto.result import Losses

    buffer = io.BytesIO()
    loss_curve([Losses(total=1.0, content=0.5, style=0.5)] * 3).savefig(buffer, format="png")
    return "drawn"


def _folder() -> str:
    if not os.access(".", os.W_OK):
        raise RuntimeError("the current folder cannot be written; name another with -o")
    return "the current folder can be written"


CHECKS: dict[str, Callable[[], str]] = {
    "impasto": _impasto,
    "libraries": _libraries,
    "device": _device,
    "precision": _precision,
    "threads": _threads,
    "memory": _memory,
    "weights": _weights,
    "formats": _formats,
    "figures": _figures,
    "folder": _folder,
}
