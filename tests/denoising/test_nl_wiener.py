"""Block matching and the filters on its groups, wherever the picture is cut into blocks."""

from dataclasses import replace
from itertools import chain, product

import pytest
import torch

import impasto
from impasto.denoising.block_matching import (
    Block,
    Groups,
    extract_patches,
    match_blocks,
    patch_size,
    split_into_blocks,
)
from impasto.denoising.coarse_noise import _is_texture
from impasto.denoising.filters import gaussian_blur
from impasto.denoising.nl_wiener import nl_wiener
from impasto.denoising.noise import white_noise
from impasto.denoising.patch_filters import ridge_estimate, wiener_estimate
from impasto.recipes import DenoiseRecipe

GROUPS = Groups(patch=5, similar=6, window=13, stride=3)
PICTURE = torch.rand(61, 83, generator=torch.Generator().manual_seed(0))


def test_patches_lie_by_rows():
    result = extract_patches(torch.arange(12.0).view(3, 4), (2, 2))
    assert result.shape == (6, 4)
    assert result[0].tolist() == [0, 1, 4, 5]
    assert result[4].tolist() == [5, 6, 9, 10]


@pytest.mark.parametrize("size", [(61, 83), (5, 40), (3, 9), (1, 1)])
def test_every_pixel_lies_in_a_reference_patch(size):
    patch = patch_size(size, GROUPS)
    covered = torch.zeros(size, dtype=torch.bool)
    for block in chain(*split_into_blocks(size, GROUPS)):
        for y in (block.down + block.rows.start).flatten().tolist():
            for x in (block.across + block.columns.start).flatten().tolist():
                assert y + patch[0] <= block.rows.stop
                assert x + patch[1] <= block.columns.stop
                covered[y : y + patch[0], x : x + patch[1]] = True
    assert covered.all()


def test_a_group_holds_the_nearest_patches_of_its_window_and_its_reference():
    guide = PICTURE[:40, :40]
    block = Block(slice(0, 40), slice(0, 40), *(2 * [torch.arange(0, 36, 3)]))
    near = match_blocks(guide, block, GROUPS)
    rows = extract_patches(guide, (5, 5))
    columns = 36
    references = list(product(block.down.tolist(), block.across.tolist()))
    assert near.shape == (len(references), GROUPS.similar)
    for (y, x), group in list(zip(references, near, strict=True))[::37]:
        reference = y * columns + x
        assert reference in group
        assert len(set(group.tolist())) == GROUPS.similar
        distance = (rows[group] - rows[reference]).square().sum(1)
        down, across = group // columns, group % columns
        top, left = (min(max(at - 6, 0), 36 - 13) for at in (y, x))
        inside = [yy * columns + xx for yy in range(top, top + 13) for xx in range(left, left + 13)]
        others = [position for position in inside if position not in group.tolist()]
        assert ((rows[others] - rows[reference]).square().sum(1) >= distance.max() - 1e-5).all()
        assert top <= down.min() <= down.max() < top + 13
        assert left <= across.min() <= across.max() < left + 13


def test_blocks_of_a_color_reach_no_common_pixel():
    for blocks in split_into_blocks((301, 203), GROUPS):
        reached = torch.zeros(301, 203, dtype=torch.int)
        for block in blocks:
            reached[block.rows, block.columns] += 1
        assert reached.max() == 1


@pytest.mark.parametrize("method", [ridge_estimate, wiener_estimate])
def test_parts_decide_about_memory_only(method, monkeypatch):
    monkeypatch.setenv("IMPASTO_NO_COMPILED", "1")
    noisy = PICTURE[None].expand(2, -1, -1).contiguous()
    variance = torch.full_like(noisy, 0.01)
    pilot = () if method is ridge_estimate else (noisy,)
    whole = method(noisy, *pilot, PICTURE, variance, GROUPS)
    monkeypatch.setattr("impasto.denoising.block_matching._CHUNK", 2**12)
    monkeypatch.setattr("impasto.denoising.nl_wiener_tensors._CHUNK", 2**12)
    assert torch.allclose(method(noisy, *pilot, PICTURE, variance, GROUPS), whole, atol=2e-4)


@pytest.mark.parametrize("method", [ridge_estimate, wiener_estimate])
def test_noise_falls_and_without_noise_nothing_moves(method):
    clean = torch.linspace(0, 1, 48).expand(1, 48, 48)
    noise = 0.1 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    noisy = clean + noise
    pilot = () if method is ridge_estimate else (clean,)
    result = method(noisy, *pilot, noisy[0], torch.full_like(noisy, 0.01), GROUPS)
    assert (result - clean).square().mean() < 0.4 * noise.square().mean()
    still = method(noisy, *pilot, noisy[0], torch.full_like(noisy, 1e-12), GROUPS)
    assert (still - noisy).abs().max() < 0.01


