"""Uploads that are meant to do harm: seconds until each is refused, and how much memory it took.

python benchmarks/serve_bombs.py

A server in a process of its own is asked as a browser or a raw socket would ask; its largest
resident memory is read from the kernel's own mark, which is set back before each.
"""

from __future__ import annotations

import io
import json
import socket
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

import httpx2
import numpy as np
import psutil
import tifffile

TOKEN = "a-token-for-the-benchmark"
MIB = 2**20


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        words = ["serve", "--no-browser", "--port", "0", "--token", TOKEN, "--folder", folder]
        process = subprocess.Popen(
            [sys.executable, "-m", "impasto", *words], stdout=subprocess.PIPE, text=True
        )
        address = process.stdout.readline().partition("/#")[0]
        try:
            rows = send_bombs(process.pid, address)
        finally:
            process.terminate()
            process.wait()
    for name, status, seconds, grown in rows:
        print(f"{name:34} {status}  {seconds:6.3f} s  {grown:+7.1f} MiB")
    print(
        json.dumps(
            {
                "refused": sum(400 <= status < 500 for _, status, *_ in rows),
                "of": len(rows),
                "most_seconds": round(max(row[2] for row in rows), 3),
                "most_mib": round(max(row[3] for row in rows), 1),
            }
        )
    )


def send_bombs(pid: int, address: str) -> list[tuple[str, int, float, float]]:
    """Send each bomb; return its name, the status, seconds and MiB of additional memory."""
    port = int(address.rpartition(":")[2])
    with httpx2.Client(base_url=address, headers={"authorization": f"Bearer {TOKEN}"}) as client:
        while not client.get("/v1/health").json()["devices"]:
            time.sleep(0.1)
        time.sleep(2)  # the network is loaded
        post(client, "warm.png", png(60_000, 60_000))
        rows = []
        for name, data in make_files().items():
            rows.append((name, *measure(pid, lambda data=data: post(client, "cat.png", data))))
        texts = png(48, 32, (b"zTXt", b"Comment\0\0" + zlib.compress(b"x" * 10**9, 9)))
        rows.append(("PNG with a text of 1 GB", *measure(pid, lambda: read(client, texts))))
        rows.append(("10,000 parts", *measure(pid, lambda: post_parts(client))))
        rows.append(("an endless body, chunked", *measure(pid, lambda: post_endless(port, None))))
        rows.append(("an endless body of 1 TB", *measure(pid, lambda: post_endless(port, 10**12))))
        return rows


def measure(pid: int, ask: object) -> tuple[int, float, float]:
    """The status, the seconds and the memory of a request."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    before = psutil.Process(pid).memory_info().rss
    began = time.perf_counter()
    status = ask()
    seconds = time.perf_counter() - began
    peak = next(
        int(line.split()[1]) * 1024
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        if line.startswith("VmHWM")
    )
    return status, seconds, (peak - before) / MIB


def post(client: httpx2.Client, name: str, data: bytes) -> int:
    """Ask for a cleaning of a file."""
    return client.post("/v1/jobs/denoise", files={"content": (name, data)}).status_code


def read(client: httpx2.Client, data: bytes) -> int:
    """Ask for the recipe in a file."""
    return client.post("/v1/recipe", files={"picture": ("cat.png", data)}).status_code


def post_parts(client: httpx2.Client) -> int:
    """Send a form of ten thousand parts."""
    one = b'--x\r\ncontent-disposition: form-data; name="a"\r\n\r\n1\r\n'
    kind = {"content-type": "multipart/form-data; boundary=x"}
    return client.post(
        "/v1/jobs/denoise", content=one * 10_000 + b"--x--\r\n", headers=kind
    ).status_code


def post_endless(port: int, length: int | None) -> int:
    """Send a body that never ends, until there is an answer."""
    length_header = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    head = (
        f"POST /v1/jobs/denoise HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{length_header}\r\n"
        f"Authorization: Bearer {TOKEN}\r\nContent-Type: multipart/form-data; boundary=x\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port)) as line:
        line.sendall(head.encode())
        line.setblocking(False)
        block = b"8000\r\n" + b"x" * 0x8000 + b"\r\n" if length is None else b"x" * 0x8000
        answer = b""
        while b"\r\n" not in answer:
            try:
                line.send(block)
            except BlockingIOError:
                pass
            except OSError:
                break
            try:
                answer += line.recv(4096)
            except BlockingIOError:
                time.sleep(0.001)
    return int(answer.split()[1])


def make_files() -> dict[str, bytes]:
    """Files that are not what they say."""
    pages = io.BytesIO()
    with tifffile.TiffWriter(pages) as writer:
        for _ in range(6000):
            writer.write(np.zeros((4, 4), np.uint8), contiguous=False, metadata=None)
    return {
        "PNG of 60,000 x 60,000": png(60_000, 60_000),
        "TIFF of 60,000 x 60,000": tiff(60_000, 60_000),
        "TIFF of 6,000 pages": pages.getvalue(),
        "SVG named .png": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        "EPS named .png": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99999 99999\n",
        "zeros, 100 MB": bytes(100 * 10**6),
    }


def png(width: int, height: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG that claims a size and has hardly a pixel."""
    every = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), *chunks]
    every += [(b"IDAT", zlib.compress(b"\0" * 9)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in every
    )


def tiff(width: int, height: int) -> bytes:
    """A TIFF that claims a size and has no pixels."""
    tags = [(256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, 1), (262, 3, 1),
            (273, 4, 8), (277, 3, 1), (278, 4, height), (279, 4, 1)]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + b"\0\0\0\0"


if __name__ == "__main__":
    main()
