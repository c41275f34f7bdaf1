"""Figures: what they show, that they are quiet about odd input, and how they reach the disk."""

import contextlib
import io
import math
import os
import subprocess
import sys

import numpy as np
import PIL.Image
import pytest
import torch

from impasto import figures
from impasto.errors import ImageError
from impasto.figures import (
    check_figure,
    check_sheet,
    contact_sheet,
    loss_curve,
    reconstruction_row,
    save_figure,
    triptych,
)
from impasto.images.image import Image, ImageMetadata
from impasto.result import Losses

RED = torch.tensor([1.0, 0.0, 0.0])[:, None, None]


def pixels(figure):
    """(H, W, 3) uint8 of a figure as it would be saved."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=figure.dpi)
    return np.asarray(PIL.Image.open(buffer).convert("RGB"))


def test_the_row_has_equal_heights_and_keeps_proportions():
    figure = triptych(torch.rand(3, 40, 60), torch.rand(3, 90, 30), torch.rand(1, 20, 30))
    width, height = figure.get_size_inches()
    boxes = [axes.get_position() for axes in figure.axes]
    assert [axes.get_title() for axes in figure.axes] == ["content", "style", "output"]
    assert len({round(box.height, 6) for box in boxes}) == 1
    shapes = [(box.width * width) / (box.height * height) for box in boxes]
    assert shapes == pytest.approx([1.5, 1 / 3, 1.5], rel=1e-6)


def test_several_styles_stand_in_the_row():
    figure = triptych(torch.rand(3, 8, 8), [torch.rand(3, 8, 8)] * 2, torch.rand(3, 8, 8))
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["content", "style 1", "style 2", "output"]


def test_a_figure_shows_the_pictures_colors_on_white():
    image = pixels(triptych(RED.expand(3, 20, 20), torch.zeros(3, 20, 20), RED.expand(3, 20, 20)))
    assert (image[2, 2] == 255).all()
    left, middle = (
        image[image.shape[0] // 2, image.shape[1] // 6],
        image[tuple(np.array(image.shape[:2]) // 2)],
    )
    assert left.tolist() == [255, 0, 0]
    assert middle.tolist() == [0, 0, 0]


@pytest.mark.parametrize("shape", [(3, 20, 4000), (3, 4000, 20), (3, 1, 1)])
def test_extreme_shapes_stay_drawable(shape):
    figure = triptych(torch.rand(shape), torch.rand(3, 16, 16), torch.rand(shape))
    assert max(figure.get_size_inches()) < 20
    for axes in figure.axes:
        box = axes.get_position()
        assert box.x0 >= 0
        assert box.x1 <= 1
        assert box.y1 <= 1


def test_reconstructions_keep_their_order():
    layers = {name: torch.rand(3, 8, 8) for name in ("conv1_1", "conv5_1", "conv3_1")}
    figure = reconstruction_row(torch.rand(3, 8, 8), layers)
    assert [axes.get_title() for axes in figure.axes] == ["original", *layers]


def test_curves_are_the_losses():
    history = [Losses(total=3.0 / i, content=1.0 / i, style=2.0 / i) for i in range(1, 30)]
    axes = loss_curve(history, (0, 10, 20)).axes[0]
    lines = {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}
    assert list(lines["style"].get_xdata()) == list(range(1, 30))
    assert list(lines["style"].get_ydata()) == [losses["style"] for losses in history]
    assert axes.get_yscale() == "log"
    walls = [line.get_xdata()[0] for line in axes.lines if line.get_label().startswith("_")]
    assert walls == [11, 21]


def test_other_losses_are_drawn_by_their_names_too():
    usual = {"total": 9.0, "content": 1.0, "style": 2.0}
    history = [Losses(usual), Losses(**usual, tv=3.0), Losses(**usual, tv=2.0, temporal=4.0)]
    axes = loss_curve(history).axes[0]
    lines = {line.get_label(): line for line in axes.lines}
    assert list(lines) == ["total", "style", "content", "tv", "temporal"]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == list(lines)
    assert list(lines["tv"].get_ydata())[1:] == [3.0, 2.0]
    assert math.isnan(lines["tv"].get_ydata()[0])
    assert len({line.get_color() for line in axes.lines}) == 5


@pytest.mark.parametrize(
    "history",
    [
        [],
        [Losses(total=0.0, content=0.0, style=0.0)] * 3,
        [Losses(total=-1.0, content=math.nan, style=math.inf)] * 2,
        [Losses(total=1.0, content=0.0, style=1.0)],
        [
            Losses(total=1.0, content=0.0, style=1.0),
            Losses(total=math.nan, content=0.5, style=-0.5),
            Losses(total=0.5, content=0.2, style=0.3),
        ],
        [
            Losses(total=1e-30, content=1e-30, style=1e-30),
            Losses(total=1e30, content=1e30, style=1e30),
        ],
    ],
)
def test_losses_a_logarithm_cannot_hold_are_left_out_silently(history):
    assert pixels(loss_curve(history, (0,))).min() < 200  # warnings are errors; something is drawn


@pytest.mark.parametrize("ending", [".png", ".jpg", ".jpeg", ".pdf", ".svg"])
def test_every_format_is_written_and_nothing_else(tmp_path, ending):
    magic = {".png": b"\x89PNG", ".pdf": b"%PDF", ".svg": b"<?xml"}.get(ending, b"\xff\xd8")
    target = tmp_path / f"loss{ending}"
    assert save_figure(loss_curve([Losses(total=1, content=0.5, style=0.5)] * 4), target) == target
    assert target.read_bytes().startswith(magic)
    assert [path.name for path in tmp_path.iterdir()] == [target.name]


def test_one_figure_gives_the_same_bytes_twice(tmp_path):
    for name in ("a.png", "b.png", "a.pdf"):
        save_figure(
            loss_curve([Losses(total=2 / i, content=1 / i, style=1 / i) for i in range(1, 9)]),
            tmp_path / name,
        )
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    # Neither the time nor the drawing library's version is stamped in.
    assert b"Software" not in (tmp_path / "a.png").read_bytes()
    assert b"CreationDate" not in (tmp_path / "a.pdf").read_bytes()


@pytest.mark.parametrize("history", [[], [Losses(total=0.0, content=-1.0, style=math.nan)] * 3])
def test_a_run_without_losses_says_so(history):
    axes = loss_curve(history).axes[0]
    assert [text.get_text() for text in axes.texts] == ["no losses to draw"]
    assert axes.get_yscale() == "linear"


def test_a_file_is_replaced_only_when_asked(tmp_path):
    target = tmp_path / "a.png"
    target.write_bytes(b"mine")
    with pytest.raises(ImageError, match="which exists"):
        save_figure(loss_curve([]), target)
    assert target.read_bytes() == b"mine"
    save_figure(loss_curve([]), target, overwrite=True)
    assert target.read_bytes().startswith(b"\x89PNG")
    assert target.stat().st_mode & 0o777 == 0o666 & ~_umask()


def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path, monkeypatch):
    target = tmp_path / "a.png"
    monkeypatch.setattr(figures, "check_figure", lambda path, overwrite: target)
    target.write_bytes(b"mine")
    with pytest.raises(ImageError, match="which exists"):
        save_figure(loss_curve([]), target)
    assert target.read_bytes() == b"mine"
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_failed_drawing_leaves_nothing(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("no ink")

    figure = loss_curve([])
    monkeypatch.setattr(figure, "savefig", fail)
    with pytest.raises(RuntimeError, match="no ink"):
        save_figure(figure, tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


def test_paper_shows_through_where_a_picture_is_transparent():
    drawn = pixels(
        triptych(
            Image(RED.expand(3, 20, 20), ImageMetadata(alpha=torch.zeros(20, 20))),
            torch.zeros(3, 20, 20),
            torch.zeros(3, 20, 20),
        )
    )
    assert drawn[drawn.shape[0] // 2, drawn.shape[1] // 6].tolist() == [255, 255, 255]


def test_places_that_cannot_be_are_named(tmp_path):
    (tmp_path / "in.png").write_bytes(b"")
    with pytest.raises(ValueError, match="`path` must end in"):
        check_figure(tmp_path / "a.gif")
    with pytest.raises(ImageError, match="in a folder that exists"):
        check_figure(tmp_path / "no" / "a.png")
    with pytest.raises(ImageError, match="must not be one of the inputs"):
        check_figure(tmp_path / "in.png", overwrite=True, inputs=[tmp_path / "." / "in.png"])
    (tmp_path / "d.png").mkdir()
    with pytest.raises(ImageError, match="must be a file, got the folder"):
        check_figure(tmp_path / "d.png", overwrite=True)


def test_pyplot_is_never_loaded():
    code = "import sys, impasto.figures; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert (
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": "src"}
        ).returncode
        == 0
    )


def _umask():
    umask = os.umask(0)
    os.umask(umask)
    return umask


def test_a_label_is_text_and_nothing_else(tmp_path):
    figure = contact_sheet([r"1   $\foo$", "2   a\x1b\nb"], [torch.zeros(3, 8, 12)] * 2, 2)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == [r"1   $\foo$", r"2   a\x1b\nb"]
    assert save_figure(figure, tmp_path / "sheet.png").exists()


@pytest.mark.parametrize(("columns", "fits"), [(1, False), (6, True)])
def test_a_sheet_is_as_tall_as_can_be_drawn(columns, fits):
    with contextlib.nullcontext() if fits else pytest.raises(ImageError, match="at most 65,500"):
        check_sheet(6, columns, 1 / 30, "sheet.png")