def test_noise_of_half_the_picture_is_taken_from_that_half():
    clean = torch.linspace(0, 1, 64).expand(1, 48, 64)
    where = (torch.arange(64) >= 32).float().expand(1, 48, 64)
    noise = 0.1 * where * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    noisy = clean + noise
    result = ridge_estimate(noisy, noisy[0], 0.01 * where + 1e-9, GROUPS)
    left, right = (result - noisy)[..., :24].abs().mean(), (result - noisy)[..., 40:].abs().mean()
    assert left < 0.05 * right


def test_shared_noise_needs_its_correlation():
    generator = torch.Generator().manual_seed(0)
    white = torch.randn(1, 1, 64, 64, generator=generator)
    kernel = torch.full((1, 1, 2, 2), 0.5)
    shared = 0.1 * torch.nn.functional.conv2d(torch.nn.functional.pad(white, (1, 0, 1, 0)), kernel)
    line = torch.linspace(0, 1, 64)
    clean = (0.5 + 0.2 * torch.sin(20 * line[:, None]) * torch.sin(25 * line)).expand(1, 64, 64)
    noisy = clean + shared[0]
    table = torch.tensor([[0.25, 0.5, 0.25], [0.5, 1, 0.5], [0.25, 0.5, 0.25]])
    variance = torch.full_like(noisy, 0.01)
    known, unknown = (
        (wiener_estimate(noisy, clean, clean[0], variance, GROUPS, lags) - clean).square().mean()
        for lags in (table[None], None)
    )
    assert known < 0.9 * unknown


def test_noise_coarser_than_a_patch_goes_too():
    down, across = torch.meshgrid(
        torch.linspace(0, 1, 160), torch.linspace(0, 1, 192), indexing="ij"
    )
    edge = 0.3 + 0.4 * (across > 0.5) * (down > 0.4)
    clean = torch.stack([edge, 0.5 + 0.2 * torch.sin(9 * across), 0.4 + 0.2 * across * down])
    noise = gaussian_blur(torch.randn(clean.shape, generator=torch.manual_seed(0)), 1.0)
    result = impasto.denoise(clean + 0.06 * noise / noise.std())
    assert result.diagnosis.kind == "correlated"
    error = (result.pixels - clean).square().mean().sqrt()
    assert error < 0.018  # 0.025 of patches at full size alone


def test_what_only_the_light_would_lose_is_texture():
    ones = torch.ones(3, 8, 8)
    weights = torch.tensor([2.0, 1.0, 0.5])[:, None, None]
    assert _is_texture(weights * ones, 0 * ones, ones)  # 4 times the energy
    assert not _is_texture(weights * ones, 0 * ones, 2 * weights * ones)


def test_tensors_are_made_on_the_pictures_device():
    """With another default device, a tensor made without `device=` would not fit the others."""
    noisy = torch.rand(3, 20, 24, generator=torch.Generator().manual_seed(0))
    table = torch.tensor([[0.0, 0.25, 0.0], [0.25, 1, 0.25], [0.0, 0.25, 0.0]]).expand(3, 3, 3)
    white = white_noise(0.01, 0.001, 3, (True, False))
    recipe = DenoiseRecipe(device="cpu", effort="quick")
    for noise in (white, replace(white, autocorrelation=table)):
        denoise_plane = nl_wiener(noisy[None], noise, recipe, lambda *_: True)
        expected = denoise_plane(noisy)
        with torch.device("meta"):
            assert torch.equal(denoise_plane(noisy), expected)


@pytest.mark.parametrize("outside", [1.0, -9999.0])
def test_spots_and_constant_areas_come_back_as_they_are(outside):
    shade = torch.linspace(0.2, 0.8, 64).expand(1, 64, 64)
    noisy = shade + 0.05 * torch.randn(shade.shape, generator=torch.Generator().manual_seed(0))
    spotted = noisy.clone()
    spotted[0, 40, 50] = 1000
    spotted[..., :24] = outside
    result, plain = (
        impasto.denoise(p, sigma=0.05, effort="quick").pixels for p in (spotted, noisy)
    )
    kept = spotted != noisy
    assert torch.equal(result[kept], spotted[kept])
    error, usual = ((p - shade)[..., 30:].square() for p in (result, plain))
    assert error[~kept[..., 30:]].mean() < 1.15 * usual.mean()


