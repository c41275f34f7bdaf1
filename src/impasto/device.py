"""Choose the device to compute on, and the number format of the convolutions."""

from __future__ import annotations

import time
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.errors import quote

_MIN_SPEEDUP = 1.2  # of bfloat16 over float32 in the probe; below it `auto` stays in float32


def select_device(device: str = "auto") -> torch.device:
    """Return the device of a name; `auto` takes CUDA, then MPS, then the CPU.

    Args:
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.

    Returns:
        A device that this machine has.

    Raises:
        ValueError: the name is unknown or this machine has no such device.

    Example:
        >>> select_device("cpu")
        device(type='cpu')
    """
    devices = available_devices()
    if device == "auto":
        return torch.device(devices[0])
    if device == "cuda" and "cuda:0" in devices:
        return torch.device("cuda:0")
    if device not in devices:
        raise ValueError(
            f"`device` must be one this machine has ({', '.join(['auto', *devices])}), "
            f"got {quote(device)}; auto always works"
        )
    return torch.device(device)


def available_devices() -> list[str]:
    """Return the names of this machine's devices, the fastest first."""
    cuda = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    mps = ["mps"] if torch.backends.mps.is_available() else []
    return [*cuda, *mps, "cpu"]


def select_precision(device: torch.device, precision: str = "auto") -> torch.dtype:
    """Return the number format for the convolutions.

    Args:
        device: where they will run.
        precision: `float32`, `bfloat16`, or `auto`: bfloat16 if a probe of a few milliseconds finds
            it clearly faster on the device, otherwise float32. MPS stays in float32.

    Returns:
        `torch.float32` or `torch.bfloat16`.

    Example:
        >>> select_precision(torch.device("cpu"), "float32")
        torch.float32
    """
    if precision == "float32":
        return torch.float32
    if precision == "bfloat16":
        return torch.bfloat16
    if device.type == "mps":
        return torch.float32
    return torch.bfloat16 if _bfloat16_speedup(str(device)) > _MIN_SPEEDUP else torch.float32


@lru_cache
def _bfloat16_speedup(device: str) -> float:
    """Return how many times faster one convolution runs in bfloat16 than in float32."""
    seconds = {}
    for dtype in (torch.float32, torch.bfloat16):
        try:
            features = torch.zeros(1, 64, 96, 96, device=device, dtype=dtype)
            features = features.contiguous(memory_format=torch.channels_last)
            kernel = torch.zeros(64, 64, 3, 3, device=device, dtype=dtype)
            kernel = kernel.contiguous(memory_format=torch.channels_last)
            seconds[dtype] = min(_convolution_seconds(features, kernel) for _ in range(5))
        except RuntimeError:  # a device that cannot do this format at all
            seconds[dtype] = float("inf")
    return seconds[torch.float32] / seconds[torch.bfloat16]


def _convolution_seconds(features: Tensor, kernel: Tensor) -> float:
    """Time one convolution, waiting for the device to finish."""
    start = time.perf_counter()
    with torch.no_grad():
        F.conv2d(features, kernel, padding=1).sum().item()
    return time.perf_counter() - start
