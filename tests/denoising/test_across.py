"""Planes that help each other: still, moving, cut, mixed; by both ways to compute; streamed."""

from itertools import pairwise

import numpy as np
import pytest
import torch

import impasto
from impasto.denoising.across import REACH, AcrossFilter, PlaneToFilter, with_neighbors
from impasto.denoising.block_matching import Block, Groups, Neighbor
from impasto.denoising.filters import gaussian_blur
from impasto.denoising.noise import white_noise
from impasto.denoising.patch_filters import fuse_neighbors, ridge_estimate, wiener_estimate
from impasto.denoising.plane_axis import choose_axis, link_planes
from impasto.images.stack import array_stack
from impasto.recipes import DenoiseRecipe

SIGMA = 0.1


def psnr(planes, clean):
    """Peak signal-to-noise ratio of planes of any shape, 1 being the peak."""
    return float(-10 * (planes - clean).square().mean().log10())


def scene(seed=0, side=160):
    """A textured picture, in [0, 1]."""
    image = gaussian_blur(torch.rand(1, side, side, generator=torch.manual_seed(seed)), 1.2)
    return ((image - 0.5) * 3 + 0.5).clamp(0, 1)


def moving(count=6, side=72, step=(2, 3), seed=0):
    """Planes of a camera that moves over a scene, (count, 1, side, side)."""
    image = scene(seed)
    starts = [(8 + n * step[0], 8 + n * step[1]) for n in range(count)]
    return torch.stack([image[:, y : y + side, x : x + side] for y, x in starts])


def with_noise(clean, sigma=SIGMA, seed=1):
    return clean + sigma * torch.randn(clean.shape, generator=torch.manual_seed(seed))


def stack_of(planes):
    """Planes (T, 1, H, W) as data of the axes TYX."""
    return planes[:, 0].numpy()


def clean_stack(planes, **options):
    return impasto.denoise(stack_of(planes), axes="TYX", effort="quick", **options)


@pytest.mark.parametrize("step", [(0, 0), (2, 3), (5, -7)])
def test_planes_of_one_scene_help_each_other(step):
    clean = moving(5, step=step) if step[1] >= 0 else moving(5, step=(5, 7)).flip(3)
    noisy = with_noise(clean)
    together, alone = clean_stack(noisy), clean_stack(noisy, across="none")
    for got, single, truth in zip(together.pixels, alone.pixels, clean, strict=True):
        assert psnr(got, truth) > psnr(single, truth) + 1
    assert "with the planes next to it along T" in together.diagnosis.words
    assert [t.across for t in together.treatments] == ["T"]
    assert "along" not in alone.diagnosis.words


def test_a_dry_run_says_the_same():
    noisy = with_noise(moving(4))
    asked = impasto.diagnose(stack_of(noisy), axes="TYX")
    assert asked.words == clean_stack(noisy).diagnosis.words


def test_planes_that_show_other_things_are_done_by_themselves():
    noisy = with_noise(torch.cat([moving(1, seed=seed) for seed in range(5)]))
    alone = clean_stack(noisy, across="none")
    assert torch.equal(clean_stack(noisy).pixels, alone.pixels)
    forced = clean_stack(noisy, across="T")
    clean = torch.cat([moving(1, seed=seed) for seed in range(5)])
    assert psnr(forced.pixels, clean) > psnr(alone.pixels, clean) - 0.1


def test_a_scene_is_not_helped_by_the_one_before_a_cut():
    scenes = [with_noise(moving(4, seed=seed), seed=seed) for seed in (3, 4)]
    whole = clean_stack(torch.cat(scenes), sigma=SIGMA).pixels
    parts = [clean_stack(part, sigma=SIGMA).pixels for part in scenes]
    assert torch.allclose(whole, torch.cat(parts), atol=0.01)
    assert psnr(whole, torch.cat(parts)) > 60


