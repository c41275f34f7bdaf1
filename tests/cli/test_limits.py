"""What a format or a disk cannot hold is refused before the work."""

import numpy as np
import pytest
from PIL import Image

from impasto.cli.main import main


def long_image(path, width):
    Image.fromarray(np.zeros((16, width, 3), np.uint8)).save(path)


@pytest.mark.parametrize("dry_run", [(), ("--dry-run",)])
@pytest.mark.parametrize(
    "words",
    [
        ("style", "photo.png", "paint.png", "--size", "17000"),
        ("style", "long.png", "paint.png", "--size", "original"),
        ("texture", "paint.png", "--width", "17000", "--height", "64"),
        ("reconstruct", "photo.png", "--size", "17000"),
        ("denoise", "long.png"),
    ],
)
def test_a_picture_too_large_for_its_format_is_not_begun(impasto, calls, folder, words, dry_run):
    long_image("long.png", 17_000)
    code, out, err = impasto(*words, "-o", "out.webp", *dry_run)
    assert (code, out, calls) == (1, "", [])
    assert "`output` must have sides of at most 16,383 pixels as WEBP, got 17,000 × " in err
    assert not (folder / "out.webp").exists()


def test_a_sheet_too_tall_to_draw_is_not_begun(impasto, calls, folder):
    Image.fromarray(np.zeros((2_000, 16, 3), np.uint8)).save("tall.png")
    words = ("--over", "strength=0.1,0.2,0.3", "--over", "color=0", "--quiet")
    code, _, err = impasto("sheet", "tall.png", "paint.png", *words, "-o", "sheet.png")
    assert (code, calls) == (1, [])
    assert "must be a sheet of at most 65,500 pixels on a side" in err


@pytest.mark.parametrize("length", [252, 239])
def test_a_name_too_long_for_itself_or_its_sidecar_is_refused(impasto, calls, length):
    name = "x" * length + ".png"
    code, _, err = impasto("style", "photo.png", "paint.png", "-o", name)
    assert (code, calls) == (1, [])
    assert "file name too long" in err


def test_the_truth_is_never_replaced(folder, capsys):
    words = ["denoise", "photo.png", "--truth", "paint.png", "--figure", "row.png", "--overwrite"]
    assert main([*words, "-o", "paint.png"]) == 1
    assert "must not be one of the inputs, got paint.png" in capsys.readouterr().err
