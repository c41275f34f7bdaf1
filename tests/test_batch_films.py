"""Films in batches: beside pictures, each on its own."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from impasto.batch.dry_run import estimate_batch
from impasto.batch.plan import BatchPlan, plan_jobs, read_plan
from impasto.batch.run import run_batch
from impasto.cli.main import main
from impasto.images.video_read import open_clip
from impasto.presets import style_recipe
from impasto.provenance import read_provenance
from impasto.recipes import DenoiseRecipe

sys.path.insert(0, str(Path(__file__).parent / "filming"))
from clip_makers import scene, write_video

CLEAN = DenoiseRecipe(sigma=0.08, effort="quick", device="cpu")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with two videos, one of them broken, and a picture."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in" / "deep").mkdir(parents=True)
    write_video(tmp_path / "in" / "a.avi", scene(3), codec="MJPG")
    write_video(tmp_path / "in" / "deep" / "c.webm", scene(2), codec="VP80")
    (tmp_path / "in" / "b.mp4").write_bytes(b"no film")
    Image.fromarray(scene(1)[0]).save(tmp_path / "in" / "d.png")
    Image.fromarray(np.roll(scene(1)[0], 9)).save(tmp_path / "paint.png")
    return tmp_path


def cleaning():
    return BatchPlan("denoise", ("in",), (), "out", CLEAN)


def test_films_keep_the_tree_and_have_a_film_s_ending(folder):
    outputs = [job.output for job in plan_jobs(cleaning())]
    assert outputs == ["out/a.mp4", "out/b.mp4", "out/d.png", "out/deep/c.webm"]


def test_one_film_that_fails_does_not_end_the_others_and_what_is_done_stays(folder):
    progress = run_batch(cleaning(), executor="inline")
    assert (progress.done, progress.made, len(progress.failed)) == (3, 3, 1)
    assert progress.failed["out/b.mp4"].startswith("`clip` must be a film, got")
    assert open_clip("out/a.mp4").frames == 3
    assert open_clip("out/deep/c.webm").frames == 2
    again = run_batch(cleaning(), executor="inline")
    assert (again.done, again.made) == (3, 0)


def test_a_film_that_was_killed_goes_on(folder, monkeypatch):
    from impasto.filming import clean

    keep = clean._Cleaning._keep

    def keep_one(self, *arguments):
        keep(self, *arguments)
        raise MemoryError

    monkeypatch.setattr(clean._Cleaning, "_keep", keep_one)
    plan = BatchPlan("denoise", ("in/a.avi",), (), "out", CLEAN)
    assert run_batch(plan, executor="inline", tries=1).failed
    assert (folder / "out" / "a.mp4.impasto-film" / "00000000.png").exists()
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    assert run_batch(plan, executor="inline", existing="overwrite").made == 1
    assert open_clip("out/a.mp4").frames == 3
    assert [path.suffix for path in (folder / "out").iterdir()].count(".impasto-film") == 0


def test_films_are_painted(folder):
    recipe = style_recipe(size=48, steps=2, precision="float32", device="cpu")
    plan = BatchPlan("style", ("in/a.avi", "in/d.png"), ("paint.png",), "out", recipe)
    assert run_batch(plan, executor="inline").made == 2
    assert open_clip("out/a.mp4").frames == 3
    bad = BatchPlan("style", ("in/a.avi",), ("paint.png",), "out2", style_recipe(denoise="both"))
    (reason,) = run_batch(bad, executor="inline").failed.values()
    assert reason.startswith("`denoise` must be `no`")


def test_a_dry_run_counts_films_apart(folder, capsys):
    facts = estimate_batch(cleaning())
    assert (facts["pictures"], facts["films"]) == (1, 3)
    assert main(["batch", "denoise", "in", "-o", "out", "--dry-run"]) == 0
    assert "films         3" in capsys.readouterr().out
    assert not (folder / "out").exists()


def test_options_of_films_are_for_the_videos_alone(folder):
    Path("plan.toml").write_text(
        'contents = ["in/a.avi", "in/d.png"]\nstyles = "paint.png"\noutput = "out"\n[recipe]\n'
        'size = 48\nsteps = 2\nprecision = "float32"\ndevice = "cpu"\n'
        'engine = "keyed"\nkeys_every = 2\nrange = "0:2"\n'
    )
    plan = read_plan("plan.toml")
    assert dict(plan.film) == {"engine": "keyed", "keys_every": 2, "range": "0:2"}
    assert run_batch(plan, executor="inline").made == 2
    told = read_provenance(Path("out/a.mp4.impasto.json").read_text())
    assert (told.method, told.recipe.engine, told.recipe.keys_every) == ("film", "keyed", 2)
    assert told.recipe.memory == "auto"
    assert open_clip("out/a.mp4").frames == 2
    words = ["batch", "style", "in/a.avi", "in/d.png", "-s", "paint.png", "-o", "out", "--size"]
    words += ["48", "--steps", "2", "--precision", "float32", "--device", "cpu", "--executor"]
    words += ["inline", "--quiet", "--engine", "keyed", "--keys-every", "2", "--range", "0:2"]
    assert main(words) == 0
    Path("out/impasto-batch.sqlite").unlink()
    assert run_batch(plan, executor="inline").made == 0  # by the recipe beside the film
    with pytest.raises(ValueError, match="`keys_every` must be"):
        BatchPlan("style", ("in",), ("paint.png",), "out", plan.recipe, film={"keys_every": 1})
    other = BatchPlan("style", plan.contents, plan.styles, "out", plan.recipe, film={"range": "1:"})
    assert run_batch(other, executor="inline", existing="overwrite").made == 2
    assert open_clip("out/a.mp4").frames == 2
