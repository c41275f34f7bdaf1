"""ZS-N2N trained on a picture: as published, and faster."""

import pytest
import torch

from impasto import memory
from impasto.denoising import zs_n2n as zs_n2n_module
from impasto.denoising.step_reporter import StepReporter
from impasto.denoising.zs_n2n import (
    initial_parameters,
    inner_pair_loss,
    orthogonalize,
    pair_loss,
    random_crops,
    remove_noise,
    rotations,
    run_tiled,
    run_tiled_mirrored,
    zs_n2n,
    zs_n2n_fast,
)
from impasto.errors import MemoryShortageError
from impasto.metrics import psnr
from impasto.recipes import DenoiseRecipe

METHODS = [zs_n2n, zs_n2n_fast]


@pytest.fixture(autouse=True)
def brief(monkeypatch):
    """Trainings short enough for a test."""
    monkeypatch.setattr(zs_n2n_module, "STEPS", 40)
    monkeypatch.setattr(zs_n2n_module, "BATCH", 4)
    monkeypatch.setattr(zs_n2n_module, "FAST_STEPS", {"quick": 10, "balanced": 40, "best": 50})


def drawing(channels=3, side=32):
    """Smooth shades with an edge, and the same with noise."""
    y, x = torch.meshgrid(torch.linspace(0, 1, side), torch.linspace(0, 1, side), indexing="ij")
    clean = torch.stack(
        [0.3 + 0.3 * (x > 0.5) + 0.2 * y * (c + 1) / channels for c in range(channels)]
    )
    return clean, clean + 0.1 * torch.randn(clean.shape, generator=torch.manual_seed(0))


def fit(method, planes, reporter=None, **options):
    """Fit a method to planes; return the function that denoises one."""
    recipe = DenoiseRecipe(**{"device": "cpu"} | options)
    return method(planes, None, recipe, (reporter or StepReporter(None, (1, 1))).report)


@pytest.mark.parametrize("method", METHODS)
def test_noise_is_taken_away(method, monkeypatch):
    monkeypatch.setattr(zs_n2n_module, "RATE", 5e-3)  # the published one wants more steps
    monkeypatch.setattr(zs_n2n_module, "FAST_STEPS", {"balanced": 120})
    monkeypatch.setattr(zs_n2n_module, "BATCH", 10)
    clean, noisy = drawing()
    result = fit(method, noisy[None])(noisy)
    assert psnr(result, clean) > psnr(noisy, clean) + 2.5


@pytest.mark.parametrize("method", METHODS)
def test_a_seed_decides_every_byte(method):
    noisy = drawing(1)[1]
    first, same = (fit(method, noisy[None])(noisy) for _ in range(2))
    assert torch.equal(first, same)
    assert not torch.equal(first, fit(method, noisy[None], seed=1)(noisy))


@pytest.mark.parametrize("method", METHODS)
def test_who_watches_sees_each_step_and_may_stop(method):
    noisy = drawing(1)[1]
    steps = []

    def stop_at_seven(step):
        steps.append(step)
        if step.evaluation == 7:
            raise StopIteration

    clean = fit(method, noisy[None], StepReporter(stop_at_seven, (32, 32)))
    assert [step.evaluation for step in steps] == [1, 2, 3, 4, 5, 6, 7]
    assert (steps[0].evaluations, steps[0].left) == (40, 39)
    assert torch.equal(steps[-1].picture(), clean(noisy))


def test_effort_changes_the_fast_way_alone():
    noisy = drawing(1, 12)[1]

    def count(method, effort):
        steps = []
        fit(method, noisy[None], StepReporter(steps.append, (32, 32)), effort=effort)
        return len(steps)

    assert [count(zs_n2n_fast, effort) for effort in ("quick", "balanced", "best")] == [10, 40, 50]
    assert [count(zs_n2n, effort) for effort in ("quick", "best")] == [40, 40]


def test_the_published_way_is_adam_on_the_whole_picture(monkeypatch):
    monkeypatch.setattr(zs_n2n_module, "HALVED", 3)
    monkeypatch.setattr(zs_n2n_module, "STEPS", 5)
    noisy = drawing()[1]
    parameters = [parameter.requires_grad_() for parameter in initial_parameters(3, seed=2)]
    adam = torch.optim.Adam(parameters)
    for step in range(5):
        adam.param_groups[0]["lr"] = 1e-3 if step < 3 else 5e-4
        adam.zero_grad()
        pair_loss(parameters, noisy[None]).backward()
        adam.step()
    expected = remove_noise(parameters, noisy[None])[0].detach()
    assert torch.allclose(fit(zs_n2n, noisy[None], seed=2)(noisy), expected, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "shape", [(1, 1, 2), (3, 3, 5), (2, 1, 300), (1, 300, 2), (4, 21, 11), (1, 20, 25), (7, 2, 2)]
)
def test_thin_and_tiny_planes(method, shape, monkeypatch):
    monkeypatch.setattr(zs_n2n_module, "STEPS", 3)
    monkeypatch.setattr(zs_n2n_module, "FAST_STEPS", {"balanced": 3})
    noisy = torch.rand(shape, generator=torch.manual_seed(0))
    result = fit(method, noisy[None])(noisy)
    assert result.shape == noisy.shape
    assert result.isfinite().all()
    assert not torch.equal(result, noisy)


