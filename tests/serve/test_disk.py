"""A disk that is full or refuses: a sentence, nothing half done, and service goes on."""

import errno
import os
import shutil
from pathlib import Path

import pytest
from stage import asking, files, paint, picture, post, until

from impasto.jobs.run_job import attempt


@pytest.fixture
def disk(monkeypatch):
    """A disk that fails as its `error` says; 0 for one that works."""

    class Disk:
        error = 0

        def check(self):
            if self.error:
                raise OSError(self.error, os.strerror(self.error))

    disk = Disk()

    def failing(function):
        def call(*arguments, **options):
            disk.check()
            return function(*arguments, **options)

        return call

    monkeypatch.setattr("impasto.files.os.fsync", failing(os.fsync))
    monkeypatch.setattr("impasto.files._try_creating", failing(lambda target: None))
    monkeypatch.setattr(Path, "write_bytes", failing(Path.write_bytes))
    return disk


def states(client):
    """What the list of jobs says, by id."""
    answer = client.get("/v1/jobs")
    assert answer.status_code == 200
    return {job["id"]: (job["status"], job["position"]) for job in answer.json()["jobs"]}


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (errno.ENOSPC, 507, "the server's disk must have room, got none left"),
        (errno.EDQUOT, 507, "the server's disk must have room, got none left"),
        (errno.EACCES, 503, "folder of jobs must be one that it can use, got permission denied"),
        (errno.EIO, 503, "folder of jobs must be one that it can use, got input/output error"),
    ],
)
def test_what_the_disk_refuses_is_a_sentence_and_changes_nothing(
    tmp_path, staged, disk, error, status, said
):
    with asking(tmp_path) as client:
        running, waiting, ended = [paint(client) for _ in range(3)]
        until(client, running, "running")
        client.post(f"/v1/jobs/{ended}/cancel")
        before, folders = states(client), sorted(tmp_path.iterdir())
        disk.error = error
        form = {"content": picture(), "style": picture()}
        answers = [
            client.post(f"/v1/jobs/{ended}/retry"),
            client.post(f"/v1/jobs/{waiting}/cancel"),
            post(client, "style", **form),
            post(client, "denoise", content=picture()),
            client.post("/v1/diagnosis", files=files(content=picture())),
        ]
        for answer in answers:
            assert answer.status_code == status, answer.text
            assert said in answer.json()["detail"]
            assert str(tmp_path) not in answer.text
        assert states(client) == before
        assert sorted(tmp_path.iterdir()) == folders
        staged.finish(running)
        until(client, running, "done")
        until(client, waiting, "running")
        disk.error = 0
        assert client.post(f"/v1/jobs/{ended}/retry").status_code == 202
        staged.finish(waiting)
        until(client, waiting, "done")
    with asking(tmp_path) as client:  # what could not be stored at first was stored later
        assert states(client)[running] == ("done", None)


def test_a_job_whose_folder_cannot_be_changed_is_not_deleted(client, staged, monkeypatch):
    job = paint(client)
    until(client, job, "running")
    client.post(f"/v1/jobs/{job}/cancel")
    until(client, job, "cancelled")

    def refuse(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr("impasto.serve.records.os.replace", refuse)
        answer = client.delete(f"/v1/jobs/{job}")
    assert answer.status_code == 503
    assert "permission denied" in answer.json()["detail"]
    assert states(client) == {job: ("cancelled", None)}
    assert client.delete(f"/v1/jobs/{job}").status_code == 204
    assert states(client) == {}


def test_a_server_starts_on_a_full_disk_and_shows_what_is_there(tmp_path, staged, disk):
    with asking(tmp_path) as client:
        job = paint(client)
        until(client, job, "running")
        staged.finish(job)
        until(client, job, "done")
        running = paint(client)
        until(client, running, "running")
        shutil.copytree(tmp_path, tmp_path.with_name("copy"))  # as a kill leaves it
    disk.error = errno.ENOSPC
    with asking(tmp_path.with_name("copy")) as client:
        assert states(client) == {job: ("done", None), running: ("interrupted", None)}
        assert client.get(f"/v1/jobs/{job}/inputs/content").status_code == 200
        assert client.delete(f"/v1/jobs/{job}").status_code == 204
        assert post(client, "denoise", content=picture()).status_code == 507


def test_files_of_a_job_that_are_gone_or_damaged_are_a_sentence(tmp_path, client):
    job = post(client, "denoise", {"sigma": 0.1}, content=picture()).json()["id"]
    until(client, job, "done")
    folder = tmp_path / "jobs" / job
    for name, status in (("result.safetensors", 503), ("recipe.json", 503)):
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(b"damaged")
        answer = client.get(f"/v1/jobs/{job}/result")
        assert answer.status_code == status, answer.text
        assert "the files of this job must be as the server left them" in answer.json()["detail"]
        (folder / name).write_bytes(whole)
    shutil.rmtree(folder)
    answer = client.get(f"/v1/jobs/{job}/inputs/content", params={"original": True})
    assert answer.status_code == 404
    assert "its file is gone" in answer.json()["detail"]
    assert client.get(f"/v1/jobs/{job}/result").status_code in (404, 422)
    assert client.delete(f"/v1/jobs/{job}").status_code == 204


def test_a_disk_error_in_a_job_is_not_unforeseen():
    def work():
        raise OSError(errno.ENOSPC, "No space left on device", "out.png")

    outcome = attempt(work)
    assert outcome.permanent
    assert outcome.reason == (
        "the disk must be one that can be used, got out.png: no space left on device; make room"
    )