def test_planes_with_the_same_noise_do_not_confirm_it():
    clean = moving(1).expand(4, -1, -1, -1)
    noise = with_noise(torch.zeros_like(clean[:1]))
    noisy = clean + noise
    result = clean_stack(noisy)
    alone = clean_stack(noisy, across="none")
    assert psnr(result.pixels, clean) > psnr(alone.pixels, clean) - 0.1
    assert "along" not in result.diagnosis.words


def test_a_clean_plane_stays_and_others_are_helped():
    clean = moving(5)
    noisy = with_noise(clean)
    noisy[2] = torch.linspace(0, 1, 72).expand(1, 72, 72)
    result, alone = clean_stack(noisy), clean_stack(noisy, across="none")
    assert torch.equal(result.pixels[2], noisy[2])
    assert [plane.method for plane in result.diagnosis.planes][2] is None
    gains = [
        psnr(a, c) - psnr(b, c) for a, b, c in zip(result.pixels, alone.pixels, clean, strict=True)
    ]
    assert min(gains[0], gains[1]) > 0.5


def test_planes_whose_noise_is_measured_together():
    clean = moving(5)
    result, alone = (clean_stack(with_noise(clean), across=a, joint=True) for a in ("auto", "none"))
    assert psnr(result.pixels, clean) > psnr(alone.pixels, clean) + 1
    assert "along T" in result.diagnosis.words
    assert result.diagnosis.planes == ()


def test_noise_of_another_strength_in_each_plane():
    clean = moving(5)
    sigmas = torch.tensor([0.1, 0.05, 0.15, 0.1, 0.05])[:, None, None, None]
    noisy = clean + sigmas * with_noise(torch.zeros_like(clean), 1.0)
    result, alone = (clean_stack(noisy, across=a) for a in ("auto", "none"))
    for got, single, truth in zip(result.pixels, alone.pixels, clean, strict=True):
        assert psnr(got, truth) > psnr(single, truth) + 0.5
    assert "along T" in result.diagnosis.words


def test_planes_may_have_other_ranges():
    clean = moving(4)
    noisy = with_noise(clean)
    factor = torch.tensor([1.0, 1.04, 0.98, 1.02])[:, None, None, None]
    usual, wide = clean_stack(noisy), clean_stack(1000 * noisy * factor + 300)
    back = (wide.pixels - 300) / 1000 / factor
    assert psnr(back, clean) > psnr(usual.pixels, clean) - 1
    assert "along T" in wide.diagnosis.words


def test_photon_noise():
    clean = moving(4) * 0.8 + 0.1
    counts = torch.poisson(40 * clean, generator=torch.manual_seed(2)) / 40
    result, alone = (clean_stack(counts, across=a) for a in ("auto", "none"))
    assert result.diagnosis.kind == "poisson-gaussian"
    assert psnr(result.pixels, clean) > psnr(alone.pixels, clean) + 1


def test_noise_that_neighboring_pixels_share():
    blobs = gaussian_blur(torch.rand(1, 140, 180, generator=torch.manual_seed(1)), 5.0, 15)
    blobs = 0.3 + 0.4 * (blobs > blobs.median())
    line = torch.linspace(0, 1, 180).expand(140, 180)
    colors = torch.stack([blobs[0], 0.5 + 0.2 * torch.sin(9 * line), 0.4 + 0.2 * line])
    clean = torch.stack([colors[:, move : move + 128, :160] for move in (0, 2, 4)])
    grain = torch.randn(clean.shape, generator=torch.manual_seed(0))
    noise = torch.stack([gaussian_blur(plane, 1.0) for plane in grain])
    noisy = (clean + 0.06 * noise / noise.std()).numpy()
    result, alone = (impasto.denoise(noisy, axes="TCYX", across=a) for a in ("auto", "none"))
    assert alone.diagnosis.kind == "correlated"
    assert psnr(result.pixels, clean) > psnr(alone.pixels, clean) + 0.5


def test_hidden_pixels_come_back():
    noisy = with_noise(moving(4))
    noisy[1, 0, 30, 30] = 1000
    noisy[2, 0, :, :20] = -9999
    result = clean_stack(noisy, sigma=SIGMA)
    assert result.pixels[1, 0, 30, 30] == 1000
    assert torch.equal(result.pixels[2, 0, :, :20], noisy[2, 0, :, :20])
    assert result.pixels[:, :, :, 25:].min() > -2


