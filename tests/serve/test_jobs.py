"""The queue: order, bound, stop, cancel, retry, delete, expiry, restart, events."""

import json
import shutil
import time

import httpx2
import pytest
from stage import AUTHORIZED, asking, listening, paint, picture, post, until

from impasto.jobs.job import LossPoint, thin_history
from impasto.serve.records import Store


def status(client, job):
    return client.get(f"/v1/jobs/{job}").json()["status"]


def test_jobs_are_done_in_order_one_at_a_time(client, staged):
    jobs = [paint(client) for _ in range(3)]
    until(client, jobs[0], "running")
    listed = client.get("/v1/jobs").json()["jobs"]
    assert [one["id"] for one in listed] == jobs[::-1]
    assert [one["position"] for one in listed] == [2, 1, None]
    for job in jobs:
        until(client, job, "running")
        staged.finish(job)
        found = until(client, job, "done")
        assert found["created"] <= found["started"] <= found["ended"] < found["expires"]
    assert staged.begun == jobs


def test_a_full_queue_says_when_to_ask_again_and_keeps_nothing(tmp_path, staged):
    with asking(tmp_path, queue=2) as client:
        first = paint(client)
        until(client, first, "running")
        waiting = [paint(client), paint(client)]
        before = sorted(path.name for path in tmp_path.iterdir())
        answer = post(client, "style", content=picture(), style=picture())
        assert answer.status_code == 429
        assert int(answer.headers["retry-after"]) >= 1
        assert "got 2 jobs waiting of at most 2" in answer.json()["detail"]
        assert sorted(path.name for path in tmp_path.iterdir()) == before
        client.post(f"/v1/jobs/{waiting[0]}/cancel")
        assert status(client, waiting[0]) == "cancelled"
        assert client.post(f"/v1/jobs/{waiting[0]}/retry").status_code == 202
        client.post(f"/v1/jobs/{first}/cancel")
        until(client, first, "cancelled")
        until(client, waiting[1], "running")
        paint(client)
        assert client.post(f"/v1/jobs/{first}/retry").status_code == 429
        assert status(client, first) == "cancelled"


def test_stop_keeps_the_picture_and_cancel_does_not(client, staged):
    stopped, cancelled, waiting = [paint(client) for _ in range(3)]
    until(client, stopped, "running")
    assert client.post(f"/v1/jobs/{waiting}/stop").status_code == 409
    assert client.post(f"/v1/jobs/{stopped}/stop").status_code == 202
    assert until(client, stopped, "stopped")["result"]["width"] == 48
    until(client, cancelled, "running")
    assert client.post(f"/v1/jobs/{cancelled}/cancel").status_code == 202
    assert until(client, cancelled, "cancelled")["result"] is None
    for job, word in ((stopped, "stop"), (stopped, "cancel"), (cancelled, "cancel")):
        answer = client.post(f"/v1/jobs/{job}/{word}")
        assert answer.status_code == 409
        assert f"`{word}` must be asked of" in answer.json()["detail"]
    assert client.get(f"/v1/jobs/{cancelled}/result").status_code == 409


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("`size` must be other, got 3; choose"), "`size` must be other"),
        (MemoryError(), "there is not enough memory for this job"),
        (KeyError("x"), "something unforeseen went wrong, KeyError: 'x'"),
    ],
)
def test_a_job_that_fails_says_why_and_the_next_one_is_done(client, staged, error, said):
    job, following = paint(client), paint(client)
    until(client, job, "running")
    staged.finish(job, error)
    found = until(client, job, "failed")
    assert found["reason"].startswith(said)
    assert found["retryable"]
    until(client, following, "running")
    staged.finish(job)
    assert client.post(f"/v1/jobs/{job}/retry").json()["status"] == "queued"
    staged.finish(following)
    assert until(client, job, "done")["reason"] is None
    assert client.post(f"/v1/jobs/{job}/retry").status_code == 409


