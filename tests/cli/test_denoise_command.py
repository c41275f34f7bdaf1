"""`impasto denoise`: what is written, printed, and refused before any work."""

import io
import json
import signal
from contextlib import contextmanager

import numpy as np
import pytest
import tifffile
from PIL import Image

import impasto
from impasto.cli.main import main
from impasto.images.read import open_image
from impasto.provenance import read_provenance
from impasto.recipes import DenoiseRecipe


def noisy(*shape, seed=0):
    """Values around the middle with noise of 0.1."""
    values = 0.5 + 0.1 * np.random.default_rng(seed).standard_normal(shape)
    return values.clip(0, 1)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The current folder, with noisy pictures and data."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray((noisy(24, 24) * 255).astype(np.uint8)).save("gray.png")
    tifffile.imwrite(
        "stack.tif", (noisy(3, 24, 20) * 4000).astype("<u2"), imagej=True, metadata={"axes": "TYX"}
    )
    return tmp_path


@pytest.fixture
def clean(here, capsys):
    """Call `impasto denoise`: exit code, stdout, stderr."""

    def call(*words):
        code = main(["denoise", *(str(word) for word in words)])
        out, err = capsys.readouterr()
        return code, out, err

    return call


def test_a_part_is_cleaned_as_in_the_whole(clean, here):
    assert clean("gray.png", "-o", "whole.png", "--sigma", "25")[0] == 0
    code, out, _ = clean(
        "gray.png", "-o", "part.png", "--sigma", "25", "--crop", "3,5,12,9", "--json"
    )
    assert code == 0
    assert json.loads(out)["size"] == [12, 9]
    whole, part = (np.array(Image.open(here / f"{name}.png")) for name in ("whole", "part"))
    assert np.array_equal(part, whole[5:14, 3:15])
    recipe = read_provenance(open_image("part.png").metadata.recipe).recipe
    assert recipe.crop == (3, 5, 12, 9)


def test_a_part_of_a_stack_with_all_its_files(clean, here):
    code, _, err = clean(
        "stack.tif", "-o", "part.tif", "--crop", "3,5,12,9", "--detail", "0.5",
        "--residual", "residual.tif", "--figure", "figure.png", "--truth", "stack.tif",
    )  # fmt: skip
    assert code == 0, err
    assert clean("stack.tif", "-o", "whole.tif", "--detail", "0.5")[0] == 0
    whole, part, residual = (
        tifffile.imread(here / f"{name}.tif") for name in ("whole", "part", "residual")
    )
    noisy = tifffile.imread(here / "stack.tif")[:, 5:14, 3:15]
    assert np.array_equal(part, whole[:, 5:14, 3:15])
    assert np.array_equal(residual, noisy.astype(float) - part)


@pytest.mark.parametrize(
    ("crop", "words"),
    [
        ("20,0,12,9", "`crop` must lie in the picture, which has 24 × 24 pixels, got 20,0,12,9"),
        ("1,2,3", "`crop` must be 4 whole numbers or `whole`, got [1, 2, 3]"),
        ("middle", "`crop` must be 4 whole numbers or `whole`, got 'middle'"),
        ("0,0,0,4", "`crop` must be at least 1, got 0"),
    ],
)
def test_a_part_that_is_none_is_refused(clean, here, crop, words):
    code, _, err = clean("gray.png", "--crop", crop)
    assert code == 2
    assert words in err
    assert not (here / "gray-clean.png").exists()


@pytest.fixture
def interrupted(monkeypatch):
    """Every run is interrupted by a signal at its second step."""

    @contextmanager
    def watching(*_, **__):
        steps = []

        def draw(step):
            steps.append(step)
            if len(steps) == 2:
                signal.raise_signal(signal.SIGINT)

        yield draw

    monkeypatch.setattr("impasto.cli.run_denoise.show_progress", watching)


def test_it_writes_what_the_library_returns_and_says_what_it_found(clean, here):
    code, out, err = clean("gray.png")
    wanted = impasto.denoise(here / "gray.png")
    assert (code, out, err) == (0, "gray-clean.png\n", f"impasto: {wanted.diagnosis.words}\n")
    with Image.open("gray-clean.png") as image:
        assert image.mode == "L"
        assert (np.array(image) == wanted.array()[..., 0]).all()
    assert read_provenance(open_image("gray-clean.png").metadata.recipe).recipe == DenoiseRecipe()


def test_quiet_says_nothing(clean):
    assert clean("gray.png", "--quiet") == (0, "gray-clean.png\n", "")


