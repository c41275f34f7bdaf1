"""Films, fitted models and textures as jobs: uploaded, made, stopped, downloaded."""

import io
import time

import pytest
from stage import asking, files, picture, post, until

import impasto
from impasto.images.child_decode import ClipLimits
from impasto.images.video_read import open_clip

pytest.importorskip("cv2")


def send(client, method, form, options="{}"):
    return client.post(f"/v1/jobs/{method}", files=form, data={"options": options})


def film_form(clip, **pictures):
    return [("content", ("holiday.mp4", io.BytesIO(clip), "video/mp4")), *files(**pictures)]


SMALL = '{"size": 64, "steps": 3, "scales": 1, "frame_evaluations": 1}'


def test_a_film_is_painted_with_progress_previews_and_a_poster(client, clip, tmp_path):
    job = send(client, "film", film_form(clip, style=picture()), SMALL).json()
    (first, _) = job["inputs"]
    assert (first["frames"], first["rate"], first["width"]) == (6, 10.0, 64)
    found = until(client, job["id"], "done")
    assert found["title"] == "holiday.mp4 × style.png"
    assert found["preview"] >= 1
    result = found["result"]
    assert (result["formats"], result["frames"], result["rate"]) == (["mp4", "jpeg"], 6, 10.0)
    answer = client.get(f"/v1/jobs/{job['id']}/result")
    assert answer.headers["content-type"] == "video/mp4"
    assert 'filename="holiday-painted.mp4"' in answer.headers["content-disposition"]
    (tmp_path / "film.mp4").write_bytes(answer.content)
    made = open_clip(tmp_path / "film.mp4")
    assert (made.frames, made.size) == (6, (64, 48))
    part = client.get(f"/v1/jobs/{job['id']}/result", headers={"range": "bytes=4-7"})
    assert (part.status_code, part.content) == (206, b"ftyp")
    small = client.get(f"/v1/jobs/{job['id']}/result?format=jpeg&longest=32").content
    assert impasto.open_image(small).size == (32, 24)
    shown = client.get(f"/v1/jobs/{job['id']}/inputs/content?longest=32").content
    assert impasto.open_image(shown).size == (32, 24)
    assert client.get(f"/v1/jobs/{job['id']}/result?format=png").status_code == 422


def test_a_clip_is_cleaned(client, clip):
    job = send(client, "denoise-clip", film_form(clip)).json()["id"]
    found = until(client, job, "done")
    assert (found["method"], found["result"]["formats"]) == ("denoise-clip", ["mp4", "jpeg"])
    disposition = client.head(f"/v1/jobs/{job}/result").headers["content-disposition"]
    assert 'filename="holiday-clean.mp4"' in disposition


def test_a_stop_leaves_a_film_of_what_is_done_and_a_retry_goes_on(client, clip, tmp_path):
    slow = '{"size": 64, "steps": 3, "scales": 1, "frame_evaluations": 150, "engine": "painted"}'
    job = send(client, "film", film_form(clip, style=picture()), slow).json()["id"]
    until(client, job, "running")
    while (client.get(f"/v1/jobs/{job}").json()["step"] or {}).get("evaluation", 0) < 2:
        time.sleep(0.01)
    client.post(f"/v1/jobs/{job}/stop")
    found = until(client, job, "stopped")
    assert 2 <= found["result"]["frames"] < 6
    (tmp_path / "film.mp4").write_bytes(client.get(f"/v1/jobs/{job}/result").content)
    assert open_clip(tmp_path / "film.mp4").frames == found["result"]["frames"]
    client.post(f"/v1/jobs/{job}/retry")
    assert until(client, job, "done")["result"]["frames"] == 6


