"""The demo's files, with the long work replaced by something short."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch

from impasto.errors import ImageError
from impasto.result import Losses

NAMES = ["content", "style", "result", "figure", "losses"]


@pytest.fixture
def run(monkeypatch):
    """The module under test and a record of what it asked for."""
    asked = SimpleNamespace(stylized=[], painted=0)

    def stylize(content, style, *, recipe, on_step=None):
        asked.stylized.append((content, style, recipe, on_step))
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

    def drawn(figure, path, *, overwrite=False):
        check(path, overwrite=overwrite)
        path.write_bytes(figure)
        return path

    _offer(monkeypatch, "impasto.api", stylize=stylize)
    _offer(monkeypatch, "impasto.images.write", check_output=check, save=write)
    _offer(
        monkeypatch,
        "impasto.figures",
        triptych=lambda content, style, result: b"row",
        loss_curve=lambda history, scale_starts: b"curve",
        save_figure=drawn,
    )
    _offer(monkeypatch, "impasto.demo.photograph", photograph=lambda: torch.zeros(3, 4, 6))
    monkeypatch.delitem(sys.modules, "impasto.demo.run", raising=False)
    import impasto.demo.run as module

    def paint():
        asked.painted += 1
        return torch.ones(3, 4, 5)

    monkeypatch.setattr(module, "paint", paint)
    yield module, asked
    sys.modules.pop("impasto.demo.run", None)


def _offer(monkeypatch, name, **contents):
    """Put a module in place whose work is short."""
    module = ModuleType(name)
    vars(module).update(contents)
    monkeypatch.setitem(sys.modules, name, module)


def test_five_pictures_are_written_into_a_new_folder(run, tmp_path):
    module, asked = run
    paths = module.demo(tmp_path / "new" / "demo", size=64, steps=3)
    assert list(paths) == NAMES
    assert sorted(p.name for p in (tmp_path / "new" / "demo").iterdir()) == sorted(
        f"{name}.png" for name in NAMES
    )
    assert all(path.stat().st_size for path in paths.values())
    _, _, recipe, on_step = asked.stylized[0]
    assert (recipe.size, recipe.steps, on_step) == (64, 3, None)


def test_every_step_is_passed_on(run, tmp_path):
    module, asked = run
    watcher = lambda step: None  # noqa: E731
    module.demo(tmp_path, on_step=watcher)
    assert asked.stylized[0][3] is watcher


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_already_there_is_refused_before_any_work(run, tmp_path, name):
    module, asked = run
    taken = tmp_path / f"{name}.png"
    taken.write_bytes(b"mine")
    with pytest.raises(ImageError, match=f"{name}.png"):
        module.demo(tmp_path)
    assert taken.read_bytes() == b"mine"
    assert list(tmp_path.iterdir()) == [taken]
    assert asked.painted == 0
    assert not asked.stylized


def test_overwrite_replaces_them(run, tmp_path):
    module, _ = run
    module.demo(tmp_path)
    (tmp_path / "result.png").write_bytes(b"old")
    module.demo(tmp_path, overwrite=True)
    assert (tmp_path / "result.png").read_bytes() == b"picture"


def test_a_file_in_the_folder_s_place_is_named(run, tmp_path):
    module, asked = run
    (tmp_path / "demo").write_text("mine")
    for folder in (tmp_path / "demo", tmp_path / "demo" / "below"):
        with pytest.raises(ImageError, match=r"`folder` must be a folder, got .*demo"):
            module.demo(folder)
    assert asked.painted == 0


@pytest.mark.parametrize(("option", "value"), [("size", 3), ("steps", 0)])
def test_options_are_checked_before_the_folder_is_made(run, tmp_path, option, value):
    module, _ = run
    with pytest.raises(ValueError, match=f"`{option}` must be"):
        module.demo(tmp_path / "demo", **{option: value})
    assert not (tmp_path / "demo").exists()
