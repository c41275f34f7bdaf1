"""ZS-N2N trained on a picture: as published, and faster."""

import pytest
import torch

from impasto.denoising import zs_n2n as training
from impasto.denoising.application import run_tiled, run_tiled_mirrored
from impasto.denoising.muon import orthogonalize
from impasto.denoising.network import denoised, initial_parameters, rotated
from impasto.denoising.watch import Watch
from impasto.denoising.zs_n2n import crops, inner_pair_loss, pair_loss, zs_n2n, zs_n2n_fast
from impasto.errors import MemoryShortageError
from impasto.metrics import psnr
from impasto.recipes import DenoiseRecipe

METHODS = [zs_n2n, zs_n2n_fast]


@pytest.fixture(autouse=True)
def brief(monkeypatch):
    """Trainings short enough for a test."""
    monkeypatch.setattr(training, "STEPS", 40)
    monkeypatch.setattr(training, "BATCH", 4)
    monkeypatch.setattr(training, "FAST_STEPS", {"quick": 10, "balanced": 40, "best": 50})


def drawing(channels=3, side=32):
    """Smooth shades with an edge, and the same with noise."""
    y, x = torch.meshgrid(torch.linspace(0, 1, side), torch.linspace(0, 1, side), indexing="ij")
    clean = torch.stack(
        [0.3 + 0.3 * (x > 0.5) + 0.2 * y * (c + 1) / channels for c in range(channels)]
    )
    return clean, clean + 0.1 * torch.randn(clean.shape, generator=torch.manual_seed(0))


def trained(method, planes, watch=None, **options):
    """What a method makes of planes."""
    options = {"device": "cpu"} | options
    return method(planes, None, DenoiseRecipe(**options), watch or Watch(None, (1, 1)))


@pytest.mark.parametrize("method", METHODS)
def test_noise_is_taken_away(method, monkeypatch):
    monkeypatch.setattr(training, "RATE", 5e-3)  # the published one wants more steps
    monkeypatch.setattr(training, "FAST_STEPS", {"balanced": 120})
    monkeypatch.setattr(training, "BATCH", 10)
    clean, noisy = drawing()
    found = trained(method, noisy[None])(noisy)
    assert psnr(found, clean) > psnr(noisy, clean) + 2.5


@pytest.mark.parametrize("method", METHODS)
def test_a_seed_decides_every_byte(method):
    noisy = drawing(1)[1]
    first, same = (trained(method, noisy[None])(noisy) for _ in range(2))
    assert torch.equal(first, same)
    assert not torch.equal(first, trained(method, noisy[None], seed=1)(noisy))


@pytest.mark.parametrize("method", METHODS)
def test_who_watches_sees_each_step_and_may_stop(method):
    noisy = drawing(1)[1]
    steps = []

    def stop_at_seven(step):
        steps.append(step)
        if step.evaluation == 7:
            raise StopIteration

    clean = trained(method, noisy[None], Watch(stop_at_seven, (32, 32)))
    assert [step.evaluation for step in steps] == [1, 2, 3, 4, 5, 6, 7]
    assert (steps[0].evaluations, steps[0].left) == (40, 39)
    assert torch.equal(steps[-1].picture(), clean(noisy))


def test_effort_changes_the_fast_way_alone():
    noisy = drawing(1, 12)[1]

    def count(method, effort):
        steps = []
        trained(method, noisy[None], Watch(steps.append, (32, 32)), effort=effort)
        return len(steps)

    assert [count(zs_n2n_fast, effort) for effort in ("quick", "balanced", "best")] == [10, 40, 50]
    assert [count(zs_n2n, effort) for effort in ("quick", "best")] == [40, 40]


def test_the_published_way_is_adam_on_the_whole_picture(monkeypatch):
    monkeypatch.setattr(training, "HALVED", 3)
    monkeypatch.setattr(training, "STEPS", 5)
    noisy = drawing()[1]
    parameters = [one.requires_grad_() for one in initial_parameters(3, seed=2)]
    adam = torch.optim.Adam(parameters)
    for step in range(5):
        adam.param_groups[0]["lr"] = 1e-3 if step < 3 else 5e-4
        adam.zero_grad()
        pair_loss(parameters, noisy[None]).backward()
        adam.step()
    wanted = denoised(parameters, noisy[None])[0].detach()
    assert torch.allclose(trained(zs_n2n, noisy[None], seed=2)(noisy), wanted, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "shape", [(1, 1, 2), (3, 3, 5), (2, 1, 300), (1, 300, 2), (4, 21, 11), (1, 20, 25), (7, 2, 2)]
)
def test_thin_and_tiny_planes(method, shape, monkeypatch):
    monkeypatch.setattr(training, "STEPS", 3)
    monkeypatch.setattr(training, "FAST_STEPS", {"balanced": 3})
    noisy = torch.rand(shape, generator=torch.manual_seed(0))
    found = trained(method, noisy[None])(noisy)
    assert found.shape == noisy.shape
    assert found.isfinite().all()
    assert not torch.equal(found, noisy)


@pytest.mark.parametrize("method", METHODS)
def test_a_single_pixel_comes_back(method):
    noisy = torch.rand(3, 1, 1)
    assert torch.equal(trained(method, noisy[None])(noisy), noisy)


