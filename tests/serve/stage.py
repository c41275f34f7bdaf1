"""A server to ask: in this process, with its own folder of jobs."""

import io
import json
import threading
import time
from contextlib import contextmanager

import torch
import uvicorn
from starlette.testclient import TestClient

from impasto.images.write import encode
from impasto.serve.app import create_app, open_server
from impasto.serve.limits import ServeOptions

TOKEN = "a-token-for-the-tests"
ORIGIN = "http://127.0.0.1:8765"
AUTHORIZED = {"authorization": f"Bearer {TOKEN}"}


def picture(width=48, height=32, seed=0):
    """A PNG of noise."""
    generator = torch.Generator().manual_seed(seed)
    return encode(torch.rand(3, height, width, generator=generator), "png")


def asking(folder, **options):
    """A client of a new server with its jobs in a folder; a context manager."""
    app = create_app(ServeOptions(folder=str(folder), **options), TOKEN)
    return TestClient(app, base_url=ORIGIN, headers=AUTHORIZED)


@contextmanager
def listening(folder, **options):
    """The address of a new server with a socket of its own, in a thread of its own."""
    server = open_server(ServeOptions(folder=str(folder), port=0, token=TOKEN, **options))
    config = uvicorn.Config(server.app, log_config=None, ws="none", timeout_graceful_shutdown=1)
    quiet = uvicorn.Server(config)
    thread = threading.Thread(target=quiet.run, kwargs={"sockets": [server.socket]})
    thread.start()
    try:
        yield server.origin
    finally:
        server.app.service.closing = quiet.should_exit = True
        thread.join()


def files(**pictures):
    """Pictures as a form's files; a list is several of one name."""
    return [
        (name, (f"{name}.png", io.BytesIO(data), "image/png"))
        for name, some in pictures.items()
        for data in (some if isinstance(some, list) else [some])
    ]


def post(client, method, options=None, **pictures):
    """Ask for a job."""
    data = {"options": json.dumps(options or {})}
    return client.post(f"/v1/jobs/{method}", files=files(**pictures), data=data)


def paint(client, options=None, **pictures):
    """Ask for a small painting."""
    small = {"size": 48, "steps": 3, "scales": 1}
    given = {"content": picture(), "style": picture(40, 40, 1)} | pictures
    answer = post(client, "style", small | (options or {}), **given)
    assert answer.status_code == 202, answer.text
    return answer.json()["id"]


def until(client, job, *statuses, patience=120):
    """A job once it has one of some statuses."""
    ends = time.monotonic() + patience
    while time.monotonic() < ends:
        found = client.get(f"/v1/jobs/{job}").json()
        if found["status"] in statuses:
            return found
        if found["status"] == "failed":
            break
        time.sleep(0.02)
    raise AssertionError(f"{found['status']} {found['reason']}, {patience} s at most")


class Staged:
    """What stands in for the work of jobs: each waits for its cue."""

    def __init__(self):
        self.begun = []
        self.cues = {}

    def __call__(self, job, folder, device, reporter):
        from impasto.result import Losses, Step
        from impasto.serve.records import ResultInfo

        self.begun.append(job.id)
        number = 0
        while not self.cues.get(job.id):
            number += 1
            step = Step(
                evaluation=number, evaluations=1000, scale=1, scales=1, size=(48, 32),
                losses=Losses(total=1 / number, content=0.5, style=0.5),
                seconds=number / 100, left=1000 - number,
                picture=lambda: torch.zeros(3, 32, 48),
            )  # fmt: skip
            try:
                reporter.on_step(step)
            except StopIteration:
                break
            time.sleep(0.01)
        if isinstance(self.cues.get(job.id), Exception):
            raise self.cues[job.id]
        return ResultInfo(width=48, height=32, seconds=1, bits=8, stack=False, formats=["png"])

    def finish(self, job, how=True):
        """Let a job end, or fail with an exception."""
        self.cues[job] = how
