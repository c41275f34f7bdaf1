"""Memory and arithmetic: tiles take less memory and more work, pixels count in proportion."""

import pytest
import torch

from impasto.vgg.memory_model import activation_bytes, multiply_adds, peak_bytes
from impasto.vgg.network import VGG19Features
from impasto.vgg.tiling import TiledNetwork
from impasto.vgg.weights import load_weights

DEEP = VGG19Features(load_weights(), ["relu4_2", "relu5_1"])
SHALLOW = VGG19Features(load_weights(), ["relu1_1"])


def test_smaller_tiles_take_less_memory_and_more_work():
    networks = [TiledNetwork(DEEP, (1600, 1200), tile) for tile in (None, 768, 384, 192)]
    for counted in (peak_bytes, activation_bytes):
        counts = [counted(tiled) for tiled in networks]
        assert counts == sorted(counts, reverse=True)
        assert len(set(counts)) == 4
    counts = [multiply_adds(tiled) for tiled in networks]
    assert counts == sorted(counts)
    assert counts[1] > 1.3 * counts[0]  # forwards twice


def test_a_whole_pictures_work_is_the_multiplications_of_its_convolutions():
    tiled = TiledNetwork(SHALLOW, (40, 30))
    assert multiply_adds(tiled, backward=False) == 40 * 30 * 9 * 3 * 64
    assert multiply_adds(tiled) == 2 * multiply_adds(tiled, backward=False)


def test_a_tiles_layers_do_not_grow_with_the_picture():
    small, large = (
        activation_bytes(TiledNetwork(DEEP, (side, side), 256)) for side in (2048, 8192)
    )
    assert small == large
    whole = [activation_bytes(TiledNetwork(DEEP, (side, side))) for side in (1024, 2048)]
    assert whole[1] == pytest.approx(4 * whole[0], rel=0.3)


def test_the_peak_is_at_least_what_must_be_kept():
    # Forwards all of the tape lives: 64 channels for conv1_1 and conv1_2 each, float32.
    network = VGG19Features(load_weights(), ["relu1_2"])
    assert activation_bytes(TiledNetwork(network, (2000, 1000))) >= 2 * 64 * 4 * 2000 * 1000


def test_half_the_bytes_a_number_take_about_half_the_memory(monkeypatch):
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True)
    half = VGG19Features(load_weights(), ["relu4_2", "relu5_1"], dtype=torch.bfloat16)
    ratio = activation_bytes(TiledNetwork(half, (2048, 2048))) / activation_bytes(
        TiledNetwork(DEEP, (2048, 2048))
    )
    assert ratio == pytest.approx(0.5, abs=0.1)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    # A processor that does not know the format unfolds what it reads.
    assert activation_bytes(TiledNetwork(half, (2048, 2048))) > activation_bytes(
        TiledNetwork(DEEP, (2048, 2048))
    )