def test_a_thin_plane_is_cleaned_too(monkeypatch):
    monkeypatch.setattr(training, "FAST_STEPS", {"balanced": 120})
    clean = torch.linspace(0, 1, 2000).expand(1, 1, 2000)
    noisy = clean + 0.1 * torch.randn(clean.shape, generator=torch.manual_seed(0))
    assert psnr(trained(zs_n2n_fast, noisy[None])(noisy), clean) > psnr(noisy, clean) + 1


@pytest.mark.parametrize("method", METHODS)
def test_planes_are_trained_on_together(method):
    noisy = drawing(1)[1]
    both = torch.stack([noisy, noisy.flip(-1) * 0.5])
    clean = trained(method, both)
    assert not torch.equal(clean(noisy), trained(method, both[:1])(noisy))
    assert clean(both[1]).shape == noisy.shape


@pytest.mark.parametrize("size", [(40, 40), (33, 50), (7, 100)])
def test_tiles_change_nothing(size):
    networks = [initial_parameters(3, seed=0), initial_parameters(3, seed=1)]
    plane = torch.rand(3, *size)
    whole = sum(denoised(one, plane[None])[0] for one in networks) / 2
    assert torch.allclose(run_tiled(networks, plane, tile=16), whole, atol=1e-6)


def test_beyond_the_border_lies_a_mirror():
    network = initial_parameters(1, seed=0)
    plane = torch.rand(1, 12, 9)
    turned_over = torch.cat([plane.flip(-1)[..., :-1], plane, plane.flip(-1)[..., 1:]], -1)
    inside = run_tiled_mirrored([network], turned_over)[..., 8:17]
    assert torch.allclose(run_tiled_mirrored([network], plane), inside, atol=1e-6)


def test_turned_networks_see_turned_pictures():
    network, plane = initial_parameters(2, seed=3), torch.rand(1, 2, 9, 9)
    found = [denoised(one, plane) for one in rotated(network)]
    wanted = []
    for swapped in (plane, plane.transpose(-1, -2)):
        for flips in ((), (-1,), (-2,), (-2, -1)):
            back = denoised(network, swapped.flip(flips)).flip(flips)
            wanted.append(back if swapped is plane else back.transpose(-1, -2))
    assert all(any(torch.allclose(f, w, atol=1e-6) for w in wanted) for f in found)
    assert all(any(torch.allclose(f, w, atol=1e-6) for f in found) for w in wanted)


def test_the_inner_loss_is_the_loss_without_the_border():
    parameters = [one.double() for one in initial_parameters(3, seed=0)]
    y = torch.rand(1, 3, 20, 16, dtype=torch.float64)

    def kept(x, edge):
        return x[..., edge:-edge, edge:-edge]

    first, second = training.pair_downsampled(y)
    clean, clean_first, clean_second = (denoised(parameters, x) for x in (y, first, second))
    down_first, down_second = training.pair_downsampled(clean)
    terms = [(clean_first, second), (clean_second, first)]
    terms += [(clean_first, down_first), (clean_second, down_second)]
    wanted = sum((kept(a, 2) - kept(b, 2)).square().mean() for a, b in terms) / 2
    assert inner_pair_loss(parameters, y).item() == pytest.approx(wanted.item())


def test_crops_come_from_all_over():
    planes = torch.arange(2 * 50 * 60.0).view(2, 1, 50, 60)
    generator = torch.manual_seed(0)
    seen = torch.cat([crops(planes, generator).flatten() for _ in range(60)]).unique()
    assert len(seen) > 0.95 * planes.numel()
    side = training.CROP
    assert crops(planes, generator).shape == (training.BATCH, 1, side, side)
    assert sorted(crops(planes[:, :, :2], generator).shape[-2:]) == [2, 60]


def test_a_step_is_as_long_in_each_direction():
    matrix = torch.randn(48, 20, generator=torch.manual_seed(0)) @ torch.diag(
        torch.logspace(0, -1, 20)
    )
    found = torch.linalg.svdvals(orthogonalize(matrix))
    assert ((found > 0.6) & (found < 1.3)).all()
    assert not orthogonalize(torch.zeros(3, 4)).any()


def test_too_little_memory_is_said_before_the_start(monkeypatch):
    monkeypatch.setattr(training, "available_bytes", lambda device: 2**30)
    planes = torch.zeros(1, 1, 1, 1).expand(1, 3, 1000, 1500)
    with pytest.raises(MemoryShortageError, match="choose zs-n2n-fast") as caught:
        trained(zs_n2n, planes)
    assert str(caught.value) == (
        "`method` must fit in memory, got zs-n2n, which needs 1.8 GiB for 1500 × 1000 pixels where "
        "there are 0.8; choose zs-n2n-fast"
    )
    monkeypatch.setattr(training, "used_bytes", lambda device: 2**29)
    with pytest.raises(MemoryShortageError, match=r"there are 0\.0; choose"):
        trained(zs_n2n, planes[..., :100, :100], memory=0.52)  # the whole process may take
    trained(zs_n2n_fast, planes[..., :100, :100])
