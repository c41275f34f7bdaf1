"""Making a picture again from what it says of itself."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

import impasto
from impasto.cli.main import main
from impasto.images.read import describe_image
from impasto.images.write import encode
from impasto.provenance import MAX_BYTES, Provenance, read_provenance

QUICK = {"size": 48, "steps": 2, "device": "cpu"}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with a photograph, a painting and a mask."""
    monkeypatch.chdir(tmp_path)
    draw = np.random.default_rng(0)
    for name in ("photo.png", "paint.png", "other.png"):
        values = draw.integers(0, 256, (40, 48, 3), np.uint8)
        Image.fromarray(values).save(tmp_path / name)
    half = np.zeros((20, 24), np.uint8)
    half[:, :12] = 255
    Image.fromarray(half).save(tmp_path / "half.png")
    return tmp_path


def made(name="out.png", **options):
    """A painting of the two, with two regions and a protected part."""
    styles = [impasto.Style("paint.png", 0.7, region="half.png"), impasto.Style("other.png", 0.3)]
    result = impasto.stylize("photo.png", styles, keep="half.png", **{**QUICK, **options})
    return result.save(name)


def test_the_same_bytes_come_again(folder):
    first = made(color=0.3, structure=0.4).read_bytes()
    again = impasto.rerun("out.png").save("again.png").read_bytes()
    assert again == first


def test_a_folder_of_styles_comes_again(folder):
    (folder / "shelf").mkdir()
    for name in ("paint.png", "other.png"):
        (folder / "shelf" / name).write_bytes((folder / name).read_bytes())
    first = impasto.stylize("photo.png", "shelf", **QUICK)
    first.save("out.png")
    assert len(first.inputs.styles[0].pictures) == 2
    assert torch.equal(impasto.rerun("out.png").pixels, first.pixels)


def test_a_texture_a_reconstruction_and_a_cleaning_come_again(folder):
    results = {
        "texture": impasto.texture("paint.png", width=64, height=64, steps=2, device="cpu"),
        "layer": impasto.reconstruct("photo.png", size=32, steps=2, device="cpu"),
        "clean": impasto.denoise("photo.png", sigma=0.05),
        "chain": impasto.stylize("photo.png", "paint.png", **QUICK, denoise="both"),
    }
    for name, result in results.items():
        first = result.save(f"{name}.png").read_bytes()
        again = impasto.rerun(f"{name}.png").save(f"{name}-again.png").read_bytes()
        assert again == first, name


def test_a_stack_comes_again(folder, capsys):
    noise = np.random.default_rng(0).integers(900, 1300, (2, 32, 40)).astype(np.uint16)
    tifffile.imwrite("cells.tif", noise, imagej=True, metadata={"axes": "ZYX"})
    assert main(["denoise", "cells.tif", "--sigma", "0.01"]) == 0
    assert main(["rerun", "cells-clean.tif", "-o", "again.tif"]) == 0
    assert Path("again.tif").read_bytes() == Path("cells-clean.tif").read_bytes()
    assert Path("again.tif.impasto.json").exists()
    capsys.readouterr()
    assert main(["rerun", "cells-clean.tif", "-o", "again.png"]) == 2
    assert "`output` must end in .tif or .tiff for a stack" in capsys.readouterr().err
    assert main(["rerun", "cells-clean.tif", "-o", "again.tif"]) == 1


ODD_NAMES = ("a\\b.png", "a\nb.png", "a\x1b]0;x\x07.png", "\udcff.png", "a\u2028b.png")


@pytest.mark.parametrize("name", ODD_NAMES)
def test_an_input_whose_name_cannot_be_recorded_is_found_again(folder, name):
    (folder / "photo.png").rename(name)
    recipe = {"method": "nl-wiener", "sigma": 0.02, "device": "cpu"}
    result = impasto.denoise(name, **recipe)
    recorded = result.inputs.content.name
    assert "\ufffd" in recorded
    path = result.save("out.png")
    assert (
        json.loads(impasto.open_image(path).metadata.recipe)["inputs"]["content"]["name"]
        == recorded
    )
    again = impasto.rerun(path)
    assert torch.equal(again.pixels, result.pixels)