def test_a_job_is_deleted_with_its_files_but_not_while_it_runs(client, staged):
    running, waiting = paint(client), paint(client)
    until(client, running, "running")
    answer = client.delete(f"/v1/jobs/{running}")
    assert answer.status_code == 409
    assert "cancel it" in answer.json()["detail"]
    assert client.delete(f"/v1/jobs/{waiting}").status_code == 204
    staged.finish(running)
    until(client, running, "done")
    place = client.app.service.store.path(running)
    assert place.is_dir()
    assert client.delete(f"/v1/jobs/{running}").status_code == 204
    assert not place.exists()
    for word in ("", "/preview", "/result", "/events", "/inputs/content"):
        assert client.get(f"/v1/jobs/{running}{word}").status_code == 404
    assert client.get("/v1/jobs").json() == {"jobs": [], "next": None}


def test_jobs_expire(tmp_path, staged, monkeypatch):
    monkeypatch.setattr("impasto.serve.workers._EXPIRY_SECONDS", 0.02)
    with asking(tmp_path, keep_hours=0.2 / 3600) as client:
        job = paint(client)
        until(client, job, "running")
        time.sleep(0.3)
        assert status(client, job) == "running"
        staged.finish(job)
        ends = time.monotonic() + 20
        while client.get(f"/v1/jobs/{job}").status_code != 404 and time.monotonic() < ends:
            time.sleep(0.02)
        assert client.get(f"/v1/jobs/{job}").status_code == 404
        assert not (tmp_path / job).exists()


def test_another_server_finds_what_the_first_one_left(tmp_path, staged):
    with asking(tmp_path) as client:
        done, running, waiting, gone = [paint(client) for _ in range(4)]
        until(client, done, "running")
        staged.finish(done)
        client.post(f"/v1/jobs/{gone}/cancel")
        until(client, running, "running")
    staged.finish(running)
    staged.finish(waiting)
    with asking(tmp_path) as client:
        assert status(client, done) == "done"
        assert status(client, gone) == "cancelled"
        found = client.get(f"/v1/jobs/{running}").json()
        assert found["status"] == "interrupted"
        assert "retry" in found["reason"]
        assert found["retryable"]
        until(client, waiting, "done")
        client.post(f"/v1/jobs/{running}/retry")
        until(client, running, "done")


def test_a_killed_server_leaves_nothing_unclear(tmp_path, staged):
    """What a kill leaves: a job that says it runs, half an upload, half a record."""
    with asking(tmp_path) as client:
        job = paint(client)
        until(client, job, "running")
        shutil.copytree(tmp_path, tmp_path.with_name("killed"))
    folder = tmp_path.with_name("killed")
    (folder / "coming-0123456789abcdef").mkdir()
    (folder / "coming-0123456789abcdef" / "content.png").write_bytes(b"half")
    (folder / job / ".impasto-0123.tmp").write_bytes(b"half")
    (folder / ("f" * 16)).mkdir()
    (folder / ("f" * 16) / "job.json").write_text('{"id": "ffff')
    (folder / "holiday.jpg").write_bytes(b"mine")
    store = Store(folder)
    (found,) = store.load()
    assert (found.id, found.status) == (job, "interrupted")
    assert json.loads((folder / job / "job.json").read_text())["status"] == "interrupted"
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        [".lock", job, "f" * 16, "holiday.jpg"]
    )
    assert not list((folder / job).glob(".impasto-*"))
    store.close()


def events(client, path, most, patience=20):
    """So many events of a stream: name, data."""
    found = []
    ends = time.monotonic() + patience
    with client.stream("GET", path) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        for line in answer.iter_lines():
            if line.startswith("event: "):
                found.append([line[7:], None])
            elif line.startswith("data: "):
                found[-1][1] = json.loads(line[6:])
                if len(found) >= most:
                    break
            assert time.monotonic() < ends
    return found


def test_a_jobs_events_end_with_the_job(client, staged):
    job = paint(client)
    until(client, job, "running")
    staged.finish(job)
    until(client, job, "done")
    ((name, data),) = events(client, f"/v1/jobs/{job}/events", 9)
    assert (name, data["id"], data["status"]) == ("job", job, "done")


