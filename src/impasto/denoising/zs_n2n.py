"""Fitting ZS-N2N's network to one noisy picture, as published and faster.

References:
    Mansour, Heckel 2023, Zero-Shot Noise2Noise: efficient image denoising without any data;
    arXiv:2303.11253.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.denoising.application import run_tiled, run_tiled_mirrored
from impasto.denoising.muon import Muon
from impasto.denoising.network import (
    REACH,
    Parameters,
    denoised,
    initial_parameters,
    predicted_noise,
    rotated,
)
from impasto.denoising.noise import Noise
from impasto.denoising.pairs import pair_downsampled
from impasto.denoising.watch import Watch
from impasto.device import select_device, select_precision
from impasto.errors import MemoryShortageError
from impasto.memory import GIB, available_bytes, used_bytes
from impasto.recipes import DenoiseRecipe

# As published.
RATE = 1e-3
STEPS = 2000
HALVED = 1500  # steps after each of which the rate is halved
# Faster: as many pixels in all as the whole of a 256-pixel picture has in 26 steps. Smaller crops
# and more of them in a batch were better than the other way round (docs/log.md).
FAST_RATE = 0.02
FAST_STEPS = {"quick": 300, "balanced": 600, "best": 1800}
WARMUP = 20  # steps
CROP = 20  # pixels a side, of which the inner 12 count
BATCH = 20
# Bytes that a step of the published training takes, measured at 256 to 1024 pixels a side.
_A_PIXEL = 1200  # layers and their gradients
_A_VALUE = 24
_BASE = 64 * 2**20
_RESERVE = 0.2  # share of the free memory that is left to others


def pair_loss(parameters: Parameters, y: Tensor) -> Tensor:
    """Residual and consistency loss of a noisy picture, equations (3) and (4).

    Args:
        parameters: the network's.
        y: (B, C, H, W).

    Returns:
        The sum of both, a single number.
    """
    first, second = pair_downsampled(y)
    clean_first, clean_second = denoised(parameters, torch.cat([first, second])).chunk(2)
    down_first, down_second = pair_downsampled(denoised(parameters, y))
    residual = F.mse_loss(clean_first, second) + F.mse_loss(clean_second, first)
    consistency = F.mse_loss(clean_first, down_first) + F.mse_loss(clean_second, down_second)
    return (residual + consistency) / 2


def inner_pair_loss(parameters: Parameters, y: Tensor) -> Tensor:
    """The same over what the network sees without a border: for crops.

    Departure from the paper: zeros around a crop would be a border that the picture has not.

    Args:
        parameters: the network's.
        y: (B, C, H, W), sides even and at least 10; the outer four pixels are only looked at.

    Returns:
        The sum of both losses over the inner (H - 8, W - 8), a single number.
    """
    views = torch.cat(pair_downsampled(y))
    inner = views[..., REACH:-REACH, REACH:-REACH]
    clean_first, clean_second = (inner - predicted_noise(parameters, views, padding=0)).chunk(2)
    first, second = inner.chunk(2)
    seen = y[..., REACH:-REACH, REACH:-REACH]
    clean = seen[..., REACH:-REACH, REACH:-REACH] - predicted_noise(parameters, seen, padding=0)
    down_first, down_second = pair_downsampled(clean)
    residual = F.mse_loss(clean_first, second) + F.mse_loss(clean_second, first)
    consistency = F.mse_loss(clean_first, down_first) + F.mse_loss(clean_second, down_second)
    return (residual + consistency) / 2


def zs_n2n(
    planes: Tensor, noise: Noise, recipe: DenoiseRecipe, watch: Watch
) -> Callable[[Tensor], Tensor]:
    """Train on planes (P, C, H, W) in [0, 1] as published; gives what cleans one (C, H, W).

    Raises:
        MemoryShortageError: the layers of all planes do not fit.
    """
    if planes[0, 0].numel() < 2:
        return torch.clone  # one pixel has no pair
    device = select_device(recipe.device)
    _check_memory(planes, recipe, device)
    parameters = _start(planes, recipe, device)
    y = planes.to(device)
    adam = torch.optim.Adam(parameters, lr=RATE)
    schedule = torch.optim.lr_scheduler.StepLR(adam, HALVED, 0.5)

    def clean(plane: Tensor) -> Tensor:
        return run_tiled([parameters], plane)

    for done in range(1, STEPS + 1):
        adam.zero_grad()
        pair_loss(parameters, y).backward()
        adam.step()
        schedule.step()
        if not watch.goes_on(done, STEPS, lambda: clean(planes[0]).cpu()):
            break
    return clean


def zs_n2n_fast(
    planes: Tensor, noise: Noise, recipe: DenoiseRecipe, watch: Watch
) -> Callable[[Tensor], Tensor]:
    """The same from crops, in a time that does not depend on the planes' size."""
    height, width = planes.shape[2:]
    if height * width < 2:
        return torch.clone
    device = select_device(recipe.device)
    parameters = _start(planes, recipe, device)
    # Departure from the paper: Muon instead of Adam, whose steps are longer where the loss is flat.
    muon = Muon(parameters, FAST_RATE)
    generator = torch.Generator("cpu").manual_seed(recipe.seed)
    bordered = min(height, width) < CROP  # too thin to look at an inner part alone
    loss = pair_loss if bordered else inner_pair_loss
    steps = FAST_STEPS[recipe.effort]

    def clean(plane: Tensor) -> Tensor:
        # Departure from the paper: the mean of eight flips and turns, as it was trained on them.
        networks = rotated([one.detach() for one in parameters])
        # Departure from the paper: mirrored pixels beyond the border instead of zeros.
        return run_tiled(networks, plane) if bordered else run_tiled_mirrored(networks, plane)

    for done in range(1, steps + 1):
        batch = crops(planes, generator).to(device)
        with _format(device):
            loss(parameters, batch).backward()
        # Departure from the paper: the rate rises for a moment and falls along a cosine to zero.
        fall = (1 + math.cos(math.pi * (done - 1) / steps)) / 2
        muon.step(min(1, done / WARMUP) * fall)
        if not watch.goes_on(done, steps, lambda: clean(planes[0]).cpu()):
            break
    return clean


