"""What a picture is compared with: style statistics and content features, computed once.

Both depend on nothing but the pixels, the network and the size, so they are kept in memory for the
next run of this process that asks for the same, up to a limit.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from hashlib import blake2b
from typing import Any

import torch
from torch import Tensor

from impasto.style.statistics import Moments, moments
from impasto.vgg.network import VGG19Features, pool_mask
from impasto.vgg.tiling import Place, TiledNetwork

_MOST = 256 * 2**20  # bytes kept for later runs
_LARGEST = _MOST // 8  # bytes of one entry worth keeping


def style_statistics(
    trunk: VGG19Features,
    pixels: Tensor,
    mask: Tensor | None,
    layers: Sequence[str],
    tile: int | None = None,
) -> dict[str, Moments]:
    """The statistics of one style image.

    Args:
        trunk: the network.
        pixels: (3, H, W).
        mask: (H, W), where it counts; None for everywhere.
        layers: which layers to read.
        tile: side of the tiles, in pixels; None computes the image whole.

    Returns:
        Layer name to the image's moments.
    """
    sweep = TiledNetwork(trunk, (pixels.shape[2], pixels.shape[1]), tile)
    masks = {layer: pool_mask(mask, layer) for layer in layers}

    def swept() -> dict[str, Moments]:
        found: dict[str, Moments] = {}

        def visit(layer: str, features: Tensor, place: Place) -> None:
            if layer in masks:
                whole = masks[layer]
                own = moments(features, None if whole is None else whole[place])
                found[layer] = found[layer].plus(own) if layer in found else own

        with torch.no_grad():
            sweep.forward(pixels, visit)
        return found

    key = ("style", *_network(trunk), tuple(layers), tile, _digest(pixels), _digest(mask))
    return _kept(key, lambda: sweep.within_memory(swept)) if layers else {}


def content_targets(
    sweep: TiledNetwork, content: Tensor, layers: Sequence[str]
) -> dict[str, Tensor]:
    """The content image's features.

    Args:
        sweep: the network at the content image's size.
        content: (3, H, W).
        layers: which layers to read.

    Returns:
        Layer name to features (C, H_l, W_l) in the network's number format, not to be changed.
    """
    found: dict[str, Tensor] = {}

    def visit(layer: str, features: Tensor, place: Place) -> None:
        if layer not in layers:
            return
        if layer not in found:
            high, wide = (length >> (int(layer[4]) - 1) for length in content.shape[1:])
            room = features.new_empty(1, features.shape[0], high, wide)
            found[layer] = room.contiguous(memory_format=torch.channels_last)[0]
        found[layer][:, *place] = features

    def swept() -> dict[str, Tensor]:
        with torch.no_grad():
            sweep.within_memory(lambda: sweep.forward(content, visit))
        return found

    key = ("content", *_network(sweep.network), tuple(layers), _digest(content))
    return _kept(key, swept) if layers else {}


_shelf: OrderedDict[Hashable, Any] = OrderedDict()
_lock = threading.Lock()


def _kept(key: Hashable, found: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What was found before under a key, or is found now; the longest unused make room."""
    with _lock:
        if key in _shelf:
            _shelf.move_to_end(key)
            return _shelf[key]
    value = found()
    if _bytes(value) <= _LARGEST:
        with _lock:
            _shelf[key] = value
            while sum(map(_bytes, _shelf.values())) > _MOST:
                _shelf.popitem(last=False)
    return value


def _network(trunk: VGG19Features) -> tuple[Hashable, ...]:
    """Everything about a network that changes what it sees."""
    return trunk.sha256, trunk.pooling, trunk.padding, str(trunk.device), trunk.dtype


def _digest(tensor: Tensor | None) -> str:
    """A hash of a tensor's shape and values."""
    if tensor is None:
        return ""
    found = blake2b(str((tuple(tensor.shape), tensor.dtype)).encode(), digest_size=16)
    found.update(tensor.detach().cpu().contiguous().numpy().data)
    return found.hexdigest()


def _bytes(value: dict[str, Any]) -> int:
    """Memory that an entry takes."""
    parts = [p for v in value.values() for p in (v if isinstance(v, tuple) else (v,))]
    return sum(part.numel() * part.element_size() for part in parts)
