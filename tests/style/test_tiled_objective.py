"""The objective in tiles is the objective: every loss, odd sizes, masks, styles of other sizes."""

import pytest
import torch

from impasto.presets import style_recipe
from impasto.style import features as room
from impasto.style.features import load_network, style_statistics
from impasto.style.losses import wasserstein_relative
from impasto.style.objective import build_objective
from impasto.style.spec import style_spec
from impasto.style.statistics import moments
from impasto.style.terms import Region

OBJECTIVES = {
    "default": {},
    "gram": {"style_loss": "gram"},
    "gram+mean+std": {"style_loss": "gram+mean+std", "pooling": "average"},
    "gatys": {"preset": "gatys"},
    "notebook": {"preset": "notebook", "content_layers": {"conv4_2": 1.0}},
    "with total variation": {"tv_weight": 3.0, "padding": "zeros"},
    "content only": {"strength": 0.0},
    "style only": {"strength": 1.0},
}


def picture(height, width, seed):
    """Smooth noise: large shapes as well as grain."""
    generator = torch.Generator().manual_seed(seed)
    total = torch.zeros(3, height, width)
    for side in (4, 16, 64):
        coarse = torch.rand(1, 3, side, side, generator=generator)
        total += torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")[0]
    return (total / 3).clamp(0, 1)


CONTENT, START, STYLE = picture(101, 119, 1), picture(101, 119, 2), picture(121, 90, 3)
MASK = picture(101, 119, 4)[0].clamp(0.1, 0.9) - 0.1


def objective(recipe, mask, tile, dtype=torch.float32):
    spec = style_spec(recipe)
    network = load_network(spec, torch.device("cpu"), dtype)
    targets = style_statistics(network, STYLE, None, list(spec.style_layers), tile)
    regions = [Region(mask, 1.0, targets)]
    return build_objective(
        spec, network, (119, 101), tile, regions=regions, content=CONTENT, mask=mask
    )


def content_target(objective):
    """The features that the content term compares with."""
    (term,) = (term for term in objective.feature_terms if term.name == "content")
    return term.targets["relu1_2"]


@pytest.mark.parametrize("mask", [None, MASK], ids=["opaque", "masked"])
@pytest.mark.parametrize("options", OBJECTIVES.values(), ids=OBJECTIVES)
def test_tiles_give_the_whole_pictures_loss_and_gradient(options, mask):
    recipe = style_recipe(**options)
    losses, gradient, _ = objective(recipe, mask, None)(START)
    for tile in (64,):
        tiled_losses, tiled_gradient, _ = objective(recipe, mask, tile)(START)
        assert tiled_losses == pytest.approx(losses, rel=1e-5)
        assert (tiled_gradient - gradient).norm() < 1e-5 * gradient.norm()
        # Nowhere worse than elsewhere: borders of tiles included.
        assert (tiled_gradient - gradient).abs().max() < 1e-4 * gradient.abs().max()


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(options, id=name, marks=() if name == "default" else pytest.mark.slow)
        for name, options in OBJECTIVES.items()
    ],
)
def test_the_gradient_is_the_losss_slope(options):
    recipe = style_recipe(**options)
    evaluate = objective(recipe, MASK, 64, torch.float64)
    losses, gradient, _ = evaluate(START.double())
    direction = gradient / gradient.norm()
    ahead, behind = (evaluate(START + sign * 1e-5 * direction)[0].total for sign in (1, -1))
    # What the Wasserstein distance's gradient leaves out as noise is still in its value.
    exactness = 5e-3 if recipe.style_loss == "wasserstein" else 1e-4
    assert (ahead - behind) / 2e-5 == pytest.approx(gradient.norm().item(), rel=exactness)
    parts = sum(loss for name, loss in losses.items() if name != "total")
    assert parts == pytest.approx(losses["total"], rel=1e-9)
    assert ("total_variation" in losses) == (recipe.tv_weight > 0)


def test_the_loss_is_what_its_formula_says():
    recipe = style_recipe()
    spec = style_spec(recipe)
    network = load_network(spec, torch.device("cpu"), torch.float64)
    mine, target, style = (network(p.double()) for p in (START, CONTENT, STYLE))
    expected = sum(
        weight * wasserstein_relative(moments(mine[layer]), moments(style[layer]))
        for layer, weight in spec.style_layers.items()
    )
    found = objective(recipe, None, 80, torch.float64)(START.double())[0]
    assert found["style"] == pytest.approx(expected.item(), rel=1e-6)
    difference = (mine["relu4_2"] - target["relu4_2"]).square().sum()
    content = difference / target["relu4_2"].square().sum()
    assert found["content"] == pytest.approx(
        spec.content_layers["relu4_2"] * content.item(), rel=1e-6
    )


def test_running_out_of_memory_halves_the_tile_and_changes_nothing(monkeypatch):
    recipe = style_recipe(style_layers={"relu1_1": 1, "relu2_1": 1}, content_layers={"relu2_2": 1})
    evaluate = objective(recipe, None, None)
    losses, gradient, _ = evaluate(START)
    forward = evaluate.tiled.network.forward

    def starved(x, *rest):
        if x.shape[1] == 3 and x.shape[2] * x.shape[3] > 100**2:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return forward(x, *rest)

    monkeypatch.setattr(evaluate.tiled.network, "forward", starved)
    again, tiled, _ = evaluate(START)
    assert evaluate.tiled.tile == 48
    assert again == pytest.approx(losses, rel=1e-5)
    assert (tiled - gradient).norm() < 1e-5 * gradient.norm()


def test_targets_are_computed_once_a_process(monkeypatch):
    recipe = style_recipe(style_layers={"relu1_1": 1}, content_layers={"relu1_2": 1})
    room._cache.clear()
    first = objective(recipe, None, None)
    calls = []
    monkeypatch.setattr(room.TiledNetwork, "forward", lambda *a, **k: calls.append(a))
    second = objective(recipe, None, None)
    assert not calls
    assert content_target(second) is content_target(first)
    with pytest.raises(KeyError):  # another network: nothing is known, and the sweep is a dummy
        objective(recipe.model_copy(update={"padding": "zeros"}), None, None)
    assert calls


def test_the_shelf_of_targets_has_a_limit(monkeypatch):
    room._cache.clear()
    monkeypatch.setattr(room, "_MAX_BYTES", 1000)
    monkeypatch.setattr(room, "_MAX_ENTRY_BYTES", 400)
    for number, size in enumerate((50, 90, 90, 90, 200)):  # 4 bytes each; the last is too large
        room._memoize(number, lambda size=size: {"a": torch.zeros(size)})
    assert list(room._cache) == [1, 2, 3] or list(room._cache) == [2, 3]
    assert sum(map(room._entry_bytes, room._cache.values())) <= 1000
    room._cache.clear()
