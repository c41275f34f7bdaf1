"""The filter of system calls: what decoders need stays, and what they do not need is refused."""

import json
import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64", reason="there is no filter here"
)

PROGRAM = """
import json, os, signal, socket, subprocess, sys, threading
from impasto.images.seccomp import restrict_calls
folder = sys.argv[1]
tries = {
    "read": lambda: open(__file__ if "__file__" in globals() else sys.executable, "rb").read(1),
    "thread": lambda: threading.Thread(target=int).start(),
    "own": lambda: os.kill(os.getpid(), 0),
    "memory": lambda: bytearray(1 << 26),
    "write": lambda: open(folder + "/new", "w"),
    "append": lambda: open(folder + "/old", "a"),
    "delete": lambda: os.unlink(folder + "/old"),
    "rename": lambda: os.rename(folder + "/old", folder + "/other"),
    "folder": lambda: os.mkdir(folder + "/folder"),
    "mode": lambda: os.chmod(folder + "/old", 0o777),
    "socket": lambda: socket.socket(),
    "pair": lambda: socket.socketpair(),
    "run": lambda: subprocess.run(["true"]),
    "fork": lambda: os.fork() or os._exit(0),
    "exec": lambda: os.execv("/bin/true", ["true"]),
    "kill": lambda: os.kill(os.getppid(), 0),
}
taken, results = restrict_calls(), {}
for name, attempt in tries.items():
    try:
        attempt()
        results[name] = "done"
    except PermissionError:
        results[name] = "refused"
print(json.dumps([taken, results]))
"""


def test_nothing_can_be_written_started_or_reached(tmp_path):
    (tmp_path / "old").write_text("as it was")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)], capture_output=True, text=True, check=True
    )
    taken, results = json.loads(done.stdout)
    if not taken:
        pytest.skip("the system takes no filter")
    allowed = {"read", "thread", "own", "memory"}
    assert {name for name, result in results.items() if result == "done"} == allowed
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert (tmp_path / "old").read_text() == "as it was"
