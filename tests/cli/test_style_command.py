"""`impasto style`: what is written, what is printed, what is refused before any work."""

import json
import math

import numpy as np
import pytest
from fake_rooms import seen
from PIL import Image

from impasto import denoise
from impasto.cli.style_args import parse_styles
from impasto.images.read import open_image
from impasto.presets import PRESETS, style_recipe
from impasto.provenance import read_provenance
from impasto.recipes import StyleRecipe

BASE = ("style", "photo.png", "paint.png", "-o", "out.png")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_path_is_all_that_is_printed(impasto, folder):
    code, out, err = impasto(*BASE, "--steps", 3)
    assert (code, out, err) == (0, "out.png\n", "")
    assert seen(folder / "out.png").shape == (16, 24, 3)


def test_without_output_the_sources_name_it(impasto, folder):
    assert impasto("style", "photo.png", "other.jpg", "--steps", 1)[1] == "photo-other.png\n"
    _, out, _ = impasto("style", "photo.png", "paint.png", "other.jpg", "--steps", 1)
    assert out == "photo-paint-other.png\n"
    assert (folder / "photo-paint-other.png").exists()


def test_json_is_one_object_of_plain_values(impasto):
    code, out, err = impasto(*BASE, "--steps", 4, "--json", "--seed", 7)
    facts = json.loads(out)
    assert (code, err, out.count("\n")) == (0, "", 1)
    assert {name: type(value) for name, value in facts.items()} == {
        "output": str, "size": list, "seconds": float, "evaluations": int, "loss": float,
        "content_loss": float, "style_loss": float, "losses": dict, "preset": str, "seed": int,
        "device": str, "precision": str,
    }  # fmt: skip
    assert facts["output"] == "out.png"
    assert facts["size"] == [24, 16]
    assert facts["evaluations"] == 4
    assert facts["seed"] == 7
    assert facts["loss"] == pytest.approx(0.75)
    assert facts["losses"] == {"total": 0.75, "content": 0.25, "style": 0.5}


def test_a_loss_that_is_no_number_is_null_in_json():
    from impasto.cli.files import json_number

    assert [json_number(value) for value in (math.nan, math.inf, 1)] == [None, None, 1.0]


def test_only_options_given_override_the_preset(impasto, calls):
    impasto(*BASE, "--preset", "gatys", "--steps", 2)
    assert calls[-1]["recipe"] == style_recipe("gatys", steps=2)
    impasto(*BASE, "--overwrite", "--steps", 2)
    assert calls[-1]["recipe"] == style_recipe(steps=2)


def test_the_loss_options_of_earlier_versions_are_still_taken_but_not_shown(impasto, calls):
    impasto(*BASE, "--statistic", "gram", "--normalization", "notebook", "--steps", 2)
    expected = style_recipe(style_loss="gram-notebook", content_loss="mse", steps=2)
    assert calls[-1]["recipe"] == expected
    assert "--statistic" not in impasto("style", "--help")[1]


def test_every_option_of_the_recipe_arrives(impasto, calls):
    wanted = {
        "preset": "notebook", "strength": 0.25, "size": 64, "effort": "best", "steps": 2,
        "scales": 2,
        "init": "noise", "content_layers": {"relu3_1": 1.0}, "style_layers":
        {"relu1_1": 1.0, "conv2_2": 0.5}, "content_weight": 2.0, "style_weight": 3.0,
        "tv_weight": 0.5, "style_loss": "wasserstein", "content_loss": "paper",
        "pooling": "average", "padding": "zeros", "optimizer": "adam", "learning_rate": 0.5,
        "history": 5, "weights": "torchvision", "seed": 9, "device": "cpu",
        "precision": "bfloat16", "memory": 3.5, "warmup": 0.5, "denoise": "no", "color": 0.5,
        "color_by": "statistics", "style_scale": 1.5, "structure": 0.25, "composition": 0.5,
        "tiles": (64, 0),
    }  # fmt: skip
    assert set(wanted) == set(StyleRecipe.model_fields) - {"version"}
    words = []
    for name, value in wanted.items():
        if isinstance(value, dict):
            value = ", ".join(f"{layer}:{weight}" for layer, weight in value.items())
        if isinstance(value, tuple):
            value = ",".join(map(str, value))
        words += ["--" + name.replace("_", "-"), value]
    assert impasto(*BASE, *words)[0] == 0
    assert calls[-1]["recipe"].model_dump(exclude={"version"}) == wanted