def test_json_is_one_object_of_plain_values(clean):
    code, out, err = clean("gray.png", "--json", "--strength", "0.5", "--residual", "noise.tif")
    facts = json.loads(out)
    assert (code, err, out.count("\n")) == (0, "", 1)
    kind = facts["kind"]
    assert {name: type(value) for name, value in facts.items()} == {
        "output": str, "kind": str, "sigma": list, "correlation": float, "clipped": list,
        "gain": float if kind == "poisson-gaussian" else type(None), "method": str, "words": str,
        "specks": float, "stuck_rows": list, "stuck_columns": list,
        "size": list, "planes": int, "strength": float, "chroma": str, "detail": float,
        "device": str, "seconds": float, "residual": str,
    }  # fmt: skip
    assert (facts["output"], facts["residual"]) == ("gray-clean.png", "noise.tif")
    assert (facts["size"], facts["planes"], facts["method"]) == ([24, 24], 1, "nl-wiener")
    assert 0.05 < facts["sigma"][0] < 0.15


def test_what_is_said_of_a_stack_is_what_was_done(clean, here):
    flat = np.full((24, 20), 2000)
    stack = np.stack([noisy(24, 20) * 4000, flat, noisy(24, 20, seed=1) * 4000]).astype("<u2")
    tifffile.imwrite("mixed.tif", stack, imagej=True, metadata={"axes": "TYX"})
    code, _, err = clean("mixed.tif", "-o", "a.tif")
    assert code == 0
    facts = json.loads(clean("mixed.tif", "-o", "b.tif", "--json", "--sidecar")[1])
    planned = json.loads(clean("mixed.tif", "--json", "--dry-run")[1])
    changed = (tifffile.imread("a.tif") != stack).any((1, 2)).tolist()
    assert changed == [True, False, True]
    for told in (facts, planned):
        assert err == f"impasto: {told['words']}\n"
        assert told["method"] == "nl-wiener"
        methods = {t["planes"]: t["method"] for t in told["treatments"]}
        assert methods == {"1, 3": "nl-wiener", "2": None}
    sidecar = read_provenance((here / "b.tif.impasto.json").read_text())
    assert [t.planes for t in sidecar.treatments] == ["1, 3", "2"]


def test_opacity_stays(clean):
    alpha = np.random.default_rng(1).integers(0, 256, (24, 24), np.uint8)
    Image.fromarray(np.dstack([(noisy(24, 24) * 255).astype(np.uint8), alpha])).save("la.png")
    assert clean("la.png")[0] == 0
    with Image.open("la-clean.png") as image:
        assert (np.array(image.getchannel("A")) == alpha).all()
        assert np.array(image.getchannel("L")).std() < 20


def test_sixteen_bits_stay(clean, here):
    Image.fromarray((noisy(24, 24) * 65_535).astype(np.uint16)).save("deep.png")
    assert clean("deep.png")[0] == 0
    assert open_image("deep-clean.png").metadata.bits == 16
    found = open_image("deep-clean.png").pixels * 65_535
    wanted = impasto.denoise(here / "deep.png").pixels * 65_535
    assert (found - wanted).abs().max() < 0.51


@pytest.mark.parametrize(
    ("source", "given", "sigma"), [("gray", "25", 25 / 255), ("gray", "0.1", 0.1),
    ("stack", "51", 0.2), ("float", "25", 25.0), ("float", "300", 300.0)],
)  # fmt: skip
def test_a_sigma_above_one_is_out_of_255_but_for_floats(clean, monkeypatch, source, given, sigma):
    tifffile.imwrite("float.tif", (noisy(24, 20) * 1000).astype(np.float32))
    name = "gray.png" if source == "gray" else f"{source}.tif"
    code, out, _ = clean(name, "--sigma", given, "--dry-run", "--json")
    assert code == 0
    assert json.loads(out)["sigma"] == pytest.approx([sigma], rel=0.05)


def test_a_rehearsal_writes_nothing(clean, here):
    before = set(here.iterdir())
    code, out, _ = clean("stack.tif", "--dry-run")
    assert code == 0
    assert "20 × 24, 3 planes" in out
    assert "GiB besides the picture\n" in out
    assert "nothing was written" in out
    assert set(here.iterdir()) == before


def test_a_stack_keeps_its_axes_and_type_and_its_residual_adds_up(clean, here):
    code, out, _ = clean("stack.tif", "--residual", "taken.tif")
    assert (code, out) == (0, "stack-clean.tif\n")
    wanted = impasto.denoise(here / "stack.tif").array()
    with tifffile.TiffFile("stack-clean.tif") as file:
        assert (file.series[0].axes, file.series[0].dtype) == ("TYX", np.dtype("<u2"))
        assert file.is_imagej
        found = file.asarray()
    assert (found == wanted).all()
    with tifffile.TiffFile("taken.tif") as file:
        assert (file.series[0].axes, file.series[0].dtype) == ("TYX", np.float32)
        assert (found + file.asarray() == tifffile.imread("stack.tif")).all()


