"""Textures: of any size, towards the style, and without a seam where that is asked for."""

import pytest
import torch

import impasto
from impasto import Style
from impasto.style.texture import _enlarge, plan_texture

y, x = torch.meshgrid(torch.linspace(0, 1, 64), torch.linspace(0, 1, 64), indexing="ij")
STYLE = torch.stack([x, 0.5 + 0.4 * torch.sin(60 * (x + y)), 1 - y]).clamp(0, 1)
QUICK = {
    "width": 96, "height": 64, "steps": 12, "precision": "float32", "device": "cpu",
    "style_layers": {"relu1_1": 1, "relu2_1": 1},
}  # fmt: skip


def test_its_loss_falls_and_its_size_is_the_one_asked_for():
    result = impasto.texture(STYLE, **QUICK)
    assert result.size == (96, 64)
    assert result.losses["total"] < 0.5 * result.history[0].total
    assert result.recipe.steps == 12
    assert result.inputs.content is None


@pytest.mark.slow
def test_a_tileable_texture_goes_on_beyond_its_borders():
    """Its opposite borders differ no more than neighbors inside; others do."""

    def seam(tileable):
        made = impasto.texture(STYLE, **{**QUICK, "steps": 40}, tileable=tileable).pixels
        across = (made[:, :, 0] - made[:, :, -1]).abs().mean()
        inside = (made[:, :, 1:] - made[:, :, :-1]).abs().mean()
        return (across / inside).item()

    assert seam(True) < 1.4
    assert seam(True) < 0.8 * seam(False)


def test_growing_goes_on_beyond_the_borders():
    ramp = torch.sin(torch.arange(32) / 32 * 2 * torch.pi).expand(3, 32, 32) / 2 + 0.5
    moved = _enlarge(ramp.roll(16, 2), (64, 64), (16, 16)).roll(-32, 2)
    assert torch.allclose(moved, _enlarge(ramp, (64, 64), (16, 16)), atol=1e-5)


def test_one_seed_gives_the_same_bytes():
    first, second = (impasto.texture(STYLE, **QUICK, seed=3).pixels for _ in range(2))
    assert torch.equal(first, second)
    again = impasto.texture(STYLE, recipe=impasto.texture(STYLE, **QUICK, seed=3).recipe)
    assert torch.equal(again.pixels, first)


def test_the_plan_is_what_it_does():
    planned = plan_texture(STYLE, **QUICK)
    assert planned.sizes[-1] == (96, 64)
    assert sum(planned.evaluations) == 12
    more = plan_texture(STYLE, **QUICK, tileable=True)
    assert more.memory > planned.memory


@pytest.mark.parametrize(
    ("style", "options", "said"),
    [
        (Style(STYLE, region=torch.ones(64, 96)), {}, "`region` of a style must be left out"),
        (STYLE, {"width": 3}, "`width` must be at least 64, got 3"),
        (STYLE, {"tilable": True}, "did you mean tileable?"),
    ],
)
def test_what_cannot_be_made_is_one_sentence(style, options, said):
    with pytest.raises(ValueError, match="must") as caught:
        impasto.texture(style, **{**QUICK, **options})
    assert said in str(caught.value)