def test_no_folder_is_told(folder):
    assert str(folder) not in made().read_bytes().decode("latin-1")
    result = impasto.stylize(folder / "photo.png", str(folder / "paint.png"), **QUICK)
    assert str(folder) not in result.provenance().model_dump_json()


def test_a_changed_input_is_said_and_others_may_be_given(folder):
    made()
    Image.fromarray(np.zeros((40, 48, 3), np.uint8) + 99).save("photo.png")
    with pytest.raises(ValueError, match=r"be photo.png as it was, got .*photo.png, which"):
        impasto.rerun("out.png")
    other = impasto.rerun("out.png", content="photo.png")
    assert other.recipe == read_provenance(impasto.open_image("out.png").metadata.recipe).recipe


def test_a_missing_input_is_said(folder):
    made()
    (folder / "other.png").unlink()
    with pytest.raises(ValueError, match=r"`style` must be a file that exists, got no other.png"):
        impasto.rerun("out.png")
    with pytest.raises(ValueError, match="`style` must be 2 as in the recipe, got 1"):
        impasto.rerun("out.png", style="paint.png")


def test_inputs_are_found_beside_the_recipe(folder, monkeypatch):
    first = made().read_bytes()
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    assert impasto.rerun(folder / "out.png").save("again.png").read_bytes() == first


def test_a_recipe_opens_no_file_that_was_not_asked_for(folder):
    account = json.loads(impasto.open_image(made()).metadata.recipe)
    account["recipe"]["weights"] = "/etc/hostname"
    (folder / "evil.json").write_text(json.dumps(account))
    with pytest.raises(ValueError, match="`weights` must be given if a recipe names a file"):
        impasto.rerun("evil.json")
    account["recipe"]["weights"] = "oxford"
    for name in ("../photo.png", "/etc/hostname", "a\\b"):
        account["inputs"]["content"]["name"] = name
        (folder / "evil.json").write_text(json.dumps(account))
        with pytest.raises(ValueError, match=r"inputs.content.name"):
            impasto.rerun("evil.json")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"strength": 0.5, "sterngth": 1}', "`sterngth` must be an option of StyleRecipe"),
        ('{"version": 2, "strength": 0.5}', "`version` must be 1, got 2: this recipe was written"),
        ('{"version": 9, "method": "style", "recipe": {}}', "by a later impasto; update impasto"),
        ('{"method": "stile", "recipe": {}}', "did you mean style?"),
        ('{"method": "style", "recipe": {}, "run": "rm"}', "`run` must be one of version, method"),
        ('{"method": "style", "recipe": {"steps": 0}}', "`steps` must be at least 1, got 0"),
        ('{"method": "style", "recipe": {}, "inputs": {"path": 1}}', "inputs.path"),
        ("{" + "x" * MAX_BYTES, "`file` must be at most 1,000,000 characters long"),
        ("{" * 5000, "`file` must be a JSON object, got"),
        ("hello", "`file` must be a readable picture"),
    ],
)
def test_what_is_no_recipe_is_one_sentence(folder, text, said):
    (folder / "bad.json").write_text(text)
    with pytest.raises(Exception, match="must") as caught:
        impasto.rerun("bad.json")
    assert said in str(caught.value)
    assert len(str(caught.value)) < 1500
    assert "\n" not in str(caught.value)


