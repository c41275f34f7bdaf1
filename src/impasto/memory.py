"""Memory: bytes used, bytes available, the budget of a run, and retrying when it runs out."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Literal, TypeVar

import psutil
import torch

T = TypeVar("T")

GIB = 2**30
RESERVE = 0.2  # share of the available memory that is left to other processes

_CGROUP_ROOT = Path("/sys/fs/cgroup")
_PROCESS_CGROUPS = Path("/proc/self/cgroup")
# Files of a control group: its limit, its usage, and the entry of memory.stat for cached files,
# which the kernel drops when memory is needed.
_CGROUP_V2 = ("memory.max", "memory.current", "inactive_file")
_CGROUP_V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")

# Lower-case parts of the messages of torch's allocators and of oneDNN.
_OUT_OF_MEMORY_MESSAGES = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "could not create a memory",
)


def available_bytes(device: torch.device | str = "cpu") -> int:
    """Return the bytes that this process can still take, within any container's limit.

    Args:
        device: whose memory; MPS shares the computer's.

    Example:
        >>> available_bytes() > 0
        True
    """
    device = torch.device(device)
    if device.type == "cuda":
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + cached
    limits = [psutil.virtual_memory().available, *_cgroup_headroom(), *_address_space_headroom()]
    return max(0, min(limits))


def used_bytes(device: torch.device | str = "cpu") -> int:
    """Return the bytes that this process has taken.

    Args:
        device: whose memory, as for `available_bytes`.

    Example:
        >>> used_bytes() > 0
        True
    """
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    return psutil.Process().memory_info().rss


def memory_budget(limit: float | Literal["auto"], device: torch.device | str = "cpu") -> int:
    """Return the bytes that the whole process may take.

    Args:
        limit: the most in GiB (2^30 bytes), as the recipes' `memory`; `auto` leaves a fifth of what
            is available to other processes.
        device: whose memory, as for `available_bytes`.

    Example:
        >>> memory_budget(0.5) <= 2**29
        True
    """
    used, available = used_bytes(device), available_bytes(device)
    if limit == "auto":
        return round(used + (1 - RESERVE) * available)
    return min(round(limit * GIB), used + available)


def free_bytes(limit: float | Literal["auto"], device: torch.device | str = "cpu") -> int:
    """Return the bytes of a budget that are not taken yet, at least 0; as for `memory_budget`.

    Example:
        >>> free_bytes(1e-6)
        0
    """
    return max(0, memory_budget(limit, device) - used_bytes(device))


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that there was not enough memory.

    Example:
        >>> is_out_of_memory(MemoryError()), is_out_of_memory(RuntimeError("shape mismatch"))
        (True, False)
    """
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    message = str(error).lower()
    return isinstance(error, RuntimeError) and any(
        part in message for part in _OUT_OF_MEMORY_MESSAGES
    )


def within_memory(
    attempt: Callable[[], T], shrink: Callable[[], None], device: torch.device | str = "cpu"
) -> T:
    """Call `attempt`; each time memory runs out, call `shrink` and try again.

    Args:
        attempt: does the work and returns its result.
        shrink: makes the next attempt need less memory, or raises if nothing smaller is possible.
        device: whose cached memory is given back before the next attempt.

    Returns:
        The result of the first attempt that had enough memory.

    Example:
        >>> tiles = [512, 256, 128]
        >>> def attempt():
        ...     if tiles[0] > 128:
        ...         raise MemoryError
        ...     return tiles[0]
        >>> within_memory(attempt, lambda: tiles.remove(max(tiles)))
        128
    """
    while True:
        try:
            return attempt()
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
        # Outside the handler, whose traceback keeps the attempt's tensors alive.
        release_caches(torch.device(device))
        shrink()


def release_caches(device: torch.device) -> None:
    """Give memory that an allocator keeps for later back to the system."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
    if _malloc_trim is not None:
        _malloc_trim(0)


def _find_malloc_trim() -> Callable[[int], int] | None:
    """Return glibc's function that gives freed memory back; None with other C libraries."""
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # not glibc; Windows knows no library None
        return None


_malloc_trim = _find_malloc_trim()


def _cgroup_headroom() -> list[int]:
    """Return the bytes left below the limit of each control group of this process."""
    headroom = []
    for group, (limit_file, usage_file, cache_entry) in _control_groups():
        try:
            limit, usage = (int((group / name).read_text()) for name in (limit_file, usage_file))
            lines = (line.split() for line in (group / "memory.stat").read_text().splitlines())
            cached = next((int(value) for name, value in lines if name == cache_entry), 0)
        except (OSError, ValueError):  # no such group, or "max": no limit
            continue
        headroom.append(limit - usage + cached)
    return headroom


def _control_groups() -> Iterator[tuple[Path, tuple[str, str, str]]]:
    """Yield the folders of this process's memory control groups, each with its file names.

    A group is followed by its parents up to the root, since every one of them may have a limit.
    """
    try:
        lines = [line.split(":", 2) for line in _PROCESS_CGROUPS.read_text().splitlines()]
    except OSError:
        lines = []
    # Inside a container the path may be the one outside it: the root holds the limit then.
    lines += [["0", "", "/"], ["1", "memory", "/"]]
    for _, controllers, path in lines:
        if controllers not in ("", "memory"):
            continue
        names = _CGROUP_V1 if controllers else _CGROUP_V2
        relative = PurePosixPath(path.strip("/"))
        for folder in (relative, *relative.parents):
            if ".." not in folder.parts:
                yield _CGROUP_ROOT / controllers / folder, names


def _address_space_headroom() -> list[int]:
    """Return the bytes left below the limit on the address space (`ulimit -v`), if there is one."""
    try:
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    except (ImportError, OSError):  # not on this system
        return []
    if limit == resource.RLIM_INFINITY:
        return []
    return [limit - psutil.Process().memory_info().vms]
