"""Recoloring: the style's mean and covariance of color, by the gentlest linear map."""

import torch

from impasto.style.color import recolored


def cloud(seed, mean, spread):
    """Colors around a mean that stay inside [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(3, 20, 20, generator=generator) - 0.5
    return torch.tensor(mean).view(3, 1, 1) + spread * noise


def test_mean_and_covariance_become_the_styles():
    content, style = cloud(1, (0.5, 0.4, 0.6), 0.3), cloud(2, (0.6, 0.5, 0.4), 0.2)
    style[1] = 0.5 * style[1] + 0.5 * style[0]
    found = recolored(content, [(style, None)])
    torch.testing.assert_close(found.mean((1, 2)), style.mean((1, 2)), atol=1e-3, rtol=0)
    torch.testing.assert_close(found.flatten(1).cov(), style.flatten(1).cov(), atol=2e-4, rtol=0)


def test_a_pictures_own_colors_change_nothing():
    content = cloud(1, (0.5, 0.4, 0.6), 0.3)
    torch.testing.assert_close(recolored(content, [(content, None)]), content, atol=1e-3, rtol=0)


def test_what_a_mask_hides_lends_no_color():
    content, style = cloud(1, (0.5, 0.5, 0.5), 0.3), cloud(2, (0.6, 0.5, 0.4), 0.2)
    mask = torch.zeros(20, 20)
    mask[:10] = 1
    hidden = style.clone()
    hidden[:, 10:] = 0
    a = recolored(content, [(hidden, mask)])
    b = recolored(content, [(style[:, :10], None)])
    torch.testing.assert_close(a, b, atol=1e-4, rtol=0)


def test_one_flat_color_stays_finite():
    flat = torch.full((3, 20, 20), 0.5)
    for one, other in ((flat, cloud(1, (0.5, 0.5, 0.5), 0.3)), (cloud(1, (0.4,) * 3, 0.2), flat)):
        found = recolored(one, [(other, None)])
        assert torch.isfinite(found).all()
        torch.testing.assert_close(found.mean((1, 2)), other.mean((1, 2)), atol=0.02, rtol=0)
