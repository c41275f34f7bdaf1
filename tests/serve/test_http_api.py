"""The contract of the API: refusals by code, methods, types, paging, repeats, ETags, ranges."""

import json
import re
import time
from pathlib import Path

import httpx2
import pytest
from stage import AUTHORIZED, ORIGIN, asking, files, listening, paint, picture, post, until
from starlette.testclient import TestClient

from impasto.serve.problems import PROBLEMS

ROOT = Path(__file__).parents[2]


def refused(answer, code, field=None):
    """Check a refusal, and return its sentence."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    problem = answer.json()
    assert problem["code"] == code, problem
    assert problem["status"] == answer.status_code == PROBLEMS[code][0]
    assert problem["field"] == field
    assert set(problem) == {"title", "status", "detail", "code", "field"}
    assert "pydantic" not in answer.text
    assert "Input should" not in answer.text
    return problem["detail"]


def send(client, method="denoise", data=None, **pictures):
    return client.post(f"/v1/jobs/{method}", files=files(**pictures), data=data or {})


def test_fields_that_nobody_reads_are_refused(client):
    answer = send(client, data={"optoins": "{}"}, content=picture())
    assert "did you mean options?" in refused(answer, "unknown_field", "optoins")
    refused(send(client, content=picture(), style=picture()), "unknown_field", "style")
    refused(send(client, "style", content=picture()), "missing_field", "style")
    refused(send(client, data={"content": "text"}, style=picture()), "unknown_field", "style")
    text = {"content": "text", "options": "{}"}
    answer = client.post("/v1/jobs/denoise", files=[("options", (None, "{}"))], data=text)
    assert "must be a file, got text" in refused(answer, "wrong_field", "content")
    answer = send(client, content=picture(), options=b"{}")
    assert "must be text, got a file" in refused(answer, "wrong_field", "options")
    refused(send(client, content=[picture(), picture()]), "wrong_field", "content")
    answer = send(client, "style", content=picture(), style=[picture()] * 5)
    assert "at most 4 times, got it 5 times" in refused(answer, "wrong_field", "style")
    assert client.get("/v1/jobs").json()["jobs"] == []


def test_parameters_that_nobody_reads_are_refused(client):
    detail = refused(client.get("/v1/jobs?limti=3"), "unknown_parameter", "limti")
    assert "did you mean limit?" in detail
    detail = refused(client.get("/v1/jobs?limit=0"), "wrong_parameter", "limit")
    assert detail == "`limit` must be a whole number from 1 to 1000, got '0'; correct it"
    refused(client.get("/v1/jobs?before=now"), "wrong_parameter", "before")
    path = f"/v1/jobs/{'0' * 16}"
    assert "one of png, png16" in refused(
        client.get(f"{path}/result?format=gif"), "wrong_parameter", "format"
    )
    refused(client.get(f"{path}/inputs/content?crop=maybe"), "wrong_parameter", "crop")
    refused(client.get("/v1/jobs/none"), "no_such_job")
    refused(client.get(f"{path}/inputs/9"), "not_found")


def test_what_is_known_at_once_is_refused_at_once(client):
    while not client.get("/v1/health").json()["devices"]:
        pass
    both = {"content": picture(), "style": picture()}
    answer = send(client, "style", {"weights": "[0]"}, **both)
    refused(answer, "zero_weights", "weights")
    answer = post(client, "denoise", {"device": "cuda:7"}, content=picture())
    assert "auto, " in refused(answer, "no_such_device", "device")
    answer = post(client, "style", {"memory": 0.001}, **both)
    assert "GiB" in refused(answer, "not_enough_memory", "memory")
    answer = post(client, "style", {"tiles": [64, 64, 64, 64, 64]}, **both)
    refused(answer, "impossible_job", "tiles")
    refused(post(client, "style", {"strenght": 1}, **both), "unknown_option", "strenght")
    refused(post(client, "style", {"strength": 7}, **both), "wrong_option", "strength")
    assert client.get("/v1/jobs").json()["jobs"] == []


def test_a_body_of_another_type_is_415(client):
    for headers in ({"content-type": "application/json"}, {"content-type": "image/png"}, {}):
        answer = client.post("/v1/jobs/style", content=b"{}", headers=headers)
        refused(answer, "wrong_media_type", "Content-Type")
        assert answer.headers["accept"] == "multipart/form-data"
    answer = client.post("/v1/jobs/style", data={"options": "{}"})
    refused(answer, "wrong_media_type", "Content-Type")


def test_head_is_get_without_a_body_and_allow_names_every_method(client, staged):
    job = paint(client)
    until(client, job, "running")
    for path in ("/v1/jobs", f"/v1/jobs/{job}", "/v1/health", "/", "/v1/events",
                 f"/v1/jobs/{job}/events", f"/v1/jobs/{job}/inputs/content"):  # fmt: skip
        answer = client.head(path)
        assert (answer.status_code, answer.content) == (200, b""), path
    image = client.get(f"/v1/jobs/{job}/inputs/content")
    head = client.head(f"/v1/jobs/{job}/inputs/content")
    assert head.headers["content-length"] == str(len(image.content))
    for path, allowed in ((f"/v1/jobs/{job}", "DELETE, GET, HEAD"), ("/v1/jobs/style", "POST"),
                          (f"/v1/jobs/{job}/stop", "POST"), ("/v1/jobs", "GET, HEAD")):  # fmt: skip
        answer = client.put(path)
        refused(answer, "method_not_allowed")
        allow = set(answer.headers["allow"].split(", "))
        assert allow == set(allowed.split(", ")), path
    refused(client.get("/v1/nothing"), "not_found")


def test_a_new_job_has_a_location_and_the_list_has_pages(client, staged):
    answer = post(client, "denoise", content=picture())
    assert answer.headers["location"] == f"/v1/jobs/{answer.json()['id']}"
    assert client.get(answer.headers["location"]).json()["id"] == answer.json()["id"]
    jobs = [answer.json()["id"], *(paint(client) for _ in range(4))][::-1]
    seen, path = [], "/v1/jobs?limit=2"
    while path:
        page = client.get(path)
        seen.append([job["id"] for job in page.json()["jobs"]])
        path = page.json()["next"]
        assert (page.headers.get("link") == f'<{path}>; rel="next"') == (path is not None)
        if len(seen) == 1:  # a job that is deleted changes no later page
            client.delete(f"/v1/jobs/{seen[0][-1]}")
    assert seen == [jobs[:2], jobs[2:4], jobs[4:]]


def test_a_request_that_comes_again_makes_no_second_job(tmp_path, staged):
    key = {"idempotency-key": "a-key"}
    with asking(tmp_path, queue=1) as client:

        def ask(data):
            form = files(content=data)
            return client.post("/v1/jobs/denoise", files=form, headers=key)

        first = ask(picture())
        until(client, first.json()["id"], "running")
        paint(client)  # the queue is full
        again = ask(picture())
        assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])
        assert again.headers["location"] == first.headers["location"]
        refused(ask(picture(seed=9)), "key_reused", "Idempotency-Key")
        assert len(client.get("/v1/jobs").json()["jobs"]) == 2
        bad = client.post(
            "/v1/jobs/denoise", files=files(content=picture()), headers={"idempotency-key": "a b"}
        )
        refused(bad, "queue_full")
        assert not [path for path in tmp_path.iterdir() if path.name.startswith("coming-")]
    with asking(tmp_path, queue=1) as client:  # a new start knows it, too
        assert ask(picture()).json()["id"] == first.json()["id"]


def test_files_have_etags_and_come_in_ranges(client):
    job = post(client, "denoise", {"sigma": 0.1}, content=picture()).json()["id"]
    until(client, job, "done")
    for path in ("result?format=png", "inputs/content", "inputs/content?original=true"):
        whole = client.get(f"/v1/jobs/{job}/{path}")
        etag, size = whole.headers["etag"], len(whole.content)
        assert whole.headers["cache-control"] == "private, no-cache"
        assert whole.headers["accept-ranges"] == "bytes"
        same = client.get(f"/v1/jobs/{job}/{path}", headers={"if-none-match": f'"x", {etag}'})
        assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", etag)
        for asked, part, first in (
            ("bytes=0-9", whole.content[:10], 0),
            ("bytes=10-", whole.content[10:], 10),
            ("bytes=-7", whole.content[-7:], size - 7),
            (f"bytes=5-{size + 99}", whole.content[5:], 5),
        ):
            answer = client.get(f"/v1/jobs/{job}/{path}", headers={"range": asked})
            assert (answer.status_code, answer.content) == (206, part)
            last = first + len(part) - 1
            assert answer.headers["content-range"] == f"bytes {first}-{last}/{size}"
        for asked in ("bytes=9-3", "pages=1-2", "bytes=0-1,3-4", "bytes=-"):
            answer = client.get(f"/v1/jobs/{job}/{path}", headers={"range": asked})
            assert (answer.status_code, answer.content) == (200, whole.content)
        answer = client.get(f"/v1/jobs/{job}/{path}", headers={"range": f"bytes={size}-"})
        refused(answer, "wrong_range")
        assert answer.headers["content-range"] == f"bytes */{size}"
        other = {"range": "bytes=0-9", "if-range": '"another"'}
        assert client.get(f"/v1/jobs/{job}/{path}", headers=other).status_code == 200
    etags = {
        client.get(f"/v1/jobs/{job}/result?{query}").headers["etag"]
        for query in ("format=png", "format=jpeg", "longest=20", "strength=0.5")
    }
    assert len(etags) == 4


def lines_of(client, last_id=None, most=2):
    """The ids, kinds and data of the first events of a stream."""
    headers = {} if last_id is None else {"last-event-id": last_id}
    found = []
    with client.stream("GET", "/v1/events", headers=headers) as answer:
        number = None
        for line in answer.iter_lines():
            if line.startswith("id: "):
                number = line[4:]
            elif line.startswith("event: "):
                found.append([number, line[7:], None])
                number = None
            elif line.startswith("data: "):
                found[-1][2] = json.loads(line[6:])
                if len(found) == most:
                    return found
    return found


def test_a_reader_that_comes_again_hears_what_it_missed(tmp_path, staged):
    with (
        listening(tmp_path) as origin,
        httpx2.Client(base_url=origin, headers=AUTHORIZED, timeout=30) as client,
    ):
        running = paint(client)
        until(client, running, "running")
        waiting = [paint(client), paint(client)]
        (last_id, kind, data), (no_id, step, _) = lines_of(client)
        assert (kind, len(data["jobs"])) == ("jobs", 3)
        assert (no_id, step) == (None, "step")
        client.delete(f"/v1/jobs/{waiting[0]}")
        client.post(f"/v1/jobs/{waiting[1]}/cancel")
        missed = lines_of(client, last_id, 4)
        assert [kind for _, kind, _ in missed].count("jobs") == 0
        told = {(kind, data["id"]) for _, kind, data in missed if kind != "step"}
        assert told >= {("gone", waiting[0]), ("job", waiting[1]), ("job", running)}
        for unknown in ("none", f"{last_id}0000", "0000-1", "", last_id.replace("-", "--")):
            assert lines_of(client, unknown, 1)[0][1] == "jobs"
        staged.finish(running)
        until(client, running, "done")


def test_the_description_has_security_tags_examples_and_events(client):
    described = client.get("/v1/openapi.json").json()
    assert described["security"] == [{"token": []}]
    assert described["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    tags = {tag["name"] for tag in described["tags"]}
    for path, operations in described["paths"].items():
        for operation in operations.values():
            assert set(operation["tags"]) <= tags
            assert operation.get("security") == ([] if path in (
                "/v1/health", "/v1/openapi.json") else None)  # fmt: skip
            for status, answer in operation["responses"].items():
                if status.startswith(("4", "5")):
                    assert list(answer["content"]) == ["application/problem+json"], path
                    codes = re.findall(r"(\w+): ", answer["description"])
                    assert codes
                    assert {PROBLEMS[code][0] for code in codes if code in PROBLEMS} == {
                        int(status)
                    }
    stream = described["paths"]["/v1/events"]["get"]["responses"]["200"]["content"]
    events = stream["text/event-stream"]["x-events"]
    assert set(events) == {"jobs", "job", "step", "gone"}
    schemas = described["components"]["schemas"]
    assert {ref["$ref"].rpartition("/")[2] for ref in events.values()} <= set(schemas)
    assert "HTTPValidationError" not in schemas
    text = json.dumps(described)
    for name in re.findall(r'"#/components/schemas/(\w+)"', text):
        assert name in schemas


def test_a_fault_of_the_server_tells_nothing_of_it(tmp_path, monkeypatch):
    with asking(tmp_path) as client:
        quiet = TestClient(
            client.app, base_url=ORIGIN, headers=AUTHORIZED, raise_server_exceptions=False
        )
        monkeypatch.setattr(client.app.service.workers, "views", lambda: 1 / 0)
        answer = quiet.get("/v1/jobs")
        assert "ZeroDivision" not in answer.text
        refused(answer, "internal_error")
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_memory_is_told_before_a_job(client):
    """What is refused is refused as the job would be."""
    while not client.get("/v1/health").json()["devices"]:
        time.sleep(0.05)

    def ask(method="style", width=600, height=400, **options):
        form = {"method": method, "options": json.dumps(options), "width": width, "height": height}
        return client.get("/v1/plan", params=form)

    small, large = (ask(size=size).json()["memory"] for size in (256, 1024))
    assert 2**26 < small < large
    assert ask("texture", tileable=True).json()["memory"] > 2**26
    assert ask("denoise").json()["memory"] is None
    assert ask(size=4096, memory=0.5).json()["code"] == "not_enough_memory"
    assert ask(sice=1).json()["code"] == "unknown_option"
    assert ask(width=0).json()["code"] == "wrong_parameter"


@pytest.mark.parametrize("path", ["/v1/options", "/page/js/app.js", "/"])
def test_text_is_compressed_for_clients_that_take_it(client, path):
    plain = client.get(path, headers={"accept-encoding": "identity"})
    zipped = client.get(path, headers={"accept-encoding": "br, gzip"})
    assert "content-encoding" not in plain.headers
    assert zipped.headers["content-encoding"] == "gzip"
    assert zipped.headers["vary"] == plain.headers["vary"] == "Accept-Encoding"
    assert int(zipped.headers["content-length"]) < 0.6 * int(plain.headers["content-length"])
    assert zipped.content == plain.content
    if path != "/v1/options":
        etag = zipped.headers["etag"]
        assert etag != plain.headers["etag"]
        known = {"if-none-match": etag, "accept-encoding": "gzip"}
        assert client.get(path, headers=known).status_code == 304
