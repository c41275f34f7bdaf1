"""Uploads: files are checked by their headers, options are validated by the recipes."""

import io
import json
import re
import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image
from stage import asking, files, paint, picture, post

from impasto.serve.service import PAGE


def png(width, height, *chunks):
    """A PNG that claims a size and has hardly a pixel."""
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), *chunks]
    parts += [(b"IDAT", zlib.compress(b"\0" * 9)), (b"IEND", b"")]
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + body


def many_pages(count, side=4):
    """A TIFF of many small pages."""
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        for _ in range(count):
            writer.write(np.zeros((side, side), np.uint8), contiguous=False, metadata=None)
    return file.getvalue()


TEXT = b"Comment\0\0" + zlib.compress(b"x" * 10**8)
BOMBS = {
    "60,000 x 60,000": (png(60_000, 60_000), "claims 60,000 × 60,000 pixels"),
    "2^31 wide": (png(2**31 - 1, 1), "pixels"),
    "nothing": (png(0, 5), "pixels"),
    "an SVG": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "it is an SVG"),
    "an SVG with a prologue": (b"<?xml version='1.0'?><svg/>", "it is an SVG"),
    "an EPS": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "it is an EPS"),
    "a page": (b"<!doctype html><script>alert(1)</script>", "not in a format"),
    "a PDF": (b"%PDF-1.7", "it is a PDF"),
    "a ZIP": (b"PK\x03\x04" + b"\0" * 50, "it is a ZIP archive"),
    "half a header": (picture()[:20], "header is broken"),
    "nothing at all": (b"", "empty"),
}


@pytest.mark.parametrize("what", BOMBS)
@pytest.mark.parametrize("route", ["jobs/style", "jobs/denoise", "jobs/reconstruct", "diagnosis"])
def test_what_is_no_picture_or_claims_too_much_is_refused_unopened(client, what, route):
    data, message = BOMBS[what]
    more = {"style": picture()} if route == "jobs/style" else {}
    answer = client.post(f"/v1/{route}", files=files(content=data, **more))
    assert answer.status_code == 422, answer.text
    assert message in answer.json()["detail"]
    assert "/jobs" not in answer.json()["detail"]  # no place on this machine is told
    left = [path.name for path in client.app.service.store.folder.iterdir()]
    assert left == [".lock"]


@pytest.mark.parametrize("role", ["style", "region_1", "mask_1", "protect", "keep", "init"])
def test_every_file_of_a_job_is_checked_by_its_header(client, role):
    pictures = {"content": picture(), "style": picture()} | {role: png(60_000, 60_000)}
    options = {"init": "picture"} if role == "init" else {}
    answer = post(client, "style", options, **pictures)
    assert answer.status_code == 422
    assert "claims 60,000 × 60,000 pixels" in answer.json()["detail"]
    named = {"style": "style-1"}.get(role, role.replace("_", "-"))
    assert f"`{named}`" in answer.json()["detail"]


def test_texts_that_unpack_to_much_do_no_harm(client):
    bomb = png(48, 32, (b"zTXt", TEXT), (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + TEXT[9:]))
    answer = client.post("/v1/recipe", files=files(picture=bomb))
    assert answer.status_code == 422
    assert "none" in answer.json()["detail"]


def test_pages_are_counted(tmp_path):
    with asking(tmp_path, most_pixels=2**16) as client:
        answer = post(client, "denoise", content=many_pages(5002))
        assert answer.status_code == 422
        assert "its pages claim more than the limit of 65,536 pixels" in answer.json()["detail"]
    with asking(tmp_path) as client:
        answer = post(client, "denoise", content=many_pages(5002))
        assert "more than 5,000 pages" in answer.json()["detail"]