def test_the_axes_given_count(clean):
    values = np.moveaxis((noisy(24, 20) * 255).astype(np.uint8)[None].repeat(2, 0), 0, -1)
    tifffile.imwrite("odd.tif", values)
    code, out, _ = clean("odd.tif", "--axes", "YXT", "--json", "--residual", "taken.tif")
    facts = json.loads(out)
    assert (code, facts["output"], facts["planes"], facts["size"]) == (
        0,
        "odd-clean.tif",
        2,
        [20, 24],
    )
    assert tifffile.imread("odd-clean.tif").shape == (24, 20, 2)
    assert tifffile.imread("taken.tif").shape == (24, 20, 2)


def test_all_planes_may_be_fitted_together(clean):
    assert clean("stack.tif", "--joint", "-o", "joint.tif")[0] == 0
    with tifffile.TiffFile("joint.tif") as file:
        assert '"joint":true' in file.pages[0].tags["XMP"].value.decode().replace("&quot;", '"')


def test_one_plane_of_data_may_become_a_picture(clean, here):
    tifffile.imwrite("one.tif", (noisy(24, 20) * 4000).astype(np.uint16))
    assert clean("one.tif", "-o", "one.png", "--residual", "taken.tif")[0] == 0
    found = open_image("one.png").pixels[0].numpy() * 65_535
    wanted = impasto.denoise(here / "one.tif")
    assert np.abs(found - wanted.array()).max() < 0.01
    taken = wanted.residual[0].numpy() * 65_535
    assert np.abs(tifffile.imread("taken.tif") - taken).max() < 0.01


def test_a_pictures_residual_is_signed_in_floats_and_around_gray_elsewhere(clean, here):
    assert clean("gray.png", "-o", "a.png", "--residual", "taken.tif")[0] == 0
    assert clean("gray.png", "-o", "b.png", "--residual", "taken.png")[0] == 0
    wanted = impasto.denoise(here / "gray.png").residual[0].numpy()
    signed = tifffile.imread("taken.tif")
    assert signed.dtype == np.float32
    assert np.abs(signed - wanted).max() < 1e-6
    assert signed.min() < 0 < signed.max()
    around = open_image("taken.png").pixels[0].numpy()
    assert np.abs(around - 0.5 - wanted).max() < 0.51 / 255


