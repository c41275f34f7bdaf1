"""What was measured in a picture is not measured again."""

import pytest
import torch

import impasto
from impasto.denoising import fitted as module
from impasto.denoising.measurements import Measurements


@pytest.fixture
def count(monkeypatch):
    """The diagnoses that were made."""
    made, diagnose = [], module.diagnose_planes
    monkeypatch.setattr(
        module, "diagnose_planes", lambda *inputs: made.append(1) or diagnose(*inputs)
    )
    return made


def noisy(seed=0, sigma=0.05):
    clean = torch.linspace(0.3, 0.7, 210).expand(1, 200, 210)
    return clean + sigma * torch.randn(clean.shape, generator=torch.manual_seed(seed))


def test_the_next_run_measures_nothing_and_gives_the_same(count):
    shared = Measurements()
    impasto.denoise(noisy(), effort="quick", crop=(10, 20, 30, 40), measurements=shared)
    assert len(count) == 1
    for options in ({}, {"strength": 0.5}, {"crop": (50, 60, 20, 20)}):
        known = impasto.denoise(noisy(), effort="quick", measurements=shared, **options)
        assert len(count) == 1
        fresh = impasto.denoise(noisy(), effort="quick", **options)
        assert torch.equal(known.pixels, fresh.pixels)
        assert known.diagnosis.words == fresh.diagnosis.words
        count.pop()


def test_other_pictures_and_what_changes_the_measurement_are_measured(count):
    shared = Measurements()
    for number, (seed, options) in enumerate(
        [(0, {}), (1, {}), (0, {"sigma": 0.1}), (0, {"method": "nl-wiener"})], 1
    ):
        impasto.denoise(noisy(seed), effort="quick", measurements=shared, **options)
        assert len(count) == number


def test_regions_come_back_as_they_were(count):
    sigma = torch.where(torch.arange(380) < 190, 0.02, 0.12)
    image = 0.5 + sigma * torch.randn(1, 360, 380, generator=torch.manual_seed(1))
    shared, options = Measurements(), {"effort": "quick", "crop": (165, 160, 50, 40)}
    first = impasto.denoise(image, measurements=shared, **options)
    again = impasto.denoise(image, measurements=shared, **options)
    assert len(count) == 1
    assert len(again.diagnosis.region_sigmas) == 2
    assert torch.equal(first.diagnosis.noise.regions, again.diagnosis.noise.regions)
    assert torch.equal(first.clean, again.clean)


def test_the_oldest_are_forgotten(count):
    shared = Measurements(limit=2 * 2**16)
    for seed in (0, 1, 2, 2, 1, 0):
        impasto.denoise(noisy(seed)[:, :64, :64].clone(), measurements=shared)
    assert len(count) == 4


def test_planes_of_a_stack_are_told_apart(count):
    stack = torch.cat([noisy(0), noisy(1, 0.1)])
    shared = Measurements()
    for _ in range(2):
        result = impasto.denoise(stack, axes="ZYX", effort="quick", measurements=shared)
        sigmas = [plane.sigma[0] for plane in result.diagnosis.planes]
        assert sigmas == pytest.approx([0.05, 0.1], rel=0.1)
    assert len(count) == 2