def test_only_so_many_parts_are_read(client):
    body = b"".join(
        b'--x\r\ncontent-disposition: form-data; name="a%d"\r\n\r\n1\r\n' % number
        for number in range(10_000)
    )
    kind = {"content-type": "multipart/form-data; boundary=x"}
    answer = client.post("/v1/jobs/denoise", content=body + b"--x--", headers=kind)
    assert answer.status_code == 400
    assert "a form must have at most 24 files and 24 other fields" in answer.json()["detail"]
    ten = [("style", ("a.png", picture(), "image/png"))] * 100
    assert client.post("/v1/jobs/style", files=ten).status_code == 400


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("style", "[]", "`options` must be a JSON object"),
        ("style", "{", "`options` must be a JSON object"),
        ("style", "[" * 20_000, "`options` must be a JSON object"),
        ("style", '{"strength": 7}', "`strength` must be at most 1, got 7; see /v1/options"),
        ("style", '{"strenght": 1}', "did you mean strength?"),
        ("style", '{"preset": "bolt"}', "did you mean bold?"),
        ("style", '{"preset": ["bold"]}', "`preset` must be one of"),
        ("style", '{"size": 65536, "steps": 300}', "`size` and `steps` must stay below"),
        ("style", '{"steps": 100000, "size": 2048}', "`size` and `steps` must stay below"),
        ("style", '{"init": "picture"}', "`init` must be `picture` if an init picture is given"),
        ("style", '{"strength": NaN}', "`strength` must be a finite number"),
        ("denoise", '{"method": "magic"}', "`method` must be one of auto, nl-wiener"),
        ("denoise", '{"sigma": -1}', "`sigma`"),
        ("reconstruct", '{"layer": "conv9_9"}', "`layer` must be one of"),
    ],
)
def test_options_are_validated_by_the_recipes(client, method, options, message):
    pictures = {"content": picture()} | ({"style": picture()} if method == "style" else {})
    answer = client.post(f"/v1/jobs/{method}", files=files(**pictures), data={"options": options})
    assert answer.status_code in (413, 422)
    assert message in answer.json()["detail"]


@pytest.mark.parametrize(
    "weights", ["1", "[1, 2]", '["1"]', "[-1]", "[NaN]", "[true]", "{}", "[[[", "[1e999]"]
)
def test_weights_are_a_number_for_each_style(client, weights):
    answer = client.post(
        "/v1/jobs/style",
        files=files(content=picture(), style=picture()),
        data={"weights": weights},
    )
    assert answer.status_code == 422
    assert "`weights` must be a JSON list of 1 numbers" in answer.json()["detail"]


def test_a_work_limit_counts_pixels_times_steps(tmp_path, staged):
    with asking(tmp_path, most_work=10**6) as client:
        answer = post(
            client, "style", {"size": 100, "steps": 300}, content=picture(), style=picture()
        )
        assert answer.status_code == 413
        assert "`--most-work`" in answer.json()["detail"]
        paint(client, {"size": 100, "steps": 100})  # 100 × 67 × 100
        answer = post(client, "denoise", {"method": "zs-n2n"}, content=picture())
        assert answer.status_code == 413
        assert "`method`" in answer.json()["detail"]


def test_masks_must_belong_to_a_style(client):
    answer = post(client, "style", content=picture(), style=picture(), region_2=picture())
    assert answer.status_code == 422
    assert "`region_2` must belong to a style, got no style 2" in answer.json()["detail"]


def test_a_picture_too_small_for_the_network_is_refused_at_once(client):
    answer = post(client, "style", content=picture(15, 40), style=picture())
    assert answer.status_code == 422
    assert "at least 16 pixels on each side, got 15 × 40" in answer.json()["detail"]


def test_a_wrong_option_inside_a_picture_points_to_the_api_too(client):
    answer = client.post("/v1/recipe", files=files(picture=b'{"strength": 9}'))
    assert answer.status_code == 422
    said = "`strength` must be at most 1, got 9; see /v1/options for every option"
    assert answer.json()["detail"] == said


def test_a_diagnosis_that_fails_names_the_file_as_its_sender_did(client):
    broken = picture(64, 64)[:-3000]
    bad = io.BytesIO()
    tifffile.imwrite(bad, np.full((32, 32), np.nan, np.float32))
    for data, message in (
        (broken, "`content` must be a readable picture, got content.png: "),
        (bad.getvalue(), "`content` must be finite, got content.png with 1,024 of 1,024 values"),
    ):
        answer = client.post("/v1/diagnosis", files=files(content=data))
        assert answer.status_code == 422
        assert answer.json()["detail"].startswith(message)