def test_a_film_is_limited_before_it_waits(tmp_path, clip):
    with asking(tmp_path, most_frames=5) as client:
        answer = send(client, "denoise-clip", film_form(clip))
        assert answer.json()["code"] == "unreadable_file"
        assert "it has more than 5 frames" in answer.json()["detail"]
    with asking(tmp_path, most_work=10**6) as client:
        answer = send(client, "film", film_form(clip, style=picture()), '{"size": 1024}')
        assert answer.json()["code"] == "too_much_work"
    with asking(tmp_path) as client:
        for data, code in (
            (picture(), "unreadable_file"),
            (b"", "empty_file"),
            (clip[:200], "unreadable_file"),
            (b"\0\0\0\x1cftypavif" + clip[12:], "unreadable_file"),
        ):
            answer = send(client, "denoise-clip", film_form(data))
            assert (answer.status_code, answer.json()["code"]) == (422, code), answer.text
            assert "/jobs" not in answer.json()["detail"]
        assert [path.name for path in tmp_path.iterdir()] == [".lock"]


@pytest.mark.parametrize("work", ["os.abort()", "time.sleep(60)", "bytearray(6 << 30)"])
def test_a_film_that_breaks_its_decoder_costs_one_upload(client, clip, monkeypatch, work):
    double = (
        "import os, time; from impasto.images import decode_worker; "
        f"decode_worker.decode_clip = lambda *_: {work}; decode_worker._SECONDS = 0.5; "
        "decode_worker._WALL_FACTOR = 2; decode_worker.main()"
    )
    decoder = client.app.service.decoder
    decoder.close()
    with monkeypatch.context() as patch:
        patch.setattr("impasto.images.child_decode._PROGRAM", double)
        answer = send(client, "denoise-clip", film_form(clip))
        assert (answer.status_code, answer.json()["code"]) == (422, "decoder_failed")
        assert "`content` must be a readable film, got holiday.mp4" in answer.json()["detail"]
    decoder.close()
    path = client.app.service.store.folder / "clip.mp4"
    path.write_bytes(clip)
    assert decoder.check_clip(path, "content", "a.mp4", ClipLimits(10**6, 10)).frames == 6


def test_a_model_is_fitted_and_paints(client, tmp_path):
    form = files(photograph=[picture(48, 32, 1), picture(48, 32, 2)], style=picture(40, 40, 3))
    job = send(client, "fit", form, '{"size": 64, "steps": 4}').json()
    assert job["title"] == "photograph.png + 1 × style.png"
    found = until(client, job["id"], "done")
    assert found["result"]["formats"][0] == "impasto"
    answer = client.get(f"/v1/jobs/{job['id']}/result")
    assert 'filename="photograph-model.impasto"' in answer.headers["content-disposition"]
    (tmp_path / "a.impasto").write_bytes(answer.content)
    facts = impasto.Model.load(tmp_path / "a.impasto").facts
    assert [one.name for one in facts.photographs] == ["photograph.png"] * 2
    model = ("model", ("oil.impasto", io.BytesIO(answer.content)))
    job = send(client, "apply", [*files(content=picture()), model], '{"amount": 0.5}').json()["id"]
    found = until(client, job, "done")
    assert found["title"] == "content.png × oil.impasto"
    assert found["result"]["unlikeness"] > 0
    made = impasto.open_image(client.get(f"/v1/jobs/{job}/result").content)
    assert made.size == (48, 32)
    recipe = client.post("/v1/recipe", files=files(picture=client.get(
        f"/v1/jobs/{job}/result").content)).json()  # fmt: skip
    assert (recipe["method"], recipe["changed"]) == ("apply", {"amount": 0.5})
    for bad in (b"no model", answer.content[:-9], picture()):
        form = [*files(content=picture()), ("model", ("bad.impasto", io.BytesIO(bad)))]
        refusal = send(client, "apply", form).json()
        assert refusal["code"] == "unreadable_model"
        assert "got bad.impasto" in refusal["detail"]


def test_a_texture_needs_a_style_alone(client):
    options = {"width": 96, "height": 64, "steps": 3, "scales": 1}
    job = post(client, "texture", options, style=picture()).json()["id"]
    found = until(client, job, "done")
    assert (found["title"], found["result"]["width"]) == ("style.png", 96)
    assert impasto.open_image(client.get(f"/v1/jobs/{job}/result").content).size == (96, 64)