def test_channels_that_are_the_same_are_one():
    shade = torch.linspace(0.2, 0.8, 48).expand(1, 48, 48)
    gray = shade + 0.1 * torch.randn(shade.shape, generator=torch.Generator().manual_seed(0))
    result = impasto.denoise(gray.expand(3, -1, -1), sigma=0.1, effort="quick").pixels
    alone = impasto.denoise(gray, sigma=0.1, effort="quick").pixels
    assert torch.equal(result, alone.expand(3, -1, -1))


@pytest.mark.parametrize("sigmas", [(0.02, 0.02, 0.15), (0.15, 0.04)])
def test_a_noisy_channel_is_as_good_as_alone(sigmas):
    place = torch.linspace(0, 1, 64)
    clean = (0.5 + 0.3 * torch.sin(12 * place[:, None] + 8 * place)).expand(len(sigmas), 64, 64)
    white = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    noisy = clean + torch.tensor(sigmas)[:, None, None] * white
    together = impasto.denoise(noisy, effort="quick").pixels
    for channel in range(len(sigmas)):
        alone = impasto.denoise(noisy[channel], effort="quick").pixels
        error, usual = ((p - clean[channel]).square().mean() for p in (together[channel], alone))
        assert error < 1.07 * usual


def sample(channels, height, width):
    """A smooth picture, the same with noise, and the variance, which differs everywhere."""
    down, across = torch.linspace(0, 1, height)[:, None], torch.linspace(0, 1, width)
    waves = [torch.sin(9 * down * (c + 1) + 14 * across) for c in range(channels)]
    clean = 0.5 + 0.3 * torch.stack(waves)
    variance = (0.005 * (1 + down + across)).expand_as(clean).contiguous()
    white = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    return clean, clean + variance.sqrt() * white, variance


@pytest.mark.parametrize("correlated", [False, True])
@pytest.mark.parametrize("size", [(3, 90, 70), (1, 61, 83), (5, 40, 33), (2, 4, 30), (3, 1, 1)])
def test_compiled_loops_and_tensor_operations_agree(size, correlated, monkeypatch):
    pytest.importorskip("numba")
    clean, noisy, variance = sample(*size)
    table = torch.tensor([[0.1, 0.25, 0.1], [0.25, 1, 0.25], [0.1, 0.25, 0.1]])
    table = table.expand(len(noisy), -1, -1) if correlated else None

    def estimates():
        yield ridge_estimate(noisy, noisy[0], variance, GROUPS, table)
        yield wiener_estimate(noisy, clean, noisy[0], variance, GROUPS, table)

    compiled = list(estimates())
    monkeypatch.setenv("IMPASTO_NO_COMPILED", "1")
    for result, expected in zip(compiled, estimates(), strict=True):
        difference = (result - expected).abs()
        assert difference.mean() < 1e-5
        # Rounding may choose another patch where two are equally near.
        assert (difference > 1e-4).float().mean() < 0.01


def test_any_number_of_threads_gives_the_same_bytes():
    pytest.importorskip("numba")
    clean, noisy, variance = sample(3, 150, 130)
    results = []
    threads = torch.get_num_threads()
    for count in (1, 2, 5):
        torch.set_num_threads(count)
        ridge = ridge_estimate(noisy, noisy[0], variance, GROUPS)
        results.append((ridge, wiener_estimate(noisy, clean, clean[0], variance, GROUPS)))
    torch.set_num_threads(threads)
    for result in results[1:]:
        assert all(map(torch.equal, result, results[0]))


@pytest.mark.parametrize("without", ["", "1"])
def test_a_run_ends_inside_a_pass(without, monkeypatch):
    monkeypatch.setenv("IMPASTO_NO_COMPILED", without)
    monkeypatch.setattr("impasto.denoising.filter_plan._PART", 2**10)
    _, noisy, _ = sample(1, 90, 90)
    shares = []

    def report(done, parts, image):
        shares.append(done / parts)
        return shares[-1] < 0.6  # in the second of two passes

    recipe = DenoiseRecipe(device="cpu", effort="quick")
    denoise_plane = nl_wiener(noisy[None], white_noise(0, 0.01, 1), recipe, report)
    result = denoise_plane(noisy)
    assert 0.6 <= shares[-1] < 0.9
    assert not torch.equal(result, noisy)  # what the first pass made of it
