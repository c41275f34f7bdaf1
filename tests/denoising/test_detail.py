"""What of the noise that was taken away is the picture's own texture."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import impasto
from impasto.denoising.noise import white_noise
from impasto.denoising.texture import REACH, STEP, find_texture
from impasto.images.stack import array_stack
from impasto.images.tiff_read import open_stack
from impasto.metrics import psnr

SIGMA = 0.08


def cloth(side=128):
    """Weak threads that no two places have alike, on the left half; the right half is flat."""
    generator = torch.manual_seed(1)
    rough = torch.randn(1, 1, side + 6, side, generator=generator)
    threads = F.conv2d(rough, torch.ones(1, 1, 7, 1) / 7**0.5)[0]
    picture = torch.full((3, side, side), 0.5)
    picture[:, :, : side // 2] += 0.07 * threads[:, :, : side // 2]
    return picture


def noise(clean, seed=0):
    return SIGMA * torch.randn(clean.shape, generator=torch.manual_seed(seed))


def kept(result, clean):
    """The share of the threads that is in a result, away from the border of the flat half."""
    high = [image - F.avg_pool2d(image[None], 3, 1, 1)[0] for image in (result, clean)]
    result, clean = (image[:, 4:-4, 4:56] for image in high)
    return float((result * clean).sum() / clean.square().sum())


@pytest.fixture(scope="module")
def result():
    clean = cloth()
    return impasto.denoise(clean + noise(clean), sigma=SIGMA)


def test_texture_comes_back(result):
    clean = cloth()
    before, after = (kept(result.at(detail=share).pixels, clean) for share in (0, 1))
    assert after > before + 0.04
    assert before < kept(result.at(detail=0.5).pixels, clean) < after
    assert psnr(result.at(detail=1).pixels, clean) > psnr(result.pixels, clean) - 0.3


def test_noise_of_flat_places_does_not_come_back(result):
    flat = (slice(None), slice(8, -8), slice(88, -8))
    residual = (result.noisy - result.clean)[flat]
    assert result.texture[flat].norm() < 0.1 * residual.norm()
    assert (result.texture[:, :, :56]).norm() > 4 * result.texture[:, :, 72:].norm()


def test_no_detail_is_the_clean_picture_itself(result):
    assert result.recipe.detail == 0
    assert torch.equal(result.at(detail=0).pixels, result.clean)
    assert torch.equal(result.at(0, detail=1).pixels, result.noisy)


def test_detail_goes_with_strength(result):
    half = result.at(0.5, detail=1)
    expected = result.noisy - 0.5 * (result.noisy - result.clean - result.texture)
    assert torch.allclose(half.pixels, expected, atol=1e-6)


def test_detail_after_the_run_is_the_one_asked_for_before(result):
    direct = impasto.denoise(result.noisy, sigma=SIGMA, detail=0.7)
    assert torch.equal(direct.pixels, result.at(detail=0.7).pixels)


def test_texture_is_looked_for_once(result, monkeypatch):
    again = result.at(detail=1).texture
    assert again.data_ptr() == result.at(detail=0.5).texture.data_ptr()


def test_a_stack_gets_its_texture_plane_by_plane(tmp_path):
    clean = cloth(96)
    planes = torch.stack([clean[0] + noise(clean[0], seed) for seed in (0, 1)])
    data = (planes * 1000).round().clamp(0).numpy().astype(np.uint16)
    stack = array_stack(data, "ZYX")
    whole = impasto.denoise(stack, detail=1)
    path = impasto.denoise_stack(stack, tmp_path / "clean.tif", detail=1)
    written = open_stack(path)
    for index, plane in zip(written.plane_indices(), whole.pixels, strict=True):
        assert np.array_equal(written.read_raw(index), stack.to_dtype(plane))
    assert not torch.equal(whole.pixels, whole.clean)


def test_a_picture_that_stays_as_it_is_has_no_texture():
    plain = torch.full((3, 40, 50), 0.5)
    result = impasto.denoise(plain, detail=1)
    assert torch.equal(result.pixels, plain)


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_a_share_out_of_range_is_refused(result, share):
    with pytest.raises(ValueError, match="`detail` must be at"):
        result.at(detail=share)


def test_a_part_has_the_texture_of_the_whole_with_any_threads(result):
    law = white_noise(0, SIGMA**2, 3)
    whole = find_texture(result.noisy, result.clean, law)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    alone = find_texture(result.noisy, result.clean, law)
    torch.set_num_threads(threads)
    assert torch.equal(whole, alone)
    corner = 2 * STEP
    noisy, clean = (image[:, corner:, corner:] for image in (result.noisy, result.clean))
    part = find_texture(noisy, clean, law)
    assert torch.equal(part[:, REACH:, REACH:], whole[:, corner + REACH :, corner + REACH :])


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (9, 17)])
def test_small_pictures_have_some_texture_or_none(size):
    noisy = torch.rand(3, *size, generator=torch.manual_seed(0))
    texture = find_texture(noisy, torch.full_like(noisy, 0.5), white_noise(0, 0.01, 3))
    assert texture.shape == noisy.shape
    assert texture.isfinite().all()
