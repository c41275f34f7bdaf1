"""Laws of the losses; their gradients against finite differences."""

import pytest
import torch

from impasto.style import losses
from impasto.style.statistics import moments

STYLE = [
    losses.gram_paper,
    losses.gram_notebook,
    losses.gram_relative,
    losses.mean_std_relative,
    losses.wasserstein,
    losses.wasserstein_relative,
]
CONTENT = [losses.content_mse, losses.content_half_sum, losses.content_relative]


def features(seed=0, n=4, height=5, width=6):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, height, width, generator=generator, dtype=torch.float64) + 0.3


def test_a_gram_matrix_is_symmetric_positive_and_blind_to_where():
    f = features()
    gram = losses.gram(moments(f))
    torch.testing.assert_close(gram, gram.mT)
    assert torch.linalg.eigvalsh(gram).min() > -1e-12
    shuffled = f.flatten(1)[:, torch.randperm(30)].view_as(f)
    torch.testing.assert_close(losses.gram(moments(shuffled)), gram)


def test_a_gram_matrix_is_the_formula_sheets():
    rows = features().flatten(1)
    torch.testing.assert_close(losses.gram(moments(features())), rows @ rows.mT / 30)


def test_mean_covariance_and_deviation_are_torchs():
    rows = features().flatten(1)
    m = moments(features())
    torch.testing.assert_close(losses.mean(m), rows.mean(1))
    torch.testing.assert_close(losses.covariance(m), rows.cov(correction=0))
    torch.testing.assert_close(losses.deviation(m), rows.std(1, correction=0), rtol=1e-4, atol=0)


@pytest.mark.parametrize("loss", STYLE)
def test_a_style_loss_is_zero_at_its_target_and_positive_elsewhere(loss):
    target = moments(features(1))
    assert loss(target, target).item() < 1e-6
    assert loss(moments(features(2)), target).item() > 1e-4


@pytest.mark.parametrize("loss", STYLE)
def test_a_style_loss_does_not_depend_on_the_number_of_positions(loss):
    f, target = features(1), moments(features(2))
    tiled = f.repeat(1, 2, 3)
    torch.testing.assert_close(loss(moments(tiled), target), loss(moments(f), target))


@pytest.mark.parametrize("loss", STYLE)
def test_a_style_losss_gradient_agrees_with_finite_differences(loss):
    target = moments(features(1))
    f = features(2).requires_grad_()
    assert torch.autograd.gradcheck(lambda f: loss(moments(f), target), f, atol=1e-6)


@pytest.mark.parametrize("loss", CONTENT)
@pytest.mark.parametrize("mask", [None, torch.rand(5, 6, dtype=torch.float64)])
def test_a_content_losss_gradient_agrees_with_finite_differences(loss, mask):
    """The loss is a sum of squares, so central differences are exact."""
    f, target = features(2), features(1)
    factor = loss(target, mask)
    gradient = torch.zeros_like(f)
    value = losses.content_loss_and_gradient(f, target, mask, factor, gradient)
    direction, nothing = features(3), torch.zeros_like(f)
    ahead, behind = (
        losses.content_loss_and_gradient(f + sign * direction, target, mask, factor, nothing)
        for sign in (1, -1)
    )
    assert (ahead - behind) / 2 == pytest.approx((gradient * direction).sum().item(), rel=1e-10)
    weight = 1 if mask is None else mask
    assert value == pytest.approx(factor * (weight * (f - target).square()).sum().item())


def test_the_total_variations_gradient_agrees_with_finite_differences():
    assert torch.autograd.gradcheck(losses.total_variation, features().requires_grad_())


def test_total_variation_of_a_ramp_is_its_slope_squared():
    ramp = torch.arange(8.0).expand(3, 5, 8) / 10
    torch.testing.assert_close(losses.total_variation(ramp), torch.tensor(0.01))
    assert losses.total_variation(torch.rand(3, 1, 1)) == 0


def test_content_losses_are_the_formula_sheets():
    f, p = features(1), features(2)
    nothing = torch.zeros_like(f)
    for factor, expected in (
        (losses.content_mse, (f - p).square().mean()),
        (losses.content_half_sum, (f - p).square().sum() / 2),
        (losses.content_relative, (f - p).square().sum() / p.square().sum()),
    ):
        found = losses.content_loss_and_gradient(f, p, None, factor(p), nothing)
        assert found == pytest.approx(expected.item(), rel=1e-10)
    assert losses.content_mse(p, torch.ones(5, 6)) == pytest.approx(losses.content_mse(p))


def test_style_losses_are_the_formula_sheets():
    """Written out with un-normalized Gram matrices, as the paper and the notebook write them."""
    f, s = features(1).flatten(1), features(2).flatten(1)
    n, m = f.shape
    g, a = f @ f.mT, s @ s.mT
    ours = moments(features(1)), moments(features(2))
    paper = (g - a).square().sum() / (4 * n**2 * m**2)
    torch.testing.assert_close(losses.gram_paper(*ours), paper)
    notebook = (g / (n * m) - a / (n * m)).square().mean()
    torch.testing.assert_close(losses.gram_notebook(*ours), notebook)


def test_wasserstein_between_gaussians_of_one_axis_is_the_textbooks():
    """In one dimension it is (μ − ν)² + (σ − τ)²."""
    a, b = features(1, n=1), 3 * features(2, n=1) + 1
    expected = (a.mean() - b.mean()) ** 2 + (a.std(correction=0) - b.std(correction=0)) ** 2
    torch.testing.assert_close(losses.wasserstein(moments(a), moments(b)), expected)


def test_a_target_of_few_positions_has_a_slim_root_and_the_same_distance():
    """The textbook's formula with the symmetric root, for a target with less rank than channels."""
    few, many = features(3, n=12)[:, :2, :3], features(4, n=12)
    target = moments(few)
    root = losses.covariance_root(target)
    assert root.shape == (12, 5)  # six positions less their mean
    torch.testing.assert_close(root @ root.mT, losses.covariance(target))
    sigma, tau = losses.covariance(moments(many)), losses.covariance(target)
    square = losses.spectral(tau, torch.sqrt)
    cross = losses.spectral(square @ sigma @ square, torch.sqrt).trace()
    bias = (losses.mean(moments(many)) - losses.mean(target)).square().sum()
    expected = bias + sigma.trace() + tau.trace() - 2 * cross
    torch.testing.assert_close(
        losses.wasserstein(moments(many), target), expected, rtol=1e-6, atol=0
    )


def test_wasserstein_stays_finite_where_a_covariance_has_no_rank():
    flat = torch.ones(4, 5, 6, dtype=torch.float64)
    for one, other in ((flat, features()), (features(), flat), (flat, flat)):
        f = one.clone().requires_grad_()
        loss = losses.wasserstein(moments(f), moments(other))
        loss.backward()
        assert torch.isfinite(loss)
        assert torch.isfinite(f.grad).all()


def test_relative_losses_do_not_see_the_scale_of_features():
    target, f = features(1), features(2)
    for loss in (losses.gram_relative, losses.mean_std_relative, losses.wasserstein_relative):
        torch.testing.assert_close(
            loss(moments(f * 1000), moments(target * 1000)), loss(moments(f), moments(target))
        )
