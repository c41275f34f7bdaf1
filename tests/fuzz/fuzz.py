"""Try impasto with many broken inputs: no traceback, no hang, bounded memory, no file left behind.

    python tests/fuzz/fuzz.py [--cases 100000] [--seconds 120] [--start 0] [--target image …]
    python tests/fuzz/fuzz.py --case 4711 [--target image …] [--keep FILE]

Cases are numbered; a number always makes the same case of the same targets. They run in a child
process, which is replaced when a case kills it. A case is at fault if it

- raises anything but impasto's own one-sentence errors, or a Python warning;
- takes more than 5 s of processor time, or 60 s in all;
- takes the process more than 500 MB above its start;
- ends the process;
- writes to the terminal behind our back, leaves a file, or changes its input.

Needs Linux. The last line is JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import mmap
import os
import resource
import shutil
import signal
import struct
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import torch

import impasto

CPU_SECONDS, WALL_SECONDS, MEMORY = 5.0, 60.0, 500_000_000
_CASES_PER_CHILD = 20_000
_SHOWN = 3  # faults of one kind
# What a case shares with the process that watches it: its number, and whether it runs.
_STATE = struct.Struct("qq")


def main() -> int:
    """Run the cases and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--start", type=int, default=0, help="number of the first case")
    parser.add_argument("--target", nargs="+", default=None)
    parser.add_argument("--case", type=int, help="run one case here, with its traceback")
    parser.add_argument("--keep", type=Path, help="where to write that case's input")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    from seeds import make_seeds
    from targets import TARGETS, make_case, warm_up

    names = arguments.target or list(TARGETS)
    make_seeds()
    with tempfile.TemporaryDirectory() as folder:
        warm_up(Path(folder))
    if arguments.case is not None:
        case = make_case(arguments.case, names)
        print(case.target, case.ending, len(case.data), *case.words)
        if arguments.keep:
            arguments.keep.write_bytes(case.data)
        with tempfile.TemporaryDirectory() as folder:
            TARGETS[case.target](*_arguments(case, Path(folder)))
        return 0
    report = run(arguments.start, arguments.cases, arguments.seconds, names)
    print(json.dumps(report))
    return 1 if report["faults"] else 0


def run(start: int, cases: int, seconds: float, names: Sequence[str]) -> dict[str, Any]:
    """Run cases from a number on until enough are done or the time is over."""
    began, faults, number, peak = time.monotonic(), Counter(), start, 0
    end = start + cases
    while number < end and time.monotonic() - began < seconds:
        with tempfile.TemporaryDirectory(prefix="impasto-fuzz-") as folder:
            left = seconds - (time.monotonic() - began)
            last = min(end, number + _CASES_PER_CHILD)
            child = _Child(number, last, names, Path(folder))
            for place, fault in child.faults(left):
                if place < 0:
                    raise RuntimeError(f"the fuzzer itself failed: {fault}")
                # A case that another program slowed down is at fault only if it hangs again.
                if fault.startswith("hang") and not _again(place, names, Path(folder)):
                    continue
                faults[fault.split("\n")[0][:100]] += 1
                if faults[fault.split("\n")[0][:100]] <= _SHOWN:
                    print(f"case {place}: {fault}", flush=True)
            number, peak = child.next, max(peak, child.peak)
    spent = time.monotonic() - began
    return {
        "cases": number - start,
        "seconds": round(spent, 1),
        "cases_per_hour": round((number - start) / spent * 3600),
        "peak_mb": round(peak / 1e6),
        "faults": sum(faults.values()),
        "kinds": len(faults),
    }


def _again(case: int, names: Sequence[str], folder: Path) -> bool:
    """Run a case once more, and return whether it is at fault again."""
    return bool(list(_Child(case, case + 1, names, folder).faults(2 * WALL_SECONDS)))


