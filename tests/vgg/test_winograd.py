"""Winograd's filtering is the convolution it replaces, forwards, backwards and under autograd."""

import pytest
import torch
from torch.nn import functional as F

from impasto.compiled import load_loops
from impasto.vgg import winograd
from impasto.vgg.winograd import OUTPUT_TILE, Convolution, conv3x3, transform_kernel

SIZES = [(1, 1), (3, 5), (4, 8), (13, 22), (64, 40), (2, 131), (150, 3)]
WAYS = ["compiled", "matrices"]


@pytest.fixture
def compiled():
    if load_loops("impasto.vgg.winograd_loops") is None:
        pytest.skip("numba is missing")


@pytest.fixture(params=WAYS)
def way(request, monkeypatch):
    """Compute with compiled loops, and without."""
    if request.param == "matrices":
        monkeypatch.setenv("IMPASTO_NO_COMPILED", "1")
    else:
        request.getfixturevalue("compiled")
    return request.param


@pytest.fixture
def threads():
    """Set torch's number of threads, until the test ends."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def pair(height, width, dtype=torch.float32):
    """A wide layer, a picture of features, and both in float64."""
    generator = torch.Generator().manual_seed(height + width)
    kernel = torch.randn(128, 64, 3, 3, generator=generator)
    bias = torch.randn(128, generator=generator)
    x = torch.randn(1, 64, height, width, generator=generator).to(dtype)
    return Convolution(kernel, bias, dtype=dtype), kernel.double(), bias.double(), x


def error(result, expected):
    """Return the relative difference."""
    assert result.shape == expected.shape
    # What follows works in place and without copies only where the channels lie together.
    assert result.is_contiguous(memory_format=torch.channels_last)
    return (result - expected).norm() / expected.norm()


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_a_wide_layer_is_the_direct_convolution(way, height, width):
    convolution, kernel, bias, x = pair(height, width)
    assert convolution.output_tile == OUTPUT_TILE
    assert error(convolution(x), F.conv2d(x.double(), kernel, bias, padding=1)) < 2e-6


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_back_is_its_gradient(way, height, width):
    convolution, kernel, _, x = pair(height, width)
    slope = torch.randn(1, 128, height, width)
    expected = F.conv_transpose2d(slope.double(), kernel, padding=1)
    assert error(convolution.backward(slope), expected) < 2e-6
    leaf = x.clone().requires_grad_()
    convolution(leaf).backward(slope)
    assert torch.equal(leaf.grad, convolution.backward(slope))


@pytest.mark.parametrize("rotated", [False, True])
@pytest.mark.parametrize("channels", [(64, 64), (5, 200)])
def test_the_stand_in_is_the_compiled_loops_within_rounding(
    compiled, monkeypatch, channels, rotated
):
    kernel = transform_kernel(torch.randn(*channels, 3, 3))
    x = torch.randn(1, channels[1], 30, 21)
    result = conv3x3(x, kernel, torch.ones(channels[0]), rotated=rotated)
    monkeypatch.setenv("IMPASTO_NO_COMPILED", "1")
    assert error(result, conv3x3(x, kernel, torch.ones(channels[0]), rotated=rotated)) < 2e-6


def test_strips_of_matrices_change_nothing(monkeypatch):
    monkeypatch.setenv("IMPASTO_NO_COMPILED", "1")
    convolution, *_, x = pair(64, 40)
    whole = convolution(x)
    monkeypatch.setattr(winograd, "_CACHE_BYTES", 1)  # one row of tiles at a time
    assert torch.equal(convolution(x), whole)


@pytest.mark.parametrize("name", ["_SHARED_BYTES", "_MIN_STRIPS"])
def test_compiled_strips_change_nothing(compiled, monkeypatch, name):
    convolution, *_, x = pair(64, 150)
    whole = convolution(x)
    monkeypatch.setattr(winograd, "_MIN_STRIP_TILES", 40)
    monkeypatch.setattr(winograd, "_STRIP_BYTES", 1)
    monkeypatch.setattr(winograd, name, 1)
    assert torch.equal(convolution(x), whole)


@pytest.mark.parametrize(("height", "width"), [(13, 22), (190, 210)])
def test_the_number_of_threads_changes_nothing(compiled, threads, height, width):
    convolution, *_, x = pair(height, width)
    results = []
    for count in (1, 2, 3):
        threads(count)
        results.append((convolution(x), convolution.backward(convolution(x))))
    for forward, backward in results[1:]:
        assert torch.equal(forward, results[0][0])
        assert torch.equal(backward, results[0][1])


def test_part_of_an_image_is_read_in_place_or_not(way):
    convolution, *_, x = pair(20, 30)
    part = x.contiguous(memory_format=torch.channels_last)[..., 4:, 8:20]
    assert torch.equal(convolution(part), convolution(part.contiguous()))


def test_other_formats_and_narrow_layers_go_directly(way, monkeypatch):
    kernel, bias = torch.randn(128, 64, 3, 3), torch.randn(128)
    assert Convolution(kernel, bias, dtype=torch.float64).output_tile == 1
    assert Convolution(kernel[:32], bias[:32]).output_tile == 1
    wide_enough = OUTPUT_TILE if way == "compiled" else 1
    assert Convolution(kernel[:64], bias[:64]).output_tile == wide_enough
    assert Convolution(kernel, bias, dtype=torch.bfloat16).output_tile == 1


def test_its_workspace_is_bounded(way):
    convolution, *_ = pair(1, 1)
    small, large, huge = (convolution.workspace_bytes(positions) for positions in (1e2, 1e6, 1e8))
    assert 0 < small < large == huge < 2**27 * max(1, torch.get_num_threads() / 8)
    if way == "matrices":
        assert convolution.workspace_bytes(1e2, backward=True) != small


def test_no_strip_is_larger_than_the_workspace(compiled):
    for count in (1, 7, 100, 1000, 30000):
        for channels in ((64, 128), (512, 512)):
            assert (
                winograd._strip_tiles(count, *channels)[0]
                <= winograd._strip_limit(count, *channels)[0]
            )
