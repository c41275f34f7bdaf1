"""The server under load: 200 jobs from 8 clients over loopback, none lost; memory, stop, preview.

python benchmarks/serve.py [--jobs 200] [--clients 8] [--browser /usr/bin/chromium]

One process serves, this one asks. The small jobs are paintings of the demo's own pictures; a full
queue is answered by waiting as long as it says. Memory is the server's as each job ends: the
median of the second half of the jobs beside that of the first, its first tenth left out. Then, one
after the other on an idle server: from the request of a painting, of 512 pixels and of 2048, to
its first preview;
from asking it to stop, at moments spread over its steps, to its picture; from opening the page,
with all those jobs in its history, to being able to use it, in a real browser. Beside them, what it
costs to decode an upload in a child process first.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable

import httpx2
import psutil

TOKEN = "a-token-for-the-benchmark"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--queue", type=int, default=4)
    parser.add_argument("--stops", type=int, default=12)
    parser.add_argument("--browser", default=shutil.which("chromium"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        process, client = start_server(folder, arguments.queue)
        try:
            report = load(process, client, arguments)
            report |= first_preview(client)
            report |= upload_cost()
            report |= preview_and_stop(client, arguments.stops)
            report |= open_page(client, arguments.browser)
        finally:
            process.terminate()
            process.wait()
    print(json.dumps(report))


def start_server(folder: str, queue: int) -> tuple[subprocess.Popen, httpx2.Client]:
    """A server, ready, and a client of it."""
    words = ["serve", "--no-browser", "--port", "0", "--token", TOKEN, "--folder", folder]
    process = subprocess.Popen(
        [sys.executable, "-m", "impasto", *words, "--queue", str(queue)],
        stdout=subprocess.PIPE,
        text=True,
    )
    address = process.stdout.readline().partition("/#")[0]
    client = make_client(address)
    while not client.get("/v1/health").json()["devices"]:
        time.sleep(0.1)
    return process, client


def make_client(address: str) -> httpx2.Client:
    """A client with the token."""
    headers = {"authorization": f"Bearer {TOKEN}"}
    return httpx2.Client(base_url=address, headers=headers, timeout=60)


def pictures() -> tuple[bytes, bytes]:
    """The demo's photograph and painting as files."""
    from impasto.demo import painting, photograph
    from impasto.images.resize import resize
    from impasto.images.write import encode

    return encode(photograph(), "jpeg"), encode(resize(painting(), (320, 256)), "jpeg")


def submit(client: httpx2.Client, files: tuple[bytes, bytes], **options: object) -> str:
    """Ask for a painting until there is room for it; its id."""
    while True:
        answer = client.post(
            "/v1/jobs/style",
            files={"content": ("cat.jpg", files[0]), "style": ("oil.jpg", files[1])},
            data={"options": json.dumps(options)},
        )
        if answer.status_code == 202:
            return answer.json()["id"]
        assert answer.status_code == 429, answer.text
        time.sleep(min(1.0, float(answer.headers["retry-after"])))


