"""What a run has made is never lost: files whose place is gone, full or taken at the end."""

import errno
import json
import shutil
import sys
import tempfile
from pathlib import Path

import fake_rooms
import numpy as np
import pytest
import tifffile
from PIL import Image

from impasto import files
from impasto.cli import delivery, run
from impasto.cli.main import main
from impasto.denoising import fitted as denoising

STYLE = ("style", "photo.png", "paint.png", "--steps", "4", "--quiet")


@pytest.fixture
def at_the_end(monkeypatch):
    """Set what happens between a run's last step and its end."""
    unspoiled = fake_rooms.run

    def set_fault(fault):
        def run(*arguments):
            result = unspoiled(*arguments)
            fault()
            return result

        monkeypatch.setattr(fake_rooms, "run", run)

    return set_fault


@pytest.fixture
def gone(folder, at_the_end):
    """A folder that is removed at the end."""
    place = folder / "gone"
    place.mkdir()
    at_the_end(lambda: shutil.rmtree(place, ignore_errors=True))
    return place


def full_disk(monkeypatch, where):
    """Let every write into a folder fail."""
    write = Path.write_bytes

    def write_bytes(path, data):
        if Path(where).resolve() in path.parents:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", write_bytes)


def size(path):
    with Image.open(path) as image:
        return image.size


@pytest.mark.parametrize("ending", [".png", ".jpg", ".tif", ".webp", ".avif"])
def test_a_picture_whose_folder_is_gone_goes_to_the_folder_above(impasto, folder, gone, ending):
    code, out, err = impasto(*STYLE, "-o", gone / f"out{ending}")
    assert code == 4
    assert out.strip() == str(folder / f"out{ending}")
    assert f"no such file or directory; it is in {folder / f'out{ending}'}\n" in err
    assert size(folder / f"out{ending}") == (24, 16)
    assert (folder / f"out{ending}.impasto.json").exists()


@pytest.mark.parametrize("command", ["texture", "reconstruct"])
def test_every_painting_command_keeps_its_picture(impasto, folder, gone, command, monkeypatch):
    if command == "texture":

        def texture(style, *, recipe, on_step, **_):
            return fake_rooms.run(style[0].picture, recipe, on_step)

        monkeypatch.setattr(sys.modules["impasto.style.texture"], "texture", texture)
    code, out, _ = impasto(command, "photo.png", "--steps", "2", "-o", gone / "out.png")
    assert (code, out.strip()) == (4, str(folder / "out.png"))
    assert size(out.strip()) == (24, 16)


def replace_by_file(place):
    shutil.rmtree(place)
    place.write_text("a file")


def take_the_name(place):
    (place / "out.png").write_bytes(b"someone else's")


def make_a_folder(place):
    (place / "out.png").mkdir()


@pytest.mark.parametrize(
    ("fault", "place"),
    [
        (replace_by_file, "out.png"),
        (take_the_name, "place/out-1.png"),
        (make_a_folder, "place/out-1.png"),
    ],
)
def test_a_place_that_is_taken_meanwhile_stays_as_it_is(impasto, folder, at_the_end, fault, place):
    (folder / "place").mkdir()
    at_the_end(lambda: fault(folder / "place"))
    code, out, err = impasto(*STYLE, "-o", "place/out.png", "--json")
    facts = json.loads(out)
    assert (code, Path(facts["output"]).resolve()) == (4, (folder / place).resolve())
    assert facts["problems"] == [err.strip().removeprefix("impasto: ")]
    assert size(folder / place) == (24, 16)


def test_a_full_disk_leads_to_another_and_free_names_are_taken(
    impasto, folder, monkeypatch, tmp_path_factory
):
    elsewhere = tmp_path_factory.mktemp("home")
    (elsewhere / "out.png").write_bytes(b"mine")
    monkeypatch.setenv("HOME", str(elsewhere))
    full_disk(monkeypatch, folder.parent)
    monkeypatch.setattr(files.Path, "home", lambda: elsewhere)
    # The home of this test lies on the full disk as well, so the folder for temporary files is it.
    temporary = Path(tempfile.mkdtemp(dir="/tmp", prefix="impasto-test-"))
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(temporary))
    (temporary / "out.png").write_bytes(b"mine")
    try:
        code, out, err = impasto(*STYLE, "-o", "out.png", "--figure", "row.png")
        assert (code, out.strip()) == (4, str(temporary / "out-1.png"))
        assert "`output` could not be written to out.png: no space left on device" in err
        assert size(temporary / "out-1.png") == (24, 16)
        assert (temporary / "out.png").read_bytes() == b"mine"
        assert (temporary / "row.png").exists()
    finally:
        shutil.rmtree(temporary)


def test_where_no_place_is_left_the_reason_is_said(impasto, monkeypatch):
    full_disk(monkeypatch, "/")
    code, out, err = impasto(*STYLE, "-o", "out.png")
    assert (code, out) == (1, "")
    assert "got out.png: no space left on device" in err


