"""Fitted models in batches."""

import sys
from pathlib import Path

import pytest
from PIL import Image

from impasto.batch.dry_run import estimate_batch
from impasto.batch.plan import BatchPlan, plan_jobs, read_plan
from impasto.batch.run import run_batch
from impasto.cli.main import main
from impasto.errors import ImpastoError
from impasto.images.read import open_image
from impasto.provenance import read_provenance
from impasto.recipes import ApplyRecipe

sys.path.insert(0, str(Path(__file__).parent / "filming"))
sys.path.insert(0, str(Path(__file__).parent / "models"))
from clip_makers import scene, write_video
from model_makers import fitted

MODEL = fitted()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with a model, two pictures, a broken one and a video."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in" / "deep").mkdir(parents=True)
    MODEL.save("oil.impasto")
    Image.fromarray(scene(1)[0]).save("in/a.png")
    Image.fromarray(scene(1, seed=3)[0]).save("in/deep/b.png")
    Path("in/c.png").write_bytes(b"\x89PNG\r\n\x1a\n no picture")
    write_video(tmp_path / "in" / "d.mp4", scene(2))
    return tmp_path


def plan(**options):
    recipe = ApplyRecipe(device="cpu", **options)
    return BatchPlan("apply", ("in",), (), "out", recipe, model="oil.impasto")


def test_a_batch_paints_what_apply_paints_and_knows_it_again(folder):
    left_out = []
    assert [job.output for job in plan_jobs(plan(), left_out)] == [
        "out/a.png", "out/c.png", "out/deep/b.png",
    ]  # fmt: skip
    assert any("d.mp4" in each for each in left_out)
    progress = run_batch(plan(), executor="inline")
    assert (progress.made, list(progress.failed)) == (2, ["out/c.png"])
    first = {path: path.read_bytes() for path in Path("out").rglob("*.png")}
    for path, single in (
        (Path("out/a.png"), "in/a.png"),
        (Path("out/deep/b.png"), "in/deep/b.png"),
    ):
        told = read_provenance(open_image(path).metadata.recipe)
        assert (told.method, told.recipe) == ("apply", ApplyRecipe(device="cpu"))
        assert (told.inputs.model.name, told.inputs.content.name) == ("oil.impasto", path.name)
        assert told.fingerprint
        single = str("in" / path.relative_to("out"))
        assert main(["apply", "oil.impasto", single, "-o", "alone.png", "--device", "cpu"]) == 0
        assert (open_image("alone.png").pixels == open_image(path).pixels).all()
        Path("alone.png").unlink()
        Path("alone.png.impasto.json").unlink()
    Path("out/impasto-batch.sqlite").unlink()
    Path("in/c.png").unlink()
    assert (again := run_batch(plan(), executor="inline")).done == 2
    assert again.made == 0  # by the fingerprints
    Path("out/a.png").unlink()
    assert run_batch(plan(), executor="inline").made == 1
    assert {path: path.read_bytes() for path in Path("out").rglob("*.png")} == first
    assert run_batch(plan(amount=0.5), executor="inline").made == 2


def test_a_batch_comes_again(folder):
    run_batch(plan(), executor="inline")
    for name in ("in/a.png", "out/a.png"):
        Path(name).rename(folder / f"{Path(name).parent}-a.png")
    Path("in-a.png").rename("a.png")
    assert main(["rerun", "out-a.png", "-o", "again.png"]) == 0
    assert (open_image("again.png").pixels == open_image("out-a.png").pixels).all()


def test_what_cannot_be_is_one_sentence_before_any_work(folder, capsys):
    Path("bad.impasto").write_bytes(b"no model")
    bad = BatchPlan("apply", ("in",), (), "out", ApplyRecipe(), model="bad.impasto")
    for refuse in (lambda: run_batch(bad, executor="inline"), lambda: estimate_batch(bad)):
        with pytest.raises(ImpastoError, match=r"bad\.impasto"):
            refuse()
    with pytest.raises(ValueError, match="`model` must be the file of a fitted model, got none"):
        BatchPlan("apply", ("in",), (), "out", ApplyRecipe())
    with pytest.raises(ValueError, match="`style` must be left out of a batch of apply"):
        BatchPlan("apply", ("in",), ("in/a.png",), "out", ApplyRecipe(), model="oil.impasto")
    assert main(["batch", "apply", "missing.impasto", "in", "-o", "out"]) != 0
    printed = capsys.readouterr().err
    assert "missing.impasto" in printed
    assert printed.count("\n") == 1
    assert not Path("out").exists()


def test_a_plan_in_a_file_and_its_cost(folder, capsys):
    Path("plan.toml").write_text(
        'contents = ["in"]\nmodel = "oil.impasto"\noutput = "out"\n[recipe]\namount = 0.5\n'
    )
    read = read_plan("plan.toml")
    assert (read.method, read.model, read.recipe.amount) == ("apply", "oil.impasto", 0.5)
    facts = estimate_batch(read)
    assert facts["pictures"] == 3
    assert facts["seconds"] > 0
    assert "films" not in facts
    assert main(["batch", "run", "plan.toml", "--executor", "inline"]) == 3
    assert "2 of 3 done" in capsys.readouterr().err