def test_loss_options_of_earlier_versions_still_arrive(impasto, calls):
    assert impasto(*BASE, "--steps", 1, "--statistic", "gram")[0] == 0
    assert calls[-1]["recipe"].style_loss == style_recipe(statistic="gram").style_loss
    assert calls[-1]["recipe"].style_loss != style_recipe().style_loss


def test_the_recipe_is_in_the_picture_and_info_shows_it(impasto, calls):
    impasto(*BASE, "--steps", 2, "--strength", "0.75")
    code, out, _ = impasto("info", "out.png", "--json")
    assert code == 0
    assert read_provenance(json.dumps(json.loads(out)["recipe"])).recipe == calls[-1]["recipe"]
    code, out, _ = impasto("info", "out.png")
    lines = {line.split()[0]: line.split()[1:] for line in out.splitlines()}
    assert lines["strength"] == ["0.75"]
    assert lines["style_layers"] == ["relu1_1,relu2_1,relu3_1,relu4_1,relu5_1"]
    assert "24 × 16" in out


def test_styles_go_in_their_order(impasto, calls):
    impasto(*BASE, "--steps", 1)
    assert [style.picture.size for style in calls[-1]["style"]] == [(20, 20)]
    impasto("style", "photo.png", "paint.png", "other.jpg", "--steps", 1)
    assert [style.picture.size for style in calls[-1]["style"]] == [(20, 20), (16, 24)]


def test_init_is_a_word_or_a_picture(impasto, calls):
    impasto(*BASE, "--steps", 1, "--init", "recolored")
    assert (calls[-1]["recipe"].init, calls[-1]["init"]) == ("recolored", None)
    impasto(*BASE, "--steps", 1, "--init", "other.jpg", "--overwrite")
    assert calls[-1]["recipe"].init == "picture"
    assert calls[-1]["init"].size == (16, 24)


def test_snapshots_stand_beside_the_output(impasto, folder):
    before = names(folder)
    code, out, _ = impasto(*BASE, "--steps", 7, "--save-every", 3)
    assert (code, out) == (0, "out.png\n")
    assert set(names(folder)) - set(before) == {
        "out.png",
        "out.png.impasto.json",
        "out-00003.png",
        "out-00006.png",
    }


