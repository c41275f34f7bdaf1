"""CIELAB there and back, and colors brought into the gamut."""

import pytest
import torch

from impasto.images.color import chroma, clip_to_gamut, from_lab, to_lab

PIXELS = torch.rand(3, 40, 50, generator=torch.Generator().manual_seed(0))


def test_there_and_back_is_the_same():
    assert (from_lab(to_lab(PIXELS)) - PIXELS).abs().max() < 1e-5
    wide = PIXELS.double()
    assert (from_lab(to_lab(wide)) - wide).abs().max() < 1e-10


def test_it_is_cielab():
    skimage = pytest.importorskip("skimage.color")
    wanted = torch.from_numpy(skimage.rgb2lab(PIXELS.permute(1, 2, 0).numpy())).permute(2, 0, 1)
    assert (to_lab(PIXELS) - wanted).abs().max() < 0.02


def test_grays_have_no_color():
    grays = torch.linspace(0, 1, 50).expand(3, 1, -1)
    assert chroma(to_lab(grays)).max() < 1e-4
    light = to_lab(grays)[0, 0]
    assert (light[1:] > light[:-1]).all()


def test_what_can_be_shown_stays_and_the_rest_comes_the_straight_way():
    colors = to_lab(PIXELS)
    gray = torch.cat([colors[:1], torch.zeros_like(colors[1:])])
    assert (clip_to_gamut(colors, gray) - PIXELS).abs().max() < 1e-4
    loud = torch.cat([colors[:1], 4 * colors[1:]])
    found = to_lab(clip_to_gamut(loud, gray))
    assert (found[0] - colors[0]).abs().max() < 0.5  # the same light
    cross = found[1] * loud[2] - found[2] * loud[1]  # the same hue
    assert (cross / (chroma(found) * chroma(loud) + 1)).abs().max() < 0.05
    assert (chroma(found) >= chroma(colors) - 0.1).all()
