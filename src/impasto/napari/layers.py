"""Layers of napari as the library's data, and results as layers like them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from napari.layers import Image, Labels, Layer, Shapes
from napari.utils.transforms import Affine

from impasto.images.lazy_planes import lazy_stack
from impasto.images.stack import Stack, array_stack, check_axes
from impasto.images.zarr_read import axis_letters

# Usual letters of axes that a layer does not name, by how many there are.
USUAL_AXES = {
    2: ("YX",),
    3: ("ZYX", "TYX", "CYX"),
    4: ("TZYX", "TCYX", "ZCYX", "CZYX"),
    5: ("TCZYX", "TZCYX"),
}
_ALPHA = 4  # numbers of a pixel with opacity
# Of the layer itself, not of how it looks or where it lies.
_OWN = ("name", "metadata", "multiscale", "locked_data_level", "visible", "auto_contrast")


def full_data(layer: Image) -> Any:
    """Return a layer's data, of several resolutions the full one."""
    return layer.data[0] if layer.multiscale else layer.data


def layer_axes(layer: Image) -> tuple[str, bool]:
    """Return the letters of a layer's axes but colors, and whether the layer says so itself."""
    names = tuple(map(str, layer.axis_labels))
    if all(name[:1].isalpha() for name in names):
        kinds = {"time": "time", "channel": "channel", "channels": "channel"}
        letters = axis_letters(names, [kinds.get(name.lower()) for name in names])
        if set("YX") <= set(letters):
            return letters, True
    usual = USUAL_AXES.get(layer.ndim, ())
    return (usual[0] if usual else "PQRUVTCZYX"[-layer.ndim :]), layer.ndim == 2


def check_image(layer: Layer | None, name: str) -> Image:
    """Return a layer that is an image; refuse others.

    Args:
        layer: the layer, or None where none is chosen.
        name: the argument's name in errors.
    """
    if isinstance(layer, Image):
        return layer
    what = "none" if layer is None else f"{layer.name}, a layer of {type(layer).__name__}"
    raise ValueError(f"`{name}` must be an image layer, got {what}; choose one")


def layer_stack(layer: Image, axes: str) -> Stack:
    """Return a layer's data as planes; opacity is left out.

    Args:
        layer: lazy data, such as dask's, is read a plane at a time.
        axes: a letter for each axis but colors.
    """
    data = full_data(layer)
    check_axes(axes, tuple(data.shape[: layer.ndim]))
    if layer.rgb:
        axes += "S"
        data = data[..., : _ALPHA - 1]
    if isinstance(data, np.ndarray):
        return array_stack(data, axes, "layer")
    return lazy_stack(data, axes, "layer", layer.name)


def layer_alpha(layer: Image) -> np.ndarray | None:
    """Return the opacity of a layer's pixels, (…, 1); None if it has none."""
    data = full_data(layer)
    if not layer.rgb or data.shape[-1] != _ALPHA:
        return None
    return np.asarray(data[..., _ALPHA - 1 :])


def shown_index(layer: Image, axes: str, viewer: Any) -> tuple[int | slice, ...]:
    """Return the index of a layer's plane on screen: a number for each axis that counts planes.

    Args:
        layer: the layer.
        axes: a letter for each of its axes but colors.
        viewer: says where it is.
    """
    step, shape = data_step(layer, viewer), full_data(layer).shape
    return tuple(
        slice(None) if axis in "CYX" else min(max(0, value), side - 1)
        for axis, value, side in zip(axes, step, shape, strict=False)
    )


def data_step(layer: Image, viewer: Any) -> tuple[int, ...]:
    """Return the viewer's position in a layer's own pixels, one number for each of its axes."""
    position = layer.world_to_data(viewer.dims.point[-layer.ndim :])
    return tuple(round(float(value)) for value in position)


