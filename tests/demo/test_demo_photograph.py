"""The demo's photograph: in the package, never fetched, missed in one sentence."""

import importlib.util
import socket
import sys

import pytest
import torch

from impasto.errors import ImageError

if importlib.util.find_spec("impasto.images.read") is None:
    pytest.skip("pictures cannot be read yet", allow_module_level=True)

from impasto.demo import photograph as module


def test_it_is_a_color_photograph(monkeypatch):
    def refuse(*_):
        raise AssertionError("the network was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    picture = module.photograph()
    assert picture.shape == (3, 300, 451)
    assert picture.dtype == torch.float32
    assert 0 <= picture.min() < picture.max() <= 1
    assert (picture[0] - picture[2]).abs().mean() > 0.05
    assert "pooch" not in sys.modules


@pytest.mark.parametrize("reason", ["no such photograph", "no scikit-image"])
def test_its_absence_is_one_sentence(monkeypatch, reason):
    if reason == "no scikit-image":
        monkeypatch.setattr(module, "find_spec", lambda name: None)
    else:
        monkeypatch.setattr(module, "NAME", "no-such-photograph.png")
    with pytest.raises(ImageError, match="install scikit-image again"):
        module.photograph()
