"""How much memory is really free, and whether an error means that it ran out."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import psutil
import torch

GIB = 2**30

_GROUPS = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")
# A control group's limit, what it uses, and what of that makes room when memory is wanted.
_UNIFIED = ("memory.max", "memory.current", "inactive_file")
_VERSION_1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


def available_bytes(device: torch.device | str = "cpu") -> int:
    """Bytes that this process could still take, a container's limit included.

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
    found = [psutil.virtual_memory().available, *_allowed(), *_address_space()]
    return max(0, min(found))


def used_bytes(device: torch.device | str = "cpu") -> int:
    """Bytes that this process has taken.

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


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there was not enough memory.

    Example:
        >>> is_out_of_memory(MemoryError()), is_out_of_memory(RuntimeError("shape mismatch"))
        (True, False)
    """
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    text = str(error).lower()
    says = (
        "can't allocate memory",
        "not enough memory",
        "out of memory",
        "could not create a memory",
    )
    return isinstance(error, RuntimeError) and any(words in text for words in says)


def release_caches(device: torch.device) -> None:
    """Give memory that an allocator keeps for later back to the system."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
    if _trim is not None:
        _trim(0)


def _trimmer() -> Callable[[int], int] | None:
    """The C library's function that gives freed memory back; None where it has none."""
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # not glibc; Windows knows no library None
        return None


_trim = _trimmer()


def _allowed() -> list[int]:
    """What the limits on this process's control groups leave, each group's and its parents'."""
    left = []
    for group, (limit, used, cached) in _control_groups():
        try:
            most, now = (int((group / name).read_text()) for name in (limit, used))
            lines = (line.split() for line in (group / "memory.stat").read_text().splitlines())
            spare = next((int(value) for name, value in lines if name == cached), 0)
        except (OSError, ValueError):  # no such group, or "max": no limit
            continue
        left.append(most - now + spare)
    return left


def _control_groups() -> Iterator[tuple[Path, tuple[str, str, str]]]:
    """The folders of this process's memory control groups, from its own up to the root."""
    try:
        lines = [line.split(":", 2) for line in _OWN.read_text().splitlines()]
    except OSError:
        lines = []
    # Inside a container the path may be the one outside it: the root holds the limit then.
    lines += [["0", "", "/"], ["1", "memory", "/"]]
    for _, controllers, place in lines:
        if controllers not in ("", "memory"):
            continue
        names = _VERSION_1 if controllers else _UNIFIED
        path = PurePosixPath(place.strip("/"))
        for part in (path, *path.parents):
            if ".." not in part.parts:
                yield _GROUPS / controllers / part, names


def _address_space() -> list[int]:
    """What a limit on the process's address space (`ulimit -v`) leaves; nothing where none is."""
    try:
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        return (
            [] if limit == resource.RLIM_INFINITY else [limit - psutil.Process().memory_info().vms]
        )
    except (ImportError, OSError):  # not on this system
        return []
