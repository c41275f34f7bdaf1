"""What jobs make, with the real network: the files that the command line would have written."""

import io
import json
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import httpx2
import numpy as np
import pytest
import tifffile
import torch
from stage import AUTHORIZED, TOKEN, asking, files, paint, picture, post, until

import impasto
from impasto.denoising import fitted as denoising
from impasto.images.child_decode import FileFacts
from impasto.images.write import encode
from impasto.provenance import read_provenance

CONTENT, STYLE = picture(64, 48, 3), picture(40, 40, 4)
SMALL = {"size": 48, "steps": 6, "scales": 2}


def opened(data):
    return impasto.open_image(data)


def result(client, job, **wanted):
    answer = client.get(f"/v1/jobs/{job}/result", params=wanted)
    assert answer.status_code == 200, answer.text
    return answer.content


def test_a_painting_is_the_file_that_the_library_writes(client, tmp_path):
    job = paint(client, SMALL, content=CONTENT, style=STYLE)
    found = until(client, job, "done")
    assert (found["result"]["width"], found["result"]["height"]) == (48, 36)
    assert len(found["history"]) == 6
    for name, data in (("content.png", CONTENT), ("style.png", STYLE)):
        (tmp_path / name).write_bytes(data)
    made = impasto.stylize(tmp_path / "content.png", tmp_path / "style.png", **SMALL)
    same = made.save(tmp_path / "out.png").read_bytes()
    assert result(client, job) == same
    assert read_provenance(opened(same).metadata.recipe).inputs.content.name == "content.png"
    for format, kind, bits in (("png16", "PNG", 16), ("tiff16", "TIFF", 16), ("jpeg", "JPEG", 8),
                               ("webp", "WEBP", 8), ("tiff", "TIFF", 8)):  # fmt: skip
        file = opened(result(client, job, format=format))
        assert (file.metadata.format, file.metadata.bits) == (kind, bits)
        near = (file.pixels - made.pixels).abs()
        assert near.max() < 1 / 65535 if bits == 16 else near.mean() < 0.3
        assert read_provenance(file.metadata.recipe).output.bits == (16 if bits == 16 else None)
    assert opened(result(client, job, longest=24)).size == (24, 18)
    for wanted in ({"format": "gif"}, {"strength": 0.5}, {"longest": 1}):
        assert client.get(f"/v1/jobs/{job}/result", params=wanted).status_code == 422


def test_styles_weights_regions_and_masks_all_arrive(client, tmp_path):
    left = torch.zeros(1, 48, 64)
    left[..., :32] = 1
    mask = encode(left, "png")
    form = files(
        content=CONTENT, style=[STYLE, picture(36, 36, 5)], region_1=mask, protect=encode(
            left.flip(-1), "png"), mask_2=encode(torch.ones(1, 36, 36), "png"))  # fmt: skip
    data = {"options": json.dumps(SMALL), "weights": "[0.25, 1]"}
    job = client.post("/v1/jobs/style", files=form, data=data).json()
    assert [one["role"] for one in job["inputs"]] == [
        "content", "protect", "style-1", "style-2", "region-1", "mask-2"
    ]  # fmt: skip
    assert until(client, job["id"], "done")["title"] == "content.png × style.png × style.png"
    made = impasto.stylize(
        CONTENT,
        [impasto.Style(STYLE, 0.25, mask), impasto.Style(picture(36, 36, 5), 1)],
        protect=left.flip(-1)[0],
        **SMALL,
    )
    near = (opened(result(client, job["id"])).pixels - made.pixels).abs().max()
    assert near <= 0.51 / 255


def test_alpha_exif_and_depth_are_those_of_the_content(client):
    alpha = torch.ones(48, 64)
    alpha[:10] = 0
    content = encode(
        torch.rand(3, 48, 64), "png", metadata=impasto.ImageMetadata(alpha=alpha, dpi=(300, 300)),
        bits=16,
    )  # fmt: skip
    job = paint(client, SMALL, content=content)
    assert until(client, job, "done")["result"]["bits"] == 16
    metadata = opened(result(client, job)).metadata
    assert metadata.bits == 16
    assert metadata.alpha.min() < 0.1
    assert metadata.dpi == pytest.approx((300, 300), rel=0.01)
    small = opened(result(client, job, longest=24)).metadata.alpha
    assert small.shape == (18, 24)


