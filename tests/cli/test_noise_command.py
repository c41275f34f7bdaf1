"""`impasto noise`, and what `info` and `compare` say of noise and of measured data."""

import json
import math

import numpy as np
import pytest
import tifffile
from PIL import Image

import impasto as library


@pytest.fixture
def gray(folder):
    """A picture of one gray."""
    Image.fromarray(np.full((40, 48), 128, np.uint8)).save("flat.png")


def test_gaussian_noise_is_out_of_255_and_a_seeds_own(impasto, gray, folder):
    code, out, err = impasto("noise", "flat.png", "-o", "a.png", "--gaussian", 25, "--seed", 3)
    assert (code, out, err) == (0, "a.png\n", "")
    impasto("noise", "flat.png", "-o", "b.png", "--gaussian", 25, "--seed", 3)
    impasto("noise", "flat.png", "-o", "c.png", "--gaussian", 25, "--seed", 4)
    first, second, third = ((folder / name).read_bytes() for name in ("a.png", "b.png", "c.png"))
    assert first == second != third
    with Image.open("a.png") as image:
        assert image.mode == "L"
        assert np.array(image).std() == pytest.approx(25, rel=0.05)
    wanted = library.add_noise("flat.png", gaussian=25 / 255, seed=3)
    assert (library.open_image("a.png").pixels - wanted).abs().max() < 0.51 / 255


def test_counts_above_white_stay_in_floats_only(impasto, folder):
    Image.fromarray(np.full((24, 24, 3), 250, np.uint8)).save("light.png")
    for words in (["-o", "cut.png"], ["-o", "kept.tif", "--bits", 32]):
        assert impasto("noise", "light.png", "--poisson", 30, *words)[0] == 0
    assert library.open_image("cut.png").pixels.max() == 1
    kept = tifffile.imread("kept.tif")
    assert (kept.shape, kept.dtype) == ((24, 24, 3), np.float32)
    wanted = library.add_noise("light.png", poisson=30)
    assert (kept == wanted.permute(1, 2, 0).numpy()).all()
    assert kept.max() > 1


def test_opacity_and_depth_stay(impasto, folder):
    alpha = np.random.default_rng(0).integers(0, 65_536, (24, 20), np.uint16)
    pixels = library.open_image(np.full((24, 20, 3), 0.5)).pixels
    metadata = library.ImageMetadata(alpha=library.open_image(alpha).pixels[0], bits=16)
    library.save(pixels, "deep.png", metadata=metadata)
    code, out, _ = impasto("noise", "deep.png", "-o", "noisy.png", "--gaussian", 5, "--json")
    assert (code, json.loads(out)) == (0, {
        "output": "noisy.png", "size": [20, 24], "gaussian": 5.0, "poisson": None, "seed": 0,
    })  # fmt: skip
    found = library.open_image("noisy.png").metadata
    assert found.bits == 16
    assert (found.alpha - metadata.alpha).abs().max() < 1e-6


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["photo.png", "-o", "out.png"], 2, "`gaussian` or `poisson` must be given, one of them"),
        (["photo.png", "-o", "out.png", "--gaussian", 5, "--poisson", 9], 2, "got 5.0 and 9.0"),
        (["photo.png", "-o", "out.png", "--gaussian", 0], 2, "--gaussian"),
        (["photo.png", "-o", "out.png", "--poisson", -1], 2, "--poisson"),
        (["photo.png", "-o", "out.png", "--poisson", "inf"], 2, "`poisson` must be a number above"),
        (["photo.png", "-o", "out.png", "--gaussian", "nan"], 2, "`gaussian` must be a number"),
        (["photo.png", "-o", "out.png", "--gaussian", 5, "--seed", -1], 2, "--seed"),
        (["photo.png", "-o", "out.png", "--gaussian", 5, "--bits", 32], 2, "`bits` must be 8 or"),
        (["photo.png", "--gaussian", 5], 2, "'--output'"),
        (["photo.png", "-o", "photo.png", "--gaussian", 5, "--overwrite"], 1, "one of the inputs"),
        (["photo.png", "-o", "paint.png", "--gaussian", 5], 1, "`output` must be a new file"),
        (["stack.tif", "-o", "out.png", "--gaussian", 5], 2, "got stack.tif with 3 planes"),
        (["missing.png", "-o", "out.png", "--gaussian", 5], 1, "missing.png"),
    ],
)
def test_noise_refuses_in_one_sentence(impasto, folder, words, code, says):
    tifffile.imwrite(
        "stack.tif", np.zeros((3, 20, 24), np.uint8), imagej=True, metadata={"axes": "TYX"}
    )
    before = set(folder.iterdir())
    found, out, err = impasto("noise", *words)
    assert says in err
    assert (found, out, err.count("\n")) == (code, "", 1)
    assert set(folder.iterdir()) == before


