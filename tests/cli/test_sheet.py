"""Contact sheets: which cells there are, how they are drawn, and the one that is picked."""

import json

import numpy as np
import pytest
from PIL import Image

from impasto.cli.main import main
from impasto.cli.sheet import VALUES, sheet_cells
from impasto.errors import ImpastoError
from impasto.images.read import open_image
from impasto.presets import PRESETS, read_presets, style_recipe


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with a photograph and a painting."""
    monkeypatch.chdir(tmp_path)
    draw = np.random.default_rng(0)
    for name in ("photo.png", "paint.png"):
        Image.fromarray(draw.integers(0, 256, (48, 64, 3), np.uint8)).save(tmp_path / name)
    return tmp_path


def test_cells_are_all_combinations_by_rows():
    found = sheet_cells({"strength": [0.2, 0.8], "color": [0, 0.5, 1]}, 128, seed=3)
    assert [cell.number for cell in found] == [1, 2, 3, 4, 5, 6]
    assert [(cell.recipe.strength, cell.recipe.color) for cell in found[:4]] == [
        (0.2, 0), (0.2, 0.5), (0.2, 1), (0.8, 0),
    ]  # fmt: skip
    assert all(cell.recipe.size == 128 and cell.recipe.seed == 3 for cell in found)


def test_strokes_grow_with_the_size_so_that_a_picked_cell_looks_the_same():
    small, large = (sheet_cells({"style_scale": [0.5, 1.0]}, size) for size in (128, 512))
    assert [cell.recipe.style_scale for cell in large] == [0.5, 1.0]
    assert [cell.recipe.style_scale for cell in small] == [0.125, 0.25]


def test_every_usual_value_is_valid():
    for name, values in VALUES.items():
        assert len(sheet_cells({name: values}, 200)) == len(values)
    assert len(VALUES["preset"]) >= 8


def test_every_preset_differs_from_every_other():
    recipes = [style_recipe(name).model_dump(exclude={"preset"}) for name in PRESETS]
    for number, one in enumerate(recipes):
        assert all(one != other for other in recipes[:number])
    assert all(preset.words for preset in PRESETS.values())


def test_more_cells_are_painted_smaller(folder, monkeypatch):
    painted = []

    def stylize(content, style, *, recipe, **options):
        painted.append((recipe.size, recipe.steps))
        raise ImpastoError("seen enough")

    monkeypatch.setattr("impasto.api.stylize", stylize)
    for over in ("strength=0.2,0.8", "strength=" + ",".join(f"0.{n}" for n in range(1, 11))):
        assert main(["sheet", "photo.png", "paint.png", "--over", over, "--quiet"]) == 1
    (few, few_steps), (many, many_steps) = painted
    assert few > many
    assert few_steps > many_steps


def test_a_sheet_is_drawn_and_a_cell_painted(folder, capsys):
    words = ["sheet", "photo.png", "paint.png", "--over", "strength=0.2,0.8", "--over", "color=0,1"]
    small = ["--cell", "64", "--cell-steps", "1", "--quiet"]
    assert main([*words, *small, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["output"] == "photo-sheet.png"
    assert [cell["label"] for cell in facts["cells"]][1] == "strength 0.2  color 1"
    with Image.open(folder / "photo-sheet.png") as drawn:
        assert drawn.width > 400
    settings = ["--set", "size=80", "--set", "steps=1", "--quiet"]
    assert main([*words, *settings, "--pick", "3"]) == 0
    assert capsys.readouterr().out == "photo-3.png\n"
    account = json.loads((folder / "photo-3.png.impasto.json").read_text())
    assert (account["recipe"]["strength"], account["recipe"]["color"]) == (0.8, 0)
    with Image.open(folder / "photo-3.png") as picked:
        assert picked.width == 80


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--over", "noise"], "`over` must be one of strength, style-scale, color"),
        (["--over", "strength=much"], "`over` must give numbers for strength, got 'much'"),
        (["--over", "strength=2"], "`strength` must be at most 1, got 2.0"),
        (["--over", "preset=gatis"], "did you mean gatys?"),
        (["--set", "size"], "`set` must be OPTION=VALUE"),
        (["--over", "strength=" + ",".join(["0.5"] * 37)], "at most 36 cells, got 37"),
        (["--pick", "99"], "`pick` must be a cell from 1 to 9, got 99"),
        (["--over", "color", "--over", "strength", "--over", "preset"], "one option or two, got 3"),
    ],
)
def test_what_cannot_be_a_sheet_is_one_sentence(folder, capsys, words, said):
    assert main(["sheet", "photo.png", "paint.png", *words]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert said in err


def test_presets_are_listed(folder, capsys):
    assert main(["presets", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == list(PRESETS)
    seen = {open_image(row["thumbnail"]).pixels.sum().item() for row in rows}
    assert len(seen) == len(PRESETS)
    (folder / "mine.json").write_text('{"bold": {"words": "all style", "strength": 0.9}}')
    assert main(["presets", "--presets", "mine.json"]) == 0
    assert "all style" in capsys.readouterr().out
    assert main(["presets", "--presets", "mine.json", "--json"]) == 0
    shown = {row["name"]: row["thumbnail"] for row in json.loads(capsys.readouterr().out)}
    assert [name for name, place in shown.items() if place is None] == ["bold"]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.toml", "[loud]\nstrength = 7", "`strength` must be at most 1, got 7; see StyleRecipe"),
        ("a.toml", "[loud]\nstrnegth = 1", "did you mean strength?, in preset loud of"),
        ("a.toml", "loud = 3", "`presets` must hold a table for each preset, got 3 for loud"),
        ("a.toml", "[loud", "`presets` must be a readable TOML or JSON file"),
        ("a.json", "[1]", "it is not a table"),
        ("a.json", "[" * 5000, "`presets` must be a readable TOML or JSON file"),
        ("a.txt", "", "`presets` must end in .toml or .json"),
    ],
)
def test_a_wrong_file_of_presets_is_one_sentence(folder, name, text, said):
    (folder / name).write_text(text)
    with pytest.raises(ValueError, match="must") as caught:
        read_presets(folder / name)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