def load(process: subprocess.Popen, client: httpx2.Client, arguments: argparse.Namespace) -> dict:
    """Many jobs from many clients at once."""
    files, address = pictures(), str(client.base_url)
    server = psutil.Process(process.pid)
    left, lock = list(range(arguments.jobs)), threading.Lock()
    mine: list[str] = []
    memory: list[int] = []
    longest = 0

    def ask() -> None:
        with make_client(address) as own:
            while True:
                with lock:
                    if not left:
                        return
                    number = left.pop()
                job = submit(own, files, size=48, steps=6, seed=number)
                with own.stream("GET", f"/v1/jobs/{job}/events") as events:
                    for _ in events.iter_lines():
                        pass
                assert own.get(f"/v1/jobs/{job}/result").content[:4] == b"\x89PNG"
                with lock:
                    mine.append(job)
                    memory.append(server.memory_info().rss)

    began = time.perf_counter()
    threads = [threading.Thread(target=ask) for _ in range(arguments.clients)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        longest = max(longest, client.get("/v1/health").json()["queued"])
        time.sleep(0.05)
    seconds = time.perf_counter() - began
    jobs = {job["id"]: job["status"] for job in client.get("/v1/jobs").json()["jobs"]}
    lost = [job for job in mine if jobs.get(job) != "done"]
    tenth = arguments.jobs // 10
    # It goes up and down with what is at work, so that single moments tell little.
    early = statistics.median(memory[tenth : arguments.jobs // 2])
    late = statistics.median(memory[arguments.jobs // 2 :])
    deciles = [statistics.median(memory[at : at + tenth]) for at in range(0, arguments.jobs, tenth)]
    print("MiB by tenths of the jobs:", *(round(one / 2**20) for one in deciles))
    print(f"{len(mine)} jobs in {seconds:.1f} s, {len(lost)} lost; longest queue {longest} of "
          f"{arguments.queue}; {early / 2**20:.0f} MiB early, {late / 2**20:.0f} late")  # fmt: skip
    return {
        "jobs": len(mine),
        "lost": len(lost) + arguments.jobs - len(mine),
        "seconds": round(seconds, 1),
        "longest_queue": longest,
        "queue": arguments.queue,
        "memory_mib": round(late / 2**20),
        "memory_growth": round(late / early - 1, 4),
    }


def upload_cost() -> dict:
    """Milliseconds that decoding an upload in a child process takes, and in this one."""
    from impasto.demo import photograph
    from impasto.images.child_decode import ChildDecoder
    from impasto.images.decode import decode_file
    from impasto.images.header import check_header
    from impasto.images.resize import resize
    from impasto.images.write import encode

    def decode_here(data: bytes) -> None:
        decode_file(data, check_header(data, "content", "cat.jpg", 10**9))

    decoder, report = ChildDecoder(), {}
    decoder.start()
    for name, size in (("small", (48, 32)), ("12_mp", (4000, 3000))):
        data = encode(resize(photograph(), size), "jpeg")
        for place, check in (
            ("child", lambda data: decoder.check(data, "content", "cat.jpg", 10**9)),
            ("here", decode_here),
        ):
            check(data)  # loads what is loaded once
            report[f"upload_{name}_{place}_ms"] = round(1000 * median_seconds(check, data), 1)
    decoder.close()
    print("decoding an upload:", *(f"{name} {value}" for name, value in report.items()))
    return report


def median_seconds(work: Callable[[bytes], object], data: bytes, times: int = 15) -> float:
    """The median of the seconds that a call takes."""
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        work(data)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def first_preview(client: httpx2.Client) -> dict:
    """Seconds to the first preview of the default painting, by its size; upload included."""
    files, report = pictures(), {}
    for size in (512, 2048):
        job, seconds = preview(client, files, size=size)
        report[f"first_preview_{size}"] = round(seconds, 2)
        stop(client, job)
    print("first preview:", *(f"{name} {seconds} s" for name, seconds in report.items()))
    return report


def preview(
    client: httpx2.Client, files: tuple[bytes, bytes], **options: object
) -> tuple[str, float]:
    """Ask for a painting and wait for its first preview: its id, and seconds."""
    began = time.perf_counter()
    job = submit(client, files, **options)
    while client.get(f"/v1/jobs/{job}/preview").status_code != 200:
        time.sleep(0.02)
    return job, time.perf_counter() - began


def stop(client: httpx2.Client, job: str) -> None:
    """Ask a job to stop, and wait until it has."""
    client.post(f"/v1/jobs/{job}/stop")
    while client.get(f"/v1/jobs/{job}").json()["status"] != "stopped":
        time.sleep(0.01)


def preview_and_stop(client: httpx2.Client, stops: int) -> dict:
    """Seconds to the first preview, and from a wish to stop to the picture, at 512 pixels."""
    files = pictures()
    previews, waits = [], []
    for number in range(stops):
        # The last ones have no small sizes before the full one.
        scales = 1 if number >= stops // 2 else 0
        job, seconds = preview(client, files, size=512, steps=300, scales=scales)
        previews.append(seconds)
        time.sleep(random.Random(number).uniform(0.5, 4))
        began = time.perf_counter()
        stop(client, job)
        assert client.get(f"/v1/jobs/{job}/result").content[:4] == b"\x89PNG"
        waits.append(time.perf_counter() - began)
    small, full = previews[: stops // 2], previews[stops // 2 :]
    print(f"first preview {max(small):.2f} s at most (first {small[0]:.2f}), {max(full):.2f} with "
          f"the full size at once; stop {statistics.median(waits):.2f} s, "
          f"{max(waits):.2f} at most")  # fmt: skip
    return {
        "first_preview": round(max(small), 2),
        "first_preview_at_full_size": round(max(full), 2),
        "stop_median": round(statistics.median(waits), 2),
        "stop_most": round(max(waits), 2),
    }


def open_page(client: httpx2.Client, browser: str | None) -> dict:
    """Seconds from asking for the page to being able to use it."""
    if browser is None:
        return {}
    from playwright.sync_api import sync_playwright

    quiet = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    report = []
    with sync_playwright() as play:
        window = play.chromium.launch(executable_path=browser, args=quiet)
        for _ in range(5):
            context = window.new_context()  # nothing is cached
            page = context.new_page()
            began = time.perf_counter()
            page.goto(f"{client.base_url}/#token={TOKEN}", wait_until="commit")
            page.wait_for_selector("html[data-ready]")
            report.append(time.perf_counter() - began)
            context.close()
        window.close()
    print(
        f"the page can be used after {statistics.median(report):.2f} s, {max(report):.2f} at most"
    )
    return {
        "interactive_median": round(statistics.median(report), 2),
        "interactive_most": round(max(report), 2),
    }


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    main()
