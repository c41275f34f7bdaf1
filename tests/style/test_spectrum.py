"""The frequency bands that L-BFGS's first guess of the inverse curvature is diagonal in."""

from itertools import islice

import pytest
import torch

from impasto.style.optimizers import Spectrum, lbfgs


def waves(height, width, cycles):
    """Stripes of one frequency across, alike in all colors."""
    x = torch.arange(width) / width
    return torch.sin(2 * torch.pi * cycles * x).expand(3, height, width).contiguous()


@pytest.mark.parametrize(("height", "width"), [(24, 32), (23, 31), (1, 16), (17, 2)])
def test_a_gain_of_one_changes_nothing_and_powers_add_up(height, width):
    spectrum = Spectrum((width, height))
    picture, other = torch.rand(3, height, width), torch.rand(3, height, width)
    torch.testing.assert_close(spectrum.scale(picture, torch.ones(3, 24)), picture)
    powers = spectrum.powers(picture, other)
    ratio = picture.square().sum() / other.square().sum()  # Parseval
    torch.testing.assert_close(powers[1].sum().item(), 1.0)
    torch.testing.assert_close(powers[0].sum().item(), ratio.item(), rtol=1e-5, atol=0)


def test_scaling_is_symmetric_and_its_form_is_known_from_the_powers():
    spectrum, gain = Spectrum((21, 18)), torch.rand(3, 24, dtype=torch.float64)
    a, b = torch.rand(3, 18, 21), torch.rand(3, 18, 21)
    torch.testing.assert_close(
        (spectrum.scale(a, gain) * b).sum(), (spectrum.scale(b, gain) * a).sum()
    )
    form = (spectrum.scale(b, gain) * b).sum() / b.square().sum()
    assert (gain * spectrum.powers(a, b)[1]).sum().item() == pytest.approx(form.item(), rel=1e-5)


def test_it_learns_what_each_frequency_needs():
    """A quadratic whose fine stripes are a hundred times as curved as its coarse ones."""
    spectrum, coarse, fine = Spectrum((64, 8)), waves(8, 64, 2), waves(8, 64, 24)
    gain = spectrum.gain([spectrum.powers(coarse + fine, coarse + 100 * fine)])
    torch.testing.assert_close(spectrum.scale(coarse, gain), coarse, rtol=0, atol=0.02)
    torch.testing.assert_close(spectrum.scale(fine, gain), fine / 100, rtol=0, atol=0.02)


def test_lbfgs_goes_down_an_unevenly_curved_valley_much_faster_with_it(monkeypatch):
    spectrum = Spectrum((32, 32))
    curvature = torch.logspace(0, 6, 24, base=2).expand(3, -1)  # finer is up to 64 times as steep
    goal = 0.5 + 0.2 * (torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(1)) - 0.5)

    def valley(pixels):
        gradient = spectrum.scale(pixels - goal, curvature)
        return (gradient * (pixels - goal)).sum().item() / 2, gradient

    def reached():
        return list(islice(lbfgs(valley, torch.full((3, 32, 32), 0.5), history=3), 15))[-1][1]

    ours = reached()
    monkeypatch.setattr(Spectrum, "gain", lambda self, powers: torch.ones(3, 24).double())
    assert ours < 0.2 * reached()