def test_what_is_beside_the_result_costs_nothing_but_the_exit_code(impasto, gone, folder):
    beside = {"figure": "f.png", "loss-curve": "l.svg", "timelapse": "t.gif"}
    options = [word for name, path in beside.items() for word in (f"--{name}", gone / path)]
    code, out, err = impasto(*STYLE, "-o", "out.png", *options)
    assert (code, out) == (4, "out.png\n")
    assert err.count("it is in") == 3
    assert all((folder / path).exists() for path in beside.values())


def test_figures_that_fail_are_said_when_the_picture_is_there(impasto, folder, monkeypatch):
    def fail(*_, **__):
        raise MemoryError

    for name in ("triptych", "loss_curve", "write_animation", "save"):
        monkeypatch.setattr(run, name, fail)
    options = ("--figure", "f.png", "--loss-curve", "l.svg", "--timelapse", "t.gif")
    code, out, err = impasto(*STYLE, "-o", "out.png", *options, "--save-every", "1")
    assert (code, out) == (4, "out.png\n")
    assert err.splitlines() == [
        "impasto: `save_every` failed at evaluation 1: MemoryError",
        "impasto: `figure` could not be written to f.png: MemoryError; the rest is done",
        "impasto: `loss_curve` could not be written to l.svg: MemoryError; the rest is done",
        "impasto: `timelapse` could not be written to t.gif: MemoryError; the rest is done",
    ]
    assert size("out.png") == (24, 16)


def test_a_format_that_fails_at_the_end_becomes_a_png(impasto, folder, monkeypatch):
    encode = delivery.encode

    def fail(pixels, format, **options):
        if format == ".webp":
            raise OSError("encoding error 6")
        return encode(pixels, format, **options)

    monkeypatch.setattr(delivery, "encode", fail)
    code, out, err = impasto(*STYLE, "-o", "out.webp")
    assert (code, out) == (4, "out.png\n")
    assert "`output` could not be written to out.webp: encoding error 6; it is in out.png" in err


def test_a_checkpoint_that_cannot_be_saved_is_said(impasto, monkeypatch):
    from impasto.errors import ImageError

    def stylize(content, style, *, recipe, on_step, checkpoint, **_):
        for _ in range(2):
            checkpoint.on_failure(ImageError("no room"))
        return fake_rooms.run(content, recipe, on_step)

    monkeypatch.setattr(sys.modules["impasto.style.stylize"], "transfer_style", stylize)
    code, out, err = impasto(*STYLE, "-o", "out.png", "--checkpoint", "state")
    assert (code, out) == (4, "out.png\n")
    assert err == "impasto: `checkpoint` could not be saved: no room\n"


def test_a_sheet_keeps_what_it_painted(impasto, folder, gone):
    words = ("--over", "strength=0.2,0.8", "--set", "size=16", "--cell-steps", "1", "--quiet")
    code, out, _ = impasto("sheet", "photo.png", "paint.png", *words, "-o", gone / "sheet.png")
    assert (code, out.strip()) == (4, str(folder / "sheet.png"))


def lose_folder_while_denoising(lost, monkeypatch):
    """Make a folder that is deleted as soon as a plane is denoised."""
    lost.mkdir()
    clean = denoising.FittedDenoiser.denoise

    def denoise(*arguments):
        shutil.rmtree(lost, ignore_errors=True)
        return clean(*arguments)

    monkeypatch.setattr(denoising.FittedDenoiser, "denoise", denoise)


@pytest.mark.parametrize("ending", [".png", ".tif"])
def test_cleaned_pictures_are_kept_with_all_that_is_beside_them(
    folder, ending, capsys, monkeypatch
):
    lose_folder_while_denoising(folder / "gone", monkeypatch)
    options = ["--method", "nl-wiener", "--sigma", "9", "--device", "cpu", "--quiet"]
    options += ["--residual", f"gone/r{ending}", "--figure", "gone/f.png", "--pairs", "gone/p.png"]
    assert main(["denoise", "photo.png", "-o", f"gone/out{ending}", *options]) == 4
    out, err = capsys.readouterr()
    assert Path(out.strip()).resolve() == folder / f"out{ending}"
    assert err.count("it is in") == 4
    for name in (f"out{ending}", f"out{ending}.impasto.json", f"r{ending}", "f.png", "p.png"):
        assert (folder / name).exists()


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_stack_is_kept_when_its_folder_goes(folder, compression, capsys, monkeypatch):
    values = np.random.default_rng(0).normal(900, 60, (3, 32, 40)).astype(np.uint16)
    options = {"photometric": "minisblack", "metadata": {"axes": "TYX"}}
    tifffile.imwrite("stack.tif", values, compression=compression, **options)
    lose_folder_while_denoising(folder / "gone", monkeypatch)
    options = ["--method", "nl-wiener", "--device", "cpu", "--quiet"]
    assert main(["denoise", "stack.tif", "-o", "gone/out.tif", *options]) == 4
    out, err = capsys.readouterr()
    assert Path(out.strip()).resolve() == folder / "out.tif"
    assert "it is in" in err
    assert tifffile.imread("out.tif").shape == values.shape
    assert tifffile.imread("out.tif").std() < values.std()
    assert (folder / "out.tif.impasto.json").exists()
    assert not list(folder.glob(".impasto*"))