def test_a_stop_is_heard_and_the_picture_kept(client):
    job = paint(client, {"size": 64, "steps": 5000, "scales": 1}, content=CONTENT, style=STYLE)
    until(client, job, "running")
    while not client.get(f"/v1/jobs/{job}").json()["step"]:
        time.sleep(0.02)
    client.post(f"/v1/jobs/{job}/stop")
    found = until(client, job, "stopped")
    assert found["result"]["width"] == 64
    assert 0 < len(found["history"]) < 5000
    assert opened(result(client, job)).size == (64, 48)


@pytest.mark.slow
def test_a_cancelled_job_goes_on_where_it_was(client, tmp_path):
    options = {"size": 64, "steps": 40, "scales": 1}
    job = paint(client, options, content=CONTENT, style=STYLE)
    until(client, job, "running")
    while not (client.get(f"/v1/jobs/{job}").json()["step"] or {}).get("evaluation", 0) > 3:
        time.sleep(0.01)
    client.post(f"/v1/jobs/{job}/cancel")
    until(client, job, "cancelled")
    client.post(f"/v1/jobs/{job}/retry")
    until(client, job, "done")
    whole = impasto.stylize(CONTENT, STYLE, **options)
    assert torch.equal(opened(result(client, job)).pixels, opened(whole._repr_png_()).pixels)


def test_a_cleaning_gives_any_share_of_the_noise_back(client, tmp_path):
    clean = torch.full((3, 48, 64), 0.5)
    noisy = (clean + 0.1 * torch.randn(clean.shape, generator=torch.manual_seed(0))).clamp(0, 1)
    (tmp_path / "content.png").write_bytes(data := encode(noisy, "png"))
    job = post(client, "denoise", {"strength": 0.5}, content=data).json()["id"]
    found = until(client, job, "done")
    assert found["result"]["diagnosis"]["kind"] == "gaussian"
    assert found["result"]["method"] == "nl-wiener"
    assert found["preview"] >= 1
    made = impasto.denoise(tmp_path / "content.png", strength=0.5)
    assert result(client, job) == made.save(tmp_path / "out.png").read_bytes()
    for strength, chroma in ((1, 1), (0, 0), (0.3, 0.9)):
        wanted = {"strength": strength, "chroma": chroma, "format": "png16"}
        file = opened(result(client, job, **wanted))
        near = (file.pixels - made.at(strength, chroma).pixels.clamp(0, 1)).abs().max()
        assert near < 1 / 65535
        assert read_provenance(file.metadata.recipe).recipe.strength == strength
    assert client.get(f"/v1/jobs/{job}/result?strength=2").status_code == 422


def test_a_part_is_cleaned_as_in_the_whole_and_its_texture_given_back(client, tmp_path):
    generator = torch.manual_seed(0)
    # Threads, no two alike.
    cloth = 0.07 * torch.randn(1, 106, 120, generator=generator).unfold(1, 7, 1).sum(3) / 7**0.5
    noise = 0.08 * torch.randn(3, 100, 120, generator=generator)
    pixels = (0.5 + cloth + noise).clamp(0, 1)
    (tmp_path / "content.png").write_bytes(data := encode(pixels, "png"))
    options = {"crop": [31, 22, 64, 48], "strength": 0.9}
    job = post(client, "denoise", options, content=data).json()
    assert job["title"] == "content.png (64 × 48)"
    found = until(client, job["id"], "done")["result"]
    assert (found["width"], found["height"]) == (64, 48)
    made = impasto.denoise(tmp_path / "content.png", **options)
    assert result(client, job["id"]) == made.save(tmp_path / "out.png").read_bytes()
    textured = opened(result(client, job["id"], strength=1, detail=1, format="png16"))
    expected = made.at(1, detail=1).pixels
    assert (textured.pixels - expected.clamp(0, 1)).abs().max() < 1 / 65535
    assert (expected - made.clean).abs().max() > 0.01
    shown = client.get(f"/v1/jobs/{job['id']}/inputs/content?crop=true").content
    assert torch.equal(opened(shown).pixels, opened(data).pixels[:, 22:70, 31:95])
    whole = opened(client.get(f"/v1/jobs/{job['id']}/inputs/content").content)
    assert whole.size == (120, 100)


