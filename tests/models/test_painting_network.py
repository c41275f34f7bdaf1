"""The painting network: what it sees, and how it is normalized."""

import torch

from impasto.models.model import TiledPainting, assemble
from impasto.models.network import (
    REACH,
    STRIDE,
    PaintingNetwork,
    crop_noise,
    noise_planes,
)
from impasto.style.statistics import moments


def network(seed=0):
    made = PaintingNetwork()
    made.initialize(torch.Generator().manual_seed(seed))
    return made


def painted(made, x, seed=0):
    with torch.no_grad():
        return made(x, noise_planes((x.shape[3], x.shape[2]), seed))


def test_a_painting_has_the_size_of_the_image_and_stays_in_range():
    y = painted(network(), torch.rand(1, 3, 48, 64))
    assert y.shape == (1, 3, 48, 64)
    assert y.min() > 0
    assert y.max() < 1


def test_the_weights_fit_into_a_megabyte_in_half_precision():
    assert 2 * sum(part.numel() for part in network().parameters()) < 950_000


def test_with_fixed_statistics_a_pixel_reaches_no_farther_than_it_says():
    made = network()
    size = 2 * REACH + 3 * STRIDE
    x = torch.rand(1, 3, STRIDE, size)
    painted(made, x)
    made.fix_statistics()
    before = painted(made, x)
    x[..., :STRIDE] = 1 - x[..., :STRIDE]
    changed = (painted(made, x) - before).abs().amax((0, 1, 2))
    assert changed[0] > 0
    assert changed[STRIDE + REACH :].max() == 0


def test_fixed_statistics_paint_what_the_image_own_do():
    made, x = network(), torch.rand(1, 3, 48, 64)
    own = painted(made, x)
    made.fix_statistics()
    assert torch.allclose(painted(made, x), own, atol=1e-5)
    assert not torch.allclose(painted(made, x**3), own, atol=1e-3)


def test_noise_is_the_same_for_the_same_seed_and_is_cropped_with_the_image():
    first, again, other = (noise_planes((64, 48), seed) for seed in (3, 3, 4))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])
    cropped = crop_noise(first, slice(16, 48), slice(32, 64))
    assert [tuple(plane.shape[2:]) for plane in cropped] == [(8, 8), (8, 8), (4, 4)]
    assert torch.equal(cropped[2], first[2][..., 2:6, 4:8])


def test_tiles_change_nothing_but_rounding():
    image = torch.rand(3, 150, 333)
    colors = moments(torch.rand(3, 8, 8))

    def paint(tile):
        return TiledPainting(network(), image, colors, 5, tile=tile)

    whole, tiled = paint(1024), paint(64)
    assert (whole.count, tiled.count) == (1, 18)
    assert torch.allclose(assemble(whole), assemble(tiled), atol=1e-5)
    assert torch.equal(whole.signature, tiled.signature)
