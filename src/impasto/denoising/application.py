"""A picture of any size through trained networks, in tiles."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.denoising.network import REACH, Parameters, denoised

TILE = 128  # pixels a side: 3 MiB of each layer stay near the processor


@torch.no_grad()
def run_tiled(networks: Sequence[Parameters], plane: Tensor, tile: int = TILE) -> Tensor:
    """A plane cleaned by each of some networks, averaged; zeros lie around it.

    Args:
        networks: one or more, on the device that is to compute.
        plane: (C, H, W) anywhere.
        tile: pixels a side that are computed at once; smaller takes less memory and changes
            nothing but rounding.

    Returns:
        (C, H, W) where the plane is.
    """
    height, width = plane.shape[1:]
    found = torch.empty_like(plane)
    for top in range(0, height, tile):
        for left in range(0, width, tile):
            above, before = max(top - REACH, 0), max(left - REACH, 0)
            piece = plane[None, :, above : top + tile + REACH, before : left + tile + REACH]
            piece = piece.to(networks[0][0].device)
            clean = sum(denoised(one, piece)[0] for one in networks) / len(networks)
            place = found[:, top : top + tile, left : left + tile]
            down, right = top - above, left - before
            rows, columns = place.shape[1:]
            place.copy_(clean[:, down : down + rows, right : right + columns])
    return found


def run_tiled_mirrored(networks: Sequence[Parameters], plane: Tensor) -> Tensor:
    """The same for networks that never saw a border: what lies beyond it is mirrored."""
    wide = F.pad(plane[None], (REACH,) * 4, mode="reflect")[0]
    return run_tiled(networks, wide)[:, REACH:-REACH, REACH:-REACH]
