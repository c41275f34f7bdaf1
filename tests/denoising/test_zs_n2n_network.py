"""ZS-N2N's network and its losses."""

import pytest
import torch
from torch import nn

from impasto.denoising.zs_n2n import (
    REACH,
    initial_parameters,
    pair_downsample,
    pair_loss,
    predict_noise,
    remove_noise,
)


@pytest.mark.parametrize(("channels", "count"), [(1, 21_313), (3, 22_275)])
def test_it_has_the_papers_size(channels, count):
    assert sum(one.numel() for one in initial_parameters(channels, seed=0)) == count


def test_a_seed_decides_the_start():
    assert all(map(torch.equal, initial_parameters(3, seed=4), initial_parameters(3, seed=4)))
    assert not torch.equal(initial_parameters(3, seed=4)[0], initial_parameters(3, seed=5)[0])


def test_it_starts_as_torch_would():
    layer = nn.Conv2d(48, 48, 3)
    weight, bias = initial_parameters(3, seed=0)[2:4]
    assert weight.shape == layer.weight.shape
    assert weight.abs().max() <= layer.weight.abs().max() * 1.01
    assert weight.std().item() == pytest.approx(layer.weight.std().item(), rel=0.05)
    assert bias.shape == layer.bias.shape


def test_it_is_the_papers_network():
    parameters = initial_parameters(3, seed=1)
    same = nn.Sequential(
        nn.Conv2d(3, 48, 3, padding=1), nn.LeakyReLU(0.2),
        nn.Conv2d(48, 48, 3, padding=1), nn.LeakyReLU(0.2), nn.Conv2d(48, 3, 1),
    )  # fmt: skip
    with torch.no_grad():
        for own, ours in zip(same.parameters(), parameters, strict=True):
            own.copy_(ours)
        x = torch.rand(1, 3, 9, 7)
        assert torch.allclose(predict_noise(parameters, x), same(x), atol=1e-6)
        assert torch.allclose(remove_noise(parameters, x), x - same(x), atol=1e-6)


def test_a_value_sees_so_far_and_no_further():
    parameters = initial_parameters(1, seed=2)
    x = torch.rand(1, 1, 11, 11)
    other = x.clone()
    other[0, 0, 5, 5 + REACH + 1] += 1
    with torch.no_grad():
        first, second = predict_noise(parameters, x), predict_noise(parameters, other)
    assert torch.equal(first[0, 0, 5, :6], second[0, 0, 5, :6])
    other[0, 0, 5, 5 + REACH] += 1
    with torch.no_grad():
        assert predict_noise(parameters, other)[0, 0, 5, 5] != first[0, 0, 5, 5]


def test_the_loss_is_the_papers():
    parameters = [one.double() for one in initial_parameters(3, seed=3)]
    y = torch.rand(1, 3, 10, 8, dtype=torch.float64)
    first, second = pair_downsample(y)
    first_clean, second_clean = (d - predict_noise(parameters, d) for d in (first, second))
    down_first, down_second = pair_downsample(y - predict_noise(parameters, y))

    def mse(a, b):
        return ((a - b) ** 2).mean()

    residual = 0.5 * (mse(first_clean, second) + mse(second_clean, first))
    consistency = 0.5 * (mse(first_clean, down_first) + mse(second_clean, down_second))
    assert pair_loss(parameters, y).item() == pytest.approx((residual + consistency).item())