def test_the_options_are_the_recipes_own_schema(client):
    from impasto.methods import METHODS

    choices = client.get("/v1/options").json()
    for method in ("style", "denoise", "reconstruct"):
        assert choices["recipes"][method] == json.loads(
            json.dumps(METHODS[method].recipe.model_json_schema())
        )
    described = client.get("/v1/openapi.json").json()
    for method in ("style", "denoise", "reconstruct"):
        body = described["paths"][f"/v1/jobs/{method}"]["post"]["requestBody"]
        (name,) = [body["content"]["multipart/form-data"]["schema"]["$ref"].rpartition("/")[2]]
        field = described["components"]["schemas"][name]["properties"]["options"]
        assert field["contentSchema"] == choices["recipes"][method]


@pytest.mark.parametrize("route", ["jobs/style", "jobs/denoise", "jobs/reconstruct", "diagnosis"])
def test_an_upload_that_kills_its_decoder_is_refused_and_the_next_one_taken(
    client, monkeypatch, route
):
    crash = (
        "import os; from impasto.images import decode_worker; decode = decode_worker.decode_file; "
        "decode_worker.decode_file = lambda data, header: "
        "os.abort() if header.stored_size == (99, 77) else decode(data, header); "
        "decode_worker.main()"
    )
    monkeypatch.setattr("impasto.images.child_decode._PROGRAM", crash)
    client.app.service.decoder.close()
    more = {"style": picture()} if route == "jobs/style" else {}
    answer = client.post(f"/v1/{route}", files=files(content=picture(99, 77), **more))
    assert answer.status_code == 422
    assert (
        "`content` must be a readable picture, got content.png: a decoder crashed on it"
        in (answer.json()["detail"])
    )
    assert [path.name for path in client.app.service.store.folder.iterdir()] == [".lock"]
    assert client.post("/v1/diagnosis", files=files(content=picture())).status_code == 200


def test_an_input_carries_the_notes_on_its_file(client):
    frames = [Image.new("RGB", (48, 32), color) for color in ("red", "lime", "blue")]
    film = io.BytesIO()
    frames[0].save(film, "WEBP", save_all=True, append_images=frames[1:])
    note = "1 of its 3 pictures taken, the others left out"
    job = post(client, "denoise", content=film.getvalue()).json()
    assert [one["notes"] for one in job["inputs"]] == [[note]]
    assert client.get(f"/v1/jobs/{job['id']}").json()["inputs"][0]["notes"] == [note]
    diagnosis = client.post("/v1/diagnosis", files=files(content=film.getvalue())).json()
    assert diagnosis["notes"] == [note]


def test_every_note_can_be_said_in_chinese():
    """The patterns of the Chinese page fit the sentences of the library."""
    path = PAGE / "texts" / "zh.json"
    patterns = json.loads(path.read_text(encoding="utf-8"))["notes"]
    rest = "without a name; all are kept, and none is used as opacity"
    for note in (
        "1 of its 1,203 pictures taken, the others left out",
        "1 of its 12 pages taken, the others left out",
        "its first page taken for a preview of the larger one, and left out",
        "2 of its 5 channels left out, as it calls only 3 color or opacity",
        f"its 4 channels are taken for 3 colors and 1 {rest}",
        f"its 5 channels are taken for 3 colors, opacity and 1 {rest}",
        "its XMP is longer than 1 MB and left out",
        "its XMP is broken and left out",
        "its XMP is not in a form that can be read and left out",
        "its georeference is left out, as the picture is turned",
        "its colors are converted from Display P3 (cICP) to sRGB",
    ):
        (match,) = (
            re.fullmatch(pattern, note) for pattern in patterns if re.fullmatch(pattern, note)
        )
        (words,) = (words for pattern, words in patterns.items() if pattern == match.re.pattern)
        assert {int(number) for number in re.findall(r"\{(\d)\}", words)} <= set(
            range(1, len(match.groups()) + 1)
        )
