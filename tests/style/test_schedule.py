"""Effort: how many evaluations each scale gets, of which layers, and when it ends sooner."""

import pytest
import torch

import impasto
from impasto.recipes import StyleRecipe, TextureRecipe
from impasto.style.schedule import EFFORTS, make_stages, most_evaluations
from impasto.style.spec import coarse_spec, shallow_spec, style_spec, texture_spec

CONTENT = torch.rand(3, 96, 128, generator=torch.Generator().manual_seed(1))
STYLE = torch.rand(3, 96, 96, generator=torch.Generator().manual_seed(2))
FAST = {"weights": "oxford", "precision": "float32", "device": "cpu"}


def stages(size, **options):
    return make_stages(style_spec(StyleRecipe(**options)), size)


def test_more_effort_is_more_evaluations_at_every_scale():
    quick, balanced, best = (stages((384, 288), effort=effort) for effort in EFFORTS)
    assert [stage.size for stage in balanced] == [(96, 72), (192, 144), (384, 288)]
    assert quick[-1].evaluations < balanced[-1].evaluations
    assert all(a.evaluations < b.evaluations for a, b in zip(balanced, best, strict=True))
    for less, more in ((quick, balanced), (balanced, best)):
        assert all(a.tolerance >= b.tolerance for a, b in zip(less, more, strict=True))


def test_the_last_scale_of_the_whole_network_gets_most():
    large = stages((2048, 1365), effort="balanced")
    assert [stage.shallow for stage in large] == [False, False, False, True, True]
    effort = EFFORTS["balanced"]
    counts = [stage.evaluations for stage in large]
    assert counts == [effort.first, effort.coarse, effort.finest, effort.shallow, effort.shallow]


def test_a_number_of_steps_is_spent_whole_by_all_layers():
    planned = stages((2048, 1536), steps=40)
    assert sum(stage.evaluations for stage in planned) == 40
    assert not any(stage.shallow or stage.tolerance for stage in planned)


def test_large_sizes_are_painted_by_shallow_layers():
    planned = stages((4096, 2741))
    assert [stage.shallow for stage in planned] == [max(s.size) > 768 for s in planned]
    assert not any(stage.shallow for stage in stages((768, 512)))
    # Nothing to leave out, or nothing shallow to match.
    for layers in ({"relu5_1": 1.0}, {}):
        assert not any(stage.shallow for stage in stages((2048, 1024), style_layers=layers))
    assert not any(stage.shallow for stage in stages((2048, 1024), style_loss="gram-paper"))


def test_the_only_scale_gets_more():
    (alone,) = stages((512, 384), scales=1)
    assert alone.evaluations == EFFORTS["balanced"].alone


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
@pytest.mark.parametrize("init", ["recolored", "noise"])
def test_no_run_takes_more_than_the_most(optimizer, init):
    recipe = StyleRecipe(optimizer=optimizer, init=init)
    for size in ((128, 96), (512, 384), (65_536, 40_000)):
        planned = make_stages(style_spec(recipe), size)
        assert sum(stage.evaluations for stage in planned) <= most_evaluations(recipe)
    texture = TextureRecipe(optimizer=optimizer)
    planned = make_stages(texture_spec(texture), (65_536, 65_536))
    assert sum(stage.evaluations for stage in planned) <= most_evaluations(texture)


def test_shallow_layers_keep_the_weight_of_all():
    spec = style_spec(StyleRecipe(style_layers={"relu1_1": 1, "relu3_1": 3, "relu5_1": 4}))
    shallow = shallow_spec(spec)
    assert shallow.style_layers == {"relu1_1": 0.25, "relu3_1": 0.75}
    assert shallow.layers == ("relu3_1", "relu1_1", "relu3_1")
    no_content = shallow_spec(style_spec(StyleRecipe(strength=1.0)))
    assert no_content.content_layers == {}


def test_composition_is_what_coarse_scales_know_of_deep_layers():
    weights = [
        list(coarse_spec(style_spec(StyleRecipe(composition=c)), (128, 96)).style_layers.values())
        for c in (0.0, 0.5, 1.0)
    ]
    assert weights[2] == pytest.approx([0.2] * 5)
    assert weights[0][:3] == weights[1][:3] == pytest.approx([0.2] * 3)
    assert weights[0][4] < weights[1][4] < weights[2][4]
    paper = style_spec(StyleRecipe(style_loss="gram-paper"))
    assert coarse_spec(paper, (128, 96)) is paper


def test_a_scale_ends_when_its_loss_no_longer_falls():
    flat = torch.full((3, 48, 48), 0.5)
    flat[:, :, 24:] = 0.6
    result = impasto.stylize(flat, STYLE, size=48, strength=0.05, **FAST)
    assert 10 <= result.evaluations < EFFORTS["balanced"].alone
    losses = [step["total"] for step in result.history]
    assert min(losses[:-5]) - min(losses) < 5 * EFFORTS["balanced"].tolerance * min(losses)


def test_a_large_picture_is_painted_through_shallow_layers(monkeypatch):
    effort = EFFORTS["balanced"]._replace(whole_side=100, finest=3, shallow=2)
    monkeypatch.setattr("impasto.style.schedule.EFFORTS", {**EFFORTS, "balanced": effort})
    result = impasto.stylize(CONTENT, STYLE, size=128, scales=2, **FAST)
    assert result.size == (128, 96)
    assert result.scale_starts == (0, 3)
    assert result.evaluations == 5
    again = impasto.stylize(CONTENT, STYLE, recipe=result.recipe)
    assert torch.equal(again.pixels, result.pixels)