def test_what_a_frame_hides_is_no_shared_noise():
    clean = moving(4)
    noisy = with_noise(clean)
    noisy[..., :36] = -9999
    result, alone = (clean_stack(noisy, across=a) for a in ("auto", "none"))
    assert torch.equal(result.pixels[..., :36], noisy[..., :36])
    assert psnr(result.pixels[..., 36:], clean[..., 36:]) > 1 + psnr(
        alone.pixels[..., 36:], clean[..., 36:]
    )


def test_the_axis_is_chosen_and_planes_follow_it(tmp_path):
    clean = torch.stack([moving(4, seed=seed)[:, 0] for seed in (7, 8)], 1)  # (T, Z, Y, X)
    noisy = with_noise(clean).numpy()
    assert choose_axis(array_stack(noisy, "TZYX"), DenoiseRecipe()) == "T"
    options = {"sigma": SIGMA, "effort": "quick"}
    result = impasto.denoise(noisy, axes="TZYX", **options)
    for z in range(2):
        alone = impasto.denoise(noisy[:, z], axes="TYX", **options)
        assert torch.allclose(result.pixels[z::2], alone.pixels, atol=2e-3)
    path = impasto.denoise_stack(noisy, tmp_path / "clean.tif", axes="TZYX", **options)
    assert np.allclose(impasto.denoise(path, axes="TZYX", strength=0).array(), result.array())


def test_what_is_no_axis_is_refused():
    stack = np.zeros((2, 3, 8, 8), np.float32)
    with pytest.raises(ValueError, match="an axis of the planes, T or Z, got Q"):
        impasto.denoise(stack, axes="TZYX", across="Q")
    with pytest.raises(ValueError, match="`across` must be a capital letter or one of auto"):
        impasto.diagnose(stack, axes="TZYX", across="tz")
    with pytest.raises(ValueError, match="where no axis counts planes, got T"):
        impasto.denoise(stack[0, 0], across="T")
    with pytest.raises(ValueError, match="trained on planes one by one"):
        impasto.denoise(stack, axes="TZYX", across="T", method="zs-n2n-fast")


def test_planes_that_do_not_fit_in_memory_are_done_by_themselves():
    stack = stack_of(with_noise(moving(3, 48)))
    assert choose_axis(array_stack(stack, "TYX"), DenoiseRecipe()) == "T"
    assert choose_axis(array_stack(stack, "TYX"), DenoiseRecipe(memory=0.001)) is None
    with pytest.raises(impasto.ImpastoError, match="`across` must fit in memory, got T"):
        impasto.denoise(stack, axes="TYX", across="T", memory=0.001)


def test_without_compiled_loops_the_result_is_the_same(monkeypatch):
    noisy = with_noise(moving(3, 40))
    compiled = clean_stack(noisy, sigma=SIGMA).pixels
    monkeypatch.setenv("IMPASTO_NO_COMPILED", "1")
    assert torch.allclose(clean_stack(noisy, sigma=SIGMA).pixels, compiled, atol=1e-3)


def test_the_same_bytes_for_any_number_of_threads():
    noisy, threads = with_noise(moving(4)), torch.get_num_threads()
    try:
        results = []
        for count in (1, 2):
            torch.set_num_threads(count)
            results.append(clean_stack(noisy).pixels)
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(*results)


def test_steps_count_to_the_end_and_a_stop_keeps_what_was_done():
    noisy, steps = with_noise(moving(6)), []
    clean_stack(noisy, on_step=steps.append)
    assert [step.evaluation for step in steps] == list(range(1, steps[-1].evaluations + 1))
    assert steps[-1].left == 0
    assert all(a.scale <= b.scale for a, b in pairwise(steps))
    assert {step.scale for step in steps} == set(range(1, 7))

    def stop(step):
        if step.scale == 3:
            raise StopIteration

    result = clean_stack(noisy, on_step=stop)
    assert result.stopped
    changed = [bool((a != b).any()) for a, b in zip(result.pixels, noisy, strict=True)]
    assert changed[:3] == [True] * 3
    assert not changed[-1]