def test_looks_at_parts_and_the_whole_measure_a_picture_once(client, tmp_path, monkeypatch):
    measured, diagnose = [], denoising.diagnose_planes
    monkeypatch.setattr(
        denoising, "diagnose_planes", lambda *inputs: measured.append(1) or diagnose(*inputs)
    )
    noise = 0.08 * torch.randn(1, 90, 101, generator=torch.manual_seed(5))
    (tmp_path / "content.png").write_bytes(data := encode((0.5 + noise).clamp(0, 1), "png"))
    for options in ({"crop": [31, 22, 40, 30]}, {"crop": [5, 6, 40, 30]}, {}):
        job = post(client, "denoise", options, content=data).json()["id"]
        found = until(client, job, "done")["result"]
        assert len(measured) == 1
        assert found["diagnosis"]["method"] == "nl-wiener"
        saved = result(client, job)
        made = impasto.denoise(tmp_path / "content.png", **options)
        assert saved == made.save(tmp_path / "out.png", overwrite=True).read_bytes()
        measured.pop()


def test_a_part_beyond_the_border_is_refused_at_once(client):
    answer = post(client, "denoise", {"crop": [40, 0, 64, 16]}, content=picture())
    assert answer.status_code == 422
    assert "`crop` must lie in the picture, which has 48 × 32 pixels" in answer.json()["detail"]


def test_a_stack_stays_a_stack(client, tmp_path):
    noisy = np.random.default_rng(0).poisson(200, (3, 32, 40)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "content.tif", noisy, imagej=True, metadata={"axes": "ZYX"})
    data = (tmp_path / "content.tif").read_bytes()
    form = [("content", ("cells.tif", io.BytesIO(data), "image/tiff"))]
    job = client.post("/v1/jobs/denoise", files=form).json()["id"]
    found = until(client, job, "done")["result"]
    assert (found["stack"], found["formats"]) == (True, ["tiff"])
    answer = client.get(f"/v1/jobs/{job}/result?format=tiff")
    assert 'filename="cells-clean.tif"' in answer.headers["content-disposition"]
    with tifffile.TiffFile(io.BytesIO(answer.content)) as file:
        assert (file.series[0].shape, file.series[0].dtype) == ((3, 32, 40), np.uint16)
        assert file.series[0].asarray().std() < noisy.std()
    assert client.get(f"/v1/jobs/{job}/result?format=png").status_code == 422
    shown = opened(client.get(f"/v1/jobs/{job}/inputs/content").content)
    assert shown.size == (40, 32)
    seen = client.post("/v1/diagnosis", files=form).json()
    assert seen["stack"]


def test_a_reconstruction(client):
    options = {"layer": "conv2_1", "size": 48, "steps": 3}
    job = post(client, "reconstruct", options, content=CONTENT).json()["id"]
    found = until(client, job, "done")
    assert found["recipe"]["layer"] == "conv2_1"
    made = impasto.reconstruct(CONTENT, **options)
    assert torch.equal(opened(result(client, job)).pixels, opened(made._repr_png_()).pixels)


def test_a_result_gives_its_recipe_and_its_inputs_back(client):
    options = SMALL | {"preset": "bold", "seed": 7}
    job = paint(client, options, content=CONTENT, style=STYLE)
    until(client, job, "done")
    for format in ("png", "jpeg", "tiff16", "webp"):
        file = result(client, job, format=format)
        found = client.post("/v1/recipe", files=files(picture=file)).json()
        assert found["method"] == "style"
        assert found["changed"]["preset"] == "bold"
        assert found["changed"]["seed"] == 7
        by_role = {one["role"]: one for one in found["inputs"]}
        assert by_role["style-1"]["weight"] == 1
        back = client.get(by_role["content"]["url"], params={"original": True}).content
        assert back == CONTENT
    text = json.dumps({"method": "denoise", "recipe": {"strength": 0.25}}).encode()
    found = client.post("/v1/recipe", files=files(picture=text)).json()
    assert found["changed"] == {"strength": 0.25}
    client.delete(f"/v1/jobs/{job}")
    found = client.post("/v1/recipe", files=files(picture=file)).json()
    assert [one["url"] for one in found["inputs"]] == [None, None]