WRONG_ACCOUNTS = {
    "a list for the method": '{"method": [], "recipe": {}}',
    "a text for the inputs": '{"method": "style", "recipe": {}, "inputs": "x"}',
    "a text for an input": '{"method": "style", "recipe": {}, "inputs": {"content": "x"}}',
    "a list for the maker": '{"method": "style", "recipe": {}, "maker": [1]}',
    "a list for the recipe": '{"method": "style", "recipe": [1]}',
    "half a character": '{"method": "style", "recipe": {"preset": "\\ud800"}}',
    "NaN": '{"strength": NaN}',
    "infinity": '{"strength": 1e400}',
    "six thousand digits": '{"steps": ' + "9" * 6000 + "}",
    "a key that stands twice": '{"steps": 3, "steps": 4}',
    "nesting": '{"recipe": ' * 900 + "1" + "}" * 900,
    "a long text": '{"a": "' + "x" * 900_000 + '"}',
    "a large weight": json.dumps(
        {
            "method": "style",
            "recipe": {},
            "inputs": {"styles": [{"pictures": [{"sha256": "0" * 64}], "weight": 1e300}]},
        }
    ),
}


@pytest.mark.parametrize("text", WRONG_ACCOUNTS.values(), ids=WRONG_ACCOUNTS)
def test_of_a_picture_with_a_wrong_account_the_rest_is_told(folder, capsys, text):
    picture = encode(torch.rand(3, 16, 20), "png", recipe=text)
    (folder / "wrong.png").write_bytes(picture)
    assert main(["info", "wrong.png"]) == 0
    told = capsys.readouterr().out
    assert "recipe       unreadable: " in told
    assert "20 × 16" in told
    assert json.dumps(describe_image(picture), allow_nan=False).isascii()
    assert main(["info", "--json", "wrong.png"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["recipe"], facts["size"]) == (None, [20, 16])
    assert facts["recipe_problem"]
    (folder / "wrong.json").write_text(text)
    for file in ("wrong.png", "wrong.json"):
        assert main(["rerun", file, "-o", "again.png"]) == 2
        said = capsys.readouterr().err
        assert " must be " in said
        assert len(said) < 2500
    assert not (folder / "again.png").exists()


def test_a_recipe_with_a_byte_order_mark_and_a_name_too_long_for_a_disk(folder, capsys):
    name = {"name": "é" * 255, "sha256": "0" * 64}
    text = json.dumps({"method": "denoise", "recipe": {}, "inputs": {"content": name}})
    (folder / "a.json").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert main(["rerun", "a.json"]) == 2
    assert "`content` must be a file that exists, got no ééé" in capsys.readouterr().err


def test_a_picture_without_a_recipe_is_refused(folder):
    with pytest.raises(ValueError, match=r"must be a picture with a recipe inside, got photo.png"):
        impasto.rerun("photo.png")


def test_an_account_survives_json_and_its_schema_is_strict():
    account = Provenance(method="style", recipe=impasto.StyleRecipe(strength=0.3))
    assert read_provenance(account.model_dump_json()) == account
    schema = Provenance.model_json_schema()
    assert schema["additionalProperties"] is False
    assert all(part["additionalProperties"] is False for part in schema["$defs"].values())


def test_the_command_gives_the_same_file(folder, capsys):
    words = ["style", "photo.png", "paint.png", "-o", "out.png", "--size", "48", "--steps", "2"]
    assert main([*words, "--bits", "16", "--quiet"]) == 0
    assert main(["rerun", "out.png", "-o", "again.png"]) == 0
    assert main(["rerun", "out.png.impasto.json", "-o", "third.png", "--json"]) == 0
    first = (folder / "out.png").read_bytes()
    assert (folder / "again.png").read_bytes() == first
    assert (folder / "third.png").read_bytes() == first
    facts = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (facts["output"], facts["method"], facts["changes"]) == ("third.png", "style", [])
    assert main(["rerun", "out.png", "-o", "out.png"]) == 1
    before = (folder / "photo.png").read_bytes()
    assert main(["rerun", "out.png", "-o", "photo.png", "--overwrite"]) == 1
    assert "`output` must not be one of the inputs, got photo.png" in capsys.readouterr().err
    assert (folder / "photo.png").read_bytes() == before
    assert main(["rerun", "out.png", "--content", "other.png", "-o", "new.png"]) == 0
    assert "not what the recipe names" in capsys.readouterr().err
