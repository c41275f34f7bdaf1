"""Filters and tables over whole images: compiled loops on several threads, or tensor operations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.compiled import load_loops, run_strips

_LOOPS = "impasto.denoising.filters_loops"
_LANES = 16  # numbers that the loops read at a time, also beyond an image's end
_STRIP = 64  # rows that a thread filters at a time
_VALUES = 2**18  # values that a thread looks up at a time
_STEPS = 1024  # of a table's shortcut
_ROWS = 256  # that are worked on at a time for the sake of memory


def gaussian_blur(image: Tensor, sigma: float, reach: int = 6) -> Tensor:
    """Smooth (C, H, W) by a Gaussian cut off at a reach in pixels, with mirrored borders."""
    reach = min(reach, *(side - 1 for side in image.shape[1:]))
    if reach < 1:
        return image.clone()
    offsets = torch.arange(-reach, reach + 1, device=image.device)
    kernel = torch.exp(-offsets.square() / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    blurred = torch.empty_like(image, memory_format=torch.contiguous_format)
    for target, plane in zip(blurred, image, strict=True):
        padded = F.pad(plane[None], (reach,) * 4, mode="reflect")
        target.copy_(filter_image(padded, kernel)[0])
    return blurred


def filter_image(images: Tensor, line: Tensor) -> Tensor:
    """Filter (N, H, W) by the same kernel down and across, without what reaches over the border."""
    loops = load_loops(_LOOPS)
    if loops is None or images.device.type != "cpu" or images.dtype != torch.float32:
        kernel = line.view(1, 1, -1, 1)
        return F.conv2d(F.conv2d(images[:, None], kernel), kernel.transpose(2, 3))[:, 0]
    height, width = (side - len(line) + 1 for side in images.shape[1:])
    taps = line.contiguous().numpy()
    target = images.new_empty(len(images), height, width)
    for image, plane in zip(images, target, strict=True):
        # The end is padded: loops read vectors.
        source = torch.cat([image.flatten(), image.new_zeros(_LANES)]).numpy()

        def work(first: int, source=source, plane=plane) -> None:
            last = min(first + _STRIP, height)
            loops.filter_rows(source, images.shape[2], taps, first, last, plane.view(-1).numpy())

        run_strips(work, range(0, height, _STRIP))
    return target


def row_strips(image: Tensor) -> Iterator[slice]:
    """Yield all rows of (C, H, W), some at a time, for what each pixel has for itself.

    Example:
        >>> list(row_strips(torch.zeros(1, 300, 1)))
        [slice(0, 256, None), slice(256, 300, None)]
    """
    height = image.shape[1]
    for first in range(0, height, _ROWS):
        yield slice(first, min(first + _ROWS, height))


def sample_quantiles(values: Tensor, shares: Sequence[float], samples: int) -> list[float]:
    """Return quantiles of values of any shape, from so many of them, evenly spread, at most.

    Example:
        >>> sample_quantiles(torch.arange(1001.0), (0.25, 0.5), 2**20)
        [250.0, 500.0]
    """
    sample = values.flatten()[:: 1 + values.numel() // samples]
    return sample.quantile(sample.new_tensor(shares)).tolist()


def select_values(values: Tensor, chosen: Tensor) -> Tensor:
    """Return the values where a mask of their shape is true: (N).

    torch's own indexing makes a table of positions first, of eight bytes for each axis.
    """
    if values.device.type != "cpu":
        return values[chosen]
    return torch.from_numpy(values.numpy()[chosen.numpy()])


def interpolate(values: Tensor, positions: Tensor, table: Tensor) -> Tensor:
    """Interpolate a table linearly at values; beyond its ends it is constant.

    Args:
        values: any shape.
        positions: (N) of the table, rising.
        table: (N).
    """
    loops = load_loops(_LOOPS)
    tensors = (values, positions, table)
    if loops is None or any(t.device.type != "cpu" or t.dtype != torch.float32 for t in tensors):
        index = torch.searchsorted(positions.contiguous(), values.contiguous())
        index = index.clamp(1, len(positions) - 1)
        low, high = positions[index - 1], positions[index]
        share = ((values - low) / (high - low).clamp(min=1e-9)).clamp(0, 1)
        return table[index - 1] + share * (table[index] - table[index - 1])
    positions = positions.contiguous()
    steps = torch.arange(_STEPS, device="cpu") / _STEPS
    starts = torch.searchsorted(positions, steps).clamp(max=len(positions) - 1)
    target = torch.empty_like(values, memory_format=torch.contiguous_format)
    parts = list(zip(values.flatten().split(_VALUES), target.view(-1).split(_VALUES), strict=True))
    tables = [t.contiguous().numpy() for t in (positions, table, starts)]

    def work(part: tuple[Tensor, Tensor]) -> None:
        loops.look_up(part[0].numpy(), *tables, part[1].numpy())

    run_strips(work, parts)
    return target