def test_figures_are_drawn(impasto, folder):
    code, out, _ = impasto(*BASE, "--steps", 3, "--figure", "row.png", "--loss-curve", "loss.pdf")
    assert (code, out) == (0, "out.png\n")
    assert seen(folder / "row.png").shape[1] > 500
    assert (folder / "loss.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--strength", "7"], 2, "`strength` must be at most 1, got 7; see `impasto style --help`"),
        (["--strength", "much"], 2, "`strength` must be a number from 0 to 1, got 'much'"),
        (["--content-weight", "nan"], 2, "`content_weight` must be a finite number, got nan"),
        (["--style-weight", "-1"], 2, "`style_weight` must be at least 0, got -1"),
        (["--style-weight", "inf"], 2, "`style_weight` must be a finite number, got inf"),
        (["--style-layers", "relu9_9"], 2, "must name layers of VGG-19, conv1_1 to relu5_4, got"),
        (["--style-layers", "relu1_1:-1"], 2, "the weight of relu1_1 must be at least 0, got -1"),
        (["--style-layers", "relu1_1:x"], 2, "the weight of relu1_1 must be a finite number"),
        (["--style-layers", "relu1_1,relu1_1"], 2, "must name each layer once"),
        (["--style-layers", ","], 2, "must name at least one layer"),
        (["--preset", "gaty"], 2, "got 'gaty'; did you mean gatys?"),
        (["--size", "5"], 2, "`size` must be at least 16, got 5"),
        (
            ["--steps", "2.5"],
            2,
            "`steps` must be a whole number from 1 to 100000 or `auto`, got 2.5",
        ),
        (["--device", "tpu"], 2, "`device` must be one of auto, cpu, cuda, cuda:N, mps, got 'tpu'"),
        (["--optimizer", "sgd"], 2, "`optimizer` must be one of lbfgs, adam, lbfgs-clamped"),
        (["--init", "nois"], 2, "`init` must be one of content, noise, recolored or the path"),
        (["--init", "picture"], 2, "`init` must be one of content, noise, recolored or the path"),
        (["--init", "missing.png"], 1, "missing.png"),
        (["-o", "no/out.png"], 1, "no"),
        (["-o", "photo.png", "--overwrite"], 1, "input"),
        (["-o", "paint.png", "--overwrite"], 1, "input"),
        (["-o", "other.jpg"], 1, "other.jpg"),
        (["-o", "out.bmp"], 2, ".png"),
        (["-o", "out.jpg", "--bits", "16"], 2, "`bits`"),
        (["--figure", "row.bmp"], 2, "`figure` must end in .png, .jpg, .jpeg, .pdf or .svg"),
        (["--figure", "no/row.png"], 1, "`figure` must be in a folder that exists"),
        (["--figure", "out.png"], 2, "`figure` must be a file of its own, got 'out.png'"),
        (["--figure", "a.png", "--loss-curve", "a.png"], 2, "which `figure` writes"),
        (["--figure", "photo.png", "--overwrite"], 1, "`figure` must not be one of the inputs"),
        (["--loss-curve", "other.jpg"], 1, "`loss_curve` must be a new file, got other.jpg"),
        (["--save-every", "1", "--figure", "out-00002.png"], 2, "which `save_every` writes"),
        (["--checkpoint", "photo.png"], 1, "`checkpoint` must be a folder, got photo.png, where"),
        (["--checkpoint", "photo.png/below"], 1, "`checkpoint` must be a folder, got"),
    ],
)
def test_what_cannot_be_is_one_sentence_before_any_work(impasto, calls, folder, words, code, says):
    before = {path: path.read_bytes() for path in folder.iterdir()}
    got, out, err = impasto(*BASE, "--steps", 2, *words)
    assert says in err
    assert (got, out, err.count("\n")) == (code, "", 1)
    assert err.startswith("impasto: ")
    assert calls == []
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("place", ["content", "style"])
@pytest.mark.parametrize("kind", ["missing", "folder", "empty", "text", "truncated"])
def test_inputs_that_are_no_pictures(impasto, calls, folder, place, kind):
    bad = folder / "bad.png"
    if kind == "folder":
        bad.mkdir()
    elif kind != "missing":
        whole = (folder / "other.jpg").read_bytes()
        bad.write_bytes({"empty": b"", "text": b"hello", "truncated": whole[:-300]}[kind])
    before = names(folder)
    sources = ("bad.png", "paint.png") if place == "content" else ("photo.png", "bad.png")
    code, out, err = impasto("style", *sources, "-o", "out.png", "--steps", 1)
    assert code in (1, 2)
    assert (out, err.count("\n"), calls, names(folder)) == ("", 1, [], before)
    assert err.startswith("impasto: ")


def test_a_snapshot_that_is_already_there_stops_the_run_before_it_starts(impasto, calls, folder):
    (folder / "out-00004.png").write_bytes(b"mine")
    code, _, err = impasto(*BASE, "--steps", 4, "--save-every", 2)
    assert code == 1
    assert "out-00004.png" in err
    assert calls == []


def test_nothing_is_written_when_the_run_fails(impasto, folder, monkeypatch):
    before = names(folder)
    monkeypatch.setenv("FAKE_FAILURE", "torch")
    code, out, err = impasto(*BASE, "--figure", "row.png")
    assert (code, out) == (1, "")
    assert "not enough memory" in err
    assert names(folder) == before


@pytest.mark.parametrize("command", ["style", "reconstruct"])
def test_the_state_of_a_finished_run_is_kept_until_all_is_written(
    impasto, calls, folder, monkeypatch, command
):
    from impasto.style.checkpoint import Checkpoints

    cleared = []
    written = [folder / "out.png", folder / "row.png"]
    monkeypatch.setattr(
        Checkpoints, "clear", lambda self: cleared.append([path.exists() for path in written])
    )
    sources = ("photo.png", "paint.png")[: 1 + (command == "style")]
    words = (command, *sources, "-o", "out.png", "--figure", "row.png", "--steps", 2)
    assert impasto(*words)[0] == 0
    assert calls[-1]["checkpoint"] is None
    assert impasto(*words, "--overwrite", "--checkpoint", "state")[0] == 0
    assert calls[-1]["checkpoint"].outlive
    assert cleared == [[True, True]]

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("impasto.cli.delivery.Delivery.write_result", full)
    assert impasto(*words, "--overwrite", "--checkpoint", "state")[0] == 1
    assert len(cleared) == 1


