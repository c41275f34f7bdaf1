"""Recoloring: the style's mean and covariance of color, by the gentlest linear map."""

import pytest
import torch

from impasto.images.color import chroma, to_lab
from impasto.recipes import StyleRecipe
from impasto.style.color import match_content_colors, match_style_colors, recolor, restore_colors
from impasto.style.spec import style_spec
from impasto.style.statistics import moments


def spec_of(**options):
    return style_spec(StyleRecipe(**options))


def cloud(seed, mean, spread):
    """Colors around a mean that stay inside [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(3, 20, 20, generator=generator) - 0.5
    return torch.tensor(mean).view(3, 1, 1) + spread * noise


def test_mean_and_covariance_become_the_styles():
    content, style = cloud(1, (0.5, 0.4, 0.6), 0.3), cloud(2, (0.6, 0.5, 0.4), 0.2)
    style[1] = 0.5 * style[1] + 0.5 * style[0]
    found = recolor(content, moments(style))
    torch.testing.assert_close(found.mean((1, 2)), style.mean((1, 2)), atol=1e-3, rtol=0)
    torch.testing.assert_close(found.flatten(1).cov(), style.flatten(1).cov(), atol=2e-4, rtol=0)


def test_a_pictures_own_colors_change_nothing():
    content = cloud(1, (0.5, 0.4, 0.6), 0.3)
    torch.testing.assert_close(recolor(content, moments(content)), content, atol=1e-3, rtol=0)


def test_what_a_mask_hides_lends_no_color():
    content, style = cloud(1, (0.5, 0.5, 0.5), 0.3), cloud(2, (0.6, 0.5, 0.4), 0.2)
    mask = torch.zeros(20, 20)
    mask[:10] = 1
    hidden = style.clone()
    hidden[:, 10:] = 0
    a = recolor(content, moments(hidden, mask))
    b = recolor(content, moments(style[:, :10]))
    torch.testing.assert_close(a, b, atol=1e-4, rtol=0)


def test_one_flat_color_stays_finite():
    flat = torch.full((3, 20, 20), 0.5)
    for one, other in ((flat, cloud(1, (0.5, 0.5, 0.5), 0.3)), (cloud(1, (0.4,) * 3, 0.2), flat)):
        found = recolor(one, moments(other))
        assert torch.isfinite(found).all()
        torch.testing.assert_close(found.mean((1, 2)), other.mean((1, 2)), atol=0.02, rtol=0)


@pytest.mark.parametrize("by", ["luminance", "statistics"])
def test_the_dial_at_0_keeps_the_contents_chroma(by):
    generator = torch.Generator().manual_seed(0)
    content, painted = (torch.rand(3, 40, 50, generator=generator) for _ in range(2))
    content = 0.3 * content + 0.5 * content.mean(0)
    recipe = spec_of(color=0, color_by=by)
    found = restore_colors(painted, content, recipe)
    wanted = chroma(to_lab(content)).mean()
    assert chroma(to_lab(found)).mean() == pytest.approx(wanted.item(), rel=0.01)
    assert torch.equal(restore_colors(painted, content, spec_of(color=1, color_by=by)), painted)


def test_by_luminance_each_place_keeps_its_own_color_under_the_paintings_light():
    generator = torch.Generator().manual_seed(0)
    content = 0.3 + 0.4 * torch.rand(3, 20, 30, generator=generator)
    painted = (content + 0.03 * torch.randn(3, 20, 30, generator=generator)).clamp(0, 1)
    found = to_lab(restore_colors(painted, content, spec_of(color=0)))
    assert (found[1:] - to_lab(content)[1:]).abs().max() < 0.1
    light = (found[0] - to_lab(painted)[0]).abs()
    assert light.mean() < 1


def test_a_gray_photograph_stays_gray():
    gray = torch.rand(1, 20, 30).expand(3, -1, -1)
    for by in ("luminance", "statistics"):
        found = restore_colors(torch.rand(3, 20, 30), gray, spec_of(color=0, color_by=by))
        assert chroma(to_lab(found)).max() < 0.1


def test_a_style_is_learned_in_the_contents_tones():
    generator = torch.Generator().manual_seed(0)
    content = 0.2 + 0.3 * torch.rand(3, 20, 30, generator=generator)
    style = torch.rand(3, 25, 25, generator=generator)
    light = to_lab(match_style_colors(style, None, content, spec_of(color=0)))
    assert chroma(light).max() < 0.1
    assert light[0].mean() == pytest.approx(to_lab(content)[0].mean().item(), abs=1)
    palette = to_lab(
        match_style_colors(style, None, content, spec_of(color=0, color_by="statistics"))
    )
    assert (palette.mean((1, 2)) - to_lab(content).mean((1, 2))).abs().max() < 3
    assert match_style_colors(style, None, content, StyleRecipe()) is style
    assert match_content_colors(content, spec_of(color=0, color_by="statistics")) is content
    assert chroma(to_lab(match_content_colors(content, spec_of(color=0)))).max() < 0.1