@pytest.fixture
def far(tmp_path, staged):
    """A client of a server with a real socket: streams need one."""
    with (
        listening(tmp_path / "far") as origin,
        httpx2.Client(base_url=origin, headers=AUTHORIZED, timeout=30) as client,
    ):
        yield client


def test_events_tell_of_all_that_happens(far, staged):
    first = paint(far)
    until(far, first, "running")
    found = events(far, "/v1/events", 4)
    assert [name for name, _ in found] == ["jobs", "step", "step", "step"]
    assert [one["id"] for one in found[0][1]["jobs"]] == [first]
    steps = [data for _, data in found[1:]]
    assert all(data["id"] == first and data["preview"] >= 1 for data in steps)
    points = [point for data in steps for point in data["losses"]]
    told = [point["evaluation"] for point in points]
    assert {tuple(point["losses"]) for point in points} == {("total", "content", "style")}
    assert told == sorted(set(told))  # each once
    assert steps[-1]["step"]["evaluation"] > steps[0]["step"]["evaluation"]
    assert steps[-1]["step"]["left"] > 0
    assert far.get(f"/v1/jobs/{first}/preview").content[:2] == b"\xff\xd8"
    with far.stream("GET", "/v1/events") as answer:
        lines = answer.iter_lines()
        second = paint(far)
        time.sleep(0.5)  # long enough to be seen waiting
        staged.finish(first)
        staged.finish(second)
        until(far, second, "done")
        time.sleep(0.5)
        far.delete(f"/v1/jobs/{first}")
        seen = []
        for line in lines:
            if line.startswith("event: gone"):
                break
            if line.startswith("data: ") and '"status"' in line:
                data = json.loads(line[6:])
                seen.append((data.get("id"), data.get("status")))
    assert (first, "done") in seen
    assert seen.index((second, "queued")) < seen.index((second, "done"))


def test_long_histories_are_thinned_to_what_a_curve_needs():
    long = [LossPoint(evaluation=n, losses={"total": 1.0}) for n in range(10_000)]
    assert thin_history(long[:500]) == long[:500]
    assert len(thin_history(long)) == 500
    assert thin_history(long)[0] == long[0]
    assert thin_history(long)[-1] == long[-1]


OLD_RECORD = {
    "id": "0123456789abcdef", "method": "style", "status": "done", "created": 1.7e9,
    "started": 1.7e9, "ended": 1.7e9 + 5, "title": "content.png × style.png",
    "recipe": {"size": 48, "steps": 3}, "reason": None,
    "uploads": [
        {"role": "content", "name": "content.png", "file": "content.png", "sha256": "ab",
         "width": 48, "height": 32, "weight": None},
        {"role": "style-1", "name": "style.png", "file": "style-1.png", "sha256": "cd",
         "width": 40, "height": 40, "weight": 1.0},
    ],
    "history": [[1, 2.0, 0.5, 1.5], [2, 1.0, 0.25, 0.75]],
    "result": {"width": 48, "height": 32, "seconds": 5.0, "bits": 8, "stack": False,
               "formats": ["png"], "diagnosis": None, "method": None},
}  # fmt: skip


def test_records_of_before_losses_had_names_are_read(tmp_path):
    folder = tmp_path / OLD_RECORD["id"]
    folder.mkdir()
    (folder / "job.json").write_text(json.dumps(OLD_RECORD))
    with asking(tmp_path, keep_hours=100_000) as client:
        job = client.get(f"/v1/jobs/{OLD_RECORD['id']}").json()
    assert job["status"] == "done"
    assert job["history"] == [
        {"evaluation": 1, "losses": {"total": 2.0, "content": 0.5, "style": 1.5}},
        {"evaluation": 2, "losses": {"total": 1.0, "content": 0.25, "style": 0.75}},
    ]
    assert [one["weight"] for one in job["inputs"]] == [None, 1.0]


def test_health_tells_how_much_is_waiting(client, staged):
    running = paint(client)
    until(client, running, "running")
    paint(client)
    found = client.get("/v1/health", headers={"authorization": ""}).json()
    assert found["status"] == "ok"
    assert (found["running"], found["queued"], found["queue"]) == (1, 1, 20)
    assert found["devices"][-1] == "cpu"