def test_progress_is_silent_when_piped_unless_asked(impasto):
    assert impasto(*BASE, "--steps", 2)[2] == ""
    err = impasto(*BASE, "--steps", 60, "--overwrite", "--progress")[2]
    assert [line.split()[3] for line in err.splitlines()] == ["1/60", "50/60", "60/60"]
    assert "content 0.02 style 0.04" in err.splitlines()[1]
    assert impasto(*BASE, "--steps", 2, "--overwrite", "--quiet")[2] == ""


def test_pipes_carry_the_picture(spawn, folder):
    photo = (folder / "photo.png").read_bytes()
    process = spawn("style", "-", "paint.png", "-o", "-", "--steps", 2, "--json")
    out, err = process.communicate(photo, timeout=60)
    assert process.returncode == 0, err
    assert out.startswith(b"\x89PNG")
    assert json.loads(err)["output"] == "-"
    (folder / "piped.png").write_bytes(out)
    np.testing.assert_array_equal(seen(folder / "piped.png"), seen(folder / "photo.png"))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["-", "-"], "only one input must be `-`, got content and style"),
        (["photo.png", "-", "--init", "-"], "only one input must be `-`, got style and init"),
        (["photo.png", "paint.png", "-o", "-", "--save-every", "2"], "`save_every` needs a file"),
    ],
)
def test_pipes_that_cannot_be(impasto, calls, words, says):
    code, out, err = impasto("style", *words)
    assert says in err
    assert (code, out, calls) == (2, "", [])


def test_an_empty_pipe_is_a_sentence(spawn):
    process = spawn("style", "-", "paint.png", "-o", "out.png")
    out, err = process.communicate(b"", timeout=60)
    assert process.returncode in (1, 2)
    assert out == b""
    assert err.startswith(b"impasto: ")
    assert err.count(b"\n") == 1


def test_presets_are_offered(impasto):
    words = " ".join(impasto("style", "--help")[1].split())
    assert f"one of {', '.join(PRESETS)}" in words


def test_pixels_of_the_output_are_those_of_the_result(impasto, folder):
    impasto(*BASE, "--steps", 1)
    np.testing.assert_array_equal(seen(folder / "out.png"), seen(folder / "photo.png"))


@pytest.mark.parametrize(
    ("words", "said"), [(["--denoise"], "after"), (["--denoise", "before"], "before")]
)
def test_it_cleans_where_that_is_asked_for(impasto, calls, folder, words, said):
    code, out, err = impasto(*BASE, "--steps", 1, *words)
    assert (code, out, err) == (0, "out.png\n", "")
    assert calls[-1]["recipe"].denoise == "no"
    facts = json.loads(impasto("info", "out.png", "--json")[1])
    assert facts["recipe"]["denoise"] == said
    wanted = denoise("photo.png").array()
    assert (seen("out.png") == wanted).all()
    assert (seen("out.png") != seen("photo.png")).any()


def test_it_cleans_only_in_words_it_knows(impasto, calls):
    code, out, err = impasto(*BASE, "--denoise", "twice")
    assert (code, out, err.count("\n"), calls) == (2, "", 1, [])
    assert "`denoise` must be one of no, before, after, both, got 'twice'" in err


def test_weights_regions_and_masks_go_to_their_styles(impasto, calls, folder):
    for name, size in (("sky.png", (24, 16)), ("part.png", (16, 24)), ("hold.png", (24, 16))):
        Image.new("L", size, 200).save(folder / name)
    styles = ("paint.png:0.7", "other.jpg:0.3")
    masks = ("--region", "2=sky.png", "--style-mask", "2=part.png", "--protect", "hold.png")
    code, _, err = impasto("style", "photo.png", *styles, *masks, "-o", "out.png", "--steps", 1)
    assert (code, err) == (0, "")
    first, second = calls[-1]["style"]
    assert (first.weight, first.region, first.mask) == (0.7, None, None)
    assert (second.weight, second.region.size, second.mask.size) == (0.3, (24, 16), (16, 24))
    assert calls[-1]["protect"].size == (24, 16)
    assert calls[-1]["keep"] is None


def test_a_file_with_a_colon_in_its_name_is_a_file(impasto, calls, folder):
    (folder / "paint.png").rename(folder / "paint:2")
    assert impasto("style", "photo.png", "paint:2", "-o", "out.png", "--steps", 1)[0] == 0
    assert calls[-1]["style"][0].weight == 1