def test_nothing_is_written_of_a_stack_where_the_run_is_ended(tmp_path):
    noisy = with_noise(moving(4))
    for last in (1, 9):

        def stop(step, last=last):
            if step.evaluation == last:
                raise StopIteration

        with pytest.raises(impasto.ImpastoError, match=r"in plane . of 4; nothing was written"):
            impasto.denoise_stack(
                stack_of(noisy), tmp_path / "out.tif", axes="TYX", effort="quick", on_step=stop
            )
    assert not list(tmp_path.iterdir())


def test_planes_are_taken_one_at_a_time():
    """No more planes are at work than the two stages that look around need."""
    taken = 0

    def planes():
        nonlocal taken
        noise = white_noise(0, SIGMA**2, 1)
        for number, plane in enumerate(with_noise(moving(12, 32)), 1):
            taken += 1
            yield PlaneToFilter(number, plane, noise)

    for plane in AcrossFilter(DenoiseRecipe(effort="quick"), lambda *_: True).run(planes()):
        assert taken <= plane.number + 2 * REACH
    assert taken == 12


def test_neighbors_of_the_ends():
    around = dict(with_neighbors(range(6), 2))
    assert around == {n: [m for m in range(6) if 0 < abs(m - n) <= 2] for n in range(6)}
    assert list(with_neighbors([7], 2)) == [(7, [])]
    assert list(with_neighbors([7, 8], 0)) == [(7, []), (8, [])]


def test_a_neighbors_block_moves_with_the_scene_and_stays_inside():
    image = torch.zeros(1, 40, 50)
    block = Block(slice(10, 30), slice(0, 20), torch.zeros(1), torch.zeros(1))
    for shift, rows, columns in [
        ((3, 4), (13, 33), (4, 24)),
        ((30, -5), (20, 40), (0, 20)),
        ((-30, 99), (0, 20), (30, 50)),
    ]:
        area = Neighbor(image, image, image[0], shift).area(block)
        assert area == (slice(*rows), slice(*columns))


def test_pictures_without_anything_in_common_are_not_linked():
    noisy = with_noise(torch.cat([moving(1, 96, seed=seed) for seed in range(6)]))
    assert not any(link_planes(a, b).same for a, b in pairwise(noisy))
    flat = with_noise(torch.full((4, 1, 96, 96), 0.5))
    assert not any(link_planes(a, b).same for a, b in pairwise(flat))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("correlated", [False, True])
def test_both_ways_to_compute_agree(channels, correlated, monkeypatch):
    clean = moving(3, 32).expand(-1, channels, -1, -1).contiguous()
    noisy = with_noise(clean)
    variance = torch.full_like(noisy, SIGMA**2)
    table = None
    if correlated:
        table = torch.tensor([[0.0, 0.2, 0.0], [0.2, 1, 0.2], [0.0, 0.2, 0.0]])
        table = table.expand(channels, 3, 3)
    groups = Groups(5, 10, 11, 3)
    neighbors = [
        Neighbor(noisy[n], variance[n], noisy[n, 0], shift, clean[n])
        for n, shift in ((0, (2, 3)), (2, (-2, -3)))
    ]

    def compute():
        own = noisy[1], clean[1], noisy[1, 0].contiguous(), variance[1]
        ridge = ridge_estimate(own[0], *own[2:], groups, table, neighbors=neighbors)
        wiener = wiener_estimate(*own, groups, table)
        return ridge, wiener, *fuse_neighbors(*own, Groups(5, 1, 11, 3), neighbors)

    compiled = compute()
    monkeypatch.setenv("IMPASTO_NO_COMPILED", "1")
    for one, other in zip(compiled, compute(), strict=True):
        assert torch.allclose(one, other, atol=2e-4)
