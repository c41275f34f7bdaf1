"""Tiles of any size make the whole picture's layers and gradient, exactly."""

from itertools import pairwise

import pytest
import torch

from impasto.errors import MemoryShortageError
from impasto.vgg.network import VGG19Features
from impasto.vgg.tiling import TiledNetwork, receptive_field, split, tiles
from impasto.vgg.weights import CONVS, load_weights

LAYERS = ["conv1_1", "relu1_1", "relu2_2", "relu3_1", "conv3_4", "relu4_2", "relu5_1"]


def tiled_gradient(network, pixels, slopes, tile):
    """Compute the layers and the gradient of Σ slope · feature over all layers, in tiles."""
    tiled = TiledNetwork(network, (pixels.shape[2], pixels.shape[1]), tile)
    layers = {layer: torch.full_like(slope, torch.nan) for layer, slope in slopes.items()}

    def on_features(layer, features, place):
        layers[layer][:, *place] = features

    def add_gradient(layer, features, gradient, place):
        assert torch.equal(features, layers[layer][:, *place])
        gradient += slopes[layer][:, *place]

    with torch.no_grad():
        return layers, tiled.backward(tiled.forward(pixels, on_features, keep=True), add_gradient)


@pytest.mark.parametrize(
    ("padding", "pooling"), [("zeros", "max"), ("replicate", "max"), ("replicate", "average")]
)
@pytest.mark.parametrize(("width", "height"), [(118, 97), (85, 140)])
def test_tiles_give_the_layers_and_the_gradient_that_autograd_gives(
    width, height, padding, pooling
):
    network = VGG19Features(
        load_weights(), LAYERS, padding=padding, pooling=pooling, dtype=torch.float64
    )
    pixels = torch.rand(3, height, width, dtype=torch.float64, requires_grad=True)
    features = network(pixels)
    slopes = {layer: torch.randn_like(expected_layer) for layer, expected_layer in features.items()}
    total = sum((features[layer] * slopes[layer]).sum() for layer in LAYERS)
    (expected,) = torch.autograd.grad(total, pixels)
    for tile in (None, 48, 80):
        layers, gradient = tiled_gradient(network, pixels.detach(), slopes, tile)
        for layer, expected_layer in features.items():
            torch.testing.assert_close(layers[layer], expected_layer.detach())
        assert (gradient - expected).norm() < 1e-12 * expected.norm(), tile


def test_a_shallow_network_is_one_part():
    network = VGG19Features(load_weights(), ["conv2_1"], dtype=torch.float64)
    pixels = torch.rand(3, 70, 90, dtype=torch.float64)
    slopes = {"conv2_1": torch.randn(128, 35, 45, dtype=torch.float64)}
    whole, tiled = (tiled_gradient(network, pixels, slopes, tile)[1] for tile in (None, 32))
    torch.testing.assert_close(tiled, whole)


@pytest.mark.parametrize("length", [16, 17, 63, 64, 65, 71, 72, 1000, 1031])
@pytest.mark.parametrize("side", [64, 72, None])
def test_tiles_cover_a_line_once_and_begin_where_pooling_does(length, side):
    row = tiles((length, 8), side, stride=8, margin=22)
    assert row[0].inner[0].start == 0
    assert row[-1].inner[0].stop == length
    for one, other in pairwise(row):
        assert one.inner[0].stop == other.inner[0].start
    for tile in row:
        assert tile.inner[0].start % 8 == 0
        assert tile.padded[0].start % 8 == 0
        assert tile.inner[0].start - tile.padded[0].start in (tile.inner[0].start, 24)
        assert tile.inner[0].stop - tile.inner[0].start <= (side or length) + 8


def test_the_whole_network_sees_as_far_as_is_known():
    # A position of conv5_1 is 16 pixels wide and its receptive field 156.
    names = CONVS[: CONVS.index("conv5_1") + 1]
    assert 2 * receptive_field(names, [1] * len(names)) + 16 == 156
    first, second = split(CONVS)
    assert second[0] == "conv4_1"
    assert (receptive_field(first, [1] * 8), receptive_field(second[:5], [1] * 5)) == (22, 6)


def test_tiles_compute_the_same_layers_bit_for_bit():
    network = VGG19Features(load_weights(), ["conv2_2", "relu3_4", "relu4_2", "conv5_1"])
    pixels = torch.rand(3, 219, 411)
    whole: dict[str, torch.Tensor] = {}
    TiledNetwork(network, (411, 219)).forward(
        pixels, lambda layer, features, _: whole.update({layer: features})
    )
    seen = []

    def on_features(layer, features, place):
        assert torch.equal(features, whole[layer][:, *place])
        seen.append(layer)

    TiledNetwork(network, (411, 219), 64).forward(pixels, on_features)
    assert seen.count("conv2_2") == 28
    assert seen.count("conv5_1") == 6


def test_where_memory_runs_out_the_tiles_get_smaller_until_none_is_left():
    tiled = TiledNetwork(VGG19Features(load_weights(), ["relu1_1"]), (900, 300))
    seen = []

    def attempt():
        seen.append(tiled.tile)
        if tiled.tile is None or tiled.tile > 200:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried …")
        return "done"

    assert tiled.within_memory(attempt) == "done"
    assert seen == [None, 448, 224, 112]

    def hopeless():
        raise MemoryError

    with pytest.raises(MemoryShortageError, match="`size` must leave memory for a tile of 48"):
        tiled.within_memory(hopeless)

    def broken():
        raise RuntimeError("shape mismatch")

    with pytest.raises(RuntimeError, match="shape mismatch"):
        tiled.within_memory(broken)
