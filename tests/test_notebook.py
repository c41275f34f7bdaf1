"""Watching a run in a notebook and on a terminal, and ending it from outside."""

import sys
import types

import torch

import impasto
from impasto.notebook import Watch

PICTURES = (torch.rand(3, 32, 40), torch.rand(3, 32, 32))
QUICK = {"size": 40, "steps": 4, "device": "cpu"}


def notebook(monkeypatch):
    """A stand-in for a notebook; what it is shown."""
    pages = []

    class Handle:
        def update(self, page):
            pages.append(page)

    def display(page, display_id=False):
        pages.append(page)
        return Handle()

    shown = types.ModuleType("IPython.display")
    shown.HTML, shown.display = str, display
    shell = types.ModuleType("IPython")
    shell.get_ipython = lambda: types.SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", shell)
    monkeypatch.setitem(sys.modules, "IPython.display", shown)
    return pages


def test_a_notebook_sees_a_bar_and_the_picture(monkeypatch):
    pages = notebook(monkeypatch)
    watch = Watch()
    impasto.stylize(*PICTURES, **QUICK, on_step=watch)
    assert watch.steps == 4
    assert "<progress" in pages[0]
    assert "4 of 4" in pages[-1]
    assert "data:image/jpeg;base64," in pages[-1]


def test_elsewhere_it_is_one_line_on_stderr(capsys, monkeypatch):
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    impasto.stylize(*PICTURES, **QUICK, on_step=Watch())
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert "4 of 4" in err


def test_it_stops_and_the_picture_is_kept(capsys):
    watch = Watch(preview=False)
    watch.stop()
    result = impasto.stylize(*PICTURES, **QUICK, on_step=watch)
    assert (result.stopped, result.evaluations) == (True, 1)
    assert result.pixels.shape == (3, 32, 40)


def test_a_result_shows_itself():
    result = impasto.stylize(*PICTURES, **QUICK)
    assert result._repr_png_().startswith(b"\x89PNG")
    assert impasto.denoise(PICTURES[0])._repr_png_().startswith(b"\x89PNG")
