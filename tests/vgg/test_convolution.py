"""Winograd's filtering is the convolution it replaces, forwards, backwards and under autograd."""

import pytest
import torch
from torch.nn import functional as F

from impasto.vgg import winograd
from impasto.vgg.convolution import Convolution
from impasto.vgg.winograd import OUTPUT_TILE

SIZES = [(1, 1), (3, 5), (4, 8), (13, 22), (64, 40)]


def pair(height, width):
    """A wide layer, a picture of features, and both in float64."""
    generator = torch.Generator().manual_seed(height + width)
    kernel = torch.randn(128, 64, 3, 3, generator=generator)
    bias = torch.randn(128, generator=generator)
    x = torch.randn(1, 64, height, width, generator=generator)
    return Convolution(kernel, bias), kernel.double(), bias.double(), x


def near(found, expected):
    """Whether the difference is rounding of float32."""
    assert found.shape == expected.shape
    assert (found - expected).norm() < 2e-6 * expected.norm()
    # What follows works in place and without copies only where the channels lie together.
    assert found.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_a_wide_layer_is_the_direct_convolution(height, width):
    convolution, kernel, bias, x = pair(height, width)
    assert convolution.piece == OUTPUT_TILE
    near(convolution(x), F.conv2d(x.double(), kernel, bias, padding=1))


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_back_is_its_gradient(height, width):
    convolution, kernel, _, x = pair(height, width)
    slope = torch.randn(1, 128, height, width)
    near(convolution.back(slope), F.conv_transpose2d(slope.double(), kernel, padding=1))
    leaf = x.clone().requires_grad_()
    convolution(leaf).backward(slope)
    assert torch.equal(leaf.grad, convolution.back(slope))


def test_strips_change_nothing(monkeypatch):
    convolution, *_, x = pair(64, 40)
    whole = convolution(x)
    monkeypatch.setattr(winograd, "_CACHED", 1)  # one row of pieces at a time
    assert torch.equal(convolution(x), whole)


def test_other_formats_and_narrow_layers_go_directly():
    kernel, bias = torch.randn(128, 64, 3, 3), torch.randn(128)
    assert Convolution(kernel, bias, dtype=torch.float64).piece == 1
    assert Convolution(kernel[:64], bias[:64]).piece == 1


def test_its_workspace_is_bounded():
    convolution, *_ = pair(1, 1)
    small, large, huge = (convolution.workspace(positions) for positions in (1e2, 1e6, 1e8))
    assert 0 < small < large == huge < 2**27
    assert convolution.workspace(1e2, back=True) != small
