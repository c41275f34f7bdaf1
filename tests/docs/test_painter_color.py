"""The painter's color: round trips, and neutral where it should be."""

import numpy as np
import pytest
from demo_painting.palette import PALETTES
from demo_painting.pigment import glaze, linear_light, pigment, ramp, screen


@pytest.mark.parametrize("code", ["000000", "ffffff", "1d2f6f", "f2b565", "010101", "ff0000"])
def test_a_pigment_comes_back_as_the_code_it_was_given(code):
    shown = screen(linear_light(pigment(code)))
    expected = [int(code[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    np.testing.assert_allclose(shown, expected, atol=2e-4)


def test_white_is_lightness_one_without_hue():
    np.testing.assert_allclose(pigment("ffffff"), (1, 0, 0), atol=1e-4)


def test_ramp_meets_its_stops_and_holds_beyond_them():
    stops = [(0.2, "102030"), (0.8, "fedcba")]
    ends = ramp(stops, np.array([-1, 0.2, 0.8, 3], np.float32))
    np.testing.assert_allclose(ends[[0, 1]], [pigment("102030")] * 2, atol=1e-6)
    np.testing.assert_allclose(ends[[2, 3]], [pigment("fedcba")] * 2, atol=1e-6)


def test_glaze_neither_undershoots_nor_overshoots():
    under, over = np.zeros((3, 3), np.float32), np.ones(3, np.float32)
    glazed = glaze(under, over, np.array([-2, 0.25, 9], np.float32))
    np.testing.assert_allclose(glazed, np.repeat([[0], [0.25], [1]], 3, axis=1))


@pytest.mark.parametrize("palette", PALETTES)
def test_every_sky_goes_from_dark_to_light(palette):
    lightness = ramp(palette.sky, np.linspace(0, 0.85, 9))[:, 0]
    assert (np.diff(lightness) > 0).all()
