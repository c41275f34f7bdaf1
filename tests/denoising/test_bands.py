"""Rows are filtered in bands where a picture does not fit in memory at once."""

import json
import subprocess
import sys

import pytest
import torch
from scenes import scene
from torch.nn import functional as F

import impasto
from impasto.denoising import filter_plan
from impasto.denoising import nl_wiener as module
from impasto.denoising.filter_plan import FilterPlan, plan_filter
from impasto.denoising.noise import white_noise
from impasto.images.image import Image
from impasto.recipes import DenoiseRecipe

CPU = torch.device("cpu")


def correlated(height, width):
    """A photo whose neighbors share the noise."""
    blur = torch.tensor([1.0, 2, 1])[:, None] * torch.tensor([1.0, 2, 1]) / 6
    wide = torch.randn(3, 1, height + 2, width + 2, generator=torch.manual_seed(0))
    noise = 0.05 * F.conv2d(wide, blur[None, None])[:, 0]
    return Image((scene(3, height, width, 0) + noise).clamp(0, 1))


@pytest.fixture
def banded(monkeypatch):
    """Denoise at once, and in bands."""

    def denoise(picture, bands, **options):
        whole = impasto.denoise(picture, **options)
        with monkeypatch.context() as patch:
            patch.setattr(module, "plan_filter", lambda *_: FilterPlan(bands, 0))
            steps = []
            parts = impasto.denoise(picture, on_step=steps.append, **options)
        assert torch.equal(parts.clean, whole.clean)
        shares = [step.evaluation / step.evaluations for step in steps]
        assert shares == sorted(set(shares))
        assert shares[-1] == 1
        assert len(steps) >= bands
        return whole, steps

    return denoise


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_bands_are_the_same_bytes(banded, channels):
    result, _ = banded(scene(channels, 333, 150), 3, effort="quick")
    assert result.method == "nl-wiener"


def test_bands_of_noise_that_neighbors_share_are_the_same_bytes(banded):
    result, _ = banded(correlated(390, 401), 4, effort="quick")
    assert result.diagnosis.kind == "correlated"


def test_bands_of_a_part_are_the_same_bytes(banded):
    banded(scene(1, 333, 150), 3, effort="quick", crop=(10, 31, 120, 203))
    banded(correlated(410, 401), 3, effort="quick", crop=(190, 201, 33, 90))


def test_bands_that_are_not_done_yet_are_shown_noisy(banded):
    noisy = scene(1, 333, 150)
    _, steps = banded(noisy, 3, effort="quick")
    picture = steps[1].picture()  # by when the first band is done
    assert picture.shape == noisy.shape


def test_a_stopped_run_has_the_bands_that_were_done(monkeypatch):
    noisy = scene(1, 333, 150)
    whole = impasto.denoise(noisy, effort="quick")
    monkeypatch.setattr(module, "plan_filter", lambda *_: FilterPlan(3, 0))

    def stop(step):
        if step.evaluation == 2:  # both passes of the first band
            raise StopIteration

    part = impasto.denoise(noisy, effort="quick", on_step=stop)
    assert part.stopped
    assert torch.equal(part.clean[:, :112], whole.clean[:, :112])
    assert torch.allclose(part.clean[:, 112:], noisy[:, 112:].clamp(*part.clean.aminmax()))


def free(monkeypatch, gib):
    monkeypatch.setattr(filter_plan, "free_bytes", lambda *_: round(gib * 2**30))


def test_less_memory_makes_more_bands(monkeypatch):
    noise, recipe = white_noise(0, 0.01, 3), DenoiseRecipe()
    plans = []
    for gib in (20, 1.2, 1, 0.7):
        free(monkeypatch, gib)
        plans.append(plan_filter((3, 4000, 6000), noise, recipe, CPU))
        assert plans[-1].memory <= gib * 2**30
    bands = [plan.bands for plan in plans]
    assert bands == sorted(set(bands))


@pytest.mark.parametrize("crop", ["whole", (0, 0, 3000, 2000)])
def test_too_little_memory_is_refused_in_one_sentence(monkeypatch, crop):
    free(monkeypatch, 0.1)
    noise, recipe = white_noise(0, 0.01, 3), DenoiseRecipe(crop=crop)
    with pytest.raises(impasto.MemoryShortageError, match=r"nl-wiener, which needs 0\.\d+ GiB"):
        plan_filter((3, 4000, 6000), noise, recipe, CPU)


def test_the_option_memory_is_obeyed():
    with pytest.raises(impasto.MemoryShortageError, match=r"measured where there are 0\.00; raise"):
        impasto.denoise(scene(1, 100, 100), memory=0.01)


MEASURE = """
import json, sys, torch, impasto
from pathlib import Path
from impasto.denoising import fitted, nl_wiener as module
fitted._check_memory = lambda *_: None  # the filter alone
noisy = torch.rand(3, 2000, 3000, generator=torch.manual_seed(0)) * 0.2 + 0.4
impasto.denoise(noisy[:, :64, :64].clone(), effort="quick", method="nl-wiener")
plan_filter, plans = module.plan_filter, []
def plan(*arguments):
    plan = plan_filter(*arguments)
    plans.append({"used": impasto.memory.used_bytes(), **plan._asdict()})
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak of the diagnosis
    return plan
module.plan_filter = plan
limit = float(sys.argv[1]) if sys.argv[1] != "auto" else "auto"
result = impasto.denoise(noisy, effort="quick", method="nl-wiener", memory=limit)
lines = Path("/proc/self/status").read_text().splitlines()
peak = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
digest = impasto.images.image.pixel_hash([result.clean])
print(json.dumps({**plans[-1], "peak": peak, "digest": digest}))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_no_more_memory_is_taken_than_planned():
    def measure(limit):
        run = subprocess.run(
            [sys.executable, "-c", MEASURE, str(limit)], capture_output=True, text=True, check=True
        )
        return json.loads(run.stdout)

    whole = measure("auto")
    assert whole["bands"] == 1
    taken = whole["peak"] - whole["used"]
    assert 0.5 * whole["memory"] < taken < 1.1 * whole["memory"]
    limit = (whole["used"] + 0.6 * whole["memory"]) / 2**30
    bands = measure(limit)
    assert bands["bands"] > 1
    assert bands["digest"] == whole["digest"]
    assert bands["peak"] < 1.1 * limit * 2**30


def test_a_large_picture_is_filtered_in_bands_where_memory_is_free():
    device, noise = torch.device("cpu"), white_noise(0, 0.01, 3)
    small, large = (
        plan_filter((3, *size), noise, DenoiseRecipe(), device)
        for size in ((1000, 1000), (4000, 6000))
    )
    assert small.bands == 1 < large.bands
    assert large.memory < 1.5 * 2**30
