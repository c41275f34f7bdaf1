"""What editors and type checkers see: the options of each function, made from the recipes."""

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from make_types import TARGET, options_text

import impasto

PROGRAM = """\
import impasto
from impasto import Style, denoise, film, fit, stylize

result: impasto.Result = stylize("photo.jpg", "oil.jpg", size=512, strength=0.7)
stylize("photo.jpg", [Style("oil.jpg")], steps="auto", tiles=[256], memory=2)
stylize("photo.jpg", "oil.jpg", style_layers={"relu1_1": 1, "relu3_1": 0.5})
denoise("photo.jpg", specks="off", crop=(0, 0, 64, 64))
film("clip.mp4", "oil.jpg", "out.mp4", engine="keyed", range="0s:2s")
fit("photo.jpg", "oil.jpg", steps=20).model("photo.jpg", amount=0.5)
impasto.texture("oil.jpg", tileable=True)
impasto.diagnose("photo.jpg", axes="YX")
stylize("photo.jpg", "oil.jpg", strenght=0.7)  # wrong: strenght
stylize("photo.jpg", "oil.jpg", size="big")  # wrong: size
stylize("photo.jpg", "oil.jpg", style_layers={"relu9_1": 1})  # wrong: relu9_1
denoise("photo.jpg", specks=True)  # wrong: specks
denoise("photo.jpg", structure=1.0)  # wrong: structure
film("clip.mp4", "oil.jpg", "out.mp4", keys_every="often")  # wrong: keys_every
fit("photo.jpg", "oil.jpg", tileable=True)  # wrong: tileable
"""


def test_the_options_are_those_of_the_recipes():
    assert TARGET.read_text(encoding="utf-8") == options_text(), "run docs/make_types.py"


def test_the_package_says_that_it_is_typed():
    assert Path(impasto.__file__).with_name("py.typed").is_file()


def test_at_run_time_nothing_has_changed():
    code = (
        "import sys, impasto; impasto.stylize, impasto.film, impasto.fit, impasto.denoise;"
        "sys.exit('impasto.options' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert inspect.signature(impasto.stylize).parameters["strength"].default == 0.5
    with pytest.raises(ValueError, match="did you mean strength"):
        impasto.stylize("photo.jpg", "oil.jpg", strenght=0.7)


@pytest.mark.slow
def test_a_type_checker_passes_right_options_and_names_wrong_ones(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    source = str(Path(impasto.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--follow-imports=silent", "program.py"],
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": source},
        capture_output=True,
        text=True,
        check=False,
    )
    errors = dict(re.findall(r"program\.py:(\d+): error: (.*)", done.stdout))
    wrong = {
        str(number): line.split("# wrong: ")[1]
        for number, line in enumerate(PROGRAM.splitlines(), 1)
        if "# wrong: " in line
    }
    assert errors.keys() == wrong.keys(), done.stdout + done.stderr
    for number, name in wrong.items():
        assert name in errors[number]
