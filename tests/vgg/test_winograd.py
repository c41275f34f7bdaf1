"""Winograd's filtering is the convolution it replaces, forwards, backwards and under autograd."""

import pytest
import torch
from torch.nn import functional as F

from impasto.vgg import winograd
from impasto.vgg.winograd import OUTPUT_TILE, Convolution

SIZES = [(1, 1), (3, 5), (4, 8), (13, 22), (64, 40)]


def pair(height, width):
    """A wide layer, a picture of features, and both in float64."""
    generator = torch.Generator().manual_seed(height + width)
    kernel = torch.randn(128, 64, 3, 3, generator=generator)
    bias = torch.randn(128, generator=generator)
    x = torch.randn(1, 64, height, width, generator=generator)
    return Convolution(kernel, bias), kernel.double(), bias.double(), x


def assert_close_to_rounding(result, expected):
    """Check that the difference is rounding of float32."""
    assert result.shape == expected.shape
    assert (result - expected).norm() < 2e-6 * expected.norm()
    # What follows works in place and without copies only where the channels lie together.
    assert result.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_a_wide_layer_is_the_direct_convolution(height, width):
    convolution, kernel, bias, x = pair(height, width)
    assert convolution.output_tile == OUTPUT_TILE
    assert_close_to_rounding(convolution(x), F.conv2d(x.double(), kernel, bias, padding=1))


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_back_is_its_gradient(height, width):
    convolution, kernel, _, x = pair(height, width)
    slope = torch.randn(1, 128, height, width)
    assert_close_to_rounding(
        convolution.backward(slope), F.conv_transpose2d(slope.double(), kernel, padding=1)
    )
    leaf = x.clone().requires_grad_()
    convolution(leaf).backward(slope)
    assert torch.equal(leaf.grad, convolution.backward(slope))


def test_strips_change_nothing(monkeypatch):
    convolution, *_, x = pair(64, 40)
    whole = convolution(x)
    monkeypatch.setattr(winograd, "_CACHE_BYTES", 1)  # one row of tiles at a time
    assert torch.equal(convolution(x), whole)


def test_other_formats_and_narrow_layers_go_directly():
    kernel, bias = torch.randn(128, 64, 3, 3), torch.randn(128)
    assert Convolution(kernel, bias, dtype=torch.float64).output_tile == 1
    assert Convolution(kernel[:64], bias[:64]).output_tile == 1


def test_its_workspace_is_bounded():
    convolution, *_ = pair(1, 1)
    small, large, huge = (convolution.workspace_bytes(positions) for positions in (1e2, 1e6, 1e8))
    assert 0 < small < large == huge < 2**27
    assert convolution.workspace_bytes(1e2, backward=True) != small