class _Child:
    """A process that runs cases.

    Attributes:
        next: number of the first case that it has not run.
        peak: most memory above its start, in bytes.
    """

    def __init__(self, first: int, last: int, names: Sequence[str], folder: Path) -> None:
        self.next, self.peak = first, 0
        self._state = mmap.mmap(-1, _STATE.size)
        self._state[:] = _STATE.pack(first, 0)
        read, write = os.pipe()
        self._pipe = os.fdopen(read, "rb")
        os.set_blocking(read, False)
        self._pid = os.fork()
        if self._pid == 0:
            code = 1
            try:
                _run_cases(first, last, names, folder, self._state, write)
                code = 0
            except BaseException:
                os.write(write, (json.dumps([-1, traceback.format_exc()]) + "\n").encode())
            finally:
                os._exit(code)
        os.close(write)

    def faults(self, seconds: float) -> Iterator[tuple[int, str]]:
        """Yield the number and the fault of each case at fault, until the process has ended."""
        process, ends = psutil.Process(self._pid), time.monotonic() + seconds
        base, case, cpu, killed = process.memory_info().rss, -1, 0.0, ""
        waited, looked, rest = 0.0, time.monotonic(), b""
        while True:
            # A pause of the machine, or of this process, counts as one second.
            waited += min(time.monotonic() - looked, 1)
            looked = time.monotonic()
            done, status = os.waitpid(self._pid, os.WNOHANG)
            rest += self._pipe.read() or b""
            *lines, rest = rest.split(b"\n")
            yield from (tuple(json.loads(line)) for line in lines)
            number, running = _STATE.unpack(self._state[:])
            if done:
                break
            if number != case:
                case, waited, cpu = number, 0.0, _cpu(process)
            memory = process.memory_info().rss - base
            self.peak = max(self.peak, memory)
            if running and not killed:
                if _cpu(process) - cpu > CPU_SECONDS or waited > WALL_SECONDS:
                    killed = f"hang: more than {CPU_SECONDS:g} s"
                elif memory > MEMORY:
                    killed = f"memory: {memory / 1e6:.0f} MB"
                elif time.monotonic() > ends:
                    killed = "over"
                if killed:
                    os.kill(self._pid, signal.SIGKILL)
            time.sleep(0.02)
        self._pipe.close()
        self.next = number + running
        if killed == "over":
            self.next = number
        elif killed:
            yield number, killed
        elif os.waitstatus_to_exitcode(status) and running:
            yield number, f"died: exit code {os.waitstatus_to_exitcode(status)}"


def _cpu(process: psutil.Process) -> float:
    with contextlib.suppress(psutil.Error):
        times = process.cpu_times()
        return times.user + times.system
    return 0.0


def _run_cases(
    first: int, last: int, names: Sequence[str], folder: Path, state: mmap.mmap, pipe: int
) -> None:
    """Run cases in this process, and write those at fault to a pipe."""
    from targets import make_case

    warnings.simplefilter("error")
    # Whatever C libraries and commands print lands in a file.
    terminal = os.open(folder, os.O_TMPFILE | os.O_RDWR)
    os.dup2(terminal, 1)
    os.dup2(terminal, 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w", 1), os.fdopen(2, "w", 1)
    sys.stdin = open(os.devnull)  # noqa: SIM115
    limit = psutil.Process().memory_info().vms + 4_000_000_000  # protects the machine
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    for number in range(first, last):
        case = make_case(number, names)
        state[:] = _STATE.pack(number, 1)
        fault = run_case(case, folder / "case")
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - base
        if memory > MEMORY:
            fault = fault or f"memory: {memory / 1e6:.0f} MB"
        if fault:
            os.write(pipe, (json.dumps([number, f"{case.target}: {fault}"]) + "\n").encode())
        state[:] = _STATE.pack(number + 1, 0)
        if memory > MEMORY:
            return


def run_case(case: Any, folder: Path) -> str | None:
    """Run one case in a folder of its own; return its fault, or None."""
    from targets import TARGETS

    folder.mkdir()
    before = os.fstat(2).st_size
    arguments = _arguments(case, folder)
    fault = None
    try:
        TARGETS[case.target](*arguments)
    except (Exception, SystemExit) as error:
        fault = judge(error)
    input_file = arguments[0]
    printed = os.pread(2, 500, before) if os.fstat(2).st_size > before else b""
    if printed and case.target != "command":
        fault = fault or f"printed {printed!r}"
        os.ftruncate(2, before)
        os.lseek(2, before, os.SEEK_SET)
    if not fault and (not input_file.is_file() or input_file.read_bytes() != case.data):
        fault = "the input was changed"
    left = [p.name for p in folder.iterdir() if p != input_file and not p.name.startswith("output")]
    if left and not fault:
        fault = f"left behind: {left}"
    shutil.rmtree(folder)
    return fault


def _arguments(case: Any, folder: Path) -> tuple[Any, ...]:
    """Write a case's input and return what its target takes."""
    path = folder / f"input{case.ending}"
    path.write_bytes(case.data)
    return (path, folder, case.words) if case.words else (path, folder)


def judge(error: BaseException) -> str | None:
    """Return what is wrong with an error; None for one of impasto's own sentences."""
    from targets import POLITE

    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}"
    text = str(error)
    if not isinstance(error, POLITE):
        return f"{place}: {text[:200]!r}\n{_trace(error)}"
    if Path(impasto.__file__).parent not in Path(frame.filename).parents:
        return f"{place}: {text[:200]!r}\n{_trace(error)}"
    if not text or len(text) > 2000 or not text.isprintable():
        return f"{place}: not one short sentence: {text[:200]!r} ({len(text)} characters)"
    if "pydantic" in text or "Traceback" in text:
        return f"{place}: {text[:200]!r}"
    return None


def _trace(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    return "\n".join(f"    {Path(f.filename).name}:{f.lineno} {f.line}" for f in frames)


if __name__ == "__main__":
    sys.exit(main())
