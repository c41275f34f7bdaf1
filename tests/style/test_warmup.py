"""The warm-up: it leads to the goal, says the goal's own losses, and ends with the goal."""

import pytest
import torch

import impasto
from impasto.presets import style_recipe
from impasto.style.features import load_network, style_statistics
from impasto.style.objective import build_objective
from impasto.style.spec import style_spec
from impasto.style.stylize import plan_style
from impasto.style.terms import Region

GENERATOR = torch.Generator().manual_seed(0)
CONTENT, START, STYLE = (torch.rand(3, 70, 90, generator=GENERATOR) for _ in range(3))
GRAMS = {
    "gram": {"style_loss": "gram", "tv_weight": 0.5},
    "gram+mean+std": {"style_loss": "gram+mean+std"},
    "paper": {"preset": "gatys", "warmup": 0.5},
    "notebook": {"preset": "notebook", "warmup": 0.5},
}


def pair(options, style_mask=None):
    """A recipe's objective and its warm-up, in float64."""
    spec = style_spec(style_recipe(**options))
    network = load_network(spec, torch.device("cpu"), torch.float64)
    targets = style_statistics(network, STYLE, style_mask, list(spec.style_layers))
    both = (
        build_objective(
            spec,
            network,
            (90, 70),
            regions=[Region(None, 1.0, targets)],
            content=CONTENT,
            warmup=warmup,
        )
        for warmup in (False, True)
    )
    return spec, *both


def minimized_weights(objective):
    """The weights of the style term's layers in what is minimized."""
    (term,) = (term for term in objective.feature_terms if term.name == "style")
    return term.minimized_weights


@pytest.mark.parametrize("options", GRAMS.values(), ids=GRAMS)
def test_a_warm_up_says_the_goals_losses_and_follows_its_own_slope(options):
    _, own, warm = pair(options)
    pixels = START.double()
    plain, led = own(pixels), warm(pixels)
    assert led.losses == pytest.approx(plain.losses, rel=1e-9)
    assert plain.value == plain.losses["total"]
    direction = led.gradient / led.gradient.norm()
    ahead, behind = (warm(pixels + sign * 1e-5 * direction).value for sign in (1, -1))
    # What the Wasserstein distance's gradient leaves out as noise is still in its value.
    assert (ahead - behind) / 2e-5 == pytest.approx(led.gradient.norm().item(), rel=1e-2)


def test_layers_count_by_their_share_and_shallow_ones_a_little_more():
    _, _, warm = pair(GRAMS["gram"])
    assert sum(minimized_weights(warm).values()) == pytest.approx(1)
    assert list(minimized_weights(warm).values()) == pytest.approx([0.2] * 5)  # relative: all alike
    options = {"style_layers": {"relu1_1": 1, "relu3_1": 10, "relu5_1": 0.1}, "style_loss": "gram"}
    weights = minimized_weights(pair(options)[2])
    assert weights["relu3_1"] > weights["relu1_1"] > weights["relu5_1"]
    assert weights["relu1_1"] == pytest.approx(0.3 * weights["relu3_1"])
    assert weights["relu5_1"] == pytest.approx(0.01 * weights["relu3_1"])


def test_a_style_that_is_not_there_is_no_ones_aim():
    _, _, warm = pair(GRAMS["gram"], style_mask=torch.zeros(70, 90))
    found = warm(START)
    assert torch.isfinite(found.gradient).all()


def test_only_what_matches_gram_matrices_warms_up():
    assert style_spec(style_recipe(style_loss="gram")).warmup == 0.75
    assert not any(
        style_spec(style_recipe(**options)).warmup
        for options in (
            {},
            {"preset": "notebook"},
            {"preset": "gatys"},
            {"style_loss": "gram", "warmup": 0.0},
            {"style_loss": "gram", "strength": 0.0},
        )
    )


def test_the_finest_size_ends_with_the_goal_itself():
    options = {"style_loss": "gram", "size": 90, "steps": 9, "scales": 1, "device": "cpu"}
    found = [
        [(scale.warmup, scale.evaluations) for scale in plan_style(CONTENT, STYLE, **more).scales]
        for more in (
            options,
            {**options, "warmup": 1.0},
            {**options, "steps": 1},
            {**options, "scales": 2, "size": 200},
            {**options, "warmup": 0.0},
        )
    ]
    assert found[:3] == [[(True, 7), (False, 2)], [(True, 8), (False, 1)], [(False, 1)]]
    assert [warm for warm, _ in found[3]] == [True, True, False]
    assert found[4] == [(False, 9)]


def test_a_warm_up_lowers_the_notebooks_loss_sooner():
    options = {
        "content_layers": {"conv4_2": 1.0},
        "style_layers": dict.fromkeys(("conv1_1", "conv2_1", "conv3_1", "conv4_1"), 1.0),
        "content_weight": 1.0,
        "style_weight": 1e6,
        "style_loss": "gram-notebook",
        "content_loss": "mse",
        "size": 90,
        "steps": 24,
        "scales": 1,
    }
    straight, led = (
        impasto.stylize(CONTENT, STYLE, warmup=warmup, **options) for warmup in (0.0, 0.75)
    )
    assert led.losses["total"] < 0.8 * straight.losses["total"]