def shown_part(layer: Image, axes: str) -> tuple[int, int, int, int]:
    """Return what of a layer's planes is on screen: column, row, width and height, in pixels."""
    corners = np.asarray(layer.corner_pixels)
    factors = layer.downsample_factors[layer.data_level] if layer.multiscale else 1
    low, high = corners[0] * factors, (corners[1] + 1) * factors
    shape = full_data(layer).shape
    part = []
    for axis in "XY":
        dim = axes.index(axis)
        start = int(np.clip(low[dim], 0, shape[dim] - 1))
        part.append((start, max(1, int(np.clip(high[dim], start + 1, shape[dim])) - start)))
    (left, width), (top, height) = part
    return left, top, width, height


def like_layer(
    layer: Image,
    name: str,
    metadata: Mapping[str, Any],
    *,
    offset: Sequence[float] | None = None,
    factors: Sequence[float] | None = None,
) -> dict[str, Any]:
    """Return the settings of a new layer that lies and looks like another.

    Args:
        layer: scale, translation, rotation, units, contrast limits, colormap and metadata are its.
        name: of the new layer.
        metadata: added to the layer's own.
        offset: where the new layer's first pixel lies, in pixels of the other.
        factors: by how much its pixels are larger, along each axis.
    """
    _, settings, _ = layer.as_layer_data_tuple()
    settings = {key: value for key, value in settings.items() if key not in _OWN}
    settings |= {"name": name, "metadata": {**layer.metadata, **metadata}}
    if offset is not None:
        linear = Affine(scale=layer.scale, rotate=layer.rotate, shear=layer.shear).linear_matrix
        settings["translate"] = layer.translate + linear @ np.asarray(offset, float)
    if factors is not None:
        settings["scale"] = layer.scale * np.asarray(factors)
    return settings


def shown_picture(layer: Image, viewer: Any) -> np.ndarray:
    """Return the plane of a layer on screen as it looks, (H, W, 3) float32 in [0, 1].

    Contrast limits, gamma and colormap are the layer's. Rows and columns are its last two axes.
    """
    step = data_step(layer, viewer)
    shape = full_data(layer).shape
    index = tuple(min(max(0, value), side - 1) for value, side in zip(step, shape, strict=False))[
        : layer.ndim - 2
    ]
    plane = np.asarray(full_data(layer)[index])
    if layer.rgb:
        colors = plane[..., :3].astype(np.float32)
        return colors / np.iinfo(plane.dtype).max if plane.dtype.kind in "ui" else colors.clip(0, 1)
    low, high = layer.contrast_limits
    share = ((plane.astype(np.float64) - low) / max(high - low, 1e-30)).clip(0, 1) ** layer.gamma
    colors = layer.colormap.map(share.ravel().astype(np.float32))[:, :3]
    return np.ascontiguousarray(colors.reshape(*plane.shape, 3), np.float32)


def layer_mask(mask: Layer, content: Image, viewer: Any, name: str) -> np.ndarray:
    """Return a mask over the content's plane on screen, (H, W) bool.

    Args:
        mask: of labels, whose labels are white; of shapes, which are white inside; or an image,
            white above zero.
        content: the layer that it lies on.
        viewer: says which plane is on screen.
        name: the argument's name in errors.
    """
    height, width = full_data(content).shape[content.ndim - 2 : content.ndim]
    if isinstance(mask, Shapes):
        corners = [
            np.asarray([content.world_to_data(mask.data_to_world(point))[-2:] for point in shape])
            for shape in mask.data
        ]
        if not corners:
            raise ValueError(f"`{name}` must have a shape in it, got {mask.name}; draw one")
        over = Shapes(corners, shape_type=list(mask.shape_type))
        return np.asarray(over.to_labels((height, width))) > 0
    if not isinstance(mask, Labels | Image) or getattr(mask, "rgb", False):
        raise ValueError(
            f"`{name}` must be a layer of labels or shapes, got {mask.name}, a layer of "
            f"{type(mask).__name__}; choose one"
        )
    step = data_step(mask, viewer)
    data = full_data(mask)
    index = tuple(
        min(max(0, value), side - 1) for value, side in zip(step, data.shape, strict=False)
    )[: mask.ndim - 2]
    return np.asarray(data[index]) > 0


def values_of(layer: Image) -> int:
    """Return how many numbers a layer holds."""
    return math.prod(full_data(layer).shape)