def test_a_folder_is_one_style(impasto, calls, folder):
    (folder / "shelf").mkdir()
    for name in ("paint.png", "other.jpg"):
        (folder / name).rename(folder / "shelf" / name)
    (folder / "shelf" / "notes.txt").write_text("no picture")
    assert impasto("style", "photo.png", "shelf", "-o", "out.png", "--steps", 1)[0] == 0
    (style,) = calls[-1]["style"]
    assert [one.size for one in style.picture] == [(16, 24), (20, 20)]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--region", "3=photo.png"], "`--region` must go to one of 1 styles, got '3=photo.png'"),
        (["--region", "1=photo.png", "--region", "1=paint.png"], "given once a style"),
        (["--timelapse", "film.mp4"], "`timelapse` must end in .webp or .gif, got 'film.mp4'"),
        (["--presets", "mine.yaml"], "`presets` must end in .toml or .json, got 'mine.yaml'"),
        (["--presets", "mine.toml"], "mine.toml: no such file or directory"),
        (["--tiles", "big"], "`tiles`"),
        (["--style-scale", "0"], "`style_scale`"),
    ],
)
def test_what_the_hand_cannot_do_is_one_sentence(impasto, calls, folder, words, says):
    before = names(folder)
    code, out, err = impasto(*BASE, "--steps", 1, *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert says in err
    assert (calls, names(folder)) == ([], before)


def test_a_negative_weight_is_refused(impasto):
    code, _, err = impasto("style", "photo.png", "paint.png:-1", "-o", "out.png")
    assert code == 2
    assert "weight from 0 to 1,000,000 behind its colon, got 'paint.png:-1'" in err


@pytest.mark.parametrize(
    ("typed", "weight"), [("0.7", 0.7), ("0,7", 0.7), ("70%", 0.7), ("12,5 %", 0.125), ("1e2", 100)]
)
def test_a_weight_may_have_a_comma_or_be_in_percent(folder, typed, weight):
    (parsed,) = parse_styles([f"paint.png:{typed}"], {})
    assert (parsed.source, parsed.weight) == ("paint.png", pytest.approx(weight))


@pytest.mark.parametrize("typed", ["much", "0.7x", "nan", "inf", "1e300", "1/2", "0,7,1"])
def test_a_weight_that_is_none_is_named_and_not_the_file(folder, typed):
    with pytest.raises(ValueError, match="must have a weight from 0 to 1,000,000 behind its colon"):
        parse_styles([f"paint.png:{typed}"], {})
    assert parse_styles([f"nowhere.png:{typed}x"], {})[0].weight == 1


def test_the_sidecar_holds_what_the_picture_holds(impasto, folder):
    impasto(*BASE, "--steps", 1, "--seed", 4)
    beside = json.loads((folder / "out.png.impasto.json").read_text())
    account = read_provenance(json.dumps(beside))
    assert account == read_provenance(open_image(folder / "out.png").metadata.recipe)
    assert account.recipe.seed == 4
    assert str(folder) not in json.dumps(beside)
    (folder / "out.png").unlink()
    assert impasto(*BASE, "--steps", 1)[0] == 1  # the sidecar of before would be replaced
    assert impasto(*BASE, "--steps", 1, "--no-sidecar")[0] == 0


def test_a_preset_of_ones_own_is_known(impasto, calls, folder):
    (folder / "mine.toml").write_text('[loud]\nwords = "all style"\nstrength = 0.9\n')
    assert impasto(*BASE, "--steps", 1, "--presets", "mine.toml", "--preset", "loud")[0] == 0
    assert (calls[-1]["recipe"].strength, calls[-1]["recipe"].preset) == (0.9, "loud")


def test_a_painting_coming_into_being_is_filmed(impasto, folder):
    assert impasto(*BASE, "--steps", 5, "--timelapse", "film.gif")[0] == 0
    with Image.open(folder / "film.gif") as film:
        assert film.n_frames >= 1
        assert film.size == (24, 16)


def test_files_left_out_of_a_folder_of_styles_are_named(impasto, folder):
    (folder / "styles").mkdir()
    (folder / "paint.png").rename(folder / "styles" / "paint")
    (folder / "styles" / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    code, _, err = impasto("style", "photo.png", "styles", "-o", "out.png")
    assert code == 0
    assert "impasto: left out a file that is no picture to read: phone.heic (a HEIC)\n" in err