def test_info_says_what_noise_there_is(impasto, gray, folder):
    impasto("noise", "flat.png", "-o", "noisy.png", "--gaussian", 25)
    facts = json.loads(impasto("info", "noisy.png", "--json")[1])["noise"]
    wanted = library.diagnose(folder / "noisy.png")
    assert facts == {
        "kind": wanted.kind, "sigma": list(wanted.sigma), "gain": wanted.gain,
        "correlation": wanted.correlation, "clipped": list(wanted.clipped),
        "method": wanted.method, "words": wanted.words,
        "specks": 0.0, "stuck_rows": [], "stuck_columns": [],
    }  # fmt: skip
    assert facts["sigma"] == pytest.approx([25 / 255], rel=0.15)
    rows = impasto("info", "noisy.png")[1].splitlines()
    assert [row.split(None, 1) for row in rows][-1] == ["noise", wanted.words]


def test_info_says_what_was_removed_from_which_planes(impasto, folder):
    noise = np.random.default_rng(0).normal(1000, 50, (3, 24, 20))
    noise[1] = 1000
    tifffile.imwrite("data.tif", noise.astype("<u2"), imagej=True, metadata={"axes": "TYX"})
    assert impasto("denoise", "data.tif", "-o", "clean.tif")[0] == 0
    rows = [row.split(None, 1) for row in impasto("info", "clean.tif")[1].splitlines()]
    removed = "gaussian noise by nl-wiener in planes 1, 3; nothing in planes 2"
    assert ["removed", removed] in rows


@pytest.mark.parametrize("dtype", ["uint16", "float64", "int32"])
def test_info_shows_axes_and_type_of_data(impasto, folder, dtype):
    values = np.random.default_rng(0).normal(1000, 50, (3, 24, 20)).astype(dtype)
    tifffile.imwrite("data.tif", values, photometric="minisblack", metadata={"axes": "TYX"})
    facts = json.loads(impasto("info", "data.tif", "--json")[1])
    assert (facts["axes"], facts["shape"], facts["dtype"]) == ("TYX", [3, 24, 20], dtype)
    assert facts["noise"]["sigma"][0] > 0
    code, out, _ = impasto("info", "data.tif")
    assert code == 0
    assert "3 × 24 × 20" in out


def test_info_of_a_broken_file_is_one_sentence(impasto, folder):
    whole = (folder / "photo.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    tifffile.imwrite("nan.tif", np.full((20, 24), np.nan, np.float32))
    for name in ("cut.png", "nan.tif"):
        code, out, err = impasto("info", name)
        assert (code, out, err.count("\n")) == (1, "", 1)
        assert name in err


def test_compare_takes_stacks(impasto, folder):
    first = np.zeros((3, 16, 24), np.uint16)
    second = first.copy()
    second[1] = 65_535 // 5
    tifffile.imwrite("a.tif", first, imagej=True, metadata={"axes": "TYX"})
    tifffile.imwrite("b.tif", second, imagej=True, metadata={"axes": "TYX"})
    facts = json.loads(impasto("compare", "a.tif", "b.tif", "--json")[1])
    assert facts["psnr"] == pytest.approx(-10 * math.log10(0.2**2 / 3), abs=1e-4)
    assert 0.5 < facts["ssim"] < 0.7  # two of three planes are equal
    assert json.loads(impasto("compare", "a.tif", "a.tif", "--json")[1])["psnr"] is None


def test_compare_says_when_planes_differ(impasto, folder):
    for count in (2, 3):
        tifffile.imwrite(
            f"{count}.tif",
            np.zeros((count, 16, 24), np.uint8),
            imagej=True,
            metadata={"axes": "TYX"},
        )
    code, out, err = impasto("compare", "2.tif", "3.tif")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "`b` must have as many planes as `a`, 2, got 3" in err