def crops(planes: Tensor, generator: torch.Generator) -> Tensor:
    """A batch of crops (B, C, h, w) of planes (P, C, H, W), from anywhere in them.

    Departures from the paper: crops instead of the whole picture; cells of the pair downsampler
    begin at odd pixels too; all crops are flipped and turned alike, each way as often.
    """
    height, width = planes.shape[2:]
    rows = min(height, CROP)
    columns = min(width, CROP * CROP // rows)  # of a thin plane a longer piece
    rows = min(height, CROP * CROP // columns)

    def drawn(count: int) -> list[int]:
        return torch.randint(count, (BATCH,), generator=generator, device="cpu").tolist()

    places = zip(
        drawn(len(planes)), drawn(height - rows + 1), drawn(width - columns + 1), strict=True
    )
    batch = torch.stack([planes[p, :, t : t + rows, f : f + columns] for p, t, f in places])
    swapped, down, across = torch.randint(2, (3,), generator=generator, device="cpu").tolist()
    batch = batch.transpose(-1, -2) if swapped else batch
    return batch.flip([dim for dim, flips in ((-2, down), (-1, across)) if flips]).contiguous()


def _start(planes: Tensor, recipe: DenoiseRecipe, device: torch.device) -> Parameters:
    """The network before its first step."""
    found = initial_parameters(planes.shape[1], recipe.seed)
    return [one.to(device).requires_grad_() for one in found]


def _format(device: torch.device) -> AbstractContextManager:
    """Convolutions in bfloat16 where that is faster; the losses stay in float32."""
    dtype = select_precision(device, "auto")
    return nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype=dtype)


def _check_memory(planes: Tensor, recipe: DenoiseRecipe, device: torch.device) -> None:
    """Refuse what does not fit before it is begun."""
    count, channels, height, width = planes.shape
    need = _BASE + count * height * width * (_A_PIXEL + _A_VALUE * channels)
    room = (1 - _RESERVE) * available_bytes(device)
    if recipe.memory != "auto":
        room = min(available_bytes(device), recipe.memory * GIB - used_bytes(device))
    if need > room:
        what = f"{width} × {height}" if count == 1 else f"{count} × {width} × {height}"
        raise MemoryShortageError(
            f"`method` must fit in memory, got zs-n2n, which needs {need / GIB:.1f} GiB for {what} "
            f"pixels where there are {max(0, room) / GIB:.1f}; choose zs-n2n-fast"
        )
