"""The demo's pictures and files, with the long work replaced by something short."""

from __future__ import annotations

import shutil
import socket
import sys
from types import SimpleNamespace

import pytest
import torch

import impasto.demo as module
from impasto.errors import ImageError
from impasto.result import Losses

NAMES = ["content", "style", "result", "figure", "losses"]


@pytest.fixture
def refuse_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("the network was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.mark.usefixtures("refuse_network")
def test_the_content_is_a_color_photograph():
    pixels = module.photograph()
    assert pixels.shape == (3, 300, 451)
    assert pixels.dtype == torch.float32
    assert 0 <= pixels.min() < pixels.max() <= 1
    assert (pixels[0] - pixels[2]).abs().mean() > 0.05
    assert "pooch" not in sys.modules


@pytest.mark.parametrize("reason", ["no such photograph", "no scikit-image"])
def test_a_missing_photograph_is_one_sentence(monkeypatch, reason):
    if reason == "no scikit-image":
        monkeypatch.setattr(module, "find_spec", lambda name: None)
    else:
        monkeypatch.setattr(module, "PHOTOGRAPH", "no-such-photograph.png")
    with pytest.raises(ImageError, match="install scikit-image again"):
        module.photograph()


@pytest.mark.usefixtures("refuse_network")
def test_the_style_is_a_painting_rich_in_color_and_contrast():
    pixels = module.painting()
    assert pixels.shape == (3, 512, 640)
    assert pixels.dtype == torch.float32
    dark, bright = pixels.mean(0).flatten().quantile(torch.tensor([0.05, 0.95]))
    assert bright - dark > 0.35
    red, _, blue = pixels
    assert (red > blue + 0.15).float().mean() > 0.05
    assert (blue > red + 0.15).float().mean() > 0.2


@pytest.fixture
def demo(monkeypatch):
    """A record of what `demo` asked of functions whose work is short."""
    calls = SimpleNamespace(opened=[], stylized=[])

    def stylize(content, style, *, recipe, on_step=None):
        calls.stylized.append((content, style, recipe, on_step))
        pixels = torch.full((3, 6, 9), 0.5)

        def save(path, *, overwrite=False):
            return write(pixels, path, overwrite=overwrite)

        return SimpleNamespace(
            pixels=pixels,
            history=(Losses(total=2, content=1, style=1), Losses(total=1, content=0.5, style=0.5)),
            scale_starts=(0,),
            save=save,
        )

    def write(pixels, path, *, overwrite=False):
        check(path, overwrite=overwrite)
        assert pixels.ndim == 3
        path.write_bytes(b"picture")
        return path

    def check(path, *, overwrite=False):
        if path.exists() and not overwrite:
            raise ImageError(f"`output` must be a new file, got {path}, which exists")
        return path

    def draw(figure, path, *, overwrite=False):
        check(path, overwrite=overwrite)
        path.write_bytes(figure)
        return path

    def open_demo(name, pixels):
        calls.opened.append(name)
        return pixels

    monkeypatch.setattr(module, "photograph", lambda: open_demo("content", torch.zeros(3, 4, 6)))
    monkeypatch.setattr(module, "painting", lambda: open_demo("style", torch.ones(3, 4, 5)))
    monkeypatch.setattr(module, "stylize", stylize)
    monkeypatch.setattr(module, "check_output", check)
    monkeypatch.setattr(module, "save", write)
    monkeypatch.setattr(module, "triptych", lambda content, style, result: b"row")
    monkeypatch.setattr(module, "loss_curve", lambda history, scale_starts: b"curve")
    monkeypatch.setattr(module, "save_figure", draw)
    return calls


def test_five_pictures_are_written_into_a_new_folder(demo, tmp_path):
    paths = module.demo(tmp_path / "new" / "demo", size=64, steps=3)
    assert list(paths) == NAMES
    assert sorted(p.name for p in (tmp_path / "new" / "demo").iterdir()) == sorted(
        f"{name}.png" for name in NAMES
    )
    assert all(path.stat().st_size for path in paths.values())
    _, _, recipe, on_step = demo.stylized[0]
    assert (recipe.size, recipe.steps, on_step) == (64, 3, None)


def test_every_step_is_passed_on(demo, tmp_path):
    watcher = lambda step: None  # noqa: E731
    module.demo(tmp_path, on_step=watcher)
    assert demo.stylized[0][3] is watcher


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_already_there_is_refused_before_any_work(demo, tmp_path, name):
    taken = tmp_path / f"{name}.png"
    taken.write_bytes(b"mine")
    with pytest.raises(ImageError, match=f"{name}.png"):
        module.demo(tmp_path)
    assert taken.read_bytes() == b"mine"
    assert list(tmp_path.iterdir()) == [taken]
    assert not demo.opened
    assert not demo.stylized


@pytest.mark.usefixtures("demo")
def test_overwrite_replaces_them(tmp_path):
    module.demo(tmp_path)
    (tmp_path / "result.png").write_bytes(b"old")
    module.demo(tmp_path, overwrite=True)
    assert (tmp_path / "result.png").read_bytes() == b"picture"


@pytest.mark.usefixtures("demo")
def test_what_was_painted_goes_elsewhere_if_the_folder_is_gone(tmp_path, monkeypatch):
    folder = tmp_path / "demo"

    def draw(*_):
        shutil.rmtree(folder)
        return b"row"

    monkeypatch.setattr(module, "triptych", draw)
    told = []
    paths = module.demo(folder, on_rescue=lambda path, error: told.append(path))
    assert paths == {name: tmp_path / f"{name}.png" for name in NAMES}
    assert told[0].name == "result.png"
    assert sorted(told) == sorted(tmp_path.glob("*.png"))
    with pytest.raises(OSError, match="demo"):
        module.demo(folder)


def test_a_file_in_the_folder_s_place_is_named(demo, tmp_path):
    (tmp_path / "demo").write_text("mine")
    for folder in (tmp_path / "demo", tmp_path / "demo" / "below"):
        with pytest.raises(ImageError, match=r"`folder` must be a folder, got .*demo"):
            module.demo(folder)
    assert not demo.opened


@pytest.mark.parametrize(("option", "value"), [("size", 3), ("steps", 0)])
def test_options_are_checked_before_the_folder_is_made(demo, tmp_path, option, value):
    with pytest.raises(ValueError, match=f"`{option}` must be"):
        module.demo(tmp_path / "demo", **{option: value})
    assert not (tmp_path / "demo").exists()
