"""Reconstruction: shallow layers give the picture back, textures keep only statistics."""

import pytest
import torch

import impasto
from impasto.style.losses import gram
from impasto.style.statistics import moments
from impasto.vgg.network import VGG19Features
from impasto.vgg.weights import load_weights

QUICK = {"size": 48, "precision": "float32", "device": "cpu"}
y, x = torch.meshgrid(torch.linspace(0, 1, 48), torch.linspace(0, 1, 48), indexing="ij")
PICTURE = (0.5 + 0.3 * torch.stack([torch.sin(9 * x), torch.cos(7 * y), x - y])).clamp(0, 1)


def test_a_shallow_layer_gives_the_pixels_back():
    result = impasto.reconstruct(PICTURE, layer="conv1_1", steps=150, **QUICK)
    assert (result.pixels - PICTURE).square().mean() < 1e-3


@pytest.mark.slow
def test_a_deeper_layer_keeps_less_of_the_pixels():
    errors = [
        (impasto.reconstruct(PICTURE, layer=layer, steps=40, **QUICK).pixels - PICTURE)
        .square()
        .mean()
        .item()
        for layer in ("conv1_1", "conv3_1", "conv5_1")
    ]
    assert errors == sorted(errors)
    assert errors[2] > 10 * errors[0]


def test_a_texture_has_the_pictures_gram_matrix_but_not_its_pixels():
    result = impasto.reconstruct(PICTURE, layer="conv2_1", kind="texture", steps=60, **QUICK)
    trunk = VGG19Features(load_weights(), ["conv2_1"])
    target, found = (gram(moments(trunk(p)["conv2_1"])) for p in (PICTURE, result.pixels))
    assert (found - target).norm() < 0.1 * target.norm()
    assert (result.pixels - PICTURE).square().mean() > 0.01


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"layer": "conv6_1"}, "`layer` must be one of"),
        ({"kind": "txture"}, "did you mean texture?"),
        ({"recipe": impasto.ReconstructRecipe(), "steps": 3}, "`recipe` must come alone"),
    ],
)
def test_bad_input_gets_one_sentence(options, said):
    with pytest.raises(ValueError, match="must") as caught:
        impasto.reconstruct(PICTURE, **options)
    assert said in str(caught.value)
