"""Which device computes, and in which precision."""

from __future__ import annotations

import time
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

_WORTH_IT = 1.2  # bfloat16 must beat float32 by this factor in the probe to be taken


def select_device(device: str = "auto") -> torch.device:
    """The device a name stands for; `auto` takes CUDA, then MPS, then the CPU.

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
    found = available_devices()
    if device == "auto":
        return torch.device(found[0])
    if device == "cuda" and "cuda:0" in found:
        return torch.device("cuda:0")
    if device not in found:
        raise ValueError(
            f"`device` must be one this machine has ({', '.join(['auto', *found])}), "
            f"got {device!r}; auto always works"
        )
    return torch.device(device)


def available_devices() -> list[str]:
    """Names of this machine's devices, the fastest first."""
    cuda = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    mps = ["mps"] if torch.backends.mps.is_available() else []
    return [*cuda, *mps, "cpu"]


def select_precision(device: torch.device, wanted: str = "auto") -> torch.dtype:
    """The number format for the convolutions.

    Args:
        device: where they will run.
        wanted: `float32`, `bfloat16`, or `auto`: bfloat16 where a probe of a few milliseconds
            finds it clearly faster there, float32 elsewhere. MPS stays in float32.

    Returns:
        `torch.float32` or `torch.bfloat16`.

    Example:
        >>> select_precision(torch.device("cpu"), "float32")
        torch.float32
    """
    if wanted == "float32":
        return torch.float32
    if wanted == "bfloat16":
        return torch.bfloat16
    if device.type == "mps":
        return torch.float32
    return torch.bfloat16 if _speedup(str(device)) > _WORTH_IT else torch.float32


@lru_cache
def _speedup(device: str) -> float:
    """How many times faster one of the network's convolutions is in bfloat16 than in float32."""
    seconds = {}
    for dtype in (torch.float32, torch.bfloat16):
        try:
            picture = torch.zeros(1, 64, 96, 96, device=device, dtype=dtype)
            picture = picture.contiguous(memory_format=torch.channels_last)
            kernel = torch.zeros(64, 64, 3, 3, device=device, dtype=dtype)
            kernel = kernel.contiguous(memory_format=torch.channels_last)
            seconds[dtype] = min(_timed(picture, kernel) for _ in range(5))
        except RuntimeError:  # a device that cannot do this format at all
            seconds[dtype] = float("inf")
    return seconds[torch.float32] / seconds[torch.bfloat16]


def _timed(picture: Tensor, kernel: Tensor) -> float:
    """Seconds one convolution takes, waiting for the device to finish."""
    start = time.perf_counter()
    with torch.no_grad():
        F.conv2d(picture, kernel, padding=1).sum().item()
    return time.perf_counter() - start
