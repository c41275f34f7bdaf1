"""Targets read by the network: style statistics and content features, computed once a process.

Both depend on nothing but the pixels, the network and the size, so they are cached in memory for
the next run that asks for the same, up to a limit.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from hashlib import blake2b
from typing import Any

import torch
from torch import Tensor

from impasto.recipes import parse_layer
from impasto.style.spec import RunSpec
from impasto.style.statistics import Moments, moments
from impasto.vgg.network import VGG19Features, pool_mask
from impasto.vgg.tiling import Place, TiledNetwork
from impasto.vgg.weights import load_weights

_MAX_BYTES = 256 * 2**20  # of all cached targets
_MAX_ENTRY_BYTES = _MAX_BYTES // 8


def load_network(spec: RunSpec, device: torch.device, dtype: torch.dtype) -> VGG19Features:
    """Load VGG-19 as deep as a run's layers need it."""
    return VGG19Features(
        load_weights(spec.weights),
        spec.layers,
        pooling=spec.pooling,
        padding=spec.padding,
        device=device,
        dtype=dtype,
    )


def style_statistics(
    network: VGG19Features,
    pixels: Tensor,
    mask: Tensor | None,
    layers: Sequence[str],
    tile: int | None = None,
) -> dict[str, Moments]:
    """Compute the moments of one style image, layer by layer.

    Args:
        network: reads at least the layers.
        pixels: (3, H, W).
        mask: (H, W), where it counts; None for everywhere.
        layers: which layers to read.
        tile: side of the tiles, in pixels; None computes the image whole.

    Returns:
        Layer name to the image's moments.
    """
    tiled = TiledNetwork(network, (pixels.shape[2], pixels.shape[1]), tile)
    masks = {layer: pool_mask(mask, layer) for layer in layers}

    def compute() -> dict[str, Moments]:
        sums: dict[str, Moments] = {}

        def visit(layer: str, features: Tensor, place: Place) -> None:
            if layer in masks:
                layer_mask = masks[layer]
                tile_sums = moments(features, None if layer_mask is None else layer_mask[place])
                sums[layer] = sums[layer].plus(tile_sums) if layer in sums else tile_sums

        with torch.no_grad():
            tiled.forward(pixels, visit)
        return sums

    key = ("style", *_network_key(network), tuple(layers), tile, _digest(pixels), _digest(mask))
    return _memoize(key, lambda: tiled.within_memory(compute)) if layers else {}


def content_targets(
    tiled: TiledNetwork, content: Tensor, layers: Sequence[str]
) -> dict[str, Tensor]:
    """Compute the content image's features.

    Args:
        tiled: the network at the content image's size.
        content: (3, H, W).
        layers: which layers to read.

    Returns:
        Layer name to features (C, H_l, W_l) in the network's number format, not to be changed.
    """
    targets: dict[str, Tensor] = {}

    def visit(layer: str, features: Tensor, place: Place) -> None:
        if layer not in layers:
            return
        if layer not in targets:
            height, width = (side // parse_layer(layer).stride for side in content.shape[1:])
            empty = features.new_empty(1, features.shape[0], height, width)
            targets[layer] = empty.contiguous(memory_format=torch.channels_last)[0]
        targets[layer][:, *place] = features

    def compute() -> dict[str, Tensor]:
        with torch.no_grad():
            tiled.within_memory(lambda: tiled.forward(content, visit))
        return targets

    key = ("content", *_network_key(tiled.network), tuple(layers), _digest(content))
    return _memoize(key, compute) if layers else {}


_cache: OrderedDict[Hashable, Any] = OrderedDict()
_lock = threading.Lock()


def _memoize(key: Hashable, compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return the value cached under a key, or compute it; the least recently used make room."""
    with _lock:
        if key in _cache:
            _cache.move_to_end(key)
            return _cache[key]
    value = compute()
    if _entry_bytes(value) <= _MAX_ENTRY_BYTES:
        with _lock:
            _cache[key] = value
            while sum(map(_entry_bytes, _cache.values())) > _MAX_BYTES:
                _cache.popitem(last=False)
    return value


def _network_key(network: VGG19Features) -> tuple[Hashable, ...]:
    """Return everything about a network that changes its features."""
    return network.sha256, network.pooling, network.padding, str(network.device), network.dtype


def _digest(tensor: Tensor | None) -> str:
    """Hash a tensor's shape and values."""
    if tensor is None:
        return ""
    digest = blake2b(str((tuple(tensor.shape), tensor.dtype)).encode(), digest_size=16)
    digest.update(tensor.detach().cpu().contiguous().numpy().data)
    return digest.hexdigest()


def _entry_bytes(value: dict[str, Any]) -> int:
    """Return the memory that an entry takes."""
    parts = [p for v in value.values() for p in (v if isinstance(v, tuple) else (v,))]
    return sum(part.numel() * part.element_size() for part in parts)
