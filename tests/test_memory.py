"""What is free: the machine's memory, a container's limits at every level, the GPU's."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from impasto import memory

GIB = memory.GIB
SOURCES = Path(memory.__file__).parents[1]


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine with 64 GiB free whose control groups a test makes up."""
    monkeypatch.setattr(memory, "_CGROUP_ROOT", tmp_path / "groups")
    monkeypatch.setattr(memory, "_PROCESS_CGROUPS", tmp_path / "own")
    monkeypatch.setattr(memory, "_address_space_headroom", list)
    available = SimpleNamespace(available=64 * GIB)
    monkeypatch.setattr(memory.psutil, "virtual_memory", lambda: available)

    def make(own="0::/\n", **groups):
        (tmp_path / "own").write_text(own)
        for folder, (limit, used, cached) in groups.items():
            place = tmp_path / "groups" / folder.replace("__", "/")
            place.mkdir(parents=True, exist_ok=True)
            old = folder.startswith("memory")
            names = ("limit_in_bytes", "usage_in_bytes") if old else ("max", "current")
            for name, value in zip(names, (limit, used), strict=True):
                (place / f"memory.{name}").write_text(f"{value}\n")
            word = "total_inactive_file" if old else "inactive_file"
            (place / "memory.stat").write_text(f"anon 5\n{word} {cached}\nactive_file 7\n")
        return memory.available_bytes()

    return make


def test_without_limits_it_is_what_the_machine_has(machine):
    assert machine() == 64 * GIB


def test_a_containers_limit_counts_and_cached_files_make_room(machine):
    assert machine(**{".": (8 * GIB, 5 * GIB, 1 * GIB)}) == 4 * GIB


def test_version_1_counts_too(machine):
    own = "5:cpu:/\n4:memory:/\n"
    assert machine(own, memory=(8 * GIB, 7 * GIB, 0)) == 1 * GIB


def test_no_limit_is_no_limit(machine):
    assert machine(**{".": ("max", 5 * GIB, 0)}) == 64 * GIB


@pytest.mark.parametrize(
    ("own", "root"), [("0::/slice/mine\n", ""), ("9:pids:/x\n4:memory:/slice/mine\n", "memory__")]
)
def test_the_smallest_limit_on_the_way_up_counts(machine, own, root):
    groups = {
        f"{root}slice": (6 * GIB, 4 * GIB, 0),
        f"{root}slice__mine": (9 * GIB, 1 * GIB, 0),
        f"{root}slice__other": (1 * GIB, 1 * GIB, 0),
    }
    assert machine(own, **groups) == 2 * GIB


def test_a_path_from_outside_the_container_leads_to_its_root(machine):
    assert machine("0::/../../outer\n", **{".": (3 * GIB, 0, 0)}) == 3 * GIB
    assert machine("4:memory:/docker/0123\n", memory=(2 * GIB, 0, 0)) == 2 * GIB


def test_nothing_left_is_zero_and_never_less(machine):
    assert machine(**{".": (1 * GIB, 2 * GIB, 0)}) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux holds processes to it")
def test_a_limit_on_the_address_space_counts():
    code = (
        "import resource, psutil\n"
        "from impasto.memory import available_bytes as free\n"
        "before = free()\n"
        "limit = psutil.Process().memory_info().vms + 300 * 2**20\n"
        "resource.setrlimit(resource.RLIMIT_AS, (limit, limit))\n"
        "print(before, free())"
    )
    environment = {**os.environ, "PYTHONPATH": str(SOURCES)}
    command = [sys.executable, "-c", code]
    output = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    before, after = map(int, output.stdout.split())
    assert after <= 300 * 2**20 < before


def test_a_gpu_counts_what_its_allocator_could_give_back(monkeypatch):
    values = {"memory_reserved": 5, "memory_allocated": 3, "mem_get_info": (10, 40)}
    for name, value in values.items():
        monkeypatch.setattr(torch.cuda, name, lambda device, value=value: value)
    assert memory.available_bytes("cuda:0") == 12
    assert memory.used_bytes("cuda:0") == 3


def test_held_grows_with_what_is_held():
    # In a process of its own: one that has run other tests may give memory back meanwhile.
    code = (
        "import torch\n"
        "from impasto.memory import used_bytes\n"
        "before = used_bytes()\n"
        "kept = torch.ones(16 * 2**20)\n"
        "print(before, used_bytes())"
    )
    environment = {**os.environ, "PYTHONPATH": str(SOURCES)}
    command = [sys.executable, "-c", code]
    output = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    before, after = map(int, output.stdout.split())
    assert after - before > 0.8 * 4 * 16 * 2**20


@pytest.mark.parametrize(("limit", "gib"), [("auto", 3 + 0.8 * 5), (4, 4), (7.5, 7.5), (100, 8)])
def test_a_budget_is_the_limit_or_what_is_free_less_a_reserve(limit, gib, monkeypatch):
    monkeypatch.setattr(memory, "used_bytes", lambda device: 3 * GIB)
    monkeypatch.setattr(memory, "available_bytes", lambda device: 5 * GIB)
    assert memory.memory_budget(limit) == gib * GIB


def test_where_memory_runs_out_a_smaller_attempt_follows():
    sizes = [4, 2, 1]

    def attempt():
        if sizes[0] > 1:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried …")
        return sizes[0]

    assert memory.within_memory(attempt, lambda: sizes.remove(sizes[0])) == 1
    with pytest.raises(ValueError, match="another"):
        memory.within_memory(lambda: int("another"), pytest.fail)


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to"), True),
        (RuntimeError("could not create a memory object"), True),
        (RuntimeError("shape mismatch"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_which_errors_say_that_memory_ran_out(error, verdict):
    assert memory.is_out_of_memory(error) is verdict


def test_a_real_failure_is_known():
    with pytest.raises((RuntimeError, MemoryError)) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert memory.is_out_of_memory(caught.value)
