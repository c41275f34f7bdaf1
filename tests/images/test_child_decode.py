"""Untrusted files are decoded in a child process: what goes wrong there costs the file alone."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import threading

import numpy as np
import pytest
import tifffile
from image_makers import FORMATS, file_of, rgb_profile, smooth
from PIL import Image

from impasto import ImageError
from impasto.images import child_decode
from impasto.images.child_decode import ChildDecoder
from impasto.images.icc import srgb_profile

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")

PICTURE = file_of(Image.fromarray(smooth()), "PNG")
# A decoder that does what a broken one may do.
DOUBLE = """
import os, time
from impasto.images import decode_worker
def decode_file(data, header):
    {work}
decode_worker.decode_file = decode_file
decode_worker._SECONDS = 0.7
decode_worker._WALL_FACTOR = 2
decode_worker.main()
"""


@pytest.fixture(scope="module")
def decoder():
    decoder = ChildDecoder()
    decoder.start()
    yield decoder
    decoder.close()


@pytest.fixture
def double(monkeypatch):
    """Return a decoder whose children decode in a given way."""
    made = []

    def make(work):
        monkeypatch.setattr(child_decode, "_PROGRAM", DOUBLE.format(work=work))
        made.append(ChildDecoder())
        return made[-1]

    yield make
    for decoder in made:
        decoder.close()


def check(decoder, data, **options):
    return decoder.check(data, "content", "a.png", 10_000, **options)


@pytest.mark.parametrize("format", FORMATS)
def test_a_child_says_what_a_file_is(decoder, format):
    facts = check(decoder, file_of(Image.fromarray(smooth()), format))
    assert (facts.format, facts.size, facts.xmp) == (format, (40, 24), None)


def test_a_child_says_what_is_left_out_converted_or_taken_for_what(decoder):
    frames = [Image.new("RGB", (16, 16), color) for color in ("red", "lime", "blue")]
    film = file_of(frames[0], "WEBP", save_all=True, append_images=frames[1:])
    assert check(decoder, film).notes == ("1 of its 3 pictures taken, the others left out",)
    adobe = file_of(Image.fromarray(smooth()), "PNG", icc_profile=rgb_profile("Display P3"))
    (note,) = check(decoder, adobe).notes
    assert re.fullmatch("its colors are converted from .+ to sRGB", note)
    same = file_of(Image.fromarray(smooth()), "PNG", icc_profile=srgb_profile())
    assert check(decoder, same).notes == ()
    infrared = io.BytesIO()
    channels = {"photometric": "rgb", "extrasamples": ["unspecified"]}
    tifffile.imwrite(infrared, smooth(channels=4), **channels)
    note = "1 of its 4 channels left out, as it calls only 3 color or opacity"
    assert check(decoder, infrared.getvalue()).notes == (note,)
    (note,) = check(decoder, infrared.getvalue(), pages=True).notes
    assert note.startswith("its 4 channels are taken for 3 colors and 1 without a name; all are")


def test_what_cannot_be_read_is_refused_in_the_same_words(decoder):
    with pytest.raises(ImageError, match=r"must be a readable picture, got a\.png: it is a PDF"):
        check(decoder, b"%PDF-1.7")
    with pytest.raises(ImageError, match="its pixels are cut short or broken; give a JPEG"):
        check(decoder, PICTURE[:-40])
    with pytest.raises(ImageError, match="200 × 200 pixels, more than the limit of 10,000"):
        check(decoder, file_of(Image.new("L", (200, 200)), "PNG"))
    assert check(decoder, PICTURE[:-40], pixels=False).size == (40, 24)


def test_all_pages_of_measured_data_are_decoded(decoder):
    file = io.BytesIO()
    pages = np.random.default_rng(1).integers(0, 999, (3, 24, 40)).astype(np.uint16)
    tifffile.imwrite(file, pages, compression="deflate", photometric="minisblack")
    assert check(decoder, file.getvalue(), pages=True).size == (40, 24)


@pytest.mark.parametrize(
    ("work", "reason"),
    [
        ("os.abort()", "a decoder crashed on it"),
        ("os.kill(os.getpid(), 11)", "a decoder crashed on it"),
        ("any(iter(int, 1))", "took more time than a picture of its size should"),
        ("time.sleep(60)", "took more time than a picture of its size should"),
        ("bytearray(1 << 30)", "it takes more memory to decode than a picture of its size"),
    ],
)
def test_a_decoder_that_goes_wrong_costs_one_file(double, work, reason):
    decoder = double(f"if header.stored_size == (40, 24): {work}")
    other = file_of(Image.new("L", (8, 8)), "PNG")
    with pytest.raises(ImageError, match=rf"{reason}.*; save it anew with another program"):
        check(decoder, PICTURE)
    assert check(decoder, other).size == (8, 8)


def test_a_child_writes_no_files_and_no_words(double, tmp_path, capfd):
    target = tmp_path / "a.txt"
    decoder = double(f"os.write(2, b'a warning'); os.write(os.open({str(target)!r}, 65), b'x')")
    with pytest.raises(ImageError):
        check(decoder, PICTURE)
    assert not target.exists() or target.read_bytes() == b""
    assert capfd.readouterr() == ("", "")


def test_the_process_is_started_anew_if_it_has_ended(decoder):
    check(decoder, PICTURE)
    decoder._process.kill()
    decoder._process.wait()
    assert check(decoder, PICTURE).size == (40, 24)


def test_several_files_are_decoded_at_once(decoder):
    sizes = []
    threads = [
        threading.Thread(target=lambda: sizes.append(check(decoder, PICTURE).size))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sizes == [(40, 24)] * 4


def test_the_process_ends_with_its_owner():
    code = (
        "from impasto.images.child_decode import ChildDecoder; decoder = ChildDecoder(); "
        "decoder.start(); print(decoder._process.pid, flush=True); import os; os._exit(0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    process = int(done.stdout)
    for _ in range(200):
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return
        threading.Event().wait(0.05)
    pytest.fail("it still runs")


def test_the_process_loads_no_torch():
    code = "import sys, impasto.images.decode_worker; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