@pytest.mark.parametrize(
    "text", [b'{"strength": 9}', b"{", b'{"method": "x", "recipe": {}}', b"{}x"]
)
def test_a_recipe_that_is_not_valid_is_one_sentence(client, text):
    answer = client.post("/v1/recipe", files=files(picture=text))
    assert answer.status_code == 422
    assert "`" in answer.json()["detail"]


def test_a_picture_that_is_broken_is_refused_when_it_is_uploaded(client):
    answer = post(client, "style", SMALL, content=picture(64, 64)[:-3000], style=STYLE)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("`content` must be a readable picture, got")
    assert client.get("/v1/jobs").json()["jobs"] == []


def test_a_picture_that_breaks_while_it_is_read_fails_its_job_alone(client, staged, monkeypatch):
    monkeypatch.undo()
    # The check of an upload does not see it, as if it broke between that and its job.
    facts = FileFacts("PNG", (64, 64), None)
    monkeypatch.setattr(client.app.service.decoder, "check", lambda *_, **__: facts)
    broken = picture(64, 64)[:-3000]
    job = post(client, "style", SMALL, content=broken, style=STYLE).json()["id"]
    found = until(client, job, "failed")
    assert found["reason"].startswith("`content` must be a readable picture, got content.png")
    assert str(client.app.service.store.folder) not in found["reason"]
    assert client.get(f"/v1/jobs/{job}/inputs/content").status_code == 404


@contextmanager
def served(folder):
    """A server in a process of its own, and a client of it; at the end it is killed."""
    words = ["serve", "--no-browser", "--port", "0", "--token", TOKEN, "--folder", str(folder)]
    command = [sys.executable, "-m", "impasto", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            address = process.stdout.readline().strip().partition("/#")[0]
            with httpx2.Client(base_url=address, headers=AUTHORIZED) as client:
                yield process, client
        finally:
            process.kill()


@pytest.mark.slow
def test_a_server_that_is_killed_goes_on_with_the_same_bytes(tmp_path):
    options = {"size": 64, "steps": 120, "scales": 1}
    with served(tmp_path) as (process, client):
        done = paint(client, SMALL, content=CONTENT, style=STYLE)
        running = paint(client, options, content=CONTENT, style=STYLE)
        waiting = paint(client, SMALL, content=STYLE, style=CONTENT)
        until(client, done, "done")
        until(client, running, "running")
        while not (client.get(f"/v1/jobs/{running}").json()["step"] or {}).get("evaluation", 0) > 9:
            time.sleep(0.01)
        first = result(client, done)
        process.send_signal(signal.SIGKILL)
    with served(tmp_path) as (process, client):
        assert result(client, done) == first
        found = client.get(f"/v1/jobs/{running}").json()
        assert (found["status"], found["retryable"]) == ("interrupted", True)
        assert "the server ended" in found["reason"]
        until(client, waiting, "done")
        client.post(f"/v1/jobs/{running}/retry")
        until(client, running, "done")
        whole = impasto.stylize(CONTENT, STYLE, **options)
        assert torch.equal(
            opened(result(client, running)).pixels, opened(whole._repr_png_()).pixels
        )
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) in (0, -signal.SIGTERM)


def test_ctrl_c_ends_the_server_and_marks_what_ran(tmp_path):
    with served(tmp_path) as (process, client):
        job = paint(client, {"size": 64, "steps": 5000}, content=CONTENT, style=STYLE)
        until(client, job, "running")
        with client.stream("GET", "/v1/events") as events:
            next(events.iter_lines())
            process.send_signal(signal.SIGINT)
            assert process.wait(30) is not None
    with asking(tmp_path) as client:
        found = client.get(f"/v1/jobs/{job}").json()
        assert found["status"] == "interrupted"
        assert found["retryable"]
