"""Watching a run in a notebook and on a terminal, and ending it from outside."""

import base64
import io
import re
import sys
import types

import numpy as np
import PIL.Image
import pytest
import torch

import impasto
from impasto.notebook import Watch
from impasto.notebook_html import curve_html, slider_html

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


def test_a_notebook_sees_the_losses_fall(monkeypatch):
    pages = notebook(monkeypatch)
    impasto.stylize(*PICTURES, **QUICK, on_step=Watch())
    assert "<polyline" in pages[-1]
    assert all(name in pages[-1] for name in ("total", "content", "style"))
    pages.clear()
    impasto.stylize(*PICTURES, **QUICK, on_step=Watch(preview=False))
    assert "<polyline" not in pages[-1]


def test_a_painting_shows_itself_over_the_photograph():
    result = impasto.stylize(*PICTURES, **QUICK)
    page = result._repr_html_()
    assert [image.shape for image in pictures_in(page)] == [(32, 40, 3), (32, 40, 3)]
    assert 'type="range"' in page
    assert "40 × 32, 4 evaluations" in page
    assert result._repr_png_().startswith(b"\x89PNG")


def test_what_has_nothing_before_it_shows_itself_alone():
    page = impasto.texture(PICTURES[1], width=64, height=64, steps=2)._repr_html_()
    assert len(pictures_in(page)) == 1
    assert "range" not in page


def test_a_clean_picture_shows_itself_over_the_noisy_one():
    result = impasto.denoise(PICTURES[0])
    assert len(pictures_in(result._repr_html_())) == 2
    assert result._repr_png_().startswith(b"\x89PNG")
    stack = impasto.denoise(torch.rand(3, 5, 20, 1600), axes="TCYX", effort="quick")
    assert [image.shape for image in pictures_in(stack._repr_html_())] == 2 * [(10, 768)]


def test_words_are_escaped_and_curves_bounded():
    black = torch.zeros(3, 4, 4)
    page = slider_html(black, black, "<script>1</script>")
    assert "<script>" not in page
    losses = [{"total": 1 / (1 + at), "<b>": 0.0} for at in range(5000)]
    curve = curve_html(losses)
    assert "<b>" not in curve
    assert len(curve) < 8000
    assert curve_html([]) == curve_html([{"total": 1.0}]) == ""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the kernel's own
def test_a_real_notebook_shows_the_run_and_the_result():
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    lines = (
        "import impasto, torch",
        "pictures = torch.rand(3, 64, 64), torch.rand(3, 64, 64)",
        "impasto.stylize(*pictures, size=64, steps=4, device='cpu', on_step=impasto.Watch())",
    )
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("\n".join(lines))])
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    shown = {output.output_type: output.data for output in notebook.cells[0].outputs}
    assert "<progress" in shown["display_data"]["text/html"]
    assert "4 of 4" in shown["display_data"]["text/html"]
    assert len(pictures_in(shown["execute_result"]["text/html"])) == 2


def pictures_in(page):
    """The pictures that a page holds, as arrays."""
    data = re.findall(r"data:image/jpeg;base64,([^\"]*)", page)
    images = [PIL.Image.open(io.BytesIO(base64.b64decode(text))) for text in data]
    return [np.asarray(image) for image in images]