@pytest.mark.parametrize("method", METHODS)
def test_a_single_pixel_comes_back(method):
    noisy = torch.rand(3, 1, 1)
    assert torch.equal(fit(method, noisy[None])(noisy), noisy)


def test_a_thin_plane_is_cleaned_too(monkeypatch):
    monkeypatch.setattr(zs_n2n_module, "FAST_STEPS", {"balanced": 120})
    clean = torch.linspace(0, 1, 2000).expand(1, 1, 2000)
    noisy = clean + 0.1 * torch.randn(clean.shape, generator=torch.manual_seed(0))
    assert psnr(fit(zs_n2n_fast, noisy[None])(noisy), clean) > psnr(noisy, clean) + 1


@pytest.mark.parametrize("method", METHODS)
def test_planes_are_trained_on_together(method):
    noisy = drawing(1)[1]
    both = torch.stack([noisy, noisy.flip(-1) * 0.5])
    clean = fit(method, both)
    assert not torch.equal(clean(noisy), fit(method, both[:1])(noisy))
    assert clean(both[1]).shape == noisy.shape


@pytest.mark.parametrize("size", [(40, 40), (33, 50), (7, 100)])
def test_tiles_change_nothing(size):
    networks = [initial_parameters(3, seed=0), initial_parameters(3, seed=1)]
    plane = torch.rand(3, *size)
    whole = sum(remove_noise(network, plane[None])[0] for network in networks) / 2
    assert torch.allclose(run_tiled(networks, plane, tile=16), whole, atol=1e-6)


def test_beyond_the_border_lies_a_mirror():
    network = initial_parameters(1, seed=0)
    plane = torch.rand(1, 12, 9)
    turned_over = torch.cat([plane.flip(-1)[..., :-1], plane, plane.flip(-1)[..., 1:]], -1)
    inside = run_tiled_mirrored([network], turned_over)[..., 8:17]
    assert torch.allclose(run_tiled_mirrored([network], plane), inside, atol=1e-6)


def test_rotated_networks_treat_rotated_pictures_alike():
    network, plane = initial_parameters(2, seed=3), torch.rand(1, 2, 9, 9)
    result = [remove_noise(rotated, plane) for rotated in rotations(network)]
    expected = []
    for swapped in (plane, plane.transpose(-1, -2)):
        for flips in ((), (-1,), (-2,), (-2, -1)):
            back = remove_noise(network, swapped.flip(flips)).flip(flips)
            expected.append(back if swapped is plane else back.transpose(-1, -2))
    assert all(any(torch.allclose(f, w, atol=1e-6) for w in expected) for f in result)
    assert all(any(torch.allclose(f, w, atol=1e-6) for f in result) for w in expected)


def test_the_inner_loss_is_the_loss_without_the_border():
    parameters = [parameter.double() for parameter in initial_parameters(3, seed=0)]
    y = torch.rand(1, 3, 20, 16, dtype=torch.float64)

    def crop(x, edge):
        return x[..., edge:-edge, edge:-edge]

    first, second = zs_n2n_module.pair_downsample(y)
    clean, clean_first, clean_second = (remove_noise(parameters, x) for x in (y, first, second))
    down_first, down_second = zs_n2n_module.pair_downsample(clean)
    terms = [(clean_first, second), (clean_second, first)]
    terms += [(clean_first, down_first), (clean_second, down_second)]
    expected = sum((crop(a, 2) - crop(b, 2)).square().mean() for a, b in terms) / 2
    assert inner_pair_loss(parameters, y).item() == pytest.approx(expected.item())


def test_crops_come_from_all_over():
    planes = torch.arange(2 * 50 * 60.0).view(2, 1, 50, 60)
    generator = torch.manual_seed(0)
    values = torch.cat([random_crops(planes, generator).flatten() for _ in range(60)]).unique()
    assert len(values) > 0.95 * planes.numel()
    side = zs_n2n_module.CROP
    assert random_crops(planes, generator).shape == (zs_n2n_module.BATCH, 1, side, side)
    assert sorted(random_crops(planes[:, :, :2], generator).shape[-2:]) == [2, 60]


def test_a_step_is_as_long_in_each_direction():
    matrix = torch.randn(48, 20, generator=torch.manual_seed(0)) @ torch.diag(
        torch.logspace(0, -1, 20)
    )
    result = torch.linalg.svdvals(orthogonalize(matrix))
    assert ((result > 0.6) & (result < 1.3)).all()
    assert not orthogonalize(torch.zeros(3, 4)).any()


def test_too_little_memory_is_said_before_the_start(monkeypatch):
    monkeypatch.setattr(memory, "used_bytes", lambda device: 0)
    monkeypatch.setattr(memory, "available_bytes", lambda device: 2**30)
    planes = torch.zeros(1, 1, 1, 1).expand(1, 3, 1000, 1500)
    with pytest.raises(MemoryShortageError, match="choose zs-n2n-fast") as caught:
        fit(zs_n2n, planes)
    assert str(caught.value) == (
        "`method` must fit in memory, got zs-n2n, which needs 1.8 GiB for 1500 × 1000 pixels where "
        "there are 0.8; choose zs-n2n-fast"
    )
    monkeypatch.setattr(memory, "used_bytes", lambda device: 2**29)
    with pytest.raises(MemoryShortageError, match=r"there are 0\.0; choose"):
        fit(zs_n2n, planes[..., :100, :100], memory=0.52)  # the whole process may take
    fit(zs_n2n_fast, planes[..., :100, :100])