def test_pipes_carry_pictures(spawn, here):
    process = spawn("denoise", "-", "-o", "-", "--json")
    out, err = process.communicate((here / "gray.png").read_bytes(), timeout=60)
    assert (process.returncode, json.loads(err)["output"]) == (0, "-")
    with Image.open(io.BytesIO(out)) as image:
        assert image.size == (24, 24)


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["gray.png", "--sigma", "0"], 2, "`sigma` must be above 0, got 0; see `impasto denoise"),
        (["gray.png", "--sigma", "300"], 2, "`sigma` must be at most 255"),
        (["gray.png", "--strength", "2"], 2, "`strength` must be at most 1, got 2"),
        (["gray.png", "--chroma", "0.5"], 2, "`chroma` must be same for other than three channels"),
        (["gray.png", "--method", "nl-wienr"], 2, "did you mean nl-wiener?"),
        (["gray.png", "--effort", "most"], 2, "`effort` must be one of quick, balanced, best"),
        (["gray.png", "--axes", "YX"], 1, "gray.png"),
        (["stack.tif", "--axes", "TZYX"], 2, "`axes` must be 3 different capital letters"),
        (["stack.tif", "--axes", "zyx"], 2, "`axes` must be"),
        (["gray.png", "-o", "gray.png", "--overwrite"], 1, "must not be one of the inputs"),
        (["stack.tif", "-o", "stack.tif", "--overwrite"], 1, "must not be one of the inputs"),
        (["gray.png", "-o", "there.tif"], 1, "`output` must be a new file, got there.tif"),
        (["stack.tif", "-o", "there.tif"], 1, "`output` must be a new file, got there.tif"),
        (["gray.png", "-o", "out.bmp"], 2, "`output` must end in .png"),
        (["stack.tif", "-o", "out.bmp"], 2, "`output` must end in .png"),
        (["stack.tif", "-o", "out.png"], 2, "`output` must end in .tif or .tiff for measured data"),
        (["stack.tif", "--bits", "8"], 2, "`bits` must be left out for a TIFF of measured data"),
        (["stack.tif", "--quality", "9"], 2, "`quality` must be left out"),
        (["stack.tif", "--strip-gps"], 2, "`strip_gps` must be left out"),
        (["stack.tif", "--strip"], 2, "`strip` must be left out"),
        (["gray.png", "-o", "out.jpg", "--bits", "16"], 2, "`bits`"),
        (["gray.png", "--residual", "gray-clean.png"], 2, "`residual` must be a file of its own"),
        (["gray.png", "--residual", "gray.png", "--overwrite"], 1, "`residual` must not be one"),
        (["gray.png", "--residual", "there.tif"], 1, "`residual` must be a new file"),
        (["gray.png", "--residual", "-"], 2, "`residual` must end in"),
        (["stack.tif", "--residual", "a.png"], 2, "`residual` must end in .tif or .tiff for"),
        (["missing.png"], 1, "missing.png"),
        (["empty.png"], 1, "empty.png"),
        (["empty.tif"], 1, "empty.tif"),
        (["cut.png"], 1, "cut.png"),
        (["cut.tif"], 1, "cut.tif"),
        (["nan.tif"], 1, "nan.tif with 1 of 480 values that are NaN or infinite"),
    ],
)  # fmt: skip
def test_refusals_are_one_sentence_before_any_work(clean, here, words, code, says):
    values = np.zeros((24, 20), np.float32)
    values[3, 4] = np.nan
    tifffile.imwrite("nan.tif", values)
    tifffile.imwrite("there.tif", np.zeros((2, 2), np.uint8))
    for name, whole in (("cut.png", "gray.png"), ("cut.tif", "stack.tif")):
        (here / name).write_bytes((here / whole).read_bytes()[:-200])
    for name in ("empty.png", "empty.tif"):
        (here / name).touch()
    before = {path: path.read_bytes() for path in here.iterdir()}
    found, out, err = clean(*words)
    assert says in err
    assert (found, out, err.count("\n")) == (code, "", 1)
    assert {path: path.read_bytes() for path in here.iterdir()} == before


def test_an_interrupted_picture_is_kept(clean, here, interrupted):
    code, out, err = clean("gray.png", "--quiet")
    assert (code, out) == (130, "gray-clean.png\n")
    assert err.endswith("impasto: stopped; what was cleaned by then is in gray-clean.png\n")
    found, given = (open_image(name).pixels for name in ("gray-clean.png", "gray.png"))
    assert found.std() < 0.9 * given.std()


def test_an_interrupted_stack_is_not_written(clean, here, interrupted):
    before = set(here.iterdir())
    code, out, err = clean("stack.tif", "--quiet", "--residual", "taken.tif")
    assert (code, out) == (130, "")
    assert err.endswith("impasto: stopped in plane 1 of 3; nothing was written\n")
    assert set(here.iterdir()) == before


def test_metadata_is_kept_or_said_to_be_left_out_or_stripped(clean, here):
    values = (noisy(24, 24, 3) * 255).astype(np.uint8)
    tags = [(33550, 12, 3, (10.0, 10.0, 0.0), True)]
    tifffile.imwrite("map.tif", values, photometric="rgb", metadata=None, extratags=tags)
    for words, kept, said in (
        (["-o", "a.tif"], True, ""),
        (["-o", "a.png"], False, "a.png: left out, as .png does not hold it: its georeference"),
        (["-o", "b.tif", "--strip"], False, ""),
    ):
        code, _, err = clean("map.tif", *words)
        assert code == 0
        assert said in err
        assert ("left out" in err) is bool(said)
        assert bool(open_image(words[1]).metadata.tags) is kept
        assert open_image(words[1]).metadata.recipe


def test_all_channels_come_back_from_a_file_and_from_a_pipe(clean, here, monkeypatch):
    values = (noisy(24, 20, 4) * 255).astype(np.uint8)
    tifffile.imwrite("four.tif", values, photometric="rgb", extrasamples=[0], metadata=None)
    code, _, err = clean("four.tif")
    assert code == 0
    assert "four.tif: its 4 channels are taken for 3 colors and 1 without a name" in err
    piped = io.TextIOWrapper(io.BytesIO((here / "four.tif").read_bytes()))
    monkeypatch.setattr("sys.stdin", piped)
    assert clean("-", "-o", "piped.tif")[0] == 0
    clean_file = tifffile.imread("four-clean.tif")
    assert clean_file.shape == values.shape
    assert np.array_equal(clean_file, tifffile.imread("piped.tif"))
