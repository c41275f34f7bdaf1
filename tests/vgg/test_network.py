"""The network by layer name."""

import pytest
import torch
from torch.nn import functional as F

from impasto.recipes import LAYERS
from impasto.vgg.network import VGG19Features, pool_mask
from impasto.vgg.weights import CONVS, VGGWeights, load_weights


def plain_chain(pixels, weights: VGGWeights, pooling: str) -> dict[str, torch.Tensor]:
    """Every layer by a straight chain of convolutions, in torch's default memory format."""
    pool = F.max_pool2d if pooling == "max" else F.avg_pool2d
    x = (pixels - weights.mean.view(3, 1, 1))[None]
    features = {}
    for name in CONVS:
        if name.endswith("_1") and name != "conv1_1":
            x = pool(x, 2)
        x = F.conv2d(x, *weights.convs[name], padding=1)
        features[name] = x[0]
        x = F.relu(x)
        features[name.replace("conv", "relu")] = x[0]
    return features


@pytest.mark.parametrize("pooling", ["max", "average"])
def test_every_layer_equals_a_plain_chain_of_convolutions(pooling):
    pixels = torch.rand(3, 37, 50)
    weights = load_weights()
    features = VGG19Features(weights, LAYERS, pooling=pooling)(pixels)
    for name, expected in plain_chain(pixels, weights, pooling).items():
        assert (features[name] - expected).norm() < 1e-5 * expected.norm(), name


def test_it_goes_only_as_deep_as_asked():
    assert VGG19Features(load_weights(), ["relu2_1"]).names == ("conv1_1", "conv1_2", "conv2_1")


def test_a_layer_before_its_relu_keeps_its_negatives_when_both_are_read():
    features = VGG19Features(load_weights(), ["conv1_1", "relu1_1", "conv1_2"])(
        torch.rand(3, 16, 16)
    )
    assert features["conv1_1"].min() < 0
    torch.testing.assert_close(features["relu1_1"], features["conv1_1"].clamp(min=0))


def test_replicate_padding_sees_no_border_on_a_flat_picture():
    flat = torch.full((3, 24, 24), 0.7)
    layer = VGG19Features(load_weights(), ["conv1_1"], padding="replicate")(flat)["conv1_1"]
    torch.testing.assert_close(layer, layer[:, :1, :1].expand_as(layer), rtol=1e-4, atol=1e-3)
    zeros = VGG19Features(load_weights(), ["conv1_1"])(flat)["conv1_1"]
    assert (zeros[:, 0, 0] - zeros[:, 12, 12]).abs().max() > 1


def test_bfloat16_stays_close():
    pixels = torch.rand(3, 48, 48)
    wide = VGG19Features(load_weights(), ["relu4_1"])(pixels)["relu4_1"]
    narrow = VGG19Features(load_weights(), ["relu4_1"], dtype=torch.bfloat16)(pixels)[
        "relu4_1"
    ].float()
    assert (narrow - wide).norm() < 0.03 * wide.norm()


def test_the_gradient_is_that_of_the_plain_chain():
    pixels = torch.rand(3, 20, 28)
    ours, plain = pixels.clone().requires_grad_(), pixels.clone().requires_grad_()
    VGG19Features(load_weights(), ["conv3_1", "relu3_1"])(ours)[
        "relu3_1"
    ].square().mean().backward()
    plain_chain(plain, load_weights(), "max")["relu3_1"].square().mean().backward()
    assert (ours.grad - plain.grad).norm() < 1e-5 * plain.grad.norm()


def test_a_mask_has_its_layers_size_and_keeps_its_mean():
    mask = torch.rand(32, 48)
    for layer, size in {"relu1_2": (32, 48), "conv3_1": (8, 12), "relu5_1": (2, 3)}.items():
        small = pool_mask(mask, layer)
        assert small.shape == size
        torch.testing.assert_close(small.mean(), mask.mean())


def test_an_unknown_layer_is_named():
    with pytest.raises(ValueError, match="got 'conv9_1'"):
        VGG19Features(load_weights(), ["conv9_1"])
