"""How much memory is really free, and whether an error means that it ran out."""

from __future__ import annotations

from pathlib import Path

import psutil
import torch

_GROUP = Path("/sys/fs/cgroup")
# Control groups, version 2 and version 1: (limit, in use, statistics).
_FILES = (
    ("memory.max", "memory.current", "memory.stat"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
)


def free(device: torch.device | str = "cpu") -> int:
    """Bytes that this process could still take, a container's limit included.

    Args:
        device: whose memory; MPS shares the computer's.

    Example:
        >>> free() > 0
        True
    """
    device = torch.device(device)
    if device.type == "cuda":
        held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + held
    found = [psutil.virtual_memory().available, *_allowed(_GROUP), *_address_space()]
    return max(0, min(found))


def ran_out(error: BaseException) -> bool:
    """Whether an error says that there was not enough memory.

    Example:
        >>> ran_out(MemoryError()), ran_out(RuntimeError("shape mismatch"))
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


def release(device: torch.device) -> None:
    """Give memory that a device's allocator keeps for later back to the system."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def _allowed(group: Path) -> list[int]:
    """What a container's limit leaves; nothing where there is none.

    Cached files count as used, but make room when memory is wanted.
    """
    for limit, used, statistics in _FILES:
        try:
            most, now = (int((group / name).read_text()) for name in (limit, used))
            lines = (line.split() for line in (group / statistics).read_text().splitlines())
            cached = next((int(value) for name, value in lines if name == "inactive_file"), 0)
        except (OSError, ValueError):  # no such group, or "max": no limit
            continue
        return [most - now + cached]
    return []


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
