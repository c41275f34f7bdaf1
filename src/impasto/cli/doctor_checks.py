"""The checks of `doctor` that need the library."""

from __future__ import annotations

import io
import os
from collections.abc import Callable

import torch

from impasto.device import select_device, select_precision
from impasto.figures import loss_curve
from impasto.images.formats import FORMATS
from impasto.images.image import ImageMetadata
from impasto.images.read import open_image
from impasto.images.write import encode
from impasto.memory import GIB, available_bytes
from impasto.result import Losses
from impasto.vgg.weights import load_weights

MIN_MEMORY = 1.0  # GiB: about what a run at 512 pixels takes


def _check_device() -> str:
    return str(select_device("auto"))


def _check_precision() -> str:
    return (
        f"{str(select_precision(select_device('auto'))).removeprefix('torch.')}, by a short probe"
    )


def _check_threads() -> str:
    return f"{torch.get_num_threads()} of {os.cpu_count()} processors"


def _check_memory() -> str:
    left = available_bytes() / GIB
    if left < MIN_MEMORY:
        raise RuntimeError(
            f"{left:.1f} GiB free, of {MIN_MEMORY:g} needed at 512 pixels; close other programs"
        )
    return f"{left:.1f} GiB free"


def _check_weights() -> str:
    load_weights("oxford")
    return "the original Oxford VGG-19, SHA-256 verified"


def _check_formats() -> str:
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
    buffer = io.BytesIO()
    loss_curve([Losses(total=1.0, content=0.5, style=0.5)] * 3).savefig(buffer, format="png")
    return "drawn"


CHECKS: dict[str, Callable[[], str]] = {
    "device": _check_device,
    "precision": _check_precision,
    "threads": _check_threads,
    "memory": _check_memory,
    "weights": _check_weights,
    "formats": _check_formats,
    "figures": _check_figures,
}
