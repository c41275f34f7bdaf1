"""The plan of a run: what fits, what a run makes of it, what is refused before any work."""

import pytest
import torch

import impasto
from impasto.errors import MemoryShortageError
from impasto.presets import style_recipe
from impasto.recipes import ReconstructRecipe
from impasto.style import plan as room
from impasto.style import stylize as painting
from impasto.style.features import load_network
from impasto.style.plan import make_plan
from impasto.style.reconstruct import plan_reconstruction
from impasto.style.spec import reconstruct_spec, style_spec
from impasto.style.stylize import plan_style

GIB = 2**30
CPU = torch.device("cpu")
CONTENT = torch.rand(3, 150, 200, generator=torch.Generator().manual_seed(1))
STYLE = torch.rand(3, 90, 80, generator=torch.Generator().manual_seed(2))


@pytest.fixture
def machine(monkeypatch):
    """A machine with as much memory free as a test likes, in GiB."""

    def make(free, held=0.0):
        monkeypatch.setattr(room, "available_bytes", lambda device: round(free * GIB))
        monkeypatch.setattr(room, "used_bytes", lambda device: round(held * GIB))

    return make


def planned(size, **options):
    spec = style_spec(style_recipe(**options))
    network = load_network(spec, CPU, torch.float32)
    return make_plan(spec, network, size, lambda scale: [(300, 200)])


def test_a_small_picture_is_painted_whole_and_the_sizes_are_the_pyramids(machine):
    machine(8)
    found = planned((512, 384), steps=100)
    assert found.sizes == [(128, 96), (256, 192), (512, 384)]
    assert sum(scale.evaluations for scale in found.scales) == 100
    assert [scale.tile for scale in found.scales] == [None] * 3
    assert [scale.tiles for scale in found.scales] == [1] * 3
    assert found.history == 10
    assert found.seconds is None


def test_less_memory_means_smaller_tiles_within_it(machine):
    sides = []
    for free in (30, 9, 5, 4):
        machine(free)
        found = planned((4096, 3072), steps=200, history=5)
        assert found.memory <= found.budget <= free * GIB
        sides.append(found.scales[-1].tile)
        assert found.scales[-1].tiles == pytest.approx(4096 * 3072 / sides[-1] ** 2, rel=0.4)
    assert sides == sorted(sides, reverse=True)
    assert sides[0] > sides[-1]


def test_no_more_is_taken_than_is_of_use(machine):
    machine(500)
    assert planned((4096, 3072)).memory < 8 * GIB


def test_where_pairs_do_not_fit_there_are_fewer(machine):
    machine(4)
    found = planned((4096, 2731), steps=300)
    assert 1 <= found.history < 8
    machine(100)
    assert planned((4096, 2731), steps=300).history == 10


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs", "lbfgs-clamped"])
def test_every_size_can_be_planned_without_a_picture(machine, optimizer):
    machine(10_000)
    found = planned((65_536, 49_152), optimizer=optimizer, steps=300)
    assert found.scales[-1].size == (65_536, 49_152)
    assert found.scales[-1].tiles > 1000
    assert found.memory == found.scales[-1].memory


def test_memory_the_user_allows_is_the_whole_process(machine):
    machine(100, held=0.5)
    assert planned((2048, 1536), memory=3).budget == 3 * GIB
    machine(1, held=0.5)
    assert planned((1024, 768), memory=64, steps=20).budget <= 1.5 * GIB


def test_too_little_memory_is_said_before_any_work(machine):
    machine(100)
    with pytest.raises(MemoryShortageError, match=r"`memory` must be at least .* for 4096 × 3072"):
        planned((4096, 3072), memory=0.5)
    machine(0.2)
    with pytest.raises(MemoryShortageError, match="`size` must leave room for the smallest tiles"):
        planned((4096, 3072))


def test_fewer_evaluations_than_scales_drop_the_coarse_ones(machine):
    machine(8)
    assert planned((512, 384), steps=1).sizes == [(512, 384)]
    assert planned((512, 384), steps=2).sizes == [(256, 192), (512, 384)]


@pytest.mark.slow
def test_a_run_follows_its_plan_and_tiles_change_nothing_but_rounding(monkeypatch):
    options = {"size": 200, "steps": 6, "precision": "float32", "device": "cpu", "scales": 1}
    whole = impasto.stylize(CONTENT, STYLE, **options)
    seen = []
    build_objective = painting.build_objective

    def watched(spec, network, size, tile, **options):
        seen.append(tile)
        return build_objective(spec, network, size, tile, **options)

    monkeypatch.setattr(painting, "build_objective", watched)
    monkeypatch.setattr(room._MemoryModel, "_is_useful", lambda self, tiled: tiled.tile == 128)
    tiled = impasto.stylize(CONTENT, STYLE, **options)
    assert seen == [128]
    assert (tiled.pixels - whole.pixels).abs().mean() < 1e-3
    # Steps of L-BFGS amplify rounding, on one thread more than on two.
    assert tiled.losses["total"] == pytest.approx(whole.losses["total"], rel=1e-3)


def test_a_plan_is_what_the_run_does_and_says_how_long():
    options = {"size": 64, "steps": 5, "precision": "float32", "device": "cpu"}
    found = plan_style(CONTENT, STYLE, **options)
    result = impasto.stylize(CONTENT, STYLE, **options)
    assert found.sizes[-1] == result.size
    assert sum(scale.evaluations for scale in found.scales) == result.evaluations
    assert found.seconds > 0
    assert (found.device, found.precision) == ("cpu", "float32")
    again = plan_reconstruction(CONTENT, kind="texture", layer="conv2_1", **options)
    assert again.seconds > 0


def test_a_reconstruction_of_features_has_one_size(machine):
    machine(8)
    spec = reconstruct_spec(ReconstructRecipe(layer="conv3_1"))
    network = load_network(spec, CPU, torch.float32)
    assert make_plan(spec, network, (512, 384), lambda scale: []).sizes == [(512, 384)]
