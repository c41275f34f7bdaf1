"""The pair downsampler: what it keeps, and what its two views share."""

import pytest
import torch
from torch.nn import functional as F

from impasto.denoising.zs_n2n import pair_downsample

KERNELS = torch.tensor([[[[0.0, 0.5], [0.5, 0.0]]], [[[0.5, 0.0], [0.0, 0.5]]]])


@pytest.mark.parametrize("channels", [1, 2, 3, 7])
def test_it_is_the_papers_convolution(channels):
    x = torch.rand(2, channels, 8, 6)
    for view, kernel in zip(pair_downsample(x), KERNELS, strict=True):
        expected = F.conv2d(x, kernel[None].expand(channels, 1, 2, 2), stride=2, groups=channels)
        assert torch.allclose(view, expected)


def test_the_mean_is_kept():
    x = torch.rand(1, 3, 12, 10, dtype=torch.float64)
    first, second = pair_downsample(x)
    assert torch.allclose((first.mean() + second.mean()) / 2, x.mean())


@pytest.mark.parametrize("size", [(2, 2), (3, 5), (5, 3), (7, 7), (1, 4), (1, 5), (6, 1), (2, 1)])
def test_every_pixel_counts(size):
    x = torch.rand(1, 1, *size, requires_grad=True)
    sum(view.sum() for view in pair_downsample(x)).backward()
    assert (x.grad > 0).all()


@pytest.mark.parametrize("size", [(3, 5), (7, 4), (1, 5), (9, 1)])
def test_the_views_share_no_pixel_within_a_cell(size):
    count = size[0] * size[1]
    x = torch.eye(count).view(count, 1, *size)
    first, second = pair_downsample(x)
    assert not ((first > 0) & (second > 0)).any()
