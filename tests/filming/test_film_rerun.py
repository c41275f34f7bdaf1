"""Films and cleaned clips made again from the file beside them that says how they were made."""

import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from clip_makers import HEIGHT, QUICK_FILM, STYLE, WIDTH, scene, texture, write_frames, write_video

import impasto
from impasto.cli.main import main
from impasto.errors import ImageError
from impasto.filming import clip_job
from impasto.provenance import read_provenance
from impasto.recipes import ClipRecipe, FilmRecipe

CLEAN = {"sigma": 0.08, "effort": "quick", "device": "cpu"}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with a clip, its frames, two styles, masks and a keyframe."""
    monkeypatch.chdir(tmp_path)
    frames = scene(5)
    write_video(tmp_path / "in.mp4", frames)
    write_frames(tmp_path / "frames", frames)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[:, :20] = 255
    write_frames(tmp_path / "masks", [mask] * 5, "{}.png")
    pictures = {"paint": STYLE, "night": texture(5, 48, 48), "key": texture(8), "half": mask}
    for name, picture in pictures.items():
        PIL.Image.fromarray(picture).save(tmp_path / f"{name}.png")
    return tmp_path


def sidecar(output):
    return read_provenance(Path(f"{output}.impasto.json").read_text())


def test_the_same_film_comes_again(folder, capsys):
    styles = {0: impasto.Style("paint.png", 0.7, region="masks"), 3: ["night.png", "paint.png"]}
    options = {**QUICK_FILM, "engine": "keyed", "crossfade": 2, "range": "1:5"}
    first = impasto.film(
        "in.mp4",
        styles,
        "out.mp4",
        protect="half.png",
        keep="masks",
        keys={2: "key.png"},
        **options,
    )
    told = sidecar("out.mp4")
    assert told == first.provenance
    assert (type(told.recipe), told.method, told.recipe.engine) == (FilmRecipe, "film", "keyed")
    assert [(each.start, each.weight) for each in told.inputs.styles] == [(0, 0.7), (3, 1), (3, 1)]
    assert told.inputs.styles[0].region.name == told.inputs.keep.name == "masks"
    assert told.inputs.keys[0].frame == 2
    assert told.inputs.keys[0].picture.name == "key.png"
    assert told.maker.opencv
    assert str(folder) not in Path("out.mp4.impasto.json").read_text()
    assert main(["rerun", "out.mp4"]) == 0
    assert capsys.readouterr().out == "out-again.mp4\n"
    assert Path("out-again.mp4").read_bytes() == Path("out.mp4").read_bytes()
    assert sidecar("out-again.mp4") == told


def test_numbered_frames_come_again(folder, capsys):
    impasto.film("frames", "paint.png", "out/%03d.png", **QUICK_FILM, engine="painted")
    for place in ("out", "out/%03d.png", "out/%03d.png.impasto.json"):
        assert main(["rerun", place, "--overwrite"]) == 0, capsys.readouterr().err
        first, again = (sorted(Path(name).glob("*.png")) for name in ("out", "out-again"))
        assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]
        assert len(again) == 5


def test_a_cleaned_clip_comes_again(folder):
    impasto.denoise_clip("in.mp4", "clean.webm", **CLEAN, range="0:3")
    told = sidecar("clean.webm")
    assert (type(told.recipe), told.method) == (ClipRecipe, "denoise-clip")
    again = impasto.rerun("clean.webm", output="again.webm")
    assert again.frames == 3
    assert Path("again.webm").read_bytes() == Path("clean.webm").read_bytes()
    with pytest.raises(ValueError, match="`output` must be given for a film"):
        impasto.rerun("clean.webm")


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda: Path("in.mp4").unlink(), "`content` must be a file that exists, got no in.mp4"),
        (lambda: Path("masks/2.png").unlink(), "`keep` must be masks as it was, got masks, which"),
        (lambda: Path("key.png").write_bytes(b"x"), "`key` must be key.png as it was, got key.png"),
        (lambda: Path("out.mp4.impasto.json").unlink(), "`file` must have one recipe beside its"),
    ],
)
def test_what_is_missing_or_changed_is_one_sentence(folder, capsys, spoil, sentence):
    options = {**QUICK_FILM, "range": "0:2"}
    impasto.film("in.mp4", "paint.png", "out.mp4", keep="masks", keys={1: "key.png"}, **options)
    spoil()
    assert main(["rerun", "out.mp4"]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith(f"impasto: {sentence}")
    assert printed.count("\n") == 1
    assert not Path("out-again.mp4").exists()


def test_info_tells_what_a_film_is_and_how_it_was_made(folder, capsys):
    impasto.film("in.mp4", "paint.png", "out.mp4", keys={1: "key.png"}, **QUICK_FILM)
    assert main(["info", "out.mp4", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["frames"], facts["size"], facts["rate"]) == (5, [WIDTH, HEIGHT], 10)
    assert facts["recipe"]["engine"] == "painted"
    assert facts["made"]["inputs"]["keys"][0]["picture"]["name"] == "key.png"
    assert main(["info", "out.mp4"]) == 0
    printed = capsys.readouterr().out
    assert "paint.png" in printed
    assert "in.mp4" in printed
    Path("out.mp4.impasto.json").write_text("{broken")
    assert main(["info", "out.mp4"]) == 0
    assert "recipe problem" in capsys.readouterr().out
    assert main(["info", "in.mp4"]) == 0


def test_a_recipe_opens_no_folder_but_those_it_names(folder):
    impasto.denoise_clip("in.mp4", "clean.mp4", **CLEAN, range="0:1")
    text = Path("clean.mp4.impasto.json").read_text()
    for name in (".", "..", "*", "frames/../frames"):
        Path("recipe.json").write_text(text.replace('"in.mp4"', json.dumps(name)))
        with pytest.raises(ValueError, match="must be"):
            impasto.rerun("recipe.json", output="again.mp4")
    assert not Path("again.mp4").exists()


def test_another_clip_is_painted_in_the_same_way(folder, capsys):
    write_video(folder / "other.mp4", scene(2, seed=4))
    impasto.film("in.mp4", "paint.png", "out.mp4", **QUICK_FILM)
    command = [
        "rerun",
        "out.mp4",
        "--content",
        "other.mp4",
        "-o",
        "b.mp4",
        "--no-sidecar",
        "--json",
    ]
    assert main(command) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["frames"] == 2
    assert facts["changes"] == ["`content` is other.mp4, not what the recipe names"]
    assert not Path("b.mp4.impasto.json").exists()


def test_another_sidecar_is_not_replaced_and_a_stopped_film_has_none(folder):
    Path("out.mp4.impasto.json").write_text("mine")
    with pytest.raises(ImageError, match=r"`sidecar` .*out\.mp4\.impasto\.json"):
        impasto.film("in.mp4", "paint.png", "out.mp4", **QUICK_FILM)
    assert Path("out.mp4.impasto.json").read_text() == "mine"
    Path("b.mp4.impasto.json").mkdir()
    with pytest.raises(ImageError, match=r"`sidecar` .*b\.mp4\.impasto\.json"):
        impasto.film("in.mp4", "paint.png", "b.mp4", overwrite=True, **QUICK_FILM)
    done = []
    options = {**QUICK_FILM, "overwrite": True, "on_frame": done.append}
    impasto.film("in.mp4", "paint.png", "out.mp4", stop=lambda: len(done) == 2, **options)
    assert not Path("out.mp4.impasto.json").exists()
    impasto.film("in.mp4", "paint.png", "out.mp4", **options)
    assert sidecar("out.mp4").method == "film"


def test_a_film_that_was_placed_before_a_kill_is_finished_by_the_same_command(folder, monkeypatch):
    straight = impasto.film("in.mp4", "paint.png", "straight.mp4", **QUICK_FILM)

    def die(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(clip_job, "sidecar_text", die)
    monkeypatch.setattr(clip_job.ClipJob, "check_free", lambda job: None)
    with pytest.raises(KeyboardInterrupt):
        impasto.film("in.mp4", "paint.png", "out.mp4", **QUICK_FILM)
    assert Path("out.mp4").exists()
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    impasto.film("in.mp4", "paint.png", "out.mp4", **QUICK_FILM)
    assert Path("out.mp4").read_bytes() == straight.path.read_bytes()
    assert not list(folder.glob("*.impasto-film"))
    with pytest.raises(ImageError, match=r"out\.mp4"):
        impasto.film("in.mp4", "paint.png", "out.mp4", **QUICK_FILM)
